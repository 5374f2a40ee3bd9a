"""The simulated car on the line: it calls over HTTP, is heard, hears, and comes back by itself."""

import asyncio
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np

from recording.opus import RATE_HZ
from sos.calls.adapters.embedded.media_server import MediaServer
from sos.calls.port import LegDown, LegUp
from sos.clock import SystemClock
from sos.incident.model import IncidentId, LegId, Party, new_id
from sos.vehicle.speech import load
from sos.vehicle.voice import CarVoice, speech_like
from tests.audio import correlate
from tests.sos.calls.peers import Door, Events, Peer, met
from tests.sos.calls.test_two_parties import wav


async def test_the_car_calls_is_heard_hears_and_hangs_up(
    provider: MediaServer, new_peer: Callable[[int], Peer], tmp_path: Path
) -> None:
    events, incident, operator, heard = Events(provider), new_id(), new_peer(2), tmp_path / "car.wav"
    async with Door(provider) as door, CarVoice(door.base, incident, token="demo-key", heard=heard) as car:
        await events.until(LegUp, leg=car.leg, party=Party.VEHICLE)
        await operator.call(provider, incident=incident, leg=new_id(), party=Party.OPERATOR)
        await operator.hears(5)
        car.stop()
        await car.until_stopped()
        await events.until(LegDown, leg=car.leg, reason="ended")
    await operator.leave()

    said = speech_like(20.0, seed=1)
    assert correlate(said[2 * RATE_HZ : 4 * RATE_HZ], wav(operator.heard), RATE_HZ)[0] >= 0.85
    assert correlate(operator.said[RATE_HZ : 4 * RATE_HZ], wav(heard), RATE_HZ)[0] >= 0.85
    assert door.authorizations == ["Bearer demo-key"]
    assert car.stats.seconds_heard > 4
    assert (car.stats.calls, car.stats.reconnects) == (1, 0)


async def test_the_car_plays_a_file_once_and_then_holds_the_line(
    provider: MediaServer, new_peer: Callable[[int], Peer], tmp_path: Path
) -> None:
    events, incident, operator = Events(provider), new_id(), new_peer(2)
    sound = tmp_path / "sound.wav"
    _write(sound, speech_like(3, seed=5))
    async with Door(provider) as door:
        await operator.call(provider, incident=incident, leg=new_id(), party=Party.OPERATOR)
        await events.until(LegUp)
        async with CarVoice(door.base, incident, token="k", sound=sound, once=True) as car:
            await car.until_hearing()
            await operator.hears(4.5)
    await operator.leave()

    recorded = wav(operator.heard)
    assert correlate(speech_like(3, seed=5)[RATE_HZ // 2 :], recorded, RATE_HZ)[0] >= 0.85
    assert load(sound).size == 3 * RATE_HZ


async def test_the_car_calls_again_when_the_service_falls_silent_under_the_same_leg(provider: MediaServer) -> None:
    events, incident = Events(provider), new_id()
    async with Door(provider) as door, CarVoice(door.base, incident, token="k") as car:
        await events.until(LegUp, leg=car.leg)
        first = provider._conferences[IncidentId(incident)].seats[LegId(car.leg)].connection
        first.playout.stop()
        await asyncio.wait_for(met(lambda: car.stats.calls == 2), 60)
        heard = car.stats.seconds_heard
        await asyncio.wait_for(met(lambda: car.stats.seconds_heard > heard + 0.5), 60)
        up = await provider.legs()

    assert [leg.leg for leg in up] == [car.leg]
    assert car.stats.reconnects == 1


async def test_the_car_comes_back_when_the_service_was_away(tmp_path: Path) -> None:
    incident, port = new_id(), 0
    async with MediaServer(tmp_path / "a", clock=SystemClock()) as provider:
        door = await Door(provider).__aenter__()
        port = door.port
        car = await CarVoice(door.base, incident, token="k").__aenter__()
        await asyncio.wait_for(car.until_hearing(), 60)
        await door.__aexit__()
    await asyncio.wait_for(met(lambda: car.stats.last_problem is not None), 60)
    away = car.stats.last_problem
    async with MediaServer(tmp_path / "b", clock=SystemClock()) as provider, Door(provider, port=port):
        up = await Events(provider).until(LegUp)
        await car.__aexit__(None, None, None)

    assert away == "ClientConnectorError"
    assert isinstance(up, LegUp)
    assert up.leg == car.leg
    assert car.stats.reconnects == 1


def test_the_speech_like_signal_nowhere_repeats() -> None:
    signal = speech_like(20, seed=1)

    score, lag = correlate(signal[5 * RATE_HZ : 7 * RATE_HZ], signal, RATE_HZ)
    elsewhere, _ = correlate(signal[5 * RATE_HZ : 7 * RATE_HZ], signal[8 * RATE_HZ :], RATE_HZ)
    other, _ = correlate(signal[5 * RATE_HZ : 7 * RATE_HZ], speech_like(20, seed=2), RATE_HZ)

    assert (round(score, 3), round(lag, 3)) == (1.0, 5.0)
    assert max(elsewhere, other) < 0.4
    assert np.abs(signal).max() <= 12_000


def _write(path: Path, pcm: np.ndarray) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
        file.writeframes(pcm.tobytes())
