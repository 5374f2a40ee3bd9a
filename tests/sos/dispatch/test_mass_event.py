"""Whether there seems to be a mass event, and who lies inside one: from reports as they come to the place of each."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from recording.keys import KeyStore
from routing.categories import Category
from sos.clock import ManualClock
from sos.dispatch.mass_event import Counted, MassEventPlaces, Seen, Unusual
from sos.incident.events import MassEventProposed, PlacedInMassEvent
from sos.incident.mass_event import Change, Declare, Dismiss, Spot
from sos.incident.model import Area, IncidentId, MassEventId, Mode, OperatorId, TenantId
from sos.incident.report import Place, canonical
from sos.journal.journal import Journal
from sos.journal.losses import Losses
from sos.journal.mass_events import MassEventLedger
from sos.journal.migrate import upgrade
from sos.journal.sqlite import SqliteStore
from sos.journal.store import Store
from tests.journeys import story as s
from tests.sos.journal.reports import receipt, report, sequenced

AT = datetime(2026, 1, 1, 9, 0, tzinfo=UTC)
JIRO = OperatorId("jiro")
UNUSUAL = Unusual(emergencies=3, within=timedelta(minutes=10), radius_km=20)
SHINJUKU, OSHIMA = (35.69, 139.70, "13104"), (34.75, 139.36, "13361")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with SqliteStore(tmp_path / "journal.db") as sqlite:
        await upgrade(sqlite.engine)
        yield sqlite


class House:
    def __init__(self, journal: Journal, keys: KeyStore, clock: ManualClock) -> None:
        self.journal, self.clock = journal, clock
        self.ledger = MassEventLedger(journal.store, keys, clock=clock, losses=Losses())
        self.count = 0
        self.seen = 0
        self.start()

    def start(self) -> None:
        """As after a restart: nothing is known but the journal."""
        self.reader = MassEventPlaces(self.journal, self.ledger, unusual=UNUSUAL)

    async def crash(
        self, place: tuple[float, float, str] | None = SHINJUKU, *, mode: Mode = Mode.LIVE, tenant: str = "acme"
    ) -> IncidentId:
        self.count += 1
        opened = await self.journal.open(
            replace(report(self.count), mode=mode),
            tenant=TenantId(tenant),
            receipt=receipt(self.count),
            received_at=self.clock.now(),
        )
        parts = {}
        if place is not None:
            latitude, longitude, municipality = place
            parts[Category.LOC] = canonical(Place(latitude=latitude, longitude=longitude, municipality=municipality))
        plan = replace(s.plan(), parts=parts, prefecture=None if place is None else "JP-13")
        await self.journal.execute(opened.incident, s.file_report(), actor="system:filer")
        await self.journal.execute(opened.incident, plan, actor="system:planner")
        await self.follow()
        return opened.incident

    async def follow(self) -> None:
        size, _ = await self.journal.store.tree()
        events = [each for each in await sequenced(self.journal.store, size) if (each.position or 0) >= self.seen]
        self.seen = size
        await self.reader.handle([each for each in events if isinstance(each.event, self.reader.WANTS)])

    async def declare(self, area: Area, mass_event: str = "m-1") -> None:
        declare = Declare(
            mass_event=MassEventId(mass_event),
            operator=JIRO,
            seen=self.ledger.now.decisions,
            name="invented",
            area=area,
            until=self.clock.now() + timedelta(hours=1),
        )
        await self.ledger.execute(declare, actor="operator:jiro")
        await self.follow()

    async def proposed(self) -> list[MassEventProposed]:
        return [each.event for each in await self.ledger.history() if isinstance(each.event, MassEventProposed)]

    async def place(self, incident: IncidentId) -> str | None:
        return (await self.journal.state(incident)).mass_place


@pytest.fixture
def house(journal: Journal, keys: KeyStore, clock: ManualClock) -> House:
    return House(journal, keys, clock)


async def test_more_than_usual_around_one_place_is_proposed_once_with_how_many_brands_they_are_of(house: House):
    for tenant in ("acme", "acme", "other", "acme"):
        await house.crash(tenant=tenant)

    (proposed,) = await house.proposed()
    assert (proposed.emergencies, proposed.tenants, proposed.within_s) == (3, 2, 600)
    assert proposed.area == Area(latitude=35.69, longitude=139.70, radius_km=20)
    assert not house.ledger.now.in_force  # people say what it is


async def test_test_calls_drills_places_far_apart_and_calls_without_a_place_count_for_nothing(house: House):
    for _ in range(4):
        await house.crash(mode=Mode.TEST)
        await house.crash(mode=Mode.DRILL)
        await house.crash(None)
    await house.crash()
    await house.crash()
    for number in range(4):
        await house.crash((34.75 + number, 135.0, "13361"))

    assert await house.proposed() == []


async def test_what_came_before_a_restart_counts_and_what_is_long_over_does_not(house: House):
    await house.crash()
    await house.crash()
    house.start()
    await house.crash()
    assert len(await house.proposed()) == 1

    dismiss = Dismiss(mass_event=house.ledger.now.events[0].mass_event, operator=JIRO, seen=0)
    await house.ledger.execute(dismiss, actor="operator:jiro")
    await house.clock.advance(timedelta(minutes=40))
    await house.crash()
    await house.crash()
    assert len(await house.proposed()) == 1


async def test_whoever_is_open_and_whoever_comes_is_placed_and_an_area_that_shrinks_lets_go(house: House):
    before, far = await house.crash(), await house.crash(OSHIMA)
    await house.declare(Area(latitude=35.69, longitude=139.7, radius_km=30))
    after, tested = await house.crash(), await house.crash(mode=Mode.TEST)

    assert [await house.place(each) for each in (before, after, far, tested)] == ["13104", "13104", None, None]
    assert await house.proposed() == []

    wider = Change(
        mass_event=MassEventId("m-1"),
        operator=JIRO,
        seen=1,
        name="invented",
        area=Area(codes=("13361",)),
        until=house.clock.now() + timedelta(hours=1),
    )
    await house.ledger.execute(wider, actor="operator:jiro")
    await house.follow()
    assert [await house.place(each) for each in (before, after, far)] == [None, None, "13361"]
    placed = [each for each in await house.journal.store.stream(before) if isinstance(each.event, PlacedInMassEvent)]
    assert len(placed) == 2  # in, and out again


async def test_one_that_is_declared_before_the_house_sees_it_is_not_proposed_again(house: House):
    await house.declare(Area(codes=("JP-13",)))
    for _ in range(5):
        await house.crash()

    assert await house.proposed() == []


def test_an_emergency_counts_once_and_for_its_time():
    counted = Counted(UNUSUAL)
    spot = Spot(latitude=35.69, longitude=139.70)

    def see(name: str, minutes: float, *, now: float) -> bool:
        seen = Seen(incident=IncidentId(name), tenant=TenantId("a"), at=AT + timedelta(minutes=minutes), spot=spot)
        return counted.count(seen, now=AT + timedelta(minutes=now)) is not None

    assert [see("i", 0, now=0), see("i", 0, now=1), see("j", 1, now=1)] == [False, False, False]
    assert not see("late", -30, now=2)
    assert see("k", 2, now=2)
    assert not see("l", 12.5, now=12.5)
