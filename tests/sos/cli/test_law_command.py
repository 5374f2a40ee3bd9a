"""``sos law``: every row with its reason, in words and as JSON; and rule files that are wrong, by their names."""

import json
from importlib import resources
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from sos.cli.law import law
from sos.errors import Misconfigured

RULES = resources.files("routing") / "rules"
CASE = {
    "jurisdiction": "JP",
    "live": True,
    "danger": "automatic_crash",
    "consent_difficulty": "no_answer",
    "recipient_class": "FIRE",
    "held_categories": ["LOC", "MED"],
    "opt_out": True,
    "terms": "mitsubishi-connect",
}


def sos(*arguments: str, given: bytes = b"") -> Result:
    return CliRunner().invoke(law, arguments, input=given)


def explain(*arguments: str, **changes: object) -> Result:
    return sos("explain", "-", "--as-of", "2026-11-21", *arguments, given=json.dumps(CASE | changes).encode())


def test_explain_says_of_every_row_why_it_did_not_fire_and_which_did():
    told = explain()

    text = told.stdout
    assert told.exit_code == 0
    assert "FIRED JP-01: Protection of life without consent" in text
    assert "JP-01-R (" in text
    assert "second limb missing" in text
    rows = [line for line in text.splitlines() if line.startswith(("FIRED", "-  ", "+  "))]
    assert len(rows) == 26  # 23 rows, 2 restrictions, and the last one
    assert "clause      mitsubishi-connect/2026-05-15#4(2)" in text
    assert "opt-out     overridden mitsubishi-connect/2026-05-15#4(4)" in text
    assert "withheld    MED" in text


def test_explain_names_a_restriction_that_holds_a_row_back():
    text = explain(facts=["carrier_data"]).stdout

    assert "JP-01 (Protection of life without consent): fits, but JP-13-R holds it back" in text
    assert "FIRED JP-13-R: What is held as a telecommunications carrier: needs grave_danger_imminent" in text


def test_explain_says_it_in_json_for_a_program():
    told = json.loads(explain("--json").stdout)

    assert (told["verdict"]["rule"], told["verdict"]["outcome"]) == ("JP-01", "permit")
    assert told["verdict"]["categories"] == ["LOC"]
    assert {"rule": "JP-00", "why": "path"} in told["verdict"]["tried"]
    assert told["as_of"] == "2026-11-21"


def test_explain_follows_the_law_of_the_day():
    asked = {"jurisdiction": "GB", "path": "public_task", "named": ["LOC"], "terms": "", "opt_out": False}
    asked["facts"] = ["public_body_asks", "statutory_task_stated", "call_back_verified"]
    case = json.dumps(CASE | asked).encode()

    before = sos("explain", "-", "--as-of", "2026-02-04", given=case).stdout
    after = sos("explain", "-", "--as-of", "2026-02-05", given=case).stdout

    assert "FIRED XX-99" in before
    assert "FIRED UK-01-EA" in after


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"{", "this is not JSON"),
        (b'{"jurisdiction":"JP"}', "missing required field `live`"),
        (json.dumps(CASE | {"colour": "red"}).encode(), "unknown field `colour`"),
        (json.dumps(CASE | {"facts": ["rumour"]}).encode(), "$.facts"),
    ],
)
def test_a_malformed_case_ends_with_code_1_and_its_reason(data, reason):
    told = sos("explain", "-", given=data)

    assert told.exit_code == 1
    assert reason in told.stderr
    assert told.stdout == ""


def test_a_file_that_is_not_there_and_a_day_that_is_none_end_with_code_2(tmp_path):
    assert sos("explain", str(tmp_path / "none.json")).exit_code == 2
    assert sos("explain", "-", "--as-of", "soon", given=json.dumps(CASE).encode()).exit_code == 2


def test_check_says_what_is_in_force():
    told = sos("check")

    assert told.exit_code == 0
    assert "jp-2: APPI-2024-04-01, in force from 2024-04-01, 23 rows, 2 restrictions" in told.stdout
    listed = json.loads(sos("check", "--json").stdout)
    assert {each["name"] for each in listed["editions"]} == {"jp-2", "eu-1", "uk-1", "uk-2", "us-1"}


def test_check_names_what_is_wrong_as_a_setting_that_stops_the_start(tmp_path: Path):
    for name in ("jp.toml", "xx.toml"):
        (tmp_path / name).write_bytes((RULES / name).read_bytes())
    assert sos("check", "--rules", str(tmp_path)).exit_code == 0
    (tmp_path / "jp-again.toml").write_bytes((RULES / "jp.toml").read_bytes())

    told = sos("check", "--rules", str(tmp_path))

    assert isinstance(told.exception, Misconfigured)  # which ``sos`` ends with code 78
    assert "overlap on 2024-04-01" in str(told.exception)
