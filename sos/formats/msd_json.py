"""An MSD as one JSON object and back, for people, command lines and other programs.

Names are those of EN 15722 where it has one; ``_mas``, ``_deg`` and ``_raw`` tell raw values from their meaning.  The
way back needs the raw values or, for the position and TB 040 data, their meaning instead.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from sos.errors import Malformed
from sos.formats import ncap, text_encoding
from sos.formats.msd import (
    UNKNOWN_MAS,
    AdditionalData,
    Delta,
    Energy,
    Msd,
    VehicleType,
    relative_oid,
)
from sos.formats.msd_review import impact_of

Octet = Annotated[int, Meta(ge=0, le=255)]
Word = Annotated[int, Meta(ge=0, le=0xFFFFFFFF)]
Mas = Annotated[int, Meta(ge=-0x80000000, le=0x7FFFFFFF)]
Steps = Annotated[int, Meta(ge=-512, le=511)]


class Shape(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the JSON shapes."""


class DeltaShape(Shape, frozen=True, kw_only=True, rename="camel"):
    latitude_delta: Steps
    longitude_delta: Steps


class DeltaVShape(
    Shape, frozen=True, kw_only=True, rename={"range_limit": "rangeLimit", "x": "deltaVX", "y": "deltaVY"}
):
    range_limit: int
    x: int
    y: int


class EuroNcapShape(
    Shape,
    frozen=True,
    kw_only=True,
    rename={"location": "locationOfImpact", "rollover": "rolloverDetected", "delta_v": "deltaV"},
):
    location: ncap.Impact | None
    rollover: bool | None = None
    delta_v: DeltaVShape


class AdditionalShape(
    Shape, frozen=True, kw_only=True, rename={"oid": "relativeOid", "data": "data_hex", "euro_ncap": "euroNcapTB040"}
):
    oid: str | None
    """None when the identifier's octets are malformed."""
    data: str | None = None
    euro_ncap: EuroNcapShape | UnsetType | None = UNSET
    """Null when data under its identifier cannot be read as such; absent under another identifier."""


_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "version": "msdVersion",
        "message_identifier": "messageIdentifier",
        "automatic_activation": "automaticActivation",
        "test_call": "testCall",
        "position_can_be_trusted": "positionCanBeTrusted",
        "vehicle_type": "vehicleType",
        "latitude_mas": "positionLatitude_mas",
        "longitude_mas": "positionLongitude_mas",
        "latitude": "latitude_deg",
        "longitude": "longitude_deg",
        "direction": "vehicleDirection_raw",
        "heading": "heading_deg",
        "recent_n1": "recentVehicleLocationN1",
        "recent_n2": "recentVehicleLocationN2",
        "occupants": "numberOfOccupants",
        "additional": "optionalAdditionalData",
    }
)


class MsdShape(Shape, frozen=True, kw_only=True, rename=_NAMES):
    """What ``shown`` gives and ``taken`` takes; what has a default may be left out."""

    version: Annotated[int, Meta(ge=1, le=3)]
    message_identifier: Octet = 1
    automatic_activation: bool
    test_call: bool = False
    position_can_be_trusted: bool
    vehicle_type: VehicleType | None
    vin: Annotated[str, Meta(pattern="^[A-HJ-NPR-Z0-9]{17}$")]
    propulsion: tuple[Energy, ...] = ()
    timestamp: Word
    latitude_mas: Mas | None = None
    longitude_mas: Mas | None = None
    latitude: Annotated[float, Meta(ge=-90, le=90)] | None = None
    """Read when ``positionLatitude_mas`` is missing."""
    longitude: Annotated[float, Meta(ge=-180, le=180)] | None = None
    direction: Octet = 255
    heading: int | None = None
    """Never read: it follows from ``vehicleDirection_raw``."""
    recent_n1: DeltaShape | None = None
    recent_n2: DeltaShape | None = None
    occupants: Octet | None = None
    additional: AdditionalShape | None = None
    findings: tuple[str, ...] = ()
    """Never read."""


