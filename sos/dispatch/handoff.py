"""Hop 8: the brief leaves, once; and is tried again until a machine there has it.

A reader.  Intent before effect: ``DeliveryStarted`` stands in the journal before the channel is asked to deliver, and
every attempt after the first asks the channel first whether it has this disclosure already.
"""

from collections.abc import Mapping, Sequence

import structlog

from routing.categories import Category
from routing.directory import Directory
from sos.dispatch.port import AgencyChannel, Parcel, Receipt
from sos.errors import Unavailable
from sos.incident.commands import ConfirmDelivery, FailDelivery, StartDelivery
from sos.incident.events import DeliveryStarted, DisclosureDecided, HelpEscalated, Recorded
from sos.incident.model import DisclosureId, IncidentId
from sos.journal.journal import Journal

ACTOR = "system:handoff"

log = structlog.get_logger()


class Handoff:
    """Delivers what has been decided, over the channels the directory names for each agency."""

    def __init__(self, journal: Journal, *, directory: Directory, channels: Mapping[str, AgencyChannel]) -> None:
        self._journal = journal
        self._directory = directory
        self._channels = channels

    async def handle(self, batch: Sequence[Recorded]) -> None:
        for recorded in batch:
            match recorded.event:
                case DisclosureDecided(disclosure=disclosure):
                    await self._deliver(recorded.incident, disclosure, answers=recorded.id)
                case HelpEscalated(rung="redeliver"):
                    await self._deliver_pending(recorded)

    async def _deliver_pending(self, escalated: Recorded) -> None:
        state = await self._journal.state(escalated.incident)
        for disclosure in state.disclosures:
            if disclosure.pending and disclosure.reached is None:
                await self._deliver(escalated.incident, disclosure.disclosure, answers=escalated.id)

    async def _deliver(self, incident: IncidentId, disclosure: DisclosureId, *, answers: str) -> None:
        parcel = await self._parcel(incident, disclosure)
        channel = self._channel(parcel)
        started = await self._journal.execute(
            incident, StartDelivery(disclosure=disclosure, channel=channel.name), actor=ACTOR, answers=answers
        )
        if not started.recorded:  # somebody there has it already
            return
        begun = started.recorded[0].event
        assert isinstance(begun, DeliveryStarted)
        try:
            receipt = await self._hand_over(channel, parcel, again=begun.attempt > 1)
        except Unavailable as failed:
            log.warning("delivery_failed", incident=incident, disclosure=disclosure, attempt=begun.attempt)
            command = FailDelivery(disclosure=disclosure, attempt=begun.attempt, reason=str(failed))
            await self._journal.execute(incident, command, actor=f"channel:{channel.name}", answers=answers)
            return
        confirmed = ConfirmDelivery(disclosure=disclosure, level=receipt.level, receipt=receipt.reference)
        await self._journal.execute(incident, confirmed, actor=f"channel:{channel.name}", answers=answers)

    async def _hand_over(self, channel: AgencyChannel, parcel: Parcel, *, again: bool) -> Receipt:
        if again and (known := await channel.find(parcel.disclosure)):
            return known
        return await channel.deliver(parcel)

    async def _parcel(self, incident: IncidentId, disclosure: DisclosureId) -> Parcel:
        """The brief as it was decided, read back from the journal."""
        for recorded in await self._journal.store.stream(incident):
            event = recorded.event
            if isinstance(event, DisclosureDecided) and event.disclosure == disclosure:
                parts = await self._journal.parts_of(recorded)
                return Parcel(incident=incident, disclosure=disclosure, agency=event.agency, brief=parts[Category.RAW])
        raise AssertionError(f"disclosure {disclosure} is in the state of {incident} and not in its stream")

    def _channel(self, parcel: Parcel) -> AgencyChannel:
        """The first channel of the agency that this house can speak; the portal is always there."""
        agency = self._directory.agencies[parcel.agency]
        spoken = [name for name in agency.channels if name in self._channels]
        return self._channels[spoken[0] if spoken else "portal"]
