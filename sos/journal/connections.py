"""Connections of a pool, given back whatever happens.

SQLAlchemy leaves a connection behind when its caller is cancelled while it is still being made ready, and one that is
being closed meanwhile dies with the event loop.  So both are tasks of their own, which go on to their end, and a store
waits for them before it closes.  Driver faults become ``Unavailable`` here.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import URL, Connection, Engine, NullPool, Pool, create_engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sos.errors import Unavailable

Result = TypeVar("Result")

PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA secure_delete=ON",
    "PRAGMA foreign_keys=ON",
    "PRAGMA busy_timeout=5000",
    "PRAGMA wal_autocheckpoint=4000",  # 16 MB: index pages are copied into the file a quarter as often
)
"""What makes SQLite durable and forgetful."""

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


async def in_one_go(engine: AsyncEngine, work: Callable[[Connection], Result]) -> Result:
    """What ``work`` gives back, done in one transaction that waits for no turn of the loop between its statements.

    SQLite has one who writes at a time.  A transaction that came back to a busy loop after each statement kept every
    report waiting for a third of a second.
    """
    try:
        if engine.dialect.name == "sqlite":
            return await asyncio.to_thread(_at_once, engine.url.set(drivername="sqlite"), work)
        async with opened(engine) as connection, connection.begin():
            return await connection.run_sync(work)
    except (SQLAlchemyError, OSError) as failed:
        raise Unavailable(f"the journal's database does not answer ({type(failed).__name__})") from failed


def make_durable(connection: Any, _: object = None) -> None:
    """Set what makes SQLite durable and forgetful, on each new connection."""
    cursor = connection.cursor()
    for pragma in PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _at_once(url: URL, work: Callable[[Connection], Result]) -> Result:
    with _plain(url).begin() as connection:
        return work(connection)


@lru_cache(maxsize=8)
def _plain(url: URL) -> Engine:
    """For threads; it keeps no connection."""
    engine = create_engine(url, poolclass=NullPool)
    event.listen(engine, "connect", _ask_us_to_begin)
    event.listen(engine, "begin", _begin_writing)
    return engine


def _ask_us_to_begin(connection: Any, _: object) -> None:
    connection.isolation_level = None  # the driver begins no transaction of its own
    make_durable(connection)


def _begin_writing(connection: Connection) -> None:
    """At once: whoever reads first and writes later finds that another has written between."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


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
