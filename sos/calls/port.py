"""What the bridge asks of a telephony provider, and what a provider tells back.

Legs are addressed by *our* leg id and every operation may be repeated.  A provider translates; who may talk to whom,
when to call back and what to do when a leg dies is decided above it.  SIP will be one more adapter of it.
"""

import re
from collections.abc import AsyncIterator
from typing import Protocol

from msgspec import Struct

from sos.errors import Malformed
from sos.incident.model import IncidentId, LegId, Party, RecordingId


class LegUp(Struct, frozen=True, kw_only=True, tag=True):
    """Media flows from this party: the first packet was received."""

    incident: IncidentId
    leg: LegId
    party: Party
    who: str


class LegDown(Struct, frozen=True, kw_only=True, tag=True):
    """The leg is gone, or never came up.

    ``reason`` is ``ended``, ``media_lost``, ``no_answer``, ``busy``, ``rejected``, ``failed``, ``worker_lost``,
    ``transferred`` (it is a leg of another incident now) or ``shutdown``.
    """

    incident: IncidentId
    leg: LegId
    party: Party
    reason: str


class RecordingBegun(Struct, frozen=True, kw_only=True, tag=True):
    incident: IncidentId
    recording: RecordingId


class RecordingDone(Struct, frozen=True, kw_only=True, tag=True):
    """The last own leg has left; ``manifest`` commits to every chunk on disk (``recording.tracks``)."""

    incident: IncidentId
    recording: RecordingId
    manifest: bytes
    chunks: int
    duration_ms: int
    lost: int = 0
    """Chunks that a crash tore or that are missing: so many seconds of one party, at most, are not in it."""


class RecordingBroken(Struct, frozen=True, kw_only=True, tag=True):
    incident: IncidentId
    recording: RecordingId
    reason: str


class LegRinging(Struct, frozen=True, kw_only=True, tag=True):
    """It rings at the other end."""

    incident: IncidentId
    leg: LegId


class KeyPressed(Struct, frozen=True, kw_only=True, tag=True):
    """Somebody on this leg pressed keys of the telephone (DTMF)."""

    incident: IncidentId
    leg: LegId
    keys: str


class RecordingLeft(Struct, frozen=True, kw_only=True, tag=True):
    """What wrote this recording is gone; what reached the disk can be sealed (``TelephonyProvider.recover``)."""

    incident: IncidentId
    recording: RecordingId


class LegQueued(Struct, frozen=True, kw_only=True, tag=True):
    """The provider has taken the call on and lets it wait for its turn, for so long already or to come."""

    incident: IncidentId
    leg: LegId
    queued_ms: int


class RecordingFetched(Struct, frozen=True, kw_only=True, tag=True):
    """A recording that a provider made lies sealed here; told after ``RecordingDone``, before the copy is deleted."""

    incident: IncidentId
    recording: RecordingId
    leg: LegId
    copy: str
    """The provider's name of it."""
    digest: str
    """Hex SHA-256 of the file as it came."""
    size: int
    """Its bytes."""


class ProviderCopyDeleted(Struct, frozen=True, kw_only=True, tag=True):
    """The provider has said that its copy is gone."""

    incident: IncidentId
    recording: RecordingId
    copy: str


SOUND_RATE_HZ = 16_000
"""Of a ``Sound``: what mixing works at, and twice what a telephone carries."""

MOST_SOUND_S = 150
"""A brief is read in at most 45 s (``routing.brief.spoken``), twice, with a pause and what may be pressed."""

_SOUND_ID = re.compile(r"[A-Za-z0-9-]{1,64}\Z")


class Sound(Struct, frozen=True, kw_only=True):
    """Speech that was made for one leg.  ``Malformed`` when it is too long or no 16 bit sound."""

    id: str
    """Ours; the same one is not played to a leg twice."""
    pcm: bytes
    """16 bit, little-endian, mono, ``SOUND_RATE_HZ``.  Empty: nothing, which ends what is being said."""

    def __post_init__(self) -> None:
        if not _SOUND_ID.match(self.id):
            raise Malformed("a sound's id has up to 64 letters, digits and hyphens", field="id")
        if len(self.pcm) % 2 or len(self.pcm) > 2 * SOUND_RATE_HZ * MOST_SOUND_S:
            raise Malformed(f"a sound is 16 bit PCM of at most {MOST_SOUND_S} s", field="pcm")

    def __repr__(self) -> str:
        return f"Sound(id={self.id!r}, {len(self.pcm)} bytes)"


ProviderEvent = (
    LegUp
    | LegDown
    | LegRinging
    | LegQueued
    | KeyPressed
    | RecordingBegun
    | RecordingDone
    | RecordingBroken
    | RecordingLeft
    | RecordingFetched
    | ProviderCopyDeleted
)


