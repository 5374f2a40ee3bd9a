"""Reports that came in while the database is away: told to every desk at once, recorded as shown afterwards.

A spooled report must ring (nothing that waits for the database may wait for help).  It is shown with position, vehicle
and call-back number before the access can stand in the journal, which is the one exception to the rule that an access
is written first: the structured log gets the incident id at once, and as soon as the spool is drained the journal gets
a ``PartsRead`` for each report shown.  What a killed process showed stands in the structured log only.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import islice

import structlog
from msgspec import Struct

from routing.categories import Category
from sos.clock import timestamp
from sos.console.frames import Degraded, Recorded, ReportKnown
from sos.console.hub import Hub, Mailbox, message
from sos.errors import Refused, Unavailable, Unknown
from sos.incident.commands import ReadParts
from sos.incident.model import IncidentId, Mode, Trigger
from sos.incident.report import EmergencyReport
from sos.journal.journal import Journal

log = structlog.get_logger()

EVERY = timedelta(seconds=1)

TOLD_AGAIN = 500
"""Reports told to a desk that joins during the outage at most, the oldest first."""

ACTOR = "system:degraded"

SHOWN = (Category.LOC, Category.VEH, Category.SEV, Category.TEL)


class Unrecorded(Struct, frozen=True, kw_only=True):
    """A report that is safe on this machine's disk and not in the journal yet."""

    incident: IncidentId
    received_at: datetime
    trigger: Trigger
    mode: Mode
    report: EmergencyReport


class Outage:
    def __init__(self, journal: Journal, hub: Hub) -> None:
        self._journal = journal
        self._hub = hub
        self._shown: dict[IncidentId, str] = {}

    @property
    def shown(self) -> Mapping[IncidentId, str]:
        """What desks have been told and the journal does not know yet."""
        return self._shown

    def ring(self, report: Unrecorded) -> None:
        """Tell every desk."""
        log.warning("shown_unrecorded", incident=report.incident)
        self._shown[report.incident] = told = _degraded(report)
        self._hub.tell(told)

    def take_over(self, shown: Mapping[IncidentId, str]) -> None:
        """What desks were told before this service was whole: told to them here too, and written down in time."""
        for incident, told in shown.items():
            self._shown.setdefault(incident, told)
            self._hub.tell(told)

    def tell(self, mailbox: Mailbox) -> None:
        """Tell a desk that joins what the others know already."""
        for told in islice(self._shown.values(), TOLD_AGAIN):
            mailbox.put(told)

    async def watch(self) -> None:
        """Settle as soon as nothing waits in the spool any more, for ever."""
        while True:
            if self._shown and self._journal.spool_oldest is None:
                try:
                    await self.settle()
                except Unavailable as away:
                    log.warning("shown_not_recorded_yet", reason=str(away))
            await self._journal.clock.wait(EVERY)

    async def settle(self) -> None:
        """Write down what was shown, and take it off the desks: the journal rings from now on."""
        for incident in list(self._shown):
            command = ReadParts(reader=ACTOR, categories=tuple(sorted(SHOWN)), purpose="emergency_handling")
            try:
                await self._journal.execute(incident, command, actor=ACTOR)
            except (Unknown, Refused) as not_there:  # it repeated a report that had opened another incident
                log.warning("shown_and_not_opened", incident=incident, reason=str(not_there))
            del self._shown[incident]
            self._hub.tell(message(Recorded(incident=incident)))


def _degraded(report: Unrecorded) -> str:
    known = report.report
    return message(
        Degraded(
            incident=report.incident,
            received_at=timestamp(report.received_at),
            trigger=report.trigger,
            mode=report.mode,
            report=ReportKnown(
                location=known.location,
                vehicle=known.vehicle,
                crash=known.crash,
                call_back=known.call_back,
            ),
        )
    )
