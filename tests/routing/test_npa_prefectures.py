"""Real crashes of Japan's National Police Agency, and real sea points, through the shipped layer and the planner.

The records lie beside the clone and are not part of it; without them these tests are skipped.
"""

import csv
import importlib
from pathlib import Path

import pytest

from routing.boundaries import PrefectureLayer
from routing.directory import Directory
from routing.plan import Facts, PlanRules, make_plan

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
LAYER, DIRECTORY, RULES = PrefectureLayer.load(), Directory.demo(), PlanRules()
check_npa = importlib.import_module("ops.geo.check_npa")


def file(name):
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{name} is not beside the clone")
    return path


def rows(name):
    with file(name).open(encoding="utf-8", newline="") as source:
        yield from csv.DictReader(source)


def plan(row):
    facts = Facts(latitude=float(row["lat"]), longitude=float(row["lon"]), trigger="automatic")
    return make_plan(facts, layer=LAYER, directory=DIRECTORY, rules=RULES)


def test_98_of_100_real_crashes_get_the_prefecture_the_police_recorded():
    path = file("npa_crashes.csv")
    result = check_npa.check(path, LAYER)
    table = check_npa.table(path, result)
    print(table)

    assert result.unknown == ()
    assert result.rows == 2_300
    assert result.share >= 0.98, table


def test_nearly_every_real_crash_has_the_right_prefecture_first_or_as_runner_up_near_a_border():
    found = 0
    total = 0
    for row in rows("npa_crashes.csv"):
        made, right = plan(row), check_npa.code_of(row["prefecture"], LAYER)
        total += 1
        found += right == made.prefecture or (right == made.runner_up and "near_border" in made.flags)

    assert found / total >= 0.998


def test_every_real_row_with_an_impossible_position_becomes_a_plan_with_position_unknown():
    plans = [plan(row) for row in rows("npa_bad_coordinates.csv")]

    assert len(plans) == 74
    assert all(
        "position_unknown" in made.flags and made.agencies == ("jp-default-fire", "jp-default-police") for made in plans
    )


def test_the_command_for_people_lists_the_rows_without_a_position_by_reason():
    path = file("npa_bad_coordinates.csv")

    table = check_npa.table(path, check_npa.check(path, LAYER))

    assert "74 rows, 74 position unknown, 0 right, 0 wrong" in table
    assert "null_island: 73" in table
    assert "latitude_near_zero: 1" in table


def test_real_sea_points_are_planned_without_a_fault_and_most_know_they_are_off_shore():
    offshore = [plan(row) for row in rows("routing_cases.csv") if row["kind"] == "offshore"]

    assert len(offshore) == 105
    assert all(made.agencies for made in offshore)
    assert sum(bool({"off_shore", "at_sea"} & set(made.flags)) for made in offshore) > 70


def test_real_land_points_get_their_prefecture_unless_a_border_is_near():
    land = [(plan(row), f"JP-{row['code'][:2]}") for row in rows("routing_cases.csv") if row["kind"] == "easy"]
    wrong = [(made, right) for made, right in land if made.prefecture != right]

    assert len(wrong) / len(land) <= 0.02
    assert all("near_border" in made.flags or "off_shore" in made.flags for made, _ in wrong)
