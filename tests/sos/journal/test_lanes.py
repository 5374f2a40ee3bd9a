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
from sos.journal.journal import Journal
from sos.journal.lanes import Lanes
from sos.journal.readers import TRIES, Follower, Reader
from sos.journal.store import Store
from tests.conftest import NEW_YEAR
from tests.sos.journal.reports import opened, sequenced

SEEDS = range(20)

_real = SystemClock()


def happened(incident: str, n: int) -> Recorded:
    return Recorded(
        id=EventId(f"{incident}-{n}"),
        stream=IncidentId(incident),
        tenant=TenantId("demo"),
        n=n,
        at=NEW_YEAR,
        actor="timer",
        answers=None,
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


async def test_one_incident_that_hangs_holds_up_no_other_and_its_own_order_stays():
    world = World()
    lanes = Lanes(world.handle)
    for position, (incident, n) in enumerate([("a", 1), ("a", 2), ("b", 1), ("b", 2)]):
        await lanes.put(position, happened(incident, n))
    world.let("b-1", "b-2", "a-2")

    await turns()

    assert world.done == ["b-1", "b-2"]
    assert world.begun == ["a-1", "b-1", "b-2"]
    assert lanes.oldest == 0
    world.let("a-1")
    await turns()
    assert world.done[2:] == ["a-1", "a-2"]
    assert lanes.oldest is None
    await lanes.stop()


async def test_no_more_is_read_ahead_than_may_come_again():
    world = World()
    lanes = Lanes(world.handle, ahead=3)
    for position in range(3):
        await lanes.put(position, happened(f"i{position}", 1))
    fourth = asyncio.create_task(lanes.put(3, happened("i3", 1)))
    world.let("i1-1", "i2-1")

    await turns()
    assert not fourth.done()
    world.let("i0-1")
    await fourth

    await lanes.stop()


async def test_what_was_stopped_is_forgotten_here_and_comes_again_from_the_journal():
    world = World()
    lanes = Lanes(world.handle)
    await lanes.put(0, happened("a", 1))
    await turns()

    await lanes.stop()

    assert (lanes.oldest, world.done) == (None, [])
    world.let("a-1")
    await lanes.put(0, happened("a", 1))
    await turns()
    assert world.done == ["a-1"]


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

    assert last.passed_over == 0


async def test_a_poisoned_event_is_passed_over_in_its_own_lane_alone(
    journal: Journal, store: Store, clock: ManualClock
):
    all_of_it = await events(journal, 3)
    tried: list[str] = []

    async def handle(batch: Sequence[Recorded]) -> None:
        tried.extend(event.id for event in batch)
        if batch[0].id == all_of_it[0].id:
            raise ValueError("poison")

    one = Follower(Reader(name="beside", handle=handle, by_incident=True), store, clock=clock)
    task = asyncio.create_task(one.run())
    await until(lambda: one.passed_over == 1 and one.position == 3, clock)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert [tried.count(event.id) for event in all_of_it] == [TRIES, 1, 1]
