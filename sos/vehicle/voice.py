"""The simulated car's voice: WebRTC offered over HTTP (as in WHIP, RFC 9725), played from a file, heard into a WAV.

It does what a car's telematics unit must do: it calls, and when the line or the service vanishes it calls again every
second under the same leg id until somebody tells it to stop.  What the people in it do can be a script (``script``).
"""

import asyncio
import wave
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import timedelta
from itertools import count
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Self, assert_never
from urllib.parse import urljoin

import aiohttp
import av
import msgspec
import numpy as np
import structlog
from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.exceptions import InvalidAccessError, InvalidStateError, OperationError
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from aiortc.rtp import RtpPacket
from msgspec import Struct

from recording.errors import Malformed as NotOpus
from recording.opus import RATE_HZ, samples
from sos.clock import Clock, SystemClock
from sos.incident.model import new_id
from sos.media import opus
from sos.media.jitter import ReorderBuffer
from sos.vehicle.rtp import take_rtp
from sos.vehicle.script import Drop, HangUp, Loss, Play, Press, Say, Silence, Step, Wait
from sos.vehicle.speech import load, speak

log = structlog.get_logger()

RETRY_EVERY = timedelta(seconds=1)
_LOOK_EVERY = timedelta(milliseconds=250)
_SILENT_AFTER_LOOKS = 12
"""3 s: the service always sends something, a tone at least."""
_ANSWER_WITHIN = aiohttp.ClientTimeout(total=5)
_RELAYS_WITHIN = aiohttp.ClientTimeout(total=1)
_ASK_FOR = timedelta(seconds=20)
"""How long the service may keep the question open what the car shall do."""
_SAID_LOOK_EVERY = timedelta(milliseconds=50)
_INCIDENT_CLOSED = "409"
"""The service takes no more calls for this incident: nobody there waits for the car any more."""

_CALL_FAILED = (
    aiohttp.ClientError, OSError, TimeoutError, ValueError, AttributeError, AssertionError,
    InvalidAccessError, InvalidStateError, OperationError,
)  # fmt: skip
"""What calling a service that is away, restarting or not a service can raise; all of it means: call again."""


_AGAIN = frozenset({409, 429, 500, 502, 503, 504})
"""Answers to pressed keys after which they are pressed again: the leg may be on its way."""


class _Command(Struct, frozen=True):
    id: str
    command: str


class _Commands(Struct, frozen=True):
    commands: tuple[_Command, ...] = ()


_commands = msgspec.json.Decoder(_Commands)


class _IceServer(Struct, frozen=True):
    urls: tuple[str, ...]
    username: str = ""
    credential: str = ""


class _Relays(Struct, frozen=True, rename="camel"):
    ice_servers: tuple[_IceServer, ...] = ()


_relays = msgspec.json.Decoder(_Relays)


class CarStats(Struct, frozen=True, kw_only=True):
    seconds_heard: float
    calls: int
    """How often the service took the call."""
    reconnects: int
    """How often it was taken again after the first time."""
    last_problem: str | None
    """HTTP status or error class of the latest attempt that failed."""


