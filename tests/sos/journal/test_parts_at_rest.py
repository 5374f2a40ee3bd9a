"""Personal data at rest: sealed everywhere, opened on the record, gone with its key; and the log still holds."""

import sqlite3
from contextlib import closing
from hashlib import sha256

import pytest
from sqlalchemy import text, update

from recording.keys import KeyStore
from recording.vault import commitment
from routing.categories import Category
from sos.errors import Refused, Unknown
from sos.incident.events import PartsRead
from sos.journal.journal import Journal
from sos.journal.schema import data_keys, parts
from sos.journal.store import Store
from tests.journeys import story as s
from tests.sos.journal.conftest import Database, SqliteDatabase
from tests.sos.journal.reports import check_order, incident, report

SECRET = "blood group, whispered: INVENTED-4711"


async def _noted(journal: Journal):
    stream = await incident(journal)
    await journal.execute(stream, s.note(SECRET), actor="operator:hanako")
    return stream


async def test_neither_payloads_nor_data_keys_lie_in_the_database(journal: Journal, database: Database):
    stream = await _noted(journal)
    data_key = await journal.data_key(stream, Category.OBS)

    lying = await database.everything()

    assert stream.encode() in lying
    for secret in (report(0).report, SECRET.encode(), data_key, data_key.hex().encode()):
        assert secret not in lying


async def test_the_key_directory_holds_no_data_key_either(journal: Journal, tmp_path):
    stream = await _noted(journal)
    held = [await journal.data_key(stream, category) for category in (Category.RAW, Category.OBS)]

    files = b"".join(file.read_bytes() for file in (tmp_path / "keys").iterdir())

    assert files
    assert not any(key in files for key in held)


async def test_parts_open_again_after_a_restart_and_fit_their_commitments(
    journal: Journal, store: Store, keys, spool, clock
):
    stream = await _noted(journal)

    async with Journal(store, keys, spool, clock=clock) as restarted:
        opened = await restarted.unseal(stream, (Category.RAW, Category.OBS))

    assert [part.payload for part in opened] == [report(0).report, SECRET.encode()]
    for part in opened:
        assert commitment(part.salt, part.payload).hex() == part.recorded.commitments[part.category]


async def test_with_the_keys_of_another_house_nothing_opens(journal: Journal, store: Store, spool, clock, tmp_path):
    stream = await _noted(journal)
    others = KeyStore(tmp_path / "other-keys")

    async with Journal(store, others, spool, clock=clock) as stranger:
        opened = await stranger.unseal(stream, tuple(Category))

    assert opened == []


@pytest.mark.parametrize("place", [0, 20, -1])
async def test_a_part_with_one_byte_changed_is_refused(journal: Journal, store: Store, place: int):
    stream = await _noted(journal)
    sealed = bytearray((await store.parts(stream, first=2, last=2))[2, Category.OBS])
    sealed[place] ^= 1
    async with store.engine.begin() as connection:
        await connection.execute(
            update(parts).where(parts.c.stream == stream, parts.c.n == 2).values(sealed=bytes(sealed))
        )

    with pytest.raises(Refused, match="tampered"):
        await journal.unseal(stream, (Category.OBS,))
    assert [part.category for part in await journal.unseal(stream, (Category.RAW,))] == [Category.RAW]


async def test_a_part_moved_to_another_event_does_not_open(journal: Journal, store: Store):
    stream = await _noted(journal)
    await journal.execute(stream, s.note("second"), actor="operator:hanako")
    sealed = (await store.parts(stream, first=2, last=2))[2, Category.OBS]
    async with store.engine.begin() as connection:
        await connection.execute(update(parts).where(parts.c.stream == stream, parts.c.n == 3).values(sealed=sealed))

    with pytest.raises(Refused, match="tampered"):
        await journal.unseal(stream, (Category.OBS,))


