"""Doors as processes: whatever becomes of the service, no report is refused, lost or doubled."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sos.clock import SystemClock
from sos.incident.events import IncidentOpened
from sos.journal.postgres import PostgresStore
from sos.journal.sqlite import SqliteStore
from tests.conftest import empty_database
from tests.house import DoorProcess, House

CLOCK = SystemClock()
EVERY = timedelta(milliseconds=25)
"""Forty reports a second."""


class Senders:
    """Cars that report at a steady rate, each once; half of them give their report no name."""

    def __init__(self, house: House) -> None:
        self._house = house
        self.told: dict[int, str] = {}
        self.refused: list[str] = []
        self._sent = 0
        self._sending: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        connector = aiohttp.TCPConnector(force_close=True)  # each car has its own connection
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=10)) as session:
            try:
                while True:
                    self._sent += 1
                    self._sending.add(asyncio.create_task(self._send(session, self._sent)))
                    await CLOCK.wait(EVERY)
            finally:
                await asyncio.gather(*self._sending)

    async def _send(self, session: aiohttp.ClientSession, number: int) -> None:
        try:
            answer = await self.report(session, number)
        except (aiohttp.ClientError, TimeoutError) as failed:
            self.refused.append(f"{number}: {type(failed).__name__}")
        else:
            self.told[number] = answer["incident"]

    async def report(self, session: aiohttp.ClientSession, number: int) -> Any:
        event: dict[str, Any] = {
            "specversion": "1.0",
            "type": "jp.sos.crash.v1",
            "data": {"trigger": "automatic", "crash": {"deltaV": number / 1000}},
        }
        if number % 2:
            event |= {"id": f"event-{number}", "source": "urn:invented:cars"}
        headers = {
            "Authorization": f"Bearer {self._house.tenant_key}",
            "Content-Type": "application/cloudevents+json",
        }
        url = f"http://127.0.0.1:{self._house.door_port}/v1/events"
        async with session.post(url, data=json.dumps(event), headers=headers) as answer:
            if answer.status not in (200, 202):
                raise aiohttp.ClientError(f"{answer.status}: {await answer.text()}")
            return await answer.json()


@pytest.fixture(params=["sqlite", "postgres"])
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        database = ""
        if request.param == "postgres":
            database = await stack.enter_async_context(empty_database(request.getfixturevalue("postgres")))
        yield await stack.enter_async_context(House(tmp_path / "house", database=database))


@pytest.fixture
async def doors(house: House) -> AsyncIterator[list[DoorProcess]]:
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(DoorProcess(house)) for _ in range(2)]
        await until(lambda: _figure(house, "sos_doors", 2))
        yield opened


async def until(so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await so():
            await CLOCK.wait(timedelta(milliseconds=50))


async def _figure(house: House, name: str, value: float) -> bool:
    try:
        figures = await house.figures()
    except aiohttp.ClientError:
        return False
    return f"{name} {value:.1f}" in figures.splitlines()


async def _opened(house: House) -> dict[str, int]:
    """How often each incident was opened."""
    found: dict[str, int] = {}
    async with PostgresStore(house.database) if house.database else SqliteStore(house.data / "journal.db") as store:
        for first in range(0, (await store.tree())[0], 5_000):
            for recorded in await store.positioned(first, limit=5_000):
                if isinstance(recorded.event, IncidentOpened):
                    found[recorded.incident] = found.get(recorded.incident, 0) + 1
    return found


async def _killed(house: House) -> None:
    await house.kill()
    await house.start()


async def _upgraded(house: House) -> None:
    await house.kill(signal.SIGTERM)
    await house.start()


async def _hung(house: House) -> None:
    house.send(signal.SIGSTOP)
    await CLOCK.wait(timedelta(seconds=4))
    house.send(signal.SIGCONT)


@pytest.mark.parametrize("trouble", [_killed, _upgraded, _hung])
async def test_through_any_trouble_of_the_service_each_report_is_one_incident_and_none_is_refused(
    house: House, doors: list[DoorProcess], trouble: Callable[[House], Awaitable[None]]
):
    senders = Senders(house)
    sending = asyncio.create_task(senders.run())
    await CLOCK.wait(timedelta(seconds=1))
    before = len(senders.told)

    await trouble(house)
    await CLOCK.wait(timedelta(seconds=2))
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    await until(lambda: _with_service(house))
    await until(lambda: _figure(house, "sos_spool_reports", 0))
    await house.kill(signal.SIGTERM)

    assert before > 0
    assert senders.refused == []
    assert await _opened(house) == dict.fromkeys(senders.told.values(), 1)
    assert len(set(senders.told.values())) == len(senders.told) > 80


async def test_a_door_that_is_killed_is_missed_for_a_second_at_most(house: House, doors: list[DoorProcess]):
    senders = Senders(house)
    sending = asyncio.create_task(senders.run())
    await CLOCK.wait(timedelta(seconds=1))

    await doors[0].kill()
    await CLOCK.wait(timedelta(seconds=1))
    at_once = len(senders.refused)
    await CLOCK.wait(timedelta(seconds=2))
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)

    assert len(senders.refused) == at_once <= 4
    assert len(senders.told) > 100


async def test_a_stranger_is_refused_with_the_service_and_without(house: House):
    async with DoorProcess(house) as door:
        await door.until_alive()
        url = f"http://127.0.0.1:{house.door_port}/v1/events"
        answers = []
        for alive in (True, False):
            if not alive:
                await house.kill()
            async with aiohttp.ClientSession() as session, session.post(url, data=b"{}") as answer:
                answers.append((answer.status, (await answer.json())["title"]))

    assert answers[0] == answers[1]
    assert answers[0][0] == 401


async def test_a_door_alone_keeps_what_it_acknowledged_through_its_own_death(house: House):
    await house.kill()
    senders = Senders(house)
    async with aiohttp.ClientSession() as session:
        async with DoorProcess(house) as door:
            await door.until_alive()
            first = [(await senders.report(session, number))["incident"] for number in range(6)]
            await door.kill()
        async with DoorProcess(house) as door:
            await door.until_alive()
            again = [(await senders.report(session, number))["incident"] for number in (1, 3, 5)]
            await house.start()
            await until(lambda: _with_service(house))
            await until(lambda: _figure(house, "sos_spool_reports", 0))
    await house.kill(signal.SIGTERM)

    assert again == [first[number] for number in (1, 3, 5)]
    assert await _opened(house) == dict.fromkeys(first, 1)


async def test_two_doors_that_cannot_ask_each_other_tell_two_ids_and_both_are_good(
    house: House, doors: list[DoorProcess]
):
    await house.kill()
    senders, told = Senders(house), set[str]()
    async with asyncio.timeout(30):
        while len(told) < len(doors):  # the kernel gives each connection to one of them
            async with aiohttp.ClientSession() as session:
                told.add((await senders.report(session, 1))["incident"])
    await house.start()
    await until(lambda: _with_service(house))
    await until(lambda: _figure(house, "sos_spool_reports", 0))

    headers = {"Authorization": f"Bearer {house.tenant_key}"}
    found = []
    async with aiohttp.ClientSession(base_url=house.url, headers=headers) as session:
        for incident in sorted(told):
            async with session.get(f"/v1/incidents/{incident}") as answer:
                found.append((answer.status, (await answer.json())["incident"]))
        for incident in sorted(told):
            async with session.delete(f"/v1/incidents/{incident}/legs/none") as answer:
                assert "no such incident" not in await answer.text()

    assert found[0] == found[1]
    assert found[0][0] == 200
    assert len(await _opened(house)) == 1


async def _with_service(house: House) -> bool:
    """The door that answers has nothing left of its own."""
    url = f"http://127.0.0.1:{house.door_port}/readyz"
    async with aiohttp.ClientSession() as session:
        for _ in range(8):
            async with session.get(url, headers={"Connection": "close"}) as answer:
                state = await answer.json()
                if not state["service"] or state["spooled"]:
                    return False
    return True
