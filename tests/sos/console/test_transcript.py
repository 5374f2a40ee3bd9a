"""The transcript is shown at the desk that has the incident open, once the access is on record, and nowhere else."""

import json
from collections.abc import Sequence

import pytest

from routing.categories import Category
from sos.clock import ManualClock
from sos.console.hub import Hub, Mailbox
from sos.console.transcript import Transcript
from sos.errors import Unavailable
from sos.incident.commands import Command
from sos.incident.events import PartsRead
from sos.incident.model import IncidentId, OperatorId, TenantId
from sos.journal.journal import Done, Journal
from sos.media.heard import Line
from tests.journeys import story as s
from tests.sos.console.test_levels import taken

LINES: Sequence[Line] = (Line(n=1, party="vehicle", leg="", at="2026-01-01T09:00:03.000Z", text="足が挟まれています"),)
HANAKO, TARO = OperatorId("hanako"), OperatorId("taro")


@pytest.fixture
async def incident(journal: Journal, clock: ManualClock) -> IncidentId:
    opened = await journal.open(s.open_incident(), tenant=TenantId("acme"), receipt=b"r" * 32, received_at=clock.now())
    await journal.execute(opened.incident, s.take("hanako"), actor="operator:hanako")
    return opened.incident


def desk(hub: Hub, operator: OperatorId, *watching: IncidentId) -> Mailbox:
    made = hub.join()
    made.operator, made.watching = operator, watching
    return made


async def read(journal: Journal, incident: IncidentId) -> list[PartsRead]:
    return [r.event for r in await journal.store.stream(incident) if isinstance(r.event, PartsRead)]


async def test_only_the_desk_that_has_the_incident_open_is_shown_what_was_said(journal: Journal, incident: IncidentId):
    hub = Hub()
    hers, closed, his = desk(hub, HANAKO, incident), desk(hub, HANAKO), desk(hub, TARO, incident)

    await Transcript(journal, hub).told(incident, LINES)
    await Transcript(journal, hub).told(incident, LINES)

    first, _ = [json.loads(each) for each in await taken(hers)]
    assert (first["t"], first["machine"], first["lines"][0]["text"]) == ("transcript", True, "足が挟まれています")
    assert await taken(closed) == await taken(his) == []
    assert await read(journal, incident) == [
        PartsRead(reader="operator:hanako", categories=(Category.AUD,), purpose="live_transcript")
    ]


async def test_a_page_that_is_loaded_again_gets_what_there_is_and_another_desk_nothing(
    journal: Journal, incident: IncidentId
):
    hub = Hub()
    transcript, hers, his = Transcript(journal, hub), desk(hub, HANAKO), desk(hub, TARO)
    state = await journal.state(incident)
    await transcript.show(state, HANAKO, hers)
    assert await read(journal, incident) == []
    transcript.lines = lambda _: LINES

    await transcript.show(state, HANAKO, hers)
    await transcript.show(state, TARO, his)

    assert len(await taken(hers)) == 1
    assert await taken(his) == []


async def test_without_a_record_of_the_access_nothing_is_shown(journal: Journal, incident: IncidentId):
    hub = Hub()
    hers = desk(hub, HANAKO, incident)

    with pytest.raises(Unavailable):
        await Transcript(_Away(journal), hub).told(incident, LINES)

    assert await taken(hers) == []


class _Away(Journal):
    """A journal that still knows and writes nothing."""

    def __init__(self, known: Journal) -> None:
        self._known = known

    async def state(self, incident: IncidentId):
        return await self._known.state(incident)

    async def execute(self, incident: IncidentId, command: Command, **_: object) -> Done:
        raise Unavailable("the database does not answer")
