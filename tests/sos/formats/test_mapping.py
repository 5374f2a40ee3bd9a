"""Every dialect becomes the house's one report: the same structures as CloudEvents fill, unknown as unknown."""

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given, settings
from msgspec import structs

from routing.categories import Category
from routing.position.pidf import Located, PidfLo
from routing.position.shapes import Point, Polygon
from sos.formats import ncap, veds
from sos.formats.bits import MalformedBits
from sos.formats.findings import EXPLAINED, SHARED
from sos.formats.mapping import Mapped, read_msd, report_of_msd, report_of_veds
from sos.formats.msd import UNKNOWN_MAS, Delta, VehicleType
from sos.formats.veds import Airbag, CrashVehicle, Pulse, Seat, Veds
from sos.incident.model import Mode, Trigger
from sos.incident.plausible import judged
from sos.incident.report import CallBack, Crash, Fix, Location, Vehicle
from sos.intake import cloudevents
from tests.sos.formats.strategies import crash_notifications, msds
from tests.wire.formats.make import AT, CAR, HERE, NOTIFICATION, WITH_NCAP

NOW = AT + timedelta(seconds=4)


def mapped(**fields) -> Mapped:
    return report_of_msd(structs.replace(CAR, **fields))


def test_an_msd_fills_the_same_structures_as_a_cloud_event():
    told = report_of_msd(WITH_NCAP)

    assert (told.trigger, told.mode) == (Trigger.AUTOMATIC, Mode.LIVE)
    assert told.report.sequence == 1
    assert told.report.location == Location(
        latitude=35.6812361,
        longitude=139.767125,
        heading=90.0,
        trusted=True,
        recent=(
            Fix(latitude=35.6812361, longitude=139.7668472),
            Fix(latitude=35.6812361, longitude=139.7660139),
        ),
    )
    assert told.report.vehicle == Vehicle(
        id_scheme="vin",
        id_value="JTMZZ3TESTEC00001",
        category="M1",
        energy=("gasoline", "electric"),
        occupants=2,
    )
    assert told.report.crash == Crash(
        event_time=AT, impact="front", delta_v_x=-45, delta_v_y=10, delta_v_limit=125, rollover="NONE"
    )
    assert told.report.findings == ()
    assert set(told.report.parts()) == {Category.LOC, Category.VEH, Category.SEV}


def test_a_test_call_by_the_button_is_a_test_and_manual():
    told = mapped(automatic_activation=False, test_call=True)

    assert (told.trigger, told.mode) == (Trigger.MANUAL, Mode.TEST)


def test_unknown_is_unknown_and_never_zero():
    told = mapped(
        latitude_mas=UNKNOWN_MAS,
        longitude_mas=UNKNOWN_MAS,
        direction=255,
        occupants=255,
        propulsion=(),
        vehicle_type=None,
        timestamp=0,
        vin="0" * 17,
    ).report

    assert told.location == Location(trusted=True)
    assert told.vehicle == Vehicle(id_scheme="vin", id_value="0" * 17)
    assert told.crash == Crash()
    assert {finding.partition(":")[0] for finding in judged(told, at=NOW).findings} == {
        "location_unknown",
        "occupants_unknown",
        "clock_unset",
        "vehicle_placeholder",
    }


@pytest.mark.parametrize(
    ("latitude_mas", "longitude_mas"),
    [(400_000_000, 0), (503_161_650, 128_452_450), (UNKNOWN_MAS, 503_161_650), (1000, 1000)],
)
def test_an_impossible_position_is_unknown_and_kept_as_sent(latitude_mas, longitude_mas):
    location = judged(mapped(latitude_mas=latitude_mas, longitude_mas=longitude_mas).report, at=NOW).location

    assert not location.known
    assert location.reported == f"{round(latitude_mas / 3_600_000, 7)},{round(longitude_mas / 3_600_000, 7)}"


def test_an_exchanged_position_that_is_possible_stays_as_sent_with_a_finding():
    told = judged(mapped(latitude_mas=18_859_320, longitude_mas=187_996_428).report, at=NOW)

    assert (told.location.latitude, told.location.longitude) == (5.2387, 52.22123)
    assert told.findings == ("location_swapped:$.location",)


