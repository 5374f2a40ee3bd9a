"""What may follow what.  The table below is the code; the diagram in ops/docs/architecture.md is drawn from it.

**Theory.**  An incident is *received* the moment a report is durable, and stays so until a desk rings.  It *rings*
until an operator answers; then it is *in call* and belongs to that operator alone (``handover``).  An operator decides
that an agency is told (or nobody could be found: see below), and with that the incident is *handing over*.  It is
*handed over* when every agency told has either taken over (a human said so) or refused, and at least one took over.
Only a person closes it, with a disposition (a test closes itself: ``testcall``); a closed incident can be *reopened*,
and then rings again like a new one.

*Who may cause what.*  A vehicle or a provider may only add facts (report, legs, recording).  Timers may only make
things louder: ring more desks, raise an alarm, try a delivery again.  They never close (but a test), never tell, never
merge; that nobody was found is a timer's word, what follows from it is the law's.
Operators answer, note, decide and close.  Agencies acknowledge, reject and report, each only its own disclosure.

*What wins when two things happen at once.*  The journal accepts one event per number in the stream; whoever comes
second decides again on the new state.  So of two operators who answer together one is assigned and the other is
refused; an acknowledgement that crosses a closing is recorded in the closed incident; a desk that dies while its
operator's decision is written leaves a decided disclosure, which is delivered all the same.

*The operator is lost* (desk dead, telephone down).  Before any decision the incident rings again everywhere.  Once
handing over it stays there, with no operator and every desk ringing: the hand-off is not undone by a browser crash.
Whoever was held or muted is let go, since nobody else could do it.

*Nobody of ours* can be found: ``attendance``.  Then, and only then, the house may decide by itself that one agency is
told, and the incident is handing over without an operator; whoever answers takes over a hand-off that is under way.

*Mode* is beside the state, not in it: a *test* rings nowhere and may tell no agency at all, a *drill* may tell
exercise partners only, and neither can become live.

*Waiting* always has a deadline (``DEADLINES``).  Deadlines count from the moment the state was entered.

``decide`` and ``evolve`` are pure: values in, values out, the time is an argument.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from msgspec.structs import replace

from routing.categories import Category
from sos.errors import Refused
from sos.incident import (
    access,
    alarms,
    attendance,
    cards,
    consent,
    correlation,
    declining,
    emergency,
    escalation,
    handover,
    heard_place,
    keeping,
    languages,
    linking,
    mass_places,
    obligations,
    place,
    registered,
    requests,
    response,
    testcall,
    urgency,
    voice,
    voiceless,
)
from sos.incident import commands as c
from sos.incident import events as e
from sos.incident.deadline import Actor, Deadline, DeadlineName
from sos.incident.model import (
    Acknowledgement,
    Disclosure,
    DisclosureId,
    Disposition,
    Incident,
    Mode,
    Recording,
    Standing,
    State,
)

TRANSITIONS: Mapping[State | None, Mapping[type[e.Event], State]] = MappingProxyType(
    {
        None: {e.IncidentOpened: State.RECEIVED},
        State.RECEIVED: {
            e.DeskOffered: State.RINGING,
            e.OperatorAssigned: State.IN_CALL,
            e.IncidentClosed: State.CLOSED,
        },
        State.RINGING: {
            e.DeskOffered: State.RINGING,
            e.OperatorAssigned: State.IN_CALL,
            e.DisclosureDecided: State.HANDING_OVER,
            e.IncidentClosed: State.CLOSED,
        },
        State.IN_CALL: {
            e.OperatorAssigned: State.IN_CALL,
            e.OperatorLost: State.RINGING,
            e.DisclosureDecided: State.HANDING_OVER,
            e.IncidentClosed: State.CLOSED,
        },
        State.HANDING_OVER: {
            e.OperatorLost: State.HANDING_OVER,
            e.OperatorAssigned: State.HANDING_OVER,
            e.DisclosureDecided: State.HANDING_OVER,
            e.HandoffCompleted: State.HANDED_OVER,
            e.IncidentClosed: State.CLOSED,
        },
        State.HANDED_OVER: {
            e.OperatorLost: State.HANDED_OVER,
            e.OperatorAssigned: State.HANDED_OVER,
            e.DisclosureDecided: State.HANDING_OVER,
            e.IncidentClosed: State.CLOSED,
        },
        State.CLOSED: {e.IncidentReopened: State.REOPENED},
        State.REOPENED: {
            e.DeskOffered: State.RINGING,
            e.OperatorAssigned: State.IN_CALL,
            e.IncidentClosed: State.CLOSED,
        },
    }
)
"""State before -> event -> state after.  An event that is neither here nor in ``ANYTIME`` cannot happen there."""

ANYTIME: frozenset[type[e.Event]] = frozenset(
    {
        e.ReportFiled,
        e.ReportJoined,
        e.CancelReceived,
        e.MatchProposed,
        e.MatchConfirmed,
        e.MatchUndone,
        e.IncidentsLinked,
        e.IncidentsUnlinked,
        e.LinkedTold,
        e.ReceiptIssued,
        e.AnswerGiven,
        e.AnswerDelivered,
        e.PlanMade,
        e.MoveNoticed,
        e.MoveSettled,
        e.PlaceStated,
        e.PlaceHeard,
        e.HeardPlaceSettled,
        e.PlaceReadBack,
        e.KindStated,
        e.CardAnswered,
        e.LanguageStated,
        e.PlaceDescribed,
        e.VehicleRecognised,
        e.RegisteredDataCopied,
        e.SeverityJudged,
        e.LegInvited,
        e.LegDialled,
        e.LegRinging,
        e.LegJoined,
        e.LegLeft,
        e.LegModeSet,
        e.LegTransferred,
        e.KeysPressed,
        e.NoticePlayed,
        e.BriefSpoken,
        e.RecordingStarted,
        e.RecordingSealed,
        e.RecordingFailed,
        e.RecordingFetched,
        e.ProviderCopyDeleted,
        e.LegQueued,
        e.NoteAdded,
        e.MedicalTaken,
        e.ConsentRecorded,
        e.DisclosureReferred,
        e.ReferralAnswered,
        e.TellingReasoned,
        e.DisclosureRefused,
        e.ObligationDue,
        e.ObligationMet,
        e.RequestReceived,
        e.RequestChecked,
        e.RequestApproved,
        e.RequestAnswered,
        e.RequestRefused,
        e.RequestOverdue,
        e.TellingWithheld,
        e.TellingHeld,
        e.PlacedInMassEvent,
        e.TellingDeclined,
        e.SearchLimited,
        e.ResponseHeard,
        e.ResponseAwaited,
        e.DeliveryStarted,
        e.DeliveryConfirmed,
        e.DeliveryFailed,
        e.AgencyAcknowledged,
        e.AgencyRejected,
        e.AgencyReported,
        e.AgencyAsked,
        e.RungTaken,
        e.AgencyCallRequested,
        e.AgencyCallEnded,
        e.PartsRead,
        e.HelpEscalated,
        e.HandoverOffered,
        e.HandoverEnded,
        e.AlarmRaised,
        e.AlarmShown,
        e.AlarmAcknowledged,
        e.ExportMade,
        e.HoldPlaced,
        e.HoldReleased,
        e.DataDestroyed,
    }
)
"""Facts that are recorded in every state and change none."""


_CALL_VEHICLE = Deadline(
    name=voice.DUE,
    after=voice.CALLS[0],
    reason="data came and no voice, or the voice was lost",
    actors=(Actor.BRIDGE,),
)
_RING_ANYWAY = Deadline(
    name=DeadlineName.RING_ANYWAY,
    after=timedelta(seconds=2),
    reason="no offer came: ring every desk",
    actors=(Actor.DESKS,),
)
_RUNG = Deadline(
    name=escalation.DUE,
    after=escalation.UNTOUCHED,
    reason="the next rung of a ladder is due, also where one service took over and another refused",
    actors=(Actor.HANDOFF,),
)

DEADLINES: Mapping[State, tuple[Deadline, ...]] = MappingProxyType(
    {
        State.RECEIVED: (_RING_ANYWAY, _CALL_VEHICLE),
        State.RINGING: (_CALL_VEHICLE,),
        State.IN_CALL: (
            Deadline(
                name=DeadlineName.UNDECIDED,
                after=timedelta(seconds=60),
                reason="NFPA 1225: call processing within 60 s",
                actors=(Actor.SUPERVISORS,),
            ),
            _CALL_VEHICLE,
        ),
        State.HANDING_OVER: (
            Deadline(
                name=DeadlineName.REDELIVER,
                after=timedelta(seconds=5),
                reason="a delivery that no machine confirmed",
                actors=(Actor.HANDOFF,),
            ),
            _RUNG,
            Deadline(
                name=DeadlineName.HANDOFF_OVERDUE,
                after=timedelta(seconds=80),
                reason="no human there has taken over: 20 s to answer (NENA-STA-020.1, 95 %) and 60 s to process "
                "(NFPA 1225, 90 %), so that it alarms at one hand-off in ten and not at nearly each",
                actors=(Actor.SUPERVISORS,),
            ),
            _CALL_VEHICLE,
        ),
        State.HANDED_OVER: (
            Deadline(
                name=DeadlineName.UNCLOSED,
                after=timedelta(minutes=30),
                reason="handed over and still open",
                actors=(Actor.SUPERVISORS,),
            ),
            _RUNG,
            _CALL_VEHICLE,
        ),
        State.REOPENED: (_RING_ANYWAY, _CALL_VEHICLE),
    }
)
"""What is waited for in each state, and how long.  A closed incident waits for nothing.  What is done in any state to
find a person of ours stands in ``attendance.STEPS``."""

ROWS: Mapping[DeadlineName, Deadline] = MappingProxyType(
    {
        row.name: row
        for row in (
            *(row for state in DEADLINES.values() for row in state),
            *attendance.STEPS,
            attendance.PATIENCE,
            *response.ROWS,
            voiceless.ROW,
            place.ROW,
            place.CORRECT,
            alarms.REMIND,
            handover.ROW,
            testcall.ROW,
            obligations.ROW,
            requests.ROW,
            voice.OVER,
            voice.HELD,
        )
    }
)
"""Every deadline there is, with who acts on it."""

_REDELIVER = DeadlineName.REDELIVER
"""The deadline that counts again from the moment it passed, for as long as its reason stands."""


def deadlines(incident: Incident) -> tuple[tuple[str, datetime], ...]:
    """Name and instant of everything ``incident`` waits for now."""
    entered = incident.changed_at
    if entered is None:
        return ()
    found: list[tuple[str, datetime]] = []
    for deadline in DEADLINES.get(incident.state, ()):
        if deadline.name == _REDELIVER:
            if any(known.pending and known.reached is None for known in incident.disclosures):
                found.append((deadline.name, (incident.tried_at or entered) + deadline.after))
        elif deadline.name == voice.DUE:
            if (call_at := voice.due(incident)) is not None:
                found.append((deadline.name, call_at))
        elif deadline.name == escalation.DUE:
            if (due := escalation.due(incident)) is not None:
                found.append((deadline.name, due))
        elif deadline.name not in incident.passed and not testcall.quiet(incident):
            found.append((deadline.name, entered + deadline.after))
    return (*found, *(each for room in _WAITS for each in room(incident)))


_WAITS = (
    attendance.due,
    response.due,
    obligations.due,
    requests.due,
    voiceless.due,
    place.due,
    place.corrections,
    alarms.due,
    handover.due,
    testcall.due,
    voice.waits,
)
"""What is waited for beside the states."""


# --- evolve ------------------------------------------------------------------------------------------------------


def evolve(incident: Incident, event: e.Event, *, at: datetime) -> Incident:
    """``incident`` after ``event``.  ``Refused`` when the table knows no such step: the event must not be written."""
    before = incident.state if incident.version else None
    kind = type(event)
    after = TRANSITIONS[before].get(kind)
    if after is None:
        if kind not in ANYTIME or before is None:
            raise Refused(f"{kind.__name__} cannot happen while the incident is {before or 'not open'}")
        after = incident.state
    if after is State.CLOSED and before is not State.CLOSED:
        testcall.check(incident)
    apply = _EFFECTS.get(kind)
    changes: dict[str, Any] = apply(incident, event) if apply else {}
    if after is not before:
        changes |= {"state": after, "changed_at": at, "passed": ()}
    if before is None:
        changes["opened_at"] = at
    if kind is e.DisclosureDecided or (isinstance(event, e.HelpEscalated) and event.rung == _REDELIVER):
        changes["tried_at"] = at
    changes |= voice.silent(incident, event, at)
    if (ladders := escalation.TIMES.get(kind)) is not None:
        changes["ladders"] = ladders(incident, event, at)
    changes |= attendance.called(incident, event, at)
    if isinstance(event, e.HelpEscalated) and event.rung in attendance.RUNGS:
        changes |= attendance.escalated(incident, event.rung, at)
    changes |= alarms.timed(incident, event, at) | keeping.timed(incident, event, at)
    now = replace(incident, version=incident.version + 1, **changes)
    follows = attendance.followed(now, at) | response.followed(now, event, at) | voiceless.followed(now, event, at)
    follows |= handover.followed(now, event, at) | obligations.followed(now, event, at)
    follows |= requests.followed(now, event, at)
    follows |= voice.standing_by(now, event, at) | voice.holding(now, at) | place.followed(now, event, at)
    now = replace(now, **follows) if follows else now
    held = mass_places.followed(now, event, at)
    return replace(now, **held) if held else now


def _opened(incident: Incident, event: e.IncidentOpened) -> dict[str, Any]:
    flags = (
        correlation.flags((), event.findings, readable=event.readable) if event.findings or not event.readable else ()
    )
    opened = {"mode": event.mode, "trigger": event.trigger, "flags": flags, "reports": (event.report_digest,)}
    return opened | emergency.triggered(incident, event.trigger)


def _recognised(incident: Incident, event: e.VehicleRecognised) -> dict[str, Any]:
    others = tuple(flag for flag in incident.flags if flag not in (incident.registry_flags or ()))
    return {
        "flags": tuple(dict.fromkeys((*others, *event.flags))),
        "registry_flags": event.flags,
        "opt_out": event.opt_out,
        "profiling": event.profiling,
        "call_back_window_s": event.call_back_window_s,
        "record": event.record,
    }


def _judged(incident: Incident, event: e.SeverityJudged) -> dict[str, Any]:
    """The newest judgement alone counts, as it is made of all that is known."""
    others = tuple(ground for ground in incident.urgent_reported if ground != "judged_severe")
    found = (*others, "judged_severe") if event.severe else others
    return {"judged": event.report} | cards.grounds(incident, urgency.ordered(found))


def _offered(incident: Incident, event: e.DeskOffered) -> dict[str, Any]:
    return {"offers": event.round, "desks": event.desks}


def _assigned(incident: Incident, event: e.OperatorAssigned) -> dict[str, Any]:
    return {"operator": event.operator, "desks": (event.desk,), "offers": 0} | attendance.answered(incident)


def _recording(incident: Incident, recording: Recording) -> dict[str, Any]:
    others = tuple(known for known in incident.recordings if known.recording != recording.recording)
    return {"recordings": (*others, recording)}


def _disclosed(incident: Incident, disclosure: DisclosureId, **changes: Any) -> dict[str, Any]:
    return {
        "disclosures": tuple(
            replace(known, **changes) if known.disclosure == disclosure else known for known in incident.disclosures
        )
    }


def _reached(incident: Incident, event: e.DeliveryConfirmed | e.AgencyAcknowledged) -> dict[str, Any]:
    known = incident.disclosure(event.disclosure)
    if known is not None and known.reached is not None and known.reached.rank >= event.level.rank:
        return {}
    return _disclosed(incident, event.disclosure, reached=event.level)


def _read(incident: Incident, event: e.PartsRead) -> dict[str, Any]:
    if event.purpose == access.Purpose.OFFERED:
        return {}  # whoever looked before answering has opened nothing: another may answer
    return {"read_by": (*incident.read_by, (event.reader, event.categories))}


def _decided(incident: Incident, event: e.DisclosureDecided) -> dict[str, Any]:
    flags = attendance.flagged(incident, attendance.TOLD_UNATTENDED) if event.unattended else {}
    return consent.told(incident, event) | flags


_NOT_OF_A_STATE = attendance.RUNGS | {
    voiceless.ROW.name,
    alarms.REMIND.name,
    handover.ROW.name,
    voice.OVER.name,
    voice.HELD.name,
    place.CORRECT.name,
}
"""Deadlines that come again in the same state: what they count from says whether they have passed."""


def _escalated(incident: Incident, event: e.HelpEscalated) -> dict[str, Any]:
    if event.rung in incident.passed or event.rung in _NOT_OF_A_STATE:
        return {}
    return {"passed": (*incident.passed, event.rung)}


_EFFECTS: Mapping[type[e.Event], Callable[[Incident, Any], dict[str, Any]]] = MappingProxyType(
    {
        e.IncidentOpened: _opened,
        e.ReportFiled: lambda i, event: correlation.filed(i, event) | emergency.filed(i, event),
        e.ReportJoined: lambda i, event: correlation.joined(i, event) | emergency.triggered(i, event.trigger),
        e.CancelReceived: correlation.cancelled,
        e.MatchProposed: lambda i, event: correlation.matched(i, event, Standing.PROPOSED),
        e.MatchConfirmed: lambda i, event: correlation.matched(i, event, Standing.CONFIRMED),
        e.MatchUndone: lambda i, event: correlation.matched(i, event, Standing.UNDONE),
        **linking.EFFECTS,
        e.ReceiptIssued: lambda _, event: {"tested": event.passed},
        e.AnswerGiven: correlation.given,
        e.AnswerDelivered: correlation.answered,
        **place.EFFECTS,
        **heard_place.EFFECTS,
        **emergency.EFFECTS,
        **cards.EFFECTS,
        **declining.EFFECTS,
        e.VehicleRecognised: _recognised,
        **registered.EFFECTS,
        e.SeverityJudged: _judged,
        e.DeskOffered: _offered,
        e.OperatorAssigned: _assigned,
        e.OperatorLost: lambda *_: {"operator": None, "desks": (), "offers": 0},
        **voice.EFFECTS,
        e.RecordingStarted: lambda i, event: _recording(i, Recording(recording=event.recording, sealed=False)),
        e.RecordingSealed: lambda i, event: _recording(i, Recording(recording=event.recording, sealed=True)),
        e.RecordingFailed: lambda i, event: _recording(
            i, Recording(recording=event.recording, sealed=False, failed=True)
        ),
        e.DisclosureDecided: _decided,
        e.DeliveryStarted: lambda i, event: _disclosed(i, event.disclosure, attempts=event.attempt),
        e.DeliveryConfirmed: _reached,
        e.AgencyAcknowledged: _reached,
        e.AgencyRejected: lambda i, event: _disclosed(i, event.disclosure, rejected=event.reason),
        e.AgencyReported: lambda i, event: _disclosed(i, event.disclosure, status=event.status),
        **consent.EFFECTS,
        **requests.SERVICE_EFFECTS,
        **attendance.EFFECTS,
        **mass_places.EFFECTS,
        **response.EFFECTS,
        **alarms.EFFECTS,
        **testcall.EFFECTS,
        e.AgencyAsked: escalation.asked,
        e.DeliveryFailed: escalation.delivery_failed,
        e.RungTaken: escalation.rung_taken,
        e.AgencyCallRequested: escalation.call_requested,
        e.AgencyCallEnded: escalation.call_ended,
        e.PartsRead: _read,
        e.HelpEscalated: _escalated,
        **keeping.EFFECTS,
        e.IncidentReopened: lambda *_: {
            "disposition": None,
            "operator": None,
            "offers": 0,
            "desks": (),
            "declined": (),
        },
    }
)
"""What an event changes besides the state.  Events that are not here change nothing else."""


def replay(incident: Incident, recorded: tuple[e.Recorded, ...]) -> Incident:
    """``incident`` after all of ``recorded``, which must continue its stream without a gap."""
    for entry in recorded:
        if entry.n != incident.version + 1:
            raise ValueError(f"event {entry.n} does not follow version {incident.version}")
        incident = evolve(incident, entry.event, at=entry.at)
    return incident


# --- decide ------------------------------------------------------------------------------------------------------

Decision = tuple[e.Draft, ...]


def decide(incident: Incident, command: c.Command, *, now: datetime) -> Decision:
    """The events that ``command`` leads to at ``now``; none when what it asks for is already so.

    ``Refused`` when it may not happen; its text is for the operator.
    """
    decision = propose(incident, command, now=now)
    for draft in decision:  # the table has the last word, before anything is written
        incident = evolve(incident, draft.event, at=now)
    return decision


def propose(incident: Incident, command: c.Command, *, now: datetime) -> Decision:
    """As ``decide``, for a caller that puts each event through ``evolve`` itself before anything is written."""
    if incident.version == 0 and not isinstance(command, c.OpenIncident):
        raise Refused("there is no such incident")
    decision = _DECIDERS[type(command)](incident, command, now)
    if not any(type(draft.event) in alarms.CAUSES for draft in decision):
        return decision
    return (*decision, *_alarmed(incident, decision, now=now))


def _alarmed(incident: Incident, decision: Decision, *, now: datetime) -> Decision:
    """What alarms make of ``decision``: they stand in the same append."""
    found: list[e.Event] = []
    after = incident
    for draft in decision:
        after = evolve(after, draft.event, at=now)
    for cause in decision:
        for event in alarms.follows(after, cause.event):
            after = evolve(after, event, at=now)
            found.append(event)
    return _facts(*found)


def _facts(*happened: e.Event) -> Decision:
    return tuple(e.Draft(event=event) for event in happened)


def _open(incident: Incident, command: c.OpenIncident, _: datetime) -> Decision:
    if incident.version:
        return ()
    opened = e.IncidentOpened(
        mode=command.mode,
        trigger=command.trigger,
        format=command.format,
        report_digest=command.report_digest,
        report_bytes=len(command.report),
        readable=command.readable,
        findings=command.findings,
        channel=command.channel,
    )
    parts = {Category.RAW: command.report}
    if command.vehicle:
        parts[Category.VEH] = command.vehicle
    return (e.Draft(event=opened, parts=parts),)


def _file(incident: Incident, command: c.FileReport, _: datetime) -> Decision:
    if command.report_digest:
        if command.report_digest in incident.filed:
            return ()
    elif incident.sequence is not None and command.sequence <= incident.sequence:  # filed before
        return ()
    filed = e.ReportFiled(
        sequence=command.sequence,
        located=command.located,
        findings=command.findings,
        report_digest=command.report_digest,
        urgent=command.urgent,
        kind=command.kind,
        kind_because=command.kind_because,
    )
    return (e.Draft(event=filed, parts=command.parts),)


def _recognise(incident: Incident, command: c.RecogniseVehicle, _: datetime) -> Decision:
    recognised = e.VehicleRecognised(
        flags=command.flags,
        pack=command.pack,
        entitlement=command.entitlement,
        opt_out=command.opt_out,
        profiling=command.profiling,
        call_back_window_s=command.call_back_window_s,
        record=command.record,
        holder=command.holder,
        clauses=command.clauses,
    )
    known = (incident.registry_flags, incident.opt_out, incident.profiling, incident.call_back_window_s)
    told = (command.flags, command.opt_out, command.profiling, command.call_back_window_s)
    if (known, incident.record) == (told, command.record):
        return ()
    return (e.Draft(event=recognised, parts=command.parts),)


def _judge(incident: Incident, command: c.JudgeSeverity, _: datetime) -> Decision:
    if incident.profiling is not True:
        raise Refused("this brand does no profiling, or nobody could say: severity is not scored")
    if command.report <= incident.judged:
        return ()
    judged = e.SeverityJudged(
        judged_by=command.judged_by,
        coefficients=command.coefficients,
        scored=command.scored,
        report=command.report,
        severe=command.severe,
    )
    return (e.Draft(event=judged, parts={Category.SEV: command.judgement}),)


def _offer(incident: Incident, command: c.OfferDesks, _: datetime) -> Decision:
    if incident.state not in (State.RECEIVED, State.REOPENED, State.RINGING):
        return ()
    if incident.state is State.RINGING and not incident.desks:  # everywhere already: nothing is louder
        return ()
    if incident.state is State.RINGING and command.desks and set(command.desks) <= set(incident.desks):
        return ()
    return _facts(e.DeskOffered(desks=command.desks, round=incident.offers + 1))


def _take(incident: Incident, command: c.TakeIncident, _: datetime) -> Decision:
    if incident.operator == command.operator:
        return ()
    if incident.operator is not None:
        raise Refused(f"{incident.operator} has this incident")
    return _facts(e.OperatorAssigned(operator=command.operator, desk=command.desk))


def _release(incident: Incident, command: c.ReleaseOperator, _: datetime) -> Decision:
    if incident.operator != command.operator or incident.state is State.CLOSED:
        return ()
    lost = e.OperatorLost(operator=command.operator, reason=command.reason)
    return _facts(lost, *(e.LegModeSet(leg=leg.leg, held=False, muted=False) for leg in attendance.bound(incident)))


def _invite(incident: Incident, command: c.InviteLeg, _: datetime) -> Decision:
    if incident.leg(command.leg) is not None:
        return ()
    invited = e.LegInvited(leg=command.leg, party=command.party, who=command.who, called_in=command.called_in)
    return (e.Draft(event=invited, seals=(Category.AUD,)),)


def _join(incident: Incident, command: c.JoinLeg, _: datetime) -> Decision:
    known = incident.leg(command.leg)
    if known is not None and known.up:
        return ()
    joined = e.LegJoined(leg=command.leg, party=command.party, who=command.who)
    seals = (Category.AUD,) if known is None else ()  # taken in while the journal was away: nobody invited it
    return (e.Draft(event=joined, seals=seals),)


def _leave(incident: Incident, command: c.LeaveLeg, _: datetime) -> Decision:
    known = incident.leg(command.leg)
    if known is None or known.left is not None:
        return ()
    return (*_facts(e.LegLeft(leg=command.leg, reason=command.reason)), *voice.freed(incident, command.leg))


def _recorded(incident: Incident, recording: str) -> Recording | None:
    return next((known for known in incident.recordings if known.recording == recording), None)


def _start_recording(incident: Incident, command: c.StartRecording, _: datetime) -> Decision:
    if _recorded(incident, command.recording):
        return ()
    return _facts(e.RecordingStarted(recording=command.recording))


def _seal_recording(incident: Incident, command: c.SealRecording, _: datetime) -> Decision:
    known = _recorded(incident, command.recording)
    if known is not None and known.sealed:
        return ()
    begun = () if known else (e.RecordingStarted(recording=command.recording),)
    sealed = e.RecordingSealed(
        recording=command.recording,
        manifest_digest=command.manifest_digest,
        chunks=command.chunks,
        duration_ms=command.duration_ms,
    )
    return (*_facts(*begun), e.Draft(event=sealed, parts={Category.AUD: command.manifest}))


def _fail_recording(incident: Incident, command: c.FailRecording, _: datetime) -> Decision:
    known = _recorded(incident, command.recording)
    if known is not None and (known.failed or known.sealed):
        return ()
    return _facts(e.RecordingFailed(recording=command.recording, reason=command.reason))


def _keep_copy(incident: Incident, command: c.KeepCopy, _: datetime) -> Decision:
    if _recorded(incident, command.recording) is None:
        raise Refused("there is no such recording")
    fetched = e.RecordingFetched(
        recording=command.recording,
        leg=command.leg,
        copy=command.copy,
        digest=command.digest,
        size=command.size,
    )
    return _facts(fetched)


def _note_copy_deleted(incident: Incident, command: c.NoteCopyDeleted, _: datetime) -> Decision:
    if _recorded(incident, command.recording) is None:
        raise Refused("there is no such recording")
    return _facts(e.ProviderCopyDeleted(recording=command.recording, copy=command.copy))


NOTED = frozenset(Category) - {Category.MED, Category.AUD, Category.TRK, Category.BIL, Category.RAW}
"""What a person can hear or see and write down; the rest is made by machines, or is no business of a rescue.  Of
somebody's health it is written down who says so: ``TakeMedical``."""


