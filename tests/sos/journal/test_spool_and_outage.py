"""The database slow, gone or full: reports are kept, acknowledged truthfully, and drained exactly once, in order."""

import asyncio
import os
from datetime import timedelta
from pathlib import Path

import pytest

from sos.errors import Unavailable
from sos.incident.model import IncidentId
from sos.journal.journal import Journal, Received
from sos.journal.spool import Spool, Spooled
from sos.journal.store import Store
from tests.journeys import story as s
from tests.rest import settled
from tests.sos.journal.conftest import Database
from tests.sos.journal.reports import TENANT, check_order, opened, receipt, report


def spooled(number: int) -> Spooled:
    return Spooled(
        incident=IncidentId(f"incident-{number}"),
        tenant=TENANT,
        receipt=receipt(number),
        received_at=s.START + timedelta(seconds=number),
        command=report(number),
    )


async def _drain(journal: Journal) -> int:
    """Drain as soon as the database answers again."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await journal.drain()
            except Unavailable:
                await asyncio.to_thread(lambda: None)


async def test_reports_during_an_outage_are_spooled_and_drained_once_in_order(
    journal: Journal, store: Store, database: Database
):
    before = await opened(journal, 0)
    async with database.gone():
        answers = [await opened(journal, number) for number in (1, 2, 3)]
        waiting_since = journal.spool_oldest

    drained = await _drain(journal)

    assert [(a.durability, a.repeat) for a in (before, *answers)] == [("committed", False)] + [("spooled", False)] * 3
    assert waiting_since == journal.clock.now()
    assert (drained, journal.spool_oldest, await journal.drain()) == (3, None, 0)
    await check_order(store, 4)
    order = [event.incident for event in await store.follow(0, limit=9)]
    assert order == [a.incident for a in (before, *answers)]


async def _late(journal: Journal, clock, number: int) -> Received:
    """A report whose database does not answer in time."""
    return await _in_the_end(asyncio.create_task(opened(journal, number)), clock)


async def _in_the_end(asking: "asyncio.Task[Received]", clock) -> Received:
    """The answer, while time goes by."""
    async with asyncio.timeout(60):
        while not asking.done():
            await clock.advance(timedelta(milliseconds=50))
            await asyncio.to_thread(lambda: None)
    return await asking


async def test_a_report_to_a_stuck_database_is_spooled_in_time_and_kept_once(
    journal: Journal, store: Store, database: Database, clock
):
    async with database.stuck():
        answer = await _late(journal, clock, 1)

    drained = await _drain(journal)

    assert (answer.durability, answer.repeat, drained) == ("spooled", False, 1)
    await check_order(store, 1)
    parts = await journal.unseal(answer.incident, tuple(s.Category))
    assert [part.payload for part in parts] == [report(1).report]


async def test_nothing_is_spooled_before_its_time(journal: Journal, database: Database, clock):
    async with database.stuck():
        asking = asyncio.create_task(opened(journal, 1))
        await clock.advance(timedelta(milliseconds=249))
        await asyncio.to_thread(lambda: None)
        early = (asking.done(), journal.spool_oldest)
        answer = await _late(journal, clock, 2)
        first = await _in_the_end(asking, clock)

    assert early == (False, None)
    assert {answer.durability, first.durability} == {"spooled"}


async def test_a_report_sent_again_during_an_outage_is_the_same_incident(
    journal: Journal, store: Store, database: Database
):
    rung = []

    async def ring(report: Spooled) -> None:
        rung.append(report.incident)

    journal.on_spooled(ring)
    async with database.gone():
        answers = [await opened(journal, 1), await opened(journal, 1)]
        answers += await asyncio.gather(opened(journal, 2), opened(journal, 2))

    drained = await _drain(journal)

    assert len({answer.incident for answer in answers}) == 2
    assert sorted(answer.repeat for answer in answers) == [False, False, True, True]
    assert drained == 2
    assert sorted(rung) == sorted({answer.incident for answer in answers})
    await check_order(store, 2)


async def test_a_listener_that_fails_holds_nothing_up(journal: Journal, database: Database):
    async def fails(_: Spooled) -> None:
        raise ValueError

    journal.on_spooled(fails)
    async with database.gone():
        answers = [await opened(journal, 1), await opened(journal, 2)]

    assert {answer.durability for answer in answers} == {"spooled"}
    assert await _drain(journal) == 2


async def test_with_database_and_spool_both_full_nothing_is_acknowledged(
    journal: Journal, store: Store, database: Database, tmp_path: Path
):
    (tmp_path / "spool" / "spool").unlink(missing_ok=True)
    (tmp_path / "spool" / "spool").symlink_to("/dev/full")
    async with database.gone(), asyncio.timeout(60):
        with pytest.raises(Unavailable, match="neither the database nor the spool"):
            await opened(journal, 1)
    (tmp_path / "spool" / "spool").unlink()

    assert await _drain(journal) == 0
    assert await settled(store) == 0


async def test_the_house_still_answers_after_an_outage(journal: Journal, store: Store, database: Database):
    first = await opened(journal, 0)
    for _ in range(3):
        async with database.gone():
            with pytest.raises(Unavailable):
                await journal.execute(first.incident, s.note(), actor="operator:hanako")

    async with asyncio.timeout(60):
        while True:
            try:
                await journal.execute(first.incident, s.note(), actor="operator:hanako")
                break
            except Unavailable:
                await asyncio.to_thread(lambda: None)
    await check_order(store, 2)


async def test_a_spool_gives_back_what_was_put_in_order_after_a_restart(spool: Spool, tmp_path: Path, keys):
    await spool.open()
    await spool.put([spooled(1), spooled(2)])
    await spool.put([spooled(3)])

    again = Spool(tmp_path / "spool", keys.secret("spool"))
    await again.open()

    assert again.oldest == spooled(1).received_at
    assert list(await again.waiting()) == [spooled(1), spooled(2), spooled(3)]
    await again.drop({receipt(1), receipt(2)})
    assert list(await again.waiting()) == [spooled(3)]
    assert (again.holds(receipt(3)), again.holds(receipt(1))) == ("incident-3", None)


async def test_spooled_reports_are_sealed_and_synced_to_disk(spool: Spool, tmp_path: Path):
    await spool.open()
    await spool.put([spooled(1)])

    file = tmp_path / "spool" / "spool"
    assert report(1).report not in file.read_bytes()
    assert file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("cut", [1, 3, 5, 40])
async def test_a_torn_tail_is_dropped_and_later_reports_are_kept(spool: Spool, tmp_path: Path, keys, cut: int):
    await spool.open()
    await spool.put([spooled(1)])
    whole = (tmp_path / "spool" / "spool").stat().st_size
    await spool.put([spooled(2)])
    os.truncate(tmp_path / "spool" / "spool", whole + cut)

    again = Spool(tmp_path / "spool", keys.secret("spool"))
    await again.open()
    await again.put([spooled(3)])

    assert list(await again.waiting()) == [spooled(1), spooled(3)]


async def test_a_damaged_frame_is_set_aside_and_those_behind_it_are_drained(spool: Spool, tmp_path: Path, keys):
    await spool.open()
    await spool.put([spooled(1)])
    await spool.put([spooled(2)])
    file = tmp_path / "spool" / "spool"
    data = bytearray(file.read_bytes())
    data[30] ^= 1
    file.write_bytes(data)

    again = Spool(tmp_path / "spool", keys.secret("spool"))
    await again.open()

    assert list(await again.waiting()) == [spooled(2)]
    assert (tmp_path / "spool" / "spool.damaged").read_bytes() == data


async def test_a_tree_row_that_cannot_be_one_stops_nobody_for_ever(
    journal: Journal, store: Store, database: Database, clock
):
    await opened(journal, 0)
    await check_order(store, 1)
    async with store.engine.begin() as connection:
        await connection.exec_driver_sql("UPDATE tree SET size = 7")

    answer = await _late(journal, clock, 1)
    async with store.engine.begin() as connection:
        await connection.exec_driver_sql("UPDATE tree SET size = 1")
    await _drain(journal)

    assert answer.durability in ("spooled", "committed")  # PostgreSQL commits at once and sequences later
    await check_order(store, 2)
