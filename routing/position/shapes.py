"""Where somebody may be, as a shape on the ground: the two-dimensional shapes of RFC 5491 section 5.2.

A shape says "the caller is in here", with a confidence that RFC 5491 wants at 95 % (RFC 7459 says how to state another
one).  Coordinates are WGS-84 degrees, latitude first; angles turn clockwise from north; lengths are metres on the
ground.  ``region`` turns a shape into a shapely geometry for the boundary layers, ``circle_of`` into the one circle
that a map or a message with room for a radius can hold.  How shapes are written down is the matter of ``gml``.
"""

import math
from typing import Any, assert_never

import numpy as np
import shapely
from geopy.distance import geodesic
from msgspec import Struct

from routing.errors import Malformed
from routing.location import Position

MAX_RADIUS_M = 1_000_000.0
"""A cell of a satellite network; anything wider says nothing about where help must go."""

MAX_VERTICES = 20_000
"""Of one polygon: a municipality at full resolution has some thousand, and a message must stay readable."""

STATED_CONFIDENCE = 95.0
"""Per cent: what a shape is taken to hold when nothing is said (RFC 5491 section 5.1)."""

_EQUATOR_M = 6_378_137.0
"""Semi-major axis of WGS-84."""

_FLATTENING = 1.0 / 298.257223563
_E2 = _FLATTENING * (2.0 - _FLATTENING)
"""First eccentricity squared."""

_SAGITTA_M = 0.5
"""How far the chords of an outline may stay inside the true arc, while the number of vertices allows it."""

_THIN_M = 0.01
"""What is thinner has no area that floating point could hold safely: it is drawn this thick, or as a point."""

_THIN_DEG = 0.001

_FEWEST, _MOST = 32, 512
"""Vertices of a full circle's outline: up to 50 km the chords keep within a metre of the arc."""


class Point(Struct, frozen=True):
    """A place without any stated uncertainty.  ``Malformed`` when it is no place on Earth."""

    latitude: float
    longitude: float
    altitude_m: float | None = None
    """Above the ellipsoid."""

    def __post_init__(self) -> None:
        Position(self.latitude, self.longitude)


class Circle(Struct, frozen=True):
    """``Malformed`` when the centre is no place on Earth or the radius no length."""

    latitude: float
    longitude: float
    radius_m: float
    altitude_m: float | None = None

    def __post_init__(self) -> None:
        Position(self.latitude, self.longitude)
        _length(self.radius_m, "radius")


class Ellipse(Struct, frozen=True):
    """``Malformed`` when an axis is no length or the minor axis is the longer one."""

    latitude: float
    longitude: float
    semi_major_m: float
    semi_minor_m: float
    orientation_deg: float
    """Of the major axis, clockwise from north."""
    altitude_m: float | None = None

    def __post_init__(self) -> None:
        Position(self.latitude, self.longitude)
        _length(self.semi_major_m, "semiMajorAxis")
        _length(self.semi_minor_m, "semiMinorAxis")
        if self.semi_minor_m > self.semi_major_m:
            raise Malformed("semiMinorAxis must not be longer than semiMajorAxis", field="semiMinorAxis")
        _angle(self.orientation_deg, "orientation", at_most=360.0)


class ArcBand(Struct, frozen=True):
    """A piece of a ring, as a mobile cell with a sector and a timing advance gives it."""

    latitude: float
    """Of the antenna, which lies outside the band unless ``inner_m`` is 0."""
    longitude: float
    inner_m: float
    outer_m: float
    start_deg: float
    """Where the band begins, clockwise from north."""
    opening_deg: float
    """How far it goes on from there, clockwise."""
    altitude_m: float | None = None

    def __post_init__(self) -> None:
        Position(self.latitude, self.longitude)
        _length(self.inner_m, "innerRadius")
        _length(self.outer_m, "outerRadius")
        if self.inner_m >= self.outer_m:
            raise Malformed("innerRadius must be shorter than outerRadius", field="innerRadius")
        _angle(self.start_deg, "startAngle", at_most=360.0)
        _angle(self.opening_deg, "openingAngle", at_most=360.0)
        if self.opening_deg == 0.0:
            raise Malformed("openingAngle must be more than 0", field="openingAngle")


class Polygon(Struct, frozen=True):
    """``Malformed`` when a ring is open, crosses itself or has no area.

    Edges are straight in degrees, as the layers take them; two neighbouring vertices are less than 180 degrees of
    longitude apart.
    """

    exterior: tuple[tuple[float, float], ...]
    """(latitude, longitude); the last equals the first."""
    holes: tuple[tuple[tuple[float, float], ...], ...] = ()
    """RFC 5964: for service boundaries; a caller's own location has none (RFC 5491 section 5.2.2)."""

    def __post_init__(self) -> None:
        rings = (self.exterior, *self.holes)
        if sum(len(ring) for ring in rings) > MAX_VERTICES:
            raise Malformed(f"a polygon may have at most {MAX_VERTICES} vertices", field="Polygon")
        for ring in rings:
            if len(ring) < 4 or ring[0] != ring[-1]:
                raise Malformed("a ring needs four positions or more, the last equal to the first", field="LinearRing")
            for latitude, longitude in ring:
                Position(latitude, longitude)
        if not shapely.is_valid(_polygon(self)):
            raise Malformed("a polygon must have an area, and its edges must not cross", field="Polygon")


