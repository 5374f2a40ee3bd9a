"""A layer for tests: municipalities that are squares of a tenth of a degree, with land to the west and sea to the east.

A real implementation of the protocol, by shapely on few shapes, so that a test can be read with a pencil.
"""

from datetime import date

import shapely

from routing.boundaries import Border, Match, Share
from routing.boundaries.projection import circle
from routing.location import Position

SIDE = 0.1
SOUTH, WEST = 35.0, 139.0
CODES = (("11101", "11102", "13101"), ("11202", "11203", "13102"))
"""Rows from the south, columns from the west."""


class Squares:
    """Six municipalities in two prefectures; everything east of them is sea."""

    accuracy_m = 0.0

    def __init__(self) -> None:
        self._shapes = {
            code: shapely.box(
                WEST + column * SIDE, SOUTH + row * SIDE, WEST + (column + 1) * SIDE, SOUTH + (row + 1) * SIDE
            )
            for row, codes in enumerate(CODES)
            for column, code in enumerate(codes)
        }

    @property
    def names(self):
        return {code: (f"架空市{code}", f"Demo {code}") for code in self._shapes}

    @property
    def dataset(self):
        return "squares@0"

    def covers(self, as_of: date):
        return as_of >= date(2020, 1, 1)

    def find(self, latitude, longitude, *, as_of=None):
        Position(latitude, longitude)
        point = shapely.Point(longitude, latitude)
        for code, shape in self._shapes.items():
            if shape.intersects(point):
                return Match(f"JP-{code[:2]}", "inside", 0.0, code)
        off, code = min((shape.distance(point) * 111_000.0, code) for code, shape in self._shapes.items())
        how = "nearest" if off <= 5_000.0 else "sea" if off <= 400_000.0 else "outside"
        return Match(None, how, off) if how == "outside" else Match(f"JP-{code[:2]}", how, off, code)

    def find_many(self, latitudes, longitudes, *, as_of=None):
        return [
            self.find(float(latitude), float(longitude))
            for latitude, longitude in zip(latitudes, longitudes, strict=True)
        ]

    def border(self, latitude, longitude, *, code, as_of=None):
        point = shapely.Point(longitude, latitude)
        others = ((shape.distance(point) * 111_000.0, each) for each, shape in self._shapes.items() if each != code)
        distance_m, runner_up = min(others)
        return Border(distance_m, runner_up)

    def shares(self, latitude, longitude, radius_m, *, as_of=None):
        return self.shares_of(circle(latitude, longitude, radius_m))

    def shares_of(self, shape, *, as_of=None):
        parts = {code: each.intersection(shape).area / shape.area for code, each in self._shapes.items()}
        found = [Share(code, share) for code, share in parts.items() if share > 0.0]
        return tuple(sorted(found, key=lambda each: (-each.share, each.code)))

    def polygon(self, code, *, as_of=None):
        return self._shapes.get(code)
