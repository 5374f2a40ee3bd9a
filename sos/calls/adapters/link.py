"""One WebRTC connection of one leg: aiortc does ICE, DTLS, SRTP, RTCP and SDP, and nothing else.

Received Opus packets are taken before aiortc's own jitter buffer (``sos.media.rtp``), and outgoing ones are handed to
its sender already encoded.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable
from itertools import cycle
from typing import Any, TypeAlias

import av
import structlog
from aiortc import (
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.exceptions import InvalidAccessError, InvalidStateError, OperationError
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from aiortc.rtp import RtpPacket

from recording.errors import Malformed as NotOpus
from recording.opus import RATE_HZ, samples
from sos.calls.adapters.sdp import Offer
from sos.errors import Malformed, Unavailable
from sos.media import opus
from sos.media.jitter import Packet, ReorderBuffer
from sos.media.rtp import take_rtp

log = structlog.get_logger()

OpusPacket: TypeAlias = "av.Packet[Any]"

_UNUSABLE = (
    ValueError, KeyError, IndexError, TypeError, AttributeError, AssertionError,
    RuntimeError,  # what a StopIteration becomes inside a coroutine (PEP 479)
    InvalidAccessError, InvalidStateError, OperationError,
)  # fmt: skip
"""What aiortc's SDP reader raises on text that is not usable SDP: it has no error of its own."""
_ANSWER_WITHIN_S = 5.0
_CLOSE_WITHIN_S = 5.0
_MOST_WAITING = 25
"""Half a second of packets; the oldest give way while the connection is not yet up."""
_SAME_STREAM_SAMPLES = RATE_HZ
_PACKETS_PER_TICK = 200


class Playout(MediaStreamTrack):
    """What one leg hears: packets of the others as they come, and the comfort tone while nobody else is there.

    RTP timestamps follow the source while it lasts, so a lost packet stays visible as a gap and the listener's
    decoder conceals it; at a change of source they go on from the time that has passed.
    """

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._now = asyncio.get_running_loop().time
        self._queue: deque[tuple[int, bytes]] = deque(maxlen=_MOST_WAITING)
        self._wake = asyncio.Event()
        self._source: Hashable | None = None
        self._offset = 0
        self._begun = self._now()
        self._end = 0
        self._comfort = cycle(opus.comfort())
        self._comfort_due = self._begun

    def play(self, source: Hashable, *, timestamp: int, payload: bytes) -> None:
        """Send one packet of ``source``, whose timestamps rise with its own 48 kHz clock."""
        pts = timestamp + self._offset
        if source != self._source or abs(pts - self._elapsed()) > _SAME_STREAM_SAMPLES:
            self._source = source
            self._offset = self._onward() - timestamp
        pts = timestamp + self._offset
        self._queue.append((pts, payload))
        self._end = max(self._end, pts + samples(payload))
        self._wake.set()

    def idle(self) -> None:
        """Nobody speaks to this leg any more: the comfort tone begins, or goes on."""
        if self._source is not None:
            self._source = None
            self._comfort_due = self._now()
            self._wake.set()

    async def recv(self) -> OpusPacket:
        while self.readyState == "live":
            if self._queue:
                return _packet(*self._queue.popleft())
            self._wake.clear()
            if self._source is not None:
                await self._wake.wait()
            elif not await self._woken_before(self._comfort_due):
                return self._next_comfort()
        raise MediaStreamError

    async def _woken_before(self, due: float) -> bool:
        try:
            async with asyncio.timeout_at(due):
                await self._wake.wait()
        except TimeoutError:
            return False
        return True

    def _next_comfort(self) -> OpusPacket:
        now = self._now()
        late = now - self._comfort_due > 0.1
        self._comfort_due = (now if late else self._comfort_due) + opus.FRAME / RATE_HZ
        pts = self._onward()
        self._end = pts + opus.FRAME
        return _packet(pts, next(self._comfort))

    def _elapsed(self) -> int:
        return round((self._now() - self._begun) * RATE_HZ)

    def _onward(self) -> int:
        """The timestamp of what comes next: right after the last packet unless real time has left it behind."""
        elapsed = self._elapsed()
        return elapsed if elapsed - self._end > 2 * opus.FRAME else self._end


