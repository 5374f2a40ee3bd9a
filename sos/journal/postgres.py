"""The journal on PostgreSQL, for production: writer tasks that share commits, one sequencer among all replicas.

A batch is one transaction of set-based statements (``unnest``).  Rows of incidents are locked in the order of their
ids, so two replicas never wait for each other in a circle.  Positions are given by ``sequence`` under an advisory lock.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Self

import asyncpg
import structlog
from msgspec.structs import replace
from sqlalchemy import event as pool_event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import create_async_engine

from recording.ledger import Tree
from sos.errors import Conflict, Unavailable
from sos.incident.codec import read_row
from sos.incident.events import Recorded
from sos.incident.model import StreamId
from sos.journal.connections import given_back
from sos.journal.lead import FENCE, Fenced, named
from sos.journal.locks import AdvisoryLock
from sos.journal.queries import Queries, split_hashes
from sos.journal.store import (
    NOBODY,
    SEQUENCE_BATCH,
    Append,
    Appended,
    Make,
    Outcome,
    Queue,
    Repeated,
    Settled,
    Tail,
    Turn,
    Waiting,
    conflict,
    not_open,
    settle,
)

log = structlog.get_logger()

WRITERS = 2
"""Transactions in flight per process: while one waits for its fsync the next is being filled."""

_FAULTS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
"""``InternalClientError`` is what asyncpg says when a connection is cut in the middle of a statement."""

_INCOMING = """
INSERT INTO incoming (stream, n, header)
SELECT stream, n, header FROM unnest($1::text[], $2::int[], $3::bytea[])
    WITH ORDINALITY AS given (stream, n, header, place) ORDER BY place
"""
_MOVE = """
WITH moved AS (
    DELETE FROM incoming WHERE ordinal IN (SELECT ordinal FROM incoming ORDER BY ordinal LIMIT $2)
    RETURNING ordinal, stream, n, header),
placed AS (
    INSERT INTO events (position, stream, n, header, leaf)
    SELECT $1::bigint + row_number() OVER (ORDER BY ordinal) - 1, stream, n, header, sha256('\\x00'::bytea || header)
    FROM moved
    RETURNING position, stream, n, leaf)
SELECT position, stream, n, leaf FROM placed ORDER BY position
"""
"""Give the oldest incoming events their places; the leaf hash is RFC 6962 2.1, made where the header lies."""

_TWICE = "EXISTS (SELECT 1 FROM events WHERE (events.stream, events.n) = (incoming.stream, incoming.n))"
_DOUBLED = f"SELECT stream, n FROM incoming WHERE {_TWICE}"  # noqa: S608  (constants above)
_MOVE_OTHERS = _MOVE.replace("FROM incoming ORDER BY", f"FROM incoming WHERE NOT {_TWICE} ORDER BY")
"""The same past events whose number has its place already, which stay where they are for a person."""

_PARTS = """
INSERT INTO parts (stream, n, category, sealed) SELECT * FROM unnest($1::text[], $2::int[], $3::text[], $4::bytea[])
"""
_KEYS = """
INSERT INTO data_keys (stream, category, kek, wrapped, first)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::int[])
"""
_REWRAP = """
UPDATE data_keys SET kek = given.kek, wrapped = given.wrapped
FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::int[])
    AS given (stream, category, kek, wrapped, first)
WHERE (data_keys.stream, data_keys.category, data_keys.first) = (given.stream, given.category, given.first)
"""
_BURY = """
UPDATE data_keys SET kek = '', wrapped = ''::bytea
FROM unnest($1::text[], $2::text[]) AS given (stream, category)
WHERE (data_keys.stream, data_keys.category) = (given.stream, given.category)
"""
"""PostgreSQL keeps the old row until it is vacuumed, and its log longer: only the end of the KEK ends the data key."""

_ROWS = """unnest(
    $1::text[], $2::text[], $3::text[], $4::smallint[], $5::bigint[], $6::int[], $7::bytea[], $8::smallint[],
    $9::text[], $10::text[], $11::text[], $12::smallint[], $13::text[])"""
_BEGUN = f"""
INSERT INTO incidents (id, tenant, state, priority, opened_ms, version, snapshot, alarms, sender,
    mass_event, place, held, vehicle)
