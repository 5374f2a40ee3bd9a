"""The port between the journal and a database, and what passes through it.

Two adapters implement it, ``sqlite`` and ``postgres``, over one schema and under one test suite.  Writing goes through
prepared batch statements of the raw driver, many appends to one commit; nobody is told "done" before that commit.
Reading goes through SQLAlchemy Core in ``queries``, shared by both.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Protocol

from msgspec import Struct

from routing.categories import Category
from sos.errors import Conflict, SosError, Unavailable
from sos.incident.events import Recorded
from sos.incident.model import EventId, IncidentId, MassEventId, StreamId, TenantId
from sos.journal.damage import Damage
from sos.journal.places import Places
from sos.journal.senders import Senders
from sos.journal.turns import Turns

BATCH = 64
"""Appends per commit at most: `ops/bench/accept` shows no gain beyond, and the last one in line waits longer."""

SEQUENCE_BATCH = 1024
"""Events given a position in one step on PostgreSQL: about 10 ms of hashing and inserting."""


PRACTICE = 10
"""Priority from which an incident is a test or a drill: behind everything live."""


class KeyRow(Struct, frozen=True, gc=False):
    category: Category
    kek: str
    wrapped: bytes
    first: int = 0
    """Number of the event it was made for: it seals from that one on, until the next of its category does."""

    @property
    def destroyed(self) -> bool:
        """Whether only the tombstone is left: the key was taken away on purpose."""
        return not self.wrapped


class QueueRow(Struct, frozen=True, gc=False):
    """The read-model row of an incident."""

    tenant: str
    state: str
    priority: int
    ranked_ms: int
    """Order within the priority (``urgency.ranked_at``); the column is still called ``opened_ms``."""
    snapshot: bytes
    alarms: int = 0
    """How many of its alarms nobody has acknowledged."""
    sender: str = ""
    """The vehicle that opened it, as a keyed digest, while it is opened; later rows leave what stands there."""
    mass_event: str | None = None
    place: str | None = None
    """Inside that mass event, whose turn it takes."""
    held: int = 0
    """1: the house holds a telling back."""
    vehicle: str | None = None
    """Its record in the registry."""


class Append(Struct, frozen=True, kw_only=True, gc=False):
    """One atomic change to a stream: its next events with all that stands and falls with them."""

    stream: StreamId
    expected: int
    """Version the events follow; ``Conflict`` when the stream has moved on."""
    recorded: tuple[Recorded, ...]
    headers: tuple[bytes, ...]
    parts: tuple[tuple[int, Category, bytes], ...]
    """(n, category, sealed) for every part."""
    keys: tuple[KeyRow, ...]
    row: QueueRow
    deadlines: tuple[tuple[str, int], ...]
    """(name, due in epoch ms): all that the incident waits for from now on."""
    receipt: bytes | None = None
    rewrapped: tuple[KeyRow, ...] = ()
    """Data keys that are there already, as they are wrapped from now on."""
    gone: tuple[Category, ...] = ()
    """Categories of which every wrapped data key is overwritten; a tombstone stays."""
    beside: tuple["Append", ...] = ()
    """Changes to other streams that are written with this one, or none of them."""

    @property
    def whole(self) -> tuple["Append", ...]:
        """This one and those beside it."""
        return (self, *self.beside) if self.beside else (self,)

    def __call__(self) -> "Append":
        """An append that is made already is its own maker (``Make``)."""
        return self

    @property
    def version(self) -> int:
        """Of the stream, once this is written."""
        return self.expected + len(self.headers)


class Appended(Struct, frozen=True, gc=False):
    """It is durable."""


class Repeated(Struct, frozen=True):
    """Nothing was written: the receipt is known."""

    stream: StreamId


class Overdue(Struct, frozen=True):
    """The database took too long and the spool has it; it may be written all the same, or drained later."""


Outcome = Appended | Repeated | Overdue

Turn = tuple[str, str]
"""Whose an append is: the tenant, and within it the vehicle or the stream."""

Make = Callable[[], Append]
"""Makes an append just before its batch is written: sealing many in one go costs half of sealing each as it comes."""

Waiting = tuple[Append, "asyncio.Future[Outcome]"]
Settled = tuple["asyncio.Future[Outcome]", Outcome | SosError]


NOBODY: Turn = ("", "")

NOT_OPEN = "not open yet"
"""Why a database does not answer that nobody has reached since the start."""


class Queue:
    """What waits for the next commit: tenants in turns, and within a tenant its vehicles."""

    def __init__(self) -> None:
        self._made: Turns[tuple[Make, asyncio.Future[Outcome]]] = Turns()

    def __bool__(self) -> bool:
        return bool(self._made)

    def put(self, make: Make, turn: Turn = NOBODY) -> "asyncio.Future[Outcome]":
        settled: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        whose, of = turn
        self._made.put(whose, (make, settled), of=of)
        return settled

    def batch(self) -> list[Waiting]:
        """The next appends, made now.  Those that nobody waits for any more are left out: the spool has them."""
        batch: list[Waiting] = []
        for make, settled in islice(self._made, BATCH):
            if settled.done():
                continue
            try:
                batch.append((make(), settled))
            except Exception as failed:  # noqa: BLE001  (the edge of one append: its caller gets it, the others go on)
                settled.set_exception(failed)
        return batch


def not_open() -> "asyncio.Future[Outcome]":
    """The answer of a store that has not been opened: what it is to keep must go elsewhere, at once."""
    refused: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    refused.set_exception(Unavailable(f"the journal's database does not answer ({NOT_OPEN})"))
    return refused


def settle(settled: Iterable[Settled]) -> None:
    """Tell those who still wait how it went."""
    for future, result in settled:
        if future.done():  # the caller has given up waiting; the spool has it
            continue
        if isinstance(result, SosError):
            future.set_exception(result)
        else:
            future.set_result(result)


class Aside(Struct, frozen=True, kw_only=True):
    """An event that a reader could not handle and went on without."""

    reader: str
    position: int
    event: EventId
    stream: StreamId
    n: int
    """With ``stream``, where the bytes are: its parts."""
    tenant: TenantId
    error: str
    """Type of what was raised last; never its message, which may hold anything."""
    tries: int
    at_ms: int
    again: bool = False
    """Somebody has asked for one more try."""


class Sequenced(Struct, frozen=True):
    """An event with its place in the one order."""

    position: int
    header: bytes


class Stored(Struct, frozen=True):
    version: int
    snapshot: bytes


class Census(Struct, frozen=True):
    """Incidents by number."""

    counts: Mapping[tuple[str, str], int]
    """(state, tenant) -> how many."""
    first_ms: Mapping[str, int]
    """State -> when the first live one in it began, less its head start."""


See = Callable[[Sequence[Recorded]], None]
"""Is shown events before a follower handles them, so that nothing older is remembered than a reader knows of."""


class Store(Protocol):
    """A database that keeps the journal.  Every method raises ``Unavailable`` when the database does not answer."""

    name: str
    shared: bool
    """Whether other processes may write to it too, so that a remembered state may be out of date."""

    @property
    def senders(self) -> Senders:
        """Which vehicle opened which incident, as far as this process knows."""
        ...

    @property
    def places(self) -> Places:
        """Where incidents wait inside mass events, as far as this process knows, and which are in force."""
        ...

    deposed: asyncio.Event
    """Set when another process leads: this one must end at once.  Never, where nobody else can write."""

    @property
    def damage(self) -> Damage:
        """Which events could not be read."""
        ...

    def append(self, make: Make, turn: Turn = NOBODY) -> "asyncio.Future[Outcome]":
        """Write it durably when ``turn`` comes; the future fails with ``Conflict`` when nothing of it was written.

        The caller may settle the future itself when it will not wait any longer.
        """
        ...

    async def sequence(self) -> int:
        """Give positions to committed events that have none; how many got one.  Safe to run twice at once."""
        ...

    async def news(self, beyond: int) -> None:
        """Return once this process knows of an event at position ``beyond`` or later.

        A hint only: events of other processes may come without news, so callers poll as well.
        """
        ...

    async def follow(self, after: int, *, limit: int) -> Sequence[Recorded]:
        """Events from position ``after`` on, in order; ``on_follow`` has seen them before they are given."""
        ...

    def on_follow(self, see: "See") -> None:
        """Call ``see`` with events before any follower gets them."""
        ...

    async def stream_of(self, receipt: bytes) -> StreamId | None:
        """The stream that was written under ``receipt``."""
        ...

    async def told_as(self, told: IncidentId) -> IncidentId | None:
        """The incident that is meant by an id that opened nothing; None when nobody was told it."""
        ...

    async def note_told(self, told: IncidentId, incident: IncidentId) -> None:
        """By ``told``, which somebody was told, ``incident`` is meant."""
        ...

    async def load(self, stream: StreamId) -> Stored | None: ...

    async def stream(self, stream: StreamId) -> Sequence[Recorded]:
        """All events of one incident that can be read, by number; ``position`` is None where not sequenced yet.

        One that cannot is counted and told of by ``damage``.
        """
        ...

    async def whole(self, stream: StreamId) -> Sequence[Recorded]:
        """The same, with what cannot be read as ``damaged``: for whoever shows or proves that nothing is missing."""
        ...

    async def parts(self, stream: StreamId, *, first: int, last: int) -> Mapping[tuple[int, Category], bytes]: ...

    async def keys(self, stream: StreamId) -> Sequence[KeyRow]: ...

    async def key_names(self) -> Mapping[str, str]:
        """Name -> check value of every key that something depends on."""
        ...

    async def note_keys(self, names: Mapping[str, str]) -> None: ...

    async def keks_in_use(self) -> frozenset[str]: ...

    async def keys_under(self, kek: str, *, limit: int) -> Sequence[tuple[StreamId, KeyRow]]: ...

    async def move_keys(self, moved: Sequence[tuple[StreamId, KeyRow, KeyRow]]) -> None:
        """Data keys wrapped anew, (stream, before, after): each unless somebody else has changed it meanwhile."""
        ...

    async def census(self, states: Sequence[str]) -> Census: ...

    async def next_due(self) -> int | None: ...

    async def log(self) -> tuple[str, bytes] | None:
        """Name and statement of the log that goes on after another; None while there was no other."""
        ...

    async def begin_log(self, origin: str, statement: bytes) -> None: ...

    async def due(self, now_ms: int, *, limit: int) -> Sequence[tuple[IncidentId, str]]:
        """Deadlines that have passed, the oldest first, tenants taking turns."""
        ...

    async def waiting(self, prefix: str, *, limit: int) -> Sequence[tuple[IncidentId, str, int]]:
        """Deadlines whose names begin so, the first due first: incident, name and instant in milliseconds."""
        ...

    async def drop_deadline(self, stream: StreamId, name: str, *, due_ms: int) -> None: ...

    async def cursor(self, reader: str) -> int: ...

    async def save_cursor(self, reader: str, position: int) -> None: ...

    async def set_aside(self, aside: Aside) -> None:
        """Keep it until it is forgotten; once per reader and position."""
        ...

    async def asides(self, *, limit: int) -> Sequence[Aside]:
        """What has been set aside, oldest event first."""
        ...

    async def ask_again(self, reader: str, position: int) -> bool:
        """Whether there is such a one; it is tried once more by whoever runs the reader."""
        ...

    async def take_again(self, reader: str, position: int) -> bool:
        """Whether the try that was asked for is the caller's to make: of several, one gets it."""
        ...

    async def forget_aside(self, reader: str, position: int) -> None: ...

    async def lease(self, role: str, holder: str, *, now_ms: int, until_ms: int) -> bool:
        """Whether ``holder`` has the role until then."""
        ...

    async def queue(self, *, limit: int, states: Sequence[str]) -> tuple[int, Sequence[tuple[IncidentId, bytes]]]:
        """How many incidents are in ``states``, and the first by urgency, tenants in turns, each with its snapshot."""
        ...

    async def alarmed(self, *, limit: int) -> Sequence[tuple[IncidentId, bytes]]:
        """Incidents with alarms that nobody has acknowledged, oldest first, closed ones too, each with its snapshot."""
        ...

    async def held(self, *, limit: int) -> Sequence[tuple[IncidentId, bytes]]:
        """Incidents of which the house holds a telling back, the oldest first, each with its snapshot."""
        ...

    async def of_vehicle(self, record: str, *, limit: int) -> Sequence[tuple[IncidentId, bytes]]:
        """Incidents of one vehicle of the registry, the newest first, closed ones too, each with its snapshot."""
        ...

    async def of_mass_event(self, mass_event: MassEventId, *, limit: int) -> Sequence[tuple[IncidentId, bytes]]:
        """Incidents that lie in a mass event or were told of in it, the oldest first, closed ones too."""
        ...

    async def in_mass_events(self) -> Mapping[MassEventId, tuple[int, int]]:
        """How many incidents wait in each mass event for somebody to answer, and of how many a telling is held."""
        ...

    async def tree(self) -> tuple[int, tuple[bytes, ...]]:
        """Size and compact range of the Merkle tree."""
        ...

    async def leaves(self, first: int, *, limit: int) -> Sequence[Sequenced]:
        """Header bytes by position, for publishing and proving."""
        ...

    async def ping(self) -> None: ...


