import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sos.dispatch.ladder import (
    TABLE,
    Times,
    channel_for,
    climb,
    data_channels,
    leg_of,
    next_rung,
    numbers,
    proposals,
)
from sos.errors import Unconfirmed
from sos.incident import commands as c
from sos.incident.lifecycle import deadlines
from sos.incident.model import Acknowledgement, AgencyId, DisclosureId, Mode, Rung
from tests.journeys import story as s
from tests.journeys.story import Story
from tests.sos.dispatch.simulate import AGENCIES

TIMES = Times()
FIRE, POLICE, NEIGHBOUR = AgencyId("fire"), AgencyId("police"), AgencyId("neighbour")


def tell(disclosure: str, agency: AgencyId) -> c.DecideDisclosure:
    return replace(s.disclose(disclosure, agency), service=AGENCIES.agencies[agency].service)


def told(*commands: c.Command) -> Story:
    """An incident in which the fire headquarters of the simulation's directory was told just now."""
    made = Story()
    for command in (s.open_incident(), s.plan(), s.take(), tell("d1", FIRE), *commands):
        made.do(command)
    return made


def climbed(made: Story, *, dials: bool = True) -> list[c.TakeRung]:
    """Take whatever is due."""
    taken: list[c.TakeRung] = []
    while due := climb(made.incident, AGENCIES, TIMES, made.now, dials=dials):
        for rung in due:
            made.do(rung, actor="system:handoff")
            taken.append(rung)
    return taken


def wait(made: Story, seconds: float) -> list[c.TakeRung]:
    made.now += timedelta(seconds=seconds)
    return climbed(made)


def test_a_silent_agency_is_told_by_every_door_it_has_and_then_people_are_alarmed_for_ever():
    made = told()

    taken = [(rung.rung, rung.line) for step in (0, 20, 25, 15, 15, 30, 30) for rung in wait(made, step)]

    assert taken == [
        (Rung.PUSH, None),
        (Rung.FIRST_LINE, "first"),
        (Rung.SECOND_LINE, "second"),
        (Rung.JOINT_CENTRE, "joint"),
        (Rung.OTHERS, None),
        (Rung.SUPERVISOR, None),
        (Rung.SUPERVISOR, None),
        (Rung.SUPERVISOR, None),
    ]
    assert made.incident.disclosures[0].alarms == 3


def test_nothing_is_due_before_its_time():
    made = told()
    climbed(made)

    assert wait(made, 19.9) == []
    assert [rung.rung for rung in wait(made, 0.2)] == [Rung.SECOND_LINE]


def test_each_rung_says_when_the_next_is_due_and_the_deadline_says_the_same():
    made = told()

    for step in (0, 20, 25, 15, 15, 30):
        taken = wait(made, step)
        assert taken[-1].next_after_ms is not None
        due = dict(deadlines(made.incident))["rung"]
        assert due == made.now + timedelta(milliseconds=taken[-1].next_after_ms)


def test_a_rung_is_an_event_before_its_call_is_requested():
    made = told()

    first = climb(made.incident, AGENCIES, TIMES, made.now, dials=True)[0]
    assert made.do(first) == ("RungTaken",)
    second = climb(made.incident, AGENCIES, TIMES, made.now, dials=True)[0]
    assert made.do(second) == ("RungTaken", "AgencyCallRequested")
    assert made.do(second) == ()  # a reader that sees its events twice


def test_a_house_that_cannot_dial_asks_the_operator_to():
    made = told()

    climbed(made, dials=False)

    assert made.incident.disclosures[0].by_hand
    assert made.incident.disclosures[0].calls == ()


@pytest.mark.parametrize("outcome", ["busy", "no_answer", "machine", "failed", "ended"])
def test_a_call_that_reached_nobody_brings_the_next_line_at_once(outcome: str):
    made = told()
    climbed(made)

    made.do(s.end_call(made.incident.disclosures[0].calls[0].leg, outcome))

    assert [(rung.rung, rung.reason) for rung in climbed(made)] == [(Rung.SECOND_LINE, outcome)]


def test_when_every_line_has_failed_others_are_proposed_in_their_time_and_not_before():
    made = told()
    for _ in range(3):
        climbed(made)
        made.do(s.end_call(made.incident.disclosures[0].calls[-1].leg, "busy"))

    assert climbed(made) == []
    assert [rung.rung for rung in wait(made, 60)] == [Rung.OTHERS]


