"""What every telephony provider must do, run over each of them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import pytest

from sos.calls.adapters.embedded import EmbeddedProvider
from sos.calls.adapters.simulated import SimulatedProvider
from sos.calls.port import LegDown, LegUp, RecordingBegun, RecordingDone, TelephonyProvider
from sos.clock import SystemClock
from sos.errors import Malformed, Refused, Unavailable
from sos.incident.model import IncidentId, LegId, Party, new_id
from tests.sos.calls.peers import KEY, Events, Peer


class Rig(Protocol):
    """A provider with the hands to make its legs come and go."""

    provider: EmbeddedProvider | SimulatedProvider
    events: Events

    async def offer(self) -> str: ...
    async def call(self, incident: str, leg: str, party: Party = Party.VEHICLE) -> None: ...
    async def lose(self, leg: str) -> None: ...


class EmbeddedRig:
    def __init__(self, provider: EmbeddedProvider, tmp_path: Path) -> None:
        self.provider, self.events, self._tmp = provider, Events(provider), tmp_path
        self._peers: dict[str, Peer] = {}
        self._made: list[Peer] = []

    def _peer(self) -> Peer:
        self._made.append(Peer(self._tmp, seed=len(self._made), seconds=2))
        return self._made[-1]

    async def offer(self) -> str:
        return await self._peer().offer()

    async def call(self, incident: str, leg: str, party: Party = Party.VEHICLE) -> None:
        self._peers[leg] = self._peer()
        await self._peers[leg].call(self.provider, incident=incident, leg=leg, party=party)

    async def lose(self, leg: str) -> None:
        self._peers[leg].cord.plugged.clear()

    async def close(self) -> None:
        for peer in self._made:
            await peer.leave()


class SimulatedRig:
    def __init__(self, provider: SimulatedProvider) -> None:
        self.provider, self.events = provider, Events(provider)

    async def offer(self) -> str:
        return "v=0\r\n"

    async def call(self, incident: str, leg: str, party: Party = Party.VEHICLE) -> None:
        await accept(self, incident, leg, party)

    async def lose(self, leg: str) -> None:
        self.provider.drop(LegId(leg))


@pytest.fixture(params=["embedded", "simulated"])
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    clock = SystemClock()
    if request.param == "embedded":
        async with EmbeddedProvider(tmp_path / "recordings", clock=clock) as embedded:
            embedded_rig = EmbeddedRig(embedded, tmp_path)
            yield embedded_rig
            await embedded_rig.close()
    else:
        async with SimulatedProvider(clock=clock, misbehaviour=0) as simulated:
            yield SimulatedRig(simulated)


async def accept(rig: Rig, incident: str, leg: str, party: Party = Party.VEHICLE, offer: str | None = None) -> str:
    return await rig.provider.accept(
        incident=IncidentId(incident),
        leg=LegId(leg),
        party=party,
        who=party.value,
        offer=await rig.offer() if offer is None else offer,
        key=KEY,
    )


async def test_a_leg_comes_up_is_listed_and_is_recorded(rig: Rig) -> None:
    incident, leg = new_id(), new_id()

    await rig.call(incident, leg)
    up = await rig.events.until(LegUp)

    assert up == LegUp(incident=IncidentId(incident), leg=LegId(leg), party=Party.VEHICLE, who="vehicle")
    assert await rig.provider.legs() == (up,)
    assert rig.events.kinds() == ["RecordingBegun", "LegUp"]


async def test_the_same_leg_again_replaces_its_connection_and_stays_up(rig: Rig) -> None:
    incident, leg = new_id(), new_id()
    await rig.call(incident, leg)
    await rig.events.until(LegUp)

    await rig.call(incident, leg)
    await rig.call(incident, leg)
    await rig.call(incident, new_id(), Party.OPERATOR)
    await rig.events.until(LegUp, party=Party.OPERATOR)

    assert rig.events.kinds() == ["RecordingBegun", "LegUp", "LegUp"]
    assert [up.party for up in await rig.provider.legs()] == [Party.VEHICLE, Party.OPERATOR]


async def test_ending_a_leg_twice_is_one_end(rig: Rig) -> None:
    incident, leg = new_id(), new_id()
    await rig.call(incident, leg)
    await rig.events.until(LegUp)

    await rig.provider.end(LegId(leg))
    await rig.provider.end(LegId(leg))
    down = await rig.events.until(LegDown)

    assert down == LegDown(incident=IncidentId(incident), leg=LegId(leg), party=Party.VEHICLE, reason="ended")
    assert rig.events.kinds().count("LegDown") == 1
    assert await rig.provider.legs() == ()


async def test_ending_what_is_not_there_does_nothing(rig: Rig) -> None:
    await rig.provider.end(LegId(new_id()))
    await rig.provider.finish(IncidentId(new_id()))

    assert rig.events.seen == []
    assert await rig.provider.legs() == ()


async def test_finishing_ends_every_leg_and_then_the_recording(rig: Rig) -> None:
    incident = new_id()
    await rig.call(incident, new_id())
    await rig.call(incident, new_id(), Party.OPERATOR)
    await rig.events.until(LegUp, count=2)

    await rig.provider.finish(IncidentId(incident))
    await rig.provider.finish(IncidentId(incident))
    done = await rig.events.until(RecordingDone)

    assert rig.events.kinds() == ["RecordingBegun", "LegUp", "LegUp", "LegDown", "LegDown", "RecordingDone"]
    assert isinstance(done, RecordingDone)
    assert rig.events.seen[0] == RecordingBegun(incident=IncidentId(incident), recording=done.recording)


async def test_a_call_after_the_finish_is_a_new_recording(rig: Rig) -> None:
    incident = new_id()
    await rig.call(incident, new_id())
    await rig.events.until(LegUp)
    await rig.provider.finish(IncidentId(incident))

    await rig.call(incident, new_id())
    await rig.events.until(LegUp, count=2)

    first, second = (event.recording for event in rig.events.seen if isinstance(event, RecordingBegun))
    assert first != second


async def test_a_lost_leg_is_told_within_3_seconds_and_comes_back_by_a_new_offer(rig: Rig) -> None:
    incident, leg = new_id(), new_id()
    await rig.call(incident, leg)
    await rig.call(incident, new_id(), Party.OPERATOR)
    await rig.events.until(LegUp, count=2)

    await rig.lose(leg)
    down = await rig.events.until(LegDown, within_s=3.3)
    still_up = await rig.provider.legs()
    await rig.call(incident, leg)
    await rig.events.until(LegUp, count=3)

    assert isinstance(down, LegDown)
    assert (down.leg, down.reason) == (leg, "media_lost")
    assert [up.party for up in still_up] == [Party.OPERATOR]
    assert len(await rig.provider.legs()) == 2


async def test_a_leg_cannot_be_taken_over_by_another_party_or_incident(rig: Rig) -> None:
    incident, leg = new_id(), new_id()
    await rig.call(incident, leg)
    await rig.events.until(LegUp)

    for other_incident, party in ((incident, Party.OPERATOR), (new_id(), Party.VEHICLE)):
        with pytest.raises(Refused):
            await accept(rig, other_incident, leg, party)

    assert [up.incident for up in await rig.provider.legs()] == [incident]


@pytest.mark.parametrize("offer", ["", "hello", "{}", "\x00\xff", "v=1\r\n", "m=audio 9 X 0\r\n" * 10])
async def test_text_that_is_no_offer_is_malformed_and_leaves_no_trace(rig: Rig, offer: str) -> None:
    with pytest.raises(Malformed) as refused:
        await accept(rig, new_id(), new_id(), offer=offer)

    assert refused.value.field == "$"
    assert rig.events.seen == []


async def test_closing_ends_everything_and_then_the_events(rig: Rig) -> None:
    await rig.call(new_id(), new_id())
    await rig.events.until(LegUp)

    await rig.provider.__aexit__(None, None, None)
    await rig.provider.__aexit__(None, None, None)
    await rig.events.ended()

    assert rig.events.kinds() == ["RecordingBegun", "LegUp", "LegDown", "RecordingDone"]
    assert isinstance(down := rig.events.seen[2], LegDown)
    assert down.reason == "shutdown"
    with pytest.raises(Unavailable):
        await accept(rig, new_id(), new_id())


async def test_both_providers_are_what_the_port_asks_for(rig: Rig) -> None:
    provider: TelephonyProvider = rig.provider

    assert provider.name in {"embedded", "simulated"}
