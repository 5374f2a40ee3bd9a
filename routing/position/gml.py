"""Shapes and civic addresses as XML elements: GML 3.1.1 as profiled by RFC 5491, and RFC 5139.

LoST, PIDF-LO and VEDS all carry these.  Reading is strict about what a position means (the reference system must be
stated and be one we know, units must be the standard's) and lenient about spelling that cannot change the meaning.
What is written is the exact form of RFC 5491.
"""

import math
import re
from collections.abc import Callable
from typing import Any

from lxml import etree
from msgspec import Struct

from routing.errors import Malformed
from routing.position.shapes import ArcBand, Circle, Ellipse, Point, Polygon, Shape
from routing.xml import LANGUAGE, child, children, local, namespace, text, where

GML = "http://www.opengis.net/gml"
GS = "http://www.opengis.net/pidflo/1.0"
CIVIC = "urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr"

WGS84_2D = "urn:ogc:def:crs:EPSG::4326"
WGS84_3D = "urn:ogc:def:crs:EPSG::4979"
METRES = "urn:ogc:def:uom:EPSG::9001"
DEGREES = "urn:ogc:def:uom:EPSG::9102"

MAX_CIVIC_FIELDS = 64
"""RFC 5139 and its extensions name some 40 elements."""

_SRS = re.compile(
    r"(?:urn:ogc:def:{1,2}crs:EPSG:{1,2}(?:[0-9.]*:)?|EPSG:|https?://www\.opengis\.net/def/crs/EPSG/[0-9.]+/)(4326|4979)"
)
"""The forms in use, among them the ``def::crs`` of RFC 5222's figures."""

_NUMBER = re.compile(r"[+-]?(?:\d{1,18}(?:\.\d{0,30})?|\.\d{1,30})(?:[eE][+-]?\d{1,3})?")
"""``xsd:double`` without INF and NaN, which are no coordinates."""


class UnknownReference(Malformed):
    """The spatial reference system is missing, not known here, or not that of the shape (LoST: ``SRSInvalid``)."""


class UnknownShape(Malformed):
    """This is no shape of RFC 5491 that has two dimensions (LoST: ``locationProfileUnrecognized``)."""


class Civic(Struct, frozen=True):
    """A civic address, passed on as it came.

    Nothing is corrected: an address that is wrong in a way we do not understand may still make sense to the rescuers.
    """

    fields: tuple[tuple[str, str], ...]
    """(name, text) in document order: ``country``, ``A1``, ``A3``, ...; an extension as ``{namespace}name``."""
    language: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.fields) <= MAX_CIVIC_FIELDS:
            raise Malformed(f"an address has between 1 and {MAX_CIVIC_FIELDS} fields", field="civicAddress")

    def get(self, name: str) -> str | None:
        """The first field of this name, None when there is none."""
        return next((value for known, value in self.fields if known == name), None)


def is_shape(element: Any) -> bool:
    """Whether ``shape_of`` knows this kind of element."""
    return element.tag in _READERS


def shape_of(element: Any) -> Shape:
    """The shape of a GML element.

    ``UnknownShape``, ``UnknownReference`` or ``Malformed`` (with the place) is always the sender's fault.
    """
    read = _READERS.get(element.tag)
    if read is None:
        raise UnknownShape("Point, Circle, Ellipse, ArcBand or Polygon is expected here", field=where(element))
    size = _dimensions(element)
    try:
        return read(element, size)
    except Malformed as fault:
        if fault.field.startswith("/"):
            raise
        raise type(fault)(str(fault), field=where(element)) from None


def element_of(shape: Shape) -> Any:
    """``shape`` as RFC 5491 writes it."""
    match shape:
        case Point():
            top = _top(f"{{{GML}}}Point", shape.altitude_m)
            _pos(top, shape)
        case Circle():
            top = _top(f"{{{GS}}}Circle", shape.altitude_m)
            _pos(top, shape)
            _measure(top, "radius", shape.radius_m, METRES)
        case Ellipse():
            top = _top(f"{{{GS}}}Ellipse", shape.altitude_m)
            _pos(top, shape)
            _measure(top, "semiMajorAxis", shape.semi_major_m, METRES)
            _measure(top, "semiMinorAxis", shape.semi_minor_m, METRES)
            _measure(top, "orientation", shape.orientation_deg, DEGREES)
        case ArcBand():
            top = _top(f"{{{GS}}}ArcBand", shape.altitude_m)
            _pos(top, shape)
            _measure(top, "innerRadius", shape.inner_m, METRES)
            _measure(top, "outerRadius", shape.outer_m, METRES)
            _measure(top, "startAngle", shape.start_deg, DEGREES)
            _measure(top, "openingAngle", shape.opening_deg, DEGREES)
        case Polygon():
            top = _top(f"{{{GML}}}Polygon", None)
            _ring(top, "exterior", shape.exterior)
            for hole in shape.holes:
                _ring(top, "interior", hole)
    return top


def civic_of(element: Any) -> Civic:
    """The address of a ``civicAddress`` element.  ``Malformed`` when it is empty, nested or endless."""
    if element.tag != f"{{{CIVIC}}}civicAddress":
        raise Malformed("civicAddress is expected here", field=where(element))
    fields = tuple((local(each) if namespace(each) == CIVIC else str(each.tag), text(each)) for each in element)
    try:
        return Civic(fields, element.get(LANGUAGE))
    except Malformed as fault:
        raise Malformed(str(fault), field=where(element)) from None


