import asyncio
from datetime import timedelta

from sos.clock import ManualClock
from sos.journal.readers import LEASE, under_lease
from sos.journal.store import Store
from tests.rest import Watched, at_rest


class Work:
    """Something that must not be done by two at once."""

    at_once = 0

    def __init__(self) -> None:
        self.begun = asyncio.Event()

    async def __call__(self) -> None:
        Work.at_once += 1
        self.begun.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            Work.at_once -= 1


async def _later(store: Store, clock: ManualClock, begun: asyncio.Event) -> bool:
    """Whether ``begun`` happens within two leases; each step lets the database answer first."""
    for _ in range(20):
        await at_rest(store)
        if begun.is_set():
            return True
        await clock.advance(LEASE / 10)
    return False


async def test_a_role_is_held_by_one_replica_and_taken_over_when_it_dies(store: Store, clock: ManualClock):
    store = Watched.over(store)
    if not store.shared:
        alone = Work()
        task = asyncio.create_task(under_lease("handoff", alone, store=store, clock=clock))
        assert await _later(store, clock, alone.begun)  # a store of one process needs no lease
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return
    first, second = Work(), Work()
    holding = asyncio.create_task(under_lease("handoff", first, store=store, clock=clock))
    assert await _later(store, clock, first.begun)
    waiting = asyncio.create_task(under_lease("handoff", second, store=store, clock=clock))
    for _ in range(5):  # less than a lease, renewed all the while by the first
        await clock.advance(timedelta(seconds=1))
        await at_rest(store)

    assert not second.begun.is_set()
    assert Work.at_once == 1
    holding.cancel()
    await asyncio.gather(holding, return_exceptions=True)

    assert await _later(store, clock, second.begun)
    assert Work.at_once == 1
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
