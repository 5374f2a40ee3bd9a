"""Relays: credentials that end by themselves, given to those who may call, and believed by a real coturn."""

import asyncio
import base64
import hmac
import json
import os
import shutil
import socket
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection
from aiortc.rtcconfiguration import RTCIceTransportPolicy

from recording.keys import KeyStore
from sos.app import running
from sos.calls.adapters.embedded.media_server import MediaServer
from sos.calls.http import IceEndpoint
from sos.calls.port import IceServer, LegUp
from sos.calls.turn import LASTS, Turn
from sos.clock import SystemClock
from sos.errors import Forbidden, Misconfigured
from sos.incident.model import IncidentId, LegId, Party, new_id
from sos.problems import problems_middleware
from sos.settings import OperatorSettings, Settings, TenantSettings
from sos.vehicle.report import Car, crash, report_once
from tests.ports import free_port
from tests.sos.calls.peers import KEY, Events, Peer, met
from tests.sos.calls.test_agency_door import FIRE, Browser, digest
from tests.sos.dispatch.test_disclosure_at_the_desk import Desk

RELAY = "turn:relay.example.com:3478?transport=udp"
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


class At:
    """A clock that stands still."""

    def now(self) -> datetime:
        return NOON

    async def wait(self, duration: timedelta) -> None:
        raise AssertionError("nothing here waits")


def test_a_credential_ends_hours_later_and_is_the_hash_of_its_own_name() -> None:
    (server,) = Turn((RELAY,), "secret", clock=At()).servers("vehicle")

    expiry, _, name = server.username.partition(":")
    assert datetime.fromtimestamp(int(expiry), UTC) == NOON + LASTS
    assert name.startswith("vehicle-")
    expected = hmac.new(b"secret", server.username.encode(), "sha1").digest()
    assert base64.b64decode(server.credential) == expected


def test_no_two_legs_have_the_same_name_at_the_relay() -> None:
    turn = Turn((RELAY,), "secret", clock=At())

    assert len({turn.servers("vehicle")[0].username for _ in range(100)}) == 100


def test_a_stun_server_is_given_without_credentials() -> None:
    servers = Turn(("stun:stun.example.com:3478", RELAY), "secret", clock=At()).servers("operator")

    assert [bool(each.credential) for each in servers] == [False, True]


def test_a_house_without_relays_gives_none() -> None:
    assert Turn((), "secret", clock=At()).servers("vehicle") == ()


def test_an_address_that_is_no_relay_stops_the_start() -> None:
    with pytest.raises(Misconfigured, match="turn_urls"):
        Turn(("https://relay.example.com",), "secret", clock=At())


class Known:
    """A sender that may ask."""

    tenant_id = "brand"

    def check(self, body: bytes, *, content: object = None) -> None:
        assert body == b""


@pytest.fixture
async def door() -> AsyncIterator[str]:
    def sender_of(request: web.Request) -> Known:
        if request.headers.get("Authorization") != "Bearer right":
            raise Forbidden("no")
        return Known()

    def operator_of(request: web.Request) -> str:
        if "session" not in request.cookies:
            raise Forbidden("log in")
        return "o1"

    turn = Turn((RELAY,), "secret", clock=At())
    app = web.Application(middlewares=[problems_middleware])
    app.add_routes(IceEndpoint(turn, sender_of=sender_of, operator_of=operator_of).routes())  # type: ignore[arg-type]
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_a_vehicle_and_an_operator_are_given_relays_and_a_stranger_is_not(door: str) -> None:
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{door}/v1/ice", headers={"Authorization": "Bearer right"}) as answer:
            vehicle = await answer.json()
        async with http.get(f"{door}/console/ice", cookies={"session": "x"}) as answer:
            operator, kept = await answer.json(), answer.headers["Cache-Control"]
        async with http.get(f"{door}/v1/ice") as answer:
            stranger = answer.status

    assert vehicle["iceServers"][0]["urls"] == operator["iceServers"][0]["urls"] == [RELAY]
    assert vehicle["lastsSeconds"] == LASTS.total_seconds()
    assert kept == "no-store"
    assert stranger == 403


