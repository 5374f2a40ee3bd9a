"""What intake needs from the journal: a place where a report becomes durable before the vehicle is answered."""

from datetime import datetime
from typing import Literal, Protocol

from msgspec import Struct

from sos.incident.commands import OpenIncident
from sos.incident.model import IncidentId, TenantId


class Accepted(Struct, frozen=True, kw_only=True):
    incident: IncidentId
    repeat: bool
    """The same receipt was seen before; ``incident`` is the one it opened then."""
    durability: Literal["committed", "spooled"]
    """``spooled``: fsync'ed to the local spool because the database did not answer in time."""


class Reception(Protocol):
    async def open(self, command: OpenIncident, *, tenant: TenantId, receipt: bytes, received_at: datetime) -> Accepted:
        """Open the incident, or find the one ``receipt`` (32 bytes, keyed digest of tenant, source and id) opened.

        Returns only when it is durable.  ``Unavailable`` when neither the database nor the spool can keep it: the
        sender must try again; nothing has been acknowledged.
        """
        ...
