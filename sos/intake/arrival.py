"""What the accept path needs to know of a report, whatever its format: is it an emergency, and which crash is it about?

Every reader of a format answers with a ``Peek``; ``same_crash`` is the one rule that tells a further report of a crash
from a report of another.
"""

import math
from datetime import datetime, timedelta
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from sos.incident import plausible
from sos.incident.bounds import LONGEST
from sos.incident.identity import folded, names_one
from sos.incident.model import Mode, Trigger
from sos.incident.plausible import time_of_event
from sos.incident.report import EmergencyReport
from sos.incident.telephone import heard

VehicleKey = tuple[str, str]
"""Scheme (``vin``, ``jp_frame``, ``oem_id``, ``plate``) and value as ``key`` writes it."""

SAME_CRASH = timedelta(minutes=2)
"""Two event times this near are one crash: a corrected clock, not a second accident of the same car."""

SAME_PLACE_M = 1000.0
"""Without a vehicle and a time to compare: a first fix may be wrong by hundreds of metres (EN 15722: 150 m at 95 %)."""

SAME_VEHICLE_M = 10_000.0
"""Between two reports of one vehicle that say they are of one time: a first fix by the cell of a radio mast may be so
wrong.  A number plate in two prefectures at once is two cars."""

SURE_M = 1000.0
"""The same of one device where both say how exact they are, beside three times what they say: two cars at two ends of a
town that carry one copied number are two."""

DOUBTED_M = 50_000.0
"""A position that the vehicle itself does not trust may be wrong by this: a last fix before a tunnel or a ferry.  Where
the next one is another, the place has moved, not the car (``sos.dispatch.planner``)."""

FASTEST_M_S = 50.0
"""180 km/h: what a vehicle may have moved between two reports, be it on a lorry or because it drove on."""

_STAMPED = frozenset({"vin", "jp_frame", "plate"})
"""Schemes whose names are stamped into or screwed onto the vehicle itself."""

_DESCRIBED = frozenset({"brand", "model", "colour"})
"""What many vehicles share, and two formats spell differently."""

_METRES_PER_DEGREE = 111_195.0


class Kind(StrEnum):
    REPORT = "report"
    UPDATE = "update"
    CANCEL = "cancel"


class About(Struct, frozen=True, kw_only=True, gc=False):
    """Which crash a report is about; what is unknown is None.  Personal data: it stays in memory."""

    vehicle: VehicleKey | None = None
    event_time: datetime | None = None
    sequence: int = 0
    position: tuple[float | None, float | None] | None = None
    """WGS-84 degrees, latitude first; None unless it is possible."""
    doubted: bool = False
    """The vehicle itself does not trust that position (EN 15722 positionCanBeTrusted)."""
    incident: str | None = None
    """The incident that the sender names."""
    reason: str | None = None
    """Of a cancel, as sent."""
    tel: str | None = None
    accuracy_m: float | None = None
    """Of the position, as sent."""
    source: str | None = None
    """Who sends, as it names itself: in a vehicle's own event its control unit."""
    traits: tuple[tuple[str, str], ...] = ()
    """What else tells one vehicle from another: its other names, make, model and colour."""


NOTHING = About()


class Peek(Struct, frozen=True, gc=False):
    """What the accept path needs to know of a body."""

    readable: bool
    mode: Mode
    """TEST when the report says so, else LIVE."""
    trigger: Trigger
    idempotency: tuple[str, str] | None
    """Source and id that every repeat of the report has; None when it has none that can be relied on."""
    findings: tuple[str, ...]
    kind: Kind = Kind.REPORT
    about: About = NOTHING
    stand_in: tuple[str, str] | None = None
    """What names the report when neither it nor its sender does: the vehicle and the time of its crash."""
    report: EmergencyReport | None = None
    """What it says, not yet judged; None when it could not be read."""


def key(scheme: str | None, value: str | None) -> VehicleKey | None:
    """The vehicle's key, written one way: no spaces, capitals; None when either half is missing, or when many vehicles
    have the same.  What is longer than any vehicle's name is none."""
    if not scheme or not value or len(value) > LONGEST["id_value"] or not names_one(scheme, value):
        return None
    return scheme, value.replace(" ", "").upper()


def about(
    report: EmergencyReport, *, incident: str | None = None, reason: str | None = None, source: str | None = None
) -> About:
    """Which crash ``report`` is about, as it says itself; the rest is what stands beside it."""
    location, vehicle = report.location, report.vehicle
    return About(
        vehicle=key(vehicle.id_scheme, vehicle.id_value) or key("plate", vehicle.license_plate),
        event_time=report.crash.event_time,
        sequence=report.sequence,
        position=(location.latitude, location.longitude) if location.known else None,
        doubted=location.trusted is False,
        incident=incident,
        reason=reason,
        tel=report.call_back.tel,
        accuracy_m=location.horizontal_accuracy,
        source=source,
        traits=_traits(report),
    )


