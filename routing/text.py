"""Text from outside, made fit to be kept, shown and sent on; whatever a door decodes passes here once.

What cannot be written down again (a lone surrogate) becomes U+FFFD, so that a person sees that something stood there.
What nobody sees and what could mislead goes: NUL and the other control characters, and the marks that turn the
direction of the text around them (Unicode TR 36, "Trojan Source").  Line ends and tabs stay, and so do the plain marks
of Arabic and Hebrew.
"""

import re
from itertools import chain
from typing import Any, TypeVar

from msgspec import Struct, structs

MAX_DEPTH = 64
"""Levels of an outside value; what lies deeper becomes None, since no format here has ten."""

_LONE = re.compile("[\ud800-\udfff]")
_MISLEADING = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]")
_DOUBTFUL = (b"\\", b"\x7f", b"\xc2", b"\xe2", b"\xef")
"""An escape, or the first octet of what is misleading; kana and kanji begin with others."""

_UNFIT = re.compile(f"{_LONE.pattern}|{_MISLEADING.pattern}")
_NESTING = (list, dict)

Some = TypeVar("Some")


def clean(text: str) -> str:
    """``text`` without what is described above; the same object when nothing is."""
    if text.isascii() and text.isprintable():
        return text
    return _MISLEADING.sub("", _LONE.sub("\ufffd", text))


def octets(text: str) -> bytes:
    """``text`` of a header or an address as octets; half a surrogate stands for one that was no UTF-8."""
    return text.encode("utf-8", "surrogatepass")


def cleaned(value: Some, *, depth: int = MAX_DEPTH) -> Some:
    """``value`` with every text in it clean: decoded JSON with the names of its members, or a Struct.

    The same object when there was nothing to clean.
    """
    made: Any = _cleaned(value, depth)
    return made  # type: ignore[no-any-return]


def surely_clean(written: bytes) -> bool:
    """Whether valid JSON in UTF-8 holds nothing to clean, told from its bytes alone: the short way for most reports."""
    return not any(octet in written for octet in _DOUBTFUL)


def _cleaned(value: Any, depth: int) -> Any:
    if type(value) is str:  # members of an enum are texts too, and not from outside
        return clean(value)
    if isinstance(value, Struct):
        return _struct(value, depth) if depth else None
    if isinstance(value, tuple) and value:
        return _each(value, depth - 1) if depth else None
    if isinstance(value, _NESTING) and value:
        return _tree(value, depth - 1) if depth else None
    return value


def _struct(value: Struct, depth: int) -> Struct:
    changes: dict[str, Any] = {}
    for name in value.__struct_fields__:
        before = getattr(value, name)
        after = _cleaned(before, depth - 1)
        if after is not before:
            changes[name] = after
    return structs.replace(value, **changes) if changes else value


def _each(value: tuple[Any, ...], depth: int) -> tuple[Any, ...]:
    items = [_cleaned(item, depth) for item in value]
    return value if all(after is before for after, before in zip(items, value, strict=True)) else type(value)(items)


# A tree of lists and dictionaries is as deep and as wide as a stranger likes.  It is walked level by level and without
# a call of Python's for each leaf: a caller who nests to where the interpreter's stack needs another block makes each
# such call fetch that block and give it back, eight microseconds instead of a tenth (`python -m ops.fuzz`).


def _tree(value: Any, depth: int) -> Any:
    return value if _is_fit(value, depth) else _rebuilt(value, depth)


def _is_fit(value: Any, depth: int) -> bool:
    """Whether nothing in the tree has to be cleaned or cut."""
    level = [value]
    while level:
        below: list[Any] = []
        for held in level:
            for item in chain(held, held.values()) if isinstance(held, dict) else held:
                if type(item) is str:
                    if not (item.isascii() and item.isprintable()) and _UNFIT.search(item):
                        return False
                elif isinstance(item, _NESTING):
                    below += (item,) if item else ()
                elif isinstance(item, Struct | tuple) and _cleaned(item, depth) is not item:
                    return False
        if below and not depth:
            return False
        level, depth = below, depth - 1
    return True


def _rebuilt(value: Any, depth: int) -> Any:
    """The tree anew, clean and no deeper than ``depth`` levels below its first."""
    made: Any = {} if isinstance(value, dict) else [None] * len(value)
    level = [(value, made)]
    while level:
        below: list[tuple[Any, Any]] = []
        for held, into in level:
            for name, item in held.items() if isinstance(held, dict) else enumerate(held):
                kept: Any = item
                if type(item) is str:
                    kept = _MISLEADING.sub("", _LONE.sub("\ufffd", item))
                elif isinstance(item, _NESTING) and item:
                    kept = None
                    if depth:
                        kept = {} if isinstance(item, dict) else [None] * len(item)
                        below.append((item, kept))
                elif isinstance(item, Struct | tuple):
                    kept = _cleaned(item, depth)
                into[_MISLEADING.sub("", _LONE.sub("\ufffd", name)) if type(name) is str else name] = kept
        level, depth = below, depth - 1
    return made
