"""Expressways: the right carriageway, the right kilometre, the right duty; and what is said when that is not known.

The road is invented; the duties are those of the Tohoku Expressway's agreement of 1977, read in place.
"""

import csv
import math
import random
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.errors import Misconfigured
from routing.plan.routes import Carriageway, Crossings, Duty, Feature, Fix, Responder, RouteTable, duties_of

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"

ROAD = "東北自動車道"
SOUTH, NORTH, MERIDIAN = 38.5, 40.5, 141.0
FROM_KP, TO_KP = 380.0, 602.0
APART_DEG = 15.0 / 111_320.0 / math.cos(math.radians(39.5))
"""15 m between the middles of the carriageways."""

ICS = {
    "若柳金成": 400,
    "一関": 420,
    "水沢": 450,
    "北上江釣子": 470,
    "花巻": 480,
    "紫波": 500,
    "安代": 570,
    "鹿角八幡平": 600,
}
TUNNEL = Feature(road_id="E4", kind="tunnel", name="架空トンネル", from_kp=474.0, to_kp=477.0)


def kp_at(latitude):
    return FROM_KP + (latitude - SOUTH) / (NORTH - SOUTH) * (TO_KP - FROM_KP)


def latitude_at(kp):
    return SOUTH + (kp - FROM_KP) / (TO_KP - FROM_KP) * (NORTH - SOUTH)


def carriageway(direction):
    """Down runs north on the left (west), up runs south."""
    steps = [SOUTH + (NORTH - SOUTH) * n / 400 for n in range(401)]
    if direction == "down":
        line = tuple((latitude, MERIDIAN) for latitude in steps)
        return Carriageway(road_id="E4", road=ROAD, direction="down", line=line, from_kp=FROM_KP, to_kp=TO_KP)
    line = tuple((latitude, MERIDIAN + APART_DEG) for latitude in reversed(steps))
    return Carriageway(road_id="E4", road=ROAD, direction="up", line=line, from_kp=TO_KP, to_kp=FROM_KP)


BOTH = (carriageway("down"), carriageway("up"))
FEATURES = [Feature(road_id="E4", kind="ic", name=name, from_kp=kp, to_kp=kp) for name, kp in ICS.items()] + [TUNNEL]
TABLE = RouteTable(BOTH, features=FEATURES)
HEADING = {"down": 0.0, "up": 180.0}
EASTING = {"down": MERIDIAN, "up": MERIDIAN + APART_DEG}


def fix(kp, direction="down", **more):
    return Fix(latitude=latitude_at(kp), longitude=EASTING[direction], **more)


@pytest.fixture
def tohoku():
    path = DATA / "expressway_tohoku_1977.csv"
    if not path.exists():
        pytest.skip("expressway_tohoku_1977.csv is not beside the clone")
    return RouteTable(BOTH, duties=duties_of(path), features=FEATURES), list(
        csv.DictReader(path.open(encoding="utf-8"))
    )


def test_every_row_of_the_tohoku_agreement_is_found_by_carriageway(tohoku):
    table, rows = tohoku

    for row in rows:
        direction = {"上り": "up", "下り": "down"}[row["direction"]]
        middle = (ICS[row["from_ic"]] + ICS[row["to_ic"]]) / 2.0
        place = table.match(fix(middle, direction, heading=HEADING[direction]))[0]
        assert place.certain
        assert place.direction == direction
        assert place.responders == (Responder("fire", row["fire_hq"]),), row

    assert len(rows) == 10


def test_the_same_kilometre_belongs_to_different_headquarters_in_the_two_directions(tohoku):
    table, _ = tohoku

    up, down = (table.match(fix(475.0, way, heading=HEADING[way]))[0] for way in ("up", "down"))

    assert up.responders[0].first == "花巻地区消防事務組合"
    assert down.responders[0].first == "北上地区消防等組合"
    assert (up.from_ic, up.to_ic) == ("花巻", "北上江釣子")
    assert (down.from_ic, down.to_ic) == ("北上江釣子", "花巻")


def test_without_heading_and_movement_both_carriageways_stay_candidates(tohoku):
    table, _ = tohoku

    places = table.match(fix(475.0, "up", uncertainty_m=20.0))

    assert {place.direction for place in places} == {"up", "down"}
    assert not any(place.certain for place in places)
    assert {place.responders[0].first for place in places} == {"花巻地区消防事務組合", "北上地区消防等組合"}


def test_the_fixes_before_tell_the_direction_when_there_is_no_heading():
    before = tuple((latitude_at(475.0 + away), MERIDIAN) for away in (0.05, 0.10))

    (place,) = TABLE.match(fix(475.0, "down", previous=before))

    assert (place.direction, place.certain, place.evidence) == ("up", True, ("track",))


