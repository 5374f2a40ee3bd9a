"""Addresses from a geocoder that behaves, and from one that does everything a server can do wrongly."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routing.breaker import Breaker, Patience
from routing.errors import Misconfigured
from routing.location import Position
from routing.position.geocode import MAX_BYTES, MAX_TEXT, Geocoder, Outcome

SHINJUKU = Position(35.6900, 139.7000)
WORDS = "架空一丁目, 新宿区, 東京都"
NOMINATIM = {"lat": "35.6901", "lon": "139.7001", "display_name": WORDS, "address": {"road": "架空通り"}}
PHOTON = {
    "features": [
        {"geometry": {"coordinates": [139.7001, 35.6901]}, "properties": {"name": "架空交差点", "city": "新宿区"}}
    ]
}
PELIAS = {"features": [{"geometry": {"coordinates": [139.7001, 35.6901]}, "properties": {"name": "架空交差点"}}]}


class Stub:
    """A geocoder on loopback that answers as told."""

    def __init__(self):
        self.status = 200
        self.body = json.dumps(NOMINATIM).encode()
        self.headers = {"Content-Type": "application/json"}
        self.hangs = False
        self.released = asyncio.Event()
        self.asked = []

    async def get(self, request):
        self.asked.append((request.path, dict(request.query), request.headers.get("User-Agent")))
        if self.hangs:
            await self.released.wait()
        return web.Response(status=self.status, body=self.body, headers=self.headers)


class Seconds:
    def __init__(self):
        self.at = 0.0

    def __call__(self):
        return self.at


@asynccontextmanager
async def geocoding(stub, *, kind="nominatim", within_s=5.0, seconds=None):
    app = web.Application()
    app.router.add_get("/{tail:.*}", stub.get)
    async with TestServer(app) as server:
        url = f"{kind}+http://127.0.0.1:{server.port}/own"
        async with Geocoder(url, monotonic=seconds or Seconds(), within_s=within_s) as geocoder:
            yield geocoder
        stub.released.set()


@pytest.fixture
async def stub():
    return Stub()


@pytest.mark.parametrize(
    ("kind", "body", "words", "path"),
    [
        ("nominatim", NOMINATIM, WORDS, "/own/reverse"),
        ("photon", PHOTON, "架空交差点, 新宿区", "/own/reverse"),
        ("pelias", PELIAS, "架空交差点", "/own/v1/reverse"),
    ],
)
async def test_each_kind_of_geocoder_describes_a_place(kind, body, words, path, stub):
    stub.body = json.dumps(body).encode()
    async with geocoding(stub, kind=kind) as geocoder:
        seen = await geocoder.describe(SHINJUKU)

    assert seen.outcome is Outcome.DESCRIBED
    assert seen.address.text == words
    assert seen.address.distance_m == pytest.approx(14.3, abs=0.2)
    assert stub.asked[0][0] == path
    assert stub.asked[0][2] == "sos-service"


async def test_a_place_is_asked_for_once(stub):
    async with geocoding(stub) as geocoder:
        first = await geocoder.describe(SHINJUKU)
        again = await geocoder.describe(Position(35.69001, 139.70001))

    assert first == again
    assert len(stub.asked) == 1


async def test_a_hung_geocoder_costs_the_deadline_and_no_more(stub):
    stub.hangs = True
    async with geocoding(stub, within_s=0.05) as geocoder:
        assert (await geocoder.describe(SHINJUKU)).outcome is Outcome.TIMED_OUT


FAULTS = {
    "limited": (429, b"slow down", Outcome.RATE_LIMITED),
    "broken": (500, b"", Outcome.UNAVAILABLE),
    "away": (503, b"", Outcome.TIMED_OUT),
    "gateway": (504, b"", Outcome.TIMED_OUT),
    "no key": (401, b"", Outcome.REFUSED),
    "forbidden": (403, b"", Outcome.REFUSED),
    "bad request": (400, b"", Outcome.REFUSED),
    "redirected": (302, b"", Outcome.UNAVAILABLE),
    "html": (200, b"<html>Welcome to nginx", Outcome.UNREADABLE),
    "nothing at all": (200, b"", Outcome.UNREADABLE),
    "not utf-8": (200, b"\xff\xfe\x00", Outcome.UNREADABLE),
    "too much": (200, b" " * (MAX_BYTES + 1), Outcome.UNREADABLE),
    "a number": (200, b"7", Outcome.UNREADABLE),
    "words": (200, b'"words"', Outcome.UNREADABLE),
    "a list of numbers": (200, b"[1, 2]", Outcome.UNREADABLE),
    "no text": (200, b'{"lat": "1", "lon": "2"}', Outcome.UNREADABLE),
    "a text that is none": (200, b'{"lat": "1", "lon": "2", "display_name": 5}', Outcome.UNREADABLE),
    "a place that is none": (200, b'{"lat": "x", "lon": "2", "display_name": "y"}', Outcome.UNREADABLE),
    "another error": (200, b'{"error": "internal"}', Outcome.REFUSED),
    "nothing there": (200, b'{"error": "Unable to geocode"}', Outcome.NOTHING_KNOWN),
    "an empty list": (200, b"[]", Outcome.NOTHING_KNOWN),
    "deeply nested": (200, b"[" * 100_000, Outcome.UNREADABLE),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_whatever_a_geocoder_does_wrongly_has_a_name_and_raises_nothing(fault, stub):
    stub.status, stub.body, outcome = FAULTS[fault]
    async with geocoding(stub) as geocoder:
        seen = await geocoder.describe(SHINJUKU)

    assert (seen.outcome, seen.address) == (outcome, None)


@pytest.mark.parametrize("kind", ["photon", "pelias"])
@pytest.mark.parametrize("body", [b"{}", b'{"features": 5}', b'{"features": [{}]}', b'{"features": [5]}', b"null"])
async def test_json_that_is_not_theirs_is_unreadable(kind, body, stub):
    stub.body = body
    async with geocoding(stub, kind=kind) as geocoder:
        assert (await geocoder.describe(SHINJUKU)).outcome in (Outcome.UNREADABLE, Outcome.NOTHING_KNOWN)


async def test_nobody_at_the_address_is_unavailable():
    async with Geocoder("photon+http://127.0.0.1:9", monotonic=Seconds(), within_s=5.0) as geocoder:
        assert (await geocoder.describe(SHINJUKU)).outcome is Outcome.UNAVAILABLE


async def test_a_geocoder_that_fails_three_times_rests_and_is_then_tried_once(stub):
    seconds = Seconds()
    stub.status = 500
    async with geocoding(stub, seconds=seconds) as geocoder:
        seen = [(await geocoder.describe(SHINJUKU)).outcome for _ in range(4)]
        seconds.at = 6.0
        tried = [(await geocoder.describe(SHINJUKU)).outcome for _ in range(2)]
        seconds.at = 60.0
        stub.status = 200
        healed = (await geocoder.describe(SHINJUKU)).outcome

    assert seen == [Outcome.UNAVAILABLE] * 3 + [Outcome.RESTING]
    assert tried == [Outcome.UNAVAILABLE, Outcome.RESTING]
    assert healed is Outcome.DESCRIBED
    assert len(stub.asked) == 5


async def test_a_geocoder_that_names_its_own_pause_is_given_it(stub):
    seconds = Seconds()
    stub.status, stub.headers = 429, {"Retry-After": "60"}
    async with geocoding(stub, seconds=seconds) as geocoder:
        first = (await geocoder.describe(SHINJUKU)).outcome
        seconds.at = 59.0
        early = (await geocoder.describe(SHINJUKU)).outcome
        seconds.at = 61.0
        stub.status, stub.headers = 200, {}
        late = (await geocoder.describe(SHINJUKU)).outcome

    assert (first, early, late) == (Outcome.RATE_LIMITED, Outcome.RESTING, Outcome.DESCRIBED)


async def test_an_endless_text_is_cut(stub):
    stub.body = json.dumps(NOMINATIM | {"display_name": "あ\n" * 1_000}).encode()
    async with geocoding(stub) as geocoder:
        seen = await geocoder.describe(SHINJUKU)

    assert seen.address.text == ("あ " * 1_000)[:MAX_TEXT]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["features", "geometry", "coordinates", "properties", "name", "lat", "lon", "display_name"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    ),
    st.sampled_from(["nominatim", "photon", "pelias"]),
)
def test_any_json_at_all_is_an_outcome(body, kind):
    async def one():
        stub = Stub()
        stub.body = json.dumps(body).encode()
        async with geocoding(stub, kind=kind) as geocoder:
            assert isinstance((await geocoder.describe(SHINJUKU)).outcome, Outcome)

    asyncio.run(one())


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://127.0.0.1/",
        "google+https://maps.example",
        "nominatim+ftp://x",
        "nominatim+https://nominatim.openstreetmap.org",
        "photon+https://photon.komoot.io/",
    ],
)
def test_what_is_no_geocoder_of_our_own_stops_the_start(url):
    with pytest.raises(Misconfigured, match="geocoder"):
        Geocoder(url, monotonic=Seconds())


def test_a_breaker_doubles_its_rest_up_to_a_bound_and_forgets_it_with_a_success():
    seconds = Seconds()
    breaker = Breaker(seconds, Patience(failures=1, rest_s=10.0, longest_rest_s=30.0))
    rests = []
    for _ in range(4):
        breaker.failed()
        rest = 0.0
        while not breaker.closed:
            seconds.at += 1.0
            rest += 1.0
        rests.append(rest)
    breaker.worked()

    assert rests == [10.0, 20.0, 30.0, 30.0]
    assert breaker.closed


@pytest.mark.parametrize(
    ("kind", "body", "path"),
    [
        ("nominatim", [NOMINATIM], "/own/search"),
        ("photon", PHOTON, "/own/api"),
        ("pelias", PELIAS, "/own/v1/search"),
    ],
)
async def test_each_kind_of_geocoder_finds_an_address(kind, body, path, stub):
    stub.body = json.dumps(body).encode()
    async with geocoding(stub, kind=kind) as geocoder:
        at = await geocoder.find("東京都新宿区架空一丁目")

    assert (at.latitude, at.longitude) == (35.6901, 139.7001)
    assert stub.asked[0][0] == path


async def test_an_address_that_nobody_knows_or_answers_for_is_none_in_time(stub):
    stub.body = b"[]"
    async with geocoding(stub) as geocoder:
        assert await geocoder.find("架空") is None
        assert await geocoder.find("  ") is None
    stub.body = json.dumps([{**NOMINATIM, "lat": "0", "lon": "0"}]).encode()
    async with geocoding(stub) as geocoder:
        assert await geocoder.find("架空") is None
    stub.body = b"no JSON"
    async with geocoding(stub) as geocoder:
        assert await geocoder.find("架空") is None
    stub.hangs = True
    async with geocoding(stub, within_s=0.1) as geocoder:
        async with asyncio.timeout(2):
            assert await geocoder.find("架空") is None
