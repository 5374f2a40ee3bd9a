"""The event a vehicle's cloud posts: CloudEvents 1.0, structured JSON, and its way to and from ``EmergencyReport``.

``peek`` is what the accept path does with a body: decode and validate once, nothing else.  ``decode`` makes the whole
report later, when the event is safe.  Whatever is recognisably an emergency comes through, damaged or not; only what
is clearly something else is ``Malformed``.  Field names follow COVESA VSS leaves, and RFC 8148 (VEDS) and Euro NCAP
TB 040 where VSS has none.
"""

import json
import math
import re
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from routing.kinds import EmergencyKind
from routing.text import cleaned, surely_clean
from sos.clock import timestamp
from sos.errors import Malformed
from sos.formats.text_encoding import from_base64
from sos.incident.model import Mode, Trigger
from sos.incident.report import CallBack, Crash, Device, EmergencyReport, Fix, Location, Vehicle
from sos.intake.arrival import Kind, Peek, about
from sos.intake.salvage import Findings, lenient, loads

MEDIA_TYPES = frozenset({"application/cloudevents+json", "application/json"})
MEDIA_TYPE = "application/cloudevents+json"

KMH_PER_UNIT: Mapping[str, float] = MappingProxyType({"km/h": 1.0, "mph": 1.609344, "m/s": 3.6})

Time = Annotated[datetime, Meta(tz=True)]
Text = Annotated[str, Meta(min_length=1)]
Count = Annotated[int, Meta(ge=0, le=255)]
Speed = Annotated[float, Meta(ge=-500, le=500)]


