"""What doors have kept that are no more: the service takes it from their disks itself, whether or not another comes.

A door that lives holds the lock of its directory and hands over by itself; one that starts meanwhile takes another
number.
"""

from datetime import timedelta
from pathlib import Path

import structlog

from sos.clock import Clock
from sos.errors import Unavailable
from sos.intake.writer import Writer
from sos.journal.sole import Sole
from sos.journal.spool import Spool

log = structlog.get_logger()

DOORS = "doors"
"""Directory in ``data_dir`` with one for each door."""

EVERY = timedelta(seconds=2)


class LeftBehind:
    def __init__(self, data: Path, key: bytes, writer: Writer, clock: Clock) -> None:
        """``key`` of the spools."""
        self._doors = data / DOORS
        self._key = key
        self._writer = writer
        self._clock = clock

    async def watch(self) -> None:
        """Look at once and every two seconds, for ever."""
        while True:
            try:
                await self.look()
            except (Unavailable, OSError) as failed:
                log.warning("left_behind_not_taken", error=type(failed).__name__)
            await self._clock.wait(EVERY)

    async def look(self) -> None:
        """Take what lies in directories without a door.  ``Unavailable`` when it can be kept nowhere here."""
        left = 0
        for spool in sorted(self._doors.glob("*/spool")):
            if not spool.stat().st_size:
                continue
            sole = Sole(spool.parent)
            if not sole.take():
                continue
            try:
                left += await self._take(Spool(spool.parent, self._key))
            finally:
                sole.release()
        self._writer.left_behind(left)

    async def _take(self, spool: Spool) -> int:
        """How many are still there: of tenants that nobody here knows."""
        await spool.open()
        there = {each.receipt for each in await spool.waiting() if await self._writer.keep(each)}
        if there:
            log.warning("left_behind_taken", reports=len(there))
            await spool.drop(there)
        return len(spool)
