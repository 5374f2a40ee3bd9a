"""The journal looked through where it lies: it agrees with what was published, or the place is named."""

from pathlib import Path

import pytest

from recording import note
from recording.anchors import AnchorStore
from recording.keys import KeyStore
from recording.note import Signer
from recording.tiles import TileStore
from sos.journal.journal import Journal
from sos.journal.proving import prove
from sos.journal.publisher import Publisher
from sos.journal.store import Store
from tests.journeys import story as s
from tests.sos.journal.conftest import PostgresDatabase, SqliteDatabase
from tests.sos.journal.reports import incident, sequenced

ORIGIN = "sos.example.com/journal"


@pytest.fixture
def log(keys: KeyStore) -> Signer:
    return Signer(ORIGIN, keys.signing_key("log"))


@pytest.fixture
async def published(journal: Journal, store: Store, log: Signer, tmp_path: Path) -> int:
    """A journal that was vouched for, went on, and was published; how many events it has."""
    publisher = Publisher(store, TileStore(tmp_path / "log"), log, origin=ORIGIN)
    opened = await incident(journal)
    await sequenced(store, count := len(await store.whole(opened)))
    AnchorStore(tmp_path / "anchors").keep(await publisher.checkpoint(), None)
    for number in range(3):
        await journal.execute(opened, s.note(f"an invented note {number}"), actor="operator:hanako")
    await sequenced(store, count + 3)
    assert note.read_checkpoint(await publisher.checkpoint()).size == count + 3
    return count + 3


async def test_what_agrees_is_counted(store: Store, log: Signer, published: int, tmp_path: Path):
    seen: list[tuple[int, int]] = []

    found = await prove(store, tmp_path, log.verifier, progress=lambda at, of: seen.append((at, of)))

    assert (found.entries, found.checkpoints, found.wrong) == (published, 2, [])
    assert seen[-1] == (published, published)


async def test_a_changed_row_is_named_and_so_is_every_checkpoint_that_covers_it(
    store: Store, database: SqliteDatabase | PostgresDatabase, log: Signer, published: int, tmp_path: Path
):
    (leaf,) = await store.leaves(published - 1, limit=1)
    await database.damage(published - 1, leaf.header.replace(b"operator:hanako", b"operator:taro"))
    assert (await prove(store, tmp_path, log.verifier)).wrong == [
        f"checkpoint: the first {published} entries are not those that it covers"
    ]

    await database.damage(0)
    found = await prove(store, tmp_path, log.verifier)
    assert found.checkpoints == 0
    assert found.wrong[0].startswith("entry 0:")
    assert len(found.wrong) == 3


async def test_a_checkpoint_beyond_the_database_or_by_another_key_is_named(
    store: Store, log: Signer, published: int, tmp_path: Path
):
    thief = Signer(ORIGIN, KeyStore(tmp_path / "others").signing_key("log"))
    kept = AnchorStore(tmp_path / "anchors")
    kept.keep(note.sign(note.checkpoint_text(ORIGIN, published + 5, bytes(32)), [log]), None)
    kept.keep(note.sign(note.checkpoint_text(ORIGIN, published - 1, bytes(32)), [thief]), None)

    found = await prove(store, tmp_path, log.verifier)

    assert found.wrong == [
        f"{published - 1}.checkpoint: no known key signed this note",
        f"{published + 5}.checkpoint: covers {published + 5} entries, and the database has {published}",
    ]
