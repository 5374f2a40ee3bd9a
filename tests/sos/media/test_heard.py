"""Recorded packets as sound again: in their place, lost ones concealed, gaps silent, and nothing that is no Opus."""

import io
import wave

import numpy as np
import pytest

from recording.opus import Packet
from sos.media import opus
from sos.media.heard import Unrolled, placed, rms_dbov, twice_the_rate, wav
from sos.vehicle.voice import speech_like
from tests.audio import correlate


def packets(pcm: opus.Pcm, *, begin: int = 0) -> list[Packet]:
    encoder = opus.Encoder()
    frames = pcm.reshape(-1, opus.FRAME)
    return [Packet(begin + number * opus.FRAME, encoder.encode(frame)) for number, frame in enumerate(frames)]


SPEECH = speech_like(4.0, seed=5)
AT_16_KHZ = SPEECH.reshape(-1, 3).mean(axis=1)


def test_what_was_said_is_heard_in_its_place() -> None:
    stretches = Unrolled().take(packets(SPEECH, begin=48_000))

    ((begin, pcm),) = stretches
    whole = placed(stretches, begin=0, end=5 * 16_000)

    assert begin == 16_000
    assert pcm.size == 4 * 16_000
    assert not whole[:16_000].any()
    score, delay_s = correlate(AT_16_KHZ[8_000:-8_000], whole, 16_000)
    assert score >= 0.9
    assert delay_s == pytest.approx(1.5, abs=0.02)


def test_portions_give_the_same_as_the_whole() -> None:
    said = packets(SPEECH)
    unrolled = Unrolled()

    portions = [piece for at in range(0, len(said), 7) for piece in unrolled.take(said[at : at + 7])]

    (whole,) = Unrolled().take(said)
    assert np.array_equal(placed(portions, begin=0, end=64_000), whole[1])


def test_a_lost_packet_is_concealed_and_a_long_gap_is_silent() -> None:
    said = packets(SPEECH)

    lost = Unrolled().take([each for number, each in enumerate(said) if number != 50])
    away = Unrolled().take([each for number, each in enumerate(said) if not 50 <= number < 100])

    assert [pcm.size for _, pcm in lost] == [64_000]
    assert [begin for begin, _ in away] == [0, 32_000]
    assert not placed(away, begin=16_400, end=31_600).any()


def test_what_is_no_opus_is_left_out() -> None:
    assert sum(pcm.size for _, pcm in Unrolled().take([Packet(0, b"\xff"), Packet(960, b"")])) == 0
    assert Unrolled().take([]) == []


def test_telephone_sound_keeps_its_pitch_at_twice_the_rate() -> None:
    tone = (8_000 * np.sin(2 * np.pi * 440 * np.arange(8_000) / 8_000)).astype(np.int16)

    made = twice_the_rate(tone)

    wanted = 8_000 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    assert correlate(wanted[1_000:-1_000], made, 16_000)[0] >= 0.99
    assert twice_the_rate(tone[:0]).size == 0


def test_a_wav_file_is_what_a_player_takes_it_for() -> None:
    with wave.open(io.BytesIO(wav(np.arange(100, dtype=np.int16), 8_000))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate(), file.getnframes()) == (1, 2, 8_000, 100)
        assert np.array_equal(np.frombuffer(file.readframes(100), "<i2"), np.arange(100))


def test_loudness_is_that_of_full_scale_or_nothing() -> None:
    assert rms_dbov(np.zeros(0, np.int16)) == rms_dbov(np.zeros(9, np.int16)) == -127
    assert rms_dbov(np.full(9, -32_768, np.int16)) == 0
    assert rms_dbov(np.full(9, 3_277, np.int16)) == -20
