"""The vehicle is on the line and hears nobody: somebody has the incident by name, and their voice is not there.

Part of ``lifecycle``, pure like all of it.  A name is no help: from the moment the vehicle is up and the voice of
whoever has the incident is not, ten seconds are counted, in whatever state it is.  Then others are alarmed, and the
call rings at other desks (``sos.console.acd``).  The count begins anew with each operator.

A vehicle that talks with an agency is not alone: operators leave the two to each other.  One that tests its line wants
nobody.  An agency that telephones back and finds nobody in the call is as alone as a vehicle is.
"""

from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from sos.incident import events as e
from sos.incident.deadline import Actor, Deadline, DeadlineName
from sos.incident.model import Incident, Mode, Party, State, Voiceless

ROW = Deadline(
    name=DeadlineName.NO_VOICE,
    after=timedelta(seconds=10),
    reason="the vehicle is up and the operator's voice is not: a browser needs two seconds, and nobody waits fifteen",
    actors=(Actor.SUPERVISORS, Actor.DISTRIBUTION),
)


def voice(incident: Incident) -> bool:
    """Whether the voice of whoever has the incident is there."""
    ours = (Party.OPERATOR, Party.SUPERVISOR)
    return any(leg.party in ours and leg.up and leg.who == incident.operator for leg in incident.legs)


def alone(incident: Incident) -> bool:
    """Whether somebody has the incident, the vehicle is on the line, and hears nobody."""
    if incident.operator is None or incident.state is State.CLOSED or incident.mode is Mode.TEST or voice(incident):
        return False
    if calls_back(incident):
        return True
    there = {leg.party for leg in incident.legs if leg.up and not leg.held}
    car = any(leg.party is Party.VEHICLE and leg.up for leg in incident.legs)
    return car and Party.AGENCY not in there


def calls_back(incident: Incident) -> bool:
    """Whether an agency has telephoned into the call and nobody is there who can answer it."""
    up = [leg for leg in incident.legs if leg.up and not leg.held]
    agency = any(leg.party is Party.AGENCY and leg.called_in for leg in up)
    return agency and all(leg.party in (Party.AGENCY, Party.INTERPRETER) for leg in up)


def due(incident: Incident) -> tuple[tuple[str, datetime], ...]:
    known = incident.voiceless
    return () if known is None or known.alarmed else ((ROW.name, known.since + ROW.after),)


def followed(incident: Incident, event: e.Event, at: datetime) -> dict[str, Any]:
    """What changes in ``incident``, as it is after ``event``, because nobody is heard now or somebody is."""
    known = incident.voiceless
    if not alone(incident):
        return {} if known is None else {"voiceless": None}
    if known is None or isinstance(event, e.OperatorAssigned):
        return {"voiceless": Voiceless(since=at)}
    if isinstance(event, e.HelpEscalated) and event.rung == ROW.name:
        return {"voiceless": replace(known, alarmed=True)}
    return {}
