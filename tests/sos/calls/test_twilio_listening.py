"""Telephones through the emulated Twilio: how loud they are, and their last words once more, reach the desk."""

import asyncio
import io
import json
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from sos.app import running
from sos.calls.adapters.twilio.monitor import Listening
from sos.calls.port import LegUp
from sos.incident import events as e
from sos.incident.model import LegId, Party, new_id
from tests.sos.calls.peers import met
from tests.sos.calls.test_twilio_service import Story, settings
from tests.sos.calls.twilio_rig import CAR, DESCRIBED, DESK, FIRE, VEHICLES, TwilioHouse
from tests.twilio_emulator.server import Emulator


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(described=DESCRIBED) as opened:
        yield opened


async def frame(socket: aiohttp.ClientWebSocketResponse, kind: str) -> dict[str, Any]:
    """The next frame of this kind that a desk is sent."""
    async with asyncio.timeout(20):
        while True:
            told: dict[str, Any] = json.loads((await socket.receive()).data)
            if told["t"] == kind:
                return told


async def test_a_telephone_s_loudness_and_last_words_reach_the_desk_that_answers(tmp_path: Path, emulator: Emulator):
    async with (
        running(settings(tmp_path, emulator)) as service,
        aiohttp.ClientSession(service.url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as desk,
    ):
        await emulator.call_in(CAR, to=VEHICLES)
        story = Story(service)
        incident = await story.incident()
        recorded = await story.until(incident, e.LegJoined, party=Party.VEHICLE)
        leg = next(each.event.leg for each in recorded if isinstance(each.event, e.LegJoined))
        async with desk.post("/console/session", json={"token": "desk"}) as answer:
            assert answer.status == 204
        async with desk.ws_connect("/console/socket") as socket:
            await socket.send_json({"id": 1, "do": "answer", "incident": incident})
            levels = await frame(socket, "levels")
            while levels["legs"].get(leg, [-127])[0] <= -60:
                levels = await frame(socket, "levels")
        async with desk.get(f"/console/incidents/{incident}/replay/{leg}?seconds=2") as answer:
            assert answer.status == 200
            with wave.open(io.BytesIO(await answer.read())) as sound:
                heard = np.frombuffer(sound.readframes(sound.getnframes()), "<i2")
                rate_hz = sound.getframerate()

    rms, peak, speaking = levels["legs"][leg]
    assert -60 < rms <= peak <= 0
    assert isinstance(speaking, bool)
    assert rate_hz == 8_000
    assert 0 < heard.size <= 2 * rate_hz
    assert np.abs(heard.astype(np.int32)).max() > 300


async def test_once_the_agency_and_the_vehicle_are_by_themselves_nothing_of_it_is_kept(tmp_path: Path):
    async with TwilioHouse(tmp_path) as house:
        await house.emulator.call_in(CAR, to=VEHICLES)
        car = await house.events.until(LegUp)
        assert isinstance(car, LegUp)
        operator, fire = LegId(new_id()), LegId(new_id())
        for leg, party, number in ((operator, Party.OPERATOR, DESK), (fire, Party.AGENCY, FIRE)):
            await house.place(car.incident, leg, party=party, number=number)
            await house.events.until(LegUp, leg=leg)
        await met(lambda: kept(house, car.leg) > 0)

        await house.provider.end(operator)
        await met(lambda: kept(house, car.leg) == 0)
        levels = house.provider.levels()

    assert {level.leg for level in levels} >= {car.leg}
    assert {level.incident for level in levels} == {car.incident}


def kept(house: TwilioHouse, leg: LegId) -> int:
    return len((house.provider.listening(leg) or Listening()).replay())
