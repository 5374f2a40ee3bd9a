"""Nothing is used that the oldest supported Python lacks: 3.11.2, Debian 12's own.

Type checkers know releases such as 3.11, not the ones inside it; what came with a later patch release passes them and
fails on the machine of whoever has the older one.  ``ops/pythons`` runs the program there; this reads its source.
"""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("unsearched")

ROOT = Path(__file__).resolve().parents[2]
FLOOR = "3.11.2"

LATER_ARGUMENTS = {
    ("extract", "filter"): "3.11.4",
    ("extractall", "filter"): "3.11.4",
    ("unpack_archive", "filter"): "3.11.4",
    ("getaddresses", "strict"): "3.11.10",
    ("parseaddr", "strict"): "3.11.10",
}
"""Arguments that came with a patch release of 3.11 after the floor (library reference, "Changed in version")."""

LATER_NAMES = {
    "data_filter": "3.11.4",
    "tar_filter": "3.11.4",
    "fully_trusted_filter": "3.11.4",
    "extraction_filter": "3.11.4",
    "FilterError": "3.11.4",
    "SetReparseDeferralEnabled": "3.11.9",
    "GetReparseDeferralEnabled": "3.11.9",
    "verify_generated_headers": "3.11.10",
    "ALLOW_MISSING": "3.11.13",
}


def _later(tree: ast.AST) -> Iterator[tuple[int, str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
            for argument in node.keywords:
                if came := LATER_ARGUMENTS.get((called, argument.arg or "")):
                    yield node.lineno, f"{called}({argument.arg}=)", came
        named = {getattr(node, "attr", ""), getattr(node, "id", ""), getattr(node, "arg", "") or ""}
        if isinstance(node, ast.ImportFrom):
            named |= {alias.name for alias in node.names}
        for name in named & set(LATER_NAMES):
            yield getattr(node, "lineno", 0), name, LATER_NAMES[name]


def test_nothing_is_used_that_came_after_the_oldest_supported_python():
    found = [
        f"{file.relative_to(ROOT)}:{line}: {what} came with {came}"
        for folder in ("sos", "routing", "recording", "ops", "tests")
        for file in sorted((ROOT / folder).rglob("*.py"))
        if "node_modules" not in file.parts
        for line, what, came in _later(ast.parse(file.read_text()))
    ]

    assert not found, "\n".join(found)


def test_what_the_rule_is_for_is_seen():
    source = "archive.extractall(d, filter='data')\nfrom tarfile import data_filter\ntarfile.tar_filter\n"

    assert [what for _, what, _ in sorted(_later(ast.parse(source)))] == [
        "extractall(filter=)",
        "data_filter",
        "tar_filter",
    ]


def test_the_oldest_supported_python_is_the_one_that_is_declared():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]

    assert re.fullmatch(r">=(3\.\d+\.\d+)", declared), declared
    assert declared == f">={FLOOR}"
