"""What the house tells one agency of one place of a mass event without a person, and what it holds back until asked.

Beyond a rate a machine knows no disaster from a fault, so a supervisor says, once for an agency and a place, how it
goes on: tell each, tell all that were held as one list every so many minutes, or hold.  What is held stands in the
incident (``TellingHeld``), so it survives restarts and is counted at every desk; desks ring for it all the while.  It
is told, or said to be told to nobody, and never both: the incident's own rules see to that.
"""

from datetime import datetime, timedelta

from sos.incident.mass_event import AskTelling, MassEvent, Telling
from sos.incident.model import AgencyId, HowToTell, Incident
from sos.journal.mass_events import MassEventLedger

ACTOR = "system:unattended"


def last_list(telling: Telling, now: datetime) -> datetime | None:
    """When the last list went out, by the answer's own clock: the first at once, and then every so many minutes."""
    if telling.answered_at is None or telling.every_min < 1 or now < telling.answered_at:
        return None
    every = timedelta(minutes=telling.every_min)
    return telling.answered_at + (now - telling.answered_at) // every * every


def let_go(telling: Telling | None, held_at: datetime, now: datetime) -> bool:
    """Whether what has been held since ``held_at`` is to be told now."""
    if telling is None or telling.how is None or telling.how is HowToTell.HOLD:
        return False
    if telling.how is HowToTell.EACH:
        return True
    last = last_list(telling, now)
    return last is not None and held_at <= last


class MassTellings:
    """How a telling stands, for an incident inside a mass event."""

    def __init__(self, ledger: MassEventLedger) -> None:
        self._ledger = ledger

    def of(self, incident: Incident) -> MassEvent | None:
        """The mass event in force that the incident lies in."""
        event = self._ledger.now.get(incident.mass_event)
        return event if event is not None and event.in_force and incident.mass_place is not None else None

    def answer(self, incident: Incident, agency: AgencyId) -> Telling | None:
        """What was asked or answered about this agency and the incident's place; None: nothing yet."""
        event = self.of(incident)
        return None if event is None or incident.mass_place is None else event.telling(agency, incident.mass_place)

    async def ask(self, incident: Incident, agency: AgencyId) -> None:
        """Ask a supervisor, once."""
        assert incident.mass_event is not None
        assert incident.mass_place is not None
        asked = AskTelling(
            mass_event=incident.mass_event, agency=agency, place=incident.mass_place, incident=incident.id
        )
        await self._ledger.execute(asked, actor=ACTOR)
