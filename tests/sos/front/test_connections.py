"""Thousands of connections that say nothing, and heads and bodies that never end, cost no crash its answer."""

import asyncio
import json
import resource
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from sos.clock import SystemClock
from sos.front.connections import Hall, Room, serve
from sos.problems import problems_middleware
from sos.vehicle.report import Car, crash, report_once
from tests.house import House
from tests.ports import free_port

SILENT = 3_000


def _silent(stack: ExitStack, port: int, *, at: str, begun: bytes = b"") -> socket.socket:
    """A connection from ``at`` (all of 127/8 is this machine) that sends ``begun`` and then nothing."""
    opened = stack.enter_context(socket.socket())
    opened.bind((at, 0))
    opened.connect(("127.0.0.1", port))
    opened.sendall(begun)
    return opened


async def test_three_thousand_half_open_connections_cost_a_crash_nothing(tmp_path: Path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, SILENT + 1_000), hard))
    took = []
    async with House(tmp_path / "data", descriptors=1_024) as house:
        with ExitStack() as stack:
            for number in range(SILENT):
                head = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nX-A:" if number % 2 else b""
                await asyncio.to_thread(_silent, stack, house.port, at=f"127.0.{1 + number % 100}.9", begun=head)
            for seed in range(20):
                report = crash(Car(), at=SystemClock().now(), seed=seed)
                began = time.monotonic()
                await report_once(report, base_url=house.url, key=house.tenant_key, clock=SystemClock())
                took.append(time.monotonic() - began)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert len(took) == 20
    assert max(took) < 5.0, took


@pytest.fixture
async def small() -> AsyncIterator[tuple[int, Hall]]:
    """A door with room for sixteen, four of them for known addresses, four from each."""
    hall = Hall(Room(most=16, per_address=4, proxies=("127.0.0.1",), head_within_s=1.0, body_within_s=1.0))

    async def echo(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    app = web.Application(middlewares=[hall.middleware(), problems_middleware])
    app.add_routes([web.post("/echo", echo)])
    port = free_port()
    listening = await serve(app, hall, host="127.0.0.1", port=port, ssl_context=None)
    yield port, hall
    await listening.stop()


async def _ask(port: int, **headers: str) -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{port}/echo", data=b"x", headers=headers) as answer,
    ):
        return answer.status


async def _until(question: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not question():
            await SystemClock().wait(timedelta(milliseconds=10))


async def test_who_has_waited_longest_makes_place(small: tuple[int, Hall]):
    port, hall = small
    with ExitStack() as stack:
        waiting = [_silent(stack, port, at=f"127.0.0.{2 + n // 3}") for n in range(12)]
        await _until(lambda: hall.connected == 12)

        status = await _ask(port)
        first = await asyncio.get_running_loop().run_in_executor(None, waiting[0].recv, 1)

    assert (status, first, hall.sent_away, hall.turned_away) == (200, b"", 1, 0)


async def test_one_address_has_no_more_than_its_share_and_a_proxy_has(small: tuple[int, Hall]):
    port, hall = small
    with ExitStack() as stack:
        for _ in range(5):
            _silent(stack, port, at="127.0.0.2")
        await _until(lambda: hall.turned_away == 1)
        for _ in range(6):
            _silent(stack, port, at="127.0.0.1")
        await _until(lambda: hall.connected == 10)

    assert hall.turned_away == 1


async def test_what_cannot_be_read_is_answered_without_versions_or_their_bytes(small: tuple[int, Hall]):
    port, _ = small
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost x secret-7\r\n\r\n")

    answer = (await reader.read()).decode()
    writer.close()

    head, _, body = answer.partition("\r\n\r\n")
    assert head.startswith(("HTTP/1.1 400", "HTTP/1.0 400"))
    assert "Server: sos\r\n" in head
    assert "nosniff" in head
    assert json.loads(body) == {"type": "about:blank", "title": "Bad Request", "status": 400}


@pytest.mark.parametrize("begun", [b"", b"POST /echo HTTP/1.1\r\nHost: x\r\nX-A: b"])
async def test_a_head_that_does_not_end_is_not_waited_for(small: tuple[int, Hall], begun: bytes):
    port, hall = small
    with ExitStack() as stack:
        began = time.monotonic()
        opened = _silent(stack, port, at="127.0.0.3", begun=begun)
        closed = await asyncio.get_running_loop().run_in_executor(None, opened.recv, 1)

    assert closed == b""
    assert time.monotonic() - began > 0.5
    await _until(lambda: hall.connected == 0)


async def test_a_body_that_does_not_come_is_a_408(small: tuple[int, Hall]):
    port, _ = small
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")

    async with asyncio.timeout(30):
        answer = await reader.read()
    writer.close()

    assert answer.startswith(b"HTTP/1.1 408")
    assert b"did not arrive" in answer
