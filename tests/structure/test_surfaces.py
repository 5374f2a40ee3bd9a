"""What the two libraries declare is what others use of them: nothing reaches past a wing's door."""

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("unsearched")

ROOT = Path(__file__).resolve().parents[2]
USERS = [file for place in ("sos", "ops") for file in sorted((ROOT / place).rglob("*.py"))]


def _imports(library: str) -> Iterator[tuple[str, str, str]]:
    """Where, from which module of the library, which name."""
    for file in USERS:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    assert alias.name.split(".")[0] != library, f"{file}: import {alias.name} as a whole"
            elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == library:
                for alias in node.names:
                    yield f"{file.relative_to(ROOT)}:{node.lineno}", node.module or "", alias.name


def _declared(package: str) -> set[str]:
    """What a package exports, and the modules that its first words name."""
    module = import_module(package)
    return {*getattr(module, "__all__", ()), *re.findall(r"``(\w+)``", module.__doc__ or "")}


def _undeclared(module: str, name: str) -> bool:
    at, *rest = module.split(".")
    for step in (*rest, name):
        if not (ROOT / at.replace(".", "/") / "__init__.py").is_file():
            return name.startswith("_")  # a module: its public names
        if step not in _declared(at):
            return True
        at = f"{at}.{step}"
    return False


@pytest.mark.parametrize("library", ["routing", "recording"])
def test_others_use_only_what_a_library_declares(library: str):
    found = list(_imports(library))

    assert len(found) > 30
    assert not [f"{where}: {module}.{name}" for where, module, name in found if _undeclared(module, name)]


@pytest.mark.parametrize("library", ["routing", "recording"])
def test_what_is_declared_is_there(library: str):
    for name in import_module(library).__all__:
        assert import_module(f"{library}.{name}").__doc__
