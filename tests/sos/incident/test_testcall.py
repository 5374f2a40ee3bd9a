"""A test call holds nobody and ends by itself; one that may be none waits for a person as everything does."""

from datetime import timedelta

import pytest

from sos.errors import Refused
from sos.incident import alarms, testcall
from sos.incident import commands as c
from sos.incident.deadline import DeadlineName
from sos.incident.lifecycle import deadlines
from sos.incident.model import Disposition, LegId, Mode, State
from tests.journeys import story as s
from tests.journeys.story import Story

PASSED = (("readable", True), ("called", True))
CAR = LegId("leg-vehicle")


def tried(*commands: c.Command, mode: Mode = Mode.TEST) -> Story:
    made = Story()
    for command in (s.open_incident(mode), s.file_report(), s.plan(), *commands):
        made.do(command, after_s=1)
    return made


def names(made: Story) -> set[str]:
    return {name for name, _ in deadlines(made.incident) if name != DeadlineName.CALL_BACK_OVER}


def test_nothing_is_waited_for_but_the_voice_and_the_end():
    made = tried()

    assert names(made) == {DeadlineName.CALL_VEHICLE, DeadlineName.TEST_OVER}
    assert made.incident.unattended_at is None


def test_it_ends_by_itself_with_a_receipt_that_names_each_step():
    made = tried()

    assert made.do(c.EndTest(checks=(*PASSED, ("called_back", False)))) == ("ReceiptIssued", "IncidentClosed")
    assert made.incident.state is State.CLOSED
    assert made.incident.disposition is Disposition.TEST
    assert made.incident.tested is False
    assert made.do(c.EndTest(checks=PASSED)) == ()


@pytest.mark.parametrize("mode", [Mode.LIVE, Mode.DRILL])
def test_nothing_else_ends_by_itself(mode: Mode):
    made = tried(mode=mode)

    with pytest.raises(Refused, match="only a test"):
        made.do(c.EndTest(checks=PASSED))


def test_an_operator_may_answer_it_and_has_time_for_it_and_nobody_is_alarmed():
    made = tried(s.take(), s.join())

    due = dict(deadlines(made.incident))
    assert set(due) == {DeadlineName.TEST_OVER}
    assert made.incident.changed_at is not None
    assert due[DeadlineName.TEST_OVER] == made.incident.changed_at + testcall.WITH_A_PERSON
    assert alarms.standing(made.incident) == ()


@pytest.mark.parametrize("urgent", ["fire", "hard_impact"])
def test_a_test_that_reports_danger_rings_and_is_closed_by_a_person(urgent: str):
    made = Story()
    made.do(s.open_incident(Mode.TEST))
    made.do(c.FileReport(sequence=0, located=True, parts={}, urgent=(urgent,)), after_s=1)

    assert DeadlineName.RING_ANYWAY in names(made)
    assert DeadlineName.TEST_OVER not in names(made)
    with pytest.raises(Refused, match="a person looks at it"):
        made.do(c.EndTest(checks=PASSED))


def test_whoever_presses_the_key_for_help_gets_a_person():
    made = tried(s.join())
    made.do(c.PressKeys(leg=CAR, keys="19"), after_s=1)

    assert testcall.HELP_ASKED in made.incident.flags
    assert DeadlineName.RING_ANYWAY in names(made)
    assert made.incident.unattended_at is not None
    with pytest.raises(Refused, match="a person looks at it"):
        made.do(c.EndTest(checks=PASSED))


def test_a_car_that_hangs_up_in_a_test_is_called_back_once():
    made = tried(s.join())
    made.do(c.LeaveLeg(leg=CAR, reason="hung_up"), after_s=10)
    assert dict(deadlines(made.incident))[DeadlineName.CALL_VEHICLE] == made.now + timedelta(seconds=1)

    made.do(s.join("leg-again"), after_s=5)
    made.do(c.LeaveLeg(leg=LegId("leg-again"), reason="hung_up"), after_s=10)

    assert DeadlineName.CALL_VEHICLE not in names(made)
