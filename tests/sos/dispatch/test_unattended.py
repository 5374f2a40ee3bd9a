"""Nobody of ours anywhere: the law decides whether an agency is told, and the caller hears what follows from it."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from sos.calls.agency import free_leg
from sos.clock import ManualClock
from sos.dispatch.disclosure import UNATTENDED
from sos.dispatch.unattended import Practice, known_request
from sos.incident import attendance
from sos.incident.codec import write_header
from sos.incident.commands import Acknowledge, RecordConsent, Reject
from sos.incident.events import DisclosureDecided, HandoffCompleted, LegInvited, NoticePlayed, TellingWithheld
from sos.incident.model import Acknowledgement, ConsentAnswer, Mode, Party, State, Trigger
from sos.journal.journal import Journal
from sos.journal.migrate import upgrade
from sos.journal.sqlite import SqliteStore
from sos.journal.store import Store
from tests.journeys import story as s
from tests.sos.calls.search_rig import SearchHouse, abroad


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """One database is enough: what is tested here asks nothing of it that other tests do not."""
    async with SqliteStore(tmp_path / "journal.db") as sqlite:
        await upgrade(sqlite.engine)
        yield sqlite


@pytest.fixture
async def house(journal: Journal, clock: ManualClock) -> AsyncIterator[SearchHouse]:
    async for made in _opened(SearchHouse(journal, clock, people=())):
        yield made


async def _opened(made: SearchHouse) -> AsyncIterator[SearchHouse]:
    async with made.provider:
        await made.start()
        yield made
        await made.stop()


async def test_the_fire_brigade_is_told_on_the_record_that_no_person_decided(house: SearchHouse):
    incident = await house.crash()

    await house.until_happened(incident, DisclosureDecided)

    (decided,) = await house.recorded(incident, DisclosureDecided)
    event = decided.event
    assert isinstance(event, DisclosureDecided)
    assert (decided.actor, event.unattended, event.review) == (UNATTENDED, True, True)
    assert (event.agency, event.rule, event.necessity, event.consent) == (
        "jp-13-fire",
        "JP-01",
        "automatic_crash",
        "delay",
    )
    assert "review_within_a_day" in event.obligations
    assert b'"unattended":true' in write_header(decided)
    state = await house.state(incident)
    opened = state.opened_at
    assert opened is not None
    assert attendance.NOBODY_AFTER <= decided.at - opened < attendance.NOBODY_AFTER + timedelta(seconds=2)


async def test_the_line_of_the_agency_is_called_and_its_person_joins_the_car(house: SearchHouse):
    incident = await house.crash()
    await house.until_happened(incident, DisclosureDecided)
    line = house.number_of(s.FIRE)

    async def called() -> bool:
        return bool(house.dialled(line))

    await house.until(called)
    leg = house.dialled(line)[0]
    house.provider.bring_up(leg)
    await house.until(lambda: house.up(incident, Party.AGENCY))

    up = {each.party for each in await house.provider.legs() if each.incident == incident}
    assert up == {Party.VEHICLE, Party.AGENCY}
    told = (await house.state(incident)).disclosures[0].disclosure
    taken = Acknowledge(disclosure=told, agency=s.FIRE, level=Acknowledgement.TAKEN_OVER)
    await house.journal.execute(incident, taken, actor=f"agency:{s.FIRE}")
    await house.until_happened(incident, HandoffCompleted)
    state = await house.state(incident)
    assert (state.state, state.operator, state.unattended_at) == (State.HANDED_OVER, None, None)


async def test_the_car_hears_that_somebody_joins_and_one_that_calls_later_hears_it_too(house: SearchHouse):
    incident = await house.crash()
    await house.until_happened(incident, DisclosureDecided)
    first = next(leg.leg for leg in (await house.state(incident)).legs)

    async def heard() -> bool:
        return "joining" in house.told(first)

    await house.until(heard)
    silent = await house.crash(speaks=False, seed=2)
    await house.until_happened(silent, DisclosureDecided)
    late = await house.call_in(silent)

    async def heard_late() -> bool:
        return "joining" in house.told(late)

    await house.until(heard_late)


async def test_whoever_answers_later_takes_over_the_hand_off(house: SearchHouse):
    incident = await house.crash()
    await house.until_happened(incident, DisclosureDecided)

    await house.take(incident)

    state = await house.state(incident)
    assert (state.state, state.operator) == (State.HANDING_OVER, "hanako")
    assert len(await house.happened(incident, DisclosureDecided)) == 1


async def test_a_service_that_is_killed_tells_once(house: SearchHouse):
    incident = await house.crash()
    for _ in range(4):
        await house.stop()
        await house.start()
        await house.until_happened(incident, DisclosureDecided)

    assert len(await house.happened(incident, DisclosureDecided)) == 1
    assert len(house.dialled(house.number_of(s.FIRE))) <= 1


async def test_a_test_call_tells_nobody_and_a_drill_nobody_who_takes_no_part(house: SearchHouse):
    tested = await house.crash(mode=Mode.TEST)
    drill = await house.crash(mode=Mode.DRILL, seed=2)
    live = await house.crash(seed=3)

    await house.until_happened(live, DisclosureDecided)

    assert await house.happened(tested, DisclosureDecided) == []
    for decided in await house.happened(drill, DisclosureDecided):
        assert house.directory.agencies[decided.agency].exercise_partner
    assert await house.happened(drill, DisclosureDecided) or await house.happened(drill, TellingWithheld)


async def test_a_no_of_the_person_is_not_walked_around_by_a_machine(house: SearchHouse):
    incident = await house.crash()
    await house.take(incident)
    said = RecordConsent(answer=ConsentAnswer.REFUSED)
    await house.journal.execute(incident, said, actor="operator:hanako")
    await house.journal.execute(incident, s.release(), actor="system:acd")

    (withheld,) = await house.until_happened(incident, TellingWithheld)

    assert (withheld.reason, withheld.agency) == ("refused", "jp-13-fire")
    assert await house.happened(incident, DisclosureDecided) == []


# --- where the law or the house wants a person ---


@pytest.mark.parametrize("country", ["US", "XX"])
async def test_where_the_law_wants_a_person_nothing_leaves_and_the_car_is_told_so(
    journal: Journal, clock: ManualClock, country: str
):
    async for house in _opened(SearchHouse(journal, clock, people=(), directory=abroad(country))):
        incident = await house.crash()

        (withheld,) = await house.until_happened(incident, TellingWithheld)

        assert (withheld.reason, withheld.rule, withheld.outcome) == ("law", "XX-99", "refer")
        assert await house.happened(incident, DisclosureDecided) == []
        assert not house.dialled("+81300000111")
        assert not house.channel.arrived
        state = await house.state(incident)
        assert "untold" in state.flags
        assert (state.state, state.desks) == (State.RINGING, ())
        await house.until_happened(incident, NoticePlayed, least=2)
        assert [each.notice for each in await house.happened(incident, NoticePlayed)] == ["wait", "nobody"]


@pytest.mark.parametrize(("country", "rule"), [("DE", "EU-01"), ("GB", "UK-01")])
async def test_where_the_law_asks_for_nothing_that_only_a_person_can_give_the_agency_is_told(
    journal: Journal, clock: ManualClock, country: str, rule: str
):
    async for house in _opened(SearchHouse(journal, clock, people=(), directory=abroad(country))):
        incident = await house.crash()

        (decided,) = await house.until_happened(incident, DisclosureDecided)

        assert (decided.rule, decided.unattended, decided.facts) == (rule, True, ("acn_trigger",))


DOUBTFUL = {
    "octets that nobody can read": {"body": b"\xff\x00", "readable": False, "findings": ("undecodable:$",)},
    "a place where no car is": {
        "body": b'{"type":"jp.example.sos.crash.v1","data":{"location":{"latitude":0,"longitude":0}}}'
    },
    "kept by a broker": {"findings": ("retained:$",)},
}


@pytest.mark.parametrize("doubtful", DOUBTFUL)
async def test_what_cannot_be_read_or_cannot_be_is_told_to_nobody_by_a_machine(house: SearchHouse, doubtful: str):
    incident = await house.crash(**DOUBTFUL[doubtful])

    await house.until_happened(incident, TellingWithheld)

    (withheld,) = await house.happened(incident, TellingWithheld)
    assert withheld.reason == "implausible"
    assert await house.happened(incident, DisclosureDecided) == []


async def test_a_report_of_which_only_some_could_be_read_is_told_where_it_says_the_place(house: SearchHouse):
    incident = await house.crash(readable=False, findings=("invalid_utf8:$",))

    await house.until_happened(incident, DisclosureDecided)

    assert "unreadable_report" in (await house.state(incident)).flags


async def test_an_agency_that_helps_nobody_is_not_followed_by_a_second_one_and_the_car_is_told_so(house: SearchHouse):
    incident = await house.crash()
    (decided,) = await house.until_happened(incident, DisclosureDecided)

    rejects = Reject(disclosure=decided.disclosure, agency=decided.agency, reason="no_unit_free")
    await house.journal.execute(incident, rejects, actor=f"agency:{decided.agency}")

    (withheld,) = await house.until_happened(incident, TellingWithheld)
    assert (withheld.reason, withheld.agency) == ("rejected", decided.agency)
    car = next(leg.leg for leg in (await house.state(incident)).legs if leg.party is Party.VEHICLE)

    async def heard() -> bool:
        return "nobody" in house.told(car)

    await house.until(heard)
    assert len(await house.happened(incident, DisclosureDecided)) == 1


async def test_a_house_that_tells_nobody_by_itself_says_so_to_the_car(journal: Journal, clock: ManualClock):
    practice = Practice(tells=False, nobody_after=timedelta(seconds=30))
    async for house in _opened(SearchHouse(journal, clock, people=(), practice=practice)):
        incident = await house.crash()

        (withheld,) = await house.until_happened(incident, TellingWithheld)

        assert withheld.reason == "setting"
        opened = (await house.state(incident)).opened_at
        assert opened is not None
        assert clock.now() - opened < timedelta(seconds=32)


async def test_where_the_house_dials_nobody_the_agency_is_let_in_from_its_page(journal: Journal, clock: ManualClock):
    async for house in _opened(SearchHouse(journal, clock, people=(), practice=Practice(invites=True))):
        incident = await house.crash()

        await house.until_happened(incident, DisclosureDecided)
        invited = await house.until_happened(incident, LegInvited, least=2)

        assert [(each.party, each.who) for each in invited[1:]] == [(Party.AGENCY, "jp-13-fire")]
        assert free_leg(await house.state(incident), s.FIRE).leg == invited[1].leg


@pytest.mark.parametrize(
    ("trigger", "silent", "expected"),
    [
        (Trigger.AUTOMATIC, False, ("automatic_crash", "delay")),
        (Trigger.AUTOMATIC, True, ("silence_after_crash", "no_answer")),
        (Trigger.MANUAL, False, ("call_for_help", "delay")),
        (Trigger.UNKNOWN, True, ("call_for_help", "no_answer")),
    ],
)
def test_the_danger_is_what_the_journal_knows(trigger: Trigger, silent: bool, expected: tuple[str, str]):
    told = s.Story()
    told.do(s.open_incident(trigger=trigger))
    if not silent:
        told.do(s.join())

    request = known_request(told.incident)

    assert (request.necessity, request.consent) == expected
    assert not request.facts
    assert not request.reason