class LegMode(Struct, frozen=True, kw_only=True):
    """How a leg takes part.  A wish, not a step: setting the same mode again changes nothing."""

    held: bool = False
    """Hears the hold tone and is heard by nobody."""
    muted: bool = False
    """Hears everyone and is heard by nobody."""
    coaching: LegId | None = None
    """Hears everyone and is heard by this leg alone."""


TALKING = LegMode()


class IceServer(Struct, frozen=True, kw_only=True):
    """One ``RTCIceServer`` of WebRTC: a STUN or TURN server, with credentials where it wants them."""

    urls: tuple[str, ...]
    username: str = ""
    credential: str = ""


class Level(Struct, frozen=True):
    """How loud a leg was in the last tenth of a second; dBov, 0 the loudest there can be, -127 nothing."""

    incident: IncidentId
    leg: LegId
    rms: int
    peak: int


class TelephonyProvider(Protocol):
    name: str
    dials: bool
    """Whether it reaches telephone numbers."""

    async def accept(self, *, incident: IncidentId, leg: LegId, party: Party, who: str, offer: str, key: bytes) -> str:
        """Take a WebRTC offer (SDP) into the incident's conference; gives the SDP answer.

        The conference and its recording begin with the first leg.  ``key`` is the 32-byte data key of the incident's
        AUD category, under which chunks are sealed.  A repeated ``leg`` replaces the earlier connection of that leg.
        ``Malformed`` when the offer is not usable SDP (the sender's fault), ``Unavailable`` when no leg can be made.
        """
        ...

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
        """Call ``number`` (E.164, already allowed by ``numbers.dialable``) into the incident's conference.

        ``LegRinging`` may follow, then ``LegUp`` or ``LegDown`` with ``no_answer``, ``busy``, ``rejected`` or
        ``failed``.  The same leg again dials nobody a second time: the provider is asked for it first.
        It comes up as ``mode`` says: whoever picks up a leg that is held is heard by nobody from the first moment.
        ``Unavailable`` when it cannot dial, or does not say in time whether it did.
        """
        ...

    async def set_mode(self, leg: LegId, mode: LegMode) -> None:
        """Hold, mute, coach, or let talk; nothing happens when the leg is gone.  It lasts over a reconnection."""
        ...

    async def announce(self, leg: LegId, notice: str) -> None:
        """Play a spoken notice to one leg alone, once; ``Malformed`` when there is no notice of that name."""
        ...

    async def say(self, leg: LegId, sound: Sound) -> None:
        """Play made speech to one leg alone, over what it hears; it takes the place of what is being said to it.

        Once for each id; nothing happens when the leg is not up.  ``Unavailable`` when it cannot be played just now.
        """
        ...

    async def trickle(self, leg: LegId, *, ufrag: str, candidates: tuple[str, ...]) -> None:
        """More addresses (RFC 8839 5.1) of a leg that has offered; nothing happens when it is gone.

        ``Refused`` when ``ufrag`` is not that of the leg's offer, ``Unavailable`` when offers are not taken.
        """
        ...

    async def move(
        self, leg: LegId, *, incident: IncidentId, as_leg: LegId, party: Party, who: str, key: bytes
    ) -> None:
        """Take whoever is on ``leg`` into the conference of ``incident``, as ``as_leg``.

        ``LegDown`` of ``leg`` with ``transferred`` and ``LegUp`` of ``as_leg`` follow; nothing happens when ``leg`` is
        not up.  ``Unavailable`` where that cannot be done: then everybody is where they were.
        """
        ...

    async def end(self, leg: LegId) -> None:
        """Hang up one leg; nothing happens when it is already gone."""
        ...

    async def finish(self, incident: IncidentId) -> None:
        """End the conference: every leg, then the recording is sealed (``RecordingDone`` follows)."""
        ...

    async def legs(self) -> tuple[LegUp, ...]:
        """What is up right now: asked after a restart, before anything is done."""
        ...

    async def unsealed(self) -> list[tuple[IncidentId, RecordingId]]:
        """Recordings that were begun, are not complete and that nobody is writing any more."""
        ...

    async def writing(self) -> frozenset[RecordingId]:
        """Recordings that are being written right now."""
        ...

    async def recover(
        self, incident: IncidentId, recording: RecordingId, key: bytes
    ) -> RecordingDone | RecordingBroken:
        """Complete a recording that nobody writes any more with what was kept of it; harmless when it is complete."""
        ...

    def events(self) -> AsyncIterator[ProviderEvent]:
        """Everything that happens, in order; one consumer.

        An event counts as taken when the next one is asked for; one that was not taken may be told again.
        """
        ...
