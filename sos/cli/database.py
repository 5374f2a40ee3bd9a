"""The database that the settings name, for commands that work on it beside a running service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sos.journal.configured import make_home
from sos.journal.migrate import upgrade
from sos.journal.postgres import PostgresStore
from sos.journal.sqlite import SqliteStore
from sos.settings import Settings


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[SqliteStore | PostgresStore]:
    """The database with this release's schema, until the context is left."""
    make_home(settings.data)
    store = PostgresStore(settings.database_url) if settings.database_url else SqliteStore(settings.data / "journal.db")
    async with store:
        await upgrade(store.engine)
        yield store
