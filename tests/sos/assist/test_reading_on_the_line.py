"""A brief read with a real voice through a real conference: the agency hears it, the vehicle does not."""

import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest

from recording.opus import RATE_HZ
from routing.brief import Brief, Language
from routing.brief.spoken import aloud, speak
from sos.assist.speech import LANGUAGES, Speech, installed
from sos.assist.synthesiser import RATE_HZ as MADE_HZ
from sos.calls.adapters.embedded.provider import EmbeddedProvider
from sos.calls.port import LegUp, Sound
from sos.clock import SystemClock
from sos.errors import Unavailable
from sos.incident.model import LegId, Party, new_id
from tests.audio import correlate
from tests.routing.brief.conftest import made
from tests.sos.calls.peers import Events, Peer
from tests.sos.calls.test_two_parties import wav

__all__ = ["made"]


@pytest.fixture
async def provider(tmp_path: Path) -> AsyncIterator[EmbeddedProvider]:
    async with EmbeddedProvider(tmp_path / "recordings", clock=SystemClock(), outlive=False) as opened:
        yield opened


class Call:
    """A vehicle and an agency in one conference."""

    def __init__(self, provider: EmbeddedProvider, tmp_path: Path) -> None:
        self.provider, self.events = provider, Events(provider)
        self.car, self.agency = Peer(tmp_path, seed=1), Peer(tmp_path, seed=2)
        self.leg = LegId(new_id())

    async def begin(self) -> None:
        incident = new_id()
        await self.car.call(self.provider, incident=incident, leg=new_id(), party=Party.VEHICLE)
        await self.agency.call(self.provider, incident=incident, leg=self.leg, party=Party.AGENCY)
        await self.events.until(LegUp, count=2)
        self.agency.listen_only()

    async def end(self) -> None:
        await self.car.leave()
        await self.agency.leave()


@pytest.fixture
async def call(provider: EmbeddedProvider, tmp_path: Path) -> AsyncIterator[Call]:
    made = Call(provider, tmp_path)
    await made.begin()
    yield made
    await made.end()


@pytest.mark.parametrize("language", ["ja", "en"])
async def test_the_agency_hears_the_brief_over_the_vehicle_and_the_vehicle_does_not(
    call: Call, made: Callable[..., Brief], language: Language
):
    if language not in installed():
        pytest.skip(f"no voice for {language}: {LANGUAGES[language]}")
    async with Speech(clock=SystemClock(), within_s=60) as speech:
        pcm = await speech.make("\n".join(aloud(speak(made(), language)).splitlines()[:2]), language)
    read = np.frombuffer(pcm, np.int16)
    alone, over = read[: 4 * MADE_HZ], read[4 * MADE_HZ : 8 * MADE_HZ]

    call.car.listen_only()
    await call.agency.hears(0.5)
    await call.provider.say(call.leg, Sound(id=new_id(), pcm=alone.tobytes()))
    await call.agency.hears(alone.size / MADE_HZ + 1)
    call.car.listen_only(False)
    words = call.car.next_words(after_s=0.5, seconds=3)
    await call.provider.say(call.leg, Sound(id=new_id(), pcm=over.tobytes()))
    await call.agency.hears(over.size / MADE_HZ + 1.5)
    await call.end()

    heard, elsewhere = lower(wav(call.agency.heard)), lower(wav(call.car.heard))
    assert correlate(alone, heard, MADE_HZ)[0] >= 0.85
    brief, vehicle = correlate(over, heard, MADE_HZ)[0], correlate(lower(words), heard, MADE_HZ)[0]
    assert brief > vehicle > 0.1, "the vehicle is turned down, not off"
    assert brief**2 + vehicle**2 >= 0.85**2, "and nothing else is heard"
    assert max(correlate(each, elsewhere, MADE_HZ)[0] for each in (alone, over)) < 0.2


async def test_the_death_of_the_voice_in_the_middle_of_a_text_is_heard_by_nobody(call: Call):
    words = call.car.next_words(after_s=0.3, seconds=3)

    async with Speech(clock=SystemClock(), within_s=60) as speech:
        if not speech.languages:
            pytest.skip("no voice is installed")
        language = min(speech.languages)
        await speech.make("one", language)
        assert speech.pid is not None
        os.killpg(speech.pid, signal.SIGKILL)
        with pytest.raises(Unavailable):
            await speech.make("two", language)
        assert await speech.make("three", language)
    await call.agency.hears(4)
    await call.end()

    assert correlate(words, wav(call.agency.heard), RATE_HZ)[0] >= 0.85


def lower(sound: np.ndarray) -> np.ndarray:
    """48 kHz at the rate of what is mixed."""
    step = RATE_HZ // MADE_HZ
    whole = sound[: sound.size // step * step].astype(float)
    return whole.reshape(-1, step).mean(axis=1)