def _note(incident: Incident, command: c.AddNote, _: datetime) -> Decision:
    if not command.text.strip():
        raise Refused("an empty note says nothing")
    if command.category is Category.MED:
        raise Refused("who says so of the person's health?")
    if command.category not in NOTED:
        raise Refused(f"a note cannot be kept as {command.category}")
    return (e.Draft(event=e.NoteAdded(category=command.category), parts={command.category: command.text.encode()}),)


def _disclose(incident: Incident, command: c.DecideDisclosure, _: datetime) -> Decision:
    if incident.disclosure(command.disclosure):
        return ()
    if command.corrected:
        place.check(incident, command)
    elif command.unattended:
        attendance.check(incident, command)
    elif incident.operator is None:
        raise Refused("only the operator who has the incident may tell an agency: answer it first")
    if incident.mode is Mode.TEST:
        raise Refused("a test call never leaves the house")
    if incident.mode is Mode.DRILL and not command.exercise_partner:
        raise Refused(f"{command.agency} takes no part in drills")
    if Category.RAW in command.sections:
        raise Refused("the raw report is never disclosed")
    waiting = [known for known in incident.disclosures if known.agency == command.agency and known.pending]
    if any(known.disclosure != command.supersedes for known in waiting):
        raise Refused(f"{command.agency} has been told and has not answered yet")
    consent.check(incident, command)
    escalation.warn_of_second(incident, command)
    linking.warn_of_second(incident, command)
    decided = e.DisclosureDecided(
        disclosure=command.disclosure,
        agency=command.agency,
        service=command.service,
        rule=command.rule,
        ground=command.ground,
        law_version=command.law_version,
        clause=command.clause,
        necessity=command.necessity,
        consent=command.consent,
        opt_out_overridden=command.opt_out_overridden,
        categories=tuple(command.sections),
        withheld=command.withheld,
        path=command.path,
        facts=command.facts,
        grounds=command.grounds,
        rules=command.rules,
        opt_out_clause=command.opt_out_clause,
        review=command.review,
        obligations=command.obligations,
        referral=command.referral,
        supervisor=command.supervisor,
        supersedes=command.supersedes,
        brief_version=command.brief_version,
        unattended=command.unattended,
        corrected=command.corrected,
        forms=command.forms,
        without=command.without,
        heard=command.heard,
        joined=command.joined,
        again=command.again,
        maybe=command.maybe,
    )
    told = e.Draft(event=decided, parts={**command.sections, Category.RAW: command.brief})
    if not (why := obligations.said(command.reason)):
        return (told,)
    return (told, e.Draft(event=e.TellingReasoned(disclosure=command.disclosure), parts=why))


