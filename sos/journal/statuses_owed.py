"""Of which incidents a tenant's cloud has still to be told: a queue that outlives a restart, bounded for each tenant.

A row says which incident, and nothing of it: what is told is read when it is sent, so several changes are one message
and nothing personal waits here.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncEngine

from sos.clock import epoch_ms
from sos.incident.model import IncidentId, TenantId
from sos.journal.connections import begun, in_one_go
from sos.journal.schema import statuses_owed

MOST_OWED = 10_000
"""Of one tenant: many hours of an outage; beyond, the oldest goes, and whoever wants to know asks."""


class Owed(Struct, frozen=True, kw_only=True):
    """One incident whose status is to be told."""

    stream: IncidentId
    tenant: TenantId
    version: int
    """Number of the event that changed the status last."""
    tries: int
    due_ms: int
    since_ms: int
    """When it changed."""


class StatusesOwed:
    def __init__(self, engine: AsyncEngine, *, most: int = MOST_OWED) -> None:
        self._engine = engine
        self._most = most
        self._insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert

    async def owe(self, tenant: TenantId, incident: IncidentId, *, version: int, at: datetime) -> int:
        """``tenant`` is to be told of ``incident``, now; how many of its others were given up for it."""
        now_ms = epoch_ms(at)

        def owed(connection: Connection) -> int:
            row = Owed(stream=incident, tenant=tenant, version=version, tries=0, due_ms=now_ms, since_ms=now_ms)
            insert = self._insert(statuses_owed).values(**{name: getattr(row, name) for name in Owed.__struct_fields__})
            newer = statuses_owed.c.version < version  # an event that comes again after a crash is no news
            fresh = {"version": version, "tries": 0, "due_ms": now_ms, "since_ms": now_ms}
            connection.execute(insert.on_conflict_do_update(index_elements=["stream"], set_=fresh, where=newer))
            return self._make_room(connection, tenant)

        return await in_one_go(self._engine, owed)

    async def due(self, tenant: TenantId, *, at: datetime, limit: int) -> Sequence[Owed]:
        """What ``tenant`` is to be told by now: what was never tried first, then the oldest."""
        c = statuses_owed.c
        query = select(statuses_owed).where(c.tenant == tenant, c.due_ms <= epoch_ms(at))
        async with begun(self._engine) as connection:
            rows = await connection.execute(query.order_by(c.tries > 0, c.since_ms).limit(limit))
            return [Owed(**row._mapping) for row in rows]

    async def told(self, owed: Owed) -> None:
        """It arrived; what has changed meanwhile is owed still."""
        async with begun(self._engine) as connection:
            await connection.execute(delete(statuses_owed).where(*_as_it_was(owed)))

    async def failed(self, owed: Owed, *, due: datetime) -> None:
        """It did not arrive, and is tried again when ``due``."""
        later = update(statuses_owed).where(*_as_it_was(owed))
        async with begun(self._engine) as connection:
            await connection.execute(later.values(tries=owed.tries + 1, due_ms=epoch_ms(due)))

    async def waiting(self) -> dict[TenantId, int]:
        """How many each tenant is owed."""
        query = select(statuses_owed.c.tenant, func.count()).group_by(statuses_owed.c.tenant)
        async with begun(self._engine) as connection:
            return {TenantId(tenant): count for tenant, count in await connection.execute(query)}

    async def forget(self, *, but: Collection[TenantId]) -> None:
        """Whoever wants to be told no more is owed nothing."""
        async with begun(self._engine) as connection:
            await connection.execute(delete(statuses_owed).where(statuses_owed.c.tenant.not_in(list(but))))

    def _make_room(self, connection: Connection, tenant: TenantId) -> int:
        c = statuses_owed.c
        count = select(func.count()).select_from(statuses_owed).where(c.tenant == tenant)
        over = int(connection.execute(count).scalar_one()) - self._most
        if over <= 0:
            return 0
        oldest = select(c.stream).where(c.tenant == tenant).order_by(c.since_ms, c.stream).limit(over)
        connection.execute(delete(statuses_owed).where(c.stream.in_(oldest.scalar_subquery())))
        return over


def _as_it_was(owed: Owed) -> tuple[ColumnElement[bool], ...]:
    return statuses_owed.c.stream == owed.stream, statuses_owed.c.version == owed.version
