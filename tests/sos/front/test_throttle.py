"""How often somebody may be wrong about who they are, in bounded memory."""

import pytest

from sos.front.throttle import Failures, Throttle, network

RATE = Failures(burst=3, each_s=6.0)


def test_so_many_failures_and_then_one_every_so_often():
    throttle = Throttle(RATE)

    first = [throttle.failed("192.0.2.1", 0.0) for _ in range(4)]

    assert first == [True, True, True, False]
    assert throttle.wait_s("192.0.2.1", 0.0) == 6.0
    assert throttle.wait_s("192.0.2.1", 5.0) == pytest.approx(1.0)
    assert throttle.failed("192.0.2.1", 6.0)
    assert not throttle.failed("192.0.2.1", 6.0)
    assert throttle.wait_s("192.0.2.2", 6.0) == 0.0


def test_a_clock_that_stands_still_gives_nothing_and_a_long_wait_no_more_than_at_first():
    throttle = Throttle(RATE)
    for _ in range(4):
        throttle.failed("a", 0.0)

    assert [throttle.failed("a", 1e6) for _ in range(4)] == [True, True, True, False]


def test_a_hundred_thousand_addresses_take_no_more_memory_than_the_most():
    throttle = Throttle(RATE, most=100)

    for number in range(100_000):
        throttle.failed(str(number), float(number))

    assert len(throttle) == 100


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        ("no address; drop", "unknown"),
    ],
)
def test_what_one_stranger_has_counts_once(address: str, counted: str):
    assert network(address) == counted
