"""One vehicle gone mad and its tenant's others: whose turn it is in every queue of the house, on both databases."""

import asyncio
from datetime import timedelta

from msgspec.structs import replace

from sos.clock import ManualClock, SystemClock
from sos.incident.events import Recorded
from sos.incident.model import IncidentId, State, Trigger, new_id
from sos.journal.journal import Journal
from sos.journal.readers import Follower, Reader
from sos.journal.spool import Spool, Spooled
from sos.journal.store import BATCH, Append, Queue, Store
from sos.journal.turns import Turns
from tests.sos.journal.reports import TENANT, receipt, report, sequenced

MAD, CALM = "mad-vehicle-0001", "calm-vehicle-001"
_real = SystemClock()


async def crash(journal: Journal, number: int, sender: str, *, trigger: Trigger = Trigger.AUTOMATIC) -> IncidentId:
    at = journal.clock.now() + timedelta(seconds=number)
    command = replace(report(number), trigger=trigger)
    received = await journal.open(command, tenant=TENANT, receipt=receipt(number), received_at=at, sender=sender)
    return received.incident


async def order(store: Store) -> list[IncidentId]:
    return [each for each, _ in (await store.queue(limit=100, states=[str(State.RECEIVED)]))[1]]


def test_within_a_tenant_vehicles_take_turns() -> None:
    turns: Turns[str] = Turns()
    for of, item in [("v", "v1"), ("v", "v2"), ("v", "v3"), ("w", "w1"), ("x", "x1"), ("x", "x2")]:
        turns.put("a", item, of=of)
    turns.put("b", "b1", of="y")

    assert (len(turns), list(turns)) == (7, ["v1", "b1", "w1", "x1", "v2", "x2", "v3"])
    assert len(turns) == 0


async def test_in_the_queue_of_the_desks_the_hundredth_crash_of_one_vehicle_stands_before_no_others(
    journal: Journal, store: Store
) -> None:
    mad = [await crash(journal, number, MAD) for number in range(12)]
    calm = await crash(journal, 20, CALM)
    pressed = await crash(journal, 21, "another-vehicle0", trigger=Trigger.MANUAL)
    nameless = [await crash(journal, number, "") for number in (22, 23)]

    found = await order(store)

    assert found[:4] == [mad[0], calm, *nameless]
    assert found.index(pressed) < found.index(mad[10])
    assert [each for each in found if each in mad] == mad


async def test_later_events_leave_the_vehicle_as_it_was(journal: Journal, store: Store) -> None:
    mad = [await crash(journal, number, MAD) for number in range(3)]
    for each in mad:
        await journal.read(each, (), reader="test", purpose="emergency_handling")
    calm = await crash(journal, 20, CALM)

    assert await order(store) == [mad[0], calm, *mad[1:]]


async def test_deadlines_of_vehicles_take_turns(journal: Journal, store: Store) -> None:
    for number in range(8):
        await crash(journal, number, MAD)
    calm = await crash(journal, 30, CALM)

    assert calm in [stream for stream, _ in await store.due(2**53, limit=4)]


async def test_what_was_spooled_is_drained_in_turns(journal: Journal, store: Store, spool: Spool) -> None:
    def spooled(number: int, sender: str) -> Spooled:
        return Spooled(
            incident=IncidentId(new_id()),
            tenant=TENANT,
            receipt=receipt(number),
            received_at=journal.clock.now(),
            command=report(number),
            sender=sender,
        )

    calm = spooled(99, CALM)
    await spool.put([*(spooled(number, MAD) for number in range(20)), calm])

    assert await journal.drain() == 21
    assert [each.incident for each in await sequenced(store, 21)].index(calm.incident) == 1


async def test_readers_take_a_tenants_vehicles_in_turns(journal: Journal, store: Store, clock: ManualClock) -> None:
    mad = [await crash(journal, number, MAD) for number in range(20)]
    calm = await crash(journal, 30, CALM)
    await sequenced(store, 21)
    handled: list[IncidentId] = []

    async def handle(batch: "list[Recorded]") -> None:
        handled.extend(each.incident for each in batch)

    reader = Reader(name="r", handle=handle, by_incident=True, at_once=1)  # type: ignore[arg-type]
    task = asyncio.create_task(Follower(reader, store, clock=clock).run())
    async with asyncio.timeout(60):
        while len(handled) < 21:
            await _real.wait(timedelta(milliseconds=1))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert handled.index(calm) <= 2
    assert [each for each in handled if each in mad] == mad


async def test_an_append_of_anybody_else_is_in_the_next_commit_however_many_wait(clock: ManualClock) -> None:
    queue = Queue()
    taken: list[str] = []

    def made(name: str) -> Append:
        taken.append(name)
        raise LookupError(name)

    for number in range(3 * BATCH):
        queue.put(lambda number=number: made(f"mad {number}"), ("loud", MAD))  # type: ignore[misc]
    queue.put(lambda: made("calm"), ("loud", CALM))
    others = queue.put(lambda: made("neighbour"), ("other", "x"))

    queue.batch()

    assert (len(taken), taken[:3]) == (BATCH, ["mad 0", "neighbour", "calm"])
    assert isinstance(others.exception(), LookupError)
    assert bool(queue)
