"""Anything at all over every door of the running service: documented outcomes only, and every accepted report filed."""

import asyncio
import gc
import json
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from sos.app import Service, running
from sos.clock import SystemClock
from sos.incident.events import ReportFiled
from sos.incident.model import IncidentId
from sos.settings import AuditorSettings, OperatorSettings, RegistrarSettings, Settings, TenantSettings
from tests.ports import free_port
from tests.sos import nasty
from tests.sos.console.test_orders import ANYBODY, WHOLE

KEY = "key-of-anybody-at-all"
DIGEST = sha256(KEY.encode()).hexdigest()
DOCUMENTED = {
    200, 201, 202, 204, 302, 303, 400, 401, 403, 404, 405, 406, 408, 409, 413, 415, 422, 429, 431, 503,
}  # fmt: skip
ASKED = 600


@asynccontextmanager
async def house(tmp_path: Path) -> AsyncIterator[Service]:
    settings = Settings(
        data_dir=str(tmp_path / "house"),
        port=free_port(),
        tenants=(TenantSettings(id="acme", domain="acme.example", key_digests=(DIGEST,), rate_per_s=1000),),
        operators=(OperatorSettings(id="hanako", name="架空 花子", token_digest=DIGEST),),
        auditors=(AuditorSettings(id="auditor", token_digest=DIGEST, brands=("*",), categories=("*",)),),
        registrars=(RegistrarSettings(id="registrar", tenant="acme", role="oem", token_digest=DIGEST),),
    )
    async with running(settings) as service:
        yield service


SESSION = "/console/session"


def routes() -> list[tuple[str, str]]:
    found = [
        {(route.method, route.resource.canonical) for route in app.router.routes() if route.resource is not None}
        for app in gc.get_objects()
        if isinstance(app, web.Application) and app.frozen
    ]
    return sorted(each for each in max(found, key=len) if each[0] != "HEAD")


async def ask(service: Service, method: str, path: str, headers: Iterable[bytes], body: bytes) -> tuple[int, bytes]:
    """One request written octet by octet, as no client library would; 0 when the connection closes without answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", service.settings.port)
    lines = (f"{method} {path} HTTP/1.1".encode("latin-1"), b"Connection: close", *headers)
    writer.write(b"\r\n".join((*lines, b"Content-Length: %d" % len(body), b"", body)))
    async with asyncio.timeout(60):
        answer = await reader.read()
    writer.close()
    head, _, rest = answer.partition(b"\r\n\r\n")
    return (int(head.split(b" ", 2)[1]) if head else 0), rest


async def log_in(service: Service) -> bytes:
    """The cookie of a desk."""
    async with aiohttp.request("POST", f"{service.url}{SESSION}", json={"token": KEY}) as answer:
        return answer.headers["Set-Cookie"].partition(";")[0].encode()


def request(chance: random.Random, method: str, path: str, cookie: bytes) -> tuple[str, list[bytes], bytes]:
    """What is asked of one route: sometimes addressed well, mostly with the right key, never with an honest body."""
    address = re.sub(r"\{\w+\}", lambda _: chance.choice(nasty.SEGMENTS), path)
    if chance.random() < 0.3:
        address += f"?{chance.choice(('after', 'kind', 'wait', 'seconds'))}={chance.choice(nasty.SEGMENTS)}"
    headers = {"Host": b"localhost", "Authorization": f"Bearer {KEY}".encode(), "Leg-Id": b"12345678-1"}
    headers["Content-Type"] = chance.choice(nasty.TYPES).encode("latin-1")
    headers["Cookie"] = cookie
    for _ in range(chance.randrange(3)):
        headers[chance.choice((*nasty.NAMES, "Authorization"))] = chance.choice(nasty.HEADERS)
    body = b"" if method == "GET" else nasty.body(chance, nasty.report(chance))
    return address, [name.encode() + b": " + value for name, value in headers.items()], body


async def filed(service: Service, incident: IncidentId) -> bool:
    async with asyncio.timeout(60):
        while True:
            stream = await service.journal.store.stream(incident)
            if any(isinstance(each.event, ReportFiled) for each in stream):
                return True
            await SystemClock().wait(timedelta(milliseconds=20))


@pytest.mark.parametrize("seed", [1])
async def test_anything_at_any_route_is_answered_as_documented_and_what_was_accepted_is_filed(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    statuses: Counter[int] = Counter()
    accepted: set[IncidentId] = set()
    async with house(tmp_path) as service:
        known, cookie = routes(), await log_in(service)
        for number in range(ASKED):
            method, path = ("POST", "/v1/events") if number % 3 == 0 else chance.choice(known)
            if method == "*":
                continue
            address, headers, body = request(chance, method, path, cookie)
            status, answer = await ask(service, method, address, headers, body)
            statuses[status] += 1
            if (method, path) == ("DELETE", SESSION) and status < 400:  # it has logged out
                cookie = await log_in(service)
            assert status in DOCUMENTED or (status == 0 and "socket" in path), (status, method, address, headers, body)
            if path == "/v1/events" and status in (200, 202):
                accepted.add(IncidentId(json.loads(answer)["incident"]))

        assert len(accepted) > ASKED / 20
        assert all([await filed(service, incident) for incident in accepted])
    assert statuses[202] >= len(accepted) > 0


async def test_anything_sent_to_a_desk_s_socket_is_answered_in_words_and_the_socket_stays(tmp_path: Path) -> None:
    chance = random.Random(2)
    async with (
        house(tmp_path) as service,
        aiohttp.ClientSession(base_url=service.url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as desk,
    ):
        await desk.post("/console/session", json={"token": KEY})
        async with desk.ws_connect("/console/socket", headers={"Origin": service.url}) as socket:
            for number in range(300):
                do, fields = chance.choice(list(WHOLE.items()))
                order = {"id": number, "do": do} | ({} if do in ANYBODY else {"incident": "x"}) | fields
                await socket.send_str(json.dumps(nasty.spoilt(order, chance, rate=0.1)))
            await socket.send_str(json.dumps({"id": 10**30, "do": "ready"}))
            await socket.send_str(json.dumps({"id": 4242, "do": "ready"}))
            replies = []
            async with asyncio.timeout(60):
                while not replies or replies[-1].get("id") != 4242:
                    told = json.loads((await socket.receive()).data)
                    if told["t"] == "reply":
                        replies.append(told)

    assert replies[-1]["ok"]
    assert not [each for each in replies if not each["ok"] and each["error"]["type"] == "Bug"]
    assert "9007199254740991" in replies[-2]["error"]["detail"]
