#!/usr/bin/env python3
"""Builds the wheel and proves it whole: what must be in it is, nothing else is, and it works where no checkout is."""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LARGEST = 4 * 1024 * 1024
"""Bytes: the console with its map, two maps of Japan, the code; more than that is something nobody meant to ship."""

WANTED = (
    "sos/py.typed",
    "routing/py.typed",
    "recording/py.typed",
    "sos/console/static/index.html",
    "sos/journal/migrations/env.py",
    "sos/journal/migrations/versions/0001_journal.py",
    "routing/data/jp_prefectures.geojson",
    "routing/data/japan_base.geojson",
    "routing/data/demo_agencies.toml",
    "routing/rules/jp.toml",
)
UNWANTED = re.compile(r"(sos/console/web|ops|tests)/|.*(__pycache__|node_modules|\.map\Z)")

READ_AT_START = """
from routing.boundaries import PrefectureLayer
from routing.directory import Directory
from routing.law import RuleBook
from sos.console import http
from sos.journal.migrate import scripts
PrefectureLayer.load(), Directory.demo(), RuleBook.shipped(), http
assert scripts().parts[-3:] == ("sos", "journal", "migrations"), scripts()
"""


def faults(wheel: Path) -> list[str]:
    """What is wrong with the contents, a sentence each."""
    names = zipfile.ZipFile(wheel).namelist()
    found = [f"{wanted} is missing" for wanted in WANTED if wanted not in names]
    found += [f"{name} does not belong there" for name in names if UNWANTED.match(name)]
    if not any(name.endswith("/licenses/LICENSE") for name in names):
        found.append("the licence is missing")
    if wheel.stat().st_size > LARGEST:
        found.append(f"{wheel.stat().st_size} bytes are more than {LARGEST}")
    return found


def run(*command: str | Path, where: Path) -> None:
    subprocess.run(command, cwd=where, check=True, stdin=subprocess.DEVNULL)


def bills(python: Path, *, out: Path) -> list[str]:
    """The bills of materials, written by the environment that the wheel is installed in; what they get wrong of it."""
    run(python, ROOT / "ops" / "sbom.py", "--out", out, where=out)
    told = json.loads((out / "sos-service.cdx.json").read_text())
    here = {(each["name"], each["version"]) for each in told["components"] if "properties" not in each}
    listed = subprocess.run(
        [python, "-m", "pip", "list", "--format", "json", "--disable-pip-version-check"],
        check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    ours = {"pip", "setuptools", told["metadata"]["component"]["name"]}
    installed = {(re.sub(r"[-_.]+", "-", each["name"]).lower(), each["version"]) for each in json.loads(listed.stdout)}
    installed = {each for each in installed if each[0] not in ours}
    found = [f"{name} {version} is installed and stands in no bill" for name, version in sorted(installed - here)]
    return found + [f"{name} {version} stands in the bill alone" for name, version in sorted(here - installed)]


def install_and_try(wheel: Path, *, empty: Path) -> list[str]:
    """Install it with the locked packages into an environment of its own, and use it in a folder without a checkout.

    What its bill of materials gets wrong.
    """
    environment = empty / "venv"
    venv.create(environment, with_pip=True)
    python, sos = environment / "bin" / "python", environment / "bin" / "sos"
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input")
    run(*pip, "--require-hashes", "-r", ROOT / "ops" / "requirements" / "run.txt", where=empty)
    run(*pip, "--no-deps", wheel, where=empty)
    run(python, "-c", READ_AT_START, where=empty)
    for arguments in (("--help",), ("config", "check", "--json")):
        said = subprocess.run(
            [sos, *arguments], cwd=empty, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        print(f"sos {' '.join(arguments)}: {len(said.stdout)} characters, well ended")
    return bills(python, out=empty)


def main() -> int:
    parser = argparse.ArgumentParser(description="Builds the wheel and proves it whole.")
    parser.add_argument("--out", type=Path, help="folder for the wheel and its bills of materials, when they hold")
    out: Path | None = parser.parse_args().out
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder)
        run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", empty, where=ROOT)
        (wheel,) = empty.glob("*.whl")
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.2f} MB")
        if found := faults(wheel):
            print(*found, sep="\n", file=sys.stderr)
            return 1
        try:
            found = install_and_try(wheel, empty=empty)
        except subprocess.CalledProcessError as failed:
            print(f"{' '.join(map(str, failed.cmd))} ended with {failed.returncode}", file=sys.stderr)
            return 1
        if found:
            print(*found, sep="\n", file=sys.stderr)
            return 1
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            for file in (wheel, *empty.glob("*.cdx.json")):
                shutil.copy(file, out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