Shape = Point | Circle | Ellipse | ArcBand | Polygon


class Confidence(Struct, frozen=True):
    """How likely the caller is inside the shape (RFC 7459 section 4).  ``Malformed`` outside 0 to 100, exclusive."""

    percent: float | None
    """None is the standard's ``unknown``."""
    pdf: str = "unknown"
    """``unknown``, ``normal`` or ``rectangular``."""

    def __post_init__(self) -> None:
        if self.percent is not None and not 0.0 < self.percent < 100.0:
            raise Malformed("confidence must lie between 0 and 100 per cent, exclusive", field="confidence")
        if self.pdf not in ("unknown", "normal", "rectangular"):
            raise Malformed("pdf must be unknown, normal or rectangular", field="confidence/@pdf")


def circle_of(shape: Shape) -> Circle:
    """The circle that holds ``shape``, round the place one would point at (RFC 7459 sections 5.1 and 5.2)."""
    match shape:
        case Point():
            return Circle(shape.latitude, shape.longitude, 0.0, shape.altitude_m)
        case Circle():
            return shape
        case Ellipse():
            return Circle(shape.latitude, shape.longitude, shape.semi_major_m, shape.altitude_m)
        case ArcBand() | Polygon():
            outline = region(shape)
            centre = outline.centroid
            slack_m = 2.0 * _SAGITTA_M if isinstance(shape, ArcBand) else 0.0
            radius_m = _farthest_m(centre.y, centre.x, shapely.get_coordinates(outline)) + slack_m
            return Circle(centre.y, _wrapped(centre.x), min(radius_m, MAX_RADIUS_M))
        case _ as never:
            assert_never(never)


def centre_of(shape: Shape) -> Position:
    """The one place to ask about when only one can be asked about: the middle of ``circle_of``."""
    circle = circle_of(shape)
    return Position(circle.latitude, circle.longitude)


def region(shape: Shape) -> Any:
    """``shape`` as a shapely geometry in degrees, longitude first; a Point where there is no extent.

    Vertices lie on the true outline to well under a metre up to 20 km from the centre.  Across the 180th meridian
    longitudes go on beyond 180.  ``Malformed`` for a circle, ellipse or band that reaches a pole, which has no outline
    in degrees.
    """
    match shape:
        case Point():
            return shapely.Point(shape.longitude, shape.latitude)
        case Circle():
            if shape.radius_m < _THIN_M:
                return shapely.Point(shape.longitude, shape.latitude)
            bearings = _bearings(0.0, 360.0, shape.radius_m)[:-1]
            return shapely.Polygon(_around(shape.latitude, shape.longitude, bearings, shape.radius_m))
        case Ellipse():
            return _ellipse(shape)
        case ArcBand():
            return _arc_band(shape)
        case Polygon():
            return _polygon(shape)
        case _ as never:
            assert_never(never)


def radius_at(radius_m: float, confidence: Confidence, *, percent: float = STATED_CONFIDENCE) -> float:
    """``radius_m`` rescaled to hold the caller with ``percent`` confidence, in metres.

    Only a normal distribution can be rescaled to more (RFC 7459 section 5.4); a rectangular one can only shrink, and of
    an unknown one nothing is known: those keep the radius as it was stated.
    """
    if confidence.percent is None or confidence.pdf == "unknown":
        return radius_m
    if confidence.pdf == "rectangular":
        return radius_m * math.sqrt(min(1.0, percent / confidence.percent))
    return radius_m * math.sqrt(math.log1p(-percent / 100.0) / math.log1p(-confidence.percent / 100.0))


def geodesic_m(first: Position, second: Position) -> float:
    """The distance on the ellipsoid.  A tenth of a millisecond: to report, not to search with."""
    return float(geodesic((first.latitude, first.longitude), (second.latitude, second.longitude)).m)


def _length(value: float, name: str) -> None:
    if not 0.0 <= value <= MAX_RADIUS_M:
        raise Malformed(f"{name} must be between 0 and {MAX_RADIUS_M:.0f} metres", field=name)


def _angle(value: float, name: str, *, at_most: float) -> None:
    if not 0.0 <= value <= at_most:
        raise Malformed(f"{name} must be between 0 and {at_most:.0f} degrees", field=name)


def _wrapped(longitude: float) -> float:
    return longitude if -180.0 <= longitude <= 180.0 else (longitude + 180.0) % 360.0 - 180.0


def _bearings(start: float, opening: float, radius_m: float) -> Any:
    """From ``start`` over ``opening`` degrees clockwise, close enough together for ``_SAGITTA_M``."""
    full = min(_MOST, max(_FEWEST, math.ceil(math.pi * math.sqrt(radius_m / (2.0 * _SAGITTA_M)))))
    return np.radians(np.linspace(start, start + opening, max(2, math.ceil(full * opening / 360.0) + 1)))


