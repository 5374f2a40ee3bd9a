"""The proxy configurations that ship: nginx and Caddy take them, and reports, desks and strangers pass as meant."""

import asyncio
import os
import shutil
import ssl
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from sos.clock import SystemClock
from tests.house import ROOT, DoorProcess, House
from tests.ports import free_port

PATH = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin"
NGINX, CADDY = shutil.which("nginx", path=PATH), shutil.which("caddy", path=PATH)
NO_NGINX = pytest.mark.skipif(NGINX is None, reason="no nginx on this machine (Debian package nginx-light)")
NO_CADDY = pytest.mark.skipif(CADDY is None, reason="no Caddy on this machine (Debian package caddy)")
NAME = "sos.example.com"

PASSED = {
    "/healthz": (200, "alive\n"),
    "/metrics": (404, None),
    "/v1/events": (401, None),
    "too large": (413, None),
    "headers": (200, "sos"),
}


@NO_NGINX
async def test_nginx_passes_on_what_it_should_and_the_doors_have_no_figures(tmp_path: Path):
    assert await _through(tmp_path, _prepared) == PASSED


@NO_CADDY
async def test_caddy_passes_on_what_it_should_and_the_doors_have_no_figures(tmp_path: Path):
    told = await _through(tmp_path, _caddy)

    assert told == {**PASSED, "headers": (200, None)}  # it takes its own name away, and ours with it


@NO_CADDY
async def test_caddys_configuration_is_written_as_caddy_writes_it():
    shipped = ROOT / "ops" / "proxy" / "Caddyfile"
    done = await asyncio.to_thread(subprocess.run, [CADDY, "fmt", shipped], check=False, capture_output=True, text=True)

    assert done.stdout == await asyncio.to_thread(shipped.read_text)


