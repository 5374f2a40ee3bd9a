"""The end of key-encryption keys, which is what makes a destruction final: in write-ahead logs, dumps and backups too.

A wrapped data key that was overwritten may lie in an old page, a log or a backup still.  It opens there as long as the
KEK lives.  So each KEK that a destroyed key was ever wrapped under is retired; what lives under it is wrapped under
another one; and after ``GRACE``, when nothing that was under way can still be written under it, it is destroyed.
"""

from collections.abc import Collection
from datetime import timedelta

import structlog

from recording.keys import KeyStore
from sos.clock import Clock
from sos.incident.keeping import HELD
from sos.journal.custody import month_of
from sos.journal.keyring import OPEN, Keyring
from sos.journal.store import Store

log = structlog.get_logger()

GRACE = timedelta(hours=1)
"""Between the retirement of a KEK and its end: a write under way lasts seconds."""

PAGE = 500
"""Data keys that are wrapped anew in one transaction."""


class Shredding:
    def __init__(self, store: Store, keys: KeyStore, clock: Clock) -> None:
        self._store = store
        self._keys = keys
        self._keyring = Keyring(keys)
        self._clock = clock

    def retire(self, keks: Collection[str]) -> tuple[str, ...]:
        """Those, and whichever the destroyed data keys may have been wrapped under before; the names of all.

        Every data key began under a KEK of open incidents, and may have been held for a time.
        """
        now = self._clock.now()
        month = month_of(now)
        earlier = [kek for kek in self._keys.keks() if kek.startswith((f"{OPEN}-", f"{HELD}."))]
        past = {kek for kek in earlier if kek.split(".")[1] <= month}
        known = self._keys.retired()
        for kek in sorted({*keks, *past} - known.keys()):
            if not self._keys.destroyed(kek):
                self._keys.retire(kek, at=now)
        return tuple(sorted({*keks, *past}))

    async def end(self) -> tuple[str, ...]:
        """Move what lives from retired KEKs and destroy those whose grace is over; the names of the destroyed."""
        ended = []
        for kek, since in self._keys.retired().items():
            empty = await self._empty(kek)
            if not empty:
                log.error("kek_not_empty", kek=kek)
            elif self._clock.now() - since >= GRACE:
                self._keys.destroy(kek)
                ended.append(kek)
        return tuple(ended)

    async def _empty(self, kek: str) -> bool:
        """Whether nothing is wrapped under ``kek`` any more.  What cannot be opened stays, and is not destroyed."""
        while rows := await self._store.keys_under(kek, limit=PAGE):
            moved = [(stream, row, after) for stream, row in rows if (after := self._keyring.move(stream, row))]
            if not moved:
                return False
            await self._store.move_keys(moved)
        return True
