"""Every route of the running service has an access rule: it is public on purpose, or it refuses a stranger."""

import gc
import re
from pathlib import Path

import pytest
from aiohttp import ClientSession, TCPConnector, web

from sos.app import running
from sos.settings import Settings
from tests.ports import free_port

PUBLIC = {
    ("GET", "/healthz"): "says only that it is alive",
    ("GET", "/readyz"): "says only which part is down",
    ("GET", "/console"): "leads to the page",
    ("GET", "/console/"): "the page; empty until somebody logs in",
    ("GET", "/console/assets/{name}"): "the page's scripts",
    ("GET", "/console/map/base.geojson"): "a public-domain map",
    ("POST", "/console/session"): "where one logs in",
    ("GET", "/v1/openapi.json"): "describes the interface, holds nobody's data",
    ("GET", "/v1/schemas/{name}"): "describes what is sent",
    ("OPTIONS", "/v1/calls"): "what a browser asks before it offers a call; the same answer for everybody",
    ("OPTIONS", "/v1/incidents/{incident}/voice"): "the same, of whatever name is asked",
    ("OPTIONS", "/v1/incidents/{incident}/legs/{leg}"): "the same, of whatever name is asked",
    ("GET", "/.well-known/http-message-signatures-directory"): "the public key under which others are told",
    ("POST", "/lost"): "which agency answers for a place; strangers share a rate and learn no unlisted line",
}
"""Routes that answer anybody, and why that is right."""


def _routes() -> set[tuple[str, str]]:
    """Method and path of every route of the application that is running in this process."""
    running_now = [
        {(route.method, route.resource.canonical) for route in app.router.routes() if route.resource is not None}
        for app in gc.get_objects()
        if isinstance(app, web.Application) and app.frozen
    ]
    return max(running_now, key=lambda routes: (len(routes & set(PUBLIC)), len(routes)))


def _stranger(number: int) -> ClientSession:
    """Each from an address of its own: one that is wrong too often is turned away whatever it asks."""
    return ClientSession(connector=TCPConnector(local_addr=(f"127.0.1.{1 + number % 250}", 0)))


async def test_every_route_is_public_on_purpose_or_refuses_a_stranger(tmp_path: Path):
    settings = Settings(data_dir=str(tmp_path), port=free_port())
    answers: dict[tuple[str, str], int] = {}
    async with running(settings) as service:
        routes = {(method, path) for method, path in _routes() if method != "HEAD"}  # answers as GET does
        assert set(PUBLIC) <= routes
        for number, (method, path) in enumerate(sorted(routes - set(PUBLIC))):
            url = service.url + re.sub(r"\{\w+\}", "x", path)
            async with _stranger(number) as stranger, stranger.request(method, url, data=b"{}") as answer:
                answers[method, path] = answer.status
                assert await answer.text() != ""

    assert len(answers) >= 9
    assert set(answers.values()) <= {401, 403, 404}, answers


@pytest.mark.parametrize("route", sorted(PUBLIC), ids=lambda route: f"{route[0]} {route[1]}")
def test_a_public_route_says_why_it_is_public(route: tuple[str, str]):
    assert len(PUBLIC[route]) > 10
