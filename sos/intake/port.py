"""What intake needs from the journal: a place where a report becomes durable before the vehicle is answered."""

from datetime import datetime
from typing import Protocol

from sos.incident.commands import OpenIncident
from sos.incident.model import TenantId
from sos.journal.journal import Received


class Reception(Protocol):
    """``Journal`` is one; ``simulated.MemoryReception`` is its twin in memory."""

    async def open(self, command: OpenIncident, *, tenant: TenantId, receipt: bytes, received_at: datetime) -> Received:
        """Open the incident, or find the one ``receipt`` (32 bytes, keyed digest of tenant, source and id) opened.

        Returns only when it is durable.  ``Unavailable`` when neither the database nor the spool can keep it: the
        sender must try again; nothing has been acknowledged.
        """
        ...
