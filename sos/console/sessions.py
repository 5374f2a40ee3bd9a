"""Log-ins of operators: how long each lasts, who ends it, and that every process of the house knows.

A session ends by its operator (log-out), by an administrator (``sos desk revoke``), when nobody has done anything in
it for a while, and a day after the log-in.  The last two never take somebody out of a call, nor out of a desk that says
it is ready: who rings there is answered within seconds or rings at the next, and with the log-in would go the one who
answers.  An administrator's word ends it at once, and hangs up.

What is known stands in memory; the database is told of it and asked every other second.  While it is away nobody is
shut out: a session that it has not heard of is known by its own digest (``access``).
"""

from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Protocol

import structlog
from msgspec import Struct, field

from sos.clock import Clock, epoch_ms
from sos.console.acd import OWNED
from sos.console.desks import Desks
from sos.errors import Forbidden, SosError, Unavailable
from sos.incident.model import Incident, LegId, OperatorId, Party
from sos.journal.desk_access import ALL, DeskAccess, SessionRow
from sos.journal.journal import Journal

log = structlog.get_logger()

LASTS = timedelta(hours=24)
"""Longer than any shift with its overtime."""

AT_MOST = timedelta(hours=36)
"""Where nothing could end it, such as a call that did not: then it is no session any more."""

IDLE = timedelta(minutes=30)
"""Without a key or a pointer at a desk that is away (ASVS 7.3.1); a break with a coffee is shorter."""

MOST = 12
"""Sessions of one operator: two browsers a shift are usual.  One more ends the one that was idle longest."""

EVERY = timedelta(seconds=2)
KEPT_EVERY = timedelta(seconds=30)
"""How far behind the activity in the database may be."""


class Session(Struct, kw_only=True, eq=False):
    """One log-in."""

    id: str
    operator: OperatorId
    since: datetime
    active_at: datetime
    """When a person last did something in it."""
    ended_at: datetime | None = None
    why: str = ""
    windows: dict[str, Callable[[str], None]] = field(default_factory=dict)
    """Pages that are connected, each told when it ends, with the reason."""
    kept_at: datetime | None = None
    """The activity that the database knows."""

    @property
    def live(self) -> bool:
        return self.ended_at is None

    def worked(self, at: datetime) -> None:
        self.active_at = max(self.active_at, at)

    def row(self) -> SessionRow:
        return SessionRow(
            id=self.id,
            operator=self.operator,
            since_ms=epoch_ms(self.since),
            active_ms=epoch_ms(self.active_at),
            ended_ms=None if self.ended_at is None else epoch_ms(self.ended_at),
            why=self.why,
        )


class Note(Protocol):
    """Writes a line of the access log."""

    def __call__(self, what: str, *, who: str, about: str = "", reason: str = "") -> None: ...


def unnoted(what: str, *, who: str, about: str = "", reason: str = "") -> None:
    """Where nobody keeps an access log."""


