#!/usr/bin/env python3
"""Asks advisory services whether a locked package is known to be vulnerable: pip-audit, and npm audit for the console.

    python ops/audit.py

Exit code 0: both were asked about every package and know of nothing.  1: something is known.  3: a service could not
be asked about everything, which is said by name and proves nothing.  pip-audit is installed as
``ops/requirements/audit.txt`` locks it, into an environment that is thrown away.
"""

import json
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / "ops" / "requirements"
WITHIN_S = 180


class Outcome(IntEnum):
    CLEAN = 0
    KNOWN = 1
    NOT_ASKED = 3


def of_pip_audit(report: str) -> tuple[Outcome, str]:
    """What pip-audit says.  A package that it skips was not asked about, although it says that nothing is known."""
    try:
        packages: Sequence[dict[str, Any]] = json.loads(report)["dependencies"]
    except (ValueError, KeyError):
        return Outcome.NOT_ASKED, "no report: its advisory service cannot be reached"
    known = [f"{each['name']} {v['id']}" for each in packages for v in each.get("vulns", ())]
    skipped = [each["name"] for each in packages if "skip_reason" in each]
    if known:
        return Outcome.KNOWN, ", ".join(known)
    if skipped or not packages:
        return Outcome.NOT_ASKED, f"{len(skipped)} of {len(packages)} packages: the advisory service does not know them"
    return Outcome.CLEAN, f"{len(packages)} packages, nothing known"


def of_npm_audit(report: str) -> tuple[Outcome, str]:
    try:
        told = json.loads(report)
        counted = told["metadata"]["vulnerabilities"]
        asked = told["metadata"]["dependencies"]["total"]
    except (ValueError, KeyError, TypeError):
        return Outcome.NOT_ASKED, "no report: its advisory service cannot be reached"
    if counted["total"]:
        return Outcome.KNOWN, ", ".join(sorted(told["vulnerabilities"]))
    return Outcome.CLEAN, f"{asked} packages, nothing known"


def _said(*command: str | Path, where: Path) -> str:
    try:
        done = subprocess.run(
            command, cwd=where, capture_output=True, text=True, timeout=WITHIN_S, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def _pip_audit(environment: Path) -> str:
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    quiet = ("-q", "--disable-pip-version-check", "--no-input")
    _said(python, "-m", "pip", "install", *quiet, "--require-hashes", "-r", REQUIREMENTS / "audit.txt", where=ROOT)
    asked = ("--requirement", REQUIREMENTS / "run.txt", "--require-hashes", "--no-deps", "--disable-pip")
    told = ("--format", "json", "--progress-spinner", "off", "--timeout", "5")
    return _said(python, "-m", "pip_audit", *asked, *told, where=ROOT)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        service = of_pip_audit(_pip_audit(Path(folder) / "venv"))
    web = ROOT / "sos" / "console" / "web"
    console = of_npm_audit(_said("npm", "audit", "--package-lock-only", "--json", where=web))
    for name, (outcome, why) in (("pip-audit (service)", service), ("npm audit (console)", console)):
        print(f"{name}: {outcome.name.replace('_', ' ')}: {why}")
    outcomes = {service[0], console[0]}
    return next((each for each in (Outcome.KNOWN, Outcome.NOT_ASKED) if each in outcomes), Outcome.CLEAN)


if __name__ == "__main__":
    sys.exit(main())
