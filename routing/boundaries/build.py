"""Builds the index file of ``routing.boundaries.index`` from areas and their polygons.

Edges that two areas share become one edge with an area on either side.  Which areas hold a cell, or the reference
point of a leaf, is asked of GEOS: the index can be no better than that, and a test compares the two over many points.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import shapely

from routing import container
from routing.boundaries.index import KIND, LEAF_EDGE, LEAF_HEAD, SPLIT, Header
from routing.errors import Misconfigured

COLUMNS_PER_DEGREE = 80.0
ROWS_PER_DEGREE = 120.0
"""JIS X 0410 third-level cells: 45" by 30", about 1 km in Japan."""

MOST_CELLS = 12_000_000
"""48 MB; a layer that spans more gets larger cells."""

LEAF_EDGES = 12
"""A cell with more is divided: a dozen edges take about a microsecond."""

DEEPEST = 4
"""About 4 m; where many borders meet in one place the leaf stays crowded."""

MOST_MEETING = 64
"""Bits of a leaf's word: areas that may meet in one leaf."""

PIECE_EDGES = 24
"""Border edges per line of the tree that finds nearest borders."""

_SLACK = 1e-7
"""Of a cell (a tenth of a millimetre): a point that rounding puts into the neighbouring cell is answered there."""

Progress = Callable[[str], None]


class Edges(NamedTuple):
    """Border edges in the order of their rings; ``left`` and ``right`` are area numbers, -1 for none."""

    ax: Any
    ay: Any
    bx: Any
    by: Any
    left: Any
    right: Any
    ring: Any
    """Edges with the same number that follow one another are connected."""


class Frame(NamedTuple):
    """Where the cells lie."""

    west: float
    south: float
    columns_per_degree: float
    rows_per_degree: float
    width: int
    height: int


class Holders:
    """Which polygons hold a point, in bulk; the answer as the number of a set of areas."""

    def __init__(self, shapes: Sequence[Any]) -> None:
        self._shapes = shapes
        self.sets: list[tuple[int, ...]] = [(), *((number,) for number in range(len(shapes)))]
        self._numbers = {areas: number for number, areas in enumerate(self.sets)}

    def of(self, xs: Any, ys: Any) -> Any:
        """The set of each point.  No point may lie on a border."""
        if not len(xs):
            return np.zeros(0, dtype=np.int64)
        tree = shapely.STRtree(shapely.points(xs, ys))
        area, point = tree.query(self._shapes, predicate="intersects")
        found = np.zeros(len(xs), dtype=np.int64)
        order = np.lexsort((area, point))
        area, point = area[order], point[order]
        found[point] = area + 1
        twice = np.flatnonzero(np.bincount(point, minlength=len(xs)) > 1)
        if len(twice):
            first = np.searchsorted(point, twice, side="left")
            last = np.searchsorted(point, twice, side="right")
            for where, start, end in zip(twice.tolist(), first.tolist(), last.tolist(), strict=True):
                found[where] = self._number(tuple(area[start:end].tolist()))
        return found

    def _number(self, areas: tuple[int, ...]) -> int:
        if areas not in self._numbers:
            self._numbers[areas] = len(self.sets)
            self.sets.append(areas)
        return self._numbers[areas]


def build(header: Header, shapes: Sequence[Any], path: Path, *, abroad: Any = None, tell: Progress) -> Header:
    """Write the index of ``shapes`` (one per area of the header, valid, degrees) to ``path``; the complete header.

    ``abroad`` is land that is another country's.

    The frame, sets and doubt of the given header are filled in.  ``Misconfigured`` when more than
    MOST_MEETING areas meet in one place.  The file appears whole or not at all.
    """
    tell("edges")
    edges = shared_edges(shapes)
    frame = framed(shapes)
    holders = Holders(shapes)
    tell("cells")
    tree = _Tree(edges, frame, holders)
    sections = tree.sections(tell)
    tell("writing")
    sections |= _pieces(edges) | _stored(shapes)
    sections["abroad"] = b"" if abroad is None else shapely.to_wkb(abroad, byte_order=1)
    longest = float(np.max(np.hypot(edges.bx - edges.ax, edges.by - edges.ay)))
    complete = msgspec.structs.replace(
        header,
        **frame._asdict(),
        sets=tuple(holders.sets),
        doubt=8e-16 * (longest + 1.0 / frame.columns_per_degree) * (longest + 1.0 / frame.rows_per_degree),
    )
    container.write(path, kind=KIND, about=complete, sections=sections)
    return complete


