"""Whether every key that something depends on is where it must be: at the start, every hour, and for ``sos keys``.

The database knows the keys by name and check value, the key store has them; what is in the one and not in the other
was destroyed (a tombstone says so), or it is lost.  A lost key stops no call.  It is an alarm, since backups that still
have it are kept for a time only.  Keys are made ahead here, so that they are in a backup before they are used.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import structlog
from msgspec import Struct
from prometheus_client import CollectorRegistry, Gauge

from recording.errors import RecordingError
from recording.keys import KeyStore
from sos.clock import Clock
from sos.errors import Unavailable
from sos.journal.store import Store

log = structlog.get_logger()

EVERY = timedelta(hours=1)


class Found(Struct, frozen=True, kw_only=True):
    """File names of the key store."""

    present: Sequence[str]
    destroyed: Sequence[str]
    lost: Sequence[str]
    """Something depends on them, they are not there, and no tombstone says that they were destroyed."""
    changed: Sequence[str]
    """There under their names, with another content than before: the key that was there is lost."""

    @property
    def missing(self) -> Sequence[str]:
        return (*self.lost, *self.changed)


class Custody:
    def __init__(self, keys: KeyStore, store: Store, *, retentions: Sequence[str], clock: Clock) -> None:
        """``retentions``: the classes whose keys are made ahead."""
        self._keys = keys
        self._store = store
        self._retentions = tuple(retentions)
        self._clock = clock
        self._down: Mapping[str, int] = {}
        self._root_away = False
        self.figures = CollectorRegistry()
        self._missing = Gauge(
            "sos_keys_missing",
            "Keys that something depends on and that are not where they must be",
            ["retention"],
            registry=self.figures,
        )
        self._answers = Gauge(
            "sos_root_key_answers", "1 while the root key can be asked, or there is none", registry=self.figures
        )
        self._answers.set(1)

    def state(self) -> Mapping[str, str]:
        """Each class of which a key is missing, and a root key that does not answer: ``down``; as of the last look."""
        return dict.fromkeys((*self._down, *(("root_key",) if self._root_away else ())), "down")

    async def watch(self) -> None:
        """Look at once and every hour, for ever."""
        while True:
            try:
                await self.look()
            except (Unavailable, RecordingError, OSError) as failed:
                log.warning("keys_not_looked_at", error=type(failed).__name__)
            await self._clock.wait(EVERY)

    async def look(self) -> Found:
        """Make keys ahead, have the database know all there are, and say what is missing.

        Where the root key is in a device that does not answer, that is said, and no key is made.
        """
        self._root_away = not await asyncio.to_thread(self._keys.root_answers)
        self._answers.set(0 if self._root_away else 1)
        month = month_of(self._clock.now())
        if self._root_away:
            log.error("root_key_away")
        else:
            self._keys.ahead(self._retentions, month)
        found = await self.compare()
        known = await self._store.key_names()
        inventory = self._keys.inventory()
        due = {name: value for name, value in inventory.items() if not known.get(name) and _month(name) <= month}
        await self._store.note_keys(due)
        self._show(found)
        return found

    async def compare(self, *, thorough: bool = False) -> Found:
        """What is missing; nothing is written.  ``thorough``: also what only a data key names."""
        known = dict(await self._store.key_names())
        if thorough:
            known = {f"{kek}.kek": "" for kek in await self._store.keks_in_use()} | known
        inventory, buried = self._keys.inventory(), {f"{kek}.kek" for kek in self._keys.tombstones()}
        return Found(
            present=sorted(inventory),
            destroyed=sorted(buried),
            lost=sorted(known.keys() - inventory.keys() - buried),
            changed=sorted(name for name, value in inventory.items() if known.get(name) not in (None, "", value)),
        )

    def _show(self, found: Found) -> None:
        self._down = Counter(_class_of(name) for name in found.missing)
        self._missing.clear()
        for retention, count in self._down.items():
            self._missing.labels(retention).set(count)
        for name in found.missing:
            log.error("key_missing", key=name, changed=name in found.changed)


def month_of(instant: datetime) -> str:
    return f"{instant.year:04d}-{instant.month:02d}"


def _month(name: str) -> str:
    """From which month on something may depend on it: nothing does on a key that was made ahead."""
    return name.split(".")[1] if name.endswith(".kek") else ""


def _class_of(name: str) -> str:
    """The retention class of a key-encryption key; of a secret or signing key its name."""
    return name.partition(".")[0] if name.endswith(".kek") else name
