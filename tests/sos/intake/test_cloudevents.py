"""The event codec: what is read, what is salvaged, what is turned away."""

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.categories import Category
from routing.text import clean
from sos.errors import Malformed
from sos.incident.model import Mode, Trigger
from sos.incident.report import CallBack, Crash, EmergencyReport, Fix, Location, Vehicle
from sos.intake.arrival import Kind, judged
from sos.intake.cloudevents import MEDIA_TYPE, decode, encode, peek
from sos.intake.filer import file_report
from sos.intake.findings import FINDINGS
from sos.intake.formats import read_report

WIRE = Path(__file__).resolve().parents[2] / "wire"
CRASH = (WIRE / "crash.json").read_bytes()
RECEIVED = datetime(2026, 1, 1, 9, 0, 4, tzinfo=UTC)


def changed(path: str, value: Any) -> bytes:
    """The crash sample with one member set; ``path`` such as ``data.location.latitude``."""
    event = json.loads(CRASH)
    *parents, last = path.split(".")
    place = event
    for parent in parents:
        place = place[parent]
    place[last] = value
    return json.dumps(event).encode()


def without(path: str) -> bytes:
    event = json.loads(CRASH)
    *parents, last = path.split(".")
    place = event
    for parent in parents:
        place = place[parent]
    del place[last]
    return json.dumps(event).encode()


def test_a_complete_crash_report_is_read_without_findings() -> None:
    seen, report = peek(CRASH), decode(CRASH)

    assert (seen.readable, seen.mode, seen.trigger) == (True, Mode.LIVE, Trigger.AUTOMATIC)
    assert seen.idempotency == ("/oem/acme/tcu/4f2a", "01JX0000000000000000000000")
    assert seen.findings == report.findings == ()
    assert report.location == Location(
        latitude=35.681236,
        longitude=139.767125,
        heading=90.0,
        horizontal_accuracy=8.0,
        trusted=True,
        timestamp=datetime(2026, 1, 1, 8, 59, 59, tzinfo=UTC),
        recent=(Fix(latitude=35.6813, longitude=139.7665, age_seconds=5.0),),
    )
    assert (report.vehicle.id_scheme, report.vehicle.id_value) == ("vin", "JTMZZ3TESTEC00001")
    assert (report.vehicle.occupants, report.vehicle.belted, report.crash.airbag_deployed) == (2, 1, True)
    assert (report.crash.delta_v_x, report.crash.principal_direction_clock) == (-45.0, 12)
    assert report.call_back == CallBack(tel="+81355500100", language="ja")


def test_hazards_the_senders_verdict_and_the_limit_of_the_sensor_are_read() -> None:
    told = {"fuelLeak": True, "trapped": True, "ejected": False, "pedestrian": True, "severeInjury": True}
    told |= {"deltaV": {"x": 3.0, "y": 77.0, "rangeLimit": 77.0, "unit": "mph"}}

    crash = decode(changed("data.crash", told)).crash

    assert (crash.fuel_leak, crash.trapped, crash.ejected, crash.pedestrian) == (True, True, False, True)
    assert crash.severe_injury is True
    assert crash.delta_v_limit == crash.delta_v_y == pytest.approx(123.9, abs=0.1)


def test_what_the_button_does_not_know_stays_unknown() -> None:
    report = decode((WIRE / "manual.json").read_bytes())

    assert report.crash == Crash(event_time=datetime(2026, 1, 1, 9, 10, tzinfo=UTC))
    assert (report.vehicle.occupants, report.vehicle.belted, report.location.heading) == (None, None, None)
    assert peek((WIRE / "manual.json").read_bytes()).trigger is Trigger.MANUAL


def test_a_test_call_is_test_and_only_json_true_makes_it_one() -> None:
    assert peek((WIRE / "test_call.json").read_bytes()).mode is Mode.TEST
    for resembling in ("true", 1, "yes", None, "1"):
        assert peek(changed("data.test", resembling)).mode is Mode.LIVE


