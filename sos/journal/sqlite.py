"""The journal on SQLite, the embedded default: one writer thread, many appends to one fsync.

WAL, ``synchronous=FULL`` (durable at power loss), ``secure_delete=ON`` (a destroyed wrapped key leaves no trace in the
file).  The single writer holds the write lock, so it sequences in the same transaction: a committed event has its
position at once.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple, Self

import structlog
from msgspec.structs import force_setattr
from sqlalchemy import URL, event
from sqlalchemy.ext.asyncio import create_async_engine

from recording.ledger import Tree, leaf_hash
from sos.errors import Unavailable
from sos.incident.events import Recorded
from sos.incident.model import StreamId
from sos.journal.connections import given_back, make_durable
from sos.journal.queries import Queries, split_hashes
from sos.journal.store import (
    BATCH,
    NOBODY,
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

_TWICE = ("SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY")


class _Insert(NamedTuple):
    """An INSERT of any number of rows: ``head`` before, ``tail`` after the values."""

    head: str
    columns: int
    tail: str = ""

    def statement(self, rows: int) -> str:
        row = f"({','.join('?' * self.columns)})"
        return f"INSERT INTO {self.head} VALUES {','.join([row] * rows)} {self.tail}"  # noqa: S608  (constants above)


_EVENTS = _Insert("events (position, stream, n, header, leaf)", 5)
_PARTS = _Insert("parts (stream, n, category, sealed)", 4)
_KEYS = _Insert("data_keys (stream, category, kek, wrapped, first)", 5)
_REWRAP = "UPDATE data_keys SET kek = ?, wrapped = ? WHERE stream = ? AND category = ? AND first = ?"
_BURY = "UPDATE data_keys SET kek = '', wrapped = x'' WHERE stream = ? AND category = ?"
_RECEIPTS = _Insert("receipts (receipt, stream)", 2)
_INCIDENTS = _Insert(
    "incidents (id, tenant, state, priority, opened_ms, version, snapshot, alarms, sender, mass_event, place, held,"
    " vehicle)",
    13,
    "ON CONFLICT (id) DO UPDATE SET state = excluded.state, priority = excluded.priority,"
    " opened_ms = excluded.opened_ms,"
    " version = excluded.version, snapshot = excluded.snapshot, alarms = excluded.alarms,"
    " mass_event = excluded.mass_event, place = excluded.place, held = excluded.held, vehicle = excluded.vehicle",
)
_DEADLINES = _Insert(
    "deadlines (stream, name, due_ms)", 3, "ON CONFLICT (stream, name) DO UPDATE SET due_ms = excluded.due_ms"
)


class SqliteStore(Queries):
    """``Store`` on one SQLite file.  ``async with`` opens it and its writer thread."""

    name = "sqlite"
    shared = False

    def __init__(self, path: Path) -> None:
        engine = create_async_engine(URL.create("sqlite+aiosqlite", database=str(path)))
        event.listen(engine.sync_engine, "connect", make_durable)
        super().__init__(engine)
        self.engine = engine
        self._path = path
        self.deposed = asyncio.Event()
        self._waiting = Queue()
        self._idle = asyncio.Event()
        self._idle.set()
        self._batches: SimpleQueue[list[Waiting] | None] = SimpleQueue()
        self._tail = Tail()
        self._writer: threading.Thread | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = loop.create_future()
        writer = threading.Thread(target=self._write, args=(loop, opened), name="journal-writer", daemon=True)
        writer.start()
        await opened
        self._writer = writer
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._writer is not None:
            await self._idle.wait()
            self._batches.put(None)
            await asyncio.to_thread(self._writer.join)
            self._writer = None
        await given_back(self.engine)
        await self.engine.dispose()

    def append(self, make: Make, turn: Turn = NOBODY) -> "asyncio.Future[Outcome]":
        """Queue the append for the next commit; the future settles when that commit is on disk."""
        if self._writer is None:
            return not_open()
        settled = self._waiting.put(make, turn)
        if self._idle.is_set():
            self._idle.clear()
            asyncio.get_running_loop().call_soon(self._commit_waiting)  # after all that this turn still brings
        return settled

    async def sequence(self) -> int:
        """Nothing to do: the writer sequences as it commits."""
        return 0

    async def news(self, beyond: int) -> None:
        await self._tail.wait(beyond)

    async def follow(self, after: int, *, limit: int) -> Sequence[Recorded]:
        hot = self._tail.slice(after, limit)
        if hot is None:
            hot = [] if after == self._tail.end and after else await self.positioned(after, limit=limit)
        return self._seen(hot)

    # --- the writer thread ---

    def _write(self, loop: asyncio.AbstractEventLoop, opened: "asyncio.Future[None]") -> None:
        try:
            connection = sqlite3.connect(self._path, isolation_level=None, cached_statements=8 * BATCH)
            make_durable(connection)
        except sqlite3.Error as failed:
            loop.call_soon_threadsafe(opened.set_exception, Unavailable(f"the journal cannot be opened: {failed}"))
            return
        writer = _Writer(connection)
        loop.call_soon_threadsafe(opened.set_result, None)
        while batch := self._batches.get():
            try:
                settled, news = writer.commit(batch)
            except Exception as failed:  # the edge of one commit: a writer that dies would leave every caller waiting
                log.exception("commit_failed", appends=len(batch))
                down = Unavailable(f"the journal could not be written ({type(failed).__name__})")
                settled, news = [(future, down) for _, future in batch], []
            loop.call_soon_threadsafe(self._settle, settled, news)
        connection.close()

    def _commit_waiting(self) -> None:
        """Hand what is waiting to the writer: one batch at a time, no artificial delay."""
        while self._waiting:
            if batch := self._waiting.batch():
                self._batches.put(batch)
                return
        self._idle.set()

    def _settle(self, settled: Iterable[Settled], news: Sequence[Recorded]) -> None:
        if news:
            self._tail.extend(news)
        settle(settled)
        self._commit_waiting()


class _Writer:
    """One connection with the write lock: what a batch of appends becomes in SQL."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._known: dict[bytes, StreamId] = {}
        """Every receipt there is, about 150 bytes each: append-only, so what is here never becomes wrong."""
        self._read_to = 0
        """Last row of ``receipts`` that ``_known`` holds."""

    def commit(self, batch: Sequence[Waiting]) -> tuple[list[Settled], list[Recorded]]:
        """Settle every append of ``batch`` in one transaction, or fail them all."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            accepted, settled = self._sort_out(batch)
            news = self._insert(accepted) if accepted else []
            self._db.execute("COMMIT")
        except (sqlite3.Error, ValueError) as failed:  # ValueError: a tree row that cannot be one
            self._roll_back()
            if getattr(failed, "sqlite_errorname", "") in _TWICE:  # one of them was written before: find out which
                return self._one_by_one(batch)
            down = Unavailable(f"the journal's database does not answer ({failed})")
            return [(future, down) for _, future in batch], []
        return settled, news

    def _one_by_one(self, batch: Sequence[Waiting]) -> tuple[list[Settled], list[Recorded]]:
        if len(batch) == 1:
            return [(batch[0][1], conflict(batch[0][0]))], []
        settled: list[Settled] = []
        events: list[Recorded] = []
        for waiting in batch:
            outcome, news = self.commit([waiting])
            settled += outcome
            events += news
        return settled, events

    def _roll_back(self) -> None:
        with suppress(sqlite3.Error):  # what cannot even roll back fails again at the next BEGIN, and says so
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def _sort_out(self, batch: Sequence[Waiting]) -> tuple[list[Append], list[Settled]]:
        """Which appends are new, which repeat a receipt, which come too late."""
        self._learn_receipts()
        claimed: dict[bytes, StreamId] = {}
        versions = self._lookup(
            "SELECT id, version FROM incidents WHERE id IN",
            [each.stream for append, _ in batch for each in append.whole if each.expected],
        )
        accepted: list[Append] = []
        settled: list[Settled] = []
        for append, future in batch:
            opened = self._opened(append.receipt, claimed)
            if opened is not None:
                settled.append((future, Repeated(opened)))
            elif any(versions.get(each.stream, 0) != each.expected for each in append.whole):
                settled.append((future, conflict(append)))
            else:
                if append.receipt is not None:
                    claimed[append.receipt] = append.stream
                versions |= {each.stream: each.version for each in append.whole}
                accepted += append.whole
                settled.append((future, Appended()))
        return accepted, settled

    def _learn_receipts(self) -> None:
        """Take in what was committed since the last look, by this process or by another."""
        query = "SELECT ordinal, receipt, stream FROM receipts WHERE ordinal > ? ORDER BY ordinal"
        for ordinal, receipt, stream in self._db.execute(query, (self._read_to,)):
            self._known[receipt] = stream
            self._read_to = ordinal

    def _opened(self, receipt: bytes | None, claimed: dict[bytes, StreamId]) -> StreamId | None:
        """Which incident ``receipt`` has opened, before or earlier in this batch."""
        if receipt is None:
            return None
        return self._known.get(receipt) or claimed.get(receipt)

    def _lookup(self, select: str, wanted: Sequence[object]) -> dict[Any, Any]:
        if not wanted:
            return {}
        marks = ",".join("?" * len(wanted))
        return dict(self._db.execute(f"{select} ({marks})", wanted))

    def _insert(self, accepted: Sequence[Append]) -> list[Recorded]:
        first = self._place(accepted)
        self._many(_PARTS, [(a.stream, *part) for a in accepted for part in a.parts])
        self._many(_KEYS, [(a.stream, k.category, k.kek, k.wrapped, k.first) for a in accepted for k in a.keys])
        self._rewrap(accepted)
        self._many(_RECEIPTS, [(a.receipt, a.stream) for a in accepted if a.receipt is not None])
        self._project(accepted)
        news = list(chain.from_iterable(a.recorded for a in accepted))
        for position, recorded in enumerate(news, first):
            force_setattr(recorded, "position", position)  # the one late field of a frozen fact
        return news

    def _rewrap(self, accepted: Sequence[Append]) -> None:
        for append in accepted:
            for key in append.rewrapped:
                self._db.execute(_REWRAP, (key.kek, key.wrapped, append.stream, key.category, key.first))
            for category in append.gone:
                self._db.execute(_BURY, (append.stream, category))

    def _place(self, accepted: Sequence[Append]) -> int:
        """Write the events at their positions and extend the tree; the first position."""
        row = self._db.execute("SELECT size, hashes FROM tree").fetchone()
        tree = Tree.from_state(row[0], split_hashes(row[1])) if row else Tree()
        first = tree.size
        rows: list[tuple[object, ...]] = []
        for append in accepted:
            for n, header in enumerate(append.headers, append.expected + 1):
                leaf = leaf_hash(header)
                rows.append((tree.size, append.stream, n, header, leaf))
                tree.append(leaf)
        self._many(_EVENTS, rows)
        self._db.execute(
            "INSERT INTO tree (id, size, hashes) VALUES (1, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET size = excluded.size, hashes = excluded.hashes",
            (tree.size, b"".join(tree.state())),
        )
        return first

    def _project(self, accepted: Sequence[Append]) -> None:
        """The read-model rows: the last append of a stream in the batch has the last word."""
        last = {append.stream: append for append in accepted}
        first = {append.stream: append.row.sender for append in reversed(accepted)}
        rows = [
            (
                id_,
                a.row.tenant,
                a.row.state,
                a.row.priority,
                a.row.ranked_ms,
                a.version,
                a.row.snapshot,
                a.row.alarms,
                first[id_],
                a.row.mass_event,
                a.row.place,
                a.row.held,
                a.row.vehicle,
            )
            for id_, a in last.items()
        ]
        self._many(_INCIDENTS, rows)
        older = [append.stream for append in accepted if append.expected]
        if older:
            marks = ",".join("?" * len(older))
            self._db.execute(f"DELETE FROM deadlines WHERE stream IN ({marks})", older)  # noqa: S608  (question marks)
        self._many(_DEADLINES, [(stream, *deadline) for stream, a in last.items() for deadline in a.deadlines])

    def _many(self, insert: _Insert, rows: Sequence[Sequence[object]]) -> None:
        """Insert ``rows`` in few statements of many rows each.

        ``executemany`` lets go of the interpreter lock for every row and then queues for it behind the event loop;
        that costs more than the insert itself.  One statement per row count is prepared and kept.
        """
        for start in range(0, len(rows), BATCH):
            piece = rows[start : start + BATCH]
            self._db.execute(insert.statement(len(piece)), list(chain.from_iterable(piece)))