def _traits(report: EmergencyReport) -> tuple[tuple[str, str], ...]:
    vehicle = report.vehicle
    said = {
        vehicle.id_scheme: vehicle.id_value if names_one(vehicle.id_scheme or "", vehicle.id_value or "") else None,
        "plate": vehicle.license_plate if names_one("plate", vehicle.license_plate or "") else None,
        "brand": vehicle.brand,
        "model": vehicle.model,
        "colour": vehicle.exterior_color,
    }
    return tuple((name, folded(value)) for name, value in said.items() if name and value)


def judged(seen: Peek, *, at: datetime) -> Peek:
    """``seen``, received ``at``, without a name, place or number that cannot be, and with findings that say so.

    A time that cannot be still tells one report from another, so it stays; it names nothing.
    """
    if seen.report is None:
        return seen
    report = plausible.judged(seen.report, at=at)
    beside = seen.about
    said = about(report, incident=beside.incident, reason=beside.reason, source=beside.source)
    tel = heard(said.tel).number if said.tel else None
    named = time_of_event(beside.event_time, at=at) is not None
    return replace(
        seen,
        report=report,
        about=replace(said, event_time=beside.event_time, tel=tel),
        stand_in=seen.stand_in if named else None,
        findings=tuple(dict.fromkeys((*seen.findings, *report.findings))),
    )


def same_crash(one: About, other: About) -> bool:
    """Whether two reports of one sender, which carry the same name, are about one crash.

    They are not when both name a vehicle and it is another, when both name a time and it differs by more than
    ``SAME_CRASH``, or when their positions lie too far apart: for one vehicle more than it can have moved, where no
    vehicle can be compared more than ``SAME_PLACE_M``.
    """
    comparable = one.vehicle is not None and other.vehicle is not None
    if (comparable and one.vehicle != other.vehicle) or told_apart(one, other):
        return False
    apart = timedelta(0)
    if one.event_time is not None and other.event_time is not None:
        apart = abs(one.event_time - other.event_time)
        if apart > SAME_CRASH:
            return False
    return reachable(one, other, apart=apart) if comparable else _metres_apart(one, other) <= SAME_PLACE_M


def same_vehicle(one: About, other: About, *, apart: timedelta) -> bool:
    """Whether two reports with one name of a vehicle, made ``apart`` from one another, are surely of one vehicle."""
    return (
        one.vehicle is not None
        and one.vehicle == other.vehicle
        and not told_apart(one, other)
        and reachable(one, other, apart=apart)
    )


def told_apart(one: About, other: About) -> bool:
    """Whether what else both say of their vehicle is of two: a copied number stands in many cars.

    A number that names a device (an IMEI, a maker's own) is copied with its firmware or with a module that was moved;
    then make and colour, the control unit that sends and the telephone in it tell them apart too.
    """
    device = _by_device(one, other)
    theirs = dict(other.traits)
    if any(theirs.get(name, said) != said for name, said in one.traits if device or name not in _DESCRIBED):
        return True
    return device and (_differ(one.source, other.source) or _differ(one.tel, other.tel))


def _by_device(one: About, other: About) -> bool:
    """Whether what both are called by is the name of a device."""
    return one.vehicle is not None and one.vehicle == other.vehicle and one.vehicle[0] not in _STAMPED


def agree(one: About, other: About) -> bool:
    """Whether something besides the name of the vehicle names the same car: another name, the sender, the telephone."""
    scheme = one.vehicle[0] if one.vehicle is not None else ""
    names = {trait for trait in one.traits if trait[0] not in _DESCRIBED and trait[0] != scheme}
    if names & set(other.traits):
        return True
    pairs = ((one.source, other.source), (one.tel, other.tel))
    return any(mine is not None and mine == its for mine, its in pairs)


def _differ(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and one != other


def reachable(one: About, other: About, *, apart: timedelta) -> bool:
    """Whether one vehicle can have been at both places, ``apart`` from one another; so it is where one is unknown."""
    doubted, within = one.doubted or other.doubted, SAME_VEHICLE_M
    if doubted:
        within += DOUBTED_M
    elif _by_device(one, other) and one.accuracy_m is not None and other.accuracy_m is not None:
        within = min(within, SURE_M + 3 * (one.accuracy_m + other.accuracy_m))
    return _metres_apart(one, other) <= within + FASTEST_M_S * apart.total_seconds()


def _metres_apart(one: About, other: About) -> float:
    """As far as is known: 0 where a position is unknown."""
    if one.position is None or other.position is None:
        return 0.0
    return distance_m(one.position, other.position)


def distance_m(one: tuple[float | None, float | None], other: tuple[float | None, float | None]) -> float:
    """Metres between two positions on a sphere, within 0.6 % of the ellipsoid; infinite when one is unknown."""
    (north, east), (north_2, east_2) = one, other
    if north is None or east is None or north_2 is None or east_2 is None:
        return math.inf
    up = math.radians(north_2 - north) / 2
    across = math.radians(east_2 - east) / 2
    chord = math.sin(up) ** 2 + math.cos(math.radians(north)) * math.cos(math.radians(north_2)) * math.sin(across) ** 2
    return 2 * 180 / math.pi * _METRES_PER_DEGREE * math.asin(math.sqrt(min(1.0, chord)))
