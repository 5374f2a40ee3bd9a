"""The media server of one process: WebRTC legs, conferences, recording.

Every wait goes through the clock, four ticks a second; a party's silence, a connection that never comes up and an
empty conference are all counted in those ticks.  In the service it runs in workers of its own (``worker``,
``provider``); tests hold it in their own process.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import structlog

from recording.tracks import Recorder as DiskRecorder
from recording.tracks import duration_ms
from sos.calls.adapters.embedded.capture import Capture, Recorder, RecorderFactory
from sos.calls.adapters.embedded.conference import TICKS_PER_S, Conference
from sos.calls.adapters.embedded.connection import Connection
from sos.calls.adapters.embedded.ice import own_addresses
from sos.calls.adapters.embedded.ports import MediaPorts
from sos.calls.adapters.embedded.rtp import Rtp
from sos.calls.adapters.embedded.sdp import Offer
from sos.calls.adapters.notices import load_notice
from sos.calls.port import (
    IceServer,
    LegMode,
    LegUp,
    Level,
    ProviderEvent,
    RecordingBegun,
    RecordingBroken,
    RecordingDone,
    Sound,
)
from sos.clock import Clock, timestamp
from sos.errors import Malformed, Refused, Unavailable
from sos.incident.model import IncidentId, LegId, Party, RecordingId, new_id
from sos.media import opus

log = structlog.get_logger()

MOST_CONFERENCES = 200
"""A bound against floods; one core carries about a hundred passed-through calls."""
MOST_LEGS = 8
"""Per conference; the field's largest hand-over (vehicle, two desks, supervisor, three agencies) has seven."""
_TICK = timedelta(seconds=1 / TICKS_PER_S)
_NAME = re.compile(r"[A-Za-z0-9-]{1,36}\Z")
"""Leg and incident ids become track and directory names."""


def disk_recorder(directory: Path, recording: str, key: bytes, started_at: str) -> Recorder:
    return DiskRecorder(directory, recording, key, started_at=started_at)


