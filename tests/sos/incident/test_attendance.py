"""The search for a person of ours, one rule at a time: who is missing, who is called, and what follows from nobody."""

from datetime import timedelta

import pytest

from routing.law.codes import Path
from sos.errors import Refused
from sos.incident import attendance
from sos.incident import commands as c
from sos.incident import events as e
from sos.incident.lifecycle import deadlines
from sos.incident.model import Disposition, Incident, LegId, Mode, Party, State
from tests.journeys import story as s
from tests.journeys.story import Story

CAR = "leg-vehicle"


def told(*commands: c.Command, mode: Mode = Mode.LIVE) -> Story:
    """An incident with a car that speaks, after ``commands``, a second apart."""
    made = Story()
    for command in (s.open_incident(mode), s.join(), *commands):
        made.do(command, after_s=1)
    return made


def names(made: Story) -> set[str]:
    return {name for name, _ in deadlines(made.incident)}


def wait_for(made: Story, *rungs: str) -> list[str]:
    """Let time pass until each of ``rungs`` has passed; the kinds of event they led to."""
    kinds: list[str] = []
    for rung in rungs:
        due = dict(deadlines(made.incident))[rung]
        kinds += made.do(c.PassDeadline(name=rung), after_s=max(0.0, (due - made.now).total_seconds()))
    return kinds


def unfound(*commands: c.Command, mode: Mode = Mode.LIVE) -> Story:
    """Nobody of ours could be found."""
    made = told(s.offer(), *commands, mode=mode)
    wait_for(made, attendance.NOBODY)
    return made


def taken_over(*commands: c.Command) -> Story:
    """The fire brigade has taken over; then ``commands``."""
    return told(s.take(), s.disclose(), s.acknowledge(), *commands)


def test_the_search_gets_louder_step_by_step_and_each_step_has_a_reason():
    times = [step.after for step in attendance.STEPS]

    assert times == sorted(times)
    assert times[-1] < timedelta(seconds=60)
    assert all(step.reason for step in attendance.STEPS)
    assert list(attendance.ROUNDS) == sorted(attendance.ROUNDS)


def test_the_desk_that_does_not_answer_is_passed_over_and_then_every_desk_rings():
    made = told(s.offer("desk-a"))

    assert wait_for(made, attendance.NEXT_DESK) == ["HelpEscalated"]
    assert made.do(s.offer("desk-b")) == ("DeskOffered",)
    assert made.incident.desks == ("desk-b",)
    assert wait_for(made, attendance.RING_ALL) == ["HelpEscalated", "DeskOffered"]
    assert made.incident.desks == ()


def test_what_rings_everywhere_needs_no_next_desk():
    made = told(s.offer("desk-a"), s.offer())

    assert not names(made) & {attendance.NEXT_DESK, attendance.RING_ALL}
    assert attendance.UNANSWERED in names(made)


@pytest.mark.parametrize(
    ("commands", "state"),
    [
        ((s.take(), s.release()), State.RINGING),
        ((s.take(), s.disclose(), s.release()), State.HANDING_OVER),
        ((s.take(), s.disclose(), s.acknowledge(), s.release()), State.HANDED_OVER),
    ],
)
def test_an_operator_who_is_lost_is_looked_for_in_every_state(commands: tuple[c.Command, ...], state: State):
    made = told(*commands)

    assert made.incident.state is state
    assert {attendance.UNANSWERED, attendance.ON_CALL, attendance.NOBODY} <= names(made)
    assert dict(deadlines(made.incident))[attendance.UNANSWERED] == made.now + timedelta(seconds=15)
    made.do(s.take("jiro"))
    assert not names(made) & attendance.RUNGS


def test_nobody_is_missing_while_an_agency_that_took_over_talks_with_the_car():
    made = taken_over(s.join("leg-fire", Party.AGENCY, s.FIRE), s.release())
    assert not names(made) & attendance.RUNGS

    made.do(c.LeaveLeg(leg=LegId("leg-fire"), reason="ended"))

    assert attendance.UNANSWERED in names(made)