def shared_edges(shapes: Sequence[Any]) -> Edges:
    """All border edges, one for both sides; edges with the same area on both sides are left out."""
    parts, area = shapely.get_parts(shapely.orient_polygons(np.asarray(shapes)), return_index=True)
    rings, part = shapely.get_rings(parts, return_index=True)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    owner = area[part]
    start = np.flatnonzero((ring[1:] == ring[:-1]) & np.any(points[1:] != points[:-1], axis=1))
    a, b, ring = points[start], points[start + 1], ring[start]
    own = owner[ring]
    _, vertex = np.unique(np.concatenate((a, b)).view(np.complex128).ravel(), return_inverse=True)
    va, vb = vertex[: len(a)].astype(np.int64), vertex[len(a) :].astype(np.int64)
    pair = np.minimum(va, vb) * (int(vertex.max()) + 1) + np.maximum(va, vb)
    forward = va < vb
    order = np.lexsort((forward, pair))
    twin = _twins(pair[order], forward[order], order)
    right = np.where(twin >= 0, own[np.maximum(twin, 0)], -1)
    keep = ((twin < 0) | (np.arange(len(a)) < twin)) & (own != right)
    a, b = a[keep], b[keep]
    return Edges(a[:, 0], a[:, 1], b[:, 0], b[:, 1], own[keep], right[keep], ring[keep])


def _twins(pair: Any, forward: Any, order: Any) -> Any:
    """Per edge the one that runs the other way between the same points (the k-th of either direction), or -1."""
    fresh = np.concatenate(([True], (pair[1:] != pair[:-1]) | (forward[1:] != forward[:-1])))
    rank = np.arange(len(pair)) - np.maximum.accumulate(np.where(fresh, np.arange(len(pair)), 0))
    twin = np.full(len(pair), -1)
    again = np.lexsort((forward, rank, pair))
    here, there = again[:-1], again[1:]
    match = (pair[here] == pair[there]) & (rank[here] == rank[there])
    twin[order[here[match]]] = order[there[match]]
    twin[order[there[match]]] = order[here[match]]
    return twin


def framed(shapes: Sequence[Any]) -> Frame:
    """Cells over everything, with an empty one all round."""
    west, south, east, north = shapely.total_bounds(np.asarray(shapes)).tolist()
    west, south, east, north = math.floor(west) - 1, math.floor(south) - 1, math.ceil(east) + 1, math.ceil(north) + 1
    columns, rows = COLUMNS_PER_DEGREE, ROWS_PER_DEGREE
    while (east - west) * columns * (north - south) * rows > MOST_CELLS:
        columns, rows = columns / 2.0, rows / 2.0
    width, height = math.ceil((east - west) * columns), math.ceil((north - south) * rows)
    return Frame(float(west), float(south), columns, rows, width, height)


def touched(edges: Edges, which: Any, frame: Frame, level: int) -> tuple[Any, Any]:
    """The cells of a level that each edge may touch: (edge, cell), sorted by cell, without repeats."""
    fine = float(SPLIT**level)
    u = (np.stack((edges.ax[which], edges.bx[which])) - frame.west) * (frame.columns_per_degree * fine)
    v = (np.stack((edges.ay[which], edges.by[which])) - frame.south) * (frame.rows_per_degree * fine)
    ends, edge = np.stack((u, v)), which
    while len(long := np.flatnonzero(np.max(np.abs(ends[:, 1] - ends[:, 0]), axis=0) > 1.0)):
        middle = ends[:, :, long].mean(axis=1, keepdims=True)
        first = np.concatenate((ends[:, :1, long], middle), axis=1)
        second = np.concatenate((middle, ends[:, 1:, long]), axis=1)
        short = np.setdiff1d(np.arange(ends.shape[2]), long, assume_unique=True)
        ends, edge = (
            np.concatenate((ends[:, :, short], first, second), axis=2),
            np.concatenate((edge[short], edge[long], edge[long])),
        )
    low = np.floor(ends.min(axis=1) - _SLACK).astype(np.int64)
    high = np.floor(ends.max(axis=1) + _SLACK).astype(np.int64)
    width = frame.width * SPLIT**level
    found = []
    for east, north in ((0, 0), (1, 0), (0, 1), (1, 1), (2, 0), (0, 2), (2, 1), (1, 2), (2, 2)):
        fits = (low[0] + east <= high[0]) & (low[1] + north <= high[1])
        found.append(np.stack(((low[1] + north)[fits] * width + (low[0] + east)[fits], edge[fits])))
    cell, number = np.concatenate(found, axis=1)
    order = np.lexsort((number, cell))
    cell, number = cell[order], number[order]
    fresh = np.concatenate(([True], (cell[1:] != cell[:-1]) | (number[1:] != number[:-1])))[: len(cell)]
    return number[fresh], cell[fresh]


