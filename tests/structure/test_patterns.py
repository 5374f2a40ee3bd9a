"""No regular expression of ours can be made slow by the text it is given, in theory and against the clock."""

import subprocess
import sys
from pathlib import Path

import pytest

from ops.patterns import BOUNDED, Pattern, patterns, slow

ROOT = Path(__file__).resolve().parents[2]


def _pattern(text: str, *, searched: bool = False, flags: int = 0) -> Pattern:
    return Pattern("here", 1, text, flags, searched)


@pytest.mark.parametrize(
    "text",
    [
        r'\((?:"[!-~]+"\s*)*\)',  # what `Signature-Input` was once read with
        r"(a+)+b",
        r"(a|a)*b",
        r"(a|aa)*b",
        r"a*a*b",
        r".*.*=",
        r"\d+\d+\Z",
        r"(?:\s*,\s*)*x",
        r"(a{1,100})*b",
        r"(a|ab|a)*c",
        r"x(?=a*a*b)",
    ],
)
def test_a_pattern_that_tries_many_ways_is_found(text: str):
    found = slow(_pattern(text))

    assert found is not None
    assert len(set(found.pump)) <= len(found.pump) < 20


@pytest.mark.parametrize("text", [r"[\s-]*(?:city|ward)$", r"\s+$", r"a+b", r"[^=]*=$"])
def test_a_pattern_that_is_searched_begins_at_every_place(text: str):
    assert slow(_pattern(text)) is None
    assert slow(_pattern(text, searched=True)) is not None


@pytest.mark.parametrize(
    "text", [r"[\s-]+", r"\d+|[A-Za-z]+", r"^.+?x", r"a*", r"(?:city|ward)$", r"-----A([^-]+)-----B"]
)
def test_a_pattern_that_cannot_fail_late_may_be_searched(text: str):
    assert slow(_pattern(text, searched=True)) is None


@pytest.mark.parametrize(
    "text", [r"(?:[a-z]+(?:[.-][a-z]+)*)\Z", r"[a-z]+@[a-z]+\.x", r"(?:a|b)*c", r"[^)]*\)", r"a{1,64}\Z"]
)
def test_a_pattern_with_one_way_is_left_alone(text: str):
    assert slow(_pattern(text)) is None


def test_no_pattern_of_ours_is_slow_unless_a_length_bounds_it():
    known = patterns()

    assert len(known) > 80, "the patterns are not found any more"
    assert {each.name for each in known if slow(each) is not None} <= BOUNDED.keys()
    assert BOUNDED.keys() <= {each.name for each in known}


def test_no_pattern_of_ours_is_slow_against_the_clock():
    """In a process that can be ended, since one that is stuck in a pattern hears nothing."""
    tried = subprocess.run(
        [sys.executable, "-m", "ops.patterns", "--pump"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert tried.returncode == 0, tried.stdout + tried.stderr
