"""Which prefecture a place lies in, how sure that is, and which one lies next to it.

The layer that ships is coarse (Natural Earth 1:10m, see ``data/PROVENANCE.md``): its borders are right to some three
kilometres, which the layer says of itself in ``accuracy_m``.  Distances are taken in spherical Mercator, where shapes
are true locally: a length there times the cosine of the latitude is a length on the ground (error below 1 % within
100 km); further away along the great circle.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import msgspec
import numpy as np
import shapely
from geopy.distance import great_circle
from msgspec import Struct

from routing.errors import Misconfigured
from routing.location import Position

EARTH_RADIUS_M = 6_371_008.8
"""Mean radius (IUGG)."""

NEAREST_LIMIT_M = 5_000.0
"""Up to here off every shore a point counts as on land: the coarse coast misses piers, bridges and small islands."""

SEA_LIMIT_M = 400_000.0
"""Up to here a point at sea is given to the nearest prefecture: 200 nautical miles and a little."""

_CELL_DEG = 0.1
"""About 10 km: most cells with land then lie wholly inside one prefecture and are answered by a dictionary."""

_LOCAL = 0.02
"""Mercator radians, about 100 km in Japan: beyond it the plane stretches too much and the great circle is taken."""

_CHUNK = 8
"""Border edges per indexed piece."""


class Match(Struct, frozen=True):
    """What the layer says of one point."""

    prefecture: str | None
    """ISO 3166-2, such as ``JP-13``; None abroad and on the high seas."""
    how: str
    """``inside``, ``nearest`` (off the shore by at most NEAREST_LIMIT_M), ``sea`` or ``outside``."""
    distance_m: float
    """To the prefecture; 0 when inside."""


class Border(Struct, frozen=True):
    """The nearest prefecture other than the one matched."""

    distance_m: float
    runner_up: str


class _Properties(Struct):
    code: str
    name_ja: str
    name_en: str


class _Feature(Struct):
    properties: _Properties
    geometry: msgspec.Raw


class _Collection(Struct):
    features: list[_Feature]
    accuracy_m: float
    abroad: msgspec.Raw = msgspec.Raw(b"")


class PrefectureLayer:
    """Polygons by ISO 3166-2 code.  Its answers never change after it is made; safe to share between threads."""

    def __init__(
        self,
        shapes: Mapping[str, Any],
        *,
        name: str,
        digest: str,
        accuracy_m: float,
        names: Mapping[str, tuple[str, str]],
        abroad: Any = None,
    ) -> None:
        """``shapes``: code to shapely (Multi)Polygon in WGS-84 degrees, longitude first; ``abroad``: land nearby that
        is another country's.

        ``Misconfigured`` when there are fewer than two, or one is empty or invalid.
        """
        if len(shapes) < 2:
            raise Misconfigured(f"{name}: a boundary layer needs at least two polygons")
        for code, shape in shapes.items():
            if shape.is_empty or not shape.is_valid:
                raise Misconfigured(f"{name}: the polygon of {code} is empty or invalid")
        self.name = name
        self.digest = digest
        """Hex SHA-256 of the file the layer was read from."""
        self.accuracy_m = accuracy_m
        """How far the borders may be wrong."""
        self.names = dict(names)
        """Code to (Japanese, English) name."""
        self.codes = tuple(sorted(shapes))
        self._cells = _grid(shapes)
        self._edges, self._owners = _edges({code: shapes[code] for code in self.codes})
        self._abroad = shapely.MultiPolygon() if abroad is None else abroad
        shapely.prepare(self._abroad)
        self._shore = shapely.STRtree(self._edges)
        self._beside: dict[str, tuple[Any, Sequence[str]]] = {}

    @classmethod
    def load(cls) -> "PrefectureLayer":
        """The layer that ships with the package: Japan's 47 prefectures."""
        data = (resources.files("routing") / "data" / "jp_prefectures.geojson").read_bytes()
        return cls.read(data, name="jp_prefectures")

    @classmethod
    def read(cls, data: bytes, *, name: str) -> "PrefectureLayer":
        """A layer from GeoJSON with ``code``, ``name_ja``, ``name_en`` and a top-level ``accuracy_m``.

        ``Misconfigured`` when the bytes are no such layer.
        """
        try:
            document = msgspec.json.decode(data, type=_Collection)
            shapes = [shapely.from_geojson(bytes(feature.geometry).decode()) for feature in document.features]
            abroad = shapely.from_geojson(bytes(document.abroad).decode()) if bytes(document.abroad) else None
        except (msgspec.DecodeError, shapely.GEOSException, UnicodeDecodeError) as fault:
            raise Misconfigured(f"{name}: not a boundary layer: {fault}") from fault
        about = [feature.properties for feature in document.features]
        if len({properties.code for properties in about}) != len(about):
            raise Misconfigured(f"{name}: a prefecture occurs twice")
        return cls(
            {properties.code: shape for properties, shape in zip(about, shapes, strict=True)},
            name=name,
            digest=hashlib.sha256(data).hexdigest(),
            accuracy_m=document.accuracy_m,
            names={properties.code: (properties.name_ja, properties.name_en) for properties in about},
            abroad=abroad,
        )

    @property
    def dataset(self) -> str:
        """Name and digest, as plans record it."""
        return f"{self.name}@{self.digest}"

    def find(self, latitude: float, longitude: float) -> Match:
        """The prefecture of a point.  ``Malformed`` when the point is no place on Earth."""
        Position(latitude, longitude)
        cell = self._cells.get((math.floor(latitude / _CELL_DEG), math.floor(longitude / _CELL_DEG)))
        if isinstance(cell, str):
            return Match(cell, "inside", 0.0)
        if cell is not None:
            for code, shape in cell:
                if shapely.intersects_xy(shape, longitude, latitude):
                    return Match(code, "inside", 0.0)
        return self._off_shore(latitude, longitude)

    def border(self, latitude: float, longitude: float, *, prefecture: str) -> Border:
        """How far it is to the nearest prefecture other than ``prefecture``, and which one that is.

        The point lies in ``prefecture`` or off its shore; a point inside another one is as far as that one's edge.
        """
        if prefecture not in self._beside:
            keep = [number for number, owner in enumerate(self._owners) if owner != prefecture]
            self._beside[prefecture] = (
                shapely.STRtree(self._edges[keep]),
                tuple(self._owners[number] for number in keep),
            )
        tree, owners = self._beside[prefecture]
        index, distance_m = _nearest(tree, latitude, longitude)
        return Border(distance_m, owners[index])

    def _off_shore(self, latitude: float, longitude: float) -> Match:
        index, distance_m = _nearest(self._shore, latitude, longitude)
        if distance_m > SEA_LIMIT_M or shapely.intersects_xy(self._abroad, longitude, latitude):
            return Match(None, "outside", distance_m)
        return Match(self._owners[index], "nearest" if distance_m <= NEAREST_LIMIT_M else "sea", distance_m)


