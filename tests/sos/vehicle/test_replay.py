"""A replay sends every row once, keeps its pace, and tells what became of each."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from sos.clock import ManualClock, SystemClock
from sos.errors import Malformed, Unavailable
from sos.incident.model import TenantId
from sos.intake.acceptance import Acceptance
from sos.intake.auth import Credentials
from sos.intake.http import routes
from sos.intake.receipts import Receipts
from sos.intake.recent import Recent
from sos.intake.simulated import MemoryReception
from sos.intake.tenants import Tenant, TenantKeys
from sos.problems import problems_middleware
from sos.vehicle.replay import Replayed, replay, run_replay
from sos.vehicle.report import Patience

NOW = datetime(2026, 1, 1, 9, 0, tzinfo=UTC)
KEYS = TenantKeys.of({"acme-key": Tenant(id=TenantId("acme"), domain="acme.example")})
HEADER = (
    "prefecture,report_no,crash_type,age_a,party_a,party_b,impact_a,damage_a,airbag_a,side_airbag_a,route,"
    "lat,lon,date,time"
)
DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data"


def application(reception: MemoryReception) -> web.Application:
    app = web.Application(middlewares=[problems_middleware])
    app.add_routes(
        routes(Acceptance(reception, Receipts(b"a secret for tests"), Recent()), Credentials(KEYS), SystemClock())
    )
    return app


@pytest.fixture
async def reception() -> MemoryReception:
    return MemoryReception()


@pytest.fixture
async def service(reception: MemoryReception) -> AsyncIterator[str]:
    async with TestServer(application(reception)) as server:
        yield str(server.make_url(""))


@pytest.fixture
def crashes(tmp_path: Path) -> Path:
    """Twenty invented crashes in the readable layout, the last without a position."""
    rows = [
        f"福井,{number:04},車両相互,25～34歳,乗用車－普通車,歩行者,前-無,小破,その他,その他,国道,36.0{number:02}1,136.2,2021-02-03,12:{number:02}"
        for number in range(20)
    ]
    rows[-1] = rows[-1].replace("36.0191,136.2", "0.000000,0.000000")
    path = tmp_path / "crashes.csv"
    path.write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    return path


class PacedClock(ManualClock):
    """Moves itself forward by whatever is waited for."""

    async def wait(self, duration: timedelta) -> None:
        self._now += duration


async def test_every_row_is_accepted_once_and_repeated_the_second_time(
    service: str, reception: MemoryReception, crashes: Path
) -> None:
    seen: list[Replayed] = []

    first = await replay([crashes], base_url=service, key="acme-key", clock=SystemClock(), progress=seen.append)
    second = await replay([crashes], base_url=service, key="acme-key", clock=SystemClock())

    assert (first.sent, first.accepted, first.repeated, first.refused) == (20, 20, 0, ())
    assert (second.sent, second.accepted, second.repeated, second.refused) == (20, 0, 20, ())
    assert [row.incident for row in first.rows] == [row.incident for row in second.rows]
    assert len({row.incident for row in first.rows}) == len(reception.opened) == len(seen) == 20
    assert {row.prefecture for row in first.rows} == {"JP-18"}
    assert [row.line for row in first.rows if "$.location" in row.findings] == [21]  # all are years old
    assert first.p50_ms is not None
    assert first.p99_ms is not None
    assert 0 < first.p50_ms <= first.p99_ms


async def test_a_replay_keeps_the_rate_it_was_asked_for(service: str, crashes: Path) -> None:
    result = await replay(
        [crashes], base_url=service, key="acme-key", clock=PacedClock(NOW), rate_per_s=10, concurrency=1
    )

    assert result.seconds == pytest.approx(1.9, abs=0.01)
    assert result.accepted == 20


async def test_what_is_refused_is_listed_with_the_reason(service: str, crashes: Path) -> None:
    result = await replay([crashes], base_url=service, key="wrong", clock=SystemClock())

    assert (result.accepted, len(result.refused), result.p50_ms) == (0, 20, None)
    assert result.refused[0].refused is not None
    assert result.refused[0].refused.startswith("401: This tenant key is not known")


async def test_an_outage_in_between_loses_nothing(service: str, reception: MemoryReception, crashes: Path) -> None:
    reception.failing.extend(Unavailable("away") for _ in range(30))
    patience = Patience(attempts=40, longest_wait=timedelta(milliseconds=1))

    result = await replay(
        [crashes], base_url=service, key="acme-key", clock=PacedClock(NOW), concurrency=4, patience=patience
    )

    assert (result.accepted, result.refused, len(reception.opened)) == (20, (), 20)
    assert sum(row.attempts - 1 for row in result.rows) == 30


async def test_a_file_of_another_kind_stops_the_replay_before_anything_is_sent(
    service: str, reception: MemoryReception, crashes: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n")

    with pytest.raises(Malformed, match="other"):
        await replay([crashes, other], base_url=service, key="acme-key", clock=SystemClock())

    assert reception.opened == []


@pytest.mark.skipif(not (DATA / "npa_crashes.csv").exists(), reason="the NPA sample files are not beside the clone")
async def test_all_real_rows_are_accepted(service: str, reception: MemoryReception) -> None:
    paths = [DATA / "npa_crashes.csv", DATA / "npa_bad_coordinates.csv"]

    result = await replay(paths, base_url=service, key="acme-key", clock=SystemClock())

    assert (result.sent, result.accepted, result.repeated, result.refused) == (2374, 2372, 2, ())
    assert all(opened.command.readable for opened in reception.opened)


@pytest.fixture
def running() -> Iterator[str]:
    """The door in a thread of its own, for commands that own the event loop."""
    ready, stop = threading.Event(), threading.Event()
    address: list[str] = []

    async def serve() -> None:
        async with TestServer(application(MemoryReception())) as server:
            address.append(str(server.make_url("")))
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    yield address[0]
    stop.set()
    thread.join(10)


def test_the_command_prints_one_json_object(running: str, crashes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = run_replay([crashes], base_url=running, key="acme-key", clock=SystemClock(), as_json=True)

    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert (status, result["sent"], result["accepted"], len(result["rows"])) == (0, 20, 20, 20)
    assert printed.err == ""


def test_the_command_shows_a_table_and_names_its_source(
    running: str, crashes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run_replay([crashes], base_url=running, key="wrong", clock=SystemClock())

    printed = capsys.readouterr()
    assert (status, "警察庁" in printed.err, "crashes.csv:2 401" in printed.out) == (1, True, True)


def test_the_command_says_which_file_it_cannot_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = run_replay([tmp_path / "none.csv"], base_url="http://127.0.0.1:9", key="k", clock=SystemClock())

    assert (status, "none.csv" in capsys.readouterr().err) == (2, True)
