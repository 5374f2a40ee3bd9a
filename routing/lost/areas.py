"""Service boundaries out of a boundary layer: the piece of an area that may be told, and its key.

Everything inside a boundary must give the same answer, so nothing is simplified: a short outline is told whole, and of
a long one the part in a cell round the place, cut exactly.  A key holds all that is needed to find its boundary again
and a digest of it, so that no table is kept and a key of an older boundary is not found (RFC 5222 section 5.6).
"""

import hashlib
import math
import re
from collections import OrderedDict
from datetime import date
from typing import Any

import shapely
from msgspec import Struct

from routing.boundaries import Layer
from routing.errors import Malformed
from routing.lost.messages import Boundary
from routing.position.shapes import Polygon

WHOLE = 1_000
"""Vertices up to which an outline is told whole: some 40 kB of XML."""

CELLS_PER_DEG = (10, 50)
"""About 10 km, so that a car asks again every few minutes at most; 2 km where a coast has too many corners for that."""

_KEPT = 64
"""Boundaries remembered; a large one takes 200 kB."""

_KEY = re.compile(
    r"(?P<code>.{1,40}?)(?:\.(?P<fine>\d{1,3})\.(?P<row>-?\d{1,5})\.(?P<column>-?\d{1,5}))?\.(?P<digest>[0-9a-f]{16})"
)

Cell = tuple[int, int, int]
"""Cells to a degree, row from the equator, column from the zero meridian."""


class Area(Struct, frozen=True):
    key: str
    vertices: int
    boundary: Boundary


class Areas:
    """Boundaries of one layer.  Safe to share between threads: at worst a boundary is made twice."""

    def __init__(self, layer: Layer) -> None:
        self._layer = layer
        self._known: OrderedDict[tuple[str, Cell | None, date | None], Area | None] = OrderedDict()

    def around(self, code: str, latitude: float, longitude: float, *, as_of: date | None = None) -> Area | None:
        """The boundary of the area ``code`` that holds a place inside it.  None when the layer has no outline."""
        area = self._area(code, None, as_of)
        for fine in CELLS_PER_DEG:
            if area is not None and area.vertices <= WHOLE:
                break
            area = self._area(code, (fine, math.floor(latitude * fine), math.floor(longitude * fine)), as_of)
        return area

    def by_key(self, key: str, *, as_of: date | None = None) -> Boundary | None:
        """The boundary that was told under ``key``.  None when there is none, or when it has changed since."""
        read = _KEY.fullmatch(key)
        if read is None:
            return None
        cell = (int(read["fine"]), int(read["row"]), int(read["column"])) if read["fine"] else None
        if cell is not None and cell[0] not in CELLS_PER_DEG:
            return None
        area = self._area(read["code"], cell, as_of)
        return area.boundary if area is not None and area.key == key else None

    def _area(self, code: str, cell: Cell | None, as_of: date | None) -> Area | None:
        asked = (code, cell, as_of)
        if asked in self._known:
            return self._known[asked]
        made = self._cut(code, cell, as_of)
        self._known[asked] = made
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return made

    def _cut(self, code: str, cell: Cell | None, as_of: date | None) -> Area | None:
        outline = self._layer.polygon(code, as_of=as_of)
        if outline is None:
            return None
        if cell is None:
            vertices = int(shapely.get_num_coordinates(outline))
            return _area(code, outline) if vertices <= WHOLE else Area(code, vertices, Boundary())
        fine, row, column = cell
        box = shapely.box(column / fine, row / fine, (column + 1) / fine, (row + 1) / fine)
        return _area(f"{code}.{fine}.{row}.{column}", shapely.intersection(outline, box))


def _area(name: str, outline: Any) -> Area | None:
    parts = [each for each in shapely.get_parts(outline, return_index=False) if each.geom_type == "Polygon"]
    try:
        polygons = tuple(_polygon(part) for part in parts if part.area > 0.0)
    except Malformed:  # an outline with a flaw is not told, and the answer is good without it
        return None
    if not polygons:
        return None
    digest = hashlib.sha256(shapely.to_wkb(shapely.multipolygons(parts))).hexdigest()[:16]
    vertices = int(shapely.get_num_coordinates(parts).sum())
    return Area(f"{name}.{digest}", vertices, Boundary(polygons=polygons))


def _polygon(part: Any) -> Polygon:
    """With the outer ring counter-clockwise, so that its normal points up (RFC 5491 section 5.2.2)."""
    part = shapely.orient_polygons(part)
    return Polygon(_ring(part.exterior), tuple(_ring(hole) for hole in part.interiors))


def _ring(ring: Any) -> tuple[tuple[float, float], ...]:
    return tuple((latitude, longitude) for longitude, latitude in shapely.get_coordinates(ring).tolist())
