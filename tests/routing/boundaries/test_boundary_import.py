"""Boundary files as the world has them: every format, every layout, and what is wrong with them, by row."""

import gzip
import hashlib
import json
import zipfile
from datetime import date

import numpy as np
import pyogrio
import pytest
import shapely
from typer.testing import CliRunner

from routing.boundaries import MunicipalLayer
from routing.boundaries.enclaves import opened
from routing.boundaries.index import KIND, Header, Index
from routing.boundaries.sources import read
from routing.boundaries.survey import compared, examined, onto, survey
from routing.container import read_header
from routing.directory.jis import CodesInForce
from routing.errors import Misconfigured
from routing.services import ALWAYS
from sos.cli.geo import geo
from sos.dispatch.sources import open_layer, open_towns
from sos.errors import Misconfigured as WrongSetting
from sos.settings import Settings


def silent(what):
    """Progress told to nobody."""


def square(west, south=35.0, size=0.1):
    return shapely.box(west, south, west + size, south + size)


def feature(shape, **properties):
    geometry = json.loads(shapely.to_geojson(shape)) if shape is not None else None
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def n03(code, shape, city, *, prefecture="神奈川県", county=None, ward=None):
    names = {"N03_001": prefecture, "N03_002": None, "N03_003": county, "N03_004": city, "N03_005": ward}
    return feature(shape, **names, N03_007=code)


def broken(geometry):
    return n03("14103", None, "横浜市", ward="西区") | {"geometry": geometry}


def collection(*features, **more):
    return {"type": "FeatureCollection", "features": list(features), **more}


TWO = collection(
    n03("14101", square(139.0), "横浜市", ward="鶴見区"),
    n03("14301", square(139.1), "葉山町", county="三浦郡"),
)


def written(tmp_path, document, name="n03.geojson", *, encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(json.dumps(document, ensure_ascii=False).encode(encoding))
    return path


def surveyed(path, **options):
    return survey([read(path, **options)], tell=silent)


def imported(tmp_path, *arguments):
    """What ``sos geo import`` prints as JSON, and the layer it wrote."""
    out = tmp_path / "out.sosgeo"
    result = CliRunner().invoke(geo, ["import", *map(str, arguments), "--out", str(out), "--json"])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout), MunicipalLayer.load(out)


def answering(tmp_path, *places):
    """A directory whose police answers at these places."""

    def agency(id, service, places):
        return (
            f'[[agency]]\nid = "{id}"\nservice = "{service}"\nname_ja = "架空"\nname_en = "Demo"\n'
            f"jurisdiction = {json.dumps(places)}\nchannels = {{ portal = {{}} }}\n"
        )

    defaults = [agency(f"default-{each.value}", each.value, "default") for each in ALWAYS]
    path = tmp_path / "directory.toml"
    path.write_text("\n".join(['name = "made"', *defaults, agency("here", "police", places)]), encoding="utf-8")
    return path


def kinds(found):
    return {finding.kind: finding.rows for finding in found.findings}


def test_a_ksj_file_gives_code_prefecture_and_the_whole_name(tmp_path):
    found = surveyed(written(tmp_path, TWO))

    assert [(area.code, area.prefecture, area.name_ja) for area in found.areas] == [
        ("14101", "JP-14", "神奈川県横浜市鶴見区"),
        ("14301", "JP-14", "神奈川県三浦郡葉山町"),
    ]


@pytest.mark.parametrize("form", ["geojson", "gz", "zip", "shp", "shp.zip", "gpkg", "fgb", "topojson"])
def test_every_format_gives_the_same_layer(tmp_path, form):
    path = written(tmp_path, TWO)
    if form == "gz":
        path = tmp_path / "n03.geojson.gz"
        path.write_bytes(gzip.compress(json.dumps(TWO).encode()))
    elif form == "zip":
        path = tmp_path / "n03.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(tmp_path / "n03.geojson", "N03-20240101.geojson")
    elif form == "topojson":
        path = written(tmp_path, topology(), "n03.topojson")
    elif form != "geojson":
        path = by_gdal(tmp_path, form)

    _, layer = imported(tmp_path, path)

    assert layer.codes == ("14101", "14301")
    assert layer.names["14101"][0] == "神奈川県横浜市鶴見区"
    assert layer.find(35.05, 139.05).municipality == "14101"
    assert layer.find(35.05, 139.15).municipality == "14301"
    assert layer.border(35.05, 139.05, code="14101").runner_up == "14301"


