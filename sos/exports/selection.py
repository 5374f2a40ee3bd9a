"""Choosing from the published log, as of one checkpoint: which streams, which lines, what of them would be opened.

The log's files are read and never the database's rows, so what is found depends on the scope and the checkpoint alone.
It is read piece by piece beside everything else; of a large log nothing is held but the names of the chosen streams.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from hashlib import sha256

from msgspec import Struct

from recording.ledger import leaf_hash
from recording.tiles import WIDTH, TileStore
from routing.categories import Category
from sos.exports.scope import Chosen, Wanted
from sos.incident.codec import read_header
from sos.incident.events import Recorded
from sos.incident.model import StreamId
from sos.journal.store import KeyRow, Store

Told = Callable[[int, int], None]
"""Hears how far a long piece of work is, of how much."""


class Line(Struct, frozen=True, kw_only=True):
    position: int
    entry: bytes
    recorded: Recorded


class Counted(Struct, frozen=True, kw_only=True):
    """What a dry run finds.  ``digest`` covers all of it, line by line."""

    digest: str
    chosen: Chosen
    kinds: Mapping[str, int]
    """Of the events asked for."""
    brands: Mapping[str, int]
    categories: Mapping[str, int]
    """Parts that would be opened."""
    destroyed: int
    """Parts asked for whose time was over."""
    incidents: int
    """Incidents and subjects of which something would be opened."""
    recordings: int

    @property
    def opened(self) -> int:
        return sum(self.categories.values())


class Selection:
    """The log as of ``size`` events."""

    def __init__(self, tiles: TileStore, store: Store, *, size: int) -> None:
        self._tiles = tiles
        self._store = store
        self._size = size

    async def choose(self, asked: Wanted, told: Told = lambda *_: None) -> Chosen:
        """The streams that ``asked`` is of."""
        hit, concerned, foreign = set[StreamId](), set[StreamId](), set[StreamId]()
        async for lines in self._pieces(told):
            for line in lines:
                stream = line.recorded.stream
                if not asked.covers(line.recorded):
                    foreign.add(stream)  # what was another brand's once stays out whole
                    continue
                if asked.concerns(line.recorded):
                    concerned.add(stream)
                if asked.wants(line.recorded):
                    hit.add(stream)
        streams = frozenset((hit & concerned) - foreign)
        counts = await asyncio.to_thread(self._measure, streams)
        return Chosen(streams=streams, lines=counts[0], bytes=counts[1])

    async def count(self, asked: Wanted, checkpoint: bytes, told: Told = lambda *_: None) -> Counted:
        """A dry run: nothing is opened."""
        chosen = await self.choose(asked, lambda done, of: told(done, 2 * of))
        digest = sha256(asked.told + b"\n" + checkpoint + b"\n")
        kinds, brands, categories = Counter[str](), Counter[str](), Counter[str]()
        opened, destroyed, recordings = set[StreamId](), 0, 0
        keys = _Destroyed(self._store)
        async for lines in self._pieces(lambda done, of: told(of + done, 2 * of)):
            for line in lines:
                recorded = line.recorded
                if recorded.stream not in chosen.streams:
                    continue
                digest.update(leaf_hash(line.entry))
                if not asked.wants(recorded):
                    continue
                kinds[type(recorded.event).__name__] += 1
                brands[recorded.tenant] += 1
                for category in asked.opens(recorded):
                    gone = await keys.gone(recorded, category)
                    digest.update(f"{recorded.id}.{category} {gone}\n".encode())
                    destroyed += gone
                    if not gone:
                        categories[category] += 1
                        opened.add(recorded.stream)
                recordings += asked.plays(recorded) and not await keys.gone(recorded, Category.AUD)
        return Counted(
            digest=digest.hexdigest(),
            chosen=chosen,
            kinds=_sorted(kinds),
            brands=_sorted(brands),
            categories=_sorted(categories),
            destroyed=destroyed,
            incidents=len(opened),
            recordings=recordings,
        )

    def lines(self, streams: Collection[StreamId]) -> Iterator[Line]:
        """The lines of ``streams`` in the log's order, read as they are asked for; not for the event loop."""
        for first in range(0, self._size, WIDTH):
            for line in self._piece(first):
                if line.recorded.stream in streams:
                    yield line

    async def pieces(
        self, streams: Collection[StreamId], told: Told = lambda *_: None
    ) -> AsyncIterator[Sequence[Line]]:
        """The same, in pieces."""
        async for lines in self._pieces(told):
            yield [line for line in lines if line.recorded.stream in streams]

    async def _pieces(self, told: Told) -> AsyncIterator[Sequence[Line]]:
        for first in range(0, self._size, WIDTH):
            yield await asyncio.to_thread(self._piece, first)
            told(min(first + WIDTH, self._size), self._size)

    def _piece(self, first: int) -> Sequence[Line]:
        entries = self._tiles.entries(first, min(WIDTH, self._size - first))
        return [
            Line(position=position, entry=entry, recorded=read_header(entry, position=position))
            for position, entry in enumerate(entries, first)
        ]

    def _measure(self, streams: Collection[StreamId]) -> tuple[int, int]:
        lines = size = 0
        for line in self.lines(streams):
            lines += 1
            size += len(line.entry) + 1
        return lines, size


class _Destroyed:
    """What has been destroyed of the streams that were asked about last."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rows: dict[StreamId, Sequence[KeyRow]] = {}

    async def gone(self, recorded: Recorded, category: Category) -> bool:
        if recorded.stream not in self._rows:
            if len(self._rows) >= WIDTH:
                self._rows.clear()
            self._rows[recorded.stream] = await self._store.keys(recorded.stream)
        of_it = [row for row in self._rows[recorded.stream] if row.category == category and row.first <= recorded.n]
        return not of_it or max(of_it, key=lambda row: row.first).destroyed


def _sorted(counts: Counter[str]) -> Mapping[str, int]:
    return dict(sorted(counts.items()))
