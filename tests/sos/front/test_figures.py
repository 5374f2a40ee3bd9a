"""Figures have an address of their own: the doors do not know them, and a port that is taken stops nothing."""

import json
import socket
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import pytest

from sos.app import running
from sos.errors import Misconfigured
from sos.settings import Settings
from tests.house import free_port


async def _status(port: int, path: str) -> int:
    return (await _got(port, path))[0]


async def _got(port: int, path: str) -> tuple[int, str, Mapping[str, str]]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as answer:
        return answer.status, await answer.text(), answer.headers


async def test_figures_stand_on_their_own_port_with_nothing_else_and_no_door_has_them(tmp_path: Path):
    settings = Settings(data_dir=str(tmp_path), port=free_port(), metrics_port=free_port())
    async with running(settings):
        at_the_doors = await _status(settings.port, "/metrics")
        others = {await _status(settings.metrics_port, path) for path in ("/", "/readyz", "/console/", "/v1/events")}
        _, figures, headers = await _got(settings.metrics_port, "/metrics")

    assert (at_the_doors, others) == (404, {404})
    assert "sos_incidents_waiting 0.0" in figures
    assert (headers["X-Content-Type-Options"], headers["Server"]) == ("nosniff", "sos")


async def test_a_port_that_another_program_has_stops_no_door(tmp_path: Path):
    with socket.socket() as another:
        another.bind(("127.0.0.1", 0))
        another.listen()
        settings = Settings(data_dir=str(tmp_path), port=free_port(), metrics_port=another.getsockname()[1])
        async with running(settings):
            assert await _status(settings.port, "/healthz") == 200
            _, ready, _ = await _got(settings.port, "/readyz")

    assert json.loads(ready)["died"] == {}


def test_the_port_of_figures_is_never_the_port_of_the_doors():
    with pytest.raises(Misconfigured, match="metrics_port"):
        Settings(port=8080, metrics_port=8080)
