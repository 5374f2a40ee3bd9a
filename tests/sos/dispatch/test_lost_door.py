"""The LoST door over HTTP: access, limits, and other people's servers behind it."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from lxml import etree

from routing.boundaries import PrefectureLayer
from routing.directory import Directory
from routing.lost.areas import Areas
from routing.lost.civic import Gazetteer
from routing.lost.client import Client, locate
from routing.lost.codec import MAX_REQUEST_BYTES, read_answer, read_request, write_answer, write_request
from routing.lost.messages import Errors, Fault, FindService, FindServiceResponse, Redirect, Warn
from routing.lost.server import Peer, Sources, answer
from routing.position.shapes import Point
from sos.dispatch.lost import LostEndpoint, Rate
from sos.problems import Unauthenticated, problems_middleware
from tests.conftest import NEW_YEAR

SCHEMA = Path(__file__).resolve().parents[4] / "shared" / "data" / "lost" / "lost1.rng"
TOKYO, PARIS = Point(35.69, 139.70), Point(48.85, 2.35)
HEADERS = {"Content-Type": "application/lost+xml"}
PLENTY = Rate(100.0, 100.0)
KEY = {"Authorization": "Bearer acme-key"}


@pytest.fixture(scope="module")
def sources():
    layer = PrefectureLayer.load()
    return Sources(
        layer=layer,
        directory=Directory.demo(),
        gazetteer=Gazetteer(layer.names),
        areas=Areas(layer),
        source="lost.us.example",
        updated=NEW_YEAR,
    )


def tenant_of(request):
    if request.headers.get("Authorization") != KEY["Authorization"]:
        raise Unauthenticated("the key is not known")
    return "acme"


class Peers:
    """Another server on loopback that answers as told: with bytes, a status, or truly."""

    def __init__(self, sources):
        self.sources = msgspec.structs.replace(sources, source="lost.them.example")
        self.status = 200
        self.body = None
        self.asked = []
        self.held = asyncio.Event()
        self.held.set()

    async def post(self, request):
        asked = read_request(await request.read())
        self.asked.append(asked)
        await self.held.wait()
        body = self.body if self.body is not None else write_answer(answer(asked, self.sources, now=NEW_YEAR))
        return web.Response(status=self.status, body=body)


@asynccontextmanager
async def the_door(sources, clock, *, strangers=PLENTY, areas=(), peers=None, told=False, within_s=5.0):
    theirs, ours = web.Application(), web.Application(middlewares=[problems_middleware])
    if peers is not None:
        theirs.router.add_post("/lost", peers.post)
    async with TestServer(theirs) as elsewhere, aiohttp.ClientSession() as session:
        url = str(elsewhere.make_url("/lost"))
        peer = Peer(domain="lost.them.example", url=url, areas=areas)
        client = Client(
            session, source=sources.source, urls={peer.domain: url}, now=clock.now, monotonic=lambda: 0.0, timeout_s=5.0
        )
        door = LostEndpoint(
            msgspec.structs.replace(sources, peers=(peer,) if areas else ()),
            client,
            clock=clock,
            tenant_of=tenant_of,
            strangers=strangers,
            everybody_is_told=told,
            peers_within_s=within_s,
        )
        ours.add_routes(door.routes())
        async with client, TestClient(TestServer(ours)) as ready:
            yield ready


def question(place=TOKYO, **more):
    return write_request(FindService(locations=locate(place), service="urn:service:sos.police", **more))


async def ask(client, data, **headers):
    async with client.post("/lost", data=data, headers=HEADERS | headers) as response:
        assert response.status == 200
        assert response.content_type == "application/lost+xml"
        body = await response.read()
        if SCHEMA.exists():
            schema = etree.RelaxNG(etree.parse(SCHEMA))
            assert schema.validate(etree.fromstring(body)), schema.error_log
        return read_answer(body)


async def status_of(client, data, **headers):
    async with client.post("/lost", data=data, headers=HEADERS | headers) as response:
        return response.status


async def test_a_stranger_learns_who_answers_and_no_direct_line(sources, clock):
    async with the_door(sources, clock) as client:
        (mapping,) = (await ask(client, question())).mappings

    assert mapping.source_id == "jp-13-police:JP-13:sos.police"
    assert (mapping.number, mapping.uris) == ("110", ())


async def test_a_tenant_learns_the_lines(sources, clock):
    async with the_door(sources, clock) as client:
        (mapping,) = (await ask(client, question(), **KEY)).mappings

    assert mapping.uris[0].startswith("tel:")


async def test_in_a_demonstration_everybody_learns_the_invented_lines(sources, clock):
    async with the_door(sources, clock, told=True) as client:
        assert (await ask(client, question())).mappings[0].uris


async def test_a_wrong_key_is_refused_rather_than_answered_thinly(sources, clock):
    async with the_door(sources, clock) as client:
        assert await status_of(client, question(), Authorization="Bearer wrong") == 401


async def test_strangers_share_a_rate_and_tenants_do_not(sources, clock):
    async with the_door(sources, clock, strangers=Rate(1.0, 2.0)) as client:
        seen = [await status_of(client, question()) for _ in range(3)]
        tenants = [await status_of(client, question(), **KEY) for _ in range(3)]
        await clock.advance(timedelta(seconds=1))
        later = await status_of(client, question())

    assert (seen, tenants, later) == ([200, 200, 429], [200, 200, 200], 200)


@pytest.mark.parametrize("data", [b"", b"{}", b"<a/>", b"<!DOCTYPE a><a/>", b"\xff\xfe\x00"])
async def test_what_cannot_be_read_is_a_bad_request_in_the_protocols_own_words(data, sources, clock):
    async with the_door(sources, clock) as client:
        said = await ask(client, data)

    assert isinstance(said, Errors)
    assert said.fault is Fault.BAD_REQUEST


async def test_too_much_and_another_kind_of_body_are_refused(sources, clock):
    async with the_door(sources, clock) as client:
        assert await status_of(client, b" " * (MAX_REQUEST_BYTES + 1)) == 413
        assert await status_of(client, b"{}", **{"Content-Type": "application/json"}) == 415
        assert await status_of(client, question(), **{"Content-Type": "text/xml; charset=utf-8"}) == 200


async def test_a_recursive_question_about_anothers_area_is_asked_there(sources, clock):
    peers = Peers(sources)
    async with the_door(sources, clock, areas=("JP-13",), peers=peers) as client:
        said = await ask(client, question(recursive=True, path=("resolver.example",)))
        again = await ask(client, question(recursive=True))
        told = await ask(client, question())

    assert said.path == ("resolver.example", "lost.us.example", "lost.them.example")
    assert said.location_used == "here"
    assert again.mappings == said.mappings
    assert len(peers.asked) == 1
    assert told == Redirect(
        target="lost.them.example", source="lost.us.example", message="This server answers for the place."
    )


@pytest.mark.parametrize(("status", "body"), [(500, b""), (200, b"<html/>"), (403, b""), (200, b"")])
async def test_a_peer_that_fails_leaves_our_own_answer_with_a_warning(status, body, sources, clock):
    peers = Peers(sources)
    peers.status, peers.body = status, body
    async with the_door(sources, clock, areas=("JP-13",), peers=peers) as client:
        said = await ask(client, question(recursive=True))

    assert isinstance(said, FindServiceResponse)
    assert [warning.kind for warning in said.warnings] == [Warn.DEFAULT]
    assert said.mappings[0].expires == "NO-CACHE"


async def test_a_peer_that_hangs_costs_a_bounded_wait_and_its_late_answer_serves_the_next(sources, clock):
    peers = Peers(sources)
    peers.held.clear()
    async with the_door(sources, clock, areas=("JP-13",), peers=peers, within_s=0.05) as client:
        said = await ask(client, question(recursive=True))
        peers.held.set()
        async with asyncio.timeout(30):
            while (again := await ask(client, question(recursive=True))).path[-1] != "lost.them.example":
                pass

    assert [warning.kind for warning in said.warnings] == [Warn.DEFAULT]
    assert again.warnings == ()


@pytest.mark.parametrize(
    ("status", "body", "fault"),
    [(500, b"", Fault.SERVER_ERROR), (200, b"<html/>", Fault.SERVER_ERROR), (403, b"", Fault.FORBIDDEN)],
)
async def test_where_we_know_nothing_the_peers_failure_is_told(status, body, fault, sources, clock):
    peers = Peers(sources)
    peers.status, peers.body = status, body
    async with the_door(sources, clock, areas=("*",), peers=peers) as client:
        said = await ask(client, question(PARIS, recursive=True))

    assert said.fault is fault


async def test_the_error_of_a_peer_is_passed_on(sources, clock):
    peers = Peers(sources)
    peers.body = write_answer(Errors(fault=Fault.NOT_FOUND, message="no", source="lost.them.example"))
    async with the_door(sources, clock, areas=("*",), peers=peers) as client:
        said = await ask(client, question(PARIS, recursive=True))

    assert (said.fault, said.source) == (Fault.NOT_FOUND, "lost.them.example")


async def test_two_servers_that_point_at_each_other_end_in_an_answer(sources, clock):
    peers = Peers(sources)
    us = Peer(domain="lost.us.example", url="http://127.0.0.1:9/", areas=("JP-13",))
    peers.sources = msgspec.structs.replace(peers.sources, peers=(us,))
    async with the_door(sources, clock, areas=("JP-13",), peers=peers) as client:
        said = await ask(client, question(recursive=True))

    assert isinstance(said, FindServiceResponse)
    assert said.path == ("lost.us.example", "lost.them.example")


async def test_our_client_and_our_door_understand_each_other(sources, clock):
    request = FindService(locations=locate(TOKYO), service="urn:service:sos.fire", boundary="value")
    async with the_door(sources, clock) as door, aiohttp.ClientSession(headers=KEY) as session:
        urls = {"lost.us.example": str(door.make_url("/lost"))}
        asker = Client(session, source="car.example", urls=urls, now=clock.now, monotonic=lambda: 0.0, timeout_s=5.0)
        said = await asker.find("lost.us.example", request)

    assert said.path == ("car.example", "lost.us.example")
    assert said.mappings[0].number == "119"
    assert said.mappings[0].uris[0].startswith("tel:")
