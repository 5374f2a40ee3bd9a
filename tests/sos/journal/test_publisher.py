"""The published log: after every flush a stranger can verify it, whatever was interrupted."""

import asyncio
import shutil
from pathlib import Path

import pytest

from recording.ledger import leaf_hash, root, verify_consistency, verify_inclusion
from recording.note import Signer, open_note, read_checkpoint
from recording.tiles import TileStore
from sos.errors import Unavailable
from sos.journal.journal import Journal
from sos.journal.publisher import Publisher
from sos.journal.spool import Spool
from sos.journal.sqlite import SqliteStore
from sos.journal.store import Store
from tests.sos.journal.reports import opened, sequenced

ORIGIN = "sos.example.com/journal"


@pytest.fixture
def signer(keys) -> Signer:
    return Signer(ORIGIN, keys.signing_key("log"))


def _publisher(store: Store, directory: Path, signer: Signer) -> Publisher:
    return Publisher(store, TileStore(directory), signer, origin=ORIGIN)


async def _fill(journal: Journal, first: int, last: int) -> None:
    await asyncio.gather(*(opened(journal, number) for number in range(first, last)))
    await sequenced(journal.store, last)


async def _check(store: Store, directory: Path, signer: Signer, size: int) -> bytes:
    """Signature, root, every entry and an inclusion proof per tile, from the files alone; the root."""
    tiles = TileStore(directory)
    note = tiles.checkpoint()
    assert note is not None
    open_note(note, [signer.verifier])
    checkpoint = read_checkpoint(note)
    headers = [leaf.header for leaf in await store.leaves(0, limit=size + 1)][:size]
    assert checkpoint.size == size
    assert checkpoint.root == root(size, [leaf_hash(header) for header in headers]) == tiles.root(size)
    assert tiles.entries(0, size) == headers
    for index in {0, size // 2, size - 1}:
        proof = tiles.inclusion_proof(index, size)
        assert verify_inclusion(leaf_hash(headers[index]), index, size, proof, checkpoint.root)
    return checkpoint.root


async def test_each_flush_around_a_full_tile_verifies_and_continues_the_one_before(
    journal: Journal, store: Store, signer: Signer, tmp_path: Path
):
    publisher = _publisher(store, tmp_path / "log", signer)
    before, root_before = 0, b""
    for size in (1, 254, 255, 256, 257, 258):
        await _fill(journal, before, size)
        assert await publisher.publish() == size - before
        published = await _check(store, tmp_path / "log", signer, size)
        if before:
            proof = TileStore(tmp_path / "log").consistency_proof(before, size)
            assert verify_consistency(before, size, proof, root_before, published)
        before, root_before = size, published
    assert await publisher.publish() == 0


@pytest.mark.parametrize(("done", "more"), [(3, 5), (250, 256), (255, 257), (256, 260)])
async def test_a_crash_between_tiles_and_checkpoint_is_made_good(
    journal: Journal, store: Store, signer: Signer, tmp_path: Path, done: int, more: int
):
    log = tmp_path / "log"
    await _fill(journal, 0, done)
    await _publisher(store, log, signer).publish()
    shutil.copytree(log, tmp_path / "before")
    await _fill(journal, done, more)
    await _publisher(store, log, signer).publish()
    shutil.copytree(tmp_path / "before", log, dirs_exist_ok=True)  # tiles are there, the checkpoint is the old one
    assert TileStore(log).size() == done

    assert await _publisher(store, log, signer).publish() == more - done

    await _check(store, log, signer, more)


async def test_a_checkpoint_covers_everything_there_is(journal: Journal, store: Store, signer: Signer, tmp_path: Path):
    publisher = _publisher(store, tmp_path / "log", signer)
    with pytest.raises(Unavailable):
        await publisher.checkpoint()
    await _fill(journal, 0, 7)

    assert read_checkpoint(await publisher.checkpoint()).size == 7


async def test_a_log_ahead_of_its_database_is_not_continued(
    journal: Journal, store: Store, signer: Signer, tmp_path: Path, sqlite_template: Path
):
    await _fill(journal, 0, 3)
    await _publisher(store, tmp_path / "log", signer).publish()
    older = tmp_path / "older.db"
    shutil.copy(sqlite_template, older)

    async with SqliteStore(older) as restored:
        publisher = _publisher(restored, tmp_path / "log", signer)
        with pytest.raises(Unavailable, match="ahead of the database"):
            await publisher.publish()
        assert "ahead of the database" in publisher.stopped


async def test_a_log_with_other_events_than_its_database_is_not_continued(
    journal: Journal, store: Store, signer: Signer, tmp_path: Path, sqlite_template: Path, keys, clock
):
    """A database that was restored and has gone on before anybody looked."""
    await _fill(journal, 0, 3)
    await _publisher(store, tmp_path / "log", signer).publish()
    older = tmp_path / "older.db"
    shutil.copy(sqlite_template, older)
    before = TileStore(tmp_path / "log").checkpoint()

    async with (
        SqliteStore(older) as restored,
        Journal(restored, keys, Spool(tmp_path / "other", keys.secret("spool")), clock=clock) as other,
    ):
        await asyncio.gather(*(opened(other, number) for number in range(10, 15)))
        await sequenced(restored, 5)
        publisher = _publisher(restored, tmp_path / "log", signer)
        with pytest.raises(Unavailable, match="other events"):
            await publisher.publish()
        assert publisher.stopped
    assert TileStore(tmp_path / "log").checkpoint() == before
