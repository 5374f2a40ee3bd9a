"""A place in words: town, road, grids, and what is read aloud."""

import gzip
import math
import random

import pytest
from geopy.distance import geodesic

from routing.boundaries import Match, PrefectureLayer
from routing.errors import Malformed, Misconfigured
from routing.plan.place import TownPoints, describe, grid, grid_parts, import_towns
from routing.plan.routes import RoadPlace

LAYER = PrefectureLayer.load()
TOKYO = (35.681236, 139.767125)
NAMES = {"13101": ("東京都千代田区", "Chiyoda"), "01101": ("北海道札幌市中央区", "")}
INSIDE = Match("JP-13", "inside", 0.0, "13101")
CSV = (
    "code,pref,city,town,koaza,lat,lon\n"
    "13101,東京都,千代田区,丸の内一丁目,,35.6815,139.7665\n"
    "13101,東京都,千代田区,大手町,二丁目,35.6870,139.7680\n"
    "13102,東京都,中央区,八重洲一丁目,,35.6812,139.7690\n"
)


@pytest.fixture
def towns(tmp_path):
    (tmp_path / "towns.csv").write_text(CSV, encoding="utf-8")
    import_towns(tmp_path / "towns.csv", tmp_path / "towns.sosgeo")
    return TownPoints.load(tmp_path / "towns.sosgeo")


def road(**more):
    known = {
        "road_id": "E4",
        "road": "東北自動車道",
        "direction": "up",
        "kp": 475.04,
        "from_kp": 475.04,
        "to_kp": 475.04,
    }
    known |= {"from_ic": "花巻", "to_ic": "北上江釣子", "distance_m": 4.0, "certain": True}
    return RoadPlace(**known | more)


def test_the_nearest_town_is_one_of_the_same_municipality(towns):
    near_the_line = (35.6812, 139.7688)

    assert towns.nearest(*near_the_line, municipality="13101").name == "丸の内一丁目"
    assert towns.nearest(*near_the_line, municipality="13102").name == "八重洲一丁目"


def test_a_municipality_without_points_gets_the_nearest_town_of_any_with_its_own_code(towns):
    town = towns.nearest(35.6812, 139.7688, municipality="99999")

    assert (town.name, town.municipality) == ("八重洲一丁目", "13102")
    assert towns.nearest(36.5, 139.0, municipality=None) is None


def test_distance_and_bearing_from_the_town_are_those_of_the_geodesic(towns):
    draw = random.Random(5)
    for _ in range(200):
        place = (35.6870 + draw.uniform(-0.01, 0.01), 139.7680 + draw.uniform(-0.01, 0.01))
        town = towns.nearest(*place, municipality="13101")
        known = {"丸の内一丁目": (35.6815, 139.7665), "大手町二丁目": (35.6870, 139.7680)}
        distances = {name: geodesic(at, place).m for name, at in known.items()}
        assert town.name == min(distances, key=distances.get)
        assert town.distance_m == pytest.approx(distances[town.name], rel=1e-3, abs=0.01)
        at = known[town.name]
        east = (place[1] - at[1]) * math.cos(math.radians(35.68))
        expected = math.degrees(math.atan2(east, place[0] - at[0])) % 360.0
        assert abs((town.bearing_deg - expected + 180.0) % 360.0 - 180.0) < 1.0


def test_rows_that_are_no_town_are_left_out_and_named(tmp_path):
    bad = (
        "13101,東京都,千代田区,,,35.0,139.0\n13101,,,a,,x,139.0\n13101,,,b,,95,139\n,,,c,,35,139\n13101,,,d,,nan,139\n"
    )
    (tmp_path / "towns.csv.gz").write_bytes(gzip.compress((CSV + bad).encode()))

    about = import_towns(tmp_path / "towns.csv.gz", tmp_path / "out.sosgeo")

    assert (sum(about.counts), about.codes, about.left_out) == (3, ("13101", "13102"), (4, 5, 6, 7, 8))


@pytest.mark.parametrize("data", [b"", b"a,b\n1,2\n", b"\xff\xfe\x00", b"code,town,lat,lon\n"])
def test_a_file_that_holds_no_towns_is_refused(tmp_path, data):
    (tmp_path / "towns.csv").write_bytes(data)

    with pytest.raises(Misconfigured, match=r"towns\.csv"):
        import_towns(tmp_path / "towns.csv", tmp_path / "out.sosgeo")


@pytest.mark.parametrize(
    ("latitude", "longitude", "reference"),
    [
        (*TOKYO, "54SUE8843549293"),
        (36.0, 138.0, "54STE2957888111"),
        (36.0, 137.9999, "53SQV7041288111"),
    ],
)
def test_the_grid_is_mgrs_and_keeps_its_zone_letters_across_138_degrees(latitude, longitude, reference):
    assert grid(latitude, longitude) == reference


def test_a_grid_is_spoken_as_three_digits_and_three():
    assert grid_parts("54SUE8843549293") == ("54S", "UE", "884", "492")


def test_near_the_poles_there_is_no_grid_and_everything_else_is_said():
    words = describe(86.0, 10.0, match=None, names={})

    assert words.mgrs is None
    assert "緯86.00000度" in words.aloud_ja()


def test_a_place_in_town_is_read_aloud_in_both_languages(towns):
    words = describe(*TOKYO, match=INSIDE, names=NAMES, towns=towns, radius_m=21.0)

    assert words.plus_code == "8Q7XMQJ8+FV"
    assert words.aloud_ja() == (
        "東京都千代田区丸の内一丁目付近、その南東約60メートル。北緯35.68124度、東経139.76712度、誤差30メートル以内。"
        "UTMグリッド 54S U E 8 8 4 4 9 2。"
    )
    assert words.aloud_en() == (
        "about 60 metres south-east of 丸の内一丁目, Chiyoda. latitude 35.68124, longitude 139.76712, "
        "within 30 metres. grid 5 4 Sierra Uniform Echo, 8 8 4, 4 9 2."
    )


def test_a_place_on_an_expressway_begins_with_road_direction_and_kilometre():
    words = describe(*TOKYO, match=INSIDE, names=NAMES, road=road(structure="架空トンネル"), age_s=90.0)

    said = "東北自動車道 上り 475.0キロポスト付近、花巻と北上江釣子の間、架空トンネル。"
    assert words.aloud_ja().startswith(said)
    assert "90秒前の位置" in words.aloud_ja()
    assert words.aloud_en().startswith("東北自動車道, up line, near kilometre post 475.0, between 花巻 and 北上江釣子")
    assert "90 seconds ago" in words.aloud_en()


def test_an_unknown_direction_is_never_read_as_one():
    words = describe(*TOKYO, match=INSIDE, names=NAMES, road=road(certain=False))

    assert "上り下り不明" in words.aloud_ja()
    assert "direction unknown" in words.aloud_en()


def test_a_place_off_the_shore_says_so():
    match = Match("JP-12", "nearest", 800.0)
    words = describe(35.4637, 139.8753, match=match, names=LAYER.names)

    assert words.approximate
    assert "陸地の外、最寄りは千葉県" in words.aloud_ja()
    assert "off every shore, nearest is Chiba" in words.aloud_en()


def test_the_southern_and_western_half_of_the_earth_are_named():
    words = describe(-33.9, -70.6, match=None, names={})

    assert "南緯33.90000度、西経70.60000度" in words.aloud_ja()


def test_what_is_no_place_is_malformed():
    with pytest.raises(Malformed):
        describe(math.nan, 139.0, match=None, names={})
