"""LoST over exact boundaries: municipalities, their headquarters, dates, long coasts, and addresses by name."""

import math
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.boundaries import MunicipalLayer, PrefectureLayer
from routing.boundaries.build import build
from routing.boundaries.index import Area, Header
from routing.directory import Directory
from routing.lost.areas import WHOLE, Areas
from routing.lost.civic import Gazetteer
from routing.lost.codec import read_request, write_request
from routing.lost.messages import Boundary, FindService, GetServiceBoundary, Location
from routing.lost.server import Sources, answer
from routing.position.gml import Civic
from routing.position.shapes import Circle, Point, Polygon, region
from tests.routing.lost.conftest import NOW, UPDATED

TOWN = shapely.box(139.3, 35.0, 139.4, 35.1)


def coast(corners):
    """A rough coast: a ring with teeth."""
    turns = [2 * math.pi * step / corners for step in range(corners)]
    reach = [0.2 + 0.005 * (step % 2) for step in range(corners)]
    return shapely.Polygon(
        [(139.9 + r * math.cos(t), 35.2 + r * math.sin(t)) for r, t in zip(reach, turns, strict=True)]
    )


AREAS = (
    (Area(code="14101", name_ja="神奈川県横浜市架空区"), shapely.box(139.0, 35.0, 139.1, 35.1)),
    (Area(code="14102", name_ja="神奈川県横浜市想像区"), shapely.box(139.1, 35.0, 139.2, 35.1)),
    (Area(code="14361", name_ja="神奈川県足柄上郡架空町"), shapely.box(139.2, 35.0, 139.21, 35.01)),
    (Area(code="14362", name_ja="神奈川県足柄上郡夢想町", valid_to=date(2026, 12, 31)), TOWN),
    (Area(code="14363", name_ja="神奈川県新町", valid_from=date(2027, 1, 1)), TOWN),
    (Area(code="12201", name_ja="千葉県岬市"), coast(9_000)),
)  # fmt: skip

DIRECTORY = """
name = "made"
duty = [
  { service = "fire", code = "14100", agency = "yokohama" },
  { service = "fire", code = "14361", agency = "union" },
  { service = "fire", code = "14362", agency = "union", valid_to = 2026-12-31 },
]
[[centre]]
id = "joint"
name_ja = "架空共同指令センター"
name_en = "Demo Joint Centre"
channels = { sip = { uri = "sip:119@joint.example", listed = true }, voice = { number = "+81355500188" } }
"""
ROW = """
[[agency]]
id = "{id}"
service = "{service}"
name_ja = "架空{id}"
name_en = "Demo {id}"
jurisdiction = {jurisdiction}
{more}
"""


def directory():
    rows = [("yokohama", "fire", [], 'command_centre = "joint"\nchannels = {}')]
    rows += [("union", "fire", [], 'channels = { voice = { number = "+81355500187" } }')]
    rows += [
        (f"default-{service}", service, "default", 'channels = { voice = { number = "+81355500100" } }')
        for service in ("fire", "police", "ambulance", "marine")
    ]
    tables = [
        ROW.format(id=id, service=service, jurisdiction=f'"{place}"' if place == "default" else "[]", more=more)
        for id, service, place, more in rows
    ]
    return Directory.read((DIRECTORY + "".join(tables)).encode())


@pytest.fixture(scope="module")
def exact(tmp_path_factory):
    header = Header(name="made", accuracy_m=0.0, sources=(), areas=tuple(area for area, _ in AREAS))
    path = tmp_path_factory.mktemp("layer") / "made.sosgeo"
    build(header, [shape for _, shape in AREAS], path, tell=lambda _: None)
    layer = MunicipalLayer.load(path)
    return Sources(
        layer=layer,
        directory=directory(),
        gazetteer=Gazetteer(layer.names, PrefectureLayer.load().names),
        areas=Areas(layer),
        source="lost.sos.example",
        updated=UPDATED,
    )


def find(value, **more):
    profile = "civic" if isinstance(value, Civic) else "geodetic-2d"
    request = FindService(locations=(Location("here", profile, value),), service="urn:service:sos.fire", **more)
    return read_request(write_request(request))


def ids(said):
    return [mapping.source_id.split(":")[0] for mapping in said.mappings]


def test_a_ward_has_the_headquarters_of_its_city_and_is_reached_by_the_joint_centre(exact):
    said = answer(find(Point(35.05, 139.05)), exact, now=NOW)

    assert ids(said) == ["yokohama"]
    assert said.mappings[0].source_id == "yokohama:14101:sos.fire"
    assert said.mappings[0].uris == ("sip:119@joint.example",)
    partners = answer(find(Point(35.05, 139.05)), exact, now=NOW, partner=True)
    assert partners.mappings[0].uris == ("sip:119@joint.example", "tel:+81355500188")


