"""The clock that is passed in: for reading the time and for waiting.  Order is the sequence; clocks are for display.

``SystemClock`` is the only place that reads the machine's time.  ``ManualClock`` moves when a test says so.
"""

import asyncio
import heapq
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The present instant: aware, UTC."""
        ...

    async def wait(self, duration: timedelta) -> None:
        """Return after ``duration``; monotonic, so a changed wall clock neither shortens nor prolongs it."""
        ...


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    async def wait(self, duration: timedelta) -> None:
        await asyncio.sleep(max(0.0, duration.total_seconds()))


class ManualClock:
    """A clock that stands still until ``advance`` moves it and wakes those whose time has come, in order."""

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError("ManualClock needs an aware instant")
        self._now = start
        self._waiting: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._ticket = count()

    def now(self) -> datetime:
        return self._now

    async def wait(self, duration: timedelta) -> None:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (self._now + duration, next(self._ticket), woken))
        await woken

    async def advance(self, duration: timedelta) -> None:
        """Move forward by ``duration``, waking each waiter at its own instant and letting it run."""
        target = self._now + duration
        while self._waiting and self._waiting[0][0] <= target:
            due, _, woken = heapq.heappop(self._waiting)
            self._now = max(self._now, due)
            if not woken.done():
                woken.set_result(None)
            await _let_others_run()
        self._now = target
        await _let_others_run()

    async def jump(self, duration: timedelta) -> None:
        """Move forward at once, as when a machine slept: whoever's time has come is woken late, and once."""
        self._now += duration
        late = [heapq.heappop(self._waiting) for _ in range(sum(due <= self._now for due, _, _ in self._waiting))]
        for _, _, woken in late:
            if not woken.done():
                woken.set_result(None)
        await _let_others_run()


async def _let_others_run() -> None:
    for _ in range(8):
        await asyncio.sleep(0)


def epoch_ms(instant: datetime) -> int:
    """``instant`` as whole milliseconds since 1970."""
    return round(instant.timestamp() * 1000)


def timestamp(instant: datetime) -> str:
    """``instant`` as RFC 3339 in UTC with milliseconds and ``Z``, the one form used in leaves and on the wire."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_timestamp(text: str) -> datetime:
    """The aware instant of an RFC 3339 text written by ``timestamp``; ``ValueError`` when it has no offset."""
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("timestamp without offset")
    return instant
