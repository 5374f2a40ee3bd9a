"""The questions asked of the journal's tables, in SQLAlchemy Core; the same for SQLite and PostgreSQL.

Single statements run in autocommit.  Driver faults become ``Unavailable`` in ``connections``.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from msgspec.structs import asdict
from sqlalchemy import (
    ColumnElement,
    Select,
    Subquery,
    Update,
    bindparam,
    case,
    delete,
    func,
    null,
    or_,
    select,
    text,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from recording.ledger import HASH_BYTES
from routing.categories import Category
from sos.incident.codec import read_row
from sos.incident.events import Recorded
from sos.incident.model import EventId, IncidentId, MassEventId, StreamId, TenantId
from sos.journal.connections import answering, in_one_go
from sos.journal.damage import Damage
from sos.journal.dealing import dealt_out
from sos.journal.places import Places
from sos.journal.schema import (
    cursors,
    data_keys,
    deadlines,
    events,
    incidents,
    incoming,
    key_names,
    leases,
    logs,
    parts,
    receipts,
    set_aside,
    told_ids,
    tree,
)
from sos.journal.senders import Senders
from sos.journal.store import PRACTICE, Aside, Census, KeyRow, See, Sequenced, Stored

_VEHICLE = case((incidents.c.sender == "", incidents.c.id), else_=incidents.c.sender)
"""Whose incident it is within its tenant; one that nobody knows is a vehicle of its own."""

UNANSWERED = ("received", "ringing", "reopened")
"""States in which nobody of ours has an incident and no agency was told."""

OVERTAKES = 4
"""So many calls of another tenant a pressed button may overtake for each step that theirs is more urgent."""


class Queries:
    """Reading, and the few small writes that need no group commit."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._whole = engine
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self.senders = Senders()
        self.places = Places()
        self.damage = Damage()
        self._see: list[See] = []
        self._dialect_insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert

    def _connect(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return answering(self._engine)

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
            read = [read_row(row.stream, row.n, row.header, position=row.position) for row in rows]
        self.damage.look(read)
        return read

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
        """What happened to this incident, as far as it can be read?  The number of an event shows a gap."""
        return [recorded for recorded in await self.whole(stream) if not recorded.damaged]

    async def whole(self, stream: StreamId) -> Sequence[Recorded]:
        """What happened to this incident, with a stand-in where an event cannot be read?"""
        placed = select(events.c.position, events.c.header, events.c.n).where(events.c.stream == stream)
        waiting = select(null(), incoming.c.header, incoming.c.n).where(incoming.c.stream == stream)
        query = union_all(placed, waiting).order_by("n")
        async with self._connect() as connection:
            rows = await connection.execute(query)
            read = [read_row(stream, row.n, row.header, position=row.position) for row in rows]
        self.damage.look(read)
        return read

    async def stream_of(self, receipt: bytes) -> StreamId | None:
        """Which incident did this receipt open?"""
        query = select(receipts.c.stream).where(receipts.c.receipt == receipt)
        async with self._connect() as connection:
            found = (await connection.execute(query)).scalar_one_or_none()
        return None if found is None else IncidentId(found)

    async def told_as(self, told: IncidentId) -> IncidentId | None:
        """Which incident is meant by an id that opened nothing?"""
        query = select(told_ids.c.incident).where(told_ids.c.told == told)
        async with self._connect() as connection:
            found = (await connection.execute(query)).scalar_one_or_none()
            return None if found is None else IncidentId(found)

    async def note_told(self, told: IncidentId, incident: IncidentId) -> None:
        """By ``told`` ``incident`` is meant, from now on."""
        made = postgresql.insert if self._whole.dialect.name == "postgresql" else sqlite.insert
        insert = made(told_ids).values(told=told, incident=incident).on_conflict_do_nothing()
        await in_one_go(self._whole, lambda connection: connection.execute(insert))

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

    async def census(self, states: Sequence[str]) -> Census:
        """How many incidents are in these states, by state and tenant, and when did the first of each state begin?"""
        live = incidents.c.priority < PRACTICE
        first = func.min(case((live, incidents.c.opened_ms)))
        query = (
            select(incidents.c.state, incidents.c.tenant, func.count().label("number"), first.label("first"))
            .where(incidents.c.state.in_(states))
            .group_by(incidents.c.state, incidents.c.tenant)
        )
        async with self._connect() as connection:
            rows = (await connection.execute(query)).all()
        counts = {(row.state, row.tenant): int(row.number) for row in rows}
        began = [(row.state, int(row.first)) for row in rows if row.first is not None]
        return Census(counts, {state: min(at for of, at in began if of == state) for state, _ in began})

    async def next_due(self) -> int | None:
        """When is, or was, the first deadline due?"""
        async with self._connect() as connection:
            first = (await connection.execute(select(func.min(deadlines.c.due_ms)))).scalar_one()
        return None if first is None else int(first)

    async def keks_in_use(self) -> frozenset[str]:
        """Under which key-encryption keys is any data key wrapped?  Looks through all of them."""
        async with self._connect() as connection:
            return frozenset((await connection.execute(select(data_keys.c.kek).distinct())).scalars()) - {""}

    async def keys_under(self, kek: str, *, limit: int) -> Sequence[tuple[StreamId, KeyRow]]:
        """Which data keys are wrapped under this key-encryption key?"""
        query = select(data_keys).where(data_keys.c.kek == kek).limit(limit)
        async with self._connect() as connection:
            return [
                (IncidentId(r.stream), KeyRow(Category(r.category), r.kek, r.wrapped, r.first))
                for r in await connection.execute(query)
            ]

    async def move_keys(self, moved: Sequence[tuple[StreamId, KeyRow, KeyRow]]) -> None:
        """Wrapped anew, (stream, before, after): each unless somebody else has changed it meanwhile."""
        anew = (
            update(data_keys)
            .where(
                data_keys.c.stream == bindparam("of"),
                data_keys.c.category == bindparam("its"),
                data_keys.c.first == bindparam("from_n"),
                data_keys.c.wrapped == bindparam("before"),
            )
            .values(kek=bindparam("under"), wrapped=bindparam("after"))
        )
        rows = [
            {
                "of": stream,
                "its": before.category,
                "from_n": before.first,
                "before": before.wrapped,
                "under": after.kek,
                "after": after.wrapped,
            }
            for stream, before, after in moved
        ]
        await in_one_go(self._whole, lambda connection: connection.execute(anew, rows))

    async def newest_streams(self, *, limit: int) -> Sequence[IncidentId]:
        """Which incidents and records were opened last?"""
        query = select(incidents.c.id).order_by(incidents.c.id.desc()).limit(limit)  # their ids are in order of time
        async with self._connect() as connection:
            return [IncidentId(found) for found in (await connection.execute(query)).scalars()]

    async def log(self) -> tuple[str, bytes] | None:
        """Which log is published since the journal was restored: its name, and what it says of the one before?"""
        query = select(logs.c.origin, logs.c.statement).order_by(logs.c.ordinal.desc()).limit(1)
        async with self._connect() as connection:
            row = (await connection.execute(query)).one_or_none()
        return (row.origin, row.statement) if row else None

    async def begin_log(self, origin: str, statement: bytes) -> None:
        """From the next start on this log is published."""
        async with self._connect() as connection:
            await connection.execute(logs.insert().values(origin=origin, statement=statement))

    async def due(self, now_ms: int, *, limit: int) -> Sequence[tuple[IncidentId, str]]:
        """Which deadlines have passed?  The oldest of each tenant first, then the second of each; within a tenant its
        vehicles take turns in the same way.  Inside a mass event places do, in the turns that those inside have."""
        among = deadlines.c.due_ms <= now_ms
        query = self._due_by_place(among) if self.places.in_force else self._due_by_tenant(among)
        async with self._connect() as connection:
            return [(IncidentId(row.stream), row.name) for row in await connection.execute(query.limit(limit))]

    def _due_by_tenant(self, among: ColumnElement[bool]) -> Select[Any]:
        row = deadlines.c
        nth = _nth((incidents.c.tenant, _VEHICLE), row.due_ms).label("nth")
        passed = _with_incidents(select(row.stream, row.name, row.due_ms, incidents.c.tenant, nth), among)
        turn = _nth((passed.c.tenant,), passed.c.nth, passed.c.due_ms)
        return select(passed.c.stream, passed.c.name).order_by(turn, passed.c.due_ms)

    def _due_by_place(self, among: ColumnElement[bool]) -> Select[Any]:
        row, place = deadlines.c, self._place()
        nth = _nth((incidents.c.tenant, _VEHICLE), row.due_ms).label("nth")
        nth_there = _nth((place, _VEHICLE), row.due_ms).label("nth_there")
        known = select(row.stream, row.name, row.due_ms, incidents.c.tenant, place.label("place"), nth, nth_there)
        passed = _with_incidents(known, among)
        turn = _nth((passed.c.tenant,), passed.c.nth, passed.c.due_ms).label("turn")
        there = _nth((passed.c.place,), passed.c.nth_there, passed.c.due_ms).label("there")
        ranked = select(*passed.c, turn, there).subquery()
        last = (ranked.c.due_ms, ranked.c.stream, ranked.c.name)
        wanted = (ranked.c.stream, ranked.c.name)
        return dealt_out(ranked, wanted, turns=(ranked.c.turn, *last), there=(ranked.c.there, *last))

    def _place(self) -> ColumnElement[str | None]:
        """Whose turn an incident takes inside a mass event in force; NULL for everybody else."""
        return case((incidents.c.mass_event.in_(self.places.in_force), incidents.c.place), else_=None)

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
        Inside a mass event places take turns like this instead of tenants, in the turns that those inside have, so
        that nobody outside waits longer for it.
        """
        among = incidents.c.state.in_(states)
        asked = self._ranked(among) if self.places.in_force else self._by_tenant(among, limit)
        async with self._connect() as connection:
            total = (await connection.execute(select(func.count()).select_from(incidents).where(among))).scalar_one()
            rows = await connection.execute(asked.limit(limit))
            return total, [(IncidentId(row.id), row.snapshot) for row in rows]

    def _by_tenant(self, among: ColumnElement[bool], limit: int) -> Select[Any]:
        row = incidents.c
        nth = _nth((row.tenant, _VEHICLE), row.priority, row.opened_ms).label("nth")
        known = select(row.id, row.tenant, row.priority, row.opened_ms, nth).where(among).subquery()
        turn = _nth((known.c.tenant,), known.c.nth, known.c.priority, known.c.opened_ms)
        rank = (turn + OVERTAKES * known.c.priority).label("rank")
        ranked = select(known.c.id, known.c.priority, known.c.opened_ms, rank).subquery()
        order = (ranked.c.priority >= PRACTICE, ranked.c.rank, ranked.c.priority, ranked.c.opened_ms)
        first = select(ranked).order_by(*order).limit(limit).subquery()
        # Thousands may wait: what is large is read of the first alone.
        order = (first.c.priority >= PRACTICE, first.c.rank, first.c.priority, first.c.opened_ms)
        return select(row.id, row.snapshot).join(first, first.c.id == row.id).order_by(*order)

    def _ranked(self, among: ColumnElement[bool]) -> Select[Any]:
        row, place = incidents.c, self._place()
        urgency: tuple[ColumnElement[int], ...] = (row.priority, row.opened_ms)
        known = (
            select(
                row.id,
                row.tenant,
                *urgency,
                place.label("place"),
                _nth((row.tenant, _VEHICLE), *urgency).label("nth"),
                _nth((place, _VEHICLE), *urgency).label("nth_there"),
            )
            .where(among)
            .subquery()
        )
        urgency = (known.c.priority, known.c.opened_ms)
        turn = _nth((known.c.tenant,), known.c.nth, *urgency) + OVERTAKES * known.c.priority
        there = _nth((known.c.place,), known.c.nth_there, *urgency) + OVERTAKES * known.c.priority
        ranked = select(*known.c, turn.label("turn"), there.label("there")).subquery()
        last = (ranked.c.priority, ranked.c.opened_ms, ranked.c.id)
        order = dealt_out(
            ranked,
            (ranked.c.id,),
            turns=(ranked.c.priority >= PRACTICE, ranked.c.turn, *last),
            there=(ranked.c.there, *last),
        ).subquery()
        return select(row.id, row.snapshot).join(order, order.c.id == row.id).order_by(order.c.turn_of)

    async def held(self, *, limit: int) -> Sequence[tuple[IncidentId, bytes]]:
        """Of which incidents does the house hold a telling back?"""
        query = select(incidents.c.id, incidents.c.snapshot).where(incidents.c.held > 0)
        query = query.order_by(incidents.c.priority, incidents.c.opened_ms, incidents.c.id).limit(limit)
        async with self._connect() as connection:
            return [(IncidentId(row.id), row.snapshot) for row in await connection.execute(query)]

    async def of_vehicle(self, record: str, *, limit: int) -> Sequence[tuple[IncidentId, bytes]]:
        """Which incidents has a vehicle of the registry had?"""
        query = select(incidents.c.id, incidents.c.snapshot).where(incidents.c.vehicle == record)
        query = query.order_by(incidents.c.id.desc()).limit(limit)  # ids sort by the time of their making
        async with self._connect() as connection:
            return [(IncidentId(row.id), row.snapshot) for row in await connection.execute(query)]

    async def of_mass_event(self, mass_event: MassEventId, *, limit: int) -> Sequence[tuple[IncidentId, bytes]]:
        """Which incidents lie in a mass event, or have been told of in it?"""
        query = select(incidents.c.id, incidents.c.snapshot).where(incidents.c.mass_event == mass_event)
        async with self._connect() as connection:
            rows = await connection.execute(query.order_by(incidents.c.id).limit(limit))
            return [(IncidentId(row.id), row.snapshot) for row in rows]

    async def in_mass_events(self) -> Mapping[MassEventId, tuple[int, int]]:
        """How many wait in each mass event in force, and of how many a telling is held?"""
        row = incidents.c
        waits = func.sum(case((row.state.in_(UNANSWERED), 1), else_=0)).label("waits")
        query = select(row.mass_event, waits, func.sum(row.held).label("held"))
        here = row.mass_event.in_(self.places.in_force) & row.place.is_not(None)
        query = query.where(here).group_by(row.mass_event)
        async with self._connect() as connection:
            rows = await connection.execute(query)
            return {MassEventId(found.mass_event): (int(found.waits), int(found.held)) for found in rows}

    async def alarmed(self, *, limit: int) -> Sequence[tuple[IncidentId, bytes]]:
        """Of which incidents does an alarm stand?"""
        query = select(incidents.c.id, incidents.c.snapshot).where(incidents.c.alarms > 0)
        # Not by id alone: SQLite would walk every incident in the order of its key to find the few.
        query = query.order_by(incidents.c.opened_ms, incidents.c.id).limit(limit)
        async with self._connect() as connection:
            return [(IncidentId(row.id), row.snapshot) for row in await connection.execute(query)]

    async def tree(self) -> tuple[int, tuple[bytes, ...]]:
        """How large is the Merkle tree, and what is its compact range?"""
        async with self._connect() as connection:
            row = (await connection.execute(select(tree.c.size, tree.c.hashes))).one_or_none()
        return (row.size, split_hashes(row.hashes)) if row else (0, ())


def _nth(within: Sequence[ColumnElement[Any]], *order: ColumnElement[Any]) -> ColumnElement[int]:
    """Which one of its like a row is, from 1."""
    return func.row_number().over(partition_by=within, order_by=order)


def _with_incidents(known: Select[Any], among: ColumnElement[bool]) -> Subquery:
    """Deadlines beside their incidents, also of a stream that has no row."""
    joined = known.join_from(deadlines, incidents, incidents.c.id == deadlines.c.stream, isouter=True)
    return joined.where(among).subquery()


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
