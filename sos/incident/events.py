"""Everything that can have happened to an incident, in the past tense.

The fields of an event are its header data: ids, codes, counts, digests and times, never personal data.  Personal
data travels beside the event in *parts*, one byte string per category (``Draft.parts``).  Events are kept for ever: a
change of meaning is a new kind or a raised ``VERSIONS`` entry with an upcaster and a stored sample.
"""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from msgspec import Struct, field

from routing.categories import Category
from routing.services import Service
from sos.incident.model import (
    Acknowledgement,
    AgencyId,
    AgencyStatus,
    DeskId,
    DisclosureId,
    Disposition,
    EventId,
    IncidentId,
    LegId,
    Mode,
    OperatorId,
    Party,
    RecordingId,
    TenantId,
    Trigger,
)


class Event(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Base of all events; the class name is the ``kind`` in the header."""


class IncidentOpened(Event, frozen=True, kw_only=True, gc=False):
    """A report came in and is durable.  Parts: RAW, the bytes as received."""

    mode: Mode
    trigger: Trigger
    format: str
    """Media type of the bytes, as received or as guessed."""
    report_digest: str
    """Hex SHA-256 of HMAC-keyed raw bytes: equal reports show as equal, nothing can be guessed from it."""
    report_bytes: int
    readable: bool
    """False: the bytes could not be read as a report; the operator sees «unreadable crash data»."""
    findings: tuple[str, ...] = ()
    """Codes of what was odd about the report, such as ``unknown_field:$.data.foo`` or ``spooled``."""


class ReportFiled(Event, frozen=True, kw_only=True, gc=False):
    """The report was taken apart into its categories.  Parts: those of LOC, VEH, SEV, TEL, PER that it held."""

    sequence: int
    located: bool
    findings: tuple[str, ...] = ()


class PlanMade(Event, frozen=True, kw_only=True, gc=False):
    """Where it is, who is responsible, and by what right they may be told.  Parts: LOC (place in words)."""

    prefecture: str | None
    services: tuple[Service, ...]
    agencies: tuple[AgencyId, ...]
    """Ranked, one per service and then the runners-up."""
    reasons: tuple[str, ...]
    """Code per choice, such as ``fire:polygon`` or ``police:default_agency``."""
    flags: tuple[str, ...]
    """``position_unknown``, ``default_agency``, ``near_border``, ``at_sea``, ``degraded`` ..."""
    border_m: int | None = None
    """Distance to the nearest other prefecture, in metres, rounded to 100 m so that it does not tell the place."""
    datasets: tuple[str, ...] = ()
    """Name and digest of every data set and rule file the plan was made from, so that it can be made again."""


class DeskOffered(Event, frozen=True, kw_only=True, gc=False):
    """The incident rings at these desks; an empty list means at every desk."""

    desks: tuple[DeskId, ...]
    round: int


class OperatorAssigned(Event, frozen=True, kw_only=True, gc=False):
    """An operator answered and has the incident alone."""

    operator: OperatorId
    desk: DeskId


class OperatorLost(Event, frozen=True, kw_only=True, gc=False):
    """The desk that had the incident is gone; it must ring again."""

    operator: OperatorId
    reason: str


class LegInvited(Event, frozen=True, kw_only=True, gc=False):
    """Intent before effect: a leg is about to be taken into the conference, which is recorded from its first packet."""

    leg: LegId
    party: Party
    who: str


class LegJoined(Event, frozen=True, kw_only=True, gc=False):
    leg: LegId
    party: Party
    who: str


class LegLeft(Event, frozen=True, kw_only=True, gc=False):
    leg: LegId
    reason: str


class RecordingStarted(Event, frozen=True, kw_only=True, gc=False):
    recording: RecordingId


class RecordingSealed(Event, frozen=True, kw_only=True, gc=False):
    """The recording is complete; its manifest commits to every chunk.  Parts: AUD, the manifest itself."""

    recording: RecordingId
    manifest_digest: str
    """Hex SHA-256 of the manifest bytes, which hold only sizes, times and digests of sealed chunks."""
    chunks: int
    duration_ms: int


class RecordingFailed(Event, frozen=True, kw_only=True, gc=False):
    """NENA-STA-010.3 RecordingFailed: a missing recording is a logged fact and an alarm."""

    recording: RecordingId
    reason: str


class NoteAdded(Event, frozen=True, kw_only=True, gc=False):
    """Parts: one, in ``category``, the text of the note."""

    category: Category


class DisclosureDecided(Event, frozen=True, kw_only=True, gc=False):
    """An agency may and shall be told.  Stands before anything leaves.

    Parts: what is sent, by category, and RAW, the brief exactly as it is sent.
    """

    disclosure: DisclosureId
    agency: AgencyId
    service: Service
    rule: str
    """Row of the rule table that fired, such as ``JP-01``."""
    ground: str
    """Ground code, such as ``JP-27-1-ii``."""
    law_version: str
    clause: str
    necessity: str
    """Code of the danger: ``automatic_crash``, ``call_for_help``, ``silence_after_crash``, ``sounds``."""
    consent: str
    """Why consent is hard to obtain: ``no_answer``, ``unintelligible``, ``unconscious``, ``minor``, ``delay``."""
    opt_out_overridden: bool
    categories: tuple[Category, ...]
    withheld: tuple[Category, ...]


class DeliveryStarted(Event, frozen=True, kw_only=True, gc=False):
    """Intent before effect: we are about to send, under this number of attempt."""

    disclosure: DisclosureId
    channel: str
    attempt: int


class DeliveryConfirmed(Event, frozen=True, kw_only=True, gc=False):
    disclosure: DisclosureId
    level: Acknowledgement
    """TRANSPORT or DELIVERED: machines."""
    receipt: str
    """The channel's own reference."""


class DeliveryFailed(Event, frozen=True, kw_only=True, gc=False):
    disclosure: DisclosureId
    attempt: int
    reason: str


class AgencyAcknowledged(Event, frozen=True, kw_only=True, gc=False):
    """A human at the agency has heard it, or has taken over."""

    disclosure: DisclosureId
    level: Acknowledgement
    """HEARD or TAKEN_OVER."""


class AgencyRejected(Event, frozen=True, kw_only=True, gc=False):
    disclosure: DisclosureId
    reason: str


class HandoffCompleted(Event, frozen=True, kw_only=True, gc=False):
    """Nobody who was told is left unheard: at least one agency has taken over, none is still pending."""


class AgencyReported(Event, frozen=True, kw_only=True, gc=False):
    disclosure: DisclosureId
    status: AgencyStatus


class PartsRead(Event, frozen=True, kw_only=True, gc=False):
    """Somebody is about to be shown personal data; written before the first byte is served."""

    reader: str
    categories: tuple[Category, ...]
    purpose: str


class HelpEscalated(Event, frozen=True, kw_only=True, gc=False):
    """A deadline passed and a louder rung was taken, such as ``ring_all`` or ``handoff_overdue``."""

    rung: str


class IncidentClosed(Event, frozen=True, kw_only=True, gc=False):
    disposition: Disposition
    retention: tuple[tuple[Category, str], ...]
    """Retention tag per category; its clock starts at this event."""


class IncidentReopened(Event, frozen=True, kw_only=True, gc=False):
    reason: str


class ExportMade(Event, frozen=True, kw_only=True, gc=False):
    """A regulator package of this incident was built."""

    export: str
    categories: tuple[Category, ...]
    """Categories revealed in clear; the others stand as commitments only."""
    purpose: str


KINDS: Mapping[str, type[Event]] = MappingProxyType({kind.__name__: kind for kind in Event.__subclasses__()})
"""Every kind there is, by the name it has in the header."""

VERSIONS: Mapping[str, int] = MappingProxyType(dict.fromkeys(KINDS, 1))
"""Version written today for each kind."""

NO_PARTS: Mapping[Category, bytes] = MappingProxyType({})


class Draft(Struct, frozen=True, kw_only=True, gc=False):
    """An event that has been decided and not yet written, with the personal data that belongs to it."""

    event: Event
    parts: Mapping[Category, bytes] = NO_PARTS
    seals: tuple[Category, ...] = ()
    """Categories whose data key must be kept from now on although this event has no such part: a recorder seals
    chunks under it long before its manifest is a part."""


class Recorded(Struct, frozen=True, kw_only=True, gc=False):
    """An event as it stands in the journal."""

    id: EventId
    incident: IncidentId
    tenant: TenantId
    n: int
    """Number within the incident, from 1."""
    at: datetime
    actor: str
    """``vehicle``, ``operator:<id>``, ``agency:<id>``, ``timer``, ``provider:<name>`` or ``system:<role>``."""
    answers: str | None
    """Id of the event or request that caused it."""
    event: Event
    commitments: Mapping[Category, str] = field(default_factory=dict)
    """Per part: hex SHA-256 of ``salt ‖ part``."""
    position: int | None = None
    """Place in the journal's one order, from 0; None until the sequencer has given it."""
