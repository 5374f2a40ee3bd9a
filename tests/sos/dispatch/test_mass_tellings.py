"""Telling without a person inside a mass event: asked once for an agency and a place, held, let go, nothing twice."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from recording.keys import KeyStore
from sos.clock import ManualClock
from sos.dispatch.mass_tellings import MassTellings, last_list, let_go
from sos.dispatch.unattended import Practice
from sos.incident.commands import PlaceInMassEvent
from sos.incident.events import DisclosureDecided, MassTellingAsked, TellingHeld, TellingWithheld
from sos.incident.mass_event import AnswerTelling, Declare, End, Telling
from sos.incident.model import AgencyId, Area, HowToTell, IncidentId, MassEventId, OperatorId
from sos.journal.journal import Journal
from sos.journal.losses import Losses
from sos.journal.mass_events import MassEventLedger
from sos.journal.migrate import upgrade
from sos.journal.sqlite import SqliteStore
from sos.journal.store import Store
from tests.journeys import story as s
from tests.sos.calls.search_rig import SearchHouse

ONE, JIRO, PLACE = MassEventId("mass-event-1"), OperatorId("jiro"), "13104"
AT = datetime(2026, 1, 1, 9, 0, tzinfo=UTC)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with SqliteStore(tmp_path / "journal.db") as sqlite:
        await upgrade(sqlite.engine)
        yield sqlite


@pytest.fixture
async def ledger(store: Store, keys: KeyStore, clock: ManualClock) -> MassEventLedger:
    made = MassEventLedger(store, keys, clock=clock, losses=Losses())
    declare = Declare(
        mass_event=ONE,
        operator=JIRO,
        seen=0,
        name="invented quake",
        area=Area(codes=("JP-13",)),
        until=clock.now() + timedelta(hours=6),
    )
    await made.execute(declare, actor="operator:jiro")
    return made


@pytest.fixture
async def house(journal: Journal, clock: ManualClock, ledger: MassEventLedger) -> AsyncIterator[SearchHouse]:
    """Two may be told without a person; then people are asked."""
    practice = Practice(to_an_agency=2, of_a_brand=2)
    made = SearchHouse(journal, clock, people=(), practice=practice, mass=MassTellings(ledger))
    async with made.provider:
        await made.start()
        yield made
        await made.stop()


async def crashes(house: SearchHouse, *seeds: int, place: str = PLACE) -> list[IncidentId]:
    made = [await house.crash(seed=seed, speaks=False) for seed in seeds]
    for incident in made:
        placed = PlaceInMassEvent(mass_event=ONE, place=place)
        await house.journal.execute(incident, placed, actor="system:mass-event")
    return made


async def answer(ledger: MassEventLedger, how: HowToTell, *, was: HowToTell | None = None, every_min: int = 0) -> None:
    said = AnswerTelling(
        mass_event=ONE, operator=JIRO, agency=s.FIRE, place=PLACE, was=was, how=how, every_min=every_min
    )
    await ledger.execute(said, actor="operator:jiro")


async def told(house: SearchHouse, incidents: list[IncidentId]) -> int:
    """How many were told; never one twice."""
    counts = [len(await house.happened(incident, DisclosureDecided)) for incident in incidents]
    assert max(counts) <= 1
    return sum(counts)


async def until_held(house: SearchHouse, incidents: list[IncidentId], count: int) -> None:
    async def met() -> bool:
        states = [await house.state(incident) for incident in incidents]
        return sum(state.held is not None for state in states) == count

    await house.until(met)


async def asked(ledger: MassEventLedger) -> int:
    return sum(isinstance(each.event, MassTellingAsked) for each in await ledger.history())


async def test_beyond_the_rate_a_supervisor_is_asked_once_and_nothing_is_lost_over_a_restart(
    house: SearchHouse, ledger: MassEventLedger
):
    cars = await crashes(house, 1, 2, 3, 4, 5)

    await until_held(house, cars, 3)
    await house.stop()  # a restart neither asks again nor forgets what is held
    await house.start()
    await house.pass_time(10)

    assert (await told(house, cars), await asked(ledger)) == (2, 1)
    for each in cars:
        assert await house.happened(each, TellingWithheld) == []
    assert len(await house.journal.held(limit=9)) == 3
    assert await house.journal.store.in_mass_events() == {ONE: (3, 3)}

    await answer(ledger, HowToTell.EACH)
    await house.pass_time(4)
    for each in cars:
        await house.until_happened(each, DisclosureDecided)

    assert await told(house, cars) == 5
    assert await house.journal.held(limit=9) == []
    later = await crashes(house, 6)
    await house.until_happened(later[0], DisclosureDecided)  # the answer holds for what comes later
    assert await asked(ledger) == 1


async def test_another_place_has_a_rate_of_its_own(house: SearchHouse, ledger: MassEventLedger):
    here = await crashes(house, 1, 2, 3)
    there = await crashes(house, 4, 5, place="13421")

    await until_held(house, here, 1)
    for incident in there:
        await house.until_happened(incident, DisclosureDecided)
    assert (await told(house, here), await told(house, there), await asked(ledger)) == (2, 2, 1)


async def test_a_list_goes_out_at_once_and_then_every_so_many_minutes(house: SearchHouse, ledger: MassEventLedger):
    cars = await crashes(house, 1, 2, 3, 4)
    await until_held(house, cars, 2)
    await answer(ledger, HowToTell.LIST, every_min=5)
    await house.pass_time(4)
    assert await told(house, cars) == 4

    more = await crashes(house, 5, 6)
    await until_held(house, more, 2)
    assert await told(house, more) == 0
    await house.pass_time(300)
    assert await told(house, more) == 2


async def test_what_is_to_be_held_waits_for_somebody_who_answers_and_is_let_go_when_the_mass_event_ends(
    house: SearchHouse, ledger: MassEventLedger
):
    cars = await crashes(house, 1, 2, 3, 4)
    await until_held(house, cars, 2)
    await answer(ledger, HowToTell.HOLD)
    await house.pass_time(10)
    held = await house.journal.held(limit=9)
    assert len(held) == 2

    await house.take(held[0].id)
    assert (await house.state(held[0].id)).held is None
    await ledger.execute(End(mass_event=ONE, operator=JIRO, seen=ledger.now.decisions), actor="operator:jiro")
    await house.pass_time(4)

    assert await house.journal.held(limit=9) == []
    assert await told(house, cars) == 3  # by brand and agency again, and there was room


async def test_whoever_is_held_hears_that_nobody_comes_yet(house: SearchHouse):
    await crashes(house, 1, 2)
    await house.pass_time(60)
    speaking = await house.crash(seed=3)
    placed = PlaceInMassEvent(mass_event=ONE, place=PLACE)
    await house.journal.execute(speaking, placed, actor="system:mass-event")
    await house.until_happened(speaking, TellingHeld)
    leg = next(leg.leg for leg in (await house.state(speaking)).legs)

    async def heard() -> bool:
        return "nobody" in house.told(leg)

    await house.until(heard)


def test_a_list_keeps_the_time_of_its_answer_and_takes_what_was_held_before_it():
    telling = Telling(
        agency=AgencyId("a"),
        place=PLACE,
        incident=IncidentId("i"),
        asked_at=AT,
        how=HowToTell.LIST,
        every_min=10,
        answered_at=AT,
    )
    late = AT + timedelta(minutes=25)

    assert last_list(telling, late) == AT + timedelta(minutes=20)
    assert let_go(telling, AT + timedelta(minutes=19), late)
    assert not let_go(telling, AT + timedelta(minutes=21), late)
    assert last_list(telling, AT - timedelta(minutes=1)) is None  # a clock that was set back
    assert not let_go(replace(telling, how=None), AT, late)
    assert not let_go(replace(telling, how=HowToTell.HOLD), AT, late)
    assert let_go(replace(telling, how=HowToTell.EACH), late, late)
    assert not let_go(None, AT, late)
