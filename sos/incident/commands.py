"""Orders: what somebody asks to be done to an incident.  ``lifecycle.decide`` turns each into events or refuses.

Commands may carry personal data (they are not kept); the events they lead to hold it in parts only.
"""

from collections.abc import Mapping

from msgspec import Struct

from routing.categories import Category
from routing.services import Service
from sos.incident.events import NO_PARTS
from sos.incident.model import (
    Acknowledgement,
    AgencyId,
    AgencyStatus,
    DeskId,
    DisclosureId,
    Disposition,
    LegId,
    Mode,
    OperatorId,
    Party,
    RecordingId,
    Trigger,
)


class Command(Struct, frozen=True, kw_only=True, gc=False):
    """Base of all commands."""


class OpenIncident(Command, frozen=True, kw_only=True, gc=False):
    mode: Mode
    trigger: Trigger
    format: str
    report: bytes
    report_digest: str
    readable: bool
    findings: tuple[str, ...] = ()


class FileReport(Command, frozen=True, kw_only=True, gc=False):
    """Take the report apart into its categories."""

    sequence: int
    located: bool
    parts: Mapping[Category, bytes]
    findings: tuple[str, ...] = ()


class RecordPlan(Command, frozen=True, kw_only=True, gc=False):
    prefecture: str | None
    services: tuple[Service, ...]
    agencies: tuple[AgencyId, ...]
    reasons: tuple[str, ...]
    flags: tuple[str, ...]
    border_m: int | None
    datasets: tuple[str, ...]
    parts: Mapping[Category, bytes] = NO_PARTS


class OfferDesks(Command, frozen=True, kw_only=True, gc=False):
    desks: tuple[DeskId, ...]


class TakeIncident(Command, frozen=True, kw_only=True, gc=False):
    operator: OperatorId
    desk: DeskId


class ReleaseOperator(Command, frozen=True, kw_only=True, gc=False):
    operator: OperatorId
    reason: str


class InviteLeg(Command, frozen=True, kw_only=True, gc=False):
    leg: LegId
    party: Party
    who: str


class JoinLeg(Command, frozen=True, kw_only=True, gc=False):
    leg: LegId
    party: Party
    who: str


class LeaveLeg(Command, frozen=True, kw_only=True, gc=False):
    leg: LegId
    reason: str


class StartRecording(Command, frozen=True, kw_only=True, gc=False):
    recording: RecordingId


class SealRecording(Command, frozen=True, kw_only=True, gc=False):
    recording: RecordingId
    manifest: bytes
    manifest_digest: str
    chunks: int
    duration_ms: int


class FailRecording(Command, frozen=True, kw_only=True, gc=False):
    recording: RecordingId
    reason: str


class AddNote(Command, frozen=True, kw_only=True, gc=False):
    category: Category
    text: str


class DecideDisclosure(Command, frozen=True, kw_only=True, gc=False):
    """Tell an agency.  ``rule`` to ``withheld`` are the verdict of ``routing.law``, complete."""

    disclosure: DisclosureId
    agency: AgencyId
    exercise_partner: bool
    """Whether the agency may be told of drills."""
    service: Service
    rule: str
    ground: str
    law_version: str
    clause: str
    necessity: str
    consent: str
    opt_out_overridden: bool
    sections: Mapping[Category, bytes]
    """What is sent, by category, as canonical JSON."""
    withheld: tuple[Category, ...]
    brief: bytes
    """The document that leaves, exactly as it leaves."""


class StartDelivery(Command, frozen=True, kw_only=True, gc=False):
    disclosure: DisclosureId
    channel: str


class ConfirmDelivery(Command, frozen=True, kw_only=True, gc=False):
    disclosure: DisclosureId
    level: Acknowledgement
    receipt: str


class FailDelivery(Command, frozen=True, kw_only=True, gc=False):
    disclosure: DisclosureId
    attempt: int
    reason: str


class Acknowledge(Command, frozen=True, kw_only=True, gc=False):
    disclosure: DisclosureId
    agency: AgencyId
    level: Acknowledgement


class Reject(Command, frozen=True, kw_only=True, gc=False):
    disclosure: DisclosureId
    agency: AgencyId
    reason: str


class ReportStatus(Command, frozen=True, kw_only=True, gc=False):
    disclosure: DisclosureId
    agency: AgencyId
    status: AgencyStatus


class ReadParts(Command, frozen=True, kw_only=True, gc=False):
    reader: str
    categories: tuple[Category, ...]
    purpose: str


class CloseIncident(Command, frozen=True, kw_only=True, gc=False):
    disposition: Disposition


class ReopenIncident(Command, frozen=True, kw_only=True, gc=False):
    reason: str


class RecordExport(Command, frozen=True, kw_only=True, gc=False):
    export: str
    categories: tuple[Category, ...]
    purpose: str


class PassDeadline(Command, frozen=True, kw_only=True, gc=False):
    """A row of the deadlines table fell due."""

    name: str
