"""What the console needs from the rest of the house; the composition root hands it in."""

from typing import Protocol

from sos.incident.disclosure_request import DisclosureRequest
from sos.incident.model import AgencyId, DisclosureId, Incident, IncidentId, LegId, OperatorId, Party
from sos.journal.journal import Done


class Voice(Protocol):
    async def connect(self, incident: IncidentId, *, leg: LegId, party: Party, who: str, offer: str) -> str: ...

    async def hang_up(self, leg: LegId) -> None: ...

    async def finish(self, incident: IncidentId) -> None: ...


class Replay(Protocol):
    async def again(self, incident: Incident, leg: LegId, *, seconds: float) -> bytes:
        """The last ``seconds`` of one leg as WAV; ``Unavailable`` when they cannot be had just now."""
        ...


class Disclose(Protocol):
    async def decide(
        self, incident: IncidentId, *, agency: AgencyId, operator: OperatorId, request: DisclosureRequest
    ) -> Done: ...


class Agencies(Protocol):
    async def record_spoken(
        self, operator: OperatorId, incident: IncidentId, disclosure: DisclosureId, answer: str, text: str = ""
    ) -> None:
        """Record what the operator heard an agency say on the telephone."""
        ...
