"""Hop 7 to 8: an operator wants to tell an agency; the law says whether and what; the decision is recorded whole.

Nothing leaves here.  The delivery is ``handoff``'s, and it starts from the recorded decision alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from routing.brief import compose
from routing.categories import Category
from routing.directory import Agency, Directory
from routing.law import Case, Outcome, RuleBook, Verdict, evaluate
from routing.services import RECIPIENT
from sos.errors import Refused, Unknown
from sos.incident.commands import DecideDisclosure
from sos.incident.events import DisclosureDecided, NoteAdded
from sos.incident.model import AgencyId, DisclosureId, Incident, IncidentId, Mode, OperatorId, State, TenantId, new_id
from sos.incident.report import canonical
from sos.journal.journal import Done, Journal, Part

HELD = frozenset(Category) - {Category.RAW, Category.AUD, Category.TRK, Category.BIL}
"""What the house may hold that a rescue could need; the rest is not even looked at."""


_OURS = ("borderDistanceM", "runnerUp")
"""What a plan says to the operator alone: how sure we are of the place is no help to those who drive there."""


class Disclosures:
    """Decides what agencies are told."""

    def __init__(
        self, journal: Journal, *, directory: Directory, book: RuleBook, domains: Mapping[TenantId, str]
    ) -> None:
        self._journal = journal
        self._directory = directory
        self._book = book
        self._domains = domains

    async def decide(
        self, incident: IncidentId, *, agency: AgencyId, operator: OperatorId, necessity: str, consent: str
    ) -> Done:
        """Record that ``agency`` is told, on the ground the law gives.

        ``necessity`` and ``consent`` are the codes of the two limbs of APPI Art. 27(1)(ii), as the operator saw them.
        ``Refused`` when the law does not permit it or the incident is not the operator's.
        """
        state = await self._journal.state(incident)
        if state.operator != operator:
            raise Refused("only the operator who has the incident may tell an agency: answer it first")
        told = self._agency(agency)
        parts = await self._journal.unseal(incident, tuple(HELD))
        held = sections(parts)
        verdict = self._judge(state, told, held=frozenset(held), necessity=necessity, consent=consent)
        command = self._command(state, told, verdict, {c: held[c] for c in verdict.categories})
        return await self._journal.execute(incident, command, actor=f"operator:{operator}")

    def _agency(self, agency: AgencyId) -> Agency:
        known = self._directory.agencies.get(agency)
        if known is None:
            raise Unknown(f"the directory knows no agency {agency!r}")
        return known

    def _judge(
        self, state: Incident, agency: Agency, *, held: frozenset[Category], necessity: str, consent: str
    ) -> Verdict:
        verdict = evaluate(
            Case(
                jurisdiction=agency.country,
                live=state.state is not State.CLOSED,
                danger=necessity,
                consent_difficulty=consent,
                recipient_service=agency.service,
                recipient_class=RECIPIENT[agency.service],
                held_categories=held,
                mode=state.mode,
            ),
            book=self._book,
        )
        if verdict.outcome is not Outcome.PERMIT:
            tried = ", ".join(f"{row.rule}: {row.why}" for row in verdict.tried)
            raise Refused(f"{verdict.rule} says {verdict.outcome} ({tried})")
        return verdict

    def _command(
        self, state: Incident, agency: Agency, verdict: Verdict, shown: Mapping[Category, bytes]
    ) -> DecideDisclosure:
        disclosure = DisclosureId(new_id())
        brief = compose(
            incident=incident_urn(state.id, self._domains[state.tenant]),
            disclosure=disclosure,
            agency=agency.id,
            agency_name=agency.name_ja,
            rule=verdict.rule,
            ground=verdict.ground,
            law_version=verdict.law_version,
            decided_at=self._journal.clock.now(),
            exercise=state.mode is Mode.DRILL,
            sections=shown,
        )
        return DecideDisclosure(
            disclosure=disclosure,
            agency=AgencyId(agency.id),
            exercise_partner=agency.exercise_partner,
            service=agency.service,
            rule=verdict.rule,
            ground=verdict.ground,
            law_version=verdict.law_version,
            clause=verdict.clause,
            necessity=verdict.necessity,
            consent=verdict.consent,
            opt_out_overridden=verdict.opt_out_overridden,
            sections=shown,
            withheld=verdict.withheld,
            brief=brief,
        )


def incident_urn(incident: IncidentId, domain: str) -> str:
    """The incident's name outside (NENA-STA-010.3 3.1.2: ``urn:emergency:uid:incidentid:<unique>:<domain>``)."""
    return f"urn:emergency:uid:incidentid:{incident}:{domain}"


def sections(parts: Sequence[Part]) -> Mapping[Category, bytes]:
    """All that is known by category as one JSON object each: later facts over earlier ones, notes in their order."""
    merged: dict[Category, dict[str, Any]] = {}
    for part in parts:
        if isinstance(part.recorded.event, DisclosureDecided):
            continue  # a copy of what was known then
        section = merged.setdefault(part.category, {})
        if isinstance(part.recorded.event, NoteAdded):
            section.setdefault("notes", []).append(part.payload.decode())
        else:
            told = msgspec.json.decode(part.payload)
            section.update({name: value for name, value in told.items() if name not in _OURS})
    return {category: canonical(section) for category, section in merged.items()}
