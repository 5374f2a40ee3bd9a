"""Real municipalities against real points: hard cases, 277,000 towns, the reorganisation of Hamamatsu, PostGIS.

The data lies beside the clone and is not part of it; without it these tests are skipped.
"""

import csv
import gzip
import importlib
import random
from collections import Counter
from datetime import date

import asyncpg
import numpy as np
import pytest
import shapely

from routing.boundaries import MunicipalLayer, projection
from routing.boundaries.build import build
from routing.boundaries.index import Header
from routing.boundaries.sources import read
from routing.boundaries.survey import succeeded, survey

postgis = importlib.import_module("ops.geo.postgis")


def silent(what):
    """Progress told to nobody."""


@pytest.fixture(scope="module")
def cases(data):
    with data("routing_cases.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def towns(data):
    with gzip.open(data("jp_towns_geolonia.csv.gz"), "rt", encoding="utf-8", newline="") as file:
        return [
            (row["code"], float(row["lat"]), float(row["lon"]), row["label_agrees"]) for row in csv.DictReader(file)
        ]


def near_towns(towns, number, *, seed):
    """Points within some hundred metres of towns: where people drive."""
    draw = random.Random(seed)
    chosen = draw.choices(towns, k=number)
    return [(town[1] + draw.gauss(0.0, 2e-3), town[2] + draw.gauss(0.0, 2e-3)) for town in chosen]


@pytest.mark.parametrize("kind", ["hard", "pref_border", "easy"])
def test_no_land_case_gets_another_municipality(japan, cases, kind):
    land = [row for row in cases if row["kind"] == kind]
    found = [japan.find(float(row["lat"]), float(row["lon"])) for row in land]

    wrong = [(row, match) for row, match in zip(land, found, strict=True) if match.municipality != row["code"]]
    assert wrong == []
    assert {match.how for match in found} == {"inside"}
    assert all(match.prefecture == f"JP-{row['code'][:2]}" for row, match in zip(land, found, strict=True))


def test_points_at_sea_get_the_nearest_municipality_and_say_that_they_are_off_shore(japan, cases):
    sea = [row for row in cases if row["kind"] == "offshore" and row["nearest_other_code"] != "X"]
    found = [japan.find(float(row["lat"]), float(row["lon"])) for row in sea]

    assert len(sea) == 104  # the 105th lies off 須美寿島 and its like, islands that no municipality has been given
    assert [match.municipality for match in found] == [row["nearest_other_code"] for row in sea]
    assert {match.how for match in found} <= {"nearest", "sea"}
    for row, match in zip(sea, found, strict=True):
        assert match.distance_m == pytest.approx(float(row["distance_to_other_m"]), rel=0.01, abs=30.0)


def test_the_sea_off_islands_that_are_nobodys_is_given_to_the_prefecture_that_is_nearest(japan, cases):
    nobodys = [row for row in cases if row["nearest_other_code"] == "X"]
    found = [japan.find(float(row["lat"]), float(row["lon"])) for row in nobodys]

    assert [(match.how, match.prefecture) for match in found] == [("sea", "JP-13")]


def test_277_000_towns_agree_with_their_published_municipality(japan, towns):
    judged = [town for town in towns if town[3]]
    found = japan.find_many([town[1] for town in judged], [town[2] for town in judged])

    right = sum(
        match.how == "inside" and match.municipality == town[0] for match, town in zip(found, judged, strict=True)
    )
    assert len(judged) == 276_751
    assert right / len(judged) >= 0.9998
    clear = [(match, town) for match, town in zip(found, judged, strict=True) if town[3] == "1"]
    assert sum(match.municipality == town[0] for match, town in clear) / len(clear) >= 0.9998


def test_every_corner_of_every_border_is_answered_as_geos_answers(japan):
    shapes = [japan.polygon(code) for code in japan.codes]
    corners = shapely.get_coordinates(shapes)
    chosen = corners[np.random.default_rng(7).choice(len(corners), 20_000, replace=False)]
    area, point = shapely.STRtree(shapely.points(chosen)).query(shapes, predicate="intersects")
    truth = {}
    for number, where in zip(area.tolist(), point.tolist(), strict=True):
        truth[where] = min(truth.get(where, "~"), japan.codes[number])

    found = japan.find_many(chosen[:, 1], chosen[:, 0])

    assert [match.municipality for match in found] == [truth[where] for where in range(len(chosen))]
    assert {match.how for match in found} == {"inside"}


@pytest.fixture(scope="module")
def hamamatsu(data, tmp_path_factory):
    """The old wards until 2023, their successors from 2024 on."""
    content = read(data("jp_municipalities_simplified_30m.geojson.gz"))
    rows = [row for row in content.rows if row.fields["code"].startswith("22")]
    found = succeeded(survey([content._replace(rows=rows)], tell=silent), None)
    path = tmp_path_factory.mktemp("hamamatsu") / "shizuoka.sosgeo"
    header = Header(name="shizuoka", accuracy_m=30.0, sources=(content.source,), areas=found.areas)
    build(header, found.shapes, path, tell=silent)
    return MunicipalLayer.load(path), found


def test_hamamatsus_wards_follow_the_date(hamamatsu, towns):
    layer, _ = hamamatsu
    became = {"22131": "22138", "22132": "22138", "22133": "22138", "22134": "22138"}
    became |= {"22135": "22139", "22136": "22139", "22137": "22140"}
    there = [town for town in towns if town[0] in became and town[3] == "1"]
    asked = [town[1] for town in there], [town[2] for town in there]

    old, new = layer.find_many(*asked, as_of=date(2023, 12, 31)), layer.find_many(*asked, as_of=date(2024, 1, 1))

    assert len(there) == 551
    agreeing = [(a, b) for a, b, town in zip(old, new, there, strict=True) if a.municipality == town[0]]
    assert len(agreeing) >= 550
    assert all(b.municipality == became[a.municipality] for a, b in agreeing)
    assert layer.find_many(*asked) == new


def test_what_old_outlines_cannot_show_of_hamamatsu_is_said_in_the_findings(hamamatsu):
    _, found = hamamatsu

    made = [finding.text for finding in found.findings if finding.kind == "made"]
    assert len(made) == 3
    assert "三方原町" in made[0]


def test_the_simplified_and_the_full_outline_of_tokyo_agree_on_hard_cases(japan, cases, data, tmp_path):
    content = read(data("jp_n03_fullres_tokyo_kanagawa.geojson.gz"))
    found = survey([content], tell=silent)
    path = tmp_path / "kanto.sosgeo"
    build(
        Header(name="kanto", accuracy_m=1.0, sources=(content.source,), areas=found.areas),
        found.shapes,
        path,
        tell=silent,
    )
    full = MunicipalLayer.load(path)
    land = [row for row in cases if row["code"][:2] in ("13", "14")]

    assert len(full.codes) == 111
    assert len(land) > 20
    for row in land:
        place = float(row["lat"]), float(row["lon"])
        assert full.find(*place).municipality == japan.find(*place).municipality == row["code"]


@pytest.fixture(scope="module")
def judge(japan):
    """A PostGIS that holds the same polygons."""
    if postgis.programs() is None:
        pytest.skip("no PostgreSQL with PostGIS on this machine (Debian: postgresql-15-postgis-3)")
    with postgis.server() as address:
        yield address


async def load(connection, japan):
    await connection.execute("CREATE TABLE area (code text, shape geometry(Geometry, 4326))")
    rows = [(code, shapely.to_wkb(japan.polygon(code))) for code in japan.codes]
    await connection.executemany("INSERT INTO area VALUES ($1, ST_SetSRID(ST_GeomFromWKB($2), 4326))", rows)
    await connection.execute("CREATE INDEX ON area USING gist (shape)")


async def test_postgis_gives_the_same_answers_for_20_000_points_and_2_000_circles(judge, japan, towns):
    points = near_towns(towns, 20_000, seed=11)
    circles = [projection.circle(*point, 500.0) for point in points[:2_000]]
    connection = await asyncpg.connect(judge)
    try:
        await load(connection, japan)
        covers = """SELECT n, min(code) FROM unnest($1::float8[], $2::float8[]) WITH ORDINALITY AS p(lon, lat, n)
                    JOIN area ON ST_Covers(shape, ST_SetSRID(ST_MakePoint(lon, lat), 4326)) GROUP BY n"""
        rows = await connection.fetch(covers, [p[1] for p in points], [p[0] for p in points])
        touches = """SELECT n, code, ST_Area(ST_Intersection(shape, circle)) / ST_Area(circle) AS part
                     FROM unnest($1::bytea[]) WITH ORDINALITY AS c(wkb, n),
                     LATERAL (SELECT ST_SetSRID(ST_GeomFromWKB(wkb), 4326) AS circle) AS g
                     JOIN area ON ST_Intersects(shape, circle)"""
        parts = await connection.fetch(touches, [shapely.to_wkb(circle) for circle in circles])
    finally:
        await connection.close()

    truth = {row[0] - 1: row[1] for row in rows}
    found = japan.find_many([p[0] for p in points], [p[1] for p in points])
    differing = [n for n, m in enumerate(found) if (m.municipality if m.how == "inside" else None) != truth.get(n)]
    assert differing == []

    judged: dict[int, dict[str, float]] = {}
    for row in parts:
        if row["part"] > 1e-9:
            judged.setdefault(row["n"] - 1, {})[row["code"]] = row["part"]
    for number, circle in enumerate(circles):
        ours = {share.code: share.share for share in japan.shares_of(circle)}
        theirs = judged.get(number, {})
        assert {code for code, part in ours.items() if part > 1e-9} == set(theirs), number
        assert all(ours[code] == pytest.approx(part, abs=1e-6) for code, part in theirs.items())
        exact = {share.code: share.share for share in japan.shares(*points[number], 500.0)}
        assert all(exact.get(code, 0.0) == pytest.approx(part, abs=2e-3) for code, part in theirs.items())
    assert Counter(len(each) for each in judged.values())[2] > 100
