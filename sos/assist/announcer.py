"""Reads an agency its brief by machine when no person of ours is in the call, or when the operator wants it.

A reader.  As soon as an agency is to be told (``DisclosureDecided``) the speech is made in the background and kept in
memory, so that nobody waits for it on the line.  It is made of the recorded brief's bytes and of nothing else: what is
withheld is not in them.  Before it is played stands ``BriefSpoken``; the journal says what was read to whom and never
what was in it.

*Alone* means that no person of ours can talk in the conference (``voice.attended``).  It is read as soon as the
agency's leg is up and the speech is made, twice, with a pause between, and then what may be pressed: 1 takes over
(``sos.dispatch.handoff`` does that), 2 has it read again.  A person of ours who comes in, and a person there who takes
over or refuses, ends what is being read: people talk now.  What the operator asked for is read to its end.

Nothing waits for any of this.  A reading that cannot be made is logged, and the ladder goes on by people, pages and
calls as if there were none.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol, TypeVar

import structlog
from msgspec import Struct

from routing.brief import Language, read
from routing.brief.spoken import aloud, speak
from routing.categories import Category
from sos.errors import Refused, Unavailable
from sos.incident.commands import SpeakBrief
from sos.incident.events import (
    AgencyAcknowledged,
    AgencyRejected,
    BriefSpoken,
    DisclosureDecided,
    IncidentClosed,
    KeysPressed,
    LegJoined,
    LegLeft,
    LegModeSet,
    Recorded,
)
from sos.incident.model import (
    Acknowledgement,
    AgencyId,
    Disclosure,
    DisclosureId,
    Incident,
    IncidentId,
    Leg,
    LegId,
    Party,
    State,
    Telling,
)
from sos.incident.voice import attended, key_offer
from sos.journal.journal import Journal

log = structlog.get_logger()

ACTOR = "system:assist"

AGAIN = "2"
"""The key that has the brief read again."""

PAUSE_S = 2.0
"""Between two readings."""

BREATH_S = 0.7
"""Before what may be pressed."""

MOST_S = 150
"""Of what is played in one go: two readings of 45 s with all around them; a longer one is read once."""

MOST_KEPT = 32
"""Speeches in memory, about 1.5 MB each; the oldest is made again when it is needed after all."""

TRIES = 3
TRY_AGAIN_AFTER = timedelta(seconds=1)

PHRASES: dict[Language, dict[str, str]] = {
    "ja": {
        "alone": "これは自動音声です。オペレーターは今、電話に出られません。",
        "connected": "この電話は、車両とつながっています。",
        "keys": "引き継ぐ場合は、一番を押してください。もう一度聞く場合は、二番を押してください。",
    },
    "en": {
        "alone": "This is an automatic message. No operator is available now.",
        "connected": "You are connected to the vehicle.",
        "keys": "To take over, press one. To hear this again, press two.",
    },
}
"""What is said around a brief; nobody's data, so it is kept."""


Outcome = TypeVar("Outcome")


class Speaks(Protocol):
    """What makes speech (``sos.assist.speech``)."""

    @property
    def languages(self) -> frozenset[str]: ...

    async def make(self, text: str, language: str) -> bytes: ...


Say = Callable[[LegId, str, bytes], Awaitable[None]]
"""Plays sound to a leg, once for each id; an empty one ends what is being said."""

LanguagesOf = Callable[[AgencyId], Sequence[str]]
"""The languages of an agency that can be reached by voice, in order of preference."""


class _Reading(Struct, kw_only=True):
    """What is being read to a leg now, or is about to be."""

    disclosure: DisclosureId
    why: Telling
    playing: "asyncio.Task[None]"
    until: datetime | None = None
    """When it will have been read; None while it is being made."""


