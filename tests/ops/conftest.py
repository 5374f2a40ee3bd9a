"""A small checkout with the real scripts, on a machine that has what the test gives it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "sos-service"
version = "0.1.0"

[project.scripts]
sos = "sos:main"

[tool.hatch.build.targets.wheel]
packages = ["sos"]
"""
SERVICE = "import sys\n\n\ndef main():\n    print('sos', *sys.argv[1:])\n"
"""In the service's place: what ops/run starts in the end."""

NO_PIP = 'case "$1 $2" in "-m pip") echo "this pip installs nothing: $*" >&2; exit 1;; esac'

Told = subprocess.CompletedProcess[str]
Run = Callable[..., Told]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of a very small service that locks no packages, with the real scripts."""
    root = tmp_path / "緊急 通報 (2)"
    (root / "ops" / "requirements").mkdir(parents=True)
    for script in ("run", "test", "rooms", "pythons", "campaigns", "setup.sh"):
        shutil.copy(ROOT / "ops" / script, root / "ops")
    for empty in ("run.txt", "dev.txt", "build.txt"):
        (root / "ops" / "requirements" / empty).touch()
    (root / "ops" / "build_console.py").touch()
    (root / "pyproject.toml").write_text(PROJECT)
    (root / "sos").mkdir()
    (root / "sos" / "__init__.py").write_text(SERVICE)
    return root


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A directory that comes first in PATH."""
    (tmp_path / "tools").mkdir()
    return tmp_path / "tools"


@pytest.fixture
def run(checkout: Path, tools: Path) -> Run:
    """Runs a script of the checkout on a machine with nothing but the system's own commands and ``tools``."""

    def ran(script: str, *arguments: str, **more: str) -> Told:
        variables = {"PATH": f"{tools}:/usr/bin:/bin", "HOME": os.environ["HOME"], "LANG": "C.UTF-8", **more}
        return subprocess.run(
            [checkout / "ops" / script, *arguments], env=variables, capture_output=True, text=True, check=False
        )

    return ran


def tool(tools: Path, name: str, script: str) -> None:
    (tools / name).write_text(f"#!/bin/sh\n{script}\n")
    (tools / name).chmod(0o755)


def environment(checkout: Path, script: str) -> Path:
    """An environment whose Python does ``script``, and for anything else is this one: but it installs nothing, for that
    would go into the environment of the tests themselves."""
    folder = checkout / ".venv" / "bin"
    folder.mkdir(parents=True)
    tool(folder, "python", f'{script}\n{NO_PIP}\nexec "{sys.executable}" "$@"')
    return folder
