"""Readers: coroutines that follow the journal, each with its own stored cursor, and answer only with commands.

At least once: the cursor is saved after the work, so after a crash the last events come again and the commands they
lead to are found done.  What a reader cannot handle is tried several times with growing pauses and then set aside
durably (``asides``), with an alarm and a way to try it again: the reader goes on, since the next crash must not wait
behind it.  Readers ``by_incident`` work on many incidents at once, tenants in turns (``incident_queues``); what
fails there delays its own incident alone.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog
from msgspec import Struct

from sos.clock import Clock, epoch_ms
from sos.errors import Refused, Unavailable
from sos.incident.events import Event, Recorded
from sos.incident.model import EventId, TenantId, new_id
from sos.journal.incident_queues import IncidentQueues, Pause
from sos.journal.journal import Journal
from sos.journal.store import Aside, Store

log = structlog.get_logger()

BATCH = 128
POLL = timedelta(seconds=1)
"""How long news may be missed: events of another process are seen by then."""

SAVE_EVERY = timedelta(seconds=1)
"""How much work may be done again after a crash; a cursor costs a transaction, so no event has one of its own."""

TRIES = 5
PAUSES = tuple(timedelta(milliseconds=each) for each in (100, 300, 900, 2700))
"""Between the tries of one event, where only its own incident waits: four seconds, which outlast a hiccup."""

SHORT_PAUSES = tuple(timedelta(milliseconds=each) for each in (20, 40, 80, 160))
"""The same where every later event waits."""

DISGRACE = timedelta(minutes=1)
"""So long after an event was set aside, others of its tenant get no pauses where everybody would wait for them."""

AT_ONCE = 4
"""Events of one reader under way: they share commits, and a neighbour waits for no more than these of each reader.