def topology():
    """The two squares with their common side as one arc, quantised."""
    scale, west, south = 0.001, 139.0, 35.0
    corners = {"left": [[100, 0], [-100, 0], [0, 100], [100, 0]], "shared": [[100, 100], [0, -100]]}
    corners["right"] = [[100, 100], [100, 0], [0, -100], [-100, 0]]
    geometries = [
        {"type": "Polygon", "arcs": [[0, 1]], "properties": TWO["features"][0]["properties"]},
        {"type": "MultiPolygon", "arcs": [[[2, -2]]], "properties": TWO["features"][1]["properties"]},
    ]
    return {
        "type": "Topology",
        "transform": {"scale": [scale, scale], "translate": [west, south]},
        "arcs": [corners["left"], corners["shared"], corners["right"]],
        "objects": {"n03": {"type": "GeometryCollection", "geometries": geometries}},
    }


def by_gdal(tmp_path, form, *, encoding="UTF-8"):
    fields = list(TWO["features"][0]["properties"])
    columns = [np.array([f["properties"][name] or "" for f in TWO["features"]], dtype=object) for name in fields]
    shapes = shapely.to_wkb([shapely.MultiPolygon([square(139.0)]), shapely.MultiPolygon([square(139.1)])])
    path = tmp_path / f"n03.{form.removesuffix('.zip')}"
    options = {"encoding": encoding} if form.startswith("shp") else {}
    pyogrio.raw.write(path, shapes, columns, fields, geometry_type="MultiPolygon", crs="EPSG:6668", **options)
    if not form.endswith(".zip"):
        return path
    with zipfile.ZipFile(tmp_path / "n03shp.zip", "w") as archive:
        for part in tmp_path.glob("n03.*"):
            if part.suffix in (".shp", ".shx", ".dbf", ".prj", ".cpg"):
                archive.write(part, f"N03-20240101_GML/{part.name}")
    return tmp_path / "n03shp.zip"


def test_an_old_ksj_shapefile_in_windows_31j_that_says_so_nowhere_is_read_with_its_names(tmp_path):
    path = by_gdal(tmp_path, "shp", encoding="CP932")
    (tmp_path / "n03.cpg").unlink(missing_ok=True)

    found = surveyed(path)

    assert found.areas[0].name_ja == "神奈川県横浜市鶴見区"


def test_geojson_in_windows_31j_is_read_and_told(tmp_path):
    found = surveyed(written(tmp_path, TWO, encoding="cp932"))

    assert found.areas[1].name_ja == "神奈川県三浦郡葉山町"
    assert "encoding" in kinds(found)


def test_an_outline_that_crosses_itself_is_repaired_and_its_row_named(tmp_path):
    bow = shapely.Polygon([(139.0, 35.0), (139.1, 35.1), (139.1, 35.0), (139.0, 35.1)])
    found = surveyed(written(tmp_path, collection(n03("14301", square(139.2), "葉山町"), n03("14101", bow, "横浜市"))))

    assert kinds(found)["repaired"] == (2,)
    assert all(shape.is_valid for shape in found.shapes)
    assert found.shapes[0].area == pytest.approx(bow.convex_hull.area / 2.0)


def test_an_area_in_several_rows_is_one_area(tmp_path):
    document = collection(*TWO["features"], n03("14301", square(139.5), "葉山町", county="三浦郡"))

    found = surveyed(written(tmp_path, document))

    assert found.areas[1].rows == (2, 3)
    assert len(found.shapes[1].geoms) == 2


def test_the_same_outline_again_is_left_out_and_told(tmp_path):
    found = surveyed(written(tmp_path, collection(*TWO["features"], TWO["features"][1])))

    assert kinds(found)["repeat"] == (3,)
    assert found.shapes[1].equals(square(139.1))


def test_one_code_for_two_names_is_left_out_and_both_rows_are_named(tmp_path):
    document = collection(*TWO["features"], n03("14101", square(139.3), "川崎市"))

    found = surveyed(written(tmp_path, document))

    assert [area.code for area in found.areas] == ["14301"]
    assert kinds(found) == {"code": (1, 3)}
    assert "神奈川県横浜市鶴見区 and 神奈川県川崎市" in found.findings[0].text


