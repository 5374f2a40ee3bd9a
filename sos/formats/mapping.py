"""Every dialect of vehicle data as the house's one report: where, which vehicle, how bad, whom to call.

Pure: the same message always gives the same report.  Whether it can be true is judged of every report alike, elsewhere
(``sos.incident.plausible``); what was sent stays readable in the raw part.  Personal data of which a report has no need
(names, birth dates and impairments in a VEDS) is left in the raw part alone.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct, structs

from routing.location import Known, plausible
from routing.position.pidf import PidfLo
from routing.position.shapes import circle_of
from sos.formats import msd as ecall
from sos.formats import ncap
from sos.formats.bits import MalformedBits
from sos.formats.markup import MAX_TEXT
from sos.formats.msd import Delta, Msd, VehicleType
from sos.formats.msd_review import impact_of, review
from sos.formats.msd_salvage import salvage
from sos.formats.veds import CrashVehicle, Pulse, Veds, id_scheme
from sos.incident.model import Mode, Trigger
from sos.incident.report import CallBack, Crash, EmergencyReport, Fix, Location, Vehicle


class Mapped(Struct, frozen=True, kw_only=True):
    """What intake opens an incident with."""

    trigger: Trigger
    mode: Mode
    """TEST when the message says so, else LIVE."""
    report: EmergencyReport


# MSD


def read_msd(octets: bytes) -> Msd:
    """The MSD in ``octets`` or what can be saved of it; errors as of ``msd.read`` when that is nothing."""
    try:
        return ecall.read(octets)
    except MalformedBits:
        rescued = salvage(octets)
        if rescued is None:
            raise
        return rescued


def report_of_msd(msd: Msd) -> Mapped:
    """The report in ``msd``; its findings are those of ``msd_review``."""
    report = EmergencyReport(
        sequence=msd.message_identifier,
        location=_msd_location(msd),
        vehicle=Vehicle(
            id_scheme="vin",
            id_value=msd.vin,
            category=_category(msd.vehicle_type),
            energy=tuple(str(energy) for energy in msd.propulsion),
            occupants=msd.occupants_known,
        ),
        crash=_msd_crash(msd),
        findings=review(msd),
    )
    return Mapped(
        trigger=Trigger.AUTOMATIC if msd.automatic_activation else Trigger.MANUAL,
        mode=Mode.TEST if msd.test_call else Mode.LIVE,
        report=report,
    )


def _msd_location(msd: Msd) -> Location:
    if not msd.has_position:
        return Location(heading=_heading(msd), trusted=msd.position_can_be_trusted)
    return Location(
        latitude=round(msd.latitude_mas / 3_600_000, 7),
        longitude=round(msd.longitude_mas / 3_600_000, 7),
        heading=_heading(msd),
        trusted=msd.position_can_be_trusted,
        recent=_recent(msd),
    )


def _heading(msd: Msd) -> float | None:
    return None if msd.heading is None else float(msd.heading)


def _recent(msd: Msd) -> tuple[Fix, ...]:
    """Where the vehicle was before, latest first; the message does not say how long before.

    N1 counts from the vehicle's location and N2 from N1, so without N1 there is no N2.  In version 3 they cannot be
    missing, and two zero ways are what a sender without any fills in.
    """
    if msd.recent_n1 == msd.recent_n2 == Delta(0, 0):
        return ()
    fixes = []
    latitude_mas, longitude_mas = msd.latitude_mas, msd.longitude_mas
    for delta in (msd.recent_n1, msd.recent_n2):
        if delta is None:
            break
        latitude_mas += 100 * delta.latitude
        longitude_mas += 100 * delta.longitude
        if abs(latitude_mas) > ecall.MAX_LATITUDE_MAS or abs(longitude_mas) > ecall.MAX_LONGITUDE_MAS:
            break
        fixes.append(Fix(latitude=round(latitude_mas / 3_600_000, 7), longitude=round(longitude_mas / 3_600_000, 7)))
    return tuple(fixes)


_CATEGORIES: Mapping[VehicleType, str] = MappingProxyType(
    {kind: "other" if kind is VehicleType.OTHER else kind.upper().replace("E", "e") for kind in VehicleType}
)
"""As UNECE and EU law write them: ``M1``, ``L1e``."""


def _category(vehicle_type: VehicleType | None) -> str | None:
    return None if vehicle_type is None else _CATEGORIES[vehicle_type]


def _msd_crash(msd: Msd) -> Crash:
    told = impact_of(msd)
    if told is None:
        return Crash(event_time=msd.happened_at)
    measured = ncap.delta_v(told)
    x, y = (None, None) if measured is None else map(float, measured)
    return Crash(
        event_time=msd.happened_at,
        impact=_IMPACTS.get(told.location_of_impact) if told.location_of_impact is not None else None,
        delta_v_x=x,
        delta_v_y=y,
        delta_v_limit=None if measured is None else float(told.range_limit),
        rollover=_ROLLOVER.get(told.rollover_detected),
    )


_IMPACTS: Mapping[ncap.Impact, str] = MappingProxyType(
    {place: str(place) for place in ncap.Impact if place is not ncap.Impact.UNKNOWN}
)
_ROLLOVER: Mapping[bool | None, str] = MappingProxyType({True: "DETECTED", False: "NONE"})


# VEDS

_KMH_PER_UNIT: Mapping[str, float] = MappingProxyType(
    {"mph": 1.609344, "mi/h": 1.609344, "kph": 1.0, "km/h": 1.0, "kmh": 1.0, "m/s": 3.6, "mps": 3.6}
)
_DEVICES: Mapping[str, Trigger] = MappingProxyType({"AIRBAG": Trigger.AUTOMATIC, "MANUAL": Trigger.MANUAL})


def report_of_veds(veds: Veds, *, beside: PidfLo | None = None) -> Mapped:
    """The report in ``veds``; ``beside`` is the PIDF-LO that came in a body part of its own (RFC 8148 section 5).

    A VEDS does not say whether it is a test or, mostly, what set it off: the service URN of its call does.
    """
    findings = list(veds.findings)
    report = EmergencyReport(
        sequence=0,
        location=_veds_location(veds, beside or veds.pidf, findings),
        vehicle=_veds_vehicle(veds),
        crash=_veds_crash(veds, findings),
        call_back=CallBack(tel=veds.call_back),
    )
    return Mapped(
        trigger=_DEVICES.get((veds.device or "").upper(), Trigger.UNKNOWN),
        mode=Mode.LIVE,
        report=structs.replace(report, findings=tuple(findings)),
    )


def _veds_location(veds: Veds, pidf: PidfLo | None, findings: list[str]) -> Location:
    """The PIDF-LO outranks the document's own coordinates: it has a shape and a time."""
    first = next((each for each in pidf.locations if each.shape is not None), None) if pidf is not None else None
    words = veds.place_as_sent or _address(pidf)
    if first is not None and first.shape is not None:
        circle = circle_of(first.shape)
        if isinstance(plausible(circle.latitude, circle.longitude), Known):
            return Location(
                latitude=circle.latitude,
                longitude=circle.longitude,
                heading=veds.heading,
                horizontal_accuracy=circle.radius_m or None,
                timestamp=first.timestamp,
            )
        findings.append("location_impossible:$.presence")
        words = f"{circle.latitude},{circle.longitude}"
    sent = (veds.latitude, veds.longitude)
    reported = words if sent == (None, None) else veds.place_as_sent
    return Location(latitude=sent[0], longitude=sent[1], heading=veds.heading, reported=reported)


