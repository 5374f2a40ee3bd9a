"""What every telephony provider must do, run over each of them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest

from recording.opus import RATE_HZ
from sos.calls.adapters.embedded.provider import EmbeddedProvider
from sos.calls.adapters.simulated import SimulatedProvider
from sos.calls.port import (
    SOUND_RATE_HZ,
    TALKING,
    KeyPressed,
    LegDown,
    LegMode,
    LegRinging,
    LegUp,
    ProviderEvent,
    RecordingBegun,
    RecordingDone,
    RecordingFetched,
    Sound,
    TelephonyProvider,
)
from sos.clock import SystemClock
from sos.errors import Malformed, Refused, Unavailable
from sos.incident.model import IncidentId, LegId, Party, new_id
from sos.vehicle.voice import speech_like
from tests.audio import correlate
from tests.sos.calls.peers import KEY, Events, Peer, met
from tests.sos.calls.test_two_parties import wav
from tests.sos.calls.twilio_rig import TwilioHouse
from tests.twilio_emulator.world import Person


class Rig(Protocol):
    """A provider with the hands to make its legs come and go."""

    provider: TelephonyProvider
    events: Events
    webrtc: bool
    """Whether legs come by an offer; otherwise by telephone."""

    async def offer(self) -> str: ...
    async def call(self, incident: str, leg: str, party: Party = Party.VEHICLE) -> None: ...
    async def lose(self, leg: str) -> None: ...
    async def said(self, leg: str, sound: Sound) -> int:
        """How often made speech was played to a leg."""
        ...


class Telephone(Rig, Protocol):
    """The hands of people who are called."""

    def person(self, number: str, does: str) -> None: ...
    def dialled(self, leg: str) -> int: ...
    def press(self, leg: str, key: str) -> None: ...
    def mode(self, leg: str) -> LegMode: ...
    def announced(self, leg: str) -> list[str]: ...
    async def hears_keys(self, leg: str) -> None: ...


class PeerRig:
    webrtc = True

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

    async def said(self, leg: str, sound: Sound) -> int:
        peer, pcm = self._peers[leg], np.frombuffer(sound.pcm, np.int16)
        await peer.hears(2 * pcm.size / SOUND_RATE_HZ + 1)
        peer.hush()
        heard = wav(peer.heard)[:: RATE_HZ // SOUND_RATE_HZ]
        times = 0
        while (found := correlate(pcm, heard, SOUND_RATE_HZ))[0] >= 0.7:
            times, start = times + 1, int(found[1] * SOUND_RATE_HZ)
            heard = np.concatenate((heard[:start], heard[start + pcm.size :]))
        return times

    async def close(self) -> None:
        for peer in self._made:
            await peer.leave()


class SimulatedRig:
    webrtc = True

    def __init__(self, provider: SimulatedProvider) -> None:
        self.provider, self.events = provider, Events(provider)

    async def offer(self) -> str:
        return "v=0\r\n"

    async def call(self, incident: str, leg: str, party: Party = Party.VEHICLE) -> None:
        await accept(self, incident, leg, party)

    async def lose(self, leg: str) -> None:
        self.provider.drop(LegId(leg))

    async def said(self, leg: str, sound: Sound) -> int:
        return self.provider.said.count((LegId(leg), sound))

    def person(self, number: str, does: str) -> None:
        if does == "busy":
            self.provider.busy.add(number)

    def dialled(self, leg: str) -> int:
        return list(self.provider.dialled).count(LegId(leg))

    def press(self, leg: str, key: str) -> None:
        self.provider.press(LegId(leg), key)

    def mode(self, leg: str) -> LegMode:
        return self.provider.modes.get(LegId(leg), TALKING)

    def announced(self, leg: str) -> list[str]:
        return [notice for to, notice in self.provider.announced if to == leg]

    async def hears_keys(self, leg: str) -> None:
        pass


class TwilioRig:
    """The real client library against the emulator; each leg has a telephone of its own."""

    webrtc = False

    def __init__(self, house: TwilioHouse) -> None:
        self.provider, self.events, self._house = house.provider, house.events, house

    async def offer(self) -> str:
        return "v=0\r\n"

    async def call(self, incident: str, leg: str, party: Party = Party.VEHICLE) -> None:
        await self._house.place(IncidentId(incident), LegId(leg), party)

    async def lose(self, leg: str) -> None:
        self._house.emulator.hang_up(leg)

    async def said(self, leg: str, sound: Sound) -> int:
        urls = self._house.emulator.participant(leg).announced
        return len([url for url in urls if "/twilio/said/" in url])

    def person(self, number: str, does: str) -> None:
        self._house.emulator.world.people[number] = Person(does=does)

    def dialled(self, leg: str) -> int:
        return self._house.dialled(leg)

    def press(self, leg: str, key: str) -> None:
        self._house.emulator.press(leg, key)

    def mode(self, leg: str) -> LegMode:
        seat = self._house.emulator.participant(leg)
        coached = self._house.emulator.label_of(seat.coaching)
        return LegMode(held=seat.hold, muted=seat.muted, coaching=LegId(coached) if coached else None)

    def announced(self, leg: str) -> list[str]:
        urls = self._house.emulator.participant(leg).announced
        return [url.split("#")[0].rsplit("/", 1)[1] for url in urls]

    async def hears_keys(self, leg: str) -> None:
        """Keys reach us beside the sound that is streamed to us."""
        await met(lambda: self._house.provider.listening(LegId(leg)) is not None)


@pytest.fixture(params=["embedded", "simulated", "twilio"])
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    clock = SystemClock()
    if request.param == "embedded":
        async with EmbeddedProvider(tmp_path / "recordings", clock=clock, outlive=False) as embedded:
            peers = PeerRig(embedded, tmp_path)
            yield peers
            await peers.close()
    elif request.param == "twilio":
        async with TwilioHouse(tmp_path, outlive=False) as house:
            yield TwilioRig(house)
            await house.emulator.settled()
            assert house.emulator.faults == []
    else:
        async with SimulatedProvider(clock=clock, misbehaviour=0) as simulated:
            yield SimulatedRig(simulated)


@pytest.fixture
def phone(rig: Rig) -> Telephone:
    """The rig of a provider that reaches telephones."""
    if not rig.provider.dials:
        pytest.skip("this provider reaches no telephone")
    return rig  # type: ignore[return-value]


BESIDE = ("LegRinging", "RecordingFetched", "ProviderCopyDeleted")
"""What only some providers tell."""


def told(rig: Rig) -> list[ProviderEvent]:
    """What every provider tells, in order."""
    return [event for event in rig.events.seen if type(event).__name__ not in BESIDE]


def kinds(rig: Rig) -> list[str]:
    return [type(event).__name__ for event in told(rig)]


async def place(
    phone: Telephone,
    incident: str,
    leg: str,
    number: str,
    party: Party = Party.AGENCY,
    mode: LegMode = TALKING,
) -> None:
    await phone.provider.place(
        incident=IncidentId(incident), leg=LegId(leg), party=party, who=party.value, number=number, key=KEY, mode=mode
    )


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
    assert kinds(rig) == ["RecordingBegun", "LegUp"]


async def test_the_same_leg_again_replaces_its_connection_and_stays_up(rig: Rig) -> None:
    incident, leg = new_id(), new_id()
    await rig.call(incident, leg)
    await rig.events.until(LegUp)

    await rig.call(incident, leg)
    await rig.call(incident, leg)
    await rig.call(incident, new_id(), Party.OPERATOR)
    await rig.events.until(LegUp, party=Party.OPERATOR)

    assert kinds(rig) == ["RecordingBegun", "LegUp", "LegUp"]
    assert [up.party for up in await rig.provider.legs()] == [Party.VEHICLE, Party.OPERATOR]


async def test_ending_a_leg_twice_is_one_end(rig: Rig) -> None:
    incident, leg = new_id(), new_id()
    await rig.call(incident, leg)
    await rig.events.until(LegUp)

    await rig.provider.end(LegId(leg))
    await rig.provider.end(LegId(leg))
    down = await rig.events.until(LegDown)

    assert down == LegDown(incident=IncidentId(incident), leg=LegId(leg), party=Party.VEHICLE, reason="ended")
    assert kinds(rig).count("LegDown") == 1
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

    assert kinds(rig) == ["RecordingBegun", "LegUp", "LegUp", "LegDown", "LegDown", "RecordingDone"]
    assert isinstance(done, RecordingDone)
    assert told(rig)[0] == RecordingBegun(incident=IncidentId(incident), recording=done.recording)


async def test_a_call_after_the_finish_is_a_new_recording(rig: Rig) -> None:
    incident = new_id()
    await rig.call(incident, new_id())
    await rig.events.until(LegUp)
    await rig.provider.finish(IncidentId(incident))

    await rig.call(incident, new_id())
    await rig.events.until(LegUp, count=2)

    first, second = (event.recording for event in rig.events.seen if isinstance(event, RecordingBegun))
    assert first != second


async def test_a_lost_leg_is_told_within_3_seconds_and_comes_back_by_a_new_call(rig: Rig) -> None:
    incident, leg = new_id(), new_id()
    await rig.call(incident, leg)
    await rig.call(incident, new_id(), Party.OPERATOR)
    await rig.events.until(LegUp, count=2)

    await rig.lose(leg)
    down = await rig.events.until(LegDown, within_s=3.3)
    still_up = await rig.provider.legs()
    await rig.call(incident, leg if rig.webrtc else new_id())
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
            await rig.call(other_incident, leg, party)

    assert [up.incident for up in await rig.provider.legs()] == [incident]


@pytest.mark.parametrize("offer", ["", "hello", "{}", "\x00\xff", "v=1\r\n", "m=audio 9 X 0\r\n" * 10])
async def test_text_that_is_no_offer_is_malformed_and_leaves_no_trace(rig: Rig, offer: str) -> None:
    if not rig.webrtc:
        pytest.skip("this provider takes no offers")

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

    assert kinds(rig) == ["RecordingBegun", "LegUp", "LegDown", "RecordingDone"]
    assert isinstance(down := told(rig)[2], LegDown)
    assert down.reason == "shutdown"
    with pytest.raises(Unavailable):
        await accept(rig, new_id(), new_id())


async def test_every_provider_is_what_the_port_asks_for(rig: Rig) -> None:
    provider: TelephonyProvider = rig.provider

    assert provider.name in {"embedded", "simulated", "twilio"}


async def test_a_provider_without_offers_says_so(rig: Rig) -> None:
    if rig.webrtc:
        pytest.skip("this provider takes offers")

    with pytest.raises(Unavailable):
        await accept(rig, new_id(), new_id())


async def test_a_called_number_rings_and_comes_up_and_a_repeat_dials_nobody(phone: Telephone) -> None:
    incident, leg = new_id(), new_id()

    for _ in range(3):
        await place(phone, incident, leg, "+81300000021")
    await phone.events.until(LegUp)
    await place(phone, incident, leg, "+81300000021")

    assert phone.events.kinds() == ["LegRinging", "RecordingBegun", "LegUp"]
    assert phone.events.seen[0] == LegRinging(incident=IncidentId(incident), leg=LegId(leg))
    assert phone.dialled(leg) == 1


async def test_a_busy_number_is_told_as_busy_and_is_not_dialled_again(phone: Telephone) -> None:
    incident, leg = new_id(), new_id()
    phone.person("+81300000022", "busy")

    await place(phone, incident, leg, "+81300000022")
    down = await phone.events.until(LegDown)
    await place(phone, incident, leg, "+81300000022")

    assert down == LegDown(incident=IncidentId(incident), leg=LegId(leg), party=Party.AGENCY, reason="busy")
    assert phone.dialled(leg) == 1
    assert await phone.provider.legs() == ()


async def test_hold_mute_and_coaching_are_set_once_and_taken_back(phone: Telephone) -> None:
    incident, leg, other = new_id(), new_id(), new_id()
    await place(phone, incident, leg, "+81300000023", Party.OPERATOR)
    await place(phone, incident, other, "+81300000024")
    await phone.events.until(LegUp, count=2)

    for mode in (LegMode(held=True), LegMode(muted=True), LegMode(coaching=LegId(other)), TALKING):
        await phone.provider.set_mode(LegId(leg), mode)
        await phone.provider.set_mode(LegId(leg), mode)

        assert phone.mode(leg) == mode
        assert phone.mode(other) == TALKING


async def test_whoever_is_called_to_be_held_is_heard_by_nobody_from_the_first_moment(phone: Telephone) -> None:
    incident, leg, other = new_id(), new_id(), new_id()
    await place(phone, incident, other, "+81300000027", Party.VEHICLE)
    await phone.events.until(LegUp)

    await place(phone, incident, leg, "+81300000028", Party.SUPERVISOR, LegMode(held=True))
    assert phone.mode(leg).held or phone.mode(leg).muted  # before anybody has picked up
    await phone.events.until(LegUp, count=2)
    await met(lambda: phone.mode(leg) == LegMode(held=True))
    await phone.provider.set_mode(LegId(leg), TALKING)
    await place(phone, incident, leg, "+81300000028", Party.SUPERVISOR, LegMode(held=True))

    assert phone.mode(leg) == TALKING  # a repeat takes nothing back
    assert phone.dialled(leg) == 1


async def test_a_notice_is_played_to_one_leg_and_an_unknown_one_is_malformed(phone: Telephone) -> None:
    incident, leg, other = new_id(), new_id(), new_id()
    await place(phone, incident, leg, "+81300000025", Party.VEHICLE)
    await place(phone, incident, other, "+81300000026")
    await phone.events.until(LegUp, count=2)

    await phone.provider.announce(LegId(leg), "wait")
    await phone.provider.announce(LegId(leg), "wait.en")
    await phone.provider.announce(LegId(new_id()), "wait")
    with pytest.raises(Malformed):
        await phone.provider.announce(LegId(leg), "no-such-notice")

    assert (phone.announced(leg), phone.announced(other)) == (["wait", "wait.en"], [])


async def test_made_speech_is_played_to_one_leg_once_and_to_nobody_who_is_not_there(rig: Rig) -> None:
    incident, leg, other = new_id(), new_id(), new_id()
    await rig.call(incident, leg, Party.AGENCY)
    await rig.call(incident, other, Party.VEHICLE)
    await rig.events.until(LegUp, count=2)
    words = speech_like(1.5, seed=9)[:: RATE_HZ // SOUND_RATE_HZ]
    made = Sound(id=new_id(), pcm=words.tobytes())

    for _ in range(3):
        await rig.provider.say(LegId(leg), made)
    await rig.provider.say(LegId(new_id()), made)

    assert (await rig.said(leg, made), await rig.said(other, made)) == (1, 0)
    await rig.provider.end(LegId(leg))
    await rig.events.until(LegDown)
    await rig.provider.say(LegId(leg), Sound(id=new_id(), pcm=words.tobytes()))


async def test_pressed_keys_are_told_with_their_leg(phone: Telephone) -> None:
    incident, leg = new_id(), new_id()
    await place(phone, incident, leg, "+81300000027", Party.VEHICLE)
    await phone.events.until(LegUp)
    await phone.hears_keys(leg)

    phone.press(leg, "1")
    pressed = await phone.events.until(KeyPressed)

    assert pressed == KeyPressed(incident=IncidentId(incident), leg=LegId(leg), keys="1")


async def test_whoever_is_on_a_leg_is_taken_into_another_conference_as_its_leg(phone: Telephone) -> None:
    here, there, leg, as_leg = new_id(), new_id(), new_id(), new_id()
    await place(phone, here, leg, "+81300000028", Party.VEHICLE)
    await phone.events.until(LegUp)

    moved = {"incident": IncidentId(there), "as_leg": LegId(as_leg), "party": Party.AGENCY, "who": "fire", "key": KEY}
    await phone.provider.move(LegId(leg), **moved)
    await phone.events.until(LegUp, count=2)
    await phone.provider.move(LegId(leg), **moved)  # it is not there any more: nothing happens

    up = LegUp(incident=IncidentId(there), leg=LegId(as_leg), party=Party.AGENCY, who="fire")
    await met(lambda: len([event for event in phone.events.seen if isinstance(event, LegDown)]) == 1)
    (down,) = [event for event in phone.events.seen if isinstance(event, LegDown)]
    assert (down.incident, down.leg, down.reason) == (here, leg, "transferred")
    assert [event for event in phone.events.seen if isinstance(event, LegUp)][1:] == [up]
    assert await phone.provider.legs() == (up,)
    assert phone.dialled(leg) + phone.dialled(as_leg) == 1

    first = await phone.events.until(RecordingDone)  # the call goes on, and nobody is left here
    assert isinstance(first, RecordingDone)
    assert first.incident == here
    await phone.provider.end(LegId(as_leg))
    await phone.events.until(LegDown, count=2)
    await phone.events.until(RecordingDone, count=2)
    copies = [event for event in phone.events.seen if isinstance(event, RecordingFetched)]
    assert len({each.copy for each in copies}) == len(copies), "each incident has the sound of its own time"


async def test_who_came_by_an_offer_stays_in_the_conference_it_was_made_for(rig: Rig) -> None:
    if not rig.webrtc or rig.provider.dials:
        pytest.skip("this provider takes telephone calls")
    incident, leg = new_id(), new_id()
    await rig.call(incident, leg)
    up = await rig.events.until(LegUp)

    with pytest.raises(Unavailable):
        await rig.provider.move(
            LegId(leg), incident=IncidentId(new_id()), as_leg=LegId(new_id()), party=Party.AGENCY, who="x", key=KEY
        )

    assert await rig.provider.legs() == (up,)
