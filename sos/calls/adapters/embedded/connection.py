"""One WebRTC connection of one leg: aiortc does ICE, DTLS, SRTP, RTCP and SDP, and nothing else.

Opus packets go in and out past aiortc's queues and jitter buffer (``transport``).
"""

import asyncio
from collections.abc import Callable

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
from recording.opus import samples
from sos.calls.adapters.embedded.candidates import MOST_CANDIDATES, usable
from sos.calls.adapters.embedded.ice import Ice, own_addresses
from sos.calls.adapters.embedded.playout import Playout
from sos.calls.adapters.embedded.ports import ANY_PORT, MediaPorts
from sos.calls.adapters.embedded.rtp import Rtp
from sos.calls.adapters.embedded.sdp import Offer
from sos.calls.adapters.embedded.transport import RtpTransport, StillTrack
from sos.calls.port import IceServer
from sos.errors import Malformed, Refused, Unavailable
from sos.media.jitter import Packet, ReorderBuffer

log = structlog.get_logger()

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
_PACKETS_PER_TICK = 200


class Connection:
    """A connection from offer to close.

    In the event loop, ``arrived`` is called with each packet as it comes, ``heard`` with each packet in order.
    """

    def __init__(
        self,
        heard: Callable[["Connection", Packet], None],
        arrived: Callable[["Connection", Rtp], None],
        *,
        relays: tuple[IceServer, ...],
        ports: MediaPorts = ANY_PORT,
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
        self._ufrag = ""
        self._candidates = 0
        self._ice: Ice | None = None
        self._transport: RtpTransport | None = None
        self._closed = False
        self._ports = ports
        # An empty list, not None: None makes aiortc ask a public STUN server.
        servers = [
            RTCIceServer(urls=list(each.urls), username=each.username or None, credential=each.credential or None)
            for each in relays
        ]
        self._peer = RTCPeerConnection(RTCConfiguration(iceServers=servers))

    @property
    def gone(self) -> bool:
        return self._closed or self._peer.connectionState in {"failed", "closed"}

    @property
    def lost(self) -> int:
        """Packets that never came, so far."""
        return self._buffer.lost

    @property
    def reported_loss(self) -> float:
        """What part of what was sent lately did not arrive, as the other end says."""
        return self._transport.reported_loss() if self._transport is not None else 0.0

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
        transceiver = self._peer.addTransceiver(StillTrack(), direction="sendrecv")
        codecs = RTCRtpSender.getCapabilities("audio").codecs
        transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType == "audio/opus"])
        self._ufrag = offer.ufrag
        self._candidates = offer.audio.count("a=candidate:")
        ice = self._ice = Ice(
            transceiver.receiver.transport.transport._connection, ports=self._ports, within_s=_GATHER_WITHIN_S
        )
        self._payload_type = offer.payload_type
        await self._peer.setRemoteDescription(RTCSessionDescription(sdp=offer.audio, type="offer"))
        if not offer.waits:  # RFC 9725 4.4.4: whoever calls begins, so its certificate may be RSA or ECDSA
            transceiver.receiver.transport._set_role("server")
        answer = await self._peer.createAnswer()
        self._transport = RtpTransport(transceiver, self._take, ice=ice, payload_type=offer.payload_type)
        await self._peer.setLocalDescription(answer)
        self._transport.attach()
        self.playout.begin()
        return offer.answered(self._peer.localDescription.sdp)

    async def trickle(self, ufrag: str, candidates: tuple[str, ...]) -> None:
        """Check more addresses of the peer.  ``Refused`` when they are of another ICE session than the offer's."""
        if ufrag != self._ufrag:
            raise Refused("these candidates are of another ICE session")
        room = MOST_CANDIDATES - self._candidates
        wanted = usable(candidates, ours=own_addresses())[: max(0, room)]
        self._candidates += len(wanted)
        if self._ice is not None and not self._closed:
            await self._ice.add(wanted)

    def tick(self) -> None:
        """Four times a second: the sender may again send what a sender can reasonably send."""
        self._budget = _PACKETS_PER_TICK
        if self._transport is not None:
            self._transport.account()

    async def close(self) -> None:
        self._closed = True
        if self._release is not None:
            self._release.cancel()
        self.playout.stop()
        if self._transport is not None:
            self._transport.close()
        try:
            async with asyncio.timeout(_CLOSE_WITHIN_S):
                await self._peer.close()
        except TimeoutError:
            log.warning("a connection did not close in time and is left to itself")

    def _send(self, timestamp: int, payload: bytes, begins: bool) -> None:
        if self._transport is not None:
            self._transport.send(timestamp, payload, marker=begins)

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
