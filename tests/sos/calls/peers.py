"""Parts for the voice tests: peers that really talk over loopback, and a door that takes their offers."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

from aiohttp import web
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from recording.opus import RATE_HZ
from sos.calls.port import ProviderEvent, TelephonyProvider
from sos.clock import SystemClock
from sos.incident.model import IncidentId, LegId, Party
from sos.media.opus import Pcm
from sos.vehicle.rtp import take_rtp
from sos.vehicle.voice import Ear, Microphone, Mouth, speech_like

KEY = bytes(range(32))
TICK = timedelta(milliseconds=20)


class Events:
    """Follows a provider's events and lets a test wait for the one it needs."""

    def __init__(self, provider: TelephonyProvider) -> None:
        self.seen: list[ProviderEvent] = []
        self._more = asyncio.Condition()
        self._task = asyncio.create_task(self._follow(provider))

    async def _follow(self, provider: TelephonyProvider) -> None:
        async for event in provider.events():
            async with self._more:
                self.seen.append(event)
                self._more.notify_all()

    async def until(self, kind: type, *, count: int = 1, within_s: float = 10, **fields: object) -> ProviderEvent:
        """The ``count``-th event of ``kind`` with these fields."""

        def matching() -> list[ProviderEvent]:
            return [e for e in self.seen if type(e) is kind and all(getattr(e, k) == v for k, v in fields.items())]

        async with asyncio.timeout(within_s), self._more:
            await self._more.wait_for(lambda: len(matching()) >= count)
        return matching()[count - 1]

    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.seen]

    async def ended(self) -> None:
        await asyncio.wait_for(self._task, 5)


class Cord(Microphone):
    """A microphone whose cable can be pulled: nothing is sent any more, and nothing says so."""

    def __init__(self, mouth: Mouth) -> None:
        super().__init__(mouth)
        self.plugged = asyncio.Event()
        self.plugged.set()

    async def recv(self) -> object:
        await self.plugged.wait()
        return await super().recv()


class Lips(Mouth):
    """A mouth that can be shut; time goes on."""

    shut = False

    def next(self) -> Pcm:
        frame = super().next()
        return frame * 0 if self.shut else frame


class Peer:
    """A WebRTC party: speaks ``seconds`` of its own signal over and over and keeps what it hears."""

    def __init__(self, tmp_path: Path, *, seed: int, seconds: float = 60.0) -> None:
        self.said = speech_like(seconds, seed=seed)
        self.heard = tmp_path / f"heard-{seed}.wav"
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._mouth = Lips(self.said, once=False)
        self.cord = Cord(self._mouth)
        self._ear = Ear(self.heard)
        self._ear.open()

    async def offer(self) -> str:
        transceiver = self.connection.addTransceiver(self.cord)
        take_rtp(transceiver.receiver, self._ear.hear)
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return self.connection.localDescription.sdp

    async def take(self, answer: str) -> None:
        await self.connection.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))

    async def call(
        self, provider: TelephonyProvider, *, incident: str, leg: str, party: Party, key: bytes = KEY
    ) -> None:
        answer = await provider.accept(
            incident=IncidentId(incident),
            leg=LegId(leg),
            party=party,
            who=party.value,
            offer=await self.offer(),
            key=KEY,
        )
        await self.take(answer)

    async def hears(self, seconds: float) -> None:
        """Return when so much more has been heard."""
        target = self._ear.samples + round(seconds * RATE_HZ)
        async with asyncio.timeout(seconds + 10):
            await met(lambda: self._ear.samples >= target)

    def listen_only(self, shut: bool = True) -> None:
        """Say nothing any more, or speak again."""
        self._mouth.shut = shut

    def next_words(self, *, after_s: float, seconds: float) -> Pcm:
        """What it is going to say from ``after_s`` from now, for so long."""
        start = self._mouth.spoken + round(after_s * RATE_HZ)
        return self.said[start : start + round(seconds * RATE_HZ)]

    def hush(self) -> None:
        """Keep no more of what is heard, so that the file can be read."""
        self._ear.close()

    async def leave(self) -> None:
        self._ear.close()
        await self.connection.close()


async def met(condition: Callable[[], bool]) -> None:
    """Return when ``condition`` holds, looking at every 20 ms of real time."""
    clock = SystemClock()
    while not condition():
        await clock.wait(TICK)


class Door:
    """The vehicle's voice door over a provider, as the service has it, without a journal."""

    def __init__(self, provider: TelephonyProvider, *, port: int = 0, more: Sequence[web.RouteDef] = ()) -> None:
        self._provider = provider
        self._more = more
        self._port = port
        self.authorizations: list[str] = []

    async def __aenter__(self) -> "Door":
        app = web.Application()
        app.add_routes(
            [web.post("/v1/incidents/{i}/voice", self._post), web.delete("/v1/incidents/{i}/legs/{l}", self._end)]
        )
        app.add_routes(self._more)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    @property
    def port(self) -> int:
        return self._port

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def _post(self, request: web.Request) -> web.Response:
        self.authorizations.append(request.headers["Authorization"])
        incident, leg = IncidentId(request.match_info["i"]), LegId(request.headers["Leg-Id"])
        answer = await self._provider.accept(
            incident=incident, leg=leg, party=Party.VEHICLE, who="vehicle", offer=await request.text(), key=KEY
        )
        location = f"/v1/incidents/{incident}/legs/{leg}"
        return web.Response(status=201, text=answer, content_type="application/sdp", headers={"Location": location})

    async def _end(self, request: web.Request) -> web.Response:
        await self._provider.end(LegId(request.match_info["l"]))
        return web.Response(status=204)
