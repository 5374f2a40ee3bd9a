"""What the law wants done or kept when somebody is told: who does it, by when, and what proves it.

Part of ``lifecycle``: its deciders, effects and times for obligations, pure like all of it.

**Theory.**  A row of the law names obligations (``routing.law.Obligation``).  Each has exactly one doer
(``DOERS``).  What is *kept* is a field or a part of an event that cannot be written without it, so nobody can forget
it.  What is *chased* is owed by a person from the event on: it has a due time, it stands in a queue until somebody says
what was done, and it falls due again while nobody does: each time supervisors are alarmed, and after
``CHASED_AT_MOST`` times it is missed.  That is an end of the chase: the alarm stands until it is acknowledged, the
obligation stays in the queue as missed until somebody meets it, and falls due once more at the yearly audit.  Closing
an incident ends none of them, and destroying its data ends none: only ids and codes are needed.

A review is never done by whoever decided.  What is told of a drill or a test is owed to nobody.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from routing.categories import Category
from routing.law.codes import Obligation
from sos.errors import Forbidden, Refused
from sos.incident import commands as c
from sos.incident import events as e
from sos.incident.deadline import Actor, Deadline, DeadlineName
from sos.incident.model import Incident, Mode
from sos.incident.owed import Owed
from sos.incident.report import canonical

Decision = tuple[e.Draft, ...]

ROW = Deadline(
    name=DeadlineName.OWED,
    after=timedelta(minutes=1),
    reason="what the law wants done was not done in time; each obligation has times of its own (DOERS)",
    actors=(Actor.SUPERVISORS,),
)

PREFIX = f"{DeadlineName.OWED}:"
"""Of the deadlines that are obligations: ``owed:<obligation>:<about>``."""

PERSON = "person"
"""What an obligation to the person is about: however many were told, one word to them answers for all."""


class Who(StrEnum):
    OPERATOR = "operator"
    """Whoever works at a desk."""
    SUPERVISOR = "supervisor"
    PRIVACY = "privacy"
    """Whoever answers for personal data in the house; at a desk, a supervisor."""


class Kept(Struct, frozen=True):
    """Nobody has to do it: the record cannot be written without it."""

    where: tuple[str, ...]
    """Kind and field of the event that holds it; ``Kind+OBS`` for a part."""


class Chased(Struct, frozen=True, kw_only=True):
    """A person does it, and says so."""

    who: Who
    within: timedelta
    again: timedelta
    """How often it falls due anew while nobody has done it."""
    what: str
    """For people: what is to be done."""


CHASED_AT_MOST = 5
"""How often an obligation falls due before it counts as missed: five reminders that nobody acted on are no reminder."""

AUDIT = timedelta(days=365)
"""When what was missed falls due once more."""

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)


def _words(what: str) -> Chased:
    """Something that is known to whoever told, and was not asked for while a life was at stake."""
    return Chased(who=Who.OPERATOR, within=_HOUR, again=_DAY, what=what)


_O = Obligation
_REQUEST = "RequestReceived"

DOERS: Mapping[Obligation, Kept | Chased] = MappingProxyType(
    {
        _O.NECESSITY: Kept(
            (
                "DisclosureDecided.necessity",
                "RegisteredDataCopied.necessity",
                "MedicalTaken.necessity",
                "CardAnswered.necessity",
            )
        ),
        _O.CONSENT: Kept(("DisclosureDecided.consent", "ConsentRecorded.answer", "RegisteredDataCopied.consent")),
        _O.RECIPIENT: Kept(("DisclosureDecided.agency", "RequestReceived.recipient", "DisclosureRefused.agency")),
        _O.CATEGORIES: Kept(("DisclosureDecided.categories", "RequestAnswered.categories")),
        _O.WITHHELD: Kept(("DisclosureDecided.withheld", "RequestAnswered.withheld")),
        _O.BRIEF_DIGEST: Kept(("DisclosureDecided.forms", "RequestAnswered.digest")),
        _O.LATER_NOTIFICATION: Chased(
            who=Who.PRIVACY,
            within=timedelta(days=14),
            again=timedelta(days=7),
            what="tell the person who was told what, or say why not",
        ),
        _O.LATER_EXPLANATION: Chased(
            who=Who.PRIVACY,
            within=timedelta(days=14),
            again=timedelta(days=7),
            what="explain to the person what was taken in about them, and from whom",
        ),
        _O.AUDIO_OFFSET: Kept(("ConsentRecorded.audio_ms",)),
        _O.PROVISION_RECORD: Kept(("DisclosureDecided.categories", "RequestAnswered.categories")),
        _O.PROTECTED_PERSON: _words("who was protected"),
        _O.EVENT_ID: _words("which event it belongs to"),
        _O.REQUESTER: Kept((f"{_REQUEST}+OBS",)),
        _O.STATUTE_OR_TASK: Kept((f"{_REQUEST}.provision",)),
        _O.CALL_BACK_CHECK: Kept(("RequestChecked.fact",)),
        _O.SUPERVISOR: Kept(("DisclosureDecided.supervisor",)),
        _O.REASON: Kept(("TellingReasoned+OBS", "DisclosureReferred+OBS", "ReferralAnswered+OBS")),
        _O.CONSENT_ATTEMPT: _words("how consent was asked for, and what came of it"),
        _O.REVIEW_WITHIN_A_DAY: Chased(
            who=Who.SUPERVISOR,
            within=_DAY,
            again=_DAY,
            what="look at what was told, as somebody who did not decide it",
        ),
        _O.DOCUMENT: Kept((f"{_REQUEST}.document",)),
        _O.DOCUMENT_NUMBER: Kept((f"{_REQUEST}+OBS",)),
        _O.TWO_PERSONS: Kept(("RequestApproved.by",)),
        _O.INVENTORY: Kept(("RequestAnswered.categories",)),
        _O.REQUEST_LOG: Kept((f"{_REQUEST}.path",)),
        _O.CALL_BACK_NUMBER: Kept((f"{_REQUEST}+OBS",)),
        _O.CHECK_QUESTIONS: Kept(("RequestChecked+OBS",)),
        _O.MINIMISED: Kept(("DisclosureDecided.without", "RequestAnswered.without")),
        _O.CONTRACT: Kept((f"{_REQUEST}.document",)),
        _O.TICKS: Kept(("DisclosureDecided.facts", "RequestAnswered.facts")),
        _O.COUNTRY: Kept((f"{_REQUEST}.country",)),
        _O.ROUTE: Kept(("RequestAnswered.facts",)),
        _O.SOURCE_OF_DATA: Kept(("MedicalTaken.source", "CardAnswered.source")),
        _O.NECESSITY_NOTE: _words("in words, why it was necessary"),
        _O.WHY_NO_OTHER_BASIS: _words("why nothing else could be relied on"),
        _O.INCAPACITY_EVIDENCE: _words("what showed that the person could not consent"),
        _O.TRANSFER_REGISTER: Kept(("RequestAnswered.categories",)),
        _O.DATA_PROTECTION_OFFICER: Chased(
            who=Who.PRIVACY, within=timedelta(days=3), again=_DAY, what="decide whether there is another ground"
        ),
        _O.REQUEST_TEXT: Kept((f"{_REQUEST}+OBS",)),
        _O.GOOD_FAITH: Kept(("DisclosureDecided.facts", "RequestAnswered.facts", "RegisteredDataCopied.facts")),
        _O.AUTHORISATION: Kept((f"{_REQUEST}.document",)),
        _O.OPT_OUT_OVERRIDE: Kept(("DisclosureDecided.opt_out_overridden",)),
        _O.SUPERVISOR_WITHIN_A_MINUTE: Chased(
            who=Who.SUPERVISOR,
            within=timedelta(minutes=1),
            again=timedelta(minutes=1),
            what="say yes or no to what the law leaves to a supervisor",
        ),
        _O.TRIED: Kept(("DisclosureRefused.tried", "RequestAnswered.tried")),
    }
)
"""Obligation -> who does it.  A row of the law that names one without a doer does not start (by test)."""

REASONED = frozenset({Obligation.NECESSITY_NOTE, Obligation.WHY_NO_OTHER_BASIS})
"""What the reason in words, given while telling, has met already."""

OUTCOMES: Mapping[Obligation, frozenset[str]] = MappingProxyType(
    {
        _O.LATER_NOTIFICATION: frozenset({"done", "cannot_reach", "would_harm", "known_already"}),
        _O.LATER_EXPLANATION: frozenset({"done", "cannot_reach", "would_harm", "known_already"}),
        _O.REVIEW_WITHIN_A_DAY: frozenset({"in_order", "too_much", "wrong_ground", "no_ground"}),
        _O.DATA_PROTECTION_OFFICER: frozenset({"in_order", "no_ground"}),
    }
)
"""How each may end, where it is not simply ``done``."""

DONE = frozenset({"done"})

NOT_FOR_PEOPLE = frozenset({Obligation.SUPERVISOR_WITHIN_A_MINUTE})
"""Met by an event of its own: the supervisor's answer."""


