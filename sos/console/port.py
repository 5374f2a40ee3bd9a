"""What the console needs from the rest of the house; the composition root hands it in."""

from typing import Protocol

from sos.incident.model import AgencyId, IncidentId, LegId, OperatorId, Party
from sos.journal.journal import Done


class Voice(Protocol):
    async def connect(self, incident: IncidentId, *, leg: LegId, party: Party, who: str, offer: str) -> str: ...

    async def hang_up(self, leg: LegId) -> None: ...

    async def finish(self, incident: IncidentId) -> None: ...


class Disclose(Protocol):
    async def decide(
        self, incident: IncidentId, *, agency: AgencyId, operator: OperatorId, necessity: str, consent: str
    ) -> Done: ...