def conflict(append: Append) -> Conflict:
    return Conflict(f"{append.stream} is past version {append.expected}")


class Tail:
    """The newest events in memory, so that each reader need not read and decode them again."""

    def __init__(self, size: int = 8192) -> None:
        self._size = size
        self._events: list[Recorded] = []
        self._first = 0
        self._waiting: list[asyncio.Future[None]] = []

    async def wait(self, beyond: int) -> None:
        while self.end <= beyond:
            woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(woken)
            await woken

    def extend(self, events: Sequence[Recorded]) -> None:
        """Add the newest events; what does not continue the ones here replaces them."""
        first, last = events[0].position, events[-1].position
        assert first is not None
        assert last is not None
        if first != self.end:
            self._events.clear()
            self._first = first
        if last - first != len(events) - 1:  # another process wrote in between: readers ask the database
            self._events.clear()
            self._first = last + 1
            events = ()
        self._events.extend(events)
        surplus = len(self._events) - self._size
        if surplus > self._size // 2:
            del self._events[:surplus]
            self._first += surplus
        waiting, self._waiting = self._waiting, []
        for woken in waiting:
            if not woken.done():
                woken.set_result(None)

    def slice(self, after: int, limit: int) -> Sequence[Recorded] | None:
        """Events from ``after`` on, or None when they are not (all) here."""
        start = after - self._first
        if start < 0 or start >= len(self._events):
            return None
        return self._events[start : start + limit]

    @property
    def end(self) -> int:
        return self._first + len(self._events)
