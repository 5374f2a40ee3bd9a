"""JSON in the one spelling that is hashed, signed and stored."""

import json
from typing import Any

from recording.errors import Malformed


def canonical(value: Any) -> bytes:
    """``value`` as JSON with sorted keys, no spaces and nothing escaped that need not be."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def parse_canonical(content: bytes) -> dict[str, Any]:
    """The object in ``content``; ``Malformed`` unless ``canonical`` would write exactly these bytes.

    Two texts with one meaning would let two readers see different things under one hash, so duplicate keys, other
    orders, spaces, needless escapes, NaN and fractions are all refused.
    """
    try:
        value = json.loads(content.decode(), object_pairs_hook=_unique, parse_float=_refuse, parse_constant=_refuse)
        exact = canonical(value) == content
    except (ValueError, RecursionError) as error:
        raise Malformed("not canonical JSON") from error
    if not isinstance(value, dict) or not exact:
        raise Malformed("not a JSON object in its canonical spelling")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate key")
    return found


def _refuse(_: str) -> float:
    raise ValueError("fractions have more than one spelling")