class Announcer:
    """``keys``: whoever listens has a telephone, so keys can be offered."""

    WANTS = (
        DisclosureDecided,
        LegJoined,
        LegModeSet,
        LegLeft,
        BriefSpoken,
        KeysPressed,
        AgencyRejected,
        AgencyAcknowledged,
        IncidentClosed,
    )

    def __init__(
        self,
        journal: Journal,
        speech: Speaks,
        say: Say,
        *,
        languages_of: LanguagesOf,
        keys: bool,
        rate_hz: int,
        most_kept: int = MOST_KEPT,
    ) -> None:
        self._most_kept = most_kept
        self._journal = journal
        self._speech = speech
        self._say = say
        self._languages_of = languages_of
        self._keys = keys
        self._rate_hz = rate_hz
        self._kept: OrderedDict[tuple[DisclosureId, Language], asyncio.Task[bytes]] = OrderedDict()
        self._phrases: dict[str, bytes] = {}
        self._reading: dict[LegId, _Reading] = {}
        self._waiting: dict[LegId, asyncio.Task[None]] = {}
        """Legs whose brief is read once its speech is made."""
        self._work: set[asyncio.Task[None]] = set()

    async def run(self, follow: Callable[[], Awaitable[None]]) -> None:
        """Look at who is waiting already, follow the journal for ever, and end all work with it."""
        await self.look_again()
        try:
            await follow()
        finally:
            tasks = [*self._work, *self._kept.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def language(self, agency: AgencyId) -> Language | None:
        """In which language an agency can be read to; None: in none of its own."""
        known: tuple[Language, ...] = ("ja", "en")
        spoken = (each for wanted in self._languages_of(agency) for each in known if wanted.split("-")[0] == each)
        return next((each for each in spoken if each in self._speech.languages), None)

    @property
    def kept(self) -> int:
        """How many speeches are in memory."""
        return len(self._kept)

    @property
    def busy(self) -> bool:
        """Whether anything is being made or begun."""
        return bool(self._work)

    async def look_again(self) -> None:
        """After a restart: whoever is alone with a vehicle and has been read nothing is read to."""
        _, incidents = await self._journal.queue(limit=10_000, states=(State.HANDING_OVER, State.HANDED_OVER))
        for incident in incidents:
            self._read_alone(incident)

    async def idle(self) -> None:
        """Return when nothing is being made or begun."""
        while self._work:
            await asyncio.wait(tuple(self._work))

    async def handle(self, batch: Sequence[Recorded]) -> None:
        for recorded in batch:
            incident, event = recorded.incident, recorded.event
            match event:
                case DisclosureDecided():
                    await self._prepare(recorded, event)
                case LegJoined(party=party) if party is not Party.VEHICLE:
                    await self._look(incident, hush=party is not Party.AGENCY, causation=recorded.id)
                case LegModeSet():
                    await self._look(incident, hush=True, causation=recorded.id)
                case LegLeft(leg=leg):
                    self._forget(leg)
                    await self._look(incident, hush=False, causation=recorded.id)
                case BriefSpoken():
                    self._play(recorded, event)
                case KeysPressed() if AGAIN in event.keys:
                    await self._again(recorded, event)
                case AgencyRejected(disclosure=disclosure):
                    await self._hush(await self._journal.state(incident), disclosure=disclosure, causation=recorded.id)
                case AgencyAcknowledged(disclosure=disclosure, level=Acknowledgement.TAKEN_OVER):
                    await self._hush(await self._journal.state(incident), disclosure=disclosure, causation=recorded.id)
                case IncidentClosed():
                    await self._drop(incident)

    # --- who is to be read to ---

    async def _look(self, incident: IncidentId, *, hush: bool, causation: str) -> None:
        state = await self._journal.state(incident)
        if hush and attended(state):
            await self._hush(state, disclosure=None, causation=causation)
        self._read_alone(state, causation=causation)

    def _read_alone(self, state: Incident, *, causation: str | None = None) -> None:
        """Begin, beside the reader, what is due; whether it still is is decided when the speech is made."""
        if attended(state):
            return
        for leg in state.legs:
            if not leg.up or leg.party is not Party.AGENCY or leg.leg in self._waiting:
                continue
            told = disclosure_of(state, leg)
            if told is None or told.disclosure in leg.briefs or _heard(told):
                continue
            task = self._start(partial(self._read_when_made, state.id, leg.leg, told, causation=causation))
            self._waiting[leg.leg] = task
            task.add_done_callback(partial(self._waits_no_more, leg.leg))

    async def _read_when_made(
        self, incident: IncidentId, leg: LegId, told: Disclosure, *, causation: str | None
    ) -> None:
        language = self.language(told.agency)
        if language is None:
            return
        await self._speech_of(incident, told.disclosure, language)
        order = SpeakBrief(
            leg=leg, disclosure=told.disclosure, language=language, why=Telling.ALONE, by_keys=self._keys
        )
        await self._journal.execute(incident, order, actor=ACTOR, causation=causation)

    async def _again(self, pressed: Recorded, event: KeysPressed) -> None:
        stream = await self._journal.store.stream(pressed.incident)
        offer = key_offer(stream, event.leg, before=pressed.n)
        if offer is None or any(
            isinstance(each.event, BriefSpoken) and each.causation == pressed.id for each in stream
        ):
            return
        order = SpeakBrief(
            leg=event.leg, disclosure=offer.disclosure, language=offer.voice, why=Telling.AGAIN, by_keys=True
        )
        await self._journal.execute(pressed.incident, order, actor=ACTOR, causation=pressed.id)

    # --- reading ---

    def _play(self, recorded: Recorded, event: BriefSpoken) -> None:
        before = self._reading.pop(event.leg, None)
        if before is not None:
            before.playing.cancel()
        task = self._start(partial(self._read_to, recorded, event))
        self._reading[event.leg] = _Reading(disclosure=event.disclosure, why=event.why, playing=task)

    async def _read_to(self, recorded: Recorded, event: BriefSpoken) -> None:
        state = await self._journal.state(recorded.incident)
        known = state.leg(event.leg)
        if known is None or not known.up:
            return
        language: Language = "ja" if event.voice == "ja" else "en"
        sound = await self._speech_of(recorded.incident, event.disclosure, language)
        whole = await self._composed(sound, event, language, state)
        reading = self._reading.get(event.leg)
        if reading is not None and reading.playing is asyncio.current_task():
            reading.until = self._journal.clock.now() + timedelta(seconds=len(whole) / 2 / self._rate_hz)
        await self._tried(partial(self._say, event.leg, recorded.id, whole))

    async def _composed(self, sound: bytes, event: BriefSpoken, language: Language, state: Incident) -> bytes:
        """A reading with what is said around it, by why it is read."""
        head, tail = b"", b""
        if event.why is Telling.ALONE:
            head = await self._phrase("alone", language)
            if any(leg.party is Party.VEHICLE and leg.up for leg in state.legs):
                head += await self._phrase("connected", language)
        if event.by_keys:
            tail = self._silence(BREATH_S) + await self._phrase("keys", language)
        once = head + sound + tail
        twice = head + sound + self._silence(PAUSE_S) + sound + tail
        return twice if event.why is Telling.ALONE and len(twice) <= 2 * self._rate_hz * MOST_S else once

    async def _phrase(self, name: str, language: Language) -> bytes:
        text = PHRASES[language][name]
        if text not in self._phrases:
            self._phrases[text] = await self._speech.make(text, language)
        return self._phrases[text]

    def _silence(self, seconds: float) -> bytes:
        return bytes(2 * round(seconds * self._rate_hz))

    async def _hush(self, state: Incident, *, disclosure: DisclosureId | None, causation: str) -> None:
        """End what is being read in the incident: what began by itself, or all that is read of one disclosure."""
        now = self._journal.clock.now()
        for leg in state.legs:
            if (reading := self._reading.get(leg.leg)) is None:
                continue
            ours = reading.why is not Telling.ASKED if disclosure is None else reading.disclosure == disclosure
            if not ours:
                continue
            del self._reading[leg.leg]
            reading.playing.cancel()
            if reading.until is not None and now < reading.until:
                self._start(partial(self._say, leg.leg, f"{causation}-hush", b""))

    # --- speech ---

    async def _prepare(self, recorded: Recorded, event: DisclosureDecided) -> None:
        """Nothing is made of what is over: a reader that is new here sees everything that ever happened."""
        state = await self._journal.state(recorded.incident)
        told, language = state.disclosure(event.disclosure), self.language(event.agency)
        if language is not None and told is not None and told.pending and state.state is not State.CLOSED:
            self._start(partial(self._make_beside, recorded.incident, event.disclosure, language))

    async def _make_beside(self, incident: IncidentId, disclosure: DisclosureId, language: Language) -> None:
        await self._speech_of(incident, disclosure, language)

    async def _speech_of(self, incident: IncidentId, disclosure: DisclosureId, language: Language) -> bytes:
        """The brief as sound, made once for all who wait for it; ``Unavailable`` when it cannot be made."""
        key = (disclosure, language)
        if key not in self._kept:
            self._kept[key] = asyncio.create_task(self._make(incident, disclosure, language), name="speech of a brief")
            self._kept[key].add_done_callback(_outcome)
            finished = [each for each, task in self._kept.items() if task.done()]
            for old in finished[: max(0, len(self._kept) - self._most_kept)]:
                del self._kept[old]
        making = self._kept[key]
        try:
            return await asyncio.shield(making)
        finally:
            if making.done() and (making.cancelled() or making.exception() is not None):
                self._kept.pop(key, None)

    async def _make(self, incident: IncidentId, disclosure: DisclosureId, language: Language) -> bytes:
        text = aloud(speak(read(await self._brief(incident, disclosure)), language))
        return await self._tried(partial(self._speech.make, text, language))

    async def _brief(self, incident: IncidentId, disclosure: DisclosureId) -> bytes:
        """The brief as it was decided, read back from the journal."""
        for recorded in await self._journal.store.stream(incident):
            if isinstance(recorded.event, DisclosureDecided) and recorded.event.disclosure == disclosure:
                parts = await self._journal.parts_of(recorded)
                if Category.RAW in parts:
                    return parts[Category.RAW]
        raise Unavailable("there is no such brief, or it has been destroyed")

    async def _tried(self, work: Callable[[], Awaitable[Outcome]]) -> Outcome:
        """What ``work`` gives, ``TRIES`` times at most; ``Unavailable`` as the last time."""
        for _ in range(TRIES - 1):
            try:
                return await work()
            except Unavailable:
                await self._journal.clock.wait(TRY_AGAIN_AFTER)
        return await work()

    # --- what is over ---

    def _waits_no_more(self, leg: LegId, task: "asyncio.Task[None]") -> None:
        if self._waiting.get(leg) is task:
            del self._waiting[leg]

    def _forget(self, leg: LegId) -> None:
        reading = self._reading.pop(leg, None)
        if reading is not None:
            reading.playing.cancel()
        if (waiting := self._waiting.pop(leg, None)) is not None:
            waiting.cancel()

    async def _drop(self, incident: IncidentId) -> None:
        """An incident is closed: nothing of it stays in memory."""
        state = await self._journal.state(incident)
        for leg in state.legs:
            self._forget(leg.leg)
        told = {known.disclosure for known in state.disclosures}
        for key in [key for key in self._kept if key[0] in told]:
            self._kept.pop(key).cancel()

    def _start(self, work: Callable[[], Awaitable[None]]) -> "asyncio.Task[None]":
        task = asyncio.create_task(_safely(work), name="assist")
        self._work.add(task)
        task.add_done_callback(self._work.discard)
        return task


def _outcome(making: "asyncio.Task[bytes]") -> None:
    """Whoever waits is told; when nobody does any more, nobody needs to know."""
    if not making.cancelled():
        making.exception()


async def _safely(work: Callable[[], Awaitable[None]]) -> None:
    try:
        await work()
    except (Unavailable, Refused) as failed:
        log.warning("brief_not_read", reason=str(failed))
    except Exception as failed:  # the edge of one reading: an extra that fails is an extra less
        log.exception("assist_broke", error=type(failed).__name__)


def disclosure_of(state: Incident, leg: Leg) -> Disclosure | None:
    """What the agency on ``leg`` is to be told: the newest brief that it has not refused."""
    told = [each for each in state.disclosures if each.agency == leg.who and not each.superseded]
    return next((each for each in reversed(told) if each.rejected is None), None)


def _heard(told: Disclosure) -> bool:
    return told.reached is not None and told.reached.rank >= Acknowledgement.HEARD.rank
