"""The rules of the lifecycle one by one, as an operator would put them."""

from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from routing.categories import Category
from sos.errors import Refused
from sos.incident import alarms, attendance, keeping, place, voice, voiceless
from sos.incident import commands as c
from sos.incident import events as e
from sos.incident.lifecycle import ANYTIME, DEADLINES, TRANSITIONS, deadlines, decide, diagram
from sos.incident.model import (
    Acknowledgement,
    AgencyId,
    DisclosureId,
    Disposition,
    Leg,
    LegId,
    Mode,
    Party,
    Rung,
    State,
    Telling,
)
from tests.journeys import story as s
from tests.journeys.story import Story

ROOT = Path(__file__).resolve().parents[3]


def told(*commands: c.Command, mode: Mode = Mode.LIVE) -> Story:
    """An incident after ``commands``, a second apart."""
    made = Story()
    for command in (s.open_incident(mode), *commands):
        made.do(command, after_s=1)
    return made


def names(made: Story) -> list[str]:
    """Without the end of the call-back window, which runs in every state."""
    return [name for name, _ in deadlines(made.incident) if name != voice.OVER.name]


def test_the_page_of_the_architecture_shows_exactly_the_diagram_of_the_table():
    page = (ROOT / "ops/docs/architecture.md").read_text()

    assert f"```mermaid\n{diagram()}\n```" in page


def test_the_diagram_names_every_state_and_every_step():
    drawn = diagram()

    assert all(str(state) in drawn for state in State)
    assert all(kind.__name__ in drawn for row in TRANSITIONS.values() for kind in row)


def test_every_event_kind_is_a_step_of_the_table_or_a_fact_of_any_time_and_not_both():
    steps = {kind for row in TRANSITIONS.values() for kind in row}

    assert steps | ANYTIME | e.OF_NO_INCIDENT == set(e.KINDS.values())
    assert not e.OF_NO_INCIDENT & (steps | ANYTIME)
    assert not steps & ANYTIME


def test_every_state_but_closed_has_deadlines_with_a_reason():
    assert set(DEADLINES) == set(State) - {State.CLOSED}
    assert all(row and all(d.reason and d.after > timedelta(0) for d in row) for row in DEADLINES.values())


@pytest.mark.parametrize("state", DEADLINES)
def test_every_deadline_does_something_once_it_is_due_and_nothing_before(state: State):
    reach = {
        State.RECEIVED: (),
        State.RINGING: (s.offer("desk-a"),),
        State.IN_CALL: (s.take(),),
        State.HANDING_OVER: (s.take(), s.disclose()),
        State.HANDED_OVER: (
            s.take(),
            s.disclose(),
            s.disclose("d2", s.POLICE),
            s.reject("d2", s.POLICE),
            s.take_rung(1, Rung.REFUSED, "d2"),
            s.acknowledge(),
        ),
        State.REOPENED: (
            s.take(),
            s.close(Disposition.FALSE_ALARM),
            c.ReopenIncident(reason="called_again"),
        ),
    }
    made = told(*reach[state])
    assert made.incident.state is state
    waits = dict(deadlines(made.incident))
    in_any_state = attendance.RUNGS | {place.ROW.name, voiceless.ROW.name, alarms.REMIND.name, voice.OVER.name}
    assert set(waits) - in_any_state == {deadline.name for deadline in DEADLINES[state]}
    assert bool(set(waits) & attendance.RUNGS) is (state is State.RINGING)
    for name, due in waits.items():
        command = c.PassDeadline(name=name)
        early = decide(made.incident, command, now=due - timedelta(milliseconds=1))
        drafts = decide(made.incident, command, now=due)

        assert early == ()
        assert drafts[0].event == e.HelpEscalated(rung=name)
        assert {type(draft.event) for draft in drafts} <= {e.HelpEscalated, e.DeskOffered, e.AlarmRaised}


def test_an_unanswered_incident_rings_at_every_desk_and_is_then_an_alarm():
    made = told(s.offer("desk-a"))

    assert made.do(c.PassDeadline(name="ring_all"), after_s=10) == ("HelpEscalated", "DeskOffered")
    assert made.incident.desks == ()
    assert made.do(c.PassDeadline(name="ring_all"), after_s=5) == ()
    assert made.do(c.PassDeadline(name="unanswered"), after_s=5) == ("HelpEscalated", "AlarmRaised")
    assert set(names(made)) <= {voice.DUE, "on_call", "nobody"}  # nothing that rings a desk


