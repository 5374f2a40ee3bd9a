"""Which log is published of the journal, and the next one where it cannot go on: after a restore to an earlier point.

A log that is further than its database, or has other events, is never continued and never changed.  The next one gets
a name that was never given before, says in a signed statement how far both are the same (``recording.succession``), and
the old one's files are put beside.
"""

from pathlib import Path
from secrets import token_hex

import structlog
from msgspec import Struct

from recording import succession
from recording.durable import replace, sync_directory
from recording.keys import KeyStore
from recording.ledger import Tree, leaf_hash
from recording.note import Signer, read_checkpoint
from recording.succession import Succession
from recording.tiles import TileStore
from sos.errors import Unavailable
from sos.journal.store import Store

log = structlog.get_logger()

BATCH = 4096


class Published(Struct, frozen=True):
    """The log that this journal is published in."""

    origin: str
    statement: bytes = b""
    """What it says of the one before; empty where there is none."""


async def published_in(store: Store, wanted: str) -> Published:
    """The log in force; ``wanted`` is its name in the settings, which those after it begin with."""
    newest = await store.log()
    if newest is None or not newest[0].startswith(f"{wanted}/"):
        return Published(wanted)
    return Published(*newest)


def make_room(directory: Path, published: Published) -> Path | None:
    """Put the files of another log aside, and the statement in place; where the others are now."""
    aside = None
    checkpoint = TileStore(directory).checkpoint()
    if checkpoint is not None and (of := read_checkpoint(checkpoint).origin) != published.origin:
        aside = directory.with_name(f"{directory.name}.of-{of.rpartition('/')[2]}-{token_hex(4)}")
        directory.rename(aside)
        sync_directory(directory.parent)
        log.warning("log_put_aside", log=of, at=aside.name)
    statement = directory / succession.FILE
    if published.statement and not statement.exists():
        directory.mkdir(parents=True, exist_ok=True)
        replace(statement, published.statement)
        sync_directory(directory)
    return aside


async def same_until(store: Store, directory: Path) -> tuple[int, bytes, bytes]:
    """How many entries database and published log have in common, the root over them, and the log's checkpoint.

    The root of the log is compared first where the database is at least as far, else the root of the database's tree.
    """
    tiles = TileStore(directory)
    checkpoint = tiles.checkpoint() or b""
    at = read_checkpoint(checkpoint).size if checkpoint else 0
    size, _ = await store.tree()
    tree = await tree_of(store, min(at, size))
    if not checkpoint or tiles.root(tree.size) == tree.root():
        return tree.size, tree.root(), checkpoint
    same = Tree()  # they part before: go from entry to entry
    while same.size < tree.size:
        (leaf,) = await store.leaves(same.size, limit=1)
        if tiles.entries(same.size, 1) != [leaf.header]:
            break
        same.append(leaf_hash(leaf.header))
    return same.size, same.root(), checkpoint


async def tree_of(store: Store, size: int) -> Tree:
    """The tree over the first ``size`` events, from the events; ``Unavailable`` when there are not so many."""
    tree = Tree()
    while tree.size < size:
        leaves = await store.leaves(tree.size, limit=min(BATCH, size - tree.size))
        if not leaves or leaves[0].position != tree.size:
            raise Unavailable("the database has fewer events than it says")
        for leaf in leaves:
            tree.append(leaf_hash(leaf.header))
    return tree


async def goes_on(store: Store, directory: Path) -> bool:
    """Whether the published log can be continued: nothing is in it that the database has not."""
    same, _, checkpoint = await same_until(store, directory)
    return not checkpoint or read_checkpoint(checkpoint).size == same


async def succeed(store: Store, directory: Path, keys: KeyStore, *, wanted: str) -> Succession:
    """Begin the next log.  The service publishes in it from its next start on."""
    before = (await published_in(store, wanted)).origin
    same, root, checkpoint = await same_until(store, directory)
    begun = Succession(f"{wanted}/{token_hex(4)}", before, same, root, checkpoint)
    await store.begin_log(begun.origin, succession.write(begun, Signer(begun.origin, keys.signing_key("log"))))
    log.warning("log_succeeded", log=begun.origin, before=before, same=same)
    return begun
