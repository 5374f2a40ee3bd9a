"""Hop 7 to 8: an operator wants to tell an agency; the law says whether and what; the decision is recorded whole.

Nothing leaves here.  The delivery is ``handoff``'s, and it starts from the recorded decision alone.  There are four
ways to tell: for the protection of life, because the person agrees, for a third person, and against the person's
refusal with a supervisor.  What the law does not permit is refused; what it leaves to a person is recorded as a
question to a supervisor.
"""

import asyncio
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec
from msgspec import Struct

from routing.brief import Brief, Sender, compose, read
from routing.categories import Category
from routing.directory import Agency, Directory
from routing.law import Case, Fact, Obligation, Outcome, Path, RuleBook, Verdict, evaluate
from routing.services import BESIDE, RECIPIENT, Service
from sos.dispatch.codes import CodeOf
from sos.dispatch.forms import JSON, digests, forms_for, forms_of, prepare
from sos.dispatch.medical import MedicalNotes
from sos.dispatch.one_crash import Crashes, OfTheCrash
from sos.dispatch.policy import Policy
from sos.dispatch.requests import Requests
from sos.errors import Refused, Unconfirmed, Unknown
from sos.incident import cards, requests, voice
from sos.incident.commands import DecideDisclosure, ReferDisclosure, RefuseDisclosure
from sos.incident.disclosure_request import DisclosureRequest
from sos.incident.events import (
    DisclosureDecided,
    Recorded,
    VehicleRecognised,
)
from sos.incident.model import (
    AgencyId,
    ConsentAnswer,
    Disclosure,
    DisclosureId,
    Incident,
    IncidentId,
    Mode,
    OperatorId,
    Referral,
    ReferralId,
    State,
    TenantId,
    Trigger,
    new_id,
)
from sos.incident.owed import Asked
from sos.incident.report import canonical
from sos.incident.urns import incident_urn
from sos.journal.journal import Done, Journal
from sos.journal.sections import HELD, sections

UNATTENDED = "system:unattended"
"""Who has decided when no person has."""

LINKED_MEANWHILE = 3
"""How often a brief that nobody decides is made again, as its crash was linked or told of while it was made."""

FORMS_WITHIN_S = 3.0
"""How long a decision waits for its forms; a page takes a tenth of a second, and rescue does not wait for a printer."""


