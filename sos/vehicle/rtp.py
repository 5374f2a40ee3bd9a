"""Taking RTP packets out of aiortc before its own jitter buffer, which never recovers from a loss.

This rests on private names of aiortc 1.16.0, which is therefore pinned and guarded by
``tests/sos/calls/test_aiortc_hook.py``.
"""

from collections.abc import Callable

import structlog
from aiortc import RTCRtpReceiver
from aiortc.rtcrtpreceiver import StreamStatistics
from aiortc.rtp import RtpPacket

from recording.opus import RATE_HZ

log = structlog.get_logger()

_MOST_STREAMS = 4
"""SSRCs of one sender whose losses are counted; a peer needs one, and one more after a restart."""


def take_rtp(receiver: RTCRtpReceiver, take: Callable[[RtpPacket], None]) -> None:
    """Give each RTP packet of ``receiver`` to ``take`` instead of aiortc's jitter buffer and decoder.

    The receiver's own loss statistics are kept fed, so that its RTCP receiver reports let the sender adapt its FEC.
    No exception may reach aiortc: it would close the DTLS transport, which is the caller's line.
    """
    streams: dict[int, StreamStatistics] = receiver._RTCRtpReceiver__remote_streams  # type: ignore[attr-defined]

    async def handle(packet: RtpPacket, arrival_time_ms: int) -> None:
        try:
            if packet.ssrc in streams or len(streams) < _MOST_STREAMS:
                streams.setdefault(packet.ssrc, StreamStatistics(RATE_HZ)).add(packet)
            take(packet)
        except Exception:
            log.exception("a received packet could not be handled; the call goes on")

    receiver._handle_rtp_packet = handle  # type: ignore[method-assign]
