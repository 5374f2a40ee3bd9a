"""Instant replay: the last seconds of one leg out of the recording that is being written, and of no other leg."""

import io
import wave
from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from recording.keys import KeyStore
from recording.tracks import Recorder, chunk_files
from routing.categories import Category
from sos.calls.adapters.twilio.monitor import Listening, Media
from sos.calls.replay import Forks, Recordings
from sos.clock import ManualClock
from sos.errors import Unavailable, Unknown
from sos.incident import commands as c
from sos.incident.model import Incident, IncidentId, LegId, Party, TenantId
from sos.journal.journal import Journal
from sos.journal.migrate import upgrade
from sos.journal.spool import Spool
from sos.journal.sqlite import SqliteStore
from sos.media import opus
from sos.vehicle.voice import speech_like
from tests.audio import correlate
from tests.journeys import story as s

RATE_HZ = 16_000
CAR, AGAIN, DESK = LegId("leg-car"), LegId("leg-car-2"), LegId("leg-desk")
VOICES = {CAR: speech_like(20.0, seed=11), DESK: speech_like(20.0, seed=12), AGAIN: speech_like(20.0, seed=13)}


@pytest.fixture
async def journal(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Journal]:
    keys = KeyStore(tmp_path / "keys")
    async with SqliteStore(tmp_path / "journal.db") as store:
        await upgrade(store.engine)
        async with Journal(store, keys, Spool(tmp_path / "spool", keys.secret("spool")), clock=clock) as opened:
            yield opened


class Call:
    """An incident with a recording that is being written, as a media worker writes it."""

    def __init__(self, journal: Journal, incident: IncidentId, directory: Path, key: bytes) -> None:
        self.journal, self.incident, self.directory = journal, incident, directory
        self.recordings = Recordings(directory, journal)
        self._key = key
        self.recorder = self._new("rec-1")
        self._encoders = {leg: opus.Encoder() for leg in VOICES}
        self._said = dict.fromkeys(VOICES, 0)

    def _new(self, recording: str) -> Recorder:
        self.place = self.directory / self.incident / recording
        return Recorder(self.place, recording, self._key, started_at="2026-01-01T09:00:00.000Z")

    def speak(self, *legs: LegId, begin_s: float, seconds: float) -> None:
        """Everybody of ``legs`` speaks on, from ``begin_s`` of the recording."""
        for number in range(round(seconds * 50)):
            at = round(begin_s * 48_000) + number * opus.FRAME
            for leg in legs:
                frame = VOICES[leg][self._said[leg] * opus.FRAME : (self._said[leg] + 1) * opus.FRAME]
                self._said[leg] += 1
                track = f"operator-{leg}" if leg == DESK else "vehicle"
                self.recorder.add(track, at, self._encoders[leg].encode(frame))
            if number % 25 == 24:
                self.recorder.flush()
        self.recorder.flush()

    def mark(self, leg: LegId, what: str, *, at_s: float) -> None:
        self.recorder.mark({"leg": leg, "party": "vehicle", "what": what}, timestamp=round(at_s * 48_000))

    async def happen(self, *commands: c.Command) -> None:
        for command in commands:
            await self.journal.execute(self.incident, command, actor="system:test")

    async def again(self, leg: LegId, seconds: float) -> npt.NDArray[np.int16]:
        return sound(await self.recordings.again(await self.state(), leg, seconds=seconds))

    async def state(self) -> Incident:
        return await self.journal.state(self.incident)


def sound(file: bytes) -> npt.NDArray[np.int16]:
    with wave.open(io.BytesIO(file)) as wav:
        return np.frombuffer(wav.readframes(wav.getnframes()), "<i2")


def voice(leg: LegId, begin_s: float, end_s: float) -> npt.NDArray[np.float64]:
    cut = VOICES[leg][round(begin_s * 48_000) : round(end_s * 48_000)]
    return cut.reshape(-1, 3).mean(axis=1)


@pytest.fixture
async def call(journal: Journal, clock: ManualClock, tmp_path: Path) -> Call:
    opened = await journal.open(s.open_incident(), tenant=TenantId("acme"), receipt=b"r" * 32, received_at=clock.now())
    for command in (s.take(), s.invite(CAR), s.join(CAR), s.start_recording()):
        await journal.execute(opened.incident, command, actor="system:test")
    key = await journal.data_key(opened.incident, Category.AUD)
    made = Call(journal, opened.incident, tmp_path / "recordings", key)
    await made.happen(s.invite(DESK, Party.OPERATOR, "hanako"), s.join(DESK, Party.OPERATOR, "hanako"))
    made.mark(CAR, "up", at_s=0)
    made.mark(DESK, "up", at_s=0)
    return made


