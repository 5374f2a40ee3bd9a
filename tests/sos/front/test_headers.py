"""What every answer carries, and that what the house keeps is for its own user alone."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from sos.app import Service, running
from sos.settings import OperatorSettings, Settings, TenantSettings
from sos.vehicle.report import Car, crash, report_once
from tests.ports import free_port
from tests.sos.dispatch.test_disclosure_at_the_desk import KEY, _digest


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    """A service that a careless shell started: its umask lets everybody read and write."""
    before = os.umask(0)
    data = tmp_path / "data"
    data.mkdir(mode=0o777)
    settings = Settings(
        data_dir=str(data),
        port=free_port(),
        public_url="https://sos.example",
        hsts_subdomains=True,
        tenants=(TenantSettings(id="acme", domain="acme.sos.example", key_digests=(_digest(KEY),)),),
        operators=(OperatorSettings(id="hanako", name="架空 花子", token_digest=_digest("hanako")),),
    )
    try:
        async with running(settings) as opened:
            yield opened
    finally:
        os.umask(before)


ASKED = (
    ("GET", "/console/", 200),
    ("GET", "/console/session", 403),
    ("GET", "/nowhere", 404),
    ("PUT", "/healthz", 405),
    ("GET", "/healthz", 200),
    ("GET", "/readyz", 200),
    ("GET", "/v1/openapi.json", 200),
    ("POST", "/v1/events", 401),
    ("GET", "/agency/jp-13-fire/wrong", 404),
    ("POST", "/lost", 415),
    ("GET", "/console/map/base.geojson", 200),
    ("GET", "/console", 302),
)


async def test_every_page_and_error_carries_the_headers_and_names_no_version(service: Service):
    at = f"http://127.0.0.1:{service.settings.port}"
    asked: dict[tuple[str, str], dict[str, str]] = {}
    async with aiohttp.ClientSession() as session:
        for method, path, _ in ASKED:
            async with session.request(method, f"{at}{path}", allow_redirects=False) as answer:
                asked[method, path] = dict(answer.headers) | {"status": str(answer.status)}
        async with session.get(f"{at}{service.links.inbox('jp-13-fire').removeprefix('https://sos.example')}") as page:
            asked["GET", "inbox"] = dict(page.headers) | {"status": str(page.status)}

    for told in asked.values():
        assert told["X-Content-Type-Options"] == "nosniff"
        assert told["Referrer-Policy"] == "no-referrer"
        assert told["Cross-Origin-Opener-Policy"] == "same-origin"
        assert "frame-ancestors 'none'" in told["Content-Security-Policy"]
        assert told["Strict-Transport-Security"] == "max-age=63072000; includeSubDomains"
        assert told["Server"] == "sos"
        assert "Cache-Control" in told
    assert [int(asked[method, path]["status"]) for method, path, _ in ASKED] == [status for *_, status in ASKED]
    assert asked["GET", "inbox"]["status"] == "200"
    assert "object-src 'none'" in asked["GET", "/console/"]["Content-Security-Policy"]


@pytest.mark.parametrize("expected", [b"the-unexpected", b"\xff\xfe", b"100-Continue"])
async def test_a_report_is_not_turned_away_for_what_its_sender_expects_of_the_server(service: Service, expected: bytes):
    body = crash(Car(), at=service.journal.clock.now(), seed=1).body
    fields = (
        b"Host: x\r\nConnection: close\r\nAuthorization: Bearer %s\r\nContent-Type: application/json" % KEY.encode()
    )
    statuses = []
    for target, content in ((b"POST /v1/events", body), (b"GET /nowhere", b"")):
        reader, writer = await asyncio.open_connection("127.0.0.1", service.settings.port)
        head = b"%s HTTP/1.1\r\n%s\r\nExpect: %s\r\nContent-Length: %d" % (target, fields, expected, len(content))
        writer.write(head + b"\r\n\r\n" + content)
        answer = (await reader.read()).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
        statuses.append(int(answer.split()[1]))
        writer.close()

    assert statuses == [202, 404]


@pytest.mark.parametrize("wanted", [b"\xff\xfe", b"websocket\xed\xa0\x80"])
async def test_an_upgrade_to_what_is_no_text_is_an_upgrade_to_nothing(service: Service, wanted: bytes):
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{service.settings.port}/console/session", json={"token": "hanako"}) as answer,
    ):
        cookie = answer.headers["Set-Cookie"].partition(";")[0].encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", service.settings.port)
    head = b"GET /console/socket HTTP/1.1\r\nHost: x\r\nConnection: close\r\nUpgrade: %s\r\nCookie: %s\r\n\r\n"
    writer.write(head % (wanted, cookie))

    status = int((await reader.read()).split()[1])

    writer.close()
    assert status == 400


async def test_under_tls_the_session_has_a_name_that_no_other_host_or_path_can_set(service: Service):
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{service.settings.port}/console/session", json={"token": "hanako"}) as answer,
    ):
        cookie = answer.cookies["__Host-sos_desk"]

    assert (cookie["secure"], cookie["httponly"], cookie["path"], cookie["domain"]) == (True, True, "/", "")


async def test_everything_that_is_kept_is_for_this_user_alone_whatever_the_umask(service: Service):
    service_url = f"http://127.0.0.1:{service.settings.port}"
    await report_once(
        crash(Car(), at=service.journal.clock.now(), seed=3), base_url=service_url, key=KEY, clock=service.journal.clock
    )
    (service.settings.data / "made-later").write_bytes(b"")

    kept = await asyncio.to_thread(lambda: [service.settings.data, *service.settings.data.rglob("*")])
    modes = {path: path.lstat().st_mode for path in kept}
    open_ = {str(path): oct(mode) for path, mode in modes.items() if stat.S_IMODE(mode) & 0o077}

    assert {"journal.db", "journal.db-wal", "journal.db-shm"} <= {path.name for path in kept}
    assert open_ == {}