class Sessions:
    def __init__(
        self,
        kept: DeskAccess,
        journal: Journal,
        desks: Desks,
        *,
        clock: Clock,
        hang_up: Callable[[LegId], Awaitable[None]],
        idle: timedelta = IDLE,
    ) -> None:
        """``hang_up``: ends the voice of whose session was revoked."""
        self._kept = kept
        self._journal = journal
        self.clock = clock
        self._desks = desks
        self._hang_up = hang_up
        self._idle = idle
        self._opened_at = clock.now()
        self._sessions: dict[str, Session] = {}
        self._over: dict[OperatorId, datetime] = {}
        """Sessions of these operators that began before then are over."""
        self._silenced: list[OperatorId] = []
        """Whose voice is still to be ended."""
        self.note: Note = unnoted

    def begin(self, operator: OperatorId) -> Session:
        """A new log-in."""
        now = self.clock.now()
        others = [each for each in self._sessions.values() if each.operator == operator and each.live]
        if len(others) >= MOST:
            self.end(min(others, key=lambda each: (bool(each.windows), each.active_at)), "too_many")
        session = Session(id=token_hex(16), operator=operator, since=now, active_at=now)
        self._sessions[session.id] = session
        return session

    def known(self, session: str, operator: OperatorId, since: datetime) -> Session:
        """The session that a page shows with a right digest.  ``Forbidden`` when it is over.

        One that nobody here has heard of is one all the same: it was made while the database was away.
        """
        now = self.clock.now()
        account = f"operator:{operator}"
        if now - since > AT_MOST:
            raise Forbidden("this log-in is over; log in again", rule="session-over", account=account)
        found = self._sessions.get(session)
        if found is None:
            found = self._sessions[session] = Session(id=session, operator=operator, since=since, active_at=now)
            self._revoke_older(found)
        if not found.live:
            raise Forbidden("this log-in was ended; log in again", rule="session-ended", account=account)
        return found

    def end(self, session: Session, why: str) -> None:
        """It is over from now on: no page of it gets or says anything more."""
        if not session.live:
            return
        session.ended_at, session.why, session.kept_at = self.clock.now(), why, None
        if why == "revoked":
            self._silenced.append(session.operator)
        if why != "logged_out":  # that one is noted with the request
            self.note("session_ended", who=f"operator:{session.operator}", about=session.id[:8], reason=why)
        for tell in tuple(session.windows.values()):
            tell(why)

    async def in_call(self, operator: OperatorId) -> bool:
        """Whether this operator speaks, or could be heard, in any call."""
        return any(True for _ in _legs(await self._owned(), operator))

    # --- the watch ---

    async def watch(self) -> None:
        """End what is over and tell the database, for ever."""
        while True:
            try:
                await self.look()
            except Unavailable as away:
                log.warning("sessions_wait", reason=str(away))
            await self.clock.wait(EVERY)

    async def look(self) -> None:
        """Once: hear what others ended, end what is over, tell what is new."""
        self._present()
        self._hear(await self._kept.sessions())
        self._revoke_older(*self._sessions.values())
        await self._judge()
        await self._silence()
        await self._tell()

    def _present(self) -> None:
        """Who is ready at a desk of a session is there, whether or not a key is pressed."""
        for session in self._sessions.values():
            desk = self._desks.of(session.operator)
            if session.windows and desk is not None and desk.ready:
                session.worked(self.clock.now())

    def _hear(self, rows: Iterable[SessionRow]) -> None:
        for row in rows:
            if row.id.startswith(ALL):
                self._over[row.operator] = _instant(row.ended_ms or 0)
                continue
            session = self._sessions.get(row.id)
            if session is None:
                self._sessions[row.id] = _session(row)
            elif row.ended_ms is not None:
                self.end(session, row.why)
                session.kept_at = session.active_at
            else:
                session.worked(_instant(row.active_ms))
                session.kept_at = _instant(row.active_ms) if session.live else None

    def _revoke_older(self, *sessions: Session) -> None:
        for session in sessions:
            if session.live and (over := self._over.get(session.operator)) and session.since <= over:
                self.end(session, "revoked")

    async def _judge(self) -> None:
        now = self.clock.now()
        for session in [each for each in self._sessions.values() if each.live]:
            quiet = now - max(session.active_at, self._opened_at)  # who could not be heard is not idle for it
            why = "over" if now - session.since > LASTS else "idle" if quiet > self._idle else ""
            if why and not await self._at_work(session.operator):
                self.end(session, why)

    async def _at_work(self, operator: OperatorId) -> bool:
        """Whether somebody is being helped by this operator; so too when that cannot be known."""
        try:
            owned = await self._owned()
        except SosError:
            return True
        return any(each.operator == operator for each in owned) or any(True for _ in _legs(owned, operator))

    async def _owned(self) -> tuple[Incident, ...]:
        _, owned = await self._journal.queue(limit=10_000, states=OWNED)
        return tuple(owned)

    async def _silence(self) -> None:
        """Whose session was revoked hears no call any more."""
        while self._silenced:
            for leg in [*_legs(await self._owned(), self._silenced[0])]:
                await self._hang_up(leg)
            self._silenced.pop(0)

    async def _tell(self) -> None:
        now = self.clock.now()
        new = [
            each
            for each in self._sessions.values()
            if each.kept_at is None or (each.live and each.active_at - each.kept_at > KEPT_EVERY)
        ]
        told = [(each, each.row()) for each in new]
        await self._kept.keep(row for _, row in told)
        for each, row in told:
            if (each.ended_at is None) is (row.ended_ms is None):  # else it has ended meanwhile, and is told next time
                each.kept_at = _instant(row.active_ms)
        old = now - AT_MOST - LASTS
        for each in [each for each in self._sessions.values() if each.since < old]:
            del self._sessions[each.id]
            await self._kept.forget(epoch_ms(old))


def _legs(incidents: Iterable[Incident], operator: OperatorId) -> Iterable[LegId]:
    """Where this operator is heard."""
    ours = (Party.OPERATOR, Party.SUPERVISOR)
    legs = (leg for incident in incidents for leg in incident.legs)
    return (each.leg for each in legs if each.up and each.party in ours and each.who == operator)


def _instant(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _session(row: SessionRow) -> Session:
    return Session(
        id=row.id,
        operator=row.operator,
        since=_instant(row.since_ms),
        active_at=_instant(row.active_ms),
        ended_at=None if row.ended_ms is None else _instant(row.ended_ms),
        why=row.why,
        kept_at=_instant(row.active_ms),
    )
