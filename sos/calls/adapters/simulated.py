"""The simulated twin of every telephony provider: conferences in memory, no sound, and bad manners on request.

``legs`` always tells the truth; the events may be lost, late or doubled, as those of a real provider may be.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from types import TracebackType
from typing import Any, Self

from recording.canonical import canonical
from sos.calls.adapters.notices import names
from sos.calls.port import (
    TALKING,
    KeyPressed,
    LegDown,
    LegMode,
    LegRinging,
    LegUp,
    ProviderEvent,
    RecordingBegun,
    RecordingBroken,
    RecordingDone,
    Sound,
)
from sos.clock import Clock
from sos.errors import Malformed, Refused, Unavailable
from sos.incident.model import IncidentId, LegId, Party, RecordingId, new_id

EMPTY_FOR = timedelta(seconds=5)
"""How long a conference waits for somebody to come back before its recording is done."""
LATEST = timedelta(seconds=5)
ANSWER = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=simulated\r\nt=0 0\r\n"


@dataclass(slots=True)
class _Room:
    recording: RecordingId | None = None
    legs: dict[LegId, LegUp] = field(default_factory=dict)
    up: set[LegId] = field(default_factory=set)
    begun: float = 0.0


class SimulatedProvider:
    """``misbehaviour`` is the share of events that are dropped, and of those delayed, and of those doubled.

    An offer is any text that starts with ``v=0``.  With ``answering`` a leg is up as soon as it is accepted; otherwise,
    and for everything that goes wrong, use ``bring_up``, ``drop`` and ``break_recording``.
    """

    name = "simulated"
    dials = True

    def __init__(self, *, clock: Clock, misbehaviour: float = 0.05, seed: int = 0, answering: bool = True) -> None:
        self._clock = clock
        self._share = misbehaviour
        self._random = Random(seed)  # noqa: S311 - repeatable mischief, no secret
        self._answering = answering
        self._rooms: dict[IncidentId, _Room] = {}
        self._events: asyncio.Queue[ProviderEvent | None] = asyncio.Queue()
        self._waiting: set[asyncio.Task[None]] = set()
        self._open = False
        self.dialled: dict[LegId, str] = {}
        """Every number that was ever dialled, by leg."""
        self.busy: set[str] = set()
        self.dead: set[str] = set()
        self.modes: dict[LegId, LegMode] = {}
        self.announced: list[tuple[LegId, str]] = []
        self.said: list[tuple[LegId, Sound]] = []
        self.refusing = False
        """While set, ``accept`` raises ``Unavailable``."""

    async def __aenter__(self) -> Self:
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open:
            self._open = False
            for incident in tuple(self._rooms):
                self._end_room(incident, reason="shutdown")
            for task in self._waiting:
                task.cancel()
            self._events.put_nowait(None)

    async def accept(self, *, incident: IncidentId, leg: LegId, party: Party, who: str, offer: str, key: bytes) -> str:
        if not self._open or self.refusing:
            raise Unavailable("the voice service takes no calls just now")
        if not offer.startswith("v=0"):
            raise Malformed("an SDP offer begins with v=0")
        wanted = LegUp(incident=incident, leg=leg, party=party, who=who)
        if (known := self._find(leg)) is not None and known != wanted:
            raise Refused("this leg is somebody else's")
        self._rooms.setdefault(incident, _Room()).legs[leg] = wanted
        if self._answering:
            self.bring_up(leg)
        return ANSWER

    async def trickle(self, leg: LegId, *, ufrag: str, candidates: tuple[str, ...]) -> None:
        """Its legs come up without any address."""

    async def place(
        self,
        *,
        incident: IncidentId,
        leg: LegId,
        party: Party,
        who: str,
        number: str,
        key: bytes,
        mode: LegMode = TALKING,
    ) -> None:
        """Rings at once, and is up with ``answering``; ``busy`` numbers are busy, ``dead`` ones never say anything."""
        if not self._open or self.refusing:
            raise Unavailable("the voice service takes no calls just now")
        if self._find(leg) is not None or leg in self.dialled:
            return
        self.dialled[leg] = number
        if number in self.dead:
            return
        self._tell(LegRinging(incident=incident, leg=leg))
        if number in self.busy:
            self._tell(LegDown(incident=incident, leg=leg, party=party, reason="busy"))
            return
        room = self._rooms.setdefault(incident, _Room())
        room.legs[leg] = LegUp(incident=incident, leg=leg, party=party, who=who)
        if mode != TALKING:
            self.modes[leg] = mode
        if self._answering:
            self.bring_up(leg)

    def press(self, leg: LegId, keys: str) -> None:
        """Whoever is on the leg presses keys."""
        if (known := self._find(leg)) is not None:
            self._tell(KeyPressed(incident=known.incident, leg=leg, keys=keys))

    async def set_mode(self, leg: LegId, mode: LegMode) -> None:
        if self._find(leg) is not None:
            self.modes[leg] = mode

    async def announce(self, leg: LegId, notice: str) -> None:
        if notice not in names():
            raise Malformed("there is no notice of this name", field="notice")
        if self._find(leg) is not None:
            self.announced.append((leg, notice))

    async def say(self, leg: LegId, sound: Sound) -> None:
        known = self._find(leg)
        up = known is not None and leg in self._rooms[known.incident].up
        if up and not any((to, each.id) == (leg, sound.id) for to, each in self.said):
            self.said.append((leg, sound))

    async def move(
        self, leg: LegId, *, incident: IncidentId, as_leg: LegId, party: Party, who: str, key: bytes
    ) -> None:
        if not self._open or self.refusing:
            raise Unavailable("the voice service takes no calls just now")
        known = self._find(leg)
        if known is None or leg not in self._rooms[known.incident].up:
            return
        moved = LegUp(incident=incident, leg=as_leg, party=party, who=who)
        self._rooms.setdefault(incident, _Room()).legs[as_leg] = moved
        self.drop(leg, reason="transferred")
        self.bring_up(as_leg)

    async def end(self, leg: LegId) -> None:
        self.drop(leg, reason="ended")

    async def finish(self, incident: IncidentId) -> None:
        self._end_room(incident, reason="ended")

    async def legs(self) -> tuple[LegUp, ...]:
        return tuple(room.legs[leg] for room in self._rooms.values() for leg in room.legs if leg in room.up)

    async def unsealed(self) -> list[tuple[IncidentId, RecordingId]]:
        return []

    async def writing(self) -> frozenset[RecordingId]:
        return frozenset(room.recording for room in self._rooms.values() if room.recording is not None)

    async def recover(
        self, incident: IncidentId, recording: RecordingId, key: bytes
    ) -> RecordingDone | RecordingBroken:
        return RecordingBroken(incident=incident, recording=recording, reason="nothing_on_disk")

    async def events(self) -> AsyncIterator[ProviderEvent]:
        while (event := await self._events.get()) is not None:
            yield event

    def bring_up(self, leg: LegId) -> None:
        """The first packet of an accepted leg arrives."""
        known = self._find(leg)
        if known is None or leg in self._rooms[known.incident].up:
            return
        room = self._rooms[known.incident]
        if room.recording is None:
            room.recording, room.begun = RecordingId(new_id()), self._clock.now().timestamp()
            self._tell(RecordingBegun(incident=known.incident, recording=room.recording))
        room.up.add(leg)
        self._tell(known)

    def drop(self, leg: LegId, *, reason: str = "media_lost") -> None:
        """A leg goes; when it was the last, the conference follows unless somebody comes back."""
        known = self._find(leg)
        if known is None:
            return
        room = self._rooms[known.incident]
        del room.legs[leg]
        if leg in room.up:
            room.up.remove(leg)
            self._tell(LegDown(incident=known.incident, leg=leg, party=known.party, reason=reason))
        if not room.legs:
            self._later(self._end_when_still_empty(known.incident, room))

    def break_recording(self, incident: IncidentId, *, reason: str = "OSError") -> None:
        room = self._rooms.get(incident)
        if room is not None and room.recording is not None:
            self._tell(RecordingBroken(incident=incident, recording=room.recording, reason=reason))

    def _find(self, leg: LegId) -> LegUp | None:
        return next((room.legs[leg] for room in self._rooms.values() if leg in room.legs), None)

    def _end_room(self, incident: IncidentId, *, reason: str) -> None:
        room = self._rooms.get(incident)
        if room is None:
            return
        for leg in tuple(room.legs):
            self.drop(leg, reason=reason)
        del self._rooms[incident]
        if room.recording is not None:
            self._tell(self._done(incident, room, room.recording))

    def _done(self, incident: IncidentId, room: _Room, recording: RecordingId) -> RecordingDone:
        manifest = canonical({"chunks": [], "format": "simulated", "recording": recording})
        lasted_ms = round((self._clock.now().timestamp() - room.begun) * 1000)
        return RecordingDone(incident=incident, recording=recording, manifest=manifest, chunks=0, duration_ms=lasted_ms)

    async def _end_when_still_empty(self, incident: IncidentId, room: _Room) -> None:
        await self._clock.wait(EMPTY_FOR)
        if self._rooms.get(incident) is room and not room.legs:
            self._end_room(incident, reason="ended")

    def _tell(self, event: ProviderEvent) -> None:
        if self._random.random() < self._share:
            return
        for _ in range(2 if self._random.random() < self._share else 1):
            if self._random.random() < self._share:
                self._later(self._tell_late(event, LATEST * self._random.random()))
            else:
                self._events.put_nowait(event)

    async def _tell_late(self, event: ProviderEvent, delay: timedelta) -> None:
        await self._clock.wait(delay)
        self._events.put_nowait(event)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)
