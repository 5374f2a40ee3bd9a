"""The no-response clock: when it runs, what stops it, what its end says and what it never does."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.categories import Category
from sos.errors import Forbidden, Refused
from sos.incident import commands as c
from sos.incident import response
from sos.incident.lifecycle import deadlines
from sos.incident.model import ConsentAnswer, Disposition, LegId, Mode, Party, ResponseHow, WaitReason
from tests.journeys import story as s
from tests.journeys.story import Story

DESK = s.join("leg-desk", Party.OPERATOR, "hanako")


def spoken_to(mode: Mode = Mode.LIVE) -> Story:
    """Vehicle and operator are in the call."""
    told = Story()
    for command in (s.open_incident(mode), s.join(), s.take(), DESK):
        told.do(command, after_s=1)
    return told


def due(told: Story) -> dict[str, float]:
    """Seconds from now until each deadline of the clock."""
    found = dict(deadlines(told.incident))
    return {name: (found[name] - told.now).total_seconds() for name in (response.DUE, response.ALARM) if name in found}


def test_the_clock_starts_when_the_second_of_the_two_is_in_the_call():
    told = Story()
    for command in (s.open_incident(), s.join(), s.take()):
        told.do(command, after_s=1)
    assert due(told) == {}

    told.do(DESK, after_s=1)

    assert due(told) == {response.DUE: 30.0}


def test_a_test_call_has_no_clock():
    assert due(spoken_to(Mode.TEST)) == {}


@pytest.mark.parametrize(
    "answer",
    [
        s.hear(),
        s.hear(ResponseHow.SOUNDS),
        c.PressKeys(leg=LegId("leg-vehicle"), keys="1"),
        s.consent(ConsentAnswer.AGREED, Category.LOC),
        s.consent(ConsentAnswer.REFUSED),
    ],
)
def test_any_answer_stops_it_for_good(answer: c.Command):
    told = spoken_to()
    told.do(answer, after_s=10)
    told.do(c.LeaveLeg(leg=LegId("leg-vehicle"), reason="media_lost"), after_s=10)
    told.do(s.join(), after_s=10)

    assert due(told) == {}


def test_keys_pressed_on_another_telephone_are_no_answer_of_the_vehicle():
    told = spoken_to()
    told.do(c.PressKeys(leg=LegId("leg-desk"), keys="1"), after_s=10)

    assert due(told) == {response.DUE: 20.0}


def test_it_stops_while_the_vehicle_is_away_and_begins_anew_when_it_is_back():
    told = spoken_to()
    told.do(c.LeaveLeg(leg=LegId("leg-vehicle"), reason="media_lost"), after_s=20)
    assert due(told) == {}

    told.do(s.join(), after_s=60)

    assert due(told) == {response.DUE: 30.0}


def test_the_end_is_on_the_record_and_in_the_brief_and_tells_nobody_by_itself():
    told = spoken_to()

    assert told.do(c.PassDeadline(name=response.DUE), after_s=30) == ("HelpEscalated",)

    assert told.drafts[-1].parts == {Category.OBS: b'{"response":"noResponse"}'}
    assert told.incident.disclosures == ()
    assert due(told) == {response.ALARM: 20.0}


def test_the_alarm_is_for_incidents_of_which_nobody_has_been_told():
    told = spoken_to()
    told.do(c.PassDeadline(name=response.DUE), after_s=30)
    told.do(s.disclose(), after_s=5)

    assert due(told) == {}


def test_an_answer_that_comes_late_is_recorded_and_corrects_the_brief():
    told = spoken_to()
    told.do(c.PassDeadline(name=response.DUE), after_s=30)

    assert told.do(s.hear(ResponseHow.SOUNDS), after_s=40) == ("ResponseHeard",)

    assert told.drafts[-1].parts == {Category.OBS: b'{"response":"soundsOnly"}'}
    assert due(told) == {}


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (c.PressKeys(leg=LegId("leg-vehicle"), keys="1"), b'{"response":"keysPressed"}'),
        (s.consent(ConsentAnswer.REFUSED), b'{"response":"answered"}'),
    ],
)
def test_keys_or_a_word_about_consent_that_come_late_correct_the_brief_too(answer: c.Command, says: bytes):
    told = spoken_to()
    told.do(c.PassDeadline(name=response.DUE), after_s=30)
    told.do(answer, after_s=5)
    assert told.drafts[-1].parts == {Category.OBS: says}

    told.do(c.PressKeys(leg=LegId("leg-vehicle"), keys="2"), after_s=5)
    assert told.drafts[-1].parts == {}


def test_keys_of_somebody_else_say_nothing_of_the_vehicle():
    told = spoken_to()
    told.do(c.PassDeadline(name=response.DUE), after_s=30)
    told.do(c.PressKeys(leg=LegId("leg-desk"), keys="1"), after_s=5)

    assert told.drafts[-1].parts == {}
    assert not told.incident.response.heard


def test_an_operator_may_wait_longer_but_not_for_ever():
    told = spoken_to()
    told.do(s.wait_longer(120), after_s=10)
    assert due(told) == {response.DUE: 140.0}
    told.do(s.wait_longer(120), after_s=1)

    with pytest.raises(Refused, match="five minutes"):
        told.do(s.wait_longer(60))


@pytest.mark.parametrize("seconds", [0, -1, 121])
def test_so_many_seconds_cannot_be_added(seconds: int):
    with pytest.raises(Refused):
        spoken_to().do(s.wait_longer(seconds))


def test_nobody_but_the_operator_who_has_it_says_who_answered():
    told = spoken_to()

    with pytest.raises(Forbidden):
        told.do(s.hear(operator="jiro"))
    with pytest.raises(Forbidden):
        told.do(s.wait_longer(operator="jiro"))


def test_a_clock_that_has_run_out_cannot_be_made_longer():
    told = spoken_to()
    told.do(c.PassDeadline(name=response.DUE), after_s=30)

    with pytest.raises(Refused):
        told.do(s.wait_longer())


def test_a_closed_incident_waits_for_no_answer_and_a_reopened_one_begins_anew():
    told = spoken_to()
    told.do(s.close(Disposition.FALSE_ALARM), after_s=5)
    assert due(told) == {}

    told.do(c.ReopenIncident(reason="called_again"), after_s=5)

    assert told.incident.response is None


STEPS: dict[str, c.Command] = {
    "desk up": DESK,
    "desk down": c.LeaveLeg(leg=LegId("leg-desk"), reason="media_lost"),
    "car up": s.join(),
    "car down": c.LeaveLeg(leg=LegId("leg-vehicle"), reason="media_lost"),
    "due": c.PassDeadline(name=response.DUE),
    "alarm": c.PassDeadline(name=response.ALARM),
    "longer": c.AwaitResponse(operator=s.take().operator, seconds=30, reason=WaitReason.SOUNDS),
    "heard": s.hear(),
    "keys": c.PressKeys(leg=LegId("leg-vehicle"), keys="2"),
    "lost": s.release(),
    "taken": s.take(),
}


@settings(max_examples=300)
@given(st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 40)), max_size=25))
def test_nobody_is_taken_to_be_unconscious_who_answered_or_was_not_spoken_to_for_so_long(steps):
    told = spoken_to()
    answered, spoken_s = False, 0.0
    for name, after_s in steps:
        spoken = response.voice_up(told.incident)
        spoken_s = spoken_s + after_s if spoken else 0.0
        before = told.incident.response
        try:
            told.do(STEPS[name], after_s=after_s)
        except (Refused, Forbidden):
            continue
        answered = answered or name == "keys" or (name == "heard" and before is not None)
        clock = told.incident.response
        if clock is not None and clock.assumed_at == told.now and (before is None or before.assumed_at is None):
            assert not answered
            assert timedelta(seconds=spoken_s) >= response.ASSUME_AFTER
        if answered:
            assert due(told) == {}