def test_an_update_and_a_cancel_are_told_from_a_report() -> None:
    update, cancel = peek((WIRE / "update.json").read_bytes()), peek(changed("type", "jp.example.sos.cancel.v1"))

    assert (update.kind, update.about.vehicle, update.about.sequence) == (
        Kind.UPDATE,
        ("vin", "JTMZZ3TESTEC00001"),
        2,
    )
    assert (cancel.kind, cancel.about.position) == (Kind.CANCEL, (35.681236, 139.767125))
    assert update.findings == cancel.findings == ()
    assert peek(changed("type", "jp.example.sos.crash.v9")).kind is Kind.REPORT
    assert peek(changed("type", "jp.example.sos.crash.v9")).findings == ("unknown_type:$.type",)


def test_numbers_sent_as_text_are_understood_and_noted() -> None:
    report = decode((WIRE / "everything_quoted.json").read_bytes())

    assert (report.location.latitude, report.location.longitude) == (35.681236, 139.767125)
    assert (report.vehicle.occupants, report.crash.speed_before) == (2, 62.0)
    assert set(report.findings) >= {"quoted:$.data.location.latitude", "quoted:$.data.occupants.count"}


def test_foreign_letters_in_broken_utf8_do_not_cost_the_position() -> None:
    body = (WIRE / "plate_in_cp932.json").read_bytes()

    assert not peek(body).readable
    assert "invalid_utf8:$" in peek(body).findings
    assert decode(body).location.known


def test_truncated_json_is_an_unreadable_emergency_without_parts() -> None:
    body = (WIRE / "truncated.json").read_bytes()

    assert peek(body).readable is False
    assert peek(body).trigger is Trigger.AUTOMATIC
    filed = file_report(body, MEDIA_TYPE, at=RECEIVED)
    assert (filed.located, dict(filed.parts), filed.findings) == (False, {}, ("not_json:$",))


def test_a_report_without_envelope_is_recognised() -> None:
    seen = peek((WIRE / "no_envelope.json").read_bytes())

    assert seen.readable
    assert seen.idempotency is None
    assert seen.findings[0] == "no_envelope:$"


@pytest.mark.parametrize(
    ("latitude", "longitude"),
    [
        (0, 0),
        (0.004602, 0.01004),
        (91, 139.7),
        (35.6, 181),
        (-1e300, 0.5),
        (0.0, 133.510421),
        (None, 139.7),
        (35.6, None),
    ],
)
def test_an_impossible_position_is_unknown_and_kept_as_text(latitude: float | None, longitude: float | None) -> None:
    event = json.loads(CRASH)
    event["data"]["location"] |= {"latitude": latitude, "longitude": longitude}
    body = json.dumps(event).encode()

    told = read_report(body, MEDIA_TYPE, at=RECEIVED)
    seen = judged(peek(body), at=RECEIVED)

    assert (told.location.latitude, told.location.longitude, told.location.known) == (None, None, False)
    assert told.location.reported is not None
    assert {"position_impossible:$.location", "location_swapped:$.location"} & {*seen.findings} & {*told.findings}
    assert seen.about.position is None
    assert not file_report(body, MEDIA_TYPE, at=RECEIVED).located


def test_no_position_at_all_is_no_fault() -> None:
    event = json.loads(CRASH)
    event["data"]["location"] = {"latitude": None, "longitude": None}

    report = decode(json.dumps(event).encode())

    assert report.findings == ()
    assert report.location == Location()


def test_a_position_in_words_is_kept_as_sent() -> None:
    report = decode(changed("data.location.latitude", "35°40'52N"))

    assert (report.location.known, report.location.reported) == (False, "35°40'52N,139.767125")
    assert "wrong_type:$.data.location.latitude" in report.findings


def test_nan_is_no_position() -> None:
    report = decode((WIRE / "nan_position.json").read_bytes())

    assert not report.location.known
    assert "out_of_range:$.data.location.latitude" in report.findings


