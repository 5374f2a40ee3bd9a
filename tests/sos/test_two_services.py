"""Two `sos serve` on one journal: one leads, the other waits, warm, and takes over soon after a kill."""

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from sos.clock import SystemClock
from sos.journal.lead import HANGS
from tests.conftest import empty_database
from tests.house import ROOT, House

DEPOSED = 75
LOOKS = timedelta(milliseconds=50)
"""Between two looks: without a pause the looking took what the service needed to start."""

TAKES_OVER_S = 20.0
"""Under load: it was eleven on a busy machine, of which a service needed more than six to open its doors."""


@pytest.fixture(params=["sqlite", "postgres"])
async def house(request: pytest.FixtureRequest, postgres: str, tmp_path: Path) -> AsyncIterator[House]:
    if request.param == "sqlite":
        async with House(tmp_path) as house:
            yield house
        return
    async with empty_database(postgres) as url, House(tmp_path, database=url) as house:
        yield house


@asynccontextmanager
async def another(house: House) -> AsyncIterator[asyncio.subprocess.Process]:
    """A second process with the same settings, once it waits."""
    with (house.data / "second.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sos", "serve", "--config", str(house.data / "sos.toml"),
            stdout=log, stderr=log, cwd=ROOT,
        )  # fmt: skip
        try:
            async with asyncio.timeout(60):
                while "standby" not in (house.data / "second.log").read_text():
                    assert process.returncode is None
                    await house.get("/readyz")
                    await SystemClock().wait(LOOKS)
            yield process
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
                await process.wait()


async def _answers(house: House) -> float:
    """Seconds until somebody answers."""
    began = time.monotonic()
    async with asyncio.timeout(60):
        while True:
            try:
                await house.get("/readyz")
            except aiohttp.ClientError:
                await SystemClock().wait(LOOKS)
                continue
            return time.monotonic() - began


async def _report(house: House, number: int) -> str:
    event = (
        (ROOT / "tests" / "wire" / "manual.json")
        .read_text()
        .replace("01JX0000000000000000000002", f"01JX{number:022d}")
    )
    headers = {"Authorization": f"Bearer {house.tenant_key}", "Content-Type": "application/cloudevents+json"}
    async with (
        aiohttp.ClientSession(base_url=house.url) as session,
        session.post("/v1/events", data=event, headers=headers) as answer,
    ):
        assert answer.status in (200, 202), await answer.text()
        return str((await answer.json())["incident"])


async def test_the_second_waits_and_takes_over_when_the_first_is_killed(house: House):
    await _report(house, 1)
    async with another(house) as second:
        await house.kill(signal.SIGKILL)

        took = await _answers(house)

        assert took < TAKES_OVER_S
        assert second.returncode is None
        assert (await house.get("/readyz"))["ready"]
        await _report(house, 2)


async def test_one_that_is_told_to_end_is_followed_at_once(house: House):
    async with another(house):
        await house.kill(signal.SIGTERM)

        assert await _answers(house) < TAKES_OVER_S


@pytest.fixture
async def machines(postgres: str, tmp_path: Path) -> AsyncIterator[tuple[House, House]]:
    """Two machines with a data directory each and one PostgreSQL; the second waits."""
    async with (
        empty_database(postgres) as url,
        House(tmp_path / "first", database=url) as first,
        House(tmp_path / "second", database=url, behind=first) as second,
    ):
        yield first, second


async def test_another_machine_takes_over_when_the_first_is_killed(machines: tuple[House, House]):
    first, second = machines
    await _report(first, 1)

    first.send(signal.SIGKILL)

    assert await second.until_ready() < TAKES_OVER_S
    await _report(second, 2)


async def test_one_that_hangs_is_overtaken_and_ends_when_it_goes_on(machines: tuple[House, House]):
    first, second = machines
    await _report(first, 1)

    first.send(signal.SIGSTOP)
    try:
        assert await second.until_ready() < HANGS.total_seconds() + TAKES_OVER_S
        opened = await _report(second, 2)
    finally:
        first.send(signal.SIGCONT)

    assert await first.ended() == DEPOSED
    assert await _report(second, 2) == opened
