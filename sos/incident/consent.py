"""Whether the person agrees to be spoken of, and what a supervisor says where they do not.

Part of ``lifecycle``: its deciders and effects for these facts, pure like all of it.  What the law makes of them is
``routing.law``; here stands what holds under every law: a «yes» covers what it named, a «no» is not walked around by
choosing another reason, and nobody approves their own request.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from msgspec.structs import replace

from routing.categories import Category
from routing.law.codes import Fact, Path
from sos.errors import Refused
from sos.incident import commands as c
from sos.incident import events as e
from sos.incident import response
from sos.incident.model import Consent, ConsentAnswer, Disclosure, Incident, Referral, ResponseHow, State
from sos.incident.report import canonical

Decision = tuple[e.Draft, ...]


def check(incident: Incident, command: c.DecideDisclosure) -> None:
    """``Refused`` where what the person or a supervisor has said does not carry this disclosure."""
    consent = incident.consent
    refused = consent is not None and consent.answer is ConsentAnswer.REFUSED
    if command.path == Path.AGREED:
        _check_agreement(consent, command)
    elif command.path == Path.REFUSED:
        if not refused:
            raise Refused("no refusal of the person is recorded")
        if command.referral is None:
            raise Refused("a supervisor has to approve this first")
    elif refused and command.path == Path.LIFE_PROTECTION:
        raise Refused("the person has refused: ask a supervisor, or say who else is in danger")
    if command.referral is not None:
        _check_referral(incident, command.referral, command)
    _check_update(incident, command)


def _check_agreement(consent: Consent | None, command: c.DecideDisclosure) -> None:
    if consent is None or consent.answer is not ConsentAnswer.AGREED:
        raise Refused("record first that the person agreed, and to what")
    if consent.agencies and command.agency not in consent.agencies:
        raise Refused(f"the person did not name {command.agency}")
    if beyond := sorted(set(command.sections) - set(consent.categories)):
        raise Refused(f"the person did not agree to {', '.join(beyond)}")


def _check_referral(incident: Incident, referral: str, command: c.DecideDisclosure) -> None:
    """A supervisor's word holds for the agency and the reason it was asked for."""
    known = incident.referral(referral)
    asked = known is not None and (known.agency, known.path) == (command.agency, command.path)
    if known is None or not asked or not known.approved:
        raise Refused("a supervisor has to approve this first")


def _check_update(incident: Incident, command: c.DecideDisclosure) -> None:
    if command.supersedes is None:
        return
    before = incident.disclosure(command.supersedes)
    if before is None or before.agency != command.agency:
        raise Refused(f"nothing was disclosed to {command.agency} under {command.supersedes}")
    if before.superseded:
        raise Refused(f"{command.supersedes} has been followed by a newer brief already")


def told(incident: Incident, event: e.DisclosureDecided) -> dict[str, Any]:
    """A newer brief takes the place of the one before: nobody waits for an answer to that any more."""
    before = incident.disclosure(event.supersedes) if event.supersedes else None
    made = Disclosure(
        disclosure=event.disclosure,
        agency=event.agency,
        service=event.service,
        brief_version=event.brief_version,
        unattended=event.unattended,
        status=before.status if before else None,
        joined=event.joined,
        categories=event.categories,
        unheard=any(known.at_n > event.heard and known.category in event.categories for known in incident.heard),
    )
    others = tuple(
        replace(known, superseded=True) if known.disclosure == event.supersedes else known
        for known in incident.disclosures
    )
    return {"disclosures": (*others, made)}


def recorded(_: Incident, event: e.ConsentRecorded) -> dict[str, Any]:
    return {"consent": Consent(answer=event.answer, categories=event.categories, agencies=event.agencies)}


def referred(incident: Incident, event: e.DisclosureReferred) -> dict[str, Any]:
    asked = Referral(referral=event.referral, agency=event.agency, path=event.path)
    return {"referrals": (*incident.referrals, asked)}


