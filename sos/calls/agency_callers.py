"""An agency that telephones comes into the incident that it was told of, and opens none of its own.

It is known by the number it calls from, which is a line of it in the directory.  Networks let a caller show any number
(RFC 8224 says why), so the number alone opens nothing: it leads into the newest open incident of which this agency was
told and in which a person of ours talks with whoever comes, and no machine reads anything to it (``Leg.called_in``).  A
number of no agency, or of one that was told of nothing that somebody has, is a vehicle's like any other, and rings.
"""

from collections.abc import Callable, Collection
from datetime import UTC, datetime

import structlog
from msgspec import Struct

from sos.errors import SosError
from sos.incident.model import AgencyId, Incident, IncidentId, State
from sos.incident.voice import attended
from sos.journal.journal import Journal

log = structlog.get_logger()

TOLD = (State.HANDING_OVER, State.HANDED_OVER)
"""States of an incident of which somebody was told and that is not closed."""

LOOKED_THROUGH = 10_000
"""Incidents among which the agency's is looked for."""

_NEVER = datetime.min.replace(tzinfo=UTC)

AgenciesAt = Callable[[str], Collection[AgencyId]]
"""The agencies that have this number (E.164) as one of their lines."""


class CallsBack(Struct, frozen=True):
    incident: IncidentId
    agency: AgencyId


class AgencyCallers:
    def __init__(self, journal: Journal, agencies_at: AgenciesAt) -> None:
        self._journal = journal
        self._agencies_at = agencies_at

    async def find(self, tel: str | None) -> CallsBack | None:
        """Which agency calls from ``tel`` (E.164), and about what; None when it is none, or while nobody can say."""
        agencies = self._agencies_at(tel) if tel else ()
        if not agencies:
            return None
        try:
            _, told = await self._journal.queue(limit=LOOKED_THROUGH, states=TOLD)
        except SosError as away:  # then the call opens an incident of its own: a person answers all the same
            log.error("agency_caller_unknown", reason=str(away))
            return None
        found = [(state, agency) for state in told if attended(state) and (agency := _told(state, agencies))]
        if not found:
            return None
        state, agency = max(found, key=lambda each: each[0].tried_at or _NEVER)
        log.info("agency_calls_back", incident=state.id, agency=agency, among=len(found))
        return CallsBack(state.id, agency)


def _told(state: Incident, agencies: Collection[AgencyId]) -> AgencyId | None:
    """Which of ``agencies`` was told of the incident last; one that has refused is still in it while it is open."""
    return next((told.agency for told in reversed(state.disclosures) if told.agency in agencies), None)
