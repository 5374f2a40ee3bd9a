"""The mixer's buffer of one voice against a simulated network: loss, jitter, stalls, clocks that drift, silence."""

from random import Random

import numpy as np
import pytest
from msgspec import Struct

from recording.opus import RATE_HZ
from sos.media.opus import FRAME, MIX_RATE_HZ, Encoder
from sos.media.voice import MOST_DEPTH, Voice
from sos.vehicle.voice import speech_like
from tests.audio import correlate

FRAME_S = FRAME / RATE_HZ
SPOKEN = speech_like(20, seed=3)
NEAR_THE_END = 2**32 - RATE_HZ
"""First timestamp: the 32 bits wrap one second into the call."""


@pytest.fixture(scope="module")
def packets() -> list[bytes]:
    encoder = Encoder()
    return [encoder.encode(frame) for frame in SPOKEN.reshape(-1, FRAME)]


class Outcome(Struct):
    voice: Voice
    delays_ms: "np.ndarray"
    heard: "np.ndarray"

    @property
    def concealed(self) -> float:
        return self.voice.concealed / self.voice.taken


def listen(
    packets: list[bytes],
    *,
    seconds: float = 20,
    loss: float = 0.0,
    jitter_s: float = 0.005,
    stall_at_s: float | None = None,
    stall_s: float = 0.3,
    drift_ppm: float = 0.0,
    twice: float = 0.0,
    unsent: range = range(0),
    seed: int = 1,
) -> Outcome:
    """What comes out of a ``Voice`` that is fed over such a network, and how much it held at each tick."""
    random, frames = Random(seed), round(seconds / FRAME_S)
    arrivals: list[tuple[float, int]] = []
    for number in range(frames):
        if random.random() < loss or number in unsent:
            continue
        at = number * FRAME_S * (1 + drift_ppm * 1e-6) + random.random() * jitter_s
        if stall_at_s is not None and stall_at_s <= at < stall_at_s + stall_s:
            at = stall_at_s + stall_s
        arrivals += [(at, number)] * (2 if random.random() < twice else 1)
    arrivals.sort()
    voice, heard, delays, due = Voice(), [], [], 0
    for tick in range(frames):
        while due < len(arrivals) and arrivals[due][0] <= (tick + 1) * FRAME_S:
            number = arrivals[due][1]
            voice.hear((NEAR_THE_END + number * FRAME) % 2**32, packets[number % len(packets)])
            due += 1
        heard.append(voice.take())
        delays.append(voice.buffered / RATE_HZ * 1000)
    return Outcome(voice=voice, delays_ms=np.array(delays), heard=np.concatenate(heard))


def test_on_a_good_network_every_sample_comes_through_once(packets):
    told = listen(packets)

    assert told.concealed == 0
    assert correlate(SPOKEN[RATE_HZ : 3 * RATE_HZ], told.heard, RATE_HZ)[0] > 0.9
    assert np.percentile(told.delays_ms, 99) <= 40


@pytest.mark.parametrize(("loss", "most"), [(0.02, 0.03), (0.10, 0.12)])
@pytest.mark.parametrize("seed", range(5))
def test_losses_are_concealed_and_cost_no_more_than_themselves(packets, loss: float, most: float, seed: int):
    told = listen(packets, loss=loss, seed=seed, seconds=60)

    assert told.concealed < most
    assert told.delays_ms[-250:].mean() < 60
    assert correlate(SPOKEN[RATE_HZ : 3 * RATE_HZ], told.heard[: 5 * RATE_HZ], RATE_HZ)[0] > 0.8


def test_after_a_stall_the_delay_is_back_within_five_seconds(packets):
    told = listen(packets, stall_at_s=5, loss=0.02)

    after = round((5.3 + 5) / FRAME_S)
    assert told.delays_ms[round(5.4 / FRAME_S)] > 150
    assert told.delays_ms[after:].max() < 60


def test_jitter_beyond_the_depth_is_followed_and_stays_bounded(packets):
    rough = listen(packets, jitter_s=0.12)

    assert rough.concealed < 0.10  # uniform over six frames, before and after it has learnt of it
    assert rough.delays_ms.max() < MOST_DEPTH / RATE_HZ * 1000 + 60


@pytest.mark.parametrize("ppm", [100, -100])
def test_half_an_hour_with_a_clock_that_drifts_stays_bounded(packets, ppm: int):
    told = listen(packets, seconds=1800, drift_ppm=ppm)  # nine packets too many or too few

    assert told.delays_ms.max() < 100
    assert told.concealed < 0.001


def test_packets_that_come_twice_are_heard_once(packets):
    told = listen(packets, twice=0.3)

    assert told.concealed == 0
    assert correlate(SPOKEN[RATE_HZ : 3 * RATE_HZ], told.heard, RATE_HZ)[0] > 0.9


def test_silence_that_was_never_sent_adds_no_delay(packets):
    told = listen(packets, unsent=range(300, 500))

    assert told.delays_ms[520:].mean() < 45
    assert correlate(SPOKEN[11 * RATE_HZ : 13 * RATE_HZ], told.heard, RATE_HZ)[0] > 0.9


def test_a_sender_that_begins_anew_is_heard_again(packets):
    voice = Voice()
    for number in range(50):
        voice.hear(number * FRAME, packets[number])
        voice.take()
    for number in range(50, 100):
        voice.hear(3_000_000_000 + number * FRAME, packets[number])
        last = voice.take()

    assert voice.buffered < MOST_DEPTH
    assert np.abs(last).max() > 0


def test_bytes_that_are_no_opus_are_silence_of_their_length(packets):
    voice = Voice()
    voice.hear(0, packets[0])
    voice.hear(FRAME, packets[1])
    voice.hear(2 * FRAME, b"\xfc\xff\xff" + bytes(40))
    taken = [voice.take() for _ in range(3)]

    assert {frame.size for frame in taken} == {FRAME}


def test_at_the_rate_of_mixing_the_same_is_heard(packets):
    voice, heard = Voice(MIX_RATE_HZ), []

    for number, packet in enumerate(packets[:500]):
        if number % 25:  # every 25th is lost
            voice.hear(number * FRAME, packet)
        heard.append(voice.take())

    told = np.repeat(np.concatenate(heard), RATE_HZ // MIX_RATE_HZ)
    assert {frame.size for frame in heard} == {MIX_RATE_HZ // 50}
    assert voice.concealed <= 21
    assert correlate(SPOKEN[RATE_HZ : 3 * RATE_HZ], told, RATE_HZ)[0] > 0.85
