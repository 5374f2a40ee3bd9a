"""Who goes first within a class: whoever is in danger, by a bounded head start, and never out of the class."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.brief.crash import Hazard, crash_facts
from sos.incident.urgency import HARD_KMH, HEAD_START, LIFE, grounds, head_start, ordered, ranked_at

AT = datetime(2026, 11, 30, 9, 0, tzinfo=UTC)
DESK = Path(__file__).resolve().parents[3] / "sos/console/web/src"


@pytest.mark.parametrize(
    ("crash", "found"),
    [
        ({"deltaVX": -5.0}, ()),
        ({"fire": True, "rollover": "DETECTED", "deltaVX": -5.0, "deltaVY": 95.0}, ("fire", "rollover", "hard_impact")),
        ({"deltaVX": -5.0, "deltaVY": 95.0}, ("hard_impact",)),
        ({"deltaV": float(HARD_KMH)}, ("hard_impact",)),
        ({"deltaV": HARD_KMH - 1.0}, ()),
        ({"severeInjury": True}, ("sender_severe",)),
        ({"severeInjury": False, "fire": False, "rollover": "NONE"}, ()),
        ({"fuelLeak": True}, ("fuelLeak",)),
        ({"submersed": True}, ("water",)),
        ({"trapped": True}, ("trapped",)),
        ({"ejected": True}, ("ejected",)),
        ({"pedestrian": True}, ("pedestrian",)),
    ],
)
def test_what_endangers_life_is_a_ground_and_what_is_not_known_is_none(crash, found):
    assert grounds(crash_facts(crash, None)) == found


def test_what_a_car_merely_carries_is_no_ground():
    carried = crash_facts({}, {"energy": ["hydrogen", "electric"]})

    assert set(carried.hazards) == {Hazard.HYDROGEN, Hazard.HIGH_VOLTAGE}
    assert grounds(carried) == ()


@given(st.lists(st.sampled_from(sorted(HEAD_START))))
def test_a_head_start_only_raises_does_not_add_up_and_has_an_end(found):
    assert timedelta(0) <= AT - ranked_at(AT, found) <= LIFE
    assert head_start(found) == head_start(ordered(found)) == max((HEAD_START[g] for g in found), default=timedelta())


def test_the_desk_orders_by_the_same_table_and_has_a_word_for_each_ground():
    told = dict(re.findall(r'\["(\w+)", (\d+)\]', (DESK / "state.ts").read_text().partition("HEAD_START")[2]))
    words = {language: (DESK / f"{language}.json").read_text() for language in ("ja", "en")}

    assert list(told) == list(HEAD_START)
    assert {ground: timedelta(seconds=int(s)) for ground, s in told.items()} == dict(HEAD_START)
    assert [g for g in HEAD_START for text in words.values() if f'"urgent.{g}"' not in text] == []
