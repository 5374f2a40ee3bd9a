"""Incidents beside each other: what waits, fails or floods in one of them holds up no other one.

Within an incident the order of the journal holds; between incidents tenants take turns, and a tenant's vehicles
(``turns``), so a tenant with a thousand crashes delays another one's by the few that are under way, and a vehicle that
reports a thousand delays no other of its tenant.  What is under way is known here alone, so the cursor of a reader
with queues may pass no event that is not done: after a crash everything from the oldest that was
under way comes again, and whoever acts on the world asks what it did before it does it again.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Hashable
from datetime import timedelta

from msgspec import Struct

from sos.clock import Clock
from sos.incident.events import Recorded
from sos.incident.model import IncidentId, TenantId
from sos.journal.turns import Turns

AHEAD = 32_768
"""Events that may be held undone: 30 MB when all readers hold the same ones, and a flood of an hour."""

Pause = timedelta | None
"""How long an incident rests before its event is tried again; None when the event is done."""


class _Queue(Struct, kw_only=True):
    incident: IncidentId
    tenant: TenantId
    events: deque[tuple[int, Recorded]]


class IncidentQueues:
    """``handle`` takes one event and deals with its own failures."""

    def __init__(
        self,
        handle: Callable[[Recorded], Awaitable[Pause]],
        *,
        clock: Clock,
        at_once: int | None = None,
        ahead: int = AHEAD,
        sender_of: Callable[[IncidentId], Hashable] = lambda incident: incident,
        place_of: Callable[[IncidentId], Hashable] = lambda _: None,
    ) -> None:
        """``sender_of``: the vehicle of an incident, of which a tenant's take turns; ``place_of``: where it waits
        inside a mass event in force, else None.

        ``at_once``: events under way at most, of which one tenant has three quarters; None: all that can be.

        An incident that rests until its next try is not under way.
        """
        self._handle = handle
        self._sender_of = sender_of
        self._place_of = place_of
        self._clock = clock
        self._at_once = at_once
        self._share = None if at_once is None else max(1, at_once * 3 // 4)
        self._ahead = ahead
        self._queues: dict[IncidentId, _Queue] = {}
        self._turns: Turns[_Queue] = Turns()
        self._busy: Counter[Hashable] = Counter()
        self._undone: dict[int, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._moved = asyncio.Event()

    @property
    def oldest(self) -> int | None:
        """Position of the oldest event that is not done; None when all are."""
        return next(iter(self._undone), None)

    async def put(self, position: int, event: Recorded) -> None:
        """Queue an event behind those of its incident; positions must rise.  Waits while too much is not done."""
        while len(self._undone) >= self._ahead:
            self._moved.clear()
            await self._moved.wait()
        self._undone[position] = None
        queue = self._queues.get(event.incident)
        if queue is not None:
            queue.events.append((position, event))
            return
        queue = _Queue(incident=event.incident, tenant=event.tenant, events=deque([(position, event)]))
        self._queues[event.incident] = queue
        self._wait(queue)
        self._begin()

    def _wait(self, queue: _Queue) -> None:
        incident = queue.incident
        self._turns.put(queue.tenant, queue, of=self._sender_of(incident), place=self._place_of(incident))

    async def stop(self) -> None:
        """End all that is under way and forget it: the reader begins again where its cursor stands."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._queues.clear()
        self._turns = Turns()
        self._busy.clear()
        self._undone.clear()

    def _begin(self) -> None:
        """Let those run whose turn it is, as many as there is room for."""
        while self._at_once is None or self._busy.total() < self._at_once:
            full = [tenant for tenant, busy in self._busy.items() if self._share is not None and busy >= self._share]
            taken = self._turns.take_turn(but=full)
            if taken is None:
                return
            whose, queue = taken
            self._busy[whose] += 1
            task = asyncio.create_task(self._run(queue, whose), name=f"queue {queue.incident}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, queue: _Queue, whose: Hashable) -> None:
        """In the turn of ``whose``."""
        position, event = queue.events[0]
        try:
            pause = await self._handle(event)
        finally:
            self._busy[whose] -= 1
        if pause is not None:
            self._begin()
            await self._clock.wait(pause)
        else:
            queue.events.popleft()
            del self._undone[position]
            self._moved.set()
        if queue.events:
            self._wait(queue)
        else:
            del self._queues[queue.incident]
        self._begin()