def outcomes(obligation: str) -> frozenset[str]:
    return OUTCOMES.get(Obligation(obligation), DONE)


def chased(obligations: tuple[str, ...]) -> Iterator[tuple[Obligation, Chased]]:
    """Those that a person has to meet."""
    for code in obligations:
        if code in set(Obligation) and isinstance(found := DOERS[Obligation(code)], Chased):
            yield Obligation(code), found


def _name(owed: Owed) -> str:
    return f"{PREFIX}{owed.obligation}:{owed.about}"


def due(incident: Incident) -> tuple[tuple[str, datetime], ...]:
    """Name and instant of every obligation that waits, in every state."""
    return tuple((_name(owed), owed.due_at) for owed in incident.owed)


def passed(incident: Incident, name: str) -> e.ObligationDue | None:
    """What the passing of the deadline ``name`` says; None where it is no obligation."""
    owed = next((each for each in incident.owed if _name(each) == name), None)
    return e.ObligationDue(obligation=owed.obligation, about=owed.about, late=owed.late + 1) if owed else None


# --- effects ---


_TO_THE_PERSON = frozenset({Obligation.LATER_NOTIFICATION, Obligation.LATER_EXPLANATION})


def _incur(
    incident: Incident, codes: tuple[str, ...], *, about: str, at: datetime, instead: str | None = None, by: str = ""
) -> dict[str, Any]:
    """``incident.owed`` with what ``codes`` lead to; what was owed about ``instead`` is owed about this, no later."""
    if incident.mode is not Mode.LIVE:
        return {}
    owed = {(each.obligation, each.about): each for each in incident.owed}
    for code, who in chased(codes):
        key = (str(code), PERSON if code in _TO_THE_PERSON else about)
        before = owed.pop((str(code), instead), None) if instead else None
        if key not in owed:
            fresh = Owed(obligation=str(code), about=key[1], since=at, due_at=at + who.within, by=by)
            owed[key] = replace(before, about=key[1], by=by) if before else fresh
    return {"owed": tuple(owed.values())}


