"""One layer of plausibility for every door: identity, time, position, telephone."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.location import Known, plausible
from sos.incident.identity import names_one
from sos.incident.plausible import judged
from sos.incident.report import CallBack, Crash, EmergencyReport, Fix, Location, Vehicle
from sos.incident.telephone import caller, heard

NOW = datetime(2026, 11, 30, 7, 0, tzinfo=UTC)
TOKYO = {"latitude": 35.681236, "longitude": 139.767125}

PLACEHOLDERS = [
    ("vin", "0" * 17),
    ("vin", "1" * 17),
    ("vin", "X" * 17),
    ("vin", "-" * 17),
    ("vin", "UNKNOWN"),
    ("vin", "unknown0000000000"),
    ("vin", "12345678901234567"),
    ("vin", "ABCDEFGHJKLMNPRST"),
    ("vin", "1M8GDM9AXKP042788"),
    ("vin", "JTMZZ3TESTE000000"),  # the serial number of no car
    ("vin", "0TMZZ3TESTEC00001"),  # no region's makers begin with a nought
    ("vin", "JTM"),
    ("vin", "JTMZZ3TESTEC0000O"),
    ("jp_frame", "不明"),
    ("jp_frame", "0-0000000"),
    ("oem_id", "n/a"),
    ("oem_id", "NULL"),
    ("oem_id", "000000000000000"),
    ("oem_id", "ffffffff"),
    ("oem_id", "490154203237518"),
    ("oem_id", "TEST001"),
    ("plate", "・・・・"),
    ("plate", "0000"),
    ("plate", "未登録"),
]


@pytest.mark.parametrize(("scheme", "value"), PLACEHOLDERS)
def test_a_placeholder_is_the_name_of_no_vehicle(scheme: str, value: str) -> None:
    report = EmergencyReport(vehicle=Vehicle(id_scheme=scheme, id_value=value))

    assert not names_one(scheme, value)
    assert judged(report, at=NOW).findings in (("vehicle_placeholder:$.vehicle.id",), ("vin_illegal:$.vehicle.id",))
    assert judged(report, at=NOW).vehicle == report.vehicle


@pytest.mark.parametrize(
    ("scheme", "value"),
    [
        ("vin", "JTMZZ3TESTEC00001"),
        ("vin", "WM9VDSVDSYA123456"),
        ("vin", "jtmzz3testec00001"),
        ("jp_frame", "ZVW50-1234567"),
        ("oem_id", "4f2a"),
        ("oem_id", "356938035643809"),
        ("plate", "品川 300 あ 12-34"),
        ("plate", "10"),
    ],
)
def test_a_name_of_a_vehicle_is_one(scheme: str, value: str) -> None:
    assert names_one(scheme, value)


NUMBERS = {
    "+819000000001": "+819000000001",
    "+81-90-0000-0001": "+819000000001",
    "+81 (0)90 0000 0001": "+819000000001",
    "０９０－００００－０００１": "+819000000001",
    "090 0000 0001": "+819000000001",
    "03(5550)0100": "+81355500100",
    "0081 90 0000 0001": "+819000000001",
    "010 81 90 0000 0001": "+819000000001",
    "tel:+81-90-0000-0001;phone-context=x": "+819000000001",
    "sip:+819000000001@carrier.example;user=phone": "+819000000001",
    '"Car" <sips:%2B819000000001@carrier.example>;tag=7': "+819000000001",
    "+1 202-555-0143": "+12025550143",
    "+15550100": "+15550100",
}
NOBODYS = [
    *("+266696687", "266696687", "+7378742833", "7378742833", "+2562533", "+8656696", "+86282452253"),
    *("Anonymous", "RESTRICTED", "sip:anonymous@anonymous.invalid", '"Anonymous" <sip:anonymous@x>', "非通知"),
]
UNDIALABLE = [
    "119",
    "+8110",
    "hello",
    "sip:car@fleet.example",
    "1",
    "+" + "9" * 40,
    "client:hanako",
    "<",
    "sip:[",
    "@@",
]


@pytest.mark.parametrize("written", NUMBERS)
def test_a_number_as_people_write_it_is_one_they_can_be_called_back_on(written: str) -> None:
    told = judged(EmergencyReport(call_back=CallBack(tel=written)), at=NOW)

    assert (told.call_back.tel, told.findings) == (NUMBERS[written], ())


@pytest.mark.parametrize("written", NOBODYS)
def test_a_number_that_stands_for_nobody_is_none(written: str) -> None:
    told = judged(EmergencyReport(call_back=CallBack(tel=written)), at=NOW)

    assert (told.call_back.tel, told.findings) == (None, ("tel_withheld:$.callback.tel",))
    assert caller(written) is None


@pytest.mark.parametrize("written", UNDIALABLE)
def test_what_is_no_number_stays_for_a_person_and_says_so(written: str) -> None:
    told = judged(EmergencyReport(call_back=CallBack(tel=written)), at=NOW)

    assert (told.call_back.tel, told.findings) == (written, ("tel_not_dialable:$.callback.tel",))
    assert caller(written) is None


@given(st.text(max_size=300))
def test_no_caller_is_an_error_and_what_is_heard_once_stays_so(written: str) -> None:
    number = heard(written).number

    assert number is None or heard(number).number == number
    assert caller(written) in (None, number)


FIXES = {
    "of the epoch": datetime(1970, 1, 1, tzinfo=UTC),
    "of the year 1": datetime(1, 1, 1, tzinfo=UTC),
    "1024 weeks ago": NOW - timedelta(weeks=1024),
    "nine hours ahead": NOW + timedelta(hours=9),
    "nine hours ago": NOW - timedelta(hours=9),
    "eleven months ago": NOW - timedelta(days=334),
    "of the last year there is": datetime(9999, 12, 31, tzinfo=UTC),
}


@pytest.mark.parametrize("fixed", FIXES)
@pytest.mark.parametrize("crashed_at", [None, NOW, NOW + timedelta(hours=9), datetime(1, 1, 1, tzinfo=UTC)])
def test_a_fix_of_a_time_that_cannot_be_has_no_age_and_its_place_stands(
    fixed: str, crashed_at: datetime | None
) -> None:
    sent = EmergencyReport(crash=Crash(event_time=crashed_at), location=Location(**TOKYO, timestamp=FIXES[fixed]))

    told = judged(sent, at=NOW)

    assert told.location == Location(**TOKYO)
    assert "fix_time_impossible:$.location.timestamp" in told.findings


def test_local_time_written_as_utc_is_no_time_of_a_crash() -> None:
    sent = EmergencyReport(crash=Crash(event_time=NOW + timedelta(hours=9)), location=Location(**TOKYO, timestamp=NOW))

    told = judged(sent, at=NOW)

    assert (told.crash.event_time, told.location.timestamp) == (None, NOW)
    assert told.findings == ("event_time_impossible:$.eventTime",)


def test_a_late_report_and_a_fix_of_some_minutes_before_the_crash_are_believed() -> None:
    crashed_at = NOW - timedelta(days=3)
    sent = EmergencyReport(
        crash=Crash(event_time=crashed_at),
        location=Location(**TOKYO, timestamp=crashed_at - timedelta(minutes=20)),
    )

    assert judged(sent, at=NOW) == sent


@given(
    latitude=st.floats(-100, 100) | st.sampled_from([0.0, 0.004, float("nan"), float("inf")]),
    longitude=st.floats(-200, 200) | st.sampled_from([0.0, 0.01]),
)
def test_a_position_is_possible_or_it_is_words(latitude: float, longitude: float) -> None:
    told = judged(EmergencyReport(location=Location(latitude=latitude, longitude=longitude)), at=NOW)

    possible = isinstance(plausible(latitude, longitude), Known)
    assert told.location.known is possible
    assert (told.location.reported is None) is possible
    exchanged = "location_swapped:$.location" in told.findings
    assert possible or exchanged or "position_impossible:$.location" in told.findings


@pytest.mark.parametrize(("latitude", "longitude"), [(35.681236, None), (None, 139.767125)])
def test_half_a_position_is_none_and_stays_as_words(latitude: float | None, longitude: float | None) -> None:
    told = judged(EmergencyReport(location=Location(latitude=latitude, longitude=longitude)), at=NOW)

    assert (told.location.known, told.location.reported) == (False, f"{latitude},{longitude}")
    assert told.findings == ("position_impossible:$.location",)


def test_places_before_that_cannot_be_are_left_out_one_by_one() -> None:
    fixes = [Fix(latitude=35.68, longitude=139.76), Fix(latitude=0.0, longitude=0.0), Fix(latitude=99.0, longitude=1.0)]
    sent = EmergencyReport(location=Location(**TOKYO, recent=tuple(fixes)))

    told = judged(sent, at=NOW)

    assert told.location.recent == (fixes[0],)
    assert told.findings == ("position_impossible:$.location.recent[1]", "position_impossible:$.location.recent[2]")


@pytest.mark.parametrize(
    ("value", "findings"),
    [
        ("1M8GDM9A0KP042788", ("vin_check_digit:$.vehicle.id",)),
        ("NZE121-0123456", ("vin_illegal:$.vehicle.id",)),
        ("０" * 17, ("vehicle_placeholder:$.vehicle.id",)),
        ("jtmzz3testec00001", ()),
    ],
)
def test_a_vin_is_judged_alike_whoever_sent_it(value: str, findings: tuple[str, ...]) -> None:
    sent = EmergencyReport(vehicle=Vehicle(id_scheme="vin", id_value=value))

    assert judged(sent, at=NOW).findings == findings
