"""How loud a sender is: what it states is believed, what it does not state is decoded, and silence is silence."""

import numpy as np
import pytest

from sos.media import opus
from sos.media.meter import SILENCE, Meter
from sos.vehicle.voice import speech_like


def packets(pcm: opus.Pcm) -> list[bytes]:
    encoder = opus.Encoder()
    return [encoder.encode(frame) for frame in pcm.reshape(-1, opus.FRAME)]


def dbov(pcm: opus.Pcm) -> float:
    return float(10 * np.log10(np.mean((pcm.astype(np.float64) / 32_768) ** 2)))


def test_a_stated_level_is_believed_and_the_loudest_packet_is_the_peak() -> None:
    meter = Meter()

    for level in (20, 20, 20, 20, 10):
        meter.hear(b"not even Opus", level)

    assert meter.read().peak == -10
    assert meter.read().rms == SILENCE


@pytest.mark.parametrize("quieter_db", [0, 20, 40])
def test_a_voice_that_states_nothing_is_measured_to_six_decibels(quieter_db: int) -> None:
    pcm = (speech_like(20.0, seed=3) * 10 ** (-quieter_db / 20)).astype(np.int16)
    meter = Meter()

    for packet in packets(pcm):
        meter.hear(packet, None)

    assert meter.read().rms == pytest.approx(dbov(pcm), abs=6)


def test_nothing_heard_is_silence() -> None:
    assert Meter().read().rms == SILENCE


def test_what_is_no_opus_counts_as_nothing() -> None:
    meter = Meter()

    for _ in range(20):
        meter.hear(b"\xff", None)

    assert meter.read().peak == SILENCE