class _Level(NamedTuple):
    """The cells of one level that edges touch."""

    cells: Any
    """Sorted."""
    first: Any
    count: Any
    edge: Any
    """Of cell i: ``edge[first[i] : first[i] + count[i]]``."""
    split: Any
    """Which are divided further."""


class _Tree:
    """The levels of cells, from the grid down."""

    def __init__(self, edges: Edges, frame: Frame, holders: Holders) -> None:
        self._edges, self._frame, self._holders = edges, frame, holders
        self._levels: list[_Level] = []
        which, parents = np.arange(len(edges.ax)), None
        while len(which):
            level = self._level(which, parents, len(self._levels))
            self._levels.append(level)
            crowded = np.repeat(level.split, level.count)
            which, parents = np.unique(level.edge[crowded]), level.cells[level.split]

    def _level(self, which: Any, parents: Any, number: int) -> _Level:
        edge, cell = touched(self._edges, which, self._frame, number)
        if parents is not None:
            width = self._frame.width * SPLIT**number
            above = cell // width // SPLIT * (width // SPLIT) + cell % width // SPLIT
            inside = np.isin(above, parents)
            edge, cell = edge[inside], cell[inside]
        cells, first, count = np.unique(cell, return_index=True, return_counts=True)
        return _Level(cells, first, count, edge, (count > LEAF_EDGES) & (number < DEEPEST))

    def sections(self, tell: Progress) -> dict[str, bytes]:
        """Grid, children, leaves and where each leaf begins."""
        leaves = [level.cells[~level.split] for level in self._levels]
        splits = [level.cells[level.split] for level in self._levels]
        leaf_base = np.cumsum([0, *map(len, leaves)])
        split_base = np.cumsum([0, *map(len, splits)])
        tell("filled cells")
        nodes = [self._grid_nodes()]
        nodes += [self._child_nodes(number, splits[number]) for number in range(len(self._levels))]
        for number, level in enumerate(self._levels):
            target, where = nodes[number], self._places(number, level.cells, splits)
            values = np.empty(len(level.cells), dtype=np.int32)
            values[~level.split] = ~((leaf_base[number] + np.arange(len(leaves[number]))) * 2 + 1)
            values[level.split] = ~((split_base[number] + np.arange(len(splits[number]))) * 2)
            target[where] = values
        tell("leaves")
        blob, offsets = self._leaves()
        return {
            "grid": nodes[0].astype("<i4").tobytes(),
            "children": np.concatenate([np.zeros(0, np.int32), *nodes[1:]]).astype("<i4").tobytes(),
            "leaves": blob,
            "offsets": offsets.astype("<u4").tobytes(),
        }

    def _places(self, number: int, cells: Any, splits: list[Any]) -> Any:
        """Where the nodes of these cells stand: in the grid, or among the children of the level above."""
        if number == 0:
            return cells
        width = self._frame.width * SPLIT**number
        row, column = cells // width, cells % width
        parent = np.searchsorted(splits[number - 1], row // SPLIT * (width // SPLIT) + column // SPLIT)
        return parent * SPLIT * SPLIT + row % SPLIT * SPLIT + column % SPLIT

    def _grid_nodes(self) -> Any:
        """Every cell without an edge is of one set: asked once per run of such cells in a row."""
        frame = self._frame
        clear = np.ones(frame.width * frame.height, dtype=bool)
        clear[self._levels[0].cells] = False
        begins = clear.copy()
        begins[1:] &= ~clear[:-1]
        begins[:: frame.width] = clear[:: frame.width]
        starts = np.flatnonzero(begins)
        values = self._holders.of(*self._middle(0, starts)).astype(np.int32)
        run = np.cumsum(begins) - 1
        return np.where(clear, values[np.maximum(run, 0)], 0)

    def _child_nodes(self, number: int, parents: Any) -> Any:
        """What fills the children of divided cells where no edge touches them; 0 for the others."""
        width = self._frame.width * SPLIT**number
        row, column = parents // width, parents % width
        inner = np.arange(SPLIT * SPLIT)
        cells = (row[:, None] * SPLIT + inner // SPLIT) * (width * SPLIT) + column[:, None] * SPLIT + inner % SPLIT
        cells = cells.ravel()
        clear = np.ones(len(cells), dtype=bool)
        if number + 1 < len(self._levels):
            clear = ~np.isin(cells, self._levels[number + 1].cells)
        nodes = np.zeros(len(cells), dtype=np.int32)
        nodes[clear] = self._holders.of(*self._middle(number + 1, cells[clear]))
        return nodes

    def _middle(self, number: int, cells: Any) -> tuple[Any, Any]:
        """A point of each cell, near its middle but on no round number, where borders may run."""
        frame, fine = self._frame, float(SPLIT**number)
        width = frame.width * SPLIT**number
        xs = frame.west + (cells % width + 0.4871236731) / (frame.columns_per_degree * fine)
        ys = frame.south + (cells // width + 0.5127462391) / (frame.rows_per_degree * fine)
        return xs, ys

    def _leaves(self) -> tuple[bytes, Any]:
        """All leaves of all levels, as ``routing.boundaries.index`` reads them, and each one's place in words."""
        xs, ys, edge, count = [], [], [], []
        for number, level in enumerate(self._levels):
            x, y = self._middle(number, level.cells[~level.split])
            xs.append(x)
            ys.append(y)
            edge.append(level.edge[np.repeat(~level.split, level.count)])
            count.append(level.count[~level.split])
        return leaf_words(
            self._edges,
            self._holders,
            np.concatenate(xs),
            np.concatenate(ys),
            edge=np.concatenate(edge),
            count=np.concatenate(count),
        )


class _Beside(NamedTuple):
    """The areas of each leaf, and which of them lie where, as bits in the order of their numbers."""

    count: Any
    """Areas of each leaf."""
    areas: Any
    """Their numbers, leaf after leaf."""
    sides: Any
    """By edge: the areas on either side."""
    held: Any
    """By leaf: the areas that hold the reference point."""


def leaf_words(edges: Edges, holders: Holders, xs: Any, ys: Any, *, edge: Any, count: Any) -> tuple[bytes, Any]:
    """The leaves with reference points (xs, ys) and, one after another, ``count`` edges each; and their places."""
    leaf = np.repeat(np.arange(len(count)), count)
    crossing = (edges.ax[edge] > xs[leaf]) != (edges.bx[edge] > xs[leaf])
    order = np.lexsort((~crossing, leaf))
    edge, crossing = edge[order], crossing[order]
    beside = _beside(edges, holders, xs, ys, edge=edge, leaf=leaf)
    head, each = LEAF_HEAD.size // 8, LEAF_EDGE.size // 8
    size = head + beside.count + count * each
    offset = np.cumsum(size) - size
    words = np.zeros(int(size.sum()), dtype="<u8")
    real = words.view("<f8")
    real[offset], real[offset + 1], words[offset + 2] = xs, ys, beside.held
    crossings = np.bincount(leaf, weights=crossing, minlength=len(count)).astype(np.uint64)
    words[offset + 3] = crossings | beside.count.astype(np.uint64) << np.uint64(16)
    words[offset + 3] |= count.astype(np.uint64) << np.uint64(32)
    words[_spread(offset + head, beside.count)] = beside.areas
    at = np.repeat(offset + head + beside.count, count) + (_spread(np.zeros_like(count), count)) * each
    _write_edges(real, at, edges, edge)
    words[at + 4] = beside.sides
    return words.tobytes(), offset


def _spread(start: Any, count: Any) -> Any:
    """``start[i]``, ``start[i] + 1`` and so on, ``count[i]`` of them, for each i."""
    before = np.cumsum(count) - count
    return np.repeat(start - before, count) + np.arange(int(count.sum()))


def _beside(edges: Edges, holders: Holders, xs: Any, ys: Any, *, edge: Any, leaf: Any) -> _Beside:
    """``Misconfigured`` when more areas meet in a leaf than its word has bits."""
    found = holders.of(xs, ys).tolist()
    held = [(number, area) for number, which in enumerate(found) for area in holders.sets[which]]
    held_leaf, held_area = np.array(held, dtype=np.int64).reshape(-1, 2).T
    most = int(max(edges.left.max(), edges.right.max())) + 2
    owner = np.concatenate((edges.left[edge], edges.right[edge], held_area))
    key = np.concatenate((leaf, leaf, held_leaf)) * most + owner
    local = np.unique(key[owner >= 0])
    count = np.bincount(local // most, minlength=len(xs))
    if count.max() > MOST_MEETING:
        place = f"{ys[int(np.argmax(count))]:.5f}, {xs[int(np.argmax(count))]:.5f}"
        raise Misconfigured(f"{count.max()} areas meet near {place}; at most {MOST_MEETING} can")
    first = np.cumsum(count) - count
    rank = np.where(owner >= 0, np.searchsorted(local, key) - first[key // most], 0).astype(np.uint64)
    bit = np.where(owner >= 0, np.left_shift(np.uint64(1), rank), np.uint64(0))
    number = len(edge)
    inside = np.zeros(len(xs), dtype=np.uint64)
    np.bitwise_or.at(inside, held_leaf, bit[2 * number :])
    return _Beside(count, (local % most).astype(np.uint64), bit[:number] ^ bit[number : 2 * number], inside)


def _write_edges(real: Any, at: Any, edges: Edges, edge: Any) -> None:
    """Both ends of each edge, the southern one first; the same order whichever area it came from."""
    ax, ay, bx, by = edges.ax[edge], edges.ay[edge], edges.bx[edge], edges.by[edge]
    turn = (ay > by) | ((ay == by) & (ax > bx))
    real[at], real[at + 1] = np.where(turn, bx, ax), np.where(turn, by, ay)
    real[at + 2], real[at + 3] = np.where(turn, ax, bx), np.where(turn, ay, by)


def _pieces(edges: Edges) -> dict[str, bytes]:
    """Connected runs of edges between the same two areas, cut short, as lines."""
    follows = (edges.ring[1:] == edges.ring[:-1]) & (edges.left[1:] == edges.left[:-1])
    follows &= (edges.right[1:] == edges.right[:-1]) & (edges.ax[1:] == edges.bx[:-1]) & (edges.ay[1:] == edges.by[:-1])
    number = np.arange(len(edges.ax))
    begins = np.concatenate(([True], ~follows))
    within = number - np.maximum.accumulate(np.where(begins, number, 0))
    begins |= within % PIECE_EDGES == 0
    first = np.flatnonzero(begins)
    last = np.concatenate((first[1:], [len(number)])) - 1
    # Each piece is its edges' first ends and the last edge's second end.
    at = number + np.cumsum(begins) - 1
    points = np.empty((len(number) + len(first), 2))
    points[at] = np.column_stack((edges.ax, edges.ay))
    points[at[last] + 1] = np.column_stack((edges.bx[last], edges.by[last]))
    return {
        "points": points.astype("<f8").tobytes(),
        "pieces": np.concatenate((at[first], [len(points)])).astype("<u4").tobytes(),
        "sides": np.column_stack((edges.left[first], edges.right[first])).astype("<i4").tobytes(),
    }


def _stored(shapes: Sequence[Any]) -> dict[str, bytes]:
    """The polygons themselves, as well-known binary."""
    written = shapely.to_wkb(np.asarray(shapes), byte_order=1)
    ends = np.cumsum([0, *map(len, written)])
    return {"shapes": b"".join(written), "shape_ends": ends.astype("<u8").tobytes()}
