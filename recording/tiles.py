"""The published log: static files that anybody may copy, serve or put on write-once storage (c2sp.org/tlog-tiles).

``checkpoint``, ``tile/<L>/<N>[.p/<W>]`` with up to 256 hashes, ``tile/entries/<N>[.p/<W>]`` with up to 256 entries.
One sequencer writes; readers may be many.  Files come before the checkpoint that needs them, each whole or not at all,
so a crash at any point leaves the old log valid and the same ``publish`` may simply be made again.  What an earlier
checkpoint covers is never changed: entries that differ from it are refused, for that would be a rewritten history.
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from shutil import rmtree
from typing import NamedTuple

from recording import ledger, note
from recording.durable import replace, sync_directory
from recording.errors import Malformed, OutOfOrder, Tampered, TooLarge

WIDTH = 256
MAX_ENTRY_BYTES = 65_535
"""The length prefix in an entry bundle is a big-endian uint16."""

_ENTRIES = "entries"
_NAME = re.compile(
    r"tile/(?P<kind>entries|[0-9]|[1-5][0-9]|6[0-3])/(?P<tile>(?:x[0-9]{3}/){0,5}[0-9]{3})"
    r"(?:\.p/(?P<width>[1-9][0-9]{0,2}))?\Z"
)
_CACHED_TILES = 512  # 8 KiB of hashes each, at most twice that with the levels between


class TileName(NamedTuple):
    """Which tile a path names; ``kind`` is a level or ``entries``."""

    kind: str
    tile: int
    width: int

    @property
    def full(self) -> bool:
        return self.width == WIDTH

    @property
    def of_entries(self) -> bool:
        return self.kind == _ENTRIES


class TileStore:
    """The tiles in ``directory``, which is made when the first entries are published.

    ``write`` puts one file in place, whole or not at all.
    """

    def __init__(self, directory: Path, *, write: Callable[[Path, bytes], None] = replace) -> None:
        self._directory = directory
        self._write_file = write
        self._edge: _Edge | None = None
        self._cache: OrderedDict[tuple[int, int, int], ledger.Nodes] = OrderedDict()

    def size(self) -> int:
        """How many entries the published checkpoint covers; 0 before there is one."""
        checkpoint = self.checkpoint()
        return note.read_checkpoint(checkpoint).size if checkpoint else 0

    def checkpoint(self) -> bytes | None:
        try:
            return (self._directory / "checkpoint").read_bytes()
        except FileNotFoundError:
            return None

    def served(self, name: TileName) -> bytes:
        """The tile as whoever asks for ``name`` shall have it, also when it has grown since.

        ``OutOfOrder`` when the checkpoint does not cover it: what is written and not yet signed is shown to nobody.
        """
        height = 0 if name.of_entries else int(name.kind)
        if name.tile * WIDTH + name.width > self.size() >> 8 * height:
            raise OutOfOrder("the published log does not reach that far")
        if name.of_entries:
            return bundle(self._bundle(name.tile, name.width))
        return b"".join(self._hashes(height, name.tile, name.width))

    def publish(self, first: int, entries: Sequence[bytes], checkpoint: bytes) -> None:
        """Write ``entries`` from index ``first`` on, then ``checkpoint``, which must cover exactly the log so far.

        May be repeated, and with no entries puts a further cosigned checkpoint in place.  ``OutOfOrder`` when there is
        a gap before ``first``; ``TooLarge`` for an entry over 65,535 bytes; ``Tampered`` when the entries or the root
        contradict what is published.  Nothing is written before all of this is known.
        """
        published = self.size()
        if first > published:
            raise OutOfOrder(f"entries from {first} on leave a gap: the published log ends at {published}")
        for offset, entry in enumerate(entries):
            if len(entry) > MAX_ENTRY_BYTES:
                raise TooLarge(f"entry {first + offset} has {len(entry)} bytes, more than {MAX_ENTRY_BYTES}")
        edge = self._edge
        if edge is None or edge.size != first:
            edge = self._edge_at(first)
            self._tidy(max(0, published - WIDTH), published)  # what a crash right after the checkpoint left
        self._edge = None  # only trusted again when all of this went well
        files = edge.extend(entries)
        self._check(edge, published, checkpoint)
        self._write(files, published)
        if edge.size >= published:
            self._write_file(self._directory / "checkpoint", checkpoint)
            sync_directory(self._directory)
            self._edge = edge
            self._tidy(first, edge.size)

    def entries(self, first: int, count: int) -> list[bytes]:
        """``count`` published entries from index ``first`` on, read back from the bundles."""
        size = self.size()
        if not 0 <= first <= first + count <= size:
            raise OutOfOrder(f"entries {first} to {first + count} are not in a log of {size}")
        found: list[bytes] = []
        for tile in range(first // WIDTH, -(-(first + count) // WIDTH) if count else 0):
            found += self._bundle(tile, min(WIDTH, size - tile * WIDTH))
        start = first % WIDTH
        return found[start : start + count]

    def nodes(self, size: int) -> ledger.Nodes:
        """The complete subtrees of the tree of ``size`` leaves, read from the tiles as they are asked for."""

        def node(level: int, index: int) -> bytes:
            height, within = divmod(level, 8)
            tile, offset = divmod(index << within, WIDTH)
            width = min(WIDTH, (size >> 8 * height) - tile * WIDTH)
            return self._tile(height, tile, width)(within, offset >> within)

        return node

    def inclusion_proof(self, index: int, size: int) -> list[bytes]:
        return ledger.inclusion_proof(index, size, self.nodes(size))

    def consistency_proof(self, old: int, new: int) -> list[bytes]:
        return ledger.consistency_proof(old, new, self.nodes(new))

    def root(self, size: int) -> bytes:
        return ledger.root(size, self.nodes(size))

    def _edge_at(self, size: int) -> "_Edge":
        hashes = []
        for level in range(64):
            if not (count := size >> 8 * level):
                break
            hashes.append(self._hashes(level, count // WIDTH, count % WIDTH) if count % WIDTH else [])
        bundle = self._bundle(size // WIDTH, size % WIDTH) if size % WIDTH else []
        nodes = self.nodes(size)
        peaks = [nodes(level, (size >> level) - 1) for level in range(size.bit_length(), -1, -1) if size >> level & 1]
        return _Edge(ledger.Tree.from_state(size, peaks), hashes, bundle)

    def _check(self, edge: "_Edge", published: int, checkpoint: bytes) -> None:
        claimed = note.read_checkpoint(checkpoint)
        if claimed.size != edge.size:
            raise OutOfOrder(f"the checkpoint is for {claimed.size} entries, the log would have {edge.size}")
        if claimed.root != edge.tree.root():
            raise Tampered(f"the checkpoint's root is not the root of the {edge.size} entries")
        if edge.size < published:
            standing = self.root(edge.size)
        elif edge.size == published:
            standing = note.read_checkpoint(self.checkpoint() or checkpoint).root
        else:
            return
        if claimed.root != standing:
            raise Tampered(f"the published log has another root at size {edge.size}")

    def _write(self, files: "dict[tuple[str, int, int], bytes]", published: int) -> None:
        changed: dict[Path, None] = {}
        for (kind, tile, width), content in files.items():
            path = self._path(kind, tile, width)
            span = WIDTH ** (0 if kind == _ENTRIES else int(kind))
            if (tile * WIDTH + width) * span <= published and (known := self._stored(kind, tile, width)) is not None:
                if known[: len(content)] != content:
                    raise Tampered(f"{path.relative_to(self._directory)} is published with other content")
                continue
            for parent in reversed(path.relative_to(self._directory).parents):
                if not (self._directory / parent).exists():
                    (self._directory / parent).mkdir(parents=True)
                    changed[(self._directory / parent).parent] = None
            self._write_file(path, content)
            changed[path.parent] = None
        for directory in changed:
            sync_directory(directory)

    def _tidy(self, before: int, after: int) -> None:
        """Drop the partial files of tiles that have become full (tlog-tiles, «Partial Tiles», allows it)."""
        for level in range(8):
            old, new = before >> 8 * level + 8, after >> 8 * level + 8
            if old == new:
                return
            for tile in range(old, new):
                for kind in (str(level), _ENTRIES) if level == 0 else (str(level),):
                    rmtree(self._path(kind, tile, 1).parent, ignore_errors=True)

    def _tile(self, level: int, tile: int, width: int) -> ledger.Nodes:
        key = (level, tile, width)
        known = self._cache.get(key)
        if known is None:
            known = self._cache[key] = ledger.from_leaves(self._hashes(level, tile, width))
            if len(self._cache) > _CACHED_TILES:
                self._cache.popitem(last=False)
        return known

    def _hashes(self, level: int, tile: int, width: int) -> list[bytes]:
        content = self._read(str(level), tile, width)
        if len(content) < width * ledger.HASH_BYTES or len(content) % ledger.HASH_BYTES:
            raise Tampered(f"tile {level}/{tile} does not hold {width} hashes")
        return [content[at : at + 32] for at in range(0, width * 32, 32)]

    def _bundle(self, tile: int, width: int) -> list[bytes]:
        found = unbundle(self._read(_ENTRIES, tile, width))
        if len(found) < width:
            raise Tampered(f"entry bundle {tile} does not hold {width} entries")
        return found[:width]

    def _read(self, kind: str, tile: int, width: int) -> bytes:
        content = self._stored(kind, tile, width)
        if content is None:
            raise OutOfOrder(
                f"tile {kind}/{tile} is not there at width {width}: publish again from an earlier position"
            )
        return content

    def _stored(self, kind: str, tile: int, width: int) -> bytes | None:
        """The tile at ``width`` or wider, for tiles only grow: as asked for, the full one, or a later partial one."""
        full = self._path(kind, tile, WIDTH)
        partial = full.with_name(f"{full.name}.p")
        for path in (self._path(kind, tile, width), full):
            if (content := _content(path)) is not None:
                return content
        widths = [int(path.name) for path in partial.glob("[0-9]*") if path.name.isdigit()]
        wide_enough = [each for each in widths if each >= width]
        wider = _content(partial / str(min(wide_enough))) if wide_enough else None
        return wider if wider is not None else _content(full)  # the partial ones go once the full one is there

    def _path(self, kind: str, tile: int, width: int) -> Path:
        return self._directory / tile_path(kind, tile, width)


class _Edge:
    """The right-hand edge of the log in memory: what the next entries are added to."""

    def __init__(self, tree: ledger.Tree, hashes: list[list[bytes]], bundle: list[bytes]) -> None:
        self.tree = tree
        self._hashes = hashes
        self._bundle = bundle

    @property
    def size(self) -> int:
        return self.tree.size

    def extend(self, entries: Sequence[bytes]) -> dict[tuple[str, int, int], bytes]:
        """The files that ``entries`` make, by kind, tile and width."""
        files: dict[tuple[str, int, int], bytes] = {}
        for entry in entries:
            leaf = ledger.leaf_hash(entry)
            self._bundle.append(entry)
            if len(self._bundle) == WIDTH:
                files[_ENTRIES, self.size // WIDTH, WIDTH] = bundle(self._bundle)
                self._bundle = []
            self._push(0, leaf, files)
            self.tree.append(leaf)
        if entries:
            if self._bundle:
                files[_ENTRIES, self.size // WIDTH, len(self._bundle)] = bundle(self._bundle)
            for level, hashes in enumerate(self._hashes):
                if hashes:
                    files[str(level), (self.size >> 8 * level) // WIDTH, len(hashes)] = b"".join(hashes)
        return files

    def _push(self, level: int, node: bytes, files: dict[tuple[str, int, int], bytes]) -> None:
        if level == len(self._hashes):
            self._hashes.append([])
        hashes = self._hashes[level]
        hashes.append(node)
        if len(hashes) == WIDTH:
            files[str(level), self.size >> 8 * level + 8, WIDTH] = b"".join(hashes)
            self._hashes[level] = []
            self._push(level + 1, ledger.root(WIDTH, hashes), files)


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def tile_name(path: str) -> TileName:
    """What ``tile_path`` wrote; ``Malformed`` for any other path, so that nothing else is ever looked for."""
    match = _NAME.match(path)
    if match is None:
        raise Malformed("no tile has such a path")
    name = TileName(match["kind"], int(match["tile"].replace("x", "").replace("/", "")), int(match["width"] or WIDTH))
    if tile_path(*name) != path:
        raise Malformed("no tile has such a path")
    return name


def tile_path(kind: str, tile: int, width: int) -> str:
    """The path of a tile below the log's prefix; ``kind`` is a level or ``entries``."""
    groups = [f"{tile % 1000:03d}"]
    while tile := tile // 1000:
        groups.append(f"x{tile % 1000:03d}")
    partial = f".p/{width}" if width < WIDTH else ""
    return f"tile/{kind}/{'/'.join(reversed(groups))}{partial}"


def bundle(entries: Sequence[bytes]) -> bytes:
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def unbundle(content: bytes) -> list[bytes]:
    """The entries of a bundle; ``Malformed`` when the lengths do not add up."""
    found, at = [], 0
    while at < len(content):
        length = int.from_bytes(content[at : at + 2], "big")
        if at + 2 + length > len(content):
            raise Malformed(f"entry bundle ends inside the entry at byte {at}")
        found.append(content[at + 2 : at + 2 + length])
        at += 2 + length
    return found
