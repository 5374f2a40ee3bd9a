"""What a leg hears: gaps stay gaps, sources follow one another without going back, and silence is never sent."""

import asyncio
from itertools import pairwise

from recording.opus import RATE_HZ, samples
from sos.calls.adapters.embedded.playout import Playout
from sos.media import opus
from tests.sos.calls.peers import met

VOICE = opus.tone(opus.Tone.RING)[75]


class Ear:
    """What a leg was sent: timestamps, and which packets began with a new source."""

    def __init__(self) -> None:
        self.stamps: list[int] = []
        self.begins: list[bool] = []

    def send(self, timestamp: int, payload: bytes, begins: bool) -> None:
        assert payload
        self.stamps.append(timestamp)
        self.begins.append(begins)


async def test_a_lost_packet_stays_a_gap_so_that_the_listener_conceals_it() -> None:
    ear = Ear()
    playout = Playout(ear.send)

    for number in (0, 1, 2, 5, 6):
        playout.play("car", timestamp=1_000_000 + number * opus.FRAME, payload=VOICE)

    assert [(b - a) // opus.FRAME for a, b in pairwise(ear.stamps)] == [1, 1, 3, 1]
    assert ear.begins == [True, False, False, False, False]


async def test_another_source_goes_on_after_the_first_whatever_its_timestamps_are() -> None:
    ear = Ear()
    playout = Playout(ear.send)

    playout.play("first", timestamp=90_000_000, payload=VOICE)
    playout.play("second", timestamp=5, payload=VOICE)
    playout.play("second", timestamp=5 + opus.FRAME, payload=VOICE)
    playout.play("second", timestamp=5 + 3600 * RATE_HZ, payload=VOICE)

    assert [b - a for a, b in pairwise(ear.stamps)] == [opus.FRAME] * 3


async def test_a_lonely_leg_gets_the_comfort_tone_at_its_pace_before_and_after_a_voice() -> None:
    ear, loop = Ear(), asyncio.get_running_loop()
    playout = Playout(ear.send)

    begun = loop.time()
    playout.begin()
    await met(lambda: len(ear.stamps) >= 10)
    lasted_s = loop.time() - begun
    playout.play("car", timestamp=7, payload=VOICE)
    voiced = len(ear.stamps)
    playout.idle()
    playout.idle()
    await met(lambda: len(ear.stamps) >= voiced + 5)
    playout.stop()

    assert 0.1 < lasted_s < 1.5
    assert all(b - a >= opus.FRAME for a, b in pairwise(ear.stamps))


async def test_a_voice_silences_the_comfort_tone() -> None:
    ear, loop = Ear(), asyncio.get_running_loop()
    playout = Playout(ear.send)
    playout.begin()

    playout.play("car", timestamp=7, payload=VOICE)
    sent, until = len(ear.stamps), loop.time() + 0.1
    await met(lambda: loop.time() > until)

    assert len(ear.stamps) == sent


async def test_a_stopped_playout_sends_nothing_more() -> None:
    ear = Ear()
    playout = Playout(ear.send)
    playout.stop()

    playout.begin()
    playout.play("car", timestamp=7, payload=VOICE)

    assert ear.stamps == []


def test_the_comfort_tone_is_three_seconds_of_20_ms_packets() -> None:
    tone = opus.tone(opus.Tone.RING)

    assert len(tone) in {149, 150}
    assert {samples(packet) for packet in tone} == {opus.FRAME}


def test_what_is_encoded_can_be_decoded_and_garbage_decodes_to_nothing_or_noise_without_an_error() -> None:
    decoder = opus.Decoder()

    good = [decoder.decode(packet).size for packet in opus.tone(opus.Tone.RING)[:10]]
    bad = [decoder.decode(payload).size for payload in (b"\xff", b"\x03", b"\xfb\xff\x01", b"x" * 1400)]

    assert good == [opus.FRAME] * 10
    assert all(size <= 6 * opus.FRAME for size in bad)
