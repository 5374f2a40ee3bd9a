"""The live transcript: what vehicle and agency say, written down by a machine for the operator who is in the call.

A reader of the journal for which calls there are; everything else is kept in memory, for as long as the incident is
open: nothing that was written is journaled, logged or stored, since it is no record and often wrong.  One utterance at
a time for the whole house; when it cannot keep up, the oldest that waits is left out and the desk is told so.  Nothing
of a call waits for this.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import timedelta
from itertools import count
from typing import Protocol

import msgspec
import structlog
from msgspec import Struct

from routing.categories import Category
from sos.assist.child import Child
from sos.assist.listening.utterances import Utterance, Utterances
from sos.assist.transcriber import DEFAULT_LANGUAGE, Said, Written
from sos.clock import timestamp
from sos.errors import SosError, Unavailable
from sos.incident.events import IncidentClosed, LegJoined, Recorded
from sos.incident.model import Incident, IncidentId, Party, State
from sos.incident.report import CallBack
from sos.journal.journal import Journal
from sos.media.heard import Heard, Line
from sos.media.opus import MIX_RATE_HZ

log = structlog.get_logger()

LISTEN_EVERY = timedelta(milliseconds=500)
"""The recording reaches the disk twice a second."""
MOST_LINES = 50
"""Of one incident: a few minutes of talk, for a page that is loaded again."""
MOST_WAITING = 8
"""Utterances of the whole house: what is older than about a minute helps nobody."""
MOST_CALLS = 40
"""Listened to at once."""

_WRITTEN = (Party.VEHICLE, Party.AGENCY)
"""Whose words: our own people know what they said."""
_FINISH_AFTER = 3
"""Times in a row that nothing new came, after which an utterance is over."""

Tell = Callable[[IncidentId, Sequence[Line]], Awaitable[None]]


class Sounds(Protocol):
    """Where what is said can be heard."""

    async def more(self, incident: Incident, parties: Collection[Party]) -> Sequence[Heard]:
        """Of ``parties``, since this was last asked."""
        ...

    def forget(self, incident: IncidentId) -> None: ...


class _Track:
    """One voice of one incident."""

    def __init__(self, party: str, leg: str) -> None:
        self.party = party
        self.leg = leg
        self.utterances = Utterances()
        self.quiet = 0


class _Call:
    """What is kept of one incident."""

    def __init__(self) -> None:
        self.tracks: dict[tuple[str, str], _Track] = {}
        self.lines: deque[Line] = deque(maxlen=MOST_LINES)
        self.written = 0
        self.language: str | None = None
        self.deaf = ""
        """Why nothing can be heard of it; said once."""


class _Waiting(Struct, frozen=True, kw_only=True):
    incident: IncidentId
    party: str
    leg: str
    at: str
    utterance: Utterance


class Transcripts:
    """``tell`` is told the lines of an incident, all that are kept, whenever there is a new one."""

    def __init__(self, journal: Journal, sounds: Sounds, writer: "Child[Written]", *, tell: Tell) -> None:
        self._journal = journal
        self._sounds = sounds
        self._writer = writer
        self._tell = tell
        self._calls: dict[IncidentId, _Call] = {}
        self._waiting: deque[_Waiting] = deque()
        self._more = asyncio.Event()
        self._numbers = count(1)

    @property
    def state(self) -> str:
        """``ok``, or ``degraded`` while the machine that writes does not answer."""
        return "ok" if self._writer.well else "degraded"

    def lines(self, incident: IncidentId) -> Sequence[Line]:
        """What was written down so far."""
        call = self._calls.get(incident)
        return tuple(call.lines) if call is not None else ()

    async def handle(self, batch: Sequence[Recorded]) -> None:
        """As a reader: which calls there are."""
        for recorded in batch:
            match recorded.event:
                case LegJoined():
                    self._listen_to(recorded.incident)
                case IncidentClosed():
                    self._forget(recorded.incident)

    async def run(self) -> None:
        """Listen and write, for ever; after a restart to the calls that were up before."""
        _, going = await self._journal.queue(
            limit=MOST_CALLS, states=[state for state in State if state != State.CLOSED]
        )
        for incident in going:
            if any(leg.up for leg in incident.legs):
                self._listen_to(incident.id)
        async with asyncio.TaskGroup() as both:
            both.create_task(self._listen_for_ever(), name="transcript ears")
            both.create_task(self._write_for_ever(), name="transcript hand")

    # --- listening ---

    def _listen_to(self, incident: IncidentId) -> None:
        if incident in self._calls:
            return
        if len(self._calls) >= MOST_CALLS:
            log.warning("transcript_full", incident=incident)
            return
        self._calls[incident] = _Call()

    def _forget(self, incident: IncidentId) -> None:
        self._calls.pop(incident, None)
        self._sounds.forget(incident)
        self._waiting = deque(each for each in self._waiting if each.incident != incident)

    async def _listen_for_ever(self) -> None:
        while True:
            for incident in tuple(self._calls):
                try:
                    await self._listen(incident)
                except SosError as away:
                    self._is_deaf(incident, str(away))
            await self._journal.clock.wait(LISTEN_EVERY)

    async def _listen(self, incident: IncidentId) -> None:
        state = await self._journal.state(incident)
        call = self._calls.get(incident)
        if state.state is State.CLOSED or call is None:
            self._forget(incident)
            return
        for track in call.tracks.values():
            track.quiet += 1
        for heard in await self._sounds.more(state, _WRITTEN):
            track = call.tracks.setdefault((heard.party, heard.leg), _Track(heard.party, heard.leg))
            track.quiet = 0
            for utterance in track.utterances.take(heard):
                self._put(incident, track, utterance)
        for track in call.tracks.values():
            for utterance in track.utterances.finish() if track.quiet == _FINISH_AFTER else ():
                self._put(incident, track, utterance)

    def _is_deaf(self, incident: IncidentId, reason: str) -> None:
        call = self._calls.get(incident)
        if call is not None and call.deaf != reason:
            call.deaf = reason
            log.info("transcript_hears_nothing", incident=incident, reason=reason)

    def _put(self, incident: IncidentId, track: _Track, utterance: Utterance) -> None:
        lasted = timedelta(seconds=int(utterance.pcm.size) / MIX_RATE_HZ)
        at = timestamp(self._journal.clock.now() - lasted)
        if len(self._waiting) >= MOST_WAITING:
            self._write(self._waiting.popleft(), "")
        self._waiting.append(_Waiting(incident=incident, party=track.party, leg=track.leg, at=at, utterance=utterance))
        self._more.set()

    # --- writing ---

    async def _write_for_ever(self) -> None:
        await self._wake()
        while True:
            await self._more.wait()
            self._more.clear()
            while self._waiting:
                await self._write_one(self._waiting.popleft())

    async def _wake(self) -> None:
        """A model takes seconds to read: not while somebody waits."""
        try:
            await self._writer.wake()
            log.info("assist_on", assist="transcript")
        except Unavailable as away:
            remedy = "install the extra transcript, and see what assist.transcript_model holds"
            log.warning("assist_off", assist="transcript", reason=str(away), remedy=remedy)

    async def _write_one(self, waiting: _Waiting) -> None:
        text: str | None
        try:
            language = await self._language(waiting.incident)
            pcm = waiting.utterance.pcm.astype("<i2", copy=False).tobytes()
            said = Said(n=next(self._numbers), language=language, pcm=pcm)
            written = await self._writer.ask(said)
            text = written.text.strip() or (None if not written.fault else "")  # None: there was nothing to write
        except Unavailable as away:
            log.info("transcript_left_out", incident=waiting.incident, reason=str(away))
            text = ""
        if text is None:
            return
        self._write(waiting, text)
        try:
            await self._tell(waiting.incident, self.lines(waiting.incident))
        except SosError as away:  # it is shown with the next one
            log.info("transcript_not_shown", incident=waiting.incident, reason=str(away))

    def _write(self, waiting: _Waiting, text: str) -> None:
        call = self._calls.get(waiting.incident)
        if call is None:  # closed meanwhile
            return
        call.written += 1
        call.lines.append(Line(n=call.written, party=waiting.party, leg=waiting.leg, at=waiting.at, text=text))

    async def _language(self, incident: IncidentId) -> str:
        """The language that the vehicle's report names, looked up once."""
        call = self._calls.get(incident)
        if call is None:
            return DEFAULT_LANGUAGE
        if call.language is None:
            call.language = DEFAULT_LANGUAGE
            for part in await self._journal.unseal(incident, (Category.TEL,)):
                call.language = _named(part.payload) or call.language
        return call.language


def _named(part: bytes) -> str | None:
    """The primary subtag of a TEL part's language (BCP 47); None when it names none."""
    try:
        language = msgspec.json.decode(part, type=CallBack).language
    except msgspec.DecodeError:  # a note about a telephone number is text
        return None
    return language.partition("-")[0].lower() if language else None
