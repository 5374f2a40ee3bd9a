"""Whether the time may be believed.  A clock that jumps must destroy nothing, and a person settles the doubt.

The service looks every hour (``tick``) and knows by a monotonic wait how much time has gone by; a command that comes
between asks what was believed last.  The database's clock has its say each time.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import structlog

from recording.disposal import SKEW, ClockDoubted, believe
from sos.clock import Clock
from sos.journal.retention_rows import RetentionRows

log = structlog.get_logger()


class Clocks:
    def __init__(
        self, rows: RetentionRows, clock: Clock, *, database: Callable[[], Awaitable[datetime]] | None = None
    ) -> None:
        """``database``: what the database's own clock says."""
        self._rows = rows
        self._clock = clock
        self._database = database or rows.database_time

    async def believed(self) -> datetime:
        """The time, which from now on was believed last.  ``ClockDoubted`` says why it may not be."""
        seen, doubted = await self._rows.clock()
        if doubted:
            raise ClockDoubted("the clocks were doubted, and nobody has said since that they are right")
        try:
            now = believe(self._clock.now(), database=await self._database(), seen=seen)
        except ClockDoubted as doubt:
            log.error("clock_doubted", reason=str(doubt))
            await self._rows.set_clock(None, doubted=True)
            raise
        await self._rows.set_clock(now, doubted=False)
        return now

    async def wait(self, duration: timedelta) -> None:
        """Wait so long, and doubt the clock when it says that more or less time has gone by."""
        before = self._clock.now()
        await self._clock.wait(duration)
        if abs(self._clock.now() - before - duration) > SKEW:
            log.error("clock_doubted", reason="it jumped while the service waited")
            await self._rows.set_clock(None, doubted=True)

    async def settle(self) -> datetime:
        """A person has looked at the clocks: the time they show is believed.  The database must still agree."""
        now = self._clock.now()
        believe(now, database=await self._database(), seen=None)
        await self._rows.set_clock(now, doubted=False)
        return now
