"""Who may hear a recording, and what stands in the journal before the first byte of it is given.

Listening begins with a purpose.  The access is written down, then a *listening* exists, and nothing sounds without
one: a player may then ask for any piece of it, as often as it likes, and there is one record of it.  A listening is of
one person and one recording; who may not hear it any more, since the incident was closed or handed over, hears no more
of it.  By default nobody may: the operator who has the incident while it is open, supervisors, auditors of its brand.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Protocol

import msgspec
import structlog
from msgspec import Struct

from recording.errors import RecordingError
from recording.tracks import chunk_files, read_header
from routing.categories import Category
from sos.calls.played import Fetch, Piece, Played, found, listed
from sos.clock import parse_timestamp, timestamp
from sos.errors import Forbidden, Refused, Unavailable, Unknown
from sos.incident.access import Purpose
from sos.incident.events import (
    AgencyAcknowledged,
    DisclosureDecided,
    LegJoined,
    LegLeft,
    OperatorAssigned,
    Recorded,
    RecordingSealed,
    RecordingStarted,
)
from sos.incident.model import Incident, IncidentId, Party, Recording, RecordingId, State, TenantId, new_id
from sos.journal.journal import Journal

log = structlog.get_logger()

LASTS = timedelta(hours=2)
"""Of a listening."""
MOST = 64
"""Listenings that are open at once; the oldest ends when there is one more."""
MOST_OF_ONE = 8
"""Of one listener; then the own oldest ends, and nobody else's."""
WORKERS = 1
"""Threads that make sound of recordings: the journal of a crash needs the others."""
AFTERWARDS = (Purpose.REVIEW, Purpose.REQUEST, Purpose.PERSON, Purpose.FAULT)
"""What a recording is heard for when nobody is being helped any more."""


class Listener(Struct, frozen=True, kw_only=True):
    """Who wants to hear."""

    reader: str
    """``operator:<id>`` or ``auditor:<id>``."""
    supervisor: bool = False
    brands: frozenset[str] | None = None
    """Of an auditor: the tenants whose recordings may be heard, with ``*`` all; None: no auditor."""

    def covers(self, tenant: TenantId) -> bool:
        return self.brands is None or "*" in self.brands or tenant in self.brands


class Mark(Struct, frozen=True, kw_only=True):
    """What happened while it was recorded."""

    at_ms: int
    what: str
    who: str


class Kept(Struct, frozen=True, kw_only=True):
    """A recording of an incident, as its headers tell of it."""

    recording: RecordingId
    state: str
    """``running``, ``sealed`` or ``failed``."""
    begun_at: str
    duration_ms: int = 0


class Listening(Struct, frozen=True, kw_only=True):
    listening: str
    incident: IncidentId
    recording: RecordingId
    started_at: str
    duration_ms: int
    parties: tuple[str, ...]
    """The tracks."""
    marks: tuple[Mark, ...]
    every_ms: int = 100
    """What one value of a waveform stands for."""


class _Open(Struct, frozen=True, kw_only=True):
    told: Listening
    listener: Listener
    played: Played
    until: datetime


class Shelf(Protocol):
    """Where recordings lie."""

    def fetch(self, incident: IncidentId, recording: RecordingId, pieces: Sequence[Piece]) -> Sequence[bytes]:
        """Blocks.  ``OSError`` when they cannot be had."""
        ...


