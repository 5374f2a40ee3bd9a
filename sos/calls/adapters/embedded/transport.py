"""RTP in and out of an aiortc connection by the shortest way: one call for each packet, no task and no queue.

aiortc carries every packet through two queues, three tasks and a dozen objects, which was two thirds of what a
passed-through call cost.  Here it keeps all that happens seldom (ICE, DTLS, RTCP, SDP, the first packet of each stream)
and SRTP; what happens fifty times a second and leg is a datagram, its decryption and the header of RFC 3550 5.1.

This rests on private names of aiortc 1.16.0 and aioice 0.13.0, which are therefore pinned and guarded by
``tests/sos/calls/test_aiortc_hook.py``.
"""

import secrets
from collections.abc import Callable
from functools import partial
from typing import Any

import pylibsrtp
import structlog
from aiortc import RTCRtpTransceiver, clock
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from aiortc.rtcdtlstransport import State
from aiortc.rtcrtpreceiver import StreamStatistics

from recording.opus import RATE_HZ
from sos.calls.adapters.embedded.ice import Ice
from sos.calls.adapters.embedded.rtp import EXTENSION, HEADER, HEADER_BYTES, ONE_BYTE_EXTENSIONS, Rtp, parse

log = structlog.get_logger()

_MOST_STREAMS = 4
"""SSRCs of one sender; a peer needs one, and one more after a restart."""
_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
_MID = "urn:ietf:params:rtp-hdrext:sdes:mid"


class StillTrack(MediaStreamTrack):
    """What aiortc's own sender is given: a track that never has anything to say."""

    kind = "audio"

    async def recv(self) -> Any:
        raise MediaStreamError  # ends the sender's loop; its RTCP goes on


class RtpTransport:
    """The RTP of one audio transceiver.  ``attach`` once its connection has an answer; ``send`` at any time after."""

    def __init__(
        self, transceiver: RTCRtpTransceiver, take: Callable[[Rtp], None], *, ice: Ice, payload_type: int
    ) -> None:
        self._transceiver = transceiver
        self._take = take
        self._payload_type = payload_type
        self._level_id = 0
        self._extension = b""
        self._sequence = secrets.randbelow(1 << 15)  # the lower half, as aiortc: a wrap in SRTP's first packets is lost
        self._origin = secrets.randbelow(1 << 32)
        self._ssrc: int = transceiver.sender._ssrc
        self._packets = self._octets = 0
        self._latest = 0
        self._streams: dict[int, StreamStatistics] = {}
        self._dtls: Any = None
        self._ice = ice
        self._silent = False
        """The peer wants to hear nothing (``sendonly``), as WHIP clients do."""
        self._closed = False

    def attach(self) -> None:
        """Take over the packets."""
        receiver: Any = self._transceiver.receiver
        self._silent = self._transceiver.currentDirection not in ("sendrecv", "sendonly")
        self._dtls = receiver.transport
        self._streams = receiver._RTCRtpReceiver__remote_streams
        extensions = {each.uri: each.id for each in self._transceiver._headerExtensions}
        self._level_id = extensions.get(_LEVEL, 0)
        self._extension = _mid_extension(extensions.get(_MID, 0), self._transceiver.mid or "")
        receiver._handle_rtp_packet = self._first_of_stream
        for each in self._ice.sockets:
            each.take = partial(self._datagram, each.pass_on)

    def send(self, timestamp: int, payload: bytes, *, marker: bool = False) -> None:
        """One packet; nothing happens while the connection is not up, or is gone."""
        if self._closed or self._silent or self._dtls is None or self._dtls._state is not State.CONNECTED:
            return
        pair = self._ice.agent._nominated.get(1)
        if pair is None:
            return
        self._latest = (self._origin + timestamp) & 0xFFFFFFFF
        header = HEADER.pack(
            0x90 if self._extension else 0x80,
            self._payload_type | 0x80 if marker else self._payload_type,
            self._sequence,
            self._latest,
            self._ssrc,
        )
        self._sequence = (self._sequence + 1) & 0xFFFF
        try:
            sealed = self._dtls._tx_srtp.protect(b"".join((header, self._extension, payload)))
        except (pylibsrtp.Error, ValueError) as failed:
            log.warning("a packet could not be sent", error=type(failed).__name__)
            return
        self._packets += 1
        self._octets += len(payload)
        pair.protocol.transport.sendto(sealed, pair.remote_addr)

    def account(self) -> None:
        """Tell aiortc what was sent, for its sender reports (RFC 3550 6.4.1)."""
        sender: Any = self._transceiver.sender
        sender._RTCRtpSender__packet_count = self._packets
        sender._RTCRtpSender__octet_count = self._octets
        sender._RTCRtpSender__rtp_timestamp = self._latest
        sender._RTCRtpSender__ntp_timestamp = clock.current_ntp_time()

    def reported_loss(self) -> float:
        """What part of the newest packets the other end says it did not get (RFC 3550 6.4.1); 0 before it says so."""
        sender: Any = self._transceiver.sender
        told = sender._RTCRtpSender__stats.get(f"remote-inbound-rtp_{id(sender)}")
        return told.fractionLost / 256 if told is not None else 0.0

    def close(self) -> None:
        self._closed = True

    def _datagram(self, otherwise: Callable[[bytes], None], data: bytes) -> None:
        """RTP of a stream that is known goes the short way, everything else aiortc's (RFC 7983 tells them apart)."""
        if (
            len(data) < HEADER_BYTES
            or not 127 < data[0] < 192
            or 191 < data[1] < 209  # RTCP (RFC 5761 4)
            or self._streams.get(int.from_bytes(data[8:12], "big")) is None
            or self._dtls._rx_srtp is None
        ):
            otherwise(data)
            return
        try:
            packet = parse(self._dtls._rx_srtp.unprotect(data), level_id=self._level_id)
        except (pylibsrtp.Error, ValueError):  # a replay, a forgery, or no RTP
            return
        self._hand_over(packet)

    async def _first_of_stream(self, packet: Any, arrival_time_ms: int) -> None:
        """aiortc has registered this stream for RTCP; from now on it goes the short way."""
        if packet.ssrc in self._streams or len(self._streams) < _MOST_STREAMS:
            self._streams.setdefault(packet.ssrc, StreamStatistics(RATE_HZ))
        self._hand_over(Rtp(packet.payload_type, packet.sequence_number, packet.timestamp, packet.ssrc, packet.payload))

    def _hand_over(self, packet: Rtp) -> None:
        """No exception may reach aiortc or the event loop: it would cost the caller's line."""
        try:
            if (stream := self._streams.get(packet.ssrc)) is not None:
                stream.add(packet)  # type: ignore[arg-type]
            self._take(packet)
        except Exception:
            log.exception("a received packet could not be handled; the call goes on")


def _mid_extension(number: int, mid: str) -> bytes:
    """The header extension that names the media section (RFC 9143 15), which never changes; empty without one."""
    value = mid.encode()
    if not number or not 0 < len(value) <= 16 or number > 14:
        return b""
    body = bytes([number << 4 | len(value) - 1]) + value
    body += bytes(-len(body) % 4)
    return EXTENSION.pack(ONE_BYTE_EXTENSIONS, len(body) // 4) + body
