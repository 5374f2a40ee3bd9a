"""Keys that something depends on are missed when they are gone, and the runbook of restoring keeps all of them."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from recording import age
from recording.keys import KeyStore
from routing.categories import Category
from sos.cli import app
from sos.clock import ManualClock
from sos.incident.model import IncidentId
from sos.journal.custody import Custody
from sos.journal.journal import Journal
from sos.journal.keyring import RETENTIONS, Shut
from sos.journal.migrate import upgrade
from sos.journal.spool import Spool
from sos.journal.sqlite import SqliteStore
from sos.journal.store import Store
from tests.journeys import story as s
from tests.sos.journal.reports import incident

RUNBOOK = Path(__file__).resolve().parents[3] / "ops" / "runbooks" / "restore.md"


def _custody(keys: KeyStore, store: Store, clock: ManualClock) -> Custody:
    return Custody(keys, store, retentions=RETENTIONS, clock=clock)


async def test_a_key_that_is_gone_is_missed_although_nobody_asked_for_it(
    keys: KeyStore, store: Store, clock: ManualClock, tmp_path: Path
):
    custody = _custody(keys, store, clock)
    assert (await custody.look()).missing == ()
    kek = next(kek for kek in keys.keks() if kek.startswith("incident-audio-1y.2026-01."))
    aside = (tmp_path / "keys" / f"{kek}.kek").rename(tmp_path / "aside")

    with capture_logs() as logged:
        found = await custody.look()

    assert found.lost == [f"{kek}.kek"]
    assert custody.state() == {"incident-audio-1y": "down"}
    assert custody.figures.get_sample_value("sos_keys_missing", {"retention": "incident-audio-1y"}) == 1
    assert [line["key"] for line in logged if line["event"] == "key_missing"] == [f"{kek}.kek"]

    aside.rename(tmp_path / "keys" / f"{kek}.kek")
    assert (await custody.look()).missing == ()
    assert custody.state() == {}


async def test_a_destroyed_key_is_not_missed(keys: KeyStore, store: Store, clock: ManualClock):
    custody = _custody(keys, store, clock)
    await custody.look()
    kek = keys.keks()[0]
    keys.destroy(kek)

    found = await custody.look()

    assert found.missing == ()
    assert f"{kek}.kek" in found.destroyed


async def test_a_secret_that_was_made_anew_is_not_taken_for_the_old_one(
    keys: KeyStore, store: Store, clock: ManualClock, tmp_path: Path
):
    keys.secret("registry")
    await _custody(keys, store, clock).look()
    (tmp_path / "keys" / "registry.secret").unlink()
    later = KeyStore(tmp_path / "keys")
    later.secret("registry")

    for _ in range(2):
        assert (await _custody(later, store, clock).look()).changed == ["registry.secret"]


async def test_what_only_a_data_key_names_is_missed_when_looked_for_thoroughly(
    journal: Journal, keys: KeyStore, store: Store, clock: ManualClock, tmp_path: Path
):
    await incident(journal)
    (kek,) = await store.keks_in_use()
    (tmp_path / "keys" / f"{kek}.kek").unlink()

    custody = _custody(keys, store, clock)

    assert (await custody.compare()).lost == []
    assert (await custody.compare(thorough=True)).lost == [f"{kek}.kek"]


@asynccontextmanager
async def _house(data: Path, clock: ManualClock) -> AsyncIterator[tuple[Journal, Custody]]:
    keys = KeyStore(data / "keys")
    async with SqliteStore(data / "journal.db") as store:
        await upgrade(store.engine)
        async with Journal(store, keys, Spool(data / "spool", keys.secret("spool")), clock=clock) as journal:
            custody = _custody(keys, store, clock)
            await custody.look()
            yield journal, custody


async def _noted(journal: Journal, number: int) -> IncidentId:
    opened = await incident(journal, number)
    await journal.execute(opened, s.note(f"note {number}"), actor="operator:hanako")
    return opened


def _lines(number: int, *, data: Path, backups: Path) -> None:
    """The runbook's lines, word by word: the first block makes a backup, the second restores it."""
    block = re.findall(r"```sh\n(.*?)```", RUNBOOK.read_text(), re.DOTALL)[number]
    environment = {
        "SOS_DATA_DIR": str(data),
        "BACKUPS": str(backups / "backups"),
        "KEYS": str(backups / "keys"),
        "IDENTITY": str(backups / "identity.txt"),
        "PATH": f"{backups}:/usr/bin:/bin",
    }
    if not (backups / "identity.txt").exists():
        backups.mkdir(exist_ok=True)
        (backups / "sos").write_text(f'#!/bin/sh\nexec {sys.executable} -m sos "$@"\n')
        (backups / "sos").chmod(0o700)
        (backups / "identity.txt").write_text(age.new_identity())
    environment["RECIPIENT"] = age.recipient_of((backups / "identity.txt").read_text())
    done = subprocess.run(
        ["/bin/sh", "-eu", "-c", block],
        cwd=RUNBOOK.parents[2],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _back_up(data: Path, backups: Path) -> None:
    _lines(0, data=data, backups=backups)


def _restore(data: Path, backups: Path) -> None:
    _lines(1, data=data, backups=backups)


def _key_files(data: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (data / "keys").iterdir()}


JANUARY, MARCH, JUNE = (datetime(2026, month, 20, tzinfo=UTC) for month in (1, 3, 6))


@pytest.mark.parametrize(("lost", "now"), [("the database", JUNE), ("the machine", MARCH)], ids=["database", "machine"])
async def test_the_runbook_of_restoring_keeps_this_months_keys_and_makes_none_in_their_place(
    tmp_path: Path, lost: str, now: datetime
):
    """June's keys are in the old directory alone; March's were made ahead, in January's copy already."""
    data, backups = tmp_path / "data", tmp_path / "backups"
    data.mkdir()
    async with _house(data, ManualClock(JANUARY)) as (journal, _):
        await _noted(journal, 1)
    _back_up(data, backups)
    (january,) = (backups / "keys").iterdir()
    kept = january.read_bytes()
    async with _house(data, ManualClock(now)) as (journal, _):
        opened = await _noted(journal, 2)
    _back_up(data, backups)
    max((backups / "keys").iterdir()).write_bytes(kept)  # the database's backup is newer than that of the keys
    before = _key_files(data)
    if lost == "the machine":
        shutil.rmtree(data)
        data.mkdir()
    else:
        (data / "journal.db").unlink()

    _restore(data, backups)

    of_now = {name for name in before if f".{now:%Y-%m}." in name}
    assert len(of_now) == len(RETENTIONS)
    assert {name: _key_files(data)[name] for name in of_now} == {name: before[name] for name in of_now}
    async with _house(data, ManualClock(now)) as (journal, custody):
        assert (await custody.compare(thorough=True)).missing == ()
        shown = await journal.read(opened, (Category.OBS,), reader="operator:hanako", purpose="rescue")
        assert [part.payload for part in shown.whole()] == [b"note 2"]
        await _noted(journal, 3)
    assert {name for name in _key_files(data) if f".{now:%Y-%m}." in name} == of_now


async def test_the_runbook_brings_back_no_key_that_was_destroyed(tmp_path: Path):
    data, backup = tmp_path / "data", tmp_path / "backups"
    data.mkdir()
    async with _house(data, ManualClock(JANUARY)) as (journal, _):
        opened = await _noted(journal, 1)
    _back_up(data, backup)
    keys = KeyStore(data / "keys")
    kek = next(kek for kek in keys.keks() if kek.startswith("open-case.2026-01."))
    keys.destroy(kek)

    _restore(data, backup)

    assert KeyStore(data / "keys").destroyed(kek)
    assert f"{kek}.kek" not in _key_files(data)
    async with _house(data, ManualClock(JANUARY)) as (journal, _):
        shown = await journal.read(opened, (Category.OBS,), reader="operator:hanako", purpose="rescue")
    assert [each.why for each in shown.unread] == [Shut.DESTROYED]


async def _filled(data: Path) -> str:
    data.mkdir()
    async with _house(data, ManualClock(JANUARY)) as (journal, _):
        opened = await _noted(journal, 1)
        return next(key.kek for key in await journal.store.keys(opened) if key.category is Category.OBS)


def test_the_command_names_a_lost_key_and_ends_with_1(tmp_path: Path):
    data = tmp_path / "data"
    kek = asyncio.run(_filled(data))
    environment = {"SOS_DATA_DIR": str(data)}
    assert CliRunner().invoke(app, ["keys", "check"], env=environment).exit_code == 0

    (data / "keys" / f"{kek}.kek").unlink()
    missed = CliRunner().invoke(app, ["keys", "check"], env=environment)
    listed = CliRunner().invoke(app, ["keys", "status", "--json"], env=environment)

    assert missed.exit_code == 1
    assert f"lost     {kek}.kek" in missed.output
    assert json.loads(listed.output)["lost"] == [f"{kek}.kek"]


def test_rotating_makes_new_keys_that_are_used_from_then_on(tmp_path: Path):
    data = tmp_path / "data"
    asyncio.run(_filled(data))

    made = CliRunner().invoke(app, ["keys", "rotate"], env={"SOS_DATA_DIR": str(data)})

    assert made.exit_code == 0
    newest = next(kek for kek in made.output.split() if kek.startswith("incident-case-3y"))
    month = newest.split(".")[1]
    wrapped = KeyStore(data / "keys").wrap(bytes(32), retention="incident-case-3y", month=month, context=b"")
    assert wrapped.kek == newest
