"""The published log: C2SP tlog-tiles with a signed checkpoint, written from the journal's one order.

Readers do not wait for it; it follows within a quarter of a second and resumes after a crash at any point, since
publishing the same entries again writes the same bytes.
"""

import asyncio
from datetime import timedelta

import structlog

from recording.errors import RecordingError
from recording.ledger import Tree, leaf_hash
from recording.note import Signer, checkpoint_text, read_checkpoint, sign
from recording.tiles import TileStore
from sos.clock import Clock
from sos.errors import Unavailable
from sos.journal.store import Store

log = structlog.get_logger()

FLUSH = timedelta(milliseconds=250)
"""Flushes are coalesced: one set of tiles and one signature for all that came in between."""

BATCH = 4096

POLL = timedelta(seconds=1)
"""How long news of another process may be missed."""


class Forked(Unavailable):
    """Log and database have parted: what one has is not in the other.  `sos journal new-log` begins the next log."""


class Publisher:
    def __init__(self, store: Store, tiles: TileStore, signer: Signer, *, origin: str) -> None:
        self._store = store
        self._tiles = tiles
        self._signer = signer
        self._origin = origin
        self._lock = asyncio.Lock()
        self._tree: Tree | None = None
        self._said = ""
        self.stopped = ""
        """Why nothing more is published and exports wait, until a person decides (runbook ``restore``); else empty."""

    @property
    def published(self) -> int:
        """How many events the published log covers, as far as this process knows."""
        return self._tree.size if self._tree is not None else 0

    @property
    def origin(self) -> str:
        return self._origin

    async def run(self, clock: Clock) -> None:
        """Publish what is new, for ever."""
        while True:
            try:
                published = await self.publish()
            except (Unavailable, RecordingError) as away:
                self._say_once(away)
                published = 0
            else:
                self._said = ""
            if published < BATCH:
                await self._news()
                await clock.wait(POLL if self._said else FLUSH)

    def _say_once(self, away: Exception) -> None:
        """An outage is one line, not four a second."""
        if (reason := str(away)) != self._said:
            log.warning("publishing_waits", reason=reason)
            self._said = reason

    async def _news(self) -> None:
        """Return when there is something to publish, or may be, of another process."""
        if self._tree is None:
            return
        try:
            async with asyncio.timeout(POLL.total_seconds()):
                await self._store.news(self._tree.size)
        except TimeoutError:
            return

    async def publish(self) -> int:
        """Bring the tiles up to the journal; how many entries were added."""
        async with self._lock:
            try:
                return await self._publish()
            except (Forked, RecordingError) as stopped:
                self.stopped = str(stopped)
                raise

    async def _publish(self) -> int:
        tree = self._tree or await self._resume()
        self.stopped = ""
        first = tree.size
        leaves = await self._store.leaves(first, limit=BATCH)
        if not leaves:
            self._tree = tree
            return 0
        entries = [leaf.header for leaf in leaves]
        self._tree = None  # only trusted again when all of this went well
        for entry in entries:
            tree.append(leaf_hash(entry))
        text = checkpoint_text(self._origin, tree.size, tree.root())
        await asyncio.to_thread(self._tiles.publish, first, entries, sign(text, [self._signer]))
        self._tree = tree
        return len(entries)

    async def checkpoint(self) -> bytes:
        """The newest checkpoint, covering everything the journal holds now."""
        while await self.publish():
            pass
        published = self._tiles.checkpoint()
        if published is None:
            raise Unavailable("the log has not been published yet")
        return published

    async def _resume(self) -> Tree:
        """The tree over what is published; from the leaves, so that a lost tile is noticed rather than trusted."""
        checkpoint = self._tiles.checkpoint()
        size, claimed = self._tiles.size(), read_checkpoint(checkpoint).root if checkpoint else b""
        tree = Tree()
        while tree.size < size:
            leaves = await self._store.leaves(tree.size, limit=min(BATCH, size - tree.size))
            if not leaves:
                raise Forked("the published log is ahead of the database: was an old backup restored?")
            for leaf in leaves:
                tree.append(leaf_hash(leaf.header))
        if checkpoint and tree.root() != claimed:
            raise Forked("the published log has other events than the database: was an old backup restored?")
        return tree
