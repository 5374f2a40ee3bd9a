"""Somebody outside wants to know something: who, under which provision, what was found out about it, who agreed.

Part of ``lifecycle``: its deciders and effects for requests, pure like all of it.  An investigator, a court, a public
body, a family, an insurer: none of them is in the directory of those who rescue, and none is believed on a tick.  Every
fact that a row of the law wants of a request is in the request itself, or an event with somebody's name and words.
What is answered, and with what, is ``sos.dispatch.requests``; a request may come and be answered after the closing.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from msgspec.structs import replace

from routing.categories import Category
from routing.law.codes import Fact, Outcome, Path
from routing.services import Recipient
from sos.errors import Forbidden, Refused
from sos.incident import commands as c
from sos.incident import events as e
from sos.incident.deadline import Actor, Deadline, DeadlineName
from sos.incident.model import Incident, RequestId
from sos.incident.obligations import said
from sos.incident.owed import Asked
from sos.incident.report import canonical

Decision = tuple[e.Draft, ...]

PATHS = frozenset(
    {
        Path.PUBLIC_TASK,
        Path.INQUIRY,
        Path.COURT_ORDER,
        Path.ORAL_REQUEST,
        Path.FAMILY_ENQUIRY,
        Path.COMMERCIAL,
        Path.CARRIER_REQUEST,
        Path.TRANSFER,
    }
)
"""What is asked for from outside.  Nobody of ours tells anybody on these paths without a request on record."""

RESCUE_BODIES = frozenset({Recipient.FIRE, Recipient.POL, Recipient.JCG, Recipient.DHQ})
PUBLIC_BODIES = RESCUE_BODIES | {Recipient.MED, Recipient.HOSP, Recipient.HELI}

CHECKED = frozenset(
    {
        Fact.ASKING_OBSTRUCTS_TASK,
        Fact.CALL_BACK_VERIFIED,
        Fact.DOCUMENT_ON_FILE,
        Fact.LEGAL_SIGN_OFF,
        Fact.RELATION_PLAUSIBLE,
        Fact.CONSENT_ON_FILE,
        Fact.ENTRUSTED,
        Fact.EXPRESS_AUTHORISATION,
        Fact.GRAVE_DANGER_IMMINENT,
        Fact.LOCATION_INDISPENSABLE,
        Fact.COUNTRY_WHITELISTED,
        Fact.EQUIVALENT_MEASURES,
        Fact.TOLD_OF_COUNTRY,
        Fact.ADEQUACY_DECISION,
        Fact.INCAPABLE_OF_CONSENT,
        Fact.RISK_OF_DEATH,
        Fact.GOOD_FAITH,
        Fact.MEDICALLY_USEFUL,
    }
)
"""What somebody of ours finds out about a request, and writes down how."""

BY_SUPERVISOR = frozenset({Fact.LEGAL_SIGN_OFF, Fact.GRAVE_DANGER_IMMINENT, Fact.GOOD_FAITH})
ON_PAPER = frozenset(
    {Fact.DOCUMENT_ON_FILE, Fact.CONSENT_ON_FILE, Fact.ENTRUSTED, Fact.EXPRESS_AUTHORISATION, Fact.LEGAL_SIGN_OFF}
)
"""Nobody finds these without a document."""

IMPLIED = frozenset(
    {
        Fact.PUBLIC_BODY_ASKS,
        Fact.RESCUE_BODY_REQUESTS,
        Fact.STATUTORY_TASK_STATED,
        Fact.CARRIER_DATA,
        Fact.RECIPIENT_ABROAD,
        Fact.TWO_PERSON_APPROVAL,
    }
)
"""What follows from the request as it was taken down, and from who has agreed."""

TWO_PERSONS = frozenset({Recipient.INV, Recipient.CRT})
"""Whom nobody answers alone, whatever a row says: what they are given is used against somebody."""


ROW = Deadline(
    name=DeadlineName.ASKED,
    after=timedelta(hours=1),
    reason="somebody outside has asked and nobody has answered or refused; each kind of request has its own time",
    actors=(Actor.SUPERVISORS,),
)

PREFIX = f"{DeadlineName.ASKED}:"
"""Of the deadlines of requests: ``asked:<request>``."""

WITHIN: Mapping[Path, timedelta] = MappingProxyType(
    {
        Path.PUBLIC_TASK: ROW.after,
        Path.CARRIER_REQUEST: ROW.after,
        Path.ORAL_REQUEST: timedelta(days=1),
        Path.FAMILY_ENQUIRY: timedelta(days=1),
    }
)
"""By when a request is answered or refused.  Who rescues asks now, a family waits; no law sets the others a time."""

WITHIN_OTHERS = timedelta(days=7)
AGAIN = timedelta(days=1)
"""When it falls due anew while nobody has done either."""


def due(incident: Incident) -> tuple[tuple[str, datetime], ...]:
    """When each request that nobody has answered or refused is due."""
    return tuple((f"{PREFIX}{asked.request}", asked.due_at) for asked in incident.asked if asked.due_at is not None)


def passed(incident: Incident, name: str) -> e.RequestOverdue | None:
    """What the passing of the deadline ``name`` says; None where it is none of a request."""
    asked = next((each for each in incident.asked if f"{PREFIX}{each.request}" == name), None)
    return e.RequestOverdue(request=RequestId(asked.request), late=asked.late + 1) if asked is not None else None


def followed(incident: Incident, event: e.Event, at: datetime) -> dict[str, Any]:
    """What changes in when requests are due, in ``incident`` as it is after ``event``."""
    match event:
        case e.RequestReceived(request=request, path=path):
            within = WITHIN.get(path, WITHIN_OTHERS)
            return _changed(incident, request, lambda known: replace(known, received_at=at, due_at=at + within))
        case e.RequestOverdue(request=request, late=late):
            return _changed(incident, request, lambda known: replace(known, late=late, due_at=at + AGAIN))
        case e.RequestAnswered(request=request) | e.RequestRefused(request=request) if over(event):
            return _changed(incident, request, lambda known: replace(known, due_at=None))
    return {}


def over(event: e.RequestAnswered | e.RequestRefused) -> bool:
    """Whether nobody waits for an answer any more.

    That the law wants more, or says no, is nobody's word to whoever asked: somebody finds it out, or refuses.
    """
    return isinstance(event, e.RequestRefused) or Outcome(event.outcome).permits


def facts(asked: Asked, *, home: str) -> frozenset[Fact]:
    """What is so of a request; ``home``: the country whose law it is asked under."""
    implied = {
        Fact.PUBLIC_BODY_ASKS: asked.recipient in PUBLIC_BODIES,
        Fact.RESCUE_BODY_REQUESTS: asked.recipient in RESCUE_BODIES,
        Fact.STATUTORY_TASK_STATED: asked.provision,
        Fact.CARRIER_DATA: asked.path is Path.CARRIER_REQUEST,
        Fact.RECIPIENT_ABROAD: asked.country != home,
        Fact.TWO_PERSON_APPROVAL: agreed(asked),
    }
    return frozenset(asked.checked) | {fact for fact, so in implied.items() if so}


def agreed(asked: Asked) -> bool:
    """Whether two different people agree, a supervisor among them."""
    return len(set(asked.approved)) > 1 and asked.supervised


def find(incident: Incident, request: str) -> Asked:
    """``Refused`` where nobody has asked that."""
    known = next((each for each in incident.asked if each.request == request), None)
    if known is None:
        raise Refused("there is no such request")
    return known


# --- deciders ---


def _open(incident: Incident, request: str) -> Asked:
    known = find(incident, request)
    if known.outcome and Outcome(known.outcome).permits:
        raise Refused("this request has been answered")
    if known.refused:
        raise Refused("this request has been refused: it would have to be made anew")
    return known


def _receive(incident: Incident, command: c.ReceiveRequest, _: datetime) -> Decision:
    if any(each.request == command.request for each in incident.asked):
        return ()
    if command.path not in PATHS:
        raise Refused("this is no request from outside")
    if not (command.issuer.strip() and command.person.strip() and command.call_back.strip()):
        raise Refused("who asks, for which body, and on which number can they be called back?")
    if Category.RAW in command.scope:
        raise Refused("the raw report is never disclosed")
    if command.path in (Path.INQUIRY, Path.COURT_ORDER) and not (command.reference.strip() and command.document):
        raise Refused("an inquiry or an order is a document with a number: file it first")
    received = e.RequestReceived(
        request=command.request,
        recipient=command.recipient,
        path=command.path,
        scope=command.scope,
        provision=bool(command.provision.strip()),
        document=command.document,
        country=command.country,
        channel=command.channel,
        by=command.operator,
    )
    written = {
        "issuer": command.issuer,
        "person": command.person,
        "callBack": command.call_back,
        "provision": command.provision,
        "reference": command.reference,
        "text": command.words,
    }
    kept = {name: words.strip() for name, words in written.items() if words.strip()}
    return (e.Draft(event=received, parts={Category.OBS: canonical(kept)}),)


def _check(incident: Incident, command: c.CheckRequest, _: datetime) -> Decision:
    known = _open(incident, command.request)
    if command.fact in known.checked:
        return ()
    if command.fact not in CHECKED:
        raise Refused(f"{command.fact} is not found out by asking")
    if command.fact in BY_SUPERVISOR and not command.supervises:
        raise Forbidden("only a supervisor can say so")
    if command.fact in ON_PAPER and not known.document:
        raise Refused("there is no document on file that says so")
    if not command.words.strip():
        raise Refused("how that is known has to be written down")
    checked = e.RequestChecked(request=command.request, fact=command.fact, by=command.operator)
    return (e.Draft(event=checked, parts=said(command.words)),)


def _approve(incident: Incident, command: c.ApproveRequest, _: datetime) -> Decision:
    known = _open(incident, command.request)
    if command.operator in known.approved:
        return ()
    approved = e.RequestApproved(request=command.request, by=command.operator, supervises=command.supervises)
    return (e.Draft(event=approved),)


def _refuse(incident: Incident, command: c.RefuseRequest, _: datetime) -> Decision:
    _open(incident, command.request)
    if not command.words.strip():
        raise Refused("why it is refused has to be written down")
    refused = e.RequestRefused(request=command.request, reason=command.reason, by=command.operator)
    return (e.Draft(event=refused, parts=said(command.words)),)


def _answer(incident: Incident, command: c.AnswerRequest, _: datetime) -> Decision:
    known = _open(incident, command.request)
    permits = Outcome(command.outcome).permits
    if permits and known.recipient in TWO_PERSONS and not agreed(known):
        raise Refused("two people have to agree, and one of them is a supervisor")
    if not permits and (command.sections or command.statements):
        raise Refused("what is not permitted is not given out")
    if beyond := sorted(set(command.sections) - set(known.scope)):
        raise Refused(f"nobody asked for {', '.join(beyond)}")
    answered = e.RequestAnswered(
        request=command.request,
        outcome=command.outcome,
        recipient=known.recipient,
        rule=command.rule,
        ground=command.ground,
        grounds=command.grounds,
        law_version=command.law_version,
        rules=command.rules,
        clause=command.clause,
        categories=tuple(command.sections),
        withheld=command.withheld,
        without=command.without,
        statements=command.statements,
        facts=command.facts,
        tried=command.tried,
        obligations=command.obligations,
        digest=command.digest,
        by=command.operator,
    )
    parts = {**command.sections, Category.RAW: command.document} if permits else {}
    return (e.Draft(event=answered, parts=parts),)


# --- effects ---


def _received(incident: Incident, event: e.RequestReceived) -> dict[str, Any]:
    asked = Asked(
        request=event.request,
        recipient=event.recipient,
        path=event.path,
        scope=event.scope,
        provision=event.provision,
        document=bool(event.document),
        country=event.country,
    )
    return {"asked": (*incident.asked, asked)}


def _changed(incident: Incident, request: str, change: Callable[[Asked], Asked]) -> dict[str, Any]:
    return {"asked": tuple(change(each) if each.request == request else each for each in incident.asked)}


def _checked(incident: Incident, event: e.RequestChecked) -> dict[str, Any]:
    return _changed(incident, event.request, lambda known: replace(known, checked=(*known.checked, event.fact)))


def _approved(incident: Incident, event: e.RequestApproved) -> dict[str, Any]:
    return _changed(
        incident,
        event.request,
        lambda known: replace(
            known, approved=(*known.approved, event.by), supervised=known.supervised or event.supervises
        ),
    )


SERVICE_EFFECTS: Mapping[type[e.Event], Callable[[Incident, Any], dict[str, Any]]] = MappingProxyType(
    {
        e.RequestReceived: _received,
        e.RequestChecked: _checked,
        e.RequestApproved: _approved,
        e.RequestAnswered: lambda i, event: _changed(
            i, event.request, lambda known: replace(known, outcome=event.outcome)
        ),
        e.RequestRefused: lambda i, event: _changed(
            i, event.request, lambda known: replace(known, refused=event.reason)
        ),
    }
)
"""Followed by the service alone: a desk is told of a request when it asks."""

DECIDERS: Mapping[type[c.Command], Callable[[Incident, Any, datetime], Decision]] = MappingProxyType(
    {
        c.ReceiveRequest: _receive,
        c.CheckRequest: _check,
        c.ApproveRequest: _approve,
        c.RefuseRequest: _refuse,
        c.AnswerRequest: _answer,
    }
)
