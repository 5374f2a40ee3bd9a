"""A Twilio that hangs over one incident: the others' calls go out all the same, its own orders keep their order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sos.calls.bridge import Bridge
from sos.clock import ManualClock
from sos.incident.commands import DialLeg
from sos.incident.model import AgencyId, IncidentId, LegId, Party, TenantId, new_id
from sos.journal.journal import Journal
from sos.journal.readers import Follower, Reader
from tests.journeys import story as s
from tests.sos.calls.peers import met
from tests.sos.calls.twilio_rig import FIRE, TwilioHouse


class Incident:
    """An incident from which the fire brigade is dialled."""

    def __init__(self, journal: Journal, incident: IncidentId) -> None:
        self._journal = journal
        self.id = incident

    @classmethod
    async def opened(cls, journal: Journal, number: int) -> "Incident":
        receipt = f"{number:032}".encode()
        made = await journal.open(
            s.open_incident(), tenant=TenantId("acme"), receipt=receipt, received_at=journal.clock.now()
        )
        return cls(journal, made.incident)

    async def dial(self) -> LegId:
        leg = LegId(new_id())
        order = DialLeg(leg=leg, party=Party.AGENCY, who="jp-13-fire", line="first")
        await self._journal.execute(self.id, order, actor="system:test")
        return leg

    async def left(self, leg: LegId) -> str | None:
        known = (await self._journal.state(self.id)).leg(leg)
        return known.left if known is not None else None


def number_of(_: AgencyId, __: str) -> str:
    return FIRE


@asynccontextmanager
async def following(journal: Journal, house: TwilioHouse, clock: ManualClock) -> AsyncIterator[None]:
    """A bridge at work, killed at the end."""
    bridge = Bridge(journal, house.provider, number_of=number_of)
    reader = Reader(name="bridge", handle=bridge.handle, by_incident=True)
    task = asyncio.create_task(Follower(reader, journal.store, clock=clock).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[TwilioHouse]:
    async with TwilioHouse(tmp_path, within_s=0.8) as opened:
        yield opened


async def test_another_incident_s_call_goes_out_while_twilio_hangs_over_one(
    house: TwilioHouse, journal: Journal, clock: ManualClock
):
    """No time passes by the clock between the event and its dial; the order that hangs is under way all the while."""
    stuck, other = await Incident.opened(journal, 1), await Incident.opened(journal, 2)
    house.emulator.hanging_on.add(stuck.id)
    async with following(journal, house, clock):
        first = await stuck.dial()
        await met(lambda: any(stuck.id in path for path in house.emulator.posted))
        since = clock.now()
        leg = await other.dial()
        await met(lambda: house.dialled(leg) == 1)

        assert clock.now() == since
        assert house.dialled(first) == 0
        assert await stuck.left(first) is None


async def test_what_hangs_is_told_as_failed_and_the_next_order_of_its_incident_waited_for_it(
    house: TwilioHouse, journal: Journal, clock: ManualClock
):
    stuck = await Incident.opened(journal, 1)
    house.emulator.hanging_on.add(stuck.id)
    async with following(journal, house, clock):
        first, second = await stuck.dial(), await stuck.dial()
        while await stuck.left(first) is None:
            assert house.provider.stored(second) is None
            await asyncio.to_thread(lambda: None)
        house.emulator.hanging_on.clear()
        await met(lambda: house.dialled(second) == 1)

    assert await stuck.left(first) == "failed"


async def test_a_service_killed_while_twilio_hung_asks_first_and_calls_once(
    house: TwilioHouse, journal: Journal, clock: ManualClock
):
    stuck, other = await Incident.opened(journal, 1), await Incident.opened(journal, 2)
    house.emulator.world.mischief.silent = 1  # it makes the call and never says so
    async with following(journal, house, clock):
        leg = await stuck.dial()
        await met(lambda: house.dialled(leg) == 1)
        beside = await other.dial()
        await met(lambda: house.dialled(beside) == 1)
    await house.restart()
    async with following(journal, house, clock):
        await met(lambda: (known := house.provider.stored(leg)) is not None and known.reach > 0)

    assert (house.dialled(leg), house.dialled(beside)) == (1, 1)
