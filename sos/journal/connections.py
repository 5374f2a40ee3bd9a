"""Connections of a pool, given back whatever happens.

SQLAlchemy leaves a connection behind when its caller is cancelled while it is still being made ready, and one that is
being closed meanwhile dies with the event loop.  So both are tasks of their own, which go on to their end, and a store
waits for them before it closes.  Driver faults become ``Unavailable`` here.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Pool
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sos.errors import Unavailable

LONGEST_S = 5.0
"""So long a store that closes waits for its connections: a database that does not answer must not hold it."""

_under_way: WeakKeyDictionary[Pool, set[asyncio.Task[Any]]] = WeakKeyDictionary()


@asynccontextmanager
async def opened(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection for as long as the block lasts.  Who is cancelled before it is there does not wait for it."""
    connection = engine.connect()
    opening = _task(engine, connection.start())
    try:
        await asyncio.shield(opening)
        yield connection
    finally:
        closing = _task(engine, _close(connection, opening))
        if opening.done():
            await asyncio.shield(closing)


@asynccontextmanager
async def answering(engine: AsyncEngine, *, what: str = "the journal's database") -> AsyncIterator[AsyncConnection]:
    """``opened``, with every fault of the database as ``Unavailable``: ``what`` does not answer."""
    try:
        async with opened(engine) as connection:
            yield connection
    except (SQLAlchemyError, OSError) as failed:
        raise Unavailable(f"{what} does not answer ({type(failed).__name__})") from failed


@asynccontextmanager
async def begun(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """The same in one transaction."""
    async with answering(engine) as connection, connection.begin():
        yield connection


async def given_back(engine: AsyncEngine) -> None:
    """Return when nothing of ``engine`` is being opened or closed any more."""
    under_way = _under_way.get(engine.pool, set())
    try:
        async with asyncio.timeout(LONGEST_S):
            while under_way:
                await asyncio.wait(under_way)
    except TimeoutError:
        return


async def _close(connection: AsyncConnection, opening: asyncio.Task[Any]) -> None:
    await asyncio.wait([opening])
    if not opening.cancelled() and opening.exception() is None:
        await connection.close()


def _task(engine: AsyncEngine, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    task = asyncio.create_task(work)
    under_way = _under_way.setdefault(engine.pool, set())
    under_way.add(task)
    task.add_done_callback(under_way.discard)
    return task
