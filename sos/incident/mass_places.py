"""An incident inside a mass event: the place whose turn it takes, and what the house holds back of it from an agency.

Part of ``lifecycle``: its deciders and effects, pure like all of it.  Where it is comes from the plan and is placed by
a reader (``sos.dispatch.mass_event``); while the mass event is in force the queues go by it.  A telling that is held is
nobody's forgotten: it ends with somebody who answers, with an agency that is told, or with the word that none will be.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sos.errors import Refused
from sos.incident import attendance
from sos.incident import commands as c
from sos.incident import events as e
from sos.incident.model import Held, Incident, Mode, State

Decision = tuple[e.Draft, ...]


def _place(incident: Incident, command: c.PlaceInMassEvent, _: datetime) -> Decision:
    """Nothing for a test or a drill: they stand behind all that is live wherever they are."""
    if incident.mode is not Mode.LIVE or incident.state is State.CLOSED:
        return ()
    if (incident.mass_event, incident.mass_place) == (command.mass_event, command.place or None):
        return ()
    if (command.mass_event is None) is bool(command.place):
        raise Refused("a place belongs to a mass event, and none to none")
    return (e.Draft(event=e.PlacedInMassEvent(mass_event=command.mass_event, place=command.place)),)


def _hold(incident: Incident, command: c.HoldTelling, _: datetime) -> Decision:
    """Where the house could tell somebody now and does not yet."""
    if incident.unattended_at is None or attendance.NOBODY not in incident.sought or incident.held is not None:
        return ()
    if incident.mass_event is None or attendance.UNTOLD in incident.flags:
        return ()
    if any(told.unattended or told.engages for told in incident.disclosures):
        return ()
    return (e.Draft(event=e.TellingHeld(agency=command.agency)),)


DECIDERS: Mapping[type[c.Command], Callable[[Incident, Any, datetime], Decision]] = MappingProxyType(
    {
        c.PlaceInMassEvent: _place,
        c.HoldTelling: _hold,
    }
)

EFFECTS: Mapping[type[e.Event], Callable[[Incident, Any], dict[str, Any]]] = MappingProxyType(
    {
        e.PlacedInMassEvent: lambda _, event: {"mass_event": event.mass_event, "mass_place": event.place or None},
    }
)


def followed(incident: Incident, event: e.Event, at: datetime) -> dict[str, Any]:
    """What changes in ``incident``, as it is after ``event``: on which list it is, and whether a telling is held."""
    return _listed(incident) | _held(incident, event, at)


def _listed(incident: Incident) -> dict[str, Any]:
    """It never leaves a list again: whoever works by the list must not lose a row of it when the mass event is over."""
    told = incident.listed is None and incident.mass_event is not None and incident.disclosures
    return {"listed": incident.mass_event} if told else {}


def _held(incident: Incident, event: e.Event, at: datetime) -> dict[str, Any]:
    if isinstance(event, e.TellingHeld):
        return {"held": Held(agency=event.agency, at=at)}
    if incident.held is None:
        return {}
    settled = isinstance(event, e.DisclosureDecided | e.TellingWithheld | e.IncidentClosed)
    return {"held": None} if settled or incident.unattended_at is None else {}