def test_while_somebody_talks_with_the_agency_no_other_line_is_called_but_not_for_ever():
    made = told()
    climbed(made)
    leg = made.incident.disclosures[0].calls[0].leg
    made.do(s.join(leg, who="fire"), after_s=5)

    assert wait(made, 20) == []
    assert [rung.rung for rung in wait(made, 10)] == [Rung.SECOND_LINE]


@pytest.mark.parametrize("level", [Acknowledgement.TRANSPORT, Acknowledgement.DELIVERED])
def test_a_machine_that_confirms_stops_nothing(level: Acknowledgement):
    made = told()
    climbed(made)
    made.do(s.confirm("d1", level))

    assert [rung.rung for rung in wait(made, 20)] == [Rung.SECOND_LINE]


def test_who_has_heard_is_not_called_again_and_must_take_over_in_time():
    made = told()
    climbed(made)
    made.do(s.acknowledge("d1", FIRE, Acknowledgement.HEARD), after_s=10)

    assert [rung.rung for rung in climbed(made)] == [Rung.HEARD]
    assert wait(made, 89) == []
    assert [rung.rung for rung in wait(made, 1)] == [Rung.SUPERVISOR]
    assert [rung.rung for rung in wait(made, 30)] == [Rung.SUPERVISOR]


def test_who_asks_back_has_heard():
    made = told()
    climbed(made)

    assert made.do(s.ask_back("d1", FIRE)) == ("AgencyAsked", "AgencyAcknowledged")
    assert [(rung.rung, rung.reason) for rung in climbed(made)] == [(Rung.HEARD, "asked")]


def test_taking_over_ends_the_ladder():
    made = told()
    climbed(made)
    made.do(s.acknowledge("d1", FIRE))

    assert wait(made, 600) == []
    assert "rung" not in dict(deadlines(made.incident))


def test_who_has_sent_somebody_has_taken_over():
    made = told()
    climbed(made)

    assert made.do(s.report_status("d1", FIRE)) == ("AgencyAcknowledged", "HandoffCompleted", "AgencyReported")
    assert wait(made, 600) == []


def test_a_refusal_proposes_others_at_once_and_alarms_once_when_nobody_decides():
    made = told()
    climbed(made)
    made.do(s.reject("d1", FIRE), after_s=5)

    refused = climbed(made)

    assert [(rung.rung, rung.reason) for rung in refused] == [(Rung.REFUSED, "rejected")]
    assert refused[0].proposed
    assert [rung.rung for rung in wait(made, 30)] == [Rung.SUPERVISOR]
    assert wait(made, 600) == []


def test_a_refusal_is_answered_by_telling_another_and_then_that_one_is_waited_for():
    made = told()
    climbed(made)
    made.do(s.reject("d1", FIRE), after_s=5)
    climbed(made)
    made.do(tell("d2", NEIGHBOUR))

    taken = wait(made, 40)

    assert {rung.disclosure for rung in taken} == {"d2"}


def test_proposals_are_neighbours_first_then_the_default_then_police_and_nobody_who_was_told():
    made = Story()
    plan = c.RecordPlan(
        prefecture="JP-13",
        services=(),
        agencies=(FIRE, POLICE, NEIGHBOUR),
        reasons=(),
        flags=(),
        border_m=None,
        datasets=(),
    )
    for command in (s.open_incident(), plan, s.take(), tell("d1", FIRE)):
        made.do(command)

    first = made.incident.disclosures[0]
    assert proposals(made.incident, first, AGENCIES, made.now) == (NEIGHBOUR, "default-fire", POLICE)
    made.do(tell("d2", POLICE))
    assert POLICE not in proposals(made.incident, first, AGENCIES, made.now)
    drill = replace(made.incident, mode=Mode.DRILL)
    assert proposals(drill, first, AGENCIES, made.now) == ()  # nobody of these takes part in drills


def test_an_agency_without_lines_is_pushed_to_and_the_times_of_the_other_rungs_stay():
    made = Story()
    for command in (s.open_incident(), s.take(), s.disclose("d1", AgencyId("unknown"))):
        made.do(command)

    taken = [(step, rung.rung) for step in (0, 59, 1, 15) for rung in wait(made, step)]

    assert taken == [(0, Rung.PUSH), (1, Rung.OTHERS), (15, Rung.SUPERVISOR)]


