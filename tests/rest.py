"""When a house has nothing to do until its clock moves: a test that moves the clock earlier races the database.

``Watched`` stands before a store and counts what is asked of it; ``at_rest`` returns when nothing is asked any more and
every reader has seen all there is, however slow the machine is.  ``settled`` is for who compares the log before and
after: PostgreSQL's sequencer gives what is committed its place a little later, and so the log grows by itself.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from inspect import iscoroutinefunction
from typing import Any, cast

from sos.clock import SystemClock
from sos.journal.postgres import PostgresStore
from sos.journal.readers import Follower
from sos.journal.sqlite import SqliteStore
from sos.journal.store import Store

_real = SystemClock()
_MOMENT = timedelta(milliseconds=1)
_NOTHING = timedelta(0)

BEHIND = 50
"""Looks in a row, a millisecond apart, after which a reader that is behind is taken to wait for the clock."""


class Watched:
    """A store, and how many answers it owes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.owed = 0
        self.asked = 0

    @classmethod
    def over(cls, store: Store) -> Store:
        return cast(Store, cls(store))

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name == "append":
            return self._counting_future(found)
        return self._counting(found) if iscoroutinefunction(found) and name != "news" else found

    def _counting(self, method: Any) -> Any:
        async def counted(*args: Any, **more: Any) -> Any:
            self._ask()
            try:
                return await method(*args, **more)
            finally:
                self.owed -= 1

        return counted

    def _counting_future(self, method: Any) -> Any:
        def counted(*args: Any) -> "asyncio.Future[Any]":
            self._ask()
            future: asyncio.Future[Any] = method(*args)
            future.add_done_callback(lambda _: self._answered())
            return future

        return counted

    def _ask(self) -> None:
        self.owed += 1
        self.asked += 1

    def _answered(self) -> None:
        self.owed -= 1


async def settled(store: Store) -> int:
    """The log's size, once all that is committed has its place in it and this process's memory holds it too."""
    async with asyncio.timeout(60):
        while await _without_place(store):
            await store.sequence()  # 0 also where another sequencer is at it
            await _real.wait(_MOMENT)
        size, _ = await store.tree()
        await store.news(size - 1)
    return size


async def _turned() -> None:
    """Let the loop turn until nothing is ready to run any more, and twenty times where somebody always is.

    Twenty turns each time, needed or not, were the half of what these tests took.
    """
    ready, nothing = cast(Any, asyncio.get_running_loop())._ready, 0
    for _ in range(20):
        await _real.wait(_NOTHING)
        nothing = 0 if ready else nothing + 1
        if nothing == 3:  # each turn asks the system too who has something to read
            return


async def _without_place(store: Store) -> int:
    async with cast(PostgresStore | SqliteStore, store).engine.connect() as connection:
        return int((await connection.exec_driver_sql("SELECT count(*) FROM incoming")).scalar_one())


async def at_rest(store: Store, followers: Sequence[Follower] = ()) -> None:
    """Return when nothing is asked of ``store`` (made by ``Watched.over``) and no reader has anything to do.

    A reader that stays behind with nothing under way waits for the clock itself: it is at rest too.
    """
    watched = cast(Watched, store)
    async with asyncio.timeout(60):
        quiet = idle = end = 0
        known = -1  # of all that was asked, after how much the log was last measured; it grows by what is asked
        while quiet < 2 and idle < BEHIND:
            await _turned()
            if watched.owed:
                quiet = idle = 0
                await _real.wait(_MOMENT)
                continue
            if watched.asked != known or all(each.position >= end for each in followers):
                known = watched.asked + 2  # these two
                await store.sequence()
                end, _ = await store.tree()
            if watched.owed == 0 and all(each.position == end for each in followers):
                quiet += 1
                continue
            quiet, idle = 0, idle + 1
            await _real.wait(_MOMENT)