class MediaServer:
    """``TelephonyProvider`` over aiortc.  Recordings lie in ``recordings/<incident>/<recording>/``."""

    name = "media_server"

    def __init__(
        self,
        recordings: Path,
        *,
        clock: Clock,
        recorder: RecorderFactory = disk_recorder,
        most_conferences: int = MOST_CONFERENCES,
        most_legs: int = MOST_LEGS,
    ) -> None:
        self._recordings = recordings
        self._clock = clock
        self._recorder = recorder
        self._most_conferences = most_conferences
        self._most_legs = most_legs
        self._conferences: dict[IncidentId, Conference] = {}
        self._keys: dict[IncidentId, bytes] = {}
        self._events: asyncio.Queue[ProviderEvent | None] = asyncio.Queue()
        self._background: set[asyncio.Task[None]] = set()
        self._sealing: dict[IncidentId, list[asyncio.Task[None]]] = {}
        self._broken: set[RecordingId] = set()
        self._closing: list[Conference] = []
        """Ended, and their recordings not sealed yet."""
        self._answering = 0
        self._open = False
        self._ticking: asyncio.Task[None] | None = None
        self._executor = ThreadPoolExecutor(max_workers=4, thread_name_prefix="recorder")

    async def __aenter__(self) -> Self:
        for kind in opus.Tone:  # made now, not while the first caller waits
            opus.tone(kind)
        self._open = True
        self._ticking = self._in_background(self._tick_for_ever(), name="voice ticks")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._open:
            return
        self._open = False
        if self._ticking is not None:
            self._ticking.cancel()
        await self.retire()
        while self._background:
            await asyncio.wait(self._background)
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._events.put_nowait(None)

    async def accept(
        self,
        *,
        incident: IncidentId,
        leg: LegId,
        party: Party,
        who: str,
        offer: str,
        key: bytes,
        relays: tuple[IceServer, ...] = (),
        ports: tuple[int, int] = (0, 0),
    ) -> str:
        """See the port; also ``Refused`` when ``leg`` is already somebody else's."""
        if not (_NAME.match(leg) and _NAME.match(incident)):
            raise Malformed("leg and incident ids have up to 36 letters, digits and hyphens", field="Leg-Id")
        wanted = Offer.read(offer, ours=own_addresses())
        self._check_room(incident, leg=leg, party=party, who=who)
        connection = Connection(
            partial(self._heard, incident), partial(self._arrived, incident), relays=relays, ports=MediaPorts(*ports)
        )
        self._answering += 1
        try:
            answer = await connection.answer(wanted)
        finally:
            self._answering -= 1
        try:
            self._check_room(incident, leg=leg, party=party, who=who)
        except (Refused, Unavailable):
            self._close(connection)
            raise
        conference = self._conferences.get(incident)
        if conference is None:
            conference = Conference(incident, tell=self._events.put_nowait, record=self._begin_recording)
            self._conferences[incident] = conference
        self._keys[incident] = key
        replaced = conference.take_in(leg, party=party, who=who, connection=connection)
        if replaced is not None:
            self._close(replaced)
        return answer

    async def set_mode(self, leg: LegId, mode: LegMode) -> None:
        if (conference := self._conference_of(leg)) is not None:
            conference.set_mode(leg, mode)

    async def announce(self, leg: LegId, notice: str) -> None:
        if (conference := self._conference_of(leg)) is not None:
            conference.announce(leg, notice, load_notice(notice, opus.MIX_RATE_HZ))

    async def say(self, leg: LegId, sound: Sound) -> None:
        if (conference := self._conference_of(leg)) is not None:
            conference.say(leg, sound)

    async def trickle(self, leg: LegId, *, ufrag: str, candidates: tuple[str, ...]) -> None:
        """See the port."""
        if (conference := self._conference_of(leg)) is not None:
            await conference.seats[leg].connection.trickle(ufrag, candidates)

    async def end(self, leg: LegId) -> None:
        conference = self._conference_of(leg)
        if conference is not None and (connection := conference.let_go(leg, reason="ended")) is not None:
            self._close(connection)

    async def finish(self, incident: IncidentId) -> None:
        self._end_conference(incident, reason="ended")
        for sealing in tuple(self._sealing.get(incident, ())):
            await asyncio.shield(sealing)

    async def legs(self) -> tuple[LegUp, ...]:
        return tuple(up for conference in self._conferences.values() for up in conference.up())

    def levels(self) -> tuple[Level, ...]:
        """How loud everybody was since this was last asked."""
        return tuple(level for conference in self._conferences.values() for level in conference.levels())

    async def events(self) -> AsyncIterator[ProviderEvent]:
        while (event := await self._events.get()) is not None:
            yield event

    def writing(self) -> tuple[tuple[IncidentId, RecordingId], ...]:
        """The recordings being written, with their incidents: those being sealed as well."""
        open_ = ((each.incident, each.recording) for each in (*self._conferences.values(), *self._closing))
        return tuple((incident, recording) for incident, recording in open_ if recording is not None)

    @property
    def busy(self) -> bool:
        """Whether anybody is in a conference here, or a recording not sealed yet."""
        return bool(self._conferences or self._closing or self._answering)

    async def retire(self) -> None:
        """End every conference and seal its recording."""
        for incident in tuple(self._conferences):
            self._end_conference(incident, reason="shutdown")
        while self._sealing:
            await asyncio.wait([task for tasks in self._sealing.values() for task in tasks])

    def _check_room(self, incident: IncidentId, *, leg: LegId, party: Party, who: str) -> None:
        if not self._open:
            raise Unavailable("the voice service is closed")
        holder = self._conference_of(leg)
        if holder is not None:
            seat = holder.seats[leg]
            if (holder.incident, seat.party, seat.who) != (incident, party, who):
                raise Refused("this leg is somebody else's")
            return
        conference = self._conferences.get(incident)
        if conference is not None and len(conference.seats) >= self._most_legs:
            raise Unavailable(f"the conference is full with {self._most_legs} legs")
        if conference is None and len(self._conferences) + self._answering >= self._most_conferences:
            raise Unavailable(f"all {self._most_conferences} conferences are in use")

    def _conference_of(self, leg: LegId) -> Conference | None:
        return next((conference for conference in self._conferences.values() if leg in conference.seats), None)

    def _heard(self, incident: IncidentId, connection: Connection, packet: Any) -> None:
        if (conference := self._conferences.get(incident)) is not None:
            conference.heard(connection, packet)

    def _arrived(self, incident: IncidentId, connection: Connection, packet: Rtp) -> None:
        if (conference := self._conferences.get(incident)) is not None:
            conference.arrived(connection, packet)

    def _begin_recording(self, conference: Conference) -> tuple[RecordingId, Capture]:
        recording = RecordingId(new_id())
        directory = self._recordings / conference.incident / recording
        started_at = timestamp(self._clock.now())
        opened = partial(self._recorder, directory, recording, self._keys[conference.incident], started_at)
        self._events.put_nowait(RecordingBegun(incident=conference.incident, recording=recording))
        return recording, Capture(opened, self._executor)

    async def _tick_for_ever(self) -> None:
        while True:
            await self._clock.wait(_TICK)
            for conference in tuple(self._conferences.values()):
                try:
                    self._look_after(conference)
                except Exception:
                    log.exception("a conference could not be looked after", incident=conference.incident)

    def _look_after(self, conference: Conference) -> None:
        for connection in conference.tick():
            self._close(connection)
        self._tell_broken(conference)
        if conference.over:
            self._end_conference(conference.incident, reason="media_lost")

    def _end_conference(self, incident: IncidentId, *, reason: str) -> None:
        conference = self._conferences.pop(incident, None)
        if conference is None:
            return
        for leg in tuple(conference.seats):
            if (connection := conference.let_go(leg, reason=reason)) is not None:
                self._close(connection)
        self._keys.pop(incident, None)
        self._closing.append(conference)
        sealing = self._in_background(self._seal(conference), name=f"seal {incident}")
        self._sealing.setdefault(incident, []).append(sealing)

    async def _seal(self, conference: Conference) -> None:
        await conference.close()
        if conference.capture is not None and conference.recording is not None:
            manifest = await conference.capture.seal()
            self._tell_broken(conference)
            if manifest is not None:
                done = RecordingDone(
                    incident=conference.incident,
                    recording=conference.recording,
                    manifest=manifest,
                    chunks=len(json.loads(manifest)["chunks"]),
                    duration_ms=duration_ms(manifest),
                )
                self._events.put_nowait(done)
        self._broken.discard(conference.recording or RecordingId(""))
        self._closing.remove(conference)
        sealing = self._sealing[conference.incident]
        sealing[:] = [task for task in sealing if task is not asyncio.current_task()]
        if not sealing:
            del self._sealing[conference.incident]

    def _tell_broken(self, conference: Conference) -> None:
        reason = conference.capture.broken if conference.capture is not None else None
        if reason is not None and conference.recording is not None and conference.recording not in self._broken:
            self._broken.add(conference.recording)
            log.error("the recording is broken; the call goes on", incident=conference.incident, reason=reason)
            broken = RecordingBroken(incident=conference.incident, recording=conference.recording, reason=reason)
            self._events.put_nowait(broken)

    def _close(self, connection: Connection) -> None:
        self._in_background(connection.close(), name="close connection")

    def _in_background(self, work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._background.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("voice background work died", task=task.get_name(), exc_info=error)
