"""Not telling somebody whom the plan names: a decision like telling, with a reason from a list and in words.

Part of ``lifecycle``: its decider and effects, pure like all of it.  An incident is not closed while a service of its
plan was neither told nor decided against.  What has happened may turn out to be something else, so a decision holds
only while the kind of emergency does and until the incident is opened again.  A test call tells nobody anyway.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from routing.services import Service
from sos.errors import Refused
from sos.incident import commands as c
from sos.incident import events as e
from sos.incident import obligations
from sos.incident.model import DeclineReason, Incident, Mode, OperatorId, State

Decision = tuple[e.Draft, ...]


def undecided(incident: Incident) -> tuple[Service, ...]:
    """Services of the plan in force of which nobody was told and nobody has said why not."""
    if incident.mode is Mode.TEST:
        return ()
    told = {known.service for known in incident.disclosures}
    return tuple(each for each in incident.services if each not in told and each not in incident.declined)


def closing(incident: Incident, command: c.CloseIncident) -> Decision:
    """The decision that goes with closing; ``Refused`` where there is none and somebody was not told."""
    left = undecided(incident)
    if not left or incident.operator is None:
        return ()
    if command.untold is None:
        raise Refused(f"{', '.join(left)}: nobody was told; tell them, or say why not")
    return (_declined(incident.operator, left, command.untold, command.words),)


def _decline(incident: Incident, command: c.DeclineTelling, _: datetime) -> Decision:
    if incident.operator != command.operator:
        raise Refused("only the operator who has the incident decides who is told: answer it first")
    if incident.state is State.CLOSED:
        raise Refused("the incident is closed")
    left = undecided(incident)
    wanted = tuple(each for each in left if each in command.services)
    if strange := [each for each in command.services if each not in incident.services]:
        raise Refused(f"the plan does not name {', '.join(strange)}")
    return (_declined(command.operator, wanted, command.reason, command.words),) if wanted else ()


def _declined(operator: OperatorId, services: tuple[Service, ...], reason: DeclineReason, words: str) -> e.Draft:
    if not words.strip():
        raise Refused("why they are not told has to be written down")
    declined = e.TellingDeclined(operator=operator, services=services, reason=reason)
    return e.Draft(event=declined, parts=obligations.said(words))


DECIDERS: Mapping[type[c.Command], Callable[[Incident, Any, datetime], Decision]] = MappingProxyType(
    {c.DeclineTelling: _decline}
)

EFFECTS: Mapping[type[e.Event], Callable[[Incident, Any], dict[str, Any]]] = MappingProxyType(
    {
        e.TellingDeclined: lambda i, event: {"declined": tuple(dict.fromkeys((*i.declined, *event.services)))},
    }
)
