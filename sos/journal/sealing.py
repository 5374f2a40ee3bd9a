"""How events become an append and parts come back in clear: the one way, for incidents and the registry alike.

What happens to a draft stands here once: its key is made or found, its parts are sealed and committed to, its header
is written, and what was sealed under a key that never became durable is forgotten.  What cannot be opened is marked,
told to the alarms, and never in the way of what can.  Deciding, and what a stream's row holds, is left to whoever owns
the stream.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from msgspec import Struct
from msgspec.structs import replace

from recording.errors import RecordingError
from recording.vault import Opened, seal, unseal
from routing.categories import Category
from sos.errors import KeyLost, SosError, Unknown
from sos.incident.codec import write_header
from sos.incident.events import Draft, Recorded
from sos.incident.model import EventId, StreamId, TenantId, new_id
from sos.journal.keyring import HeldKey, Keyring, Keys, Shut, part_context
from sos.journal.losses import Losses
from sos.journal.store import Append, Appended, KeyRow, Make, Outcome, QueueRow, Store, Turn

NO_CLASSES: Mapping[Category, str] = MappingProxyType({})


class Stamp(Struct, frozen=True, kw_only=True, gc=False):
    """What the events of one append have in common."""

    stream: StreamId
    tenant: TenantId
    follows: int
    """Version of the stream that they were decided on."""
    at: datetime
    actor: str
    causation: str | None = None
    receipt: bytes | None = None


class Sealed(Struct, frozen=True, kw_only=True, gc=False):
    """Drafts made ready to be written."""

    append: Append
    keys: Keys
    """Every data key of the stream that is known, the new ones included."""


class Classes(Struct, frozen=True, kw_only=True, gc=False):
    """What becomes of the data keys of a stream with an append."""

    under: Mapping[Category, str] = NO_CLASSES
    """Retention class of each category from now on; those that are not named keep theirs."""
    moved: bool = False
    """They were in others before: keys that are there are wrapped anew."""
    gone: tuple[Category, ...] = ()
    """Their keys are destroyed."""


STAY = Classes()


class Change(Struct, frozen=True, kw_only=True, gc=False):
    """What one stream is to record, with what stands and falls with it."""

    stamp: Stamp
    drafts: Sequence[Draft]
    row: QueueRow
    deadlines: tuple[tuple[str, int], ...] = ()
    classes: Classes = STAY
    """What becomes of the data keys, in the same transaction."""


class Part(Struct, frozen=True, kw_only=True):
    """Personal data of one event in one category, in clear, with the salt that proves it."""

    recorded: Recorded
    category: Category
    salt: bytes
    payload: bytes


class Unread(Struct, frozen=True, kw_only=True):
    """A part that cannot be opened."""

    recorded: Recorded
    category: Category
    why: Shut


class Contents(Struct, frozen=True, kw_only=True):
    """What a stream holds in the categories that were asked for."""

    parts: Sequence[Part]
    unread: Sequence[Unread] = ()

    @property
    def missing(self) -> Mapping[Category, Shut]:
        """Categories of which something should be here and is not: lost or damaged, never destroyed."""
        return {each.category: each.why for each in self.unread if each.why is not Shut.DESTROYED}

    def whole(self) -> Sequence[Part]:
        """The parts; ``KeyLost`` when something should be among them and is not."""
        if self.missing:
            told = ", ".join(f"{category}: {why}" for category, why in sorted(self.missing.items()))
            raise KeyLost(f"a key is not where it must be ({told}): see the runbook «keys»")
        return self.parts


class Sealer:
    def __init__(self, store: Store, keyring: Keyring, losses: Losses) -> None:
        self._store = store
        self._keyring = keyring
        self._losses = losses

    async def keys(self, stream: StreamId) -> Keys:
        """The data keys of a stream, and of those that cannot be had, why."""
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
        wrap_under: Mapping[Category, str] = NO_CLASSES,
    ) -> Sealed:
        """Drafts as an append: parts sealed under ``keys`` or new ones, headers written once and for ever.

        ``wrap_under``: the classes of new keys, where they are not those that keys begin with.
        """
        made: list[KeyRow] = []
        parts: list[tuple[int, Category, bytes]] = []
        recorded: list[Recorded] = []
        for n, draft in enumerate(drafts, stamp.follows + 1):
            sealing: dict[Category, bytes] = {}
            for category in (*draft.parts, *draft.seals):
                held = keys.newest(category)
                if held is None or held.key is None:
                    retention = wrap_under.get(category, "")
                    key, row_of_key = self._keyring.make(
                        stamp.stream, category, first=n, now=stamp.at, retention=retention
                    )
                    keys = keys.with_new(category, key, first=n)
                    made.append(row_of_key)
                    sealing[category] = key
                else:
                    sealing[category] = held.key
            event = EventId(new_id())
            commitments: dict[Category, str] = {}
            for category, payload in draft.parts.items():
                sealed = seal(sealing[category], payload, context=part_context(event, category))
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
                    causation=stamp.causation,
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
        return Sealed(append=append, keys=keys)

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
        recorded, outcome = await self.write_together(
            [Change(stamp=stamp, drafts=drafts, row=row, deadlines=deadlines)]
        )
        return recorded[0], outcome

    async def write_together(self, changes: Sequence[Change]) -> tuple[Sequence[Sequence[Recorded]], Outcome]:
        """As ``write``, of several streams in one append: all of them or none."""
        sealed = [await self._sealed(change) for change in changes]
        first, *others = (each.append for each in sealed)
        try:
            turn = (changes[0].stamp.tenant, self._store.senders.of(first.stream))
            outcome = await self._store.append(replace(first, beside=tuple(others)) if others else first, turn)
        except SosError:
            for each in sealed:
                self._keyring.forget(each.append.stream)
            raise
        # only now: what is sealed under a key that was never kept cannot be opened again
        for each in sealed:
            if each.append.keys and isinstance(outcome, Appended):
                self._keyring.remember(each.append.stream, each.keys)
        for each in sealed:
            if each.append.gone:
                self._keyring.forget(each.append.stream)
        return [each.append.recorded for each in sealed], outcome

    async def _sealed(self, change: Change) -> Sealed:
        stamp, drafts, classes = change.stamp, change.drafts, change.classes
        needs = stamp.follows > 0 and any(draft.parts or draft.seals for draft in drafts)
        keys = await self.keys(stamp.stream) if needs else Keys()
        sealed = self.seal(
            stamp, drafts, keys=keys, row=change.row, deadlines=change.deadlines, wrap_under=classes.under
        )
        if not classes.moved and not classes.gone:
            return sealed
        append = replace(sealed.append, rewrapped=await self._rewrapped(stamp, classes), gone=classes.gone)
        return Sealed(append=append, keys=sealed.keys)

    async def _rewrapped(self, stamp: Stamp, classes: Classes) -> tuple[KeyRow, ...]:
        """The keys that ``classes`` moves, as they are wrapped from now on; those that go need no other wrapping."""
        if not classes.moved:
            return ()
        rows = [row for row in await self._store.keys(stamp.stream) if row.category not in classes.gone]
        wanted = [(row, classes.under[row.category]) for row in rows if row.category in classes.under]
        made = [self._keyring.rewrap(stamp.stream, row, retention=name, now=stamp.at) for row, name in wanted]
        return tuple(row for row in made if row is not None)

    def queue(self, make: Make, turn: Turn) -> "asyncio.Future[Outcome]":
        """Have an append sealed when its batch is written; ``kept`` says later that it is durable."""
        return self._store.append(make, turn)

    def kept(self, sealed: Sealed) -> None:
        """``sealed`` is durable: remember its keys, unless a reader right behind has added to them already."""
        if self._keyring.cached(sealed.append.stream) is None:
            self._keyring.remember(sealed.append.stream, sealed.keys)

    def forget(self, stream: StreamId) -> None:
        """Drop the stream's data keys from memory: they may be others by now, or destroyed."""
        self._keyring.forget(stream)

    async def data_key(self, stream: StreamId, category: Category, *, at: int | None = None) -> bytes:
        """The data key of one category: the newest, or the one that event number ``at`` was sealed under.

        ``Unknown`` when none was ever made or it has been destroyed, ``KeyLost`` when it should be there and is not.
        """
        keys = await self.keys(stream)
        newest = keys.newest(category)
        if newest is None:
            raise Unknown(f"{stream} has no {category} key")
        held = newest if at is None else keys.at(category, at)
        if held.key is not None:
            return held.key
        if held.shut is Shut.DESTROYED:
            raise Unknown(f"the {category} key of {stream} has been destroyed")
        self._losses.note(stream, category, held.shut or Shut.LOST)
        raise KeyLost(f"the {category} key of {stream} is not where it must be: see the runbook «keys»")

    async def unseal(
        self, stream: StreamId, categories: Sequence[Category], *, destroyed: Collection[Category] = ()
    ) -> Contents:
        """What a stream holds in ``categories``, in clear as far as it opens.

        ``destroyed``: categories whose wrapped keys were deleted, as the stream itself says.
        """
        recorded = await self._store.stream(stream)
        last = (
            recorded[-1].n if recorded else 0
        )  # and not how many there are: one that cannot be read is not among them
        sealed = await self._store.parts(stream, first=1, last=last)
        keys = await self.keys(stream)
        parts: list[Part] = []
        unread: list[Unread] = []
        for event in recorded:
            for category in sorted(set(event.commitments) & set(categories), key=list(event.commitments).index):
                opened = _open(keys.at(category, event.n), sealed.get((event.n, category)), event, category)
                if isinstance(opened, Opened):
                    parts.append(Part(recorded=event, category=category, salt=opened.salt, payload=opened.payload))
                    continue
                gone = opened is Shut.LOST and category in destroyed
                unread.append(Unread(recorded=event, category=category, why=Shut.DESTROYED if gone else opened))
        self._tell(unread)
        return Contents(parts=parts, unread=unread)

    async def unseal_event(self, recorded: Recorded) -> dict[Category, bytes]:
        """The parts of one event, in clear as far as they open."""
        sealed = await self._store.parts(recorded.stream, first=recorded.n, last=recorded.n)
        keys = await self.keys(recorded.stream)
        found: dict[Category, bytes] = {}
        unread: list[Unread] = []
        for category in recorded.commitments:
            opened = _open(keys.at(category, recorded.n), sealed.get((recorded.n, category)), recorded, category)
            if isinstance(opened, Opened):
                found[category] = opened.payload
            else:
                unread.append(Unread(recorded=recorded, category=category, why=opened))
        self._tell(unread)
        return found

    def _tell(self, unread: Sequence[Unread]) -> None:
        for each in unread:
            if each.why is not Shut.DESTROYED:
                self._losses.note(each.recorded.stream, each.category, each.why)


def milliseconds(instant: datetime) -> datetime:
    """``instant`` in whole milliseconds, as headers keep it."""
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def _open(held: HeldKey, sealed: bytes | None, event: Recorded, category: Category) -> Opened | Shut:
    """The part, or why it cannot be opened.  A sealed part that is not there has been taken away."""
    if held.key is None:
        return held.shut or Shut.LOST
    if sealed is None:
        return Shut.LOST
    try:
        return unseal(held.key, sealed, context=part_context(event.id, category))
    except RecordingError:
        return Shut.DAMAGED
