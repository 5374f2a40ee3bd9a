"""What a leg hears: gaps stay gaps, sources follow one another without going back, and silence is never sent."""

import asyncio
from itertools import pairwise

import pytest
from aiortc.mediastreams import MediaStreamError

from recording.opus import RATE_HZ, samples
from sos.calls.adapters.link import Playout
from sos.media import opus

VOICE = opus.comfort()[75]


async def stamps(playout: Playout, count: int) -> list[int]:
    return [packet.pts for packet in [await asyncio.wait_for(playout.recv(), 2) for _ in range(count)]]


async def test_a_lost_packet_stays_a_gap_so_that_the_listener_conceals_it() -> None:
    playout = Playout()

    for number in (0, 1, 2, 5, 6):
        playout.play("car", timestamp=1_000_000 + number * opus.FRAME, payload=VOICE)
    played = await stamps(playout, 5)

    assert [(b - a) // opus.FRAME for a, b in pairwise(played)] == [1, 1, 3, 1]


async def test_another_source_goes_on_after_the_first_whatever_its_timestamps_are() -> None:
    playout = Playout()

    playout.play("first", timestamp=90_000_000, payload=VOICE)
    playout.play("second", timestamp=5, payload=VOICE)
    playout.play("second", timestamp=5 + opus.FRAME, payload=VOICE)
    playout.play("second", timestamp=5 + 3600 * RATE_HZ, payload=VOICE)
    played = await stamps(playout, 4)

    assert [b - a for a, b in pairwise(played)] == [opus.FRAME] * 3


async def test_a_lonely_leg_gets_the_comfort_tone_at_its_pace_before_and_after_a_voice() -> None:
    playout, loop = Playout(), asyncio.get_running_loop()

    begun = loop.time()
    before = await stamps(playout, 10)
    lasted_s = loop.time() - begun
    playout.play("car", timestamp=7, payload=VOICE)
    voice = await stamps(playout, 1)
    playout.idle()
    playout.idle()
    after = await stamps(playout, 5)

    assert 0.1 < lasted_s < 1.5
    assert all(b - a >= opus.FRAME for a, b in pairwise(before + voice + after))


async def test_a_stopped_playout_says_so_to_its_sender() -> None:
    playout = Playout()
    playout.stop()

    with pytest.raises(MediaStreamError):
        await playout.recv()


def test_the_comfort_tone_is_three_seconds_of_20_ms_packets() -> None:
    tone = opus.comfort()

    assert len(tone) in {149, 150}
    assert {samples(packet) for packet in tone} == {opus.FRAME}


def test_what_is_encoded_can_be_decoded_and_garbage_decodes_to_nothing_or_noise_without_an_error() -> None:
    decoder = opus.Decoder()

    good = [decoder.decode(packet).size for packet in opus.comfort()[:10]]
    bad = [decoder.decode(payload).size for payload in (b"\xff", b"\x03", b"\xfb\xff\x01", b"x" * 1400)]

    assert good == [opus.FRAME] * 10
    assert all(size <= 6 * opus.FRAME for size in bad)
