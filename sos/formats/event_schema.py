"""The JSON Schema (2020-12) of the event a vehicle's cloud posts, made from the very shapes that decode it.

So it cannot say anything else than the decoder does.  What a type cannot say (units, meaning) stands in
``DESCRIPTIONS``.  The service takes more than the schema allows and answers with findings; this is what has none.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import Struct

DIALECT = "https://json-schema.org/draft/2020-12/schema"

DESCRIPTIONS: Mapping[str, str] = MappingProxyType(
    {
        "Event.id": "With `source` it names the event: a repetition with the same two is the same event.",
        "Event.source": "Who sends, such as `/oem/acme/tcu/4f2a`.",
        "Event.type": "Ends in `sos.crash.v1`, `sos.manual.v1`, `sos.update.v1` or `sos.cancel.v1`.",
        "Event.time": "When the event was sent, RFC 3339 with an offset.",
        "Event.subject": "`vehicle:<scheme>:<value>`; read when `data.vehicle.id` is missing.",
        "Data.trigger": "`automatic` for a detected crash, `manual` for the button.",
        "Data.test": "`true` keeps the report in the test queue; it never leaves the house.",
        "Data.sequence": "Rises with every later report about the same crash.",
        "Data.eventTime": "When it happened by the vehicle's clock, RFC 3339 with an offset.",
        "Location.latitude": "Degrees, WGS-84.",
        "Location.longitude": "Degrees, WGS-84.",
        "Location.heading": "Degrees clockwise from north.",
        "Location.horizontalAccuracy": "Metres, radius.",
        "Location.altitude": "Metres above the ellipsoid.",
        "Location.trusted": "Within 150 m at 95 % confidence (EN 15722 positionCanBeTrusted).",
        "Location.recent": "Where the vehicle was before, latest first.",
        "Fix.ageSeconds": "Seconds before the event.",
        "VehicleId.scheme": "`vin` (ISO 3779), `jp_frame` (車台番号) or `oem_id`.",
        "Vehicle.frameNumber": "車台番号; read when `id` is missing.",
        "Vehicle.category": "UNECE category such as `M1`.",
        "Vehicle.energy": "`gasoline`, `diesel`, `cng`, `lpg`, `electric`, `hydrogen`, `other`.",
        "DeltaV.x": "Change in velocity, forward positive.",
        "DeltaV.y": "Change in velocity, to the right positive.",
        "DeltaV.rangeLimit": "What the sensor can measure: a component that reaches it may have been more.",
        "DeltaV.unit": "`km/h`, `mph` or `m/s`.",
        "Crash.principalDirectionClock": "Where the force came from: 12 is ahead, 3 the right.",
        "Crash.rollover": "`NONE`, `RISK`, `DETECTED` or `UNKNOWN` (COVESA VSS).",
        "Crash.trapped": "Somebody cannot get out.",
        "Crash.ejected": "Somebody was thrown out.",
        "Crash.pedestrian": "Somebody outside was hit.",
        "Crash.severeInjury": "The sender's own verdict that somebody is severely hurt.",
        "Crash.speedBefore": "km/h.",
        "Crash.summary": "Free text for the operator.",
        "Seat.position": "`DriverSide`, `Middle` or `PassengerSide`.",
        "CallBack.tel": "E.164, such as `+81...`.",
        "CallBack.language": "BCP 47.",
        "Device.model": "The control unit's, such as `TCU-4`; it counts for the field log alone.",
        "Device.firmware": "Its version, such as `3.1`.",
        "Msd.base64": "An eCall MSD (EN 15722) as received, kept as it is.",
    }
)
"""By shape and member, as published."""


def event_schema(kind: type[Struct], *, id: str) -> dict[str, Any]:
    """The schema of ``kind``, published at ``id``; shapes lose the prefix ``Wire`` of their classes."""
    (root,), shapes = msgspec.json.schema_components((kind,), ref_template="#/$defs/{name}")
    schemas = {_plain(name): _described(_plain(name), shape) for name, shape in shapes.items()}
    return {
        "$schema": DIALECT,
        "$id": id,
        "title": "Emergency event of a vehicle (CloudEvents 1.0, structured JSON)",
        **_renamed(root),
        "$defs": _renamed(schemas),
    }


def _plain(name: str) -> str:
    return name.removeprefix("Wire")


def _described(name: str, shape: dict[str, Any]) -> dict[str, Any]:
    members = {
        member: content | ({"description": told} if (told := DESCRIPTIONS.get(f"{name}.{member}")) else {})
        for member, content in shape.get("properties", {}).items()
    }
    return shape | {"title": name, "properties": members} if members else shape


def _renamed(node: Any) -> Any:
    """``node`` with every reference to a shape by its published name."""
    match node:
        case dict():
            return {
                key: f"#/$defs/{_plain(value.rpartition('/')[2])}" if key == "$ref" else _renamed(value)
                for key, value in node.items()
            }
        case list() | tuple():
            return [_renamed(item) for item in node]
        case _:
            return node
