"""Turns inside a mass event: places take them, and nobody outside waits longer; in SQL on both databases, in memory."""

import asyncio
import random
from collections import Counter
from datetime import timedelta
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from recording.keys import KeyStore
from sos.clock import ManualClock, SystemClock
from sos.incident.commands import FileReport, PlaceInMassEvent
from sos.incident.events import Recorded
from sos.incident.mass_event import Declare, End
from sos.incident.model import Area, IncidentId, MassEventId, Mode, OperatorId, State, TenantId, Trigger
from sos.journal.journal import Journal
from sos.journal.losses import Losses
from sos.journal.mass_events import MassEventLedger
from sos.journal.readers import Follower, Reader
from sos.journal.store import Store
from sos.journal.turns import Turns
from tests.sos.journal.reports import receipt, report, sequenced

ONE = MassEventId("mass-event-1")
_real = SystemClock()


class Car(NamedTuple):
    tenant: str
    place: str | None
    """None: outside."""
    trigger: Trigger = Trigger.AUTOMATIC
    burns: bool = False
    mode: Mode = Mode.LIVE


class House:
    def __init__(self, journal: Journal, store: Store, keys: KeyStore, clock: ManualClock) -> None:
        self.journal = journal
        self.store = store
        self.clock = clock
        self.ledger = MassEventLedger(store, keys, clock=clock, losses=Losses())
        self.cars: dict[IncidentId, Car] = {}

    async def come(self, *cars: Car) -> list[IncidentId]:
        made: list[IncidentId] = []
        for car in cars:
            number = len(self.cars)
            command = replace(report(number), trigger=car.trigger, mode=car.mode)
            at = self.clock.now() + timedelta(milliseconds=100 * number)
            received = await self.journal.open(
                command, tenant=TenantId(car.tenant), receipt=receipt(number), received_at=at, sender=f"car-{number}"
            )
            self.cars[received.incident] = car
            made.append(received.incident)
            if car.burns:
                filed = FileReport(sequence=1, located=True, findings=(), parts={}, urgent=("fire",))
                await self.journal.execute(received.incident, filed, actor="system:filer")
            if car.place is not None:
                placed = PlaceInMassEvent(mass_event=ONE, place=car.place)
                await self.journal.execute(received.incident, placed, actor="system:mass-event")
        return made

    async def begin(self) -> None:
        declare = Declare(
            mass_event=ONE,
            operator=OperatorId("jiro"),
            seen=self.ledger.now.decisions,
            name="invented",
            area=Area(codes=("JP-13",)),
            until=self.clock.now() + timedelta(hours=1),
        )
        await self.ledger.execute(declare, actor="operator:jiro")

    async def end(self) -> None:
        over = End(mass_event=ONE, operator=OperatorId("jiro"), seen=self.ledger.now.decisions)
        await self.ledger.execute(over, actor="operator:jiro")

    async def order(self, limit: int = 1000) -> list[IncidentId]:
        total, found = await self.store.queue(limit=limit, states=[str(State.RECEIVED)])
        assert total == len(self.cars)
        return [each for each, _ in found]

    async def due(self, limit: int = 1000) -> list[IncidentId]:
        return [stream for stream, _ in await self.store.due(2**53, limit=limit)]


@pytest.fixture
def house(journal: Journal, store: Store, keys: KeyStore, clock: ManualClock) -> House:
    return House(journal, store, keys, clock)


def outside(house: House, order: list[IncidentId]) -> dict[IncidentId, int]:
    return {each: at for at, each in enumerate(order) if house.cars[each].place is None}


async def test_the_place_that_few_call_from_does_not_wait_for_the_brands_of_the_place_that_many_do(house: House):
    crowd = await house.come(*(Car(tenant, "13101") for tenant in "abcdef" for _ in range(4)))
    (lone,) = await house.come(Car("a", "13421"))
    assert (await house.order()).index(lone) == 24

    await house.begin()

    assert (await house.order())[:2] == [crowd[0], lone]
    assert (await house.due()).index(lone) == 1
    await house.end()
    assert (await house.order()).index(lone) == 24


async def test_in_a_place_whoever_is_in_danger_has_the_head_start(house: House):
    cars = await house.come(Car("a", "13101"), Car("b", "13101"), Car("c", "13101", burns=True), Car("d", "13102"))
    await house.begin()

    assert await house.order() == [cars[2], cars[3], cars[0], cars[1]]


async def test_what_is_no_emergency_is_never_inside(house: House):
    cars = await house.come(
        Car("a", "13101", mode=Mode.TEST), Car("a", "13101", mode=Mode.DRILL), Car("a", None), Car("a", "13101")
    )
    await house.begin()

    assert (await house.order())[:2] == [cars[2], cars[3]]
    assert [(await house.journal.state(each)).mass_place for each in cars] == [None, None, None, "13101"]


