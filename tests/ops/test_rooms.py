"""Each room's time in a table: one command, which ends with 1 when a room fails or takes too long."""

import re
from pathlib import Path

import pytest

from tests.ops.conftest import ROOT, Run, environment

SUITE = """
case "$*" in
  "-m pytest"*"not paced tests/recording"*) echo "7 passed in 1.00s"; exit 0;;
  "-m pytest"*"not paced tests/browser"*) exit 5;;
  "-m pytest"*"-m paced tests/browser"*) echo "2 passed, 1 skipped in 1.00s"; exit 0;;
  "-m pytest"*"not paced tests/sos/journal"*) echo "1 failed, 4 passed in 1.00s"; exit 1;;
  "-m pytest"*) exit 5;;
  "-m pip"*) exit 0;;
esac"""
"""In Python's place: one room passes, one keeps time, one fails."""


@pytest.fixture
def rooms(checkout: Path) -> Path:
    environment(checkout, SUITE)
    for room in ("recording", "browser", "sos/journal", "wire"):
        (checkout / "tests" / room).mkdir(parents=True)
        (checkout / "tests" / room / ("make.py" if room == "wire" else "test_all.py")).touch()
    return checkout


def test_each_room_that_has_tests_stands_in_the_table_with_its_time_and_what_came_of_it(run: Run, rooms: Path) -> None:
    told = run("rooms")

    found = re.findall(r"^(\w+) +\d+ s +\d+ s of CPU +(\d+) cases +(tests/\S+)$", told.stdout, re.MULTILINE)
    assert found == [
        ("ok", "2", "tests/browser"), ("ok", "7", "tests/recording"), ("FAILED", "4", "tests/sos/journal"),
    ]  # fmt: skip
    assert told.returncode == 1


def test_a_room_that_takes_too_long_is_named_unless_it_keeps_time(run: Run, rooms: Path) -> None:
    assert run("rooms", "tests/recording").returncode == 0

    told = run("rooms", "tests/recording", "tests/browser", MOST="-1")

    assert re.findall(r"^(\w+) ", told.stdout, re.MULTILINE) == ["SLOW", "ok"]
    assert told.returncode == 1


def test_the_rooms_that_keep_time_are_there() -> None:
    named = re.search(r'KEEP_TIME="(.*)"', (ROOT / "ops" / "rooms").read_text())

    assert named is not None
    assert all((ROOT / room).is_dir() for room in named[1].split())
