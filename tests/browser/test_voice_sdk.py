"""A desk that joins by Twilio's Voice SDK: the real SDK in a real Chromium, under the console's own policy.

Twilio itself cannot be had here.  In its place stand the emulator and ``Signalling``: as much of the SDK's signalling
(a WebSocket over TLS at ``voice-js.<edge>.twilio.com``) as one call needs, read from the SDK's source, with an aiortc
party where Twilio's media would be.  Nothing leaves the machine: Chromium resolves these names to loopback.
"""

import json
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl

import jwt
import pytest
from aiohttp import WSMsgType, web
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.rtp import RtpPacket
from msgspec.structs import replace
from playwright.async_api import Page, async_playwright, expect

from sos.app import running
from sos.incident import events as e
from sos.incident.events import Recorded
from sos.incident.model import IncidentId, Party
from sos.settings import Settings
from sos.vehicle.rtp import take_rtp
from tests.browser.conftest import CHROMIUM, FLAGS, STATIC
from tests.sos.calls.peers import met
from tests.sos.calls.test_twilio_service import Story, settings
from tests.sos.calls.twilio_rig import CAR, DESCRIBED, VEHICLES
from tests.sos.console.web.scripted_service import Tone
from tests.sos.intake.test_doors import Certificates
from tests.twilio_emulator.server import Emulator
from tests.twilio_emulator.world import Call

SEEN_MS = 60_000
SIGNALS = "voice-js.roaming.twilio.com"
SDK_CHUNK = re.compile(r"/assets/(twilio|esm)-")
APPLICATION = "AP" + "0" * 32
WATCHED = """() => {
  window.__refused = [];
  document.addEventListener("securitypolicyviolation", (one) => {
    window.__refused.push(`${one.violatedDirective} ${one.blockedURI}`);
  });
}"""

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (Debian package chromium)"),
    pytest.mark.skipif(not STATIC.is_file(), reason="the console is not built: run ops/build_console.py"),
]


