"""A few of the kills of ``twilio_kills``; ``python -m tests.sos.calls.twilio_kills --kills 10`` does thirty moments."""

import pytest

from tests.sos.calls.twilio_kills import moments


@pytest.mark.parametrize("seed", [1, 3])
async def test_twilio_killed_in_a_call_of_three_leaves_nobody_alone_or_called_twice(seed: int):
    found = await moments(1, seed=seed)

    assert len(found) == 3
    assert [each for each in found if each.broken] == []
