"""An incident goes from one operator to another: taken over with a reason, or offered with a note and accepted.

Part of ``lifecycle``: its deciders and effects, pure like all of it.  Whoever takes over names whom they take it from,
so that of two who do it at once the second hears who was first.  An offer binds nobody: until the colleague accepts,
the incident stays with whoever has it, and what is not answered is withdrawn and alarms.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from routing.categories import Category
from sos.errors import Forbidden, Refused
from sos.incident import commands as c
from sos.incident import events as e
from sos.incident import voiceless
from sos.incident.deadline import Actor, Deadline, DeadlineName
from sos.incident.model import DeskId, Handover, Incident, OperatorId, State, TakeoverReason
from sos.incident.report import canonical

ROW = Deadline(
    name=DeadlineName.HANDOVER_UNANSWERED,
    after=timedelta(seconds=30),
    reason="a colleague does not say whether they take the incident",
    actors=(Actor.SUPERVISORS,),
)

Decision = tuple[e.Draft, ...]


def due(incident: Incident) -> tuple[tuple[str, datetime], ...]:
    offered = incident.handover
    if offered is None or incident.state is State.CLOSED:
        return ()
    return ((ROW.name, offered.at + ROW.after),)


# --- deciders ---


def _take_over(incident: Incident, command: c.TakeOver, _: datetime) -> Decision:
    if incident.operator == command.operator:
        return ()
    if incident.operator is None or incident.state is State.CLOSED:
        raise Refused("nobody has this incident: answer it")
    if incident.operator != command.holder:
        raise Refused(f"{incident.operator} has this incident now")
    if command.reason is TakeoverReason.HANDOVER:
        raise Refused("what was offered is accepted, not taken")
    if command.reason is TakeoverReason.SUPERVISION and not command.supervisor:
        raise Forbidden("only a supervisor takes over without another reason")
    if command.reason is TakeoverReason.NO_VOICE and voiceless.voice(incident):
        raise Refused(f"{incident.operator} is in the call")
    return _assigned(incident, command.operator, command.desk, command.reason)


def _assigned(incident: Incident, operator: OperatorId, desk: DeskId, reason: TakeoverReason) -> Decision:
    assigned = e.OperatorAssigned(operator=operator, desk=desk, taken_from=incident.operator, reason=reason)
    return (e.Draft(event=assigned),)


def _offer(incident: Incident, command: c.OfferHandover, _: datetime) -> Decision:
    if incident.operator != command.operator or incident.state is State.CLOSED:
        raise Refused("only the operator who has the incident hands it over: answer it first")
    if command.to == command.operator:
        raise Refused("it is yours already")
    if incident.handover is not None and incident.handover.to == command.to:
        return ()
    parts = {Category.OBS: canonical({"text": command.note})} if command.note.strip() else {}
    return (e.Draft(event=e.HandoverOffered(operator=command.operator, to=command.to), parts=parts),)


def _answer(incident: Incident, command: c.AnswerHandover, _: datetime) -> Decision:
    offered = incident.handover
    if incident.operator == command.operator and command.accepted:
        return ()
    if offered is None or command.operator not in (offered.to, incident.operator):
        holder = f"{incident.operator} has it" if incident.operator else "nobody has it"
        raise Refused(f"this incident is not offered to you any more: {holder}")
    if not command.accepted:
        return (e.Draft(event=e.HandoverEnded(operator=command.operator)),)
    return _assigned(incident, command.operator, command.desk, TakeoverReason.HANDOVER)


DECIDERS: Mapping[type[c.Command], Callable[[Incident, Any, datetime], Decision]] = MappingProxyType(
    {
        c.TakeOver: _take_over,
        c.OfferHandover: _offer,
        c.AnswerHandover: _answer,
    }
)


# --- effects ---


def followed(incident: Incident, event: e.Event, at: datetime) -> dict[str, Any]:
    """What changes in ``incident``, as it is after ``event``: an offer stands, or stands no longer."""
    match event:
        case e.HandoverOffered(to=to):
            return {"handover": Handover(to=to, at=at)}
        case e.HandoverEnded() | e.OperatorAssigned() | e.OperatorLost() | e.IncidentClosed():
            return {} if incident.handover is None else {"handover": None}
        case e.HelpEscalated(rung=ROW.name):
            return {"handover": None}
    return {}
