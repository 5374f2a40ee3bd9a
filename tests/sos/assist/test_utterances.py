"""Speech cut where it pauses: nothing of a voice is lost or said twice, and noise alone is nothing."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sos.assist.listening.utterances import LONGEST_S, Utterance, Utterances
from sos.media.heard import Heard
from sos.media.opus import Pcm
from sos.vehicle.voice import speech_like

RATE_HZ = 16_000


def spoken(seconds: float, *, seed: int) -> Pcm:
    return speech_like(seconds, seed=seed).reshape(-1, 3).mean(axis=1).astype(np.int16)


def quiet(seconds: float) -> Pcm:
    return (np.random.default_rng(1).standard_normal(round(seconds * RATE_HZ)) * 30).astype(np.int16)


def heard(pcm: Pcm, begin: int = 0) -> Heard:
    return Heard(party="vehicle", begin=begin, pcm=pcm)


def cut(pcm: Pcm, *portions: int) -> list[Utterance]:
    made, done, at = Utterances(), list[Utterance](), 0
    for portion in (*portions, pcm.size):
        done += made.take(heard(pcm[at : at + portion], at))
        at = min(pcm.size, at + portion)
    return done + made.finish()


TALK = np.concatenate([quiet(2), spoken(3, seed=1), quiet(1.5), spoken(4, seed=2), quiet(2)])


def test_two_sentences_are_two_utterances_with_their_beginnings() -> None:
    first, second = cut(TALK)

    assert 1.5 * RATE_HZ <= first.begin <= 2 * RATE_HZ
    assert 4.9 * RATE_HZ <= first.begin + first.pcm.size <= 5.7 * RATE_HZ
    assert 6.0 * RATE_HZ <= second.begin <= 6.5 * RATE_HZ
    assert np.array_equal(first.pcm, TALK[first.begin : first.begin + first.pcm.size])
    assert np.array_equal(second.pcm, TALK[second.begin : second.begin + second.pcm.size])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 40_000), max_size=30))
def test_in_whatever_portions_it_comes_the_same_is_cut(portions: list[int]) -> None:
    cuts = cut(TALK, *portions)

    assert [(each.begin, each.pcm.size) for each in cuts] == [(each.begin, each.pcm.size) for each in cut(TALK)]


def test_who_speaks_on_and_on_is_cut_at_the_longest_and_loses_nothing() -> None:
    talk = spoken(40, seed=3)

    cuts = cut(talk)

    assert [each.pcm.size for each in cuts[:2]] == [LONGEST_S * RATE_HZ] * 2
    for one, next_one in pairwise(cuts):
        assert one.begin + one.pcm.size == next_one.begin
    assert cuts[-1].begin + cuts[-1].pcm.size >= talk.size - RATE_HZ // 10


def test_noise_a_click_and_nothing_at_all_are_no_utterance() -> None:
    click = quiet(4)
    click[RATE_HZ : RATE_HZ + 400] += 8_000

    assert cut(quiet(10)) == cut(click) == cut(np.zeros(5 * RATE_HZ, np.int16)) == cut(quiet(0)) == []


def test_a_short_gap_is_silence_and_a_long_one_ends_what_was_said() -> None:
    talk = spoken(4, seed=4)
    half = talk.size // 2

    def with_gap(gap_s: float) -> list[Utterance]:
        made = Utterances()
        done = made.take(heard(talk[:half]))
        return done + made.take(heard(talk[half:], half + round(gap_s * RATE_HZ))) + made.finish()

    (whole,) = with_gap(0.2)
    assert whole.pcm.size >= talk.size + 0.1 * RATE_HZ
    assert len(with_gap(3)) == 2


def test_what_comes_twice_is_heard_once() -> None:
    made, talk = Utterances(), spoken(3, seed=5)

    done = made.take(heard(talk)) + made.take(heard(talk[-RATE_HZ:], 2 * RATE_HZ)) + made.finish()

    assert sum(each.pcm.size for each in done) <= talk.size
