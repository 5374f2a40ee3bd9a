"""An incident goes from one operator to another: taken over with a reason, or offered with a note and accepted."""

from typing import Any, ClassVar

from sos.console.acd import OWNED
from sos.console.orders.order import Id, May, OfIncident, Order, Reason
from sos.console.window import Window
from sos.errors import Refused, SosError
from sos.incident.commands import AnswerHandover, OfferHandover, TakeOver
from sos.incident.model import IncidentId, OperatorId, TakeoverReason


class TakeIt(OfIncident, frozen=True, kw_only=True, tag="take_over"):
    """Take an incident from the operator who has it."""

    may: ClassVar = May.ANY_DESK
    holder: Id[OperatorId]
    """Who has it, as this desk knows: of two who take it at once the second hears who was first."""
    reason: TakeoverReason

    async def obey(self, window: Window) -> None:
        command = TakeOver(
            operator=window.operator.id,
            desk=window.desk,
            holder=self.holder,
            reason=self.reason,
            supervisor=window.operator.supervisor,
        )
        await window.execute(self.incident, command)
        await window.show_done(self.incident)


class HandOver(OfIncident, frozen=True, kw_only=True, tag="hand_over"):
    """Offer an incident to a colleague, with a note."""

    may: ClassVar = May.WHO_HAS_IT
    to: Id[OperatorId]
    note: Reason = ""

    async def obey(self, window: Window) -> None:
        await _offer(window, self.incident, self.to, self.note)


class AnswerOffer(OfIncident, frozen=True, kw_only=True, tag="answer_handover"):
    """The colleague takes it or does not; who has offered it may withdraw it."""

    may: ClassVar = May.ANY_DESK
    accepted: bool

    async def obey(self, window: Window) -> None:
        command = AnswerHandover(operator=window.operator.id, desk=window.desk, accepted=self.accepted)
        await window.execute(self.incident, command)
        if self.accepted:
            await window.show_done(self.incident)


class EndShift(Order, frozen=True, kw_only=True, tag="end_shift"):
    """Whoever leaves offers all that is open to a colleague, and gets no further calls."""

    may: ClassVar = May.ANY_DESK
    to: Id[OperatorId]
    note: Reason = ""

    async def obey(self, window: Window) -> dict[str, Any]:
        window.room.desks.set_ready(window.desk, False, seat=window.seat)
        _, owned = await window.room.journal.queue(limit=10_000, states=OWNED)
        offered: list[IncidentId] = []
        kept: dict[IncidentId, str] = {}
        for incident in owned:
            if incident.operator != window.operator.id:
                continue
            try:
                await _offer(window, incident.id, self.to, self.note)
                offered.append(incident.id)
            except SosError as refused:  # the others are offered all the same
                kept[incident.id] = str(refused)
        return {"offered": offered, "kept": kept}


async def _offer(window: Window, incident: IncidentId, to: OperatorId, note: str) -> None:
    if to not in window.room.desks.heard():
        raise Refused(f"{to} sits at no desk")
    await window.execute(incident, OfferHandover(operator=window.operator.id, to=to, note=note))
