"""The reorder buffer on lossy, shuffled and restarted streams."""

from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sos.calls.adapters.embedded.capture import Timeline
from sos.media.jitter import Packet, ReorderBuffer

FRAME = 960


class Wire:
    """Feeds a buffer as a connection does, with its timer, and notes how long each packet waited."""

    def __init__(self) -> None:
        self.buffer = ReorderBuffer()
        self.out: list[Packet] = []
        self.waited_s: list[float] = []
        self._arrived: dict[bytes, float] = {}

    def bring(self, number: int, *, now: float, first: int = 0) -> None:
        while (due := self.buffer.due()) is not None and due <= now:
            self._take(self.buffer.release(due), now=due)
        payload = number.to_bytes(8, "big")
        self._arrived.setdefault(payload, now)
        sequence, timestamp = (first + number) % 65_536, (4_294_960_000 + number * FRAME) % (1 << 32)
        self._take(self.buffer.push(sequence, timestamp=timestamp, payload=payload, now=now), now=now)

    def _take(self, ready: list[Packet], *, now: float) -> None:
        self.out += ready
        self.waited_s += [now - self._arrived[packet.payload] for packet in ready]

    def numbers(self) -> list[int]:
        return [int.from_bytes(packet.payload, "big") for packet in self.out]


def test_packets_in_order_leave_at_once_over_every_wrap() -> None:
    wire = Wire()

    for number in range(140_000):
        wire.bring(number, now=number * 0.02, first=65_530)

    assert wire.numbers() == list(range(140_000))
    assert max(wire.waited_s) == 0
    assert [b.timestamp - a.timestamp for a, b in zip(wire.out, wire.out[1:], strict=False)] == [FRAME] * 139_999
    assert (wire.buffer.lost, wire.buffer.late, wire.buffer.duplicates) == (0, 0, 0)


def test_two_percent_loss_delays_little_and_leaves_no_drift() -> None:
    wire, random = Wire(), Random(7)
    sent = [number for number in range(30_000) if number == 0 or random.random() >= 0.02]

    for number in sent:
        wire.bring(number, now=number * 0.02, first=65_000)

    waits = np.array(wire.waited_s)
    assert wire.numbers() == sent
    assert waits.max() <= 0.021
    assert waits[-1000:].mean() < 0.001
    assert wire.buffer.lost == 30_000 - len(sent) - (29_999 - sent[-1])
    assert wire.out[-1].timestamp - wire.out[0].timestamp == sent[-1] * FRAME


def test_a_stall_of_300_ms_leaves_no_lasting_delay() -> None:
    wire = Wire()

    for number in range(1000):
        wire.bring(number, now=max(number * 0.02, 10.3) if 500 <= number < 516 else number * 0.02)

    assert wire.numbers() == list(range(1000))
    assert max(wire.waited_s) == 0


def test_a_link_that_reorders_is_given_more_time_and_forgiven_later() -> None:
    wire, random = Wire(), Random(3)
    arrivals = sorted((number * 0.02 + (0.07 if random.random() < 0.1 else 0), number) for number in range(1500))

    for now, number in arrivals:
        wire.bring(number, now=now)

    assert wire.numbers() == sorted(wire.numbers())
    assert wire.buffer.lost < 30
    assert 0.02 < wire.buffer.hold_s(30.0) <= 0.12
    assert wire.buffer.hold_s(90.0) == 0.02
    assert max(wire.waited_s) <= 0.13


def test_a_duplicate_and_a_late_packet_are_counted_and_left_out() -> None:
    wire = Wire()

    for now, number in ((0, 0), (0.02, 1), (0.021, 1), (0.06, 3), (0.08, 4), (0.2, 2), (0.21, 5)):
        wire.bring(number, now=now)

    assert wire.numbers() == [0, 1, 3, 4, 5]
    assert (wire.buffer.lost, wire.buffer.late, wire.buffer.duplicates) == (1, 1, 1)


def test_a_sender_that_begins_anew_is_followed() -> None:
    buffer = ReorderBuffer()

    out = [
        packet
        for sequence in (10, 11, 40_000, 40_001, 5, 6)
        for packet in buffer.push(sequence, timestamp=sequence * FRAME, payload=b"x", now=0.0)
    ]

    assert len(out) == 6
    assert [packet.sequence for packet in out] == sorted(packet.sequence for packet in out)


@given(st.lists(st.tuples(st.integers(0, 65_535), st.integers(0, (1 << 32) - 1), st.floats(0, 0.1)), max_size=80))
def test_whatever_arrives_what_leaves_is_in_order_and_nothing_is_kept_for_ever(
    wild: list[tuple[int, int, float]],
) -> None:
    buffer, now, out = ReorderBuffer(), 0.0, list[Packet]()

    for sequence, timestamp, step in wild:
        now += step
        out += buffer.push(sequence, timestamp=timestamp, payload=b"x", now=now)
    out += buffer.release(now + 1)

    numbers = [packet.sequence for packet in out]
    assert numbers == sorted(set(numbers))
    assert buffer.due() is None
    assert len(out) + buffer.late + buffer.duplicates == len(wild)


def test_a_clock_that_runs_100_ppm_off_stays_within_a_packet_or_two_of_the_timeline() -> None:
    random = Random(1)
    for ppm in (-100, 100):
        timeline, worst = Timeline(), 0
        for number in range(360_000):  # two hours
            true = number * FRAME
            jitter = int(random.random() * 0.03 * 48_000)
            placed = timeline.place(5_000_000 + round(true * (1 - ppm / 1e6)), arrived=true + jitter)
            worst = max(worst, abs(placed - true)) if number > 1000 else worst
        assert worst < 3 * FRAME


def test_a_stall_moves_nothing_on_the_timeline_and_a_new_connection_starts_where_it_is() -> None:
    timeline = Timeline()

    before = [timeline.place(n * FRAME, arrived=n * FRAME) for n in range(100)]
    stalled = [timeline.place(n * FRAME, arrived=max(n, 120) * FRAME) for n in range(100, 120)]
    timeline.restart()
    again = timeline.place(77, arrived=500 * FRAME)

    assert before + stalled == [n * FRAME for n in range(120)]
    assert again == 500 * FRAME