def _address(pidf: PidfLo | None) -> str | None:
    """An address beside which no position stands, in its own words."""
    civic = next((each.civic for each in pidf.locations if each.civic is not None), None) if pidf is not None else None
    return " ".join(value for _, value in civic.fields)[:MAX_TEXT] if civic is not None else None


def _veds_vehicle(veds: Veds) -> Vehicle:
    vehicle = veds.vehicle
    return Vehicle(
        id_scheme=None if vehicle.vin is None else id_scheme(vehicle.vin) or "vin",
        id_value=vehicle.vin,
        brand=vehicle.make,
        model=vehicle.model,
        exterior_color=vehicle.colour,
        license_plate=vehicle.plate,
        energy=tuple(energy.lower() for energy in vehicle.energies),
        occupants=_occupants(veds),
        belted=_belted(vehicle),
    )


def _occupants(veds: Veds) -> int | None:
    """The larger of the number stated and the seats found occupied: help is sent for the most."""
    occupied = [seat.occupied for seat in veds.vehicle.seats if seat.occupied is not None]
    known = [number for number in (veds.passengers, sum(occupied) if occupied else None) if number is not None]
    return max(known, default=None)


def _belted(vehicle: CrashVehicle) -> int | None:
    """How many are belted, of the seats whose belts are measured."""
    belts = [seat.belted for seat in vehicle.seats if seat.belted is not None and seat.monitored is not False]
    return sum(belts) if belts else None


