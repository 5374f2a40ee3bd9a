"""What the media plane needs of Opus (RFC 6716) beyond ``recording.opus``: a lonely leg's tone, a codec for mixing.

All PCM here is 48 kHz, 16 bit, mono.
"""

from collections.abc import Iterator
from fractions import Fraction
from functools import cache

import av
import numpy as np
import numpy.typing as npt

from recording.opus import RATE_HZ

FRAME = 960
"""Samples in 20 ms, the frame every WebRTC sender uses by default."""
TIME_BASE = Fraction(1, RATE_HZ)

Pcm = npt.NDArray[np.int16]


class Encoder:
    """PCM frames of exactly 20 ms to Opus packets, speech settings, 32 kb/s."""

    def __init__(self) -> None:
        self._codec = av.CodecContext.create("libopus", "w")
        self._codec.bit_rate = 32_000
        self._codec.format = "s16"
        self._codec.layout = "mono"
        self._codec.sample_rate = RATE_HZ
        self._codec.time_base = TIME_BASE
        self._codec.options = {"application": "voip", "frame_duration": "20"}
        self._pts = 0

    def encode(self, pcm: Pcm) -> Iterator[bytes]:
        frame = av.AudioFrame.from_ndarray(pcm.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, self._pts, TIME_BASE
        self._pts += FRAME
        for packet in self._codec.encode(frame):
            yield bytes(packet)


class Decoder:
    """Opus packets of one sender to PCM."""

    def __init__(self) -> None:
        self._codec = av.CodecContext.create("libopus", "r")
        self._codec.format = "s16"
        self._codec.layout = "mono"
        self._codec.sample_rate = RATE_HZ

    def decode(self, payload: bytes) -> Pcm:
        """The PCM of one packet; empty for one that libopus cannot read."""
        try:
            frames = self._codec.decode(av.Packet(payload))
        except av.FFmpegError:
            return np.zeros(0, np.int16)
        channels = [frame.to_ndarray().reshape(-1, frame.layout.nb_channels)[:, 0] for frame in frames]
        return np.concatenate(channels) if channels else np.zeros(0, np.int16)


@cache
def comfort() -> tuple[bytes, ...]:
    """What a leg hears while it is alone: a ring-back tone (400 Hz, 1 s in 3, as in Japan) over faint noise.

    Three seconds as a loop of 150 packets.  A person in a wrecked car must never wonder whether the line is dead.
    """
    time_s = np.arange(3 * RATE_HZ) / RATE_HZ
    ring = np.sin(2 * np.pi * 400 * time_s) * (1 + np.sin(2 * np.pi * 16 * time_s)) / 2
    edge = np.clip(np.minimum(time_s, 1.0 - time_s) / 0.01, 0, 1)
    noise = np.random.default_rng(0).standard_normal(time_s.size)
    pcm = (32_767 * (0.05 * ring * edge + 0.001 * noise)).astype(np.int16)
    encoder = Encoder()
    return tuple(packet for frame in pcm.reshape(-1, FRAME) for packet in encoder.encode(frame))
