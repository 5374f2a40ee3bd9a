"""Incidents beside each other: in order within one, none held up by another, nothing lost when it is killed."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import timedelta
from random import Random

import pytest

from sos.clock import ManualClock, SystemClock
from sos.errors import Unavailable
from sos.incident.events import OperatorLost, Recorded
from sos.incident.model import EventId, IncidentId, OperatorId, TenantId
from sos.journal.incident_queues import IncidentQueues
from sos.journal.journal import Journal
from sos.journal.readers import TRIES, Follower, Reader
from sos.journal.store import Store
from tests.conftest import NEW_YEAR
from tests.sos.journal.reports import opened, sequenced

SEEDS = range(20)

_real = SystemClock()


def happened(incident: str, n: int, *, tenant: str = "demo") -> Recorded:
    return Recorded(
        id=EventId(f"{incident}-{n}"),
        stream=IncidentId(incident),
        tenant=TenantId(tenant),
        n=n,
        at=NEW_YEAR,
        actor="timer",
        causation=None,
        event=OperatorLost(operator=OperatorId("op1"), reason="desk_lost"),
    )


class World:
    """What handling waits for: each event until somebody lets it go."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.done: list[str] = []
        self._gates: dict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def handle(self, event: Recorded) -> None:
        self.begun.append(event.id)
        await self._gates[event.id].wait()
        self.done.append(event.id)

    def let(self, *ids: str) -> None:
        for each in ids:
            self._gates[each].set()


async def turns() -> None:
    """Everybody who can go on has gone on."""
    for _ in range(20):
        await asyncio.to_thread(lambda: None)


async def test_one_incident_that_hangs_holds_up_no_other_and_its_own_order_stays(clock: ManualClock):
    world = World()
    queues = IncidentQueues(world.handle, clock=clock)
    for position, (incident, n) in enumerate([("a", 1), ("a", 2), ("b", 1), ("b", 2)]):
        await queues.put(position, happened(incident, n))
    world.let("b-1", "b-2", "a-2")

    await turns()

    assert world.done == ["b-1", "b-2"]
    assert world.begun == ["a-1", "b-1", "b-2"]
    assert queues.oldest == 0
    world.let("a-1")
    await turns()
    assert world.done[2:] == ["a-1", "a-2"]
    assert queues.oldest is None
    await queues.stop()


async def test_no_more_is_held_undone_than_there_is_room_for(clock: ManualClock):
    world = World()
    queues = IncidentQueues(world.handle, clock=clock, ahead=3)
    for position in range(3):
        await queues.put(position, happened(f"i{position}", 1))
    fourth = asyncio.create_task(queues.put(3, happened("i3", 1)))

    await turns()
    assert not fourth.done()
    world.let("i1-1")
    await fourth
    assert queues.oldest == 0

    await queues.stop()


async def test_what_was_stopped_is_forgotten_here_and_comes_again_from_the_journal(clock: ManualClock):
    world = World()
    queues = IncidentQueues(world.handle, clock=clock)
    await queues.put(0, happened("a", 1))
    await turns()

    await queues.stop()

    assert (queues.oldest, world.done) == (None, [])
    world.let("a-1")
    await queues.put(0, happened("a", 1))
    await turns()
    assert world.done == ["a-1"]


async def test_tenants_take_turns_so_a_flood_delays_a_neighbour_by_what_is_under_way(clock: ManualClock):
    """Counted, not timed: of a flood of 200 the neighbour's one crash is begun after the four that were under way."""
    world = World()
    queues = IncidentQueues(world.handle, clock=clock, at_once=4)
    flood = [happened(f"flood{number}", 1, tenant="loud") for number in range(200)]
    for position, event in enumerate(flood):
        await queues.put(position, event)
    await turns()
    assert len(world.begun) == 3  # three quarters of the room: one tenant never has it all

    await queues.put(200, happened("crash", 1, tenant="neighbour"))
    await turns()

    assert world.begun[3] == "crash-1"
    world.let("crash-1", *(event.id for event in flood))
    async with asyncio.timeout(60):
        while queues.oldest is not None:
            await turns()
    assert sorted(world.done) == sorted(["crash-1", *(event.id for event in flood)])  # behind, never away


