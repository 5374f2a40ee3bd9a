"""How long a car may be held, and until when it can be called back: both have an end, and somebody who brings it."""

from datetime import timedelta

import pytest

from sos.incident import commands as c
from sos.incident import voice
from sos.incident.deadline import DeadlineName
from sos.incident.lifecycle import deadlines
from sos.incident.model import LegId, Party
from tests.journeys import story as s
from tests.journeys.story import Story
from tests.journeys.waits import told

CAR = LegId("leg-vehicle")


def talking(*commands: c.Command) -> Story:
    return told(s.take(), s.join(), s.join("leg-desk", Party.OPERATOR, "hanako"), *commands)


def due(made: Story, name: DeadlineName):
    return dict(deadlines(made.incident)).get(name)


def held(made: Story) -> bool:
    leg = made.incident.leg(CAR)
    assert leg is not None
    return leg.held


def test_a_car_that_is_held_while_an_agency_is_dialled_is_let_go_after_a_minute():
    made = talking(s.dial("leg-fire", s.FIRE))
    assert held(made)
    assert due(made, DeadlineName.HELD_TOO_LONG) == made.now + voice.HELD.after
    assert voice.HELD.after <= timedelta(seconds=60)

    kinds = made.do(s.passing(DeadlineName.HELD_TOO_LONG), after_s=60)

    assert kinds == ("HelpEscalated", "LegModeSet")
    assert not held(made)
    assert due(made, DeadlineName.HELD_TOO_LONG) is None


def test_a_second_line_dialled_meanwhile_does_not_hold_it_any_longer():
    made = talking(s.dial("leg-fire", s.FIRE))
    first = due(made, DeadlineName.HELD_TOO_LONG)
    made.do(s.dial("leg-police", s.POLICE), after_s=40)

    assert due(made, DeadlineName.HELD_TOO_LONG) == first


@pytest.mark.parametrize(
    "end",
    [
        c.LeaveLeg(leg=LegId("leg-fire"), reason="no_answer"),
        s.set_mode("leg-vehicle", "hanako", held=False),
        c.LeaveLeg(leg=CAR, reason="hung_up"),
    ],
)
def test_nothing_is_waited_for_once_the_car_is_let_go_or_gone(end: c.Command):
    made = talking(s.dial("leg-fire", s.FIRE))
    made.do(end, after_s=5)

    assert due(made, DeadlineName.HELD_TOO_LONG) is None


def test_a_car_that_a_person_holds_is_theirs_to_let_go():
    made = talking(s.set_mode("leg-vehicle", "hanako", held=True))

    assert due(made, DeadlineName.HELD_TOO_LONG) is None


@pytest.mark.parametrize("minutes", [60, 30, 10])
def test_the_window_counts_from_the_end_of_the_call_and_its_end_stands_in_the_timeline(minutes: int):
    made = talking(s.recognise(window_s=minutes * 60))
    assert voice.call_back_until(made.incident) is None
    assert voice.at_least_until(made.incident, now=made.now) == made.now + timedelta(minutes=minutes)

    made.do(c.LeaveLeg(leg=CAR, reason="hung_up"), after_s=30)
    until = made.now + timedelta(minutes=minutes)
    assert voice.call_back_until(made.incident) == until == due(made, DeadlineName.CALL_BACK_OVER)

    assert made.do(s.passing(DeadlineName.CALL_BACK_OVER), after_s=minutes * 60) == ("HelpEscalated",)
    assert voice.call_back_until(made.incident) is None
    assert due(made, DeadlineName.CALL_BACK_OVER) is None


def test_a_car_that_calls_again_begins_its_window_anew():
    made = talking()
    made.do(c.LeaveLeg(leg=CAR, reason="media_lost"), after_s=30)
    made.do(s.join(), after_s=600)
    assert voice.call_back_until(made.incident) is None

    made.do(c.LeaveLeg(leg=CAR, reason="hung_up"), after_s=30)

    assert voice.call_back_until(made.incident) == made.now + voice.WINDOW
