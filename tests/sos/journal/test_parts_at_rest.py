"""Personal data at rest: sealed everywhere, opened on the record, gone with its key; and the log still holds."""

import sqlite3
from contextlib import closing
from hashlib import sha256

import pytest
from sqlalchemy import text, update

from recording.keys import KeyStore
from recording.vault import commitment
from routing.categories import Category
from sos.errors import KeyLost, Unknown
from sos.incident import commands as c
from sos.incident.events import PartsRead
from sos.incident.model import Disposition, State
from sos.intake.matching import Matching
from sos.intake.recent import Recent
from sos.journal.journal import Journal
from sos.journal.keyring import Shut
from sos.journal.schema import data_keys, incidents, parts
from sos.journal.store import Store
from tests.journeys import story as s
from tests.sos.journal.conftest import Database, SqliteDatabase
from tests.sos.journal.reports import check_order, incident, report

SHOWN = (Category.OBS, Category.LOC, Category.TEL)
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
        shown = await stranger.read(stream, (Category.OBS,), reader="operator:hanako", purpose="rescue")

    assert opened == []
    assert shown.missing == {Category.OBS: Shut.LOST}


@pytest.mark.parametrize("place", [0, 20, -1])
async def test_a_part_with_one_byte_changed_is_marked_damaged_and_hides_no_other(
    journal: Journal, store: Store, place: int
):
    stream = await _noted(journal)
    sealed = bytearray((await store.parts(stream, first=2, last=2))[2, Category.OBS])
    sealed[place] ^= 1
    async with store.engine.begin() as connection:
        await connection.execute(
            update(parts).where(parts.c.stream == stream, parts.c.n == 2).values(sealed=bytes(sealed))
        )

    shown = await journal.read(stream, (Category.OBS, Category.RAW), reader="operator:hanako", purpose="rescue")

    assert [part.category for part in shown.parts] == [Category.RAW]
    assert shown.missing == {Category.OBS: Shut.DAMAGED}
    with pytest.raises(KeyLost, match="OBS: damaged"):
        shown.whole()
    assert _told(journal, Category.OBS, "damaged") == 1


async def test_a_part_moved_to_another_event_does_not_open(journal: Journal, store: Store):
    stream = await _noted(journal)
    await journal.execute(stream, s.note("second"), actor="operator:hanako")
    sealed = (await store.parts(stream, first=2, last=2))[2, Category.OBS]
    async with store.engine.begin() as connection:
        await connection.execute(update(parts).where(parts.c.stream == stream, parts.c.n == 3).values(sealed=sealed))

    shown = await journal.read(stream, (Category.OBS,), reader="operator:hanako", purpose="rescue")

    assert [part.payload for part in shown.parts] == [SECRET.encode()]
    assert [(each.recorded.n, each.why) for each in shown.unread] == [(3, Shut.DAMAGED)]


def _told(journal: Journal, category: Category, why: str) -> float:
    return journal.losses.figures.get_sample_value("sos_parts_unreadable_total", {"category": category, "why": why})


async def _flip(store: Store, stream, category: Category) -> None:
    """One bit of the category's wrapped key."""
    key = next(key for key in await store.keys(stream) if key.category is category)
    flipped = bytes([*key.wrapped[:-1], key.wrapped[-1] ^ 1])
    of_it = (data_keys.c.stream == stream, data_keys.c.category == category)
    async with store.engine.begin() as connection:
        await connection.execute(update(data_keys).where(*of_it).values(wrapped=flipped))


async def test_a_flipped_bit_in_a_wrapped_key_stops_neither_a_start_nor_an_answer(
    journal: Journal, store: Store, keys, spool, clock
):
    stream = await _noted(journal)
    await journal.execute(stream, s.file_report(), actor="system:filer")
    for category in (Category.OBS, Category.LOC):
        await _flip(store, stream, category)

    async with Journal(store, keys, spool, clock=clock) as restarted:
        await Matching(restarted, Recent()).warm()
        await restarted.execute(stream, s.offer("desk-a"), actor="system:acd")
        await restarted.execute(stream, s.take(), actor="operator:hanako")
        await restarted.execute(stream, s.note("after"), actor="operator:hanako")
        await restarted.execute(stream, s.note("and again"), actor="operator:hanako")
        shown = await restarted.read(stream, (*SHOWN, Category.RAW), reader="operator:hanako", purpose="rescue")

    assert shown.missing == {Category.OBS: Shut.DAMAGED, Category.LOC: Shut.DAMAGED}
    notes = [part.payload for part in shown.parts if part.category is Category.OBS]
    assert notes == [b"after", b"and again"]
    assert Category.RAW in {part.category for part in shown.parts}
    assert len([key for key in await store.keys(stream) if key.category is Category.OBS]) == 2
    assert _told(restarted, Category.OBS, "damaged") == 1


