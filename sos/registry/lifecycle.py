"""What may be changed in the registry, by whom, and what it leads to.  Pure: values in, values out.

**Theory.**  A *vehicle* is registered once under its keys; entitlements, owner, deactivation, suspension, transfer and
data-stop are facts beside one another, so none of them undoes another.  Nothing here can make an SOS call unanswered:
each fact ends as a flag on the operator's screen (``standing``).

*Who may.*  The brand (``OEM``) may do everything.  A *dealer* may do what needs a paper: deactivate, transfer, scrap.
The customer's *portal* acts for one subscriber, on that subscriber's own profile, consents and linked vehicle, and can
never switch SOS off (MINI 4.1).  *System* is the house itself: imports, and test calls that have passed.

*Transfer.*  The seller's link must be undone first, or the brand's pack lets it pass with a warning.  With completion
the seller has no access and owns nothing here, in the same event; data of other people is never handed on with a car.

*Deactivation* needs the reference of the signed request, all three acknowledgements and an instant; without any of
these it is refused and nothing is written.  A scrapped vehicle is changed no more.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from routing.categories import Category
from sos.errors import Forbidden, Malformed, Refused
from sos.incident.model import SubjectId
from sos.incident.report import canonical
from sos.registry import changes as ch
from sos.registry import orders as o
from sos.registry.model import (
    SOS,
    Acknowledged,
    Entitlement,
    KeyDigest,
    Notice,
    Subscriber,
    Vehicle,
    VehicleKey,
)
from sos.registry.pack import BrandPack

ITEMS: Mapping[str, Category] = MappingProxyType(
    {
        "name": Category.OWN,
        "address": Category.OWN,
        "email": Category.OWN,
        "birth_date": Category.PER,
        "sex": Category.PER,
        "phone": Category.TEL,
        "language": Category.TEL,
        "medical": Category.MED,
        "family_contact": Category.FAM,
        "contract": Category.BIL,
    }
)
"""Every item of a profile with its data category (Mitsubishi 2(1)); an item that is not here is refused.

