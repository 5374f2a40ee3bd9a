"""What intake needs from the journal: a place where a report becomes durable before the vehicle is answered."""

from datetime import datetime
from typing import Protocol

from sos.incident.commands import Command, OpenIncident
from sos.incident.model import Incident, IncidentId, TenantId
from sos.journal.journal import Done, Received


class Reception(Protocol):
    """``Journal`` is one; ``simulated.MemoryReception`` is its twin in memory."""

    async def open(
        self,
        command: OpenIncident,
        *,
        tenant: TenantId,
        receipt: bytes,
        received_at: datetime,
        sender: str = "",
        incident: IncidentId | None = None,
        told: bool = False,
    ) -> Received:
        """Open the incident, or find the one ``receipt`` (32 bytes, keyed digest of tenant, source and id) opened.

        Returns only when it is durable.  ``Unavailable`` when neither the database nor the spool can keep it: the
        sender must try again; nothing has been acknowledged.  ``sender`` is the vehicle as a keyed digest, empty when
        nobody knows it.  ``incident`` is the id that a new incident is to have, where somebody has named it before;
        ``told``: a vehicle was told it, so it is good for the incident of the first report where this is a repeat.
        """
        ...

    async def opened_under(self, receipt: bytes) -> IncidentId | None:
        """The incident that ``receipt`` has opened; None when there is none.  ``Unavailable`` as below."""
        ...

    async def execute(
        self,
        incident: IncidentId,
        command: Command,
        *,
        actor: str,
        causation: str | None = None,
        receipt: bytes | None = None,
    ) -> Done:
        """Decide ``command`` and write what it leads to, once for ever under ``receipt``.

        Returns only when it is durable.  ``Refused`` when it may not happen, ``Unavailable`` when the database does
        not answer: then it may or may not have been written.
        """
        ...

    async def state(self, incident: IncidentId) -> Incident:
        """The incident as it stands.  ``Unknown`` when there is none of that id, ``Unavailable`` as above."""
        ...
