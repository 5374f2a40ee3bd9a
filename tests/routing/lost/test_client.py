"""Asking others: against a real server over loopback, a hung one, a lying one and none at all."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from routing.lost.client import MAX_REDIRECTS, Cause, Client, Unanswered, locate
from routing.lost.codec import MAX_ANSWER_BYTES, read_request, write_answer
from routing.lost.messages import Errors, Fault, FindService, ListServices, ListServicesResponse, Redirect
from routing.lost.server import answer
from routing.position.shapes import Circle, Point
from tests.routing.lost.conftest import NOW

TOKYO, OSAKA = Point(35.69, 139.70), Point(34.69, 135.50)
THEM = "lost.them.example"


class Elsewhere:
    """A LoST server of somebody else, on loopback, that can be told to misbehave."""

    def __init__(self, sources):
        self.sources = msgspec.structs.replace(sources, source=THEM)
        self.asked = []
        self.says = None
        self.hangs = False
        self.released = asyncio.Event()

    async def post(self, request):
        asked = read_request(await request.read())
        self.asked.append(asked)
        if self.hangs:
            await self.released.wait()
        if isinstance(self.says, web.Response):
            return web.Response(status=self.says.status, body=self.says.body, headers=self.says.headers)
        said = self.says or answer(asked, self.sources, now=NOW, partner=True)
        return web.Response(body=write_answer(said), content_type="application/lost+xml")


class Watch:
    """Seconds and instants that move when the test says so."""

    def __init__(self):
        self.at = NOW

    def now(self):
        return self.at

    def monotonic(self):
        return (self.at - NOW).total_seconds()


@pytest.fixture
def watch():
    return Watch()


@pytest.fixture
async def elsewhere(sources):
    return Elsewhere(sources)


@asynccontextmanager
async def asking(elsewhere, watch, *, timeout_s=5.0, urls=None):
    app = web.Application()
    app.router.add_post("/lost", elsewhere.post)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        known = {THEM: str(server.make_url("/lost"))} | (urls or {})
        async with Client(
            session, source="lost.us.example", urls=known, now=watch.now, monotonic=watch.monotonic, timeout_s=timeout_s
        ) as client:
            yield client
        elsewhere.released.set()


def find(shape, service="urn:service:sos.police", **more):
    return FindService(locations=locate(shape), service=service, boundary="value", **more)


async def cause_of(awaitable):
    with pytest.raises(Unanswered) as caught:
        await awaitable
    return caught.value.cause


async def test_an_answer_is_fetched_once_for_every_place_inside_its_boundary(elsewhere, watch):
    async with asking(elsewhere, watch) as client:
        first = await client.find(THEM, find(TOKYO))
        again = await client.find(THEM, find(Circle(35.691, 139.701, 50.0)))
        other = await client.find(THEM, find(OSAKA))

    assert first == again
    assert other.mappings[0].source_id.startswith("jp-27-police")
    assert [request.path for request in elsewhere.asked] == [("lost.us.example",)] * 2


async def test_another_service_is_another_question(elsewhere, watch):
    async with asking(elsewhere, watch) as client:
        await client.find(THEM, find(TOKYO))
        await client.find(THEM, find(TOKYO, "urn:service:sos.fire"))

    assert len(elsewhere.asked) == 2


async def test_another_day_is_another_question(elsewhere, watch):
    async with asking(elsewhere, watch) as client:
        await client.find(THEM, find(TOKYO))
        await client.find(THEM, find(TOKYO, as_of=NOW + timedelta(days=400)))

    assert [request.as_of for request in elsewhere.asked] == [None, NOW + timedelta(days=400)]


async def test_an_answer_is_fetched_again_when_it_has_expired(elsewhere, watch):
    async with asking(elsewhere, watch) as client:
        await client.find(THEM, find(TOKYO))
        watch.at += timedelta(days=1)
        await client.find(THEM, find(TOKYO))

    assert len(elsewhere.asked) == 2


async def test_an_expired_answer_is_better_than_none(elsewhere, watch):
    async with asking(elsewhere, watch) as client:
        first = await client.find(THEM, find(TOKYO))
        watch.at += timedelta(days=2)
        elsewhere.says = web.Response(status=500)
        assert await client.find(THEM, find(TOKYO)) == first


async def test_a_default_mapping_is_not_kept(elsewhere, watch):
    async with asking(elsewhere, watch) as client:
        await client.find(THEM, find(Point(30.0, 135.0)))
        await client.find(THEM, find(Point(30.0, 135.0)))

    assert len(elsewhere.asked) == 2


async def test_a_hung_server_costs_the_timeout_and_no_more(elsewhere, watch):
    elsewhere.hangs = True
    async with asking(elsewhere, watch, timeout_s=0.05) as client:
        assert await cause_of(client.find(THEM, find(TOKYO))) is Cause.TIMEOUT


GARBAGE = {
    "html": web.Response(text="<html>Welcome", content_type="text/html"),
    "nothing": web.Response(body=b""),
    "an entity bomb": web.Response(body=b'<!DOCTYPE a [<!ENTITY b "c">]><errors>&b;</errors>'),
    "too much": web.Response(body=b" " * (MAX_ANSWER_BYTES + 10)),
    "a server error": web.Response(status=503),
    "a redirection of HTTP": web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"}),
}


@pytest.mark.parametrize("garbage", GARBAGE)
async def test_garbage_is_unreadable(garbage, elsewhere, watch):
    elsewhere.says = GARBAGE[garbage]
    async with asking(elsewhere, watch) as client:
        assert await cause_of(client.find(THEM, find(TOKYO))) is Cause.UNREADABLE


async def test_an_answer_to_another_question_is_unreadable(elsewhere, watch):
    elsewhere.says = ListServicesResponse(services=(), path=(THEM,))
    async with asking(elsewhere, watch) as client:
        assert await cause_of(client.find(THEM, find(TOKYO))) is Cause.UNREADABLE
        assert await client.ask(THEM, ListServices()) == elsewhere.says


@pytest.mark.parametrize(
    ("fault", "cause"), [(Fault.NOT_FOUND, Cause.REFUSED), (Fault.LOOP, Cause.LOOP), (Fault.FORBIDDEN, Cause.REFUSED)]
)
async def test_an_error_of_the_protocol_is_told_with_its_words(fault, cause, elsewhere, watch):
    elsewhere.says = Errors(fault=fault, message="no", source=THEM)
    async with asking(elsewhere, watch) as client:
        with pytest.raises(Unanswered) as caught:
            await client.find(THEM, find(TOKYO))

    assert (caught.value.cause, caught.value.errors) == (cause, elsewhere.says)


async def test_nobody_at_the_address_is_unreachable(elsewhere, watch):
    async with asking(elsewhere, watch, urls={"lost.gone.example": "http://127.0.0.1:9/lost"}) as client:
        assert await cause_of(client.find("lost.gone.example", find(TOKYO))) is Cause.UNREACHABLE
        assert await cause_of(client.find("lost.unknown.example", find(TOKYO))) is Cause.UNREACHABLE


async def test_a_server_that_failed_three_times_is_left_in_peace_and_then_tried_once(elsewhere, watch):
    elsewhere.says = web.Response(status=500)
    async with asking(elsewhere, watch) as client:
        for _ in range(3):
            assert await cause_of(client.find(THEM, find(TOKYO))) is Cause.UNREADABLE
        assert await cause_of(client.find(THEM, find(TOKYO))) is Cause.RESTING
        assert len(elsewhere.asked) == 3

        watch.at += timedelta(seconds=6)
        elsewhere.says = None
        assert await client.find(THEM, find(TOKYO))


async def test_a_redirect_is_followed_to_a_server_we_know_and_to_no_other(elsewhere, watch):
    async with asking(elsewhere, watch) as client:
        elsewhere.says = Redirect(target="evil.example", source=THEM)
        assert await cause_of(client.find(THEM, find(TOKYO))) is Cause.UNREACHABLE
        elsewhere.says = Redirect(target=THEM, source=THEM)
        assert await cause_of(client.find(THEM, find(TOKYO))) is Cause.LOOP
        elsewhere.says = Redirect(target="lost.us.example", source=THEM)
        assert await cause_of(client.find(THEM, find(TOKYO))) is Cause.LOOP


async def test_a_chain_of_redirects_ends(watch):
    domains = [f"lost{n}.them.example" for n in range(MAX_REDIRECTS + 2)]
    targets = iter(domains[1:])

    async def onward(request):
        return web.Response(body=write_answer(Redirect(target=next(targets), source=THEM)))

    app = web.Application()
    app.router.add_post("/lost", onward)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        urls = dict.fromkeys(domains, str(server.make_url("/lost")))
        client = Client(session, source="lost.us.example", urls=urls, now=watch.now, monotonic=watch.monotonic)
        assert await cause_of(client.find(domains[0], find(TOKYO))) is Cause.LOOP


async def test_a_server_on_the_path_already_is_not_asked(elsewhere, watch):
    async with asking(elsewhere, watch) as client:
        assert await cause_of(client.find(THEM, find(TOKYO, path=(THEM,)))) is Cause.LOOP

    assert elsewhere.asked == []


@pytest.fixture
def own(sources):
    return answer(find(TOKYO), sources, now=NOW)


async def test_our_own_answer_stands_when_the_other_one_is_late_and_the_late_one_is_kept(elsewhere, watch, own):
    elsewhere.hangs = True
    async with asking(elsewhere, watch) as client:
        assert await client.hedged(own, THEM, find(TOKYO), within_s=0.01) == own
        elsewhere.released.set()
        (late,) = client._late
        await late
        said = await client.hedged(own, THEM, find(TOKYO), within_s=5.0)

    assert said.path == ("lost.us.example", THEM)
    assert len(elsewhere.asked) == 1


async def test_the_other_answer_is_taken_when_it_comes_in_time_and_ours_when_it_is_wrong(elsewhere, watch, own):
    async with asking(elsewhere, watch) as client:
        assert (await client.hedged(own, THEM, find(TOKYO), within_s=5.0)).path[-1] == THEM
        elsewhere.says = web.Response(status=500)
        assert await client.hedged(own, THEM, find(OSAKA), within_s=5.0) == own
