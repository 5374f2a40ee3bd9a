"""What the bridge asks of a telephony provider, and what a provider tells back.

Legs are addressed by *our* leg id and every operation may be repeated.  A provider translates; who may talk to whom,
when to call back and what to do when a leg dies is decided above it.  Hold, mute, coach, place and DTMF join this port
with the voice issue; SIP is one more adapter of it.
"""

from collections.abc import AsyncIterator
from typing import Protocol

from msgspec import Struct

from sos.incident.model import IncidentId, LegId, Party, RecordingId


class LegUp(Struct, frozen=True, kw_only=True):
    """Media flows from this party: the first packet was received."""

    incident: IncidentId
    leg: LegId
    party: Party
    who: str


class LegDown(Struct, frozen=True, kw_only=True):
    """The leg is gone; ``reason`` is ``ended``, ``media_lost``, ``replaced``, ``failed`` or ``shutdown``."""

    incident: IncidentId
    leg: LegId
    party: Party
    reason: str


class RecordingBegun(Struct, frozen=True, kw_only=True):
    incident: IncidentId
    recording: RecordingId


class RecordingDone(Struct, frozen=True, kw_only=True):
    """The last own leg has left; ``manifest`` commits to every chunk on disk (``recording.tracks``)."""

    incident: IncidentId
    recording: RecordingId
    manifest: bytes
    chunks: int
    duration_ms: int


class RecordingBroken(Struct, frozen=True, kw_only=True):
    incident: IncidentId
    recording: RecordingId
    reason: str


ProviderEvent = LegUp | LegDown | RecordingBegun | RecordingDone | RecordingBroken


class TelephonyProvider(Protocol):
    name: str

    async def accept(self, *, incident: IncidentId, leg: LegId, party: Party, who: str, offer: str, key: bytes) -> str:
        """Take a WebRTC offer (SDP) into the incident's conference; gives the SDP answer.

        The conference and its recording begin with the first leg.  ``key`` is the 32-byte data key of the incident's
        AUD category, under which chunks are sealed.  A repeated ``leg`` replaces the earlier connection of that leg.
        ``Malformed`` when the offer is not usable SDP (the sender's fault), ``Unavailable`` when no leg can be made.
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

    def events(self) -> AsyncIterator[ProviderEvent]:
        """Everything that happens, in order; one consumer."""
        ...
