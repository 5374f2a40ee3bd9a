"""One RTP packet as it comes out of SRTP: its header (RFC 3550 5.1) and how loud it says it is (RFC 6464)."""

from struct import Struct as Layout

from msgspec import Struct

HEADER = Layout("!BBHLL")
HEADER_BYTES = 12
EXTENSION = Layout("!HH")
ONE_BYTE_EXTENSIONS = 0xBEDE
"""RFC 8285 4.2."""


class Rtp(Struct, gc=False):
    """One received packet, decrypted."""

    payload_type: int
    sequence_number: int
    timestamp: int
    ssrc: int
    payload: bytes
    level: int | None = None
    """How loud the sender says it is, 0 (loudest) to 127 -dBov (RFC 6464); None when it does not say."""


def parse(data: bytes, *, level_id: int) -> Rtp:
    """``ValueError`` when ``data`` is no RTP packet (RFC 3550 5.1)."""
    if len(data) < HEADER_BYTES:
        raise ValueError("an RTP packet has at least 12 bytes")
    first, second, sequence, timestamp, ssrc = HEADER.unpack_from(data)
    if first >> 6 != 2:
        raise ValueError("RTP has version 2")
    start, end, level = HEADER_BYTES + 4 * (first & 15), len(data), None
    if first & 16:
        if start + 4 > end:
            raise ValueError("the header extension is cut off")
        profile, words = EXTENSION.unpack_from(data, start)
        begin, start = start + 4, start + 4 + 4 * words
        if level_id and profile == ONE_BYTE_EXTENSIONS:
            level = _level(data[begin:start], level_id)
    if first & 32:
        end -= data[-1]
    if start > end:
        raise ValueError("extension or padding are longer than the packet")
    return Rtp(second & 127, sequence, timestamp, ssrc, data[start:end], level)


def _level(extensions: bytes, level_id: int) -> int | None:
    at = 0
    while at + 1 < len(extensions):
        head = extensions[at]
        if head == 0:  # padding
            at += 1
        elif head >> 4 == level_id:
            return extensions[at + 1] & 127
        else:
            at += 2 + (head & 15)
    return None
