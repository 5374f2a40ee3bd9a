"""The forms that channels carry are made of the brief's bytes alone, and what cannot be made is left out."""

import msgspec
import pytest

from routing.brief import compose, read
from routing.categories import Category
from sos.clock import parse_timestamp
from sos.dispatch.forms import MEDIA_TYPES, digests, forms_for, forms_of, prepare
from sos.formats import msd as ecall
from sos.formats import veds as crash_data
from sos.formats.mapping import report_of_msd, report_of_veds
from sos.incident.model import Mode, Trigger

PLACE = {
    "latitude": 35.681236,
    "longitude": 139.767125,
    "trusted": True,
    "heading": 91.0,
    "timestamp": "2026-11-21T03:04:00Z",
}
VEHICLE = {"idScheme": "vin", "idValue": "WM9VDSVDSYA123456", "category": "M1", "energy": ["electric"], "occupants": 2}
CRASH = {"eventTime": "2026-11-21T03:03:55Z", "impact": "front"}
NOW = parse_timestamp("2026-11-21T03:04:05Z")


def brief(*, exercise=False, trigger="automatic", **sections):
    return compose(
        incident="urn:emergency:uid:incidentid:a1:demo.sos.example",
        disclosure="d1",
        agency="jp-13-fire",
        agency_name="架空東京消防本部",
        rule="JP-01",
        ground="JP-27-1-ii",
        law_version="APPI-2024-04-01",
        decided_at=NOW,
        exercise=exercise,
        trigger=trigger,
        sections={Category(name): msgspec.json.encode(section) for name, section in sections.items()},
    )


def test_the_msd_says_what_the_brief_says_and_marks_what_it_does_not_know():
    octets = prepare(brief(LOC=PLACE, VEH=VEHICLE, SEV=CRASH), ["msd"])["msd"]

    mapped = report_of_msd(ecall.read(octets))
    assert (mapped.trigger, mapped.mode) == (Trigger.AUTOMATIC, Mode.LIVE)
    assert mapped.report.location.latitude == pytest.approx(35.681236, abs=1e-6)
    assert mapped.report.location.longitude == pytest.approx(139.767125, abs=1e-6)
    assert mapped.report.location.heading == pytest.approx(91, abs=1)
    assert mapped.report.location.trusted
    vehicle = mapped.report.vehicle
    assert (vehicle.id_value, vehicle.category, vehicle.energy, vehicle.occupants) == (
        "WM9VDSVDSYA123456",
        "M1",
        ("electric",),
        2,
    )
    assert mapped.report.crash.event_time == parse_timestamp("2026-11-21T03:03:55Z")

    unknown = ecall.read(prepare(brief(LOC={"reported": "91,181"}, VEH={**VEHICLE, "occupants": None}), ["msd"])["msd"])
    assert not unknown.has_position
    assert (unknown.occupants_known, unknown.happened_at) == (None, None)
    assert not unknown.position_can_be_trusted


def test_the_veds_says_what_the_brief_says():
    crash = CRASH | {"deltaVX": -30.0, "deltaVY": 40.0, "principalDirectionClock": 12, "airbagDeployed": True}
    octets = prepare(brief(LOC=PLACE, VEH=VEHICLE, SEV=crash, TEL={"tel": "+81300007733"}), ["veds"])["veds"]

    mapped = report_of_veds(crash_data.read(octets))
    report = mapped.report
    assert mapped.trigger is Trigger.AUTOMATIC
    assert (report.location.latitude, report.location.longitude) == (35.681236, 139.767125)
    assert (report.vehicle.id_value, report.vehicle.energy) == ("WM9VDSVDSYA123456", ("electric",))
    assert report.crash.event_time == parse_timestamp("2026-11-21T03:03:55Z")
    assert (report.crash.airbag_deployed, report.crash.principal_direction_clock) == (True, 12)
    assert report.call_back.tel == "+81300007733"
    assert b"KPH" in octets
    assert b"50" in octets


def test_a_veds_without_vehicle_names_none_and_without_anything_of_the_crash_there_is_none():
    assert b"WM9VDSVDSYA123456" not in prepare(brief(LOC=PLACE), ["veds"])["veds"]
    assert "veds" not in prepare(brief(TEL={"tel": "+81300007733"}), ["veds"])


def test_an_exercise_is_a_test_call_in_the_msd():
    assert ecall.read(prepare(brief(exercise=True, LOC=PLACE, VEH=VEHICLE), ["msd"])["msd"]).test_call