class Disclosures:
    """Decides what agencies are told."""

    def __init__(
        self,
        journal: Journal,
        *,
        directory: Directory,
        rules: RuleBook,
        domains: Mapping[TenantId, str],
        policies: Mapping[TenantId, Policy] = MappingProxyType({}),
        senders: Mapping[TenantId, Sender] = MappingProxyType({}),
        code_of: CodeOf = lambda _: "",
    ) -> None:
        """``code_of``: what an agency quotes when it telephones about a disclosure."""
        self._journal = journal
        self._directory = directory
        self.rules = rules
        self._domains = domains
        self._policies = policies
        self._senders = senders
        self._crashes = Crashes(journal)
        self._code_of = code_of
        self.medical = MedicalNotes(journal, directory=directory, rules=rules)
        """What comes in, instead of going out."""
        self.requests = Requests(journal, directory=directory, rules=rules, domains=domains, policy=self.policy)

    async def decide(
        self,
        incident: IncidentId,
        *,
        agency: AgencyId,
        operator: OperatorId,
        necessity: str = "",
        consent: str = "",
        request: DisclosureRequest | None = None,
    ) -> Done:
        """Record that ``agency`` is told, on the ground the law gives.

        ``necessity`` and ``consent`` are the codes of the two limbs of APPI Art. 27(1)(ii), as the operator saw them;
        ``request`` says more where more is needed.  ``Refused`` when the law does not permit it or the incident is not
        the operator's; where the law leaves it to a supervisor, the question is in the journal by then.
        """
        request = request or DisclosureRequest(necessity=necessity, consent=consent)
        state = await self._journal.state(incident)
        if state.operator != operator:
            raise Refused("only the operator who has the incident may tell an agency: answer it first")
        told = self._agency(agency)
        held = sections(await self._journal.unseal(incident, tuple(HELD)))
        answered = _answered(state, told, request)
        judged = await self._judge(state, told, request, held=frozenset(held), referral=answered)
        if not judged.verdict.outcome.permits:
            await self._not_permitted(state, judged, request)
        before = await self._before(state, told) if request.update else None
        command = await self._decision(state, judged, held, before=before)
        confirmed = msgspec.structs.replace(
            command, confirmed=request.confirmed or before is not None, reason=request.reason
        )
        return await self._journal.execute(incident, confirmed, actor=f"operator:{operator}")

    async def decide_unattended(self, incident: IncidentId, *, agency: AgencyId, request: DisclosureRequest) -> Verdict:
        """The law's verdict on telling ``agency`` although nobody of ours could be found; told where it permits.

        What it leaves to a person is not asked of one, since there is none: then nothing is recorded here, and nothing
        leaves.  What is recorded says that nobody decided, and has to be looked at by a person within a day.
        ``Refused`` when the incident has somebody, or what has been said in it forbids this.
        """
        for _ in range(LINKED_MEANWHILE):
            try:
                return await self._unattended(incident, agency, request)
            except Unconfirmed:  # told from another car of the crash this very moment: the brief has to say so
                continue
        return await self._unattended(incident, agency, request)

    async def _unattended(self, incident: IncidentId, agency: AgencyId, request: DisclosureRequest) -> Verdict:
        state = await self._journal.state(incident)
        held = sections(await self._journal.unseal(incident, tuple(HELD)))
        judged = await self._judge(state, self._agency(agency), request, held=frozenset(held))
        if judged.verdict.outcome.permits:
            command = await self._decision(state, judged, held, before=None)
            owed = dict.fromkeys((*command.obligations, Obligation.REVIEW_WITHIN_A_DAY))
            nobodys = msgspec.structs.replace(command, unattended=True, review=True, obligations=tuple(owed))
            await self._journal.execute(incident, nobodys, actor=UNATTENDED)
        return judged.verdict

    async def correct(self, incident: IncidentId, told: Disclosure, *, actor: str) -> Verdict:
        """The law's verdict on telling an agency again what it was told that holds no longer: a place, a kind, a crash.

        Asked for the same reason as then; told where that still fits, by ``actor`` and without a further word of a
        person.  ``Refused`` when the incident is closed or the agency has a newer brief already.
        """
        state = await self._journal.state(incident)
        decided = next(
            recorded.event
            for recorded in await self._journal.store.stream(incident)
            if isinstance(recorded.event, DisclosureDecided) and recorded.event.disclosure == told.disclosure
        )
        request = DisclosureRequest(
            path=Path(decided.path),
            necessity=decided.necessity,
            consent=decided.consent,
            facts=frozenset(map(Fact, decided.facts)),
        )
        agency = self._agency(told.agency)
        held = sections(await self._journal.unseal(incident, tuple(HELD)))
        answered = _answered(state, agency, request)
        judged = await self._judge(state, agency, request, held=frozenset(held), referral=answered)
        if judged.verdict.outcome.permits:
            before = await self._before(state, agency)
            command = await self._decision(state, judged, held, before=before)
            owed = dict.fromkeys((*command.obligations, *([Obligation.REVIEW_WITHIN_A_DAY] if told.unattended else [])))
            corrected = msgspec.structs.replace(
                command,
                confirmed=True,
                corrected=True,
                unattended=told.unattended,
                review=command.review or told.unattended,
                obligations=tuple(owed),
            )
            await self._journal.execute(incident, corrected, actor=actor)
        return judged.verdict

    async def _decision(
        self, state: Incident, judged: "_Judged", held: Mapping[Category, bytes], *, before: Brief | None
    ) -> DecideDisclosure:
        """What the verdict permits, with the brief as it leaves."""
        shown = {category: held[category] for category in judged.verdict.categories}
        told_of = AgencyId(judged.agency.id)
        crash = await self._crashes.of(state, told_of, vehicles=Category.VEH in judged.verdict.categories)
        brief = self._brief(state, judged, shown, before=before, crash=crash)
        forms = await self._forms(brief, judged.agency)
        command = _command(judged, brief=brief, before=before, forms=forms, rules=self.rules.dataset)
        return msgspec.structs.replace(
            command, heard=cards.last(state), joined=crash.joined, again=crash.again, maybe=crash.maybe_with
        )

    def _agency(self, agency: AgencyId) -> Agency:
        known = self._directory.agencies.get(agency)
        if known is None:
            raise Unknown(f"the directory knows no agency {agency!r}")
        return known

    async def _judge(
        self,
        state: Incident,
        agency: Agency,
        request: DisclosureRequest,
        *,
        held: frozenset[Category],
        referral: Referral | None = None,
    ) -> "_Judged":
        path = request.path or _ordinary_path(agency.service)
        policy = await self.policy(state)
        case = Case(
            jurisdiction=agency.country,
            path=path,
            live=state.state is not State.CLOSED,
            danger=request.necessity,
            consent_difficulty=request.consent,
            facts=_facts(state, request, referral) | _of_requests(state, agency, path),
            recipient_service=agency.service,
            recipient_class=RECIPIENT[agency.service],
            held_categories=held,
            named=_agreed(state) | _scope(state, agency, path),
            opt_out=policy.keeps_from(path),
            terms=policy.terms,
            mode=state.mode,
        )
        today = self.rules.day(case.jurisdiction, self._journal.clock.now())
        verdict = evaluate(case, rules=self.rules, as_of=today)
        return _Judged(agency=agency, case=case, policy=policy, verdict=verdict, referral=referral)

    async def policy(self, state: Incident) -> Policy:
        """The tenant's, with what the registry has said of this vehicle over it."""
        policy = self._policies.get(state.tenant, Policy())
        said = recognised(await self._journal.store.stream(state.id))
        if said is None:
            return policy
        clauses = dict(clause.split("=", 1) for clause in said.clauses if "=" in clause)
        unsure = "registry_unavailable" in said.flags
        return msgspec.structs.replace(policy, opt_out=None if unsure else said.opt_out, clauses=clauses)

    async def _not_permitted(self, state: Incident, judged: "_Judged", request: DisclosureRequest) -> None:
        """Ask a supervisor where the law leaves it to one; ``Refused`` in any case."""
        verdict = judged.verdict
        tried = ", ".join(f"{row.rule}: {row.why}" for row in verdict.tried if row.why != "path")
        if verdict.outcome is Outcome.REFER and request.reason.strip():
            if judged.referral is not None and not self._could_help(judged):
                raise Refused(
                    f"a supervisor has agreed, and {verdict.rule} still says {verdict.outcome}: "
                    f"no approval permits this for {judged.case.path} ({tried})"
                )
            question = ReferDisclosure(
                referral=ReferralId(new_id()),
                agency=AgencyId(judged.agency.id),
                rule=verdict.rule,
                path=judged.case.path,
                necessity=request.necessity,
                consent=request.consent,
                reason=request.reason,
            )
            await self._journal.execute(state.id, question, actor=f"operator:{state.operator}")
            # whether any supervisor can know of it, only the desk's alarm says (``AlarmShown``)
            raise Refused(f"{verdict.rule} says {verdict.outcome}: a question for a supervisor is on record ({tried})")
        await self._record_refusal(state, judged, request)
        offers = f"; possible: {', '.join(verdict.offers)}" if verdict.offers else ""
        raise Refused(f"{verdict.rule} says {verdict.outcome} ({tried}){offers}")

    async def _record_refusal(self, state: Incident, judged: "_Judged", request: DisclosureRequest) -> None:
        """That somebody wanted it and may not, with every row that was tried: it can be shown why nothing left."""
        refused = RefuseDisclosure(
            agency=AgencyId(judged.agency.id),
            rule=judged.verdict.rule,
            outcome=judged.verdict.outcome,
            path=judged.case.path,
            necessity=request.necessity,
            consent=request.consent,
            tried=tuple((row.rule, row.why) for row in judged.verdict.tried if row.why != "path"),
            reason=request.reason,
        )
        await self._journal.execute(state.id, refused, actor=f"operator:{state.operator}")

    def _could_help(self, judged: "_Judged") -> bool:
        """Whether a supervisor who says more than before could permit it: asking again for nothing helps nobody."""
        facts = judged.case.facts | _A_SUPERVISOR_KNOWS
        case = msgspec.structs.replace(judged.case, facts=facts)
        today = self.rules.day(case.jurisdiction, self._journal.clock.now())
        return evaluate(case, rules=self.rules, as_of=today).outcome.permits

    async def _before(self, state: Incident, agency: Agency) -> Brief:
        """The brief that ``agency`` has now.  ``Refused`` when it has none."""
        last = _newest(state, agency)
        for part in await self._journal.unseal(state.id, (Category.RAW,)):
            event = part.recorded.event
            if last and isinstance(event, DisclosureDecided) and event.disclosure == last.disclosure:
                return read(part.payload)
        raise Refused(f"{agency.id} has not been told yet, so there is nothing to bring up to date")

    def _brief(
        self,
        state: Incident,
        judged: "_Judged",
        shown: Mapping[Category, bytes],
        *,
        before: Brief | None,
        crash: OfTheCrash,
    ) -> bytes:
        agency, verdict, disclosure = judged.agency, judged.verdict, new_id()
        now = self._journal.clock.now()
        return compose(
            incident=incident_urn(state.id, self._domains[state.tenant]),
            disclosure=disclosure,
            agency=agency.id,
            agency_name=agency.name_ja,
            rule=verdict.rule,
            ground=verdict.ground,
            law_version=verdict.law_version,
            decided_at=now,
            exercise=state.mode is Mode.DRILL,
            sections=shown,
            service=agency.service,
            trigger="" if state.trigger is Trigger.UNKNOWN else state.trigger,
            kind=state.kind,
            kind_source=state.kinds[-1].source if state.kinds else "",
            needed=before is None or agency.service in (*state.services, *BESIDE),
            sender=self._senders.get(state.tenant),
            before=before,
            without=verdict.without,
            responsible=self._instead(state, agency) if before else "",
            zone=self.rules.zone(agency.country),
            one_crash=crash.one_crash,
            maybe=crash.maybe,
            code=self._code_of(disclosure),
            call_back_until=voice.at_least_until(state, now=now),
        )

    def _instead(self, state: Incident, agency: Agency) -> str:
        """Who is responsible now by the plan in force, where that is not ``agency``; empty where it still is."""
        planned = [known for each in state.agencies if (known := self._directory.agencies.get(each)) is not None]
        same = [known for known in planned if known.service is agency.service]
        return "" if not same or agency in same else same[0].name_ja

    async def _forms(self, brief: bytes, agency: Agency) -> tuple[tuple[str, str], ...]:
        """Digests of the forms that the channels of ``agency`` carry; of the brief alone when they take too long."""
        try:
            async with asyncio.timeout(FORMS_WITHIN_S):
                return digests(await forms_of(brief, forms_for(agency.channels)))
        except TimeoutError:
            return digests(prepare(brief, (JSON,)))


