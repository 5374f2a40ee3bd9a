"""The address on the operator's screen: recorded once, late or never, and never in anybody's way."""

import json
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from routing.categories import Category
from routing.position.geocode import Geocoder
from sos.dispatch.addresses import FRESH, Addresses
from sos.incident.events import PlaceDescribed
from sos.incident.model import Disposition
from sos.journal.sections import sections
from tests.journeys import story as s

FOUND = {"lat": "35.69", "lon": "139.70", "display_name": "架空一丁目, 東京都"}


class Stub:
    def __init__(self):
        self.answer = json.dumps(FOUND).encode()
        self.asked = 0

    async def get(self, _request):
        self.asked += 1
        return web.Response(body=self.answer, content_type="application/json")


@asynccontextmanager
async def naming(journal, clock, stub):
    app = web.Application()
    app.router.add_get("/reverse", stub.get)
    async with TestServer(app) as server:
        url = f"nominatim+http://127.0.0.1:{server.port}"
        async with Geocoder(url, monotonic=lambda: 0.0, within_s=5.0) as geocoder:
            yield Addresses(journal, geocoder, clock=clock)


async def described(journal, incident):
    return [each for each in await journal.store.stream(incident) if isinstance(each.event, PlaceDescribed)]


@pytest.fixture
def stub():
    return Stub()


async def test_a_report_is_named_once_however_often_it_is_handled(journal, clock, arrive, stub):
    incident = await arrive()
    stream = await journal.store.stream(incident)
    async with naming(journal, clock, stub) as addresses:
        await addresses.handle(stream)
        await addresses.handle(stream)

    (told,) = await described(journal, incident)
    assert told.event.source == "nominatim"
    assert told.event.distance_m % 10 == 0
    assert told.actor == "system:addresses"
    assert stub.asked == 1
    part = json.loads((await journal.parts_of(told))[Category.LOC])
    assert part["address"] == "架空一丁目, 東京都"


async def test_an_unverified_address_is_in_no_brief(journal, clock, arrive, stub):
    incident = await arrive()
    async with naming(journal, clock, stub) as addresses:
        await addresses.handle(await journal.store.stream(incident))

    shown = await journal.read(incident, (Category.LOC,), reader="operator:hanako", purpose="emergency_handling")
    parts = shown.parts
    assert "address" in b"".join(part.payload for part in parts).decode()
    assert "address" not in json.loads(sections(parts)[Category.LOC])


@pytest.mark.parametrize("answer", [b"<html>", b'{"error": "Unable to geocode"}', b"[1]"])
async def test_a_geocoder_that_does_not_say_leaves_no_trace(answer, journal, clock, arrive, stub):
    stub.answer = answer
    incident = await arrive()
    async with naming(journal, clock, stub) as addresses:
        await addresses.handle(await journal.store.stream(incident))

    assert await described(journal, incident) == []


async def test_an_old_or_closed_report_is_not_asked_about(journal, clock, arrive, stub):
    old, closed = await arrive(seed=1), await arrive(seed=2)
    close = s.close(Disposition.FALSE_ALARM)
    await journal.execute(closed, close, actor="operator:hanako")
    async with naming(journal, clock, stub) as addresses:
        await addresses.handle(await journal.store.stream(closed))
        await clock.advance(FRESH + timedelta(seconds=1))
        await addresses.handle(await journal.store.stream(old))

    assert stub.asked == 0
