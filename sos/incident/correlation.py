"""What belongs to an incident besides the report that opened it: further reports, cancels, other incidents, answers.

Part of ``lifecycle``: its deciders and effects for these facts, pure like all of it.  Software joins what is certain
(the same vehicle and the same crash) and proposes the rest; a person confirms and can undo.  Nothing here closes,
merges or tells anybody: every incident keeps its own call and its own state.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from msgspec.structs import replace

from routing.categories import Category
from sos.errors import Refused
from sos.incident import cards, urgency
from sos.incident import commands as c
from sos.incident import events as e
from sos.incident.model import Answer, AnswerAction, Incident, Match, Standing, State, Trigger

REMEMBERED = 64
"""Digests kept of the reports of one incident; a vehicle that sends more is still heard, each report once a receipt."""

MESSAGE_CHARACTERS = 500
"""Of a message to a vehicle: a display in a car shows a few lines (RFC 8148 9.4 leaves it to the vehicle)."""

_SAID = frozenset({AnswerAction.MESSAGE, AnswerAction.CALL_BACK})
"""What can be said to a vehicle with words beside it."""

FLAGGED = frozenset({"no_data", "over_rate", "id_reused", "incident_closed", "vehicle_mismatch", "retained"})
"""Findings of a report that an operator should see at a glance."""

IMPLAUSIBLE = "implausible_report"
"""Flag of an incident one of whose reports says of place or time what cannot be: people look first."""

CANNOT_BE = frozenset(
    {
        "event_time_impossible",
        "fix_time_impossible",
        "location_impossible",
        "location_swapped",
        "position_impossible",
        "retained",
    }
)
"""Findings by which a report is ``IMPLAUSIBLE``.  What is merely missing is not among them."""

NOT_FILED = "not_filed:$"
"""Finding of a report that nobody could take apart: it was set aside, and the incident goes on without it."""

Decision = tuple[e.Draft, ...]


def flags(known: tuple[str, ...], findings: tuple[str, ...], *, readable: bool = True) -> tuple[str, ...]:
    """``known`` and what ``findings`` (``code:path``) add to it."""
    codes = (code.partition(":")[0] for code in findings)
    more = [] if readable else ["unreadable_report"]
    for code in codes:
        more += [code] if code in FLAGGED else []
        more += [IMPLAUSIBLE] if code in CANNOT_BE else []
    return tuple(dict.fromkeys((*known, *more)))


def plausible(incident: Incident) -> bool:
    """Whether what was reported can be true, so that an agency might be told of it without a person.

    Not before it has been taken apart, and not what nobody could read unless a place was saved from it.
    """
    unread = "unreadable_report" in incident.flags and not incident.located
    return incident.located is not None and not unread and IMPLAUSIBLE not in incident.flags


# --- deciders ---


def _join(incident: Incident, command: c.JoinReport, _: datetime) -> Decision:
    if command.report_digest in incident.reports:
        return ()
    if incident.state is State.CLOSED:
        raise Refused("the incident is closed; a further report opens one of its own")
    joined = e.ReportJoined(
        reason=command.reason,
        format=command.format,
        report_digest=command.report_digest,
        report_bytes=len(command.report),
        readable=command.readable,
        findings=command.findings,
        trigger=command.trigger,
    )
    return (e.Draft(event=joined, parts={Category.RAW: command.report}),)


def _cancel(incident: Incident, command: c.RecordCancel, _: datetime) -> Decision:
    if command.report_digest in incident.reports:
        return ()
    asked = e.CancelReceived(
        reason=command.reason,
        format=command.format,
        report_digest=command.report_digest,
        report_bytes=len(command.report),
    )
    parts = {Category.RAW: command.report}
    if command.words:
        parts[Category.OBS] = command.words.encode()
    return (e.Draft(event=asked, parts=parts),)


def _propose(incident: Incident, command: c.ProposeMatch, _: datetime) -> Decision:
    if command.other == incident.id or incident.match(command.other, command.relation) is not None:
        return ()
    proposed = e.MatchProposed(
        other=command.other,
        relation=command.relation,
        reasons=command.reasons,
        distance_m=command.distance_m,
        apart_s=command.apart_s,
    )
    return (e.Draft(event=proposed),)


def _confirm(incident: Incident, command: c.ConfirmMatch, _: datetime) -> Decision:
    if command.other == incident.id:
        raise Refused("an incident is no match of its own")
    known = incident.match(command.other, command.relation)
    if known is not None and known.standing is Standing.CONFIRMED:
        return ()
    confirmed = e.MatchConfirmed(other=command.other, relation=command.relation, reasons=command.reasons)
    return (e.Draft(event=confirmed),)


def _undo(incident: Incident, command: c.UndoMatch, _: datetime) -> Decision:
    known = incident.match(command.other, command.relation)
    if known is None:
        raise Refused("these two have not been matched")
    if known.standing is Standing.UNDONE:
        return ()
    return (e.Draft(event=e.MatchUndone(other=command.other, relation=command.relation)),)


def _answer(incident: Incident, command: c.AnswerVehicle, _: datetime) -> Decision:
    if incident.answer(command.answer) is not None:
        return ()
    if (incident.state is State.CLOSED) != (command.action is AnswerAction.CLEAR_DOWN):
        closed = incident.state is State.CLOSED
        raise Refused("the incident is closed: reopen it to reach the vehicle" if closed else "the call is not over")
    text = command.text.strip()
    if (command.action is AnswerAction.MESSAGE and not text) or (text and command.action not in _SAID):
        raise Refused("a message has a text, and nothing but it and a request to call us has one")
    if len(text) > MESSAGE_CHARACTERS:
        raise Refused(f"a message has at most {MESSAGE_CHARACTERS} characters")
    given = e.AnswerGiven(answer=command.answer, action=command.action)
    return (e.Draft(event=given, parts={Category.OBS: text.encode()} if text else {}),)


def _answer_delivered(incident: Incident, command: c.ConfirmAnswer, _: datetime) -> Decision:
    known = incident.answer(command.answer)
    if known is None:
        raise Refused(f"nothing was given to the vehicle under {command.answer}")
    if known.delivered is not None:
        return ()
    return (e.Draft(event=e.AnswerDelivered(answer=command.answer, channel=command.channel)),)


DECIDERS: Mapping[type[c.Command], Callable[[Incident, Any, datetime], Decision]] = MappingProxyType(
    {
        c.JoinReport: _join,
        c.RecordCancel: _cancel,
        c.ProposeMatch: _propose,
        c.ConfirmMatch: _confirm,
        c.UndoMatch: _undo,
        c.AnswerVehicle: _answer,
        c.ConfirmAnswer: _answer_delivered,
    }
)


# --- effects ---


def remembered(digests: tuple[str, ...], digest: str) -> tuple[str, ...]:
    """``digests`` with ``digest`` as the newest; the oldest are forgotten."""
    return (*digests, digest)[-REMEMBERED:] if digest else digests


def _cannot_be(finding: str) -> bool:
    return finding.partition(":")[0] in CANNOT_BE


def filed(incident: Incident, event: e.ReportFiled) -> dict[str, Any]:
    """A report that comes late fills in what is unknown; it does not make what is known older, nor milder."""
    newest = incident.sequence is None or event.sequence >= incident.sequence
    doubts = tuple(code for code in event.findings if _cannot_be(code))
    return {
        "located": event.located or bool(incident.located),
        "sequence": event.sequence if newest else incident.sequence,
        "flags": flags(incident.flags, doubts, readable=NOT_FILED not in event.findings),
        "filed": remembered(incident.filed, event.report_digest),
    } | cards.grounds(incident, urgency.ordered((*incident.urgent_reported, *event.urgent)))


def joined(incident: Incident, event: e.ReportJoined) -> dict[str, Any]:
    """A crash that is reported later makes an incident of unknown cause, or a pressed button, automatic."""
    return {
        "trigger": event.trigger if event.trigger is Trigger.AUTOMATIC else incident.trigger,
        "reports": remembered(incident.reports, event.report_digest),
        "flags": flags(incident.flags, event.findings, readable=event.readable),
    }


def cancelled(incident: Incident, event: e.CancelReceived) -> dict[str, Any]:
    return {
        "reports": remembered(incident.reports, event.report_digest),
        "cancelled": event.reason,
        "flags": tuple(dict.fromkeys((*incident.flags, "cancel_requested"))),
    }


def matched(
    incident: Incident, event: e.MatchProposed | e.MatchConfirmed | e.MatchUndone, standing: Standing
) -> dict[str, Any]:
    made = Match(other=event.other, relation=event.relation, standing=standing)
    others = tuple(known for known in incident.matches if (known.other, known.relation) != (made.other, made.relation))
    return {"matches": (*others, made)}


def given(incident: Incident, event: e.AnswerGiven) -> dict[str, Any]:
    return {"answers": (*incident.answers, Answer(answer=event.answer, action=event.action))}


def answered(incident: Incident, event: e.AnswerDelivered) -> dict[str, Any]:
    return {
        "answers": tuple(
            replace(known, delivered=event.channel) if known.answer == event.answer else known
            for known in incident.answers
        )
    }
