"""The Vehicle Emergency Data Set (VEDS, APCO/NENA; carried as RFC 8148 describes), read and written.

Reading is tolerant: of the many elements of VEDS it takes those that help in an emergency, by their local names, in any
of the namespaces in use, and with the slips of the published examples.  People's names, birth dates and impairments
are not taken: they stay in the raw document.  A position comes from the document's own coordinates or from a PIDF-LO
that stands inside it or beside it.
"""

import re
from datetime import datetime
from typing import Any

from lxml import etree
from msgspec import Struct

from routing import errors, xml
from routing.position import pidf
from routing.position.pidf import PidfLo
from sos.clock import timestamp
from sos.errors import Malformed
from sos.formats import loose_place
from sos.formats.markup import Values, document, mended_time, name_of

MEDIA_TYPE = "application/EmergencyCallData.VEDS+xml"
"""RFC 8148 14.1; compare without regard to case."""
MAX_BYTES = 262_144
"""The published examples have 3 and 12 kB."""
ROOT = "AutomatedCrashNotification"

VEDS = "http://www.veds.org/acn/3.1"
NIEM = "http://niem.gov/niem/niem-core/2.0"
JUSTICE = "http://niem.gov/niem/domains/jxdm/4.1"
MARITIME = "http://niem.gov/niem/domains/maritime/2.1"

_VIN = re.compile(r"[A-HJ-NPR-Z0-9]{17}\Z")
_FRAME = re.compile(r"[A-Z0-9]{2,8}-[0-9]{5,7}\Z")
"""車台番号: cars built for the Japanese market carry one instead of a VIN."""


class Airbag(Struct, frozen=True, kw_only=True):
    category: str | None = None
    """Such as ``FRONT`` or ``CURTAIN``."""
    deployed: bool | None = None


class Seat(Struct, frozen=True, kw_only=True):
    location: str | None = None
    """A code of VEDS; 1 is the driver's."""
    occupied: bool | None = None
    belted: bool | None = None
    monitored: bool | None = None
    """Whether anything measures the belt: False makes ``belted`` worthless."""


class Pulse(Struct, frozen=True, kw_only=True):
    """One impact."""

    delta_v: float | None = None
    """Change in velocity, in ``unit``; its sign is not used."""
    unit: str | None = None
    """As sent, such as ``MPH`` or ``KPH``."""
    direction_clock: int | None = None
    """Where the force came from: 12 is ahead, 3 the right."""
    quarter_turns: int | None = None


class CrashVehicle(Struct, frozen=True, kw_only=True):
    """The vehicle that reports."""

    vin: str | None = None
    """As sent: a VIN, a Japanese frame number, or neither."""
    plate: str | None = None
    make: str | None = None
    model: str | None = None
    model_year: str | None = None
    colour: str | None = None
    energies: tuple[str, ...] = ()
    """Such as ``GASOLINE``."""
    airbags: tuple[Airbag, ...] = ()
    seats: tuple[Seat, ...] = ()
    pulses: tuple[Pulse, ...] = ()
    rollover: bool | None = None


class Veds(Struct, frozen=True, kw_only=True):
    """One VEDS as far as it is read."""

    crash_id: str | None = None
    happened_at: datetime | None = None
    sent_at: datetime | None = None
    device: str | None = None
    """What set it off: ``AIRBAG``, ``MANUAL`` and others."""
    call_back: str | None = None
    """Telephone number of the contact activity, as sent."""
    passengers: int | None = None
    heading: float | None = None
    """Degrees clockwise from north."""
    vehicle: CrashVehicle = CrashVehicle()
    fuel_leaking: bool | None = None
    multiple_impacts: bool | None = None
    severe_injury: bool | None = None
    """The sender's own verdict."""
    fire: bool | None = None
    final_rest: str | None = None
    """How the vehicle lies: ``Driver``, ``Roof``."""
    latitude: float | None = None
    """Degrees as sent, possibly impossible."""
    longitude: float | None = None
    pidf: PidfLo | None = None
    place_as_sent: str | None = None
    """The words of a place that could not be understood."""
    findings: tuple[str, ...] = ()


# Reading


