"""The simulated car's voice: WebRTC offered over HTTP (as in WHIP, RFC 9725), played from a file, heard into a WAV.

It does what a car's telematics unit must do: it calls, and when the line or the service vanishes it calls again every
second under the same leg id until somebody tells it to stop.
"""

import asyncio
import wave
from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin

import aiohttp
import av
import numpy as np
import structlog
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
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
from sos.media.rtp import take_rtp

log = structlog.get_logger()

RETRY_EVERY = timedelta(seconds=1)
_LOOK_EVERY = timedelta(milliseconds=250)
_SILENT_AFTER_LOOKS = 12
"""3 s: the service always sends something, a tone at least."""
_ANSWER_WITHIN = aiohttp.ClientTimeout(total=5)
_INCIDENT_CLOSED = "409"
"""The service takes no more calls for this incident: nobody there waits for the car any more."""

_CALL_FAILED = (
    aiohttp.ClientError, OSError, TimeoutError, ValueError, AttributeError, AssertionError,
    InvalidAccessError, InvalidStateError, OperationError,
)  # fmt: skip
"""What calling a service that is away, restarting or not a service can raise; all of it means: call again."""


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

    Without ``sound`` it speaks a speech-like signal.  ``heard`` becomes a WAV file, 48 kHz, 16 bit, mono, that also
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
    ) -> None:
        self.leg = leg or new_id()
        self._voice_url = f"{base.rstrip('/')}/v1/incidents/{incident}/voice"
        self._headers = {"Authorization": f"Bearer {token}"}
        self._sound = sound
        self._once = once
        self._ear = Ear(heard)
        self._clock = clock or SystemClock()
        self._stopping = asyncio.Event()
        self._connected = asyncio.Event()
        self._calling: asyncio.Task[None] | None = None
        self._calls = 0
        self._last_problem: str | None = None

    async def __aenter__(self) -> Self:
        pcm = await asyncio.to_thread(load, self._sound) if self._sound else speech_like(20.0, seed=1)
        self._mouth = Mouth(pcm, once=self._once)
        self._ear.open()
        self._calling = asyncio.create_task(self._call_until_stopped(), name=f"car {self.leg}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self._calling is not None:
            await asyncio.wait((self._calling,))
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

    async def until_hearing(self) -> None:
        """Return once something is heard in the present call."""
        await self._connected.wait()

    async def _call_until_stopped(self) -> None:
        async with aiohttp.ClientSession(headers=self._headers, timeout=_ANSWER_WITHIN) as http:
            while not self._stopping.is_set():
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

    async def _call(self, http: aiohttp.ClientSession) -> None:
        """One call, until hung up or lost."""
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        try:
            location = await self._offer(http, connection)
            self._calls += 1
            await self._until_lost(connection)
            if self._stopping.is_set():
                await self._hang_up(http, location)
        finally:
            self._connected.clear()
            await connection.close()

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
        return location

    async def _hang_up(self, http: aiohttp.ClientSession, location: str) -> None:
        async with http.delete(location):
            log.debug("hung up", leg=self.leg)

    async def _until_lost(self, connection: RTCPeerConnection) -> None:
        silent, received = 0, self._ear.received
        while silent < _SILENT_AFTER_LOOKS and connection.connectionState not in {"failed", "closed"}:
            await self._wait(_LOOK_EVERY)
            if self._stopping.is_set():
                return
            silent = silent + 1 if received == self._ear.received else 0
            received = self._ear.received
        log.info("the line is lost", leg=self.leg)

    async def _wait(self, duration: timedelta) -> None:
        """``duration``, or less when stopped."""
        waits = {asyncio.ensure_future(self._clock.wait(duration)), asyncio.ensure_future(self._stopping.wait())}
        _, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for each in pending:
            each.cancel()

    def _hear(self, packet: RtpPacket) -> None:
        self._ear.hear(packet)
        self._connected.set()


class Mouth:
    """What the car says, 20 ms at a time; it goes on where it was when the line comes back."""

    def __init__(self, pcm: opus.Pcm, *, once: bool) -> None:
        padded = np.concatenate((pcm, np.zeros(-pcm.size % opus.FRAME, np.int16)))
        self._frames = padded.reshape(-1, opus.FRAME)
        self._once = once
        self._at = 0

    @property
    def spoken(self) -> int:
        """Samples said so far."""
        return self._at * opus.FRAME

    def next(self) -> opus.Pcm:
        at, self._at = self._at, self._at + 1
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
            for payload in encoder.encode(self._mouth.next()):
                packet: av.Packet[Any] = av.Packet(payload)
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


def load(path: Path) -> opus.Pcm:
    """Any audio file FFmpeg can read, as PCM; ``OSError`` or ``ValueError`` when it cannot."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
    with av.open(str(path)) as container:
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    frames += resampler.resample(None)
    if not frames:
        raise ValueError(f"{path.name} holds no sound")
    return np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames]).astype(np.int16)


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
