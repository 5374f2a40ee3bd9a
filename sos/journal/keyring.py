"""Data keys of streams: made, wrapped, unwrapped, and kept in memory for the streams in work.

One key per stream and category.  In the database a key stands only wrapped under the key-encryption key of its
retention class and month (``recording.keys``); what the class is called decides when the key is destroyed.  A key that
cannot be had, for whichever reason, opens nothing and stops nothing: what comes next in its category is sealed under
a new one, which holds from its own event on, and the old row stays for the day on which the key is found.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

import structlog
from msgspec import Struct

from recording.errors import Destroyed, KeyMissing, RecordingError, RootAway
from recording.keys import KeyStore, WrappedKey
from recording.vault import new_key
from routing.categories import Category
from sos.errors import Unavailable
from sos.incident.keeping import GIVEN, HELD
from sos.incident.model import StreamId
from sos.journal.store import KeyRow

log = structlog.get_logger()

KEPT = 4096
"""Streams whose keys stay in memory; about 2 MB."""

OPEN = "open"
"""How the classes of an incident's keys begin while it is not closed; the closing wraps them under others."""
_OPEN_CLASSES: Mapping[Category, str] = MappingProxyType({Category.AUD: f"{OPEN}-audio", Category.RAW: f"{OPEN}-raw"})
_OPEN_CASE = f"{OPEN}-case"
RETENTIONS = (_OPEN_CASE, *_OPEN_CLASSES.values(), HELD, *GIVEN)
"""Every class that data keys of incidents are wrapped for."""


class Shut(StrEnum):
    """Why something cannot be opened.  Three different things, and none of them is «withheld»."""

    DESTROYED = "destroyed"
    """On purpose, when its time was over: nobody can read it any more, and nobody may."""
    LOST = "lost"
    """The key is not where it must be, and nothing says that it was destroyed: look for it (runbook ``keys``)."""
    DAMAGED = "damaged"
    """The key, its wrapping or the part itself has been changed."""


class HeldKey(Struct, frozen=True, gc=False):
    """A data key of one category, from the event on in which it was made."""

    first: int
    key: bytes | None
    shut: Shut | None = None
    """Why there is no ``key``."""


class Keys:
    """The data keys of one stream."""

    __slots__ = ("_held",)

    def __init__(self, held: Mapping[Category, tuple[HeldKey, ...]] = MappingProxyType({})) -> None:
        self._held = held

    def newest(self, category: Category) -> HeldKey | None:
        """What the next part is sealed under, if it can be had; None when there never was one."""
        held = self._held.get(category)
        return held[-1] if held else None

    def at(self, category: Category, n: int) -> HeldKey:
        """What the part of event ``n`` was sealed under.  A row that is gone is a key that is lost."""
        held = (each for each in reversed(self._held.get(category, ())) if each.first <= n)
        return next(held, HeldKey(0, None, Shut.LOST))

    def with_new(self, category: Category, key: bytes, *, first: int) -> "Keys":
        """These and one more."""
        held = (*self._held.get(category, ()), HeldKey(first, key))
        return Keys({**self._held, category: held})

    def shut(self) -> frozenset[Shut]:
        """Why any of them cannot be had."""
        return frozenset(each.shut for held in self._held.values() for each in held if each.shut is not None)

    @property
    def lasting(self) -> bool:
        """Whether looking again would find the same: a lost key may be found meanwhile."""
        return all(each.shut in (None, Shut.DESTROYED) for held in self._held.values() for each in held)


def of_incidents(category: Category) -> str:
    """The class of an incident's keys when they are made; closing wraps them under another."""
    return _OPEN_CLASSES.get(category, _OPEN_CASE)


