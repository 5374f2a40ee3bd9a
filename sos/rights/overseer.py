"""What the service does by itself, every minute: whose request is late.  It answers nothing and refuses nothing.

Late falls due again every day, so that a reminder nobody acted on is not the last; the figures are an alarm's.
"""

from collections.abc import Mapping
from datetime import timedelta

import structlog
from prometheus_client import CollectorRegistry, Gauge

from sos.clock import Clock
from sos.errors import Conflict, Refused, Unavailable
from sos.incident.events import Draft, RightOverdue
from sos.rights.ledger import RightsLedger, draft
from sos.rights.request import RightsRequest

log = structlog.get_logger()

EVERY = timedelta(minutes=1)
ACTOR = "timer"


class Overseer:
    def __init__(self, ledger: RightsLedger, *, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._late = 0
        self.figures = CollectorRegistry()
        self._open = Gauge("sos_rights_open", "Requests of people about their data that wait", registry=self.figures)
        self._overdue = Gauge(
            "sos_rights_overdue", "Requests of people about their data whose time has passed", registry=self.figures
        )
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
        self._late = len(late)
        self._open.set(len(waiting))
        self._overdue.set(len(late))
        first = min((each.due_at for each in waiting if each.due_at is not None), default=None)
        self._next.set(0 if first is None else (first - now).total_seconds())
        for each in late:
            await self._say(each.request)

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
