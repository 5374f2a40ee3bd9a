"""The whole journal looked through where it lies: every header hashed anew, against what was published and vouched for.

For who runs the house, beside the running service; an auditor does the same with the published files alone.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from recording import note
from recording.anchors import AnchorStore
from recording.errors import RecordingError
from recording.ledger import Tree, leaf_hash
from sos.errors import Malformed
from sos.incident.codec import read_header
from sos.journal.store import Store

BATCH = 4096


class Proof(Struct, frozen=True, kw_only=True):
    """What was found; ``wrong`` names each place, and is empty where all agrees."""

    entries: int
    checkpoints: int
    """Published and vouched-for checkpoints that the headers lead to."""
    wrong: Sequence[str] = ()


async def prove(
    store: Store, data: Path, log: note.Verifier, *, progress: Callable[[int, int], None] = lambda _, __: None
) -> Proof:
    """Hash every event's header in order and compare: with the database's own tree, the published checkpoint and those
    that were anchored.  Each header must also be readable.
    """
    size, _ = await store.tree()
    heads = _heads(data)
    wrong, checked, tree = list[str](), 0, Tree()
    while tree.size < size:
        leaves = await store.leaves(tree.size, limit=min(BATCH, size - tree.size))
        if not leaves:
            wrong.append(f"entry {tree.size}: is not there, and the database says that it has {size}")
            break
        for leaf in leaves:
            if leaf.position != tree.size:
                wrong.append(f"entry {tree.size}: is not there")
                return Proof(entries=tree.size, checkpoints=checked, wrong=wrong)
            wrong += _unreadable(leaf.header, leaf.position)
            tree.append(leaf_hash(leaf.header))
            for name, checkpoint in heads.pop(tree.size, ()):
                wrong += (found := _differs(name, checkpoint, tree, log))
                checked += not found
        progress(tree.size, size)
    wrong += [f"{name}: covers {at} entries, and the database has {tree.size}" for at in heads for name, _ in heads[at]]
    return Proof(entries=tree.size, checkpoints=checked, wrong=wrong)


def _heads(data: Path) -> dict[int, list[tuple[str, bytes]]]:
    """Checkpoints with their names, by the size that they cover."""
    files = [data / "log" / "checkpoint", *AnchorStore(data / "anchors").files()]
    found: dict[int, list[tuple[str, bytes]]] = {}
    for file in files:
        if file.exists():
            checkpoint = file.read_bytes()
            found.setdefault(note.read_checkpoint(checkpoint).size, []).append((file.name, checkpoint))
    return found


def _differs(name: str, checkpoint: bytes, tree: Tree, log: note.Verifier) -> list[str]:
    head = note.read_checkpoint(checkpoint)
    if head.origin != log.name:  # of a log that has ended: who holds it is told by its successor's statement
        return []
    try:
        note.open_note(checkpoint, [log])
    except RecordingError as error:
        return [f"{name}: {error}"]
    if head.root != tree.root():
        return [f"{name}: the first {head.size} entries are not those that it covers"]
    return []


def _unreadable(header: bytes, position: int) -> list[str]:
    try:
        read_header(header, position=position)
    except Malformed as error:
        return [f"entry {position}: {error}"]
    return []