class Wire(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """Base of the strict shapes; ``gc=False`` because they form trees and die young."""


class WireFix(Wire, frozen=True, kw_only=True):
    latitude: float | None = None
    longitude: float | None = None
    age_seconds: Annotated[float, Meta(ge=0)] | None = None


class WireLocation(Wire, frozen=True, kw_only=True):
    latitude: float | None = None
    longitude: float | None = None
    heading: Annotated[float, Meta(ge=0, le=360)] | None = None
    horizontal_accuracy: Annotated[float, Meta(ge=0)] | None = None
    altitude: float | None = None
    trusted: bool | None = None
    fix_type: str | None = None
    timestamp: Time | None = None
    recent: tuple[WireFix, ...] | None = None


class WireVehicleId(Wire, frozen=True, kw_only=True):
    scheme: str | None = None
    value: str | None = None


class WireVehicle(Wire, frozen=True, kw_only=True):
    id: WireVehicleId | None = None
    frame_number: str | None = None
    brand: str | None = None
    model: str | None = None
    exterior_color: str | None = None
    license_plate: str | None = None
    category: str | None = None
    energy: tuple[str, ...] | None = None


class WireDeltaV(Wire, frozen=True, kw_only=True):
    x: Speed | None = None
    y: Speed | None = None
    range_limit: Speed | None = None
    unit: str = "km/h"


class WireCrash(Wire, frozen=True, kw_only=True):
    impact: str | None = None
    delta_v: WireDeltaV | None = None
    principal_direction_clock: Annotated[int, Meta(ge=1, le=12)] | None = None
    multiple_impacts: bool | None = None
    rollover: str | None = None
    speed_before: Speed | None = None
    fire: bool | None = None
    submersed: bool | None = None
    fuel_leak: bool | None = None
    trapped: bool | None = None
    ejected: bool | None = None
    pedestrian: bool | None = None
    severe_injury: bool | None = None
    summary: str | None = None


class WireSeat(Wire, frozen=True, kw_only=True):
    row: Count | None = None
    position: str | None = None
    occupied: bool | None = None
    belted: bool | None = None
    airbag_deployed: bool | None = None
    age_band: str | None = None


class WireOccupants(Wire, frozen=True, kw_only=True):
    count: Count | None = None
    seats: tuple[WireSeat, ...] | None = None


class WireCallBack(Wire, frozen=True, kw_only=True):
    tel: str | None = None
    language: str | None = None


class WireDevice(Wire, frozen=True, kw_only=True):
    model: str | None = None
    firmware: str | None = None


class WireMsd(Wire, frozen=True, kw_only=True):
    version: Count | None = None
    base64: str | None = None


class WireData(Wire, frozen=True, kw_only=True):
    trigger: Literal["automatic", "manual"] | None = None
    test: bool | None = None
    sequence: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None
    event_time: Time | None = None
    vehicle: WireVehicle | None = None
    location: WireLocation | None = None
    crash: WireCrash | None = None
    occupants: WireOccupants | None = None
    callback: WireCallBack | None = None
    msd: WireMsd | None = None
    device: WireDevice | None = None
    incident: str | None = None
    """Of an update or a cancel: the incident as it was acknowledged, its id or its URN."""
    reason: str | None = None
    """Of a cancel: a code of ``CANCEL_REASONS`` or the sender's own words."""
    test_kind: Literal["owner", "dealer", "factory"] | None = None
    """Of a test: who makes it."""
    kind: Literal["crash", "illness", "fire", "crime", "breakdown", "disaster", "other"] | None = None
    """What has happened, where the vehicle knows it: which of several buttons was pressed, which app, which sensor."""
    service: str | None = None
    """The service URN (RFC 5031, RFC 8147) under which the vehicle calls."""


class WireEvent(Wire, frozen=True, kw_only=True):
    """The envelope; the last four are registered CloudEvents extensions that gateways add."""

    specversion: Literal["1.0"]
    id: Text
    source: Text
    type: Text
    data: WireData
    time: Time | None = None
    subject: str | None = None
    datacontenttype: str | None = None
    dataschema: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    partitionkey: str | None = None
    sequence: str | None = None


class Reading(Struct, frozen=True, gc=False):
    """A body as far as it could be read; ``event`` is None when nothing but its bytes are known."""

    event: WireEvent | None
    findings: tuple[str, ...]
    clean: bool = True
    """False: the bytes were damaged and what was read may be incomplete."""
    position: str | None = None
    """Latitude and longitude as sent, when they are no numbers."""


_UNCLEAN = "unclean_text:$"

_strict = msgspec.json.Decoder(WireEvent)
_NOT_STRICT = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Invalid UTF-8 inside a string raises the second, not the first: without it one bad byte would answer 500."""


def peek(body: bytes, cut: str | None = None) -> Peek:
    """Whether ``body`` is an emergency, and how it is to be opened.

    ``cut`` is the finding code of a body of which only the beginning is here (``oversize``, ``cut_off``).
    ``Malformed`` when it is clearly something else.
    """
    try:
        reading = _strictly(body)
    except _NOT_STRICT:
        reading = _salvage(body) if cut is None else _unreadable(body, cut, hints=_HINTS)
        cut = None
    if reading.event is None or not reading.clean:
        return _unreliable(reading, body)
    event, findings = reading.event, reading.findings if cut is None else (f"{cut}:$", *reading.findings)
    known = _ENDINGS.get(event.type.rpartition("sos.")[2])
    if known is None or _odd(event.data):
        findings = _with_oddities(event, findings)
    trigger = _TRIGGERS.get(event.data.trigger) or known or _trigger_of(None, event.type.encode())
    mode = Mode.TEST if event.data.test else Mode.LIVE
    kind = Kind.REPORT if known is not None else _kind_of(event.type)
    report = _placed(_report(event, findings), reading.position)
    said = about(report, incident=event.data.incident, reason=event.data.reason, source=event.source or None)
    return Peek(True, mode, trigger, _identified(event), findings, kind, said, report=report)


def _kind_of(type_: str) -> Kind:
    later = _LATER.search(type_)
    return Kind(later[1]) if later else Kind.REPORT


def _unreliable(reading: Reading, body: bytes) -> Peek:
    """Damaged bytes: an incident all the same, without an identity, for what looks like one may be damaged too."""
    event = reading.event
    mode = Mode.TEST if event is not None and event.data.test else Mode.LIVE
    return Peek(False, mode, _trigger_of(event, body), None, reading.findings)


def decode(body: bytes) -> EmergencyReport:
    """The report in ``body``: whatever could be understood, with its findings; empty when nothing could.

    ``Malformed`` when it is clearly no emergency, which ``peek`` has then said before.
    """
    reading = read(body)
    if reading.event is None:
        return EmergencyReport(findings=reading.findings)
    report = _report(reading.event, _with_oddities(reading.event, reading.findings))
    return _placed(report, reading.position)


def _placed(report: EmergencyReport, sent: str | None) -> EmergencyReport:
    """``report`` with the words of a position that is no numbers."""
    if sent is None:
        return report
    location = msgspec.structs.replace(report.location, latitude=None, longitude=None, reported=sent)
    return msgspec.structs.replace(report, location=location)


def read(body: bytes) -> Reading:
    """``body`` through the strict decoder or, when that refuses, through the lenient one."""
    try:
        return _strictly(body)
    except _NOT_STRICT:
        return _salvage(body)


def _strictly(body: bytes) -> Reading:
    """What the strict decoder makes of ``body``, with clean text; one of ``_NOT_STRICT`` when it refuses."""
    event = _strict.decode(body)
    if surely_clean(body):
        return Reading(event, ())
    fit = cleaned(event)
    if (fit.source, fit.id) != (event.source, event.id):
        fit = msgspec.structs.replace(fit, id="")  # what had to be mended names nothing
    return Reading(fit, () if fit is event else (_UNCLEAN,))


# Reading what is damaged

_HINTS = (
    b"sos.crash",
    b"sos.manual",
    b'"trigger"',
    b'"crash"',
    b"deltaV",
    b'"sos.',
    b".sos.",
    b"latitude",
    b"eventTime",
)
"""Any of these in broken bytes and we take it for an emergency."""
_STRONG_HINTS = _HINTS[:5]
"""In JSON that is whole but has another shape only these count: many harmless messages hold a latitude."""
_HINT_KEYS = ("trigger", "crash", "location")
_MAX_REPORTED = 200
"""Characters kept of a position that is none."""


def _salvage(body: bytes) -> Reading:
    findings = Findings()
    clean = True
    try:
        value = loads(body, findings=findings)
    except UnicodeDecodeError:
        findings.add("invalid_utf8", "$")
        clean = False
        try:
            value = loads(body.decode("utf-8", "replace").encode(), findings=findings)
        except ValueError:
            return _unreadable(body, "invalid_utf8", hints=_HINTS)
    except ValueError:
        return _unreadable(body, "not_json", hints=_HINTS)
    value, sent = cleaned(value), value
    if value is not sent:
        findings.add("unclean_text", "$")
        if isinstance(value, dict) and any(value.get(name) != sent.get(name) for name in ("source", "id")):
            value = {name: item for name, item in value.items() if name != "id"}
    if isinstance(value, dict):
        value, whole = _with_data(value, findings)
        clean = clean and whole
    if not isinstance(value, dict) or (envelope := _envelope(value, findings)) is None:
        return _unreadable(body, "not_an_object", hints=_STRONG_HINTS)
    event = lenient(WireEvent, envelope, path="$", findings=findings)
    if event.data.test and not _really_test(envelope):
        event = msgspec.structs.replace(event, data=msgspec.structs.replace(event.data, test=None))
    return Reading(event, findings.codes(), clean, _position_as_sent(envelope))


def _with_data(value: dict[str, Any], findings: Findings) -> tuple[dict[str, Any], bool]:
    """``value`` with its data as JSON where it came as Base64 (JSON event format 3.1.1) or as a text; and whether it
    could be read."""
    name = "data_base64" if isinstance(value.get("data_base64"), str) and not value.get("data") else "data"
    sent = value.get(name)
    if not isinstance(sent, str):
        return value, True
    try:
        octets = from_base64(sent) if name == "data_base64" else sent.encode()
        data = loads(octets, path=f"$.{name}", findings=findings)
    except (Malformed, ValueError):
        data = None
    if not isinstance(data, dict):
        if name == "data":  # a field of the wrong type, as any other
            return value, True
        findings.add("undecodable", "$.data_base64")
        return value, False
    if name == "data":
        findings.add("as_text", "$.data")
    rest = {member: item for member, item in value.items() if member not in ("data", "data_base64")}
    return rest | {"data": cleaned(data)}, True


def _envelope(value: dict[str, Any], findings: Findings) -> dict[str, Any] | None:
    """``value`` as an event with ``data``, when it is recognisably an emergency."""
    kind, data = value.get("type"), value.get("data")
    if (isinstance(kind, str) and "sos." in kind) or (
        isinstance(data, dict) and any(key in data for key in _HINT_KEYS)
    ):
        return value
    if "data" not in value and ("trigger" in value or "crash" in value):
        findings.add("no_envelope", "$")
        return {"data": value}
    return None


def _really_test(envelope: dict[str, Any]) -> bool:
    """Only JSON ``true`` keeps a report in the test queue; anything that merely resembles it is taken as live."""
    data = envelope.get("data")
    return isinstance(data, dict) and data.get("test") is True


def _position_as_sent(envelope: dict[str, Any]) -> str | None:
    """What stands where a position should, when it cannot be a number: a person may make sense of it."""
    data = envelope.get("data")
    location = data.get("location") if isinstance(data, dict) else None
    if not isinstance(location, dict):
        return location[:_MAX_REPORTED] if isinstance(location, str) else None
    sent = [location.get("latitude"), location.get("longitude")]
    if all(item is None or _is_number(item) for item in sent):
        return None
    text = ",".join(item if isinstance(item, str) else json.dumps(item) for item in sent)
    return text[:_MAX_REPORTED]


def _is_number(item: object) -> bool:
    try:
        return math.isfinite(msgspec.convert(item, float, strict=False))
    except (msgspec.ValidationError, OverflowError):
        return False


def _unreadable(body: bytes, code: str, *, hints: tuple[bytes, ...]) -> Reading:
    if any(hint in body for hint in hints):
        return Reading(None, (f"{code}:$",), False)
    raise _refusal(body, code)


def _refusal(body: bytes, code: str) -> Malformed:
    if not body:
        return Malformed("The body is empty; send one CloudEvents 1.0 JSON event.", field="$")
    if code == "not_an_object":
        return Malformed(
            "This JSON is no emergency event: `type` must name an `sos.` event such as `com.example.sos.crash.v1`, "
            "and `data` must hold `trigger`, `crash` or `location`.",
            field="$.type",
        )
    return Malformed("The body is not JSON in UTF-8; send one CloudEvents 1.0 JSON event.", field="$")


# Judging what was read


def _identified(event: WireEvent) -> tuple[str, str] | None:
    """Source and id, unless one is missing; a receipt separates them by NUL, which no clean text holds."""
    if not event.source or not event.id:
        return None
    return event.source, event.id


_TRIGGERS: Mapping[str | None, Trigger] = MappingProxyType({"automatic": Trigger.AUTOMATIC, "manual": Trigger.MANUAL})
_ENDINGS: Mapping[str, Trigger] = MappingProxyType({"crash.v1": Trigger.AUTOMATIC, "manual.v1": Trigger.MANUAL})
_LATER = re.compile(r"\bsos\.(update|cancel)\b")


def _trigger_of(event: WireEvent | None, body: bytes) -> Trigger:
    if event is not None and event.data.trigger is not None:
        return _TRIGGERS[event.data.trigger]
    if b"sos.crash" in body:
        return Trigger.AUTOMATIC
    return Trigger.MANUAL if b"sos.manual" in body else Trigger.UNKNOWN


def _odd(data: WireData) -> bool:
    """Whether a unit is none we know; what cannot be is judged of every report alike (``sos.incident.plausible``)."""
    crash = data.crash
    return crash is not None and crash.delta_v is not None and crash.delta_v.unit not in KMH_PER_UNIT


def _with_oddities(event: WireEvent, findings: tuple[str, ...]) -> tuple[str, ...]:
    """``findings`` and what is odd about the event's type and unit."""
    more: list[str] = []
    if event.type.rpartition("sos.")[2] not in _ENDINGS and _LATER.search(event.type) is None:
        more.append("unknown_type:$.type")
    if _odd(event.data):
        more.append("unknown_unit:$.data.crash.deltaV.unit")
    return (*findings, *(code for code in more if code not in findings))


# The report


def _report(event: WireEvent, findings: tuple[str, ...]) -> EmergencyReport:
    data = event.data
    kind, because = _named_kind(data)
    return EmergencyReport(
        sequence=data.sequence or 0,
        location=_location(data.location) if data.location is not None else Location(),
        vehicle=_vehicle(event),
        crash=_crash(data),
        call_back=CallBack(tel=data.callback.tel, language=data.callback.language) if data.callback else CallBack(),
        device=Device(model=data.device.model, firmware=data.device.firmware) if data.device else Device(),
        kind=kind,
        kind_because=because,
        findings=findings,
    )


_KIND_OF_SERVICE: Mapping[str, EmergencyKind] = MappingProxyType(
    {
        "urn:service:sos.ambulance": EmergencyKind.ILLNESS,
        "urn:service:sos.physician": EmergencyKind.ILLNESS,
        "urn:service:sos.fire": EmergencyKind.FIRE,
        "urn:service:sos.police": EmergencyKind.CRIME,
        "urn:service:sos.ecall.automatic": EmergencyKind.CRASH,
    }
)
"""Services that say what has happened.  ``sos`` and ``sos.ecall.manual`` say that help is wanted, and no more."""


def _named_kind(data: WireData) -> tuple[EmergencyKind, str]:
    if data.kind is not None:
        return EmergencyKind(data.kind), "said"
    kind = _KIND_OF_SERVICE.get((data.service or "").strip().lower(), EmergencyKind.UNKNOWN)
    return kind, "" if kind is EmergencyKind.UNKNOWN else "service"


def _location(sent: WireLocation) -> Location:
    recent = tuple(
        Fix(latitude=fix.latitude, longitude=fix.longitude, age_seconds=fix.age_seconds)
        for fix in sent.recent or ()
        if fix.latitude is not None and fix.longitude is not None
    )
    return Location(
        latitude=sent.latitude,
        longitude=sent.longitude,
        heading=sent.heading,
        horizontal_accuracy=sent.horizontal_accuracy,
        trusted=sent.trusted,
        timestamp=sent.timestamp,
        recent=recent,
    )


def _vehicle(event: WireEvent) -> Vehicle:
    sent, occupants = event.data.vehicle or WireVehicle(), event.data.occupants or WireOccupants()
    scheme, value = _identity(event.data.vehicle, event.subject)
    belts = [seat.belted for seat in occupants.seats or () if seat.belted is not None]
    return Vehicle(
        id_scheme=scheme,
        id_value=value,
        brand=sent.brand,
        model=sent.model,
        exterior_color=sent.exterior_color,
        license_plate=sent.license_plate,
        category=sent.category,
        energy=sent.energy or (),
        occupants=occupants.count,
        belted=sum(belts) if belts else None,
    )


def _identity(sent: WireVehicle | None, subject: str | None) -> tuple[str | None, str | None]:
    """What the vehicle is called: its id, else its frame number, else the subject ``vehicle:<scheme>:<value>``."""
    if sent is not None and sent.id is not None and sent.id.value is not None:
        return sent.id.scheme, sent.id.value
    if sent is not None and sent.frame_number is not None:
        return "jp_frame", sent.frame_number
    if subject is not None and subject.count(":") >= 2 and subject.startswith("vehicle:"):
        _, scheme, value = subject.split(":", 2)
        return scheme, value
    return None, None


def _crash(data: WireData) -> Crash:
    sent, seats = data.crash or WireCrash(), (data.occupants.seats or ()) if data.occupants else ()
    delta_v = sent.delta_v or WireDeltaV()
    factor = KMH_PER_UNIT.get(delta_v.unit)
    airbags = [seat.airbag_deployed for seat in seats if seat.airbag_deployed is not None]
    return Crash(
        event_time=data.event_time,
        impact=sent.impact,
        delta_v_x=None if delta_v.x is None or factor is None else delta_v.x * factor,
        delta_v_y=None if delta_v.y is None or factor is None else delta_v.y * factor,
        delta_v_limit=None if delta_v.range_limit is None or factor is None else delta_v.range_limit * factor,
        principal_direction_clock=sent.principal_direction_clock,
        multiple_impacts=sent.multiple_impacts,
        rollover=sent.rollover,
        airbag_deployed=any(airbags) if airbags else None,
        speed_before=sent.speed_before,
        fire=sent.fire,
        submersed=sent.submersed,
        fuel_leak=sent.fuel_leak,
        trapped=sent.trapped,
        ejected=sent.ejected,
        pedestrian=sent.pedestrian,
        severe_injury=sent.severe_injury,
        summary=sent.summary,
    )


# The way back

_ENCODED_TYPE = MappingProxyType({Trigger.MANUAL: "jp.example.sos.manual.v1"})


def encode(
    report: EmergencyReport,
    *,
    source: str,
    id: str,
    trigger: Trigger,
    sent_at: datetime,
    test: bool = False,
) -> bytes:
    """``report`` as an event that ``decode`` reads back as the same report; its findings stay behind."""
    event = {
        "specversion": "1.0",
        "id": id,
        "source": source,
        "type": _ENCODED_TYPE.get(trigger, "jp.example.sos.crash.v1"),
        "time": timestamp(sent_at),
        "datacontenttype": "application/json",
        "data": {
            "trigger": None if trigger is Trigger.UNKNOWN else trigger.value,
            "test": test,
            "sequence": report.sequence,
            "eventTime": report.crash.event_time,
            "vehicle": _sent_vehicle(report.vehicle),
            "location": _sent_location(report.location),
            "crash": _sent_crash(report.crash),
            "occupants": _sent_occupants(report),
            "callback": report.call_back,
        },
    }
    return msgspec.json.encode(event)


def _sent_vehicle(vehicle: Vehicle) -> dict[str, Any]:
    sent = {"scheme": vehicle.id_scheme, "value": vehicle.id_value}
    plain = ("brand", "model", "category", "energy")
    return {
        "id": sent,
        "exteriorColor": vehicle.exterior_color,
        "licensePlate": vehicle.license_plate,
        **{name: getattr(vehicle, name) for name in plain},
    }


def _sent_location(location: Location) -> dict[str, Any]:
    sent: dict[str, Any] = msgspec.to_builtins(location, builtin_types=(datetime,))
    reported = sent.pop("reported", None)
    if reported is not None:
        latitude, _, longitude = reported.partition(",")
        sent["latitude"], sent["longitude"] = _as_sent(latitude), _as_sent(longitude)
    return sent


def _as_sent(text: str) -> float | str | None:
    if text == "None":
        return None
    return float(text) if _is_number(text) else text


def _sent_crash(crash: Crash) -> dict[str, Any]:
    sent: dict[str, Any] = msgspec.to_builtins(crash, builtin_types=(datetime,))
    for elsewhere in ("eventTime", "airbagDeployed"):
        sent.pop(elsewhere, None)
    delta_v = {"x": sent.pop("deltaVX", None), "y": sent.pop("deltaVY", None), "unit": "km/h"}
    delta_v |= {"rangeLimit": sent.pop("deltaVLimit", None)}
    return sent | {"deltaV": delta_v}


def _sent_occupants(report: EmergencyReport) -> dict[str, Any]:
    belted, airbag = report.vehicle.belted, report.crash.airbag_deployed
    seats: list[dict[str, Any]] = [{"belted": True} for _ in range(belted or 0)]
    if not seats and (belted is not None or airbag is not None):
        seats = [{"belted": None if belted is None else False}]
    if airbag is not None:
        seats[0]["airbagDeployed"] = airbag
    return {"count": report.vehicle.occupants, "seats": seats}
