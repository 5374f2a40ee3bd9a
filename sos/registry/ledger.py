"""Streams of the registry in the one journal: what changed, sealed, committed to and provable as any other event.

A subject's stream begins with its registration.  Its state lies as a snapshot in the row that the journal keeps for
every stream, written in the same transaction as the event; the row's state ``registry`` keeps it out of every queue of
incidents.  Personal data is sealed under data keys of the subject's own, wrapped for the retention class of contracts.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

import msgspec
from msgspec import Struct

from recording.keys import KeyStore
from routing.categories import Category
from sos.clock import Clock, epoch_ms
from sos.errors import Malformed
from sos.incident.events import Draft, Recorded, RegistryChanged, RegistryRead
from sos.incident.model import SubjectId
from sos.incident.report import canonical
from sos.journal.keyring import Keyring
from sos.journal.losses import Losses
from sos.journal.sealing import Contents, Sealer, Stamp, milliseconds
from sos.journal.store import QueueRow, Repeated, Store
from sos.registry import changes
from sos.registry.lifecycle import Decision
from sos.registry.model import Brand, Kind, Subscriber, Vehicle
from sos.registry.states import evolve_brand, evolve_subscriber, evolve_vehicle

RETENTION = "registry-contract"
"""Retention class of a subject's data keys; its clock starts with the contract's end or the scrapping."""

STATE = "registry"
"""State of the rows of these streams among the journal's rows: no queue asks for it."""

STATED = "stated"
"""Stands in the header for a purpose in somebody's own words."""

_LEAST_URGENT = 99

State = Brand | Vehicle | Subscriber


class _Snapshot(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Exactly one of the three.  It has no ``id`` of its own, so it is never mistaken for an incident."""

    brand: Brand | None = None
    vehicle: Vehicle | None = None
    subscriber: Subscriber | None = None


class Ledger:
    def __init__(self, store: Store, keys: KeyStore, clock: Clock, *, losses: Losses) -> None:
        self._store = store
        self._keys = keys
        self._sealer = Sealer(store, Keyring(keys, retention=lambda _: RETENTION), losses)
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
        drafts = [
            Draft(
                event=RegistryChanged(subject=kind_of(state), change=changes.write(change)),
                parts=decision.parts if not n else {},
            )
            for n, change in enumerate(decision.changes)
        ]
        now = self._now()
        after = state
        for change in decision.changes:
            after = _evolve(after, change, at=now)
        return await self._append(state, after, drafts, actor=actor, now=now, receipt=receipt)

    async def reveal(
        self, state: State, categories: Sequence[Category], *, reader: str, purpose: str, words: str = ""
    ) -> Contents:
        """Show personal data to somebody: the access is in the journal before the first byte is given.

        ``purpose`` is a code; ``words`` are the reader's own, in its stead, and are sealed.
        What cannot be opened is named in it, with the reason.  ``Conflict`` as in ``change``.
        """
        wanted = tuple(sorted(set(categories)))
        event = RegistryRead(subject=kind_of(state), reader=reader, categories=wanted, purpose=purpose or STATED)
        said = {Category.OBS: canonical({"purpose": words})} if words else {}
        after = msgspec.structs.replace(state, version=state.version + 1)
        await self._append(state, after, [Draft(event=event, parts=said)], actor=reader, now=self._now(), receipt=None)
        erased = () if isinstance(state, Brand) else state.erased
        return await self._sealer.unseal(state.id, wanted, destroyed=erased)

    async def retire_keys(self, subject: SubjectId, categories: Collection[Category]) -> None:
        """What the data keys of these categories are wrapped under wraps nothing more, and ends once all that lives has
        been moved from it: until then a backup of the database opens what is erased.
        """
        for row in await self._store.keys(subject):
            if row.category in categories and not row.destroyed:
                self._keys.retire(row.kek, at=self.clock.now())

    def forget(self, subject: SubjectId) -> None:
        """Drop data keys of the subject from memory: they have been destroyed."""
        self._sealer.forget(subject)

    async def history(self, subject: SubjectId) -> Sequence[Recorded]:
        """All that ever happened to the subject, without personal data."""
        return await self._store.stream(subject)

    async def _append(
        self,
        before: State,
        after: State,
        drafts: Sequence[Draft],
        *,
        actor: str,
        now: datetime,
        receipt: bytes | None,
    ) -> tuple[SubjectId, Sequence[Recorded]]:
        stamp = Stamp(
            stream=before.id, tenant=before.tenant, follows=before.version, at=now, actor=actor, receipt=receipt
        )
        row = QueueRow(before.tenant, STATE, _LEAST_URGENT, epoch_ms(now), _snapshot(after))
        recorded, outcome = await self._sealer.write(stamp, drafts, row=row)
        if isinstance(outcome, Repeated):
            return SubjectId(outcome.stream), ()
        return before.id, recorded

    def _now(self) -> datetime:
        return milliseconds(self.clock.now())


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


def _snapshot(state: State) -> bytes:
    match state:
        case Brand():
            return msgspec.json.encode(_Snapshot(brand=state))
        case Vehicle():
            return msgspec.json.encode(_Snapshot(vehicle=state))
        case Subscriber():
            return msgspec.json.encode(_Snapshot(subscriber=state))
