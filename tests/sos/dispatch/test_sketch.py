"""From the station to the place: nearest one, straight distance, direction, and a drawing to scale."""

import re
from datetime import UTC, datetime

import msgspec
import pytest

from routing.brief import Brief, compose, read
from routing.categories import Category
from routing.directory import Agency, Station
from sos.dispatch.adapters.sketch import Place, drawing, in_words, place_of

STATION = Station(name="架空署", latitude=35.0, longitude=139.0)


def _agency(*stations: Station) -> Agency:
    return Agency(
        id="jp-13-fire", service="fire", name_ja="架空消防", name_en="invented", jurisdiction=(), channels={},
        stations=stations,
    )  # fmt: skip


def _brief(**place: object) -> Brief:
    made = compose(
        incident="urn:emergency:uid:incidentid:1:sos.example",
        disclosure="d",
        agency="a",
        agency_name="a",
        rule="r",
        ground="g",
        law_version="l",
        decided_at=datetime(2026, 3, 1, tzinfo=UTC),
        exercise=False,
        sections={Category.LOC: msgspec.json.encode(place)},
    )
    return read(made)


def _seen(latitude: float, longitude: float, *stations: Station, **more: object) -> Place:
    place = place_of(_brief(latitude=latitude, longitude=longitude, **more), _agency(*stations))
    assert place is not None
    return place


@pytest.mark.parametrize(
    ("latitude", "longitude", "japanese", "english"),
    [
        (35.01, 139.0, "架空署から北へ直線1.1 km", "1.1 km north of 架空署, in a straight line"),
        (34.991, 139.0109, "架空署から南東へ直線1.4 km", "1.4 km south-east of 架空署, in a straight line"),
        (35.0, 138.995, "架空署から西へ直線460 m", "460 m west of 架空署, in a straight line"),
        (35.0001, 139.0001, "架空署のすぐそば", "beside 架空署"),
    ],
)
def test_the_way_is_said_with_distance_and_direction(latitude: float, longitude: float, japanese: str, english: str):
    way = _seen(latitude, longitude, STATION).way

    assert way is not None
    assert (in_words(way, japanese=True), in_words(way, japanese=False)) == (japanese, english)


def test_of_several_stations_the_nearest_is_named_also_across_the_date_line():
    west = Station(name="west", latitude=-17.0, longitude=179.99)
    far = Station(name="far", latitude=-17.0, longitude=170.0)

    way = _seen(-17.0, -179.99, far, west).way

    assert way is not None
    assert way.station == "west"
    assert 2000 < way.east_m < 2300


def test_who_has_no_station_and_a_place_that_is_withheld_have_no_way():
    assert _seen(35.0, 139.0).way is None
    assert place_of(_brief(prefectureName="東京都"), _agency(STATION)) is None


@pytest.mark.parametrize(("latitude", "radius_m"), [(35.0001, 5.0), (35.01, 13.0), (35.5, 900.0), (36.9, 250_000.0)])
def test_the_drawing_is_to_scale_and_holds_all_of_it(latitude: float, radius_m: float):
    place = _seen(latitude, 139.001, STATION, horizontalAccuracy=radius_m)

    svg = drawing(place)

    x, y, radius = (float(each) for each in re.findall(r'<circle cx="(.+?)" cy="(.+?)" r="(.+?)"', svg)[0])
    left, top = (float(each) for each in re.findall(r'<rect x="(.+?)" y="(.+?)"', svg)[0])
    bar = float(re.findall(r"h([\d.]+)\"", svg)[0])
    [said] = re.findall(r">([\d.]+) (k?m)</text>", svg)
    metres = float(said[0]) * (1000 if said[1] == "km" else 1)
    assert all(0 <= each <= 320 for each in (x - radius, x + radius, left))
    assert all(0 <= each <= 220 for each in (y - radius, y + radius, top))
    assert place.way is not None
    apart = ((x - left - 5) ** 2 + (y - top - 5) ** 2) ** 0.5
    assert apart / bar * metres == pytest.approx(place.way.distance_m, rel=0.05, abs=2 * metres / bar)
    assert radius / bar * metres == pytest.approx(radius_m, rel=0.05, abs=0.1 * metres / bar)


def test_a_name_in_the_drawing_is_text_and_nothing_else():
    place = _seen(35.01, 139.0, Station(name="<script>&", latitude=35.0, longitude=139.0))

    assert "&lt;script&gt;&amp;" in drawing(place)
