"""The vehicle's voice door as standard WHIP clients use it (RFC 9725): no header of our own, and every refusal."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sos.app import Service, running
from sos.calls.port import IceServer
from sos.calls.turn import ice_links
from sos.errors import Malformed
from sos.settings import Settings, TenantSettings
from sos.whip import FRAGMENT_MEDIA_TYPE, OFFER_MEDIA_TYPE, Fragment
from tests.ports import free_port
from tests.sos.calls.peers import Peer
from tests.sos.calls.test_agency_door import KEY, digest

OFFER = {"Content-Type": OFFER_MEDIA_TYPE}
FRAGMENT = {"Content-Type": FRAGMENT_MEDIA_TYPE}


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """Somebody who has a token and an address, and nothing else of ours."""
    settings = Settings(
        data_dir=str(tmp_path / "data"),
        port=free_port(),
        tenants=(TenantSettings(id="acme", domain="acme.sos.example", key_digests=(digest(KEY),)),),
    )
    async with running(settings) as service:
        assert isinstance(service, Service)
        async with aiohttp.ClientSession(service.url, headers={"Authorization": f"Bearer {KEY}"}) as session:
            yield session


def trickle(offer: str, *candidates: str) -> str:
    """``candidates`` as a fragment of the session that ``offer`` began."""
    credentials = re.findall(r"a=ice-(?:ufrag|pwd):.*", offer)
    return "\r\n".join([*(line.strip() for line in credentials), "m=audio 9 RTP/AVP 0", "a=mid:0", *candidates, ""])


async def test_a_call_is_offered_trickled_and_ended_with_nothing_but_a_token(
    client: aiohttp.ClientSession, tmp_path: Path
) -> None:
    car = Peer(tmp_path, seed=1)
    whole = await car.offer()
    candidates = re.findall(r"a=candidate:\S.*(?=\r)", whole)
    offer = re.sub(r"a=(candidate:|end-of-candidates).*\r\n", "", whole)

    async with client.post("/v1/calls", data=offer, headers=OFFER) as made:
        answer = await made.text()
    where, tag = made.headers["Location"], made.headers["ETag"]
    async with client.patch(where, data=trickle(offer, *candidates), headers=FRAGMENT | {"If-Match": tag}) as more:
        assert await more.read() == b""
    await car.take(answer)
    await car.hears(0.3)
    async with client.delete(where) as ended:
        pass
    await car.leave()

    assert (made.status, more.status, ended.status) == (201, 204, 204)
    assert made.content_type == OFFER_MEDIA_TYPE
    assert re.fullmatch(r'"[0-9a-f]{32}"', tag)
    assert "ETag" not in more.headers
    assert "a=setup:passive" in answer
    assert where.startswith(f"/v1/incidents/{made.headers['Incident']}/legs/")


async def test_what_a_fragment_is_meant_for_is_asked_for_and_looked_at(
    client: aiohttp.ClientSession, tmp_path: Path
) -> None:
    car = Peer(tmp_path, seed=1)
    offer = await car.offer()
    async with client.post("/v1/calls", data=offer, headers=OFFER) as made:
        where, tag = made.headers["Location"], made.headers["ETag"]
    restarted = trickle("a=ice-ufrag:other\r\na=ice-pwd:0123456789012345678901\r\n")
    theirs = Fragment.read(restarted).etag

    async def patched(body: str, **headers: str) -> tuple[int, str]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with client.patch(where, data=body, headers=FRAGMENT | named) as answer:
            return answer.status, answer.content_type

    problem = "application/problem+json"
    assert await patched(trickle(offer)) == (428, problem)
    assert await patched(trickle(offer), If_Match='"other"') == (412, problem)
    assert await patched(restarted, If_Match=tag) == (412, problem)
    assert await patched(restarted, If_Match=theirs) == (412, problem)
    assert await patched(restarted, If_Match="*") == (422, problem)
    assert await patched("a=mid:0", If_Match=tag) == (400, problem)
    assert await patched(trickle(offer), If_Match=tag, Content_Type="text/plain") == (415, problem)
    assert await patched(trickle(offer) + "a=x\r\n" * 9000, If_Match=tag) == (400, problem)
    assert await patched(trickle(offer), If_Match=f'"other", {tag}') == (204, "application/octet-stream")
    await car.leave()


async def test_a_browser_of_any_origin_is_told_what_it_may_do_and_reads_refusals(client: aiohttp.ClientSession) -> None:
    for path, names in (("/v1/calls", "Accept-Post"), ("/v1/incidents/x/legs/y", "Accept-Patch")):
        async with client.options(path, headers={"Authorization": ""}) as told:
            assert told.status == 200
            assert names in told.headers
            assert "PATCH" in told.headers["Access-Control-Allow-Methods"]
            assert "Authorization" in told.headers["Access-Control-Allow-Headers"]
            assert told.headers["Access-Control-Allow-Origin"] == "*"
            assert "Access-Control-Allow-Credentials" not in told.headers
    async with client.post("/v1/calls", data="v=0", headers=OFFER | {"Authorization": "Bearer wrong"}) as refused:
        assert (refused.status, refused.headers["Access-Control-Allow-Origin"]) == (401, "*")
        assert refused.headers["WWW-Authenticate"]
    async with client.post("/v1/calls", data="v=0", headers={"Content-Type": "text/plain"}) as wrong:
        assert wrong.status == 415
    async with client.put("/v1/calls", data="v=0") as never:
        assert never.status == 405


async def test_a_leg_of_nobody_takes_no_candidates(client: aiohttp.ClientSession, tmp_path: Path) -> None:
    car = Peer(tmp_path, seed=1)
    offer = await car.offer()
    await car.leave()
    headers = FRAGMENT | {"If-Match": Fragment.read(offer).etag}

    async with client.post("/v1/calls", data=offer, headers=OFFER) as made:
        where = made.headers["Location"]
    async with client.patch(where.rsplit("/", 1)[0] + "/nobody", data=trickle(offer), headers=headers) as unknown:
        assert unknown.status == 404
    async with client.patch("/v1/incidents/x/legs/y", data=trickle(offer), headers=headers) as strange:
        assert strange.status == 404
    async with client.patch(where, data=trickle(offer), headers=headers | {"Authorization": "Bearer x"}) as stranger:
        assert stranger.status == 401


def test_relays_are_told_in_links() -> None:
    servers = (
        IceServer(urls=("stun:relay.sos.example:3478",)),
        IceServer(urls=("turn:relay.sos.example:3478?transport=udp",), username="1:car", credential="c2VjcmV0"),
    )

    assert ice_links(servers) == [
        '<stun:relay.sos.example:3478>; rel="ice-server"',
        '<turn:relay.sos.example:3478?transport=udp>; rel="ice-server"; username="1:car"; credential="c2VjcmV0"; '
        'credential-type="password"',
    ]


@given(st.text(max_size=200))
def test_any_text_is_a_fragment_or_malformed(text: str) -> None:
    try:
        read = Fragment.read(text)
    except Malformed:
        return
    assert re.fullmatch(r'"[0-9a-f]{32}"', read.etag)
