"""The whole service, with telephones: the operator is gone, the fire brigade picks up, hears the brief, takes over."""

import io
from pathlib import Path
from xml.etree import ElementTree as Xml

import aiohttp
import av
import numpy as np
import pytest
from twilio.request_validator import RequestValidator

from routing.law import RuleBook
from sos.app import Service, running
from sos.assist.speech import LANGUAGES, installed
from sos.calls.adapters.twilio.webhooks import SIGNATURE
from sos.dispatch.disclosure import Disclosures
from sos.incident import events as e
from sos.incident.codec import write_header
from sos.incident.commands import TakeIncident
from sos.incident.model import (
    Acknowledgement,
    AgencyId,
    DeskId,
    IncidentId,
    LegId,
    OperatorId,
    Party,
    Telling,
    TenantId,
)
from sos.media.opus import Pcm
from tests.sos.calls.peers import met
from tests.sos.calls.test_twilio_nobody import QuickClock
from tests.sos.calls.test_twilio_service import Story, emulator, settings
from tests.sos.calls.twilio_rig import CAR, VEHICLES
from tests.sos.calls.twilio_rig import DESK as DESK_LINE
from tests.twilio_emulator.server import Emulator
from tests.twilio_emulator.world import Person

__all__ = ["emulator"]

FIRE = AgencyId("jp-13-fire")
HANAKO = OperatorId("hanako")


async def _told(service: Service, incident: IncidentId) -> None:
    disclosures = Disclosures(
        service.journal,
        directory=service.directory,
        rules=RuleBook.shipped(),
        domains={TenantId("acme"): "acme.example"},
    )
    await disclosures.decide(incident, agency=FIRE, operator=HANAKO, necessity="call_for_help", consent="no_answer")


def _leg(recorded: list[e.Recorded], party: Party) -> LegId:
    return next(
        each.event.leg for each in recorded if isinstance(each.event, e.LegJoined) and each.event.party is party
    )


async def _fetched(emulator: Emulator, method: str, url: str) -> bytes:
    """As Twilio does it: signed, without the fragment."""
    address = url.split("#", maxsplit=1)[0]
    headers = {SIGNATURE: RequestValidator(emulator.token).compute_signature(address, {})}
    async with aiohttp.ClientSession() as session, session.request(method, address, headers=headers) as answer:
        assert answer.status == 200
        return await answer.read()


async def _hears(emulator: Emulator, leg: LegId) -> Pcm:
    """What is announced to a leg: its address is fetched, then the sound that it names."""
    await met(lambda: bool(emulator.participant(leg).announced))
    url = emulator.participant(leg).announced[-1]
    (played,) = [verb.text or "" for verb in Xml.fromstring(await _fetched(emulator, "POST", url))]
    with av.open(io.BytesIO(await _fetched(emulator, "GET", played))) as container:
        return np.concatenate([each.to_ndarray().reshape(-1) for each in container.decode(audio=0)])


async def _takes_over(emulator: Emulator, leg: LegId) -> None:
    await met(lambda: bool(emulator.call_of(leg).sockets))
    emulator.press(leg, "1")


async def test_an_agency_that_finds_nobody_of_ours_hears_the_brief_and_takes_over_by_a_key(
    tmp_path: Path, emulator: Emulator
):
    if "ja" not in installed():
        pytest.skip(f"no voice for ja: {LANGUAGES['ja']}")
    async with running(settings(tmp_path, emulator)) as service:
        story = Story(service)
        await emulator.call_in(CAR, to=VEHICLES)
        incident = await story.incident()
        await story.until(incident, e.LegJoined, party=Party.VEHICLE)
        take = TakeIncident(operator=HANAKO, desk=DeskId("desk-1"))
        await service.journal.execute(incident, take, actor="operator:hanako")
        desk = _leg(await story.until(incident, e.LegJoined, party=Party.OPERATOR), Party.OPERATOR)
        await story.until(incident, e.PlanMade)
        emulator.world.people[DESK_LINE] = Person(does="busy")  # whoever calls it again
        emulator.hang_up(desk)
        await story.until(incident, e.LegLeft, leg=desk)

        await _told(service, incident)
        fire = _leg(await story.until(incident, e.LegJoined, party=Party.AGENCY), Party.AGENCY)
        await story.until(incident, e.BriefSpoken, leg=fire, why=Telling.ALONE, by_keys=True)
        heard = await _hears(emulator, fire)

        await _takes_over(emulator, fire)
        recorded = await story.until(incident, e.AgencyAcknowledged, level=Acknowledgement.TAKEN_OVER)
        async with aiohttp.ClientSession() as session, session.get(f"{service.url}/readyz") as answer:
            ready = await answer.json()

    taken = next(each for each in recorded if isinstance(each.event, e.AgencyAcknowledged))
    assert taken.actor == f"agency:{FIRE}"
    assert 20 < heard.size / 8_000 < 150
    assert np.abs(heard).max() > 5_000
    assert ready["assists"]["speech_ja"] == "ok"
    assert not [each for each in recorded if b"+813" in write_header(each)]
    assert emulator.faults == []


async def test_with_nobody_of_ours_anywhere_the_fire_brigade_hears_the_brief_and_takes_over_by_a_key(
    tmp_path: Path, emulator: Emulator
):
    if "ja" not in installed():
        pytest.skip(f"no voice for ja: {LANGUAGES['ja']}")
    async with running(settings(tmp_path, emulator), clock=QuickClock()) as service:
        story = Story(service)
        await emulator.call_in(CAR, to=VEHICLES)
        incident = await story.incident()
        await story.until(incident, e.DisclosureDecided, unattended=True)
        fire = _leg(await story.until(incident, e.LegJoined, party=Party.AGENCY), Party.AGENCY)
        await story.until(incident, e.BriefSpoken, leg=fire, why=Telling.ALONE, by_keys=True)
        heard = await _hears(emulator, fire)
        await _takes_over(emulator, fire)
        recorded = await story.until(incident, e.HandoffCompleted)

    assert 20 < heard.size / 8_000 < 150
    assert not [each for each in recorded if isinstance(each.event, e.OperatorAssigned)]
    assert emulator.faults == []
