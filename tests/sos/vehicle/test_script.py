"""A car's script: read whole or refused with its line, and acted out step by step on a real line."""

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from recording.opus import RATE_HZ
from sos.calls.adapters.embedded.media_server import MediaServer
from sos.calls.port import LegDown, LegUp
from sos.clock import SystemClock
from sos.errors import Malformed
from sos.incident.model import IncidentId, LegId, Party, new_id
from sos.vehicle.script import Drop, HangUp, Loss, Play, Press, Say, Silence, Step, Wait, parse
from sos.vehicle.voice import CarVoice, Network, speech_like
from tests.audio import correlate
from tests.sos.calls.peers import Door, Events, Peer, met
from tests.sos.calls.test_two_parties import wav
from tests.sos.vehicle.test_voice import _write

SCRIPT = """
# two people, one of them hurt
wait 2
say We are stuck
silence 0.5
press 1
loss 5 %
drop 4
hang up
"""


def test_a_script_is_read_line_by_line():
    assert parse(SCRIPT) == (
        Wait(2.0), Say("We are stuck"), Silence(0.5), Press("1"), Loss(0.05), Drop(4.0), HangUp(),
    )  # fmt: skip


def test_a_sound_is_looked_for_beside_the_script(tmp_path: Path):
    (tmp_path / "bang.wav").write_bytes(b"")

    assert parse("play bang.wav", beside=tmp_path) == (Play(tmp_path / "bang.wav"),)


@pytest.mark.parametrize(
    "line",
    ["shout", "wait", "wait soon", "wait -1", "wait 99999", "say", "play no.wav", "press 1 2", "loss 101", "hang"],
)
def test_a_line_that_cannot_be_read_is_named(line: str):
    with pytest.raises(Malformed) as wrong:
        parse(f"wait 1\n{line}")

    assert wrong.value.field == "line 2"


@given(st.text(max_size=200))
def test_any_text_is_a_script_or_malformed(text: str):
    try:
        steps = parse(text)
    except Malformed:
        return
    assert all(isinstance(step, Step) for step in steps)


async def test_a_car_says_what_its_script_says_and_nothing_else(
    provider: MediaServer,
    new_peer: Callable[[int], Peer],
    tmp_path: Path,
):
    events, incident, operator = Events(provider), new_id(), new_peer(2)
    said = speech_like(2.0, seed=5)
    _write(tmp_path / "said.wav", said)
    steps = parse("wait 1\nplay said.wav\nwait 1\nhang up", beside=tmp_path)
    async with Door(provider) as door:
        await operator.call(provider, incident=incident, leg=new_id(), party=Party.OPERATOR)
        await events.until(LegUp)
        async with CarVoice(door.base, incident, token="k", script=steps) as car:
            await events.until(LegDown, leg=car.leg, reason="ended")
            assert not car.mouth.speaking
            car.call_again()
            await events.until(LegUp, leg=car.leg, count=2)
    await operator.leave()

    assert correlate(said[: RATE_HZ * 3 // 2], wav(operator.heard), RATE_HZ)[0] >= 0.85


async def test_a_car_without_network_is_lost_and_comes_back_by_itself(provider: MediaServer):
    events, incident = Events(provider), new_id()
    async with Door(provider) as door, CarVoice(door.base, incident, token="k", script=(Drop(4.0),)) as car:
        await events.until(LegDown, leg=car.leg, reason="media_lost")
        await events.until(LegUp, leg=car.leg, count=2, within_s=15)


async def test_a_lossy_line_loses_packets_that_are_missed_and_is_understood_all_the_same(
    provider: MediaServer, new_peer: Callable[[int], Peer]
):
    events, incident, operator = Events(provider), new_id(), new_peer(2)
    async with Door(provider) as door:
        await operator.call(provider, incident=incident, leg=new_id(), party=Party.OPERATOR)
        await events.until(LegUp)
        async with CarVoice(door.base, incident, token="k", loss=0.05, seed=3) as car:
            await events.until(LegUp, leg=car.leg)
            await operator.hears(5)
            seat = provider._conferences[IncidentId(incident)].seats[LegId(car.leg)]
            missed, came = seat.connection.lost, seat.connection.received
    await operator.leave()

    assert 0 < missed < 0.12 * came
    assert correlate(speech_like(20.0, seed=1)[RATE_HZ : 3 * RATE_HZ], wav(operator.heard), RATE_HZ)[0] >= 0.7


async def test_a_silent_caller_presses_keys_until_the_service_has_them(tmp_path: Path):
    pressed: list[tuple[str, dict[str, str]]] = []

    async def keys(request: web.Request) -> web.Response:
        pressed.append((request.match_info["leg"], await request.json()))
        return web.Response(status=204 if len(pressed) > 1 else 409)

    async with MediaServer(tmp_path / "recordings", clock=SystemClock()) as media:
        door = Door(media, more=[web.post("/v1/incidents/{i}/legs/{leg}/keys", keys)])
        async with door, CarVoice(door.base, new_id(), token="k", script=(Press("1"),), silent=True) as car:
            await met(lambda: len(pressed) == 2)

    assert pressed == [(car.leg, {"keys": "1"})] * 2


async def test_a_car_that_hung_up_is_called_back_over_its_data_channel(tmp_path: Path):
    told: list[str] = []
    waiting = ["answer-1"]

    async def commands(_: web.Request) -> web.Response:
        given = [{"id": each, "command": "callBack", "incident": "i", "at": ""} for each in waiting]
        return web.json_response({"incident": "i", "commands": given if told else []})

    async def delivered(request: web.Request) -> web.Response:
        waiting.remove(request.match_info["command"])
        return web.Response(status=204)

    routes = [
        web.get("/v1/incidents/{i}/commands", commands),
        web.post("/v1/incidents/{i}/commands/{command}", delivered),
    ]
    async with MediaServer(tmp_path / "recordings", clock=SystemClock()) as media:
        events, door = Events(media), Door(media, more=routes)
        async with door, CarVoice(door.base, new_id(), token="k", script=(HangUp(),), obeys=True) as car:
            await events.until(LegDown, leg=car.leg, reason="ended")
            told.append("call back")
            await events.until(LegUp, leg=car.leg, count=2)

    assert waiting == []


def test_a_lossy_network_loses_the_share_it_says():
    network = Network(loss=0.05, dice=Random(1))

    assert 400 < sum(network.loses() for _ in range(10_000)) < 600
    network.down = True
    assert all(network.loses() for _ in range(10))