def _packet(pts: int, payload: bytes) -> OpusPacket:
    packet: OpusPacket = av.Packet(payload)
    packet.pts, packet.time_base = pts, opus.TIME_BASE
    return packet


class Link:
    """A connection from offer to close.  ``heard`` is called for each packet in order, in the event loop."""

    def __init__(self, heard: Callable[["Link", Packet], None], *, ice_servers: tuple[str, ...]) -> None:
        self.playout = Playout()
        self.received = 0
        """RTP packets that arrived; the conference notices silence by it standing still."""
        self._heard = heard
        self._loop = asyncio.get_running_loop()
        self._buffer = ReorderBuffer()
        self._release: asyncio.TimerHandle | None = None
        self._budget = _PACKETS_PER_TICK
        self._payload_type = -1
        self._closed = False
        # An empty list, not None: None makes aiortc ask a public STUN server.
        servers = [RTCIceServer(urls=[url]) for url in ice_servers]
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=servers))

    @property
    def gone(self) -> bool:
        return self._closed or self._connection.connectionState in {"failed", "closed"}

    @property
    def lost(self) -> int:
        """Packets that never came, so far."""
        return self._buffer.lost

    async def answer(self, offer: Offer) -> str:
        """The SDP answer.  ``Malformed`` when aiortc cannot use the offer, ``Unavailable`` when it does not finish."""
        try:
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                return await self._answer(offer)
        except _UNUSABLE as error:
            await self.close()
            raise Malformed("the SDP offer cannot be used: it lacks ICE, DTLS or Opus parameters") from error
        except (TimeoutError, OSError) as error:
            await self.close()
            raise Unavailable("no network candidates could be gathered for the call") from error
        except asyncio.CancelledError:
            await self.close()
            raise

    async def _answer(self, offer: Offer) -> str:
        transceiver = self._connection.addTransceiver(self.playout, direction="sendrecv")
        codecs = RTCRtpSender.getCapabilities("audio").codecs
        transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType == "audio/opus"])
        self._payload_type = offer.payload_type
        take_rtp(transceiver.receiver, self._take)
        await self._connection.setRemoteDescription(RTCSessionDescription(sdp=offer.audio, type="offer"))
        await self._connection.setLocalDescription(await self._connection.createAnswer())
        return offer.answered(self._connection.localDescription.sdp)

    def tick(self) -> None:
        """Four times a second: the sender may again send what a sender can reasonably send."""
        self._budget = _PACKETS_PER_TICK

    async def close(self) -> None:
        self._closed = True
        if self._release is not None:
            self._release.cancel()
        self.playout.stop()
        try:
            async with asyncio.timeout(_CLOSE_WITHIN_S):
                await self._connection.close()
        except TimeoutError:
            log.warning("a connection did not close in time and is left to itself")

    def _take(self, packet: RtpPacket) -> None:
        if self._closed or packet.payload_type != self._payload_type or self._budget <= 0:
            return
        self._budget -= 1
        self.received += 1
        try:
            samples(packet.payload)
        except NotOpus:
            return
        ready = self._buffer.push(
            packet.sequence_number, timestamp=packet.timestamp, payload=packet.payload, now=self._loop.time()
        )
        self._pass_on(ready)

    def _pass_on(self, ready: list[Packet]) -> None:
        for packet in ready:
            self._heard(self, packet)
        due = self._buffer.due()
        if self._release is not None:
            self._release.cancel()
        self._release = None if due is None else self._loop.call_at(due, self._release_held)

    def _release_held(self) -> None:
        if not self._closed:
            self._pass_on(self._buffer.release(self._loop.time()))
