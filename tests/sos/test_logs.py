"""The one log path: no credential and nothing that was sent stands in it, whoever logs and whatever goes wrong."""

import asyncio
import json
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import structlog

from sos.logs import MOST, STRUCK, Repeats, without_secrets
from tests.house import ROOT, House

MARK = "Marker-7f3kQ9zX-secret"

OF_LIBRARIES = f"""
import asyncio, logging, sys, warnings
import structlog
from aiohttp.http_exceptions import InvalidHeader
from sos import logs
from sos.errors import Unavailable

logging.getLogger("aiohttp.access").addHandler(logging.StreamHandler())  # somebody's own way out
logs.configure()
M = "{MARK}"
for name in ("aiohttp.server", "aiohttp.access", "asyncio", "aiortc", "aioice", "sqlalchemy.pool", "alembic", "py.x"):
    log = logging.getLogger(name)
    log.error("Authorization: Bearer " + M)
    log.error("GET /agency/jp-13-fire/" + M)
    log.error("from %s", M)
    log.error("first line\\nCookie: sos_desk=" + M)
    try:
        try:
            raise InvalidHeader(("Authorization: Bearer " + M).encode())
        except InvalidHeader as inner:
            raise RuntimeError(M) from inner
    except RuntimeError as outer:
        log.exception("Error handling request from %s", M, exc_info=outer)
ours = structlog.get_logger()
ours.error("said", token=M, nested={{"cookie": M, "list": ["Bearer " + M]}}, body=M.encode())
try:
    raise Unavailable("the mail server said: Authorization: Basic " + M)
except Unavailable:
    ours.exception("failed")
warnings.warn("token=" + M)
async def dies():
    raise ValueError(M)
async def main():
    task = asyncio.ensure_future(dies())
    await asyncio.wait([task])
asyncio.run(main())
raise KeyError(M)
"""


def test_what_libraries_say_goes_the_same_way_and_without_what_was_sent():
    run = subprocess.run([sys.executable, "-c", OF_LIBRARIES], cwd=ROOT, capture_output=True, text=True, check=False)

    lines = [json.loads(line) for line in run.stderr.splitlines()]
    loggers = {line.get("logger") for line in lines}

    assert MARK not in run.stdout + run.stderr
    assert {"aiohttp.server", "aiohttp.access", "asyncio", "aiortc", "aioice", "sqlalchemy.pool", "alembic"} <= loggers
    assert {"Error handling request from %s", "first line"} <= {line.get("said") for line in lines}
    assert all(
        "aiohttp.http_exceptions.InvalidHeader" in line["error"] for line in lines if "InvalidHeader" in str(line)
    )
    assert lines[-1] == lines[-1] | {"event": "died", "error": ["KeyError"], "level": "critical"}
    assert run.returncode == 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"Authorization: Bearer {MARK}", f"Authorization {STRUCK}"),
        (f"x Bearer {MARK} y", f"x Bearer {STRUCK} y"),
        (f"/agency/brief/1/2/{MARK}?x", f"/agency/brief/ {STRUCK}"),
        (f"https://a.example/?access_token={MARK}&b=1", f"https://a.example/?access_token {STRUCK}&b=1"),
        ("eyJhbGciOi.eyJzdWIi.c2ln", f" {STRUCK}"),
        ("7mT0pKxYz-4QqLwEr_8UoPa1Sd2Fg3Hj4Kl5Zx6Cv7B", f" {STRUCK}"),
        ("incident 01a1fdec-8e60-73ad-8e54-ec6fd8eec267", "incident 01a1fdec-8e60-73ad-8e54-ec6fd8eec267"),
        ("9f86d081884c7d659a2feaa0c55ad015" * 2, "9f86d081884c7d659a2feaa0c55ad015" * 2),
    ],
)
def test_what_looks_like_a_credential_is_struck_out_and_an_id_is_not(text: str, shown: str):
    assert without_secrets(text) == shown


