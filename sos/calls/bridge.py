"""The bridge: conference first, every leg on the record before it is taken in, every change of it after.

It stands above the provider and below nobody: commands out, provider events in.  After a restart it asks what is still
up before it does anything, and seals the recordings that a killed process left open.
"""

from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256

import structlog

from routing.categories import Category
from sos.calls.port import (
    LegDown,
    LegUp,
    ProviderEvent,
    RecordingBegun,
    RecordingBroken,
    RecordingDone,
    TelephonyProvider,
)
from sos.errors import Forbidden, Refused, SosError, Unavailable
from sos.incident.commands import (
    Command,
    FailRecording,
    InviteLeg,
    JoinLeg,
    LeaveLeg,
    SealRecording,
    StartRecording,
)
from sos.incident.events import IncidentClosed, Recorded
from sos.incident.model import Incident, IncidentId, LegId, Party, State
from sos.journal.journal import Journal

log = structlog.get_logger()

RETRY = timedelta(seconds=1)
SEAL_WITHIN = timedelta(seconds=3)
"""Longest an operator waits for the recording when closing; it is sealed afterwards all the same."""

SEAL_POLL = timedelta(milliseconds=50)

OPEN = tuple(state for state in State if state is not State.CLOSED)


class Bridge:
    def __init__(self, journal: Journal, provider: TelephonyProvider) -> None:
        self._journal = journal
        self._provider = provider

    async def connect(self, incident: IncidentId, *, leg: LegId, party: Party, who: str, offer: str) -> str:
        """Take a party into the incident's conference; the SDP answer to its offer.

        ``Forbidden`` for an operator who does not have the incident, ``Refused`` once it is closed.
        """
        state = await self._journal.state(incident)
        _may_join(state, leg, party, who)
        actor = party.value if party is Party.VEHICLE else f"{party}:{who}"
        await self._journal.execute(incident, InviteLeg(leg=leg, party=party, who=who), actor=actor)
        key = await self._journal.data_key(incident, Category.AUD)
        return await self._provider.accept(incident=incident, leg=leg, party=party, who=who, offer=offer, key=key)

    async def hang_up(self, leg: LegId) -> None:
        await self._provider.end(leg)

    async def finish(self, incident: IncidentId) -> None:
        """End the conference, and wait until the journal has its sealed recording, at most ``SEAL_WITHIN``."""
        await self._provider.finish(incident)
        deadline = self._journal.clock.now() + SEAL_WITHIN
        while self._journal.clock.now() < deadline:
            state = await self._journal.state(incident)
            if all(known.sealed or known.failed for known in state.recordings):
                return
            await self._journal.clock.wait(SEAL_POLL)
        log.warning("recording_unsealed", incident=incident)

    async def handle(self, batch: Sequence[Recorded]) -> None:
        """As a reader: a closed incident needs no conference any more."""
        for recorded in batch:
            if isinstance(recorded.event, IncidentClosed):
                await self._provider.finish(recorded.incident)

    async def settle(self) -> None:
        """After a restart: legs that the journal believes in and the provider does not know are gone."""
        up = {leg.leg for leg in await self._provider.legs()}
        _, incidents = await self._journal.queue(limit=10_000, states=OPEN)
        for incident in incidents:
            for leg in incident.legs:
                if leg.up and leg.leg not in up:
                    await self._tell(incident.id, LeaveLeg(leg=leg.leg, reason="restart"))

    async def run(self) -> None:
        """Bring what the provider tells into the journal, for ever."""
        async for event in self._provider.events():
            await self._tell(event.incident, _command(event))

    async def _tell(self, incident: IncidentId, command: Command) -> None:
        """Write one fact, however long the database is away: facts of a call are not thrown away."""
        while True:
            try:
                await self._journal.execute(incident, command, actor=f"provider:{self._provider.name}")
                return
            except Unavailable:
                log.warning("voice_fact_waits", incident=incident, fact=type(command).__name__)
                await self._journal.clock.wait(RETRY)
            except SosError as refused:
                log.error("voice_fact_refused", incident=incident, fact=type(command).__name__, reason=str(refused))
                return


def _may_join(state: Incident, leg: LegId, party: Party, who: str) -> None:
    if state.state is State.CLOSED:
        raise Refused("the incident is closed")
    if party is Party.OPERATOR and state.operator != who:
        raise Forbidden("only the operator who has the incident may join its call: answer it first")
    known = state.leg(leg)
    if known is not None and (known.party, known.who) != (party, who):
        raise Forbidden("this leg is somebody else's")


def _command(event: ProviderEvent) -> Command:
    match event:
        case LegUp():
            return JoinLeg(leg=event.leg, party=event.party, who=event.who)
        case LegDown():
            return LeaveLeg(leg=event.leg, reason=event.reason)
        case RecordingBegun():
            return StartRecording(recording=event.recording)
        case RecordingDone():
            return SealRecording(
                recording=event.recording,
                manifest=event.manifest,
                manifest_digest=sha256(event.manifest).hexdigest(),
                chunks=event.chunks,
                duration_ms=event.duration_ms,
            )
        case RecordingBroken():
            return FailRecording(recording=event.recording, reason=event.reason)
