"""Who stops waiting for the database, at whatever moment, leaves no connection behind."""

import asyncio
import gc
import sqlite3
import threading
import time
import warnings
from collections.abc import Callable, Coroutine
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, QueuePool, event, func, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from routing.categories import Category
from sos.errors import Unavailable
from sos.incident.model import IncidentId
from sos.journal.connections import given_back, in_one_go
from sos.journal.field_log import FieldLogTable, Oddity
from sos.journal.postgres import PostgresStore
from sos.journal.retention_rows import DueRow, RetentionRows
from sos.journal.schema import leases
from sos.journal.sqlite import SqliteStore
from tests.sos.journal.conftest import SqliteDatabase
from tests.sos.journal.reports import TENANT

MOMENTS = ("connect", "checkout", "before_cursor_execute", "reset")
"""When a question is given up: its connection is opened, made ready, has the question, is being given back."""


async def _given_up(store: SqliteStore | PostgresStore, engine: AsyncEngine, *, when: str) -> None:
    loop = asyncio.get_running_loop()
    question = loop.create_task(store.tree())

    def give_up(*_: object) -> None:
        loop.call_soon(question.cancel)

    event.listen(engine.sync_engine, when, give_up, once=True)
    await asyncio.wait([question])


@pytest.mark.parametrize("when", MOMENTS)
async def test_a_question_that_is_given_up_gives_its_connection_back(
    store: SqliteStore | PostgresStore, when: str
) -> None:
    engine = store.engine
    await engine.dispose()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        await _given_up(store, engine, when=when)
        await given_back(engine)
        gc.collect()

    assert [str(each.message) for each in warned] == []
    assert isinstance(engine.pool, QueuePool)
    assert engine.pool.checkedout() == 0
    assert (await store.tree())[0] == 0


async def test_a_transaction_beside_the_journal_waits_for_no_turn_of_the_loop(sqlite_database: SqliteDatabase) -> None:
    """SQLite has one who writes: reports would wait for as many turns of a busy loop as it has statements."""
    done = threading.Event()

    def work(connection: Connection) -> None:
        for position in (1, 2):
            connection.execute(insert(leases).values(role=f"r{position}", holder="h", until_ms=0))
        done.set()

    async with sqlite_database.store() as store:
        under_way = asyncio.create_task(in_one_go(store.engine, work))
        await asyncio.wait([under_way], timeout=0)  # it has begun

        assert done.wait(10)  # the loop stands still meanwhile

        await under_way


ODDITY = Oddity(
    tenant=TENANT, format="f", model="m", firmware="1", code="c", field="$.a", year="", first_ms=1, last_ms=1
)  # fmt: skip
DUE = DueRow(
    stream=IncidentId("i-1"), category=Category.OBS, tenant=TENANT, tag="t", version="1",
    started_at=datetime(2026, 1, 1, tzinfo=UTC), due_at=datetime(2027, 1, 1, tzinfo=UTC),
)  # fmt: skip


@pytest.mark.parametrize(
    ("writes", "shows"),
    [
        (lambda engine: FieldLogTable(engine).count([(1, ODDITY), (2, ODDITY)], through=3), "field_log"),
        (lambda engine: RetentionRows(engine).replace([DUE.stream], [DUE]), "retention_due"),
    ],
)
async def test_what_is_counted_beside_reports_does_not_hold_them_up(
    sqlite_database: SqliteDatabase, writes: Callable[[AsyncEngine], Coroutine[Any, Any, None]], shows: str
) -> None:
    async with sqlite_database.store() as store:
        under_way = asyncio.create_task(writes(store.engine))
        await asyncio.wait([under_way], timeout=0)  # it has begun

        until = time.monotonic() + 10  # the loop stands still meanwhile
        with closing(sqlite3.connect(sqlite_database.path)) as other:
            while not other.execute(f"SELECT count(*) FROM {shows}").fetchone()[0]:
                assert time.monotonic() < until

        await under_way


async def test_a_transaction_in_one_go_that_fails_leaves_nothing_and_says_that_the_database_is_away(
    store: SqliteStore | PostgresStore,
) -> None:
    def twice(connection: Connection) -> None:
        for _ in range(2):
            connection.execute(insert(leases).values(role="r", holder="h", until_ms=0))

    with pytest.raises(Unavailable):
        await in_one_go(store.engine, twice)

    count = select(func.count()).select_from(leases).where(leases.c.role == "r")
    assert await in_one_go(store.engine, lambda connection: connection.execute(count).scalar_one()) == 0
