"""How a vehicle stands at an instant: every fact of the registry as a flag on the operator's screen.  Pure.

A person answers every call, whatever stands here.  Suspension for ``sanctions``, a deactivated SIM that rings all the
same, a vehicle nobody ever registered: each is a reason to look twice, none is a reason not to help.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from sos.incident.model import TenantId
from sos.registry.model import SOS, Flag, Right, Standing, Subscriber, Suspension, Vehicle
from sos.registry.pack import BrandPack, CallBackRules

CALL_BACK = CallBackRules().window("")
"""Where no pack says otherwise: cars stay reachable for about an hour after a call."""


def standing_of(
    vehicle: Vehicle | None,
    subscriber: Subscriber | None,
    pack: BrandPack | None,
    *,
    brand: TenantId,
    at: datetime,
    seen: Iterable[Flag] = (),
) -> Standing:
    """The standing of ``vehicle`` at ``at``; ``subscriber`` is its owner, ``seen`` what the look-up noticed."""
    flags = list(seen)
    if pack is None:
        flags.append(Flag.NO_BRAND_PACK)
    if vehicle is not None:
        flags += _of_vehicle(vehicle, at)
        flags += _of_right(vehicle, at)
    if subscriber is not None:
        flags += _of_subscriber(subscriber, pack, at)
    return Standing(
        flags=tuple(dict.fromkeys(flags)),
        brand=brand,
        pack="" if pack is None else pack.name,
        entitlement=Right.UNKNOWN if vehicle is None else right(vehicle, at),
        opt_out=subscriber is not None and subscriber.opted_out,
        profiling=pack is not None and pack.profiling,
        call_back_window=_window(vehicle, pack),
        vehicle=None if vehicle is None else vehicle.id,
        subscriber=None if subscriber is None else subscriber.id,
        severity_model="" if pack is None or not pack.profiling else pack.severity.model,
        clauses=() if pack is None else pack.in_force(),
    )


def unavailable(brand: TenantId, pack: BrandPack | None) -> Standing:
    """What can be said while the registry does not answer: nothing is known, so nothing is scored."""
    return Standing(
        flags=(Flag.REGISTRY_UNAVAILABLE,),
        brand=brand,
        pack="" if pack is None else pack.name,
        entitlement=Right.UNKNOWN,
        opt_out=False,
        profiling=False,
        call_back_window=_window(None, pack),
        clauses=() if pack is None else pack.in_force(),
    )


def right(vehicle: Vehicle, at: datetime) -> Right:
    """Whether the vehicle is entitled to SOS at ``at``.  Entitlements to other services neither help nor harm."""
    sos = [each for each in vehicle.entitlements if each.service == SOS]
    if any(each.holds(at) for each in sos):
        return Right.ENTITLED
    return Right.LAPSED if any(each.begins <= at for each in sos) else Right.NEVER


def _of_vehicle(vehicle: Vehicle, at: datetime) -> Iterable[Flag]:
    if vehicle.deactivation is not None and vehicle.deactivation.effective_at <= at:
        yield Flag.DEACTIVATED
    if vehicle.suspended is not None:
        yield Flag.SANCTIONS if vehicle.suspended is Suspension.SANCTIONS else Flag.SUSPENDED
    if vehicle.scrapped_at is not None:
        yield Flag.SCRAPPED
    if vehicle.changing_hands:
        yield Flag.CHANGING_HANDS
    if vehicle.changing_hands and vehicle.linked:
        yield Flag.OPEN_LINK
    if vehicle.sold:
        yield Flag.SOLD
    if vehicle.data_stopped_at is not None:
        yield Flag.DATA_STOPPED
    if vehicle.untested:
        yield Flag.RESUMED_UNTESTED


def _of_right(vehicle: Vehicle, at: datetime) -> Iterable[Flag]:
    match right(vehicle, at):
        case Right.NEVER:
            yield Flag.NOT_ENTITLED
        case Right.LAPSED:
            yield Flag.LAPSED
        case _:
            return


def _of_subscriber(subscriber: Subscriber, pack: BrandPack | None, at: datetime) -> Iterable[Flag]:
    if subscriber.opted_out:
        yield Flag.OPTED_OUT
    if pack is not None and stale(subscriber, pack, at):
        yield Flag.STALE_PROFILE


def stale(subscriber: Subscriber, pack: BrandPack, at: datetime) -> bool:
    """Whether the customer is to be asked if the profile is still right (MINI 9.2)."""
    confirmed = subscriber.confirmed_at
    return confirmed is not None and at - confirmed > timedelta(days=pack.stale_profile_days)


def consents_in_force(subscriber: Subscriber, pack: BrandPack, at: datetime) -> tuple[str, ...]:
    """The purposes consented to whose text has not been replaced by one that asks again (Mitsubishi 11)."""
    newest = {each.purpose: each for each in subscriber.consents}
    return tuple(purpose for purpose, answer in newest.items() if answer.given and pack.counts(answer.text, at.date()))


def _window(vehicle: Vehicle | None, pack: BrandPack | None) -> timedelta:
    if pack is None:
        return CALL_BACK
    return pack.call_back.window("" if vehicle is None else vehicle.unit)
