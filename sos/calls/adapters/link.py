"""One WebRTC connection of one leg: aiortc does ICE, DTLS, SRTP, RTCP and SDP, and nothing else.

Opus packets go in and out past aiortc's queues and jitter buffer (``sos.media.wire``).
"""

import asyncio
from collections.abc import Callable, Hashable
from itertools import cycle
from typing import TypeAlias

import structlog
from aiortc import (
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.exceptions import InvalidAccessError, InvalidStateError, OperationError

from recording.errors import Malformed as NotOpus
from recording.opus import RATE_HZ, samples
from sos.calls.adapters.sdp import Offer
from sos.calls.port import IceServer
from sos.errors import Malformed, Unavailable
from sos.media import opus
from sos.media.jitter import Packet, ReorderBuffer
from sos.media.wire import Rtp, StillTrack, Wire

log = structlog.get_logger()

Send: TypeAlias = Callable[[int, bytes, bool], None]
"""Timestamp and payload of one packet to one leg, and whether a new source begins with it."""

_UNUSABLE = (
    ValueError, KeyError, IndexError, TypeError, AttributeError, AssertionError,
    RuntimeError,  # what a StopIteration becomes inside a coroutine (PEP 479)
    InvalidAccessError, InvalidStateError, OperationError,
)  # fmt: skip
"""What aiortc's SDP reader raises on text that is not usable SDP: it has no error of its own."""
_ANSWER_WITHIN_S = 5.0
_GATHER_WITHIN_S = 1
"""A relay that does not answer must not keep a caller waiting: the answer then goes without it."""
_CLOSE_WITHIN_S = 5.0
_SAME_STREAM_SAMPLES = RATE_HZ
_PACKETS_PER_TICK = 200


class Playout:
    """What one leg hears: packets of the others the moment they come, and the comfort tone while nobody else is there.

    RTP timestamps follow the source while it lasts, so a lost packet stays visible as a gap and the listener's
    decoder conceals it; at a change of source they go on from the time that has passed.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._source: Hashable | None = None
        self._offset = 0
        self._begun = self._loop.time()
        self._end = 0
        self._tone = opus.Tone.RING
        self._comfort = cycle(opus.tone(self._tone))
        self._comfort_due = self._begun
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False

    def begin(self) -> None:
        """Somebody listens: the comfort tone, until there is a voice."""
        if self._source is None and self._timer is None and not self._stopped:
            self._comfort_due = self._loop.time()
            self._next_comfort()

    def play(self, source: Hashable, *, timestamp: int, payload: bytes) -> None:
        """Send one packet of ``source``, whose timestamps rise with its own 48 kHz clock."""
        if self._stopped:
            return
        pts = timestamp + self._offset
        begins = source is not self._source
        if begins or abs(pts - self._elapsed()) > _SAME_STREAM_SAMPLES:
            self._source = source
            self._offset = self._onward() - timestamp
            pts = timestamp + self._offset
            self._silence_comfort()
        self._end = max(self._end, pts + samples(payload))
        self._send(pts, payload, begins)

    def idle(self, tone: opus.Tone = opus.Tone.RING) -> None:
        """Nobody speaks to this leg any more: the tone begins, or goes on."""
        if tone is not self._tone:
            self._tone, self._comfort = tone, cycle(opus.tone(tone))
        if self._source is not None:
            self._source = None
            self.begin()

    def stop(self) -> None:
        self._stopped = True
        self._silence_comfort()

    def _silence_comfort(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _next_comfort(self) -> None:
        now = self._loop.time()
        late = now - self._comfort_due > 0.1
        self._comfort_due = (now if late else self._comfort_due) + opus.FRAME / RATE_HZ
        pts = self._onward()
        self._end = pts + opus.FRAME
        self._timer = self._loop.call_at(self._comfort_due, self._next_comfort)
        self._send(pts, next(self._comfort), False)

    def _elapsed(self) -> int:
        return round((self._loop.time() - self._begun) * RATE_HZ)

    def _onward(self) -> int:
        """The timestamp of what comes next: right after the last packet unless real time has left it behind."""
        elapsed = self._elapsed()
        return elapsed if elapsed - self._end > 2 * opus.FRAME else self._end


class Link:
    """A connection from offer to close.

    In the event loop, ``arrived`` is called with each packet as it comes, ``heard`` with each packet in order.
    """

    def __init__(
        self,
        heard: Callable[["Link", Packet], None],
        arrived: Callable[["Link", Rtp], None],
        *,
        relays: tuple[IceServer, ...],
    ) -> None:
        self.playout = Playout(self._send)
        self.received = 0
        """RTP packets that arrived; the conference notices silence by it standing still."""
        self._heard = heard
        self._arrived = arrived
        self._loop = asyncio.get_running_loop()
        self._buffer = ReorderBuffer()
        self._release: asyncio.TimerHandle | None = None
        self._budget = _PACKETS_PER_TICK
        self._payload_type = -1
        self._wire: Wire | None = None
        self._closed = False
        # An empty list, not None: None makes aiortc ask a public STUN server.
        servers = [
            RTCIceServer(urls=list(each.urls), username=each.username or None, credential=each.credential or None)
            for each in relays
        ]
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=servers))

    @property
    def gone(self) -> bool:
        return self._closed or self._connection.connectionState in {"failed", "closed"}

    @property
    def lost(self) -> int:
        """Packets that never came, so far."""
        return self._buffer.lost

    @property
    def reported_loss(self) -> float:
        """What part of what was sent lately did not arrive, as the other end says."""
        return self._wire.reported_loss() if self._wire is not None else 0.0

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
        transceiver = self._connection.addTransceiver(StillTrack(), direction="sendrecv")
        codecs = RTCRtpSender.getCapabilities("audio").codecs
        transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType == "audio/opus"])
        self._payload_type = offer.payload_type
        await self._connection.setRemoteDescription(RTCSessionDescription(sdp=offer.audio, type="offer"))
        answer = await self._connection.createAnswer()
        self._wire = Wire(transceiver, self._take, payload_type=offer.payload_type)
        self._wire.gather_within(_GATHER_WITHIN_S)
        await self._connection.setLocalDescription(answer)
        self._wire.attach()
        self.playout.begin()
        return offer.answered(self._connection.localDescription.sdp)

    def tick(self) -> None:
        """Four times a second: the sender may again send what a sender can reasonably send."""
        self._budget = _PACKETS_PER_TICK
        if self._wire is not None:
            self._wire.account()

    async def close(self) -> None:
        self._closed = True
        if self._release is not None:
            self._release.cancel()
        self.playout.stop()
        if self._wire is not None:
            self._wire.close()
        try:
            async with asyncio.timeout(_CLOSE_WITHIN_S):
                await self._connection.close()
        except TimeoutError:
            log.warning("a connection did not close in time and is left to itself")

    def _send(self, timestamp: int, payload: bytes, begins: bool) -> None:
        if self._wire is not None:
            self._wire.send(timestamp, payload, marker=begins)

    def _take(self, packet: Rtp) -> None:
        if self._closed or packet.payload_type != self._payload_type or self._budget <= 0:
            return
        self._budget -= 1
        self.received += 1
        try:
            samples(packet.payload)
        except NotOpus:
            return
        self._arrived(self, packet)
        ready = self._buffer.push(
            packet.sequence_number, timestamp=packet.timestamp, payload=packet.payload, now=self._loop.time()
        )
        self._pass_on(ready)

    def _pass_on(self, ready: list[Packet]) -> None:
        for packet in ready:
            self._heard(self, packet)
        if self._release is not None:
            self._release.cancel()
            self._release = None
        if (due := self._buffer.due()) is not None:
            self._release = self._loop.call_at(due, self._release_held)

    def _release_held(self) -> None:
        if not self._closed:
            self._pass_on(self._buffer.release(self._loop.time()))
