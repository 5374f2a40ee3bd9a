"""Recordings made at Twilio: fetched, sealed here, read back, and only then deleted there."""

import io
import json
import wave
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import av
import numpy as np
import pytest
from msgspec import Struct

from recording.opus import to_ogg_opus
from recording.tracks import EVENTS, read_track
from sos.calls.adapters.twilio.sound import HEARD, channels
from sos.calls.port import LegMode, LegUp, ProviderCopyDeleted, RecordingBroken, RecordingDone, RecordingFetched
from sos.errors import Unavailable
from sos.incident.model import IncidentId, LegId, Party, new_id
from tests.audio import correlate
from tests.sos.calls.peers import KEY, met
from tests.sos.calls.twilio_rig import CAR, TwilioHouse
from tests.twilio_emulator.sounds import dual, said
from tests.twilio_emulator.world import Mischief, Person

VOICES = {CAR: 3, "+81300000061": 4, "+81300000062": 5}
RATE_HZ = 8_000


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[TwilioHouse]:
    async with TwilioHouse(tmp_path, within_s=1.0) as opened:
        for number, seed in VOICES.items():
            opened.emulator.world.people[number] = Person(seed=seed)
        yield opened
        await opened.emulator.settled()
        assert opened.emulator.faults == []


async def talk(house: TwilioHouse, seconds: float) -> None:
    await house.emulator.world.pass_time(seconds)


class Talk(Struct, frozen=True, kw_only=True):
    legs: dict[str, LegId]
    together: float
    """Since when all of them talk, in seconds of what the car says."""
    held: float
    """Since when the operator is held."""


async def three_talk(house: TwilioHouse) -> Talk:
    """Car, operator and agency in one conference; after a while the operator is held."""
    incident = IncidentId(new_id())
    legs = {number: LegId(new_id()) for number in VOICES}
    parties = (Party.VEHICLE, Party.OPERATOR, Party.AGENCY)
    for (number, leg), party in zip(legs.items(), parties, strict=True):
        await house.place(incident, leg, party, number)
        await house.events.until(LegUp, leg=leg)
    answered = house.emulator.call_of(legs[CAR]).answered
    assert answered is not None
    together = house.emulator.world.now() - answered
    await talk(house, 1.2)
    await house.provider.set_mode(legs["+81300000061"], LegMode(held=True))
    held = house.emulator.world.now() - answered
    await talk(house, 1.2)
    await house.provider.finish(incident)
    return Talk(legs=legs, together=together, held=held)


def sound(house: TwilioHouse, done: RecordingDone, track: str) -> np.ndarray:
    """A track as an export plays it, at 8 kHz."""
    directory = house.recordings / done.incident / done.recording
    packets = read_track(directory, KEY, track, manifest=done.manifest)
    with av.open(io.BytesIO(to_ogg_opus(packets)), mode="r") as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
        made = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    return np.concatenate([each.to_ndarray().reshape(-1) for each in made])


async def test_who_said_and_who_heard_what_stands_in_the_sealed_recording(house: TwilioHouse):
    talked = await three_talk(house)
    done = await house.events.until(RecordingDone)
    assert isinstance(done, RecordingDone)

    car, operator, agency = talked.legs.values()
    for number, leg in talked.legs.items():
        words = said(VOICES[number], begin=0.2, end=1.0)
        assert correlate(words, sound(house, done, leg), RATE_HZ)[0] > 0.75
    early = said(VOICES[CAR], begin=talked.together + 0.1, end=talked.together + 1.0)
    late = said(VOICES[CAR], begin=talked.held + 0.1, end=talked.held + 1.0)
    assert correlate(early, sound(house, done, operator + HEARD), RATE_HZ)[0] > 0.5
    assert correlate(late, sound(house, done, agency + HEARD), RATE_HZ)[0] > 0.7
    assert correlate(late, sound(house, done, operator + HEARD), RATE_HZ)[0] < 0.4
    assert len({car, operator, agency}) == 3


