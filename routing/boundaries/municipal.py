"""The exact layer: municipalities, or any other areas, from an index made by ``sos geo import``.

Answers are those of the imported polygons, to the last bit.  Several vintages may stand in one file: an area that was
merged or divided has a last day, its successors a first one, and ``as_of`` chooses.
"""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from msgspec import Struct

from routing.boundaries import projection
from routing.boundaries.index import Index
from routing.boundaries.layer import NEAREST_LIMIT_M, SEA_LIMIT_M, Border, Match, Share
from routing.errors import Malformed
from routing.location import Position

_CLEAR_CELLS = 64
"""Up to so many cells a circle is checked for lying in cells of one area before its edges are looked at."""

_START = 1e-4
"""Units of the projection, about 500 m: the first circle in which another area's border is sought."""

_KEPT_POLYGONS = 64


class _State(Struct, frozen=True):
    """The layer on the days between two changes."""

    answers: tuple[Match | None, ...]
    """By set: the match inside it, None where nothing is valid."""
    areas: tuple[Match | None, ...]
    """By area."""
    valid: Any
    """By area, and False for none (-1)."""


class MunicipalLayer:
    """Areas by code, from an index file that stays mapped.  Safe to share between threads."""

    __slots__ = (
        "_abroad",
        "_columns",
        "_edges",
        "_grid",
        "_height",
        "_index",
        "_kept",
        "_newest",
        "_numbers",
        "_rows",
        "_sides",
        "_south",
        "_starts",
        "_states",
        "_tree",
        "_west",
        "_width",
        "accuracy_m",
        "codes",
        "names",
    )

    def __init__(self, index: Index) -> None:
        header = index.header
        self._index = index
        self.accuracy_m = header.accuracy_m
        """How far the borders may be wrong, as the import was told."""
        self.names = {area.code: (area.name_ja, area.name_en) for area in header.areas}
        """Code to (Japanese, English) name, of every area of every date."""
        self.codes = tuple(area.code for area in header.areas)
        """By area number; a code stands twice when its area changed."""
        self._numbers: dict[str, tuple[int, ...]] = {}
        for number, code in enumerate(self.codes):
            self._numbers[code] = (*self._numbers.get(code, ()), number)
        self._starts, self._states = _states(index)
        self._newest = self._states[-1]
        self._grid, self._south, self._west = index.grid, header.south, header.west
        self._rows, self._columns = header.rows_per_degree, header.columns_per_degree
        self._width, self._height = header.width, header.height
        self._edges, self._sides, self._tree = _borders(index)
        self._abroad = shapely.from_wkb(bytes(index.file.section("abroad")) or None)
        shapely.prepare(self._abroad)
        self._kept: dict[int, Any] = {}

    @classmethod
    def load(cls, path: Path) -> "MunicipalLayer":
        """The layer of an index file.  ``Misconfigured`` when it is missing, damaged or of another version."""
        return cls(Index(path))

    @property
    def dataset(self) -> str:
        """Name and digest, as plans record it."""
        return f"{self._index.header.name}@{self._index.file.digest}"

    def covers(self, as_of: date) -> bool:
        """Whether any area states that it is valid on this date."""
        return any(
            (area.valid_from is None or area.valid_from <= as_of) and (area.valid_to is None or as_of <= area.valid_to)
            for area in self._index.header.areas
        )

    def find(self, latitude: float, longitude: float, *, as_of: date | None = None) -> Match:
        """The area of a point, the lowest code on a border.  ``Malformed`` when the point is no place on Earth."""
        state = self._newest if as_of is None else self._on(as_of)
        v = (latitude - self._south) * self._rows
        u = (longitude - self._west) * self._columns
        if 0.0 <= u < self._width and 0.0 <= v < self._height:
            node = self._grid[int(v) * self._width + int(u)]
            if node < 0:
                return self._in_crowded_cell(node, latitude, longitude, state)
            match = state.answers[node]
            if match is not None:
                return match
        return self._off_shore(latitude, longitude, state)

    def find_many(
        self, latitudes: Sequence[float], longitudes: Sequence[float], *, as_of: date | None = None
    ) -> list[Match]:
        """``find`` for many points, in their order: cells in bulk, points near borders one by one."""
        state = self._newest if as_of is None else self._on(as_of)
        ys, xs = np.asarray(latitudes, dtype=np.float64), np.asarray(longitudes, dtype=np.float64)
        with np.errstate(invalid="ignore"):
            v, u = (ys - self._south) * self._rows, (xs - self._west) * self._columns
            inside = (u >= 0.0) & (u < self._width) & (v >= 0.0) & (v < self._height)
            cell = np.where(inside, v, 0.0).astype(np.int64) * self._width + np.where(inside, u, 0.0).astype(np.int64)
        nodes = np.where(inside, np.frombuffer(self._grid, dtype=np.int32)[cell], 0)
        answers = state.answers
        found = [answers[node] if node > 0 else None for node in nodes.tolist()]
        return [
            match if match is not None else self.find(latitude, longitude, as_of=as_of)
            for match, latitude, longitude in zip(found, ys.tolist(), xs.tolist(), strict=True)
        ]

    def border(self, latitude: float, longitude: float, *, code: str, as_of: date | None = None) -> Border | None:
        """How far it is to the nearest area other than ``code``, and which one; None when there is no other."""
        Position(latitude, longitude)
        accept = (self._newest if as_of is None else self._on(as_of)).valid.copy()
        accept[list(self._numbers.get(code, ()))] = False
        found = self._nearest(latitude, longitude, accept)
        return Border(found[1], self.codes[found[0]]) if found else None

    def shares(
        self, latitude: float, longitude: float, radius_m: float, *, as_of: date | None = None
    ) -> tuple[Share, ...]:
        """How a circle on the ground divides among the areas, largest first, to rounding error.

        ``Malformed`` when the radius is negative or no number.
        """
        Position(latitude, longitude)
        if not 0.0 <= radius_m < projection.SEMI_MAJOR_M:
            raise Malformed("a radius must be a number of metres from 0", field="$.radius_m")
        state = self._newest if as_of is None else self._on(as_of)
        middle = self._holder(latitude, longitude, state)
        north, east = projection.degrees_per_m(latitude)
        wide, high = radius_m * east, radius_m * north
        box = (longitude - wide, latitude - high, longitude + wide, latitude + high)
        if radius_m == 0.0 or self._clear(box, state):
            return () if middle < 0 else (Share(self.codes[middle], 1.0),)
        at, to, left, right = self._edges_in(box)
        parts = projection.circle_shares(
            (at - (longitude, latitude)) / (wide, high),
            (to - (longitude, latitude)) / (wide, high),
            left,
            right,
            middle=middle,
        )
        return projection.ranked({self.codes[area]: part for area, part in parts.items() if state.valid[area]})

    def shares_of(self, shape: Any, *, as_of: date | None = None) -> tuple[Share, ...]:
        """How any shapely (Multi)Polygon in degrees divides among the areas, largest first, then by code."""
        state = self._newest if as_of is None else self._on(as_of)
        box = shapely.bounds(shape).tolist()
        if not np.isfinite(box).all():
            return ()
        _, _, left, right = self._edges_in(box)
        near = {area for area in np.unique(np.concatenate((left, right))).tolist() if area >= 0}
        inside = shapely.get_coordinates(shapely.point_on_surface(shape))[0].tolist()
        near.add(self._holder(inside[1], inside[0], state))
        known = sorted(area for area in near if area >= 0 and state.valid[area])
        return projection.shares_of(shape, [self.codes[area] for area in known], [self._shape(area) for area in known])

    def polygon(self, code: str, *, as_of: date | None = None) -> Any:
        """The shapely (Multi)Polygon of an area in degrees, or None when there is no such area on that date."""
        state = self._newest if as_of is None else self._on(as_of)
        for number in self._numbers.get(code, ()):
            if state.valid[number]:
                return self._shape(number)
        return None

    def _on(self, as_of: date) -> _State:
        return self._states[max(0, bisect_right(self._starts, as_of) - 1)]

    def _in_crowded_cell(self, node: int, latitude: float, longitude: float, state: _State) -> Match:
        u, v = (longitude - self._west) * self._columns, (latitude - self._south) * self._rows
        node = self._index.within(node, u, v)
        if node >= 0:
            return state.answers[node] or self._off_shore(latitude, longitude, state)
        for area in self._index.held(node, latitude, longitude):
            match = state.areas[area]
            if match is not None:
                return match
        return self._off_shore(latitude, longitude, state)

    def _holder(self, latitude: float, longitude: float, state: _State) -> int:
        """The number of the area that holds a point, or -1."""
        for area in self._index.holders(latitude, longitude):
            if state.valid[area]:
                return area
        return -1

    def _off_shore(self, latitude: float, longitude: float, state: _State) -> Match:
        Position(latitude, longitude)
        found = self._nearest(latitude, longitude, state.valid)
        if found is None or found[1] > SEA_LIMIT_M or shapely.intersects_xy(self._abroad, longitude, latitude):
            return Match(None, "outside", found[1] if found else float("inf"))
        area = self._index.header.areas[found[0]]
        how = "nearest" if found[1] <= NEAREST_LIMIT_M else "sea"
        return Match(area.prefecture, how, found[1], area.code)

    def _nearest(self, latitude: float, longitude: float, accept: Any) -> tuple[int, float] | None:
        """The nearest border of an area that is accepted: which area, and how many metres off."""
        point = shapely.Point(*projection.flat_point(latitude, longitude))
        pieces, lengths = self._tree.query_nearest(point, return_distance=True)
        fits = accept[self._sides[pieces]]
        reach = max(_START, 2.0 * float(lengths[0]))
        while not fits.any():
            if reach > 8.0:  # the projection ends at 2 pi
                return None
            pieces = self._tree.query(point, predicate="dwithin", distance=reach)
            fits = accept[self._sides[pieces]]
            pieces, fits = pieces[fits.any(axis=1)], fits[fits.any(axis=1)]
            lengths = shapely.distance(self._tree.geometries[pieces], point)
            reach *= 4.0
        nearest = fits & (lengths == lengths[fits.any(axis=1)].min())[:, None]
        owner = int(self._sides[pieces][nearest].min())
        which = int(np.argmax(nearest.any(axis=1)))
        line = self._tree.geometries[pieces[which]]
        return owner, projection.distance_m(line, point, latitude, longitude, length=float(lengths[which]))

    def _clear(self, box: Sequence[float], state: _State) -> bool:
        """Whether one area, or none, fills all cells of a box."""
        west, east = (int((x - self._west) * self._columns) for x in (box[0], box[2]))
        south, north = (int((y - self._south) * self._rows) for y in (box[1], box[3]))
        if not (0 <= west <= east < self._width and 0 <= south <= north < self._height):
            return False
        if (east - west + 1) * (north - south + 1) > _CLEAR_CELLS:
            return False
        first = self._grid[south * self._width + west]
        return first >= 0 and all(
            node == first
            for row in range(south, north + 1)
            for node in self._grid[row * self._width + west : row * self._width + east + 1]
        )

    def _edges_in(self, box: Sequence[float]) -> tuple[Any, Any, Any, Any]:
        """All edges that may touch a box: their ends (longitude, latitude) and the areas on either side."""
        (west, south), (east, north) = (projection.flat_point(box[1], box[0]), projection.flat_point(box[3], box[2]))
        pieces = self._tree.query(shapely.box(west, south, east, north))
        points, starts = self._edges
        first, count = starts[pieces].astype(np.int64), (starts[pieces + 1] - starts[pieces]).astype(np.int64) - 1
        ends = np.cumsum(count)
        at = np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(first - ends + count, count)
        left, right = np.repeat(self._sides[pieces], count, axis=0).T
        return points[at], points[at + 1], left, right

    def _shape(self, number: int) -> Any:
        if number not in self._kept:
            if len(self._kept) >= _KEPT_POLYGONS:
                self._kept = {}
            ends = self._index.file.array("shape_ends", "<u8")
            stored = self._index.file.section("shapes")[int(ends[number]) : int(ends[number + 1])]
            self._kept[number] = shapely.from_wkb(bytes(stored))
        return self._kept[number]


