"""What was heard of one track, as sound and as text: the values that pass between who hears it and who writes it down.

All sound here is 16 bit, mono, at 16 kHz (``opus.MIX_RATE_HZ``).
"""

import io
import wave
from collections.abc import Iterable

import numpy as np
from msgspec import Struct

from recording.opus import RATE_HZ, Packet
from sos.media.opus import FRAME, MIX_RATE_HZ, Decoder, Pcm

_STEP = RATE_HZ // MIX_RATE_HZ
_CONCEALED_FRAMES = 3
"""60 ms: a longer gap is no lost packet, nothing was sent."""


class Heard(Struct, frozen=True, kw_only=True):
    """A stretch of one party's sound."""

    party: str
    leg: str = ""
    """Empty where one track holds the calls of the same vehicle one after the other."""
    begin: int
    """In samples of 16 kHz; the clock of the track, not of the wall."""
    pcm: Pcm

    @property
    def end(self) -> int:
        return self.begin + int(self.pcm.size)


class Line(Struct, frozen=True, kw_only=True):
    """Something that was said, as a machine wrote it down.  Never a record: the recording is."""

    n: int
    """Counts the lines of one incident from 1."""
    party: str
    leg: str
    at: str
    """When it was said, RFC 3339."""
    text: str
    """Empty: the machine was not in time for it, or could not read it."""


class Unrolled:
    """Recorded Opus packets of one track as sound on its timeline.  ``take`` them as they come, in order."""

    def __init__(self) -> None:
        self._decoder = Decoder(MIX_RATE_HZ)
        self._next: int | None = None
        """Where the sound so far ends, in samples of 48 kHz."""

    def take(self, packets: Iterable[Packet]) -> list[tuple[int, Pcm]]:
        """Stretches without a gap, each with where it begins (16 kHz); what is no Opus is left out."""
        stretches: list[tuple[int, list[Pcm]]] = []
        for packet in packets:
            if not packet.payload:  # the decoder would take it for a loss of unknown length
                continue
            at = self._next
            missing = 0 if at is None else (packet.timestamp - at) // FRAME
            if at is None or missing > _CONCEALED_FRAMES:
                at, missing = packet.timestamp, 0
                stretches.append((at, []))
            elif not stretches:
                stretches.append((at, []))
            pieces = [self._decoder.conceal() for _ in range(missing)]
            pieces.append(self._decoder.decode(packet.payload))
            stretches[-1][1].extend(pieces)
            self._next = at + sum(int(piece.size) for piece in pieces) * _STEP
        return [(begin // _STEP, np.concatenate(pieces)) for begin, pieces in stretches if pieces]


def placed(stretches: Iterable[tuple[int, Pcm]], *, begin: int, end: int) -> Pcm:
    """One sound from ``begin`` to ``end`` (16 kHz) with silence where nothing came."""
    whole = np.zeros(max(0, end - begin), np.int16)
    for at, pcm in stretches:
        first, last = max(at, begin), min(at + int(pcm.size), end)
        if first < last:
            whole[first - begin : last - begin] = pcm[first - at : last - at]
    return whole


def rms_dbov(pcm: Pcm) -> int:
    """Mean loudness, 0 the loudest there can be; -127 for nothing."""
    if not pcm.size:
        return -127
    samples = pcm.astype(np.float32)
    power = float(np.dot(samples, samples)) / pcm.size / 32_768.0**2
    return max(-127, min(0, round(10 * float(np.log10(power))))) if power > 0 else -127


def twice_the_rate(pcm: Pcm) -> Pcm:
    """Telephone sound (8 kHz) at 16 kHz, by the mean between each two samples: for a machine's ear, good enough."""
    if not pcm.size:
        return pcm
    following = np.append(pcm[1:], pcm[-1]).astype(np.int32)
    made = np.empty(2 * pcm.size, np.int16)
    made[0::2], made[1::2] = pcm, (pcm + following) // 2
    return made


def wav(pcm: Pcm, rate_hz: int = MIX_RATE_HZ) -> bytes:
    """``pcm`` as a WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(rate_hz)
        written.writeframes(pcm.astype("<i2", copy=False).tobytes())
    return file.getvalue()