def test_a_car_turned_round_by_the_crash_is_not_sure_of_its_direction():
    before = tuple((latitude_at(475.0 + away), MERIDIAN) for away in (0.05, 0.10))

    places = TABLE.match(fix(475.0, "up", heading=5.0, previous=before))

    assert {place.direction for place in places} == {"up", "down"}
    assert not any(place.certain for place in places)


def test_a_jitter_of_a_standing_car_is_no_movement():
    before = ((latitude_at(475.0) + 5e-5, MERIDIAN),)

    assert not any(place.certain for place in TABLE.match(fix(475.0, previous=before)))


def test_a_road_that_crosses_underneath_is_not_the_expressway():
    assert TABLE.match(fix(475.0, heading=90.0)) == ()
    assert TABLE.match(fix(475.0, heading=0.0, road_class="other")) == ()
    assert TABLE.match(Fix(latitude=39.5, longitude=141.01, heading=0.0)) == ()


def test_a_lateral_error_never_changes_the_direction_that_the_heading_tells():
    draw = random.Random(1980)
    for _ in range(2_000):
        kp, way = draw.uniform(385.0, 595.0), draw.choice(["up", "down"])
        metre = 1.0 / 111_320.0 / math.cos(math.radians(39.5))
        longitude = EASTING[way] + draw.gauss(0.0, 10.0) * metre
        heading = (HEADING[way] + draw.gauss(0.0, 6.0)) % 360.0
        places = TABLE.match(Fix(latitude=latitude_at(kp), longitude=longitude, heading=heading, uncertainty_m=50.0))
        assert [place.direction for place in places] == [way]
        assert places[0].kp == pytest.approx(kp, abs=0.02)


@given(kp=st.floats(381.0, 601.0), way=st.sampled_from(["up", "down"]))
def test_the_kilometre_of_a_point_on_the_road_is_right_to_some_metres(kp, way):
    place = TABLE.match(fix(kp, way, heading=HEADING[way]))[0]

    # The made-up posts stand evenly by latitude, the measure goes by length on the ellipsoid.
    assert place.kp == pytest.approx(kp, abs=0.02)
    assert place.from_kp == place.to_kp == place.kp


def test_a_stale_fix_before_a_tunnel_is_carried_along_the_road_and_names_the_tunnel(tohoku):
    table, _ = tohoku

    fresh = table.match(fix(472.0, heading=0.0, speed_kmh=80.0))[0]
    stale = table.match(fix(472.0, heading=0.0, speed_kmh=80.0, age_s=90.0))[0]

    assert fresh.structure == ""
    assert stale.structure == "架空トンネル"
    assert (stale.kp, stale.from_kp) == (fresh.kp, fresh.kp)
    assert stale.to_kp == pytest.approx(stale.kp + 2.0, abs=0.02)


def test_a_stale_fix_that_may_have_passed_an_interchange_has_the_next_section_second(tohoku):
    table, _ = tohoku

    place = table.match(fix(479.5, heading=0.0, speed_kmh=90.0, age_s=60.0))[0]

    assert place.responders == (Responder("fire", "北上地区消防等組合", "花巻地区消防事務組合"),)


def test_duties_and_roads_follow_their_dates():
    old = Duty(
        road="E4",
        direction="down",
        from_ic="水沢",
        to_ic="花巻",
        service="fire",
        first="old",
        valid_to=date(2020, 3, 31),
    )
    new = Duty(
        road="E4",
        direction="down",
        from_ic="水沢",
        to_ic="花巻",
        service="fire",
        first="new",
        valid_from=date(2020, 4, 1),
    )
    table = RouteTable(BOTH, duties=[old, new], features=FEATURES)

    def first(as_of):
        return table.match(fix(475.0, heading=0.0), as_of=as_of)[0].responders[0].first

    assert (first(date(2020, 3, 31)), first(date(2020, 4, 1)), first(None)) == ("old", "new", "new")


def test_a_carriageway_drawn_in_pieces_is_one_candidate_at_their_joint():
    first, second = BOTH[0].line[:201], BOTH[0].line[200:]
    middle = kp_at(first[-1][0])
    pieces = [
        Carriageway(road_id="E4", road=ROAD, direction="down", line=first, from_kp=FROM_KP, to_kp=middle),
        Carriageway(road_id="E4", road=ROAD, direction="down", line=second, from_kp=middle, to_kp=TO_KP),
    ]

    places = RouteTable(pieces, features=FEATURES).match(fix(middle, heading=0.0))

    assert [place.kp for place in places] == [pytest.approx(middle, abs=0.02)]


