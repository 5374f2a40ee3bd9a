"""What an operator finds out about an incident and how it ends: notes, its kind, its close."""

from typing import Any, ClassVar

from routing.categories import Category
from routing.kinds import EmergencyKind
from sos.console.orders.order import Code, May, OfIncident, Reason, Text
from sos.console.window import Window
from sos.incident.commands import (
    AddNote,
    AnswerVehicle,
    CloseIncident,
    ReopenIncident,
    StateKind,
    StateLanguage,
)
from sos.incident.lifecycle import decide
from sos.incident.model import AnswerAction, AnswerId, DeclineReason, Disposition, new_id


class Note(OfIncident, frozen=True, kw_only=True, tag="note"):
    may: ClassVar = May.WHO_HAS_IT
    category: Category = Category.OBS
    text: Text

    async def obey(self, window: Window) -> None:
        await window.execute(self.incident, AddNote(category=self.category, text=self.text))
        await window.show_done(self.incident)


class StateKindOfEmergency(OfIncident, frozen=True, kw_only=True, tag="kind"):
    """What has happened, as the operator has heard or asked."""

    may: ClassVar = May.WHO_HAS_IT
    kind: EmergencyKind

    async def obey(self, window: Window) -> None:
        await window.execute(self.incident, StateKind(operator=window.operator.id, kind=self.kind))


class Language(OfIncident, frozen=True, kw_only=True, tag="language"):
    """Which language the people in the vehicle speak."""

    may: ClassVar = May.WHO_HAS_IT
    language: Code

    async def obey(self, window: Window) -> None:
        await window.execute(self.incident, StateLanguage(operator=window.operator.id, language=self.language))
        await window.show_done(self.incident)


class TellVehicle(OfIncident, frozen=True, kw_only=True, tag="tell_vehicle"):
    """Give the vehicle an answer: an acknowledgement, a request for its data, or a message."""

    may: ClassVar = May.WHO_HAS_IT
    action: AnswerAction
    text: Text = ""

    async def obey(self, window: Window) -> dict[str, Any]:
        command = AnswerVehicle(answer=AnswerId(new_id()), action=self.action, text=self.text)
        await window.execute(self.incident, command)
        return {"answer": command.answer}


class Close(OfIncident, frozen=True, kw_only=True, tag="close"):
    """End the call, wait for its recording to be sealed, close."""

    may: ClassVar = May.WHO_HAS_IT
    disposition: Disposition
    untold: DeclineReason | None = None
    """Why whoever the plan names and nobody has told is not told."""
    words: Reason = ""

    async def obey(self, window: Window) -> None:
        command = CloseIncident(disposition=self.disposition, untold=self.untold, words=self.words)
        state = await window.state(self.incident)
        decide(state, command, now=window.room.journal.clock.now())  # refuses before anybody is hung up on
        await window.room.voice.finish(self.incident)
        await window.execute(self.incident, command)


class Reopen(OfIncident, frozen=True, kw_only=True, tag="reopen"):
    may: ClassVar = May.ANY_DESK
    reason: Reason

    async def obey(self, window: Window) -> None:
        await window.execute(self.incident, ReopenIncident(reason=self.reason))