def test_nobody_is_missing_once_an_agency_has_taken_over_and_no_car_waits_for_a_voice():
    made = taken_over(s.leave(), s.release())
    assert not names(made) & attendance.RUNGS

    made.do(s.join())

    assert attendance.UNANSWERED in names(made)


def test_an_agency_that_has_only_picked_up_does_not_end_the_search():
    made = told(s.take(), s.disclose(), s.join("leg-fire", Party.AGENCY, s.FIRE), s.release())

    assert attendance.UNANSWERED in names(made)


def test_closing_ends_the_search_and_reopening_begins_it_anew():
    made = told(s.take(), s.close(Disposition.FALSE_ALARM))
    assert deadlines(made.incident) == ()

    made.do(c.ReopenIncident(reason="called_again"), after_s=600)
    began = made.now
    made.do(c.PassDeadline(name="ring_anyway"), after_s=2)

    assert dict(deadlines(made.incident))[attendance.NOBODY] == began + attendance.NOBODY_AFTER


def test_whoever_was_held_when_the_operator_was_lost_is_let_go():
    made = told(s.take(), s.set_mode(), s.join("leg-fire", Party.AGENCY, s.FIRE))

    assert made.do(s.release()) == ("OperatorLost", "LegModeSet")
    assert not any(leg.held for leg in made.incident.legs)


# --- people on call ---


def on_call(made: Story) -> Incident:
    wait_for(made, attendance.ON_CALL)
    made.do(s.dial_on_call())
    return made.incident


def test_nobody_on_call_is_dialled_before_their_time_nor_while_another_is_asked_nor_twice_in_a_round():
    made = told(s.offer())
    assert made.do(s.dial_on_call()) == ()

    on_call(made)

    assert made.do(s.dial_on_call("leg-shiro", "shiro")) == ()
    made.do(c.LeaveLeg(leg=LegId("leg-saburo"), reason="busy"))
    assert made.do(s.dial_on_call("leg-saburo-2", "saburo")) == ()
    assert made.do(s.dial_on_call("leg-shiro", "shiro")) == ("LegDialled",)


def test_everybody_on_call_is_called_again_in_the_next_round():
    made = told(s.offer())
    on_call(made)
    made.do(c.LeaveLeg(leg=LegId("leg-saburo"), reason="busy"))

    wait_for(made, attendance.ON_CALL)

    assert made.do(s.dial_on_call("leg-saburo-2", "saburo")) == ("LegDialled",)
    assert made.now - s.START > attendance.ROUNDS[1]


def test_rounds_end_some_time():
    made = told(s.offer())

    wait_for(made, *(attendance.ON_CALL for _ in attendance.ROUNDS))

    assert attendance.ON_CALL not in names(made)


@pytest.mark.parametrize(("up", "after"), [(False, attendance.RINGS_FOR), (True, attendance.PRESSES_WITHIN)])
def test_whoever_takes_too_long_is_given_up_and_said_so_again_while_the_call_lasts(up: bool, after: timedelta):
    made = told(s.offer())
    on_call(made)
    if up:
        made.do(s.join("leg-saburo", Party.SUPERVISOR, "saburo"), after_s=3)
    began = made.now

    assert wait_for(made, attendance.NEXT_PERSON) == ["HelpEscalated"]
    assert made.now == began + after
    assert attendance.NEXT_PERSON in names(made)
    made.do(c.LeaveLeg(leg=LegId("leg-saburo"), reason="no_key"))
    assert attendance.NEXT_PERSON not in names(made)


def test_a_telephone_that_is_picked_up_is_held_and_stays_so_until_its_person_has_the_incident():
    made = told(s.offer())
    on_call(made)
    made.do(s.join("leg-saburo", Party.SUPERVISOR, "saburo"))
    asked = attendance.asked(made.incident)
    assert asked is not None
    assert asked.held

    with pytest.raises(Refused, match="only the operator"):
        made.do(s.set_mode("leg-saburo", "saburo", held=False))
    made.do(s.take("saburo"))
    made.do(s.set_mode("leg-saburo", "saburo", held=False))

    assert attendance.asked(made.incident) is None
    assert attendance.telephone(made.incident) == made.incident.leg(LegId("leg-saburo"))


