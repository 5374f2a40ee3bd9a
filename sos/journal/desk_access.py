"""The tables of operators' log-ins and of codes that let somebody in once; the same for SQLite and PostgreSQL.

What they mean is for ``sos.console`` to say.  They stand in the database so that what was ended or used is so at every
process of the house, after every restart, and for an administrator's command beside a running service.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy import case, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sos.incident.model import OperatorId
from sos.journal.connections import answering
from sos.journal.schema import desk_codes, desk_sessions

ALL = "*"
"""Begins the id of the row that ends all sessions of an operator so far."""


class SessionRow(Struct, frozen=True, kw_only=True):
    id: str
    operator: OperatorId
    since_ms: int
    active_ms: int
    """When a person last did something in it."""
    ended_ms: int | None = None
    why: str = ""
    """How it ended, in one word."""


class DeskAccess:
    """Every method raises ``Unavailable`` when the database does not answer."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert

    def _connect(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return answering(self._engine, what="the database of log-ins")

    # --- sessions ---

    async def sessions(self) -> Sequence[SessionRow]:
        """Which log-ins are there, ended ones with them, the oldest first?"""
        async with self._connect() as connection:
            rows = await connection.execute(select(desk_sessions).order_by(desk_sessions.c.since_ms))
            return [_session(row) for row in rows]

    async def keep(self, sessions: Iterable[SessionRow]) -> None:
        """As they are known to one process: the latest activity counts, and an end that is known stays."""
        rows = [asdict(each) for each in sessions]
        if not rows:
            return
        insert = self._insert(desk_sessions)
        given, kept = insert.excluded, desk_sessions.c
        upsert = insert.on_conflict_do_update(
            index_elements=["id"],
            set_={
                "active_ms": case((given.active_ms > kept.active_ms, given.active_ms), else_=kept.active_ms),
                "ended_ms": func.coalesce(kept.ended_ms, given.ended_ms),
                "why": case((kept.ended_ms.is_(None), given.why), else_=kept.why),
            },
        )
        async with self._connect() as connection:
            await connection.execute(upsert, rows)

    async def revoke(self, operator: OperatorId, *, now_ms: int) -> int:
        """End all sessions of ``operator``, also those that no database has heard of; how many are known."""
        everything = SessionRow(
            id=f"{ALL}{operator}", operator=operator, since_ms=now_ms, active_ms=now_ms, ended_ms=now_ms, why="revoked"
        )
        insert = self._insert(desk_sessions).values(**asdict(everything))
        newest = {name: getattr(insert.excluded, name) for name in ("since_ms", "active_ms", "ended_ms")}
        of_the_operator = desk_sessions.c.operator == operator
        async with self._connect() as connection:
            await connection.execute(insert.on_conflict_do_update(index_elements=["id"], set_=newest))
            return await _end(connection, of_the_operator, now_ms)

    async def revoke_one(self, session: str, *, now_ms: int) -> int:
        """End one session; how many there are of that id."""
        async with self._connect() as connection:
            return await _end(connection, desk_sessions.c.id == session, now_ms)

    async def forget(self, before_ms: int) -> None:
        """Leave out what began, or could be used, before then only."""
        async with self._connect() as connection:
            await connection.execute(delete(desk_sessions).where(desk_sessions.c.since_ms < before_ms))
            await connection.execute(delete(desk_codes).where(desk_codes.c.until_ms < before_ms))

    # --- codes ---

    async def add_code(self, digest: str, operator: OperatorId, *, until_ms: int) -> None:
        """Who knows what has this digest is ``operator``, once, until then."""
        row = {"digest": digest, "operator": operator, "until_ms": until_ms}
        async with self._connect() as connection:
            await connection.execute(self._insert(desk_codes).values(**row))

    async def code(self, digest: str, *, now_ms: int) -> OperatorId | None:
        """Whose code is this, if it can still be used?"""
        query = select(desk_codes.c.operator).where(*_usable(digest, now_ms))
        async with self._connect() as connection:
            found = (await connection.execute(query)).scalar_one_or_none()
        return None if found is None else OperatorId(found)

    async def use_code(self, digest: str, *, now_ms: int) -> bool:
        """Is this use of the code the first one?  From now on it was."""
        used = update(desk_codes).where(*_usable(digest, now_ms)).values(used_ms=now_ms)
        async with self._connect() as connection:
            return bool((await connection.execute(used)).rowcount)

    async def spend(self, digest: str, operator: OperatorId, *, now_ms: int, until_ms: int) -> bool:
        """Was a code that nobody gave out, but that can be worked out, never shown before?  Now it was."""
        row = {"digest": digest, "operator": operator, "until_ms": until_ms, "used_ms": now_ms}
        insert = self._insert(desk_codes).values(**row).on_conflict_do_nothing()
        async with self._connect() as connection:
            return bool((await connection.execute(insert)).rowcount)


def _usable(digest: str, now_ms: int) -> tuple[Any, ...]:
    return desk_codes.c.digest == digest, desk_codes.c.until_ms > now_ms, desk_codes.c.used_ms.is_(None)


async def _end(connection: AsyncConnection, which: Any, now_ms: int) -> int:
    live = update(desk_sessions).where(which, desk_sessions.c.ended_ms.is_(None))
    return (await connection.execute(live.values(ended_ms=now_ms, why="revoked"))).rowcount


def _session(row: Any) -> SessionRow:
    return SessionRow(
        id=row.id,
        operator=OperatorId(row.operator),
        since_ms=row.since_ms,
        active_ms=row.active_ms,
        ended_ms=row.ended_ms,
        why=row.why,
    )
