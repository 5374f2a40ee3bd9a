"""What a reader cannot handle lies aside, durably, with an alarm and a way back; everybody else goes on."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from inspect import isawaitable

import pytest

from routing.categories import Category
from sos.clock import ManualClock, SystemClock
from sos.errors import Unavailable
from sos.incident.commands import OpenIncident
from sos.incident.events import IncidentOpened, Recorded, ReportFiled
from sos.incident.model import TenantId
from sos.intake.reader import Filer
from sos.journal.asides import Asides
from sos.journal.journal import Journal
from sos.journal.readers import TRIES, Follower, Reader
from sos.journal.store import Store
from tests.sos.journal.reports import opened, receipt, report, sequenced

_real = SystemClock()


class Sick:
    """A reader that always fails on what is poison to it."""

    def __init__(self) -> None:
        self.poison: set[str] = set()
        self.done: list[str] = []
        self.tried: list[str] = []

    async def handle(self, batch: Sequence[Recorded]) -> None:
        for event in batch:
            self.tried.append(event.id)
            if event.id in self.poison:
                raise ValueError("what nobody may read")
            self.done.append(event.id)


def emptied(store: Store) -> Callable[[], Awaitable[bool]]:
    async def nothing() -> bool:
        return await store.asides(limit=9) == []

    return nothing


async def running(
    work: Sequence[Awaitable[None]], done: Callable[[], bool | Awaitable[bool]], clock: ManualClock
) -> None:
    """Run all of ``work`` until ``done``, while the hours pass."""
    tasks = [asyncio.ensure_future(each) for each in work]
    async with asyncio.timeout(60):
        while not (await said if isawaitable(said := done()) else said):
            await clock.advance(timedelta(milliseconds=50))
            await _real.wait(timedelta(milliseconds=1))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def events(journal: Journal, count: int) -> list[Recorded]:
    await asyncio.gather(*(opened(journal, number) for number in range(count)))
    return await sequenced(journal.store, count)


@pytest.mark.parametrize("by_incident", [False, True], ids=["in the journal's order", "by incident"])
async def test_set_aside_it_outlives_a_restart_and_can_be_done_again(
    journal: Journal, store: Store, clock: ManualClock, by_incident: bool
):
    all_of_it = await events(journal, 4)
    poisoned = all_of_it[1]
    sick = Sick()
    sick.poison = {poisoned.id}
    reader = Reader(name="sick", handle=sick.handle, wants=(IncidentOpened,), by_incident=by_incident)
    first = Follower(reader, store, clock=clock)

    await running([first.run()], lambda: first.position == 4 and first.set_aside == 1, clock)
    await store.save_cursor("sick", 4)

    (aside,) = await store.asides(limit=9)
    assert (aside.reader, aside.position, aside.event, aside.stream) == (
        "sick",
        poisoned.position,
        poisoned.id,
        poisoned.stream,
    )
    assert (aside.error, aside.tries, aside.n) == ("ValueError", TRIES, poisoned.n)
    assert "nobody" not in str(aside)
    assert set(sick.done) == {event.id for event in all_of_it} - {poisoned.id}

    second = Follower(reader, store, clock=clock)  # after a restart
    asides = Asides(store, [second], clock=clock)
    tries = len(sick.tried)
    await running([second.run(), asides.watch()], lambda: asides.waiting == {"sick": 1}, clock)
    assert len(sick.tried) == tries  # nobody asked

    assert await store.ask_again("sick", aside.position)
    third = Follower(reader, store, clock=clock)
    asides = Asides(store, [third], clock=clock)
    await running([third.run(), asides.watch()], lambda: third.set_aside == 1, clock)
    (still,) = await store.asides(limit=9)
    assert (still.tries, still.again) == (TRIES + 1, False)

    sick.poison.clear()
    assert await store.ask_again("sick", aside.position)
    last = Follower(reader, store, clock=clock)
    asides = Asides(store, [last], clock=clock)
    await running([last.run(), asides.watch()], emptied(store), clock)
    assert poisoned.id in sick.done


async def test_of_several_who_would_try_one_gets_it_and_of_what_is_not_there_nobody(
    journal: Journal, store: Store, clock: ManualClock
):
    (event,) = await events(journal, 1)
    sick = Sick()
    sick.poison = {event.id}
    one = Follower(Reader(name="sick", handle=sick.handle, by_incident=True), store, clock=clock)
    await running([one.run()], lambda: one.set_aside == 1, clock)

    assert not await store.ask_again("sick", 99)
    assert await store.ask_again("sick", 0)
    assert [await store.take_again("sick", 0), await store.take_again("sick", 0)] == [True, False]


async def test_what_is_tried_while_the_world_is_away_is_asked_for_again(
    journal: Journal, store: Store, clock: ManualClock
):
    (event,) = await events(journal, 1)
    answers: list[Exception | None] = [*(ValueError() for _ in range(TRIES)), Unavailable("away"), None]

    async def handle(batch: Sequence[Recorded]) -> None:
        if (failed := answers.pop(0)) is not None:
            raise failed

    one = Follower(Reader(name="sick", handle=handle, by_incident=True), store, clock=clock)
    asides = Asides(store, [one], clock=clock)
    task = asyncio.create_task(one.run())
    await running([], lambda: one.set_aside == 1, clock)
    await store.ask_again("sick", 0)
    await running([asides.watch()], emptied(store), clock)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert (answers, event.position) == ([], 0)


async def test_pauses_grow_and_only_the_incident_of_the_poison_waits(
    journal: Journal, store: Store, clock: ManualClock
):
    all_of_it = await events(journal, 6)
    sick = Sick()
    sick.poison = {all_of_it[0].id}
    one = Follower(Reader(name="sick", handle=sick.handle, by_incident=True, at_once=1), store, clock=clock)
    task = asyncio.create_task(one.run())
    async with asyncio.timeout(60):
        while len(sick.done) < 5:  # the clock stands still: nobody waits for it
            await _real.wait(timedelta(milliseconds=1))

    tries = [sick.tried.count(all_of_it[0].id)]
    for seconds in (0.1, 0.3, 0.9, 2.7):
        await clock.advance(timedelta(seconds=seconds - 0.01))
        tries.append(sick.tried.count(all_of_it[0].id))
        await clock.advance(timedelta(seconds=0.01))
        await _real.wait(timedelta(milliseconds=5))
    await running([], lambda: one.set_aside == 1, clock)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert tries == [1, 1, 2, 3, 4]


async def test_many_poisoned_events_of_one_tenant_cost_the_others_one_pause(
    journal: Journal, store: Store, clock: ManualClock
):
    """In a reader of the journal's order everybody waits: for the first of them, not for each."""
    count = 40
    for number in range(count):
        await journal.open(
            report(number), tenant=TenantId("loud"), receipt=receipt(number), received_at=journal.clock.now()
        )
    await opened(journal, count)
    all_of_it = await sequenced(store, count + 1)
    sick = Sick()
    sick.poison = {event.id for event in all_of_it[:-1]}
    one = Follower(Reader(name="sick", handle=sick.handle), store, clock=clock)

    await running([one.run()], lambda: all_of_it[-1].id in sick.done, clock)

    assert one.set_aside == count
    in_the_batch = 1
    assert len(sick.tried) == in_the_batch + TRIES + (count - 1) + 1


