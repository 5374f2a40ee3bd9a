"""The nouns of an incident: identifiers, states, parties, and the state that ``evolve`` computes from events.

Nothing here holds personal data: the state machine runs on headers alone, so an incident can be driven, listed and
proved after its personal data has been destroyed.
"""

from datetime import datetime
from enum import StrEnum
from typing import NewType

import uuid_utils
from msgspec import Struct

from routing.categories import Category
from routing.services import Service

IncidentId = NewType("IncidentId", str)
EventId = NewType("EventId", str)
LegId = NewType("LegId", str)
RecordingId = NewType("RecordingId", str)
DisclosureId = NewType("DisclosureId", str)
OperatorId = NewType("OperatorId", str)
DeskId = NewType("DeskId", str)
AgencyId = NewType("AgencyId", str)
TenantId = NewType("TenantId", str)


def new_id() -> str:
    """A fresh UUIDv7 (RFC 9562 5.7) in its text form: sorts by time of making, unguessable in its last 74 bits."""
    return str(uuid_utils.uuid7())


class Mode(StrEnum):
    LIVE = "live"
    TEST = "test"
    """Sent by a vehicle that says it is testing: walks the real path, never leaves the house."""
    DRILL = "drill"
    """An exercise of the centre: may leave the house, but only towards agencies marked as exercise partners."""


class Trigger(StrEnum):
    AUTOMATIC = "automatic"
    MANUAL = "manual"
    UNKNOWN = "unknown"


class State(StrEnum):
    RECEIVED = "received"
    RINGING = "ringing"
    IN_CALL = "in_call"
    HANDING_OVER = "handing_over"
    HANDED_OVER = "handed_over"
    CLOSED = "closed"
    REOPENED = "reopened"


class Disposition(StrEnum):
    HANDED_OVER = "handed_over"
    NO_HELP_NEEDED = "no_help_needed"
    FALSE_ALARM = "false_alarm"
    MISUSE = "misuse"
    ABANDONED = "abandoned"
    DUPLICATE = "duplicate"
    TEST = "test"
    DRILL = "drill"


class Party(StrEnum):
    VEHICLE = "vehicle"
    OPERATOR = "operator"
    AGENCY = "agency"
    SUPERVISOR = "supervisor"


class Acknowledgement(StrEnum):
    """How far a disclosure got.  Only the last two stop the ladder: a 2xx answer is not a human being."""

    TRANSPORT = "transport"
    DELIVERED = "delivered"
    HEARD = "heard"
    TAKEN_OVER = "taken_over"

    @property
    def rank(self) -> int:
        return tuple(Acknowledgement).index(self)


class AgencyStatus(StrEnum):
    DISPATCHED = "dispatched"
    ON_SCENE = "on_scene"
    CLOSED = "closed"


class Leg(Struct, frozen=True, kw_only=True, gc=False):
    leg: LegId
    party: Party
    who: str
    """Operator id, agency id, or ``vehicle``."""
    up: bool


class Recording(Struct, frozen=True, kw_only=True, gc=False):
    recording: RecordingId
    sealed: bool
    failed: bool = False


class Disclosure(Struct, frozen=True, kw_only=True, gc=False):
    disclosure: DisclosureId
    agency: AgencyId
    service: Service
    reached: Acknowledgement | None = None
    rejected: str | None = None
    """Reason code of the agency, when it refused."""
    attempts: int = 0
    status: AgencyStatus | None = None

    @property
    def taken_over(self) -> bool:
        return self.reached is Acknowledgement.TAKEN_OVER

    @property
    def pending(self) -> bool:
        return not self.taken_over and self.rejected is None


class Incident(Struct, frozen=True, kw_only=True, gc=False):
    """What ``evolve`` has computed from the events so far.  ``version`` is the number of the last event."""

    id: IncidentId
    tenant: TenantId
    version: int = 0
    state: State = State.RECEIVED
    mode: Mode = Mode.LIVE
    trigger: Trigger = Trigger.UNKNOWN
    opened_at: datetime | None = None
    changed_at: datetime | None = None
    """When ``state`` was entered: the deadlines of a state count from here."""
    offers: int = 0
    """How often the incident has been offered to desks since it last began to ring."""
    desks: tuple[DeskId, ...] = ()
    """Desks ringing now; empty means every desk."""
    operator: OperatorId | None = None
    planned: bool = False
    located: bool | None = None
    sequence: int | None = None
    """Of the newest report that has been filed: one that is not newer is a repeat."""
    prefecture: str | None = None
    """ISO 3166-2 code such as ``JP-13``; None while unknown."""
    agencies: tuple[AgencyId, ...] = ()
    disclosures: tuple[Disclosure, ...] = ()
    legs: tuple[Leg, ...] = ()
    recordings: tuple[Recording, ...] = ()
    flags: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()
    """Deadlines of the present state that have passed already."""
    tried_at: datetime | None = None
    """When an agency was last decided to be told or a delivery was last tried again: ``redeliver`` counts from here."""
    disposition: Disposition | None = None
    read_by: tuple[tuple[str, tuple[Category, ...]], ...] = ()
    """Who has opened which categories since the incident was last closed: the ground for serving them again."""

    def leg(self, leg: LegId) -> Leg | None:
        return next((known for known in self.legs if known.leg == leg), None)

    def disclosure(self, disclosure: DisclosureId) -> Disclosure | None:
        return next((known for known in self.disclosures if known.disclosure == disclosure), None)

    def opened_by(self, reader: str) -> frozenset[Category]:
        """The categories ``reader`` may be served without a further access event."""
        return frozenset(category for who, categories in self.read_by if who == reader for category in categories)