def _states(index: Index) -> tuple[list[date], list[_State]]:
    """What is valid when: the first day of each state, in order.  There is always one."""
    areas = index.header.areas
    starts = {area.valid_from or date.min for area in areas}
    starts |= {area.valid_to + timedelta(days=1) for area in areas if area.valid_to is not None}
    kept: list[date] = []
    states: list[_State] = []
    for start in sorted(starts):
        valid = [
            (area.valid_from or date.min) <= start and (area.valid_to is None or start <= area.valid_to)
            for area in areas
        ]
        if any(valid):
            matches = tuple(
                Match(area.prefecture, "inside", 0.0, area.code) if is_valid else None
                for area, is_valid in zip(areas, valid, strict=True)
            )
            answers = tuple(next((m for a in each if (m := matches[a])), None) for each in index.header.sets)
            kept.append(start)
            states.append(_State(answers, matches, np.array([*valid, False])))
    return kept, states


def _borders(index: Index) -> tuple[tuple[Any, Any], Any, Any]:
    """Points and starts of all pieces of border, the areas on either side of each, and the tree of them as lines."""
    points = index.file.array("points", "<f8").reshape(-1, 2)
    starts = index.file.array("pieces", "<u4")
    sides = index.file.array("sides", "<i4").reshape(-1, 2)
    piece = np.repeat(np.arange(len(sides)), np.diff(starts.astype(np.int64)))
    return (points, starts), sides, shapely.STRtree(shapely.linestrings(projection.flattened(points), indices=piece))
