"""A desk that comes back: it gets what it missed, or a fresh snapshot when it has seen another database."""

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sos.app import Service, running
from sos.settings import OperatorSettings, Settings, TenantSettings
from tests.ports import free_port
from tests.sos.intake import field

KEY = "desk-and-tenant-key"
DIGEST = hashlib.sha256(KEY.encode()).hexdigest()


async def heard(service: Service, desk: aiohttp.ClientSession, after: str, **wanted: Any) -> dict[str, Any]:
    """The first message that is ``wanted``."""
    headers = {"Origin": service.url}
    async with asyncio.timeout(60), desk.ws_connect(f"/console/socket?after={after}", headers=headers) as socket:
        while True:
            told: dict[str, Any] = json.loads((await socket.receive()).data)
            if wanted.items() <= told.items():
                return told


@pytest.mark.parametrize("after", ["1000000", "9" * 15, "9" * 31, "-1", "x", "٣"])
async def test_a_position_that_this_journal_does_not_have_gives_a_fresh_snapshot(tmp_path: Path, after: str) -> None:
    settings = Settings(
        data_dir=str(tmp_path / "house"),
        port=free_port(),
        tenants=(TenantSettings(id="acme", domain="acme.example", key_digests=(DIGEST,)),),
        operators=(OperatorSettings(id="hanako", name="架空 花子", token_digest=DIGEST),),
    )
    jar = aiohttp.CookieJar(unsafe=True)
    async with running(settings) as service, aiohttp.ClientSession(base_url=service.url, cookie_jar=jar) as desk:
        sent = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/cloudevents+json"}
        async with desk.post("/v1/events", data=field.as_json(), headers=sent) as answer:
            incident = (await answer.json())["incident"]
        await desk.post("/console/session", json={"token": KEY})
        resumed = await heard(service, desk, "0", t="event", position=1)
        fresh = await heard(service, desk, after, t="snapshot")

    assert resumed["incident"] == incident
    assert [each["id"] for each in fresh["incidents"]] == [incident]


@pytest.mark.parametrize("after", ["9" * 31, "9" * 5000, "-1", "x"])
async def test_what_can_be_no_position_is_refused_in_words_and_the_desk_is_told_all_the_same(
    tmp_path: Path, after: str
) -> None:
    settings = Settings(
        data_dir=str(tmp_path / "house"),
        port=free_port(),
        operators=(OperatorSettings(id="hanako", name="架空 花子", token_digest=DIGEST),),
    )
    jar = aiohttp.CookieJar(unsafe=True)
    async with running(settings) as service, aiohttp.ClientSession(base_url=service.url, cookie_jar=jar) as desk:
        await desk.post("/console/session", json={"token": KEY})
        refused = await heard(service, desk, after, t="reply", id=0)
        fresh = await heard(service, desk, after, t="snapshot")

    assert (refused["ok"], refused["error"]["type"]) == (False, "Malformed")
    assert "at most 15 digits" in refused["error"]["detail"]
    assert fresh["incidents"] == []
