"""Hospitals and helicopter bases: what can be read, how they are ranked, and that no way leads across the sea."""

import json
import math
from datetime import UTC, datetime
from pathlib import Path

import pytest
from geopy.distance import great_circle
from hypothesis import given
from hypothesis import strategies as st

from routing.boundaries import PrefectureLayer
from routing.directory import Hours
from routing.errors import Malformed, Misconfigured
from routing.plan.hospitals import CROSSINGS, Facilities, Facility, Kind, TravelRules, sun_elevation_deg

P04 = Path(__file__).resolve().parents[3] / "shared" / "data" / "p04_fixture.geojson"
LAYER = PrefectureLayer.load()
TOKYO = (35.6812, 139.7671)
NOON, NIGHT = datetime(2026, 6, 1, 3, 0, tzinfo=UTC), datetime(2026, 6, 1, 14, 0, tzinfo=UTC)


def hospital(name, latitude, longitude, **more):
    return Facility(id=name, name=name, latitude=latitude, longitude=longitude, **{"emergency": True, **more})


def near(place, *facilities, prefecture="JP-13"):
    book = Facilities(facilities, name="t", digest="0")
    return book.hospitals(*place, layer=LAYER, prefecture=prefecture)


def p04(*features):
    rows = [
        {"type": "Feature", "properties": about, "geometry": {"type": "Point", "coordinates": point}}
        for about, point in features
    ]
    return json.dumps({"type": "FeatureCollection", "features": rows}).encode()


def test_the_better_equipped_comes_before_the_nearer_within_half_an_hour():
    found = near(
        TOKYO,
        hospital("near", 35.6900, 139.7700),
        hospital("disaster", 35.6900, 139.7800, disaster="core"),
        hospital("critical", 35.7000, 139.7200, critical_care=True),
        hospital("other", 35.6850, 139.7680, emergency=False),
    )

    assert [each.id for each in found] == ["critical", "disaster", "near"]
    assert found[0].minutes > found[2].minutes


def test_beyond_half_an_hour_the_nearer_comes_first():
    found = near(TOKYO, hospital("far", 36.25, 139.4, critical_care=True), hospital("nearer", 36.0, 139.6))

    assert [each.id for each in found] == ["nearer", "far"]


def test_at_most_three_are_suggested_each_with_phone_bearing_and_prefecture():
    found = near(
        TOKYO,
        *(hospital(f"h{n}", 35.70 + n / 100, 139.767, phone="+81300000001") for n in range(5)),
        hospital("kawasaki", 35.53, 139.70),
    )

    assert [each.id for each in found] == ["h0", "h1", "h2"]
    assert (found[0].phone, found[0].bearing_deg, found[0].same_prefecture) == ("+81300000001", 0, True)


def test_a_hospital_beyond_a_bay_is_refused_and_one_beyond_the_aqua_line_goes_by_it():
    across = hospital("kisarazu", 35.38, 139.93)

    assert [each.id for each in near((35.262, 139.672), across)] == []
    by_tunnel = near((35.53, 139.72), across)
    assert [(each.id, each.via) for each in by_tunnel] == [("kisarazu", "東京湾アクアライン")]


def test_the_way_over_a_crossing_is_longer_than_the_straight_line():
    direct, around = near((35.53, 139.72), hospital("tokyo", 35.72, 139.72), hospital("kisarazu", 35.38, 139.93))

    assert (direct.id, around.id) == ("tokyo", "kisarazu")
    assert around.minutes > direct.minutes


def test_an_island_has_no_hospital_of_the_mainland():
    sado = (38.02, 138.37)

    assert near(sado, *(hospital(f"n{n}", 37.9 + n / 1000, 139.03) for n in range(60))) == ()


def test_a_longer_way_gives_precedence_to_a_worse_hospital_on_this_side():
    rules = TravelRules(suggestions=1, capability_first_min=0.0)
    book = Facilities(
        [hospital("across", 35.43, 139.93, critical_care=True), hospital("here", 35.81, 139.80)],
        name="t", digest="0", rules=rules,
    )  # fmt: skip

    assert [each.id for each in book.hospitals(35.60, 139.80, layer=LAYER, prefecture=None)] == ["here"]


def test_helicopters_fly_by_day_in_their_hours_and_the_available_come_first():
    hours = Hours(**dict.fromkeys(("mon", "tue", "wed", "thu", "fri", "sat", "sun"), ("08:30-11:00",)))
    base = {"kind": Kind.HELICOPTER, "emergency": False}
    book = Facilities(
        [hospital("near", 35.69, 139.70, hours=hours, **base), hospital("far", 35.72, 140.24, **base)],
        name="t", digest="0",
    )  # fmt: skip

    by_day = book.helicopters(*TOKYO, at=NOON, layer=LAYER, prefecture="JP-13")
    by_night = book.helicopters(*TOKYO, at=NIGHT, layer=LAYER, prefecture="JP-13")
    unknown = book.helicopters(*TOKYO, at=None, layer=LAYER, prefecture="JP-13")

    assert [(each.id, each.available, each.why_not) for each in by_day] == [
        ("far", True, ""),
        ("near", False, "closed"),
    ]
    assert [each.why_not for each in by_night] == ["closed", "dark"]
    assert {each.why_not for each in unknown} == {"time_unknown"}
    assert book.hospitals(*TOKYO, layer=LAYER, prefecture="JP-13") == ()


