"""Every real crash of the police agency's records through the exact layer: municipality, fire, police, carriageway."""

import csv
import gzip
import importlib

import msgspec
import pytest

from routing.directory import Directory
from routing.directory.importing import read_tables
from routing.directory.toml import to_toml
from routing.plan import Facts, Sources, plan_from
from routing.plan.bulk import Answer, Bulk
from routing.plan.routes import Crossings
from routing.services import Service

check_npa = importlib.import_module("ops.geo.check_npa")


@pytest.fixture(scope="module")
def directory(data):
    """The invented agencies with the sample of real headquarters over them, as ``sos directory import`` makes it."""
    table = data("fire_hq_sample.csv")
    demo = Directory.demo()
    imported = read_tables([(table.name, table.read_bytes())], known=demo.agencies.values())
    agencies = {**demo.agencies, **{agency.id: agency for agency in imported.agencies}}
    text = to_toml("sample", agencies.values(), centres=demo.centres.values(), duties=imported.duties)
    return Directory.read(text.encode())


def test_all_real_crashes_get_a_municipality_their_police_and_a_fire_service(japan, directory, data, capsys):
    path = data("npa_crashes.csv")

    routed = check_npa.route_rows(path, japan, directory)
    result = check_npa.check(path, japan, check_npa.PrefectureLayer.load())

    with capsys.disabled():
        print(f"\n{check_npa.summary(path, routed)}")
    assert routed.counts["rows"] == routed.counts["municipality found"] == routed.counts["police headquarters"] == 2_300
    assert result.right >= 2_298
    assert routed.counts["as the police's own municipality code"] >= 2_250
    assert routed.counts["fire headquarters by the table"] >= 300
    assert sum(routed.carriageways.values()) == 1_774
    assert sum(count for (way, _), count in routed.carriageways.items() if way in ("up", "down")) > 1_700


def test_hokkaidos_crashes_go_to_the_police_area_that_recorded_them(japan, directory, data):
    areas = {"札幌": "jp-01-police", "旭川": "jp-01-police-asahikawa", "釧路": "jp-01-police-kushiro"}
    with data("npa_crashes.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if "北海道" in row["prefecture"]]
    bulk = Bulk(Sources(layer=japan, directory=directory))

    for row in rows:
        answer = bulk.answer(float(row["lat"]), float(row["lon"]))
        police = next(body.id for body in answer.agencies if body.service is Service.POLICE)
        assert police == areas[row["prefecture"][4:6]]
    assert len(rows) == 27


def test_impossible_rows_are_answered_by_the_default_agencies(japan, directory, data):
    routed = check_npa.route_rows(data("npa_bad_coordinates.csv"), japan, directory)

    assert routed.counts["default agencies, position unknown"] == routed.counts["rows"] == 74


def test_town_points_in_bulk_get_the_municipality_of_their_label(japan, directory, data):
    with gzip.open(data("jp_towns_geolonia.csv.gz"), "rt", encoding="utf-8", newline="") as file:
        towns = [row for row in csv.DictReader(file) if row["label_agrees"]][::10]
    lines = Bulk(Sources(layer=japan, directory=directory)).lines(
        [(float(row["lat"]), float(row["lon"]), None) for row in towns]
    )

    right = sum(
        msgspec.json.decode(line, type=Answer).municipality == row["code"]
        for line, row in zip(lines, towns, strict=True)
    )

    assert right / len(towns) >= 0.9998


def test_the_tunnel_under_tokyo_bay_is_on_land_and_not_at_sea(japan, directory):
    sources = Sources(layer=japan, directory=directory, crossings=Crossings.load())

    made = plan_from(Facts(latitude=35.49, longitude=139.83), sources)

    assert made.crossing is not None
    assert "at_sea" not in made.flags
    assert made.municipality in {"14131", "12206"}
    assert {"jp-14-police", "jp-12-police"} <= set(made.agencies)