def test_rows_without_code_or_shape_are_left_out_and_named_and_nobodys_land_apart(tmp_path):
    document = collection(
        *TWO["features"],
        n03(None, square(139.3), "横浜市"),
        n03(None, square(139.4), "所属未定地"),
        n03("14102", None, "横浜市", ward="神奈川区"),
        broken({"type": "Polygon", "coordinates": [[[139.0, 35.0], [139.1, 35.0]]]}),
        broken({"type": "Polygon", "coordinates": "none"}),
        broken({"type": "LineString", "coordinates": [[139.0, 35.0], [139.1, 35.0]]}),
        broken({"type": "Polygon", "coordinates": [[[139.0, 35.0], [None, 35.0], [139.1, 35.1], [139.0, 35.0]]]}),
    )

    found = surveyed(written(tmp_path, document))

    assert [area.code for area in found.areas] == ["14101", "14301"]
    assert kinds(found) == {"no_code": (3,), "nobody's": (4,), "no_shape": (5, 6, 7, 8, 9)}


def test_codes_without_their_leading_zero_or_with_a_check_digit_are_brought_to_five_digits(tmp_path):
    document = collection(
        feature(square(141.0), code="1101", name="北海道札幌市中央区"),
        feature(square(141.1), code="011029", name="北海道札幌市北区"),
    )

    found = surveyed(written(tmp_path, document))

    assert [area.code for area in found.areas] == ["01101", "01102"]
    assert [area.prefecture for area in found.areas] == ["JP-01", "JP-01"]
    assert kinds(found)["code"] == (1, 2)


def test_a_row_with_a_wrong_check_digit_is_left_out_and_named(tmp_path):
    document = collection(
        feature(square(141.0), code="011011", name="北海道札幌市中央区"),
        feature(square(141.1), code="011028", name="北海道札幌市北区"),
    )

    found = surveyed(written(tmp_path, document))

    assert [area.code for area in found.areas] == ["01101"]
    assert [(finding.kind, finding.rows) for finding in found.findings] == [("code", (2,)), ("code", (1,))]


def test_a_row_whose_name_and_code_are_of_two_prefectures_is_left_out_and_the_layer_stays_japanese(tmp_path, data):
    told, layer = imported(tmp_path, data("field") / "boundaries_one_row_name_does_not_fit.geojson")

    odd = next(finding for finding in told["findings"] if finding["kind"] == "odd")
    assert (odd["rows"], "13201 埼玉県川越市" in odd["text"]) == ([1], True)
    assert layer.find(26.25, 127.65).prefecture == "JP-47"
    assert layer.polygon("13201") is None


def test_a_row_with_a_day_that_is_none_is_left_out_and_named(tmp_path):
    rows = [
        feature(square(139.0 + n / 10), code=str(n), name=str(n), valid_from=day)
        for n, day in enumerate(("2026-04-01", "2026-13-01", "soon"))
    ]

    found = surveyed(written(tmp_path, collection(*rows)))

    assert [area.code for area in found.areas] == ["0"]
    assert [finding.rows for finding in found.findings] == [(2,), (3,)]


@pytest.mark.parametrize("odd", [square(35.0, 139.0), square(400_000.0, -30_000.0)])
def test_a_row_in_other_coordinates_than_its_file_is_left_out_and_named(tmp_path, odd):
    document = collection(*TWO["features"], n03("14102", odd, "横浜市", ward="神奈川区"))

    found = surveyed(written(tmp_path, document))

    assert [area.code for area in found.areas] == ["14101", "14301"]
    assert kinds(found) == {"place": (3,), "no_shape": (3,)}


def test_an_octet_that_is_no_text_spoils_its_own_row_alone(tmp_path):
    rows = [n03(f"14{110 + n}", square(139.0 + n / 100, size=0.01), f"町{n}" * 60) for n in range(40)]
    path = written(tmp_path, collection(*rows, n03("14399", square(139.9), "Ｘ")))
    path.write_bytes(path.read_bytes().replace("Ｘ".encode(), b"\xff"))

    found = surveyed(path)

    assert len(found.areas) == 41
    assert {area.prefecture for area in found.areas} == {"JP-14"}
    assert "encoding" in kinds(found)


