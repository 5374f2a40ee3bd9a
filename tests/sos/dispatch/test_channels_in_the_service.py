"""The whole service and an agency's own system: reported, told by push, answered by a signed callback, handed over."""

import asyncio
import re
import secrets
from datetime import timedelta
from hashlib import sha256
from importlib import resources
from pathlib import Path

import aiohttp
import msgspec
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recording.keys import KeyStore
from sos.app import Service, running
from sos.clock import SystemClock
from sos.incident.events import AgencyAcknowledged, DeliveryStarted, HandoffCompleted, RungTaken
from sos.incident.model import AgencyId, Incident, IncidentId, State
from sos.settings import OperatorSettings, Settings, TenantSettings
from sos.signing import public_text, signed
from sos.vehicle.report import Car, crash, report_once
from tests.ports import free_port
from tests.sos.dispatch.agencies import AgencySystem

FIRE = AgencyId("jp-13-fire")
CLOCK = SystemClock()


def _directory(file: Path, *, url: str, key: str) -> Path:
    """The demonstration's directory, in which the fire headquarters of Tokyo has a system of its own."""
    shipped = (resources.files("routing") / "data" / "demo_agencies.toml").read_text()
    told = f'channels = {{ https = {{ url = "{url}", key = "{key}" }}, voice = {{ number = "+81355500113" }} }}'
    made, found = re.subn(r'(id = "jp-13-fire"\n(?:.*\n)*?)channels = .*', lambda row: row[1] + told, shipped, count=1)
    assert found == 1
    file.write_text(made)
    return file


async def _until(service: Service, incident: IncidentId, true) -> Incident:
    async with asyncio.timeout(60):
        while not true(state := await service.journal.state(incident)):
            await service.journal.clock.wait(_MOMENT)
    return state


_MOMENT = timedelta(milliseconds=20)


class Desk:
    """An operator's socket, orders and replies only."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._id = 0

    async def order(self, **order: object) -> dict[str, object]:
        self._id += 1
        await self._socket.send_str(msgspec.json.encode({"id": self._id, **order}).decode())
        async with asyncio.timeout(60):
            async for frame in self._socket:
                told = msgspec.json.decode(frame.data)
                if told["t"] == "reply" and told["id"] == self._id:
                    return told
        raise AssertionError("the socket closed")


async def test_a_crash_is_told_by_push_and_taken_over_by_a_signed_answer(tmp_path: Path):
    agency, tenant_key, desk_token = Ed25519PrivateKey.generate(), secrets.token_urlsafe(24), secrets.token_urlsafe(24)
    system = AgencySystem(KeyStore(tmp_path / "keys").signing_key("push").public_key(), CLOCK)
    async with TestServer(system.app()) as server:
        system.base = str(server.make_url("/push"))
        settings = Settings(
            data_dir=str(tmp_path),
            port=free_port(),
            demo=True,
            directory=str(_directory(tmp_path / "d.toml", url=system.base, key=public_text(agency.public_key()))),
            tenants=(TenantSettings(id="acme", domain="acme.example", key_digests=(_digest(tenant_key),)),),
            operators=(OperatorSettings(id="hanako", name="架空 花子", token_digest=_digest(desk_token)),),
        )
        async with running(settings) as service, aiohttp.ClientSession(cookie_jar=_jar()) as session:
            event = crash(Car(), at=CLOCK.now(), seed=1)
            taken = await report_once(event, base_url=service.url, key=tenant_key, clock=CLOCK)
            incident = IncidentId(taken.incident)
            await _until(service, incident, lambda state: state.planned)
            await session.post(f"{service.url}/console/session", json={"token": desk_token})
            async with session.ws_connect(f"{service.url}/console/socket") as socket:
                desk = Desk(socket)
                assert (await desk.order(do="answer", incident=incident))["ok"]
                wish = {"necessity": "automatic_crash", "consent": "no_answer"}
                assert (await desk.order(do="disclose", incident=incident, agency=FIRE, **wish))["ok"]
                second = await desk.order(do="disclose", incident=incident, agency="jp-default-fire", **wish)
            state = await _until(service, incident, lambda state: state.disclosures[0].reached is not None)
            status = await _call_back(session, service, state, agency)
            done = await _until(service, incident, lambda state: state.state is State.HANDED_OVER)
            events = [recorded.event for recorded in await service.journal.store.stream(incident)]

    assert second["error"]["type"] == "Unconfirmed"
    assert status == 204
    assert system.arrived == {done.disclosures[0].disclosure: 1}
    assert incident in system.bodies[done.disclosures[0].disclosure].decode()
    assert [each.channel for each in events if isinstance(each, DeliveryStarted)] == ["https"]
    kinds = [type(each) for each in events]
    assert kinds.index(RungTaken) < kinds.index(DeliveryStarted) < kinds.index(AgencyAcknowledged)
    assert HandoffCompleted in kinds


async def _call_back(session: aiohttp.ClientSession, service: Service, state: Incident, key: Ed25519PrivateKey) -> int:
    url, body = service.links.callback(state.id, state.disclosures[0].disclosure), b'{"answer":"taken_over"}'
    headers = signed(
        key,
        keyid=FIRE,
        method="POST",
        url=url,
        body=body,
        content_type="application/json",
        idempotency_key="answer-1",
        now=CLOCK.now(),
    )
    async with session.post(url, data=body, headers=headers) as response:
        return response.status


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()


def _jar() -> aiohttp.CookieJar:
    """Keeps the desk's session although the service is an address and not a name."""
    return aiohttp.CookieJar(unsafe=True)
