"""The state of a vehicle or subscriber after each change.  Pure; a state equals the replay of its stream."""

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from msgspec.structs import replace

from sos.errors import Refused
from sos.registry import changes as ch
from sos.registry.model import Brand, Consent, Deactivation, Subscriber, Transfer, Vehicle

Effect = Callable[[Any, Any, datetime], dict[str, Any]]


def evolve_brand(brand: Brand, change: ch.Change, *, at: datetime) -> Brand:
    """As ``evolve_vehicle``; ``at`` is not needed, for a pack says itself from when its texts hold."""
    del at
    if not isinstance(change, ch.PackSet):
        raise Refused(f"{type(change).__name__} is no change of a brand")
    return replace(brand, version=brand.version + 1, digest=change.digest)


def evolve_vehicle(vehicle: Vehicle, change: ch.Change, *, at: datetime) -> Vehicle:
    """``vehicle`` after ``change``.  ``Refused`` for a change that no vehicle has: it must not be written."""
    if (vehicle.version == 0) is not isinstance(change, ch.VehicleRegistered):
        raise Refused(f"{type(change).__name__} cannot stand at number {vehicle.version + 1} of a vehicle")
    effect = _VEHICLE.get(type(change))
    if effect is None:
        raise Refused(f"{type(change).__name__} is no change of a vehicle")
    return replace(vehicle, version=vehicle.version + 1, **effect(vehicle, change, at))


def evolve_subscriber(subscriber: Subscriber, change: ch.Change, *, at: datetime) -> Subscriber:
    """As ``evolve_vehicle``."""
    if (subscriber.version == 0) is not isinstance(change, ch.SubscriberRegistered):
        raise Refused(f"{type(change).__name__} cannot stand at number {subscriber.version + 1} of a subscriber")
    effect = _SUBSCRIBER.get(type(change))
    if effect is None:
        raise Refused(f"{type(change).__name__} is no change of a subscriber")
    return replace(subscriber, version=subscriber.version + 1, **effect(subscriber, change, at))


def _erased(state: Vehicle | Subscriber, change: ch.PersonalDataErased, _: datetime) -> dict[str, Any]:
    return {"erased": tuple(sorted({*state.erased, *change.categories}))}


def _granted(vehicle: Vehicle, change: ch.EntitlementGranted, _: datetime) -> dict[str, Any]:
    made = change.entitlement
    others = tuple(each for each in vehicle.entitlements if (each.service, each.begins) != (made.service, made.begins))
    return {"entitlements": (*others, made)}


def _ended(vehicle: Vehicle, change: ch.EntitlementEnded, _: datetime) -> dict[str, Any]:
    return {
        "entitlements": tuple(
            replace(each, ends=change.at, ended=change.reason)
            if each.service == change.service and each.holds(change.at)
            else each
            for each in vehicle.entitlements
        )
    }


def _deactivated(_: Vehicle, change: ch.ServiceDeactivated, __: datetime) -> dict[str, Any]:
    return {
        "deactivation": Deactivation(
            document=change.document,
            acknowledged=change.acknowledged,
            effective_at=change.effective_at,
            via=change.via,
        )
    }


def _transferred(vehicle: Vehicle, change: ch.TransferCompleted, at: datetime) -> dict[str, Any]:
    begun = vehicle.transfer or Transfer(begun_at=at)
    return {
        "owner": change.buyer,
        "linked": False,
        "transfer": replace(begun, completed_at=at, open_link=change.open_link),
    }


def _notified(vehicle: Vehicle, change: ch.BuyerNotified, at: datetime) -> dict[str, Any]:
    known = vehicle.transfer or Transfer(begun_at=at)
    return {"transfer": replace(known, notice=change.content, notice_document=change.document)}


_VEHICLE: Mapping[type[ch.Change], Effect] = MappingProxyType(
    {
        ch.VehicleRegistered: lambda _, c, __: {"keys": c.keys, "unit": c.unit},
        ch.KeyAdded: lambda v, c, _: {"keys": (*v.keys, c.key)},
        ch.KeyRetired: lambda v, c, _: {"keys": tuple(key for key in v.keys if key != c.key)},
        ch.OwnerLinked: lambda _, c, __: {"owner": c.subscriber, "linked": True},
        ch.OwnerUnlinked: lambda *_: {"linked": False},
        ch.EntitlementGranted: _granted,
        ch.EntitlementEnded: _ended,
        ch.ServiceDeactivated: _deactivated,
        ch.ServiceReactivated: lambda *_: {"deactivation": None},
        ch.TransferBegun: lambda _, __, at: {"transfer": Transfer(begun_at=at)},
        ch.TransferCancelled: lambda *_: {"transfer": None},
        ch.TransferCompleted: _transferred,
        ch.BuyerNotified: _notified,
        ch.VehicleScrapped: lambda _, __, at: {"scrapped_at": at, "owner": None, "linked": False},
        ch.DataStopped: lambda _, __, at: {"data_stopped_at": at, "untested": False},
        ch.DataResumed: lambda *_: {"data_stopped_at": None, "untested": True},
        ch.TestCallPassed: lambda *_: {"untested": False},
        ch.VehicleSuspended: lambda _, c, __: {"suspended": c.reason},
        ch.SuspensionLifted: lambda *_: {"suspended": None},
        ch.PersonalDataErased: _erased,
    }
)


def _consented(subscriber: Subscriber, change: ch.ConsentRecorded, at: datetime) -> dict[str, Any]:
    answer = Consent(
        purpose=change.purpose,
        given=change.given,
        at=at,
        text=change.text,
        via=change.via,
        scope_from=change.scope_from,
    )
    return {"consents": (*subscriber.consents, answer)}


def _filled(subscriber: Subscriber, change: ch.ProfileChanged, at: datetime) -> dict[str, Any]:
    return {"items": tuple(sorted({*subscriber.items, *change.items})), "confirmed_at": at}


_SUBSCRIBER: Mapping[type[ch.Change], Effect] = MappingProxyType(
    {
        ch.SubscriberRegistered: lambda _, c, at: {
            "items": tuple(sorted(c.items)),
            "registered_at": at,
            "confirmed_at": at,
        },
        ch.ProfileChanged: _filled,
        ch.ProfileConfirmed: lambda _, __, at: {"confirmed_at": at},
        ch.ConsentRecorded: _consented,
        ch.ContractEnded: lambda _, __, at: {"ended_at": at},
        ch.PersonalDataErased: _erased,
    }
)