async def test_what_is_destroyed_is_left_out_and_the_log_still_proves_itself(
    journal: Journal, store: Store, keys, spool, clock
):
    stream = await _noted(journal)
    kek = next(key.kek for key in await store.keys(stream) if key.category is Category.OBS)

    keys.destroy(kek)

    async with Journal(store, keys, spool, clock=clock) as later:
        opened = await later.unseal(stream, tuple(Category))
        with pytest.raises(Unknown):
            await later.data_key(stream, Category.OBS)
    assert [part.category for part in opened] == [Category.RAW]
    assert Category.OBS in (await store.stream(stream))[1].commitments
    await check_order(store, 2)


async def test_reading_is_on_the_record_before_the_first_byte(journal: Journal, store: Store):
    stream = await _noted(journal)

    shown = await journal.read(stream, (Category.OBS,), reader="operator:hanako", purpose="rescue")

    last = (await store.stream(stream))[-1]
    assert last.event == PartsRead(reader="operator:hanako", categories=(Category.OBS,), purpose="rescue")
    assert last.actor == "operator:hanako"
    assert [part.payload for part in shown] == [SECRET.encode()]


async def test_what_cannot_be_put_on_the_record_is_not_shown(journal: Journal, database: Database):
    stream = await _noted(journal)

    async with database.gone():
        with pytest.raises(Exception, match="does not answer"):
            await journal.read(stream, (Category.OBS,), reader="operator:hanako", purpose="rescue")

    assert await journal.state(stream) == await journal.state(stream)
    assert (await journal.state(stream)).read_by == ()


async def test_each_category_has_a_key_of_its_own_under_the_class_that_ends_it(journal: Journal, store: Store):
    stream = await incident(journal)
    await journal.execute(stream, s.file_report(), actor="system:filer")
    await journal.execute(stream, s.invite(), actor="system:bridge")

    classes = {key.category: key.kek for key in await store.keys(stream)}
    held = {sha256(await journal.data_key(stream, category)).digest() for category in classes}

    assert classes == {
        Category.RAW: "incident-raw-1y.2026-01.1",
        Category.LOC: "incident-case-3y.2026-01.1",
        Category.TEL: "incident-case-3y.2026-01.1",
        Category.AUD: "incident-audio-1y.2026-01.1",
    }
    assert len(held) == 4


async def test_a_key_made_for_a_write_that_failed_seals_nothing_later(
    journal: Journal, store: Store, database: Database, keys, spool, clock
):
    stream = await incident(journal)
    async with database.gone():
        with pytest.raises(Exception, match="does not answer"):
            await journal.execute(stream, s.note("lost"), actor="operator:hanako")

    await journal.execute(stream, s.note(SECRET), actor="operator:hanako")

    async with Journal(store, keys, spool, clock=clock) as restarted:
        opened = await restarted.unseal(stream, (Category.OBS,))
    assert [part.payload for part in opened] == [SECRET.encode()]


async def test_a_recorder_gets_a_key_only_once_a_leg_was_invited(journal: Journal):
    stream = await incident(journal)
    with pytest.raises(Unknown):
        await journal.data_key(stream, Category.AUD)

    await journal.execute(stream, s.invite(), actor="system:bridge")

    assert len(await journal.data_key(stream, Category.AUD)) == 32


async def test_sqlite_is_durable_and_forgetful_as_promised(sqlite_database: SqliteDatabase):
    async with sqlite_database.store() as store, store.engine.connect() as connection:
        found = {
            name: (await connection.execute(text(f"PRAGMA {name}"))).scalar_one()
            for name in ("journal_mode", "synchronous", "secure_delete", "foreign_keys", "busy_timeout")
        }

    assert found == {
        "journal_mode": "wal",
        "synchronous": 2,  # FULL
        "secure_delete": 1,
        "foreign_keys": 1,
        "busy_timeout": 5000,
    }


async def test_a_deleted_wrapped_key_leaves_no_trace_in_the_sqlite_file(
    sqlite_database: SqliteDatabase, keys, spool, clock
):
    async with sqlite_database.store() as store, Journal(store, keys, spool, clock=clock) as journal:
        stream = await incident(journal)
        wrapped = (await store.keys(stream))[0].wrapped
        async with store.engine.begin() as connection:
            await connection.execute(data_keys.delete().where(data_keys.c.stream == stream))
    with closing(sqlite3.connect(sqlite_database.path)) as last:
        last.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    assert wrapped not in await sqlite_database.everything()
