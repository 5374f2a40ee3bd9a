"""Where an address is, as far as our own data say: the town that it names, else the municipality, and how wide it is.

An address that a geocoder of one's own does not know still names a municipality, and with that who is responsible.
Names are matched from the front of what was said, the longest first; what fits no area or more than one fits none.
"""

import unicodedata
from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from shapely import minimum_bounding_circle, minimum_bounding_radius

from routing.boundaries.layer import Layer
from routing.location import Position
from routing.plan.place import TownPoints
from routing.position.shapes import geodesic_m

TOWN_M = 500.0
"""How far from its point an address of a town (町丁目) mostly lies."""

SLACK_M = 2_000.0
"""Between a town's point and its farthest house, where the town is a village."""

LONGEST = 300

MOST_M = 100_000.0
"""An area that is wider narrows nothing."""


class Found(Struct, frozen=True, kw_only=True):
    position: Position
    uncertainty_m: float
    name: str
    """Of the area that was recognised."""
    exact: bool
    """False: it is known no better than by its municipality or prefecture."""

    def holds(self, position: Position) -> bool:
        """Whether ``position`` can be what was meant."""
        return geodesic_m(self.position, position) <= self.uncertainty_m + SLACK_M


class AddressAreas:
    """Safe to share between threads."""

    def __init__(self, layer: Layer, towns: TownPoints | None = None, *, names: Mapping[str, tuple[str, str]]) -> None:
        """``names``: of areas by their codes, Japanese and English."""
        self._layer = layer
        self._towns = towns
        self._names: dict[str, set[str]] = {}
        for code, (name, _) in names.items():
            for spelt in _spellings(code, name, names):
                self._names.setdefault(_folded(spelt), set()).add(code)

    def find(self, text: str) -> Found | None:
        """The finest area that ``text`` begins with; None where it names none, or more than one."""
        said = _folded(text[:LONGEST])
        matching = [name for name in self._names if said.startswith(name)]
        for name in sorted(matching, key=len, reverse=True):
            if len(codes := self._names[name]) == 1:
                (code,) = codes
                return self._town(code, said.removeprefix(name)) or self._area(code)
        return None

    def _town(self, code: str, rest: str) -> Found | None:
        towns = self._towns.of(code) if self._towns is not None else ()
        named = [(town, position) for town, position in towns if rest.startswith(_folded(town))]
        if not named:
            return None
        longest = max(len(town) for town, _ in named)
        (town, position), *others = [each for each in named if len(each[0]) == longest]
        spread = max((geodesic_m(position, other) for _, other in others), default=0.0)
        return Found(position=position, uncertainty_m=TOWN_M + spread, name=town, exact=True)

    def _area(self, code: str) -> Found | None:
        shape: Any = self._layer.polygon(code)
        if shape is None or shape.is_empty:
            return None
        point, circle = shape.representative_point(), minimum_bounding_circle(shape).centroid
        at = Position(point.y, point.x)
        middle, radius = Position(circle.y, circle.x), minimum_bounding_radius(shape)
        radius_m = geodesic_m(middle, Position(circle.y + radius, circle.x))
        uncertainty_m = radius_m + geodesic_m(at, middle)
        if uncertainty_m > MOST_M:
            return None
        return Found(
            position=at,
            uncertainty_m=uncertainty_m,
            name=self._layer.names.get(code, (code, ""))[0],
            exact=False,
        )


def _spellings(code: str, name: str, names: Mapping[str, tuple[str, str]]) -> tuple[str, ...]:
    """Also without its prefecture, which nobody says who lives there."""
    prefecture = names.get(f"JP-{code[:2]}", ("", ""))[0] if code.isdecimal() else ""
    short = name.removeprefix(prefecture)
    return (name, short) if not prefecture else (prefecture + short, short)


def _folded(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).casefold().split()).replace("ヶ", "ケ").replace("之", "の")