@pytest.mark.parametrize(
    "sections",
    [
        {"LOC": PLACE},
        {"VEH": VEHICLE},
        {"LOC": PLACE, "VEH": {"idScheme": "jp_frame", "idValue": "ABC-1234567"}},
        {"LOC": PLACE, "VEH": {}},
        {},
    ],
)
def test_where_place_or_vehicle_is_withheld_or_has_no_vin_there_is_no_msd_and_the_rest_is_made(sections):
    forms = prepare(brief(**sections), MEDIA_TYPES)

    assert "msd" not in forms
    assert {"json", "eido", "spoken_ja", "spoken_en"} <= set(forms)


def test_a_form_that_cannot_be_made_is_left_out_and_the_brief_still_leaves():
    nowhere = brief(LOC={"latitude": 1e9, "longitude": 139.0}, VEH=VEHICLE)

    forms = prepare(nowhere, MEDIA_TYPES)

    assert set(MEDIA_TYPES) - set(forms) == {"pidf", "msd"}
    assert b"1000000000" in forms["veds"]  # as the report has it: the place was told, and is for people to make out
    assert forms["json"] == nowhere


async def test_the_same_brief_gives_the_same_forms_so_a_digest_in_a_decision_can_be_checked_for_years():
    document = brief(LOC=PLACE, VEH=VEHICLE, SEV=CRASH)

    forms = await forms_of(document, MEDIA_TYPES)

    assert set(forms) == set(MEDIA_TYPES)
    assert digests(forms) == digests(prepare(document, MEDIA_TYPES))
    assert dict(digests(forms))["json"] == dict(digests({"json": document}))["json"]


def test_each_channel_has_its_forms_and_every_one_has_the_brief_itself():
    assert forms_for(["portal"]) == ("json",)
    assert forms_for(["portal", "voice"]) == ("json", "spoken_ja", "spoken_en")
    assert forms_for(["fax", "sip"]) == ("json", "pdf", "pidf", "msd", "veds")
    assert forms_for(["pigeon"]) == forms_for([]) == ("json",)


def test_a_brief_of_the_first_edition_has_all_its_forms_too():
    old = {"schema": "sos-brief/1", "incident": "urn:emergency:uid:incidentid:a1:demo.sos.example", "disclosure": "d1"}
    old |= {"agency": "jp-13-fire", "agency_name": "x", "rule": "JP-01", "ground": "JP-27-1-ii", "law_version": "v"}
    old |= {"decided_at": "2026-11-21T03:04:05Z", "exercise": False, "sections": {"LOC": PLACE, "VEH": VEHICLE}}
    document = msgspec.json.encode(old)

    assert read(document).version == 1
    assert set(prepare(document, MEDIA_TYPES)) == set(MEDIA_TYPES)


def test_veds_says_the_worst_with_its_direction_the_fuel_and_the_senders_verdict():
    hit = {"deltaVX": -5.0, "deltaVY": 95.0, "fuelLeak": True, "severeInjury": True, "rollover": "DETECTED"}

    crash = report_of_veds(crash_data.read(prepare(brief(SEV=hit), ["veds"])["veds"])).report.crash

    assert (crash.delta_v_x, crash.delta_v_y, crash.principal_direction_clock) == (0.0, 95.0, 9)
    assert (crash.fuel_leak, crash.severe_injury, crash.rollover) == (True, True, "DETECTED")


BURNS = {"question": "fire", "ja": "火", "en": "Fire", "value": "yes", "hazard": "fire"}
FOUR = {"question": "occupants", "ja": "乗員", "en": "People", "value": 4, "counts": "occupants"}


def test_what_was_answered_on_the_call_is_in_the_vehicles_own_formats_where_it_may_be_told():
    heard = {"answers": [BURNS, FOUR]}
    told = brief(LOC=PLACE, VEH=VEHICLE, SEV={**CRASH, "fire": False}, OBS=heard)
    withheld = brief(LOC=PLACE, VEH=VEHICLE, SEV={**CRASH, "fire": False})

    for sent, people, fire in ((told, 4, True), (withheld, 2, False)):
        made = prepare(sent, ["msd", "veds"])
        veds = report_of_veds(crash_data.read(made["veds"])).report
        assert report_of_msd(ecall.read(made["msd"])).report.vehicle.occupants == people
        assert (veds.vehicle.occupants, veds.crash.fire) == (people, fire)
