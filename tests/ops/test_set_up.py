"""Setting a checkout up on a machine of any sort: what is missing is said in words, and nothing else is begun."""

import os
import re
import sys
from pathlib import Path

import hatchling
import pytest

from tests.ops.conftest import Run, environment, tool


@pytest.mark.parametrize("script", ["run", "test"])
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("printf 'is 3.9.18'", "python3 is 3.9.18"),
        ("printf 'is 3.12.3 and has no venv module'", "python3 is 3.12.3 and has no venv module"),
        ("exit 1", "python3 is not there"),
    ],
)
def test_a_python_that_does_not_fit_is_refused_before_anything_is_begun(
    run: Run, tools: Path, checkout: Path, script: str, answer: str, said: str
) -> None:
    for name in ("python3", "python3.11", "python3.12", "python3.13", "python3.14"):
        tool(tools, name, f'case "$2" in *platform*) {answer};; *) exit 1;; esac')

    told = run(script)

    assert told.returncode == 1
    assert told.stdout == ""
    assert f"needs Python 3.11.2 or newer with its venv module; {said}" in told.stderr
    assert "PYTHON=/path/to/python" in told.stderr
    assert not (checkout / ".venv").exists()


def test_an_interpreter_that_was_named_is_not_passed_over_for_another(run: Run) -> None:
    told = run("run", PYTHON="/no/python")

    assert (told.returncode, told.stdout) == (1, "")
    assert "/no/python is not there" in told.stderr


def test_a_pip_that_cannot_read_the_locks_is_refused_with_the_command_that_renews_it(run: Run, checkout: Path) -> None:
    (checkout / "old" / "pip").mkdir(parents=True)
    (checkout / "old" / "pip" / "__init__.py").write_text('__version__ = "20.0.2"\n')
    environment(checkout, f'export PYTHONPATH="{checkout}/old"')

    told = run("run")

    assert told.returncode == 1
    assert "is older than 21.3" in told.stderr
    assert f"{checkout}/.venv/bin/python -m pip install -U pip" in told.stderr


@pytest.mark.parametrize("with_uv", [False, True])
def test_a_path_with_spaces_and_letters_of_any_script_and_a_home_nobody_can_write_do(
    run: Run, checkout: Path, tools: Path, with_uv: bool
) -> None:
    if with_uv:
        tool(tools, "uv", "exit 1")  # one that cannot reach anything: pip is asked next
    backend = str(Path(hatchling.__file__).parents[1])

    told = run("run", "--port", "8081", PYTHON=sys.executable, PYTHONPATH=backend, HOME="/proc/nobody")
    again = run("run", PYTHON=sys.executable, HOME="/proc/nobody")

    assert told.stdout.splitlines()[-1] == "sos demo --port 8081", told.stderr
    assert again.stdout.splitlines() == [
        "-- building the operator's console, if its sources have changed", "-- starting: sos demo ", "sos demo",
    ]  # fmt: skip
    assert (checkout / ".venv" / "bin" / "sos").is_file()


PYTEST = 'case "$1 $2" in "-m pytest") shift 2; echo "pytest $*"; exit 5;; "-m pip") exit 0;; esac'


def test_tests_of_one_room_run_together_then_what_keeps_time_then_what_must_be_alone(run: Run, checkout: Path) -> None:
    environment(checkout, PYTEST)

    told = run("test", "tests/sos/journal", "-x", WORKERS="7")

    ran = [line for line in told.stdout.splitlines() if line.startswith("pytest ")]
    assert told.returncode == 0, told.stderr
    assert len(ran) == 3
    assert all(line.endswith(" tests/sos/journal -x") for line in ran)
    assert "-n 7" in ran[0]
    marked = [line.partition(" -m ")[2].removesuffix(" tests/sos/journal -x") for line in ran]
    assert marked == ["not alone and not paced", "paced", "alone"]


ANYTHING = """
case "$1 $2" in
  "-m pytest") shift 2; echo "pytest $*, nice $(nice)"; exit 0;;
  "-m pip") exit 0;;
  ops/*) echo "ran $1"; [ "$1" != "$BROKEN" ]; exit;;
esac"""


@pytest.mark.parametrize("broken", ["", "ops/check_wheel.py", "mypy"])
def test_everything_runs_whatever_fails_on_the_way_and_what_failed_is_named(
    run: Run, checkout: Path, broken: str
) -> None:
    programs = environment(checkout, ANYTHING)
    for name in ("ruff", "mypy", "lint-imports"):
        tool(programs, name, f'echo "ran {name}"; [ {name} != "$BROKEN" ]')

    told = run("test", BROKEN=broken)

    ours = os.nice(0)
    ran = re.findall(r"^(?:ran|pytest) .*", told.stdout, re.MULTILINE)
    assert [line for line in ran if "ops" in line] == [
        "ran ops/build_console.py", "ran ops/check_console.py", "ran ops/check_wheel.py"
    ]  # fmt: skip
    assert [line for line in ran if line.endswith(("ruff", "mypy", "imports"))] == [
        "ran ruff", "ran ruff", "ran mypy", "ran lint-imports"
    ]  # fmt: skip
    assert [re.findall(r"-m (.*), nice (\d+)", line)[0] for line in ran if line.startswith("pytest")] == [
        ("not alone and not paced", str(min(19, ours + 10))), ("paced", str(ours)), ("alone", str(ours)),
    ]  # fmt: skip
    table = re.findall(r"^(ok|FAILED) +\d+ s  (.*)$", told.stdout, re.MULTILINE)
    assert len(table) == 10
    assert [title.split(":")[0] for outcome, title in table if outcome == "FAILED"] == (
        [broken.removeprefix("ops/check_").removesuffix(".py")] if broken else []
    )
    assert told.returncode == (1 if broken else 0)


@pytest.mark.skipif(not Path("/etc/debian_version").is_file(), reason="packages are Debian's")
def test_who_is_not_root_is_told_what_is_missing_and_nothing_is_installed(
    run: Run, checkout: Path, tools: Path
) -> None:
    environment(checkout, PYTEST)
    tool(tools, "id", "echo 1000")
    tool(tools, "dpkg-query", "exit 1")
    tool(tools, "apt-get", "echo apt-get was asked >&2")

    told = run("test", "tests/sos/journal")

    assert told.returncode == 0
    assert "only as root: chromium" in told.stdout
    assert told.stderr == ""
