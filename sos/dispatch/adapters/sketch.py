"""Where it is from where they start: distance and direction in words, and a drawing to scale, north up.

It is drawn from what the brief tells and from the agency's own stations, and asks nobody on the network for a map: the
place of a person in need is told to no stranger.
"""

import math
from html import escape

from msgspec import Struct

from routing.brief import Brief
from routing.brief.pidf import shape_of
from routing.categories import Category
from routing.directory import Agency, Station
from routing.location import Position
from routing.position.compass import compass
from routing.position.shapes import Circle, geodesic_m

WIDE, HIGH, MARGIN = 320, 220, 34

LEAST_M = 50.0
"""So much around the place is shown at least."""

NEAR_M = 30.0
"""Nearer than this a direction says nothing."""


class Way(Struct, frozen=True, kw_only=True):
    """From the nearest station of the agency to the place; a straight line, not a road."""

    station: str
    east_m: float
    north_m: float
    distance_m: float

    @property
    def bearing_deg(self) -> float:
        """From north, clockwise, 0 up to 360."""
        return math.degrees(math.atan2(self.east_m, self.north_m)) % 360.0


class Place(Struct, frozen=True, kw_only=True):
    latitude: float
    longitude: float
    radius_m: float | None
    """Of the circle in which the vehicle is likely to be; None where nobody says."""
    way: Way | None
    """None where the agency has no station in the directory."""


def place_of(brief: Brief, agency: Agency | None) -> Place | None:
    """The place that ``brief`` tells, seen from ``agency``; None where it is withheld or not known."""
    shape = shape_of(brief.sections.get(Category.LOC) or {})
    if shape is None:
        return None
    at = Position(shape.latitude, shape.longitude)
    ways = (_way(station, at) for station in (agency.stations if agency else ()))
    return Place(
        latitude=at.latitude,
        longitude=at.longitude,
        radius_m=shape.radius_m if isinstance(shape, Circle) else None,
        way=min(ways, key=lambda each: each.distance_m, default=None),
    )


def _way(station: Station, at: Position) -> Way:
    start = Position(station.latitude, station.longitude)
    east = (at.longitude - start.longitude + 180.0) % 360.0 - 180.0
    north_m = geodesic_m(start, Position(at.latitude, start.longitude))
    east_m = geodesic_m(start, Position(start.latitude, at.longitude))
    return Way(
        station=station.name,
        east_m=math.copysign(east_m, east),
        north_m=math.copysign(north_m, at.latitude - start.latitude),
        distance_m=geodesic_m(start, at),
    )


def in_words(way: Way, *, japanese: bool) -> str:
    """Such as ``東消防署から北東へ直線3.2 km``."""
    far = f"{way.distance_m / 1000:.1f} km" if way.distance_m >= 1000 else f"{round(way.distance_m, -1):.0f} m"
    if way.distance_m < NEAR_M:
        return f"{way.station}のすぐそば" if japanese else f"beside {way.station}"
    direction = compass(way.bearing_deg, japanese=japanese)
    if japanese:
        return f"{way.station}から{direction}へ直線{far}"
    return f"{far} {direction} of {way.station}, in a straight line"


def drawing(place: Place) -> str:
    """An SVG image: the place with its circle, the station, a bar of round length and north; for eyes only, since
    ``in_words`` says the same."""
    way = place.way
    east_m, north_m = (way.east_m / 2, way.north_m / 2) if way else (0.0, 0.0)
    around_m = max(place.radius_m or 0.0, LEAST_M)
    scale = min((WIDE / 2 - MARGIN) / (abs(east_m) + around_m), (HIGH / 2 - MARGIN) / (abs(north_m) + around_m))
    here = WIDE / 2 + east_m * scale, HIGH / 2 - north_m * scale
    station = "" if way is None else _station(way, WIDE / 2 - east_m * scale, HIGH / 2 + north_m * scale, here)
    around = f'<circle cx="{here[0]:.1f}" cy="{here[1]:.1f}" r="{(place.radius_m or 0.0) * scale:.1f}" class="around"/>'
    return (
        f'<svg viewBox="0 0 {WIDE} {HIGH}" class="sketch" data-testid="sketch" aria-hidden="true">{around}{station}'
        f'<circle cx="{here[0]:.1f}" cy="{here[1]:.1f}" r="6" class="here"/>{_bar(scale)}'
        f'<path d="M{WIDE - 20} 34V12m-5 7l5-7l5 7"/><text x="{WIDE - 24}" y="50">N</text></svg>'
    )


def _station(way: Way, x: float, y: float, here: tuple[float, float]) -> str:
    return (
        f'<path d="M{x:.1f} {y:.1f}L{here[0]:.1f} {here[1]:.1f}" class="line"/>'
        f'<rect x="{x - 5:.1f}" y="{y - 5:.1f}" width="10" height="10"/>'
        f'<text x="{min(x + 8, WIDE - 90):.1f}" y="{y + 18:.1f}">{escape(way.station[:12])}</text>'
    )


def _bar(scale: float) -> str:
    """A scale bar of 1, 2 or 5 times a power of ten metres, a quarter of the drawing at most."""
    most_m = WIDE / 4 / scale
    power = 10.0 ** math.floor(math.log10(most_m))
    length_m = next(step * power for step in (5, 2, 1) if step * power <= most_m)
    said = f"{length_m / 1000:g} km" if length_m >= 1000 else f"{length_m:g} m"
    wide = length_m * scale
    return f'<path d="M12 {HIGH - 10}h{wide:.1f}"/><text x="12" y="{HIGH - 16}">{said}</text>'
