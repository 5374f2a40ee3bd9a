"""What the hand-off asks of a channel to an agency, what the channel answers, and what it needs of the journal.

A channel carries bytes and says how far they got; which agency, what it may be told and what happens when nobody
answers is decided above it.  Every delivery carries our own id, so a channel can be asked before anything is repeated.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

from msgspec import Struct

from routing.categories import Category
from sos.clock import Clock
from sos.incident.commands import Command
from sos.incident.events import Recorded
from sos.incident.model import Acknowledgement, AgencyId, DisclosureId, Incident, IncidentId, MassEventId, State
from sos.journal.journal import Done

NO_FORMS: Mapping[str, bytes] = MappingProxyType({})
NO_SETTINGS: Mapping[str, Any] = MappingProxyType({})


class Parcel(Struct, frozen=True, kw_only=True):
    """What is delivered: the brief exactly as it was decided."""

    incident: IncidentId
    disclosure: DisclosureId
    agency: AgencyId
    brief: bytes
    """Canonical JSON (``routing.brief``)."""
    forms: Mapping[str, bytes] = NO_FORMS
    """The same brief in other forms, by name: ``eido``, ``pdf``, ``spoken_ja`` ...; made of ``brief`` alone."""
    settings: Mapping[str, Any] = NO_SETTINGS
    """How the directory says that this agency is reached over this channel.  Addresses come from nowhere else."""
    listed: MassEventId | None = None
    """On whose list it stands for this agency; None: on none, so it goes by itself."""
    repeat: bool = False
    """Sent before over this channel, with an outcome that is not known."""


class Receipt(Struct, frozen=True, kw_only=True):
    level: Acknowledgement
    """TRANSPORT or DELIVERED: what a machine can know."""
    reference: str
    """The channel's own number for this delivery."""


class AgencyChannel(Protocol):
    name: str

    async def find(self, parcel: Parcel) -> Receipt | None:
        """Whether this disclosure was delivered already: asked before each attempt after the first.

        ``Unavailable`` when it cannot be known just now.
        """
        ...

    async def deliver(self, parcel: Parcel) -> Receipt:
        """Deliver once.  ``Unavailable`` when the channel does not answer within its time limit."""
        ...


class Streams(Protocol):
    async def stream(self, stream: IncidentId) -> Sequence[Recorded]: ...


class Log(Protocol):
    """The journal, as far as the hand-off needs it."""

    @property
    def clock(self) -> Clock: ...

    @property
    def store(self) -> Streams: ...

    async def execute(
        self, incident: IncidentId, command: Command, *, actor: str, causation: str | None = None
    ) -> Done: ...

    async def state(self, incident: IncidentId) -> Incident: ...

    async def parts_of(self, recorded: Recorded) -> Mapping[Category, bytes]: ...

    async def queue(self, *, limit: int, states: Sequence[State]) -> tuple[int, Sequence[Incident]]: ...
