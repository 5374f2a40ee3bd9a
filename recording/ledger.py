"""The Merkle tree of the log: hashing, compact ranges, inclusion and consistency proofs (RFC 6962 2.1, RFC 9162 2.1).

Pure: values in, values out.  Node ``(level, index)`` is the hash over the complete run of leaves
``[index * 2^level, (index + 1) * 2^level)``, the same addressing as c2sp.org/tlog-tiles, so proofs can be read from
leaves in memory, from a database or from published tiles alike.
"""

from collections.abc import Callable, Sequence
from hashlib import sha256

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()

Nodes = Callable[[int, int], bytes]
"""``nodes(level, index)``: the hash of one complete subtree."""


def leaf_hash(entry: bytes) -> bytes:
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


class Tree:
    """A growing tree as its compact range: the roots of the complete subtrees, largest first; O(log n) memory."""

    __slots__ = ("_peaks", "size")

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []

    @classmethod
    def from_state(cls, size: int, hashes: Sequence[bytes]) -> "Tree":
        """The tree that ``state()`` described; ``ValueError`` when the hashes cannot belong to that size."""
        if size < 0 or len(hashes) != size.bit_count() or any(len(each) != HASH_BYTES for each in hashes):
            raise ValueError(f"a tree of {size} leaves has {max(size, 0).bit_count()} hashes of {HASH_BYTES} bytes")
        tree = cls()
        tree.size = size
        tree._peaks = list(hashes)
        return tree

    def state(self) -> list[bytes]:
        """The roots of the complete subtrees, largest first; with ``size`` all that is needed to go on."""
        return list(self._peaks)

    def append(self, leaf: bytes) -> None:
        """Add one leaf, given by its ``leaf_hash``."""
        below, node = self.size, leaf
        while below & 1:
            node = node_hash(self._peaks.pop(), node)
            below >>= 1
        self._peaks.append(node)
        self.size += 1

    def root(self) -> bytes:
        if not self._peaks:
            return EMPTY_ROOT
        node = self._peaks[-1]
        for peak in self._peaks[-2::-1]:
            node = node_hash(peak, node)
        return node


def from_leaves(leaves: Sequence[bytes]) -> Nodes:
    """The nodes above ``leaves`` (leaf hashes), each level computed once and when first asked for."""
    levels: list[Sequence[bytes]] = [leaves]

    def nodes(level: int, index: int) -> bytes:
        while len(levels) <= level:
            below = levels[-1]
            levels.append([node_hash(below[i], below[i + 1]) for i in range(0, len(below) - 1, 2)])
        return levels[level][index]

    return nodes


def root(size: int, nodes: Nodes | Sequence[bytes]) -> bytes:
    """The root of the first ``size`` leaves."""
    return EMPTY_ROOT if size == 0 else _run(_nodes(nodes), 0, size)


def inclusion_proof(index: int, size: int, nodes: Nodes | Sequence[bytes]) -> list[bytes]:
    """The audit path of leaf ``index`` in the tree of ``size`` leaves, lowest sibling first (RFC 9162 2.1.3.1)."""
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size} leaves")
    source, path = _nodes(nodes), list[bytes]()
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_run(source, middle, end))
            end = middle
        else:
            path.append(_run(source, start, middle))
            start = middle
    return path[::-1]


def consistency_proof(old: int, new: int, nodes: Nodes | Sequence[bytes]) -> list[bytes]:
    """The proof that the tree of ``old`` leaves is a prefix of the tree of ``new`` (RFC 9162 2.1.4.1)."""
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {old} leaves cannot be a prefix of one of {new}")
    if old in (0, new):
        return []
    source, path = _nodes(nodes), list[bytes]()
    start, end = 0, new
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(_run(source, middle, end))
            end = middle
        else:
            path.append(_run(source, start, middle))
            start = middle
    if start:  # the old tree is not itself a complete subtree on the left edge, so its last run must be told
        path.append(_run(source, start, end))
    return path[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether ``proof`` shows leaf hash ``leaf`` at ``index`` under ``root`` (RFC 9162 2.1.3.2)."""
    if not 0 <= index < size or any(len(each) != HASH_BYTES for each in (leaf, root, *proof)):
        return False
    position, last, node = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if position & 1 or position == last:
            node = node_hash(sibling, node)
            while position and not position & 1:
                position >>= 1
                last >>= 1
        else:
            node = node_hash(node, sibling)
        position >>= 1
        last >>= 1
    return last == 0 and node == root


def verify_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> bool:
    """Whether ``proof`` shows that the tree ``new_root`` continues the tree ``old_root`` (RFC 9162 2.1.4.2)."""
    if not 0 <= old <= new or any(len(each) != HASH_BYTES for each in (old_root, new_root, *proof)):
        return False
    if old == new:
        return not proof and old_root == new_root and (old > 0 or old_root == EMPTY_ROOT)
    if old == 0:
        return not proof and old_root == EMPTY_ROOT
    path = [old_root, *proof] if old.bit_count() == 1 else list(proof)
    if not path:
        return False
    position, last = old - 1, new - 1
    while position & 1:
        position >>= 1
        last >>= 1
    older = newer = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            older, newer = node_hash(sibling, older), node_hash(sibling, newer)
            while position and not position & 1:
                position >>= 1
                last >>= 1
        else:
            newer = node_hash(newer, sibling)
        position >>= 1
        last >>= 1
    return last == 0 and older == old_root and newer == new_root


def _nodes(nodes: Nodes | Sequence[bytes]) -> Nodes:
    return nodes if callable(nodes) else from_leaves(nodes)


def _split(count: int) -> int:
    """The largest power of two smaller than ``count``."""
    return 1 << (count - 1).bit_length() - 1


def _run(nodes: Nodes, start: int, end: int) -> bytes:
    """The root over leaves ``[start, end)``, where ``start`` is a multiple of a power of two not below the count."""
    peaks = []
    while start < end:
        level = (end - start).bit_length() - 1
        peaks.append(nodes(level, start >> level))
        start += 1 << level
    node = peaks.pop()
    while peaks:
        node = node_hash(peaks.pop(), node)
    return node
