"""Calls through the emulated Twilio with the real client library: placed, taken in, changed, ended, found again."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sos.calls.port import LegDown, LegUp, RecordingDone
from sos.incident.model import IncidentId, LegId, new_id
from tests.sos.calls.twilio_rig import TwilioHouse


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[TwilioHouse]:
    async with TwilioHouse(tmp_path) as opened:
        yield opened
        await opened.emulator.settled()
        assert opened.emulator.faults == []


async def test_a_leg_rings_comes_up_and_is_recorded(house: TwilioHouse):
    incident, leg = IncidentId(new_id()), LegId(new_id())

    await house.place(incident, leg)
    await house.events.until(LegUp)
    await house.provider.end(leg)
    await house.events.until(LegDown)
    done = await house.events.until(RecordingDone)

    assert house.events.kinds()[:4] == ["LegRinging", "RecordingBegun", "LegUp", "LegDown"]
    assert isinstance(done, RecordingDone)
    assert done.chunks > 0