def some(pick: random.Random, count: int) -> list[Car]:
    tenants = pick.choices("abcd", weights=(30, 5, 2, 1), k=count)
    places = pick.choices((None, "13101", "13102", "13103", "13421"), weights=(8, 30, 6, 2, 1), k=count)
    triggers = pick.choices((Trigger.AUTOMATIC, Trigger.MANUAL, Trigger.UNKNOWN), weights=(8, 3, 1), k=count)
    modes = pick.choices((Mode.LIVE, Mode.TEST), weights=(12, 1), k=count)
    return [
        Car(tenant, place, trigger, pick.random() < 0.1, mode)
        for tenant, place, trigger, mode in zip(tenants, places, triggers, modes, strict=True)
    ]


@pytest.mark.parametrize("seed", range(5))
async def test_on_and_off_with_a_full_queue_loses_nobody_tells_nothing_twice_and_outside_nobody_waits_longer(
    house: House, seed: int
):
    pick = random.Random(seed)
    await house.come(*some(pick, 60))
    rang, deadlines = await house.order(), await house.due()

    await house.begin()

    by_place = await house.order()
    assert len(set(by_place)) == len(by_place) == 60
    assert outside(house, by_place) == outside(house, rang)
    due = await house.due()
    assert Counter(due) == Counter(deadlines)
    assert outside(house, due) == outside(house, deadlines)
    assert await house.order(limit=7) == by_place[:7]
    _nobody_waits_behind_a_place(house, by_place)
    await house.end()
    assert (await house.order(), await house.due()) == (rang, deadlines)


def _nobody_waits_behind_a_place(house: House, order: list[IncidentId]) -> None:
    """Of one class, the first of each place comes before the second of any; the head start decides within."""
    inside = [house.cars[each] for each in order if house.cars[each].place and house.cars[each].mode is Mode.LIVE]
    crashes = [car for car in inside if car.trigger is Trigger.AUTOMATIC]
    seen: Counter[str | None] = Counter()
    left = Counter(car.place for car in crashes)
    for car in crashes:
        assert all(seen[place] >= seen[car.place] for place in left if left[place] > 0)
        seen[car.place] += 1
        left[car.place] -= 1


async def test_a_place_that_fills_up_for_ever_stands_before_no_other_place_for_ever(house: House):
    """Whoever is answered leaves; ten more come from the crowded place each time."""
    await house.come(*(Car("a", "13101") for _ in range(10)))
    (lone, other) = await house.come(Car("a", "13421"), Car("a", None))
    await house.begin()
    for answered in range(1, 6):
        first, *_ = [each for each in await house.order() if each not in (lone, other)]
        await house.come(*(Car("a", "13101") for _ in range(10)))
        order = await house.order()
        assert order.index(lone) <= 2
        assert order.index(first) <= 1
        assert order.index(other) <= 11, answered


@pytest.mark.parametrize("seed", range(200))
def test_in_memory_the_turns_of_those_outside_stay_where_they_were(seed: int):
    pick = random.Random(seed)
    cars = [(number, car) for number, car in enumerate(some(pick, 40))]
    plain: Turns[tuple[int, Car]] = Turns()
    placed: Turns[tuple[int, Car]] = Turns()
    taken: list[list[tuple[int, Car]]] = [[], []]
    while cars or len(plain):
        if cars and pick.random() < 0.6:
            number, car = cars.pop(0)
            plain.put(car.tenant, (number, car), of=number % 7)
            placed.put(car.tenant, (number, car), of=number % 7, place=car.place)
        elif len(plain):
            but = pick.sample("abcd", k=pick.choice((0, 0, 1)))
            for turns, found in zip((plain, placed), taken, strict=True):
                item = turns.take(but=but)
                if item is not None:
                    found.append(item)
        assert len(plain) == len(placed)
    by_tenant, by_place = taken

    assert sorted(number for number, _ in by_place) == list(range(40))
    assert [each for each in by_place if each[1].place is None] == [each for each in by_tenant if each[1].place is None]
    assert [car.place is None for _, car in by_place] == [car.place is None for _, car in by_tenant]


async def test_readers_take_the_places_of_a_mass_event_in_turns(house: House, store: Store, clock: ManualClock):
    crowd = await house.come(*(Car("a", "13101") for _ in range(20)))
    (lone,) = await house.come(Car("a", "13421"))
    await house.begin()
    await sequenced(store, 2 * 21 + 1)
    handled: list[IncidentId] = []

    async def handle(batch: "list[Recorded]") -> None:
        handled.extend(each.incident for each in batch)

    reader = Reader(name="r", handle=handle, by_incident=True, at_once=1)  # type: ignore[arg-type]
    task = asyncio.create_task(Follower(reader, store, clock=clock).run())
    async with asyncio.timeout(60):
        while len(handled) < 43:
            await _real.wait(timedelta(milliseconds=1))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert handled.index(lone) <= 3  # after what was under way, one of the crowd, and the house's own
    assert all(Counter(handled)[each] == 2 for each in (*crowd, lone))


async def test_who_waits_and_what_is_held_is_counted_for_each_mass_event_in_force(house: House, store: Store):
    await house.come(Car("a", "13101"), Car("b", "13102"), Car("b", None))
    assert await store.in_mass_events() == {}

    await house.begin()

    assert await store.in_mass_events() == {ONE: (2, 0)}
    assert await store.held(limit=10) == []