def test_what_rings_everywhere_is_not_narrowed_to_one_desk():
    made = told(s.offer("desk-a"))
    made.do(s.offer())

    assert made.do(s.offer("desk-b")) == ()
    assert made.incident.desks == ()


def test_a_delivery_that_no_machine_confirmed_is_tried_again_every_five_seconds_until_one_did():
    made = told(s.take(), s.disclose(), s.start_delivery())

    assert made.do(c.PassDeadline(name="redeliver"), after_s=5) == ("HelpEscalated",)
    assert dict(deadlines(made.incident))["redeliver"] == made.now + timedelta(seconds=5)
    assert made.do(c.PassDeadline(name="redeliver"), after_s=4) == ()
    assert made.do(c.PassDeadline(name="redeliver"), after_s=1) == ("HelpEscalated",)
    made.do(s.confirm())
    assert "redeliver" not in names(made)
    assert made.do(c.PassDeadline(name="redeliver"), after_s=60) == ()


def test_after_an_hour_of_darkness_a_delivery_is_tried_again_once_and_not_seven_hundred_times():
    made = told(s.take(), s.disclose(), s.start_delivery())

    assert made.do(c.PassDeadline(name="redeliver"), after_s=3600) == ("HelpEscalated",)
    assert made.do(c.PassDeadline(name="redeliver"), after_s=1) == ()


def test_a_second_agency_gets_the_full_time_before_its_delivery_is_tried_again():
    made = told(s.take(), s.disclose(), s.confirm())
    made.do(s.disclose("d2", s.POLICE), after_s=60)

    assert dict(deadlines(made.incident))["redeliver"] == made.now + timedelta(seconds=5)


def test_a_test_call_walks_the_path_and_never_leaves_the_house():
    made = told(s.offer("desk-a"), s.take(), mode=Mode.TEST)

    for agency in (s.FIRE, s.POLICE):
        with pytest.raises(Refused, match="never leaves the house"):
            made.do(s.disclose(agency=agency, partner=True))
    with pytest.raises(Refused, match="closed as test"):
        made.do(s.close(Disposition.NO_HELP_NEEDED))
    assert made.do(s.close(Disposition.TEST)) == ("IncidentClosed",)


def test_a_drill_tells_exercise_partners_only():
    made = told(s.take(), mode=Mode.DRILL)

    with pytest.raises(Refused, match="takes no part in drills"):
        made.do(s.disclose(agency=s.POLICE, partner=False))
    assert made.do(s.disclose(agency=s.FIRE, partner=True)) == ("DisclosureDecided",)


@pytest.mark.parametrize("disposition", [Disposition.TEST, Disposition.DRILL])
def test_a_live_incident_is_never_closed_as_an_exercise(disposition: Disposition):
    made = told(s.take())

    with pytest.raises(Refused):
        made.do(s.close(disposition))
    assert made.incident.state is State.IN_CALL


def test_the_raw_report_is_never_a_section_of_a_disclosure_and_the_brief_is_kept_as_sent():
    made = told(s.take())

    with pytest.raises(Refused, match="raw report"):
        made.do(s.disclose(sections=(Category.LOC, Category.RAW)))
    made.do(s.disclose())
    decided = made.drafts[-1]
    assert isinstance(decided.event, e.DisclosureDecided)
    assert decided.event.categories == (Category.LOC, Category.SEV)
    assert decided.parts[Category.RAW] == s.PERSONAL


def test_nothing_is_closed_while_an_agency_has_not_answered():
    made = told(s.take(), s.disclose(), s.disclose("d2", s.POLICE), s.acknowledge())

    for disposition in (Disposition.HANDED_OVER, Disposition.FALSE_ALARM, Disposition.ABANDONED):
        with pytest.raises(Refused, match="has not answered"):
            made.do(s.close(disposition))
    made.do(s.reject("d2", s.POLICE))
    assert made.incident.state is State.HANDED_OVER
    assert "IncidentClosed" in made.do(s.close(Disposition.HANDED_OVER))


