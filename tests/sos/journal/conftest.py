"""A migrated database per test, made by copying one, which can be opened twice and can go away."""

import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import asyncpg
import pytest

from recording.keys import KeyStore
from sos.clock import ManualClock
from sos.journal.journal import Journal
from sos.journal.postgres import PostgresStore
from sos.journal.spool import Spool
from sos.journal.sqlite import SqliteStore
from sos.journal.store import Store
from tests.conftest import empty_database, name_of
from tests.rest import Watched


class SqliteDatabase:
    name = "sqlite"

    def __init__(self, path: Path) -> None:
        self.path = path

    def store(self) -> SqliteStore:
        return SqliteStore(self.path)

    @asynccontextmanager
    async def gone(self) -> AsyncIterator[None]:
        """Every write fails at once, as on a full or broken disk."""
        self._run("CREATE TRIGGER gone BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END")
        yield
        self._run("DROP TRIGGER gone")

    @asynccontextmanager
    async def stuck(self) -> AsyncIterator[None]:
        """Writes wait."""
        with closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")

    async def everything(self) -> bytes:
        """All that lies on the disk: the file and its write-ahead log."""
        files = sorted(self.path.parent.glob(f"{self.path.name}*"))
        return b"".join(file.read_bytes() for file in files)

    async def transactions(self) -> int:
        """How many commits the write-ahead log holds (sqlite.org/fileformat2.html, 4.1 «WAL File Format»)."""
        wal = self.path.with_name(f"{self.path.name}-wal").read_bytes()
        page = int.from_bytes(wal[8:12])
        salt = wal[16:24]
        frames = [wal[at : at + 24] for at in range(32, len(wal) - 23, 24 + page)]
        return sum(1 for frame in frames if frame[8:16] == salt and int.from_bytes(frame[4:8]))

    async def damage(self, position: int, header: bytes = b"\0 no header") -> bytes:
        """Put ``header`` where an event's header stands; what stood there."""
        with closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            ((before,),) = other.execute("SELECT header FROM events WHERE position = ?", (position,)).fetchall()
            other.execute("UPDATE events SET header = ? WHERE position = ?", (header, position))
        return bytes(before)

    def _run(self, statement: str) -> None:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            other.execute(statement)


class PostgresDatabase:
    name = "postgres"

    def __init__(self, server: str, dsn: str, name: str) -> None:
        self.server = server
        self.dsn = dsn
        self.database = name

    def store(self) -> PostgresStore:
        return PostgresStore(self.dsn)

    @asynccontextmanager
    async def gone(self) -> AsyncIterator[None]:
        """Every connection is cut and none is taken."""
        await self._admin(f'ALTER DATABASE "{self.database}" ALLOW_CONNECTIONS false')
        await self._admin(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self.database}'")
        yield
        await self._admin(f'ALTER DATABASE "{self.database}" ALLOW_CONNECTIONS true')

    @asynccontextmanager
    async def stuck(self) -> AsyncIterator[None]:
        """Writes wait."""
        other = await asyncpg.connect(self.dsn)
        async with other.transaction():
            await other.execute("LOCK TABLE receipts, incoming, events IN ACCESS EXCLUSIVE MODE")
            yield
        await other.close()

    async def everything(self) -> bytes:
        """All rows of all tables, as the server would send them."""
        other = await asyncpg.connect(self.dsn)
        tables = await other.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        found = b""
        for table in tables:
            for row in await other.fetch(f'SELECT * FROM "{table["tablename"]}"'):
                found += b"\n".join(v if isinstance(v, bytes) else str(v).encode() for v in row.values())
        await other.close()
        return found

    async def transactions(self) -> int:
        """How many transactions wrote the reports that are there; the events themselves are moved by the sequencer."""
        other = await asyncpg.connect(self.dsn)
        count: int = await other.fetchval("SELECT count(DISTINCT xmin::text) FROM receipts")
        await other.close()
        return count

    async def damage(self, position: int, header: bytes = b"\0 no header") -> bytes:
        """Put ``header`` where an event's header stands; what stood there."""
        other = await asyncpg.connect(self.dsn)
        before: bytes = await other.fetchval("SELECT header FROM events WHERE position = $1", position)
        await other.execute("UPDATE events SET header = $1 WHERE position = $2", header, position)
        await other.close()
        return before

    async def add_incoming(self, stream: str, *, n: int) -> None:
        """Put one more event of ``stream`` where the sequencer finds it."""
        other = await asyncpg.connect(self.dsn)
        await other.execute("INSERT INTO incoming (stream, n, header) VALUES ($1, $2, 'twice')", stream, n)
        await other.close()

    async def set_back(self) -> None:
        """The tree says that it holds nothing, as after a restore of one table alone."""
        other = await asyncpg.connect(self.dsn)
        await other.execute("UPDATE tree SET size = 0, hashes = ''")
        await other.close()

    async def incoming(self) -> list[tuple[str, int]]:
        """What has no position."""
        other = await asyncpg.connect(self.dsn)
        found = [(row["stream"], row["n"]) for row in await other.fetch("SELECT stream, n FROM incoming")]
        await other.close()
        return found

    async def _admin(self, statement: str) -> None:
        admin = await asyncpg.connect(self.server)
        await admin.execute(statement)
        await admin.close()


Database = SqliteDatabase | PostgresDatabase


@pytest.fixture
async def sqlite_database(sqlite_template: Path, tmp_path: Path) -> SqliteDatabase:
    shutil.copy(sqlite_template, tmp_path / "journal.db")
    return SqliteDatabase(tmp_path / "journal.db")


@pytest.fixture
async def postgres_database(postgres: str, postgres_template: str) -> AsyncIterator[PostgresDatabase]:
    async with empty_database(postgres, template=postgres_template) as dsn:
        yield PostgresDatabase(postgres, dsn, name_of(dsn))


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> Database:
    found: Database = request.getfixturevalue(f"{request.param}_database")
    return found


@pytest.fixture
async def store(database: Database) -> AsyncIterator[Store]:
    async with database.store() as opened:
        yield opened


@pytest.fixture
def spool(tmp_path: Path, keys: KeyStore) -> Spool:
    return Spool(tmp_path / "spool", keys.secret("spool"))


@pytest.fixture
async def journal(store: Store, keys: KeyStore, spool: Spool, clock: ManualClock) -> AsyncIterator[Journal]:
    async with Journal(Watched.over(store), keys, spool, clock=clock) as opened:
        yield opened
