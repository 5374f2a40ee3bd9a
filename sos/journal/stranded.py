"""Reports of the spool that the database answers for and cannot take: set aside with their bytes, as readers do it.

Each was acknowledged.  What fails in our own code, and not for want of a database, would hold up all that was spooled
behind it; so after some tries it goes into ``spool.aside``, sealed as in the spool, is named on the list of
``sos journal set-aside`` under ``spool`` (an alarm), and is written when somebody asks for another try and it succeeds.
"""

from collections import Counter
from collections.abc import Awaitable, Callable

import structlog

from sos.clock import Clock, epoch_ms
from sos.errors import Unavailable
from sos.incident.model import EventId
from sos.journal.spool import Spool, Spooled
from sos.journal.store import Aside, Store

log = structlog.get_logger()

TRIES = 5
"""Drains that a report may fail in: a second apart, they outlast a hiccup."""


class Stranded:
    """``write`` brings one report into the database."""

    name = "spool"
    running = True
    """The spool is this process's own: whoever has this object may try."""

    def __init__(
        self, spool: Spool, store: Store, *, clock: Clock, write: Callable[[Spooled], Awaitable[None]]
    ) -> None:
        self._spool = spool
        self._store = store
        self._clock = clock
        self._write = write
        self._tried: Counter[bytes] = Counter()

    async def failed(self, report: Spooled, failed: Exception) -> bool:
        """Note a try; whether ``report`` has been set aside, so that the spool may let go of it."""
        self._tried[report.receipt] += 1
        tries = self._tried[report.receipt]
        log.error("spooled_not_written", incident=report.incident, attempt=tries, exc_info=failed)
        if tries < TRIES:
            return False
        await self._spool.put_aside(report)
        await self._list(report, failed, tries=tries)
        del self._tried[report.receipt]
        return True

    async def try_again(self, aside: Aside) -> None:
        """Write once more what was set aside; it is forgotten when that goes well."""
        for report in await self._spool.aside():
            if report.incident != aside.stream:
                continue
            try:
                await self._write(report)
            except Unavailable:
                await self._store.ask_again(aside.reader, aside.position)
                raise
            except Exception as failed:  # noqa: BLE001  (the edge of one report: ends in a record)
                await self._list(report, failed, tries=aside.tries + 1)
                return
            await self._spool.forget_aside(report.receipt)
        await self._store.forget_aside(aside.reader, aside.position)

    async def _list(self, report: Spooled, failed: Exception, *, tries: int) -> None:
        aside = Aside(
            reader=self.name,
            position=epoch_ms(report.received_at),
            event=EventId(f"{report.incident}/0"),
            stream=report.incident,
            n=0,
            tenant=report.tenant,
            error=type(failed).__name__,
            tries=tries,
            at_ms=epoch_ms(self._clock.now()),
        )
        await self._store.set_aside(aside)