@given(back_s=st.floats(2, 100_000), after=st.integers(0, 4))
def test_a_clock_that_is_set_back_never_silences_a_ladder(back_s: float, after: int):
    made = told()
    for step in (0, 20, 25, 15, 15)[: after + 1]:
        wait(made, step)
    before = made.incident.ladders[0].number

    made.now -= timedelta(seconds=back_s)
    climbed(made)

    ladder = made.incident.ladders[0]
    assert ladder.number == before + 1
    assert ladder.next_at is not None
    assert ladder.next_at - made.now <= timedelta(seconds=30)


@given(steps=st.lists(st.floats(0, 120), max_size=12), seed=st.integers(0, 2**16))
def test_rungs_only_ever_climb_and_are_numbered_without_a_gap(steps: list[float], seed: int):
    made = told()
    taken = [rung for step in steps for rung in wait(made, step)]

    order = [step.rung for step in TABLE]
    places = [order.index(rung.rung) for rung in taken]
    assert places == sorted(places)
    assert [rung.number for rung in taken] == list(range(1, len(taken) + 1))
    assert all(rung.line is None or rung.leg for rung in taken)


def test_a_closed_incident_climbs_no_more():
    made = told(s.reject("d1", FIRE))
    made.do(s.close("abandoned"))

    assert next_rung(made.incident, made.incident.disclosures[0], AGENCIES, TIMES, made.now, dials=True) is None


def test_lines_and_channels_are_what_the_directory_says_and_the_portal_is_the_last_resort():
    fire, neighbour = AGENCIES.agencies["fire"], AGENCIES.agencies["neighbour"]

    assert numbers(fire, AGENCIES) == {
        "first": "+81300000001",
        "second": "+81300000002",
        "joint": "+81300000009",
    }
    assert numbers(neighbour, AGENCIES) == {"first": "+81300000001", "second": "+81300000001"}
    assert data_channels(fire, AGENCIES, spoken=("simulated",)) == ("simulated", "portal")
    assert data_channels(fire, AGENCIES, spoken=()) == ("portal",)


def test_a_channel_is_tried_twice_before_the_next_and_one_that_rests_is_passed_by():
    channels = ("eido", "https", "portal")

    assert [channel_for(channels, n) for n in range(1, 8)] == ["eido"] * 2 + ["https"] * 2 + ["portal"] * 3
    assert channel_for(channels, 1, resting=frozenset({"eido"})) == "https"
    assert channel_for(("https",), 9, resting=frozenset({"https"})) == "https"


def test_the_times_of_the_table_rise_with_its_rungs():
    now = datetime(2026, 1, 1, tzinfo=UTC)
    after = [now + getattr(TIMES, step.time) if step.time else now for step in TABLE]

    assert after == sorted(after)


def test_a_newer_brief_for_who_has_taken_over_is_pushed_and_wakes_nobody():
    made = told()
    climbed(made)
    made.do(s.acknowledge("d1", FIRE))
    made.do(replace(tell("d2", FIRE), supersedes="d1", brief_version=2, confirmed=True))

    taken = [(rung.rung, rung.line) for step in (0, 30, 30, 15) for rung in wait(made, step)]

    assert taken == [(Rung.PUSH, None), (Rung.SUPERVISOR, None)]


def test_a_second_agency_of_a_service_is_told_only_after_a_confirmed_warning():
    made = told()

    with pytest.raises(Unconfirmed, match="has been told"):
        made.do(tell("d2", NEIGHBOUR))
    assert made.do(tell("d3", POLICE)) == ("DisclosureDecided",)
    assert made.do(replace(tell("d2", NEIGHBOUR), confirmed=True)) == ("DisclosureDecided",)
    made.do(s.acknowledge("d2", NEIGHBOUR))
    made.do(s.reject("d1", FIRE))
    with pytest.raises(Unconfirmed, match="has taken over"):
        made.do(tell("d4", FIRE))


def test_the_leg_of_a_rung_is_one_that_every_provider_takes_and_the_same_each_time():
    legs = [leg_of(DisclosureId(disclosure), number) for disclosure in ("d1", "d2") for number in (1, 2, 3)]

    assert len(set(legs)) == len(legs)
    assert legs == [leg_of(DisclosureId(disclosure), number) for disclosure in ("d1", "d2") for number in (1, 2, 3)]
    assert all(re.fullmatch(r"[A-Za-z0-9-]{1,36}", leg) for leg in legs)
