"""What a desk says after its log-in has ended is not done, also where it came in before the connection closed."""

import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import WSMessage, WSMsgType
from aiohttp.test_utils import make_mocked_request

from sos.clock import ManualClock
from sos.console.socket import _listen
from sos.incident.model import IncidentId, TenantId
from sos.journal.journal import Journal
from tests.journeys import story as s
from tests.sos.console.test_call_orders import Ears
from tests.sos.console.window import room, window


@pytest.mark.parametrize("ended", [False, True])
async def test_an_order_that_lies_there_when_the_log_in_ends_is_not_obeyed(
    journal: Journal, clock: ManualClock, ended: bool
) -> None:
    opened = await journal.open(s.open_incident(), tenant=TenantId("acme"), receipt=bytes(32), received_at=clock.now())
    desk = window(room(journal, Ears()), "hanako")

    async def frames() -> AsyncIterator[WSMessage]:
        yield _frame(1, "answer", opened.incident)
        if ended:
            desk.session.ended_at = clock.now()
        yield _frame(2, "note", opened.incident, text="what an ended log-in says", category="OBS")

    await _listen(frames(), desk, make_mocked_request("GET", "/console/socket"))  # type: ignore[arg-type]

    kinds = [type(each.event).__name__ for each in await journal.store.stream(opened.incident)]
    assert "OperatorAssigned" in kinds
    assert ("NoteAdded" in kinds) is not ended


def _frame(number: int, do: str, incident: IncidentId, **more: str) -> WSMessage:
    text = json.dumps({"id": number, "do": do, "incident": incident, **more})
    return WSMessage(WSMsgType.TEXT, text, None)
