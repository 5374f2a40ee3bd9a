"""The proxy configuration that ships: nginx takes it, and a report, a desk's page and a slow stranger pass as meant."""

import asyncio
import shutil
import ssl
import subprocess
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from sos.clock import SystemClock
from tests.house import ROOT, House
from tests.ports import free_port

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")


@pytest.mark.skipif(NGINX is None, reason="no nginx on this machine (Debian package nginx-light)")
async def test_nginx_passes_on_what_it_should_and_the_doors_have_no_figures(tmp_path: Path):
    async with House(tmp_path / "data") as house:
        port = free_port()
        given = await asyncio.to_thread(_prepared, tmp_path, port, house.port)
        proxy = await asyncio.create_subprocess_exec(*given)
        try:
            told = await _ask(port)
        finally:
            proxy.terminate()
            await proxy.wait()

    assert told == {"/healthz": (200, "alive\n"), "/metrics": (404, None), "/v1/events": (401, None)}


def _prepared(folder: Path, port: int, service: int) -> list[str]:
    """The shipped configuration with this test's ports and files, which nginx itself has looked through."""
    assert NGINX is not None
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=sos.example.com", "-days", "2",
         "-keyout", folder / "key.pem", "-out", folder / "fullchain.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    shipped = (ROOT / "ops" / "proxy" / "nginx.conf").read_text()
    for old, new in (
        ("127.0.0.1:8443", f"127.0.0.1:{port}"),
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
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    told: dict[str, tuple[int, str | None]] = {}
    async with aiohttp.ClientSession() as session, asyncio.timeout(30):
        while "/healthz" not in told:
            try:
                async with session.get(f"https://127.0.0.1:{port}/healthz", ssl=trusting) as answer:
                    told["/healthz"] = answer.status, await answer.text()
            except aiohttp.ClientConnectionError:
                await SystemClock().wait(timedelta(milliseconds=50))
        async with session.get(f"https://127.0.0.1:{port}/metrics", ssl=trusting) as answer:
            told["/metrics"] = answer.status, None
        async with session.post(f"https://127.0.0.1:{port}/v1/events", ssl=trusting, data=b"{}") as answer:
            told["/v1/events"] = answer.status, None
    return told
