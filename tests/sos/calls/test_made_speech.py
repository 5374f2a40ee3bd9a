"""Made speech on its way to one leg: once, to nobody else, ended when a person takes over, and kept by nobody."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree as Xml

import aiohttp
import av
import numpy as np
import pytest
from twilio.request_validator import RequestValidator

from recording.opus import RATE_HZ
from sos.calls.adapters.embedded.control import (
    Acknowledge,
    Ask,
    FromService,
    Hello,
    Reply,
    Retire,
    Say,
    SetMode,
    frame,
    order_from,
)
from sos.calls.adapters.embedded.media_server import MediaServer
from sos.calls.adapters.embedded.provider import EmbeddedProvider
from sos.calls.adapters.embedded.worker_handle import socket_path
from sos.calls.adapters.twilio.played_sounds import FETCH_WITHIN, PlayedSounds
from sos.calls.adapters.twilio.webhooks import SIGNATURE
from sos.calls.port import MOST_SOUND_S, SOUND_RATE_HZ, LegMode, LegUp, Sound
from sos.clock import ManualClock, SystemClock
from sos.errors import Malformed, Unavailable, Unknown
from sos.incident.model import IncidentId, LegId, Party, new_id
from sos.vehicle.voice import speech_like
from tests.audio import correlate
from tests.sos.calls.peers import Events, Peer, met
from tests.sos.calls.test_media_workers import recordings
from tests.sos.calls.test_media_workers import service as open_service
from tests.sos.calls.test_two_parties import wav
from tests.sos.calls.twilio_rig import TwilioHouse

__all__ = ["recordings"]


def speech(seconds: float, *, seed: int = 77) -> np.ndarray:
    """Made speech, at the rate of the port."""
    step = RATE_HZ // SOUND_RATE_HZ
    return speech_like(seconds, seed=seed).reshape(-1, step).mean(axis=1).astype(np.int16)


def sound(pcm: np.ndarray, id: str | None = None) -> Sound:
    return Sound(id=id or new_id(), pcm=pcm.tobytes())


def made_pcm(made: Sound) -> np.ndarray:
    return np.frombuffer(made.pcm, np.int16)


def lower(heard: np.ndarray) -> np.ndarray:
    step = RATE_HZ // SOUND_RATE_HZ
    return heard[: heard.size // step * step].astype(float).reshape(-1, step).mean(axis=1)


@pytest.mark.parametrize(
    ("id", "pcm"),
    [
        ("", b""),
        ("a b", b""),
        ("x" * 65, b""),
        ("../x", b""),
        ("x", b"1"),
        ("x", bytes(2 * SOUND_RATE_HZ * MOST_SOUND_S + 2)),
    ],
)
def test_a_sound_that_cannot_be_played_is_never_made(id: str, pcm: bytes):
    with pytest.raises(Malformed):
        Sound(id=id, pcm=pcm)


def test_a_sound_does_not_show_what_is_in_it():
    assert "secret" not in repr(Sound(id="x", pcm=b"secret"))


async def test_speech_is_played_to_one_leg_once_over_the_others_and_ended_by_silence(
    provider: MediaServer, new_peer: Callable[[int], Peer]
) -> None:
    events, incident = Events(provider), new_id()
    car, agency, leg = new_peer(1), new_peer(2), LegId(new_id())
    await car.call(provider, incident=incident, leg=new_id(), party=Party.VEHICLE)
    await agency.call(provider, incident=incident, leg=leg, party=Party.AGENCY)
    await events.until(LegUp, count=2)
    agency.listen_only()
    once, cut = speech(3), speech(20, seed=78)

    first = sound(once)
    await provider.say(leg, first)
    await agency.hears(3.5)
    await provider.say(leg, first)
    words = car.next_words(after_s=0.5, seconds=2)
    await agency.hears(3)
    await provider.say(leg, sound(cut))
    await agency.hears(2)
    await provider.say(leg, sound(cut[:0]))
    after = car.next_words(after_s=0.5, seconds=2)
    await agency.hears(3.5)
    await provider.say(LegId(new_id()), sound(once))
    await car.leave()
    await agency.leave()

    heard = lower(wav(agency.heard))
    score, at = correlate(once, heard, SOUND_RATE_HZ)
    assert score >= 0.85
    rest = np.concatenate((heard[: int(at * SOUND_RATE_HZ)], heard[int((at + 3) * SOUND_RATE_HZ) :]))
    assert correlate(once, rest, SOUND_RATE_HZ)[0] < 0.3, "once and not twice"
    assert correlate(once, lower(wav(car.heard)), SOUND_RATE_HZ)[0] < 0.2
    assert correlate(lower(words), heard, SOUND_RATE_HZ)[0] >= 0.85, "what is said again by mistake is in nobody's way"
    assert correlate(cut[:SOUND_RATE_HZ], heard, SOUND_RATE_HZ)[0] >= 0.8
    assert correlate(cut[5 * SOUND_RATE_HZ : 7 * SOUND_RATE_HZ], heard, SOUND_RATE_HZ)[0] < 0.3
    assert correlate(lower(after), heard, SOUND_RATE_HZ)[0] >= 0.85


async def test_silence_ends_no_notice(provider: MediaServer, new_peer: Callable[[int], Peer]) -> None:
    events, leg, car = Events(provider), LegId(new_id()), new_peer(1)
    await car.call(provider, incident=new_id(), leg=leg, party=Party.VEHICLE)
    await events.until(LegUp)

    await provider.announce(leg, "hold")
    await provider.say(leg, sound(np.zeros(0, np.int16)))
    await car.hears(2)

    (conference,) = provider._conferences.values()
    assert conference.seats[leg].notice is not None


async def test_the_longest_sound_crosses_to_a_worker_and_holds_nobody_up(
    tmp_path: Path, new_peer: Callable[[int], Peer]
) -> None:
    async with EmbeddedProvider(tmp_path / "recordings", clock=SystemClock(), outlive=False) as provider:
        events, incident, leg = Events(provider), new_id(), LegId(new_id())
        car, agency = new_peer(1), new_peer(2)
        await car.call(provider, incident=incident, leg=new_id(), party=Party.VEHICLE)
        await agency.call(provider, incident=incident, leg=leg, party=Party.AGENCY)
        await events.until(LegUp, count=2)
        words = agency.next_words(after_s=0.1, seconds=3)

        await provider.say(leg, sound(np.ones(SOUND_RATE_HZ * MOST_SOUND_S, np.int16)))
        await car.hears(4)
        assert len(await provider.legs()) == 2
        await car.leave()
        await agency.leave()

    assert correlate(words, wav(car.heard), RATE_HZ)[0] >= 0.85


async def test_a_service_that_was_killed_and_says_it_again_is_heard_once(
    recordings: Path, new_peer: Callable[[int], Peer]
) -> None:
    incident, leg, made = new_id(), LegId(new_id()), sound(speech(2))
    agency = new_peer(2)
    async with open_service(recordings) as (first, events):
        await agency.call(first, incident=incident, leg=leg, party=Party.AGENCY)
        await events.until(LegUp)
        await first.say(leg, made)
        await agency.hears(0.5)
    async with open_service(recordings) as (second, _):
        await second.say(leg, made)
        await agency.hears(4.5)
    await agency.leave()

    heard = lower(wav(agency.heard))
    score, at = correlate(made_pcm(made), heard, SOUND_RATE_HZ)
    assert score >= 0.85
    rest = np.concatenate((heard[: int(at * SOUND_RATE_HZ)], heard[int((at + 2) * SOUND_RATE_HZ) :]))
    assert correlate(made_pcm(made)[: SOUND_RATE_HZ // 2], rest, SOUND_RATE_HZ)[0] < 0.5


# --- a worker of the release before ---


class OldWorker:
    """Speaks protocol 2 and has a leg until ``free``."""

    def __init__(self) -> None:
        self.leg = LegUp(incident=IncidentId(new_id()), leg=LegId(new_id()), party=Party.AGENCY, who="agency")
        self.free = False
        self.orders: list[FromService] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(frame(Hello(2, "boot", 2**30, self._legs, ())))
        try:
            while True:
                order = await order_from(reader)
                self.orders.append(order)
                if not isinstance(order, Acknowledge):
                    writer.write(frame(Reply(order=order.order, legs=self._legs if isinstance(order, Ask) else ())))
        except EOFError:
            writer.close()

    @property
    def _legs(self) -> tuple[LegUp, ...]:
        return () if self.free else (self.leg,)

    def got(self, kind: type) -> list[FromService]:
        return [order for order in self.orders if type(order) is kind]


@pytest.fixture
async def old(tmp_path: Path) -> AsyncIterator[OldWorker]:
    worker = OldWorker()
    server = await asyncio.start_unix_server(worker.serve, path=str(socket_path(tmp_path / "recordings", 0)))
    yield worker
    server.close()


async def test_a_worker_of_the_release_before_keeps_its_calls_and_goes_when_it_is_free(
    old: OldWorker, tmp_path: Path, clock: ManualClock
) -> None:
    async def beats(number: int) -> None:
        for _ in range(number):
            before = len(old.got(Ask))
            await clock.advance(timedelta(seconds=1))
            await met(lambda before=before: len(old.got(Ask)) > before or bool(old.got(Retire)))

    async with EmbeddedProvider(tmp_path / "recordings", clock=clock) as provider:
        with pytest.raises(Unavailable, match="release before"):
            await provider.say(old.leg.leg, sound(speech(1)))
        await provider.set_mode(old.leg.leg, LegMode(held=True))
        await beats(30)
        kept = (old.got(SetMode) != [], old.got(Say), old.got(Retire))

        old.free = True
        await beats(25)

    assert kept == (True, [], [])
    assert len(old.got(Retire)) == 1


# --- Twilio ---


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[TwilioHouse]:
    async with TwilioHouse(tmp_path) as opened:
        yield opened


async def fetched(house: TwilioHouse, method: str, url: str, *, token: str | None = None) -> tuple[int, bytes, str]:
    """As Twilio fetches it: signed, without the fragment."""
    address = url.split("#", maxsplit=1)[0]
    signature = RequestValidator(token or house.emulator.token).compute_signature(address, {})
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, address, headers={SIGNATURE: signature}) as answer,
    ):
        return answer.status, await answer.read(), answer.headers.get("Cache-Control", "")


async def test_twilio_fetches_made_speech_signed_from_memory_and_nobody_else_does(house: TwilioHouse):
    incident, leg, pcm = IncidentId(new_id()), LegId(new_id()), speech(2)
    await house.place(incident, leg)
    await house.events.until(LegUp)

    made = sound(pcm)
    await house.provider.say(leg, made)
    await house.provider.say(leg, made)
    (url,) = house.emulator.participant(leg).announced
    status, twiml, _ = await fetched(house, "POST", url)
    played = [verb.text or "" for verb in Xml.fromstring(twiml)]
    got, audio, caching = await fetched(house, "GET", played[0])

    assert (status, got, caching) == (200, 200, "no-store")
    assert len(played) == 1
    with av.open(io.BytesIO(audio)) as container:
        assert container.streams.audio[0].rate == 8_000
        heard = np.concatenate([each.to_ndarray().reshape(-1) for each in container.decode(audio=0)])
    assert correlate(pcm[::2], heard, 8_000)[0] >= 0.85
    assert (await fetched(house, "GET", played[0], token="another"))[0] == 403
    assert (await fetched(house, "POST", url, token="another"))[0] == 403
    assert (await fetched(house, "GET", f"{house.base}/twilio/said/{'0' * 48}.wav"))[0] == 404
    assert not [each for each in tmp_files(house) if audio[-1000:] in each.read_bytes()]


async def test_silence_at_twilio_is_an_announcement_of_nothing(house: TwilioHouse):
    leg = LegId(new_id())
    await house.place(IncidentId(new_id()), leg)
    await house.events.until(LegUp)

    await house.provider.say(leg, sound(np.zeros(0, np.int16)))
    (url,) = house.emulator.participant(leg).announced

    assert list(Xml.fromstring((await fetched(house, "POST", url))[1])) == []


async def test_after_a_restart_of_the_house_the_same_speech_is_not_said_again(house: TwilioHouse):
    leg, made = LegId(new_id()), sound(speech(1))
    await house.place(IncidentId(new_id()), leg)
    await house.events.until(LegUp)
    await house.provider.say(leg, made)
    await met(lambda: any(made.id.encode() in each.read_bytes() for each in tmp_files(house)))

    await house.restart()
    await house.provider.say(leg, made)

    assert len(house.emulator.participant(leg).announced) == 1


async def test_an_address_is_new_each_time_and_leads_nowhere_after_a_minute(clock: ManualClock):
    said, made = PlayedSounds(clock), sound(speech(1))

    names = [await said.keep(made) for _ in range(100)]
    assert len(set(names)) == 100
    assert all(len(name) == 48 for name in names)
    assert said.wav(names[-1])[:4] == b"RIFF"
    with pytest.raises(Unknown):
        said.wav(names[0])  # more than it keeps
    await clock.advance(FETCH_WITHIN)
    with pytest.raises(Unknown):
        said.wav(names[-1])


def tmp_files(house: TwilioHouse) -> list[Path]:
    return [each for each in house.tmp.rglob("*") if each.is_file()]