@pytest.mark.parametrize("which", [pytest.param("nginx", marks=NO_NGINX), pytest.param("caddy", marks=NO_CADDY)])
async def test_reports_go_to_the_door_also_while_the_service_is_gone(tmp_path: Path, which: str):
    async with House(tmp_path / "data") as house, DoorProcess(house) as door:
        await door.until_alive()
        port = free_port()
        prepared = {"nginx": _prepared, "caddy": _caddy}[which]
        given = await asyncio.to_thread(prepared, tmp_path, port, house.port, house.door_port)
        elsewhere = {**os.environ, "XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
        proxy = await asyncio.create_subprocess_exec(*given, env=elsewhere)
        try:
            await _ask(port)
            await house.kill()
            headers = {"Host": NAME, "Authorization": f"Bearer {house.tenant_key}"}
            to = {"ssl": _trusting(), "server_hostname": NAME, "headers": headers}
            told = []
            async with aiohttp.ClientSession() as session:
                for number in range(3):
                    body = (
                        b'{"specversion":"1.0","type":"jp.invented.crash.v1","id":"%d","source":"urn:a","data":{}}'
                        % number
                    )
                    async with session.post(f"https://127.0.0.1:{port}/v1/events", data=body, **to) as answer:
                        told.append((answer.status, (await answer.json())["durability"]))
        finally:
            proxy.terminate()
            await proxy.wait()

    assert told == [(202, "spooled")] * 3


@pytest.mark.parametrize("which", [pytest.param("nginx", marks=NO_NGINX), pytest.param("caddy", marks=NO_CADDY)])
async def test_a_proxy_writes_down_no_address_and_no_header(tmp_path: Path, which: str):
    """Whatever fails behind it: addresses of an agency's pages, and headers, hold credentials."""
    port, nobody = free_port(), free_port()
    prepared = {"nginx": _prepared, "caddy": _caddy}[which]
    given = await asyncio.to_thread(prepared, tmp_path, port, nobody)
    elsewhere = {**os.environ, "XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    with (tmp_path / "log").open("wb") as log:
        proxy = await asyncio.create_subprocess_exec(*given, env=elsewhere, stdout=log, stderr=log)
    try:
        status = await _fail(port)
    finally:
        proxy.terminate()
        await proxy.wait()

    assert status == 502
    assert b"hidden-mark" not in await asyncio.to_thread((tmp_path / "log").read_bytes)


async def _fail(port: int) -> int:
    """What is answered when nobody stands behind the proxy."""
    headers = {"Host": NAME, "Authorization": "Bearer hidden-mark", "X-Other": "hidden-mark"}
    given = {"ssl": _trusting(), "server_hostname": NAME, "headers": headers}
    async with aiohttp.ClientSession() as session, asyncio.timeout(30):
        while True:
            try:
                async with session.get(f"https://127.0.0.1:{port}/agency/jp-13-fire/hidden-mark", **given) as answer:
                    return answer.status
            except aiohttp.ClientConnectionError:
                await SystemClock().wait(timedelta(milliseconds=50))


def _trusting() -> ssl.SSLContext:
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    return trusting


async def _through(folder: Path, prepared: Callable[[Path, int, int], list[str]]) -> dict[str, tuple[int, str | None]]:
    """What a stranger is told through the proxy that the command runs."""
    async with House(folder / "data") as house:
        port = free_port()
        given = await asyncio.to_thread(prepared, folder, port, house.port)
        elsewhere = {**os.environ, "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
        proxy = await asyncio.create_subprocess_exec(*given, env=elsewhere)
        try:
            return await _ask(port)
        finally:
            proxy.terminate()
            await proxy.wait()


def _caddy(folder: Path, port: int, service: int, door: int = 0) -> list[str]:
    """The shipped configuration with this test's ports and files, which Caddy itself has looked through."""
    assert CADDY is not None
    _certificate(folder)
    shipped = (ROOT / "ops" / "proxy" / "Caddyfile").read_text()
    for old, new in (
        (f"https://{NAME}:8443", f"https://{NAME}:{port}"),
        ("127.0.0.1:8081", f"127.0.0.1:{door or free_port()}"),
        ("127.0.0.1:8080", f"127.0.0.1:{service}"),
        ("/etc/sos/tls", str(folder)),
    ):
        assert old in shipped
        shipped = shipped.replace(old, new)
    (folder / "Caddyfile").write_text(shipped)
    named = ["--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]
    looked = subprocess.run([CADDY, "validate", *named], check=False, capture_output=True, text=True)
    assert looked.returncode == 0, looked.stderr
    return [CADDY, "run", *named]


def _certificate(folder: Path) -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}",
         "-keyout", folder / "key.pem", "-out", folder / "fullchain.pem"],
        check=True, capture_output=True,
    )  # fmt: skip


def _prepared(folder: Path, port: int, service: int, door: int = 0) -> list[str]:
    """The shipped configuration with this test's ports and files, which nginx itself has looked through."""
    assert NGINX is not None
    _certificate(folder)
    shipped = (ROOT / "ops" / "proxy" / "nginx.conf").read_text()
    for old, new in (
        ("127.0.0.1:8443", f"127.0.0.1:{port}"),
        ("server 127.0.0.1:8081", f"server 127.0.0.1:{door or free_port()}"),
        ("server 127.0.0.1:8080", f"server 127.0.0.1:{service}"),
        ("/etc/sos/tls", str(folder)),
        ("/run/sos-nginx.pid", str(folder / "nginx.pid")),
    ):
        assert old in shipped
        shipped = shipped.replace(old, new)
    (folder / "nginx.conf").write_text(shipped)
    given = [NGINX, "-c", str(folder / "nginx.conf"), "-p", str(folder), "-g", "daemon off;"]
    looked = subprocess.run([*given, "-t"], check=False, capture_output=True, text=True)
    assert looked.returncode == 0, looked.stderr
    return given


async def _ask(port: int) -> dict[str, tuple[int, str | None]]:
    at, told = f"https://127.0.0.1:{port}", dict[str, tuple[int, str | None]]()
    given = {"ssl": _trusting(), "server_hostname": NAME, "headers": {"Host": NAME}}
    async with aiohttp.ClientSession() as session, asyncio.timeout(30):
        while "/healthz" not in told:
            try:
                async with session.get(f"{at}/healthz", **given) as answer:
                    told["/healthz"] = answer.status, await answer.text()
                    told["headers"] = answer.status, answer.headers.get("Server")
                    assert answer.headers["X-Content-Type-Options"] == "nosniff"
            except aiohttp.ClientConnectionError:
                await SystemClock().wait(timedelta(milliseconds=50))
        async with session.get(f"{at}/metrics", **given) as answer:
            told["/metrics"] = answer.status, None
        async with session.post(f"{at}/v1/events", data=b"{}", **given) as answer:
            told["/v1/events"] = answer.status, None
        async with session.post(f"{at}/v1/events", data=bytes(400_000), **given) as answer:
            told["too large"] = answer.status, None
    return told