CARRIAGEWAYS = "road_id,road,direction,from_kp,to_kp,line\nE1,架空高速,{way},0,20,35.0 139.0; 35.1 139.0; 35.2 139.0\n"
PLACES = "road_id,kind,name,from_kp,to_kp\nE1,ic,A,2,\nE1,ic,B,18,\nE1,tunnel,T,5,8\n"
DUTIES = "road,direction,from_ic,to_ic,service,first,second\n架空高速,{way},A,{ic},fire,hq-1,hq-2\n"


def folder(tmp_path, *, way="下り", ic="B", carriageways=CARRIAGEWAYS, features=PLACES):
    (tmp_path / "carriageways.csv").write_text(carriageways.format(way=way), encoding="utf-8")
    (tmp_path / "features.csv").write_text(features, encoding="utf-8")
    (tmp_path / "duties.csv").write_text(DUTIES.format(way=way, ic=ic), encoding="utf-8")
    return tmp_path


def test_a_folder_of_tables_is_read_and_named_by_its_digest(tmp_path):
    table = RouteTable.load(folder(tmp_path))

    place = table.match(Fix(latitude=35.06, longitude=139.0, heading=350.0))[0]

    assert (place.road_id, place.direction, place.structure) == ("E1", "down", "T")
    assert place.kp == pytest.approx(6.0, abs=0.01)
    assert place.responders == (Responder("fire", "hq-1", "hq-2"),)
    assert table.dataset.startswith(f"{tmp_path.name}@")
    assert len(table.dataset) == len(tmp_path.name) + 65


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"way": "left"}, "left"),
        ({"ic": "C"}, "no interchange C"),
        ({"carriageways": "road,direction\n"}, "no column road_id"),
        ({"carriageways": CARRIAGEWAYS.replace("35.0 139.0; 35.1 139.0; 35.2 139.0", "35.0 139.0")}, "two positions"),
        ({"carriageways": CARRIAGEWAYS.replace("35.1 139.0; 35.2 139.0", "35.0 139.0")}, "E1"),
        ({"carriageways": CARRIAGEWAYS.replace("35.1 139.0", "139.0 35.1")}, "latitude first"),
        ({"features": PLACES.replace("5,8", "x,8")}, "T"),
    ],
)
def test_a_table_that_is_wrong_is_refused_with_what_is_wrong(tmp_path, change, words):
    with pytest.raises(Misconfigured, match=words):
        RouteTable.load(folder(tmp_path, **change))


def test_a_folder_without_carriageways_is_refused(tmp_path):
    with pytest.raises(Misconfigured, match=r"carriageways\.csv"):
        RouteTable.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "latitude", "longitude", "first"),
    [
        ("東京湾アクアライン (橋)", 35.4482, 139.8947, "12206"),
        ("東京湾アクアトンネル", 35.5060, 139.8100, "14131"),
        ("東京湾アクアトンネル", 35.4750, 139.8580, "12206"),
        ("大鳴門橋", 34.2412, 134.6540, "28224"),
        ("大鳴門橋", 34.2370, 134.6460, "36202"),
        ("明石海峡大橋", 34.6250, 135.0276, "28108"),
        ("明石海峡大橋", 34.6070, 135.0145, "28226"),
        ("関西国際空港連絡橋", 34.4200, 135.2766, "27213"),
        ("関門橋", 33.9645, 130.9575, "35201"),
        ("横浜ベイブリッジ", 35.4535, 139.6742, "14104"),
        ("レインボーブリッジ", 35.6366, 139.7640, "13103"),
        ("来島海峡大橋", 34.1220, 132.9900, "38202"),
        ("伊良部大橋", 24.8130, 125.2310, "47214"),
        ("古宇利大橋", 26.6850, 128.0165, "47209"),
        ("角島大橋", 34.3525, 130.8900, "35201"),
        ("白鳥大橋", 42.3480, 140.9525, "01205"),
        ("若戸大橋", 33.9010, 130.8143, "40105"),
    ],
)
def test_a_bridge_or_tunnel_off_the_shore_has_the_end_that_is_nearer_along_it_first(name, latitude, longitude, first):
    crossing = Crossings.load().at(latitude, longitude)

    assert crossing is not None
    assert crossing.name == name
    assert crossing.municipalities[0] == first


def test_open_water_and_land_away_from_bridges_are_no_crossing():
    crossings = Crossings.load()

    assert crossings.at(35.30, 139.75) is None
    assert crossings.at(35.681236, 139.767125) is None
    assert crossings.dataset.startswith("jp_crossings@")


def test_a_table_of_crossings_that_is_wrong_is_refused(tmp_path):
    (tmp_path / "x.csv").write_text("name,line\na,35 139\n", encoding="utf-8")

    with pytest.raises(Misconfigured, match="x"):
        Crossings.load(tmp_path / "x.csv")