async def test_many_crashes_of_a_neighbour_get_every_other_turn(clock: ManualClock):
    begun: list[str] = []

    async def handle(event: Recorded) -> None:
        begun.append(event.tenant)

    queues = IncidentQueues(handle, clock=clock, at_once=1)
    for position in range(60):
        tenant = "loud" if position < 50 else "neighbour"
        await queues.put(position, happened(f"i{position}", 1, tenant=tenant))
    async with asyncio.timeout(60):
        while queues.oldest is not None:
            await turns()

    assert begun.index("neighbour") <= 2
    assert begun[:20].count("neighbour") >= 9
    assert len(begun) == 60


async def test_an_incident_that_rests_until_its_next_try_leaves_its_place_to_others(clock: ManualClock):
    tried: list[str] = []

    async def handle(event: Recorded) -> timedelta | None:
        tried.append(event.id)
        return timedelta(seconds=1) if event.id == "a-1" and tried.count("a-1") < 3 else None

    queues = IncidentQueues(handle, clock=clock, at_once=1)
    for position, (incident, n) in enumerate([("a", 1), ("a", 2), ("b", 1)]):
        await queues.put(position, happened(incident, n))
    await turns()

    assert tried == ["a-1", "b-1"]
    await clock.advance(timedelta(seconds=2))
    await turns()
    assert tried == ["a-1", "b-1", "a-1", "a-1", "a-2"]
    assert queues.oldest is None


async def events(journal: Journal, count: int) -> list[Recorded]:
    await asyncio.gather(*(opened(journal, number) for number in range(count)))
    return await sequenced(journal.store, count)


async def until(done: Callable[[], bool], clock: ManualClock) -> None:
    async with asyncio.timeout(60):
        while not done():
            await clock.advance(timedelta(milliseconds=50))
            await _real.wait(timedelta(milliseconds=1))


async def test_the_cursor_passes_no_event_that_is_not_done(journal: Journal, store: Store, clock: ManualClock):
    all_of_it = await events(journal, 5)
    world = World()

    async def handle(batch: Sequence[Recorded]) -> None:
        (event,) = batch
        await world.handle(event)

    world.let(*(event.id for event in all_of_it if event.id != all_of_it[2].id))
    one = Follower(Reader(name="beside", handle=handle, by_incident=True), store, clock=clock)
    task = asyncio.create_task(one.run())
    await until(lambda: len(world.done) == 4, clock)
    await until(lambda: one.position == 2, clock)
    for _ in range(5):
        await clock.advance(timedelta(seconds=1))
        await _real.wait(timedelta(milliseconds=5))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert await store.cursor("beside") <= 2


@pytest.mark.parametrize("seed", SEEDS)
async def test_killed_at_any_moment_nothing_is_left_undone(journal: Journal, store: Store, clock: ManualClock, seed):
    """Handling takes its time, fails and is killed at random; in the end every event was done."""
    random = Random(seed)
    wanted = {event.id for event in await events(journal, 12)}
    done: list[str] = []

    async def handle(batch: Sequence[Recorded]) -> None:
        (event,) = batch
        await clock.wait(timedelta(milliseconds=random.randrange(400)))
        if random.random() < 0.2:
            raise Unavailable("the world is away")
        done.append(event.id)

    for _ in range(6):
        one = Follower(Reader(name="beside", handle=handle, by_incident=True), store, clock=clock)
        task = asyncio.create_task(one.run())
        for _ in range(random.randrange(1, 12)):
            await clock.advance(timedelta(milliseconds=50))
            await _real.wait(timedelta(milliseconds=1))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    last = Follower(Reader(name="beside", handle=handle, by_incident=True), store, clock=clock)
    task = asyncio.create_task(last.run())
    await until(lambda: wanted <= set(done) and last.position == 12, clock)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert last.set_aside == 0


async def test_a_poisoned_event_is_set_aside_in_its_own_lane_alone(journal: Journal, store: Store, clock: ManualClock):
    all_of_it = await events(journal, 3)
    tried: list[str] = []

    async def handle(batch: Sequence[Recorded]) -> None:
        tried.extend(event.id for event in batch)
        if batch[0].id == all_of_it[0].id:
            raise ValueError("poison")

    one = Follower(Reader(name="beside", handle=handle, by_incident=True), store, clock=clock)
    task = asyncio.create_task(one.run())
    await until(lambda: one.set_aside == 1 and one.position == 3, clock)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert [tried.count(event.id) for event in all_of_it] == [TRIES, 1, 1]
