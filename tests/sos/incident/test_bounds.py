"""Whatever a report says at any length: it is cut where the table says, with a finding, and the emergency is taken."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args, get_origin

import msgspec
import pytest
from msgspec import Struct
from msgspec.structs import FieldInfo, fields, replace

from sos.incident.bounds import LONGEST, MOST, TEXT, bounded
from sos.incident.report import EmergencyReport, Fix, Vehicle
from sos.intake.arrival import key
from sos.intake.cloudevents import peek
from sos.intake.formats import read_report

CRASH = json.loads((Path(__file__).resolve().parents[2] / "wire" / "crash.json").read_bytes())
NOW = datetime(2026, 1, 1, 9, 0, 4, tzinfo=UTC)
HUGE = "長" * 5000


def places(kind: type[Struct], *way: str) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """Every field of a report that holds a text or a list."""
    for field in fields(kind):
        if isinstance(field.type, type) and issubclass(field.type, Struct):
            yield from places(field.type, *way, field.name)
        elif field.name != "findings" and (str in get_args(field.type) or get_origin(field.type) is tuple):
            yield (*way, field.name), field


PLACES = tuple(places(EmergencyReport))


def with_value(report: EmergencyReport, way: tuple[str, ...], value: Any) -> EmergencyReport:
    part, field = way
    return replace(report, **{part: replace(getattr(report, part), **{field: value})})


def test_the_sweep_finds_every_text_and_list() -> None:
    assert {way[-1] for way, _ in PLACES} >= {"id_value", "summary", "energy", "recent", "reported", "tel", "impact"}


@pytest.mark.parametrize(("way", "field"), PLACES, ids=[".".join(way) for way, _ in PLACES])
def test_every_text_and_list_of_a_report_is_cut_with_a_finding(way: tuple[str, ...], field: FieldInfo) -> None:
    many = get_origin(field.type) is tuple
    item = Fix(latitude=35.0, longitude=139.0) if way[-1] == "recent" else HUGE
    sent = with_value(EmergencyReport(), way, (item,) * 5000 if many else HUGE)

    cut = bounded(sent)

    kept = getattr(getattr(cut, way[0]), way[1])
    longest = LONGEST.get(way[1], TEXT)
    assert len(kept) == (MOST if many else longest)
    assert not many or all(len(each) == longest for each in kept if isinstance(each, str))
    assert any(each.startswith(("too_long:", "too_many:")) for each in cut.findings)
    assert len(b"".join(cut.parts().values())) < 64 * 1024


def test_an_honest_report_is_the_same_object() -> None:
    report = read_report(json.dumps(CRASH).encode(), "application/cloudevents+json", at=NOW)

    assert bounded(report) is report
    assert report.findings == ()


def test_two_names_of_vehicles_that_begin_alike_are_not_one() -> None:
    long = "J" * 100
    cut = bounded(EmergencyReport(vehicle=Vehicle(id_scheme="oem_id", id_value=long + "1")))

    assert (cut.vehicle.id_scheme, len(cut.vehicle.id_value or "")) == (None, LONGEST["id_value"])
    assert key("oem_id", long + "1") is None
    assert key("oem_id", "J1") == ("oem_id", "J1")


@pytest.mark.parametrize("part", ["vehicle", "location", "crash", "occupants", "callback"])
@pytest.mark.parametrize(
    "value", [HUGE, ["x"] * 9000, [[]] * 9000, {"a": [{}] * 9000}], ids=["text", "list", "lists", "tree"]
)
def test_no_size_of_any_member_costs_an_emergency_its_incident(part: str, value: Any) -> None:
    members = CRASH["data"].get(part) or {"x": 1}
    for member in (*members, "unknown"):
        data = CRASH["data"] | {part: members | {member: value}}
        body = json.dumps(CRASH | {"data": data}).encode()

        seen = peek(body)
        report = read_report(body, "application/cloudevents+json", at=NOW)

        assert seen.idempotency is not None
        assert sum(len(each) for each in report.parts().values()) < 64 * 1024
        assert msgspec.json.decode(msgspec.json.encode(report), type=EmergencyReport) == report