def _veds_crash(veds: Veds, findings: list[str]) -> Crash:
    pulses = [(pulse, _delta_v(pulse, place, findings)) for place, pulse in enumerate(veds.vehicle.pulses)]
    worst, delta_v = max(pulses, key=lambda each: each[1] or 0.0, default=(Pulse(), None))
    x, y = _components(delta_v, worst.direction_clock)
    airbags = [airbag.deployed for airbag in veds.vehicle.airbags if airbag.deployed is not None]
    return Crash(
        event_time=veds.happened_at,
        impact=_side(worst.direction_clock),
        delta_v_x=x,
        delta_v_y=y,
        delta_v=delta_v if x is None else None,
        principal_direction_clock=worst.direction_clock,
        multiple_impacts=True if len(pulses) > 1 and veds.multiple_impacts is None else veds.multiple_impacts,
        rollover=_ROLLOVER.get(_rolled(veds.vehicle)),
        airbag_deployed=any(airbags) if airbags else None,
        fire=veds.fire,
        fuel_leak=veds.fuel_leaking,
        severe_injury=veds.severe_injury,
        summary=_summary(veds),
    )


def _delta_v(pulse: Pulse, place: int, findings: list[str]) -> float | None:
    """The change in velocity in km/h; None when it or its unit is unknown."""
    if pulse.delta_v is None:
        return None
    factor = _KMH_PER_UNIT.get((pulse.unit or "").lower())
    if factor is None:
        findings.append(f"unknown_unit:$.Crash.CrashVehicle.VehicleCrashPulse[{place}]")
        return None
    return abs(pulse.delta_v) * factor


def _components(delta_v: float | None, clock: int | None) -> tuple[float | None, float | None]:
    """Delta-V forward and to the right: against the direction from which the force came."""
    if delta_v is None or clock is None:
        return None, None
    angle = math.radians(30 * clock)
    return 0.0 - round(delta_v * math.cos(angle), 3), 0.0 - round(delta_v * math.sin(angle), 3)


def _side(clock: int | None) -> str | None:
    if clock is None:
        return None
    return {11: "front", 12: "front", 1: "front", 5: "rear", 6: "rear", 7: "rear"}.get(
        clock, "right" if clock < 6 else "left"
    )


def _rolled(vehicle: CrashVehicle) -> bool | None:
    """Whether it rolled over: as stated, else as the quarter turns of any impact say."""
    turns = [pulse.quarter_turns for pulse in vehicle.pulses if pulse.quarter_turns is not None]
    if vehicle.rollover is None:
        return any(turns) if turns else None
    return vehicle.rollover or any(turns)


def _summary(veds: Veds) -> str | None:
    """What helps and has no field of its own."""
    return None if veds.final_rest is None else f"final rest: {veds.final_rest}"
