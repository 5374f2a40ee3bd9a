"""One process leads a journal on PostgreSQL; another waits, warm, and takes over when that one is gone or hangs.

The leader holds an advisory lock on a session of its own and says every half second that its loop turns: it counts up
in its row of ``leases``.  A waiting process sees a dead leader by the lock, which goes with the session, and a hanging
one by a count that stands still; it compares counts, never clocks.

Taking over is safe whatever the other does meanwhile.  First the row names the new leader, then every connection of
the old one is ended, and only then does the new one begin.  A connection that the old one makes afterwards asks the
row first, and is refused (``fence``): so one that was stopped for a minute and goes on writes nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import NamedTuple

import asyncpg
import structlog

from sos.clock import Clock
from sos.errors import Unavailable
from sos.journal.locks import AdvisoryLock

log = structlog.get_logger()

ROLE = "leader"

BEAT = timedelta(milliseconds=500)

GONE = timedelta(milliseconds=1500)
"""Lock free and no beat for so long: its process has died.  One whose session alone was cut beats again by then."""

HANGS = timedelta(seconds=8)
"""Lock held and no beat for so long: it hangs.  Its own watchdog ends it at ten seconds, where there is one."""

ENDED_WITHIN = timedelta(seconds=5)

_FAULTS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)

FENCE = "SELECT holder FROM leases WHERE role = 'leader'"


class Fenced(ConnectionError):
    """Another process leads: this one may not write any more."""


class _Row(NamedTuple):
    holder: str
    beats: int


def named(holder: str) -> str:
    """What the connections of ``holder`` are called on the server."""
    return f"sos {holder}"


class Lead:
    """The leadership of one database, for the process called ``holder``."""

    def __init__(
        self,
        dsn: str,
        holder: str,
        *,
        clock: Clock,
        timeout_s: float = 5.0,
        deposed: asyncio.Event | None = None,
        stands_by: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """``stands_by`` is called again and again while another process holds the lock."""
        self._dsn = dsn
        self._holder = holder
        self._clock = clock
        self._timeout_s = timeout_s
        self._session: asyncpg.Connection | None = None
        self._waits_for: str | None = None
        self._stands_by = stands_by
        self.deposed = deposed or asyncio.Event()
        """Another process has taken over: this one must end at once."""

    async def wait(self) -> None:
        """Return once this process leads; ``Unavailable`` when the database does not answer at the first look."""
        self._session = await self._connected()
        while True:
            try:
                if await self._take_over():
                    return
            except (*_FAULTS, Unavailable) as away:
                log.warning("standby_waits", reason=type(away).__name__)
                await self._clock.wait(BEAT)
                with suppress(Unavailable):
                    self._session = await self._connected()

    async def watch(self) -> None:
        """Say that the loop turns, for ever; set ``deposed`` when another one leads."""
        while not self.deposed.is_set():
            try:
                await self._beat()
            except (*_FAULTS, Unavailable):  # away for everybody, or the session was cut: a new one
                with suppress(Unavailable):
                    self._session = await self._connected()
            await self._clock.wait(BEAT)

    async def close(self) -> None:
        """Let go, so that the next one need not wait."""
        session, self._session = self._session, None
        if session is not None and not session.is_closed():
            with suppress(*_FAULTS):
                gone = "UPDATE leases SET until_ms = -1 WHERE role = $1 AND holder = $2"
                await session.execute(gone, ROLE, self._holder)
            session.terminate()

    # --- becoming ---

    def _say_waiting(self, leader: _Row | None) -> None:
        """Once for each that leads."""
        holder = "" if leader is None else leader.holder
        if self._waits_for != holder:
            self._waits_for = holder
            log.warning("standby", waits_for=holder)

    async def _take_over(self) -> bool:
        """Whether this process leads now; waits as long as the leader is alive."""
        session = await self._live()
        seen, still = await self._row(session), timedelta()
        while True:
            locked = await session.fetchval("SELECT pg_try_advisory_lock($1)", AdvisoryLock.LEADER)
            free = seen is None or seen.beats < 0 or seen.holder == self._holder
            if free or still >= (GONE if locked else HANGS):
                return await self._become(session, seen)
            self._say_waiting(seen)
            if locked:  # the old one may have lost its session only: it must be able to have the lock again
                await session.execute("SELECT pg_advisory_unlock($1)", AdvisoryLock.LEADER)
            elif self._stands_by is not None:
                await self._stands_by()
            await self._clock.wait(BEAT / 2)
            now = await self._row(session)
            seen, still = now, still + BEAT / 2 if now == seen else timedelta()

    async def _become(self, session: asyncpg.Connection, seen: _Row | None) -> bool:
        """Name this process, end the other's connections, hold the lock; False when somebody else was quicker."""
        async with session.transaction():
            await session.execute("SELECT pg_advisory_xact_lock($1)", AdvisoryLock.SUCCESSION)
            now = await self._row(session)
            if now != seen:
                return False
            await session.execute(
                "INSERT INTO leases (role, holder, until_ms) VALUES ($1, $2, 0)"
                " ON CONFLICT (role) DO UPDATE SET holder = excluded.holder, until_ms = 0",
                ROLE,
                self._holder,
            )
        if seen is not None and seen.holder != self._holder:
            await self._end(session, seen.holder)
        await session.execute("SELECT pg_advisory_lock($1)", AdvisoryLock.LEADER)
        log.warning("leads", holder=self._holder, before=seen.holder if seen else "")
        return True

    async def _end(self, session: asyncpg.Connection, holder: str) -> None:
        """End every connection of ``holder``; ``Unavailable`` when one is still there after a while."""
        theirs = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1"
        waited = timedelta()
        while await session.fetchval(theirs, named(holder)):
            if waited >= ENDED_WITHIN:
                raise Unavailable("connections of the leader before cannot be ended")
            await self._clock.wait(BEAT / 10)
            waited += BEAT / 10

    # --- leading ---

    async def _beat(self) -> None:
        session = await self._live()
        beat = "UPDATE leases SET until_ms = until_ms + 1 WHERE role = $1 AND holder = $2"
        if await session.execute(beat, ROLE, self._holder) == "UPDATE 0":
            log.critical("deposed", holder=self._holder)
            self.deposed.set()
            return
        held = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = $1 AND pid = pg_backend_pid()"
        if not await session.fetchval(held, AdvisoryLock.LEADER):
            await session.execute("SELECT pg_try_advisory_lock($1)", AdvisoryLock.LEADER)

    async def _live(self) -> asyncpg.Connection:
        if self._session is None or self._session.is_closed():
            self._session = await self._connected()
        return self._session

    async def _connected(self) -> asyncpg.Connection:
        try:
            return await asyncpg.connect(
                self._dsn,
                timeout=self._timeout_s,
                command_timeout=self._timeout_s,
                server_settings={"application_name": named(self._holder)},
            )
        except _FAULTS as failed:
            raise Unavailable(f"PostgreSQL does not answer ({type(failed).__name__})") from failed

    async def _row(self, session: asyncpg.Connection) -> _Row | None:
        row = await session.fetchrow("SELECT holder, until_ms FROM leases WHERE role = $1", ROLE)
        return _Row(*row) if row else None