async def test_a_lost_key_is_unavailable_until_it_is_found(
    journal: Journal, store: Store, keys, spool, clock, tmp_path
):
    stream = await _noted(journal)
    kek = next(key.kek for key in await store.keys(stream) if key.category is Category.OBS)
    aside = (tmp_path / "keys" / f"{kek}.kek").rename(tmp_path / "aside")

    async with Journal(store, keys, spool, clock=clock) as later:
        with pytest.raises(KeyLost):
            await later.data_key(stream, Category.OBS)
        await later.execute(stream, s.note("meanwhile"), actor="operator:hanako")
        assert await later.missing(stream, (Category.OBS,)) == {Category.OBS: Shut.LOST}
        assert kek not in keys.keks()

        aside.rename(tmp_path / "keys" / f"{kek}.kek")
        found = await later.read(stream, (Category.OBS,), reader="operator:hanako", purpose="rescue")

    assert [part.payload for part in found.whole()] == [SECRET.encode(), b"meanwhile"]


async def test_a_wrapped_key_that_was_taken_away_is_lost_and_not_destroyed(
    journal: Journal, store: Store, keys, spool, clock
):
    stream = await _noted(journal)
    async with store.engine.begin() as connection:
        await connection.execute(data_keys.delete().where(data_keys.c.category == Category.OBS))

    async with Journal(store, keys, spool, clock=clock) as later:
        assert await later.missing(stream, (Category.OBS,)) == {Category.OBS: Shut.LOST}


async def test_a_damaged_state_is_made_again_out_of_the_headers(journal: Journal, store: Store, keys, spool, clock):
    stream = await _noted(journal)
    before = await journal.state(stream)
    async with store.engine.begin() as connection:
        await connection.execute(update(incidents).values(snapshot=b'{"id":\xff'))

    async with Journal(store, keys, spool, clock=clock) as restarted:
        assert await restarted.queue(limit=10, states=list(State)) == (1, [before])
        assert await restarted.state(stream) == before
        await restarted.execute(stream, s.note("after"), actor="operator:hanako")

    assert (await store.load(stream)).version == before.version + 1


async def test_what_is_destroyed_is_left_out_and_the_log_still_proves_itself(
    journal: Journal, store: Store, keys, spool, clock
):
    stream = await _noted(journal)
    kek = next(key.kek for key in await store.keys(stream) if key.category is Category.OBS)

    keys.destroy(kek)

    async with Journal(store, keys, spool, clock=clock) as later:
        opened = await later.unseal(stream, tuple(Category))
        assert await later.missing(stream, tuple(Category)) == {}
        with pytest.raises(Unknown, match="destroyed"):
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
    assert [part.payload for part in shown.whole()] == [SECRET.encode()]


async def test_what_cannot_be_put_on_the_record_is_not_shown(journal: Journal, database: Database):
    stream = await _noted(journal)

    async with database.gone():
        with pytest.raises(Exception, match="does not answer"):
            await journal.read(stream, (Category.OBS,), reader="operator:hanako", purpose="rescue")

    assert await journal.state(stream) == await journal.state(stream)
    assert (await journal.state(stream)).read_by == ()


async def test_each_category_has_a_key_of_its_own_and_the_closing_wraps_it_for_the_class_that_ends_it(
    journal: Journal, store: Store
):
    stream = await incident(journal)
    await journal.execute(stream, s.file_report(), actor="system:filer")
    await journal.execute(stream, s.invite(), actor="system:bridge")

    before = await _classes(store, stream)
    held = {sha256(await journal.data_key(stream, category)).digest() for category in before}
    for command in (s.take(), c.CloseIncident(disposition=Disposition.NO_HELP_NEEDED)):
        await journal.execute(stream, command, actor="operator:hanako")

    assert before == {
        Category.RAW: "open-raw.2026-01",
        Category.LOC: "open-case.2026-01",
        Category.TEL: "open-case.2026-01",
        Category.AUD: "open-audio.2026-01",
    }
    assert await _classes(store, stream) == {
        Category.RAW: "incident-raw-1y.2026-01",
        Category.LOC: "incident-case-3y.2026-01",
        Category.TEL: "incident-case-3y.2026-01",
        Category.AUD: "incident-audio-1y.2026-01",
    }
    assert len(held) == 4
    assert held == {sha256(await journal.data_key(stream, category)).digest() for category in before}


async def _classes(store: Store, stream) -> dict[Category, str]:
    return {key.category: key.kek.rpartition(".")[0] for key in await store.keys(stream)}


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