A processor that is full does no more with sixteen, and a neighbour's crash then rang three times as late.
"""

DAMAGED = "HeaderDamaged"
"""Error of an event that cannot be read at all: every reader sets it aside at once and goes on."""

LEASE = timedelta(seconds=5)
"""How long a dead replica keeps others waiting."""

Handle = Callable[[Sequence[Recorded]], Awaitable[None]]


class Reader(Struct, frozen=True, kw_only=True):
    name: str
    handle: Handle
    wants: tuple[type[Event], ...] = (Event,)
    """Kinds of events that it is given; of others it knows nothing and they cost it nothing."""
    from_now: bool = False
    """Start at the end and store no cursor: for readers that only show what happens."""
    by_incident: bool = False
    """Each incident in its own queue (``incident_queues``): events come one by one, incidents in no order."""
    at_once: int | None = AT_ONCE
    """Incidents under way at most; None for readers that wait for the world, each incident on its own."""
    instead: Callable[[Recorded], Awaitable[None]] | None = None
    """What is done for an event that cannot be handled, so that its incident goes on."""
    alone: bool = False
    """It acts on the world: of several replicas one runs it, since two would tell an agency twice."""
    within: Callable[[Callable[[], Awaitable[None]]], Coroutine[Any, Any, None]] | None = None
    """What its following runs inside of when it is ``alone``, so that the work it began ends with it."""


class OfIncidents(Protocol):
    """Follows incidents, each for itself."""

    @property
    def WANTS(self) -> tuple[type[Event], ...]: ...

    async def handle(self, batch: Sequence[Recorded]) -> None: ...


def by_incident(name: str, work: OfIncidents, *, at_once: int | None = AT_ONCE, alone: bool = False) -> Reader:
    """The reader that does ``work``; ``at_once`` None: it waits for the world."""
    return Reader(name=name, handle=work.handle, wants=work.WANTS, by_incident=True, at_once=at_once, alone=alone)


class Follower:
    """Runs one reader until cancelled."""

    def __init__(self, reader: Reader, store: Store, *, clock: Clock) -> None:
        self._reader = reader
        self._store = store
        self._clock = clock
        self._position = 0
        self._saved = 0
        self._saved_at = clock.now()
        self._tried: Counter[EventId] = Counter()
        self._failed_at: dict[TenantId, datetime] = {}
        self._queues = (
            IncidentQueues(
                self._handle_in_queue,
                clock=clock,
                at_once=reader.at_once,
                sender_of=store.senders.of,
                place_of=store.places.of,
            )
            if reader.by_incident
            else None
        )
        self.running = False
        self.set_aside = 0
        """Events set aside since the start; what still lies there, of earlier runs too, is for ``Asides`` to say."""

    @property
    def name(self) -> str:
        return self._reader.name

    @property
    def position(self) -> int:
        """Everything before it is done."""
        oldest = self._queues.oldest if self._queues is not None else None
        return self._position if oldest is None else oldest

    async def run(self) -> None:
        self._position = await self._start()
        self._saved = self._position
        self.running = True
        try:
            await self._follow()
        finally:
            self.running = False
            if self._queues is not None:
                await self._queues.stop()

    async def try_again(self, aside: Aside) -> None:
        """Try once more what was set aside: it is forgotten when that goes well, else it stays with the new error."""
        (event,) = await self._store.follow(aside.position, limit=1)
        if event.damaged:
            await self._put_aside(event, DAMAGED, tries=aside.tries + 1)
            return
        try:
            if isinstance(event.event, self._reader.wants):
                await self._reader.handle([event])
        except Refused as refused:
            self._note_refusal(event, refused)
        except Unavailable:
            await self._store.ask_again(aside.reader, aside.position)
            raise
        except Exception as failed:  # noqa: BLE001  (the edge of one reader step: ends in a record)
            await self._give_up(event, failed, tries=aside.tries + 1)
            return
        await self._store.forget_aside(aside.reader, aside.position)

    async def _follow(self) -> None:
        while True:
            try:
                batch = await self._store.follow(self._position, limit=BATCH)
                if batch:
                    await self._take(batch)
                    await self._save()
                    continue
                await self._save()
                await self._wait()
            except Unavailable:
                await self._clock.wait(POLL)

    async def _take(self, batch: Sequence[Recorded]) -> None:
        for event in batch:
            if event.damaged and not self._reader.from_now:
                await self._put_aside(event, DAMAGED, tries=1)
        if self._queues is None:
            wanted = [event for event in batch if self._wanted(event)]
            if wanted:
                await self._handle(wanted)
            self._position += len(batch)
            return
        for event in batch:
            if self._wanted(event):
                await self._queues.put(self._position, event)
            self._position += 1

    def _wanted(self, event: Recorded) -> bool:
        return isinstance(event.event, self._reader.wants) and not event.damaged

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

    async def _save(self) -> None:
        done = self.position
        if self._reader.from_now or done == self._saved:
            return
        if self._clock.now() - self._saved_at >= SAVE_EVERY:
            await self._store.save_cursor(self._reader.name, done)
            self._saved, self._saved_at = done, self._clock.now()

    # --- handling ---

    async def _handle(self, batch: Sequence[Recorded]) -> None:
        try:
            await self._reader.handle(batch)
        except Unavailable:
            raise
        except Exception:  # noqa: BLE001  (the edge of one reader step: ends in a record below)
            for event in batch:
                while (pause := await self._handle_alone(event, self._short_pauses(event.tenant))) is not None:
                    await self._clock.wait(pause)

    def _short_pauses(self, tenant: TenantId) -> Sequence[timedelta]:
        failed_at = self._failed_at.get(tenant)
        disgraced = failed_at is not None and self._clock.now() - failed_at < DISGRACE
        return () if disgraced else SHORT_PAUSES

    async def _handle_in_queue(self, event: Recorded) -> Pause:
        """Until it is done, or set aside: others of its incident wait for it, and nobody else."""
        try:
            return await self._handle_alone(event, PAUSES)
        except Unavailable:
            return POLL

    async def _handle_alone(self, event: Recorded, pauses: Sequence[timedelta]) -> Pause:
        """Handle one event; how long to wait before the next try, None when there is nothing more to do."""
        try:
            await self._reader.handle([event])
        except Refused as refused:
            self._note_refusal(event, refused)
        except Unavailable:
            raise
        except Exception as failed:  # noqa: BLE001  (the edge of one reader step: ends in a record)
            self._tried[event.id] += 1
            tries = self._tried[event.id]
            self._log_failure(event, failed, tries=tries)
            if tries <= len(pauses):
                return pauses[tries - 1]
            await self._give_up(event, failed, tries=tries)
        self._tried.pop(event.id, None)
        return None

    async def _give_up(self, event: Recorded, failed: Exception, *, tries: int) -> None:
        """Set it aside, durably, before the cursor may pass it."""
        if self._reader.instead is not None:
            try:
                await self._reader.instead(event)
            except Unavailable:
                raise
            except Exception as worse:  # noqa: BLE001  (the edge of the last try: ends in a record)
                self._log_failure(event, worse, tries=tries)
        await self._put_aside(event, type(failed).__name__, tries=tries)
        self._failed_at[event.tenant] = self._clock.now()

    async def _put_aside(self, event: Recorded, error: str, *, tries: int) -> None:
        assert event.position is not None
        aside = Aside(
            reader=self._reader.name,
            position=event.position,
            event=event.id,
            stream=event.stream,
            n=event.n,
            tenant=event.tenant,
            error=error,
            tries=tries,
            at_ms=epoch_ms(self._clock.now()),
        )
        await self._store.set_aside(aside)
        self.set_aside += 1
        log.error("reader_set_aside", reader=aside.reader, event_id=event.id, incident=event.incident, tries=tries)

    def _note_refusal(self, event: Recorded, refused: Refused) -> None:
        log.info("reader_refused", reader=self._reader.name, event_id=event.id, reason=str(refused))

    def _log_failure(self, event: Recorded, failed: Exception, *, tries: int) -> None:
        log.error(
            "reader_failed",
            reader=self._reader.name,
            event_id=event.id,
            incident=event.incident,
            attempt=tries,
            error=type(failed).__name__,
            exc_info=failed,
        )


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