async def test_the_last_seconds_of_a_leg_are_heard_while_it_speaks_on_and_of_nobody_else(call: Call):
    call.speak(CAR, DESK, begin_s=0, seconds=12)

    heard = await call.again(CAR, 5)

    assert heard.size == pytest.approx(5 * RATE_HZ, abs=RATE_HZ // 25)
    score, delay_s = correlate(voice(CAR, 8, 11), heard, RATE_HZ)
    assert score >= 0.85
    assert delay_s == pytest.approx(1.0, abs=0.05)
    assert correlate(voice(DESK, 8, 11), heard, RATE_HZ)[0] < 0.5
    assert correlate(voice(DESK, 8, 11), await call.again(DESK, 5), RATE_HZ)[0] >= 0.85


async def test_what_has_just_been_flushed_is_heard_and_no_more_than_there_is(call: Call):
    call.speak(CAR, begin_s=0, seconds=1)
    first = await call.again(CAR, 15)
    call.speak(CAR, begin_s=1, seconds=1)

    assert first.size == pytest.approx(RATE_HZ, abs=RATE_HZ // 25)
    assert correlate(voice(CAR, 1.1, 1.9), await call.again(CAR, 1), RATE_HZ)[0] >= 0.85


async def test_of_a_vehicle_that_was_cut_off_the_last_words_are_heard_and_not_what_it_says_when_it_is_back(call: Call):
    call.speak(CAR, begin_s=0, seconds=8)
    call.mark(CAR, "media_lost", at_s=8)
    await call.happen(s.leave(CAR))
    call.mark(AGAIN, "up", at_s=10)
    await call.happen(s.invite(AGAIN), s.join(AGAIN))
    call.speak(AGAIN, begin_s=10, seconds=6)

    before, now = await call.again(CAR, 4), await call.again(AGAIN, 15)

    assert correlate(voice(CAR, 5, 7), before, RATE_HZ)[0] >= 0.85
    assert correlate(voice(AGAIN, 0, 6), before, RATE_HZ)[0] < 0.5
    assert now.size == pytest.approx(6 * RATE_HZ, abs=RATE_HZ // 25)
    assert correlate(voice(AGAIN, 1, 5), now, RATE_HZ)[0] >= 0.85


async def test_a_sealed_recording_and_the_one_before_it_are_heard_too(call: Call):
    call.speak(CAR, begin_s=0, seconds=3)
    call.mark(CAR, "media_lost", at_s=3)
    call.recorder.seal()
    await call.happen(s.leave(CAR), s.seal_recording(), s.start_recording("rec-2"), s.invite(AGAIN), s.join(AGAIN))
    call.recorder = call._new("rec-2")
    call.mark(AGAIN, "up", at_s=0)
    call.speak(AGAIN, begin_s=0, seconds=3)

    assert correlate(voice(CAR, 0.5, 2.5), await call.again(CAR, 15), RATE_HZ)[0] >= 0.85
    assert correlate(voice(AGAIN, 0.5, 2.5), await call.again(AGAIN, 15), RATE_HZ)[0] >= 0.85


async def test_what_cannot_be_had_is_refused_in_words(call: Call):
    with pytest.raises(Unknown):
        await call.recordings.again(await call.state(), LegId("nobody"), seconds=5)
    with pytest.raises(Unavailable, match="nothing of this leg"):
        await call.recordings.again(await call.state(), CAR, seconds=5)
    call.speak(CAR, begin_s=0, seconds=3)
    spoilt = chunk_files(call.place)[1]
    spoilt.write_bytes(spoilt.read_bytes()[:-1] + b"x")

    with pytest.raises(Unavailable, match="call goes on"):
        await call.recordings.again(await call.state(), CAR, seconds=5)


async def test_a_machine_hears_each_party_go_on_once(call: Call):
    state = await call.state()
    assert await call.recordings.more(state, tuple(Party)) == []
    heard: dict[str, int] = {}
    for second in range(3):
        call.speak(CAR, DESK, begin_s=second, seconds=1)
        for each in await call.recordings.more(state, tuple(Party)):
            assert each.begin == heard.get(each.party, 0)
            heard[each.party] = each.end

    assert heard == {"vehicle": 3 * RATE_HZ, "operator": 3 * RATE_HZ}
    call.speak(CAR, DESK, begin_s=3, seconds=1)
    assert {each.party for each in await call.recordings.more(state, (Party.VEHICLE,))} == {"vehicle"}
    assert await call.recordings.more(state, tuple(Party)) == []
    call.recordings.forget(state.id)


# --- a telephone exchange ---

SILENCE = b64encode(b"\xff" * 40).decode()
"""5 ms of G.711."""


class Exchange:
    def __init__(self) -> None:
        self.ours = True
        self.ears: dict[LegId, Listening] = {CAR: Listening(lambda: self.ours)}

    def listening(self, leg: LegId) -> Listening | None:
        return self.ears.get(leg)

    def stream(self, frames: int) -> None:
        for _ in range(frames):
            self.ears[CAR].hear(Media(payload=SILENCE))


async def test_what_an_exchange_streams_is_heard_again_and_goes_on_once(call: Call):
    exchange = Exchange()
    forks, state = Forks(exchange), await call.state()
    exchange.stream(200)  # 8000 samples

    again = sound(await forks.again(state, CAR, seconds=0.5))
    first = await forks.more(state, tuple(Party))
    exchange.stream(100)
    second = await forks.more(state, tuple(Party))

    assert again.size == 4_000
    assert [(each.begin, each.end) for each in (*first, *second)] == [(0, 16_000), (16_000, 24_000)]
    assert await forks.more(state, tuple(Party)) == []
    with pytest.raises(Unavailable, match="not streamed"):
        await forks.again(state, DESK, seconds=5)


async def test_what_agency_and_vehicle_say_among_themselves_is_kept_for_nobody(call: Call):
    exchange = Exchange()
    exchange.stream(200)
    exchange.ours = False  # the last of our own has left
    exchange.stream(400)
    exchange.ours = True

    again = sound(await Forks(exchange).again(await call.state(), CAR, seconds=60))

    assert again.size == 0
    assert exchange.ears[CAR].read().rms <= -60


def test_the_last_minute_is_all_that_is_kept() -> None:
    listening = Listening()
    for _ in range(70 * 200):
        listening.hear(Media(payload=SILENCE))

    begin, pcm = listening.since(0)

    assert (begin, pcm.size) == (10 * 8_000, 60 * 8_000)
    assert timedelta(seconds=pcm.size / listening.rate_hz) == timedelta(minutes=1)