class Directory:
    """``directory/<incident>/<recording>/``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def fetch(self, incident: IncidentId, recording: RecordingId, pieces: Sequence[Piece]) -> Sequence[bytes]:
        return [(self._directory / incident / recording / each.file).read_bytes() for each in pieces]


class Playback:
    def __init__(self, journal: Journal, directory: Path, *, shelf: Shelf | None = None) -> None:
        self._journal = journal
        self._directory = directory
        self._shelf = shelf or Directory(directory)
        self._open: OrderedDict[str, _Open] = OrderedDict()
        self._workers = asyncio.Semaphore(WORKERS)

    async def kept(self, incident: IncidentId, listener: Listener) -> tuple[Kept, ...]:
        """The recordings of an incident: their ids and times, nothing of what was said.  ``Unknown``, ``Forbidden``."""
        state = await self._known(incident, listener)
        if listener.brands is None and not listener.supervisor and f"operator:{state.operator}" != listener.reader:
            raise _not_yours()
        begun: dict[RecordingId, Kept] = {}
        for each in await self._journal.store.stream(incident):
            if isinstance(each.event, RecordingStarted):
                rec = each.event.recording
                begun[rec] = Kept(recording=rec, state="running", begun_at=timestamp(each.at))
            elif isinstance(each.event, RecordingSealed) and each.event.recording in begun:
                was = begun[each.event.recording]
                begun[was.recording] = msgspec.structs.replace(was, duration_ms=each.event.duration_ms)
        how = {
            each.recording: "sealed" if each.sealed else "failed" if each.failed else "running"
            for each in state.recordings
        }
        return tuple(msgspec.structs.replace(each, state=how.get(each.recording, "running")) for each in begun.values())

    async def begin(
        self, incident: IncidentId, recording: RecordingId, listener: Listener, *, purpose: Purpose, reason: str = ""
    ) -> Listening:
        """A listening, once the journal has who hears what and why.

        ``Unknown`` when there is no such recording for this listener, or its key was destroyed; ``Forbidden`` for who
        may not; ``Refused`` for a purpose that does not hold, or without a reason where one is needed; ``Unavailable``
        when it cannot be had just now.
        """
        state = await self._known(incident, listener)
        _may(state, listener, purpose=purpose, reason=reason)
        if all(each.recording != recording for each in state.recordings):
            raise Unknown("there is no such recording")
        await self._journal.read(
            incident,
            (Category.AUD,),
            reader=listener.reader,
            purpose=f"listen:{purpose}:{recording}",
            reason=reason,
            each_time=True,
        )
        played, started_at = await self._played(incident, recording)
        told = Listening(
            listening=new_id(),
            incident=incident,
            recording=recording,
            started_at=timestamp(started_at),
            duration_ms=played.duration_ms,
            parties=played.parties,
            marks=tuple(_marks(await self._journal.store.stream(incident), started_at, played.duration_ms)),
        )
        until = self._journal.clock.now() + LASTS
        own = [name for name, each in self._open.items() if each.listener.reader == listener.reader]
        for name in own[: -MOST_OF_ONE + 1]:
            del self._open[name]
        self._open[told.listening] = _Open(told=told, listener=listener, played=played, until=until)
        while len(self._open) > MOST:
            self._open.popitem(last=False)
        return told

    async def played(self, listening: str, reader: str) -> Played:
        """What may be heard in a listening.

        ``Unknown`` when it is over or another's, ``Forbidden`` when who began it may not hear it any more.
        """
        opened = self._open.get(listening)
        if opened is None or opened.listener.reader != reader or opened.until <= self._journal.clock.now():
            raise Unknown("there is no such listening: begin another, with its purpose")
        state = await self._journal.state(opened.told.incident)
        if not _hears(state, opened.listener):
            raise _not_yours()
        return opened.played

    async def _known(self, incident: IncidentId, listener: Listener) -> Incident:
        state = await self._journal.state(incident)
        if not listener.covers(state.tenant):
            raise Unknown("there is no such incident")
        return state

    async def _played(self, incident: IncidentId, recording: RecordingId) -> tuple[Played, datetime]:
        fetch: Fetch = partial(self._shelf.fetch, incident, recording)
        try:
            for part in await self._journal.unseal(incident, (Category.AUD,)):
                event = part.recorded.event
                if isinstance(event, RecordingSealed) and event.recording == recording:
                    key = await self._journal.data_key(incident, Category.AUD, at=part.recorded.n)
                    started = parse_timestamp(msgspec.json.decode(part.payload)["started_at"])
                    return self._of(listed(part.payload), key, fetch), started
            key = await self._journal.data_key(incident, Category.AUD)
            directory = self._directory / incident / recording
            return self._of(found(directory), key, fetch), _started(directory)
        except (RecordingError, OSError) as fault:
            log.error("recording_unreadable", incident=incident, recording=recording, error=type(fault).__name__)
            raise Unavailable("the recording cannot be read just now") from fault

    def _of(self, pieces: Sequence[Piece], key: bytes, fetch: Fetch) -> Played:
        return Played(pieces, key, fetch=fetch, workers=self._workers)


def _state(known: Recording) -> str:
    if known.failed:
        return "failed"
    return "sealed" if known.sealed else "running"


def _may(state: Incident, listener: Listener, *, purpose: Purpose, reason: str) -> None:
    """Raises unless this listener may hear for this purpose now."""
    if not _hears(state, listener):
        raise _not_yours()
    helping = listener.brands is None and state.state is not State.CLOSED
    if helping and (purpose is Purpose.EMERGENCY or (purpose is Purpose.SUPERVISION and listener.supervisor)):
        return
    if purpose not in AFTERWARDS:
        raise Refused("this purpose is not one for which this recording may be heard now")
    if not reason.strip():
        raise Refused("say why it is heard")


def _hears(state: Incident, listener: Listener) -> bool:
    """Deny by default."""
    if listener.brands is not None:
        return listener.covers(state.tenant)
    has_it = state.state is not State.CLOSED and f"operator:{state.operator}" == listener.reader
    return has_it or listener.supervisor


def _not_yours() -> Forbidden:
    return Forbidden("only the operator who has the incident, a supervisor or its auditor may hear its recordings")


def _started(directory: Path) -> datetime:
    """When a recording without a manifest began."""
    for path in chunk_files(directory):
        header = read_header(path)
        if header is not None:
            began: datetime = parse_timestamp(header["started_at"])
            return began
    raise Unavailable("nothing of this recording is on the disk yet; try again in a second")


def _marks(events: Sequence[Recorded], started_at: datetime, duration_ms: int) -> Iterator[Mark]:
    """What of an incident's events fell into the recording, with the agency or the person it is about."""
    agencies = {e.event.disclosure: e.event.agency for e in events if isinstance(e.event, DisclosureDecided)}
    parties = {e.event.leg: e.event for e in events if isinstance(e.event, LegJoined)}
    for each in events:
        at_ms = round((each.at - started_at).total_seconds() * 1000)
        if not 0 <= at_ms <= duration_ms:
            continue
        match each.event:
            case OperatorAssigned(operator=operator):
                yield Mark(at_ms=at_ms, what="answered", who=operator)
            case DisclosureDecided(agency=agency):
                yield Mark(at_ms=at_ms, what="told", who=agency)
            case AgencyAcknowledged(disclosure=disclosure, level=level):
                yield Mark(at_ms=at_ms, what=f"agency_{level}", who=agencies.get(disclosure, ""))
            case LegJoined(party=party, who=who) if party in (Party.VEHICLE, Party.AGENCY):
                yield Mark(at_ms=at_ms, what=f"{party}_joined", who=who)
            case LegLeft(leg=leg) if leg in parties and parties[leg].party in (Party.VEHICLE, Party.AGENCY):
                yield Mark(at_ms=at_ms, what=f"{parties[leg].party}_left", who=parties[leg].who)
            case _:
                pass