def civic_element(civic: Civic) -> Any:
    """``civic`` as RFC 5139 writes it."""
    top = etree.Element(f"{{{CIVIC}}}civicAddress", nsmap={None: CIVIC})
    if civic.language:
        top.set(LANGUAGE, civic.language)
    for name, value in civic.fields:
        etree.SubElement(top, name if name.startswith("{") else f"{{{CIVIC}}}{name}").text = value
    return top


def _dimensions(element: Any) -> int:
    stated = element.get("srsName")
    known = _SRS.fullmatch(stated.strip()) if stated else None
    if known is None:
        raise UnknownReference(f"srsName must be {WGS84_2D} or {WGS84_3D}", field=where(element))
    return 2 if known[1] == "4326" else 3


def _point(element: Any, size: int) -> Point:
    latitude, longitude, altitude_m = _position(child(element, f"{{{GML}}}pos"), size)
    return Point(latitude, longitude, altitude_m)


def _circle(element: Any, size: int) -> Circle:
    latitude, longitude, altitude_m = _position(child(element, f"{{{GML}}}pos"), size)
    return Circle(latitude, longitude, _quantity(element, "radius", METRES), altitude_m)


def _ellipse(element: Any, size: int) -> Ellipse:
    latitude, longitude, altitude_m = _position(child(element, f"{{{GML}}}pos"), size)
    return Ellipse(
        latitude,
        longitude,
        _quantity(element, "semiMajorAxis", METRES),
        _quantity(element, "semiMinorAxis", METRES),
        _quantity(element, "orientation", DEGREES) % 360.0,
        altitude_m,
    )


def _arc_band(element: Any, size: int) -> ArcBand:
    latitude, longitude, altitude_m = _position(child(element, f"{{{GML}}}pos"), size)
    return ArcBand(
        latitude,
        longitude,
        _quantity(element, "innerRadius", METRES),
        _quantity(element, "outerRadius", METRES),
        _quantity(element, "startAngle", DEGREES) % 360.0,
        _quantity(element, "openingAngle", DEGREES),
        altitude_m,
    )


def _outline(element: Any, size: int) -> Polygon:
    outer = _positions(child(child(element, f"{{{GML}}}exterior"), f"{{{GML}}}LinearRing"), size)
    holes = tuple(
        _positions(child(interior, f"{{{GML}}}LinearRing"), size)
        for interior in children(element, f"{{{GML}}}interior")
    )
    return Polygon(outer, holes)


_READERS: dict[str, Callable[[Any, int], Shape]] = {
    f"{{{GML}}}Point": _point,
    f"{{{GS}}}Circle": _circle,
    f"{{{GS}}}Ellipse": _ellipse,
    f"{{{GS}}}ArcBand": _arc_band,
    f"{{{GML}}}Polygon": _outline,
}


def _positions(ring: Any, size: int) -> tuple[tuple[float, float], ...]:
    listed = list(children(ring, f"{{{GML}}}posList"))
    if listed:
        numbers = _numbers(child(ring, f"{{{GML}}}posList"))
        if len(numbers) % size:
            raise Malformed(f"posList must hold {size} numbers for each position", field=where(listed[0]))
        return tuple((numbers[at], numbers[at + 1]) for at in range(0, len(numbers), size))
    return tuple(_position(each, size)[:2] for each in children(ring, f"{{{GML}}}pos"))


def _position(element: Any, size: int) -> tuple[float, float, float | None]:
    numbers = _numbers(element)
    if len(numbers) != size:
        raise UnknownReference(f"pos must hold {size} numbers in this reference system", field=where(element))
    return numbers[0], numbers[1], numbers[2] if size == 3 else None


def _numbers(element: Any) -> list[float]:
    return [_number(word, element) for word in text(element).split()]


def _number(word: str, element: Any) -> float:
    if not _NUMBER.fullmatch(word) or not math.isfinite(value := float(word)):
        raise Malformed("a decimal number is expected here", field=where(element))
    return value


def _quantity(element: Any, name: str, unit: str) -> float:
    measure = child(element, f"{{{GS}}}{name}")
    if measure.get("uom") != unit:
        raise Malformed(f"uom must be {unit}", field=where(measure))
    return _number(text(measure), measure)


def _top(name: str, altitude_m: float | None) -> Any:
    top = etree.Element(name, nsmap={"gml": GML, "gs": GS})
    top.set("srsName", WGS84_2D if altitude_m is None else WGS84_3D)
    return top


def _pos(top: Any, shape: Point | Circle | Ellipse | ArcBand) -> None:
    numbers = [shape.latitude, shape.longitude, *([] if shape.altitude_m is None else [shape.altitude_m])]
    etree.SubElement(top, f"{{{GML}}}pos").text = " ".join(_written(number) for number in numbers)


def _ring(top: Any, side: str, positions: tuple[tuple[float, float], ...]) -> None:
    ring = etree.SubElement(etree.SubElement(top, f"{{{GML}}}{side}"), f"{{{GML}}}LinearRing")
    listed = " ".join(f"{_written(latitude)} {_written(longitude)}" for latitude, longitude in positions)
    etree.SubElement(ring, f"{{{GML}}}posList").text = listed


def _measure(top: Any, name: str, value: float, unit: str) -> None:
    etree.SubElement(top, f"{{{GS}}}{name}", uom=unit).text = _written(value)


def _written(value: float) -> str:
    """The shortest text that reads back as the same number; whole ones without the point."""
    number = float(value)
    return repr(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)