class Coturn:
    """A real relay over loopback, started as ``ops/coturn/run`` starts it."""

    def __init__(self, tmp_path: Path, *, port: int) -> None:
        self._tmp_path = tmp_path
        self._port = port
        self.secret = KeyStore(tmp_path / "keys").secret("turn").hex()
        self.turn = Turn((f"turn:127.0.0.1:{port}?transport=udp",), self.secret, clock=SystemClock())

    async def __aenter__(self) -> "Coturn":
        run = Path(__file__).parents[3] / "ops" / "coturn" / "run"
        workers = {"SOS_WORKERS": f"127.0.0.1 {socket.gethostbyname(socket.gethostname())} {_outward()}"}
        self._log = (self._tmp_path / "coturn.log").open("wb")
        self._process = await asyncio.create_subprocess_exec(
            str(run), str(self._tmp_path / "keys"), "sos.example.com",
            "--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", f"--listening-port={self._port}",
            "--allow-loopback-peers", "--no-tls", "--no-dtls", f"--log-file={self._tmp_path / 'turn.log'}",
            f"--pidfile={self._tmp_path / 'turn.pid'}", f"--userdb={self._tmp_path / 'turn.db'}",
            env=os.environ | workers, stdout=self._log, stderr=self._log,
        )  # fmt: skip
        await asyncio.wait_for(met(self._listening), 60)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._process.terminate()
        await self._process.wait()
        self._log.close()

    def _listening(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0


def _outward() -> str:
    """This machine's own address: what a media worker offers as its candidate.  Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        address: str = probe.getsockname()[0]
        return address


@pytest.fixture
async def coturn(tmp_path: Path) -> AsyncIterator[Coturn]:
    if shutil.which("turnserver") is None:
        pytest.skip("coturn is not installed")
    async with Coturn(tmp_path, port=free_port()) as relay:
        yield relay


def relayed(peer: Peer, servers: tuple[IceServer, ...]) -> Peer:
    """``peer``, reaching nobody but through the relay."""
    ice = [RTCIceServer(urls=list(each.urls), username=each.username, credential=each.credential) for each in servers]
    policy = RTCIceTransportPolicy.RELAY
    peer.connection = RTCPeerConnection(RTCConfiguration(iceServers=ice, iceTransportPolicy=policy))
    return peer


async def test_a_caller_behind_a_closed_network_is_heard_through_the_relay(
    coturn: Coturn, provider: MediaServer, new_peer: Callable[[int], Peer]
) -> None:
    events, car = Events(provider), relayed(new_peer(1), coturn.turn.servers("vehicle"))

    await car.call(provider, incident=new_id(), leg="leg-car", party=Party.VEHICLE)
    await events.until(LegUp)
    await car.hears(1)

    offered = [line for line in car.connection.localDescription.sdp.splitlines() if "a=candidate" in line]
    assert offered
    assert all(" typ relay" in line for line in offered)


async def test_our_own_legs_offer_a_relay_when_they_are_given_one(
    coturn: Coturn, provider: MediaServer, new_peer: Callable[[int], Peer]
) -> None:
    car = new_peer(1)
    answer = await provider.accept(
        incident=IncidentId(new_id()), leg=LegId("leg-car"), party=Party.VEHICLE, who="vehicle",
        offer=await car.offer(), key=KEY, relays=coturn.turn.servers("worker"),
    )  # fmt: skip

    assert " typ relay" in answer


async def test_a_relay_does_not_believe_a_credential_of_another_secret(
    coturn: Coturn, new_peer: Callable[[int], Peer]
) -> None:
    forged = Turn((coturn.turn.servers("x")[0].urls[0],), "another", clock=SystemClock())
    car = relayed(new_peer(1), forged.servers("vehicle"))

    assert " typ relay" not in await car.offer()


async def test_a_dead_relay_does_not_keep_a_caller_waiting(
    provider: MediaServer, new_peer: Callable[[int], Peer]
) -> None:
    dead = Turn((f"turn:127.0.0.1:{free_port()}?transport=udp",), "secret", clock=SystemClock())
    events, car = Events(provider), new_peer(1)

    answer = await provider.accept(
        incident=IncidentId(new_id()), leg=LegId("leg-car"), party=Party.VEHICLE, who="vehicle",
        offer=await car.offer(), key=KEY, relays=dead.servers("worker"),
    )  # fmt: skip
    await car.take(answer)

    await events.until(LegUp)


async def test_an_agency_is_given_a_relay_while_it_may_join_and_is_heard_through_it(
    coturn: Coturn, tmp_path: Path, new_peer: Callable[[int], Peer]
) -> None:
    (server,) = coturn.turn.servers("x")
    settings = Settings(
        data_dir=str(tmp_path),
        port=free_port(),
        turn_urls=server.urls,
        tenants=(TenantSettings(id="acme", domain="acme.sos.example", key_digests=(digest("key"),)),),
        operators=(OperatorSettings(id="hanako", name="架空 花子", token_digest=digest("hanako")),),
    )
    clock = SystemClock()
    async with running(settings) as service:
        taken = await report_once(crash(Car(), at=clock.now(), seed=1), base_url=service.url, key="key", clock=clock)
        desk = await Desk.sit(service.url, "hanako")
        await desk.order(do="answer", incident=taken.incident)
        wish = {"path": "life_protection", "necessity": "automatic_crash", "consent": "no_answer"}
        told = await desk.order(do="disclose", incident=taken.incident, agency=FIRE, **wish)
        page = Browser(service, taken.incident, told["result"]["disclosures"][0])

        too_early, _ = await page.ask("GET", below="/ice")
        stranger, _ = await page.ask("GET", address=page.forged(), below="/ice")
        await desk.order(do="invite", incident=taken.incident, agency=FIRE)
        let_in, given = await page.ask("GET", below="/ice")
        (relay,) = json.loads(given)["iceServers"]
        fire = relayed(new_peer(3), (IceServer(**relay | {"urls": tuple(relay["urls"])}),))
        joined = await page.join(fire)
        await desk.hear(t="event", kind="LegJoined")
        taken_already, _ = await page.ask("GET", below="/ice")
        await desk.leave()

    assert (too_early, stranger, let_in, joined, taken_already) == (409, 404, 200, 201, 409)
    assert relay["urls"] == list(server.urls)
    assert relay["username"].partition(":")[2].startswith("agency-")
