"""The rights desk over HTTP: a supervisor's session walks a request through, and nobody else gets in."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sos.app import running
from sos.clock import SystemClock
from sos.settings import OperatorSettings, Settings
from tests.ports import free_port
from tests.sos.rights.town import TARO, TARO_TEL, VIN, Town, kinds, settle

ASKED = {
    "right": "disclosure",
    "channel": "counter",
    "claim": {"name": TARO, "tel": [TARO_TEL], "vehicles": [{"scheme": "vin", "value": VIN}]},
}


class Door:
    def __init__(self, town: Town, data: Path, url: str) -> None:
        self.town, self.data, self._url = town, data, url
        self._session = aiohttp.ClientSession(url, cookie_jar=aiohttp.CookieJar(unsafe=True))

    async def enter(self, name: str) -> None:
        async with self._session.post("/console/session", json={"token": name}) as answer:
            assert answer.status == 204

    async def post(self, path: str, body: Any, **headers: str) -> tuple[int, Any]:
        async with self._session.post(f"/v1/rights{path}", json=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def get(self, path: str = "") -> tuple[int, Any]:
        async with self._session.get(f"/v1/rights{path}") as answer:
            return answer.status, await answer.json(content_type=None)

    async def find(self, request: str) -> set[str]:
        """What is theirs, once the index has followed."""
        async with asyncio.timeout(60):
            while True:
                status, found = await self.post(f"/{request}/steps", {"do": "find"})
                assert status == 200, found
                if len(found["sure"]) >= 3:
                    return {each["stream"] for each in found["sure"]}
                await SystemClock().wait(timedelta(milliseconds=50))

    async def close(self) -> None:
        await self._session.close()


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    town = await settle(tmp_path)
    operators = tuple(
        OperatorSettings(id=name, name=name, token_digest=sha256(name.encode()).hexdigest(), supervisor=name == "jiro")
        for name in ("hanako", "jiro")
    )
    settings = Settings(data_dir=str(tmp_path), port=free_port(), operators=operators)
    async with running(settings) as service:
        made = Door(town, tmp_path, service.url)
        yield made
        await made.close()


async def test_a_supervisor_walks_a_request_from_the_counter_to_the_answer(door: Door):
    await door.enter("jiro")
    created, state = await door.post("", ASKED)
    request = state["request"]
    early, refused = await door.post(f"/{request}/steps", {"do": "find"})
    checked, _ = await door.post(
        f"/{request}/steps", {"do": "check", "proved": True, "shown": ["passport"], "why": "at the counter"}
    )
    theirs = await door.find(request)
    answered, told = await door.post(f"/{request}/answer", {})
    again, _ = await door.post(f"/{request}/answer", {})
    _, listed = await door.get()
    _, shown = await door.get(f"/{request}")

    assert (created, early, checked, answered, again) == (201, 403, 200, 200, 409)
    assert "identity-not-checked" in refused["detail"]
    assert theirs == {door.town.taro, door.town.taros_car, door.town.taros_crash}
    assert {each["stream"] for each in told["held"]} == theirs
    assert [each["stage"] for each in listed["requests"]] == ["answered"]
    assert TARO not in str(listed)
    assert shown["claim"]["name"] == TARO
    assert "RightAnswered" in await kinds(door.data, request)


async def test_nobody_else_gets_in_and_what_is_no_step_is_refused(door: Door):
    stranger, _ = await door.get()
    await door.enter("hanako")
    operator, _ = await door.post("", ASKED)
    await door.enter("jiro")
    other_page, _ = await door.post("", ASKED, **{"Sec-Fetch-Site": "cross-site"})
    wrong, _ = await door.post("", ASKED | {"right": "everything"})
    _, state = await door.post("", ASKED)
    no_step, _ = await door.post(f"/{state['request']}/steps", {"do": "erase"})
    no_request, _ = await door.post("/none/steps", {"do": "find"})

    assert stranger in (401, 403)
    assert (operator, other_page, wrong, no_step, no_request) == (403, 403, 400, 400, 404)
    _, listed = await door.get()
    assert len(listed["requests"]) == 1
