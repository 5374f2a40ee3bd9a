"""A leg's recording from Twilio, put into our own sealed format.

Twilio gives one WAV per leg: channel 1 is what the party said, channel 2 what it was played.  Each becomes a track of
Opus packets, as all other recordings here are, so that the export, ``sos verify`` and the retention of keys need know
nothing of Twilio; the digest of the WAV as it came stands among the recording's events.  The tracks begin where Twilio
says that the leg's recording began, which it tells to the second: speech of two legs may be a second apart, and what
each of them heard of the other stands exact on its own second track.
"""

import io
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError
from msgspec import Struct

from recording.opus import RATE_HZ
from recording.tracks import Recorder, read_chunks
from sos.clock import timestamp
from sos.errors import Unavailable
from sos.incident.model import LegId
from sos.media.opus import FRAME, Encoder, Pcm

HEARD = "-heard"
"""Ends the name of the track of what a leg was played."""
_FLUSH_EVERY_S = 60
_SHORTER_BY_S = 2
"""How much less than announced a recording may last: Twilio rounds to whole seconds."""


class Taken(Struct, frozen=True, kw_only=True):
    """One recording as it came."""

    leg: LegId
    sid: str
    began: datetime
    announced_s: int
    wav: bytes

    @property
    def digest(self) -> str:
        return sha256(self.wav).hexdigest()


class Sealed(Struct, frozen=True, kw_only=True):
    manifest: bytes
    chunks: int


def seal(directory: Path, taken: Sequence[Taken], *, recording: str, key: bytes, missing: Sequence[str]) -> Sealed:
    """Write every leg's tracks, seal them, and read them back from the disk; blocks, so call it in a thread.

    What a killed process left in ``directory`` unsealed is thrown away: Twilio still has it all.  ``Unavailable`` when
    a recording is not what was announced, ``OSError`` for the disk, ``recording.errors.Tampered`` when what is on the
    disk is not what was written.
    """
    if directory.exists():
        shutil.rmtree(directory)
    start = min(each.began for each in taken)
    recorder = Recorder(directory, recording, key, started_at=timestamp(start.astimezone(UTC)))
    for each in sorted(taken, key=lambda each: each.began):
        offset = round((each.began - start).total_seconds() * RATE_HZ)
        recorder.mark(
            {"bytes": len(each.wav), "leg": each.leg, "provider": each.sid, "sha256": each.digest}, timestamp=offset
        )
        _add(recorder, each, offset=offset)
    for leg in missing:
        recorder.mark({"leg": leg, "missing": True})
    manifest = recorder.seal()
    return Sealed(manifest=manifest, chunks=len(read_chunks(directory, key, manifest=manifest)))


def _add(recorder: Recorder, taken: Taken, *, offset: int) -> None:
    encoders = (Encoder(), Encoder())
    tracks = (taken.leg, f"{taken.leg}{HEARD}")
    at = 0
    for frame in channels(taken.wav):
        for encoder, track, pcm in zip(encoders, tracks, frame, strict=True):
            if np.any(pcm):
                recorder.add(track, offset + at, encoder.encode(pcm))
        at += FRAME
        if at % (_FLUSH_EVERY_S * RATE_HZ) == 0:
            recorder.flush()
    if at < (taken.announced_s - _SHORTER_BY_S) * RATE_HZ:
        raise Unavailable("a recording is shorter than announced")
    recorder.flush()


def channels(wav: bytes) -> Iterator[tuple[Pcm, Pcm]]:
    """Frames of 20 ms at 48 kHz: what was said, what was heard (silence where there is one channel only).

    ``Unavailable`` when it is no sound that can be read.
    """
    left = np.zeros((2, 0), np.int16)
    try:
        with av.open(io.BytesIO(wav), mode="r") as container:
            stream = container.streams.audio[0]
            mono = stream.channels == 1
            resampler = av.AudioResampler(format="s16p", layout="mono" if mono else "stereo", rate=RATE_HZ)
            for decoded in (*container.decode(stream), None):
                for made in resampler.resample(decoded):
                    samples = made.to_ndarray()
                    both = np.vstack([samples, np.zeros_like(samples)]) if mono else samples
                    left = np.concatenate([left, both], axis=1)
                    while left.shape[1] >= FRAME:
                        yield left[0, :FRAME], left[1, :FRAME]
                        left = left[:, FRAME:]
    except (FFmpegError, IndexError) as damaged:
        raise Unavailable("a recording came as something that is no sound") from damaged
    if left.shape[1]:
        last = np.zeros((2, FRAME), np.int16)
        last[:, : left.shape[1]] = left
        yield last[0], last[1]