def test_recent_positions_need_the_one_they_count_from():
    assert mapped(recent_n1=None).report.location.recent == ()
    assert mapped(recent_n1=Delta(0, 0), recent_n2=Delta(0, 0)).report.location.recent == ()
    assert len(mapped(recent_n2=None).report.location.recent) == 1


def test_vehicle_categories_are_written_as_the_law_writes_them():
    told = [mapped(version=3, vehicle_type=kind).report.vehicle.category for kind in VehicleType]

    assert told[:8] == ["M1", "M2", "M3", "N1", "N2", "N3", "L1e", "L2e"]
    assert told[-3:] == ["SC", "SD", "other"]


def test_an_impact_that_the_sender_does_not_know_is_unknown():
    for impact in (None, ncap.Impact.UNKNOWN):
        told = ncap.EuroNcap(location_of_impact=impact, range_limit=100, delta_v_x=0, delta_v_y=0)
        additional = structs.replace(WITH_NCAP.additional, data=ncap.write(told))
        crash = mapped(additional=additional).report.crash

        assert (crash.impact, crash.rollover, crash.delta_v_x) == (None, None, 0)


def test_a_damaged_message_is_read_as_far_as_it_is_whole():
    cut = bytes.fromhex((HERE / "msd_cut_off.hex").read_text())
    mislabelled = bytes.fromhex((HERE / "msd_mislabelled.hex").read_text())

    assert report_of_msd(read_msd(cut)).report.findings == ("cut_off:$",)
    assert report_of_msd(read_msd(mislabelled)).report.location == mapped().report.location
    with pytest.raises(MalformedBits):
        read_msd(cut[:20])


@given(msds())
@settings(deadline=None)
def test_every_msd_has_a_report_that_a_cloud_event_can_carry(message):
    told = report_of_msd(message)
    crash = structs.replace(told.report.crash, delta_v_limit=None)
    sent = structs.replace(told.report, crash=crash, findings=())

    body = cloudevents.encode(sent, source="/test", id="1", trigger=told.trigger, sent_at=NOW)

    again = cloudevents.decode(body)
    parts = {category: part for category, part in again.parts().items() if category is not Category.LOC}
    assert parts == {category: part for category, part in sent.parts().items() if category is not Category.LOC}
    assert again.location == sent.location or not sent.location.known  # of impossible places each keeps its own words
    assert {finding.partition(":")[0] for finding in told.report.findings} <= set(EXPLAINED) | SHARED


# VEDS


def test_a_notification_fills_the_same_structures():
    told = report_of_veds(NOTIFICATION)

    assert (told.trigger, told.mode) == (Trigger.AUTOMATIC, Mode.LIVE)
    assert told.report.location == Location(
        latitude=35.6812, longitude=139.7671, heading=90.0, horizontal_accuracy=8.0, timestamp=AT
    )
    assert told.report.vehicle == Vehicle(
        id_scheme="vin",
        id_value="JTMZZ3TESTEC00001",
        brand="Acme",
        model="Kestrel",
        exterior_color="white",
        license_plate="試験 300 あ 12-34",
        energy=("gasoline", "electric"),
        occupants=2,
        belted=1,
    )
    assert told.report.crash == Crash(
        event_time=AT,
        impact="right",
        delta_v_x=0.0,
        delta_v_y=-48.0,
        principal_direction_clock=3,
        multiple_impacts=True,
        rollover="NONE",
        airbag_deployed=True,
        fire=False,
        fuel_leak=False,
        severe_injury=False,
        summary="final rest: Normal",
    )
    assert told.report.call_back == CallBack(tel="+1 202-555-0143")
    assert told.report.findings == ()


def test_the_published_crash_at_100_mph_is_160_9_kmh_from_ahead_with_the_senders_verdict_kept_apart():
    told = report_of_veds(veds.read((HERE / "veds_slips.xml").read_bytes())).report

    assert (told.crash.delta_v_x, told.crash.delta_v_y, told.crash.impact) == (-160.934, 0.0, "front")
    assert (told.crash.severe_injury, told.crash.rollover) == (True, "DETECTED")
    assert (told.crash.fuel_leak, told.crash.summary) == (True, "final rest: Driver")
    assert (told.vehicle.occupants, told.vehicle.belted) == (1, 1)
    assert told.location.known


