"""Streams of the registry in the one journal: what changed, sealed, committed to and provable as any other event.

A subject's stream begins with its registration.  Its state lies as a snapshot in the row that the journal keeps for
every stream, written in the same transaction as the event; the row's state ``registry`` keeps it out of every queue of
incidents.  Personal data is sealed under data keys of the subject's own, wrapped for the retention class of contracts.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from msgspec import Struct

from recording.errors import RecordingError
from recording.keys import KeyStore
from recording.vault import new_key, seal, unseal
from routing.categories import Category
from sos.clock import Clock
from sos.errors import Malformed, Refused, Unavailable
from sos.incident.codec import write_header
from sos.incident.events import Event, Recorded, RegistryChanged, RegistryRead
from sos.incident.model import EventId, SubjectId, new_id
from sos.journal.journal import epoch_ms
from sos.journal.keyring import Keyring, Keys, key_context, part_context
from sos.journal.store import Append, KeyRow, QueueRow, Repeated, Store
from sos.registry import changes
from sos.registry.lifecycle import Decision
from sos.registry.model import Brand, Kind, Subscriber, Vehicle
from sos.registry.states import evolve_brand, evolve_subscriber, evolve_vehicle

RETENTION = "registry-contract"
"""Retention class of a subject's data keys; its clock starts with the contract's end or the scrapping."""

STATE = "registry"
"""State of the rows of these streams among the journal's rows: no queue asks for it."""

_LEAST_URGENT = 99

State = Brand | Vehicle | Subscriber


