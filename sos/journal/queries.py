"""The questions asked of the journal's tables, in SQLAlchemy Core; the same for SQLite and PostgreSQL.

Single statements run in autocommit.  Driver faults become ``Unavailable`` here and nowhere else.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from msgspec.structs import asdict
from sqlalchemy import Update, case, delete, func, null, or_, select, text, union_all, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from recording.ledger import HASH_BYTES
from routing.categories import Category
from sos.errors import Unavailable
from sos.incident.codec import read_row
from sos.incident.events import Recorded
from sos.incident.model import EventId, IncidentId, StreamId, TenantId
from sos.journal.connections import opened
from sos.journal.schema import (
    cursors,
    data_keys,
    deadlines,
    events,
    incidents,
    incoming,
    key_names,
    leases,
    parts,
    receipts,
    set_aside,
    tree,
)
from sos.journal.senders import Senders
from sos.journal.store import PRACTICE, Aside, KeyRow, See, Sequenced, Stored

_VEHICLE = case((incidents.c.sender == "", incidents.c.id), else_=incidents.c.sender)
"""Whose incident it is within its tenant; one that nobody knows is a vehicle of its own."""

OVERTAKES = 4
"""So many calls of another tenant a pressed button may overtake for each step that theirs is more urgent."""


class Queries:
    """Reading, and the few small writes that need no group commit."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self.senders = Senders()
        self._see: list[See] = []
        self._dialect_insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with opened(self._engine) as connection:
                yield connection
        except (SQLAlchemyError, OSError) as failed:
            raise Unavailable(f"the journal's database does not answer ({type(failed).__name__})") from failed

    def on_follow(self, see: See) -> None:
        """Call ``see`` with events before any follower gets them."""
        self._see.append(see)

    def _seen(self, events: Sequence[Recorded]) -> Sequence[Recorded]:
        for see in self._see:
            see(events)
        return events

    async def ping(self) -> None:
        """Does the database answer?"""
        async with self._connect() as connection:
            await connection.execute(text("SELECT 1"))

    async def positioned(self, after: int, *, limit: int) -> Sequence[Recorded]:
        """What happened from position ``after`` on?  An event that cannot be read is ``damaged``."""
        query = (
            select(events.c.position, events.c.stream, events.c.n, events.c.header)
            .where(events.c.position >= after)
            .order_by(events.c.position)
            .limit(limit)
        )
        async with self._connect() as connection:
            rows = await connection.execute(query)
            return [read_row(row.stream, row.n, row.header, position=row.position) for row in rows]

    async def leaves(self, first: int, *, limit: int) -> Sequence[Sequenced]:
        """Which header bytes stand at which position?"""
        query = (
            select(events.c.position, events.c.header)
            .where(events.c.position >= first)
            .order_by(events.c.position)
            .limit(limit)
        )
        async with self._connect() as connection:
            return [Sequenced(row.position, row.header) for row in await connection.execute(query)]

    async def stream(self, stream: StreamId) -> Sequence[Recorded]:
        """What happened to this incident?  What cannot be read is left out: the number of an event shows the gap."""
        placed = select(events.c.position, events.c.header, events.c.n).where(events.c.stream == stream)
        waiting = select(null(), incoming.c.header, incoming.c.n).where(incoming.c.stream == stream)
        query = union_all(placed, waiting).order_by("n")
        async with self._connect() as connection:
            rows = await connection.execute(query)
            read = [read_row(stream, row.n, row.header, position=row.position) for row in rows]
        return [recorded for recorded in read if not recorded.damaged]

    async def stream_of(self, receipt: bytes) -> StreamId | None:
        """Which incident did this receipt open?"""
        query = select(receipts.c.stream).where(receipts.c.receipt == receipt)
        async with self._connect() as connection:
            found = (await connection.execute(query)).scalar_one_or_none()
        return None if found is None else IncidentId(found)

    async def load(self, stream: StreamId) -> Stored | None:
        """What is the state of this incident?"""
        query = select(incidents.c.version, incidents.c.snapshot).where(incidents.c.id == stream)
        async with self._connect() as connection:
            row = (await connection.execute(query)).one_or_none()
        return Stored(row.version, row.snapshot) if row else None

    async def parts(self, stream: StreamId, *, first: int, last: int) -> Mapping[tuple[int, Category], bytes]:
        """Which sealed parts belong to these events of the incident?"""
        query = select(parts.c.n, parts.c.category, parts.c.sealed).where(
            parts.c.stream == stream, parts.c.n.between(first, last)
        )
        async with self._connect() as connection:
            return {(row.n, Category(row.category)): row.sealed for row in await connection.execute(query)}

    async def keys(self, stream: StreamId) -> Sequence[KeyRow]:
        """Under which wrapped keys are the parts of this incident sealed?"""
        columns = (data_keys.c.category, data_keys.c.kek, data_keys.c.wrapped, data_keys.c.first)
        query = select(*columns).where(data_keys.c.stream == stream)
        async with self._connect() as connection:
            return [KeyRow(Category(r.category), r.kek, r.wrapped, r.first) for r in await connection.execute(query)]

    async def key_names(self) -> Mapping[str, str]:
        """On which keys does something depend, and with which check values?"""
        async with self._connect() as connection:
            rows = await connection.execute(select(key_names.c.name, key_names.c.check_value))
            return {row.name: row.check_value for row in rows}

    async def note_keys(self, names: Mapping[str, str]) -> None:
        """From now on something may depend on these; a check value that is known already stays."""
        if not names:
            return
        rows = [{"name": name, "check_value": value} for name, value in sorted(names.items())]
        insert = self._dialect_insert(key_names)
        upsert = insert.on_conflict_do_update(
            index_elements=["name"],
            set_={"check_value": insert.excluded.check_value},
            where=key_names.c.check_value == "",
        )
        async with self._connect() as connection:
            await connection.execute(upsert, rows)

    async def keks_in_use(self) -> frozenset[str]:
        """Under which key-encryption keys is any data key wrapped?  Looks through all of them."""
        async with self._connect() as connection:
            return frozenset((await connection.execute(select(data_keys.c.kek).distinct())).scalars())

    async def due(self, now_ms: int, *, limit: int) -> Sequence[tuple[IncidentId, str]]:
        """Which deadlines have passed?  The oldest of each tenant first, then the second of each; within a tenant its
        vehicles take turns in the same way."""
        of_it = func.row_number().over(partition_by=(incidents.c.tenant, _VEHICLE), order_by=deadlines.c.due_ms)
        passed = (
            select(deadlines.c.stream, deadlines.c.name, deadlines.c.due_ms, incidents.c.tenant, of_it.label("of_it"))
            .join_from(deadlines, incidents, incidents.c.id == deadlines.c.stream, isouter=True)
            .where(deadlines.c.due_ms <= now_ms)
            .subquery()
        )
        turn = func.row_number().over(partition_by=passed.c.tenant, order_by=(passed.c.of_it, passed.c.due_ms))
        query = select(passed.c.stream, passed.c.name).order_by(turn, passed.c.due_ms).limit(limit)
        async with self._connect() as connection:
            return [(IncidentId(row.stream), row.name) for row in await connection.execute(query)]

    async def waiting(self, prefix: str, *, limit: int) -> Sequence[tuple[IncidentId, str, int]]:
        """Which deadlines have names that begin so?  The first due first, with the instant in milliseconds."""
        query = (
            select(deadlines.c.stream, deadlines.c.name, deadlines.c.due_ms)
            .where(deadlines.c.name.startswith(prefix, autoescape=True))
            .order_by(deadlines.c.due_ms)
            .limit(limit)
        )
        async with self._connect() as connection:
            return [(IncidentId(row.stream), row.name, row.due_ms) for row in await connection.execute(query)]

    async def drop_deadline(self, stream: StreamId, name: str, *, due_ms: int) -> None:
        """This one asks for nothing any more; unless it has been set anew meanwhile, to later than ``due_ms``."""
        gone = delete(deadlines).where(
            deadlines.c.stream == stream, deadlines.c.name == name, deadlines.c.due_ms <= due_ms
        )
        async with self._connect() as connection:
            await connection.execute(gone)

    async def cursor(self, reader: str) -> int:
        """How far has this reader come?"""
        query = select(cursors.c.position).where(cursors.c.reader == reader)
        async with self._connect() as connection:
            return int((await connection.execute(query)).scalar_one_or_none() or 0)

    async def save_cursor(self, reader: str, position: int) -> None:
        """This reader has handled everything before ``position``."""
        insert = self._dialect_insert(cursors).values(reader=reader, position=position)
        upsert = insert.on_conflict_do_update(index_elements=["reader"], set_={"position": position})
        async with self._connect() as connection:
            await connection.execute(upsert)

    async def set_aside(self, aside: Aside) -> None:
        """Which event can this reader not handle?"""
        row = asdict(aside) | {"again": int(aside.again)}
        key = ("reader", "position")
        changed = {name: value for name, value in row.items() if name not in key}
        upsert = self._dialect_insert(set_aside).values(**row).on_conflict_do_update(index_elements=key, set_=changed)
        async with self._connect() as connection:
            await connection.execute(upsert)

    async def asides(self, *, limit: int) -> Sequence[Aside]:
        """What could readers not handle?"""
        query = select(set_aside).order_by(set_aside.c.position, set_aside.c.reader).limit(limit)
        async with self._connect() as connection:
            return [_aside(row) for row in await connection.execute(query)]

    async def ask_again(self, reader: str, position: int) -> bool:
        """Is there such a one, and shall it be tried again?"""
        return await self._mark(_asked(reader, position).values(again=1))

    async def take_again(self, reader: str, position: int) -> bool:
        """Is this try still to be made?"""
        return await self._mark(_asked(reader, position).where(set_aside.c.again == 1).values(again=0))

    async def _mark(self, statement: Update) -> bool:
        async with self._connect() as connection:
            return bool((await connection.execute(statement)).rowcount)

    async def forget_aside(self, reader: str, position: int) -> None:
        """This one has been handled after all."""
        gone = delete(set_aside).where(set_aside.c.reader == reader, set_aside.c.position == position)
        async with self._connect() as connection:
            await connection.execute(gone)

    async def lease(self, role: str, holder: str, *, now_ms: int, until_ms: int) -> bool:
        """May this process act in the role until then?  Free, expired or already its own."""
        insert = self._dialect_insert(leases).values(role=role, holder=holder, until_ms=until_ms)
        upsert = insert.on_conflict_do_update(
            index_elements=["role"],
            set_={"holder": holder, "until_ms": until_ms},
            where=or_(leases.c.holder == holder, leases.c.until_ms < now_ms),
        )
        async with self._connect() as connection:
            return bool((await connection.execute(upsert)).rowcount)

    async def queue(self, *, limit: int, states: Sequence[str]) -> tuple[int, Sequence[tuple[IncidentId, bytes]]]:
        """Which incidents are in these states, the most urgent first?

        Tenants take turns: the second crash of one waits behind the first of another, and each step of urgency is
        worth ``OVERTAKES`` turns.  Within a tenant its vehicles take turns in the same way: the hundredth crash that
        one reports stands before no other's.  What is a test or a drill stands behind all that is live.
        """
        among = incidents.c.state.in_(states)
        of_it = func.row_number().over(
            partition_by=(incidents.c.tenant, _VEHICLE), order_by=(incidents.c.priority, incidents.c.opened_ms)
        )
        known = (incidents.c.id, incidents.c.tenant, incidents.c.snapshot, incidents.c.priority, incidents.c.opened_ms)
        nth = select(*known, of_it.label("nth")).where(among).subquery()
        turn = func.row_number().over(partition_by=nth.c.tenant, order_by=(nth.c.nth, nth.c.priority, nth.c.opened_ms))
        ranked = select(
            nth.c.id, nth.c.snapshot, nth.c.priority, nth.c.opened_ms, (turn + OVERTAKES * nth.c.priority).label("rank")
        ).subquery()
        practice = ranked.c.priority >= PRACTICE
        query = select(ranked.c.id, ranked.c.snapshot)
        query = query.order_by(practice, ranked.c.rank, ranked.c.priority, ranked.c.opened_ms)
        async with self._connect() as connection:
            total = (await connection.execute(select(func.count()).select_from(incidents).where(among))).scalar_one()
            rows = await connection.execute(query.limit(limit))
            return total, [(IncidentId(row.id), row.snapshot) for row in rows]

    async def alarmed(self, *, limit: int) -> Sequence[tuple[IncidentId, bytes]]:
        """Of which incidents does an alarm stand?"""
        query = select(incidents.c.id, incidents.c.snapshot).where(incidents.c.alarms > 0).order_by(incidents.c.id)
        async with self._connect() as connection:
            return [(IncidentId(row.id), row.snapshot) for row in await connection.execute(query.limit(limit))]

    async def tree(self) -> tuple[int, tuple[bytes, ...]]:
        """How large is the Merkle tree, and what is its compact range?"""
        async with self._connect() as connection:
            row = (await connection.execute(select(tree.c.size, tree.c.hashes))).one_or_none()
        return (row.size, split_hashes(row.hashes)) if row else (0, ())


def _asked(reader: str, position: int) -> Update:
    return update(set_aside).where(set_aside.c.reader == reader, set_aside.c.position == position)


def _aside(row: Any) -> Aside:
    return Aside(
        reader=row.reader,
        position=row.position,
        event=EventId(row.event),
        stream=IncidentId(row.stream),
        n=row.n,
        tenant=TenantId(row.tenant),
        error=row.error,
        tries=row.tries,
        at_ms=row.at_ms,
        again=bool(row.again),
    )


def split_hashes(packed: bytes) -> tuple[bytes, ...]:
    return tuple(packed[start : start + HASH_BYTES] for start in range(0, len(packed), HASH_BYTES))
