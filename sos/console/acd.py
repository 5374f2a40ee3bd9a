"""Call distribution: each waiting incident rings at the best free desk; what nobody takes rings everywhere.

A reader for what the journal says, a task that rings, and a watch for desks that fell silent.  The reader never waits
for the ringing: under a flood what it reads is what lets the next call ring.  The louder rungs are deadlines of the
lifecycle (``sos.incident.attendance``), so they come even when no desk is connected and after any restart.

Somebody on call has an incident by telephone and no desk: that operator is there while the telephone is up.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from sos.console.desks import Desk, Desks
from sos.console.skills import Wanted, wanted_by
from sos.errors import Refused, SosError, Unavailable
from sos.incident import attendance, testcall, voiceless
from sos.incident.commands import OfferDesks, ReleaseOperator
from sos.incident.deadline import DeadlineName
from sos.incident.events import (
    DeskOffered,
    HelpEscalated,
    IncidentClosed,
    IncidentOpened,
    IncidentReopened,
    LegJoined,
    LegLeft,
    OperatorAssigned,
    OperatorLost,
    PlanMade,
    Recorded,
)
from sos.incident.model import DeskId, Incident, IncidentId, LegId, OperatorId, Party, State
from sos.journal.journal import Journal

ACTOR = "system:acd"

RUNG_AT_ONCE = 8
"""Incidents that begin to ring in one go: a neighbour's waits for no more than these."""

AGAIN = timedelta(seconds=1)

UNPLANNED = timedelta(milliseconds=400)
"""How long a call waits for its plan, which says how urgent it is; then it rings without."""

RINGS_AT_DESK = timedelta(seconds=20)
"""How long the telephone of an operator's desk may ring before others try: it is on its way, unlike a browser that says
nothing (``voiceless``)."""

UNWORKED_MOST = 3
"""Calls that one operator may have without speaking or having decided in them, while others could take the next."""

WAITING = (State.RECEIVED, State.REOPENED)
OWNED = (State.IN_CALL, State.HANDING_OVER, State.HANDED_OVER)

log = structlog.get_logger()