def test_two_wards_of_one_city_are_one_answer(exact):
    assert ids(answer(find(Circle(35.05, 139.1, 2_000.0)), exact, now=NOW)) == ["yokohama"]


def test_an_area_that_the_shape_holds_whole_goes_before_one_it_cuts(exact):
    half_of_a_ward_and_a_town = Polygon(
        ((34.99, 139.15), (34.99, 139.215), (35.09, 139.215), (35.09, 139.15), (34.99, 139.15))
    )
    small_piece = Circle(35.005, 139.2, 600.0)

    assert ids(answer(find(half_of_a_ward_and_a_town), exact, now=NOW)) == ["union", "yokohama"]
    assert len(ids(answer(find(small_piece), exact, now=NOW))) == 2


def test_a_polygon_of_a_thousand_corners_is_answered_as_the_circle_that_holds_it(exact):
    turns = [2 * math.pi * step / 1_000 for step in range(1_000)]
    ring = tuple((35.05 + 0.02 * math.sin(turn), 139.05 + 0.02 * math.cos(turn)) for turn in turns)

    assert ids(answer(find(Polygon((*ring, ring[0]))), exact, now=NOW)) == ["yokohama"]


def test_the_answer_is_that_of_the_day_asked_about(exact):
    here = find(Point(35.05, 139.35), as_of=datetime(2027, 1, 2, tzinfo=UTC))
    today = answer(find(Point(35.05, 139.35)), exact, now=NOW)
    later = answer(here, exact, now=NOW)
    next_year = answer(find(Point(35.05, 139.35)), exact, now=datetime(2026, 12, 31, 15, 0, tzinfo=UTC))

    assert today.mappings[0].source_id.split(":")[:2] == ["union", "14362"]
    assert later.mappings[0].source_id.split(":")[:2] == ["default-fire", "14363"]
    assert later.mappings[0].expires == "NO-CACHE"
    assert next_year.mappings[0].source_id == later.mappings[0].source_id  # midnight is Japan's


def test_an_answer_is_kept_until_a_change_of_agencies_and_no_longer(exact):
    new_years_eve = datetime(2026, 12, 31, 3, 0, tzinfo=UTC)

    changing = answer(find(Point(35.05, 139.35)), exact, now=new_years_eve).mappings[0]
    staying = answer(find(Point(35.05, 139.05)), exact, now=new_years_eve).mappings[0]

    assert changing.expires == datetime(2026, 12, 31, 15, 0, tzinfo=UTC)  # midnight in Japan
    assert staying.expires == datetime(2027, 1, 1, 3, 0, tzinfo=UTC)


def test_a_planned_change_is_asked_about_with_the_element_of_the_extension(exact):
    data = write_request(find(Point(35.05, 139.35))).replace(
        b"</service>", b'</service><x:asOf xmlns:x="urn:example">2027-01-02T00:00:00Z</x:asOf>'
    )

    assert answer(read_request(data), exact, now=NOW).mappings[0].source_id.split(":")[1] == "14363"


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 2 * math.pi), st.floats(0.0, 0.199))
def test_a_coast_of_many_corners_is_told_in_pieces_that_hold_the_place(exact, turn, reach):
    place = Point(35.2 + reach * math.sin(turn), 139.9 + reach * math.cos(turn))

    by_value = answer(find(place, boundary="value"), exact, now=NOW).mappings[0].boundary
    reference = answer(find(place), exact, now=NOW).mappings[0].boundary
    by_key = answer(GetServiceBoundary(key=reference.key), exact, now=NOW).boundary

    assert isinstance(by_value, Boundary)
    assert by_key == by_value
    area = shapely.union_all([region(polygon) for polygon in by_value.polygons])
    assert area.covers(region(place))
    assert exact.layer.polygon("12201").buffer(1e-9).covers(area)
    assert sum(len(polygon.exterior) for polygon in by_value.polygons) <= WHOLE


def test_a_key_of_an_odd_cell_is_not_found(exact):
    for key in ("12201.7.1.1." + "0" * 16, "12201.10.999.999." + "0" * 16, "." + "0" * 16):
        assert answer(GetServiceBoundary(key=key), exact, now=NOW).fault == "notFound"


