"""What was said a moment ago, once more: for the operator who did not understand, and for a machine that writes along.

Read from where the sound already lies, so the media workers know nothing of it: the embedded house from the sealed
chunks of the recording, also while it is being written; with Twilio from the copy that it streams to us.  Whoever hands
this to a person has written the access down first.  Where the recording stops because a conversation is no longer ours,
there is nothing to hear either.
"""

import asyncio
import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Protocol

import structlog
from msgspec import Struct

from recording.errors import RecordingError
from recording.opus import RATE_HZ, Packet
from recording.tail import Tail, marks, newest, tail, tracks_of
from recording.tracks import unpack
from routing.categories import Category
from sos.errors import Unavailable, Unknown
from sos.incident.model import Incident, IncidentId, Leg, LegId, Party, RecordingId
from sos.journal.journal import Journal
from sos.media.heard import Heard, Unrolled, placed, twice_the_rate, wav
from sos.media.opus import MIX_RATE_HZ, Pcm

log = structlog.get_logger()

_STEP = RATE_HZ // MIX_RATE_HZ
_VEHICLE = Party.VEHICLE.value
"""The track of the car, however often it comes back."""


class Ear(Protocol):
    """The last minute of one leg's telephone sound."""

    rate_hz: int

    def recent(self, seconds: float) -> Pcm:
        """The newest ``seconds`` at most."""
        ...

    def since(self, at: int) -> tuple[int, Pcm]:
        """Where what is kept from sample ``at`` on begins, and that sound."""
        ...


class Ears(Protocol):
    """The telephone exchange, as far as it lets us listen."""

    def listening(self, leg: LegId) -> Ear | None: ...


class Recordings:
    """The embedded house: recordings lie in ``directory/<incident>/<recording>/``."""

    def __init__(self, directory: Path, journal: Journal) -> None:
        self._directory = directory
        self._journal = journal
        self._followed: dict[IncidentId, _Followed] = {}

    async def again(self, incident: Incident, leg: LegId, *, seconds: float) -> bytes:
        """The last ``seconds`` of a leg as WAV; of one that is gone, the last before it went.

        ``Unknown`` when the incident has no such leg, ``Unavailable`` when nothing of it is on the disk yet or the
        recording cannot be read.
        """
        known = _leg(incident, leg)
        key = await self._journal.data_key(incident.id, Category.AUD)
        directories = [self._directory / incident.id / each.recording for each in reversed(incident.recordings)]
        try:
            return await asyncio.to_thread(_again, directories, key, known, seconds)
        except (RecordingError, OSError) as fault:
            log.error("replay_unreadable", incident=incident.id, leg=leg, error=type(fault).__name__)
            raise Unavailable("the recording cannot be read just now; the call goes on") from fault

    async def more(self, incident: Incident, parties: Collection[Party]) -> Sequence[Heard]:
        """What has reached the disk of ``parties`` since this was last asked; ``Unavailable`` as in ``again``."""
        going = next((each for each in reversed(incident.recordings) if not each.failed), None)
        if going is None:
            return ()
        followed = self._followed.get(incident.id)
        if followed is None or followed.recording != going.recording:
            key = await self._journal.data_key(incident.id, Category.AUD)
            followed = _Followed(self._directory / incident.id / going.recording, key, recording=going.recording)
            self._followed[incident.id] = followed
        try:
            return await asyncio.to_thread(followed.more, parties)
        except (RecordingError, OSError) as fault:
            raise Unavailable("the recording cannot be read just now; the call goes on") from fault

    def forget(self, incident: IncidentId) -> None:
        """Nobody wants ``more`` of this incident."""
        self._followed.pop(incident, None)


