"""Data keys of incidents: made, wrapped, unwrapped, and kept in memory for the incidents in work.

One key per incident and category.  In the database a key stands only wrapped under the key-encryption key of its
retention class and month (``recording.keys``); what the class is called decides when the key is destroyed.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from types import MappingProxyType

from recording.errors import Destroyed, RecordingError
from recording.keys import KeyStore
from recording.vault import new_key
from routing.categories import Category
from sos.errors import Unavailable
from sos.incident.model import StreamId
from sos.journal.store import KeyRow

KEPT = 4096
"""Incidents whose keys stay in memory; about 2 MB."""

_OPEN_CLASS = "incident-case-3y"
_CLASSES: Mapping[Category, str] = MappingProxyType(
    {Category.AUD: "incident-audio-1y", Category.RAW: "incident-raw-1y"}
)

Keys = dict[Category, bytes]


def of_incidents(category: Category) -> str:
    """The retention class of an incident's keys when they are made; closing may re-wrap under another."""
    return _CLASSES.get(category, _OPEN_CLASS)


class Keyring:
    def __init__(self, store: KeyStore, *, retention: Callable[[Category], str] = of_incidents) -> None:
        """``retention``: under which class the key of a category is wrapped when it is made."""
        self._store = store
        self._retention = retention
        self._kept: OrderedDict[StreamId, Keys] = OrderedDict()

    def cached(self, stream: StreamId) -> Keys | None:
        return self._kept.get(stream)

    def remember(self, stream: StreamId, keys: Keys) -> None:
        self._kept[stream] = keys
        self._kept.move_to_end(stream)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)

    def forget(self, stream: StreamId) -> None:
        self._kept.pop(stream, None)

    def make(self, stream: StreamId, category: Category, *, now: datetime) -> tuple[bytes, KeyRow]:
        """A new data key, and the row that keeps it wrapped; ``Unavailable`` when no key can be kept."""
        key = new_key()
        try:
            wrapped = self._store.wrap(
                key,
                retention=self._retention(category),
                month=f"{now.year:04d}-{now.month:02d}",
                context=key_context(stream, category),
            )
        except (RecordingError, OSError) as failed:
            raise Unavailable(f"no key can be kept for it ({type(failed).__name__})") from failed
        return key, KeyRow(category, wrapped.kek, wrapped.wrapped)

    def open(self, stream: StreamId, rows: Sequence[KeyRow]) -> Keys:
        """The data keys in ``rows``; those destroyed for good are left out."""
        keys: Keys = {}
        for row in rows:
            with suppress(Destroyed):
                keys[row.category] = self._store.unwrap(row.kek, row.wrapped, context=key_context(stream, row.category))
        return keys


def key_context(stream: StreamId, category: Category) -> bytes:
    return f"{stream}|{category}".encode()


def part_context(event: str, category: Category) -> bytes:
    """What a sealed part is bound to, so that it opens at its own place only."""
    return f"{event}|{category}".encode()