def test_five_digits_that_are_no_japanese_code_stay_as_they_are(tmp_path):
    document = collection(
        feature(square(126.9, 37.5), code="11010", name="종로구"),
        feature(square(127.0, 37.5), code="1102", name="중구"),
    )

    found = surveyed(written(tmp_path, document))

    assert [(area.code, area.prefecture) for area in found.areas] == [("11010", None), ("1102", None)]


def test_land_claimed_twice_and_gaps_enclosed_by_areas_are_told_with_place_and_size(tmp_path):
    ring = square(139.0, size=0.3).difference(square(139.1, 35.1))
    document = collection(feature(ring, code="A", name="ring"), feature(square(139.29), code="B", name="beside"))

    found = examined(surveyed(written(tmp_path, document)), tell=silent)

    overlap = next(finding for finding in found.findings if finding.kind == "overlap")
    hole = next(finding for finding in found.findings if finding.kind == "hole")
    assert overlap.rows == (1, 2)
    assert "A answers there" in overlap.text
    assert "1 places" in hole.text
    assert "35.15" in hole.text


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "features"),
        (collection(), "no features"),
        (collection(feature(None, code="1", name="a")), "no feature has a polygon"),
        (collection(feature(square(139.0), nummer="1")), "--map code=FIELD; it has nummer"),
        (collection(feature(square(139.0), code="", name="a")), "no row has a polygon and a code"),
        (collection(n03("141010", square(139.0), "横浜市")), "no area is left .*check digit"),
        (collection(feature(square(35.0, 139.0), code="1", name="a")), "axes swapped"),
        (collection(feature(square(350_000.0), code="1", name="a")), "no degrees"),
        (collection(*TWO["features"], crs={"properties": {"name": "urn:ogc:def:crs:EPSG::4301"}}), "4301"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused_with_the_reason(tmp_path, document, words):
    with pytest.raises(Misconfigured, match=words):
        surveyed(written(tmp_path, document))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.geojson", b"{"),
        ("a.geojson", b"\x81\xff\xfe\x00"),
        ("a.geojson.gz", b"no gzip"),
        ("a.geojson.gz", gzip.compress(b"{}", mtime=0)[:-9]),
        ("a.zip", b"PK\x03\x04 cut short"),
        ("a.shp", b"nothing"),
        ("a.gpkg", b""),
        ("a.topojson", b'{"type":"Topology","objects":{"a":{},"b":{}}}'),
        ("a.topojson", b'{"type":"Topology","objects":{"a":{}}}'),
    ],
)
def test_bytes_that_are_no_boundary_file_are_refused_with_its_name(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)

    with pytest.raises(Misconfigured, match=name.replace(".", r"\.")):
        read(tmp_path / name)


def test_a_file_that_is_not_there_is_refused_with_its_name(tmp_path):
    with pytest.raises(WrongSetting, match="missing"):
        imported(tmp_path, tmp_path / "missing.geojson")


def test_counties_of_another_country_are_imported_by_naming_their_fields(tmp_path):
    document = collection(
        feature(square(-122.4, 47.6), GEOID="53033", STUSPS="US-WA", NAME="King"),
        feature(square(-122.3, 47.6), GEOID="53061", STUSPS="US-WA", NAME="Snohomish"),
    )
    fields = ["--map", "code=GEOID", "--map", "prefecture=STUSPS", "--map", "name_en=NAME", "--name", "us-counties"]
    fields += ["--directory", answering(tmp_path, "area:53033")]

    told, layer = imported(tmp_path, written(tmp_path, document), *fields)

    match = layer.find(47.65, -122.35)
    assert told["dataset"] == layer.dataset
    assert told["answered"] == 1
    assert layer.dataset.startswith("us-counties@")
    assert (match.municipality, match.prefecture) == ("53033", "US-WA")
    assert layer.names["53033"] == ("", "King")
    assert layer.find(47.65, -122.5).how == "sea"


