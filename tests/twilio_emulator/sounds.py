"""What the people on emulated telephones say, and the two channels that are recorded of each of them."""

import io
import wave
from collections.abc import Iterable
from functools import cache

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from sos.vehicle.voice import speech_like

RATE_HZ = 8_000
FRAME = 160
Pcm = npt.NDArray[np.int16]


class Stay(Struct, frozen=True, kw_only=True):
    """One stretch of a participant's life in a conference in which nothing about it changed; seconds of the clock."""

    call: str
    begin: float
    end: float
    muted: bool = False
    held: bool = False
    coached: str = ""
    """The only call that hears it; empty: everyone."""


@cache
def speech(seed: int, seconds: int = 20) -> Pcm:
    """What a person says, over and over."""
    return speech_like(seconds, seed=seed).reshape(-1, 6).mean(axis=1).astype(np.int16)


def said(seed: int, *, begin: float, end: float) -> Pcm:
    """What a person says from ``begin`` to ``end``, seconds since the call was answered; silence before."""
    own = speech(seed)
    at = np.arange(round(begin * RATE_HZ), round(end * RATE_HZ))
    return np.where(at >= 0, own[at % own.size], 0).astype(np.int16)


def played_to(
    call: str, stays: Iterable[Stay], *, begin: float, end: float, people: dict[str, tuple[int, float]]
) -> Pcm:
    """What ``call`` is played from ``begin`` to ``end``: all others that it may hear.

    ``people``: seed and moment of answering of each call.
    """
    mix = np.zeros(round((end - begin) * RATE_HZ), np.int32)
    known = list(stays)
    for mine in (stay for stay in known if stay.call == call and not stay.held):
        for other in (stay for stay in known if stay.call != call and not stay.held and not stay.muted):
            start, stop = max(mine.begin, other.begin, begin), min(mine.end, other.end, end)
            if stop <= start or other.coached not in ("", call):
                continue
            seed, answered = people[other.call]
            words = said(seed, begin=start - answered, end=stop - answered)
            at = round((start - begin) * RATE_HZ)
            space = mix[at : at + words.size]
            space += words[: space.size]
    return np.clip(mix, -32_768, 32_767).astype(np.int16)


def dual(left: Pcm, right: Pcm) -> bytes:
    """A WAV of two channels."""
    size = max(left.size, right.size)
    both = np.zeros((size, 2), np.int16)
    both[: left.size, 0], both[: right.size, 1] = left, right
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(2)
        written.setsampwidth(2)
        written.setframerate(RATE_HZ)
        written.writeframes(both.tobytes())
    return file.getvalue()


def mu_law(pcm: Pcm) -> bytes:
    """ITU-T G.711."""
    linear = pcm.astype(np.int32)
    sign = np.where(linear < 0, 0x80, 0)
    magnitude = np.minimum(np.abs(linear), 32_635) + 0x84
    exponent = np.floor(np.log2(magnitude)).astype(np.int32) - 7
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    return (~(sign | (exponent << 4) | mantissa) & 0xFF).astype(np.uint8).tobytes()
