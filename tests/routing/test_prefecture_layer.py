"""The shipped boundary layer, against places everyone knows, against plain geometry, and against damaged files."""

import json
import math
import random
from importlib import resources

import pytest
import shapely
from geopy.distance import great_circle

from routing.boundaries import SEA_LIMIT_M, PrefectureLayer, Share
from routing.errors import Malformed, Misconfigured

LAYER = PrefectureLayer.load()
DATA = (resources.files("routing") / "data" / "jp_prefectures.geojson").read_bytes()
SHAPES = {
    feature["properties"]["code"]: shapely.geometry.shape(feature["geometry"])
    for feature in json.loads(DATA)["features"]
}


def two_squares(**changes):
    """A layer of two unit squares side by side."""

    def square(code, west):
        ring = [[west, 35], [west + 1, 35], [west + 1, 36], [west, 36], [west, 35]]
        properties = {"code": code, "name_ja": code, "name_en": code}
        return {"type": "Feature", "properties": properties, "geometry": {"type": "Polygon", "coordinates": [ring]}}

    return {"accuracy_m": 10, "features": [square("AA-1", 135), square("AA-2", 136)]} | changes


def read(document):
    return PrefectureLayer.read(json.dumps(document).encode(), name="squares")


def test_the_layer_holds_the_47_prefectures_with_both_names():
    assert LAYER.codes == tuple(f"JP-{number:02d}" for number in range(1, 48))
    assert LAYER.names["JP-13"] == ("東京都", "Tokyo")
    assert all(japanese and english for japanese, english in LAYER.names.values())


def test_the_layer_names_itself_by_the_digest_of_its_file():
    assert LAYER.dataset == f"jp_prefectures@{LAYER.digest}"
    assert len(LAYER.digest) == 64


@pytest.mark.parametrize(
    ("place", "latitude", "longitude", "code"),
    [
        ("札幌", 43.0621, 141.3544, "JP-01"),
        ("稚内", 45.4156, 141.6730, "JP-01"),
        ("仙台", 38.2682, 140.8694, "JP-04"),
        ("東京駅", 35.6812, 139.7671, "JP-13"),
        ("川崎駅", 35.5313, 139.6969, "JP-14"),
        ("松戸駅", 35.7843, 139.9009, "JP-12"),
        ("浦安駅", 35.6659, 139.8933, "JP-12"),
        ("八丈島", 33.1100, 139.7900, "JP-13"),
        ("金沢", 36.5613, 136.6562, "JP-17"),
        ("名古屋", 35.1815, 136.9066, "JP-23"),
        ("大阪", 34.6937, 135.5023, "JP-27"),
        ("鳥栖駅", 33.3700, 130.5220, "JP-41"),
        ("福岡", 33.5902, 130.4017, "JP-40"),
        ("対馬", 34.2050, 129.2900, "JP-42"),
        ("奄美", 28.3770, 129.4940, "JP-46"),
        ("那覇", 26.2124, 127.6792, "JP-47"),
        ("石垣", 24.4000, 124.1800, "JP-47"),
    ],
)
def test_a_well_known_place_lies_in_its_prefecture(place, latitude, longitude, code):
    match = LAYER.find(latitude, longitude)

    assert (match.prefecture, match.how, match.distance_m) == (code, "inside", 0.0), place


def test_the_grid_answers_as_plain_geometry_does_for_points_all_over_japan():
    points = random.Random(20191).choices(range(10**6), k=4_000)
    for number in points:
        longitude, latitude = 128.0 + number % 1000 * 0.018, 30.0 + number // 1000 * 0.0158
        truth = [code for code, shape in SHAPES.items() if shapely.intersects_xy(shape, longitude, latitude)]
        match = LAYER.find(latitude, longitude)

        assert (match.how == "inside") == bool(truth)
        assert not truth or match.prefecture in truth


def test_a_bridge_a_little_off_the_shore_takes_the_nearest_prefecture_and_says_so():
    match = LAYER.find(35.4637, 139.8753)  # 海ほたる

    assert (match.prefecture, match.how) == ("JP-12", "nearest")
    assert 0 < match.distance_m <= 5_000


def test_the_open_sea_is_sea_and_the_far_ocean_is_outside():
    assert LAYER.find(37.0, 135.0).how == "sea"
    assert LAYER.find(20.0, 160.0).how == "outside"
    assert LAYER.find(-89.9, 0.0).prefecture is None


@pytest.mark.parametrize(
    ("place", "latitude", "longitude"),
    [("釜山", 35.18, 129.07), ("ソウル", 37.55, 126.99), ("サハリン", 46.95, 142.73), ("台北", 25.04, 121.53)],
)
def test_a_city_in_a_neighbouring_country_belongs_to_no_prefecture(place, latitude, longitude):
    match = LAYER.find(latitude, longitude)

    assert (match.prefecture, match.how) == (None, "outside"), place