class CarVoice:
    """A car on the line.  ``base`` is the service's address, ``token`` the tenant's key.

    Without ``sound`` it speaks a speech-like signal, and with a ``script`` only what that says.  ``silent``: nobody in
    it says anything.  ``loss`` is the share of packets lost, both ways.  ``obeys``: it asks the service for commands,
    and calls back when told to.  ``heard`` becomes a WAV file, 48 kHz, 16 bit, mono, that also
    holds the time between calls as silence.
    """

    def __init__(
        self,
        base: str,
        incident: str,
        *,
        token: str,
        sound: Path | None = None,
        once: bool = False,
        heard: Path | None = None,
        leg: str | None = None,
        clock: Clock | None = None,
        script: Sequence[Step] = (),
        silent: bool = False,
        loss: float = 0.0,
        seed: int = 0,
        obeys: bool = False,
    ) -> None:
        self.leg = leg or new_id()
        self._incident_url = f"{base.rstrip('/')}/v1/incidents/{incident}"
        self._voice_url = f"{self._incident_url}/voice"
        self._ice_url = f"{base.rstrip('/')}/v1/ice"
        self._headers = {"Authorization": f"Bearer {token}"}
        self._sound = sound
        self._once = once
        self._ear = Ear(heard)
        self._clock = clock or SystemClock()
        self._stopping = asyncio.Event()
        self._connected = asyncio.Event()
        self._script = tuple(script)
        self._silent = silent
        self._network = Network(loss=loss, dice=Random(seed))  # noqa: S311 - repeatable losses, no secret
        self._obeys = obeys
        self._wanted = asyncio.Event()
        """The car wants to be in the call; not so after it has hung up and before it is called back."""
        self._wanted.set()
        self._tasks: list[asyncio.Task[None]] = []
        self._calls = 0
        self._last_problem: str | None = None

    async def __aenter__(self) -> Self:
        self._mouth = Mouth(await self._background(), once=self._once)
        self._mouth.shut = self._silent
        words = {step: await asyncio.to_thread(speak, step.text) for step in self._script if isinstance(step, Say)}
        self._ear.open()
        self._start(self._with_session(self._call_until_stopped), "calls")
        if self._script:
            self._start(self._with_session(lambda http: self._act(http, words)), "script")
        if self._obeys:
            self._start(self._with_session(self._obey), "obeys")
        return self

    async def _background(self) -> opus.Pcm:
        if self._sound is not None:
            return await asyncio.to_thread(load, self._sound)
        return np.zeros(opus.FRAME, np.int16) if self._script else speech_like(20.0, seed=1)

    def _start(self, work: Awaitable[None], name: str) -> None:
        self._tasks.append(asyncio.ensure_future(work))
        self._tasks[-1].set_name(f"car {self.leg} {name}")

    async def _with_session(self, work: Callable[[aiohttp.ClientSession], Awaitable[None]]) -> None:
        async with aiohttp.ClientSession(headers=self._headers, timeout=_ANSWER_WITHIN) as http:
            await work(http)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        try:
            await asyncio.gather(*self._tasks)
        finally:
            self._ear.close()

    @property
    def stats(self) -> CarStats:
        return CarStats(
            seconds_heard=self._ear.samples / RATE_HZ,
            calls=self._calls,
            reconnects=max(0, self._calls - 1),
            last_problem=self._last_problem,
        )

    def stop(self) -> None:
        """Hang up; the exit of ``async with`` waits for it."""
        self._stopping.set()

    async def until_stopped(self) -> None:
        await self._stopping.wait()

    @property
    def mouth(self) -> "Mouth":
        return self._mouth

    @property
    def ear(self) -> "Ear":
        return self._ear

    def hang_up(self) -> None:
        """End the call and stay reachable: ``call_again`` or a command of the service brings it back."""
        self._wanted.clear()

    def call_again(self) -> None:
        self._wanted.set()

    async def drop(self, duration: timedelta) -> None:
        """No network for so long, in either direction, and nobody is told."""
        self._network.down = True
        await self._wait(duration)
        self._network.down = False

    async def until_hearing(self) -> None:
        """Return once something is heard in the present call."""
        await self._connected.wait()

    async def _call_until_stopped(self, http: aiohttp.ClientSession) -> None:
        while not self._stopping.is_set():
            if self._network.down or not self._wanted.is_set():
                await self._wait(_LOOK_EVERY)
                continue
            try:
                await self._call(http)
            except _CALL_FAILED as error:
                self._last_problem = str(getattr(error, "status", "") or type(error).__name__)
                if self._last_problem == _INCIDENT_CLOSED:
                    log.info("the incident is closed", leg=self.leg)
                    self._stopping.set()
                    return
                log.info("the call failed and is tried again", leg=self.leg, problem=self._last_problem)
            if not self._stopping.is_set():
                await self._wait(RETRY_EVERY)

    async def _act(self, http: aiohttp.ClientSession, words: "dict[Say, opus.Pcm]") -> None:
        """The script, from the moment the car is first in the call; then it holds the line."""
        await self._first_of(self._connected.wait())
        for step in self._script:
            if self._stopping.is_set():
                return
            match step:
                case Wait(seconds=seconds):
                    await self._wait(timedelta(seconds=seconds))
                case Say():
                    await self._speak(words[step])
                case Play(sound=sound):
                    await self._speak(await asyncio.to_thread(load, sound))
                case Silence(seconds=seconds):
                    self._mouth.shut = True
                    await self._wait(timedelta(seconds=seconds))
                    self._mouth.shut = self._silent
                case Press(keys=keys):
                    await self.press(http, keys)
                case Loss(share=share):
                    self._network.loss = share
                case Drop(seconds=seconds):
                    await self.drop(timedelta(seconds=seconds))
                case HangUp():
                    self.hang_up()
                case _:
                    assert_never(step)

    async def _speak(self, pcm: opus.Pcm) -> None:
        self._mouth.say(pcm)
        while self._mouth.speaking and not self._stopping.is_set():
            await self._wait(_SAID_LOOK_EVERY)

    async def press(self, http: aiohttp.ClientSession, keys: str) -> None:
        """Press keys of the telephone, again every second until the service has them or says that they are none."""
        url = f"{self._incident_url}/legs/{self.leg}/keys"
        while not self._stopping.is_set():
            try:
                async with http.post(url, json={"keys": keys}) as answer:
                    if answer.status not in _AGAIN:
                        return
            except _CALL_FAILED as error:
                log.info("keys are pressed again", leg=self.leg, problem=type(error).__name__)
            await self._wait(RETRY_EVERY)

    async def _obey(self, http: aiohttp.ClientSession) -> None:
        """Ask what the car shall do, and do the one thing that is the voice's: call back."""
        while not self._stopping.is_set():
            try:
                await self._first_of(self._ask(http))
            except _CALL_FAILED as error:
                log.info("no commands", leg=self.leg, problem=str(getattr(error, "status", type(error).__name__)))
                await self._wait(RETRY_EVERY)

    async def _ask(self, http: aiohttp.ClientSession) -> None:
        url = f"{self._incident_url}/commands"
        within = aiohttp.ClientTimeout(total=2 * _ASK_FOR.total_seconds())
        wait = {"wait": str(round(_ASK_FOR.total_seconds()))}
        async with http.get(url, params=wait, timeout=within) as answer:
            answer.raise_for_status()
            told = _commands.decode(await answer.read())
        for command in told.commands:
            async with http.post(f"{url}/{command.id}") as taken:
                taken.raise_for_status()
            if command.command == "callBack":
                self.call_again()

    async def _call(self, http: aiohttp.ClientSession) -> None:
        """One call, until hung up or lost."""
        connection = RTCPeerConnection(RTCConfiguration(iceServers=await self._relays(http)))
        try:
            location = await self._offer(http, connection)
            self._calls += 1
            await self._until_lost(connection)
            if self._stopping.is_set() or not self._wanted.is_set():
                await self._hang_up(http, location)
        finally:
            self._connected.clear()
            await connection.close()

    async def _relays(self, http: aiohttp.ClientSession) -> list[RTCIceServer]:
        """For where UDP does not reach; whoever does not say in time is called without."""
        try:
            async with http.get(self._ice_url, timeout=_RELAYS_WITHIN) as answer:
                answer.raise_for_status()
                told = _relays.decode(await answer.read())
        except (aiohttp.ClientError, OSError, TimeoutError, msgspec.DecodeError):
            return []
        return [
            RTCIceServer(urls=list(each.urls), username=each.username or None, credential=each.credential or None)
            for each in told.ice_servers
        ]

    async def _offer(self, http: aiohttp.ClientSession, connection: RTCPeerConnection) -> str:
        transceiver = connection.addTransceiver(Microphone(self._mouth))
        codecs = RTCRtpSender.getCapabilities("audio").codecs
        transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType == "audio/opus"])
        self._ear.restart()
        take_rtp(transceiver.receiver, self._hear)
        await connection.setLocalDescription(await connection.createOffer())
        headers = {"Content-Type": "application/sdp", "Leg-Id": self.leg}
        async with http.post(self._voice_url, data=connection.localDescription.sdp, headers=headers) as response:
            response.raise_for_status()
            answer = RTCSessionDescription(sdp=await response.text(), type="answer")
            location = urljoin(str(response.url), response.headers.get("Location", ""))
        await connection.setRemoteDescription(answer)
        lose_some(transceiver.sender, self._network)
        return location

    async def _hang_up(self, http: aiohttp.ClientSession, location: str) -> None:
        async with http.delete(location):
            log.debug("hung up", leg=self.leg)

    async def _until_lost(self, connection: RTCPeerConnection) -> None:
        silent, received = 0, self._ear.received
        while silent < _SILENT_AFTER_LOOKS and connection.connectionState not in {"failed", "closed"}:
            await self._wait(_LOOK_EVERY)
            if self._stopping.is_set() or not self._wanted.is_set():
                return
            silent = silent + 1 if received == self._ear.received else 0
            received = self._ear.received
        log.info("the line is lost", leg=self.leg)

    async def _wait(self, duration: timedelta) -> None:
        """``duration``, or less when stopped."""
        await self._first_of(self._clock.wait(duration))

    async def _first_of(self, work: Awaitable[object]) -> None:
        """``work``, or part of it when stopped; raises what it raises."""
        working = asyncio.ensure_future(work)
        stopping = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        for each in (working, stopping):
            each.cancel()
        if working.done() and not working.cancelled():
            working.result()

    def _hear(self, packet: RtpPacket) -> None:
        if self._network.loses():
            return
        self._ear.hear(packet)
        self._connected.set()


