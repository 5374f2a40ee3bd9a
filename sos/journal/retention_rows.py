"""The tables of retention: due dates, which can be computed anew at any time, and what is known of the time itself.

Due dates are rows so that a list of what is due is one question, whatever the number of incidents; they are filled from
the journal by ``sos.retention.clerk``.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, delete, func, insert, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncEngine

from routing.categories import Category
from sos.clock import epoch_ms
from sos.incident.model import IncidentId, StreamId, TenantId
from sos.journal.connections import begun, in_one_go
from sos.journal.schema import retention_agreed, retention_clock, retention_due

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class DueRow(Struct, frozen=True, kw_only=True, gc=False):
    """Until when the data of one category of one incident is kept, and by which promise."""

    stream: IncidentId
    category: Category
    tenant: TenantId
    tag: str
    version: str
    started_at: datetime
    due_at: datetime
    held: bool = False


class Waits(Struct, frozen=True, kw_only=True):
    """What is due and not held, and since when the oldest of it is."""

    categories: int
    oldest: datetime | None


class RetentionRows:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._upsert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert

    # --- due dates ---

    async def of(self, stream: StreamId) -> Sequence[DueRow]:
        """Until when is this incident kept?"""
        async with begun(self._engine) as connection:
            rows = await connection.execute(select(retention_due).where(retention_due.c.stream == stream))
            return [_due(row) for row in rows]

    async def replace(self, streams: Sequence[StreamId], rows: Sequence[DueRow]) -> None:
        """These are all the due dates of ``streams`` from now on."""

        def replaced(connection: Connection) -> None:
            connection.execute(delete(retention_due).where(retention_due.c.stream.in_(streams)))
            if rows:
                connection.execute(insert(retention_due), [_row(each) for each in rows])

        await in_one_go(self._engine, replaced)

    async def due(self, now: datetime, *, after: str = "", limit: int) -> Sequence[DueRow]:
        """What is due and not held, of the incidents behind ``after``, in their order?"""
        streams = (
            select(retention_due.c.stream)
            .where(retention_due.c.due_ms <= epoch_ms(now), retention_due.c.held == 0, retention_due.c.stream > after)
            .distinct()
            .order_by(retention_due.c.stream)
            .limit(limit)
        )
        among = retention_due.c.stream.in_(streams)
        query = select(retention_due).where(among, retention_due.c.due_ms <= epoch_ms(now), retention_due.c.held == 0)
        async with begun(self._engine) as connection:
            found = await connection.execute(query.order_by(retention_due.c.stream, retention_due.c.category))
            return [_due(row) for row in found]

    async def waits(self, now: datetime) -> Waits:
        """How much is due, and how late is the oldest?"""
        query = select(func.count(), func.min(retention_due.c.due_ms)).where(
            retention_due.c.due_ms <= epoch_ms(now), retention_due.c.held == 0
        )
        async with begun(self._engine) as connection:
            count, oldest = (await connection.execute(query)).one()
        return Waits(categories=count, oldest=None if oldest is None else _instant(oldest))

    # --- agreements ---

    async def agreed(self, version: str) -> frozenset[str]:
        """Who has agreed to the shorter periods of this version?"""
        query = select(retention_agreed.c.by).where(retention_agreed.c.version == version)
        async with begun(self._engine) as connection:
            return frozenset((await connection.execute(query)).scalars())

    async def agree(self, version: str, by: str) -> None:
        """One person agrees; twice is once."""
        row = self._upsert(retention_agreed).values(version=version, by=by)
        await in_one_go(self._engine, lambda connection: connection.execute(row.on_conflict_do_nothing()))

    # --- the time ---

    async def clock(self) -> tuple[datetime | None, bool]:
        """Which time was believed last, and whether there is a doubt that nobody has settled."""
        async with begun(self._engine) as connection:
            row = (await connection.execute(select(retention_clock))).one_or_none()
        return (None, False) if row is None else (_instant(row.seen_ms), bool(row.doubted))

    async def set_clock(self, seen: datetime | None, *, doubted: bool) -> None:
        """From now on this was believed last."""
        values: dict[str, Any] = {"doubted": int(doubted)} | ({} if seen is None else {"seen_ms": epoch_ms(seen)})
        row = self._upsert(retention_clock).values(id=1, **({"seen_ms": 0} | values))
        upsert = row.on_conflict_do_update(index_elements=["id"], set_=values)
        await in_one_go(self._engine, lambda connection: connection.execute(upsert))

    async def database_time(self) -> datetime:
        """What the database's own clock says."""
        sql = (
            "SELECT EXTRACT(EPOCH FROM clock_timestamp()) * 1000"
            if self._engine.dialect.name == "postgresql"
            else "SELECT (julianday('now') - 2440587.5) * 86400000"
        )
        async with begun(self._engine) as connection:
            return _instant(int((await connection.execute(text(sql))).scalar_one()))


def _due(row: Any) -> DueRow:
    return DueRow(
        stream=IncidentId(row.stream),
        category=Category(row.category),
        tenant=TenantId(row.tenant),
        tag=row.tag,
        version=row.version,
        started_at=_instant(row.started_ms),
        due_at=_instant(row.due_ms),
        held=bool(row.held),
    )


def _row(due: DueRow) -> dict[str, Any]:
    return {
        "stream": due.stream,
        "category": due.category,
        "tenant": due.tenant,
        "tag": due.tag,
        "version": due.version,
        "started_ms": epoch_ms(due.started_at),
        "due_ms": epoch_ms(due.due_at),
        "held": int(due.held),
    }


def _instant(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)
