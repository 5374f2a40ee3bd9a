"""The live transcript at the desk that has the incident: shown to nobody else, and only after the access is on record.

The lines are a machine's and no record; who shows them cannot know whether they are right, so every frame says so.
"""

from collections.abc import Callable, Sequence

from routing.categories import Category
from sos.console.frames import Transcribed
from sos.console.hub import Hub, Mailbox, message
from sos.incident.commands import ReadParts
from sos.incident.model import Incident, IncidentId, OperatorId
from sos.journal.journal import Journal
from sos.media.heard import Line

PURPOSE = "live_transcript"


class Transcript:
    """``lines`` gives what is known of an incident; nothing while no transcript is made in this house."""

    def __init__(self, journal: Journal, hub: Hub) -> None:
        self._journal = journal
        self._hub = hub
        self.lines: Callable[[IncidentId], Sequence[Line]] = lambda _: ()

    async def told(self, incident: IncidentId, lines: Sequence[Line]) -> None:
        """Show them at the desk that has the incident open; ``Unavailable`` while the journal is away: shown later."""
        state = await self._journal.state(incident)
        for mailbox in self._hub.of(state.operator, incident) if state.operator is not None else ():
            await self._show(state, mailbox, lines)

    async def show(self, incident: Incident, operator: OperatorId, mailbox: Mailbox) -> None:
        """What there is, to a desk that has just opened the incident; nothing to one that does not have it."""
        lines = self.lines(incident.id)
        if incident.operator == operator and lines:
            await self._show(incident, mailbox, lines)

    async def _show(self, incident: Incident, mailbox: Mailbox, lines: Sequence[Line]) -> None:
        reader = f"operator:{incident.operator}"
        command = ReadParts(reader=reader, categories=(Category.AUD,), purpose=PURPOSE)
        await self._journal.execute(incident.id, command, actor=reader)
        mailbox.glance(message(Transcribed(incident=incident.id, machine=True, lines=lines)))