def read(data: bytes) -> Veds:
    """What ``data`` says.  ``Malformed`` when it is no XML, too large, or holds no crash notification."""
    root = document(data, limit=MAX_BYTES)
    notification = next((each for each in root.iter() if name_of(each) == ROOT), None)
    if notification is None:
        return _place_alone(root)
    values = Values(notification)
    crash = values.below("Crash")
    if crash is None:
        values.odd("missing_field", "Crash")
        crash = Values(etree.Element("Crash"))
    vehicle = crash.below("CrashVehicle")
    latitude, longitude, as_sent = _coordinates(values)
    place = place_in(root)
    if place.odd is not None:
        values.odd(place.odd, "presence")
    return Veds(
        crash_id=crash.text("ActivityIdentification/IdentificationID"),
        happened_at=crash.instant("ActivityDate/DateTime"),
        sent_at=values.instant("DocumentPostDate/DateTime"),
        device=values.text("NotificationDeviceTypeCode"),
        call_back=values.text("ContactActivity/ContactTelephoneNumber/FullTelephoneNumber/TelephoneNumberFullID"),
        passengers=crash.count("DrivingIncidentPassengerQuantityText", 0, 255),
        heading=crash.number("ConveyanceHeadingMeasure/MeasurePointValue", 0, 360),
        fuel_leaking=crash.flag("FuelLeakingIndicator"),
        multiple_impacts=crash.flag("MultipleImpactsIndicator"),
        severe_injury=crash.flag("SevereInjuryIndicator"),
        fire=crash.flag("VehicleFireIndicator"),
        final_rest=crash.text("VehicleFinalRestOrientationCategoryCode"),
        latitude=latitude,
        longitude=longitude,
        pidf=place.pidf,
        place_as_sent=place.words or as_sent,
        vehicle=CrashVehicle() if vehicle is None else _vehicle(vehicle),
        findings=values.findings(),
    )


def _place_alone(root: Any) -> Veds:
    """A location without any crash data: still somebody's call for help, and where it is."""
    place = place_in(root)
    if place.pidf is None and place.words is None:
        raise Malformed(f"expected an {ROOT} element of VEDS", field="/")
    odd = () if place.odd is None else (f"{place.odd}:$.presence",)
    return Veds(pidf=place.pidf, place_as_sent=place.words, findings=("no_crash_data:$", *odd))


def _vehicle(vehicle: Values) -> CrashVehicle:
    return CrashVehicle(
        vin=vehicle.text("VehicleIdentification/IdentificationID"),
        plate=vehicle.text("ConveyanceRegistrationPlateIdentification/IdentificationID"),
        make=vehicle.text("ItemMakeName"),
        model=vehicle.text("ItemModelName"),
        model_year=vehicle.text("ItemModelYearDate"),
        colour=vehicle.text("ConveyanceColorPrimaryText"),
        energies=vehicle.texts("VehiclePropulsionStorageCode"),
        airbags=tuple(_airbag(each) for each in vehicle.each("Airbag")),
        seats=tuple(_seat(each) for each in vehicle.each("VehicleSeat")),
        pulses=tuple(_pulse(each) for each in vehicle.each("VehicleCrashPulse")),
        rollover=vehicle.flag("VehicleRolloverIndicator"),
    )


def id_scheme(vin: str) -> str | None:
    """What is in the field for the VIN: ``vin``, ``jp_frame`` or, None, neither."""
    if _VIN.match(vin):
        return "vin"
    return "jp_frame" if _FRAME.match(vin) else None


def _airbag(airbag: Values) -> Airbag:
    return Airbag(category=airbag.text("AirbagCategoryCode"), deployed=airbag.flag("AirbagDeployedIndicator"))


def _seat(seat: Values) -> Seat:
    return Seat(
        location=seat.text("VehicleSeatLocationCategoryCode"),
        occupied=seat.flag("VehicleSeatOccupiedIndicator"),
        belted=seat.flag("VehicleSeatbeltFastenedIndicator"),
        monitored=seat.flag("VehicleSeatbeltMonitoredIndicator"),
    )


def _pulse(pulse: Values) -> Pulse:
    return Pulse(
        delta_v=pulse.number("CrashPulseChangeInVelocityMeasure/MeasurePointValue", -500, 500),
        unit=pulse.text("CrashPulseChangeInVelocityMeasure/MeasureUnitText"),
        direction_clock=pulse.count("CrashPulsePrincipalDirectionOfForceValue", 1, 12),
        quarter_turns=pulse.count("CrashPulseRolloverQuarterTurnsValue", 0, 255),
    )