@pytest.mark.parametrize(
    ("body", "finding"),
    [
        (changed("data.extra", 1), "unknown_field:$.data.extra"),
        (changed("data.Jane Roe 1970", 1), "unknown_field:$.data.*"),
        (changed("data.crash.impact", 7), "wrong_type:$.data.crash.impact"),
        (changed("data.trigger", "perhaps"), "bad_value:$.data.trigger"),
        (changed("data.location.heading", 400), "out_of_range:$.data.location.heading"),
        (changed("data.crash.principalDirectionClock", 13), "out_of_range:$.data.crash.principalDirectionClock"),
        (changed("data.occupants.count", -1), "out_of_range:$.data.occupants.count"),
        (changed("data.eventTime", "2026-01-01T09:00:00"), "naive_time:$.data.eventTime"),
        (changed("data.eventTime", "yesterday"), "bad_time:$.data.eventTime"),
        (changed("data.crash.deltaV.unit", "knots"), "unknown_unit:$.data.crash.deltaV.unit"),
        (changed("data.crash", "hard"), "wrong_type:$.data.crash"),
        (changed("data.occupants.seats", [1]), "wrong_type:$.data.occupants.seats[0]"),
        (changed("data.vehicle.energy", [1, 2]), "wrong_type:$.data.vehicle.energy"),
        (changed("data.vehicle.energy", [[[]]]), "wrong_type:$.data.vehicle.energy"),
        (changed("specversion", "0.3"), "bad_value:$.specversion"),
        (changed("id", ""), "wrong_type:$.id"),
        (changed("data", None), "wrong_type:$.data"),
        (without("id"), "missing_field:$.id"),
        (without("source"), "missing_field:$.source"),
        (without("type"), "missing_field:$.type"),
        (without("data"), "missing_field:$.data"),
        (CRASH.replace(b'"ACME"', b'"\\ud800"'), ""),
        (b"\xef\xbb\xbf" + CRASH, ""),
        (CRASH.decode().encode("utf-16"), ""),
        (CRASH.replace(b'"ACME"', b'"a\nb"'), ""),
        (CRASH.replace(b'"sequence": 1', b'"sequence": 1' + b"0" * 400), "out_of_range:$.data.sequence"),
        (CRASH.replace(b"62.0", b"1e999"), "out_of_range:$.data.crash.speedBefore"),
    ],
)
def test_a_fault_inside_an_emergency_is_a_finding_and_the_rest_is_read(body: bytes, finding: str) -> None:
    seen, filed = peek(body), file_report(body, MEDIA_TYPE, at=RECEIVED)

    assert seen.readable
    assert not finding or finding in seen.findings
    assert seen.findings == filed.findings
    assert filed.parts or "$.data" in finding
    assert all(code.partition(":")[0] in FINDINGS for code in seen.findings)


def test_delta_v_of_unknown_unit_is_unknown_and_of_known_unit_is_converted() -> None:
    assert decode(changed("data.crash.deltaV.unit", "knots")).crash.delta_v_x is None
    assert decode(changed("data.crash.deltaV.unit", "mph")).crash.delta_v_x == pytest.approx(-72.42, abs=0.01)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "$"),
        (b" ", "$"),
        (b"hello", "$"),
        (b"\xff\xfe\x00\x01", "$"),
        (b"[]", "$.type"),
        (b"{}", "$.type"),
        (b"null", "$.type"),
        (b"17", "$.type"),
        (b'{"specversion":"1.0","id":"1","source":"/x","type":"com.example.order.v1","data":{"amount":3}}', "$.type"),
        (b'{"latitude":35.6,"longitude":139.7}', "$.type"),
        (b"[" * 100_000, "$"),
        (b'{"a":' * 50_000, "$"),
    ],
)
def test_what_is_clearly_something_else_is_malformed(body: bytes, field: str) -> None:
    with pytest.raises(Malformed) as refused:
        peek(body)

    assert refused.value.field == field
    assert "example.order" not in str(refused.value)