class Distribution:
    WANTS = (
        DeskOffered,
        HelpEscalated,
        IncidentClosed,
        IncidentOpened,
        IncidentReopened,
        LegLeft,
        OperatorAssigned,
        OperatorLost,
        PlanMade,
    )

    def __init__(self, journal: Journal, desks: Desks) -> None:
        self._journal = journal
        self._desks = desks
        self._due = asyncio.Event()
        """Something waits that may ring, or a desk is free that may be rung at."""
        self._unplanned: dict[IncidentId, datetime] = {}
        self._rings = asyncio.Lock()

    async def handle(self, batch: Sequence[Recorded]) -> None:
        for recorded in batch:
            if not await self._holds_nobody(recorded):
                self._note(recorded)
            match recorded.event:
                case HelpEscalated(rung=attendance.NEXT_DESK):
                    await self._pass_on(recorded.incident)
                case HelpEscalated(rung=DeadlineName.NO_VOICE):
                    await self._ring_elsewhere(await self._journal.state(recorded.incident))
                case LegLeft(leg=leg):
                    await self._hung_up(recorded.incident, leg)
                case IncidentOpened():
                    self._unplanned[recorded.incident] = recorded.at
                case PlanMade() | IncidentReopened() | OperatorLost() | IncidentClosed() | OperatorAssigned():
                    self._due.set()
                case _:
                    pass
            if not isinstance(recorded.event, IncidentOpened):
                self._unplanned.pop(recorded.incident, None)

    async def _holds_nobody(self, recorded: Recorded) -> bool:
        """Whether it is the answering of a test: whoever does that is as free as before."""
        answered = isinstance(recorded.event, OperatorAssigned)
        return answered and testcall.quiet(await self._journal.state(recorded.incident))

    def _note(self, recorded: Recorded) -> None:
        """Keep the desks' work in step with the journal."""
        match recorded.event:
            case DeskOffered(desks=desks):
                for desk in self._desks:
                    if desk.id in desks:
                        desk.offered = recorded.incident
                    elif desks and desk.offered == recorded.incident:  # passed over: the others come first now
                        desk.offered, desk.ready_since = None, recorded.at
            case OperatorAssigned(operator=operator):
                for desk in self._desks:
                    if desk.offered == recorded.incident:
                        desk.offered = None
                    if desk.operator == operator:
                        desk.incident = recorded.incident
                    elif desk.incident == recorded.incident:  # it was taken over
                        desk.incident, desk.ready_since = None, recorded.at
            case OperatorLost():
                for desk in self._desks:
                    if desk.incident == recorded.incident:
                        desk.incident, desk.ready_since = None, recorded.at  # the others come first now
            case IncidentClosed():
                for desk in self._desks:
                    if desk.incident == recorded.incident:
                        desk.incident = None
            case _:
                pass

    async def ring(self) -> None:
        """Ring whenever something may, for ever."""
        while True:
            await self._due.wait()
            try:
                await self.settle()
            except Unavailable as away:
                log.warning("distribution_waits", reason=str(away))
                await self._journal.clock.wait(AGAIN)
                self._due.set()

    async def settle(self) -> None:
        """Ring now what may ring."""
        if self._due.is_set():
            self._due.clear()
            await self.distribute()

    async def hurry(self, *, every: timedelta = UNPLANNED / 4) -> None:
        """Have ring what waits for its plan too long, for ever."""
        while True:
            await self._journal.clock.wait(every)
            late = self._journal.clock.now() - UNPLANNED
            waited = [incident for incident, since in self._unplanned.items() if since <= late]
            for incident in waited:
                del self._unplanned[incident]
            if waited:
                self._due.set()

    async def distribute(self) -> None:
        """Ring what waits, the most urgent first, tenants in turns: at a free desk each, and everywhere once none is.

        One round at a time, or two would ring at one desk; where one was full and rang, the next follows.  Where
        nobody sits at all nothing rings yet; the lifecycle rings everywhere two seconds later.
        """
        async with self._rings:
            if await self._ring_what_waits():
                self._due.set()

    async def _ring_what_waits(self) -> bool:
        """Whether more may wait behind what rang."""
        if not self._desks.staffed:
            return False
        _, waiting = await self._journal.queue(limit=RUNG_AT_ONCE, states=WAITING)
        full, offers = len(waiting) == RUNG_AT_ONCE, []
        # Test calls have a queue of their own, and ring nowhere.
        waiting = [incident for incident in waiting if not testcall.quiet(incident)]
        for incident, wanted in zip(waiting, await self._wanted(waiting), strict=True):
            desk = self._desks.free(wanted=wanted)
            if desk is not None:
                desk.offered = incident.id
            offers.append(self._offer_to(desk, incident))
        rang = False
        for outcome in await asyncio.gather(*offers, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
            rang = rang or outcome
        return full and rang

    async def _wanted(self, incidents: Sequence[Incident]) -> Sequence[Wanted]:
        """What each would best be answered with; nothing is opened for it where no language could decide."""
        if self._desks.chooses:
            return await wanted_by(self._journal, incidents)
        return [Wanted(tenant=each.tenant) for each in incidents]

    async def _offer_to(self, desk: Desk | None, incident: Incident) -> bool:
        """As ``_offer``; a desk that was meant for it and does not ring is free again: nothing will be read of it."""
        rang = False
        try:
            rang = await self._offer(incident, *(() if desk is None else (desk.id,)))
        finally:
            if desk is not None and not rang and desk.offered == incident.id:
                desk.offered = None
        return rang

    async def _offer(self, incident: Incident, *desks: DeskId) -> bool:
        """Ring at ``desks``; without any, everywhere.  False when somebody took it in the same moment."""
        try:
            done = await self._journal.execute(incident.id, OfferDesks(desks=desks), actor=ACTOR)
            return bool(done.recorded)
        except Unavailable:
            raise
        except SosError as refused:
            log.info("offer_refused", incident=incident.id, desks=desks, reason=str(refused))
            return False

    async def _pass_on(self, incident: IncidentId) -> None:
        """The desk that rings does not answer: the next best one, or every desk when no other is free."""
        state = await self._journal.state(incident)
        if state.state is not State.RINGING or not state.desks:
            return
        (wanted,) = await self._wanted((state,))
        desk = self._desks.free(but=state.desks, wanted=wanted)
        await self._offer(state, *(() if desk is None else (desk.id,)))

    async def _hung_up(self, incident: IncidentId, leg: LegId) -> None:
        """Whoever had the incident by telephone and sits at no desk is gone with the call."""
        state = await self._journal.state(incident)
        known = state.leg(leg)
        if known is None or known.party is not Party.SUPERVISOR or known.who != state.operator:
            return
        if attendance.telephone(state) is None and not self._desks.connected(state.operator):
            await self._release(incident, state, reason="telephone_down")

    async def arrived(self, desk: DeskId, operator: str) -> None:
        """A desk came (back): give it the incident it has, or the next one that waits."""
        _, owned = await self._journal.queue(limit=10_000, states=OWNED)
        for known in self._desks:
            if known.id == desk:
                mine = (i.id for i in owned if i.operator == operator and not testcall.quiet(i))
                known.incident = next(mine, None)
        await self.distribute()

    async def watch(self, *, every: timedelta = timedelta(seconds=2)) -> None:
        """Give the incidents of silent desks back to the others, and hand out what has been waiting, for ever."""
        while True:
            await self._journal.clock.wait(every)
            try:
                await self.release_silent()
                await self.release_voiceless()
                await self.distribute()
            except Unavailable as away:
                log.warning("distribution_waits", reason=str(away))

    async def release_silent(self) -> None:
        """Take their incidents from operators who have neither a desk that is heard nor a telephone that is up."""
        _, owned = await self._journal.queue(limit=10_000, states=OWNED)
        for incident in owned:
            if incident.operator is None or self._desks.present(incident.operator):
                continue
            if attendance.telephone(incident) is None:
                await self._release(incident.id, incident, reason="desk_silent")

    async def release_voiceless(self) -> None:
        """Try again what could ring nowhere else when its operator's voice did not come."""
        _, answered = await self._journal.queue(limit=10_000, states=OWNED)
        for incident in answered:
            if incident.voiceless is not None and incident.voiceless.alarmed:
                await self._ring_elsewhere(incident)

    async def _ring_elsewhere(self, incident: Incident) -> None:
        """Take from an operator, once, a call in which the car is there and the operator's voice does not come up."""
        operator, known = incident.operator, incident.voiceless
        if operator is None or known is None or not self._desks.others_ready(operator):
            return
        rings = any(leg.ringing and leg.who == operator for leg in incident.legs)
        if rings and self._journal.clock.now() - known.since < RINGS_AT_DESK:
            return
        if not await self._spoke_or_lost_it(incident.id, operator):
            await self._release(incident.id, incident, reason="no_voice")

    async def _spoke_or_lost_it(self, incident: IncidentId, operator: OperatorId) -> bool:
        """Whether the operator has been heard, so that the voice may come back, or lost the call before."""
        for recorded in await self._journal.store.stream(incident):
            match recorded.event:
                case LegJoined(party=Party.OPERATOR | Party.SUPERVISOR, who=who) if who == operator:
                    return True
                case OperatorLost(operator=lost) if lost == operator:
                    return True
                case _:
                    pass
        return False

    async def check_hoard(self, operator: OperatorId) -> None:
        """``Refused`` where ``operator`` has calls enough in which nobody speaks, and somebody else could answer."""
        if not self._desks.others_ready(operator):
            return
        _, answered = await self._journal.queue(limit=10_000, states=(State.IN_CALL,))
        unworked = [
            incident for incident in answered if incident.operator == operator and not voiceless.voice(incident)
        ]
        if len(unworked) >= UNWORKED_MOST:
            raise Refused(f"{len(unworked)} calls are yours and you speak in none of them: others can take this one")

    async def _release(self, incident: IncidentId, state: Incident, *, reason: str) -> None:
        assert state.operator is not None
        command = ReleaseOperator(operator=state.operator, reason=reason)
        await self._journal.execute(incident, command, actor=ACTOR)
        log.warning("operator_lost", incident=incident, reason=reason)
