"""The prebuilt index of a boundary layer: which areas hold a point, exactly, in about a microsecond.

Three steps answer a point.  An even grid (by default JIS X 0410 third-level cells, 30" by 45") tells of most cells that
one area fills them.  A cell that a border crosses is divided by four in each direction until few border edges are left
in it.  Such a leaf names one reference point with the areas that hold it and the edges nearby; walking from the
reference point first along its meridian and then along the parallel to the point asked for, every edge that is crossed
changes sides.  The edges are those of the source, unclipped, so the answer is the source's own.  Where floating point
could decide a crossing wrongly, fractions decide it.

The file is a ``routing.container`` that stays mapped, so it costs memory only where it is used; its layout stands in
ops/decisions/0010.  ``routing.boundaries.build`` writes it.
"""

from datetime import date
from fractions import Fraction
from pathlib import Path
from struct import Struct as Layout

from msgspec import Struct

from routing.container import Container

KIND = "boundaries"

SPLIT = 4
"""A crowded cell is divided by this in each direction."""

LEAF_HEAD = Layout("<ddQHHI")
"""Longitude and latitude of the reference point, areas that hold it (bits), edges that cross its meridian, areas,
edges."""

LEAF_EDGE = Layout("<ddddQ")
"""Longitude and latitude of both ends, the southern one first; bits of the areas on either side."""


class Area(Struct, frozen=True, kw_only=True):
    """One area of the layer, in the period it is valid."""

    code: str
    prefecture: str | None = None
    """ISO 3166-2."""
    name_ja: str = ""
    name_en: str = ""
    valid_from: date | None = None
    """The first day; None: since ever."""
    valid_to: date | None = None
    """The last day; None: until further notice."""
    rows: tuple[int, ...] = ()
    """Rows of the source it was made from, the first being 1."""
    source: int = 0
    """Which of the sources."""


class Source(Struct, frozen=True, kw_only=True):
    """A file the layer was made from."""

    name: str
    sha256: str
    layer: str = ""
    areas: int = 0
    encoding: str = ""


class Finding(Struct, frozen=True):
    """Something an import found, and repaired unless it says otherwise."""

    kind: str
    """``encoding``, ``datum``, ``place``, ``no_shape``, ``no_code``, ``nobody's``, ``code``, ``odd``, ``date``,
    ``repaired``, ``parts``, ``repeat``, ``enclave``, ``overlap``, ``hole``, ``part``, ``missing``, ``past``, ``ended``,
    ``made``."""
    text: str
    rows: tuple[int, ...] = ()
    """Of the source; the first is 1."""


class Header(Struct, frozen=True, kw_only=True):
    """What the file says of itself.  No time of making: the same sources give the same digest again."""

    name: str
    accuracy_m: float
    sources: tuple[Source, ...]
    areas: tuple[Area, ...]
    """By code, then by period; an area's number is its place here."""
    west: float = 0.0
    south: float = 0.0
    columns_per_degree: float = 1.0
    rows_per_degree: float = 1.0
    width: int = 0
    height: int = 0
    doubt: float = 0.0
    """Determinants smaller than this are decided by fractions."""
    sets: tuple[tuple[int, ...], ...] = ()
    """Areas that fill one cell together: other periods, or an overlap in the source."""
    findings: tuple[Finding, ...] = ()
    """What the import found and repaired."""