class Network:
    """What the network between car and service does to packets."""

    def __init__(self, *, loss: float, dice: Random) -> None:
        self.loss = loss
        self.down = False
        self._dice = dice

    def loses(self) -> bool:
        """Whether the next packet is lost."""
        return self.down or (self.loss > 0 and self._dice.random() < self.loss)


def lose_some(sender: RTCRtpSender, network: Network) -> None:
    """Lose packets of ``sender`` where the network would: after they were numbered, so that they are missed.

    aiortc has no place for it but a private one; its version is pinned.
    """
    transport = sender.transport
    send: Callable[[bytes], Awaitable[None]] = type(transport)._send_rtp.__get__(transport)

    async def send_or_lose(data: bytes) -> None:
        if not network.loses():
            await send(data)

    transport._send_rtp = send_or_lose  # type: ignore[method-assign]


class Mouth:
    """What the car says, 20 ms at a time; it goes on where it was when the line comes back."""

    shut = False
    """Says nothing; time goes on."""

    def __init__(self, pcm: opus.Pcm, *, once: bool) -> None:
        padded = np.concatenate((pcm, np.zeros(-pcm.size % opus.FRAME, np.int16)))
        self._frames = padded.reshape(-1, opus.FRAME)
        self._once = once
        self._at = 0
        self._words: deque[opus.Pcm] = deque()

    def say(self, pcm: opus.Pcm) -> None:
        """Say ``pcm`` next, over whatever plays in the background."""
        padded = np.concatenate((pcm, np.zeros(-pcm.size % opus.FRAME, np.int16)))
        self._words.extend(padded.reshape(-1, opus.FRAME))

    @property
    def speaking(self) -> bool:
        """Whether something that was to be said is not said yet."""
        return bool(self._words)

    @property
    def spoken(self) -> int:
        """Samples said so far."""
        return self._at * opus.FRAME

    def next(self) -> opus.Pcm:
        at, self._at = self._at, self._at + 1
        if self._words:
            word = self._words.popleft()
            return word * 0 if self.shut else word
        if self.shut:
            return np.zeros(opus.FRAME, np.int16)
        if self._once and at >= len(self._frames):
            return np.zeros(opus.FRAME, np.int16)
        frame: opus.Pcm = self._frames[at % len(self._frames)]
        return frame