def test_an_operator_who_is_lost_does_not_let_in_a_telephone_that_somebody_else_has_just_picked_up():
    made = told(s.offer())
    on_call(made)
    made.do(s.join("leg-saburo", Party.SUPERVISOR, "saburo"))
    made.do(s.take())

    assert made.do(s.release()) == ("OperatorLost",)
    assert made.incident.leg(LegId("leg-saburo")).held  # type: ignore[union-attr]


def test_a_telephone_that_a_machine_has_picked_up_is_given_up_also_when_nobody_is_missing_any_more():
    made = told(s.offer())
    on_call(made)
    made.do(s.join("leg-saburo", Party.SUPERVISOR, "saburo"))
    made.do(s.take())

    assert names(made) & attendance.RUNGS == {attendance.NEXT_PERSON}
    made.do(s.release())
    wait_for(made, attendance.ON_CALL)
    assert made.do(s.dial_on_call("leg-shiro", "shiro")) == ()  # one at a time, also over the end of a search
    made.do(c.LeaveLeg(leg=LegId("leg-saburo"), reason="no_key"))
    assert made.do(s.dial_on_call("leg-shiro", "shiro")) == ("LegDialled",)


def test_nobody_is_called_before_the_time_because_of_a_call_of_an_earlier_search():
    made = told(s.offer())
    on_call(made)
    made.do(s.take())
    made.do(s.release())

    made.do(c.LeaveLeg(leg=LegId("leg-saburo"), reason="taken"))

    assert made.do(s.dial_on_call("leg-shiro", "shiro")) == ()


def test_a_telephone_of_an_earlier_search_is_not_let_in_with_the_others():
    made = told(s.offer())
    on_call(made)
    made.do(s.join("leg-saburo", Party.SUPERVISOR, "saburo"))
    for operator in ("hanako", "jiro"):
        made.do(s.take(operator))
        made.do(s.set_mode(operator=operator))
        made.do(s.release(operator), after_s=30)

    assert made.incident.leg(LegId("leg-saburo")).held  # type: ignore[union-attr]
    assert not made.incident.leg(LegId(CAR)).held  # type: ignore[union-attr]


def test_a_test_call_wakes_nobody_and_tells_nobody():
    made = told(s.offer("desk-a"), mode=Mode.TEST)

    assert not names(made) & attendance.RUNGS
    made.do(c.PassDeadline(name=attendance.ON_CALL), after_s=60)
    assert made.do(s.dial_on_call()) == ()
    with pytest.raises(Refused):
        made.do(s.disclose(unattended=True))


# --- nobody anywhere ---


def test_the_house_decides_only_once_nobody_could_be_found():
    made = told(s.offer())
    with pytest.raises(Refused, match="still being looked for"):
        made.do(s.disclose(unattended=True))

    wait_for(made, attendance.NOBODY)

    assert made.do(s.disclose(unattended=True)) == ("DisclosureDecided", "AlarmRaised")
    assert made.incident.state is State.HANDING_OVER
    assert made.incident.operator is None
    assert made.incident.disclosures[0].unattended
    assert "told_unattended" in made.incident.flags


def test_an_operator_decides_as_always_and_never_as_nobody():
    made = told(s.take())
    with pytest.raises(Refused, match="people of ours are there"):
        made.do(s.disclose(unattended=True))

    made.do(s.disclose())

    assert not made.incident.disclosures[0].unattended


@pytest.mark.parametrize("path", sorted(set(Path) - {Path.LIFE_PROTECTION}))
def test_without_a_person_only_a_life_is_protected(path: Path):
    made = unfound()

    with pytest.raises(Refused):
        made.do(s.disclose(unattended=True, path=path))