def test_a_nena_service_boundary_layer_is_read_with_its_own_fields_and_periods(tmp_path, data):
    template = data("nena/NG911_GISDataModelTemplate_v3.0.gpkg")
    fields = list(pyogrio.read_info(template, layer="FirePolygon")["fields"])
    values = {"NGUID": ["fire-1@sos.example", "fire-2@sos.example"], "DsplayName": ["North", "South"]}
    values |= {"Effective": ["2025-01-01T00:00:00", "2025-01-01T00:00:00"], "Expire": ["", "2026-06-30T00:00:00"]}
    columns = [np.array(values.get(name, ["", ""]), dtype=object) for name in fields]
    shapes = shapely.to_wkb([shapely.MultiPolygon([square(-100.0)]), shapely.MultiPolygon([square(-100.0, 35.1)])])
    path = tmp_path / "nena.gpkg"
    for layer in ("FirePolygon", "PsapPolygon"):
        options = {"geometry_type": "MultiPolygon", "crs": "EPSG:4326", "append": path.exists()}
        pyogrio.raw.write(path, shapes, columns, fields, layer=layer, **options)

    found = surveyed(path, layer="FirePolygon")

    assert [(area.code, area.name_ja, area.valid_from, area.valid_to) for area in found.areas] == [
        ("fire-1@sos.example", "North", date(2025, 1, 1), None),
        ("fire-2@sos.example", "South", date(2025, 1, 1), date(2026, 6, 30)),
    ]


def test_new_areas_come_onto_an_old_index_and_end_what_they_cover(tmp_path):
    old, _ = imported(tmp_path, written(tmp_path, TWO))
    merged = collection(n03("14102", square(139.0), "横浜市", ward="神奈川区"), n03("14999", square(139.8), "島"))
    new = survey([read(written(tmp_path, merged, "new.geojson"))], valid_from=date(2025, 4, 1), tell=silent)

    both = onto(Index(tmp_path / "out.sosgeo"), new)

    periods = {area.code: (area.valid_from, area.valid_to) for area in both.areas}
    assert periods["14101"] == (None, date(2025, 3, 31))
    assert periods["14102"] == (date(2025, 4, 1), None)
    assert periods["14301"] == (None, None)
    assert old["areas"] == 2


def test_an_index_is_brought_up_to_date_in_its_place(tmp_path):
    imported(tmp_path, written(tmp_path, TWO))
    changed = collection(n03("14101", square(139.0, size=0.09), "横浜市", ward="鶴見区"), TWO["features"][1])
    source = written(tmp_path, changed, "n03-2025.geojson")

    told, layer = imported(tmp_path, source, "--onto", tmp_path / "out.sosgeo", "--valid-from", "2025-01-01")

    corner = (35.095, 139.095)
    assert told["areas"] == 4
    assert layer.find(*corner, as_of=date(2024, 12, 31)).how == "inside"
    assert layer.find(*corner, as_of=date(2025, 1, 1)).how == "nearest"
    assert layer.border(*corner, code="14101", as_of=date(2024, 12, 31)).runner_up == "14301"
    assert layer.polygon("14101").area < layer.polygon("14101", as_of=date(2024, 12, 31)).area


def test_areas_that_come_onto_others_must_say_when_they_begin(tmp_path):
    imported(tmp_path, written(tmp_path, TWO))

    with pytest.raises(WrongSetting, match="--valid-from"):
        imported(tmp_path, written(tmp_path, TWO), "--onto", tmp_path / "out.sosgeo")


def test_codes_in_force_without_an_area_and_areas_of_the_past_are_told(tmp_path):
    codes = CodesInForce({"14101": "鶴見区", "14102": "神奈川区", "22138": "浜松市中央区"}, "list@1")

    found = compared(surveyed(written(tmp_path, TWO)), codes)

    assert [(finding.kind, finding.text.split(": ")[1].split(";")[0]) for finding in found.findings] == [
        ("missing", "14102 神奈川区"),
        ("past", "14301"),
    ]
    assert kinds(found)["past"] == (2,)
    assert compared(surveyed(written(tmp_path, TWO)), None).findings == ()


def test_an_area_inside_another_without_a_hole_answers_there_and_both_are_named(tmp_path, data):
    told, layer = imported(tmp_path, data("field") / "boundaries_enclave_no_hole.geojson")

    enclave = next(finding for finding in told["findings"] if finding["kind"] == "enclave")
    assert all(name in enclave["text"] for name in ("30427", "北山村", "29449", "十津川村"))
    assert enclave["rows"] == [1, 2]
    assert (layer.find(33.95, 135.95).municipality, layer.find(33.95, 135.92).municipality) == ("30427", "29449")
    assert [share.code for share in layer.shares(33.95, 135.95, 500.0)] == ["30427"]
    assert layer.border(33.95, 135.95, code="30427").runner_up == "29449"
    assert not any(finding["kind"] == "overlap" for finding in told["findings"])


