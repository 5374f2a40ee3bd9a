"""Which prefecture a place lies in, how sure that is, and which one lies next to it.

The layer that ships is coarse (Natural Earth 1:10m, see ``data/PROVENANCE.md``): its borders are right to some three
kilometres, which the layer says of itself in ``accuracy_m``.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np
import shapely
from msgspec import Struct

from routing.boundaries import projection
from routing.boundaries.layer import NEAREST_LIMIT_M, SEA_LIMIT_M, Border, Match, Share
from routing.errors import Misconfigured
from routing.location import Position

_CELL_DEG = 0.1
"""About 10 km: most cells with land then lie wholly inside one prefecture and are answered by a dictionary."""

_CHUNK = 8
"""Border edges per indexed piece."""


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
        self.names = MappingProxyType(dict(names))
        """Code to (Japanese, English) name."""
        self.codes = tuple(sorted(shapes))
        self._shapes = {code: shapes[code] for code in self.codes}
        self._outlines = shapely.STRtree(list(self._shapes.values()))
        self._cells = _grid(shapes)
        self._edges, self._owners = _edges(self._shapes)
        self.abroad = shapely.MultiPolygon() if abroad is None else abroad
        """Land nearby that is another country's."""
        shapely.prepare(self.abroad)
        self._shore = shapely.STRtree(self._edges)
        self._beside: dict[str, tuple[Any, Sequence[str]]] = {}

    @classmethod
    def load(cls) -> "PrefectureLayer":
        """The layer that ships with the package: Japan's 47 prefectures.  Made once: it is always the same one."""
        return _shipped()

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

    def covers(self, as_of: date) -> bool:
        """Always: prefectures have not changed since long before this service."""
        return True

    def find(self, latitude: float, longitude: float, *, as_of: date | None = None) -> Match:
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

    def find_many(
        self, latitudes: Sequence[float], longitudes: Sequence[float], *, as_of: date | None = None
    ) -> list[Match]:
        """``find`` for many points, in their order."""
        return [
            self.find(latitude, longitude)
            for latitude, longitude in zip(map(float, latitudes), map(float, longitudes), strict=True)
        ]

    def border(self, latitude: float, longitude: float, *, code: str, as_of: date | None = None) -> Border:
        """How far it is to the nearest prefecture other than ``code``, and which one that is.

        The point lies in ``code`` or off its shore; a point inside another one is as far as that one's edge.
        """
        if code not in self._beside:
            keep = [number for number, owner in enumerate(self._owners) if owner != code]
            self._beside[code] = (
                shapely.STRtree(self._edges[keep]),
                tuple(self._owners[number] for number in keep),
            )
        tree, owners = self._beside[code]
        index, distance_m = projection.nearest(tree, latitude, longitude)
        return Border(distance_m, owners[index])

    def shares(
        self, latitude: float, longitude: float, radius_m: float, *, as_of: date | None = None
    ) -> tuple[Share, ...]:
        """How a circle divides among the prefectures, largest first."""
        return self.shares_of(projection.circle(latitude, longitude, radius_m))

    def shares_of(self, shape: Any, *, as_of: date | None = None) -> tuple[Share, ...]:
        """How any shapely (Multi)Polygon in degrees divides among the prefectures, largest first."""
        touched = sorted(self._outlines.query(shape, predicate="intersects").tolist())
        codes = [self.codes[number] for number in touched]
        return projection.shares_of(shape, codes, [self._shapes[code] for code in codes])

    def polygon(self, code: str, *, as_of: date | None = None) -> Any:
        """The shapely (Multi)Polygon of a prefecture in degrees, or None when there is no such code."""
        return self._shapes.get(code)

    def _off_shore(self, latitude: float, longitude: float) -> Match:
        index, distance_m = projection.nearest(self._shore, latitude, longitude)
        if distance_m > SEA_LIMIT_M or shapely.intersects_xy(self.abroad, longitude, latitude):
            return Match(None, "outside", distance_m)
        return Match(self._owners[index], "nearest" if distance_m <= NEAREST_LIMIT_M else "sea", distance_m)


@cache
def _shipped() -> PrefectureLayer:
    """Made three times, for the plan, for names and for the LoST server, it took most of a start."""
    data = (resources.files("routing") / "data" / "jp_prefectures.geojson").read_bytes()
    return PrefectureLayer.read(data, name="jp_prefectures")


def _edges(shapes: Mapping[str, Any]) -> tuple[Any, tuple[str, ...]]:
    """All borders and shores in the projection, cut into short pieces, and the prefecture each belongs to."""
    pieces: list[Any] = []
    owners: list[str] = []
    for code, shape in shapes.items():
        for ring in shapely.get_rings(shapely.get_parts(shape)):
            flat = projection.flattened(shapely.get_coordinates(ring))
            starts = range(0, len(flat) - 1, _CHUNK)
            pieces.extend(shapely.linestrings(flat[start : start + _CHUNK + 1]) for start in starts)
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