def shown(msd: Msd, findings: tuple[str, ...]) -> MsdShape:
    """``msd`` with every member, to be encoded as JSON; None where a value is unknown or absent."""
    return MsdShape(
        version=msd.version,
        message_identifier=msd.message_identifier,
        automatic_activation=msd.automatic_activation,
        test_call=msd.test_call,
        position_can_be_trusted=msd.position_can_be_trusted,
        vehicle_type=msd.vehicle_type,
        vin=msd.vin,
        propulsion=msd.propulsion,
        timestamp=msd.timestamp,
        latitude_mas=msd.latitude_mas,
        longitude_mas=msd.longitude_mas,
        latitude=msd.latitude,
        longitude=msd.longitude,
        direction=msd.direction,
        heading=msd.heading,
        recent_n1=_shown_delta(msd.recent_n1),
        recent_n2=_shown_delta(msd.recent_n2),
        occupants=msd.occupants,
        additional=_shown_additional(msd),
        findings=findings,
    )


def _shown_delta(delta: Delta | None) -> DeltaShape | None:
    return None if delta is None else DeltaShape(latitude_delta=delta.latitude, longitude_delta=delta.longitude)


def _shown_additional(msd: Msd) -> AdditionalShape | None:
    additional = msd.additional
    if additional is None:
        return None
    oid = additional.relative_oid
    euro_ncap = _shown_impact(impact_of(msd)) if oid == ncap.RELATIVE_OID else UNSET
    return AdditionalShape(oid=oid, data=additional.data.hex().upper(), euro_ncap=euro_ncap)


def _shown_impact(report: ncap.EuroNcap | None) -> EuroNcapShape | None:
    if report is None:
        return None
    return EuroNcapShape(
        location=report.location_of_impact,
        rollover=report.rollover_detected,
        delta_v=DeltaVShape(range_limit=report.range_limit, x=report.delta_v_x, y=report.delta_v_y),
    )


def taken(content: bytes) -> Msd:
    """The MSD that the JSON object in ``content`` describes.  ``Malformed`` names the member that is wrong."""
    try:
        shape = msgspec.json.decode(content, type=MsdShape)
    except msgspec.ValidationError as error:
        raise _wrong(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Malformed("expected one JSON object as `sos msd decode` prints it") from None
    return Msd(
        version=shape.version,
        message_identifier=shape.message_identifier,
        automatic_activation=shape.automatic_activation,
        test_call=shape.test_call,
        position_can_be_trusted=shape.position_can_be_trusted,
        vehicle_type=shape.vehicle_type,
        vin=shape.vin,
        propulsion=tuple(energy for energy in Energy if energy in shape.propulsion),
        timestamp=shape.timestamp,
        latitude_mas=_mas(shape.latitude_mas, shape.latitude),
        longitude_mas=_mas(shape.longitude_mas, shape.longitude),
        direction=shape.direction,
        recent_n1=_taken_delta(shape.recent_n1),
        recent_n2=_taken_delta(shape.recent_n2),
        occupants=shape.occupants,
        additional=_taken_additional(shape.additional),
    )


_WHERE = re.compile(r" - at `(\$[^`]*)`\Z")


def _wrong(error: msgspec.ValidationError) -> Malformed:
    """``error`` with its place, and without any value that was sent."""
    text = str(error)
    where = _WHERE.search(text)
    expected = text[: where.start()] if where else text
    if expected.startswith("Invalid enum value"):
        expected = "Expected a value of the list"
    field = where[1] if where else "$"
    return Malformed(f"{field}: {expected}", field=field)


def _mas(mas: int | None, degrees: float | None) -> int:
    if mas is not None:
        return mas
    return UNKNOWN_MAS if degrees is None else round(degrees * 3_600_000)


def _taken_delta(shape: DeltaShape | None) -> Delta | None:
    return None if shape is None else Delta(shape.latitude_delta, shape.longitude_delta)


def _taken_additional(shape: AdditionalShape | None) -> AdditionalData | None:
    if shape is None:
        return None
    if shape.oid is None:
        raise Malformed("expected an identifier such as 8.1", field="$.optionalAdditionalData.relativeOid")
    oid = relative_oid(shape.oid)
    if shape.data is not None:
        return AdditionalData(oid, text_encoding.from_hex(shape.data))
    sent = shape.euro_ncap
    if shape.oid != ncap.RELATIVE_OID or not isinstance(sent, EuroNcapShape):
        raise Malformed("expected the octets in hexadecimal", field="$.optionalAdditionalData.data_hex")
    report = ncap.EuroNcap(
        location_of_impact=sent.location,
        rollover_detected=sent.rollover,
        range_limit=sent.delta_v.range_limit,
        delta_v_x=sent.delta_v.x,
        delta_v_y=sent.delta_v.y,
    )
    return AdditionalData(oid, ncap.write(report))
