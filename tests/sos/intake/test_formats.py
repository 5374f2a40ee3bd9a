"""What a door does with a format whose reader fails: the report is kept, and nobody behind it waits."""

from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from sos.errors import Malformed
from sos.incident.report import EmergencyReport
from sos.intake.arrival import Peek
from sos.intake.formats import UNREADABLE, Format

AT = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = b"090-0000-0001"


def broken(body: bytes, _: object) -> Peek:
    raise ZeroDivisionError(body.decode())


def unreadable(_: bytes) -> EmergencyReport:
    raise RecursionError(SECRET.decode())


def malformed(_: bytes, __: object) -> Peek:
    raise Malformed("no emergency", field="$")


def test_a_decoder_that_fails_makes_an_unreadable_report_and_an_alarm_without_what_was_sent() -> None:
    format = Format(media_type="application/x", peek=broken, decode=unreadable)

    with capture_logs() as logs:
        seen, report = format.seen(SECRET, None), format.report(SECRET, AT)

    assert (seen, report) == (UNREADABLE, EmergencyReport(findings=("undecodable:$",)))
    assert [each["error"] for each in logs] == ["ZeroDivisionError", "RecursionError"]
    assert SECRET.decode() not in str(logs)


def test_what_is_no_emergency_is_still_told_so() -> None:
    with pytest.raises(Malformed):
        Format(media_type="application/x", peek=malformed, decode=unreadable).seen(b"", None)