def _nearest(tree: Any, latitude: float, longitude: float) -> tuple[int, float]:
    """Index of the nearest piece and its distance in metres."""
    y = math.asinh(math.tan(math.radians(max(-89.0, min(89.0, latitude)))))
    point = shapely.Point(math.radians(longitude), y)
    found, lengths = tree.query_nearest(point, return_distance=True, all_matches=False)
    index, length = int(found[0]), float(lengths[0])
    if length > _LOCAL:
        east, north = shapely.get_coordinates(shapely.shortest_line(point, tree.geometries[index]))[1].tolist()
        there = (math.degrees(math.atan(math.sinh(north))), math.degrees(east))
        return index, float(great_circle((latitude, longitude), there).m)
    return index, length * math.cos(math.radians(latitude)) * EARTH_RADIUS_M


def _edges(shapes: Mapping[str, Any]) -> tuple[Any, tuple[str, ...]]:
    """All borders and shores in Mercator radians, cut into short pieces, and the prefecture each belongs to."""
    pieces: list[Any] = []
    owners: list[str] = []
    for code, shape in shapes.items():
        for ring in shapely.get_rings(shapely.get_parts(shape)):
            degrees = np.radians(shapely.get_coordinates(ring))
            plane = np.column_stack((degrees[:, 0], np.arcsinh(np.tan(degrees[:, 1]))))
            starts = range(0, len(plane) - 1, _CHUNK)
            pieces.extend(shapely.linestrings(plane[start : start + _CHUNK + 1]) for start in starts)
            owners.extend(code for _ in starts)
    return np.array(pieces), tuple(owners)


def _grid(shapes: Mapping[str, Any]) -> dict[tuple[int, int], str | tuple[tuple[str, Any], ...]]:
    """Per cell that holds land: the one prefecture that fills it, or the prefectures in it clipped to the cell."""
    cells: dict[tuple[int, int], str | tuple[tuple[str, Any], ...]] = {}
    for code in sorted(shapes):
        for part in shapely.get_parts(shapes[code]):
            shapely.prepare(part)
            west, south, east, north = (math.floor(bound / _CELL_DEG) for bound in part.bounds)
            columns, rows = (
                side.ravel() for side in np.meshgrid(np.arange(west, east + 1), np.arange(south, north + 1))
            )
            boxes = shapely.box(
                columns * _CELL_DEG, rows * _CELL_DEG, (columns + 1) * _CELL_DEG, (rows + 1) * _CELL_DEG
            )
            filled = shapely.contains_properly(part, boxes)
            touched = shapely.intersects(part, boxes) & ~filled
            for column, row in zip(columns[filled].tolist(), rows[filled].tolist(), strict=True):
                cells[row, column] = code
            for column, row, box in zip(columns[touched].tolist(), rows[touched].tolist(), boxes[touched], strict=True):
                clipped = shapely.intersection(part, box)
                shapely.prepare(clipped)
                known = cells.get((row, column), ())
                if not isinstance(known, str):
                    cells[row, column] = (*known, (code, clipped))
    return cells