SELECT * FROM {_ROWS}
"""  # noqa: S608  (constants above)
"""Streams that begin here: of two that begin one, the database lets one through."""

_CHANGED = f"""
UPDATE incidents SET state = given.state, priority = given.priority, opened_ms = given.opened_ms,
    version = given.version, snapshot = given.snapshot, alarms = given.alarms,
    mass_event = given.mass_event, place = given.place, held = given.held, vehicle = given.vehicle
FROM {_ROWS} AS given (id, tenant, state, priority, opened_ms, version, snapshot, alarms, sender,
    mass_event, place, held, vehicle)
WHERE incidents.id = given.id
"""  # noqa: S608  (constants above)
"""Streams whose rows are locked and stand where they should (``_sort_out``)."""
_DEADLINES = "INSERT INTO deadlines (stream, name, due_ms) SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[])"
_RECEIPTS = """
INSERT INTO receipts (receipt, stream) SELECT * FROM unnest($1::bytea[], $2::text[])
ON CONFLICT (receipt) DO NOTHING RETURNING receipt
"""


class _Placed(NamedTuple):
    position: int
    stream: str
    n: int
    leaf: bytes


class PostgresStore(Queries):
    """``Store`` on a PostgreSQL database.  ``async with`` opens the pool, the writers and the listener."""

    name = "postgres"
    shared = True

    def __init__(self, dsn: str, *, timeout_s: float = 5.0, idle_s: float = 5.0, holder: str = "") -> None:
        """``dsn``: ``postgresql://...``; ``timeout_s``: longest a statement may take before it counts as failed.

        ``idle_s``: after so long a connection is asked whether it is alive before it is used.  ``holder``: the process
        that may lead (``sos.journal.lead``); its connections are called so on the server.
        """
        self.holder = holder
        self.deposed = asyncio.Event()
        self.fenced = False
        """Whether a new connection is of use only as long as ``holder`` leads."""
        self._called = {"application_name": named(holder)} if holder else {}
        engine = create_async_engine(
            dsn.replace("postgresql://", "postgresql+asyncpg://", 1),
            pool_size=4,
            connect_args={"server_settings": self._called},
        )
        pool_event.listen(engine.sync_engine, "checkout", _asking_when_idle(idle_s))
        pool_event.listen(engine.sync_engine, "checkout", self._asking_who_leads)
        super().__init__(engine)
        self.engine = engine
        self._dsn = dsn
        self._timeout_s = timeout_s
        self._waiting = Queue()
        self._arrived = asyncio.Event()
        self._fresh: dict[tuple[str, int], Recorded] = {}
        self._tail = Tail()
        self._unsequenced = asyncio.Event()
        self._move = _MOVE
        self._remembered = False
        """Whether the tail holds all that this process has sequenced."""
        self._pool: asyncpg.Pool | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        try:
            self._pool = await asyncpg.create_pool(
                self._dsn,
                min_size=1,
                max_size=WRITERS + 2,
                command_timeout=self._timeout_s,
                timeout=self._timeout_s,
                server_settings=self._called,
                init=self._let_lead,
            )
        except _FAULTS as failed:
            raise Unavailable(f"PostgreSQL does not answer ({type(failed).__name__})") from failed
        self._tasks = [asyncio.create_task(self._write(), name=f"journal-writer-{k}") for k in range(WRITERS)]
        self._tasks.append(asyncio.create_task(self._sequence_forever(), name="sequencer"))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        if self._pool is not None:
            self._pool.terminate()
            self._pool = None
        await given_back(self.engine)
        await self.engine.dispose()

    async def _let_lead(self, connection: asyncpg.Connection) -> None:
        """A new connection for writing: none for whoever does not lead any more."""
        if self.fenced and await connection.fetchval(FENCE) != self.holder:
            raise Fenced("another process leads")

    def _asking_who_leads(self, connection: Any, record: Any, _: object) -> None:
        """The same for the connections of the other pool, once for each."""
        if not self.fenced or record.info.get("leads"):
            return
        cursor = connection.cursor()
        cursor.execute(FENCE)
        (holder,) = cursor.fetchone()
        cursor.close()
        if holder != self.holder:
            raise DisconnectionError("another process leads")
        record.info["leads"] = True

    def append(self, make: Make, turn: Turn = NOBODY) -> "asyncio.Future[Outcome]":
        """Queue the append for the next commit; the future settles when that commit is on disk."""
        if self._pool is None:
            return not_open()
        self._arrived.set()
        return self._waiting.put(make, turn)

    async def news(self, beyond: int) -> None:
        await self._tail.wait(beyond)

    async def follow(self, after: int, *, limit: int) -> Sequence[Recorded]:
        hot = self._tail.slice(after, limit)
        if hot is None:  # what other processes write comes into the tail too: where it ends there is nothing to ask for
            hot = [] if after == self._tail.end and after else await self.positioned(after, limit=limit)
        return self._seen(hot)

    # --- writing ---

    async def _write(self) -> None:
        while True:
            await self._arrived.wait()
            await asyncio.sleep(0)  # take along what this turn of the loop still brings
            batch = self._waiting.batch()
            if not self._waiting:
                self._arrived.clear()
            if not batch:
                continue
            try:
                settle(await self._commit(batch))
            except Exception as failed:  # the edge of one commit: a writer that dies would leave every caller waiting
                log.exception("commit_failed", appends=len(batch))
                down = Unavailable(f"the journal could not be written ({type(failed).__name__})")
                settle((future, down) for _, future in batch)
            self._unsequenced.set()

    async def _commit(self, batch: Sequence[Waiting]) -> list[Settled]:
        """Settle every append of ``batch`` in one transaction, or fail them all."""
        assert self._pool is not None
        try:
            async with self._pool.acquire(timeout=self._timeout_s) as connection, connection.transaction():
                accepted, settled = await self._sort_out(connection, batch)
                if accepted:
                    await self._insert(connection, accepted)
        except asyncpg.UniqueViolationError:
            return await self._one_by_one(batch)
        except _FAULTS as failed:
            down = Unavailable(f"PostgreSQL does not answer ({type(failed).__name__})")
            return [(future, down) for _, future in batch]
        if len(self._fresh) > 16 * SEQUENCE_BATCH:
            self._fresh.clear()  # the sequencer is elsewhere or far behind: headers are read back instead
        for append in accepted:
            for recorded in append.recorded:
                self._fresh[append.stream, recorded.n] = recorded
        return settled

    async def _one_by_one(self, batch: Sequence[Waiting]) -> list[Settled]:
        """Another replica wrote into one of these streams between our look and our insert: find out which."""
        if len(batch) == 1:
            return [(batch[0][1], conflict(batch[0][0]))]
        return [settled for item in batch for settled in await self._commit([item])]

    async def _sort_out(
        self, connection: asyncpg.Connection, batch: Sequence[Waiting]
    ) -> tuple[list[Append], list[Settled]]:
        """Which appends are new, which repeat a receipt, which come too late."""
        first_with = {a.receipt: a for a, _ in reversed(batch) if a.receipt is not None}
        taken = await self._take_receipts(connection, first_with)
        older = sorted({each.stream for append, _ in batch for each in append.whole if each.expected})
        versions: dict[StreamId, int] = {}
        if older:
            locked = "SELECT id, version FROM incidents WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE"
            versions = {row["id"]: row["version"] for row in await connection.fetch(locked, older)}
        accepted: list[Append] = []
        settled: list[Settled] = []
        too_late: set[bytes] = set()
        for append, future in batch:
            if append.receipt in too_late:
                settled.append((future, conflict(append)))
            elif append.receipt is not None and (append.receipt in taken or first_with[append.receipt] is not append):
                stream = taken.get(append.receipt) or first_with[append.receipt].stream
                settled.append((future, Repeated(stream)))
            elif any(versions.get(each.stream, 0) != each.expected for each in append.whole):
                settled.append((future, conflict(append)))
                too_late |= {append.receipt} if append.receipt else set()
            else:
                versions |= {each.stream: each.version for each in append.whole}
                accepted += append.whole
                settled.append((future, Appended()))
        if too_late:  # what was not written has no receipt, or its next try would be taken for a repeat
            await connection.execute("DELETE FROM receipts WHERE receipt = ANY($1::bytea[])", sorted(too_late))
        return accepted, settled

    async def _take_receipts(
        self, connection: asyncpg.Connection, wanted: Mapping[bytes, Append]
    ) -> dict[bytes, StreamId]:
        """Claim the receipts; of those that were claimed before, the incident they opened."""
        if not wanted:
            return {}
        receipts = sorted(wanted)
        won = await connection.fetch(_RECEIPTS, receipts, [wanted[receipt].stream for receipt in receipts])
        lost = list(set(receipts) - {row["receipt"] for row in won})
        if not lost:
            return {}
        known = "SELECT receipt, stream FROM receipts WHERE receipt = ANY($1::bytea[])"
        return {row["receipt"]: row["stream"] for row in await connection.fetch(known, lost)}

    async def _insert(self, connection: asyncpg.Connection, accepted: Sequence[Append]) -> None:
        headers = [(a.stream, a.expected + k, header) for a in accepted for k, header in enumerate(a.headers, 1)]
        await connection.execute(_INCOMING, *_columns(headers, 3))
        rows = [(a.stream, *part) for a in accepted for part in a.parts]
        if rows:
            await connection.execute(_PARTS, *_columns(rows, 4))
        keys = [(a.stream, k.category, k.kek, k.wrapped, k.first) for a in accepted for k in a.keys]
        if keys:
            await connection.execute(_KEYS, *_columns(keys, 5))
        await self._rewrap(connection, accepted)
        await self._project(connection, accepted)

    async def _project(self, connection: asyncpg.Connection, accepted: Sequence[Append]) -> None:
        """The read-model rows: the last append of a stream has the last word."""
        last = {append.stream: append for append in accepted}
        first = {append.stream: append.row.sender for append in reversed(accepted)}
        older = [append.stream for append in accepted if append.expected]
        projected = [
            (
                stream,
                a.row.tenant,
                a.row.state,
                a.row.priority,
                a.row.ranked_ms,
                a.version,
                a.row.snapshot,
                a.row.alarms,
                first[stream],
                a.row.mass_event,
                a.row.place,
                a.row.held,
                a.row.vehicle,
            )
            for stream, a in sorted(last.items())
        ]
        begun = {append.stream for append in accepted if not append.expected}
        for statement, new in ((_BEGUN, True), (_CHANGED, False)):
            if rows := [row for row in projected if (row[0] in begun) is new]:
                await connection.execute(statement, *_columns(rows, 13))
        if older:
            await connection.execute("DELETE FROM deadlines WHERE stream = ANY($1::text[])", older)
        waits = [(stream, *deadline) for stream, a in last.items() for deadline in a.deadlines]
        if waits:
            await connection.execute(_DEADLINES, *_columns(waits, 3))

    async def _rewrap(self, connection: asyncpg.Connection, accepted: Sequence[Append]) -> None:
        moved = [(a.stream, k.category, k.kek, k.wrapped, k.first) for a in accepted for k in a.rewrapped]
        if moved:
            await connection.execute(_REWRAP, *_columns(moved, 5))
        gone = [(a.stream, category) for a in accepted for category in a.gone]
        if gone:
            await connection.execute(_BURY, *_columns(gone, 2))

    # --- sequencing ---

    async def _sequence_forever(self) -> None:
        while True:
            looks = False
            try:
                async with asyncio.timeout(1.0):  # other replicas commit without our knowing
                    await self._unsequenced.wait()
            except TimeoutError:
                looks = True
            self._unsequenced.clear()
            try:
                while (placed := await self.sequence()) == SEQUENCE_BATCH:
                    pass
                if looks or not placed or not self._remembered:
                    await self._catch_up()
            except (Unavailable, Conflict):
                continue  # the next round tries again; nothing is lost, readers merely wait
            except Exception:  # the edge of one round, likewise
                log.exception("sequencing_failed")

    async def sequence(self) -> int:
        assert self._pool is not None
        try:
            async with self._pool.acquire(timeout=self._timeout_s) as connection, connection.transaction():
                if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", AdvisoryLock.SEQUENCER):
                    return 0
                placed = await self._extend(connection)
        except asyncpg.UniqueViolationError:
            if not await self._pass_over_doubles():  # another number is there twice: a place itself
                raise
            return 0
        except _FAULTS as failed:
            raise Unavailable(f"PostgreSQL does not answer ({type(failed).__name__})") from failed
        self._remember(placed)
        return len(placed)

    async def _extend(self, connection: asyncpg.Connection) -> list[_Placed]:
        state = await connection.fetchrow("SELECT size, hashes FROM tree")
        tree = Tree.from_state(state["size"], split_hashes(state["hashes"])) if state else Tree()
        placed = [_Placed(*row) for row in await connection.fetch(self._move, tree.size, SEQUENCE_BATCH)]
        if not placed:
            return []
        for event in placed:
            tree.append(event.leaf)
        await connection.execute(
            "INSERT INTO tree (id, size, hashes) VALUES (1, $1, $2)"
            " ON CONFLICT (id) DO UPDATE SET size = excluded.size, hashes = excluded.hashes",
            tree.size,
            b"".join(tree.state()),
        )
        return placed

    async def _pass_over_doubles(self) -> bool:
        """From now on one event that can have no place keeps no other from its own; False where there is none."""
        assert self._pool is not None
        try:
            doubled = await self._pool.fetch(_DOUBLED)
        except _FAULTS as failed:
            raise Unavailable(f"PostgreSQL does not answer ({type(failed).__name__})") from failed
        for row in doubled:
            self.damage.doubled(row["stream"], row["n"])
        if doubled:
            self._move = _MOVE_OTHERS
            self._unsequenced.set()
        return bool(doubled)

    def _remember(self, placed: Sequence[_Placed]) -> None:
        """Put what this process wrote itself into memory; if something is not its own, ``_catch_up`` reads it."""
        own = [self._fresh.get((event.stream, event.n)) for event in placed]
        if placed and placed[0].position == self._tail.end and None not in own:
            events = [replace(e, position=p.position) for e, p in zip(own, placed, strict=True) if e is not None]
            for event in placed:
                del self._fresh[event.stream, event.n]
            self._tail.extend(events)
        self._remembered = not placed or self._tail.end == placed[-1].position + 1

    async def _catch_up(self) -> None:
        """Bring the positioned events into memory and wake those who follow."""
        while events := await self._numbered(self._tail.end):
            self._tail.extend(events)

    async def _numbered(self, after: int) -> list[Recorded]:
        assert self._pool is not None
        query = "SELECT position, stream, n, header FROM events WHERE position >= $1 ORDER BY position LIMIT $2"
        try:
            rows = await self._pool.fetch(query, await self._start(after), SEQUENCE_BATCH)
        except _FAULTS as failed:
            raise Unavailable(f"PostgreSQL does not answer ({type(failed).__name__})") from failed
        events = []
        for row in rows:
            fresh = self._fresh.pop((row["stream"], row["n"]), None)
            events.append(
                replace(fresh, position=row["position"])
                if fresh
                else read_row(row["stream"], row["n"], row["header"], position=row["position"])
            )
        return events

    async def _start(self, after: int) -> int:
        """On a cold start only the newest events come into memory; readers fetch older ones themselves."""
        if after:
            return after
        size, _ = await self.tree()
        return max(0, size - SEQUENCE_BATCH)


def _asking_when_idle(idle_s: float) -> Callable[[Any, Any, object], None]:
    """Ask a connection whether it is alive when it has been idle: asking each time doubles the round trips.

    One that dies while it is in use costs one question its answer (``Unavailable``); the pool then drops them all.
    """

    def ask(connection: Any, record: Any, _: object) -> None:
        now = time.monotonic()
        used = record.info.get("used", now)
        record.info["used"] = now
        if now - used <= idle_s:
            return
        try:
            cursor = connection.cursor()
            cursor.execute("SELECT 1")
            cursor.close()
        except Exception as dead:
            raise DisconnectionError("the connection was cut while it was idle") from dead

    return ask


def _columns(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
    return [[row[k] for row in rows] for k in range(width)]
