"""Who was told of a place, a kind of emergency or a crash that holds no longer hears of the new one.

A reader.  Where the row of the law that let the agency be told still fits, the newer brief leaves without a further
word of a person; where it does not, the incident keeps saying so at the desk (``Disclosure.elsewhere``,
``Disclosure.otherwise``) until the operator decides.  An agency in whose area it is no more is told who is responsible
now, and goes on until they are there: software calls nobody off.  So too somebody whose service the new kind does not
call for: they are told so, and whether they turn back is theirs to decide.  A car that goes on moving makes one newer
brief a minute for each agency, of the place where it is then: nobody at an agency reads ten pages of ten places, and
the last place always gets there.

What is answered on the call is told to whoever has taken over, likewise once a minute at most (``sos.incident.cards``).
That the crash has another car, or is one by itself after all, is told to whoever has taken over (``linking``): an
agency that is still being called would be called anew for it.
"""

from collections.abc import Sequence
from datetime import datetime

import structlog

from sos.dispatch.disclosure import Disclosures
from sos.errors import Refused, Unknown
from sos.incident import cards, linking, place
from sos.incident.deadline import DeadlineName
from sos.incident.events import (
    AgencyAcknowledged,
    CardAnswered,
    HelpEscalated,
    IncidentsLinked,
    IncidentsUnlinked,
    PlanMade,
    Recorded,
)
from sos.incident.model import Disclosure, Incident, IncidentId, State
from sos.journal.journal import Journal

log = structlog.get_logger()

ACTOR = "system:corrections"


class Corrections:
    WANTS = (PlanMade, CardAnswered, HelpEscalated, IncidentsLinked, IncidentsUnlinked, AgencyAcknowledged)

    def __init__(self, journal: Journal, disclosures: Disclosures) -> None:
        self._journal = journal
        self._disclosures = disclosures

    async def handle(self, batch: Sequence[Recorded]) -> None:
        for recorded in batch:
            state = await self._journal.state(recorded.incident)
            match recorded.event:
                case PlanMade() | CardAnswered() | HelpEscalated(rung=DeadlineName.CORRECT):
                    outdated = _outdated(state, self._journal.clock.now())
                case IncidentsLinked() | IncidentsUnlinked() | AgencyAcknowledged():
                    outdated = (*linking.to_correct(state), *_unheard(state, self._journal.clock.now()))
                case _:
                    continue
            for told in dict.fromkeys(outdated):
                await self._correct(recorded.incident, told)

    async def _correct(self, incident: IncidentId, told: Disclosure) -> None:
        try:
            verdict = await self._disclosures.correct(incident, told, actor=ACTOR)
        except (Refused, Unknown) as refused:  # closed meanwhile, or told by the operator, or an agency that is gone
            log.info("correction_refused", incident=incident, agency=told.agency, reason=str(refused))
            return
        if not verdict.outcome.permits:
            log.warning("correction_needs_a_person", incident=incident, agency=told.agency, rule=verdict.rule)


def _unheard(state: Incident, now: datetime) -> tuple[Disclosure, ...]:
    """Who has taken over and not heard what was answered since."""
    return tuple(told for told in place.correctable(state, now) if cards.untold(state, told))


def _outdated(state: Incident, now: datetime) -> tuple[Disclosure, ...]:
    """Who has nothing newer: told of another kind; or of another place, or before something was answered, and the time
    for the newest has come."""
    if state.state is State.CLOSED:
        return ()
    elsewhere = place.correctable(state, now)
    otherwise = (told for told in state.disclosures if told.otherwise and not told.superseded and told not in elsewhere)
    return (*elsewhere, *otherwise)
