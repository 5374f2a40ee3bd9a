"""Ready means that a report can be accepted; the answer stands in memory, also while the database is away."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest

from tests.conftest import empty_database, name_of
from tests.house import House
from tests.sos.journal.conftest import PostgresDatabase


@pytest.fixture
async def database(postgres: str) -> AsyncIterator[PostgresDatabase]:
    async with empty_database(postgres) as url:
        yield PostgresDatabase(postgres, url, name_of(url))


async def _until(house: House, path: str, wanted: str) -> None:
    async with asyncio.timeout(20), aiohttp.ClientSession(base_url=house.url) as session:
        while True:
            async with session.get(path) as answer:
                if wanted in await answer.text():
                    return


async def test_in_an_outage_the_house_is_ready_says_what_is_down_gives_out_figures_and_fills_no_log(
    database: PostgresDatabase, tmp_path: Path
):
    async with House(tmp_path, database=database.dsn) as house:
        assert "sos_database_up 1.0" in await house.figures()
        async with database.gone():
            await _until(house, "/readyz", '"journal":"down"')
            async with aiohttp.ClientSession(base_url=house.url) as session, session.get("/readyz") as answer:
                status, state = answer.status, msgspec.json.decode(await answer.read())
            figures = await house.figures()
            await _until(house, "/readyz", '"journal":"down"')
        log = (tmp_path / "service.log").read_text().splitlines()

    assert (status, state["ready"], state["items"]["journal"]) == (200, True, "down")
    assert "sos_database_up 0.0" in figures
    assert "sos_ready 1.0" in figures
    told = [msgspec.json.decode(line) for line in log if line.startswith("{")]
    same = [
        repr(sorted((k, str(v)) for k, v in line.items() if k != "timestamp"))
        for line in told
        if line["level"] != "info"
    ]
    assert len(same) == len(set(same))
