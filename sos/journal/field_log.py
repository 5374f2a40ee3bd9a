"""How often reports were odd, and in what: counters by brand, device and finding that outlive a restart.

What was counted and how far is one transaction, so that events that come again after a crash count once.  A brand has a
bounded number of rows: beyond, its devices are counted together, so nobody can fill the table.
"""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import asdict, replace
from sqlalchemy import Connection, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncEngine

from sos.incident.model import TenantId
from sos.journal.connections import begun, in_one_go
from sos.journal.schema import cursors, field_log

COUNTED = "field-log:counted"
"""Cursor of what is in the counters."""

MOST_ROWS = 500
"""Of one brand: some ten firmwares with what each is likely to do wrong."""

TOGETHER = "*"
"""Model, firmware and field of what is counted beyond ``MOST_ROWS``."""

_KEY = ("tenant", "format", "model", "firmware", "code", "field", "year")


class Oddity(Struct, frozen=True, kw_only=True):
    """One thing that is odd about the reports of one kind of device."""

    tenant: TenantId
    format: str
    """Media type of the report."""
    model: str
    """Of the device, or of the vehicle; empty when not stated."""
    firmware: str
    code: str
    """Of the finding."""
    field: str
    """Where in the report, as a path of names."""
    year: str
    """Of an impossible time, as sent; else empty."""
    reports: int = 1
    first_ms: int
    last_ms: int


class FieldLogTable:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert

    async def count(self, found: Sequence[tuple[int, Oddity]], *, through: int) -> None:
        """Add what was found at each position, unless it is counted already; everything before ``through`` now is."""

        def counted(connection: Connection) -> None:
            known = select(cursors.c.position).where(cursors.c.reader == COUNTED)
            done = int(connection.execute(known).scalar_one_or_none() or 0)
            if through <= done:
                return
            for position, oddity in found:
                if position >= done:
                    self._add(connection, oddity)
            mark = self._insert(cursors).values(reader=COUNTED, position=through)
            connection.execute(mark.on_conflict_do_update(index_elements=["reader"], set_={"position": through}))

        await in_one_go(self._engine, counted)

    async def of(self, tenant: TenantId | None) -> Sequence[Oddity]:
        """What was odd about a brand's reports, or everybody's; the most frequent first."""
        query = select(field_log).order_by(field_log.c.reports.desc(), *(field_log.c[name] for name in _KEY))
        if tenant is not None:
            query = query.where(field_log.c.tenant == tenant)
        async with begun(self._engine) as connection:
            return [Oddity(**row._mapping) for row in await connection.execute(query)]

    def _add(self, connection: Connection, oddity: Oddity) -> None:
        """In a row of its own, or in the common one when the brand has too many."""
        same = (field_log.c[name] == getattr(oddity, name) for name in _KEY)
        known = select(func.count()).select_from(field_log)
        if not connection.execute(known.where(*same)).scalar_one():
            rows = connection.execute(known.where(field_log.c.tenant == oddity.tenant)).scalar_one()
            if rows >= MOST_ROWS:
                oddity = replace(oddity, format="", model=TOGETHER, firmware=TOGETHER, field=TOGETHER, year="")
        insert = self._insert(field_log).values(**asdict(oddity))
        more = {"reports": field_log.c.reports + oddity.reports, "last_ms": oddity.last_ms}
        connection.execute(insert.on_conflict_do_update(index_elements=list(_KEY), set_=more))
