"""Every request header that a tenant's doors read is signed by who signs, or stands here with the reason why not."""

import ast
from pathlib import Path

from sos.intake.signature import MEANING

ROOT = Path(__file__).resolve().parents[2]
DOORS = ("sos/intake/http.py", "sos/calls/http.py", "sos/whip.py")

NEED_NO_SIGNATURE: dict[str, str] = {}
"""Header -> why somebody on the way may change it."""


def _read(door: str) -> set[str]:
    """Names of headers in ``headers.get("X")``, ``headers["X"]`` and ``_plain(request, "X", ...)``."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / door).read_text())):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called.endswith(("headers.get", "headers.getall", "_plain")):
                found |= {each.value for each in node.args if isinstance(each, ast.Constant)}
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) in ("headers", "request.headers"):
            found |= {each.value for each in ast.walk(node.slice) if isinstance(each, ast.Constant)}
    return {name.lower() for name in found if isinstance(name, str)}


def test_every_header_that_changes_a_request_is_signed():
    read = {name for door in DOORS for name in _read(door)} - {""}

    assert {"content-type", "leg-id", "call-back"} <= read, "the test reads no headers any more"
    assert read <= MEANING | NEED_NO_SIGNATURE.keys(), read - MEANING
