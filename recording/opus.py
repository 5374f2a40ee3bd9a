"""Opus packets as they came from the wire, put into an Ogg file without decoding them (RFC 7845 on RFC 3533, RFC 6716).

What a player plays is then bit for bit what the peer sent.  Time in which nothing came is filled with silence frames,
so that the tracks of one recording start together and stay together to within 2.5 ms.  The same packets always give
the same file, which is how a stranger checks that an audio file is the one that was recorded.
"""

import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from recording.errors import Malformed

RATE_HZ = 48_000
"""The granule clock of Ogg Opus, whatever the coded bandwidth (RFC 7845 4)."""
MAX_TIMESTAMP = 48 * 3600 * RATE_HZ
"""Two days: no call is longer, and a wild timestamp must not make us write hours of silence."""
MAX_PACKET_BYTES = 61_440
"""RFC 7845 6: 60 KiB is what a decoder should be ready for from one channel; it also fits one Ogg page."""

_MAX_PACKET_SAMPLES = 5_760  # 120 ms, RFC 6716 3.2.5
_PAGE_SAMPLES = RATE_HZ  # a page a second, as RFC 7845 6 asks
_SERIAL = 0x534F5301  # one logical stream per file, so any constant will do; a constant keeps the file reproducible
_CONTINUED, _FIRST, _LAST = 1, 2, 4
_SILENCE = ((960, b"\xf8\xff\xfe"), (480, b"\xf0\xff\xfe"), (240, b"\xe8\xff\xfe"), (120, b"\xe0\xff\xfe"))
"""CELT frames of 20, 10, 5 and 2.5 ms that decode to silence."""


class Packet(NamedTuple):
    """One packet of a track; ``timestamp`` in samples of 48 kHz since the recording began."""

    timestamp: int
    payload: bytes


_FRAMES = (480, 960, 1920, 2880) * 3 + (480, 960) * 2 + (120, 240, 480, 960) * 4
"""Samples in a frame by configuration: SILK, hybrid, CELT (RFC 6716 table 2)."""


def samples(packet: bytes) -> int:
    """How many samples at 48 kHz ``packet`` lasts (RFC 6716 3.1, 3.2); ``Malformed`` when it is no Opus packet."""
    if not packet:
        raise Malformed("an Opus packet has at least one byte")
    frame, code = _FRAMES[packet[0] >> 3], packet[0] & 3
    if code == 0:
        return frame
    if code == 3 and len(packet) < 2:
        raise Malformed("an Opus packet of code 3 has a frame count")
    total = frame * (packet[1] & 63 if code == 3 else 2)
    if not 0 < total <= _MAX_PACKET_SAMPLES:
        raise Malformed("an Opus packet lasts up to 120 ms")
    return total


def to_ogg_opus(packets: Iterable[Packet]) -> bytes:
    """``packets``, in order of time, as one mono Ogg Opus file that begins with the recording, not with the packet.

    A packet that is not Opus is left out and its time is silence; it stays in the sealed chunks.
    """
    return b"".join(ogg_opus_pages(packets))


def ogg_opus_pages(packets: Iterable[Packet]) -> Iterator[bytes]:
    """The same file page by page, for whoever must not hold all of it."""
    head = b"OpusHead" + bytes([1, 1]) + (0).to_bytes(2, "little") + RATE_HZ.to_bytes(4, "little") + bytes(3)
    vendor = b"recording"
    tags = b"OpusTags" + len(vendor).to_bytes(4, "little") + vendor + bytes(4)
    yield _page([head], granule=0, sequence=0, flags=_FIRST)
    yield _page([tags], granule=0, sequence=1, flags=0)
    waiting: list[bytes] = []
    granule = laced = page_start = 0
    number = 2
    for length, payload in _without_gaps(packets):
        lacing = len(payload) // 255 + 1
        if waiting and (laced + lacing > 255 or granule - page_start >= _PAGE_SAMPLES):
            yield _page(waiting, granule=granule, sequence=number, flags=0)
            number += 1
            waiting, laced, page_start = [], 0, granule
        waiting.append(payload)
        laced += lacing
        granule += length
    yield _page(waiting, granule=granule, sequence=number, flags=_LAST)


def _without_gaps(packets: Iterable[Packet]) -> Iterator[tuple[int, bytes]]:
    position = 0
    for timestamp, payload in packets:
        try:
            length = samples(payload)
        except Malformed:
            continue
        if timestamp > MAX_TIMESTAMP or len(payload) > MAX_PACKET_BYTES:
            raise Malformed(f"a packet at sample {timestamp} with {len(payload)} bytes is out of all bounds")
        for step, silence in _SILENCE:
            while timestamp - position >= step:
                yield step, silence
                position += step
        yield length, payload
        position += length


def _page(packets: list[bytes], *, granule: int, sequence: int, flags: int) -> bytes:
    lacing = b"".join(b"\xff" * (len(each) // 255) + bytes([len(each) % 255]) for each in packets)
    start = b"OggS\0" + bytes([flags]) + granule.to_bytes(8, "little")
    start += _SERIAL.to_bytes(4, "little") + sequence.to_bytes(4, "little")
    rest = bytes([len(lacing)]) + lacing + b"".join(packets)
    return start + _crc(start + bytes(4) + rest).to_bytes(4, "little") + rest


_MIRRORED = bytes(int(f"{each:08b}"[::-1], 2) for each in range(256))


def _crc(page: bytes) -> int:
    """Ogg's CRC-32 (RFC 3533 6): the polynomial of zlib's, but most significant bit first and without inversions.

    Mirroring the bits going in and coming out turns one into the other and keeps the loop in C.
    """
    register = zlib.crc32(page.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(register.to_bytes(4, "little").translate(_MIRRORED), "big")
