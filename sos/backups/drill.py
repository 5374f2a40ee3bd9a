"""The drill: a backup is restored beside the house that runs, checked, measured, and thrown away again.

A backup that was never restored is a hope.  What the drill prints is what would be true after a disaster at this
moment: how old the newest event would be (RPO), how long it takes until the journal is there and checked (RTO), and
how many events and keys would be missing.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import token_hex
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import msgspec
from msgspec import Struct

from sos.backups.postgres import Tools
from sos.backups.restore import Restore, Restored, Source
from sos.clock import Clock
from sos.errors import Misconfigured, Unavailable
from sos.journal.keyring import Keyring, Shut
from sos.journal.postgres import PostgresStore
from sos.journal.root_keys import key_store
from sos.journal.sqlite import SqliteStore
from sos.settings import Settings

OPENED = 1000
"""Incidents whose keys are opened, the newest: more would measure the machine."""


class Drilled(Struct, frozen=True, kw_only=True):
    restored: Restored
    missing: int
    """Events that the running house has and the restored one has not."""
    opened: int
    """Incidents whose keys were opened."""
    shut: int
    """Of those, with a key that did not open although nobody destroyed it."""

    @property
    def well(self) -> bool:
        """Whether all that was backed up is there and opens."""
        return not self.shut and not self.restored.keys.missing


class Drill:
    def __init__(self, settings: Settings, *, clock: Clock, tools: Tools) -> None:
        self._settings = settings
        self._clock = clock
        self._tools = tools

    async def restore(self, source: Source, *, scratch: Path) -> Drilled:
        """Restore into ``scratch``, which must not exist and is gone afterwards, and a database of its own."""
        await asyncio.to_thread(scratch.mkdir, mode=0o700, parents=True)
        try:
            async with self._database() as url:
                beside = msgspec.structs.replace(self._settings, data_dir=str(scratch), database_url=url)
                restored = await Restore(beside, source, clock=self._clock, tools=self._tools).make()
                opened, shut = await _opened(beside)
        finally:
            await asyncio.to_thread(shutil.rmtree, scratch)
        live = await _size(self._settings)
        return Drilled(restored=restored, missing=max(0, live - restored.events), opened=opened, shut=shut)

    @asynccontextmanager
    async def _database(self) -> AsyncIterator[str]:
        """An empty database on the same server, dropped afterwards; nothing to do for SQLite."""
        url = self._settings.database_url
        if not url:
            yield ""
            return
        name = f"sos_drill_{token_hex(4)}"
        await _say(url, f'CREATE DATABASE "{name}"')
        try:
            yield urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
        finally:
            await _say(url, f'DROP DATABASE "{name}" WITH (FORCE)')


async def _say(url: str, statement: str) -> None:
    try:
        connection = await asyncpg.connect(url)
    except (asyncpg.PostgresError, OSError) as away:
        raise Unavailable(f"PostgreSQL does not answer ({type(away).__name__})") from away
    try:
        await connection.execute(statement)
    except asyncpg.InsufficientPrivilegeError as may_not:
        raise Misconfigured("the drill needs a role that may make databases (ALTER ROLE ... CREATEDB)") from may_not
    finally:
        await connection.close()


def _store(settings: Settings) -> SqliteStore | PostgresStore:
    if settings.database_url:
        return PostgresStore(settings.database_url)
    return SqliteStore(settings.data / "journal.db")


async def _size(settings: Settings) -> int:
    async with _store(settings) as store:
        size, _ = await store.tree()
    return size


async def _opened(settings: Settings) -> tuple[int, int]:
    """Of how many incidents keys were opened, and of how many one did not open."""
    keyring = Keyring(key_store(settings))
    shut = 0
    async with _store(settings) as store:
        newest = await store.newest_streams(limit=OPENED)
        for stream in newest:
            keys = keyring.open(stream, await store.keys(stream))
            shut += bool(keys.shut() & {Shut.LOST, Shut.DAMAGED})
    return len(newest), shut
