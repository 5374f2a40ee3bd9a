"""``sos route`` and ``sos directory``: the same answer for a point and for a row, whatever stands in the row."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from routing.directory import Directory
from sos.cli import app
from sos.errors import Misconfigured, SosError

SAMPLE = Path(__file__).resolve().parents[4] / "shared" / "data" / "fire_hq_sample.csv"
RUN = CliRunner()


def sos(*arguments: str, code: int = 0) -> str:
    done = RUN.invoke(app, arguments)
    assert done.exit_code == code, done.output
    return done.stdout


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def batch(tmp_path: Path, text: str | bytes, *more: str) -> list[dict[str, object]]:
    file = tmp_path / "rows.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return lines(sos("route", "--batch", str(file), *more))


def test_a_point_is_answered_for_people_and_for_programs():
    shown = sos("route", "35.6812", "139.7671")
    (answer,) = lines(sos("route", "35.6812", "139.7671", "--json"))

    assert "jp-13-fire" in shown
    assert list(answer) == [
        "municipality", "municipality_name", "prefecture", "how", "agencies", "flags", "shares",
    ]  # fmt: skip
    assert answer["prefecture"] == "JP-13"
    assert answer["flags"] == ["prefecture_layer_only"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("-33.9", "18.4", "--json"),
        ("--json", "--", "-33.9", "18.4"),
        ("--json", "-33.9", "18.4"),
        ("-33.9", "--json", "18.4"),
    ],
)
def test_a_southern_latitude_is_a_number_and_no_option(arguments):
    (answer,) = lines(sos("route", *arguments))

    assert "outside_coverage" in answer["flags"]


def test_both_coordinates_may_be_negative_and_an_option_may_stand_anywhere():
    (answer,) = lines(sos("route", "-33.9", "--uncertainty-m", "50", "-18.4", "--json"))

    assert "outside_coverage" in answer["flags"]


@pytest.mark.parametrize(
    "arguments",
    [("abc", "139"), ("35",), (), ("35", "139", "--jsn"), ("35", "139", "--service", "plumber"), ("35", "139", "1")],
)
def test_a_slip_of_the_keyboard_is_refused_as_one(arguments):
    sos("route", *arguments, code=2)


def test_a_point_that_is_no_place_gets_the_default_agencies():
    (answer,) = lines(sos("route", "nan", "139.7", "--json"))

    assert {"position_unknown", "not_a_number", "default_agency"} <= set(answer["flags"])
    assert [body["id"] for body in answer["agencies"]] == ["jp-default-fire", "jp-default-police"]


def test_every_row_of_a_file_has_its_line_in_order_and_bad_ones_too(tmp_path):
    found = batch(
        tmp_path,
        "name,lat,lon,uncertainty_m\n"
        "good,35.6812,139.7671,\n"
        "text,north,139.7671,\n"
        "swapped,139.7671,35.6812,\n"
        "short\n"
        "nan,nan,nan,\n"
        "\n"
        "empty,,,\n"
        "circle,35.5990,139.6330,3000\n"
        "osaka,34.6937,135.5023,x\n",
    )

    assert [answer["prefecture"] for answer in found] == ["JP-13", None, None, None, None, None, "JP-14", "JP-27"]
    assert "not_a_number" in found[1]["flags"]
    assert "axes_swapped?" in found[2]["flags"]
    assert "missing" in found[3]["flags"]
    assert "missing" in found[5]["flags"]
    assert {each["code"] for each in found[6]["shares"]} == {"JP-13", "JP-14"}
    assert "uncertainty_ignored" in found[7]["flags"]


def test_the_options_mean_the_same_for_a_row_and_for_a_point(tmp_path):
    more = ("--uncertainty-m", "3000", "--service", "police", "--as-of", "2024-01-01")

    (row,) = batch(tmp_path, "lat,lon\n35.5990,139.6330\n", *more)
    (point,) = lines(sos("route", "35.5990", "139.6330", *more, "--json"))

    assert row == point
    assert {body["service"] for body in row["agencies"]} == {"police"}


def test_a_file_from_a_spreadsheet_is_read(tmp_path):
    found = batch(tmp_path, '\ufeff"Longitude","Latitude"\r\n"139.7671","35.6812"\r\n'.encode())

    assert [answer["prefecture"] for answer in found] == ["JP-13"]


def test_a_file_without_the_columns_or_that_is_not_there_is_refused_by_name(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")

    for file, words in (("x.csv", "columns lat and lon"), ("none.csv", "none.csv")):
        done = RUN.invoke(app, ["route", "--batch", str(tmp_path / file)])
        assert isinstance(done.exception, SosError)
        assert words in str(done.exception)


def test_boundaries_that_are_not_there_are_a_wrong_setting(tmp_path):
    done = RUN.invoke(app, ["route", "35", "139", "--boundaries", str(tmp_path / "none")])

    assert isinstance(done.exception, Misconfigured)


cells = st.text(st.characters(codec="utf-8", exclude_characters='"\r\n,'), max_size=6) | st.floats().map(str)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(cells, cells, cells), max_size=6))
def test_as_many_lines_come_out_as_rows_go_in_whatever_they_hold(tmp_path, rows):
    text = "lat,lon,uncertainty_m\n" + "".join(",".join(row) + "\n" for row in rows)

    assert len(batch(tmp_path, text)) == len(rows)


# --- sos directory ---


def test_a_table_becomes_a_directory_that_routes_by_it(tmp_path):
    table, out = tmp_path / "hq.csv", tmp_path / "made.toml"
    table.write_text("code6,fire_hq,tel\n131041,架空新宿消防,+81300000001\n131042,架空誤記消防,+81300000002\n")

    done = RUN.invoke(app, ["directory", "import", str(table), "--out", str(out), "--json"])

    report = json.loads(done.stdout)
    assert done.exit_code == 1  # one row was refused, and the others are written all the same
    assert (report["rows"], report["duties"], report["refused"]) == (2, 1, 1)
    assert [(each["row"], each["what"], each["outcome"]) for each in report["findings"]] == [
        (3, "bad_check_digit", "refused")
    ]
    book = Directory.read(out.read_bytes())
    assert book.assign("fire", prefecture="JP-13", municipality="13104").agency.name_ja == "架空新宿消防"
    (answer,) = lines(sos("route", "35.6812", "139.7671", "--directory", str(out), "--json"))
    assert answer["agencies"][0]["id"] == "jp-13-fire"  # the shipped layer knows no municipality


def test_a_check_writes_nothing_and_counts_every_code_in_force(tmp_path):
    table = tmp_path / "hq.csv"
    table.write_text("code5,fire_hq,tel\n13104,架空新宿消防,+81300000001\n")

    report = json.loads(sos("directory", "check", str(table), "--as-of", "2026-11-21", "--json"))

    assert report["written"] is None
    assert list(tmp_path.iterdir()) == [table]
    assert report["coverage"][0]["once"] == 1
    assert len(report["coverage"][0]["missing"]) == report["coverage"][0]["codes"] - 1
    sos("directory", "check", str(table), "--complete", code=1)
    assert "codes in force" in sos("directory", "check", str(table))


def test_a_finished_directory_is_checked_as_well(tmp_path):
    table, out = tmp_path / "hq.csv", tmp_path / "made.toml"
    table.write_text("code5,fire_hq,tel\n13104,架空新宿消防,+81300000001\n")
    sos("directory", "import", str(table), "--out", str(out))

    report = json.loads(sos("directory", "check", str(out), "--as-of", "2026-11-21", "--json"))

    assert (report["duties"], report["coverage"][0]["once"]) == (1, 1)
    out.write_text(out.read_text() + "colour = 'red'\n")
    assert isinstance(RUN.invoke(app, ["directory", "check", str(out)]).exception, Misconfigured)


def test_a_file_that_is_no_table_is_refused_by_name(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")

    done = RUN.invoke(app, ["directory", "check", str(tmp_path / "x.csv")])

    assert isinstance(done.exception, SosError)
    assert "x.csv" in str(done.exception)


@pytest.mark.skipif(not SAMPLE.is_file(), reason="the sample of fire headquarters is not beside this clone")
def test_the_real_sample_is_imported_and_its_want_of_numbers_is_said(tmp_path):
    report = json.loads(sos("directory", "import", str(SAMPLE), "--out", str(tmp_path / "d.toml"), "--json"))

    assert (report["rows"], report["agencies"], report["without_channel"], report["refused"]) == (121, 63, 63, 0)
    assert "not_in_force" in {each["what"] for each in report["findings"]}