def _known_disclosure(incident: Incident, disclosure: DisclosureId) -> Disclosure:
    known = incident.disclosure(disclosure)
    if known is None:
        raise Refused(f"nothing was disclosed under {disclosure}")
    return known


def _start_delivery(incident: Incident, command: c.StartDelivery, _: datetime) -> Decision:
    known = _known_disclosure(incident, command.disclosure)
    if known.reached is not None or known.rejected is not None:
        return ()
    return _facts(e.DeliveryStarted(disclosure=command.disclosure, channel=command.channel, attempt=known.attempts + 1))


def _confirm_delivery(incident: Incident, command: c.ConfirmDelivery, _: datetime) -> Decision:
    known = _known_disclosure(incident, command.disclosure)
    if command.level.rank >= Acknowledgement.HEARD.rank:
        raise Refused("a machine confirms delivery; only a human being acknowledges")
    if known.reached is not None and known.reached.rank >= command.level.rank:
        return ()
    return _facts(e.DeliveryConfirmed(disclosure=command.disclosure, level=command.level, receipt=command.receipt))


def _fail_delivery(incident: Incident, command: c.FailDelivery, _: datetime) -> Decision:
    known = _known_disclosure(incident, command.disclosure)
    if known.reached is not None and known.reached.rank > Acknowledgement.TRANSPORT.rank:
        return ()
    return _facts(e.DeliveryFailed(disclosure=command.disclosure, attempt=command.attempt, reason=command.reason))


