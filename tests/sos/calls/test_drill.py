"""The drill of the whole bridge, at shorter pauses: the same script as ``python -m tests.sos.calls.drill``."""

from pathlib import Path

from sos.incident.model import Party, State
from tests.sos.calls.drill import APART_MS, play


async def test_the_whole_bridge_in_one_drill_and_tracks_that_line_up(tmp_path: Path):
    result = await play(tmp_path, seconds=40)

    assert result.state.state is State.CLOSED
    assert {each.who for each in result.found} >= {"vehicle", "vehicle1", "operator", "operator1", "fire", "police"}
    assert result.apart_ms <= APART_MS
    assert result.recordings == 1
    assert all(recording.sealed for recording in result.state.recordings)
    vehicle = [leg for leg in result.state.legs if leg.party is Party.VEHICLE]
    assert len(vehicle) == 1
    assert not any(leg.held for leg in result.state.legs)
    assert [answer.action for answer in result.state.answers] == ["callBack"]
