"""What voice needs of Opus (RFC 6716) beyond ``recording.opus``: tones, and a codec for mixing.

libopus is called directly, since PyAV gives neither loss concealment nor the in-band error correction.

All PCM here is 16 bit, mono, at 48 kHz unless a rate is given.
"""

from ctypes import POINTER, byref, c_char_p, c_int, c_int32, c_void_p, create_string_buffer, string_at
from enum import StrEnum
from fractions import Fraction
from functools import cache
from typing import assert_never

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from opuslib_next._loader import load_libopus

from recording.opus import RATE_HZ
from sos.errors import Unavailable

FRAMES_PER_S = 50
FRAME = RATE_HZ // FRAMES_PER_S
"""Samples in 20 ms, the frame every WebRTC sender uses by default."""
MIX_RATE_HZ = 16_000
"""What mixing works at: wideband, the best a telephone carries, for two thirds of the time that 48 kHz takes."""
TIME_BASE = Fraction(1, RATE_HZ)

Pcm = npt.NDArray[np.int16]


_lib = load_libopus()
"""A handle of our own: the package declares the same functions in its own way on its handle."""
_lib.opus_encoder_create.restype = c_void_p
_lib.opus_encoder_create.argtypes = (c_int32, c_int, c_int, POINTER(c_int))
_lib.opus_encode.restype = c_int32
_lib.opus_encode.argtypes = (c_void_p, c_void_p, c_int, c_char_p, c_int32)
_lib.opus_encoder_ctl.argtypes = (c_void_p, c_int)  # variadic: the value follows
_lib.opus_encoder_destroy.argtypes = (c_void_p,)
_lib.opus_encoder_destroy.restype = None
_lib.opus_decoder_create.restype = c_void_p
_lib.opus_decoder_create.argtypes = (c_int32, c_int, POINTER(c_int))
_lib.opus_decode.restype = c_int
_lib.opus_decode.argtypes = (c_void_p, c_char_p, c_int32, c_void_p, c_int, c_int)
_lib.opus_decoder_destroy.argtypes = (c_void_p,)
_lib.opus_decoder_destroy.restype = None

_VOIP, _AUDIO, _LOW_DELAY, _VOICE = 2048, 2049, 2051, 3001
_SET_BITRATE, _SET_COMPLEXITY, _SET_INBAND_FEC, _SET_LOSS_PERCENT, _SET_SIGNAL = 4002, 4010, 4012, 4014, 4024
"""``opus_defines.h``."""
_MOST_SAMPLES = 5760
"""120 ms, the longest an Opus packet can last (RFC 6716 2.1.4)."""
_MOST_BYTES = 1500


class Tuning(Struct, frozen=True, kw_only=True):
    """How an encoder weighs what it hears against what it costs."""

    application: int
    complexity: int
    rate_hz: int = RATE_HZ
    bits_per_s: int = 32_000
    loss_percent: int = 10
    """How much of what is lost on the way the next packet shall make up for."""


MICROPHONE = Tuning(application=_VOIP, complexity=5)
"""Fresh speech: rumble below the voice is taken out.  5 takes a third of the time of 10, with no difference to hear."""

MIX = Tuning(application=_AUDIO, complexity=1, rate_hz=MIX_RATE_HZ)
"""Speech that went through a microphone's encoder already: no second high-pass, which would smear low voices, and a
third of the time of 48 kHz and 5 (52 instead of 164 us a frame), since every listener of a mix needs an encoder."""

WIRED_MIX = Tuning(application=_LOW_DELAY, complexity=1, rate_hz=MIX_RATE_HZ, bits_per_s=40_000, loss_percent=0)
"""The same for a listener whose line loses nothing: CELT has no error correction and takes half the time of SILK."""