def answered(incident: Incident, event: e.ReferralAnswered) -> dict[str, Any]:
    return {
        "referrals": tuple(
            replace(known, approved=event.approved, supervisor=event.supervisor, facts=event.facts)
            if known.referral == event.referral
            else known
            for known in incident.referrals
        )
    }


def _record(incident: Incident, command: c.RecordConsent, _: datetime) -> Decision:
    if incident.operator is None or incident.state is State.CLOSED:
        raise Refused("only the operator who has the incident may record what the person said: answer it first")
    if command.answer is ConsentAnswer.AGREED and not command.categories:
        raise Refused("what did the person agree to?")
    if Category.RAW in command.categories:
        raise Refused("the raw report is never disclosed")
    now = Consent(answer=command.answer, categories=command.categories, agencies=command.agencies)
    if incident.consent == now:
        return ()
    event = e.ConsentRecorded(
        answer=command.answer, categories=command.categories, agencies=command.agencies, audio_ms=command.audio_ms
    )
    return (e.Draft(event=event, parts=response.corrected(incident, ResponseHow.SPEECH)),)


def _refer(incident: Incident, command: c.ReferDisclosure, _: datetime) -> Decision:
    if incident.referral(command.referral) is not None:
        return ()
    if incident.operator is None or incident.state is State.CLOSED:
        raise Refused("only the operator who has the incident may ask a supervisor: answer it first")
    if not command.reason.strip():
        raise Refused("a supervisor needs to know why")
    asked = [known for known in incident.referrals if (known.agency, known.path) == (command.agency, command.path)]
    if any(known.approved is None for known in asked):
        raise Refused("this question for a supervisor is on record already and has no answer yet")
    event = e.DisclosureReferred(
        referral=command.referral,
        agency=command.agency,
        rule=command.rule,
        path=command.path,
        necessity=command.necessity,
        consent=command.consent,
    )
    return (e.Draft(event=event, parts={Category.OBS: canonical({"text": command.reason})}),)


def _answer(incident: Incident, command: c.AnswerReferral, _: datetime) -> Decision:
    known = incident.referral(command.referral)
    if known is None:
        raise Refused(f"nothing was asked of a supervisor under {command.referral}")
    if known.approved is not None:
        if (known.approved, known.supervisor) == (command.approved, command.supervisor):
            return ()
        raise Refused(f"{known.supervisor} has answered already")
    if unknown := set(command.facts) - set(Fact):
        raise Refused(f"{min(unknown)!r} is no fact that the law asks for")
    if command.supervisor == incident.operator:
        raise Refused("nobody approves their own request: another supervisor has to")
    if not command.reason.strip():
        raise Refused("the reason has to be written down")
    event = e.ReferralAnswered(
        referral=command.referral, supervisor=command.supervisor, approved=command.approved, facts=command.facts
    )
    return (e.Draft(event=event, parts={Category.OBS: canonical({"text": command.reason})}),)


def _refuse(_: Incident, command: c.RefuseDisclosure, __: datetime) -> Decision:
    refused = e.DisclosureRefused(
        agency=command.agency,
        rule=command.rule,
        outcome=command.outcome,
        path=command.path,
        necessity=command.necessity,
        consent=command.consent,
        tried=command.tried,
    )
    words = {Category.OBS: canonical({"text": command.reason})} if command.reason.strip() else {}
    return (e.Draft(event=refused, parts=words),)


EFFECTS: Mapping[type[e.Event], Callable[[Incident, Any], dict[str, Any]]] = MappingProxyType(
    {
        e.ConsentRecorded: recorded,
        e.DisclosureReferred: referred,
        e.ReferralAnswered: answered,
    }
)

DECIDERS: Mapping[type[c.Command], Callable[[Incident, Any, datetime], Decision]] = MappingProxyType(
    {
        c.RecordConsent: _record,
        c.RefuseDisclosure: _refuse,
        c.ReferDisclosure: _refer,
        c.AnswerReferral: _answer,
    }
)
