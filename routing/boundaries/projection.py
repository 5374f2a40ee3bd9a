"""Lengths and areas on the ground for small things: the projection that boundary layers measure in.

Distances are taken in the Mercator projection of the WGS-84 ellipsoid, where shapes are true locally: a length there
times the scale at its middle latitude is a length on the ground (error below 0.1 % within 20 km, below 1 % within
100 km); further away along the great circle.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely
from geopy.distance import great_circle

from routing.boundaries.layer import Share

SEMI_MAJOR_M = 6_378_137.0
"""WGS-84."""

ECCENTRICITY = 0.081_819_190_842_622
"""WGS-84, first."""

_LOCAL = 0.02
"""Units of the projection (radians at the equator), about 100 km in Japan: beyond it the great circle is taken."""

_POLE_DEG = 89.0
"""The projection ends here; no road lies further."""


def flattened(degrees: Any) -> Any:
    """An array of (longitude, latitude) in degrees as (x, y) in the projection."""
    radians = np.radians(np.clip(degrees, (-np.inf, -_POLE_DEG), (np.inf, _POLE_DEG)))
    x, latitude = radians[:, 0], radians[:, 1]
    y = np.arcsinh(np.tan(latitude)) - ECCENTRICITY * np.arctanh(ECCENTRICITY * np.sin(latitude))
    return np.column_stack((x, y))


def flat_point(latitude: float, longitude: float) -> tuple[float, float]:
    """One position in the projection."""
    radians = math.radians(max(-_POLE_DEG, min(_POLE_DEG, latitude)))
    y = math.asinh(math.tan(radians)) - ECCENTRICITY * math.atanh(ECCENTRICITY * math.sin(radians))
    return math.radians(longitude), y


def unflattened(x: float, y: float) -> tuple[float, float]:
    """Latitude and longitude in degrees of a place in the projection."""
    latitude = math.atan(math.sinh(y))
    for _ in range(3):  # each step gains two digits and more
        latitude = math.atan(math.sinh(y + ECCENTRICITY * math.atanh(ECCENTRICITY * math.sin(latitude))))
    return math.degrees(latitude), math.degrees(x)


def scale_m(latitude: float) -> float:
    """Metres on the ground per unit of the projection at a latitude."""
    radians = math.radians(max(-_POLE_DEG, min(_POLE_DEG, latitude)))
    return SEMI_MAJOR_M * math.cos(radians) / math.sqrt(1.0 - (ECCENTRICITY * math.sin(radians)) ** 2)


def length_m(latitude: float, longitude: float, there: tuple[float, float], *, length: float) -> float:
    """Metres from a position to a place in the projection that is ``length`` units away."""
    other = unflattened(*there)
    if length > _LOCAL:
        return float(great_circle((latitude, longitude), other).m)
    return length * scale_m((latitude + other[0]) / 2.0)


def nearest(tree: Any, latitude: float, longitude: float) -> tuple[int, float]:
    """Index of the nearest of a tree's lines (in the projection) and its distance in metres."""
    point = shapely.Point(*flat_point(latitude, longitude))
    found, lengths = tree.query_nearest(point, return_distance=True, all_matches=False)
    index, length = int(found[0]), float(lengths[0])
    return index, distance_m(tree.geometries[index], point, latitude, longitude, length=length)


def distance_m(line: Any, point: Any, latitude: float, longitude: float, *, length: float) -> float:
    """Metres from ``point``, which is the position in the projection, to a line ``length`` units away."""
    there = shapely.get_coordinates(shapely.shortest_line(point, line))[1].tolist()
    return length_m(latitude, longitude, (there[0], there[1]), length=length)


def degrees_per_m(latitude: float) -> tuple[float, float]:
    """Degrees of latitude and of longitude per metre, at a latitude."""
    radians = math.radians(max(-_POLE_DEG, min(_POLE_DEG, latitude)))
    flattening = 1.0 - (ECCENTRICITY * math.sin(radians)) ** 2
    meridian = SEMI_MAJOR_M * (1.0 - ECCENTRICITY**2) / flattening**1.5
    return math.degrees(1.0 / meridian), math.degrees(1.0 / scale_m(latitude))


def circle(latitude: float, longitude: float, radius_m: float) -> Any:
    """A circle on the ground as a polygon of 64 corners in degrees (0.2 % less area than the circle)."""
    north, east = degrees_per_m(latitude)
    angles = np.linspace(0.0, 2.0 * math.pi, 64, endpoint=False)
    ring = np.column_stack((longitude + radius_m * east * np.cos(angles), latitude + radius_m * north * np.sin(angles)))
    return shapely.polygons(ring)


def shares_of(shape: Any, codes: Sequence[str], areas: Sequence[Any]) -> tuple[Share, ...]:
    """How ``shape`` divides among the areas, largest first, then by code."""
    whole = shapely.area(shape)
    if not codes or not whole > 0.0:
        return ()
    box = shapely.bounds(shape).tolist()
    near = [shapely.clip_by_rect(area, *box) for area in areas]
    parts = shapely.area(shapely.intersection(near, shape)) / whole
    return ranked(dict(zip(codes, parts.tolist(), strict=True)))


def ranked(parts: dict[str, float]) -> tuple[Share, ...]:
    """Shares above nothing, largest first, then by code; never more than 1 in all."""
    known = sorted((-min(1.0, part), code) for code, part in parts.items() if part > 0.0)
    total = max(1.0, -sum(part for part, _ in known))
    return tuple(Share(code, -part / total) for part, code in known)


def circle_shares(at: Any, to: Any, left: Any, right: Any, *, middle: int) -> dict[int, float]:
    """How the unit circle divides among areas, by Green's theorem along their borders; exact but for rounding.

    ``at`` and ``to`` are the ends of every border edge that may touch the circle, ``left`` and ``right`` the numbers of
    the areas beside it (-1 for none), ``middle`` the area that holds the centre.  Inside the circle an edge adds the
    triangle it spans with the centre; where an area's border leaves the circle, the area's part of the circumference
    begins, and it ends where the border comes in again.
    """
    step = to - at
    square, along = (step * step).sum(axis=1), (at * step).sum(axis=1)
    root = along * along - square * ((at * at).sum(axis=1) - 1.0)
    meets = (root > 0.0) & (square > 0.0)
    at, step, left, right = at[meets], step[meets], left[meets], right[meets]
    square, along, root = square[meets], along[meets], np.sqrt(root[meets])
    enter, leave = (-along - root) / square, (-along + root) / square
    begin, end = np.maximum(enter, 0.0), np.minimum(leave, 1.0)
    value = np.where(begin < end, (end - begin) * (at[:, 0] * step[:, 1] - at[:, 1] * step[:, 0]), 0.0)
    value += np.where((enter >= 0.0) & (enter < 1.0), _angle(at + enter[:, None] * step), 0.0)
    value -= np.where((leave > 0.0) & (leave <= 1.0), _angle(at + leave[:, None] * step), 0.0)
    most = max(int(left.max(initial=-1)), int(right.max(initial=-1)), middle) + 1
    total = np.bincount(left + 1, weights=value, minlength=most + 1)
    total -= np.bincount(right + 1, weights=value, minlength=most + 1)
    shares = {}
    for area in {*left.tolist(), *right.tolist(), middle} - {-1}:
        # The angles are known but for whole turns; nothing and everything differ by one, and the centre tells which.
        part = float(total[area + 1]) / (2.0 * math.pi) % 1.0
        shares[area] = float(area == middle) if min(part, 1.0 - part) < 1e-9 else part
    return shares


def _angle(points: Any) -> Any:
    return np.arctan2(points[:, 1], points[:, 0])
