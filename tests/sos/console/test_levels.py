"""How loud the legs are reaches the desks that have the incident open, and never crowds out what must be read."""

import json

import pytest

from sos.calls.loudness import Loud
from sos.console.hub import GLANCES_UNTIL, Hub, Mailbox
from sos.incident.model import IncidentId, LegId

CRASH, OTHER = IncidentId("crash"), IncidentId("other")
LOUD = {CRASH: {LegId("car"): Loud(-32, -20, True)}}


async def taken(mailbox: Mailbox) -> list[str]:
    mailbox.close()
    messages: list[str] = []
    while (message := await mailbox.take()) is not None:
        messages.append(message)
    return messages


async def test_only_desks_that_have_the_incident_open_are_told_how_loud_it_is() -> None:
    hub = Hub()
    has_it, has_another, has_none = hub.join(), hub.join(), hub.join()
    has_it.watching, has_another.watching = {CRASH}, {OTHER}

    hub.sound(LOUD)

    (told,) = await taken(has_it)
    assert json.loads(told) == {"t": "levels", "incident": "crash", "legs": {"car": [-32, -20, True]}}
    assert await taken(has_another) == await taken(has_none) == []


@pytest.mark.parametrize("waiting", [GLANCES_UNTIL, GLANCES_UNTIL + 5])
async def test_a_desk_that_has_much_to_read_is_spared_the_levels(waiting: int) -> None:
    hub = Hub()
    desk = hub.join()
    desk.watching = {CRASH}
    for _ in range(waiting):
        desk.put("something that must be read")

    hub.sound(LOUD)

    assert len(await taken(desk)) == waiting