@pytest.mark.parametrize(
    ("at", "elevation"),
    [
        (datetime(2026, 6, 21, 2, 43, tzinfo=UTC), 77.8),  # noon of the solstice: 90 - 35.65 + 23.44
        (datetime(2026, 12, 22, 2, 39, tzinfo=UTC), 30.9),
        (datetime(2026, 3, 20, 20, 45, tzinfo=UTC), 0.0),  # sunrise at the equinox, 05:45 in Tokyo
    ],
)
def test_the_sun_stands_where_the_almanac_says(at, elevation):
    assert sun_elevation_deg(35.65, 139.74, at) == pytest.approx(elevation, abs=1.0)


def test_p04_is_read_with_its_ranks_and_every_unusable_row_is_named():
    data = p04(
        ({"P04_001": 1, "P04_002": "架空救命救急センター", "P04_009": 1, "P04_010": 1, "P04_008": 500}, [139.7, 35.7]),
        ({"P04_001": 1, "P04_002": "架空病院", "P04_009": 9, "P04_010": 2}, [139.8, 35.7]),
        ({"P04_001": 2, "P04_002": "架空診療所"}, [139.7, 35.7]),
        ({"P04_001": 1, "P04_002": "零病院", "P04_009": 1}, [0.0, 0.0]),
        ({"P04_001": 1, "P04_002": "無病院", "P04_009": 1}, None),
        ({"P04_001": 1, "P04_002": ""}, [139.7, 35.7]),
        *(({"P04_001": 1, "P04_002": f"県庁{n}", "P04_009": 1}, [139.69, 35.69]) for n in range(5)),
    )

    book = Facilities.read(data, name="p04")

    assert [(each.tier, each.disaster, each.beds) for each in book.all] == [(3, "core", 500), (2, "local", None)]
    assert [(each.row, each.what) for each in book.refusals] == [
        (3, "not_a_hospital"),
        (4, "no_position"),
        (5, "no_position"),
        (6, "no_name"),
        *((row, "shared_position") for row in range(7, 12)),
    ]


@pytest.mark.skipif(not P04.is_file(), reason="the P04 fixture is not beside this clone")
def test_the_fixture_in_the_ministry_layout_loses_its_clinic_and_its_null_island():
    book = Facilities.read(P04.read_bytes(), name="p04")

    assert len(book.all) == 3
    assert [each.what for each in book.refusals] == ["not_a_hospital", "no_position"]
    found = book.hospitals(*TOKYO, layer=LAYER, prefecture="JP-13")
    assert [each.name for each in found] == ["架空第一救命救急センター", "架空市民病院"]


def test_csv_carries_what_p04_cannot_phone_and_helicopters():
    text = (
        "id,name,kind,latitude,longitude,phone,critical_care,open\n"
        "a,架空基地,helicopter,35.7,139.7,+81300000001,,08:30-17:30\n"
        "b,架空病院,hospital,35.7,139.71,,true,\n"
        "c,架空病院,hospital,north,139.71,,true,\n"
        "d,架空病院,hospital,35.7,139.71,,true,early\n"
    )

    book = Facilities.read(text.encode(), name="own")

    assert [(each.id, each.kind, each.critical_care) for each in book.all] == [
        ("a", "helicopter", False),
        ("b", "hospital", True),
    ]
    assert book.all[0].hours.sun == ("08:30-17:30",)
    assert [(each.row, each.what) for each in book.refusals] == [(4, "no_position"), (5, "bad_value")]


@pytest.mark.parametrize("data", [b"{", b'{"type": 1}', b"\xff", b"name,lat\n", b""])
def test_what_is_no_list_of_facilities_is_refused(data):
    with pytest.raises(Malformed):
        Facilities.read(data, name="x")


def test_two_facilities_with_one_id_are_refused():
    with pytest.raises(Misconfigured, match="'a' occurs twice"):
        Facilities([hospital("a", 35.0, 139.0), hospital("a", 35.1, 139.0)], name="t", digest="0")


def test_other_rules_of_travel_have_another_digest():
    assert TravelRules(detour=1.4).dataset != TravelRules().dataset


def test_both_ends_of_every_crossing_are_as_far_apart_as_it_is_long_or_less():
    for crossing in CROSSINGS:
        assert great_circle(*crossing.ends).m <= crossing.length_m * 1.1 + 500.0


places = st.tuples(st.floats(34.0, 37.0), st.floats(136.0, 141.0))


@given(places, st.lists(st.tuples(places, st.integers(0, 3)), max_size=12))
def test_suggestions_are_hospitals_in_order_and_within_reach(place, many):
    facilities = [
        hospital(f"h{n}", *where, emergency=tier == 1, disaster="core" if tier == 2 else "", critical_care=tier == 3)
        for n, (where, tier) in enumerate(many)
    ]
    rules = TravelRules()

    found = near(place, *facilities)

    by_id = {each.id: each for each in facilities}
    assert len(found) <= rules.suggestions
    assert len({each.id for each in found}) == len(found)
    assert all(by_id[each.id].tier > 0 for each in found)
    assert all(each.distance_m <= rules.reach_km * 1000.0 + 100.0 for each in found)
    soon = [each for each in found if each.minutes <= rules.capability_first_min]
    assert [by_id[each.id].tier for each in soon] == sorted((by_id[each.id].tier for each in soon), reverse=True)
    for each in found:
        there = (by_id[each.id].latitude, by_id[each.id].longitude)
        assert math.isclose(each.distance_m, great_circle(place, there).m, abs_tol=60.0, rel_tol=1e-4)
