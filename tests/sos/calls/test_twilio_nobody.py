"""The whole service, telephoning through the emulated Twilio, with no desk at all: on call, and the fire brigade."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from msgspec.structs import replace

from sos.app import running
from sos.clock import SystemClock
from sos.incident import events as e
from sos.incident.codec import write_header
from sos.incident.model import Party, State
from sos.settings import AttendanceSettings, OnCallSettings
from tests.sos.calls.peers import met
from tests.sos.calls.test_twilio_service import Story, settings
from tests.sos.calls.twilio_rig import CAR, DESCRIBED, VEHICLES
from tests.twilio_emulator.server import Emulator

MACHINE, PERSON = "+81300000031", "+81300000041"


class QuickClock:
    """Everything that waits waits a sixth of its time."""

    FASTER = 6

    def __init__(self) -> None:
        self._began, self._at = datetime.now(UTC), time.monotonic()
        self._real = SystemClock()

    def now(self) -> datetime:
        return self._began + timedelta(seconds=(time.monotonic() - self._at) * self.FASTER)

    async def wait(self, duration: timedelta) -> None:
        await self._real.wait(duration / self.FASTER)


async def test_a_machine_is_passed_over_and_the_person_who_presses_a_key_talks_with_the_car(tmp_path: Path):
    async with Emulator(described=DESCRIBED) as emulator:
        people = (OnCallSettings(id="saburo", number=MACHINE), OnCallSettings(id="shiro", number=PERSON))
        wanted = replace(
            settings(tmp_path, emulator), attendance=AttendanceSettings(on_call=people, nobody_after_s=300)
        )
        async with running(wanted, clock=QuickClock()) as service:
            story = Story(service)
            await emulator.call_in(CAR, to=VEHICLES)
            incident = await story.incident()
            await story.until(incident, e.LegLeft, reason="no_key")
            recorded = await story.until(incident, e.LegJoined, party=Party.SUPERVISOR, who="shiro")
            leg = next(r.event.leg for r in recorded if isinstance(r.event, e.LegDialled) and r.event.who == "shiro")
            await met(lambda: emulator.participant(leg).hold)
            await met(lambda: bool(emulator.call_of(leg).sockets))
            await met(lambda: any("on_call" in url for url in emulator.participant(leg).announced))
            emulator.press(leg, "1")
            recorded = await story.until(incident, e.OperatorAssigned, operator="shiro")
            await met(lambda: not emulator.participant(leg).hold)

            (conference,) = [each for each in emulator.world.conferences.values() if each.status == "in-progress"]
            parties = {emulator.label_of(call) for call in conference.participants}

    assert len(parties) == 2
    assert leg in parties
    assert [number for _, number in emulator.world.dialled] == [MACHINE, PERSON]
    assigned = next(each for each in recorded if isinstance(each.event, e.OperatorAssigned))
    assert assigned.actor == "operator:shiro"
    assert not [each for each in recorded if b"+813" in write_header(each)]
    assert emulator.faults == []


async def test_with_nobody_at_all_the_fire_brigade_s_line_is_called_and_joined_to_the_car(tmp_path: Path):
    async with (
        Emulator(described=DESCRIBED) as emulator,
        running(settings(tmp_path, emulator), clock=QuickClock()) as service,
    ):
        story = Story(service)
        await emulator.call_in(CAR, to=VEHICLES)
        incident = await story.incident()
        await story.until(incident, e.DisclosureDecided, unattended=True)
        recorded = await story.until(incident, e.LegJoined, party=Party.AGENCY)
        state = await service.journal.state(incident)
        agency = service.directory.agencies[state.disclosures[0].agency]
        await met(lambda: len(_joined(emulator)) == 2)

    assert state.state is State.HANDING_OVER
    assert state.operator is None
    assert agency.service == "fire"
    assert [number for _, number in emulator.world.dialled] == [agency.channels["voice"]["number"]]
    decided = next(each for each in recorded if isinstance(each.event, e.DisclosureDecided))
    assert decided.actor == "system:unattended"
    notices = [each.event.notice for each in recorded if isinstance(each.event, e.NoticePlayed)]
    assert notices[:2] == ["wait", "joining"]
    assert emulator.faults == []


def _joined(emulator: Emulator) -> list[str]:
    """Who is in the one conference."""
    (conference,) = emulator.world.conferences.values()
    return [each.label for each in conference.participants.values() if each.joined]
