"""A handful of kills in a call of three; ``python -m tests.browser.kills`` does many."""

from pathlib import Path

import pytest

from tests.browser.conftest import CHROMIUM, STATIC
from tests.browser.kills import TARGETS, one_call, planned, wrong_in

pytestmark = pytest.mark.browser


async def test_whoever_dies_in_a_call_of_three_the_car_is_not_left_in_silence(sounds: dict[str, Path], tmp_path: Path):
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (Debian package chromium)")
    if not STATIC.is_file():
        pytest.skip("the console is not built: run ops/build_console.py")

    moments = await one_call(planned(len(TARGETS), seed=7), tmp_path, sounds)

    assert {moment.target for moment in moments} == set(TARGETS)
    assert [str(moment) for moment in moments if moment.broken] == []


def test_a_plan_is_the_same_for_the_same_seed_and_treats_all_alike():
    plan = planned(30, seed=3)

    assert plan == planned(30, seed=3) != planned(30, seed=4)
    assert {target: sum(each == target for each, _ in plan) for target in TARGETS} == dict.fromkeys(TARGETS, 10)


def test_a_record_in_which_somebody_was_dialled_twice_is_found():
    dialled = {"kind": "LegDialled", "data": {"leg": "a"}}
    decided = {"kind": "DisclosureDecided", "data": {}}
    recorded = [{"kind": kind, "data": {}} for kind in ("RecordingStarted", "RecordingSealed")]

    assert wrong_in([decided, dialled, *recorded], workers=0) == []
    assert wrong_in([decided, dialled, dialled, *recorded], workers=0) == ["somebody was dialled twice"]