def _own_disclosure(incident: Incident, command: c.Acknowledge | c.Reject | c.ReportStatus) -> Disclosure:
    known = _known_disclosure(incident, command.disclosure)
    if known.agency != command.agency:
        raise Refused("this was disclosed to another agency")
    return known


def _complete(incident: Incident, answer: e.Event, now: datetime) -> Decision:
    """``answer``, and the completion of the hand-off when nobody is left to wait for."""
    after = evolve(incident, answer, at=now)
    settled = not any(known.pending for known in after.disclosures)
    helped = any(known.helps for known in after.disclosures)
    if after.state is State.HANDING_OVER and settled and helped:
        return _facts(answer, e.HandoffCompleted())
    return _facts(answer)


def _acknowledge(incident: Incident, command: c.Acknowledge, now: datetime) -> Decision:
    known = _own_disclosure(incident, command)
    if command.level.rank < Acknowledgement.HEARD.rank:
        raise Refused("only a human being acknowledges")
    if known.reached is not None and known.reached.rank >= command.level.rank:
        return ()
    if known.rejected is not None:
        raise Refused("this was refused before; it must be told anew")
    return _complete(incident, e.AgencyAcknowledged(disclosure=command.disclosure, level=command.level), now)


def _reject(incident: Incident, command: c.Reject, now: datetime) -> Decision:
    known = _own_disclosure(incident, command)
    if known.rejected is not None:
        return ()
    if known.taken_over:
        raise Refused("this was taken over; it cannot be refused any more")
    return _complete(incident, e.AgencyRejected(disclosure=command.disclosure, reason=command.reason), now)


