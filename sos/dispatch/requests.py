"""Somebody outside asks: the law says whether and what they are given, and what they are given is one document.

A request, what was found out about it and who agreed stand in the journal (``sos.incident.requests``); nothing here is
ticked.  No agency's ladder carries the answer: a person hands it over, as it stands in the record, to whoever asked.
Recordings and trips are not in it; they go by an export that names them (``sos.exports``).
"""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from routing.categories import Category
from routing.directory import Directory
from routing.law import Case, RuleBook, Verdict, evaluate
from sos.dispatch.medical import home
from sos.dispatch.policy import Policy
from sos.incident import requests
from sos.incident.commands import AnswerRequest
from sos.incident.model import Incident, IncidentId, OperatorId, RequestId, State, TenantId, Trigger
from sos.incident.owed import Asked
from sos.incident.report import canonical
from sos.incident.urns import incident_urn
from sos.journal.journal import Journal
from sos.journal.sections import HELD, sections

FORMAT = "sos-release/1"


class Requests:
    def __init__(
        self,
        journal: Journal,
        *,
        directory: Directory,
        rules: RuleBook,
        domains: Mapping[TenantId, str],
        policy: Callable[[Incident], Awaitable[Policy]],
    ) -> None:
        self._journal = journal
        self._directory = directory
        self._rules = rules
        self._domains = domains
        self._policy = policy

    async def answer(self, incident: IncidentId, request: RequestId, *, operator: OperatorId) -> AnswerRequest:
        """Ask the law about a request as it stands on record, and record what it says.

        What comes back is what was recorded; where it permits, ``document`` is what is handed over.  ``Refused`` where
        there is no such request, where it has been answered, or where too few people agree.
        """
        state = await self._journal.state(incident)
        asked = requests.find(state, request)
        held = sections(await self._journal.unseal(incident, tuple(HELD)))
        policy = await self._policy(state)
        case = self._case(state, asked, frozenset(held), policy)
        verdict = evaluate(case, rules=self._rules, as_of=self._rules.day(case.jurisdiction, self._journal.clock.now()))
        command = self._command(state, asked, verdict, held, case, policy, operator=operator)
        await self._journal.execute(incident, command, actor=f"operator:{operator}")
        return command

    def _case(self, state: Incident, asked: Asked, held: frozenset[Category], policy: Policy) -> Case:
        jurisdiction = home(state, self._directory)
        return Case(
            jurisdiction=jurisdiction,
            path=asked.path,
            live=state.state is not State.CLOSED,
            danger="automatic_crash" if state.trigger is Trigger.AUTOMATIC else "call_for_help",
            consent_difficulty=_difficulty(state),
            facts=requests.facts(asked, home=jurisdiction),
            recipient_class=asked.recipient,
            held_categories=held,
            named=frozenset(asked.scope),
            opt_out=policy.keeps_from(asked.path),
            terms=policy.terms,
            mode=state.mode,
        )

    def _command(
        self,
        state: Incident,
        asked: Asked,
        verdict: Verdict,
        held: Mapping[Category, bytes],
        case: Case,
        policy: Policy,
        *,
        operator: OperatorId,
    ) -> AnswerRequest:
        permits = verdict.outcome.permits
        given = [category for category in verdict.categories if category in asked.scope] if permits else []
        shown = {category: _without(category, held[category], verdict.without) for category in given}
        document = self._document(state, asked, verdict, shown) if permits else b""
        return AnswerRequest(
            request=RequestId(asked.request),
            outcome=verdict.outcome,
            rule=verdict.rule,
            ground=verdict.ground,
            grounds=verdict.grounds,
            law_version=verdict.law_version,
            rules=self._rules.dataset,
            clause=(verdict.clause or policy.clauses.get(asked.path, "")) if permits else "",
            sections=shown,
            withheld=tuple(category for category in Category if category in held and category not in shown),
            without=verdict.without,
            statements=verdict.statements if permits else (),
            facts=tuple(sorted(case.facts)),
            tried=tuple((row.rule, row.why) for row in verdict.tried if row.why != "path"),
            obligations=tuple(verdict.record),
            document=document,
            digest=hashlib.sha256(document).hexdigest() if permits else "",
            operator=operator,
        )

    def _document(self, state: Incident, asked: Asked, verdict: Verdict, shown: Mapping[Category, bytes]) -> bytes:
        """What is handed over: complete in itself, and no more than was asked for."""
        return canonical(
            {
                "format": FORMAT,
                "incident": incident_urn(state.id, self._domains[state.tenant]),
                "request": asked.request,
                "recipient": asked.recipient,
                "rule": verdict.rule,
                "grounds": verdict.grounds,
                "law": verdict.law_version,
                "provision": verdict.provision,
                "decidedAt": self._journal.clock.now(),
                "inventory": tuple(shown),
                "sections": {category: msgspec.Raw(section) for category, section in shown.items()},
                "statements": verdict.statements,
            }
        )


def _without(category: Category, section: bytes, left_out: tuple[str, ...]) -> bytes:
    fields: dict[str, Any] = msgspec.json.decode(section)
    return canonical({name: value for name, value in fields.items() if f"{category}.{name}" not in left_out})


def _difficulty(state: Incident) -> str:
    """Why the person cannot be asked, as far as the clock of the call knows."""
    clock = state.response
    return "unconscious" if clock is not None and clock.assumed_at is not None and not clock.heard else ""
