"""What is said on a call of somebody's health: taken down in any case, and by which row of the law it may be.

The other way round than ``disclosure``: nothing leaves, something comes in (APPI Art. 20(2)(ii), path
``acquire_medical``).  A life may hang on it, so nobody is kept from writing it down.
"""

from typing import Any, Literal

import msgspec

from routing.categories import Category
from routing.directory import Directory
from routing.law import Case, ConsentDifficulty, Danger, Obligation, Path, RuleBook, Verdict, evaluate
from routing.services import Recipient
from sos.errors import Refused
from sos.incident.commands import AnswerCard, TakeMedical
from sos.incident.model import Incident, IncidentId, OperatorId, State, Trigger
from sos.journal.journal import Done, Journal

Source = Literal["person", "family", "bystander", "medical_staff"]
"""Who says something of a person's health."""


class MedicalNotes:
    def __init__(self, journal: Journal, *, directory: Directory, rules: RuleBook) -> None:
        self._journal = journal
        self._directory = directory
        self._rules = rules

    async def take(
        self, incident: IncidentId, *, operator: OperatorId, text: str, source: Source, consent: str = ""
    ) -> Done:
        """Write down what was said of the person's health, and by which row it may be taken in.

        What the person says themselves is said to be used.  Of anybody else the law is asked (``acquire_medical``);
        it is written down in any case, since a life may hang on it, and where no row fits a supervisor looks at it.
        """
        state = await self._journal.state(incident)
        if state.operator != operator:
            raise Refused("only the operator who has the incident writes this down: answer it first")
        command = TakeMedical(text=text, source=source, **self._ground(state, source, consent))
        return await self._journal.execute(incident, command, actor=f"operator:{operator}")

    async def take_answer(self, incident: IncidentId, answer: AnswerCard, *, source: Source) -> Done:
        """Write down what was answered of the person's health, in the same way."""
        ground = self._ground(await self._journal.state(incident), source, "")
        command = msgspec.structs.replace(answer, source=source, **ground)
        return await self._journal.execute(incident, command, actor=f"operator:{answer.operator}")

    def _ground(self, state: Incident, source: Source, consent: str) -> dict[str, Any]:
        """By which row it may be taken in; nothing is asked of what the person says themselves."""
        if source == "person":
            return {}
        verdict, case = self._taken_in(state, consent)
        fits = verdict.outcome.permits and Category.MED in verdict.categories
        return {
            "rule": verdict.rule if fits else "",
            "ground": verdict.ground,
            "law_version": verdict.law_version,
            "rules": self._rules.dataset,
            "necessity": case.danger or "",
            "consent": consent,
            "obligations": tuple(verdict.record) if fits else (Obligation.REVIEW_WITHIN_A_DAY,),
        }

    def _taken_in(self, state: Incident, consent: str) -> tuple[Verdict, Case]:
        """What the law says of taking in what somebody else says of the person's health."""
        case = Case(
            jurisdiction=home(state, self._directory),
            path=Path.ACQUIRE_MEDICAL,
            live=state.state is not State.CLOSED,
            danger=Danger.AUTOMATIC_CRASH if state.trigger is Trigger.AUTOMATIC else Danger.CALL_FOR_HELP,
            consent_difficulty=consent or _difficulty(state),
            recipient_class=Recipient.CTR,
            mode=state.mode,
        )
        return evaluate(
            case, rules=self._rules, as_of=self._rules.day(case.jurisdiction, self._journal.clock.now())
        ), case


def _difficulty(state: Incident) -> str:
    """Why the person cannot be asked, as far as the clock of the call knows."""
    clock = state.response
    silent = clock is not None and clock.assumed_at is not None and not clock.heard
    return ConsentDifficulty.UNCONSCIOUS if silent else ""


def home(state: Incident, directory: Directory) -> str:
    """The country whose law holds for what is done here: where the plan's agencies lie."""
    known = (directory.agencies.get(each) for each in state.agencies)
    planned = next((agency.country for agency in known if agency is not None), None)
    return planned or (state.prefecture or "")[:2] or next(iter(directory.agencies.values())).country
