"""Mass events at the desks: what every desk shows of those that stand, and what a supervisor has decided.

What is shown is made of the stream of mass events and of counts, and told whenever it has changed.  It is an alarm
while somebody has to decide something: a proposal, a time that has run out, a telling that is held.  Supervisors hear
it at once, every desk where there is no supervisor or none has decided within half a minute.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

import structlog

from sos.clock import timestamp
from sos.console.desks import Desks
from sos.console.frames import MassEventsTold, MassEventTold, MassTellingTold
from sos.console.hub import Hub, Mailbox, message
from sos.errors import Unavailable
from sos.incident.alarms import LOUDER_AFTER
from sos.incident.mass_event import MassEvent, MassEvents, Order
from sos.incident.model import AgencyId, Audience, MassEventId, OperatorId
from sos.journal.journal import Journal
from sos.journal.mass_events import MassEventLedger

log = structlog.get_logger()

EVERY = timedelta(seconds=1)

COUNTED = 1_000
"""Held tellings that are counted by agency and place; all of them are in the mass event's own count."""

Waiting = Mapping[MassEventId, tuple[int, int]]
Held = Counter[tuple[MassEventId | None, AgencyId, str | None]]


class MassEventBoard:
    def __init__(
        self,
        ledger: MassEventLedger,
        journal: Journal,
        hub: Hub,
        desks: Desks,
        *,
        supervisors: Collection[OperatorId],
        renewed_after_h: float,
        names: Mapping[str, tuple[str, str]],
    ) -> None:
        """``names``: Japanese and English names of places by their codes."""
        self._ledger = ledger
        self._journal = journal
        self._hub = hub
        self._desks = desks
        self._supervisors = frozenset(supervisors)
        self._renewed_after_h = renewed_after_h
        self._names = names
        self._told = ""

    async def execute(self, order: Order, *, operator: OperatorId) -> None:
        """Have it decided, and tell every desk."""
        await self._ledger.execute(order, actor=f"operator:{operator}")
        await self.look()

    def tell(self, mailbox: Mailbox) -> None:
        """Tell a desk that joins what the others know."""
        if self._told:
            mailbox.put(self._told)

    async def watch(self) -> None:
        """Tell every desk what has changed, for ever."""
        while True:
            try:
                await self.look()
            except Unavailable as away:
                log.warning("mass_events_not_told", reason=str(away))
            await self._journal.clock.wait(EVERY)

    async def look(self) -> None:
        told = message(await self._frame())
        if told != self._told:
            self._told = told
            self._hub.tell(told)

    async def _frame(self) -> MassEventsTold:
        now = self._ledger.now
        waiting: Waiting = await self._journal.store.in_mass_events() if now.in_force else {}
        held: Held = Counter()
        if any(count for _, count in waiting.values()):
            for incident in await self._journal.held(limit=COUNTED):
                if incident.held is not None:
                    held[incident.mass_event, incident.held.agency, incident.mass_place] += 1
        return MassEventsTold(
            decisions=now.decisions,
            renewed_after_h=self._renewed_after_h,
            audience=self._audience(now),
            events=[await self._event(each, waiting, held) for each in now.events],
        )

    async def _event(self, event: MassEvent, waiting: Waiting, held: Held) -> MassEventTold:
        said = await self._ledger.said(event)
        waits, holds = waiting.get(event.mass_event, (0, 0))
        return MassEventTold(
            mass_event=event.mass_event,
            in_force=event.in_force,
            name=said.name,
            words=said.words,
            since=timestamp(event.since),
            operator=event.operator,
            until=None if event.until is None else timestamp(event.until),
            overdue=event.overdue,
            area=event.area,
            area_names=[self._named(code) for code in event.area.codes],
            emergencies=event.emergencies,
            tenants=event.tenants,
            within_s=event.within_s,
            waiting=waits,
            held=holds,
            tellings=[
                MassTellingTold(
                    agency=each.agency,
                    place=each.place,
                    place_name=self._named(each.place),
                    asked_at=timestamp(each.asked_at),
                    how=each.how,
                    every_min=each.every_min,
                    operator=each.operator,
                    held=held[event.mass_event, each.agency, each.place],
                )
                for each in event.tellings
            ],
        )

    def _named(self, code: str) -> tuple[str, str]:
        return self._names.get(code, (code, code))

    def _audience(self, events: MassEvents) -> Audience | None:
        """Whom it alarms; nobody while nobody has to decide anything."""
        since = min(_undecided(events), default=None)
        if since is None:
            return None
        patient = self._journal.clock.now() - since < LOUDER_AFTER
        there = self._desks.heard() & self._supervisors
        return Audience.SUPERVISORS if there and patient else Audience.EVERYBODY


def _undecided(events: MassEvents) -> list[datetime]:
    """Since when each thing waits that a supervisor has to decide."""
    proposed = [each.since for each in events.events if not each.in_force]
    over = [each.until for each in events.in_force if each.overdue and each.until is not None]
    asked = [telling.asked_at for each in events.in_force for telling in each.tellings if telling.how is None]
    return [*proposed, *over, *asked]