def _meet(incident: Incident, about: str, *codes: str) -> dict[str, Any]:
    left = tuple(each for each in incident.owed if each.about != about or (codes and each.obligation not in codes))
    return {"owed": left}


def _fell_due(incident: Incident, event: e.ObligationDue, at: datetime) -> dict[str, Any]:
    return {
        "owed": tuple(
            replace(each, late=event.late, due_at=at + (AUDIT if event.late >= CHASED_AT_MOST else doer(each).again))
            if (each.obligation, each.about) == (event.obligation, event.about)
            else each
            for each in incident.owed
        )
    }


def doer(owed: Owed) -> Chased:
    """Who has to meet it."""
    found = DOERS[Obligation(owed.obligation)]
    assert isinstance(found, Chased)
    return found


def followed(incident: Incident, event: e.Event, at: datetime) -> dict[str, Any]:
    """What changes in what is owed about ``incident``, as it is after ``event``."""
    operator = incident.operator or ""
    match event:
        case e.DisclosureDecided():
            by = event.supervisor or operator
            return _incur(incident, event.obligations, about=event.disclosure, at=at, instead=event.supersedes, by=by)
        case e.RequestAnswered():
            return _incur(incident, event.obligations, about=event.request, at=at, by=event.by)
        case e.MedicalTaken() | e.CardAnswered() | e.RegisteredDataCopied():
            return _incur(incident, event.obligations, about=PERSON, at=at, by=operator)
        case e.TellingReasoned():
            return _meet(incident, event.disclosure, *REASONED)
        case e.DisclosureReferred():
            code = Obligation.SUPERVISOR_WITHIN_A_MINUTE
            return _incur(incident, (code,), about=event.referral, at=at, by=operator)
        case e.ReferralAnswered():
            return _meet(incident, event.referral)
        case e.IncidentClosed():  # there is nothing left to tell anybody
            left = tuple(each for each in incident.owed if each.obligation not in NOT_FOR_PEOPLE)
            return {"owed": left}
        case e.ObligationMet():
            return _meet(incident, event.about, event.obligation)
        case e.ObligationDue():
            return _fell_due(incident, event, at)
        case _:
            return {}


