"""What is plainly no report, and what may be one although nobody can read it."""

import pytest

from sos.intake.idle import LONGEST, plainly_no_report
from tests.sos.intake.test_acceptance import event, octets

NO_REPORT = [
    b"",
    b"\0",
    b"  \r\n",
    b"offline",
    b"OFFLINE\0",
    b"0",
    b"null",
    b"true",
    b"ping 17",
    "切断".encode(),
    "offline".encode("utf-16"),
    b"{}",
    b"[]",
    b'{"online": false, "at": 1701191234}',
    b'{"type": "heartbeat", "latitude": 35.6, "longitude": 139.7}',
    b'{"type": "com.example.order.v1"}',
    b"<status/>",
]

MAYBE = [
    b"SOS",
    b"Help!",
    "事故です".encode(),
    b'{"alarm": "AIRBAG"}',
    b'{"type": "heartb',  # cut off: what came after may have been a crash
    b"\xff\x00",
    b"\x02\x05\x00",
    octets(),
    octets().hex().encode()[:-3] + b"zz",
    event(),
    b"x" * (LONGEST + 1),
    b"two\nlines",
]


@pytest.mark.parametrize("body", NO_REPORT)
def test_a_will_a_heartbeat_and_an_emptied_topic_are_plainly_no_report(body: bytes) -> None:
    assert plainly_no_report(body)


@pytest.mark.parametrize("body", MAYBE)
def test_whatever_may_be_a_report_is_not_plainly_none(body: bytes) -> None:
    assert not plainly_no_report(body)
