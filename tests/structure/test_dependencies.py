"""What is imported is declared, and what is declared is imported: no package is there by another one's grace."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OURS = {"sos", "routing", "recording"}
BY_NAME = {"aiosqlite"}
"""SQLAlchemy imports the driver by the name in an address."""


def _declared(requirements: list[str]) -> set[str]:
    return {_plain(re.split(r"[\[<>=~! ]", each, maxsplit=1)[0]) for each in requirements}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _imported() -> set[str]:
    """Distributions of all that the packages import, at their top or not."""
    names: set[str] = set()
    for package in OURS:
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Import):
                    names |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    names.add((node.module or "").partition(".")[0])
    known = packages_distributions()
    return {_plain(known[name][0]) for name in names - OURS - set(sys.stdlib_module_names) if name in known}


def test_what_is_imported_is_declared():
    everything = _declared(
        [*PROJECT["dependencies"], *(each for extra in PROJECT["optional-dependencies"].values() for each in extra)]
    )

    assert _imported() <= everything, _imported() - everything


def test_what_the_service_asks_for_it_imports():
    assert _declared(PROJECT["dependencies"]) - BY_NAME <= _imported()
