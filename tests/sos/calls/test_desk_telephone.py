"""A desk that is a telephone: called when its operator has answered, and again when it falls silent and is needed."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest

from sos.calls.adapters.simulated import SimulatedProvider
from sos.calls.bridge import DESK, DESK_CALLS
from sos.clock import ManualClock
from sos.incident.events import LegDialled
from sos.incident.model import AgencyId, Disposition, IncidentId, LegId, Party
from sos.journal.journal import Journal
from tests.journeys import story as s
from tests.sos.calls.test_bridge import House, brought, called

DESK_LINE = "+81300000003"


class Desks(House):
    """The house of the bridge's tests, with a telephone on Hanako's desk."""

    def number_of(self, who: AgencyId, line: str) -> str | None:
        return DESK_LINE if (who, line) == ("hanako", DESK) else super().number_of(who, line)

    async def talking(self) -> IncidentId:
        """Vehicle and operator are in the call."""
        incident = await self.crash()
        await self.until(lambda: self.leg(incident, Party.VEHICLE))
        await self.journal.execute(incident, s.take("hanako"), actor="operator:hanako")
        await self.until(lambda: self.leg(incident, Party.OPERATOR))
        return incident

    async def desk_legs(self, incident: IncidentId) -> list[LegId]:
        dialled = await self.events(incident, LegDialled)
        return [e.leg for e in dialled if isinstance(e, LegDialled) and e.party is Party.OPERATOR]

    async def later(self, seconds: int) -> None:
        until = self.clock.now() + timedelta(seconds=seconds)
        await self.until(lambda: _past(self.clock, until), within_s=seconds + 1)


@pytest.fixture
async def house(journal: Journal, clock: ManualClock) -> AsyncIterator[Desks]:
    async with SimulatedProvider(clock=clock, misbehaviour=0) as provider:
        made = Desks(journal, provider, clock)
        await made.start()
        yield made
        await made.stop()


async def test_a_desk_whose_telephone_falls_silent_is_called_again(house: Desks):
    incident = await house.talking()
    (first,) = await house.desk_legs(incident)

    house.provider.drop(first)
    await house.until(lambda: _called(house, incident, 2), within_s=5)
    await house.until(lambda: house.leg(incident, Party.OPERATOR))


async def test_a_desk_that_is_busy_is_called_until_it_is_not_and_not_for_ever(house: Desks):
    house.provider.busy.add(DESK_LINE)
    incident = await house.crash()
    await house.until(lambda: house.leg(incident, Party.VEHICLE))
    await house.journal.execute(incident, s.take("hanako"), actor="operator:hanako")

    await house.until(lambda: _called(house, incident, DESK_CALLS), within_s=200, step=timedelta(seconds=2))
    await house.later(10)

    assert len(await house.desk_legs(incident)) == DESK_CALLS


async def test_an_operator_who_was_relieved_or_has_lost_the_incident_is_not_called(house: Desks):
    incident = await house.talking()
    (leg,) = await house.desk_legs(incident)

    await house.journal.execute(incident, s.release("hanako"), actor="system:acd")
    house.provider.drop(leg)
    await house.until(lambda: house.leg(incident, Party.OPERATOR, up=False))
    await house.later(5)

    assert await house.desk_legs(incident) == [leg]


async def test_a_closed_incident_calls_no_desk(house: Desks):
    incident = await house.talking()
    (leg,) = await house.desk_legs(incident)

    close = s.close(Disposition.FALSE_ALARM)
    await house.journal.execute(incident, close, actor="operator:hanako")
    await house.until(lambda: house.leg(incident, Party.OPERATOR, up=False))
    await house.later(5)

    assert await house.desk_legs(incident) == [leg]


async def _called(house: Desks, incident: IncidentId, times: int) -> bool:
    return len(await house.desk_legs(incident)) >= times


async def _past(clock: ManualClock, until: datetime) -> bool:
    return clock.now() >= until


async def test_an_agency_that_comes_back_to_nobody_rings_the_desk_that_has_the_incident(house: Desks):
    told, call = await called(house)
    await house.until(lambda: house.leg(told, Party.OPERATOR))
    await house.journal.execute(told, s.acknowledge(), actor="agency")
    await house.journal.execute(told, s.join("leg-fire", Party.AGENCY, s.FIRE), actor="provider:test")
    (first,) = await house.desk_legs(told)
    house.provider.drop(first, reason="ended")
    await house.until(lambda: house.leg(told, Party.OPERATOR, up=False))
    await house.journal.execute(told, s.leave("leg-fire"), actor="provider:test")
    assert await house.desk_legs(told) == [first]

    await brought(house, told, call)
    await house.until(lambda: house.leg(told, Party.AGENCY))
    await house.until(lambda: house.leg(told, Party.OPERATOR))

    assert len(await house.desk_legs(told)) == 2
    assert (await house.journal.state(told)).voiceless is None
