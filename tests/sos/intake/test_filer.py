"""What a filed report says of danger: the codes that give its call a head start, from every dialect's crash facts."""

import msgspec
import pytest

from sos.clock import ManualClock
from sos.intake.filer import file_report


@pytest.mark.parametrize(
    ("crash", "urgent"),
    [
        ({"deltaV": {"x": -5.0, "y": 0.0, "unit": "km/h"}}, ()),
        (
            {"deltaV": {"x": -5.0, "y": 95.0, "unit": "km/h"}, "rollover": "DETECTED", "fire": True},
            ("fire", "rollover", "hard_impact"),
        ),
        ({"fire": "yes"}, ()),
    ],
)
def test_a_bump_has_no_head_start_and_a_fire_has_one(crash, urgent, clock: ManualClock):
    report = msgspec.json.encode({"crash": crash, "location": {"latitude": 35.68124, "longitude": 139.76712}})

    filed = file_report(report, "application/json", at=clock.now())

    assert filed.urgent == urgent