def test_what_no_person_decided_has_to_be_looked_at_by_one():
    made = unfound()
    decision = s.disclose(unattended=True)

    with pytest.raises(Refused, match="looked at by one"):
        made.do(c.DecideDisclosure(**{f: getattr(decision, f) for f in decision.__struct_fields__} | {"review": False}))


def test_the_house_tells_once_for_an_incident_and_never_beside_an_agency_that_was_told():
    made = unfound()
    made.do(s.disclose(unattended=True))
    with pytest.raises(Refused, match="told already"):
        made.do(s.disclose("d2", s.POLICE, unattended=True))
    made.do(s.reject())
    with pytest.raises(Refused, match="told already"):
        made.do(s.disclose("d2", s.POLICE, unattended=True))

    other = told(s.take(), s.disclose(), s.release())
    wait_for(other, attendance.NOBODY)
    with pytest.raises(Refused, match="told already"):
        other.do(s.disclose("d2", s.POLICE, unattended=True))
    other.do(s.reject())
    assert other.do(s.disclose("d2", s.POLICE, unattended=True)) == ("DisclosureDecided", "AlarmRaised")


def test_a_drill_tells_exercise_partners_only_also_without_a_person():
    made = unfound(mode=Mode.DRILL)

    with pytest.raises(Refused, match="takes no part in drills"):
        made.do(s.disclose(unattended=True))
    assert made.do(s.disclose(unattended=True, partner=True)) == ("DisclosureDecided", "AlarmRaised")


def test_whoever_answers_takes_over_the_hand_off_that_is_under_way():
    made = unfound()
    made.do(s.disclose(unattended=True))

    assert made.do(s.take("jiro")) == ("OperatorAssigned",)
    assert (made.incident.state, made.incident.unattended_at) == (State.HANDING_OVER, None)
    assert made.do(s.acknowledge()) == ("AgencyAcknowledged", "HandoffCompleted")
    assert "IncidentClosed" in made.do(s.close(Disposition.HANDED_OVER))


def test_the_hand_off_is_completed_by_a_human_there_and_closed_by_a_person_here():
    made = unfound()
    made.do(s.disclose(unattended=True))
    with pytest.raises(Refused):
        made.do(s.close(Disposition.HANDED_OVER))
    made.do(s.join("leg-fire", Party.AGENCY, s.FIRE))

    assert made.do(s.acknowledge()) == ("AgencyAcknowledged", "HandoffCompleted")
    assert not names(made) & attendance.RUNGS
    with pytest.raises(Refused, match="answer it first"):
        made.do(s.close(Disposition.HANDED_OVER))


def test_that_nobody_was_told_stands_there_until_a_person_answers():
    made = unfound()

    assert made.do(s.withhold()) == ("TellingWithheld", "AlarmRaised")
    assert made.do(s.withhold()) == ()
    assert "untold" in made.incident.flags
    made.do(s.take())
    assert "untold" not in made.incident.flags


def test_nothing_is_withheld_while_people_are_looked_for_or_an_agency_has_been_told():
    made = told(s.offer())
    assert made.do(s.withhold()) == ()
    wait_for(made, attendance.NOBODY)
    made.do(s.disclose(unattended=True))

    assert made.do(s.withhold()) == ()


def test_a_house_that_waits_longer_says_so_in_the_journal():
    made = told(s.offer(), s.limit_search(90_000))

    assert dict(deadlines(made.incident))[attendance.NOBODY] == s.START + timedelta(seconds=1 + 90)
    assert e.SearchLimited(nobody_after_ms=90_000) in [recorded.event for recorded in made.recorded]
    assert made.do(s.limit_search(90_000)) == ()


def test_all_desks_ring_when_nobody_was_found_whatever_rang_before():
    made = told(s.offer("desk-a"))

    assert wait_for(made, attendance.NOBODY) == ["HelpEscalated", "DeskOffered"]
    assert made.incident.desks == ()
