"""What the service does by itself, every minute: which request and which report of a breach is late.  It answers and
reports nothing.

Late falls due again every day, so that a reminder nobody acted on is not the last; the figures are an alarm's.
"""

from collections.abc import Mapping
from datetime import timedelta

import structlog
from prometheus_client import CollectorRegistry, Gauge

from sos.clock import Clock
from sos.errors import Conflict, Refused, Unavailable
from sos.incident.events import BreachOverdue, Draft, RightOverdue
from sos.rights.breach import Breach, falls_due
from sos.rights.ledger import RightsLedger, StreamLedger, draft
from sos.rights.request import RightsRequest

log = structlog.get_logger()

EVERY = timedelta(minutes=1)
ACTOR = "timer"


class Overseer:
    def __init__(self, ledger: RightsLedger, *, clock: Clock, breaches: StreamLedger[Breach] | None = None) -> None:
        self._ledger = ledger
        self._breaches = breaches
        self._clock = clock
        self._late = 0
        self.figures = CollectorRegistry()
        self._open = Gauge("sos_rights_open", "Requests of people about their data that wait", registry=self.figures)
        self._overdue = Gauge(
            "sos_rights_overdue", "Requests of people about their data whose time has passed", registry=self.figures
        )
        self._breached = Gauge("sos_breach_overdue", "Reports of breaches whose time has passed", registry=self.figures)
        self._next = Gauge(
            "sos_rights_due_seconds", "Until the next of them is due; negative: since it was", registry=self.figures
        )

    def state(self) -> Mapping[str, str]:
        """``down`` while a request is late, as of the last look."""
        return {"rights": "down"} if self._late else {}

    async def watch(self) -> None:
        """Look at once and every minute, for ever."""
        while True:
            try:
                await self.look()
            except (Unavailable, Conflict) as failed:
                log.warning("rights_not_looked_at", error=type(failed).__name__)
            await self._clock.wait(EVERY)

    async def look(self) -> None:
        """One round."""
        now = self._clock.now()
        waiting = await self._ledger.open()
        late = [each for each in waiting if each.due_at is not None and each.due_at <= now]
        breaches = await self._breaches.open() if self._breaches is not None else ()
        overdue = [(each, stage) for each in breaches for stage in each.waiting if each.due[stage] <= now]
        self._breached.set(len(overdue))
        self._late = len(late) + len(overdue)
        self._open.set(len(waiting))
        self._overdue.set(len(late))
        first = min((each.due_at for each in waiting if each.due_at is not None), default=None)
        self._next.set(0 if first is None else (first - now).total_seconds())
        for each in late:
            await self._say(each.request)
        for breach in dict.fromkeys(each.breach for each, _ in overdue):
            await self._say_of_breach(breach)

    async def _say_of_breach(self, breach: str) -> None:
        assert self._breaches is not None

        def decide(state: Breach) -> tuple[Draft, ...]:
            stages = falls_due(state, now=self._clock.now())
            return tuple(draft(BreachOverdue(stage=each, late=state.late.get(each, 0) + 1)) for each in stages)

        try:
            after = await self._breaches.change(breach, decide, actor=ACTOR)
        except Refused:  # reported at this moment
            return
        log.error("breach_overdue", breach=breach, stages=list(after.waiting))

    async def _say(self, request: str) -> None:
        def decide(state: RightsRequest) -> tuple[Draft, ...]:
            falls = state.falls_due()
            if falls is None or falls > self._clock.now():
                return ()
            return (draft(RightOverdue(late=state.late + 1)),)

        try:
            after = await self._ledger.change(request, decide, actor=ACTOR)
        except Refused:  # answered at this moment
            return
        log.error("rights_overdue", request=request, late=after.late)