def _coordinates(values: Values) -> tuple[float | None, float | None, str | None]:
    """Latitude and longitude, and their words when they are no numbers."""
    point = values.below("Location/LocationTwoDimensionalGeographicCoordinate")
    if point is None:
        return None, None, None
    latitude, longitude = _angle(point, "Latitude"), _angle(point, "Longitude")
    said = [point.text(f"GeographicCoordinate{name}/{name}DegreeValue") for name in ("Latitude", "Longitude")]
    misread = any(word and angle is None for word, angle in zip(said, (latitude, longitude), strict=True))
    return latitude, longitude, ",".join(each or "" for each in said) if misread else None


def _angle(point: Values, name: str) -> float | None:
    """NIEM splits an angle into degrees, minutes and seconds; the sign stands with the degrees."""
    path = f"GeographicCoordinate{name}/{name}"
    degrees = point.number(f"{path}DegreeValue")
    if degrees is None:
        return None
    minutes = point.number(f"{path}MinuteValue", 0, 60) or 0.0
    seconds = point.number(f"{path}SecondValue", 0, 60) or 0.0
    fraction = minutes / 60 + seconds / 3600
    negative = (point.text(f"{path}DegreeValue") or "").startswith("-")
    return degrees - fraction if negative else degrees + fraction


class Place(Struct, frozen=True, kw_only=True):
    """The place that a document names by a PIDF-LO."""

    pidf: PidfLo | None = None
    words: str | None = None
    """Of a place that could not be understood."""
    odd: str | None = None
    """The finding about it."""


def place_in(root: Any) -> Place:
    """The PIDF-LO somewhere in a document, as the standard writes it or as senders do; nothing when there is none."""
    presence = next((each for each in root.iter("{*}presence")), None)
    if presence is None:
        return Place()
    try:
        strict = located(presence)
    except Malformed:
        strict = None
    if strict is not None:
        return Place(pidf=strict)
    loose = loose_place.read(presence)
    if loose.pidf is not None:
        return Place(pidf=loose.pidf, odd="location_loose")
    return Place(words=loose.words, odd="pidf_malformed")


def located(presence: Any) -> PidfLo:
    """The PIDF-LO of an element, also when its times are loosely written; ``Malformed`` as of sos.

    A time that is none is dropped: it is never worth a position.
    """
    for element in [each for each in presence.iter() if name_of(each) in ("timestamp", "retention-expiry")]:
        mended = mended_time((element.text or "").strip())
        if mended is None:
            element.getparent().remove(element)
        else:
            element.text = timestamp(mended[0])
    try:
        return pidf.from_element(presence)
    except errors.Malformed as error:
        raise Malformed(str(error), field=error.field) from None


# Writing


def write(veds: Veds) -> bytes:
    """``veds`` as a document that ``read`` reads back as the same; its findings and the words of a place stay behind.

    ``Malformed`` when a text cannot stand in XML: the fault of whoever made it.
    """
    prefixes = {"veds": VEDS, "nc": NIEM, "j": JUSTICE, "m": MARITIME}
    root = etree.Element(f"{{{VEDS}}}{ROOT}", nsmap=prefixes)
    try:
        _put(root, "nc:DocumentPostDate/nc:DateTime", _time(veds.sent_at))
        _put(
            root,
            "veds:ContactActivity/nc:ContactTelephoneNumber/nc:FullTelephoneNumber/nc:TelephoneNumberFullID",
            veds.call_back,
        )
        _put_crash(etree.SubElement(root, f"{{{VEDS}}}Crash"), veds)
        point = "nc:Location/nc:LocationTwoDimensionalGeographicCoordinate"
        _put(root, f"{point}/nc:GeographicCoordinateLatitude/nc:LatitudeDegreeValue", _plain(veds.latitude))
        _put(root, f"{point}/nc:GeographicCoordinateLongitude/nc:LongitudeDegreeValue", _plain(veds.longitude))
        _put(root, "veds:NotificationDeviceTypeCode", veds.device)
        if veds.pidf is not None:
            root.append(pidf.to_element(veds.pidf))
        return xml.write_xml(root)
    except (ValueError, errors.Malformed):
        raise Malformed("a text or location of this VEDS cannot be written as XML") from None