def test_deep_nesting_inside_an_emergency_still_opens_an_incident() -> None:
    body = CRASH.replace(b'"ACME"', b"[" * 50_000 + b"]" * 50_000)

    assert peek(body).findings == ("not_json:$",)


def test_an_event_that_is_whole_before_the_cut_is_read() -> None:
    seen = peek(CRASH + b" " * 100, cut="oversize")

    assert (seen.readable, seen.findings) == (True, ("oversize:$",))


@pytest.mark.parametrize("id", ["a\0b", "a\ud800", "a\u202e"])
def test_an_id_that_had_to_be_cleaned_is_no_identity(id: str) -> None:
    seen = peek(changed("id", id))

    assert (seen.readable, seen.idempotency) == (True, None)
    assert seen.findings[0] == "unclean_text:$"


@pytest.mark.parametrize("place", ["latitude", "longitude"])
def test_half_a_surrogate_in_the_place_of_a_number_is_kept_as_reported(place: str) -> None:
    body = changed(f"data.location.{place}", "\ud800")

    seen, report = peek(body), decode(body)

    assert seen.readable
    assert f"wrong_type:$.data.location.{place}" in seen.findings
    assert report.location.reported is not None
    assert "\ufffd" in report.location.reported


def test_half_a_surrogate_in_the_place_of_the_location_is_filed() -> None:
    order = file_report(changed("data.location", "\ud800"), MEDIA_TYPE, at=RECEIVED)

    assert json.loads(order.parts[Category.LOC]) == {"reported": "\ufffd"}
    assert "unclean_text:$" in order.findings


def test_what_misleads_on_a_screen_is_taken_out_of_what_the_strict_decoder_reads() -> None:
    body = changed("data.vehicle.model", "K\0ei\u202eVan\x1b")

    assert decode(body).vehicle.model == "KeiVan"
    assert peek(body).findings == ("unclean_text:$",)


def test_findings_are_bounded_and_hold_no_values() -> None:
    event = json.loads(CRASH)
    event["data"] |= {f"extra{number}": "secret" for number in range(500)}

    findings = peek(json.dumps(event).encode()).findings

    assert len(findings) == 32
    assert not any("secret" in code for code in findings)


# Both directions

text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).map(clean).filter(bool)
instants = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
latitudes = st.floats(0.2, 90) | st.floats(-90, -0.2)
longitudes = st.floats(0.2, 180) | st.floats(-180, -0.2)
speeds = st.floats(-300, 300)
maybe = st.none()
flags = st.none() | st.booleans()
fixes = st.builds(Fix, latitude=latitudes, longitude=longitudes, age_seconds=maybe | st.floats(0, 1000))


@st.composite
def locations(draw: st.DrawFn) -> Location:
    known = draw(st.booleans())
    return Location(
        latitude=draw(latitudes) if known else None,
        longitude=draw(longitudes) if known else None,
        heading=draw(maybe | st.floats(0, 360)),
        horizontal_accuracy=draw(maybe | st.floats(0, 1e6)),
        trusted=draw(flags),
        timestamp=draw(maybe | instants),
        recent=tuple(draw(st.lists(fixes, max_size=3))),
        reported=None
        if known
        else draw(st.sampled_from([None, "0.0,0.0", "91.5,10.0", "None,139.7", "0.004602,0.01004"])),
    )


@st.composite
def vehicles(draw: st.DrawFn) -> Vehicle:
    named = draw(st.booleans())
    return Vehicle(
        id_scheme=draw(text) if named else None,
        id_value=draw(text) if named else None,
        brand=draw(maybe | text),
        model=draw(maybe | text),
        exterior_color=draw(maybe | text),
        license_plate=draw(maybe | text),
        category=draw(maybe | text),
        energy=tuple(draw(st.lists(text, max_size=3))),
        occupants=draw(maybe | st.integers(0, 255)),
        belted=draw(maybe | st.integers(0, 9)),
    )