class _Judged(Struct, frozen=True, kw_only=True):
    """A request and what the law says of it."""

    agency: Agency
    case: Case
    policy: Policy
    verdict: Verdict
    referral: Referral | None
    """The supervisor's word it rests on."""


def _ordinary_path(service: Service) -> Path:
    """A road operator clears the road; everybody else protects life."""
    return Path.HAZARD_REMOVAL if service is Service.ROAD else Path.LIFE_PROTECTION


_A_SUPERVISOR_KNOWS = frozenset(
    {Fact.SUPERVISOR_APPROVED, Fact.REASON_WRITTEN, Fact.CAPACITY_IN_DOUBT}
    | {Fact.THIRD_PARTY_IN_DANGER, Fact.TRAFFIC_IN_DANGER}
)
"""What the answer to a referral can add."""

_EVIDENCED = (
    frozenset({Fact.PERSON_AGREES, Fact.SUPERVISOR_APPROVED, Fact.REASON_WRITTEN})
    | (requests.CHECKED | requests.IMPLIED)
    - {Fact.CARRIER_DATA, Fact.RECIPIENT_ABROAD}  # these forbid: whoever says so is believed
    - {Fact.INCAPABLE_OF_CONSENT, Fact.MEDICALLY_USEFUL, Fact.GOOD_FAITH, Fact.RISK_OF_DEATH}  # seen on the call itself
)
"""Facts that nobody can just tick: each stands in the journal or is not so."""


