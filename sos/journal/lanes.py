"""Incidents beside each other: work that waits for the world in one incident holds up no other one.

Within an incident the order of the journal holds.  What is under way is known here alone, so the cursor of a reader
with lanes may pass no event that is not done: after a crash all that was under way comes again, and whoever acts on the
world asks what it did before it does it again.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from sos.incident.events import Recorded
from sos.incident.model import IncidentId

AHEAD = 1024
"""Events that may be read ahead of the oldest that is not done: so much is done again after a crash, and so many
incidents can wait for the world at once."""


class Lanes:
    """``handle`` takes one event and deals with its own failures."""

    def __init__(self, handle: Callable[[Recorded], Awaitable[None]], *, ahead: int = AHEAD) -> None:
        self._handle = handle
        self._ahead = ahead
        self._lanes: dict[IncidentId, deque[tuple[int, Recorded]]] = {}
        self._undone: dict[int, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._moved = asyncio.Event()

    @property
    def oldest(self) -> int | None:
        """Position of the oldest event that is not done; None when all are."""
        return next(iter(self._undone), None)

    async def put(self, position: int, event: Recorded) -> None:
        """Queue an event behind those of its incident; positions must rise.  Waits while too much is not done."""
        while (oldest := self.oldest) is not None and position - oldest >= self._ahead:
            self._moved.clear()
            await self._moved.wait()
        self._undone[position] = None
        lane = self._lanes.get(event.incident)
        if lane is not None:
            lane.append((position, event))
            return
        self._lanes[event.incident] = deque([(position, event)])
        task = asyncio.create_task(self._run(event.incident), name=f"lane {event.incident}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """End all that is under way and forget it: the reader begins again where its cursor stands."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._lanes.clear()
        self._undone.clear()

    async def _run(self, incident: IncidentId) -> None:
        lane = self._lanes[incident]
        try:
            while lane:
                position, event = lane[0]
                await self._handle(event)
                lane.popleft()
                del self._undone[position]
                self._moved.set()
        finally:
            self._lanes.pop(incident, None)
