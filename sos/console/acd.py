"""Call distribution: each waiting incident rings at the best free desk; what nobody takes rings everywhere.

A reader for what the journal says, and a watch for desks that fell silent.  The louder rungs are deadlines of the
lifecycle (``ring_all``, ``unanswered``), so they come even when no desk is connected and after any restart.
"""

from collections.abc import Sequence
from datetime import timedelta

import structlog

from sos.console.desks import Desks
from sos.errors import SosError, Unavailable
from sos.incident.commands import OfferDesks, ReleaseOperator
from sos.incident.events import (
    DeskOffered,
    IncidentClosed,
    IncidentReopened,
    OperatorAssigned,
    OperatorLost,
    PlanMade,
    Recorded,
)
from sos.incident.model import DeskId, Incident, IncidentId, State
from sos.journal.journal import Journal

ACTOR = "system:acd"
WAITING = (State.RECEIVED, State.REOPENED)
OWNED = (State.IN_CALL, State.HANDING_OVER, State.HANDED_OVER)

log = structlog.get_logger()


class Distribution:
    def __init__(self, journal: Journal, desks: Desks) -> None:
        self._journal = journal
        self._desks = desks

    async def handle(self, batch: Sequence[Recorded]) -> None:
        arrivals = False
        for recorded in batch:
            self._note(recorded)
            arrivals = arrivals or isinstance(recorded.event, PlanMade | IncidentReopened | OperatorLost)
        if arrivals or any(isinstance(recorded.event, IncidentClosed | OperatorAssigned) for recorded in batch):
            await self.distribute()

    def _note(self, recorded: Recorded) -> None:
        """Keep the desks' work in step with the journal."""
        match recorded.event:
            case DeskOffered(desks=desks):
                for desk in self._desks:
                    if desk.id in desks:
                        desk.offered = recorded.incident
            case OperatorAssigned(operator=operator):
                for desk in self._desks:
                    if desk.offered == recorded.incident:
                        desk.offered = None
                    if desk.operator == operator:
                        desk.incident = recorded.incident
            case IncidentClosed() | OperatorLost():
                for desk in self._desks:
                    if desk.incident == recorded.incident:
                        desk.incident = None
            case _:
                pass

    async def distribute(self) -> None:
        """Ring waiting incidents at free desks, the most urgent first, until one or the other runs out."""
        if self._desks.free() is None:
            return
        _, waiting = await self._journal.queue(limit=16, states=WAITING)
        for incident in waiting:
            desk = self._desks.free()
            if desk is None:
                return
            desk.offered = incident.id
            await self._offer(incident, desk.id)

    async def _offer(self, incident: Incident, desk: DeskId) -> None:
        try:
            await self._journal.execute(incident.id, OfferDesks(desks=(desk,)), actor=ACTOR)
        except Unavailable:
            raise
        except SosError as refused:  # somebody took it in the same moment
            log.info("offer_refused", incident=incident.id, desk=desk, reason=str(refused))

    async def arrived(self, desk: DeskId, operator: str) -> None:
        """A desk came (back): give it the incident it has, or the next one that waits."""
        _, owned = await self._journal.queue(limit=10_000, states=OWNED)
        for known in self._desks:
            if known.id == desk:
                known.incident = next((i.id for i in owned if i.operator == operator), None)
        await self.distribute()

    async def watch(self, *, every: timedelta = timedelta(seconds=2)) -> None:
        """Give the incidents of silent desks back to the others, and hand out what has been waiting, for ever."""
        while True:
            await self._journal.clock.wait(every)
            try:
                await self._release_silent()
                await self.distribute()
            except Unavailable as away:
                log.warning("distribution_waits", reason=str(away))

    async def _release_silent(self) -> None:
        _, owned = await self._journal.queue(limit=10_000, states=OWNED)
        for incident in owned:
            if incident.operator is not None and not self._desks.present(incident.operator):
                await self._release(incident.id, incident)

    async def _release(self, incident: IncidentId, state: Incident) -> None:
        assert state.operator is not None
        command = ReleaseOperator(operator=state.operator, reason="desk_silent")
        await self._journal.execute(incident, command, actor=ACTOR)
        log.warning("operator_lost", incident=incident)
