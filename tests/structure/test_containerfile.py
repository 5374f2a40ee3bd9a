"""The container's recipe, as far as it can be looked at without building: rights, health, what is copied and what not.

No image is built here, for want of a builder and of a registry; `ops/check_wheel.py` takes the same steps of building
and installing in an environment of its own.
"""

import json
import re
import subprocess
from pathlib import Path

from typer.testing import CliRunner

from sos.cli import app

ROOT = Path(__file__).resolve().parents[2]
FILE = (ROOT / "ops" / "Containerfile").read_text()
STEPS = re.findall(r"^([A-Z]+) (.+)$", FILE, re.MULTILINE)
LAST = FILE[FILE.rindex("\nFROM ") :]


def _of(step: str, text: str = FILE) -> list[str]:
    return re.findall(rf"^{step} (.+)$", text, re.MULTILINE)


def test_it_runs_as_a_number_that_is_not_root_and_holds_one_writable_folder():
    assert _of("USER", LAST) == ["10001:10001"]
    assert _of("VOLUME", LAST) == ["/var/lib/sos"]
    assert "chown 10001:10001 /var/lib/sos" in LAST
    assert "PYTHONDONTWRITEBYTECODE=1" in LAST
    assert "compileall" in FILE
    assert "--read-only" in FILE.partition("FROM")[0]


def test_its_health_check_is_ours_and_as_quick_as_the_watchdog():
    told = _of("HEALTHCHECK", LAST)[0]
    given = {name: int(value) for name, value in re.findall(r"--(interval|timeout|retries)=(\d+)", told)}
    command = json.loads(told.partition("CMD ")[2])
    unit = (ROOT / "ops" / "systemd" / "sos.service").read_text()
    found = int(re.findall(r"^WatchdogSec=(\d+)$", unit, re.MULTILINE)[0])

    assert given["retries"] * (given["interval"] + given["timeout"]) <= found + given["timeout"]
    assert command[0] == "/opt/sos/bin/sos"
    nobody = CliRunner().invoke(app, [*command[1:], "--url", "http://127.0.0.1:9"])
    assert nobody.exit_code == 1
    assert float(command[-1]) < given["timeout"]


def test_what_it_copies_is_there_and_nothing_of_this_machine_goes_with_it():
    sources = [each for line in _of("COPY") if "--from" not in line for each in line.split()[:-1]]
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}

    assert set(sources) == kept
    assert [each for each in sources if not (ROOT / each).exists()] == []
    assert "\n*\n" in (ROOT / ".dockerignore").read_text()


def test_packages_come_by_the_locks_with_their_hashes():
    installed = re.findall(r"pip install (.+?)(?: &&|$)", FILE, re.MULTILINE)

    assert [each for each in installed if "--require-hashes" not in each and "--no-deps" not in each] == []
    named = re.findall(r"ops/[\w/.-]+", "\n".join(value for step, value in STEPS if step == "RUN"))
    assert [each for each in named if not (ROOT / each).exists()] == []


def test_each_step_is_one_that_a_shell_can_read():
    for line in _of("RUN"):
        done = subprocess.run(["sh", "-n", "-c", line], check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
