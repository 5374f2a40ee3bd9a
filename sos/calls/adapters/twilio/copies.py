"""Recordings that Twilio made: fetched when a conference is over, sealed here, told, and only then deleted there.

The order is the point.  Everything of a conference is fetched and written at once, read back from the disk, told as
``RecordingDone``; then each copy is told as ``RecordingFetched``, and it is deleted at Twilio when the journal has
taken that.  Killed anywhere in between, the next service finds the copies still there and begins again.
"""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import structlog

from recording.errors import RecordingError
from recording.tracks import duration_ms
from sos.calls.adapters.twilio import callbacks
from sos.calls.adapters.twilio.leg_store import Fetched, LegStore, Room
from sos.calls.adapters.twilio.rest import Copy, Rest
from sos.calls.adapters.twilio.sound import Taken, seal
from sos.calls.port import (
    ProviderCopyDeleted,
    ProviderEvent,
    RecordingBroken,
    RecordingDone,
    RecordingFetched,
    RecordingLeft,
)
from sos.clock import Clock
from sos.errors import Refused, SosError, Unavailable, Unknown
from sos.incident.model import IncidentId, LegId, RecordingId

log = structlog.get_logger()

FETCH_EVERY = timedelta(seconds=2)
RECOVER_WITHIN_S = 3.0
"""How long ``recover`` waits for recordings that Twilio is still working on; they are sealed later all the same."""
RECORDINGS_WITHIN = timedelta(minutes=10)
"""How long Twilio may take to complete a recording after its leg has ended; then it counts as missing."""
SEAL_EVERY = timedelta(minutes=1)
"""Between two tries to put a recording on a disk that refuses it."""
NOTHING = "nothing_recorded"


class Start(Protocol):
    """Runs work beside the calls, and makes its death visible."""

    def __call__(self, work: Coroutine[Any, Any, Any], *, name: str) -> "asyncio.Task[Any]": ...


