"""What the service does by itself, every hour: whether the time may be believed, how late disposals are, and the end of
keys that were retired.  It lists nothing, approves nothing and destroys no incident's data: people do.
"""

from collections.abc import Mapping
from datetime import timedelta

import structlog
from prometheus_client import CollectorRegistry, Gauge

from recording.disposal import ClockDoubted
from recording.errors import RecordingError
from sos.clock import Clock
from sos.errors import Conflict, Unavailable
from sos.incident.events import KeysEnded
from sos.journal.retention_rows import RetentionRows
from sos.retention.clocks import Clocks
from sos.retention.disposals import Disposals
from sos.retention.shredding import Shredding

log = structlog.get_logger()

EVERY = timedelta(hours=1)

LATE = timedelta(days=7)
"""How long what is due may wait for two people before it is an alarm: one round of the week in every desk's roster."""

ACTOR = "system:retention"


class Overseer:
    def __init__(
        self, rows: RetentionRows, clocks: Clocks, disposals: Disposals, shredding: Shredding, *, clock: Clock
    ) -> None:
        self._rows = rows
        self._clocks = clocks
        self._disposals = disposals
        self._shredding = shredding
        self._clock = clock
        self._state = "ok"
        self.figures = CollectorRegistry()
        self._due = Gauge("sos_retention_due", "Categories of incidents due for disposal", registry=self.figures)
        self._lag = Gauge(
            "sos_retention_lag_seconds", "How long the oldest of what is due has waited", registry=self.figures
        )
        self._stopped = Gauge(
            "sos_retention_clock_doubted", "1 while nothing is destroyed for a doubt of the time", registry=self.figures
        )

    def state(self) -> Mapping[str, str]:
        """``down`` while something is late or the time is doubted; as of the last look."""
        return {} if self._state == "ok" else {"retention": "down"}

    async def watch(self) -> None:
        """Look at once and every hour, for ever."""
        while True:
            try:
                await self.look()
                await self._clocks.wait(EVERY)
            except (Unavailable, Conflict, RecordingError, OSError) as failed:
                log.warning("retention_not_looked_at", error=type(failed).__name__)
                await self._clock.wait(EVERY)

    async def look(self) -> None:
        """One round."""
        doubted = await self._doubted()
        waits = await self._rows.waits(self._clock.now())
        lag = timedelta() if waits.oldest is None else self._clock.now() - waits.oldest
        self._due.set(waits.categories)
        self._lag.set(lag.total_seconds())
        self._stopped.set(int(doubted))
        self._state = "late" if doubted or lag > LATE else "ok"
        if lag > LATE:
            log.error("retention_late", due=waits.categories, days=lag.days)
        if not doubted:
            await self.end_keys()

    async def end_keys(self) -> tuple[str, ...]:
        """Destroy what was retired and is empty, and have the journal say so; killed in between, it is said next time.

        The event stands first where nothing could be said afterwards: the names, and never the keys.
        """
        ended = await self._shredding.end()
        if ended:
            await self._disposals.begin(KeysEnded(keks=ended), actor=ACTOR)
        return ended

    async def _doubted(self) -> bool:
        try:
            await self._clocks.believed()
        except ClockDoubted:
            return True
        return False