class Undecodable(Filer):
    """A filer that has met bytes which its code fails on, until the code is mended."""

    mended = False

    async def handle(self, batch: Sequence[Recorded]) -> None:
        if not self.mended and any(isinstance(each.event, IncidentOpened) for each in batch):
            raise UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed")
        await super().handle(batch)


async def test_a_report_that_cannot_be_filed_makes_an_unreadable_incident_and_is_filed_once_it_can_be(
    journal: Journal, store: Store, clock: ManualClock
):
    stream = (await opened(journal)).incident
    filer = Undecodable(journal)
    reader = Reader(name="filer", handle=filer.handle, by_incident=True, instead=filer.give_up)
    one = Follower(reader, store, clock=clock)
    asides = Asides(store, [one], clock=clock)
    task = asyncio.create_task(one.run())
    await running([], lambda: one.set_aside == 1, clock)

    state = await journal.state(stream)
    assert "unreadable_report" in state.flags
    filed = [each.event for each in await store.stream(stream) if isinstance(each.event, ReportFiled)]
    assert [each.findings for each in filed] == [("not_filed:$",)]
    (raw,) = await journal.unseal(stream, (Category.RAW,))
    assert raw.payload == _command().report  # the bytes are where they were

    filer.mended = True
    await store.ask_again("filer", 0)
    await running([asides.watch()], emptied(store), clock)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    filed = [each.event for each in await store.stream(stream) if isinstance(each.event, ReportFiled)]
    assert len(filed) == 2
    assert filed[1].report_digest == _command().report_digest


def _command() -> OpenIncident:
    return report(0)