def test_when_every_agency_refuses_the_incident_stays_in_the_operators_hands():
    made = told(s.take(), s.disclose(), s.reject())

    assert made.incident.state is State.HANDING_OVER
    with pytest.raises(Refused, match="nobody has taken over"):
        made.do(s.close(Disposition.HANDED_OVER))
    assert made.do(s.disclose("d2", s.FIRE)) == ("DisclosureDecided",)
    assert made.do(s.acknowledge("d2")) == ("AgencyAcknowledged", "HandoffCompleted")


def test_of_two_operators_one_has_the_incident_and_the_other_is_told_who():
    made = told(s.offer("desk-a"), s.take("hanako"))

    with pytest.raises(Refused, match="hanako has this incident"):
        made.do(s.take("jiro"))
    assert made.do(s.take("hanako")) == ()
    assert made.incident.operator == "hanako"


def test_an_operator_lost_before_the_decision_makes_it_ring_everywhere():
    made = told(s.offer("desk-a"), s.take(), s.release())

    assert (made.incident.state, made.incident.operator, made.incident.desks) == (State.RINGING, None, ())
    assert set(names(made)) == {"unanswered", "on_call", "nobody", voice.DUE}
    assert made.do(s.take("jiro")) == ("OperatorAssigned",)


def test_an_operator_lost_after_the_decision_does_not_undo_the_hand_off():
    made = told(s.take(), s.disclose(), s.release())

    assert (made.incident.state, made.incident.operator) == (State.HANDING_OVER, None)
    assert made.do(s.acknowledge()) == ("AgencyAcknowledged", "HandoffCompleted")
    with pytest.raises(Refused, match="answer it first"):
        made.do(s.close(Disposition.HANDED_OVER))
    made.do(s.take("jiro"))
    assert made.incident.state is State.HANDED_OVER
    assert "IncidentClosed" in made.do(s.close(Disposition.HANDED_OVER))


def test_nobody_is_told_while_no_operator_has_the_incident():
    made = told(s.take(), s.disclose(), s.release())

    with pytest.raises(Refused, match="answer it first"):
        made.do(s.disclose("d2", s.POLICE))


@pytest.mark.parametrize("level", [Acknowledgement.HEARD, Acknowledgement.TAKEN_OVER])
def test_a_machine_never_takes_over(level: Acknowledgement):
    made = told(s.take(), s.disclose())

    with pytest.raises(Refused, match="only a human being"):
        made.do(s.confirm(level=level))
    assert made.incident.disclosures[0].pending


def test_an_acknowledgement_never_falls_back():
    made = told(s.take(), s.disclose(), s.acknowledge(level=Acknowledgement.HEARD))

    assert made.do(s.confirm()) == ()
    assert made.do(s.acknowledge(level=Acknowledgement.HEARD)) == ()
    assert made.incident.disclosures[0].reached is Acknowledgement.HEARD
    assert made.do(s.acknowledge()) == ("AgencyAcknowledged", "HandoffCompleted")


def test_what_was_refused_can_only_be_told_anew_and_what_was_taken_over_cannot_be_refused():
    made = told(s.take(), s.disclose(), s.disclose("d2", s.POLICE), s.reject())

    with pytest.raises(Refused, match="told anew"):
        made.do(s.acknowledge())
    made.do(s.acknowledge("d2", s.POLICE))
    with pytest.raises(Refused, match="taken over"):
        made.do(s.reject("d2", s.POLICE))


def test_a_reopened_incident_rings_again_like_a_new_one_and_remembers_whom_it_told():
    made = told(s.take(), s.disclose(), s.acknowledge(), s.close(Disposition.HANDED_OVER))
    made.do(c.ReopenIncident(reason="called_again"), after_s=60)

    assert (made.incident.state, made.incident.operator, made.incident.disposition) == (State.REOPENED, None, None)
    assert made.do(c.PassDeadline(name="ring_anyway"), after_s=2) == ("HelpEscalated", "DeskOffered")
    made.do(s.take("jiro"))
    assert made.incident.state is State.IN_CALL
    assert made.incident.disclosures[0].taken_over
    assert "IncidentClosed" in made.do(s.close(Disposition.HANDED_OVER))