async def test_every_copy_is_told_with_its_digest_and_deleted_only_after_that(house: TwilioHouse):
    legs = (await three_talk(house)).legs
    wavs = {}

    done = await house.events.until(RecordingDone)
    wavs = {sid: each.wav for sid, each in house.emulator.world.recordings.items()} | wavs
    await house.events.until(ProviderCopyDeleted, count=3)

    assert isinstance(done, RecordingDone)
    kinds = [kind for kind in house.events.kinds() if kind.startswith(("Recording", "Provider"))]
    assert kinds[:3] == ["RecordingBegun", "RecordingDone", "RecordingFetched"]
    fetched = [event for event in house.events.seen if isinstance(event, RecordingFetched)]
    assert {each.leg for each in fetched} == set(legs.values())
    assert {each.digest for each in fetched} >= {sha256(wav).hexdigest() for wav in wavs.values() if wav}
    assert sorted(house.emulator.world.deleted) == sorted(each.copy for each in fetched)
    assert house.emulator.world.recordings == {}
    marks = read_track(house.recordings / done.incident / done.recording, KEY, EVENTS, manifest=done.manifest)
    told = {mark["provider"]: mark["sha256"] for mark in (json.loads(each.payload) for each in marks)}
    assert told == {each.copy: each.digest for each in fetched}
    await met(lambda: not list((house.tmp / "twilio").glob("*.json")))


async def test_a_deletion_that_failed_or_was_cut_off_is_done_later(house: TwilioHouse):
    incident, leg = IncidentId(new_id()), LegId(new_id())
    await house.place(incident, leg)
    await house.events.until(LegUp)
    await talk(house, 0.3)
    house.emulator.refuse_deletions = 1

    await house.provider.finish(incident)
    await house.events.until(RecordingFetched)
    await house.events.until(ProviderCopyDeleted)

    assert len(house.emulator.world.deleted) == 1


async def test_a_twilio_that_is_away_when_the_call_ends_is_asked_until_it_is_back(house: TwilioHouse):
    incident, leg = IncidentId(new_id()), LegId(new_id())
    await house.place(incident, leg)
    await house.events.until(LegUp)
    await talk(house, 0.3)

    await house.emulator.down()
    await house.provider.finish(incident)
    await house.emulator.up()

    await house.events.until(RecordingDone)


async def test_a_recording_that_comes_damaged_is_told_and_stays_at_twilio(house: TwilioHouse):
    incident, leg = IncidentId(new_id()), LegId(new_id())
    house.emulator.damage = lambda wav: b"no sound at all" * 10
    await house.place(incident, leg)
    await house.events.until(LegUp)
    await talk(house, 0.3)

    await house.provider.finish(incident)
    broken = await house.events.until(RecordingBroken)

    assert isinstance(broken, RecordingBroken)
    assert broken.reason == "Unavailable"
    assert house.emulator.world.deleted == []


async def test_no_plain_sound_lies_on_the_disk(house: TwilioHouse, tmp_path: Path):
    incident, leg = IncidentId(new_id()), LegId(new_id())
    await house.place(incident, leg)
    await house.events.until(LegUp)
    await talk(house, 0.3)
    await house.provider.finish(incident)
    await house.events.until(ProviderCopyDeleted)

    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert not [each for each in files if b"RIFF" in each or b"OggS" in each]
    assert not [each for each in files if b"+813" in each]


async def test_callbacks_that_never_come_keep_no_recording_back(house: TwilioHouse):
    incident, leg = IncidentId(new_id()), LegId(new_id())
    house.emulator.world.mischief = Mischief(lose=1.0)
    await house.place(incident, leg)
    await house.events.until(LegUp)
    await house.provider.finish(incident)

    await house.events.until(RecordingDone)


def test_a_mono_file_is_what_was_said_with_nothing_heard():
    words = said(1, begin=0.0, end=1.0)
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(RATE_HZ)
        written.writeframes(words.tobytes())

    frames = list(channels(file.getvalue()))

    assert len(frames) in (50, 51)
    assert not any(np.any(heard) for _, heard in frames)


def test_the_two_channels_are_kept_apart():
    frames = list(channels(dual(said(1, begin=0.0, end=1.0), said(2, begin=0.0, end=1.0))))
    left, right = (np.concatenate([frame[side] for frame in frames])[::6] for side in (0, 1))

    assert correlate(said(1, begin=0.1, end=0.8), left, RATE_HZ)[0] > 0.98
    assert correlate(said(2, begin=0.1, end=0.8), right, RATE_HZ)[0] > 0.98
    assert correlate(said(1, begin=0.1, end=0.8), right, RATE_HZ)[0] < 0.5


@pytest.mark.parametrize("damaged", [b"", b"RIFF", b"RIFF\x00\x00\x00\x00WAVEfmt ", b"\x00" * 500])
def test_what_is_no_sound_is_said_to_be_none(damaged: bytes):
    with pytest.raises(Unavailable):
        list(channels(damaged))