AUTH = f"Host: x\r\nAuthorization: Bearer {MARK}\r\nCookie: sos_desk={MARK}\r\n"
MALFORMED = {
    "header without colon": f"GET /readyz HTTP/1.1\r\n{AUTH}{MARK}\r\n\r\n",
    "control character": f"GET /readyz HTTP/1.1\r\n{AUTH}X-A: {MARK}\x01\r\n\r\n",
    "folded": f"GET /readyz HTTP/1.1\r\nAuthorization: Bearer\r\n {MARK}\r\n\r\n",
    "space before colon": f"GET /readyz HTTP/1.1\r\nAuthorization : {MARK}\r\n\r\n",
    "oversized header": f"GET /readyz HTTP/1.1\r\n{AUTH}X: {MARK * 2000}\r\n\r\n",
    "oversized line": f"GET /agency/x/{MARK * 2000} HTTP/1.1\r\n{AUTH}\r\n",
    "many headers": f"GET / HTTP/1.1\r\n{AUTH}" + "".join(f"X-{n}: {MARK}\r\n" for n in range(300)) + "\r\n",
    "no method": f"\x00\x01{MARK} HTTP/1.1\r\n\r\n",
    "bad version": f"GET /agency/x/{MARK} HTTP/9.9\r\n{AUTH}\r\n",
    "bad length": f"POST /v1/events HTTP/1.1\r\n{AUTH}Content-Length: -1\r\n\r\n{MARK}",
    "two lengths": f"POST /v1/events HTTP/1.1\r\n{AUTH}Content-Length: 4\r\nContent-Length: 5\r\n\r\n{MARK}",
    "broken chunks": f"POST /v1/events HTTP/1.1\r\n{AUTH}Transfer-Encoding: chunked\r\n\r\nZZ\r\n{MARK}\r\n0\r\n\r\n",
    "broken gzip": f"POST /v1/events HTTP/1.1\r\n{AUTH}Content-Encoding: gzip\r\nContent-Length: 30\r\n\r\n{MARK:<30}",
    "cut body": f"POST /console/session HTTP/1.1\r\n{AUTH}Content-Length: 400\r\n\r\n" + '{"token": "' + MARK,
    "wrong json": f"POST /console/session HTTP/1.1\r\n{AUTH}Content-Length: 30\r\n\r\n{MARK:<30}",
    "bad cookie": f'GET /console/session HTTP/1.1\r\nHost: x\r\nCookie: sos_desk="{MARK}; a=|{MARK}|; =;;\r\n\r\n',
    "bad percent": f"GET /agency/%ff%00/{MARK}%zz HTTP/1.1\r\n{AUTH}\r\n",
    "portal": f"GET /agency/jp-13-fire/{MARK} HTTP/1.1\r\n{AUTH}\r\n",
    "upgrade": f"GET /console/socket?token={MARK} HTTP/1.1\r\n{AUTH}Upgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    "signature": f'POST /v1/events HTTP/1.1\r\nHost: x\r\nSignature-Input: a=("{MARK}"\r\nSignature: {MARK}\r\n'
    "Content-Length: 2\r\n\r\n{}",
    "jwt": f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer eyJ{MARK}.{MARK}.x\r\nContent-Length: 2\r\n"
    "\r\n{}",
    "export": f"POST /v1/exports HTTP/1.1\r\n{AUTH}Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}",
    "not text": f"POST /lost HTTP/1.1\r\n{AUTH}Content-Type: application/lost+xml\r\n"
    f"Content-Length: 30\r\n\r\n{MARK:<30}",
}


async def test_no_malformed_request_leaves_a_secret_in_the_log_of_a_real_service(tmp_path: Path):
    async with House(tmp_path / "data") as house:
        for text in MALFORMED.values():
            await _send(house.port, text.encode("latin-1"))
        alive = await house.get("/readyz")

    log = (tmp_path / "data" / "service.log").read_text()
    assert alive
    assert MARK not in log
    assert "Traceback" not in log
    assert all(json.loads(line)["event"] for line in log.splitlines())


async def _send(port: int, request: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        writer.write_eof()
        async with asyncio.timeout(60):
            await reader.read()
    except ConnectionError:
        return
    finally:
        writer.close()


@pytest.mark.parametrize("word", ["-", "eyJ--", "token", "a", "Bearer ", "x=: cookie", "-eyJa.eyJ"])
def test_a_line_of_any_length_is_cut_before_it_is_looked_through(word: str):
    began = time.perf_counter()

    shown = without_secrets(word * 200_000)

    assert time.perf_counter() - began < 1.0
    assert len(shown) < 2 * MOST


def test_a_secret_that_the_cut_would_halve_goes_whole():
    assert "eyJhbG" not in without_secrets("x " * 996 + "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJ4In0.AAAA and more")


def _line(**fields: object) -> dict[str, object]:
    return {"event": "spool_waits", "level": "warning", "timestamp": "2026-01-01T00:00:00Z", **fields}


def test_what_an_outage_repeats_is_written_once_a_minute_and_what_is_new_at_once():
    now = [0.0]
    repeats = Repeats(monotonic=lambda: now[0])
    written = []
    for second in range(600):
        now[0] = float(second)
        for line in (_line(reason="away"), _line(event="deadlines_wait", reason="away"), _line(incident=second)):
            with suppress(structlog.DropEvent):
                written.append(repeats(None, "", {**line, "timestamp": str(second)}))

    assert len([line for line in written if line.get("reason")]) == 2 * 10
    assert len([line for line in written if "incident" in line]) == 600
    assert {line["left_out"] for line in written if "left_out" in line} == {59}


def test_a_line_of_information_is_never_left_out():
    repeats = Repeats(monotonic=lambda: 0.0)

    assert [repeats(None, "", _line(level="info"))["event"] for _ in range(3)] == ["spool_waits"] * 3
