"""The sums that everybody hears, and which coder they go through."""

from collections.abc import Iterator
from itertools import count

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sos.calls.adapters.embedded.conference import Conference
from sos.calls.adapters.embedded.mixer import FRAME, Mixer
from sos.calls.adapters.embedded.playout import Playout
from sos.calls.adapters.embedded.rtp import Rtp
from sos.calls.port import LegMode
from sos.incident.model import IncidentId, LegId, Party, RecordingId
from sos.media import opus
from sos.media.jitter import Packet
from sos.vehicle.voice import speech_like

SAMPLES = st.integers(-32_768, 32_767)
ROOM = st.integers(1, 5).flatmap(
    lambda people: st.tuples(
        st.lists(SAMPLES, min_size=people, max_size=people),
        st.lists(st.sets(st.integers(0, people - 1)), min_size=1, max_size=5),
    )
)


@given(ROOM)
def test_a_listener_hears_the_sum_of_those_it_hears_cut_off_where_it_is_too_loud(room):
    levels, heard = room
    mixer = Mixer(len(levels), [dict.fromkeys(speakers, 1.0) for speakers in heard])
    for speaker, level in enumerate(levels):
        mixer.hear(speaker, np.full(FRAME, level, np.int16))

    for row, speakers in zip(mixer.mixed(), heard, strict=True):
        assert set(row.tolist()) == {min(32_767, max(-32_768, sum(levels[each] for each in speakers)))}


def test_a_short_piece_is_followed_by_silence_and_leaves_nothing_of_the_last():
    mixer = Mixer(1, [{0: 1.0}])
    mixer.hear(0, np.full(FRAME, 7, np.int16))
    mixer.hear(0, np.full(3, 5, np.int16))

    assert mixer.mixed()[0].tolist() == [5] * 3 + [0] * (FRAME - 3)


def test_the_power_of_each_speaker_is_the_mean_of_its_squares():
    mixer = Mixer(2, [])
    mixer.hear(0, np.full(FRAME, 100, np.int16))

    assert mixer.powers().tolist() == [10_000.0, 0.0]


class Line:
    """A leg's connection as far as a conference sees it, without a network."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.playout = Playout(lambda _timestamp, payload, _begins: self.sent.append(payload))
        self.received = 0
        self.gone = False
        self.reported_loss = 0.0

    def tick(self) -> None:
        self.received += 1


class Kept:
    """A recording that keeps nothing."""

    def add(self, *_: object) -> None: ...

    def mark(self, *_: object, **__: object) -> None: ...

    def tick(self) -> None: ...


class Three:
    """A car, a desk and a fire brigade that all talk."""

    def __init__(self) -> None:
        self.conference = Conference(
            IncidentId("crash"),
            tell=lambda _: None,
            record=lambda _: (RecordingId("r"), Kept()),  # type: ignore[arg-type,return-value]
        )
        self.lines = {party: Line() for party in (Party.VEHICLE, Party.OPERATOR, Party.AGENCY)}
        self._clips = [self._clip(seed) for seed in range(3)]
        self._numbers = count()
        for party, line in self.lines.items():
            self.conference.take_in(LegId(party.value), party=party, who=party.value, connection=line)  # type: ignore[arg-type]
        for line, clip in zip(self.lines.values(), self._clips, strict=True):
            self.conference.heard(line, Packet(0, 0, clip[0]))  # type: ignore[arg-type]

    @staticmethod
    def _clip(seed: int) -> list[bytes]:
        encoder = opus.Encoder()
        return [encoder.encode(frame) for frame in speech_like(2.0, seed=seed).reshape(-1, opus.FRAME)]

    def talk(self, frames: int) -> None:
        """Everybody says ``frames`` of 20 ms, and hears what is mixed of it."""
        for _ in range(frames):
            number = next(self._numbers)
            for ssrc, (line, clip) in enumerate(zip(self.lines.values(), self._clips, strict=True)):
                packet = Rtp(111, number, number * opus.FRAME, ssrc, clip[number % len(clip)])
                self.conference.arrived(line, packet)  # type: ignore[arg-type]
            self.conference._mix_frame(number * opus.FRAME)

    def coders(self, party: Party, *, last: int = 10) -> set[str]:
        """What the newest packets to ``party`` are made with (RFC 6716 table 2)."""
        return {"CELT" if payload[0] >> 3 >= 16 else "SILK" for payload in self.lines[party].sent[-last:]}


@pytest.fixture
async def three() -> "Iterator[Three]":
    made = Three()
    yield made
    await made.conference.close()


async def test_a_car_is_sent_error_correction_from_the_first_packet_and_a_desk_the_cheaper_coder(three):
    three.talk(25)

    assert three.coders(Party.VEHICLE) == {"SILK"}
    assert three.coders(Party.OPERATOR) == three.coders(Party.AGENCY) == {"CELT"}


async def test_a_line_that_loses_packets_is_sent_error_correction_from_then_on(three):
    three.talk(25)
    three.lines[Party.AGENCY].reported_loss = 0.03
    three.conference.tick()
    three.talk(25)
    three.lines[Party.AGENCY].reported_loss = 0.0
    three.conference.tick()
    three.talk(25)

    assert three.coders(Party.AGENCY) == {"SILK"}
    assert three.coders(Party.OPERATOR) == {"CELT"}


async def test_a_line_that_has_lost_packets_is_remembered_while_nothing_is_mixed_for_it(three):
    three.lines[Party.AGENCY].reported_loss = 0.2
    three.conference.set_mode(LegId("agency"), LegMode(held=True))
    three.conference.tick()
    three.conference.set_mode(LegId("agency"), LegMode())
    three.talk(25)

    assert three.coders(Party.AGENCY) == {"SILK"}


async def test_who_is_mixed_is_measured_without_being_decoded_twice(three):
    three.talk(25)

    levels = {level.leg: level.rms for level in three.conference.levels()}
    assert levels.keys() == {"vehicle", "operator", "agency"}
    assert all(-60 < rms < -5 for rms in levels.values())
