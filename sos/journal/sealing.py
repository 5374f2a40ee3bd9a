"""How events become an append and parts come back in clear: the one way, for incidents and the registry alike.

What happens to a draft stands here once: its key is made or found, its parts are sealed and committed to, its header
is written, and what was sealed under a key that never became durable is forgotten.  Deciding, and what a stream's row
holds, is left to whoever owns the stream.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from recording.errors import RecordingError
from recording.vault import Opened, seal, unseal
from routing.categories import Category
from sos.errors import Refused, SosError
from sos.incident.codec import write_header
from sos.incident.events import Draft, Recorded
from sos.incident.model import EventId, StreamId, TenantId, new_id
from sos.journal.keyring import Keyring, Keys, part_context
from sos.journal.store import Append, Appended, KeyRow, Make, Outcome, QueueRow, Store


class Stamp(Struct, frozen=True, kw_only=True, gc=False):
    """What the events of one append have in common."""

    stream: StreamId
    tenant: TenantId
    follows: int
    """Version of the stream that they were decided on."""
    at: datetime
    actor: str
    answers: str | None = None
    receipt: bytes | None = None


class Sealed(Struct, frozen=True, kw_only=True, gc=False):
    """Drafts made ready to be written."""

    append: Append
    keys: Keys
    """Every data key of the stream that is known, the new ones included."""


class Part(Struct, frozen=True, kw_only=True):
    """Personal data of one event in one category, in clear, with the salt that proves it."""

    recorded: Recorded
    category: Category
    salt: bytes
    payload: bytes


class Sealer:
    def __init__(self, store: Store, keyring: Keyring) -> None:
        self._store = store
        self._keyring = keyring

    async def keys(self, stream: StreamId) -> Keys:
        """The data keys of a stream; those destroyed for good are left out."""
        known = self._keyring.cached(stream)
        if known is None:
            known = self._keyring.open(stream, await self._store.keys(stream))
            self._keyring.remember(stream, known)
        return known

    def seal(
        self,
        stamp: Stamp,
        drafts: Sequence[Draft],
        *,
        keys: Keys,
        row: QueueRow,
        deadlines: tuple[tuple[str, int], ...] = (),
    ) -> Sealed:
        """Drafts as an append: parts sealed under ``keys`` or new ones, headers written once and for ever."""
        held = dict(keys)
        made: list[KeyRow] = []
        parts: list[tuple[int, Category, bytes]] = []
        recorded: list[Recorded] = []
        for n, draft in enumerate(drafts, stamp.follows + 1):
            for category in (*draft.parts, *draft.seals):
                if category not in held:
                    held[category], row_of_key = self._keyring.make(stamp.stream, category, now=stamp.at)
                    made.append(row_of_key)
            event = EventId(new_id())
            commitments: dict[Category, str] = {}
            for category, payload in draft.parts.items():
                sealed = seal(held[category], payload, context=part_context(event, category))
                commitments[category] = sealed.commitment.hex()
                parts.append((n, category, sealed.ciphertext))
            recorded.append(
                Recorded(
                    id=event,
                    stream=stamp.stream,
                    tenant=stamp.tenant,
                    n=n,
                    at=stamp.at,
                    actor=stamp.actor,
                    answers=stamp.answers,
                    event=draft.event,
                    commitments=commitments,
                )
            )
        append = Append(
            stream=stamp.stream,
            expected=stamp.follows,
            recorded=tuple(recorded),
            headers=tuple(write_header(each) for each in recorded),
            parts=tuple(parts),
            keys=tuple(made),
            row=row,
            deadlines=deadlines,
            receipt=stamp.receipt,
        )
        return Sealed(append=append, keys=held)

    async def write(
        self,
        stamp: Stamp,
        drafts: Sequence[Draft],
        *,
        row: QueueRow,
        deadlines: tuple[tuple[str, int], ...] = (),
    ) -> tuple[Sequence[Recorded], Outcome]:
        """Seal and append; what was recorded, and how it went.

        Keys are remembered once they are durable, and forgotten when it may have failed.  ``Conflict`` and
        ``Unavailable`` as the store has them.
        """
        needs = stamp.follows > 0 and any(draft.parts or draft.seals for draft in drafts)
        keys = await self.keys(stamp.stream) if needs else {}
        sealed = self.seal(stamp, drafts, keys=keys, row=row, deadlines=deadlines)
        try:
            outcome = await self._store.append(sealed.append)
        except SosError:
            self._keyring.forget(stamp.stream)
            raise
        # only now: what is sealed under a key that was never kept cannot be opened again
        if sealed.append.keys and isinstance(outcome, Appended):
            self._keyring.remember(stamp.stream, sealed.keys)
        return sealed.append.recorded, outcome

    def queue(self, make: Make) -> "asyncio.Future[Outcome]":
        """Have an append sealed when its batch is written; ``kept`` says later that it is durable."""
        return self._store.append(make)

    def kept(self, sealed: Sealed) -> None:
        """``sealed`` is durable: remember its keys, unless a reader right behind has added to them already."""
        if self._keyring.cached(sealed.append.stream) is None:
            self._keyring.remember(sealed.append.stream, sealed.keys)

    def forget(self, stream: StreamId) -> None:
        """Drop the stream's data keys from memory: they may be others by now, or destroyed."""
        self._keyring.forget(stream)

    async def unseal(self, stream: StreamId, categories: Sequence[Category]) -> list[Part]:
        """What a stream holds in ``categories``, in clear.  Parts whose key has been destroyed are left out."""
        recorded = await self._store.stream(stream)
        sealed = await self._store.parts(stream, first=1, last=len(recorded))
        keys = await self.keys(stream)
        found: list[Part] = []
        for event in recorded:
            for category in event.commitments:
                if category in categories and category in keys and (event.n, category) in sealed:
                    opened = _open(keys[category], sealed[event.n, category], event.id, category)
                    found.append(Part(recorded=event, category=category, salt=opened.salt, payload=opened.payload))
        return found

    async def unseal_event(self, recorded: Recorded) -> dict[Category, bytes]:
        """The parts of one event, in clear."""
        sealed = await self._store.parts(recorded.stream, first=recorded.n, last=recorded.n)
        keys = await self.keys(recorded.stream)
        return {
            category: _open(keys[category], data, recorded.id, category).payload
            for (_, category), data in sealed.items()
            if category in keys
        }


def milliseconds(instant: datetime) -> datetime:
    """``instant`` in whole milliseconds, as headers keep it."""
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def _open(key: bytes, sealed: bytes, event: EventId, category: Category) -> Opened:
    try:
        return unseal(key, sealed, context=part_context(event, category))
    except RecordingError as wrong:
        raise Refused(f"the {category} part of {event} has been tampered with") from wrong
