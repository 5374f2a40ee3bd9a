"""VEDS: read with all the slips of its published example, refused when hostile, written and read back."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings

from routing.position.shapes import Circle
from sos.errors import Malformed
from sos.formats import veds
from sos.formats.findings import EXPLAINED, SHARED
from sos.formats.markup import MAX_CHILDREN, MAX_FINDINGS, MAX_REPEATS, mended_time
from sos.formats.veds import CrashVehicle, Pulse, Seat, Veds
from tests.sos.formats.fuzz import ALONE
from tests.sos.formats.strategies import crash_notifications
from tests.wire.formats.make import HERE, NOTIFICATION, samples

SLIPS = (HERE / "veds_slips.xml").read_bytes()


def notification(inside: str) -> bytes:
    return f"<AutomatedCrashNotification>{inside}</AutomatedCrashNotification>".encode()


@given(crash_notifications)
@settings(deadline=None)
def test_reading_what_was_written_gives_the_same_notification(sent):
    read = veds.read(veds.write(sent))

    assert (read, read.findings) == (sent, ())


def test_the_samples_are_what_their_maker_makes():
    for name, content in samples().items():
        assert (HERE / name).read_bytes() == content, f"{name}: run python -m tests.wire.formats.make"


def test_a_complete_notification_is_read_without_findings():
    assert veds.read((HERE / "veds.xml").read_bytes()) == NOTIFICATION


def test_the_slips_of_the_published_example_cost_nothing():
    read = veds.read(SLIPS)

    assert read.findings == ()
    assert read.vehicle == CrashVehicle(
        vin="TEST_VIN_00000008",
        make="Acme",
        model="Plover",
        airbags=(veds.Airbag(category="FRONT", deployed=True),),
        seats=(Seat(location="1", occupied=True, belted=True, monitored=True),),
        pulses=(Pulse(delta_v=100, unit="MPH", direction_clock=12, quarter_turns=1),),
    )
    assert (read.fuel_leaking, read.multiple_impacts, read.severe_injury, read.fire) == (True, False, True, False)
    assert read.final_rest == "Driver"
    assert read.pidf is not None
    assert read.pidf.locations[0].shape == Circle(35.681236, 139.767125, 20.0)
    assert read.pidf.locations[0].timestamp == datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


def test_coordinates_in_degrees_minutes_and_seconds_are_read_with_their_sign():
    point = (
        "<Location><LocationTwoDimensionalGeographicCoordinate>"
        "<GeographicCoordinateLatitude><LatitudeDegreeValue>-0</LatitudeDegreeValue>"
        "<LatitudeMinuteValue>30</LatitudeMinuteValue></GeographicCoordinateLatitude>"
        "<GeographicCoordinateLongitude><LongitudeDegreeValue>139</LongitudeDegreeValue>"
        "<LongitudeMinuteValue>46</LongitudeMinuteValue><LongitudeSecondValue>1.65</LongitudeSecondValue>"
        "</GeographicCoordinateLongitude></LocationTwoDimensionalGeographicCoordinate></Location>"
    )

    read = veds.read(notification(point))

    assert (read.latitude, round(read.longitude or 0, 6)) == (-0.5, 139.767125)


@pytest.mark.parametrize(
    ("inside", "code"),
    [
        ("<Crash><VehicleFireIndicator>maybe</VehicleFireIndicator></Crash>", "bad_value"),
        ("<Crash><ActivityDate><DateTime>yesterday</DateTime></ActivityDate></Crash>", "bad_time"),
        ("<Crash><ActivityDate><DateTime>2026-1-5T09:00Z</DateTime></ActivityDate></Crash>", "loose_time"),
        ("<Crash><DrivingIncidentPassengerQuantityText>300</DrivingIncidentPassengerQuantityText></Crash>",
         "out_of_range"),
        ("<Crash><DrivingIncidentPassengerQuantityText>1.5</DrivingIncidentPassengerQuantityText></Crash>",
         "bad_value"),
        (f"<Crash><CrashVehicle><ItemMakeName>{'x' * 300}</ItemMakeName></CrashVehicle></Crash>", "too_long"),
        ("", "missing_field"),
        ("<Crash/><presence xmlns='urn:ietf:params:xml:ns:pidf'/>", "pidf_malformed"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_understood_is_unknown_and_a_finding(inside, code):
    findings = veds.read(notification(inside)).findings

    assert [finding.partition(":")[0] for finding in findings] == [code]
    assert code in EXPLAINED or code in SHARED


def test_a_frame_number_in_the_place_of_the_vin_is_no_fault():
    assert veds.id_scheme("ZVW50-1234567") == "jp_frame"
    assert veds.id_scheme("JTMZZ3TESTEC00001") == "vin"
    assert veds.id_scheme("TEST_VIN_00000008") is None


BOMB = (
    b'<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>'
    b"<AutomatedCrashNotification><Crash>&c;</Crash></AutomatedCrashNotification>"
)
OUTSIDE = (
    b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]>'
    b"<AutomatedCrashNotification><Crash>&x;</Crash></AutomatedCrashNotification>"
)


@pytest.mark.parametrize(
    "hostile",
    [
        b"",
        b"{}",
        b"<a/>",
        b"<AutomatedCrashNotification>",
        BOMB,
        OUTSIDE,
        b"<a>" * 1000,
        notification("x" * veds.MAX_BYTES),
        b'<?xml version="1.0" encoding="IBM037"?><a/>',
    ],
)
def test_what_is_no_notification_or_hostile_is_refused(hostile):
    with pytest.raises(Malformed):
        veds.read(hostile)


def test_a_crowd_of_elements_is_read_only_to_its_bound():
    crowd = "<CrashVehicle>" + "<VehicleSeat/>" * 500 + "</CrashVehicle>" + "<Odd/>" * MAX_CHILDREN

    read = veds.read(notification(f"<Crash>{crowd}<VehicleFireIndicator>true</VehicleFireIndicator></Crash>"))

    assert len(read.vehicle.seats) == MAX_REPEATS
    assert read.fire is None


def test_findings_end_where_a_log_would_fill():
    flags = "<VehicleSeat><VehicleSeatOccupiedIndicator>?</VehicleSeatOccupiedIndicator></VehicleSeat>" * 60

    read = veds.read(notification(f"<Crash><CrashVehicle>{flags}</CrashVehicle></Crash>"))

    assert len(read.findings) == MAX_FINDINGS


def test_a_text_that_xml_cannot_hold_is_not_written():
    with pytest.raises(Malformed):
        veds.write(Veds(crash_id="a\0b"))


def test_damaged_documents_give_something_to_rely_on_or_the_one_documented_error():
    check, documents = ALONE["veds"]

    assert {check(document) for document in documents(8, 3_000)} == {"accepted", "refused"}


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2012-04-5T10:18:29Z", (datetime(2012, 4, 5, 10, 18, 29, tzinfo=UTC), False)),
        ("2012-04-05T10:18:29Z", (datetime(2012, 4, 5, 10, 18, 29, tzinfo=UTC), True)),
        ("2012-04-05T19:18:29.25+09:00", (datetime(2012, 4, 5, 10, 18, 29, 250_000, tzinfo=UTC), True)),
        ("2012-04-05 10:18", (datetime(2012, 4, 5, 10, 18, tzinfo=UTC), False)),
        ("2012-04-05", None),
        ("2012-13-05T10:18:29Z", None),
        ("0001-01-01T00:00:00+09:00", None),
        ("now", None),
    ],
)
def test_a_time_is_read_as_it_was_meant(text, meant):
    assert mended_time(text) == meant


def test_no_finding_or_error_says_what_was_sent():
    secret = "Hanako"
    sent = f"<Crash><VehicleFireIndicator>{secret}</VehicleFireIndicator><{secret}/></Crash>"

    assert secret not in str(veds.read(notification(sent)).findings)
    with pytest.raises(Malformed) as refusal:
        veds.read(f"<{secret}>{secret}".encode())
    assert secret not in str(refusal.value)
