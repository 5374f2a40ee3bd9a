"""Readers: at least once, never stuck, never in each other's way; deadlines survive a restart."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest

from sos.clock import ManualClock, epoch_ms
from sos.errors import Refused, Unavailable
from sos.incident.events import HelpEscalated, Recorded
from sos.incident.model import State
from sos.journal.deadlines import Deadlines
from sos.journal.journal import Journal
from sos.journal.readers import TRIES, Follower, Reader
from sos.journal.store import Store
from tests.journeys import story as s
from tests.rest import Watched, at_rest
from tests.sos.journal.reports import incident, opened, sequenced


class Witness:
    """A reader that keeps what it saw, and fails where ``fails`` says so."""

    def __init__(self, fails: Callable[[Recorded], BaseException | None] = lambda _: None) -> None:
        self.seen: list[str] = []
        self.tried: list[str] = []
        self._fails = fails

    async def handle(self, batch: Sequence[Recorded]) -> None:
        for event in batch:
            self.tried.append(event.id)
            if failure := self._fails(event):
                raise failure
            self.seen.append(event.id)


async def until(done: Callable[[], bool], clock: ManualClock, *followers: Follower) -> None:
    """Run ``followers`` until ``done``, while the hours pass."""
    tasks = [asyncio.create_task(follower.run()) for follower in followers]
    async with asyncio.timeout(60):
        while not done():
            await clock.advance(timedelta(milliseconds=50))
            await asyncio.to_thread(lambda: None)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _events(journal: Journal, count: int) -> list[Recorded]:
    await asyncio.gather(*(opened(journal, number) for number in range(count)))
    return await sequenced(journal.store, count)


def follower(witness: Witness, store: Store, clock: ManualClock, name: str = "witness", **more: bool) -> Follower:
    return Follower(Reader(name=name, handle=witness.handle, **more), store, clock=clock)


async def test_a_reader_sees_every_event_in_order_and_goes_on_after_a_restart(journal: Journal, store: Store, clock):
    events = await _events(journal, 9)
    first, second = Witness(), Witness()
    before = follower(first, store, clock)
    await until(lambda: len(first.seen) == 9 and before.position == 9, clock, before)
    await store.save_cursor("witness", 9)
    await incident(journal, 100)
    await sequenced(store, 10)

    after = follower(second, store, clock)
    await until(lambda: bool(second.seen), clock, after)

    assert first.seen == [event.id for event in events]
    assert len(second.seen) == 1


async def test_a_reader_killed_before_its_cursor_was_saved_sees_the_events_again(journal: Journal, store: Store, clock):
    events = await _events(journal, 4)
    killed = Witness()

    async def dies(batch: Sequence[Recorded]) -> None:
        await killed.handle(batch)
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await Follower(Reader(name="witness", handle=dies), store, clock=clock).run()
    again = Witness()
    await until(lambda: len(again.seen) == 4, clock, follower(again, store, clock))

    assert killed.seen == again.seen == [event.id for event in events]


async def test_a_poisoned_event_is_tried_set_aside_and_counted_and_nobody_waits_for_it(
    journal: Journal, store: Store, clock
):
    events = await _events(journal, 6)
    poison = events[2].id
    sick, healthy = Witness(lambda e: ValueError() if e.id == poison else None), Witness()
    ill, well = follower(sick, store, clock, "sick"), follower(healthy, store, clock, "healthy")

    await until(lambda: events[5].id in sick.seen and len(healthy.seen) == 6, clock, ill, well)

    assert (ill.set_aside, well.set_aside) == (1, 0)
    assert poison not in sick.seen
    assert set(sick.seen) == {event.id for event in events} - {poison}
    assert sick.tried.count(poison) == TRIES + 1  # once with its batch, then alone
    assert healthy.seen == [event.id for event in events]


async def test_a_refusal_is_an_answer_and_is_not_tried_again(journal: Journal, store: Store, clock):
    events = await _events(journal, 3)
    refusing = Witness(lambda e: Refused("no") if e.id == events[1].id else None)
    one = follower(refusing, store, clock)

    await until(lambda: events[2].id in refusing.seen, clock, one)

    assert refusing.tried.count(events[1].id) == 2
    assert one.set_aside == 0


async def test_a_reader_waits_for_what_is_unavailable_and_loses_nothing(journal: Journal, store: Store, clock):
    events = await _events(journal, 3)
    away = iter((True, True, True))
    waiting = Witness(lambda e: Unavailable("away") if e.id == events[1].id and next(away, False) else None)
    one = follower(waiting, store, clock)

    await until(lambda: events[2].id in waiting.seen, clock, one)

    assert set(waiting.seen) == {event.id for event in events}
    assert one.set_aside == 0


async def test_a_reader_that_only_shows_starts_now_and_keeps_no_cursor(journal: Journal, store: Store, clock):
    await _events(journal, 5)
    showing = Witness()
    one = follower(showing, store, clock, from_now=True)
    task = asyncio.create_task(one.run())
    async with asyncio.timeout(60):
        while one.position < 5:
            await asyncio.to_thread(lambda: None)
        stream = await incident(journal, 99)
        while not showing.seen:
            await asyncio.to_thread(lambda: None)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert showing.seen == [(await store.stream(stream))[0].id]
    assert await store.cursor("witness") == 0


async def _deadlines_pass(journal: Journal, clock: ManualClock, done) -> None:
    task = asyncio.create_task(Deadlines(journal).watch())
    async with asyncio.timeout(60):
        while not await done():
            await clock.advance(timedelta(milliseconds=200))
            await at_rest(journal.store)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_deadlines_are_armed_again_by_a_restart(journal: Journal, store: Store, keys, spool, clock):
    stream = await incident(journal)
    await journal.execute(stream, s.join(), actor="provider:embedded")  # it speaks, so nobody calls it
    assert await store.due(epoch_ms(clock.now()), limit=9) == []

    async with Journal(Watched.over(store), keys, spool, clock=clock) as restarted:

        async def alarmed() -> bool:
            return "unanswered" in (await restarted.state(stream)).sought

        await _deadlines_pass(restarted, clock, alarmed)
        state = await restarted.state(stream)

    assert (state.state, state.desks, state.sought) == (State.RINGING, (), ("unanswered",))
    rungs = [e.event.rung for e in await store.stream(stream) if isinstance(e.event, HelpEscalated)]
    assert rungs == ["ring_anyway", "unanswered"]
    assert [name for _, name in await store.due(2**53, limit=9)] == ["on_call", "nobody"]


async def test_a_deadline_that_asks_for_nothing_any_more_is_dropped(journal: Journal, store: Store, clock):
    stream = await incident(journal)
    await journal.execute(stream, s.join(), actor="provider:embedded")  # it speaks, so nobody calls it
    await journal.execute(stream, s.take(), actor="operator:hanako")
    async with store.engine.begin() as connection:
        await connection.exec_driver_sql(f"INSERT INTO deadlines VALUES ('{stream}', 'ring_all', 5)")
        await connection.exec_driver_sql("INSERT INTO deadlines VALUES ('nowhere', 'ring_all', 5)")

    async def dropped() -> bool:
        return await store.due(6, limit=9) == []

    await _deadlines_pass(journal, clock, dropped)

    left = {name for _, name in await store.due(2**53, limit=9)}
    assert left == {"undecided", "no_voice", "place_unknown"}


async def test_a_deadline_set_anew_is_not_dropped_with_the_old_one(journal: Journal, store: Store):
    stream = await incident(journal)
    await journal.execute(stream, s.join(), actor="provider:embedded")  # it speaks, so nobody calls it
    (due,) = await store.due(2**53, limit=9)
    at = epoch_ms(journal.clock.now()) + 2_000

    await store.drop_deadline(*due, due_ms=at - 1)
    assert await store.due(2**53, limit=9) == [(stream, "ring_anyway")]
    await store.drop_deadline(*due, due_ms=at)
    assert await store.due(2**53, limit=9) == []


async def test_a_reader_never_finds_a_state_older_than_the_event_it_is_told_of(
    journal: Journal, store: Store, keys, spool, clock
):
    stream = await incident(journal)
    known = await journal.state(stream)
    behind = Journal(store, keys, spool, clock=clock)  # as another replica, or a writer cut short
    assert await behind.state(stream) == known

    await journal.execute(stream, s.take(), actor="operator:hanako")
    await sequenced(store, known.version + 1)
    newest = (await store.follow(0, limit=100))[-1]

    assert (await behind.state(stream)).version >= newest.n
    assert (await behind.state(stream)).operator == "hanako"