All are optional: no missing item ever blocks an SOS (G-Link).  Card and bank data have no item, so the house never has
any.
"""


class Role(StrEnum):
    OEM = "oem"
    DEALER = "dealer"
    PORTAL = "portal"
    SYSTEM = "system"


class Context(Struct, frozen=True, kw_only=True):
    """Who asks, when, and under which pack."""

    role: Role
    now: datetime
    pack: BrandPack | None
    digest: Callable[[VehicleKey], KeyDigest]
    ref_digest: Callable[[str], str]
    acting: SubjectId | None = None
    """The subscriber for whom the portal acts."""


class Decision(Struct, frozen=True, kw_only=True):
    """Changes in their order; ``parts`` belong to the first."""

    changes: tuple[ch.Change, ...] = ()
    parts: Mapping[Category, bytes] = {}


_PAPER: frozenset[type[o.Order]] = frozenset(
    {
        o.Deactivate, o.Reactivate, o.BeginTransfer, o.CancelTransfer, o.CompleteTransfer, o.NotifyBuyer, o.Scrap,
        o.LinkOwner, o.RegisterVehicle, o.RegisterSubscriber, o.AddKey, o.RetireKey,
    }
)  # fmt: skip
_OWN: frozenset[type[o.Order]] = frozenset(
    {o.UnlinkOwner, o.StopData, o.ResumeData, o.ChangeProfile, o.ConfirmProfile, o.RecordConsent}
)
_HOUSE: frozenset[type[o.Order]] = frozenset(
    {o.RegisterVehicle, o.RegisterSubscriber, o.LinkOwner, o.GrantEntitlement, o.PassTestCall, o.SetPack, o.AddKey}
)
MAY: Mapping[Role, frozenset[type[o.Order]] | None] = MappingProxyType(
    {Role.OEM: None, Role.DEALER: _PAPER | _OWN, Role.PORTAL: _OWN, Role.SYSTEM: _HOUSE}
)
"""Which orders a role may give; None means every one."""


def permit(order: o.Order, by: Context) -> None:
    """``Forbidden`` when the role may not give such an order at all."""
    allowed = MAY[by.role]
    if allowed is None or type(order) in allowed:
        return
    if isinstance(order, o.Deactivate):
        raise Forbidden("SOS is never switched off from the portal: it takes a signed request at a dealer")
    raise Forbidden(f"{by.role} may not {type(order).__struct_config__.tag}")


# --- vehicles ------------------------------------------------------------------------------------------------------


def register_vehicle(order: o.RegisterVehicle, by: Context) -> Decision:
    """A vehicle under all its keys; the first is the one it is known by."""
    permit(order, by)
    if not order.keys:
        raise Malformed("a vehicle needs at least one key", field="$.keys")
    if len({key.scheme for key in order.keys}) < len(order.keys):
        raise Malformed("a vehicle has one key per scheme", field="$.keys")
    registered = ch.VehicleRegistered(
        keys=tuple(by.digest(key) for key in order.keys), source=order.source, unit=order.unit
    )
    return Decision(changes=(registered,), parts={Category.VEH: _clear(order.keys)})


def decide_vehicle(vehicle: Vehicle, order: o.VehicleOrder, by: Context) -> Decision:
    """The changes ``order`` leads to; none when it is already so.

    ``Forbidden`` for who may not, ``Refused`` when it may not happen, ``Malformed`` when something is missing in it.
    """
    permit(order, by)
    if by.role is Role.PORTAL and (by.acting is None or vehicle.owner != by.acting):
        raise Forbidden("this vehicle is not this customer's")
    if vehicle.scrapped_at is not None and not isinstance(order, o.Scrap):
        raise Refused("the vehicle has been scrapped; nothing about it is changed any more")
    return _VEHICLE[type(order)](vehicle, order, by)


def _add_key(vehicle: Vehicle, order: o.AddKey, by: Context) -> Decision:
    key = by.digest(order.key)
    if key in vehicle.keys:
        return Decision()
    if any(known.scheme is key.scheme for known in vehicle.keys):
        raise Refused(f"the vehicle has a {key.scheme} already; retire that first")
    return Decision(changes=(ch.KeyAdded(key=key),), parts={Category.VEH: _clear((order.key,))})


def _retire_key(vehicle: Vehicle, order: o.RetireKey, by: Context) -> Decision:
    key = by.digest(order.key)
    if key not in vehicle.keys:
        return Decision()
    if len(vehicle.keys) == 1:
        raise Refused("a vehicle keeps at least one key, or nobody could find it")
    return Decision(changes=(ch.KeyRetired(key=key),))


def _link_owner(vehicle: Vehicle, order: o.LinkOwner, _: Context) -> Decision:
    if vehicle.owner == order.subscriber and vehicle.linked:
        return Decision()
    if vehicle.owner not in (None, order.subscriber):
        raise Refused("the vehicle has an owner; a new one comes by transfer (begin_transfer, complete_transfer)")
    return Decision(changes=(ch.OwnerLinked(subscriber=order.subscriber),))


def _unlink_owner(vehicle: Vehicle, _: o.UnlinkOwner, __: Context) -> Decision:
    if vehicle.owner is None or not vehicle.linked:
        return Decision()
    return Decision(changes=(ch.OwnerUnlinked(subscriber=vehicle.owner),))


def _grant(vehicle: Vehicle, order: o.GrantEntitlement, _: Context) -> Decision:
    if order.ends is not None and order.ends <= order.begins:
        raise Malformed("an entitlement ends after it begins", field="$.ends")
    granted = Entitlement(service=order.service, begins=order.begins, ends=order.ends, terms=order.terms)
    if granted in vehicle.entitlements:
        return Decision()
    return Decision(changes=(ch.EntitlementGranted(entitlement=granted),))


def _end_entitlement(vehicle: Vehicle, order: o.EndEntitlement, by: Context) -> Decision:
    held = [each for each in vehicle.entitlements if each.service == order.service and each.holds(order.at)]
    if not held:
        return Decision()
    if order.service == SOS and vehicle.deactivation is None:
        raise Refused("SOS does not end as other services do: it takes a deactivation")
    return Decision(changes=(ch.EntitlementEnded(service=order.service, at=order.at, reason=order.reason),))


def _deactivate(vehicle: Vehicle, order: o.Deactivate, by: Context) -> Decision:
    if vehicle.deactivation is not None:
        return Decision()
    if not order.document.strip():
        raise Refused("a deactivation needs the reference of the signed and sealed request")
    missing = [each for each in Acknowledged if each not in order.acknowledged]
    if missing:
        raise Refused(f"a deactivation needs every acknowledgement by itself; missing: {', '.join(missing)}")
    if order.effective_at is None:
        raise Refused("a deactivation needs the instant from which it holds")
    done = ch.ServiceDeactivated(
        document=order.document, acknowledged=tuple(Acknowledged), effective_at=order.effective_at, via=by.role
    )
    return Decision(changes=(done,))


def _reactivate(vehicle: Vehicle, order: o.Reactivate, _: Context) -> Decision:
    if vehicle.deactivation is None:
        return Decision()
    return Decision(changes=(ch.ServiceReactivated(document=order.document),))


def _begin_transfer(vehicle: Vehicle, order: o.BeginTransfer, _: Context) -> Decision:
    if vehicle.changing_hands:
        return Decision()
    return Decision(changes=(ch.TransferBegun(document=order.document),))


def _cancel_transfer(vehicle: Vehicle, order: o.CancelTransfer, _: Context) -> Decision:
    if not vehicle.changing_hands:
        return Decision()
    return Decision(changes=(ch.TransferCancelled(document=order.document),))


def _complete_transfer(vehicle: Vehicle, order: o.CompleteTransfer, by: Context) -> Decision:
    if not vehicle.changing_hands or vehicle.transfer is None:
        raise Refused("no transfer has begun")
    blocks = by.pack is None or by.pack.open_link == "block"
    if vehicle.linked and blocks:
        raise Refused("the seller's account is still linked with the car: unlink it before the hand-over")
    if order.buyer is not None and order.buyer == vehicle.owner:
        raise Refused("the buyer is the seller")
    if vehicle.transfer.notice is None and not order.services_off_told:
        raise Refused("record first what the buyer was told: of the services, or that they are off (notify_buyer)")
    done: list[ch.Change] = []
    if vehicle.transfer.notice is None:
        done.append(ch.BuyerNotified(content=Notice.SERVICES_OFF, document="stated_at_completion"))
    done.append(ch.TransferCompleted(seller=vehicle.owner, buyer=order.buyer, open_link=vehicle.linked))
    return Decision(changes=tuple(done))


def _notify_buyer(vehicle: Vehicle, order: o.NotifyBuyer, _: Context) -> Decision:
    if vehicle.transfer is None:
        raise Refused("no transfer has begun")
    if order.content is Notice.SERVICES and vehicle.deactivation is not None:
        raise Refused("the services are off, so the buyer must be told that they are (MINI 4.1 b)")
    if (vehicle.transfer.notice, vehicle.transfer.notice_document) == (order.content, order.document):
        return Decision()
    return Decision(changes=(ch.BuyerNotified(content=order.content, document=order.document),))


def _scrap(vehicle: Vehicle, order: o.Scrap, _: Context) -> Decision:
    if vehicle.scrapped_at is not None:
        return Decision()
    return Decision(changes=(ch.VehicleScrapped(document=order.document),))


def _stop_data(vehicle: Vehicle, _: o.StopData, by: Context) -> Decision:
    return Decision() if vehicle.data_stopped_at else Decision(changes=(ch.DataStopped(via=by.role),))


def _resume_data(vehicle: Vehicle, _: o.ResumeData, by: Context) -> Decision:
    return Decision(changes=(ch.DataResumed(via=by.role),)) if vehicle.data_stopped_at else Decision()


def _pass_test_call(vehicle: Vehicle, order: o.PassTestCall, _: Context) -> Decision:
    return Decision(changes=(ch.TestCallPassed(incident=order.incident),)) if vehicle.untested else Decision()


def _suspend(vehicle: Vehicle, order: o.Suspend, _: Context) -> Decision:
    if vehicle.suspended is order.reason:
        return Decision()
    return Decision(changes=(ch.VehicleSuspended(reason=order.reason, document=order.document),))


def _lift(vehicle: Vehicle, order: o.LiftSuspension, _: Context) -> Decision:
    if vehicle.suspended is None:
        return Decision()
    return Decision(changes=(ch.SuspensionLifted(reason=vehicle.suspended, document=order.document),))


_VEHICLE: Mapping[type[o.Order], Callable[[Vehicle, Any, Context], Decision]] = MappingProxyType(
    {
        o.AddKey: _add_key,
        o.RetireKey: _retire_key,
        o.LinkOwner: _link_owner,
        o.UnlinkOwner: _unlink_owner,
        o.GrantEntitlement: _grant,
        o.EndEntitlement: _end_entitlement,
        o.Deactivate: _deactivate,
        o.Reactivate: _reactivate,
        o.BeginTransfer: _begin_transfer,
        o.CancelTransfer: _cancel_transfer,
        o.CompleteTransfer: _complete_transfer,
        o.NotifyBuyer: _notify_buyer,
        o.Scrap: _scrap,
        o.StopData: _stop_data,
        o.ResumeData: _resume_data,
        o.PassTestCall: _pass_test_call,
        o.Suspend: _suspend,
        o.LiftSuspension: _lift,
    }
)


def _clear(keys: tuple[VehicleKey, ...]) -> bytes:
    return canonical({"keys": [{"scheme": key.scheme, "value": key.value} for key in keys]})


# --- subscribers ---------------------------------------------------------------------------------------------------


def register_subscriber(order: o.RegisterSubscriber, by: Context) -> Decision:
    permit(order, by)
    items = _items(order.profile)
    ref = by.ref_digest(order.ref) if order.ref else ""
    registered = ch.SubscriberRegistered(items=items, source=order.source, ref=ref)
    return Decision(changes=(registered,), parts=profile_parts(order.profile))


def decide_subscriber(subscriber: Subscriber, order: o.SubscriberOrder, by: Context) -> Decision:
    """As ``decide_vehicle``."""
    permit(order, by)
    if by.role is Role.PORTAL and by.acting != subscriber.id:
        raise Forbidden("this is not this customer's own record")
    if subscriber.ended_at is not None and not isinstance(order, o.EndContract | o.RecordConsent):
        raise Refused("the contract has ended; its data is kept only until its period is over")
    return _SUBSCRIBER[type(order)](subscriber, order, by)


def _change_profile(_: Subscriber, order: o.ChangeProfile, __: Context) -> Decision:
    changed = ch.ProfileChanged(items=_items(order.profile), source=order.source)
    return Decision(changes=(changed,), parts=profile_parts(order.profile))


def _confirm_profile(_: Subscriber, __: o.ConfirmProfile, by: Context) -> Decision:
    return Decision(changes=(ch.ProfileConfirmed(via=by.role),))


def _record_consent(subscriber: Subscriber, order: o.RecordConsent, by: Context) -> Decision:
    if by.pack is None:
        raise Refused("the brand has no pack, so nobody can say which text was shown")
    if order.purpose not in by.pack.purposes:
        raise Refused(f"this brand asks no consent to {order.purpose!r}")
    id, _, version = order.text.partition("/")
    if not any((text.id, text.version) == (id, version) for text in by.pack.legal_texts):
        raise Refused(f"this brand has no legal text {order.text!r}")
    if not order.given and not order.consequence_shown:
        raise Refused("a refusal is recorded once the person was shown what it costs")
    newest = subscriber.consent(order.purpose)
    if newest is not None and (newest.given, newest.text) == (order.given, order.text):
        return Decision()
    answer = ch.ConsentRecorded(
        purpose=order.purpose,
        given=order.given,
        text=order.text,
        via=by.role,
        scope_from=order.scope_from,
        consequence_shown=order.consequence_shown,
    )
    return Decision(changes=(answer,))


def _end_contract(subscriber: Subscriber, order: o.EndContract, _: Context) -> Decision:
    return Decision() if subscriber.ended_at else Decision(changes=(ch.ContractEnded(reason=order.reason),))


_SUBSCRIBER: Mapping[type[o.Order], Callable[[Subscriber, Any, Context], Decision]] = MappingProxyType(
    {
        o.ChangeProfile: _change_profile,
        o.ConfirmProfile: _confirm_profile,
        o.RecordConsent: _record_consent,
        o.EndContract: _end_contract,
    }
)


def _items(profile: Mapping[str, str]) -> tuple[str, ...]:
    unknown = sorted(set(profile) - set(ITEMS))
    if unknown:
        raise Malformed(f"a profile has no item {unknown[0]!r}; known are {', '.join(ITEMS)}", field="$.profile")
    return tuple(item for item in ITEMS if profile.get(item))


def profile_parts(profile: Mapping[str, str]) -> Mapping[Category, bytes]:
    """The profile by category; what is empty is left out."""
    by_category: dict[Category, dict[str, str]] = {}
    for item, value in profile.items():
        if value:
            by_category.setdefault(ITEMS[item], {})[item] = value
    return {category: canonical(items) for category, items in by_category.items()}