def _facts(state: Incident, request: DisclosureRequest, referral: Referral | None) -> frozenset[Fact]:
    """What was ticked, with what the journal knows: a «yes», a supervisor's word, what set the report off."""
    facts = set(request.facts) - _EVIDENCED
    if state.consent is not None and state.consent.answer is ConsentAnswer.AGREED:
        facts.add(Fact.PERSON_AGREES)
    if referral is not None:
        facts |= {Fact.SUPERVISOR_APPROVED, Fact.REASON_WRITTEN, *map(Fact, referral.facts)}
    elif request.reason.strip():
        facts.add(Fact.REASON_WRITTEN)
    if state.trigger is Trigger.AUTOMATIC:
        facts.add(Fact.ACN_TRIGGER)
    return frozenset(facts)


def _asked(state: Incident, agency: Agency, path: Path) -> tuple[Asked, ...]:
    """What bodies like ``agency`` have asked for on ``path``."""
    about = {path, Path.CARRIER_REQUEST}
    return tuple(each for each in state.asked if each.recipient == RECIPIENT[agency.service] and each.path in about)


def _of_requests(state: Incident, agency: Agency, path: Path) -> frozenset[Fact]:
    found = (requests.facts(each, home=agency.country) for each in _asked(state, agency, path))
    return frozenset(fact for facts in found for fact in facts)


