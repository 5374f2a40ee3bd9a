"""Whose call a number is: an agency's that was told of something open, the newest of these, and nobody's else."""

from datetime import timedelta

import pytest

from sos.calls.agency_callers import AgencyCallers, CallsBack
from sos.clock import ManualClock
from sos.incident.commands import TakeIncident
from sos.incident.model import AgencyId, DeskId, Disposition, IncidentId, OperatorId, Party
from sos.journal.journal import Journal
from tests.journeys import story as s
from tests.journeys.story import disclose, join, leave, reject
from tests.sos.journal.reports import incident

FIRE, POLICE = AgencyId("jp-13-fire"), AgencyId("jp-13-police")
CENTRE = "+81355500113"
LINES = {CENTRE: (FIRE, POLICE), "+81355500163": (POLICE,)}


@pytest.fixture
def callers(journal: Journal) -> AgencyCallers:
    return AgencyCallers(journal, lambda tel: LINES.get(tel, ()))


async def told(journal: Journal, number: int, *agencies: AgencyId) -> IncidentId:
    made = await incident(journal, number)
    take = TakeIncident(operator=OperatorId("hanako"), desk=DeskId("desk-1"))
    await journal.execute(made, take, actor="operator:hanako")
    await journal.execute(made, join("leg-op", Party.OPERATOR, "hanako"), actor="provider:test")
    for place, agency in enumerate(agencies):
        await journal.execute(made, disclose(f"d{number}{place}", agency), actor="operator:hanako")
    return made


async def test_a_number_of_no_agency_or_of_one_that_was_told_of_nothing_is_a_vehicle_s(
    journal: Journal, callers: AgencyCallers
):
    await told(journal, 1, POLICE)
    await told(journal, 2)

    assert await callers.find(None) is None
    assert await callers.find("+81300000001") is None
    assert await AgencyCallers(journal, lambda _: (FIRE,)).find(CENTRE) is None


async def test_the_newest_open_incident_that_it_was_told_of(
    journal: Journal, callers: AgencyCallers, clock: ManualClock
):
    first = await told(journal, 1, FIRE)
    await clock.advance(timedelta(seconds=30))
    second = await told(journal, 2, FIRE, POLICE)

    assert await callers.find(CENTRE) == CallsBack(second, POLICE)
    assert await callers.find("+81355500163") == CallsBack(second, POLICE)

    for each in ("d20", "d21"):
        await journal.execute(second, reject(each, FIRE if each == "d20" else POLICE), actor="agency")
    await journal.execute(second, s.close(Disposition.FALSE_ALARM), actor="operator:hanako")
    assert await callers.find(CENTRE) == CallsBack(first, FIRE)


async def test_where_no_person_of_ours_is_in_the_call_nobody_is_taken_in_by_the_number_that_is_shown(
    journal: Journal, callers: AgencyCallers
):
    made = await told(journal, 1, FIRE)
    assert await callers.find(CENTRE) == CallsBack(made, FIRE)

    await journal.execute(made, leave("leg-op"), actor="provider:test")

    assert await callers.find(CENTRE) is None