def test_a_delta_v_without_direction_keeps_its_length_and_one_without_unit_is_unknown():
    assert report_of_veds(crashed(Pulse(delta_v=-30.0, unit="km/h"))).report.crash == Crash(delta_v=30.0)

    odd = report_of_veds(crashed(Pulse(delta_v=30.0, direction_clock=12), Pulse(delta_v=30.0, unit="knots")))
    assert (odd.report.crash.delta_v, odd.report.crash.delta_v_x, odd.report.crash.multiple_impacts) == (
        None,
        None,
        True,
    )
    assert [finding.partition(":")[0] for finding in odd.report.findings] == ["unknown_unit", "unknown_unit"]


def crashed(*pulses: Pulse) -> Veds:
    return Veds(vehicle=CrashVehicle(pulses=pulses))


@pytest.mark.parametrize(
    ("clock", "impact", "x", "y"),
    [(12, "front", -30, 0), (1, "front", -25.981, -15), (3, "right", 0, -30), (6, "rear", 30, 0), (9, "left", 0, 30)],
)
def test_delta_v_points_away_from_where_the_force_came(clock, impact, x, y):
    crash = report_of_veds(crashed(Pulse(delta_v=30.0, unit="KPH", direction_clock=clock))).report.crash

    assert (crash.impact, crash.delta_v_x, crash.delta_v_y) == (impact, x, y)


def test_a_belt_that_nobody_measures_is_unknown_and_most_people_count():
    seats = (Seat(occupied=True, belted=True, monitored=False), Seat(occupied=True), Seat(occupied=True))
    told = report_of_veds(Veds(passengers=1, vehicle=CrashVehicle(seats=seats))).report.vehicle

    assert (told.occupants, told.belted) == (3, None)
    assert report_of_veds(Veds()).report.vehicle == Vehicle()


def test_the_location_beside_a_notification_outranks_the_one_inside_and_a_polygon_has_a_circle():
    square = Polygon(((35.0, 139.0), (35.0, 139.01), (35.01, 139.01), (35.01, 139.0), (35.0, 139.0)))
    beside = PidfLo(entity="", locations=(Located(id="a", shape=square),))

    location = report_of_veds(NOTIFICATION, beside=beside).report.location

    assert (round(location.latitude or 0, 3), round(location.longitude or 0, 3)) == (35.005, 139.005)
    assert 600 < (location.horizontal_accuracy or 0) < 800


def test_an_impossible_position_in_a_pidf_gives_way_to_the_documents_own():
    nowhere = PidfLo(entity="", locations=(Located(id="a", shape=Point(0.0, 0.0)),))
    own = report_of_veds(Veds(latitude=35.0, longitude=139.0, pidf=nowhere)).report
    none = judged(report_of_veds(Veds(latitude=99.0, longitude=139.0)).report, at=NOW)

    assert (own.location.latitude, own.findings) == (35.0, ("location_impossible:$.presence",))
    assert (none.location.known, none.location.reported) == (False, "99.0,139.0")


def test_a_japanese_frame_number_names_the_vehicle():
    told = report_of_veds(Veds(vehicle=CrashVehicle(vin="ZVW50-1234567"))).report.vehicle

    assert (told.id_scheme, told.id_value) == ("jp_frame", "ZVW50-1234567")


@given(crash_notifications)
@settings(deadline=None)
def test_every_notification_has_a_report(sent):
    report = report_of_veds(sent).report

    parts = {category: msgspec.json.decode(part) for category, part in report.parts().items()}
    assert (Category.LOC in parts) == (report.location != Location())
    assert {finding.partition(":")[0] for finding in report.findings} <= set(EXPLAINED) | SHARED


def test_airbags_that_stayed_shut_are_known_to_have_stayed_shut():
    shut = Veds(vehicle=CrashVehicle(airbags=(Airbag(category="FRONT", deployed=False),)))

    assert report_of_veds(shut).report.crash.airbag_deployed is False
    assert report_of_veds(Veds()).report.crash.airbag_deployed is None
