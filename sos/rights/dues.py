"""What the house owes the people it told others about: the later notice, and the second look within a day.

They are the incident's own obligations (``sos.incident.obligations``), with their due times and alarms; here is the
queue of whoever answers for personal data, the letter, and the word that ends it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sos.incident.commands import MeetObligation
from sos.incident.model import IncidentId, OperatorId
from sos.journal.journal import Journal
from sos.journal.owing import Owing, owing
from sos.rights.answer import Answering
from sos.rights.page import CATEGORIES

NOTICES = frozenset({"later_notification", "later_explanation"})
REVIEWS = frozenset({"review_within_a_day"})


class Dues:
    def __init__(self, journal: Journal, answering: Answering) -> None:
        self._journal = journal
        self._answering = answering

    async def due(self, among: frozenset[str]) -> Sequence[Owing]:
        """What waits, the first due first."""
        return await owing(self._journal, among=among)

    async def met(self, incident: str, *, obligation: str, about: str, outcome: str, words: str, by: str) -> None:
        """A supervisor says how it ended; ``Refused`` where nothing of the kind waits, or it was their own decision."""
        command = MeetObligation(
            obligation=obligation,
            about=about,
            outcome=outcome,
            words=words,
            operator=OperatorId(by.removeprefix("operator:")),
            supervises=True,
        )
        await self._journal.execute(IncidentId(incident), command, actor=by)

    async def letter(self, incident: str) -> str:
        """What the person is told of who was told what and why, in two languages; it names nobody."""
        events = await self._journal.store.stream(IncidentId(incident))
        told = [_said(each) for each in self._answering.disclosures(events)]
        return "\n\n".join(told) if told else "第三者に提供した記録はありません。 / Nobody was told."


def _said(told: Mapping[str, Any]) -> str:
    ground, opt_out = told["ground"], told["opt_out"]
    named = "、".join(CATEGORIES.get(each, each) for each in told["categories"])
    lines = [
        f"{told['at']}  提供先: {told['to']['name']}",
        f"提供した項目: {named} ({', '.join(told['categories'])})",
        f"理由: {ground['ja']} / {ground['en']}  {ground['clause']}",
    ]
    return "\n".join((*lines, f"{opt_out['ja']} / {opt_out['en']}") if opt_out else lines)
