"""Who speaks, told from ten figures a second: in a quiet car, in a loud one, and where nobody is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sos.media.activity import PAUSE_READINGS, Activity
from sos.media.heard import rms_dbov
from sos.media.opus import Pcm
from sos.vehicle.voice import speech_like

READING = 4_800
"""A tenth of a second at 48 kHz."""


def noise(seconds: float, *, dbov: float, seed: int) -> Pcm:
    random = np.random.default_rng(seed)
    return (random.standard_normal(round(seconds * 48_000)) * 32_768 * 10 ** (dbov / 20)).astype(np.int16)


def told(sound: Pcm) -> list[bool]:
    activity = Activity()
    readings = sound[: sound.size // READING * READING].reshape(-1, READING)
    return [activity.hear(rms_dbov(reading)) for reading in readings]


@pytest.mark.parametrize("noise_dbov", [-80, -60, -50, -40])
def test_a_voice_over_the_noise_of_a_car_is_told_from_the_noise_alone(noise_dbov: int) -> None:
    silence = np.zeros(10 * 48_000, np.int16)
    sound = np.concatenate([silence, speech_like(10.0, seed=3), silence]) + noise(30, dbov=noise_dbov, seed=4)

    lamp = told(sound)

    assert np.mean(lamp[10:100]) <= 0.02  # in its first second it takes what it hears for a voice: no word is missed
    assert np.mean(lamp[105:200]) >= 0.95
    assert np.mean(lamp[200 + PAUSE_READINGS :]) <= 0.02


def test_noise_that_comes_up_is_taken_for_a_voice_for_some_seconds_and_then_for_what_it_is() -> None:
    lamp = told(np.concatenate([noise(10, dbov=-70, seed=1), noise(20, dbov=-38, seed=2)]))

    assert not any(lamp[:100])
    assert not any(lamp[100 + 70 :])


def test_a_pause_between_words_does_not_put_the_lamp_out() -> None:
    word, pause = [-25] * 4, [-65] * (PAUSE_READINGS - 1)
    activity = Activity()
    for level in [-65] * 10:
        activity.hear(level)

    lamp = [activity.hear(level) for level in (word + pause) * 6]

    assert all(lamp)
    assert [activity.hear(-65) for _ in range(2)][-1] is False


@given(st.lists(st.integers(-127, 0), max_size=200))
def test_whatever_comes_silence_ends_it(levels: list[int]) -> None:
    activity = Activity()
    for level in levels:
        activity.hear(level)

    lamp = [activity.hear(-127) for _ in range(PAUSE_READINGS)]

    assert not lamp[-1]
