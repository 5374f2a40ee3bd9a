"""Alarms: what somebody of ours must hear of, until a person has acknowledged it by name.

Part of ``lifecycle``: its deciders, effects and times, pure like all of it.

**Theory.**  An alarm is raised with the fact that it is about, in the same append, so that neither stands without the
other.  It stands until somebody acknowledges it; whoever acts on its reason has acknowledged it with that: who answers
a call, decides a referral, closes an incident.  It goes to supervisors; where none sits at a desk, or none says
anything for ``LOUDER_AFTER``, it goes to every desk, and there anybody may acknowledge it.  Who had a desk when it
went out stands in the journal, so that nobody is told that a supervisor knows when none can.

What was acknowledged and goes on all the same is raised again (``REMINDS``).  A test call raises nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from msgspec.structs import replace

from routing.categories import Category
from routing.law.codes import Obligation
from sos.errors import Forbidden, Refused
from sos.incident import commands as c
from sos.incident import events as e
from sos.incident import requests, voiceless
from sos.incident.deadline import Actor, Deadline, DeadlineName
from sos.incident.model import Alarm, AlarmId, AlarmKind, Audience, Incident, Mode, OperatorId, Rung, State
from sos.incident.report import canonical

LOUDER_AFTER = timedelta(seconds=30)
"""How long supervisors may leave an alarm unacknowledged before every desk has it."""

KEPT = 32
"""Acknowledged alarms that an incident shows; all of them stand in the journal."""

REMIND = Deadline(
    name=DeadlineName.ALARM_AGAIN,
    after=timedelta(seconds=60),
    reason="what was acknowledged goes on all the same",
    actors=(Actor.SUPERVISORS,),
)

OF_A_DEADLINE: Mapping[str, AlarmKind] = MappingProxyType(
    {
        DeadlineName.UNANSWERED: AlarmKind.UNANSWERED,
        DeadlineName.UNDECIDED: AlarmKind.UNDECIDED,
        DeadlineName.HANDOFF_OVERDUE: AlarmKind.HANDOFF_OVERDUE,
        DeadlineName.UNCLOSED: AlarmKind.UNCLOSED,
        DeadlineName.NO_VOICE: AlarmKind.NO_VOICE,
        DeadlineName.NO_RESPONSE_ALARM: AlarmKind.NO_RESPONSE,
        DeadlineName.PLACE_UNKNOWN: AlarmKind.PLACE_UNKNOWN,
        DeadlineName.HANDOVER_UNANSWERED: AlarmKind.HANDOVER,
    }
)
"""Deadlines of which somebody else must hear."""

ANSWERED: frozenset[AlarmKind] = frozenset({AlarmKind.UNANSWERED, AlarmKind.UNTOLD, AlarmKind.NO_VOICE})
"""What whoever answers has heard of with that."""

TAKEN: frozenset[AlarmKind] = ANSWERED | {AlarmKind.ASSIST, AlarmKind.HANDOVER}
"""What whoever takes over has heard of with that."""

HAS_AN_ALARM = frozenset({Obligation.SUPERVISOR_WITHIN_A_MINUTE})
"""Obligations whose fact is an alarm of its own from the beginning: the question to a supervisor."""

OUTLIVE: frozenset[AlarmKind] = frozenset(
    {AlarmKind.RECORDING, AlarmKind.SET_ASIDE, AlarmKind.TOLD_UNATTENDED, AlarmKind.OWED, AlarmKind.GUESSING}
)
"""What is not over because an operator has closed the incident."""

Decision = tuple[e.Draft, ...]


# --- which fact is one ---


def _cause(event: e.Event) -> tuple[AlarmKind, str] | None:
    """Which alarm ``event`` is, and about what."""
    match event:
        case e.HelpEscalated(rung=rung) if rung in OF_A_DEADLINE:
            return OF_A_DEADLINE[rung], ""
        case e.RungTaken(rung=Rung.SUPERVISOR, disclosure=disclosure):
            return AlarmKind.LADDER, disclosure
        case e.RecordingFailed(recording=recording):
            return AlarmKind.RECORDING, recording
        case e.DisclosureReferred(referral=referral):
            return AlarmKind.REFERRAL, referral
        case e.ObligationDue(obligation=obligation, about=about) if obligation not in HAS_AN_ALARM:
            return AlarmKind.OWED, f"{obligation}:{about}"
        case e.RequestOverdue(request=request):
            return AlarmKind.OWED, f"request:{request}"
        case e.TellingWithheld(reason=reason):
            return AlarmKind.UNTOLD, reason
        case e.DisclosureDecided(unattended=True, corrected=False, disclosure=disclosure):
            return AlarmKind.TOLD_UNATTENDED, disclosure
    return None


CAUSES: frozenset[type[e.Event]] = frozenset(
    {
        e.DisclosureDecided,
        e.DisclosureReferred,
        e.HelpEscalated,
        e.IncidentClosed,
        e.ObligationDue,
        e.ObligationMet,
        e.OperatorAssigned,
        e.RecordingFailed,
        e.ReferralAnswered,
        e.RequestAnswered,
        e.RequestOverdue,
        e.RequestRefused,
        e.RungTaken,
        e.TellingWithheld,
    }
)
"""Kinds of event that raise an alarm or settle one."""


def follows(incident: Incident, event: e.Event) -> Sequence[e.Event]:
    """What alarms make of ``event``, after which ``incident`` stands: some are raised, some settled."""
    if incident.mode is Mode.TEST:
        return ()
    match event:
        case e.OperatorAssigned(operator=operator, taken_from=before):
            over = ANSWERED if before is None else TAKEN
            return [_settled(alarm, operator) for alarm in standing(incident) if alarm.why in over]
        case e.ReferralAnswered(referral=referral, supervisor=supervisor):
            return [_settled(alarm, supervisor) for alarm in standing(incident) if alarm.about == referral]
        case e.ObligationMet(obligation=obligation, about=about, operator=operator):
            key = (AlarmKind.OWED, f"{obligation}:{about}")
            return [_settled(alarm, operator) for alarm in standing(incident) if (alarm.why, alarm.about) == key]
        case e.RequestAnswered(request=request, by=by) | e.RequestRefused(request=request, by=by) if requests.over(
            event
        ):
            key = (AlarmKind.OWED, f"request:{request}")
            return [_settled(alarm, by) for alarm in standing(incident) if (alarm.why, alarm.about) == key]
        case e.IncidentClosed() if incident.operator is not None:
            return [_settled(alarm, incident.operator) for alarm in standing(incident) if alarm.why not in OUTLIVE]
        case e.HelpEscalated(rung=REMIND.name):
            return [raised(incident, alarm.why, alarm.about) for alarm in _going_on(incident)[:1]]
    cause = _cause(event)
    return () if cause is None or _stands(incident, *cause) else [raised(incident, *cause)]


def raised(incident: Incident, why: AlarmKind, about: str = "") -> e.AlarmRaised:
    return e.AlarmRaised(alarm=AlarmId(f"alarm-{incident.alarms_raised + 1}"), why=why, about=about)


def _settled(alarm: Alarm, operator: OperatorId) -> e.AlarmAcknowledged:
    return e.AlarmAcknowledged(alarm=alarm.alarm, operator=operator)


def standing(incident: Incident) -> tuple[Alarm, ...]:
    """The alarms that nobody has acknowledged."""
    return tuple(alarm for alarm in incident.alarms if alarm.operator is None)


def _stands(incident: Incident, why: AlarmKind, about: str) -> bool:
    return any((alarm.why, alarm.about) == (why, about) for alarm in standing(incident))


# --- times ---


def due(incident: Incident) -> tuple[tuple[str, datetime], ...]:
    """When what was acknowledged is raised again, since it goes on."""
    found = [alarm.acknowledged_at + REMIND.after for alarm in _going_on(incident) if alarm.acknowledged_at is not None]
    return ((REMIND.name, min(found)),) if found else ()


def _going_on(incident: Incident) -> list[Alarm]:
    """Acknowledged alarms whose reason stands, the one first that was acknowledged first."""
    if incident.state is State.CLOSED:
        return []
    newest = {(alarm.why, alarm.about): alarm for alarm in incident.alarms}
    found = [alarm for alarm in newest.values() if alarm.operator is not None and _goes_on(incident, alarm)]
    return sorted(found, key=lambda alarm: alarm.acknowledged_at or alarm.raised_at)


def _goes_on(incident: Incident, alarm: Alarm) -> bool:
    match alarm.why:
        case AlarmKind.NO_VOICE:
            return voiceless.alone(incident)
        case AlarmKind.REFERRAL:
            asked = incident.referral(alarm.about)
            return asked is not None and asked.approved is None
    return False


# --- deciders ---


def _raise(incident: Incident, command: c.RaiseAlarm, _: datetime) -> Decision:
    told = any((alarm.why, alarm.about) == (command.why, command.about) for alarm in incident.alarms)
    if incident.mode is Mode.TEST or told:
        return ()
    return (e.Draft(event=raised(incident, command.why, command.about)),)


def _assist(incident: Incident, command: c.AskAssistance, _: datetime) -> Decision:
    if incident.operator != command.operator or incident.state is State.CLOSED:
        raise Refused("only the operator who has the incident asks for help with it: answer it first")
    if incident.mode is Mode.TEST:
        raise Refused("a test call alarms nobody")
    if _stands(incident, AlarmKind.ASSIST, command.operator):
        return ()
    parts = {Category.OBS: canonical({"text": command.text})} if command.text.strip() else {}
    return (e.Draft(event=raised(incident, AlarmKind.ASSIST, command.operator), parts=parts),)


def _show(incident: Incident, command: c.ShowAlarm, _: datetime) -> Decision:
    known = incident.alarm(command.alarm)
    if known is None or known.operator is not None:
        return ()
    if known.audience is Audience.EVERYBODY and command.audience is Audience.SUPERVISORS:  # never softer again
        return ()
    fresh = set(command.supervisors) - set(known.supervisors)
    if known.audience is command.audience and not fresh:
        return ()
    shown = e.AlarmShown(alarm=command.alarm, audience=command.audience, supervisors=command.supervisors)
    return (e.Draft(event=shown),)


def _acknowledge(incident: Incident, command: c.AcknowledgeAlarm, _: datetime) -> Decision:
    known = incident.alarm(command.alarm)
    if known is None:
        raise Refused("there is no such alarm")
    if known.operator == command.operator:
        return ()
    if known.operator is not None:
        raise Refused(f"{known.operator} has acknowledged this already")
    if not command.supervisor and known.audience is not Audience.EVERYBODY:
        raise Forbidden("a supervisor has been alarmed and acknowledges this")
    return (e.Draft(event=e.AlarmAcknowledged(alarm=command.alarm, operator=command.operator)),)


DECIDERS: Mapping[type[c.Command], Callable[[Incident, Any, datetime], Decision]] = MappingProxyType(
    {
        c.RaiseAlarm: _raise,
        c.AskAssistance: _assist,
        c.ShowAlarm: _show,
        c.AcknowledgeAlarm: _acknowledge,
    }
)


# --- effects ---


def _shown(incident: Incident, event: e.AlarmShown) -> dict[str, Any]:
    return _changed(incident, event.alarm, audience=event.audience, supervisors=event.supervisors)


def _changed(incident: Incident, alarm: AlarmId, **changes: Any) -> dict[str, Any]:
    return {"alarms": tuple(replace(known, **changes) if known.alarm == alarm else known for known in incident.alarms)}


EFFECTS: Mapping[type[e.Event], Callable[[Incident, Any], dict[str, Any]]] = MappingProxyType(
    {
        e.AlarmShown: _shown,
    }
)


def timed(incident: Incident, event: e.Event, at: datetime) -> dict[str, Any]:
    """What happens to an alarm at a time that is shown with it."""
    match event:
        case e.AlarmRaised(alarm=alarm, why=why, about=about):
            made = Alarm(alarm=alarm, why=why, about=about, raised_at=at)
            done = [known.alarm for known in incident.alarms if known.operator is not None]
            dropped = set(done[: max(0, len(done) - KEPT + 1)])
            kept = (known for known in incident.alarms if known.alarm not in dropped)
            return {"alarms": (*kept, made), "alarms_raised": incident.alarms_raised + 1}
        case e.AlarmAcknowledged(alarm=alarm, operator=operator):
            return _changed(incident, alarm, operator=operator, acknowledged_at=at)
    return {}