class Microphone(MediaStreamTrack):
    """One call's outgoing track: encodes what ``mouth`` says, in real time."""

    kind = "audio"

    def __init__(self, mouth: Mouth) -> None:
        super().__init__()
        self._mouth = mouth
        self._packets = self._speak()
        self._due: float | None = None

    async def recv(self) -> "av.Packet[Any]":
        if self.readyState != "live":
            raise MediaStreamError
        now = asyncio.get_running_loop().time()
        self._due = now if self._due is None else self._due + opus.FRAME / RATE_HZ
        if self._due > now:
            await asyncio.sleep(self._due - now)
        return next(self._packets)

    def _speak(self) -> "Iterator[av.Packet[Any]]":
        encoder = opus.Encoder()
        pts = count(step=opus.FRAME)
        while True:
            packet: av.Packet[Any] = av.Packet(encoder.encode(self._mouth.next()))
            packet.pts, packet.time_base = next(pts), opus.TIME_BASE
            yield packet


class Ear:
    """What the car hears, in its place in time, as PCM in a WAV file (or only counted)."""

    def __init__(self, path: Path | None) -> None:
        self.samples = 0
        self.received = 0
        self._path = path
        self._file: wave.Wave_write | None = None
        self._written = 0
        self._begun = 0.0
        self.restart()

    def open(self) -> None:
        self._begun = asyncio.get_running_loop().time()
        if self._path is not None:
            self._file = wave.open(str(self._path), "wb")  # noqa: SIM115 - closed by close()
            self._file.setparams((1, 2, RATE_HZ, 0, "NONE", "not compressed"))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def restart(self) -> None:
        """A new call: another sender, another clock."""
        self._buffer = ReorderBuffer()
        self._decoder = opus.Decoder()
        self._offset: int | None = None

    def hear(self, packet: RtpPacket) -> None:
        self.received += 1
        now = asyncio.get_running_loop().time()
        try:
            samples(packet.payload)
        except NotOpus:
            return
        for ready in self._buffer.push(
            packet.sequence_number, timestamp=packet.timestamp, payload=packet.payload, now=now
        ):
            if self._offset is None:
                self._offset = max(self._written, round((now - self._begun) * RATE_HZ)) - ready.timestamp
            self._write(self._decoder.decode(ready.payload), at=ready.timestamp + self._offset)

    def _write(self, pcm: opus.Pcm, *, at: int) -> None:
        self.samples += pcm.size
        missing = min(at - self._written, 60 * RATE_HZ)
        if missing > 0:
            self._keep(np.zeros(missing, np.int16))
        self._keep(pcm)

    def _keep(self, pcm: opus.Pcm) -> None:
        self._written += pcm.size
        if self._file is not None:
            self._file.writeframes(pcm.tobytes())  # patches the header too, so a killed car leaves a readable file


def speech_like(seconds: float, *, seed: int) -> opus.Pcm:
    """A signal like speech that nowhere repeats: gliding syllables with pauses, so a correlation finds its delay."""
    random = np.random.default_rng(seed)
    sound = np.zeros(round(seconds * RATE_HZ), np.float64)
    at = 0
    while at < sound.size:
        length = int(random.uniform(0.12, 0.35) * RATE_HZ)
        pitch = np.linspace(random.uniform(90, 240), random.uniform(90, 240), length)
        phase = 2 * np.pi * np.cumsum(pitch) / RATE_HZ
        strengths = random.uniform(0.1, 1.0, 12) / np.arange(1, 13) ** 0.7
        syllable = sum(s * np.sin((k + 1) * phase + random.uniform(0, 6)) for k, s in enumerate(strengths))
        syllable = syllable * np.hanning(length)
        end = min(at + length, sound.size)
        sound[at:end] = (syllable / np.abs(syllable).max())[: end - at]
        at += length + int(random.uniform(0.03, 0.2) * RATE_HZ)
    return (sound * 12_000).astype(np.int16)
