"""Hop 3, behind the registry's standing: medical data and family contact are taken into a live emergency.

A reader: ``VehicleRecognised`` -> ``RegisteredDataCopied``, and again when it turns out that nobody in the vehicle is
conscious, since some laws then permit what they did not before.  The law's own row decides (path ``emergency_use``);
what it does not permit is not opened, and the operator is told that it is there.
"""

import asyncio
from collections.abc import Mapping, Sequence

import structlog

from routing.categories import Category
from routing.law import Case, ConsentDifficulty, Danger, Fact, Path, RuleBook, Verdict, evaluate
from routing.services import Recipient
from sos.errors import Forbidden, KeyLost, Refused, Unknown
from sos.incident.commands import CopyRegisteredData
from sos.incident.events import DisclosureDecided, HelpEscalated, Recorded, VehicleRecognised
from sos.incident.model import Incident, IncidentId, Mode, State, SubjectId, Trigger
from sos.incident.registered import REGISTERED
from sos.incident.report import canonical
from sos.incident.response import DUE as NO_RESPONSE
from sos.journal.journal import Journal
from sos.registry.lifecycle import ITEMS, Role
from sos.registry.model import Subscriber
from sos.registry.registry import By, Registry

log = structlog.get_logger()

ACTOR = "system:registry"

FIELDS: Mapping[str, str] = {"medical": "medical", "family_contact": "familyContact"}
"""Item of a profile to field of a section."""


class EmergencyCopies:
    WANTS = (VehicleRecognised, HelpEscalated, DisclosureDecided)

    def __init__(self, journal: Journal, registry: Registry, rules: RuleBook) -> None:
        self._journal = journal
        self._registry = registry
        self._rules = rules

    async def handle(self, batch: Sequence[Recorded]) -> None:
        """Each incident once, however much of it is in the batch."""
        asked: dict[IncidentId, Recorded] = {}
        for recorded in batch:
            match recorded.event:
                case VehicleRecognised():
                    asked[recorded.incident] = recorded
                case HelpEscalated(rung=rung) if rung == NO_RESPONSE:
                    asked[recorded.incident] = recorded
                case DisclosureDecided(consent=ConsentDifficulty.UNCONSCIOUS):
                    asked[recorded.incident] = recorded
                case _:
                    continue
        await asyncio.gather(*(self._copy(recorded) for recorded in asked.values()))

    async def _copy(self, news: Recorded) -> None:
        state = await self._journal.state(news.incident)
        if state.record is None or state.mode is not Mode.LIVE or state.state is State.CLOSED:
            return
        holder, held = await self._held(state)
        if holder is None or not held - set(state.registered):
            return
        unconscious = not isinstance(news.event, VehicleRecognised) or _silent(state)
        case = self._case(state, unconscious=unconscious)
        verdict = evaluate(case, rules=self._rules, as_of=self._rules.day(case.jurisdiction, self._journal.clock.now()))
        wanted = held & set(verdict.categories) - set(state.registered)
        opened = {category: await self._open(state, holder, category) for category in sorted(wanted)}
        parts = {category: section for category, section in opened.items() if section}
        lost = {category for category, section in opened.items() if section is None}
        withheld = held - set(verdict.categories) - set(state.registered) | lost
        if not parts and not withheld:
            return
        command = _command(holder, case, verdict, self._rules, parts=parts, withheld=withheld)
        await self._journal.execute(news.incident, command, actor=ACTOR, causation=news.id)

    async def _held(self, state: Incident) -> tuple[SubjectId | None, set[Category]]:
        """The owner, and what of theirs is filled; without opening any of it."""
        by = _house(state)
        try:
            vehicle = await self._registry.vehicle(SubjectId(state.record or ""), by=by)
            if vehicle.owner is None:
                return None, set()
            owner: Subscriber = await self._registry.subscriber(vehicle.owner, by=by)
        except (Unknown, Forbidden):  # sold or erased since it was recognised
            return None, set()
        filled = {ITEMS[item] for item in owner.items if item in ITEMS}
        return owner.id, {category for category in REGISTERED if category in filled - set(owner.erased)}

    def _case(self, state: Incident, *, unconscious: bool) -> Case:
        automatic = state.trigger is Trigger.AUTOMATIC
        facts = {Fact.GOOD_FAITH} | ({Fact.INCAPABLE_OF_CONSENT} if unconscious else set())
        pack = self._registry.packs.get(state.tenant)
        return Case(
            jurisdiction=pack.jurisdiction if pack is not None else (state.prefecture or "")[:2],
            path=Path.EMERGENCY_USE,
            live=True,
            danger=Danger.AUTOMATIC_CRASH if automatic else Danger.CALL_FOR_HELP,
            consent_difficulty=ConsentDifficulty.UNCONSCIOUS if unconscious else ConsentDifficulty.DELAY,
            facts=frozenset(facts),
            recipient_class=Recipient.CTR,
            opt_out=state.opt_out is True,
            mode=state.mode,
        )

    async def _open(self, state: Incident, holder: SubjectId, category: Category) -> bytes | None:
        """What the registry holds of it, as a section, or nothing; None when its key is lost, which hides no other.

        Case data is a copy: what the registry holds stays apart, with keys and a period of its own.
        """
        purpose = f"emergency:{state.id}"
        try:
            held = await self._registry.personal(holder, (category,), by=_house(state), purpose=purpose)
        except (Refused, KeyLost) as lost:
            log.error("registered_data_not_copied", incident=state.id, category=category, error=type(lost).__name__)
            return None
        told = held.get(category, {})
        fields = {FIELDS[item]: value for item, value in told.items() if item in FIELDS and value}
        return canonical(fields) if fields else b""


def _silent(state: Incident) -> bool:
    return state.response is not None and state.response.assumed_at is not None and not state.response.heard


def _command(
    holder: SubjectId,
    case: Case,
    verdict: Verdict,
    rules: RuleBook,
    *,
    parts: Mapping[Category, bytes],
    withheld: set[Category],
) -> CopyRegisteredData:
    return CopyRegisteredData(
        holder=holder,
        withheld=tuple(category for category in REGISTERED if category in withheld),
        rule=verdict.rule,
        ground=verdict.ground,
        law_version=verdict.law_version,
        rules=rules.dataset,
        necessity=case.danger or "",
        consent=case.consent_difficulty or "",
        facts=tuple(sorted(case.facts)),
        grounds=verdict.grounds,
        parts=parts,
    )


def _house(state: Incident) -> By:
    return By(tenant=state.tenant, role=Role.SYSTEM, id="registry")
