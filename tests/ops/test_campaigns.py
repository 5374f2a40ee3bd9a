"""The long campaigns and the other Pythons: one command each, with a table of what was found and what was not run."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.ops.conftest import ROOT, Run, environment

CAMPAIGN = """
case "$1 $2" in
  "-m tests.sos.dispatch.simulate") echo "3 promises broken in $3"; exit 1;;
  "-m tests."*) echo "ran $*"; exit 0;;
  "-m pip") exit 0;;
esac"""
"""In Python's place: one campaign finds something, the others nothing."""


def test_everything_a_campaign_runs_is_there(run: Run) -> None:
    told = run("campaigns", "--list")

    started = re.findall(r"python (?:-m (\S+)|(\S+\.py))", told.stdout)
    assert len(started) >= 10
    for module, file in started:
        assert find_spec(module) if module else (ROOT / file).is_file(), (module, file)


def test_what_was_found_and_what_was_not_stand_in_one_table(run: Run, checkout: Path) -> None:
    environment(checkout, CAMPAIGN)

    told = run("campaigns", "--short", "hand-offs", "strangers", SEED="7")

    table = told.stdout.splitlines()[-2:]
    assert told.returncode == 1
    assert re.fullmatch(r"FAILED +\d+ s  hand-offs +3 promises broken in 20", table[0])
    assert re.fullmatch(r"ok +\d+ s  strangers +ran -m tests.sos.calls.strangers --calls 2", table[1])
    assert (checkout / "var" / "campaigns" / "strangers.log").is_file()


@pytest.mark.parametrize("asked", ["--quick", "no-such-campaign"])
def test_a_campaign_that_is_not_there_is_said_and_none_is_run(run: Run, checkout: Path, asked: str) -> None:
    environment(checkout, CAMPAIGN)

    told = run("campaigns", asked)

    assert told.returncode == 1
    assert "ran" not in told.stdout
    assert "--list" in told.stderr


def test_a_python_that_is_not_on_this_machine_is_skipped_by_name(run: Run) -> None:
    told = run("pythons", "3.99")

    assert told.returncode == 0
    assert told.stdout.splitlines()[-1].startswith("skipped         3.99: no such interpreter")
