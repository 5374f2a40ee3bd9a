"""The table of whom and what is where: keyed digests of names and numbers, and the streams they were read from.

Filled from the journal by ``sos.rights.indexer``; it holds nobody's data and can be made anew at any time.
"""

from collections.abc import Collection, Sequence

from msgspec import Struct
from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncEngine

from routing.categories import Category
from sos.incident.model import IncidentId, StreamId, TenantId
from sos.journal.connections import begun, in_one_go
from sos.journal.schema import subject_keys


class SubjectRow(Struct, frozen=True, kw_only=True, gc=False):
    """One name or number that was read in one stream."""

    digest: bytes
    stream: StreamId
    category: str
    """Whose destruction takes the row along; ``HEADER`` where it was read from a header, which stays."""
    scheme: str
    """``vehicle``, ``tel``, ``name`` or ``holder``."""
    kind: str
    """Of the stream: ``incident``, ``vehicle``, ``subscriber`` or ``request``."""
    tenant: TenantId


HEADER = "header"

ERASURE = "erasure"
"""Scheme of rows that say that a person wants a category of an incident gone; ``stream`` is the request."""


def erasure_of(incident: StreamId) -> bytes:
    return f"{ERASURE}:{incident}".encode()


class Gone(Struct, frozen=True, kw_only=True, gc=False):
    """Categories of a stream that were destroyed."""

    stream: StreamId
    categories: tuple[Category, ...]


class SubjectRows:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert

    async def take(self, changes: Sequence[SubjectRow | Gone]) -> None:
        """Put rows in and take away what was destroyed, in this order; again is the same."""
        if changes:
            await in_one_go(self._engine, lambda connection: self._take(connection, changes))

    def _take(self, connection: Connection, changes: Sequence[SubjectRow | Gone]) -> None:
        for each in changes:
            if isinstance(each, Gone):
                of = subject_keys.c.stream == each.stream
                connection.execute(delete(subject_keys).where(of, subject_keys.c.category.in_(each.categories)))
                continue
            row = {name: getattr(each, name) for name in each.__struct_fields__}
            connection.execute(self._insert(subject_keys).values(row).on_conflict_do_nothing())

    async def clear(self) -> None:
        """Forget all of it, to be filled anew."""
        await in_one_go(self._engine, lambda connection: connection.execute(delete(subject_keys)))

    async def where(self, digests: Collection[bytes]) -> Sequence[SubjectRow]:
        """In which streams was any of these read?"""
        if not digests:
            return ()
        query = select(subject_keys).where(subject_keys.c.digest.in_(sorted(digests)))
        async with begun(self._engine) as connection:
            return [_row(row) for row in await connection.execute(query.order_by(subject_keys.c.stream))]

    async def erasures(self, incident: IncidentId) -> frozenset[Category]:
        """What of ``incident`` does a person want erased?"""
        query = select(subject_keys.c.category).where(
            subject_keys.c.digest == erasure_of(incident), subject_keys.c.scheme == ERASURE
        )
        async with begun(self._engine) as connection:
            return frozenset(Category(category) for category in (await connection.execute(query)).scalars())


def _row(row: object) -> SubjectRow:
    told = {name: getattr(row, name) for name in SubjectRow.__struct_fields__}
    return SubjectRow(**(told | {"digest": bytes(told["digest"])}))
