"""What the hand-off asks of a channel to an agency, and what the channel answers.

A channel carries bytes and says how far they got; which agency, what it may be told and what happens when nobody
answers is decided above it.  Every delivery carries our own id, so a channel can be asked before anything is repeated.
"""

from typing import Protocol

from msgspec import Struct

from sos.incident.model import Acknowledgement, AgencyId, DisclosureId, IncidentId


class Parcel(Struct, frozen=True, kw_only=True):
    """What is delivered: the brief exactly as it was decided."""

    incident: IncidentId
    disclosure: DisclosureId
    agency: AgencyId
    brief: bytes
    """Canonical JSON (``routing.brief``)."""


class Receipt(Struct, frozen=True, kw_only=True):
    level: Acknowledgement
    """TRANSPORT or DELIVERED: what a machine can know."""
    reference: str
    """The channel's own number for this delivery."""


class AgencyChannel(Protocol):
    name: str

    async def find(self, disclosure: DisclosureId) -> Receipt | None:
        """Whether this disclosure was delivered already: asked before each attempt after the first."""
        ...

    async def deliver(self, parcel: Parcel) -> Receipt:
        """Deliver once.  ``Unavailable`` when the channel does not answer within its time limit."""
        ...