def _ellipse(shape: Ellipse) -> Any:
    if shape.semi_minor_m < _THIN_M:
        return region(Circle(shape.latitude, shape.longitude, shape.semi_major_m))
    turns = _bearings(0.0, 360.0, shape.semi_major_m)[:-1]
    along, across = shape.semi_major_m * np.cos(turns), shape.semi_minor_m * np.sin(turns)
    bearings = np.arctan2(across, along) + math.radians(shape.orientation_deg)
    return shapely.Polygon(_around(shape.latitude, shape.longitude, bearings, np.hypot(along, across)))


def _arc_band(shape: ArcBand) -> Any:
    if shape.outer_m < _THIN_M:
        return shapely.Point(shape.longitude, shape.latitude)
    inner_m = min(shape.inner_m, shape.outer_m - _THIN_M)
    opening = max(shape.opening_deg, _THIN_DEG)
    bearings = _bearings(shape.start_deg, opening, shape.outer_m)
    outer = _around(shape.latitude, shape.longitude, bearings, shape.outer_m)
    if opening > 360.0 - _THIN_DEG:
        inner = _around(shape.latitude, shape.longitude, bearings[:-1], inner_m)
        return shapely.Polygon(outer[:-1], [inner] if inner_m >= _THIN_M else [])
    if inner_m < _THIN_M:
        return shapely.Polygon([*outer.tolist(), [shape.longitude, shape.latitude]])
    inner = _around(shape.latitude, shape.longitude, bearings[::-1], inner_m)
    return shapely.Polygon(np.concatenate((outer, inner)))


def _polygon(shape: Polygon) -> Any:
    anchor = shape.exterior[0][1]
    return shapely.Polygon(_unrolled(shape.exterior, anchor), [_unrolled(hole, anchor) for hole in shape.holes])


def _unrolled(ring: tuple[tuple[float, float], ...], anchor: float) -> Any:
    """(longitude, latitude) with each longitude within 180 degrees of the one before, beginning near ``anchor``."""
    array = np.array(ring)[:, ::-1].copy()
    turns = np.cumsum(np.round(np.diff(array[:, 0], prepend=anchor) / -360.0))
    if turns.any():  # else the numbers stay as they are: the least rounding can make two edges touch
        array[:, 0] += 360.0 * turns
    return array


def _around(latitude: float, longitude: float, bearings: Any, distances_m: Any) -> Any:
    """(longitude, latitude) of what lies at these bearings (radians) and distances.

    Exact on the sphere that touches the ellipsoid with its curvature in that bearing, then laid on the ellipsoid: at
    20 km this differs from the geodesic by centimetres, for a hundredth of its price.
    """
    phi = math.radians(latitude)
    across = _EQUATOR_M / math.sqrt(1.0 - _E2 * math.sin(phi) ** 2)
    along = across * (1.0 - _E2) / (1.0 - _E2 * math.sin(phi) ** 2)
    if abs(latitude) + math.degrees(float(np.max(distances_m)) / along) >= 90.0:
        raise Malformed("a shape that reaches a pole has no outline in degrees", field="pos")
    curvature = np.cos(bearings) ** 2 / along + np.sin(bearings) ** 2 / across
    reach = np.sin(distances_m * curvature) / curvature
    up = (np.cos(distances_m * curvature) - 1.0) / curvature
    north, east = reach * np.cos(bearings), reach * np.sin(bearings)
    outward = (across + up) * math.cos(phi) - north * math.sin(phi)
    z = (across * (1.0 - _E2) + up) * math.sin(phi) + north * math.cos(phi)
    return np.column_stack((longitude + np.degrees(np.arctan2(east, outward)), _latitudes(np.hypot(outward, east), z)))


def _latitudes(axis_m: Any, z_m: Any) -> Any:
    """Degrees, from the distance to the Earth's axis and the height over the equator (Bowring, near the ground)."""
    polar = _EQUATOR_M * (1.0 - _FLATTENING)
    beta = np.arctan2(z_m * _EQUATOR_M, axis_m * polar)
    second = _E2 / (1.0 - _E2)
    return np.degrees(
        np.arctan2(z_m + second * polar * np.sin(beta) ** 3, axis_m - _E2 * _EQUATOR_M * np.cos(beta) ** 3)
    )


def _farthest_m(latitude: float, longitude: float, vertices: Any) -> float:
    """To the farthest of ``vertices`` (longitude first): the chord through the Earth, bent; millimetres at 100 km."""
    here, there = _cartesian(np.array([longitude]), np.array([latitude])), _cartesian(vertices[:, 0], vertices[:, 1])
    chord = float(np.max(np.linalg.norm(there - here, axis=1)))
    radius = float(np.linalg.norm(here))
    return 2.0 * radius * math.asin(min(1.0, chord / (2.0 * radius)))


def _cartesian(longitudes: Any, latitudes: Any) -> Any:
    phi, lam = np.radians(latitudes), np.radians(longitudes)
    across = _EQUATOR_M / np.sqrt(1.0 - _E2 * np.sin(phi) ** 2)
    flat = across * np.cos(phi)
    return np.column_stack((flat * np.cos(lam), flat * np.sin(lam), across * (1.0 - _E2) * np.sin(phi)))