@pytest.mark.parametrize(
    ("fields", "code", "valid", "invalid"),
    [
        ({"A1": "神奈川県", "A3": "横浜市", "A4": "架空区"}, "14101", ("A1", "A3", "A4"), ()),
        ({"A1": "神奈川", "A3": "横浜市架空区"}, "14101", ("A1", "A3"), ()),
        ({"A1": "Kanagawa", "A3": "横浜市"}, "14100", ("A1", "A3"), ()),
        ({"A1": "神奈川県", "A2": "足柄上郡", "A3": "架空町"}, "14361", ("A1", "A2", "A3"), ()),
        ({"A1": "神奈川県", "A3": "架空町", "HNO": "1"}, "14361", ("A1", "A3"), ()),
        ({"A3": "岬市"}, "12201", ("A3",), ()),
        ({"A1": "東京都", "A3": "岬市"}, "JP-13", ("A1",), ("A3",)),
        ({"A1": "神奈川県", "A3": "何処市"}, "JP-14", ("A1",), ("A3",)),
        ({"A1": "神奈川県"}, "JP-14", ("A1",), ()),
        ({"A3": "何処市"}, None, (), ()),
    ],
)
def test_an_address_is_matched_by_its_areas_and_never_guessed(fields, code, valid, invalid, exact):
    found = exact.gazetteer.find(Civic(tuple(fields.items())))

    assert (found.code, found.validation.valid, found.validation.invalid) == (code, valid, invalid)


ISLANDS = {
    "13361": ("東京都大島支庁大島町", "Oshima"),
    "13363": ("東京都大島支庁新島村", ""),
    "13401": ("東京都八丈支庁八丈町", ""),
    "13402": ("東京都八丈支庁青ヶ島村", ""),
    "13421": ("東京都小笠原支庁小笠原村", ""),
    "47381": ("沖縄県八重山郡竹富町", ""),
    "32525": ("島根県隠岐郡海士町", ""),
}


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"A1": "東京都", "A3": "八丈町"}, "13401"),
        ({"A1": "東京都", "A2": "八丈支庁", "A3": "八丈町"}, "13401"),
        ({"A1": "東京都", "A2": "八丈島", "A3": "八丈町"}, "13401"),
        ({"A1": "東京都", "A3": "八丈町", "A4": "三根"}, "13401"),
        ({"A3": "八丈町"}, "13401"),
        ({"A1": "東京都", "A3": "大島町"}, "13361"),
        ({"A1": "東京都", "A3": "青ガ島村"}, "13402"),
        ({"A1": "東京都", "A3": "青ケ島村"}, "13402"),
        ({"A1": "東京都", "A3": "小笠原村", "A4": "父島"}, "13421"),
        ({"A1": "沖縄県", "A3": "竹富町"}, "47381"),
        ({"A1": "島根県", "A3": "海士町"}, "32525"),
        ({"A1": "東京都", "A3": "八丈島"}, "JP-13"),
        ({"A1": "東京都", "A3": "何処島"}, "JP-13"),
    ],
)
def test_an_address_on_an_island_finds_its_municipality_or_plainly_none(fields, code):
    gazetteer = Gazetteer(ISLANDS, PrefectureLayer.load().names)

    found = gazetteer.find(Civic(tuple(fields.items())))

    assert found.code == code
    assert ("A3" in found.validation.invalid) is code.startswith("JP-")


def test_the_island_of_the_field_is_found():
    file = Path(__file__).resolve().parents[4] / "shared" / "data" / "field" / "lost_civic_island.xml"
    if not file.is_file():
        pytest.skip("the field inputs are not beside this checkout")
    (location,) = read_request(file.read_bytes()).locations

    found = Gazetteer(ISLANDS, PrefectureLayer.load().names).find(location.value)

    assert (found.code, found.validation.invalid) == ("13401", ())


def test_an_address_in_a_designated_city_is_answered_by_its_headquarters_without_a_boundary(exact):
    city = Civic((("country", "JP"), ("A1", "神奈川県"), ("A3", "横浜市")))

    said = answer(find(city), exact, now=NOW)

    assert ids(said) == ["yokohama"]
    assert said.mappings[0].boundary is None
    assert said.warnings == ()


def test_the_boundary_of_an_address_is_its_municipality_by_name(exact):
    town = Civic((("A1", "神奈川県"), ("A3", "架空町")))

    boundary = answer(find(town, boundary="value"), exact, now=NOW).mappings[0].boundary

    assert boundary.civic.fields == (("country", "JP"), ("A1", "神奈川県"), ("A3", "足柄上郡架空町"))


def test_an_answer_without_a_place_in_the_layer_says_so(exact):
    said = answer(find(Point(35.05, 141.5)), exact, now=NOW)

    assert said.mappings[0].expires == "NO-CACHE"
    assert msgspec.structs.asdict(said.warnings[0])["kind"] == "defaultMappingReturned"