class Encoder:
    """PCM frames of exactly 20 ms to Opus packets, speech settings, as ``tuning`` weighs it."""

    def __init__(self, tuning: Tuning = MICROPHONE) -> None:
        failed = c_int()
        self.tuning = tuning
        self._frame = tuning.rate_hz // FRAMES_PER_S
        self._state = _lib.opus_encoder_create(tuning.rate_hz, 1, tuning.application, byref(failed))
        if failed.value:
            raise Unavailable(f"libopus makes no encoder ({failed.value})")
        self._packet = create_string_buffer(_MOST_BYTES)
        for request, value in (
            (_SET_BITRATE, tuning.bits_per_s),
            (_SET_COMPLEXITY, tuning.complexity),
            (_SET_SIGNAL, _VOICE),
            (_SET_INBAND_FEC, 1 if tuning.loss_percent else 0),
            (_SET_LOSS_PERCENT, tuning.loss_percent),
        ):
            _lib.opus_encoder_ctl(self._state, request, c_int32(value))

    def __del__(self) -> None:
        if state := getattr(self, "_state", None):
            _lib.opus_encoder_destroy(state)

    def encode(self, pcm: Pcm) -> bytes:
        """One packet; ``pcm`` has 20 ms."""
        size = _lib.opus_encode(
            self._state, pcm.astype(np.int16, copy=False).tobytes(), self._frame, self._packet, _MOST_BYTES
        )
        return string_at(self._packet, size) if size > 0 else b""


class Decoder:
    """Opus packets of one sender to PCM, and what to play for those that never came."""

    def __init__(self, rate_hz: int = RATE_HZ) -> None:
        failed = c_int()
        self._frame = rate_hz // FRAMES_PER_S
        self._state = _lib.opus_decoder_create(rate_hz, 1, byref(failed))
        if failed.value:
            raise Unavailable(f"libopus makes no decoder ({failed.value})")
        self._pcm = np.zeros(_MOST_SAMPLES, np.int16)
        self._at = self._pcm.ctypes.data

    def __del__(self) -> None:
        if state := getattr(self, "_state", None):
            _lib.opus_decoder_destroy(state)

    def decode(self, payload: bytes) -> Pcm:
        """The PCM of one packet; empty for one that libopus cannot read."""
        return self._take(payload, _MOST_SAMPLES, fec=0)

    def recover(self, following: bytes) -> Pcm:
        """The 20 ms before ``following``, from the error correction in it; concealed where it carries none."""
        return self._take(following, self._frame, fec=1)

    def conceal(self) -> Pcm:
        """20 ms in place of a packet that never came; after a few in a row it fades to silence."""
        return self._take(None, self._frame, fec=0)

    def _take(self, payload: bytes | None, samples: int, *, fec: int) -> Pcm:
        length = len(payload) if payload else 0
        made = _lib.opus_decode(self._state, payload, length, self._at, samples, fec)
        return self._pcm[: max(0, made)].copy()


class Tone(StrEnum):
    """What a leg hears when nobody speaks to it."""

    RING = "ring"
    """It is alone: a ring-back tone (400 Hz, 1 s in 3, as in Japan) over faint noise."""
    HOLD = "hold"
    """It is held: two soft notes every 3 s."""
    QUIET = "quiet"
    """Somebody is there and not to be heard: faint noise, so that the line does not seem dead."""


@cache
def tone(kind: Tone) -> tuple[bytes, ...]:
    """``kind`` as a loop of 150 packets, three seconds.

    A person in a wrecked car must never wonder whether the line is dead.
    """
    time_s = np.arange(3 * RATE_HZ) / RATE_HZ
    match kind:
        case Tone.RING:
            ring = np.sin(2 * np.pi * 400 * time_s) * (1 + np.sin(2 * np.pi * 16 * time_s)) / 2
            sound = 0.05 * ring * _edge(time_s, 0.0, 1.0)
        case Tone.HOLD:
            first = np.sin(2 * np.pi * 523.25 * time_s) * _edge(time_s, 0.0, 0.4)
            sound = 0.03 * (first + np.sin(2 * np.pi * 659.25 * time_s) * _edge(time_s, 0.5, 0.9))
        case Tone.QUIET:
            sound = np.zeros(time_s.size)
        case _:
            assert_never(kind)
    noise = np.random.default_rng(0).standard_normal(time_s.size)
    pcm = (32_767 * (sound + 0.001 * noise)).astype(np.int16)
    encoder = Encoder()
    return tuple(encoder.encode(frame) for frame in pcm.reshape(-1, FRAME))


def _edge(time_s: "npt.NDArray[np.float64]", start: float, end: float) -> "npt.NDArray[np.float64]":
    """1 between ``start`` and ``end`` with ramps of 10 ms, 0 elsewhere."""
    return np.clip(np.minimum(time_s - start, end - time_s) / 0.01, 0, 1)