class Copies:
    """The recordings of all conferences in the store.  ``tell`` queues an event, ``save`` keeps a room."""

    def __init__(
        self,
        rest: Rest,
        store: LegStore,
        *,
        directory: Path,
        clock: Clock,
        start: Start,
        tell: Callable[[ProviderEvent], None],
        save: Callable[[Room], Coroutine[Any, Any, None]],
    ) -> None:
        self._rest = rest
        self._store = store
        self._recordings = directory
        self._clock = clock
        self._start = start
        self._tell = tell
        self._save = save
        self._keys: dict[IncidentId, bytes] = {}
        self._sealing: dict[RecordingId, asyncio.Task[RecordingDone | RecordingBroken]] = {}
        self._news: dict[RecordingId, asyncio.Event] = {}
        self._absent: set[LegId] = set()
        self._again_at: dict[RecordingId, datetime] = {}
        self._left_told: set[RecordingId] = set()

    def keep_key(self, incident: IncidentId, key: bytes | None) -> None:
        """The key under which the incident's sound is sealed; in memory alone."""
        if key is not None:
            self._keys[incident] = key

    def left(self, room: Room) -> bool:
        """Whether there is a recording that nobody is completing."""
        return room.begun and room.over and not room.sealed and room.recording not in self._sealing

    def over(self, room: Room) -> None:
        """Nobody is left: what was recorded is fetched, or left to ``recover`` when we have no key for it."""
        if room.incident in self._keys:
            self._seal_later(room)
        else:
            self._left_told.add(room.recording)
            self._tell(RecordingLeft(incident=room.incident, recording=room.recording))

    def heard(self, room: Room, leg: LegId, *, absent: bool) -> None:
        """Twilio says that it is done with the recording of a leg, or that there is none."""
        if absent:
            self._absent.add(leg)
        self._news_of(room).set()

    def resume(self, room: Room) -> None:
        """After a restart: what was fetched and not deleted yet is told again."""
        for copy in room.copies:
            if not copy.deleted:
                self._tell_fetched(room, copy)

    async def look_at(self, room: Room) -> None:
        """Do what could not be done before."""
        now = self._clock.now()
        if self.left(room) and room.incident in self._keys and self._again_at.get(room.recording, now) <= now:
            self._seal_later(room)
        elif self.left(room) and room.incident not in self._keys and room.recording not in self._left_told:
            self._left_told.add(room.recording)  # its end was told to a service that is gone
            self._tell(RecordingLeft(incident=room.incident, recording=room.recording))
        for copy in room.copies:
            if copy.journaled:
                await self._delete(room, copy)

    def journaled(self, fetched: RecordingFetched) -> None:
        """The journal has that we hold this copy: it may go."""
        room = self._store.rooms.get(fetched.recording)
        for copy in room.copies if room is not None else ():
            if room is not None and copy.sid == fetched.copy and not copy.journaled:
                copy.journaled = True
                self._start(self._delete(room, copy), name="twilio delete")

    async def all_sealed(self) -> None:
        """Return when nothing is being sealed any more."""
        while self._sealing:
            await asyncio.wait(tuple(self._sealing.values()))

    async def recover(
        self, incident: IncidentId, recording: RecordingId, key: bytes
    ) -> RecordingDone | RecordingBroken:
        """See the port.  What Twilio is still working on is told as broken and, once it comes, as done."""
        room = self._store.rooms.get(recording)
        if room is None or room.sealed:
            return await asyncio.to_thread(self._on_disk, incident, recording)
        self._keys[incident] = key
        if not room.over:
            return RecordingBroken(incident=incident, recording=recording, reason="still_in_progress")
        sealing = self._seal_later(room)
        try:
            async with asyncio.timeout(RECOVER_WITHIN_S):
                return await asyncio.shield(sealing)
        except TimeoutError:
            return RecordingBroken(incident=incident, recording=recording, reason="provider_late")

    def _news_of(self, room: Room) -> asyncio.Event:
        return self._news.setdefault(room.recording, asyncio.Event())

    def _seal_later(self, room: Room) -> "asyncio.Task[RecordingDone | RecordingBroken]":
        sealing = self._sealing.get(room.recording)
        if sealing is None:
            sealing = self._start(self._seal(room), name=f"twilio seal {room.recording}")
            self._sealing[room.recording] = sealing
            sealing.add_done_callback(lambda _: self._sealing.pop(room.recording, None))
        return sealing

    async def _seal(self, room: Room) -> RecordingDone | RecordingBroken:
        """Fetch, seal and read back every leg's recording, and tell of it; patient, for Twilio has them as well."""
        copies = await self._complete_copies(room)
        if not copies:
            return self._broken(room, NOTHING)
        taken = [await self._patiently(partial(self._take, leg, copy)) for leg, copy in copies]
        whole = [each for each in taken if each is not None]
        missing = sorted({*room.legs} - {each.leg for each in whole})
        directory = self._recordings / room.incident / room.recording
        try:
            sealed = await asyncio.to_thread(
                seal, directory, whole, recording=room.recording, key=self._keys[room.incident], missing=missing
            )
        except (OSError, RecordingError, Unavailable, ValueError) as failed:  # Twilio keeps its copies
            return self._broken(room, type(failed).__name__)
        room.sealed = True
        room.copies = [Fetched(sid=t.sid, leg=t.leg, sha256=t.digest, size=len(t.wav)) for t in whole]
        await self._save(room)
        done = RecordingDone(
            incident=room.incident,
            recording=room.recording,
            manifest=sealed.manifest,
            chunks=sealed.chunks,
            duration_ms=duration_ms(sealed.manifest),
        )
        self._tell(done)
        for copy in room.copies:
            self._tell_fetched(room, copy)
        return done

    async def _complete_copies(self, room: Room) -> list[tuple[LegId, Copy]]:
        """Every leg's recording once Twilio has completed them all, or ``RECORDINGS_WITHIN`` has passed."""
        until = self._clock.now() + RECORDINGS_WITHIN
        up = {stored.call: stored for stored in room.legs.values() if stored.call and stored.state.was_up}
        calls = {call: stored.leg for call, stored in up.items()}
        while True:
            news = self._news_of(room)
            news.clear()
            found: list[Copy] = []
            for call in calls:
                copies = await self._patiently(partial(self._rest.copies, call)) or []
                found += [copy for copy in copies if up[call].has(copy.sid)]
            running = [copy for copy in found if copy.status not in callbacks.FINAL]
            told = {copy.call for copy in found} | {call for call, leg in calls.items() if leg in self._absent}
            if (not running and told >= set(calls)) or self._clock.now() > until:
                return [(calls[copy.call], copy) for copy in found if copy.status == "completed" and copy.began]
            await self._until(news, FETCH_EVERY)

    async def _take(self, leg: LegId, copy: Copy) -> Taken:
        assert copy.began is not None
        wav = await self._rest.sound_of(copy)
        return Taken(leg=leg, sid=copy.sid, began=copy.began, announced_s=copy.duration_s, wav=wav)

    async def _patiently(self, order: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """``order``'s result, however long Twilio is away; None when Twilio does not have what is asked for."""
        while True:
            try:
                return await order()
            except (Unknown, Refused) as gone:
                log.error("twilio_recording_gone", reason=str(gone))
                return None
            except Unavailable as away:
                log.info("twilio_recording_waits", reason=str(away))
                await self._clock.wait(FETCH_EVERY)

    async def _until(self, news: asyncio.Event, at_most: timedelta) -> None:
        told = asyncio.ensure_future(news.wait())
        waited = asyncio.ensure_future(self._clock.wait(at_most))
        try:
            await asyncio.wait((told, waited), return_when=asyncio.FIRST_COMPLETED)
        finally:
            told.cancel()
            waited.cancel()

    def _broken(self, room: Room, reason: str) -> RecordingBroken:
        """Told once; Twilio keeps its copies, and what may still succeed is tried again every ``SEAL_EVERY``."""
        broken = RecordingBroken(incident=room.incident, recording=room.recording, reason=reason)
        room.sealed = reason == NOTHING
        if room.recording not in self._again_at:
            log.error("twilio_recording_broken", incident=room.incident, recording=room.recording, reason=reason)
            self._tell(broken)
        self._again_at[room.recording] = self._clock.now() + SEAL_EVERY
        self._start(self._save(room), name="twilio store")
        return broken

    def _on_disk(self, incident: IncidentId, recording: RecordingId) -> RecordingDone | RecordingBroken:
        try:
            manifest = (self._recordings / incident / recording / "manifest.json").read_bytes()
        except OSError:
            return RecordingBroken(incident=incident, recording=recording, reason="nothing_on_disk")
        chunks = manifest.count(b'"file"')
        lasted = duration_ms(manifest)
        return RecordingDone(
            incident=incident, recording=recording, manifest=manifest, chunks=chunks, duration_ms=lasted
        )

    def _tell_fetched(self, room: Room, copy: Fetched) -> None:
        fetched = RecordingFetched(
            incident=room.incident,
            recording=room.recording,
            leg=copy.leg,
            copy=copy.sid,
            digest=copy.sha256,
            size=copy.size,
        )
        self._tell(fetched)

    async def _delete(self, room: Room, copy: Fetched) -> None:
        if copy.deleted:
            return
        try:
            await self._rest.delete_copy(copy.sid)
        except SosError as away:  # reconciliation tries again
            log.warning("twilio_copy_not_deleted", incident=room.incident, reason=str(away))
            return
        copy.deleted = True
        deleted = ProviderCopyDeleted(incident=room.incident, recording=room.recording, copy=copy.sid)
        self._tell(deleted)
        await self._save(room)
