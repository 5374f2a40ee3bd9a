"""What the XML formats of vehicles share: finding elements by name alone, and plain values in many spellings.

Senders differ in namespaces, prefixes and padding, and the published examples do too, so an element is known by its
local name below its parent's.  A value that cannot be understood is unknown and becomes a finding; only a document
that cannot be read at all is ``Malformed``.
"""

import math
import re
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from routing import errors, xml
from routing.text import clean
from sos.errors import Malformed

MAX_FINDINGS = 32
"""Enough to see what is wrong with a sender."""
MAX_TEXT = 200
"""Characters kept of one text; the longest honest one is a make or a model."""
MAX_REPEATS = 64
"""Elements of one kind that are read: a coach has as many seats."""
MAX_CHILDREN = 1024
"""Elements below one that are looked at: a hostile document may not make every look-up long."""

_TRUE = frozenset({"true", "1", "yes", "y"})
_FALSE = frozenset({"false", "0", "no", "n"})
_NUMBER = re.compile(r"[+-]?\d{1,12}(\.\d{1,12})?\Z", re.ASCII)
_DATE = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ](\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)\s*(Z|[+-]\d{2}:?\d{2})?)?\Z", re.ASCII
)


def document(data: bytes, *, limit: int) -> Any:
    """The root element of ``data``, read without entities, document type or network.  ``Malformed`` says where."""
    try:
        return xml.read_xml(data, limit=limit)
    except errors.Malformed as error:
        raise Malformed(str(error), field=error.field) from None


def name_of(element: Any) -> str:
    """The local name of ``element``."""
    return str(element.tag).rpartition("}")[2]


def by_name(element: Any) -> dict[str, list[Any]]:
    """The children of ``element`` by local name, each kind in its order, within the bounds of this module."""
    found: dict[str, list[Any]] = {}
    for child in islice(element, MAX_CHILDREN):
        kind = found.setdefault(name_of(child), [])
        if len(kind) < MAX_REPEATS:
            kind.append(child)
    return found


class Values:
    """Reads plain values below one element and collects what was odd about them as ``code:$.path``."""

    def __init__(self, root: Any, *, path: str = "$", findings: dict[str, None] | None = None) -> None:
        self._text = root.text
        self._inside = by_name(root)
        self._path = path
        self._findings: dict[str, None] = {} if findings is None else findings

    def below(self, path: str) -> "Values | None":
        """The same for the first element at ``path``; None when there is none."""
        element = self._at(path)
        return None if element is None else self._of(element, path)

    def each(self, name: str) -> list["Values"]:
        """The same for each child called ``name``."""
        return [self._of(child, f"{name}[{index}]") for index, child in enumerate(self._inside.get(name, ()))]

    def _at(self, path: str) -> Any | None:
        """The first element at ``path``, local names with slashes between them."""
        first, *further = path.split("/")
        element = next(iter(self._inside.get(first, ())), None)
        for name in further:
            if element is None:
                return None
            element = next((child for child in islice(element, MAX_CHILDREN) if name_of(child) == name), None)
        return element

    def _of(self, element: Any, path: str) -> "Values":
        return Values(element, path=self._where(path), findings=self._findings)

    def findings(self) -> tuple[str, ...]:
        """What was odd, in the order it was met."""
        return tuple(self._findings)

    def odd(self, code: str, path: str) -> None:
        """Add a finding about what is at ``path``."""
        if len(self._findings) < MAX_FINDINGS:
            self._findings[f"{code}:{self._where(path)}"] = None

    def _where(self, path: str) -> str:
        return f"{self._path}.{path.replace('/', '.')}" if path else self._path

    def text(self, path: str) -> str | None:
        """The text at ``path`` without padding; None when there is none."""
        element = self._at(path)
        if element is None or not (text := _written(element.text)):
            return None
        if len(text) > MAX_TEXT:
            self.odd("too_long", path)
        return text[:MAX_TEXT]

    def texts(self, name: str) -> tuple[str, ...]:
        """The text of each child called ``name`` that has any."""
        return tuple(text for each in self.each(name) if (text := each.text_here()) is not None)

    def text_here(self) -> str | None:
        """The text of this very element."""
        return _written(self._text)[:MAX_TEXT] or None

    def flag(self, path: str) -> bool | None:
        """True or false at ``path``; None when nothing is said."""
        text = self.text(path)
        if text is None:
            return None
        if text.lower() in _TRUE or text.lower() in _FALSE:
            return text.lower() in _TRUE
        self.odd("bad_value", path)
        return None

    def number(self, path: str, lowest: float = -math.inf, highest: float = math.inf) -> float | None:
        """The number at ``path`` when it is one from ``lowest`` to ``highest``; None when nothing is said."""
        text = self.text(path)
        if text is None:
            return None
        if _NUMBER.match(text) is None:
            self.odd("bad_value", path)
            return None
        value = float(text)
        if lowest <= value <= highest:
            return value
        self.odd("out_of_range", path)
        return None

    def count(self, path: str, lowest: int, highest: int) -> int | None:
        """A whole number; as ``number``."""
        value = self.number(path, lowest, highest)
        if value is None or value.is_integer():
            return None if value is None else int(value)
        self.odd("bad_value", path)
        return None

    def instant(self, path: str) -> datetime | None:
        """The time at ``path`` in UTC; a time without offset is taken as UTC, a day alone is no time."""
        text = self.text(path)
        if text is None:
            return None
        mended = mended_time(text)
        if mended is None:
            self.odd("bad_time", path)
            return None
        time, exact = mended
        if not exact:
            self.odd("loose_time", path)
        return time


def _written(text: str | None) -> str:
    """``text`` without padding and without what has no place in any."""
    return " ".join(clean(text or "").split())


def mended_time(text: str) -> tuple[datetime, bool] | None:
    """The time meant by ``text`` and whether it is written as RFC 3339 wants; None when no time is meant.

    The example of RFC 8148 itself has a day of one digit.
    """
    found = _DATE.match(text)
    if found is None or found[4] is None:
        return None
    year, month, day, clock, offset = found.groups()
    clock = clock if clock.count(":") == 2 else f"{clock}:00"
    padded = f"{year}-{int(month):02}-{int(day):02}T{clock.rjust(8, '0')}"
    try:
        time = datetime.fromisoformat(padded + (offset or "Z")).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    exact = len(month) == len(day) == 2 and offset is not None and found[4].find(":") == 2
    return time, exact
