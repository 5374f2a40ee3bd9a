"""Every row of the police agency's crash records through the whole service: journaled, planned, visible."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from sos.clock import SystemClock
from sos.incident.events import PlanMade
from sos.incident.model import Incident, State
from sos.journal.journal import Journal
from sos.journal.postgres import PostgresStore
from sos.journal.sqlite import SqliteStore
from sos.vehicle.replay import ReplayResult, replay
from tests.conftest import MAP, empty_database
from tests.house import House

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
GOOD, BAD = DATA / "npa_crashes.csv", DATA / "npa_bad_coordinates.csv"
EVERY = {"sqlite": 1, "postgres": 5}
"""Of the rows that are where they say: all on one database; on the other it is the same planning, a fifth of them."""
OPEN = tuple(state for state in State if state is not State.CLOSED)

pytestmark = pytest.mark.skipif(
    not GOOD.is_file(), reason="the police agency's crash records are not beside this clone"
)


@pytest.fixture(params=["sqlite", "postgres"])
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    """On SQLite with the exact map where an operator's import puts it; on PostgreSQL with the one that ships."""
    if request.param == "sqlite" and MAP.is_file():
        imported = request.getfixturevalue("municipalities")
        (tmp_path / "house" / "geo").mkdir(parents=True)
        (tmp_path / "house" / "geo" / imported.name).symlink_to(imported)
    async with AsyncExitStack() as stack:
        database = ""
        if request.param == "postgres":
            database = await stack.enter_async_context(empty_database(request.getfixturevalue("postgres")))
        yield await stack.enter_async_context(House(tmp_path / "house", database=database))


async def _until_planned(house: House, clock: SystemClock, *, number: int) -> None:
    """Asks the journal itself: what the figures say is a moment old, and a slow database leaves some to the spool."""
    async with _store(house) as store:
        planned: set[str] = set()
        first = 0
        for _ in range(600):
            while recorded := await store.positioned(first, limit=5_000):
                planned |= {each.incident for each in recorded if isinstance(each.event, PlanMade)}
                first += len(recorded)
            if len(planned) == number:
                return
            await clock.wait(timedelta(milliseconds=200))
    raise AssertionError(f"{len(planned)} of {number} are planned")


def _store(house: House) -> PostgresStore | SqliteStore:
    return PostgresStore(house.database) if house.database else SqliteStore(house.data / "journal.db")


async def _visible(house: House) -> int:
    """How many open incidents an operator's desk is told of."""
    async with aiohttp.ClientSession(base_url=house.url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        async with session.post("/console/session", json={"token": house.desk_tokens["hanako"]}) as logged_in:
            assert logged_in.status == 204
        async with session.ws_connect("/console/socket") as socket:
            while True:
                frame = await socket.receive_json(timeout=10)
                if frame["t"] == "snapshot":
                    return int(frame["total"])


async def _incidents(house: House) -> tuple[dict[str, Incident], dict[str, PlanMade]]:
    async with _store(house) as store:
        journal = Journal(store, None, None, clock=SystemClock())
        total, found = await journal.queue(limit=10_000, states=OPEN)
        assert total == len(found)
        plans = {
            recorded.incident: recorded.event
            for first in range(0, (await store.tree())[0], 5_000)
            for recorded in await store.positioned(first, limit=5_000)
            if isinstance(recorded.event, PlanMade)
        }
    return {incident.id: incident for incident in found}, plans


def _right_at_least(house: House) -> float:
    """The share of prefectures that must be right: of the exact map all but two rows near Osaka and in Hiroshima."""
    return 0.999 if (house.data / "geo").is_dir() else 0.98


def _rows(every: int, to: Path) -> Path:
    """Each so-manieth row, under the name of the whole."""
    head, *rows = GOOD.read_bytes().splitlines(keepends=True)
    to.write_bytes(head + b"".join(rows[::every]))
    return to


async def test_all_real_crashes_become_incidents_in_their_prefecture(
    house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = SystemClock()
    rows = _rows(EVERY["postgres" if house.database else "sqlite"], tmp_path / GOOD.name)

    result: ReplayResult = await replay([rows, BAD], base_url=house.url, key=house.tenant_key, clock=clock)
    await _until_planned(house, clock, number=len({row.incident for row in result.rows}))
    visible = await _visible(house)
    await house.kill()
    incidents, plans = await _incidents(house)

    assert result.refused == ()
    assert result.sent == result.accepted + result.repeated
    assert {row.incident for row in result.rows} == set(incidents) == set(plans)
    assert visible == len(incidents) == result.accepted

    bad = [incidents[row.incident] for row in result.rows if row.path.endswith(BAD.name)]
    assert len(bad) == 74
    assert all("position_unknown" in incident.flags and incident.prefecture is None for incident in bad)

    good = [row for row in result.rows if row.path.endswith(GOOD.name)]
    located = [row for row in good if incidents[row.incident].located]
    misses = [row for row in located if incidents[row.incident].prefecture != row.prefecture]
    with capsys.disabled():
        print(f"\n{len(located)} located rows, {len(misses)} in another prefecture:")
        for row in misses:
            plan = plans[row.incident]
            where = f"{plan.border_m} m from the border" if plan.border_m is not None else ", ".join(plan.flags)
            print(f"  line {row.line:5} recorded {row.prefecture} planned {plan.prefecture}, {where}")
    assert len(located) - len(misses) >= _right_at_least(house) * len(located)
    assert all(any(reason.startswith("police:") for reason in plan.reasons) for plan in plans.values())
    assert all(any(reason.startswith("fire:") for reason in plan.reasons) for plan in plans.values())
    assert Counter(bool(plan.agencies) for plan in plans.values()) == {True: len(plans)}
