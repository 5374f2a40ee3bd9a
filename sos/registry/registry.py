"""The registry as the rest of the service sees it: orders in, standings out, personal data opened on the record.

Writing decides on the present state and decides again when somebody else was quicker.  ``standing`` never fails: when
the database is away it says so in a flag, and help goes on.  A brand sees its own subjects and nobody else's.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TypeVar

import msgspec
import structlog
from msgspec import Struct

from recording.keys import KeyStore
from recording.retention import HOUSE, Terms
from routing.cards import Cards, shipped
from routing.categories import Category
from routing.errors import Misconfigured as WrongData
from sos.clock import Clock
from sos.errors import Conflict, Forbidden, Refused, SosError, Unavailable, Unknown
from sos.incident.events import Recorded, RegistryChanged
from sos.incident.model import SubjectId, TenantId, new_id
from sos.incident.report import canonical
from sos.journal.losses import Losses
from sos.journal.sealing import Contents
from sos.journal.store import Store
from sos.registry import changes, orders
from sos.registry.index import Index
from sos.registry.ledger import Ledger, State
from sos.registry.lifecycle import (
    Context,
    Decision,
    Role,
    decide_subscriber,
    decide_vehicle,
    register_subscriber,
    register_vehicle,
)
from sos.registry.model import (
    Brand,
    Flag,
    KeyDigest,
    Kind,
    Scheme,
    Standing,
    Subscriber,
    Vehicle,
    VehicleKey,
)
from sos.registry.pack import BrandPack, Retention
from sos.registry.retention import due, next_due
from sos.registry.standing import standing_of, unavailable
from sos.registry.states import evolve_vehicle

log = structlog.get_logger()

AT_ONCE = (
    changes.PackSet,
    changes.VehicleRegistered,
    changes.SubscriberRegistered,
    changes.KeyAdded,
    changes.KeyRetired,
)
"""Changes of what is looked up by: the index has them before anybody is told «done».  The rest it gets as a reader."""

ERASE_EVERY = timedelta(hours=1)
"""Longest that data outlives its period, a database that is away not counted (GMO 1.4: erase without delay)."""

STANDING_WITHIN = timedelta(seconds=2)
"""Longest a standing is waited for; the operator has the call by then, and the flag says why the rest is missing."""

_T = TypeVar("_T")

CONFLICTS = 8
"""How often an order decides again before it gives up."""


class By(Struct, frozen=True, kw_only=True):
    """Who gives an order: a registrar of one brand, or the house itself."""

    tenant: TenantId
    role: Role
    id: str
    acting: SubjectId | None = None
    """The subscriber for whom a portal acts."""

    @property
    def actor(self) -> str:
        return f"system:{self.id}" if self.role is Role.SYSTEM else f"registrar:{self.id}"


class Done(Struct, frozen=True, kw_only=True):
    subject: SubjectId
    changed: tuple[str, ...]
    """Names of the changes that were written; none when it was already so."""


class Registry:
    """One registry over the journal's store."""

    WANTS = (RegistryChanged,)

    def __init__(
        self,
        store: Store,
        index: Index,
        keys: KeyStore,
        *,
        clock: Clock,
        losses: Losses | None = None,
        cards: Cards | None = None,
    ) -> None:
        """``cards``: what the house's operators ask; without, the shipped ones."""
        self._ledger = Ledger(store, keys, clock, losses=losses or Losses())
        self._index = index
        self._secret = keys.secret("registry")
        self._clock = clock
        self._cards = cards or shipped()
        self._packs: dict[TenantId, BrandPack] = {}

    # --- brands ---

    @property
    def packs(self) -> Mapping[TenantId, BrandPack]:
        """The packs in force."""
        return self._packs

    def spoken(self) -> Mapping[str, object]:
        """By tenant: the brand's name and what is said in it, for the operators' screens."""
        shown = ("name_ja", "name_en", "operator", "words")
        return {tenant: {name: getattr(pack, name) for name in shown} for tenant, pack in self._packs.items()}

    def cards(self, tenant: TenantId) -> Cards:
        """What is asked in the name of a brand; the house's own questions where it has no pack, or one from another
        time that fits them no longer."""
        pack = self._packs.get(tenant)
        try:
            return self._cards if pack is None else self._cards.with_brand(pack.cards)
        except WrongData:
            return self._cards

    async def set_pack(self, pack: BrandPack, *, by: By) -> Done:
        """Put ``pack`` in force; nothing is written when it is already."""
        if by.role not in (Role.OEM, Role.SYSTEM) or by.tenant != pack.tenant:
            raise Forbidden("only the brand itself sets its pack")
        done = await _again_on_conflict(lambda: self._put_in_force(pack, by))
        self._packs[pack.tenant] = pack
        return done

    async def _put_in_force(self, pack: BrandPack, by: By) -> Done:
        digest = self._digest(Kind.BRAND, pack.tenant)
        subject = (await self._index.find([digest])).get(digest)
        state = await self._ledger.load(subject) if subject else Brand(id=SubjectId(new_id()), tenant=pack.tenant)
        if not isinstance(state, Brand):
            raise Refused("this brand's stream is not one")
        if state.digest == pack.digest:
            return Done(subject=state.id, changed=())
        decision = Decision(changes=(changes.PackSet(pack=pack, digest=pack.digest, key=digest.hex()),))
        return await self._write(state, decision, by=by, receipt=None if subject else digest)

    async def load_packs(self, configured: Iterable[BrandPack], tenants: Iterable[TenantId]) -> None:
        """Put the configured packs in force, and find those the registry has of the other ``tenants``."""
        for pack in configured:
            await self.set_pack(pack, by=By(tenant=pack.tenant, role=Role.SYSTEM, id="settings"))
        for tenant in set(tenants) - set(self._packs):
            pack_kept = await self._newest_pack(tenant)
            if pack_kept is not None:
                self._packs[tenant] = pack_kept

    async def assume_packs(self, configured: Iterable[BrandPack], tenants: Iterable[TenantId]) -> None:
        """For who only looks: the packs the registry has, else the configured ones; nothing is written."""
        self._packs = {pack.tenant: pack for pack in configured}
        for tenant in tenants:
            try:
                kept = await self._newest_pack(tenant)
            except Unavailable:
                return
            if kept is not None:
                self._packs[tenant] = kept

    async def _newest_pack(self, tenant: TenantId) -> BrandPack | None:
        digest = self._digest(Kind.BRAND, tenant)
        subject = (await self._index.find([digest])).get(digest)
        if subject is None:
            return None
        for recorded in reversed(await self._ledger.history(subject)):
            if isinstance(recorded.event, RegistryChanged):
                change = changes.read(recorded.event.change)
                return change.pack if isinstance(change, changes.PackSet) else None
        return None

    # --- orders ---

    async def register(
        self, order: orders.NewOrder, *, by: By, then: Sequence[orders.LinkOwner | orders.GrantEntitlement] = ()
    ) -> Done:
        """Register a vehicle or a customer; one that is there already is found, not made twice.

        ``then``: what a new vehicle gets in the same commit; a vehicle that is there already gets none of it.
        ``Refused`` when its keys belong to several vehicles.
        """
        context = self._context(by)
        if isinstance(order, orders.RegisterVehicle):
            decision = register_vehicle(order, context)
            digests = [bytes.fromhex(context.digest(key).digest) for key in order.keys]
            lasting = [d for d, key in zip(digests, order.keys, strict=True) if key.scheme is not Scheme.PLATE]
            new: State = Vehicle(id=SubjectId(new_id()), tenant=by.tenant)
        else:
            decision = register_subscriber(order, context)
            digests = lasting = [bytes.fromhex(context.ref_digest(order.ref))] if order.ref else []
            new = Subscriber(id=SubjectId(new_id()), tenant=by.tenant)
        known = set((await self._index.find(digests)).values()) if digests else set()
        if len(known) > 1:
            raise Refused("these keys belong to several vehicles already")
        if known:
            return Done(subject=known.pop(), changed=())
        for each in then:
            await self._check_references(each, by)
        decision = _with(new, decision, then, context)
        return await self._write(new, decision, by=by, receipt=lasting[0] if lasting else None)

    async def change_vehicle(self, subject: SubjectId, order: orders.VehicleOrder, *, by: By) -> Done:
        """Decide ``order`` on the vehicle as it stands, and write what it leads to."""

        async def attempt() -> Done:
            vehicle = await self.vehicle(subject, by=by)
            await self._check_references(order, by)
            told, words = orders.sealed_words(order, lambda words: self._digest("words", by.tenant, words).hex())
            decision = decide_vehicle(vehicle, told, self._context(by))
            if words and decision.changes:
                parts = {**decision.parts, Category.OBS: canonical({"document": words})}
                decision = msgspec.structs.replace(decision, parts=parts)
            return await self._write(vehicle, decision, by=by)

        return await _again_on_conflict(attempt)

    async def change_subscriber(self, subject: SubjectId, order: orders.SubscriberOrder, *, by: By) -> Done:
        """As ``change_vehicle``."""

        async def attempt() -> Done:
            subscriber = await self.subscriber(subject, by=by)
            return await self._write(subscriber, decide_subscriber(subscriber, order, self._context(by)), by=by)

        return await _again_on_conflict(attempt)

    async def change(self, subject: SubjectId, order: orders.VehicleOrder | orders.SubscriberOrder, *, by: By) -> Done:
        """``change_vehicle`` or ``change_subscriber``, as the order is for the one or the other."""
        if isinstance(order, orders.ChangeProfile | orders.ConfirmProfile | orders.RecordConsent | orders.EndContract):
            return await self.change_subscriber(subject, order, by=by)
        return await self.change_vehicle(subject, order, by=by)

    async def _check_references(self, order: orders.VehicleOrder, by: By) -> None:
        """What an order names besides the vehicle must be there and the brand's own; a key must be free."""
        match order:
            case orders.LinkOwner(subscriber=named):
                await self._subscriber(named, by.tenant)
            case orders.CompleteTransfer(buyer=buyer) if buyer is not None:
                await self._subscriber(buyer, by.tenant)
            case orders.AddKey(key=key):
                digest = bytes.fromhex(self.key_digest(by.tenant, key).digest)
                if await self._index.find([digest]):
                    raise Refused(f"this {key.scheme} belongs to a vehicle already; retire it there first")
            case _:
                return

    async def _write(self, state: State, decision: Decision, *, by: By, receipt: bytes | None = None) -> Done:
        if not decision.changes:
            return Done(subject=state.id, changed=())
        subject, recorded = await self._ledger.change(state, decision, actor=by.actor, receipt=receipt)
        if any(isinstance(change, AT_ONCE) for change in decision.changes):
            await self._index.handle(recorded)
        await self._wind_clocks(recorded)
        return Done(subject=subject, changed=tuple(type(change).__name__ for change in decision.changes if recorded))

    # --- questions ---

    async def vehicle(self, subject: SubjectId, *, by: By) -> Vehicle:
        """The vehicle as it stands.  ``Unknown`` when the brand has none; a portal sees its own customer's only."""
        state = await self._of_tenant(subject, by.tenant)
        if not isinstance(state, Vehicle):
            raise Unknown("there is no such vehicle")
        if by.role is Role.PORTAL and (by.acting is None or state.owner != by.acting):
            raise Forbidden("this vehicle is not this customer's")
        return state

    async def subscriber(self, subject: SubjectId, *, by: By) -> Subscriber:
        """As ``vehicle``."""
        if by.role is Role.PORTAL and by.acting != subject:
            raise Forbidden("this is not this customer's own record")
        return await self._subscriber(subject, by.tenant)

    async def subject(self, subject: SubjectId, *, by: By) -> State:
        """As ``vehicle``, whatever it is."""
        return await self._seen_by(subject, by)

    async def find(self, keys: Sequence[VehicleKey], *, tenant: TenantId) -> SubjectId | None:
        """The vehicle the first of ``keys`` that is known leads to."""
        digests = [bytes.fromhex(self.key_digest(tenant, key).digest) for key in keys]
        found = await self._index.find(digests) if digests else {}
        return next((found[digest] for digest in digests if digest in found), None)

    async def customer(self, ref: str, *, tenant: TenantId) -> SubjectId | None:
        """The customer of the brand's number ``ref``."""
        digest = self._digest(Kind.SUBSCRIBER, tenant, ref)
        return (await self._index.find([digest])).get(digest)

    async def subjects(self, kind: Kind, *, tenant: TenantId, after: str = "", limit: int = 100) -> Sequence[SubjectId]:
        """The brand's vehicles or subscribers in order of their ids."""
        return await self._index.of_brand(tenant, kind, after=after, limit=limit)

    async def standing(self, keys: Sequence[VehicleKey], *, tenant: TenantId, at: datetime) -> Standing:
        """How the vehicle called ``keys`` stands at ``at``.  Never fails and never refuses."""
        pack = self._packs.get(tenant)
        try:
            async with asyncio.timeout(STANDING_WITHIN.total_seconds()):
                return await self._standing(keys, pack, tenant=tenant, at=at)
        except (Unavailable, TimeoutError) as away:
            log.warning("registry_unavailable", tenant=tenant, reason=str(away) or "too slow")
        except SosError as wrong:
            log.error("registry_unreadable", tenant=tenant, error=type(wrong).__name__)
        return unavailable(tenant, pack)

    async def _standing(
        self, keys: Sequence[VehicleKey], pack: BrandPack | None, *, tenant: TenantId, at: datetime
    ) -> Standing:
        digests = [bytes.fromhex(self.key_digest(tenant, key).digest) for key in keys]
        found = await self._index.find(digests) if digests else {}
        named = [found[digest] for digest in digests if digest in found]
        seen: list[Flag] = []
        if not named:
            seen.append(Flag.UNKNOWN_VEHICLE if keys else Flag.NO_IDENTITY)
        if len(set(named)) > 1:
            seen.append(Flag.IDENTITY_MISMATCH)
        vehicle = await self._ledger.load(named[0]) if named else None
        owner = vehicle.owner if isinstance(vehicle, Vehicle) else None
        subscriber = await self._ledger.load(owner) if owner else None
        return standing_of(
            vehicle if isinstance(vehicle, Vehicle) else None,
            subscriber if isinstance(subscriber, Subscriber) else None,
            pack,
            brand=tenant,
            at=at,
            seen=seen,
        )

    async def personal(
        self, subject: SubjectId, categories: Sequence[Category], *, by: By, purpose: str
    ) -> Mapping[Category, Mapping[str, object]]:
        """The subject's personal data by category, later facts over earlier ones; the access is journaled first.

        ``Refused`` without a purpose, ``Forbidden`` and ``Unknown`` as in ``vehicle``; ``KeyLost`` when something of it
        should open and does not, so that nothing is taken for all there is.
        """
        if not purpose.strip():
            raise Refused("personal data is not shown without a purpose")

        async def attempt() -> Mapping[Category, Mapping[str, object]]:
            state = await self._seen_by(subject, by)
            code = purpose if by.role is Role.SYSTEM else ""
            words = "" if code else purpose
            revealed = await self._ledger.reveal(state, categories, reader=by.actor, purpose=code, words=words)
            merged: dict[Category, dict[str, object]] = {}
            for part in revealed.whole():
                told = msgspec.json.decode(part.payload, type=dict[str, object])
                merged.setdefault(part.category, {}).update(told)
            return merged

        return await _again_on_conflict(attempt)

    async def shown(self, subject: SubjectId, categories: Sequence[Category], *, reader: str, purpose: str) -> Contents:
        """All parts of the subject for an export, whose maker has looked at the brand; the access is journaled first.

        ``purpose`` is in the reader's own words, which are sealed.  ``Unknown`` when there is no such subject.
        """

        async def attempt() -> Contents:
            state = await self._ledger.load(subject)
            if state is None:
                raise Unknown("there is no such subject")
            return await self._ledger.reveal(state, categories, reader=reader, purpose="", words=purpose)

        return await _again_on_conflict(attempt)

    async def history(self, subject: SubjectId, *, by: By) -> Sequence[Recorded]:
        """All that ever happened to the subject and who looked, without personal data."""
        await self._seen_by(subject, by)
        return await self._ledger.history(subject)

    async def catch_up(self, batch: Sequence[Recorded]) -> None:
        """As a reader: the index takes in what other processes wrote, and what a killed one left; packs likewise."""
        await self._index.handle(batch)
        await self._wind_clocks(batch)
        for recorded in batch:
            if isinstance(recorded.event, RegistryChanged) and recorded.event.subject == Kind.BRAND:
                newest = await self._newest_pack(recorded.tenant)
                if newest is not None:
                    self._packs[recorded.tenant] = newest

    # --- periods ---

    async def keep_periods(self) -> None:
        """Erase what has had its time, for ever; safe in several replicas at once."""
        while True:
            try:
                erased = await self.erase_due()
                if erased:
                    log.info("registry_erased", subjects=erased)
            except (Unavailable, Conflict) as wait:
                log.warning("registry_erasure_waits", reason=str(wait))
            await self._clock.wait(ERASE_EVERY)

    async def erase_due(self) -> int:
        """Erase every subject's data whose period is over; of how many subjects.

        The event stands before the keys go; killed in between, the next round destroys them.
        """
        subjects = await self._index.due(self._clock.now())
        for subject in subjects:
            await self._erase(subject)
        return len(subjects)

    async def _erase(self, subject: SubjectId) -> None:
        state = await self._ledger.load(subject)
        if not isinstance(state, Vehicle | Subscriber):
            return
        periods = self._periods(state.tenant)
        over = due(state, periods, now=self._clock.now())
        if over:
            erased = Decision(changes=(changes.PersonalDataErased(categories=over, reason="period_over"),))
            await self._write(state, erased, by=By(tenant=state.tenant, role=Role.SYSTEM, id="retention"))
        await self._ledger.retire_keys(subject, {*state.erased, *over})
        await self._index.destroy_keys(subject, tuple({*state.erased, *over}))
        self._ledger.forget(subject)
        left = await self._ledger.load(subject)
        if isinstance(left, Vehicle | Subscriber):
            await self._index.set_clock(subject, next_due(left, periods))

    async def _wind_clocks(self, batch: Sequence[Recorded]) -> None:
        """Clocks that a change has started; data keys that another process has destroyed."""
        for recorded in batch:
            if not isinstance(recorded.event, RegistryChanged):
                continue
            subject = SubjectId(recorded.stream)
            match changes.read(recorded.event.change):
                case changes.ContractEnded() | changes.VehicleScrapped():
                    state = await self._ledger.load(subject)
                    if isinstance(state, Vehicle | Subscriber):
                        await self._index.set_clock(subject, next_due(state, self._periods(state.tenant)))
                case changes.PersonalDataErased():
                    self._ledger.forget(subject)
                case _:
                    continue

    def terms(self, tenant: TenantId) -> Terms:
        """What the brand promises otherwise than the house of how long anything is kept."""
        pack = self._packs.get(tenant)
        return HOUSE if pack is None else pack.terms

    def _periods(self, tenant: TenantId) -> Retention:
        pack = self._packs.get(tenant)
        return Retention() if pack is None else pack.retention

    # --- inside ---

    async def _seen_by(self, subject: SubjectId, by: By) -> State:
        state = await self._of_tenant(subject, by.tenant)
        if isinstance(state, Vehicle):
            return await self.vehicle(subject, by=by)
        if isinstance(state, Subscriber):
            return await self.subscriber(subject, by=by)
        return state

    async def _subscriber(self, subject: SubjectId, tenant: TenantId) -> Subscriber:
        state = await self._of_tenant(subject, tenant)
        if not isinstance(state, Subscriber):
            raise Unknown("there is no such subscriber")
        return state

    async def _of_tenant(self, subject: SubjectId, tenant: TenantId) -> State:
        state = await self._ledger.load(subject)
        if state is None or state.tenant != tenant:
            raise Unknown("there is no such subject in this brand's registry")
        return state

    def _context(self, by: By) -> Context:
        return Context(
            role=by.role,
            now=self._clock.now(),
            pack=self._packs.get(by.tenant),
            digest=lambda key: self.key_digest(by.tenant, key),
            ref_digest=lambda ref: self._digest(Kind.SUBSCRIBER, by.tenant, ref).hex(),
            acting=by.acting,
        )

    def key_digest(self, tenant: TenantId, key: VehicleKey) -> KeyDigest:
        """What ``key`` is looked up by."""
        return KeyDigest(key.scheme, self._digest(Kind.VEHICLE, tenant, key.scheme, key.folded).hex())

    def _digest(self, *told: str) -> bytes:
        return hmac.digest(self._secret, "\0".join(told).encode(), sha256)


def _with(
    new: State, decision: Decision, then: Sequence[orders.LinkOwner | orders.GrantEntitlement], context: Context
) -> Decision:
    """``decision`` and what ``then`` leads to on the vehicle it makes."""
    made = list(decision.changes)
    for order in then:
        after = new
        for change in made:
            if isinstance(after, Vehicle):
                after = evolve_vehicle(after, change, at=context.now)
        if isinstance(after, Vehicle):
            made += decide_vehicle(after, order, context).changes
    return Decision(changes=tuple(made), parts=decision.parts)


async def _again_on_conflict(attempt: Callable[[], Awaitable[_T]]) -> _T:
    """Try until nobody else was quicker."""
    for _ in range(CONFLICTS):
        try:
            return await attempt()
        except Conflict:
            continue
    raise Conflict("this subject changes faster than an order can be written")