def _report_status(incident: Incident, command: c.ReportStatus, now: datetime) -> Decision:
    """Whoever has sent somebody has taken over, whether they said so first or not."""
    known = _own_disclosure(incident, command)
    if known.status is command.status:
        return ()
    reported = _facts(e.AgencyReported(disclosure=command.disclosure, status=command.status))
    if known.taken_over or known.rejected is not None:
        return reported
    taken = e.AgencyAcknowledged(disclosure=command.disclosure, level=Acknowledgement.TAKEN_OVER)
    return (*_complete(incident, taken, now), *reported)


def _close(incident: Incident, command: c.CloseIncident, _: datetime) -> Decision:
    if incident.state is State.CLOSED:
        return ()
    if incident.operator is None:
        raise Refused("only the operator who has the incident may close it: answer it first")
    if command.disposition is Disposition.HANDED_OVER and not any(known.helps for known in incident.disclosures):
        raise Refused("nobody has taken over yet")
    if any(known.pending for known in incident.disclosures):
        raise Refused("an agency was told and has not answered yet")
    if (incident.mode is Mode.TEST) != (command.disposition is Disposition.TEST):
        raise Refused("a test call is closed as test, and nothing else is")
    if command.disposition is Disposition.DRILL and incident.mode is not Mode.DRILL:
        raise Refused("only a drill is closed as drill")
    closed = e.IncidentClosed(disposition=command.disposition, retention=keeping.classes(incident, command.disposition))
    return (*declining.closing(incident, command), *_facts(closed))