def test_closing_ends_the_ground_for_reading_without_a_new_access_event():
    made = told(s.take(), s.read_parts())
    assert made.do(s.read_parts()) == ()

    made.do(s.close(Disposition.FALSE_ALARM))

    with pytest.raises(Refused, match="say why it is opened"):
        made.do(s.read_parts())
    assert made.do(s.read_parts(purpose="review", reason="a complaint")) == ("PartsRead",)


@pytest.mark.parametrize("disposition", Disposition)
def test_every_category_gets_a_retention_tag_whatever_the_disposition(disposition: Disposition):
    tags = dict(keeping.classes(Story().incident, disposition))

    assert set(tags) == set(Category)
    real = disposition in (
        Disposition.HANDED_OVER,
        Disposition.NO_HELP_NEEDED,
        Disposition.ABANDONED,
        Disposition.DUPLICATE,
    )
    assert (set(tags.values()) == {"nonincident-4w"}) is not real


@pytest.mark.parametrize("category", Category)
def test_a_note_is_kept_in_a_category_that_an_operator_can_hear(category: Category):
    made = told(s.take())

    try:
        kept = made.do(s.note(category=category)) == ("NoteAdded",)
    except Refused:
        kept = False

    assert kept is (category not in (Category.MED, Category.AUD, Category.TRK, Category.BIL, Category.RAW))


BESIDE = {"d-hospital": s.HOSPITAL, "d-helicopter": s.HELICOPTER}


@pytest.mark.parametrize(("disclosure", "agency"), BESIDE.items())
def test_a_hospital_or_a_helicopter_that_has_taken_over_is_not_yet_help_on_its_way(disclosure: str, agency: AgencyId):
    made = told(s.take(), s.disclose("d-fire"), s.disclose(disclosure, agency))
    made.do(s.acknowledge(disclosure, agency))
    made.do(s.reject("d-fire", s.FIRE))

    with pytest.raises(Refused, match="nobody has taken over"):
        made.do(s.close(Disposition.HANDED_OVER))
    assert made.incident.state is State.HANDING_OVER
    made.do(s.disclose("d-police", s.POLICE))
    made.do(s.acknowledge("d-police", s.POLICE))
    assert made.incident.state is State.HANDED_OVER


def test_a_hospital_that_was_told_does_not_keep_the_house_from_telling_the_fire_brigade_by_itself():
    made = told(s.take(), s.disclose("d-hospital", s.HOSPITAL), s.acknowledge("d-hospital", s.HOSPITAL), s.release())
    for step in attendance.STEPS:
        made.do(c.PassDeadline(name=step.name), after_s=60)

    assert made.do(s.disclose("d-fire", unattended=True)) == ("DisclosureDecided", "AlarmRaised")


def test_what_was_registered_is_there_and_what_may_not_be_used_is_said_to_be():
    made = told(s.copy_registered(Category.FAM, withheld=(Category.MED,)))

    assert (made.incident.registered, made.incident.registered_withheld) == ((Category.FAM,), (Category.MED,))
    assert made.do(s.copy_registered(Category.FAM, withheld=(Category.MED,))) == ()
    made.do(s.copy_registered(Category.MED))
    assert (made.incident.registered, made.incident.registered_withheld) == ((Category.MED, Category.FAM), ())


@pytest.mark.parametrize("mode", [Mode.TEST, Mode.DRILL])
def test_nothing_that_was_registered_is_taken_into_what_is_no_emergency(mode: Mode):
    made = Story()
    made.do(s.open_incident(mode))

    assert made.do(s.copy_registered(Category.MED, Category.FAM)) == ()


def test_a_vehicle_that_sent_data_and_is_silent_is_called_ever_more_rarely_within_the_window():
    made = told()
    called = [made.now]

    while voice.DUE in names(made):
        due = dict(deadlines(made.incident))[voice.DUE]
        assert made.do(c.PassDeadline(name=voice.DUE), after_s=(due - made.now).total_seconds()) == ("HelpEscalated",)
        called.append(made.now)

    assert len(called) == 1 + len(voice.CALLS)
    assert called[-1] - called[0] < timedelta(minutes=60)


def test_a_vehicle_that_speaks_is_not_called_and_one_that_is_cut_off_is():
    made = told(s.join())
    assert voice.DUE not in names(made)

    made.do(c.LeaveLeg(leg=LegId("leg-vehicle"), reason="media_lost"))

    assert voice.DUE in names(made)