def test_an_enclave_of_an_enclave_answers_and_nobody_shares_its_land(tmp_path):
    nested = [
        feature(square(139.0 + n / 10, 35.0 + n / 10, size=1.0 - n / 5), code=str(n), name=str(n)) for n in range(4)
    ]

    found = opened(surveyed(written(tmp_path, collection(*nested))), tell=silent)

    assert sum(shape.area for shape in found.shapes) == pytest.approx(1.0)
    assert [shape.contains(shapely.Point(139.15, 35.5)) for shape in found.shapes] == [False, True, False, False]


def test_two_codes_for_one_place_are_an_overlap_and_no_enclave(tmp_path):
    twice = [feature(square(139.0), code="A", name="a"), feature(square(139.0, size=0.0999), code="B", name="b")]

    found = examined(opened(surveyed(written(tmp_path, collection(*twice))), tell=silent), tell=silent)

    assert set(kinds(found)) == {"overlap"}


def test_the_hole_of_an_enclave_is_there_on_its_own_days(tmp_path):
    outer = feature(square(139.0), code="A", name="outer")
    inner = feature(
        square(139.04, 35.04, size=0.02), code="B", name="inner", valid_from="2026-04-01", valid_to="2026-12-31"
    )

    found = opened(surveyed(written(tmp_path, collection(outer, inner))), tell=silent)

    holes = [len(shape.interiors) for shape in found.shapes]
    assert [(area.code, area.valid_from, area.valid_to) for area in found.areas] == [
        ("A", None, date(2026, 3, 31)),
        ("A", date(2026, 4, 1), date(2026, 12, 31)),
        ("A", date(2027, 1, 1), None),
        ("B", date(2026, 4, 1), date(2026, 12, 31)),
    ]
    assert holes == [0, 1, 0, 0]


def test_an_import_in_which_nobody_answers_ends_with_1_says_so_and_leaves_the_layer_that_is_there(tmp_path):
    _, before = imported(tmp_path, written(tmp_path, TWO))
    foreign = collection(feature(square(-122.4, 47.6), code="53033", name="King"))
    arguments = ["import", str(written(tmp_path, foreign, "king.geojson")), "--out", str(tmp_path / "out.sosgeo")]

    result = CliRunner().invoke(geo, [*arguments, "--json"])
    in_words = CliRunner().invoke(geo, arguments)

    assert (result.exit_code, in_words.exit_code) == (1, 1)
    assert json.loads(result.stdout)["answered"] == 0
    assert "every plan would name the default agencies" in in_words.output
    assert MunicipalLayer.load(tmp_path / "out.sosgeo").dataset == before.dataset
    assert CliRunner().invoke(geo, [*arguments, "--anyway"]).exit_code == 0


def test_an_import_goes_where_the_service_of_these_settings_looks(tmp_path):
    house, source = tmp_path / "house", written(tmp_path, TWO)
    towns = tmp_path / "towns.csv"
    towns.write_text("code,town,koaza,lat,lon\n14101,鶴見,,35.05,139.05\n", encoding="utf-8")
    environment = {"SOS_DATA_DIR": str(house)}

    for arguments in (["import", str(source)], ["import-towns", str(towns)], ["show"]):
        result = CliRunner().invoke(geo, [*arguments, "--json"], env=environment)
        assert result.exit_code == 0, result.output

    settings = Settings(data_dir=str(house))
    assert open_layer(settings).find(35.05, 139.05).municipality == "14101"
    found = open_towns(settings)
    assert found is not None
    assert found.nearest(35.05, 139.05, municipality="14101").name == "鶴見"
    named = environment | {"SOS_BOUNDARIES": str(tmp_path / "named.sosgeo")}
    assert CliRunner().invoke(geo, ["import", str(source)], env=named).exit_code == 0
    assert (tmp_path / "named.sosgeo").is_file()


def test_an_import_of_one_prefecture_says_that_the_others_are_missing(tmp_path):
    found = examined(surveyed(written(tmp_path, TWO)), tell=silent)

    assert "46 of 47 prefectures" in next(each.text for each in found.findings if each.kind == "part")


def test_strict_refuses_what_would_be_repaired(tmp_path):
    document = collection(*TWO["features"], n03(None, square(139.3), "横浜市"))

    with pytest.raises(WrongSetting, match="strict"):
        imported(tmp_path, written(tmp_path, document), "--strict")