def _put_crash(crash: Any, veds: Veds) -> None:
    _put(crash, "nc:ActivityIdentification/nc:IdentificationID", veds.crash_id)
    _put(crash, "nc:ActivityDate/nc:DateTime", _time(veds.happened_at))
    _put(crash, "j:DrivingIncidentPassengerQuantityText", _plain(veds.passengers))
    _put(crash, "m:ConveyanceHeadingMeasure/nc:MeasurePointValue", _plain(veds.heading))
    _put_vehicle(etree.SubElement(crash, f"{{{VEDS}}}CrashVehicle"), veds.vehicle)
    for name, flag in (
        ("FuelLeakingIndicator", veds.fuel_leaking),
        ("MultipleImpactsIndicator", veds.multiple_impacts),
        ("SevereInjuryIndicator", veds.severe_injury),
    ):
        _put(crash, f"veds:{name}", _flag(flag))
    _put(crash, "veds:VehicleFinalRestOrientationCategoryCode", veds.final_rest)
    _put(crash, "veds:VehicleFireIndicator", _flag(veds.fire))


def _put_vehicle(element: Any, vehicle: CrashVehicle) -> None:
    _put(element, "nc:ConveyanceColorPrimaryText", vehicle.colour)
    _put(element, "nc:ItemMakeName", vehicle.make)
    _put(element, "nc:ItemModelName", vehicle.model)
    _put(element, "nc:ItemModelYearDate", vehicle.model_year)
    _put(element, "nc:ConveyanceRegistrationPlateIdentification/nc:IdentificationID", vehicle.plate)
    _put(element, "nc:VehicleIdentification/nc:IdentificationID", vehicle.vin)
    for airbag in vehicle.airbags:
        inner = etree.SubElement(element, f"{{{VEDS}}}Airbag")
        _put(inner, "veds:AirbagCategoryCode", airbag.category)
        _put(inner, "veds:AirbagDeployedIndicator", _flag(airbag.deployed))
    for pulse in vehicle.pulses:
        inner = etree.SubElement(element, f"{{{VEDS}}}VehicleCrashPulse")
        _put(inner, "veds:CrashPulseChangeInVelocityMeasure/nc:MeasurePointValue", _plain(pulse.delta_v))
        _put(inner, "veds:CrashPulseChangeInVelocityMeasure/nc:MeasureUnitText", pulse.unit)
        _put(inner, "veds:CrashPulsePrincipalDirectionOfForceValue", _plain(pulse.direction_clock))
        _put(inner, "veds:CrashPulseRolloverQuarterTurnsValue", _plain(pulse.quarter_turns))
    for energy in vehicle.energies:
        etree.SubElement(element, f"{{{VEDS}}}VehiclePropulsionStorageCode").text = energy
    _put(element, "veds:VehicleRolloverIndicator", _flag(vehicle.rollover))
    for seat in vehicle.seats:
        inner = etree.SubElement(element, f"{{{VEDS}}}VehicleSeat")
        _put(inner, "veds:VehicleSeatLocationCategoryCode", seat.location)
        _put(inner, "veds:VehicleSeatOccupiedIndicator", _flag(seat.occupied))
        _put(inner, "veds:VehicleSeatbeltFastenedIndicator", _flag(seat.belted))
        _put(inner, "veds:VehicleSeatbeltMonitoredIndicator", _flag(seat.monitored))


def _put(element: Any, path: str, text: str | None) -> None:
    """Write ``text`` at ``path``, making the elements on the way; nothing when it is None."""
    if text is None:
        return
    for step in path.split("/"):
        prefix, _, name = step.partition(":")
        wanted = f"{{{element.nsmap[prefix]}}}{name}"
        last = element[-1] if len(element) else None
        element = last if last is not None and last.tag == wanted else etree.SubElement(element, wanted)
    element.text = text


def _flag(flag: bool | None) -> str | None:
    return None if flag is None else str(flag).lower()


def _plain(number: float | None) -> str | None:
    """A number without an exponent."""
    if number is None or isinstance(number, int):
        return None if number is None else str(number)
    return f"{number:.9f}".rstrip("0").rstrip(".")


def _time(time: datetime | None) -> str | None:
    return None if time is None else timestamp(time)
