"""Notices and tones as Twilio plays them best: WAV, mu-law at 8 kHz, nothing to be transcoded."""

import io
from functools import cache

import av
import numpy as np

from recording.opus import RATE_HZ
from sos.calls.adapters.notices import load_notice, names
from sos.errors import Unknown
from sos.media.opus import Decoder, Pcm, Tone, tone


@cache
def wav(name: str) -> bytes:
    """The sound of a notice or tone; ``Unknown`` when there is none of that name."""
    if name in names():
        return mu_law(load_notice(name))
    if name in {each.value for each in Tone}:
        decoder = Decoder()
        return mu_law(np.concatenate([decoder.decode(packet) for packet in tone(Tone(name))]))
    raise Unknown("there is no sound of this name")


def mu_law(pcm: Pcm, rate_hz: int = RATE_HZ) -> bytes:
    """``pcm`` as WAV, mu-law at 8 kHz."""
    written = io.BytesIO()
    with av.open(written, mode="w", format="wav") as container:
        stream = container.add_stream("pcm_mulaw", rate=8_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(pcm.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = rate_hz
        resampler = av.AudioResampler(format="s16", layout="mono", rate=8_000)
        for made in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(made))
        container.mux(stream.encode(None))
    return written.getvalue()
