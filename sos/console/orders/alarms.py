"""What must not be missed: an alarm is acknowledged by name, and an operator asks for somebody to help."""

from typing import ClassVar

from sos.console.orders.order import Id, May, OfIncident, Reason
from sos.console.window import Window
from sos.incident.commands import AcknowledgeAlarm, AskAssistance
from sos.incident.model import AlarmId


class Acknowledge(OfIncident, frozen=True, kw_only=True, tag="acknowledge"):
    """Whoever says so has heard of it.  Where supervisors have been alarmed it is theirs (``incident.alarms``)."""

    may: ClassVar = May.ANY_DESK
    alarm: Id[AlarmId]

    async def obey(self, window: Window) -> None:
        who = window.operator
        command = AcknowledgeAlarm(alarm=self.alarm, operator=who.id, supervisor=who.supervisor)
        await window.execute(self.incident, command)


class Assist(OfIncident, frozen=True, kw_only=True, tag="assist"):
    """The operator asks for somebody to help with the call."""

    may: ClassVar = May.WHO_HAS_IT
    text: Reason = ""

    async def obey(self, window: Window) -> None:
        await window.execute(self.incident, AskAssistance(operator=window.operator.id, text=self.text))