def _scope(state: Incident, agency: Agency, path: Path) -> frozenset[Category]:
    if path not in requests.PATHS:
        return frozenset()
    return frozenset(category for each in _asked(state, agency, path) for category in each.scope)


def _agreed(state: Incident) -> frozenset[Category]:
    """What the person has agreed to have told."""
    agreed = state.consent is not None and state.consent.answer is ConsentAnswer.AGREED
    return frozenset(state.consent.categories) if state.consent is not None and agreed else frozenset()


def _answered(state: Incident, agency: Agency, request: DisclosureRequest) -> Referral | None:
    """The newest word of a supervisor for ``agency`` on the reason given, if it is a yes."""
    asked = (agency.id, request.path or _ordinary_path(agency.service))
    said = [known for known in state.referrals if (known.agency, known.path) == asked and known.approved is not None]
    return said[-1] if said and said[-1].approved else None


def _newest(state: Incident, agency: Agency) -> Disclosure | None:
    told = [known for known in state.disclosures if known.agency == agency.id and not known.superseded]
    return told[-1] if told else None


def _command(
    judged: _Judged,
    *,
    brief: bytes,
    before: Brief | None,
    forms: tuple[tuple[str, str], ...],
    rules: str,
) -> DecideDisclosure:
    """The verdict as the journal keeps it, complete.  Sections are those of the brief: what a row leaves out is out."""
    agency, case, verdict = judged.agency, judged.case, judged.verdict
    written = read(brief)
    return DecideDisclosure(
        disclosure=DisclosureId(written.disclosure),
        agency=AgencyId(agency.id),
        exercise_partner=agency.exercise_partner,
        service=agency.service,
        rule=verdict.rule,
        ground=verdict.ground,
        law_version=verdict.law_version,
        clause=verdict.clause or judged.policy.clauses.get(case.path, ""),
        necessity=verdict.necessity,
        consent=verdict.consent,
        opt_out_overridden=verdict.opt_out_overridden,
        sections={category: canonical(written.sections[category]) for category in verdict.categories},
        withheld=verdict.withheld,
        brief=brief,
        path=case.path,
        facts=tuple(sorted(case.facts)),
        grounds=verdict.grounds,
        rules=rules,
        opt_out_clause=_override_clause(judged.policy, verdict),
        review=verdict.outcome is Outcome.PERMIT_REVIEW,
        obligations=tuple(verdict.record),
        referral=judged.referral.referral if judged.referral else None,
        supervisor=judged.referral.supervisor if judged.referral else None,
        supersedes=DisclosureId(before.disclosure) if before else None,
        brief_version=written.version,
        forms=forms,
        without=verdict.without,
    )


def _override_clause(policy: Policy, verdict: Verdict) -> str:
    if not verdict.opt_out_overridden:
        return ""
    return verdict.opt_out_clause or policy.clauses.get(Obligation.OPT_OUT_OVERRIDE, "")


def recognised(stream: Sequence[Recorded]) -> VehicleRecognised | None:
    """What the registry said last of the vehicle."""
    said = [recorded.event for recorded in stream if isinstance(recorded.event, VehicleRecognised)]
    return said[-1] if said else None