def _reopen(incident: Incident, command: c.ReopenIncident, _: datetime) -> Decision:
    return (e.Draft(event=e.IncidentReopened(), parts=_words(command.reason)),)


def _record_export(_: Incident, command: c.RecordExport, __: datetime) -> Decision:
    made = e.ExportMade(export=command.export, categories=command.categories)
    return (e.Draft(event=made, parts=_words(command.purpose)),)


def _words(text: str) -> Mapping[Category, bytes]:
    """What somebody typed: never in a header."""
    return {Category.OBS: text.encode()} if text else {}


def _pass_deadline(incident: Incident, command: c.PassDeadline, now: datetime) -> Decision:
    due = dict(deadlines(incident)).get(command.name)
    if due is None or due > now:
        return ()
    late = obligations.passed(incident, command.name) or requests.passed(incident, command.name)
    if late is not None:
        return _facts(late)
    escalated = e.HelpEscalated(rung=command.name)
    if says := response.passed(command.name):
        return (e.Draft(event=escalated, parts=says),)
    if attendance.widened(incident, command.name):
        return _facts(escalated, e.DeskOffered(desks=(), round=incident.offers + 1))
    return _facts(escalated, *voice.let_go(incident, command.name))


_DECIDERS: Mapping[type[c.Command], Callable[[Incident, Any, datetime], Decision]] = MappingProxyType(
    {
        c.OpenIncident: _open,
        c.FileReport: _file,
        **correlation.DECIDERS,
        **linking.DECIDERS,
        **place.DECIDERS,
        **heard_place.DECIDERS,
        **emergency.DECIDERS,
        **cards.DECIDERS,
        **languages.DECIDERS,
        **declining.DECIDERS,
        c.RecogniseVehicle: _recognise,
        **registered.DECIDERS,
        c.JudgeSeverity: _judge,
        c.OfferDesks: _offer,
        c.TakeIncident: _take,
        c.ReleaseOperator: _release,
        c.InviteLeg: _invite,
        **voice.DECIDERS,
        c.JoinLeg: _join,
        c.LeaveLeg: _leave,
        c.StartRecording: _start_recording,
        c.SealRecording: _seal_recording,
        c.FailRecording: _fail_recording,
        c.KeepCopy: _keep_copy,
        c.NoteCopyDeleted: _note_copy_deleted,
        c.AddNote: _note,
        c.DecideDisclosure: _disclose,
        c.StartDelivery: _start_delivery,
        c.ConfirmDelivery: _confirm_delivery,
        c.FailDelivery: _fail_delivery,
        c.Acknowledge: _acknowledge,
        c.Reject: _reject,
        c.ReportStatus: _report_status,
        **consent.DECIDERS,
        **obligations.DECIDERS,
        **requests.DECIDERS,
        **escalation.DECIDERS,
        **attendance.DECIDERS,
        **mass_places.DECIDERS,
        **response.DECIDERS,
        **alarms.DECIDERS,
        **handover.DECIDERS,
        **testcall.DECIDERS,
        c.ReadParts: access.read,
        c.CloseIncident: _close,
        c.ReopenIncident: _reopen,
        c.RecordExport: _record_export,
        **keeping.DECIDERS,
        c.PassDeadline: _pass_deadline,
    }
)


# --- the picture -------------------------------------------------------------------------------------------------


def diagram() -> str:
    """The table as a Mermaid state diagram, for ops/docs/architecture.md."""
    lines = ["stateDiagram-v2"]
    for before, row in TRANSITIONS.items():
        by_target: dict[State, list[str]] = {}
        for kind, after in row.items():
            by_target.setdefault(after, []).append(kind.__name__)
        lines += [f"    {before or '[*]'} --> {after}: {', '.join(kinds)}" for after, kinds in by_target.items()]
    return "\n".join(lines)
