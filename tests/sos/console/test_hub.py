"""What a desk is told at once is written in pieces, so that nobody else waits for all of it."""

import json

from sos.console.hub import IN_ONE_GO, snapshot_message
from sos.incident.model import Incident, IncidentId, TenantId
from tests.turns import Turns

MANY = tuple(Incident(id=IncidentId(f"i-{k}"), tenant=TenantId("acme")) for k in range(3 * IN_ONE_GO + 1))


async def test_a_large_snapshot_is_written_in_pieces_and_is_one_message() -> None:
    async with Turns() as turns:
        text = await snapshot_message(MANY, position=7, total=9999)

    told = json.loads(text)
    assert turns.taken >= len(MANY) // IN_ONE_GO
    assert (told["t"], told["position"], told["total"]) == ("snapshot", 7, 9999)
    assert [each["id"] for each in told["incidents"]] == [each.id for each in MANY]


async def test_a_snapshot_of_nothing_is_one_too() -> None:
    assert json.loads(await snapshot_message((), position=-1, total=0))["incidents"] == []