class Index:
    """A mapped index file.  ``holders`` finds; the other sections of ``file`` are there for ``MunicipalLayer``."""

    def __init__(self, path: Path) -> None:
        """``Misconfigured`` when the file is missing, cut short, altered, or of another kind or version."""
        self.file = Container(path, kind=KIND, about=Header)
        self.header = self.file.about
        self.grid = self.file.section("grid").cast("i")
        self.children = self.file.section("children").cast("i")
        self.offsets = self.file.section("offsets").cast("I")
        self.leaves = self.file.section("leaves")

    def node(self, latitude: float, longitude: float) -> int:
        """What fills the smallest cell round a point: 0 nothing, above 0 a set of areas, below 0 a leaf."""
        header = self.header
        v = (latitude - header.south) * header.rows_per_degree
        u = (longitude - header.west) * header.columns_per_degree
        if not (0.0 <= u < header.width and 0.0 <= v < header.height):
            return 0
        return self.within(self.grid[int(v) * header.width + int(u)], u, v)

    def within(self, node: int, u: float, v: float) -> int:
        """The same, from the node of a grid cell down; ``u`` and ``v`` are the point in cells, eastward and northward.

        In the file a leaf k is written ~(2k + 1), which is even, and a divided cell k is written ~2k, which is odd.
        """
        while node < 0 and node & 1:
            u, v = (u - int(u)) * SPLIT, (v - int(v)) * SPLIT
            node = self.children[(~node >> 1) * SPLIT * SPLIT + int(v) * SPLIT + int(u)]
        return node

    def held(self, node: int, latitude: float, longitude: float) -> tuple[int, ...]:
        """The areas that hold a point of a leaf, in order of their codes."""
        at = self.offsets[~node >> 1] * 8
        leaves = self.leaves
        meridian, parallel, bits, crossing, areas, edges = LEAF_HEAD.unpack_from(leaves, at)
        start = at + LEAF_HEAD.size + 8 * areas
        view = leaves[start : start + edges * LEAF_EDGE.size]
        doubt = self.header.doubt
        for number, (ax, ay, bx, by, sides) in enumerate(LEAF_EDGE.iter_unpack(view)):
            level = ay <= latitude <= by
            if not level and number >= crossing:
                continue
            rise, run = by - ay, bx - ax
            across = run * (latitude - ay)
            corner = across - rise * (meridian - ax)
            if -doubt <= corner <= doubt:
                return self._held_exactly(at, latitude, longitude)
            if level:
                here = across - rise * (longitude - ax)
                if -doubt <= here <= doubt:
                    return self._held_exactly(at, latitude, longitude)
                if (here > 0.0) != (corner > 0.0) and latitude < by:
                    bits ^= sides
            if number < crossing and (run * (parallel - ay) - rise * (meridian - ax) > 0.0) != (corner > 0.0):
                bits ^= sides
        return _named(bits, leaves, at + LEAF_HEAD.size) if bits else ()

    def holders(self, latitude: float, longitude: float) -> tuple[int, ...]:
        """Numbers of all areas, of every period, that hold the point or have it on their border, in order."""
        node = self.node(latitude, longitude)
        if node < 0:
            return self.held(node, latitude, longitude)
        return self.header.sets[node]

    def _held_exactly(self, at: int, latitude: float, longitude: float) -> tuple[int, ...]:
        """The same with fractions; a point on an edge belongs to both sides of it."""
        head = LEAF_HEAD.unpack_from(self.leaves, at)
        meridian, parallel = Fraction(head[0]), Fraction(head[1])
        bits, crossing, areas, edges = head[2:]
        start = at + LEAF_HEAD.size + 8 * areas
        x, y, touched = Fraction(longitude), Fraction(latitude), 0
        view = self.leaves[start : start + edges * LEAF_EDGE.size]
        for number, (*ends, sides) in enumerate(LEAF_EDGE.iter_unpack(view)):
            ax, ay, bx, by = map(Fraction, ends)
            run, rise = bx - ax, by - ay
            here = run * (y - ay) - rise * (x - ax)
            if here == 0 and ay <= y <= by and min(ax, bx) <= x <= max(ax, bx):
                touched |= sides
                continue
            # A corner that lies on the edge counts as a little further north, and much less further east.
            corner = run * (y - ay) - rise * (meridian - ax) or run or -rise
            if ay <= y < by and (here > 0) != (corner > 0):
                bits ^= sides
            if number < crossing and (run * (parallel - ay) - rise * (meridian - ax) > 0) != (corner > 0):
                bits ^= sides
        return _named(bits | touched, self.leaves, at + LEAF_HEAD.size)


def _named(bits: int, leaves: memoryview, at: int) -> tuple[int, ...]:
    """The areas of the bits set."""
    found = []
    while bits:
        low = bits & -bits
        place = at + 8 * (low.bit_length() - 1)
        found.append(int.from_bytes(leaves[place : place + 8], "little"))
        bits ^= low
    return tuple(found)
