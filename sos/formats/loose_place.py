"""A PIDF-LO as senders slip in it: the position that was certainly meant, or its words for a person to read.

The codec of ``routing`` reads what RFC 5491 profiles.  Cars send more: a ``gml:location`` around the shape, three
numbers in a system of two, no ``srsName``, ``m`` for the unit, commas, GML 3.2 or no namespace, CRS84 with its axes the
other way round.  None of that leaves a doubt where the car is, so the position is taken, with a finding.  Where there
is a doubt (a system we do not know, numbers that are no place) the words are kept and no position is made up.
"""

import re
from datetime import datetime
from itertools import islice
from typing import Any

from msgspec import Struct

from routing.errors import Malformed
from routing.position.pidf import Located, PidfLo
from routing.position.shapes import Circle, Point, Polygon, Shape
from routing.text import clean
from sos.formats.markup import MAX_TEXT, mended_time, name_of

MOST_ELEMENTS = 2_000
"""Of a document that are looked at."""

_SHAPES = frozenset({"Point", "Circle", "Ellipse", "ArcBand", "Polygon"})
_NUMBERS = frozenset({"pos", "posList", "coordinates", "coord"})
_RADII = frozenset({"radius", "semiMajorAxis", "outerRadius"})
_NUMBER = re.compile(r"[+-]?\d{1,9}(?:\.\d{1,20})?", re.ASCII)
_DECIMAL_COMMAS = re.compile(
    r"\s*[+-]?\d{1,3},\d{3,12}\s+[+-]?\d{1,3},\d{3,12}(?:\s+[+-]?\d{1,5}(?:,\d{1,6})?)?\s*", re.ASCII
)
_METRES = re.compile(r"m|met(?:re|er)s?|(?:.{0,60}[:/#])?9001", re.IGNORECASE)
_LATITUDE_FIRST = re.compile(r"(?:.{0,60}[:/#])?(?:4326|4979|4612|6668|6667)|wgs-?84|jgd20(?:00|11)", re.IGNORECASE)
"""EPSG's codes of WGS-84 and of the Japanese systems that agree with it to two metres."""
_LONGITUDE_FIRST = re.compile(r"(?:.{0,60}[:/#])?CRS:?84h?", re.IGNORECASE)


class LoosePlace(Struct, frozen=True):
    """What could be made of a place; without ``pidf`` only ``words`` are known."""

    pidf: PidfLo | None
    words: str | None


def read(presence: Any) -> LoosePlace:
    """The place in an element that the strict codec refuses, or finds no shape in.  Never fails."""
    elements = list(islice(presence.iter(), MOST_ELEMENTS))
    time = next((_instant(each) for each in elements if name_of(each) == "timestamp"), None)
    for element in elements:
        if name_of(element) in _SHAPES and (shape := _shape(element)) is not None:
            located = Located(id="", shape=shape, timestamp=time)
            return LoosePlace(PidfLo(entity=presence.get("entity", ""), locations=(located,)), None)
    return LoosePlace(None, _words(presence))


def _shape(element: Any) -> Shape | None:
    """The shape that is certainly meant; None where its system, its numbers or their order leave a doubt."""
    inside = list(islice(element.iter(), MOST_ELEMENTS))
    swap = _order(next((each.get("srsName") for each in inside if each.get("srsName")), ""))
    held = next((each for each in inside if name_of(each) in _NUMBERS), None)
    if swap is None or held is None:
        return None
    numbers = _numbers(held.text or "")
    try:
        if name_of(element) == "Polygon":
            return _polygon(inside, swap=swap)
        if len(numbers) not in (2, 3):
            return None
        latitude, longitude = (numbers[1], numbers[0]) if swap else (numbers[0], numbers[1])
        radius = next((_metres(each) for each in inside if name_of(each) in _RADII), None)
        return Point(latitude, longitude) if radius is None else Circle(latitude, longitude, radius)
    except Malformed:
        return None


def _polygon(inside: list[Any], *, swap: bool) -> Polygon:
    """The outer ring; ``Malformed`` when it is none."""
    held = [each for each in inside if name_of(each) in _NUMBERS]
    numbers = [_numbers(each.text or "") for each in held]
    flat = numbers[0] if len(numbers) == 1 else [number for each in numbers for number in each[:2]]
    corners = tuple(zip(flat[0::2], flat[1::2], strict=False))
    return Polygon(tuple((second, first) for first, second in corners) if swap else corners)


def _order(system: str) -> bool | None:
    """Whether longitude comes first; None for a system we do not know.  None named means WGS-84."""
    named = system.strip()
    if not named or _LATITUDE_FIRST.fullmatch(named):
        return False
    return True if _LONGITUDE_FIRST.fullmatch(named) else None


def _numbers(text: str) -> list[float]:
    """The numbers of a text with blanks or commas between them, or decimal commas; none when it has other words."""
    plain = " ".join(text.split())
    words = plain.replace(",", "." if _DECIMAL_COMMAS.fullmatch(plain) else " ").split()
    return [float(word) for word in words] if all(_NUMBER.fullmatch(word) for word in words) else []


def _metres(element: Any) -> float | None:
    """A length in metres; None when its unit or number is none: then only the position is known."""
    numbers = _numbers(element.text or "")
    stated = (element.get("uom") or "m").strip()
    return numbers[0] if len(numbers) == 1 and numbers[0] >= 0 and _METRES.fullmatch(stated) else None


def _instant(element: Any) -> datetime | None:
    mended = mended_time((element.text or "").strip())
    return None if mended is None else mended[0]


def _words(presence: Any) -> str | None:
    """What stands in the location, for a person: numbers, addresses and the system they are said to be in."""
    info = next((each for each in islice(presence.iter(), MOST_ELEMENTS) if name_of(each) == "location-info"), None)
    if info is None:
        return None
    said = [f"{each.get('srsName') or ''} {each.text or ''}" for each in islice(info.iter(), 64)]
    return " ".join(clean(" ".join(said)).split())[:MAX_TEXT] or None
