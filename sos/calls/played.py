"""A recording to listen to: all its parties as one sound that can be begun anywhere, and how loud each of them was.

The sound is made when it is asked for, in blocks of ten seconds, from the sealed chunks that a block needs and no
others; nothing in clear is kept on a disk.  A chunk must open with the key and, of a sealed recording, be the one that
the journal's manifest lists.  The same bytes come each time, so that a player may ask for any range of them.
"""

import asyncio
import json
import struct
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
from msgspec import Struct

from recording.errors import Tampered
from recording.opus import RATE_HZ, Packet
from recording.tracks import EVENTS, chunk_files, open_chunk, read_header, unpack
from sos.media.heard import Unrolled, placed, rms_dbov
from sos.media.opus import MIX_RATE_HZ, Pcm

BLOCK_S = 10
"""What is made at once: a third of a second of work for three voices, and what a seek costs at most."""
_BLOCKS_KEPT = 6
_STEP = RATE_HZ // MIX_RATE_HZ
_BLOCK = BLOCK_S * MIX_RATE_HZ
_BEFORE = RATE_HZ
"""A decoder finds its way in less than this: a block begins as it would sound within the whole."""
HEARD = "-heard"
"""Ends the name of a track of what a leg was played: an echo of the others, and no party."""
WAV_HEADER = 44
TENTH_MS = 100
"""How much sound one value of a waveform stands for."""


class Piece(Struct, frozen=True, kw_only=True):
    """A sealed chunk, as the manifest lists it; one of a running recording has no digest there yet."""

    file: str
    track: str
    first: int
    last: int
    """In samples of 48 kHz since the recording began."""
    sha256: str = ""


def listed(manifest: bytes) -> tuple[Piece, ...]:
    """The pieces of a sealed recording."""
    return tuple(
        Piece(file=e["file"], track=e["track"], first=e["first"], last=e["last"], sha256=e["sha256"])
        for e in json.loads(manifest)["chunks"]
    )


def found(directory: Path) -> tuple[Piece, ...]:
    """The pieces of a recording that is being written, as far as they are on the disk."""
    pieces = []
    for path in chunk_files(directory):
        header = read_header(path)
        if header is not None:
            pieces.append(Piece(file=path.name, track=header["track"], first=header["first"], last=header["last"]))
    return tuple(pieces)


Fetch = Callable[[Sequence[Piece]], Sequence[bytes]]
"""The files of some pieces, wherever they lie; may block, and raise ``OSError``."""


class Played:
    """One recording as it stood when it was opened."""

    def __init__(
        self, pieces: Sequence[Piece], key: bytes, *, fetch: Fetch, workers: asyncio.Semaphore | None = None
    ) -> None:
        """``workers``: threads that all listenings share; by itself one of its own."""
        sound = [each for each in pieces if each.track != EVENTS]
        self._pieces = sorted(sound, key=lambda each: (each.track, each.first))
        self._key = key
        self._fetch = fetch
        self._mixed: OrderedDict[int, bytes] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()
        self._workers = workers or asyncio.Semaphore(1)
        last = max((each.last for each in sound), default=-1)
        self.samples = (last // _STEP) + MIX_RATE_HZ // 50 if sound else 0
        """At 16 kHz; the last packet has 20 ms."""

    @property
    def duration_ms(self) -> int:
        return self.samples * 1000 // MIX_RATE_HZ

    @property
    def parties(self) -> tuple[str, ...]:
        """The tracks of who spoke."""
        return tuple(sorted({each.track for each in self._pieces if not each.track.endswith(HEARD)}))

    @property
    def size(self) -> int:
        """Bytes of the WAV file."""
        return WAV_HEADER + 2 * self.samples

    async def wav(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """The bytes of the WAV file from ``start`` on and before ``stop``.

        ``Tampered`` when a chunk is not what it must be, ``OSError`` when it cannot be had.
        """
        ahead = _header(self.samples)[start:stop] if start < WAV_HEADER else b""
        at = max(start, WAV_HEADER)
        while at < stop:
            number, inside = divmod(at - WAV_HEADER, 2 * _BLOCK)
            piece = (await self._block(number))[inside : inside + stop - at]
            yield ahead + piece  # never the header alone: sound that cannot be had is told with the first piece
            ahead = b""
            at += len(piece)
        if ahead:
            yield ahead

    async def loudness(self, begin_ms: int, end_ms: int) -> Mapping[str, Sequence[int]]:
        """Of each party, the loudness (dBov) of each tenth of a second."""
        begin, end = (min(self.samples, ms * MIX_RATE_HZ // 1000) for ms in (begin_ms, end_ms))
        async with self._one_at_a_time, self._workers:
            tracks = await asyncio.to_thread(self._unrolled, begin, end)
        step = MIX_RATE_HZ * TENTH_MS // 1000
        spoken = {track: pcm for track, pcm in tracks.items() if not track.endswith(HEARD)}
        return {
            track: [rms_dbov(pcm[at : at + step]) for at in range(0, int(pcm.size), step)]
            for track, pcm in spoken.items()
        }

    async def _block(self, number: int) -> bytes:
        async with self._one_at_a_time:
            if number not in self._mixed:
                async with self._workers:
                    self._mixed[number] = await asyncio.to_thread(self._mix, number)
                while len(self._mixed) > _BLOCKS_KEPT:
                    self._mixed.popitem(last=False)
            self._mixed.move_to_end(number)
            return self._mixed[number]

    def _mix(self, number: int) -> bytes:
        begin, end = number * _BLOCK, min(self.samples, (number + 1) * _BLOCK)
        mixed = np.zeros(end - begin, np.int32)
        for track, pcm in self._unrolled(begin, end).items():
            if not track.endswith(HEARD):
                mixed += pcm
        return np.clip(mixed, -32_768, 32_767).astype("<i2").tobytes()

    def _unrolled(self, begin: int, end: int) -> dict[str, Pcm]:
        """Each track between two samples of 16 kHz, silent where nothing came."""
        wanted = [e for e in self._pieces if e.last >= begin * _STEP - _BEFORE and e.first < end * _STEP]
        packets: dict[str, list[Packet]] = {each.track: [] for each in self._pieces}
        for piece, content in zip(wanted, self._fetch(wanted), strict=True):
            packets[piece.track] += self._open(piece, content)
        return {track: placed(Unrolled().take(taken), begin=begin, end=end) for track, taken in sorted(packets.items())}

    def _open(self, piece: Piece, content: bytes) -> list[Packet]:
        if piece.sha256 and sha256(content).hexdigest() != piece.sha256:
            raise Tampered(f"{piece.file} is not the chunk that the manifest lists")
        return unpack(open_chunk(piece.file, content, self._key).body)


def _header(samples: int) -> bytes:
    """Of a WAV file: 16 bit, mono, 16 kHz."""
    size = 2 * samples
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, MIX_RATE_HZ, 2 * MIX_RATE_HZ, 2, 16)
    return struct.pack("<4sI4s", b"RIFF", 36 + size, b"WAVE") + form + struct.pack("<4sI", b"data", size)
