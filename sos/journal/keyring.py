"""Data keys of incidents: made, wrapped, unwrapped, and kept in memory for the incidents in work.

One key per incident and category.  In the database a key stands only wrapped under the key-encryption key of its
retention class and month (``recording.keys``); what the class is called decides when the key is destroyed.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from types import MappingProxyType

from recording.errors import Destroyed
from recording.keys import KeyStore
from recording.vault import new_key
from routing.categories import Category
from sos.incident.model import IncidentId
from sos.journal.store import KeyRow

KEPT = 4096
"""Incidents whose keys stay in memory; about 2 MB."""

_OPEN_CLASS = "incident-case-3y"
_CLASSES: Mapping[Category, str] = MappingProxyType(
    {Category.AUD: "incident-audio-1y", Category.RAW: "incident-raw-1y"}
)
"""Retention class under which keys are wrapped when they are made; closing may re-wrap under another."""

Keys = dict[Category, bytes]


class Keyring:
    def __init__(self, store: KeyStore) -> None:
        self._store = store
        self._kept: OrderedDict[IncidentId, Keys] = OrderedDict()

    def cached(self, incident: IncidentId) -> Keys | None:
        return self._kept.get(incident)

    def remember(self, incident: IncidentId, keys: Keys) -> None:
        self._kept[incident] = keys
        self._kept.move_to_end(incident)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)

    def forget(self, incident: IncidentId) -> None:
        self._kept.pop(incident, None)

    def make(self, incident: IncidentId, category: Category, *, now: datetime) -> tuple[bytes, KeyRow]:
        """A new data key, and the row that keeps it wrapped."""
        key = new_key()
        wrapped = self._store.wrap(
            key,
            retention=_CLASSES.get(category, _OPEN_CLASS),
            month=f"{now.year:04d}-{now.month:02d}",
            context=key_context(incident, category),
        )
        return key, KeyRow(category, wrapped.kek, wrapped.wrapped)

    def open(self, incident: IncidentId, rows: Sequence[KeyRow]) -> Keys:
        """The data keys in ``rows``; those destroyed for good are left out."""
        keys: Keys = {}
        for row in rows:
            with suppress(Destroyed):
                keys[row.category] = self._store.unwrap(
                    row.kek, row.wrapped, context=key_context(incident, row.category)
                )
        return keys


def key_context(incident: IncidentId, category: Category) -> bytes:
    return f"{incident}|{category}".encode()


def part_context(event: str, category: Category) -> bytes:
    """What a sealed part is bound to, so that it opens at its own place only."""
    return f"{event}|{category}".encode()