crashes = st.builds(
    Crash,
    event_time=maybe | instants,
    impact=maybe | text,
    delta_v_x=maybe | speeds,
    delta_v_y=maybe | speeds,
    principal_direction_clock=maybe | st.integers(1, 12),
    multiple_impacts=flags,
    rollover=maybe | text,
    airbag_deployed=flags,
    speed_before=maybe | speeds,
    fire=flags,
    submersed=flags,
    summary=maybe | text,
)
reports = st.builds(
    EmergencyReport,
    sequence=st.integers(0, 1000),
    location=locations(),
    vehicle=vehicles(),
    crash=crashes,
    call_back=st.builds(CallBack, tel=maybe | text, language=maybe | text),
)


@settings(max_examples=400, deadline=None)
@given(report=reports, trigger=st.sampled_from(Trigger), test=st.booleans())
def test_a_report_written_as_an_event_is_read_back_the_same(
    report: EmergencyReport, trigger: Trigger, test: bool
) -> None:
    sent_at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=3)
    body = encode(report, source="/oem/acme", id="x1", trigger=trigger, sent_at=sent_at, test=test)

    seen, back = peek(body), decode(body)

    assert (seen.readable, seen.idempotency, seen.findings) == (True, ("/oem/acme", "x1"), ())
    assert seen.mode is (Mode.TEST if test else Mode.LIVE)
    assert seen.trigger is (Trigger.AUTOMATIC if trigger is Trigger.UNKNOWN else trigger)
    place = back.location
    if report.location.reported is not None:  # as sent, and judged later
        assert f"{place.latitude},{place.longitude}" == report.location.reported
        place = msgspec.structs.replace(place, latitude=None, longitude=None, reported=report.location.reported)
    assert (back.sequence, place, back.vehicle, back.crash, back.call_back) == (
        report.sequence,
        report.location,
        report.vehicle,
        report.crash,
        report.call_back,
    )


# Damage


def damaged(body: bytes, dice: random.Random) -> bytes:
    """``body`` after one to four random edits of a byte: replaced, removed or inserted."""
    bytes_ = bytearray(body)
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(bytes_))
        match dice.randrange(3):
            case 0:
                bytes_[at] = dice.randrange(256)
            case 1:
                del bytes_[at]
            case _:
                bytes_.insert(at, dice.randrange(256))
    return bytes(bytes_)


def test_twenty_thousand_damaged_reports_all_open_an_incident() -> None:
    dice = random.Random(20260101)
    readable = located = salvaged = 0

    for _ in range(20_000):
        body = damaged(CRASH, dice)
        seen, filed = peek(body), file_report(body, MEDIA_TYPE, at=RECEIVED)
        readable += seen.readable
        located += filed.located and seen.readable
        salvaged += filed.located and not seen.readable
        assert all(code.partition(":")[0] in FINDINGS for code in seen.findings)
        assert seen.mode is Mode.LIVE
        assert seen.readable or seen.findings
        assert not filed.located or b'"latitude"' in filed.parts[Category.LOC]

    assert 3_000 < readable < 20_000
    assert located > readable * 0.9
    assert salvaged > 2_000


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_give_a_report_or_malformed(body: bytes) -> None:
    try:
        seen = peek(body)
    except Malformed:
        assert file_report(body, MEDIA_TYPE, at=RECEIVED).parts == {}
    else:
        assert seen.findings


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(list(json.loads(CRASH)["data"])) | text, inner)
    ),
    max_leaves=15,
)


@settings(max_examples=500, deadline=None)
@given(
    data=json_values,
    where=st.sampled_from(["data", "data.location", "data.crash", "data.vehicle", "data.occupants", "id"]),
)
def test_any_json_in_any_place_of_an_emergency_opens_an_incident(data: Any, where: str) -> None:
    seen = peek(changed(where, data))

    assert seen.readable
    assert file_report(changed(where, data), MEDIA_TYPE, at=RECEIVED).findings[: len(seen.findings)] == seen.findings
