"""Orders: what somebody asks to be done to an incident.  ``lifecycle.decide`` turns each into events or refuses.

Commands may carry personal data (they are not kept); the events they lead to hold it in parts only.
"""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from routing.categories import Category
from routing.kinds import EmergencyKind
from routing.law.codes import Fact, Path
from routing.services import Recipient, Service
from sos.incident.events import NO_PARTS
from sos.incident.model import (
    Acknowledgement,
    AgencyId,
    AgencyStatus,
    AlarmId,
    AlarmKind,
    AnswerAction,
    AnswerId,
    Audience,
    Car,
    ConsentAnswer,
    CrashId,
    DeclineReason,
    DeskId,
    DisclosureId,
    Disposed,
    Disposition,
    HoldGround,
    HoldId,
    IncidentId,
    LegId,
    MassEventId,
    Mode,
    OperatorId,
    Party,
    Question,
    RecordingId,
    ReferralId,
    RefusalReason,
    Relation,
    RequestId,
    ResponseHow,
    Rung,
    TakeoverReason,
    Telling,
    ToldElsewhere,
    Trigger,
    WaitReason,
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
    channel: str = "http"
    vehicle: bytes = b""
    """The VEH part (canonical JSON) when the door knows the vehicle, whatever the report says of it."""


class FileReport(Command, frozen=True, kw_only=True, gc=False):
    """Take the report apart into its categories."""

    sequence: int
    located: bool
    parts: Mapping[Category, bytes]
    findings: tuple[str, ...] = ()
    report_digest: str = ""
    """Of the bytes, so that each report is filed once; empty: the sequence alone decides."""
    urgent: tuple[str, ...] = ()
    kind: EmergencyKind = EmergencyKind.UNKNOWN
    kind_because: str = ""


class StateKind(Command, frozen=True, kw_only=True, gc=False):
    """The operator says what kind of emergency it is."""

    operator: OperatorId
    kind: EmergencyKind


class AnswerCard(Command, frozen=True, kw_only=True, gc=False):
    """The operator writes down what was answered to a question.  The fields are those of ``CardAnswered``."""

    operator: OperatorId
    question: str
    category: Category
    answer: bytes
    """As it is sealed."""
    urgent: tuple[str, ...] = ()
    needs: tuple[Service, ...] = ()
    source: Literal["person", "family", "bystander", "medical_staff", ""] = ""
    rule: str = ""
    ground: str = ""
    law_version: str = ""
    rules: str = ""
    necessity: str = ""
    consent: str = ""
    obligations: tuple[str, ...] = ()


class StateLanguage(Command, frozen=True, kw_only=True, gc=False):
    """The operator says which language the people in the vehicle speak."""

    operator: OperatorId
    language: str
    """Primary subtag (BCP 47)."""


class JoinReport(Command, frozen=True, kw_only=True, gc=False):
    """A further report of the crash that this incident is about."""

    reason: str
    format: str
    report: bytes
    report_digest: str
    readable: bool
    findings: tuple[str, ...] = ()
    trigger: Trigger = Trigger.UNKNOWN


class RecordCancel(Command, frozen=True, kw_only=True, gc=False):
    reason: str
    words: str
    """The reason as the sender wrote it; may be empty."""
    format: str
    report: bytes
    report_digest: str


class ProposeMatch(Command, frozen=True, kw_only=True, gc=False):
    other: IncidentId
    relation: Relation
    reasons: tuple[str, ...]
    distance_m: int | None = None
    apart_s: int | None = None


class ConfirmMatch(Command, frozen=True, kw_only=True, gc=False):
    other: IncidentId
    relation: Relation
    reasons: tuple[str, ...] = ()


class UndoMatch(Command, frozen=True, kw_only=True, gc=False):
    other: IncidentId
    relation: Relation


class Link(Command, frozen=True, kw_only=True, gc=False):
    """Record of which crash it is part.  The fields are those of ``IncidentsLinked``; ``linking`` makes them."""

    crash_id: CrashId
    number: str
    cars: tuple[Car, ...]
    told: tuple[ToldElsewhere, ...] = ()


class Unlink(Command, frozen=True, kw_only=True, gc=False):
    """Record that it is a crash by itself."""


class RecordTold(Command, frozen=True, kw_only=True, gc=False):
    """Record that another incident of the crash has told an agency."""

    told: ToldElsewhere


class IssueReceipt(Command, frozen=True, kw_only=True, gc=False):
    checks: tuple[tuple[str, bool], ...]


class EndTest(Command, frozen=True, kw_only=True, gc=False):
    """A test has shown all it could: its receipt, and it is closed."""

    checks: tuple[tuple[str, bool], ...]


class AnswerVehicle(Command, frozen=True, kw_only=True, gc=False):
    answer: AnswerId
    action: AnswerAction
    text: str = ""
    """Of a message; at most ``MESSAGE_CHARACTERS``."""


class ConfirmAnswer(Command, frozen=True, kw_only=True, gc=False):
    answer: AnswerId
    channel: str


class RecordPlan(Command, frozen=True, kw_only=True, gc=False):
    prefecture: str | None
    services: tuple[Service, ...]
    agencies: tuple[AgencyId, ...]
    reasons: tuple[str, ...]
    flags: tuple[str, ...]
    border_m: int | None
    datasets: tuple[str, ...]
    again: bool = False
    """The place is another one, or better known, than that of the plan before."""
    source: str = "vehicle"
    moved_m: int | None = None
    kind: EmergencyKind = EmergencyKind.UNKNOWN
    same_place: bool = False
    parts: Mapping[Category, bytes] = NO_PARTS


class NoticeMove(Command, frozen=True, kw_only=True, gc=False):
    """The vehicle says that it is elsewhere than where a person has put it."""

    distance_m: int


class SettleMove(Command, frozen=True, kw_only=True, gc=False):
    operator: OperatorId
    adopted: bool
    """False: the place before, or the one a person has stated, holds."""


class HearPlace(Command, frozen=True, kw_only=True, gc=False):
    """Somebody says where it is; it stands beside the place in force."""

    operator: OperatorId
    how: str
    found: bool
    place: bytes
    """``report.StatedPlace`` as JSON."""


class ReadBack(Command, frozen=True, kw_only=True, gc=False):
    """The operator has read the place with somebody at the agency."""

    operator: OperatorId
    disclosure: DisclosureId
    version: int
    """Of the place that was read."""
    agreed: bool
    with_code: bool
    how: str = "words"
    found: bool = False
    place: bytes = b""
    """What they have instead: ``report.StatedPlace`` as JSON."""


class StatePlace(Command, frozen=True, kw_only=True, gc=False):
    """The operator says where it is, as heard or seen: a pin, or the caller's words."""

    operator: OperatorId
    how: Literal["pin", "words", "address", "road", "agency"]
    located: bool
    """Whether ``place`` has coordinates."""
    place: bytes
    """``report.StatedPlace`` as JSON."""


class SettleHeard(Command, frozen=True, kw_only=True, gc=False):
    operator: OperatorId
    adopted: bool
    stated: StatePlace | None = None
    """What is adopted, as the place from now on: said and settled at once, or neither."""


class DescribePlace(Command, frozen=True, kw_only=True, gc=False):
    """Record the address that a geocoder gave.  The fields are those of ``PlaceDescribed``."""

    source: str
    distance_m: int
    parts: Mapping[Category, bytes]


class RecogniseVehicle(Command, frozen=True, kw_only=True, gc=False):
    """Say how the vehicle stands.  The fields are those of ``VehicleRecognised``."""

    flags: tuple[str, ...]
    pack: str
    entitlement: str
    opt_out: bool
    profiling: bool
    call_back_window_s: int
    record: str | None = None
    holder: str | None = None
    clauses: tuple[str, ...] = ()
    parts: Mapping[Category, bytes] = NO_PARTS


class CopyRegisteredData(Command, frozen=True, kw_only=True, gc=False):
    """Record what was taken from the registry, or may not be.  The fields are those of ``RegisteredDataCopied``."""

    holder: str
    withheld: tuple[Category, ...]
    rule: str
    ground: str
    law_version: str
    rules: str
    necessity: str
    consent: str
    facts: tuple[str, ...] = ()
    grounds: tuple[str, ...] = ()
    obligations: tuple[str, ...] = ()
    parts: Mapping[Category, bytes] = NO_PARTS


class JudgeSeverity(Command, frozen=True, kw_only=True, gc=False):
    """Record how severe the crash may be.  The fields are those of ``SeverityJudged``."""

    judged_by: str
    coefficients: str
    scored: bool
    report: int
    severe: bool
    judgement: bytes
    """Canonical JSON, kept as the SEV part."""


class OfferDesks(Command, frozen=True, kw_only=True, gc=False):
    desks: tuple[DeskId, ...]


class TakeIncident(Command, frozen=True, kw_only=True, gc=False):
    operator: OperatorId
    desk: DeskId


class TakeOver(Command, frozen=True, kw_only=True, gc=False):
    operator: OperatorId
    desk: DeskId
    holder: OperatorId
    """From whom."""
    reason: TakeoverReason
    supervisor: bool = False
    """Whether ``operator`` is one, as the log-in says."""


class OfferHandover(Command, frozen=True, kw_only=True, gc=False):
    operator: OperatorId
    to: OperatorId
    note: str = ""


class AnswerHandover(Command, frozen=True, kw_only=True, gc=False):
    operator: OperatorId
    desk: DeskId
    accepted: bool


class ReleaseOperator(Command, frozen=True, kw_only=True, gc=False):
    operator: OperatorId
    reason: str


class InviteLeg(Command, frozen=True, kw_only=True, gc=False):
    leg: LegId
    party: Party
    who: str
    called_in: bool = False


AUDIO = (Category.AUD,)
"""What a leg seals before anything of it is written."""


class DialLeg(Command, frozen=True, kw_only=True, gc=False):
    """Call somebody into the conference; the provider is asked only once this stands."""

    leg: LegId
    party: Party
    who: str
    line: str
    """Where the number stands: ``callback`` of the report, or a line of the agency's directory entry."""
    held: bool = False


class RingLeg(Command, frozen=True, kw_only=True, gc=False):
    """It rings at the other end."""

    leg: LegId


class SetLegMode(Command, frozen=True, kw_only=True, gc=False):
    """Hold, mute, coach, or let talk again."""

    leg: LegId
    operator: OperatorId
    held: bool = False
    muted: bool = False
    coaching: LegId | None = None


class TransferLeg(Command, frozen=True, kw_only=True, gc=False):
    """Whoever is on this leg goes into the call of ``to``, where it was invited as ``as_leg``."""

    leg: LegId
    to: IncidentId
    as_leg: LegId


class PressKeys(Command, frozen=True, kw_only=True, gc=False):
    """Somebody pressed keys on this leg (DTMF)."""

    leg: LegId
    keys: str


class PlayNotice(Command, frozen=True, kw_only=True, gc=False):
    """Tell a leg something by machine, once."""

    leg: LegId
    notice: str


class SpeakBrief(Command, frozen=True, kw_only=True, gc=False):
    """Have the brief of ``disclosure`` read to the agency's leg by machine."""

    leg: LegId
    disclosure: DisclosureId
    language: str
    why: Telling
    by_keys: bool = False
    operator: OperatorId | None = None
    """Who asks for it; None: no person of ours is there."""


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


class KeepCopy(Command, frozen=True, kw_only=True, gc=False):
    """A leg's recording was fetched from a provider."""

    recording: RecordingId
    leg: LegId
    copy: str
    digest: str
    size: int


class NoteCopyDeleted(Command, frozen=True, kw_only=True, gc=False):
    """The provider has deleted its copy."""

    recording: RecordingId
    copy: str


class QueueLeg(Command, frozen=True, kw_only=True, gc=False):
    """A call waits at the provider for its turn."""

    leg: LegId
    queued_ms: int


class AddNote(Command, frozen=True, kw_only=True, gc=False):
    category: Category
    text: str


class TakeMedical(Command, frozen=True, kw_only=True, gc=False):
    """Write down what somebody said of a person's health.  The fields are those of ``MedicalTaken``."""

    text: str
    source: Literal["person", "family", "bystander", "medical_staff"]
    rule: str = ""
    ground: str = ""
    law_version: str = ""
    rules: str = ""
    necessity: str = ""
    consent: str = ""
    obligations: tuple[str, ...] = ()


class RecordConsent(Command, frozen=True, kw_only=True, gc=False):
    answer: ConsentAnswer
    categories: tuple[Category, ...] = ()
    agencies: tuple[AgencyId, ...] = ()
    audio_ms: int | None = None


class ReferDisclosure(Command, frozen=True, kw_only=True, gc=False):
    referral: ReferralId
    agency: AgencyId
    rule: str
    path: str
    necessity: str
    consent: str
    reason: str
    """The operator's own words."""


class AnswerReferral(Command, frozen=True, kw_only=True, gc=False):
    referral: ReferralId
    supervisor: OperatorId
    approved: bool
    facts: tuple[str, ...] = ()
    reason: str


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
    path: str = "life_protection"
    facts: tuple[str, ...] = ()
    grounds: tuple[str, ...] = ()
    rules: str = ""
    opt_out_clause: str = ""
    review: bool = False
    obligations: tuple[str, ...] = ()
    referral: ReferralId | None = None
    supervisor: OperatorId | None = None
    supersedes: DisclosureId | None = None
    brief_version: int = 1
    forms: tuple[tuple[str, str], ...] = ()
    confirmed: bool = False
    """A person has seen the warning that this service was told before (``Unconfirmed``)."""
    unattended: bool = False
    """No person decides: allowed only once nobody of ours could be found."""
    without: tuple[str, ...] = ()
    reason: str = ""
    """Why, in the operator's own words, where they were asked for."""
    corrected: bool = False
    """The house brings an agency up to date by itself, since the place it was told of holds no longer, or the crash,
    or something was answered since."""
    heard: int = 0
    joined: tuple[IncidentId, ...] = ()
    again: tuple[DisclosureId, ...] = ()
    maybe: tuple[IncidentId, ...] = ()


class RefuseDisclosure(Command, frozen=True, kw_only=True, gc=False):
    """Record that somebody wanted to tell an agency and may not.  The fields are those of ``DisclosureRefused``."""

    agency: AgencyId
    rule: str
    outcome: str
    path: str
    necessity: str
    consent: str
    tried: tuple[tuple[str, str], ...]
    reason: str = ""


class MeetObligation(Command, frozen=True, kw_only=True, gc=False):
    """Somebody says that what the law wants done was done, or why it cannot be."""

    obligation: str
    about: str
    outcome: str
    words: str
    operator: OperatorId
    supervises: bool


class ReceiveRequest(Command, frozen=True, kw_only=True, gc=False):
    """Take down who asks from outside, for what, and on which ground."""

    request: RequestId
    recipient: Recipient
    path: Path
    scope: tuple[Category, ...]
    issuer: str
    """The body: a police station, a court; of a family, what they are to the person."""
    person: str
    call_back: str
    provision: str
    reference: str
    """Number of the document."""
    document: str
    """Hex SHA-256 of it; empty without one."""
    country: str
    channel: Literal["telephone", "letter", "mail", "in_person"]
    words: str
    operator: OperatorId


class CheckRequest(Command, frozen=True, kw_only=True, gc=False):
    """Say that something is so about a request, and how that is known."""

    request: RequestId
    fact: Fact
    words: str
    operator: OperatorId
    supervises: bool


class ApproveRequest(Command, frozen=True, kw_only=True, gc=False):
    request: RequestId
    operator: OperatorId
    supervises: bool


class RefuseRequest(Command, frozen=True, kw_only=True, gc=False):
    request: RequestId
    reason: RefusalReason
    words: str
    operator: OperatorId


class AnswerRequest(Command, frozen=True, kw_only=True, gc=False):
    """Record the law's verdict on a request, and what is given out by it."""

    request: RequestId
    outcome: str
    rule: str
    ground: str
    grounds: tuple[str, ...]
    law_version: str
    rules: str
    clause: str
    sections: Mapping[Category, bytes]
    withheld: tuple[Category, ...]
    without: tuple[str, ...]
    statements: tuple[str, ...]
    facts: tuple[str, ...]
    tried: tuple[tuple[str, str], ...]
    obligations: tuple[str, ...]
    document: bytes
    digest: str
    operator: OperatorId


class WithholdTelling(Command, frozen=True, kw_only=True, gc=False):
    """Record that the house tells nobody by itself.  The fields are those of ``TellingWithheld``."""

    reason: str
    agency: AgencyId | None = None
    rule: str = ""
    outcome: str = ""


class PlaceInMassEvent(Command, frozen=True, kw_only=True, gc=False):
    """It takes the turns of ``place`` while that mass event is in force; without one, those of its tenant."""

    mass_event: MassEventId | None = None
    place: str = ""


class HoldTelling(Command, frozen=True, kw_only=True, gc=False):
    """The house does not tell this agency yet: a supervisor says how it is told of this place."""

    agency: AgencyId


class DeclineTelling(Command, frozen=True, kw_only=True, gc=False):
    """The operator decides that these services of the plan are not told."""

    operator: OperatorId
    services: tuple[Service, ...]
    reason: DeclineReason
    words: str


class LimitSearch(Command, frozen=True, kw_only=True, gc=False):
    """Look for people of ours for so long, instead of ``attendance.NOBODY_AFTER``."""

    nobody_after_ms: int


class HearResponse(Command, frozen=True, kw_only=True, gc=False):
    """Somebody in the vehicle has answered."""

    operator: OperatorId
    how: ResponseHow = ResponseHow.SPEECH


class AwaitResponse(Command, frozen=True, kw_only=True, gc=False):
    """Wait longer for an answer."""

    operator: OperatorId
    seconds: int
    reason: WaitReason


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


class TakeRung(Command, frozen=True, kw_only=True, gc=False):
    """Tell louder.  ``number`` is the one that comes next, so that a rung is never taken twice."""

    disclosure: DisclosureId
    number: int
    rung: Rung
    reason: str
    elapsed_ms: int
    next_after_ms: int | None
    line: str | None = None
    leg: LegId | None = None
    """Of the call that the house places; None when the line is dialled by hand."""
    proposed: tuple[AgencyId, ...] = ()


class EndAgencyCall(Command, frozen=True, kw_only=True, gc=False):
    disclosure: DisclosureId
    leg: LegId
    outcome: str


class AskBack(Command, frozen=True, kw_only=True, gc=False):
    disclosure: DisclosureId
    agency: AgencyId
    question: Question
    text: str = ""


class RaiseAlarm(Command, frozen=True, kw_only=True, gc=False):
    """Of what no other command tells, such as a reader that has gone on without an event."""

    why: AlarmKind
    about: str = ""


class AskAssistance(Command, frozen=True, kw_only=True, gc=False):
    """The operator asks for somebody to help."""

    operator: OperatorId
    text: str = ""


class ShowAlarm(Command, frozen=True, kw_only=True, gc=False):
    alarm: AlarmId
    audience: Audience
    supervisors: tuple[OperatorId, ...] = ()


class AcknowledgeAlarm(Command, frozen=True, kw_only=True, gc=False):
    alarm: AlarmId
    operator: OperatorId
    supervisor: bool = False
    """Whether ``operator`` is one, as the log-in says."""


class ReadParts(Command, frozen=True, kw_only=True, gc=False):
    reader: str
    categories: tuple[Category, ...]
    purpose: str
    reason: str = ""
    """In the reader's own words."""
    each_time: bool = False
    """Written down although this reader has opened these categories before: of sound, something else is heard each
    time."""


class CloseIncident(Command, frozen=True, kw_only=True, gc=False):
    disposition: Disposition
    untold: DeclineReason | None = None
    """Why whoever the plan names and nobody has told is not told; None: everybody was told, or it was said before."""
    words: str = ""
    """The same in words."""


class ReopenIncident(Command, frozen=True, kw_only=True, gc=False):
    reason: str


class PlaceHold(Command, frozen=True, kw_only=True, gc=False):
    hold: HoldId
    ground: HoldGround
    words: str
    by: str


class ReleaseHold(Command, frozen=True, kw_only=True, gc=False):
    hold: HoldId
    words: str
    by: str


class DestroyData(Command, frozen=True, kw_only=True, gc=False):
    """What a review list names has had its time, and two people have agreed."""

    seen: int
    """Number of the incident's last event when its dates were looked at: what somebody else has destroyed since is not
    destroyed twice."""
    disposal: str
    listed: str
    disposed: tuple[Disposed, ...]
    approved: tuple[str, ...]


class RecordExport(Command, frozen=True, kw_only=True, gc=False):
    export: str
    categories: tuple[Category, ...]
    purpose: str


class PassDeadline(Command, frozen=True, kw_only=True, gc=False):
    """A row of the deadlines table fell due."""

    name: str
