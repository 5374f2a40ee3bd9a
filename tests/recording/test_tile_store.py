"""The published log as files: any crash can be repeated away, nothing published changes, strangers can read it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from recording import ledger, note
from recording.durable import replace
from recording.errors import Malformed, OutOfOrder, Tampered, TooLarge
from recording.tiles import TileStore, bundle, tile_name, tile_path

ORIGIN = "log.centre.example/audit"
SIGNER = note.Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(32)))
ENTRIES = [b'{"entry":%d}' % number for number in range(66_000)]
LEAVES = [ledger.leaf_hash(entry) for entry in ENTRIES]
ALL = ledger.from_leaves(LEAVES)


def checkpoint(size: int) -> bytes:
    return note.sign(note.checkpoint_text(ORIGIN, size, ledger.root(size, ALL)), [SIGNER])


def publish(store: TileStore, *sizes: int) -> None:
    for size in sizes:
        first = store.size()
        store.publish(first, ENTRIES[first:size], checkpoint(size))


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("tile", "width", "path"),
    [
        (0, 256, "tile/0/000"),
        (1234067, 256, "tile/0/x001/x234/067"),
        (1000, 5, "tile/0/x001/000.p/5"),
        (999, 255, "tile/0/999.p/255"),
    ],
)
def test_paths_are_those_of_the_specification(tile, width, path):
    assert tile_path("0", tile, width) == path


def test_a_log_of_256_has_one_full_tile_and_a_partial_one_above(tmp_path):
    publish(TileStore(tmp_path), 100, 255, 256)
    assert sorted(contents(tmp_path)) == ["checkpoint", "tile/0/000", "tile/1/000.p/1", "tile/entries/000"]
    assert len((tmp_path / "tile/0/000").read_bytes()) == 8192


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(st.sampled_from([1, 2, 5, 100, 254, 255, 256, 257, 700, 1024]), min_size=1, max_size=6))
def test_however_it_was_published_entries_root_and_proofs_come_back(tmp_path_factory, steps):
    directory = tmp_path_factory.mktemp("log")
    store = TileStore(directory)
    for step in steps:
        publish(store, store.size() + step)
    size = sum(steps)
    for reader in (store, TileStore(directory)):
        assert reader.size() == size
        assert reader.entries(0, size) == ENTRIES[:size]
        assert reader.root(size) == ledger.root(size, ALL)
        for index in {0, size // 2, size - 1}:
            assert reader.inclusion_proof(index, size) == ledger.inclusion_proof(index, size, ALL)
        assert reader.consistency_proof(steps[0], size) == ledger.consistency_proof(steps[0], size, ALL)


def test_sizes_around_the_second_level_are_right(tmp_path):
    store = TileStore(tmp_path)
    for size in (65_535, 65_536, 65_537, 65_800):
        publish(store, size)
        assert store.root(size) == ledger.root(size, ALL)
        for index in (0, 255, 256, 65_534, size - 1):
            proof = TileStore(tmp_path).inclusion_proof(index, size)
            assert ledger.verify_inclusion(LEAVES[index], index, size, proof, ledger.root(size, ALL))
    assert (tmp_path / "tile/2/000.p/1").exists()


def test_proofs_for_older_sizes_stay_readable_after_partial_tiles_are_gone(tmp_path):
    store = TileStore(tmp_path)
    publish(store, 100, 300, 600)
    assert not (tmp_path / "tile/0/000.p").exists()
    for size in (100, 300):
        assert TileStore(tmp_path).inclusion_proof(7, size) == ledger.inclusion_proof(7, size, ALL)


class PowerCut(Exception):
    pass


@pytest.mark.parametrize(("before", "after"), [(0, 3), (250, 300), (255, 256), (256, 257), (500, 1_100)])
def test_a_crash_at_any_point_is_mended_by_publishing_again(tmp_path, before, after):
    whole = tmp_path / "whole"
    publish(TileStore(whole), *([before] if before else []), after)
    step = 0
    while True:
        directory, left = tmp_path / str(step), [step]
        if before:
            publish(TileStore(directory), before)

        def dies(path, content, left=left):
            if left[0] == 0:
                path.with_name(f".{path.name}.torn").write_bytes(content[:10])
                raise PowerCut
            left[0] -= 1
            replace(path, content)

        try:
            TileStore(directory, write=dies).publish(before, ENTRIES[before:after], checkpoint(after))
            crashed = False
        except PowerCut:
            crashed = True
        if crashed:
            assert TileStore(directory).size() == before
            assert TileStore(directory).entries(0, before) == ENTRIES[:before]
        TileStore(directory).publish(before, ENTRIES[before:after], checkpoint(after))
        kept = {path: content for path, content in contents(directory).items() if ".torn" not in path}
        assert kept == contents(whole)
        if not crashed:
            break
        step += 1
    assert step >= 3


def test_partial_tiles_that_a_crash_left_are_cleared_on_the_next_start(tmp_path):
    publish(TileStore(tmp_path), 300)
    left = tmp_path / "tile/0/000.p/200"
    left.parent.mkdir()
    left.write_bytes(b"".join(LEAVES[:200]))
    publish(TileStore(tmp_path), 301)
    assert not left.parent.exists()


def test_publishing_again_from_an_earlier_position_changes_nothing(tmp_path):
    store = TileStore(tmp_path)
    publish(store, 100, 700)
    before = contents(tmp_path)
    for first, size in ((0, 700), (100, 700), (300, 600), (700, 700), (0, 0)):
        store.publish(first, ENTRIES[first:size], checkpoint(size))
        TileStore(tmp_path).publish(first, ENTRIES[first:size], checkpoint(size))
    assert contents(tmp_path) == before
    publish(store, 900)
    assert store.entries(0, 900) == ENTRIES[:900]


def test_lost_files_come_back_by_publishing_again(tmp_path):
    publish(TileStore(tmp_path), 700)
    before = contents(tmp_path)
    shutil.rmtree(tmp_path / "tile")
    TileStore(tmp_path).publish(0, ENTRIES[:700], checkpoint(700))
    assert contents(tmp_path) == before


def test_history_that_differs_is_refused_and_nothing_is_written(tmp_path):
    store = TileStore(tmp_path)
    publish(store, 300)
    before = contents(tmp_path)
    fork = [*ENTRIES[:10], b"fork", *ENTRIES[11:400]]
    for size in (200, 300, 400):
        tree = ledger.Tree()
        for entry in fork[:size]:
            tree.append(ledger.leaf_hash(entry))
        forged = note.sign(note.checkpoint_text(ORIGIN, size, tree.root()), [SIGNER])
        with pytest.raises(Tampered):
            store.publish(0, fork[:size], forged)
    assert contents(tmp_path) == before
    publish(store, 301)
    assert store.size() == 301


def test_a_checkpoint_that_does_not_fit_the_entries_is_refused(tmp_path):
    store = TileStore(tmp_path)
    publish(store, 10)
    with pytest.raises(OutOfOrder, match="checkpoint is for"):
        store.publish(10, ENTRIES[10:20], checkpoint(21))
    with pytest.raises(Tampered, match="root"):
        store.publish(10, ENTRIES[11:21], checkpoint(20))
    with pytest.raises(OutOfOrder, match="gap"):
        store.publish(11, ENTRIES[11:20], checkpoint(20))
    publish(store, 20)
    assert store.entries(0, 20) == ENTRIES[:20]


def test_a_cosigned_checkpoint_takes_the_place_of_the_plain_one(tmp_path):
    store = TileStore(tmp_path)
    publish(store, 10)
    cosigned = note.with_signatures(checkpoint(10), note.cosign(checkpoint(10), SIGNER, time_seconds=1))
    store.publish(10, [], cosigned)
    assert store.checkpoint() == cosigned
    publish(store, 12)
    assert store.size() == 12


def test_an_entry_is_at_most_65535_bytes(tmp_path):
    store = TileStore(tmp_path)
    longest = b"x" * 65_535
    tree = ledger.Tree()
    tree.append(ledger.leaf_hash(longest))
    head = note.sign(note.checkpoint_text(ORIGIN, 1, tree.root()), [SIGNER])
    with pytest.raises(TooLarge, match="entry 0"):
        store.publish(0, [longest + b"x"], head)
    store.publish(0, [longest], head)
    assert store.entries(0, 1) == [longest]


def test_damaged_tiles_are_noticed_when_read(tmp_path):
    publish(TileStore(tmp_path), 300)
    (tmp_path / "tile/0/000").write_bytes(b"short")
    (tmp_path / "tile/entries/000").write_bytes(b"\x00\x05abc")
    with pytest.raises(Tampered):
        TileStore(tmp_path).inclusion_proof(3, 300)
    with pytest.raises(Malformed):
        TileStore(tmp_path).entries(0, 10)
    with pytest.raises(OutOfOrder):
        TileStore(tmp_path).entries(290, 20)


def test_what_is_written_and_not_yet_signed_is_served_to_nobody(tmp_path):
    publish(TileStore(tmp_path), 200)

    def dies_before_the_checkpoint(path: Path, content: bytes) -> None:
        if path.name == "checkpoint":
            raise OSError("killed")
        replace(path, content)

    with pytest.raises(OSError, match="killed"):
        publish(TileStore(tmp_path, write=dies_before_the_checkpoint), 300)

    assert (tmp_path / "tile/0/000").exists()
    for path in ("tile/0/000", "tile/0/000.p/201", "tile/entries/000", "tile/1/000.p/1"):
        with pytest.raises(OutOfOrder):
            TileStore(tmp_path).served(tile_name(path))
    assert TileStore(tmp_path).served(tile_name("tile/0/000.p/200")) == b"".join(LEAVES[:200])
    assert TileStore(tmp_path).served(tile_name("tile/entries/000.p/7")) == bundle(ENTRIES[:7])


@given(tile=st.integers(0, 10**12), width=st.integers(1, 256), kind=st.sampled_from(["entries", "0", "9", "63"]))
def test_a_tile_s_path_names_it_again(tile, width, kind):
    assert tile_name(tile_path(kind, tile, width)) == (kind, tile, width)


@pytest.mark.parametrize("size", [1, 255, 256, 257, 1_000])
def test_the_tlog_scales_tool_reads_and_proves_our_tiles(tmp_path, size):
    tool = Path(sys.executable).with_name("tlog-tiles")
    if not tool.exists():
        pytest.skip("tlog-scales is not installed")
    store = TileStore(tmp_path)
    publish(store, max(1, size // 2), size)
    for index in {0, size // 3, size - 1}:
        leaf = subprocess.run([tool, "get-leaf", "-c", tmp_path, str(index)], capture_output=True, check=True)
        proof = subprocess.run([tool, "gen-proof", tmp_path, str(index)], capture_output=True, check=True)
        assert leaf.stdout == ENTRIES[index]
        assert proof.stdout == note.log_proof(index, store.inclusion_proof(index, size), store.checkpoint() or b"")
    if size == 1_000:
        spoiled = bytearray((tmp_path / "tile/entries/001").read_bytes())
        spoiled[5] ^= 1
        (tmp_path / "tile/entries/001").write_bytes(spoiled)
        run = subprocess.run([tool, "get-leaf", "-c", tmp_path, "256"], capture_output=True, check=False)
        assert run.returncode != 0
