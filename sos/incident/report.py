"""What a vehicle reports, taken apart by data category: the content of the LOC, VEH, SEV and TEL parts.

``intake`` makes these from whatever dialect came in; planner, brief and console read them back.  Unknown is ``None``,
never zero.  Positions are WGS-84 degrees, latitude first; field names follow COVESA VSS leaves and, where VSS has
none, RFC 8148 (VEDS) and Euro NCAP TB 040.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from routing.categories import Category
from routing.kinds import EmergencyKind
from routing.plan import Facts, Plan


class Fix(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A position the vehicle had ``age_seconds`` before the incident."""

    latitude: float
    longitude: float
    age_seconds: float | None = None


class Location(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The LOC part.  ``latitude`` and ``longitude`` are both known and possible, or both None."""

    latitude: float | None = None
    longitude: float | None = None
    heading: float | None = None
    """Degrees clockwise from north."""
    horizontal_accuracy: float | None = None
    """Metres, radius, as the sender states it."""
    trusted: bool | None = None
    """EN 15722 positionCanBeTrusted: within 150 m at 95 % confidence."""
    timestamp: datetime | None = None
    recent: tuple[Fix, ...] = ()
    reported: str | None = None
    """The position as sent, when it is impossible: kept so that a person may make sense of it."""

    @property
    def known(self) -> bool:
        return self.latitude is not None and self.longitude is not None


class Vehicle(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The VEH part."""

    id_scheme: str | None = None
    """``vin`` (ISO 3779), ``jp_frame`` (車台番号) or ``oem_id``."""
    id_value: str | None = None
    brand: str | None = None
    model: str | None = None
    exterior_color: str | None = None
    license_plate: str | None = None
    category: str | None = None
    energy: tuple[str, ...] = ()
    occupants: int | None = None
    belted: int | None = None


class Crash(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The SEV part."""

    event_time: datetime | None = None
    impact: str | None = None
    delta_v_x: float | None = None
    """km/h, forward positive."""
    delta_v_y: float | None = None
    """km/h, to the right positive."""
    delta_v: float | None = None
    """km/h: its length, where the sender tells no direction."""
    delta_v_limit: float | None = None
    """km/h: what the sensor can measure; a component that reaches it may have been more."""
    principal_direction_clock: int | None = None
    multiple_impacts: bool | None = None
    rollover: str | None = None
    airbag_deployed: bool | None = None
    speed_before: float | None = None
    """km/h."""
    fire: bool | None = None
    submersed: bool | None = None
    fuel_leak: bool | None = None
    trapped: bool | None = None
    """Somebody cannot get out."""
    ejected: bool | None = None
    """Somebody was thrown out."""
    pedestrian: bool | None = None
    """Somebody outside was hit."""
    severe_injury: bool | None = None
    """The sender's own verdict (RFC 8148 SevereInjuryIndicator), never ours and never mixed with it."""
    summary: str | None = None
    """Free text of the sender, such as a police record's own words."""


class CallBack(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The TEL part."""

    tel: str | None = None
    """E.164."""
    language: str | None = None
    """BCP 47."""


class Planning(Struct, frozen=True, kw_only=True):
    """A plan with the facts it was made from, for the operator alone: it can be made again from these two and the data
    sets it names (``routing.plan.again``)."""

    facts: Facts
    plan: Plan


class Place(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The LOC part of a plan: one position with all that is said of it, for the screen and for reading aloud.

    It is the position in force until the next plan.  Words, grid, area and plan are made from it and from no other, so
    what is told never joins the numbers of one report to the words of another.
    """

    source: str = ""
    """Who says so: ``vehicle``, or ``operator`` for what a person has put in its place."""
    latitude: float | None = None
    longitude: float | None = None
    heading: float | None = None
    horizontal_accuracy: float | None = None
    trusted: bool | None = None
    timestamp: datetime | None = None
    recent: tuple[Fix, ...] = ()
    reported: str | None = None
    """These as in ``Location``: of the same report as the position."""
    prefecture_name: str | None = None
    border_distance_m: float | None = None
    runner_up: str | None = None
    """Code of the area beyond the nearest border."""
    runner_up_name: str | None = None
    municipality: str | None = None
    """5-digit code."""
    municipality_name: str | None = None
    aloud_ja: str | None = None
    """The place to be read aloud, in the order a dispatcher writes it down."""
    aloud_en: str | None = None
    mgrs: str | None = None
    """MGRS reference to a metre (UTMグリッド)."""
    plus_code: str | None = None
    planning: Planning | None = None

    @property
    def location(self) -> Location:
        """What the report said that this place was made from."""
        return Location(**{name: getattr(self, name) for name in Location.__struct_fields__})


class StatedPlace(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The LOC part of a place that an operator states."""

    latitude: float | None = None
    longitude: float | None = None
    horizontal_accuracy: float | None = None
    stated: str = ""
    """In the caller's words: address, road with kilometre post and direction, what can be seen."""
    by: str = ""
    """What found it: ``posts``, ``geocoder``, ``towns`` or ``municipality``; empty: nobody, or a person's pin."""
    name: str = ""
    """Of the road or the area that was recognised."""


class NamedPlace(Struct, frozen=True, kw_only=True, rename="camel"):
    """The LOC part of a described place: what stands there by the geocoder's word, unverified."""

    address: str
    address_distance_m: float


class Device(Struct, frozen=True, kw_only=True):
    """What made the report; it is in no part, and counts for the field log alone."""

    model: str | None = None
    firmware: str | None = None


class EmergencyReport(Struct, frozen=True, kw_only=True):
    """One report, whatever its dialect was."""

    sequence: int = 0
    location: Location = Location()
    vehicle: Vehicle = Vehicle()
    crash: Crash = Crash()
    call_back: CallBack = CallBack()
    device: Device = Device()
    kind: EmergencyKind = EmergencyKind.UNKNOWN
    """What kind of emergency the vehicle names; it is in no part."""
    kind_because: str = ""
    """``said`` or ``service``, where it names one."""
    findings: tuple[str, ...] = ()

    def parts(self) -> Mapping[Category, bytes]:
        """The report by category, as canonical JSON; categories of which nothing is known are left out."""
        by_category: dict[Category, Struct] = {
            Category.LOC: self.location,
            Category.VEH: self.vehicle,
            Category.SEV: self.crash,
            Category.TEL: self.call_back,
        }
        return {category: canonical(part) for category, part in by_category.items() if part != type(part)()}


_sorted = msgspec.json.Encoder(order="sorted")


def canonical(value: Any) -> bytes:
    """``value`` as JSON with sorted keys and no spaces: the form that is committed to, signed and stored."""
    return _sorted.encode(value)
