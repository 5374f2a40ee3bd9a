"""Who stops waiting for the database, at whatever moment, leaves no connection behind."""

import asyncio
import gc
import warnings

import pytest
from sqlalchemy import QueuePool, event
from sqlalchemy.ext.asyncio import AsyncEngine

from sos.journal.connections import given_back
from sos.journal.postgres import PostgresStore
from sos.journal.sqlite import SqliteStore

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
