"""Readers: coroutines that follow the journal, each with its own stored cursor, and answer only with commands.

At least once: the cursor is saved after the work, so after a crash the last events come again and the commands they
lead to are found done.  A reader that fails is tried again, event by event, and never blocks another reader; an event
it cannot handle after several tries is reported and passed over, since the next crash must not wait behind it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import timedelta
from typing import Any

import structlog
from msgspec import Struct

from sos.clock import Clock
from sos.errors import Conflict, Refused, SosError, Unavailable
from sos.incident.commands import PassDeadline
from sos.incident.events import Recorded
from sos.incident.model import IncidentId, new_id
from sos.journal.journal import Journal, epoch_ms
from sos.journal.lanes import Lanes
from sos.journal.store import Store

log = structlog.get_logger()

BATCH = 128
POLL = timedelta(seconds=1)
"""How long news may be missed: events of another process are seen by then."""

SAVE_EVERY = timedelta(milliseconds=250)
"""How much work may be done again after a crash."""

TRIES = 5
LEASE = timedelta(seconds=5)
"""How long a dead replica keeps others waiting."""

Handle = Callable[[Sequence[Recorded]], Awaitable[None]]


class Reader(Struct, frozen=True, kw_only=True):
    name: str
    handle: Handle
    from_now: bool = False
    """Start at the end and store no cursor: for readers that only show what happens."""
    by_incident: bool = False
    """Each incident in a lane of its own (``lanes``): for readers that wait for the world."""


class Follower:
    """Runs one reader until cancelled."""

    def __init__(self, reader: Reader, store: Store, *, clock: Clock) -> None:
        self._reader = reader
        self._store = store
        self._clock = clock
        self._position = 0
        self._saved = 0
        self._saved_at = clock.now()
        self._lanes = Lanes(self._handle_in_lane) if reader.by_incident else None
        self.passed_over = 0
        """Events passed over because they could not be handled: an alarm when it is not zero."""

    @property
    def name(self) -> str:
        return self._reader.name

    @property
    def position(self) -> int:
        """Everything before it is done."""
        oldest = self._lanes.oldest if self._lanes is not None else None
        return self._position if oldest is None else oldest

    async def run(self) -> None:
        self._position = await self._start()
        self._saved = self._position
        try:
            await self._follow()
        finally:
            if self._lanes is not None:
                await self._lanes.stop()

    async def _follow(self) -> None:
        while True:
            try:
                batch = await self._store.follow(self._position, limit=BATCH)
                if batch:
                    await self._take(batch)
                    await self._save()
                    continue
                await self._save(now=True)
                await self._wait()
            except Unavailable:
                await self._clock.wait(POLL)

    async def _take(self, batch: Sequence[Recorded]) -> None:
        if self._lanes is None:
            await self._handle(batch)
            self._position += len(batch)
            return
        for event in batch:
            await self._lanes.put(self._position, event)
            self._position += 1

    async def _start(self) -> int:
        while True:
            try:
                if self._reader.from_now:
                    return (await self._store.tree())[0]
                return await self._store.cursor(self._reader.name)
            except Unavailable:
                await self._clock.wait(POLL)

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(POLL.total_seconds()):
                await self._store.news(self._position)
        except TimeoutError:
            return

    async def _save(self, *, now: bool = False) -> None:
        done = self.position
        if self._reader.from_now or done == self._saved:
            return
        if now or self._clock.now() - self._saved_at >= SAVE_EVERY:
            await self._store.save_cursor(self._reader.name, done)
            self._saved, self._saved_at = done, self._clock.now()

    async def _handle(self, batch: Sequence[Recorded]) -> None:
        try:
            await self._reader.handle(batch)
        except Unavailable:
            raise
        except Exception:  # noqa: BLE001  (the edge of one reader step: ends in a record below)
            for event in batch:
                await self._handle_alone(event)

    async def _handle_in_lane(self, event: Recorded) -> None:
        """Until it is done, or passed over: others of its incident wait for it, and nobody else."""
        while True:
            try:
                await self._handle_alone(event)
                return
            except Unavailable:
                await self._clock.wait(POLL)

    async def _handle_alone(self, event: Recorded) -> None:
        for attempt in range(1, TRIES + 1):
            try:
                await self._reader.handle([event])
                return
            except Refused as refused:
                log.info("reader_refused", reader=self._reader.name, event_id=event.id, reason=str(refused))
                return
            except Unavailable:
                raise
            except Exception as failed:  # the edge of one reader step
                log.exception(
                    "reader_failed",
                    reader=self._reader.name,
                    event_id=event.id,
                    incident=event.incident,
                    attempt=attempt,
                    error=type(failed).__name__,
                )
                await self._clock.wait(timedelta(milliseconds=50 * attempt))
        self.passed_over += 1
        log.error("reader_passed_over", reader=self._reader.name, event_id=event.id, incident=event.incident)


async def under_lease(role: str, work: Callable[[], Coroutine[Any, Any, None]], *, store: Store, clock: Clock) -> None:
    """Do ``work`` while this process alone holds ``role``, for ever.

    For work that must not be done by two replicas at once, such as sending a brief.  A store that is one process's own
    needs no lease, so a restart there waits for none.
    """
    if not store.shared:
        await work()
        return
    holder = new_id()
    while True:
        if await _hold(role, holder, store=store, clock=clock):
            task = asyncio.create_task(work(), name=role)
            try:
                while not task.done() and await _hold(role, holder, store=store, clock=clock):
                    await clock.wait(LEASE / 5)
            finally:
                task.cancel()
                (outcome,) = await asyncio.gather(task, return_exceptions=True)
            if isinstance(outcome, Exception):
                raise outcome
            log.warning("lease_lost", role=role)
        await clock.wait(LEASE / 5)


async def _hold(role: str, holder: str, *, store: Store, clock: Clock) -> bool:
    now = clock.now()
    try:
        return await store.lease(role, holder, now_ms=epoch_ms(now), until_ms=epoch_ms(now + LEASE))
    except Unavailable:
        return False


async def pass_deadlines(journal: Journal, *, every: timedelta = timedelta(milliseconds=200)) -> None:
    """Turn each deadline that has passed into a command, for ever.  A restart re-arms all of them by itself."""
    while True:
        try:
            now = journal.clock.now()
            for incident, name in await journal.store.due(epoch_ms(now), limit=BATCH):
                await _pass_one(journal, incident, name, due_ms=epoch_ms(now))
        except Unavailable as away:
            log.warning("deadlines_wait", reason=str(away))
        await journal.clock.wait(every)


async def _pass_one(journal: Journal, incident: IncidentId, name: str, *, due_ms: int) -> None:
    try:
        done = await journal.execute(incident, PassDeadline(name=name), actor="timer")
    except Unavailable:
        raise
    except Conflict:  # the next round tries again: help is never dropped because of a crowd
        return
    except SosError as refused:
        log.warning("deadline_refused", incident=incident, deadline=name, reason=str(refused))
        await journal.store.drop_deadline(incident, name, due_ms=due_ms)
        return
    if not done.recorded:
        await journal.store.drop_deadline(incident, name, due_ms=due_ms)


async def drain_spool(journal: Journal, *, every: timedelta = POLL) -> None:
    """Bring what waits in the spool into the database as soon as it answers, for ever."""
    while True:
        if journal.spool_oldest is not None:
            try:
                drained = await journal.drain()
                log.info("spool_drained", reports=drained)
            except Unavailable as away:
                log.warning("spool_waits", oldest=str(journal.spool_oldest), reason=str(away))
        await journal.clock.wait(every)
