"""What a reader handles is what it asks for: a kind that is matched and not wanted would never come."""

import ast
from pathlib import Path

import pytest

from sos.incident import events

ROOT = Path(__file__).resolve().parents[2]
KINDS = {name for name, kind in vars(events).items() if isinstance(kind, type) and issubclass(kind, events.Event)}


def _readers() -> list[tuple[str, set[str], set[str]]]:
    """Class, kinds it wants, kinds its ``handle`` (or ``catch_up``) tells apart."""
    found = []
    texts = (file.read_text() for file in sorted((ROOT / "sos").rglob("*.py")))
    for tree in (ast.parse(text) for text in texts if "WANTS" in text):
        for node in ast.walk(tree):
            if not isinstance(node, ast.ClassDef):
                continue
            wants = next((_names(each) for each in node.body if _is_wants(each)), None)
            if wants is not None:
                handlers = [each for each in node.body if getattr(each, "name", "") in ("handle", "catch_up", "_note")]
                found.append((node.name, wants, set().union(*map(_names, handlers))))
    return found


def _is_wants(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "WANTS"


def _names(node: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)} & KINDS


READERS = _readers()


@pytest.mark.parametrize(("reader", "wants", "handles"), READERS, ids=[each[0] for each in READERS])
def test_a_reader_wants_every_kind_that_it_handles(reader: str, wants: set[str], handles: set[str]):
    assert handles <= wants, f"{reader} would never see {handles - wants}"


def test_there_are_readers():
    assert {"Filer", "Planner", "Distribution", "Handoff", "Bridge"} <= {each[0] for each in READERS}