class Forks:
    """A telephone exchange that streams a copy of each leg to us."""

    def __init__(self, ears: Ears) -> None:
        self._ears = ears
        self._at: dict[IncidentId, dict[LegId, int]] = {}

    async def again(self, incident: Incident, leg: LegId, *, seconds: float) -> bytes:
        """As of ``Recordings``; a leg that is gone cannot be heard again before its recording has been fetched."""
        ear = self._ears.listening(_leg(incident, leg).leg)
        if ear is None:
            raise Unavailable("this leg's sound is not streamed to us: hear it again in the recording")
        return wav(ear.recent(seconds), ear.rate_hz)

    async def more(self, incident: Incident, parties: Collection[Party]) -> Sequence[Heard]:
        """What was streamed of ``parties`` since this was last asked."""
        up = [leg for leg in incident.legs if leg.up and leg.party in parties]
        return [heard for leg in up if (heard := self._more_of(incident.id, leg)) is not None]

    def forget(self, incident: IncidentId) -> None:
        self._at.pop(incident, None)

    def _more_of(self, incident: IncidentId, leg: Leg) -> Heard | None:
        ear = self._ears.listening(leg.leg)
        if ear is None:
            return None
        heard_to = self._at.setdefault(incident, {})
        begin, pcm = ear.since(heard_to.get(leg.leg, 0))
        heard_to[leg.leg] = begin + int(pcm.size)
        return Heard(party=leg.party.value, leg=leg.leg, begin=2 * begin, pcm=twice_the_rate(pcm)) if pcm.size else None


class _Followed:
    """One recording that is listened to while it is written."""

    def __init__(self, directory: Path, key: bytes, *, recording: RecordingId) -> None:
        self.recording = recording
        self._tail = Tail(directory, key, since=newest(directory))
        self._unrolled: dict[str, Unrolled] = {}

    def more(self, parties: Collection[Party]) -> list[Heard]:
        packets: dict[str, list[Packet]] = {}
        for chunk in self._tail.read():
            packets.setdefault(chunk.header["track"], []).extend(unpack(chunk.body))
        found: list[Heard] = []
        for track, taken in packets.items():
            party, _, leg = track.partition("-")
            if party not in parties:  # and what is no party at all: the marks
                continue
            stretches = self._unrolled.setdefault(track, Unrolled()).take(taken)
            found += [Heard(party=party, leg=leg, begin=begin, pcm=pcm) for begin, pcm in stretches]
        return found


class _Span(Struct, frozen=True, kw_only=True):
    """Where a leg is in a recording, in samples of 48 kHz."""

    track: str
    begin: int
    end: int


def _again(directories: Sequence[Path], key: bytes, leg: Leg, seconds: float) -> bytes:
    for directory in directories:
        span = _span(directory, key, leg)
        if span is not None:
            begin = max(span.begin, span.end - round(seconds * RATE_HZ))
            packets = tail(directory, key, span.track, since=begin, until=span.end)
            stretches = Unrolled().take(packets)
            return wav(placed(stretches, begin=begin // _STEP, end=span.end // _STEP))
    raise Unavailable("nothing of this leg has been recorded yet; try again in a second")


def _span(directory: Path, key: bytes, leg: Leg) -> _Span | None:
    """None when the leg is not in this recording."""
    tracks = tracks_of(directory)
    own = f"{leg.party.value}-{leg.leg}"
    track = own if own in tracks else _VEHICLE
    about_it = [packet.timestamp for packet in marks(directory, key) if _mark(packet).get("leg") == leg.leg]
    if not about_it or track not in tracks or (track == _VEHICLE and leg.party is not Party.VEHICLE):
        return None
    gone = leg.left is not None  # then the last that was noted of it is its end
    return _Span(track=track, begin=about_it[0], end=about_it[-1] if gone else newest(directory))


def _mark(packet: Packet) -> dict[str, Any]:
    noted = json.loads(packet.payload)
    return noted if isinstance(noted, dict) else {}


def _leg(incident: Incident, leg: LegId) -> Leg:
    known = incident.leg(leg)
    if known is None:
        raise Unknown("there is no such leg")
    return known
