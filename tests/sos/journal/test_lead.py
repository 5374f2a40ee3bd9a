"""Of two processes on one PostgreSQL one leads; the other takes over, and the first one writes nothing afterwards."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from recording.keys import KeyStore
from sos.clock import SystemClock
from sos.errors import Unavailable
from sos.incident.model import new_id
from sos.journal.journal import Journal
from sos.journal.lead import BEAT, GONE, HANGS, Lead, named
from sos.journal.postgres import PostgresStore
from sos.journal.sole import Sole
from sos.journal.spool import Spool
from tests.sos.journal.conftest import PostgresDatabase
from tests.sos.journal.reports import check_order, opened


class Process:
    """What of a service concerns leading: its store, its journal, its lead, and the beat."""

    def __init__(self, database: PostgresDatabase, root: Path) -> None:
        self.holder = new_id()
        self.lead = Lead(database.dsn, self.holder, clock=SystemClock())
        self.store = PostgresStore(database.dsn, holder=self.holder)
        self.keys = KeyStore(root / "keys")
        self.root = root / self.holder
        self.beats: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Journal]:
        spool = Spool(self.root, self.keys.secret("spool"))
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.store)
            stack.push_async_callback(self.stop)
            yield await stack.enter_async_context(
                Journal(self.store, self.keys, spool, clock=SystemClock(), accept_within=timedelta(seconds=5))
            )

    async def begin(self) -> None:
        await self.lead.wait()
        self.store.fenced = True
        self.beats = asyncio.create_task(self.lead.watch())

    async def stop(self) -> None:
        """As SIGSTOP does to it: nothing of it runs, its sessions stay."""
        if self.beats is not None:
            self.beats.cancel()
            await asyncio.gather(self.beats, return_exceptions=True)

    def resume(self) -> None:
        self.beats = asyncio.create_task(self.lead.watch())


@pytest.fixture
def pair(postgres_database: PostgresDatabase, tmp_path: Path) -> tuple[Process, Process]:
    return Process(postgres_database, tmp_path), Process(postgres_database, tmp_path)


async def _cut(database: PostgresDatabase, holder: str) -> None:
    other = await asyncpg.connect(database.server)
    await other.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1", named(holder)
    )
    await other.close()


async def test_the_second_waits_while_the_first_leads_and_leads_soon_after_it_is_gone(
    pair: tuple[Process, Process], postgres_database: PostgresDatabase
):
    one, two = pair
    async with one.open(), two.open():
        await one.begin()
        waiting = asyncio.create_task(two.begin())
        done, _ = await asyncio.wait([waiting], timeout=2 * GONE.total_seconds())
        assert not done

        await one.stop()
        await _cut(postgres_database, one.holder)  # what the kernel does for a killed process

        async with asyncio.timeout(4):
            await waiting


async def test_one_that_closes_in_order_is_followed_at_once(pair: tuple[Process, Process]):
    one, two = pair
    async with one.open(), two.open():
        await one.begin()
        waiting = asyncio.create_task(two.begin())
        await one.stop()
        await one.lead.close()

        async with asyncio.timeout(4 * BEAT.total_seconds()):
            await waiting


async def test_one_that_was_stopped_and_goes_on_writes_nothing_and_knows_that_it_is_deposed(
    pair: tuple[Process, Process],
):
    one, two = pair
    async with one.open() as first, two.open() as second:
        await one.begin()
        await opened(first, 1)
        await one.stop()
        async with asyncio.timeout(HANGS.total_seconds() + 6):
            await two.begin()

        late = await asyncio.gather(*(opened(first, number) for number in range(10, 20)), return_exceptions=True)
        assert {each.durability for each in late if not isinstance(each, BaseException)} <= {"spooled"}
        with pytest.raises(Unavailable):
            await first.store.save_cursor("planner", 1)
        one.resume()
        async with asyncio.timeout(5):
            await one.lead.deposed.wait()
        await opened(second, 2)
        await check_order(second.store, 2)


async def test_a_leader_whose_session_was_cut_goes_on_and_nobody_takes_over(
    pair: tuple[Process, Process], postgres_database: PostgresDatabase
):
    one, two = pair
    async with one.open() as first, two.open():
        await one.begin()
        waiting = asyncio.create_task(two.begin())
        for _ in range(3):
            await _cut(postgres_database, one.holder)
            done, _ = await asyncio.wait([waiting], timeout=GONE.total_seconds() + 1)
            assert not done
        assert not one.lead.deposed.is_set()
        assert (await opened(first, 1)).incident
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def test_of_many_that_wait_one_leads(postgres_database: PostgresDatabase, tmp_path: Path):
    processes = [Process(postgres_database, tmp_path) for _ in range(6)]
    waiting = [asyncio.create_task(each.lead.wait()) for each in processes]

    await asyncio.wait(waiting, timeout=60, return_when=asyncio.FIRST_COMPLETED)
    done, others = await asyncio.wait(waiting, timeout=1)

    assert len(done) == 1
    for each in others:
        each.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    for each in processes:
        await each.lead.close()


def test_a_data_directory_has_one_process(tmp_path: Path):
    one, two = Sole(tmp_path), Sole(tmp_path)

    assert (one.take(), two.take(), one.take()) == (True, False, True)
    one.release()
    assert two.take()
    two.release()