# --- deciders ---


def _meet_obligation(incident: Incident, command: c.MeetObligation, _: datetime) -> Decision:
    key = (command.obligation, command.about)
    owed = next((each for each in incident.owed if (each.obligation, each.about) == key), None)
    if owed is None:
        raise Refused("nothing of the kind is owed; somebody has done it already")
    code = Obligation(owed.obligation)
    if code in NOT_FOR_PEOPLE and incident.referral(owed.about) is not None:
        raise Refused("this is met by a supervisor's answer to the question")
    if doer(owed).who is not Who.OPERATOR and not command.supervises:
        raise Forbidden("only a supervisor can say that this was done")
    if code is Obligation.REVIEW_WITHIN_A_DAY and owed.by == command.operator:
        raise Refused("nobody reviews their own decision: another supervisor has to")
    if command.outcome not in outcomes(code):
        raise Refused(f"how did it end: {', '.join(sorted(outcomes(code)))}?")
    if not command.words.strip():
        raise Refused("what was done has to be written down")
    met = e.ObligationMet(
        obligation=owed.obligation, about=owed.about, outcome=command.outcome, operator=command.operator
    )
    return (e.Draft(event=met, parts=said(command.words)),)


def said(words: str) -> Mapping[Category, bytes]:
    """What somebody of ours has written, sealed: never in a header."""
    return {Category.OBS: canonical({"text": words.strip()})} if words.strip() else {}


DECIDERS: Mapping[type[c.Command], Callable[[Incident, Any, datetime], Decision]] = MappingProxyType(
    {c.MeetObligation: _meet_obligation}
)


# --- the page ----------------------------------------------------------------------------------------------------


def table() -> str:
    """Obligation, who does it, by when, and what or where, for ops/docs/law.md."""
    lines = ["| obligation | who | by when | what is done, or where it is kept |", "| --- | --- | --- | --- |"]
    for obligation, doer in DOERS.items():
        match doer:
            case Kept(where=where):
                lines.append(
                    f"| `{obligation}` | the record | at once | {', '.join(f'`{place}`' for place in where)} |"
                )
            case Chased(who=who, within=within, again=again, what=what):
                times = f"{_short(within)}, then every {_short(again)}"
                lines.append(f"| `{obligation}` | {who} | {times} | {what} |")
    return "\n".join(lines)


def _short(time: timedelta) -> str:
    if time.days:
        return f"{time.days} d"
    return f"{time // timedelta(hours=1)} h" if time >= timedelta(hours=1) else f"{time // timedelta(minutes=1)} min"
