"""How long each text of a report may be, and how many of a thing it may name: one table for every door and format.

An emergency is never refused for its length.  What is longer is cut, with a finding that names the place, and the
bytes are kept as received.  A name of a vehicle that is longer than any vehicle's is shown cut and is nobody's name:
two that begin alike are not one.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from sos.incident.report import EmergencyReport

TEXT = 200
"""Characters of a text that the table does not name; the longest honest one is a make or a model."""

LONGEST: Mapping[str, int] = MappingProxyType(
    {"id_scheme": 32, "id_value": 64, "license_plate": 64, "tel": 128, "language": 35, "summary": 2000}
)
"""Characters by field.  BCP 47 (4.4.1) asks for 35; the sender's own words, two pages of a note."""

MOST = 64
"""Items of a list: a coach has as many seats, and no report more last positions."""

WORDS = 1000
"""Characters of a cancel's own words."""

Some = TypeVar("Some", bound=Struct)


def bounded(report: EmergencyReport) -> EmergencyReport:
    """``report`` with nothing in it that is longer than the table says."""
    findings: list[str] = []
    cut = _struct(report, "$", findings)
    if cut.vehicle.id_value != report.vehicle.id_value:
        cut = replace(cut, vehicle=replace(cut.vehicle, id_scheme=None))
    if not findings:
        return report
    return replace(cut, findings=tuple(dict.fromkeys((*cut.findings, *findings))))


def _struct(value: Some, path: str, findings: list[str]) -> Some:
    changes: dict[str, Any] = {}
    for field, wire in zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True):
        before = getattr(value, field)
        after = _cut(before, f"{path}.{wire}", field, findings)
        if after is not before:
            changes[field] = after
    return replace(value, **changes) if changes else value


def _cut(value: Any, path: str, field: str, findings: list[str]) -> Any:
    if type(value) is str:
        longest = LONGEST.get(field, TEXT)
        if len(value) <= longest:
            return value
        findings.append(f"too_long:{path}")
        return value[:longest]
    if isinstance(value, Struct):
        return _struct(value, path, findings)
    if not isinstance(value, tuple):
        return value
    if len(value) > MOST:
        findings.append(f"too_many:{path}")
        value = value[:MOST]
    items = tuple(_cut(item, path, field, findings) for item in value)
    return value if all(a is b for a, b in zip(items, value, strict=True)) else items