def test_the_northern_territories_are_shown_to_a_person_with_hokkaido_as_nearest():
    match = LAYER.find(44.03, 145.86)  # 国後島

    assert (match.prefecture, match.how) == ("JP-01", "sea")


def test_a_point_that_is_no_place_is_malformed():
    with pytest.raises(Malformed):
        LAYER.find(math.nan, 139.0)
    with pytest.raises(Malformed):
        LAYER.find(35.0, 181.0)


def test_the_border_distance_is_right_to_one_per_cent_by_an_independent_great_circle():
    layer = read(two_squares())
    for latitude, longitude in ((35.5, 135.9), (35.1, 135.99), (35.9, 135.5), (35.5, 136.2)):
        code = layer.find(latitude, longitude).prefecture
        border = layer.border(latitude, longitude, code=code)

        assert border.runner_up == {"AA-1": "AA-2", "AA-2": "AA-1"}[code]
        assert border.distance_m == pytest.approx(great_circle((latitude, longitude), (latitude, 136.0)).m, rel=0.01)


def test_the_distance_off_the_shore_is_right_by_an_independent_great_circle():
    layer = read(two_squares())

    match = layer.find(35.5, 134.99)

    assert match.distance_m == pytest.approx(great_circle((35.5, 134.99), (35.5, 135.0)).m, rel=0.01)
    assert match.distance_m < SEA_LIMIT_M


def test_tokyo_station_has_chiba_as_runner_up_some_ten_kilometres_off():
    border = LAYER.border(35.6812, 139.7671, code="JP-13")

    assert border.runner_up == "JP-12"
    assert 8_000 < border.distance_m < 13_000


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "features"),
        (two_squares(features=[]), "two polygons"),
        (two_squares(features=two_squares()["features"][:1] * 2), "occurs twice"),
        (two_squares(accuracy_m=None), "accuracy_m"),
    ],
)
def test_a_damaged_layer_is_refused_with_its_name(document, words):
    with pytest.raises(Misconfigured, match=words) as caught:
        read(document)

    assert str(caught.value).startswith("squares")


def test_a_polygon_that_crosses_itself_is_refused_with_its_code():
    document = two_squares()
    document["features"][0]["geometry"]["coordinates"] = [[[135, 35], [136, 36], [136, 35], [135, 36], [135, 35]]]

    with pytest.raises(Misconfigured, match="AA-1"):
        read(document)


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"[1,2", b'{"accuracy_m":1,"features":[{"properties":{}}]}'])
def test_bytes_that_are_no_layer_are_refused(data):
    with pytest.raises(Misconfigured, match="not a boundary layer"):
        PrefectureLayer.read(data, name="broken")


def test_the_shipped_maps_stay_small_and_the_base_map_has_every_prefecture():
    base = (resources.files("routing") / "data" / "japan_base.geojson").read_bytes()
    kinds = [feature["properties"]["kind"] for feature in json.loads(base)["features"]]

    assert len(DATA) <= 400_000
    assert len(base) <= 500_000
    assert (kinds.count("prefecture"), kinds.count("label"), kinds.count("land")) == (47, 47, 6)


def test_the_shipped_layer_is_made_once_and_nobody_can_change_it_for_the_others():
    assert PrefectureLayer.load() is LAYER
    with pytest.raises(TypeError):
        LAYER.names["JP-13"] = ("", "")  # type: ignore[index]


def test_the_shipped_prefectures_hardly_overlap():
    # The corrected river borders cut both sides with one line, so nothing may be claimed twice.
    total = sum(shape.area for shape in SHAPES.values())

    assert total - shapely.union_all(list(SHAPES.values())).area < total * 1e-5


def test_the_coarse_layer_answers_all_that_the_exact_one_does():
    tokyo, kawasaki = (35.6812, 139.7671), (35.5313, 139.6969)

    assert LAYER.find_many(*zip(tokyo, kawasaki, strict=True)) == [LAYER.find(*tokyo), LAYER.find(*kawasaki)]
    assert LAYER.find(*tokyo).code == "JP-13"
    assert LAYER.polygon("JP-13").equals(SHAPES["JP-13"])
    assert LAYER.polygon("JP-99") is None
    assert LAYER.shares(*tokyo, 1_000.0) == (Share("JP-13", 1.0),)


def test_a_circle_on_the_border_divides_between_both_prefectures_and_is_never_more_than_whole():
    shares = LAYER.shares(35.5313, 139.6969, 6_000.0)

    assert {"JP-13", "JP-14"} <= {share.code for share in shares}
    assert [share.share for share in shares] == sorted((share.share for share in shares), reverse=True)
    assert sum(share.share for share in shares) <= 1.0