def test_a_vehicle_that_hung_up_is_left_to_the_operator():
    made = told(s.join(), s.leave())

    assert voice.DUE not in names(made)


def test_a_call_back_window_of_the_brand_ends_the_calls_sooner():
    made = told()
    made.incident = replace(made.incident, call_back_window_s=30)

    for after_s in (5, 15):
        made.do(c.PassDeadline(name=voice.DUE), after_s=after_s)

    assert made.incident.silence is not None
    assert made.incident.silence.calls == 2
    assert voice.DUE not in names(made)


def test_only_the_operator_of_the_incident_holds_a_leg_and_only_while_it_is_there():
    made = told(s.join(), s.take())

    with pytest.raises(Refused, match="only the operator"):
        made.do(s.set_mode(operator="jiro"))
    assert made.do(s.set_mode()) == ("LegModeSet",)
    assert made.do(s.set_mode()) == ()
    made.do(s.leave())
    with pytest.raises(Refused, match="not in the conference"):
        made.do(s.set_mode(held=False))


def _called_beside(*, operator: bool) -> tuple[Story, tuple[str, ...]]:
    """An agency is dialled while a car is in the call, and an operator or not; what that led to."""
    ours = (s.join("leg-op", Party.OPERATOR, "hanako"),) if operator else ()
    made = told(s.offer("desk-1"), s.take(), s.join(), *ours)
    return made, made.do(s.dial("leg-fire"))


def _car(made: Story) -> Leg:
    known = made.incident.leg(LegId("leg-vehicle"))
    assert known is not None
    return known


def test_the_car_is_told_and_held_before_an_agency_is_dialled_and_let_go_when_that_leg_ends():
    made, happened = _called_beside(operator=True)
    assert happened == ("NoticePlayed", "LegModeSet", "LegDialled")
    assert (_car(made).held, _car(made).held_for, _car(made).notices) == (True, "leg-fire", ("hold",))

    assert made.do(s.leave("leg-fire")) == ("LegLeft", "LegModeSet")
    assert (_car(made).held, _car(made).held_for) == (False, None)


def test_what_a_person_has_set_since_then_the_end_of_that_call_does_not_change():
    made, _ = _called_beside(operator=True)
    for held in (False, True):
        made.do(s.set_mode(held=held))

    assert made.do(s.leave("leg-fire")) == ("LegLeft",)
    assert _car(made).held


def test_nobody_is_held_where_no_person_of_ours_could_let_go_and_a_car_that_is_called_holds_nobody():
    made, happened = _called_beside(operator=False)
    assert (happened, _car(made).held) == (("LegDialled",), False)

    beside = told(s.offer("desk-1"), s.take(), s.join("leg-op", Party.OPERATOR, "hanako"))
    assert beside.do(s.dial("leg-car", "vehicle", Party.VEHICLE)) == ("LegDialled",)


def test_no_machine_reads_a_brief_to_who_is_known_by_a_number_alone():
    for called_in in (False, True):
        made = told(s.offer("desk-1"), s.take(), s.disclose())
        made.do(c.InviteLeg(leg=LegId("leg-a"), party=Party.AGENCY, who=s.FIRE, called_in=called_in))
        made.do(s.join("leg-a", Party.AGENCY, s.FIRE))

        read = c.SpeakBrief(leg=LegId("leg-a"), disclosure=DisclosureId("d1"), language="ja", why=Telling.ALONE)

        assert made.do(read) == (() if called_in else ("BriefSpoken",))


def test_an_agency_that_calls_back_is_with_nobody_where_only_an_interpreter_is_left():
    made = told(s.offer("desk-1"), s.take(), s.join("leg-op", Party.OPERATOR, "hanako"), s.disclose())
    made.do(c.InviteLeg(leg=LegId("leg-a"), party=Party.AGENCY, who=s.FIRE, called_in=True))
    made.do(s.join("leg-a", Party.AGENCY, s.FIRE))
    made.do(s.dial("leg-i", "interpreter-1", Party.INTERPRETER))
    made.do(s.join("leg-i", Party.INTERPRETER, "interpreter-1"))
    assert not voiceless.calls_back(made.incident)

    made.do(s.leave("leg-op"))

    assert voiceless.calls_back(made.incident)
