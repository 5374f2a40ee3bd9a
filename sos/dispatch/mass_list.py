"""The list of a mass event for one agency: each incident that it was told of, and the number of its version.

It is a view and decides nothing.  Each row is a disclosure of its own, decided by the law for that incident, recorded
and chased there until a human being at the agency has taken over that incident; a list is made of the briefs as they
were decided.  What is read for it is recorded in each incident.  The version is counted from the journal, so it is the
same in every process and after a restart, and it never goes back.
"""

from collections.abc import Iterable

import structlog

from routing.brief import Brief, read
from routing.brief.mass_list import MassList, Row, Standing, in_order
from routing.services import Service
from sos.dispatch.endings import End, Lasting
from sos.dispatch.replies import Replies
from sos.errors import KeyLost, Unknown
from sos.incident.events import (
    AgencyAcknowledged,
    AgencyRejected,
    DisclosureDecided,
    IncidentClosed,
    IncidentReopened,
    Recorded,
)
from sos.incident.model import Acknowledgement, AgencyId, Disclosure, DisclosureId, Incident, MassEventId, State
from sos.journal.journal import Journal

log = structlog.get_logger()

LISTED = 200
"""Rows of a list: more than one control room of an agency works at once.  The rest is counted, and told as ever."""

LOOKED_AT = 2_000
"""Incidents of a mass event that are looked through for those of one agency."""

Telling = tuple[Incident, Disclosure]


class MassLists:
    def __init__(self, journal: Journal, replies: Replies, *, lasting: Lasting) -> None:
        self._journal = journal
        self._replies = replies
        self._lasting = lasting

    async def of(self, agency: AgencyId, mass_event: MassEventId, *, name: str) -> MassList:
        """The list as it stands.  That the agency reads it is in the journal of each incident first."""
        tellings = await self.tellings(agency, mass_event)
        rows = [await self._row(incident, told) for incident, told in tellings[:LISTED]]
        return MassList(
            agency_name=name,
            version=await self._counted(agency, tellings),
            rows=in_order(rows),
            more=max(0, len(tellings) - LISTED),
        )

    async def version(self, agency: AgencyId, mass_event: MassEventId) -> int:
        """0: the agency has been told of nothing there."""
        return await self._counted(agency, await self.tellings(agency, mass_event))

    async def tellings(self, agency: AgencyId, mass_event: MassEventId) -> list[Telling]:
        """What was told to ``agency`` last of each incident; those that it may still have to go to first."""
        found = []
        for incident in await self._journal.listed(mass_event, limit=LOOKED_AT):
            told = [each for each in incident.disclosures if each.agency == agency]
            if told:
                found.append((incident, told[-1]))
        return sorted(found, key=lambda each: each[0].state is State.CLOSED)

    async def _row(self, incident: Incident, told: Disclosure) -> Row:
        over = await self._replies.ended(incident.id, told, expires=None, lasting=self._lasting)
        brief = None if over is not None else await self._brief(incident, told)
        return Row(
            incident=incident.id,
            disclosure=told.disclosure,
            standing=standing_of(incident, told.agency, over),
            brief=brief,
            shut=over is None and brief is None,
        )

    async def _brief(self, incident: Incident, told: Disclosure) -> Brief | None:
        """None where it cannot be opened: that is of one row, and the agency works by the others."""
        try:
            return read(await self._replies.brief(incident.id, told))
        except (KeyLost, Unknown) as shut:
            log.error("row_cannot_be_opened", incident=incident.id, error=type(shut).__name__)
            return None

    async def _counted(self, agency: AgencyId, tellings: Iterable[Telling]) -> int:
        number = 0
        for incident, told in tellings:
            number += len(changes(await self._journal.store.stream(incident.id), agency, told.service, incident))
        return number


_OVER = {
    End.EXPIRED: Standing.EXPIRED,
    End.REFUSED: Standing.REFUSED,
    End.ANOTHER: Standing.ANOTHER,
    End.CLOSED: Standing.CLOSED,
}


def standing_of(incident: Incident, agency: AgencyId, over: End | None) -> Standing:
    """``over``: why what the agency was told is not to be seen any more."""
    if over is not None:
        return _OVER[over]
    if incident.state is State.CLOSED:
        return Standing.CLOSED
    taken = any(each.taken_over for each in incident.disclosures if each.agency == agency)
    return Standing.TAKEN_OVER if taken else Standing.WAITS


def changes(stream: Iterable[Recorded], agency: AgencyId, service: Service, incident: Incident) -> list[Recorded]:
    """The events that make another row of it in the list of ``agency``; a second word of the same kind makes none."""
    beside = {each.disclosure for each in incident.disclosures if each.service == service}
    ours = {each.disclosure for each in incident.disclosures if each.agency == agency}
    taken: set[DisclosureId] = set()
    found: list[Recorded] = []
    for recorded in stream:
        match recorded.event:
            case DisclosureDecided(agency=told) if told == agency:
                found.append(recorded)
            case AgencyAcknowledged(disclosure=told, level=Acknowledgement.TAKEN_OVER) if told in beside - taken:
                taken.add(told)
                found.append(recorded)
            case AgencyRejected(disclosure=told) if told in ours:
                found.append(recorded)
            case IncidentClosed() | IncidentReopened():
                found.append(recorded)
    return found