class Keyring:
    def __init__(self, store: KeyStore, *, retention: Callable[[Category], str] = of_incidents) -> None:
        """``retention``: under which class the key of a category is wrapped when it is made."""
        self._store = store
        self._retention = retention
        self._kept: OrderedDict[StreamId, Keys] = OrderedDict()

    def cached(self, stream: StreamId) -> Keys | None:
        return self._kept.get(stream)

    def remember(self, stream: StreamId, keys: Keys) -> None:
        if not keys.lasting:
            return
        self._kept[stream] = keys
        self._kept.move_to_end(stream)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)

    def forget(self, stream: StreamId) -> None:
        self._kept.pop(stream, None)

    def make(
        self, stream: StreamId, category: Category, *, first: int, now: datetime, retention: str = ""
    ) -> tuple[bytes, KeyRow]:
        """A new data key, and the row that keeps it wrapped; ``Unavailable`` when no key can be kept.

        ``retention``: the class, where it is not the one that keys of this category begin with.
        """
        key = new_key()
        try:
            wrapped = self._wrap(stream, category, key, retention or self._retention(category), now)
        except (RecordingError, OSError) as failed:
            raise Unavailable(f"no key can be kept for it ({type(failed).__name__})") from failed
        return key, KeyRow(category, wrapped.kek, wrapped.wrapped, first)

    def rewrap(self, stream: StreamId, row: KeyRow, *, retention: str, now: datetime) -> KeyRow | None:
        """``row`` wrapped for another class; None when it stays as it is: it is so already, or cannot be had now."""
        if row.destroyed or row.kek.partition(".")[0] == retention:
            return None
        try:
            key = self._store.unwrap(row.kek, row.wrapped, context=key_context(stream, row.category))
            wrapped = self._wrap(stream, row.category, key, retention, now)
        except (RecordingError, OSError) as failed:
            log.warning("key_not_rewrapped", stream=stream, category=row.category, error=type(failed).__name__)
            return None
        return KeyRow(row.category, wrapped.kek, wrapped.wrapped, row.first)

    def move(self, stream: StreamId, row: KeyRow) -> KeyRow | None:
        """``row`` under another KEK of the same class and month; None where it cannot be had.

        Of the same month, so that what falls due together stays together and each move touches one month's keys.
        """
        context = key_context(stream, row.category)
        try:
            retention, month, _ = row.kek.split(".")
            key = self._store.unwrap(row.kek, row.wrapped, context=context)
            wrapped = self._store.wrap(key, retention=retention, month=month, context=context)
        except (RecordingError, OSError):
            return None
        return KeyRow(row.category, wrapped.kek, wrapped.wrapped, row.first)

    def _wrap(self, stream: StreamId, category: Category, key: bytes, retention: str, now: datetime) -> WrappedKey:
        month = f"{now.year:04d}-{now.month:02d}"
        return self._store.wrap(key, retention=retention, month=month, context=key_context(stream, category))

    def open(self, stream: StreamId, rows: Sequence[KeyRow]) -> Keys:
        """The data keys in ``rows``; of one that cannot be had, why."""
        held: dict[Category, tuple[HeldKey, ...]] = {}
        for row in sorted(rows, key=lambda row: row.first):
            held[row.category] = (*held.get(row.category, ()), self._open(stream, row))
        return Keys(held)

    def _open(self, stream: StreamId, row: KeyRow) -> HeldKey:
        context = key_context(stream, row.category)
        if row.destroyed:
            return HeldKey(row.first, None, Shut.DESTROYED)
        try:
            return HeldKey(row.first, self._store.unwrap(row.kek, row.wrapped, context=context))
        except Destroyed:
            return HeldKey(row.first, None, Shut.DESTROYED)
        except (KeyMissing, RootAway, OSError):
            return HeldKey(row.first, None, Shut.LOST)
        except RecordingError:
            return HeldKey(row.first, None, Shut.DAMAGED)


def key_context(stream: StreamId, category: Category) -> bytes:
    return f"{stream}|{category}".encode()


def part_context(event: str, category: Category) -> bytes:
    """What a sealed part is bound to, so that it opens at its own place only."""
    return f"{event}|{category}".encode()