class Signalling:
    """Takes the token and the invitation, answers with a party of our own, and asks our webhook as Twilio would."""

    def __init__(self, emulator: Emulator, files: Certificates) -> None:
        self._emulator = emulator
        self._files = files
        self._connections: list[RTCPeerConnection] = []
        self._talking: tuple[web.WebSocketResponse, Call] | None = None
        self.tokens: list[str] = []
        self.invited: list[dict[str, str]] = []
        self.offers: list[str] = []
        self.hung_up = 0
        self.heard = 0
        """Packets of the operator's sound."""
        self.port = 0

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/signal", self._signal)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._files.path("server.pem"), self._files.path("server.key"))
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=context).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        for connection in self._connections:
            await connection.close()
        await self._runner.cleanup()

    async def _signal(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT and message.data.strip():
                said = json.loads(message.data)
                await self._heard(socket, said["type"], said["payload"])
        return socket

    async def _heard(self, socket: web.WebSocketResponse, kind: str, payload: dict[str, Any]) -> None:
        match kind:
            case "listen":
                self.tokens.append(payload["token"])
                connected = {"region": "jp1", "edge": "tokyo", "token": {"identity": "hanako", "ttl": 3600}}
                await self._tell(socket, "connected", connected)
            case "invite":
                params = dict(parse_qsl(payload["twilio"]["params"]))
                self.invited.append(params)
                self.offers.append(payload["sdp"])
                call = await self._emulator.desk("hanako", **params)
                self._talking = (socket, call)
                answer = await self._answer(payload["sdp"])
                await self._tell(socket, "answer", {"callsid": call.sid, "sdp": answer})
            case "hangup":
                self.hung_up += 1

    async def cut(self) -> None:
        """End the newest call, as Twilio does when it has lost it."""
        assert self._talking is not None
        socket, call = self._talking
        self._emulator.world.finish(call)
        await self._tell(socket, "hangup", {"callsid": call.sid})

    async def _answer(self, offer: str) -> str:
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._connections.append(connection)
        connection.addTrack(Tone())
        await connection.setRemoteDescription(RTCSessionDescription(sdp=offer, type="offer"))
        take_rtp(connection.getReceivers()[0], self._hear)
        await connection.setLocalDescription(await connection.createAnswer())
        return str(connection.localDescription.sdp)

    def _hear(self, _: RtpPacket) -> None:
        self.heard += 1

    async def _tell(self, socket: web.WebSocketResponse, kind: str, payload: dict[str, Any]) -> None:
        await socket.send_str(json.dumps({"type": kind, "version": "1.6", "payload": payload}))


@asynccontextmanager
async def chromium(port: int) -> AsyncIterator[Page]:
    """A page for which every name of Twilio's is this machine, and no other name is anything."""
    rules = f"MAP *.twilio.com 127.0.0.1:{port}, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    flags = (*FLAGS, f"--host-resolver-rules={rules}", "--ignore-certificate-errors")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(flags), timeout=120_000)
        page = await (await browser.new_context(viewport={"width": 1440, "height": 900})).new_page()
        await page.add_init_script(f"({WATCHED})()")
        yield page
        await browser.close()


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(described=DESCRIBED) as opened:
        yield opened


def house(tmp_path: Path, emulator: Emulator) -> Settings:
    """Hanako has no telephone on her desk."""
    good = settings(tmp_path, emulator)
    assert good.twilio is not None
    emulator.desk_url = f"{good.url}/twilio/desk"
    return replace(good, twilio=replace(good.twilio, desk_lines=(), desk_application_sid=APPLICATION))


async def sit(page: Page, url: str) -> list[str]:
    """Hanako begins her work; the paths that her page asks for from now on."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.removeprefix(url)))
    await page.context.request.post(f"{url}/console/session", data={"token": "desk"})
    await page.goto(f"{url}/console/")
    await page.get_by_test_id("start").click()
    return asked


async def refused(page: Page) -> list[str]:
    """What the page's policy has stopped."""
    found: list[str] = await page.evaluate("() => window.__refused")
    return found


async def test_a_desk_talks_through_the_voice_sdk_and_its_policy_stops_nothing(tmp_path: Path, emulator: Emulator):
    configured = house(tmp_path, emulator)
    async with AsyncExitStack() as stack:
        signalling = await stack.enter_async_context(Signalling(emulator, Certificates(tmp_path)))
        service = await stack.enter_async_context(running(configured))
        page = await stack.enter_async_context(chromium(signalling.port))
        asked = await sit(page, service.url)
        await met(lambda: "/console/voice-token" in asked)
        story = Story(service)
        await emulator.call_in(CAR, to=VEHICLES)
        incident = await story.incident()
        await story.until(incident, e.LegJoined, party=Party.VEHICLE)
        await expect(page.get_by_test_id(f"queue-{incident}")).to_be_visible(timeout=SEEN_MS)

        await page.keyboard.press("F2")
        await story.until(incident, e.LegJoined, party=Party.OPERATOR)
        await expect(page.get_by_test_id("voice")).to_have_attribute("data-state", "connected", timeout=SEEN_MS)
        heard = signalling.heard
        await met(lambda: signalling.heard > heard + 50)
        await expect(page.get_by_role("meter").first).not_to_have_attribute("aria-valuenow", "0", timeout=SEEN_MS)
        await page.keyboard.press("Shift+F4")
        await page.get_by_test_id("disposition").select_option("false_alarm", timeout=SEEN_MS)
        if await page.get_by_test_id("untold").is_visible():
            await page.get_by_test_id("untold-reason").select_option("not_needed")
            await page.get_by_test_id("untold-words").fill("invented: nobody needs them")
        await page.keyboard.press("Enter")
        await story.until(incident, e.IncidentClosed)
        await expect(page.get_by_test_id("voice")).to_have_count(0, timeout=SEEN_MS)
        stopped = await refused(page)

    operator = next(each.event for each in await _legs(story, incident) if each.event.party is Party.OPERATOR)
    claims = jwt.decode(signalling.tokens[0], options={"verify_signature": False})
    assert claims["grants"]["identity"] == "hanako"
    assert signalling.invited == [{"incident": incident, "leg": operator.leg}]
    assert _first_codec(signalling.offers[0]) == "opus/48000/2"
    assert stopped == []
    assert [each for each in asked if each.startswith("http")] == []


async def test_a_call_that_twilio_loses_is_made_again_under_another_leg(tmp_path: Path, emulator: Emulator):
    async with AsyncExitStack() as stack:
        signalling = await stack.enter_async_context(Signalling(emulator, Certificates(tmp_path)))
        service = await stack.enter_async_context(running(house(tmp_path, emulator)))
        page = await stack.enter_async_context(chromium(signalling.port))
        await sit(page, service.url)
        story = Story(service)
        await emulator.call_in(CAR, to=VEHICLES)
        incident = await story.incident()
        await expect(page.get_by_test_id(f"queue-{incident}")).to_be_visible(timeout=SEEN_MS)
        await page.keyboard.press("F2")
        voice = page.get_by_test_id("voice")
        await expect(voice).to_have_attribute("data-state", "connected", timeout=SEEN_MS)

        await signalling.cut()
        await met(lambda: len(signalling.invited) == 2)
        await expect(voice).to_have_attribute("data-state", "connected", timeout=SEEN_MS)
        second = signalling.invited[1]["leg"]
        await story.until(incident, e.LegJoined, leg=second)

    assert second != signalling.invited[0]["leg"]


async def test_a_twilio_that_is_away_is_shown_and_the_policy_is_not_why(tmp_path: Path, emulator: Emulator):
    async with running(house(tmp_path, emulator)) as service, chromium(9) as page:
        await sit(page, service.url)
        story = Story(service)
        await emulator.call_in(CAR, to=VEHICLES)
        incident = await story.incident()
        await expect(page.get_by_test_id(f"queue-{incident}")).to_be_visible(timeout=SEEN_MS)
        await page.keyboard.press("F2")
        await expect(page.get_by_test_id("voice")).to_have_attribute("data-state", "recovering", timeout=SEEN_MS)

        assert await refused(page) == []


async def test_a_house_that_carries_its_own_voice_never_loads_the_sdk_and_its_policy_stops_it(
    tmp_path: Path, emulator: Emulator
):
    own = replace(house(tmp_path, emulator), telephony="embedded", twilio=None)
    async with running(own) as service, chromium(9) as page:
        answer = await page.goto(f"{service.url}/console/")
        assert answer is not None
        asked = await sit(page, service.url)
        await expect(page.get_by_test_id("start")).to_have_count(0, timeout=SEEN_MS)
        await page.evaluate(f"() => void new WebSocket('wss://{SIGNALS}/signal')")
        await page.wait_for_function("() => window.__refused.length > 0")
        stopped = await refused(page)
        policy = answer.headers["content-security-policy"]

    assert "/console/voice-token" not in asked
    assert "twilio" not in policy
    assert stopped == [f"connect-src wss://{SIGNALS}/signal"]
    assert not [each for each in asked if SDK_CHUNK.search(each)]


def _first_codec(sdp: str) -> str:
    first = re.search(r"^m=audio \d+ \S+ (\d+)", sdp, re.MULTILINE)
    assert first is not None
    named = re.search(rf"^a=rtpmap:{first[1]} (\S+)", sdp, re.MULTILINE)
    assert named is not None
    return named[1]


async def _legs(story: Story, incident: IncidentId) -> list[Recorded]:
    recorded = await story.until(incident, e.LegJoined, party=Party.OPERATOR)
    return [each for each in recorded if isinstance(each.event, e.LegJoined)]
