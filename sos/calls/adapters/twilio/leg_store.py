"""What we have asked Twilio for, kept on the disk: a restart must know its legs before it dials anybody again.

One small file for each conference, replaced whole.  No number stands in it and no key: a leg's number is in the
journal, sealed, and Twilio's ids say nothing without the account.  A conference leaves the store when its recording is
sealed here and deleted there.
"""

import asyncio
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct, field

from recording.durable import replace, sync_directory
from sos.calls.legs import LegState, Reach
from sos.calls.port import LegMode
from sos.incident.model import IncidentId, LegId, Party, RecordingId


class StoredLeg(Struct, kw_only=True):
    """One leg: what was asked, and what is known of it."""

    leg: LegId
    party: Party
    who: str
    asked_at: datetime
    call: str = ""
    """Twilio's id of its call; empty while Twilio has not said whether it made one."""
    unclear: bool = False
    """Asked for, and no answer came: to be looked for before anything is repeated."""
    state: LegState = field(default_factory=LegState)
    mode: LegMode = field(default_factory=LegMode)
    """What we want; it is set again after a reconnection."""
    mode_set: bool = True
    """Whether Twilio has said that it is so."""
    leaving: str = ""
    """Why we want it gone; empty: we do not."""
    called_us: bool = False
    said: list[str] = field(default_factory=list)
    """Ids of the newest made speeches it was played."""
    others: list[str] = field(default_factory=list)
    """Recordings of its call that were made before it came here, out of another incident's call."""
    own: list[str] | None = None
    """Recordings of its call that are its own, once it is a leg of another incident; None: all but ``others``."""
    alarmed: bool = False
    """Its wait for a free line has been told."""

    @property
    def over(self) -> bool:
        return self.state.reach is Reach.OVER

    def has(self, recording: str) -> bool:
        """Whether a recording of its call is of its time here."""
        return recording in self.own if self.own is not None else recording not in self.others

    @property
    def here(self) -> bool:
        """Whether it is or may still come to be in the conference."""
        return not self.over and bool(self.call)


class Fetched(Struct, kw_only=True):
    """One recording of Twilio's that lies sealed here."""

    sid: str
    leg: LegId
    sha256: str
    size: int
    journaled: bool = False
    """The journal has it, so it may be deleted there."""
    deleted: bool = False


class Room(Struct, kw_only=True):
    """One conference from its first leg to the deletion of its last copy at Twilio."""

    incident: IncidentId
    recording: RecordingId
    conference: str = ""
    """Twilio's id, once it has one."""
    begun: bool = False
    """Somebody was up: there is something to record."""
    over: bool = False
    sealed: bool = False
    legs: dict[LegId, StoredLeg] = field(default_factory=dict)
    copies: list[Fetched] = field(default_factory=list)

    @property
    def done(self) -> bool:
        return self.over and all(copy.deleted for copy in self.copies) and (self.sealed or not self.begun)


class LegStore:
    """The rooms, in memory and on the disk.  A file that cannot be read is set aside, never in the way of a call."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._saving = asyncio.Lock()
        self.rooms: dict[RecordingId, Room] = {}

    async def open(self) -> None:
        await asyncio.to_thread(self._read)

    async def save(self, room: Room) -> None:
        """Return when ``room`` is on the disk as it is now; ``OSError`` when the disk refuses."""
        async with self._saving:
            if room.done:
                self.rooms.pop(room.recording, None)
                await asyncio.to_thread(self._path(room).unlink, missing_ok=True)
            else:
                self.rooms[room.recording] = room
                await asyncio.to_thread(self._write, self._path(room), msgspec.json.encode(room))

    def current(self, incident: IncidentId) -> Room | None:
        """The conference that the incident has now."""
        return next((room for room in self.rooms.values() if room.incident == incident and not room.over), None)

    def find(self, leg: LegId) -> tuple[Room, StoredLeg] | None:
        """The newest entry of a leg."""
        for room in reversed(self.rooms.values()):
            if (stored := room.legs.get(leg)) is not None:
                return room, stored
        return None

    def calls(self) -> set[str]:
        """Every call that is known to be somebody's."""
        return {stored.call for room in self.rooms.values() for stored in room.legs.values() if stored.call}

    def _path(self, room: Room) -> Path:
        return self._directory / f"{room.recording}.json"

    def _write(self, path: Path, content: bytes) -> None:
        replace(path, content, mode=0o600)
        sync_directory(self._directory)

    def _read(self) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file in sorted(self._directory.glob("*.json")):
            try:
                room = msgspec.json.decode(file.read_bytes(), type=Room)
            except (msgspec.DecodeError, OSError):
                file.rename(file.with_suffix(".unreadable"))
            else:
                self.rooms[room.recording] = room