def test_the_index_holds_where_it_came_from_and_show_prints_it(tmp_path):
    source = written(tmp_path, TWO)
    told, layer = imported(tmp_path, source)

    result = CliRunner().invoke(geo, ["show", str(tmp_path / "out.sosgeo"), "--json"])

    shown = json.loads(result.stdout)
    assert shown["dataset"] == told["dataset"] == layer.dataset
    assert shown["sources"][0]["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert shown["areas"] == 2
    header, _, _, digest = read_header(tmp_path / "out.sosgeo", kind=KIND, about=Header)
    assert layer.dataset == f"{header.name}@{digest}"


def test_the_same_sources_give_the_same_digest_again_and_others_another(tmp_path):
    source = written(tmp_path, TWO)

    first, again = imported(tmp_path, source)[0], imported(tmp_path, source)[0]
    other = imported(tmp_path, source, "--valid-from", "2024-01-01")[0]

    assert first["dataset"] == again["dataset"] != other["dataset"]


def test_one_changed_byte_in_any_section_of_an_index_is_refused(tmp_path):
    imported(tmp_path, written(tmp_path, TWO))
    path = tmp_path / "out.sosgeo"
    whole = path.read_bytes()
    _, header, base, _ = read_header(path, kind=KIND, about=Header)

    for name, section in header.sections.items():
        for place in {base + section.offset, base + section.offset + section.length - 1} if section.length else ():
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            with pytest.raises(Misconfigured, match=name):
                MunicipalLayer.load(path)


@pytest.mark.parametrize("keep", [0, 5, 12, 100, -100])
def test_an_index_cut_short_is_refused_with_its_name(tmp_path, keep):
    imported(tmp_path, written(tmp_path, TWO))
    path = tmp_path / "out.sosgeo"
    path.write_bytes(path.read_bytes()[:keep])

    with pytest.raises(Misconfigured, match=r"out\.sosgeo"):
        MunicipalLayer.load(path)


def test_towns_are_compared_with_their_published_code_and_a_low_agreement_is_exit_code_1(tmp_path):
    imported(tmp_path, written(tmp_path, TWO))
    towns = tmp_path / "towns.csv"
    towns.write_text("code,lat,lon,label_agrees\n14101,35.05,139.05,1\n14301,35.05,139.06,1\n14301,35.05,139.1501,\n")
    arguments = ["check", str(towns), "--boundaries", str(tmp_path / "out.sosgeo"), "--json"]

    result = CliRunner().invoke(geo, arguments)

    told = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (told["judged"], told["agree"], told["other_municipality"]) == (2, 1, 1)


def test_a_source_that_is_not_as_published_is_refused(tmp_path):
    source = written(tmp_path, TWO)
    right = hashlib.sha256(source.read_bytes()).hexdigest()

    imported(tmp_path, source, "--sha256", right.upper())
    with pytest.raises(WrongSetting, match="not as published"):
        imported(tmp_path, source, "--sha256", right[::-1])


def test_a_mapping_that_is_none_is_a_usage_error(tmp_path):
    source = written(tmp_path, TWO)
    for wrong in ("code", "kode=N03_007", "name=N03_004"):
        result = CliRunner().invoke(geo, ["import", str(source), "--map", wrong, "--out", str(tmp_path / "x.sosgeo")])
        assert result.exit_code == 2

    with pytest.raises(WrongSetting, match="no field N99"):
        imported(tmp_path, source, "--map", "code=N99")


def test_a_hole_that_quantising_closed_is_filled(tmp_path):
    document = topology()
    document["arcs"].append([[50, 50], [0, 0], [0, 0]])
    document["objects"]["n03"]["geometries"][0]["arcs"].append([3])

    found = surveyed(written(tmp_path, document, "n03.topojson"))

    assert found.shapes[0].area == pytest.approx(0.01)


def test_towns_are_imported_by_command_and_the_rows_left_out_are_told(tmp_path):
    towns = tmp_path / "towns.csv"
    towns.write_text("code,town,koaza,lat,lon\n14101,鶴見,,35.05,139.05\n14101,,,35.05,139.05\n", encoding="utf-8")

    result = CliRunner().invoke(geo, ["import-towns", str(towns), "--out", str(tmp_path / "t.sosgeo"), "--json"])

    told = json.loads(result.stdout)
    assert (told["points"], told["municipalities"], told["left_out"]) == (1, 1, [2])
