"""Every name that a test or a tool takes from elsewhere is there: whoever renames one hears of all who knew it.

Types are checked in the packages and in a few of the tests; a test of another room would be found only where it is run.
"""

import ast
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("unsearched")

ROOT = Path(__file__).resolve().parents[2]
OURS = ("sos", "routing", "recording", "tests", "ops")


def _taken(file: Path) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in OURS:
            for name in node.names:
                yield node.module, name.name


def _is_there(module: str, name: str) -> bool:
    try:
        return hasattr(import_module(module), name) or find_spec(f"{module}.{name}") is not None
    except ModuleNotFoundError:
        return False


def test_every_name_that_is_imported_is_there() -> None:
    files = [
        file
        for folder in ("tests", "ops")
        for file in (ROOT / folder).rglob("*.py")
        if "node_modules" not in file.parts and "migrations" not in file.parts
    ]
    known: dict[tuple[str, str], bool] = {}
    missing = []
    for file in files:
        for taken in _taken(file):
            if taken not in known:
                known[taken] = _is_there(*taken)
            if not known[taken]:
                missing.append(f"{file.relative_to(ROOT)}: {'.'.join(taken)}")

    assert len(known) > 1_000
    assert not missing, "\n".join(missing)
