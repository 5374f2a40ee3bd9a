"""The whole service without telephones: an agency joins from its page and finds no voice of ours."""

from pathlib import Path

import aiohttp
import numpy as np
import pytest

from sos.app import Service
from sos.assist.announcer import PHRASES
from sos.assist.speech import LANGUAGES, Speech, installed
from sos.assist.synthesiser import RATE_HZ as MADE_HZ
from sos.clock import SystemClock
from sos.incident.events import BriefSpoken
from sos.incident.model import IncidentId, Telling
from sos.vehicle.report import Car, crash, report_once
from sos.vehicle.voice import CarVoice
from tests.audio import correlate
from tests.sos.assist.test_reading_on_the_line import lower
from tests.sos.calls.peers import Peer
from tests.sos.calls.test_agency_door import FIRE, KEY, Browser, service
from tests.sos.calls.test_two_parties import wav
from tests.sos.dispatch.test_disclosure_at_the_desk import Desk

__all__ = ["service"]


async def test_an_agency_that_joins_from_its_page_is_read_to_and_again_when_the_operator_asks(
    service: Service, tmp_path: Path
):
    if "ja" not in installed():
        pytest.skip(f"no voice for ja: {LANGUAGES['ja']}")
    clock = SystemClock()
    taken = await report_once(crash(Car(), at=clock.now(), seed=1), base_url=service.url, key=KEY, clock=clock)
    desk = await Desk.sit(service.url, "hanako")  # answers, and has no microphone yet
    fire = Peer(tmp_path, seed=3)
    fire.listen_only()
    async with CarVoice(service.url, taken.incident, token=KEY, heard=tmp_path / "car.wav") as car:
        await car.until_hearing()
        await desk.order(do="answer", incident=taken.incident)
        wish = {"path": "life_protection", "necessity": "automatic_crash", "consent": "no_answer"}
        told = await desk.order(do="disclose", incident=taken.incident, agency=FIRE, **wish)
        page = Browser(service, taken.incident, told["result"]["disclosures"][0])
        let_in = await desk.order(do="invite", incident=taken.incident, agency=FIRE)
        assert await page.join(fire) == 201
        await desk.hear(t="event", kind="BriefSpoken")
        await fire.hears(6)
        again = await desk.order(do="speak_brief", incident=taken.incident, leg=let_in["result"]["leg"])
        await fire.hears(1)
    await desk.leave()
    await fire.leave()

    assert again["ok"]
    assert desk.frames[0]["agencies"][FIRE]["speaks"]
    spoken = [each.event for each in await service.journal.store.stream(IncidentId(taken.incident))]
    readings = [event for event in spoken if isinstance(event, BriefSpoken)]
    assert [(each.why, each.by_keys) for each in readings] == [(Telling.ALONE, False), (Telling.ASKED, False)]
    async with Speech(clock=clock, within_s=60) as speech:
        words = np.frombuffer(await speech.make(PHRASES["ja"]["alone"], "ja"), np.int16)
    assert correlate(words, lower(wav(fire.heard)), MADE_HZ)[0] >= 0.85
    assert correlate(words, lower(wav(tmp_path / "car.wav")), MADE_HZ)[0] < 0.2
    async with aiohttp.ClientSession() as session, session.get(f"{service.url}/healthz") as answer:
        assert answer.status == 200