class _Snapshot(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Exactly one of the three.  It has no ``id`` of its own, so it is never mistaken for an incident."""

    brand: Brand | None = None
    vehicle: Vehicle | None = None
    subscriber: Subscriber | None = None


class Revealed(Struct, frozen=True, kw_only=True):
    """Personal data of one event in one category, in clear."""

    recorded: Recorded
    category: Category
    payload: bytes


class Ledger:
    def __init__(self, store: Store, keys: KeyStore, clock: Clock) -> None:
        self._store = store
        self._keys = keys
        self._keyring = Keyring(keys)
        self.clock = clock

    async def load(self, subject: SubjectId) -> State | None:
        """The subject as it stands; None when there is none of that id."""
        stored = await self._store.load(subject)
        if stored is None:
            return None
        try:
            snapshot = msgspec.json.decode(stored.snapshot, type=_Snapshot)
        except msgspec.ValidationError as wrong:
            raise Malformed("the stored state of this subject is of another release") from wrong
        return snapshot.brand or snapshot.vehicle or snapshot.subscriber

    async def change(
        self, state: State, decision: Decision, *, actor: str, receipt: bytes | None = None
    ) -> tuple[SubjectId, Sequence[Recorded]]:
        """Write ``decision``; the subject and what was written, nothing where ``receipt`` is known of another.

        ``Conflict`` when somebody else was quicker, ``Unavailable`` when the database does not answer.
        """
        events: list[tuple[Event, Mapping[Category, bytes]]] = [
            (RegistryChanged(subject=kind_of(state), change=changes.write(change)), decision.parts if not n else {})
            for n, change in enumerate(decision.changes)
        ]
        now = self._now()
        after = state
        for change in decision.changes:
            after = _evolve(after, change, at=now)
        return await self._append(state, after, events, actor=actor, now=now, receipt=receipt)

    async def reveal(
        self, state: State, categories: Sequence[Category], *, reader: str, purpose: str
    ) -> Sequence[Revealed]:
        """Show personal data to somebody: the access is in the journal before the first byte is given.

        Parts whose key has been destroyed are left out.  ``Conflict`` as in ``change``.
        """
        wanted = tuple(sorted(set(categories)))
        event = RegistryRead(subject=kind_of(state), reader=reader, categories=wanted, purpose=purpose)
        after = msgspec.structs.replace(state, version=state.version + 1)
        await self._append(state, after, [(event, {})], actor=reader, now=self._now(), receipt=None)
        return await self._unseal(state.id, wanted)

    def forget(self, subject: SubjectId) -> None:
        """Drop data keys of the subject from memory: they have been destroyed."""
        self._keyring.forget(subject)

    async def history(self, subject: SubjectId) -> Sequence[Recorded]:
        """All that ever happened to the subject, without personal data."""
        return await self._store.stream(subject)

    async def _unseal(self, subject: SubjectId, categories: Sequence[Category]) -> Sequence[Revealed]:
        recorded = await self.history(subject)
        sealed = await self._store.parts(subject, first=1, last=len(recorded))
        keys = await self._data_keys(subject)
        return [
            Revealed(recorded=event, category=category, payload=_open(keys[category], data, event.id, category))
            for event in recorded
            for category in categories
            if category in keys and (data := sealed.get((event.n, category))) is not None
        ]

    async def _append(
        self,
        before: State,
        after: State,
        events: Sequence[tuple[Event, Mapping[Category, bytes]]],
        *,
        actor: str,
        now: datetime,
        receipt: bytes | None,
    ) -> tuple[SubjectId, Sequence[Recorded]]:
        has_keys = before.version > 0 and any(personal for _, personal in events)
        keys = dict(await self._data_keys(before.id)) if has_keys else {}
        made: list[KeyRow] = []
        parts: list[tuple[int, Category, bytes]] = []
        recorded: list[Recorded] = []
        for n, (event, personal) in enumerate(events, before.version + 1):
            id = EventId(new_id())
            for category in personal:
                if category not in keys:
                    keys[category], row = self._make_key(before.id, category, now)
                    made.append(row)
            sealed = {c: seal(keys[c], payload, context=part_context(id, c)) for c, payload in personal.items()}
            parts += [(n, category, each.ciphertext) for category, each in sealed.items()]
            commitments = {category: each.commitment.hex() for category, each in sealed.items()}
            recorded.append(_recorded(before, event, id=id, n=n, now=now, actor=actor, commitments=commitments))
        append = Append(
            stream=before.id,
            expected=before.version,
            recorded=tuple(recorded),
            headers=tuple(write_header(each) for each in recorded),
            parts=tuple(parts),
            keys=tuple(made),
            row=QueueRow(before.tenant, STATE, _LEAST_URGENT, epoch_ms(now), _snapshot(after)),
            deadlines=(),
            receipt=receipt,
        )
        outcome = await self._store.append(append)
        if isinstance(outcome, Repeated):
            return SubjectId(outcome.stream), ()
        if made:
            self._keyring.remember(before.id, keys)
        return before.id, recorded

    def _make_key(self, subject: SubjectId, category: Category, now: datetime) -> tuple[bytes, KeyRow]:
        key = new_key()
        context = key_context(subject, category)
        try:
            wrapped = self._keys.wrap(key, retention=RETENTION, month=f"{now:%Y-%m}", context=context)
        except (RecordingError, OSError) as failed:
            raise Unavailable(f"no key can be kept for it ({type(failed).__name__})") from failed
        return key, KeyRow(category, wrapped.kek, wrapped.wrapped)

    async def _data_keys(self, subject: SubjectId) -> Keys:
        stream = subject
        known = self._keyring.cached(stream)
        if known is None:
            known = self._keyring.open(stream, await self._store.keys(stream))
            if known:
                self._keyring.remember(stream, known)
        return known

    def _now(self) -> datetime:
        """The clock's time in whole milliseconds, as headers keep it."""
        now = self.clock.now()
        return now.replace(microsecond=now.microsecond // 1000 * 1000)


def kind_of(state: State) -> Kind:
    match state:
        case Brand():
            return Kind.BRAND
        case Vehicle():
            return Kind.VEHICLE
        case Subscriber():
            return Kind.SUBSCRIBER


def _evolve(state: State, change: changes.Change, *, at: datetime) -> State:
    match state:
        case Brand():
            return evolve_brand(state, change, at=at)
        case Vehicle():
            return evolve_vehicle(state, change, at=at)
        case Subscriber():
            return evolve_subscriber(state, change, at=at)


def replay(state: State, recorded: Sequence[Recorded]) -> State:
    """``state`` after all of ``recorded``, which must continue its stream without a gap."""
    for entry in recorded:
        if entry.n != state.version + 1:
            raise ValueError(f"event {entry.n} does not follow version {state.version}")
        if isinstance(entry.event, RegistryChanged):
            state = _evolve(state, changes.read(entry.event.change), at=entry.at)
        else:
            state = msgspec.structs.replace(state, version=entry.n)
    return state


def _recorded(
    state: State,
    event: Event,
    *,
    id: EventId,
    n: int,
    now: datetime,
    actor: str,
    commitments: Mapping[Category, str],
) -> Recorded:
    return Recorded(
        id=id,
        stream=state.id,
        tenant=state.tenant,
        n=n,
        at=now,
        actor=actor,
        answers=None,
        event=event,
        commitments=commitments,
    )


def _snapshot(state: State) -> bytes:
    match state:
        case Brand():
            return msgspec.json.encode(_Snapshot(brand=state))
        case Vehicle():
            return msgspec.json.encode(_Snapshot(vehicle=state))
        case Subscriber():
            return msgspec.json.encode(_Snapshot(subscriber=state))


def _open(key: bytes, sealed: bytes, event: EventId, category: Category) -> bytes:
    try:
        return unseal(key, sealed, context=part_context(event, category)).payload
    except RecordingError as wrong:
        raise Refused(f"the {category} part of {event} has been tampered with") from wrong
