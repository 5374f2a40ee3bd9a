"""The order by which an operator writes down what was answered to a question of the card."""

from typing import Annotated, ClassVar

from msgspec import Meta

from routing.cards import MOST_CHARACTERS, MOST_NUMBER
from routing.categories import Category
from routing.errors import Malformed as NoAnswer
from sos.console.orders.law import Source
from sos.console.orders.order import Code, May, OfIncident
from sos.console.window import Window
from sos.errors import Malformed, Refused
from sos.incident import urgency
from sos.incident.commands import AnswerCard
from sos.incident.report import canonical


class Card(OfIncident, frozen=True, kw_only=True, tag="card"):
    """What was answered; the last answer to a question stands."""

    may: ClassVar = May.WHO_HAS_IT
    question: Code
    value: Annotated[str, Meta(max_length=MOST_CHARACTERS)] | Annotated[int, Meta(ge=0, le=MOST_NUMBER)]
    source: Source | None = None
    """Who says so, of somebody's health."""

    async def obey(self, window: Window) -> None:
        state = await window.state(self.incident)
        question = window.room.cards(state.tenant).question(self.question)
        if question is None:
            raise Malformed("there is no such question on the card", field="$.question")
        try:
            answer = question.answered(self.value)
        except NoAnswer as wrong:
            raise Malformed(str(wrong), field=wrong.field) from wrong
        sealed = question.category is Category.MED
        command = AnswerCard(
            operator=window.operator.id,
            question=question.id,
            category=question.category,
            answer=canonical(answer),
            urgent=() if sealed else urgency.of_answer(answer.hazard, severe=answer.severe),
            needs=() if sealed else question.needs(self.value),
        )
        if sealed and self.source is None:
            raise Refused("who says so of the person's health?")
        if sealed and self.source is not None:
            await window.room.disclose.medical.take_answer(self.incident, command, source=self.source)
        else:
            await window.execute(self.incident, command)
        await window.show_done(self.incident)
