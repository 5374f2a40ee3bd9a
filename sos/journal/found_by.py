"""The table of what incidents are found by, and the record of every search; the same for SQLite and PostgreSQL.

Digests alone: what they are digests of is for ``sos.console.finding`` to say.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy import Connection, delete, exists, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncEngine

from recording.keys import KeyStore
from sos.clock import Clock, epoch_ms
from sos.incident.events import Draft, IncidentsSearched
from sos.incident.model import IncidentId, TenantId, new_id
from sos.journal.connections import begun, in_one_go
from sos.journal.keyring import Keyring
from sos.journal.losses import Losses
from sos.journal.schema import found_by
from sos.journal.sealing import Sealer, Stamp, milliseconds
from sos.journal.store import QueueRow, Store

AT_ONCE = 500
"""Rows of one transaction: SQLite has one who writes at a time, and reports wait for it."""

STATE = "search"
"""State of the row of a search's stream among the journal's rows: no queue asks for it."""

HOUSE = TenantId("house")
_LEAST_URGENT = 99


class Found(Struct, frozen=True, kw_only=True, gc=False):
    """That an incident is found by ``digest``."""

    digest: bytes
    opened_ms: int
    stream: IncidentId
    category: str
    """Of the data that it is a digest of; empty: of nobody's."""
    tenant: TenantId


class FoundBy:
    """Every method raises ``Unavailable`` when the database does not answer."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert

    async def add(self, found: Iterable[Found]) -> None:
        rows = [asdict(each) for each in dict.fromkeys(found)]
        insert = self._insert(found_by).on_conflict_do_nothing()
        for start in range(0, len(rows), AT_ONCE):
            some = rows[start : start + AT_ONCE]
            await in_one_go(self._engine, lambda connection, some=some: connection.execute(insert, some))  # type: ignore[misc]

    async def forget(self, stream: IncidentId, categories: Sequence[str]) -> None:
        """It is found no more by what was in these categories."""
        gone = delete(found_by).where(found_by.c.stream == stream, found_by.c.category.in_(categories))

        def forget(connection: Connection) -> None:
            connection.execute(gone)

        await in_one_go(self._engine, forget)

    async def find(
        self, digests: Sequence[bytes], *, since_ms: int, until_ms: int, limit: int
    ) -> Sequence[tuple[IncidentId, TenantId]]:
        """Which incidents that were opened then have all of ``digests``, the newest first?

        Each row of the first digest asks for the others by the beginning of the primary key, so the first should be the
        rarest.
        """
        first, *others = digests
        query: Any = (
            select(found_by.c.stream, found_by.c.tenant, found_by.c.opened_ms)
            .where(found_by.c.digest == first, found_by.c.opened_ms >= since_ms, found_by.c.opened_ms < until_ms)
            .distinct()
            .order_by(found_by.c.opened_ms.desc(), found_by.c.stream.desc())
            .limit(limit)
        )
        for digest in others:
            also = found_by.alias()
            same = (
                also.c.digest == digest,
                also.c.opened_ms == found_by.c.opened_ms,
                also.c.stream == found_by.c.stream,
            )
            query = query.where(exists().where(*same))
        async with begun(self._engine) as connection:
            return [(IncidentId(row.stream), TenantId(row.tenant)) for row in await connection.execute(query)]


class SearchRecord:
    """Writes into the journal that somebody has looked for incidents."""

    def __init__(self, store: Store, keys: KeyStore, clock: Clock) -> None:
        self._sealer = Sealer(store, Keyring(keys), Losses())
        self._clock = clock

    async def write(self, searched: IncidentsSearched, *, actor: str) -> None:
        now = milliseconds(self._clock.now())
        stamp = Stamp(stream=IncidentId(new_id()), tenant=HOUSE, follows=0, at=now, actor=actor)
        row = QueueRow(HOUSE, STATE, _LEAST_URGENT, epoch_ms(now), msgspec.json.encode({}))
        await self._sealer.write(stamp, [Draft(event=searched)], row=row)
