"""Everything that can have happened to an incident, in the past tense.

The fields of an event are its header data: ids, codes, counts, digests and times, never personal data.  Personal
data travels beside the event in *parts*, one byte string per category (``Draft.parts``).  Events are kept for ever: a
change of meaning is a new kind or a raised ``VERSIONS`` entry with an upcaster and a stored sample.
"""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from msgspec import Struct, field

from routing.categories import Category
from routing.kinds import EmergencyKind
from routing.law.codes import Fact, Path
from routing.services import Recipient, Service
from sos.incident.model import (
    Acknowledgement,
    AgencyId,
    AgencyStatus,
    AlarmId,
    AlarmKind,
    AnswerAction,
    AnswerId,
    Area,
    Audience,
    Car,
    ConsentAnswer,
    CrashId,
    DeclineReason,
    DeskId,
    DisclosureId,
    Disposed,
    Disposition,
    EventId,
    HoldGround,
    HoldId,
    HowToTell,
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
    StreamId,
    TakeoverReason,
    Telling,
    TenantId,
    ToldElsewhere,
    Trigger,
    WaitReason,
)


class Event(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Base of all events; the class name is the ``kind`` in the header."""


class IncidentOpened(Event, frozen=True, kw_only=True, gc=False):
    """A report came in and is durable.  Parts: RAW, the bytes as received; VEH, when the door knows the car."""

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
    channel: str = "http"
    """The door it came through, and by which the vehicle can be answered: ``http``, ``mqtt``, ``voice``."""


class ReportFiled(Event, frozen=True, kw_only=True, gc=False):
    """The report was taken apart into its categories.  Parts: those of LOC, VEH, SEV, TEL, PER that it held."""

    sequence: int
    located: bool
    findings: tuple[str, ...] = ()
    report_digest: str = ""
    """Of the bytes that were taken apart, as in ``IncidentOpened`` or ``ReportJoined``."""
    urgent: tuple[str, ...] = ()
    """What of it gives the call a head start, as codes of ``urgency.HEAD_START``."""
    kind: EmergencyKind = EmergencyKind.UNKNOWN
    """What kind of emergency it says or lets us deduce; the trigger stands in the event before."""
    kind_because: str = ""
    """``said``, ``service``, ``crash_data`` or ``fire_sensor``; empty where it says nothing of it."""


class CardAnswered(Event, frozen=True, kw_only=True, gc=False):
    """A question of the card was answered on the call; the last answer stands.  Parts: the answer, in its category."""

    question: str
    """Its code on the cards of the house or the brand."""
    category: Category
    operator: OperatorId
    urgent: tuple[str, ...] = ()
    """What of it gives the call a head start; of somebody's health nothing stands here."""
    needs: tuple[Service, ...] = ()
    """Who is needed for it, whatever the kind of emergency."""
    source: str = ""
    """Who said it, where it is of somebody's health, as in ``MedicalTaken``; so too all that follows."""
    rule: str = ""
    ground: str = ""
    law_version: str = ""
    rules: str = ""
    necessity: str = ""
    consent: str = ""
    obligations: tuple[str, ...] = ()


class LanguageStated(Event, frozen=True, kw_only=True, gc=False):
    """A person says which language the people in the vehicle speak.  Parts: TEL, the language."""

    operator: OperatorId


class KindStated(Event, frozen=True, kw_only=True, gc=False):
    """A person says what kind of emergency it is, as heard or asked; what the vehicle says stays beside it."""

    kind: EmergencyKind


class ReportJoined(Event, frozen=True, kw_only=True, gc=False):
    """A further report of the same crash came in and is durable.  Parts: RAW, the bytes as received."""

    reason: str
    """Why it belongs here: ``update``, ``changed_repeat``, ``data_for_call``."""
    format: str
    report_digest: str
    report_bytes: int
    readable: bool
    findings: tuple[str, ...] = ()
    trigger: Trigger = Trigger.UNKNOWN
    """What this report says; ``automatic`` makes the incident one."""


class CancelReceived(Event, frozen=True, kw_only=True, gc=False):
    """The vehicle or its cloud asks that no help be sent.  It closes nothing.  Parts: RAW, and OBS, the reason."""

    reason: str
    """``false_alarm``, ``occupant_cancelled``, ``test``, ``other`` or ``not_given``; the sender's own words are OBS."""
    format: str
    report_digest: str
    report_bytes: int


class MatchProposed(Event, frozen=True, kw_only=True, gc=False):
    """Another incident may belong to this one; a person says so."""

    other: IncidentId
    relation: Relation
    reasons: tuple[str, ...]
    """Codes such as ``vehicle``, ``callback``, ``near``, ``heading``."""
    distance_m: int | None = None
    """Rounded to 10 m."""
    apart_s: int | None = None
    """Between the two, in whole seconds."""


class MatchConfirmed(Event, frozen=True, kw_only=True, gc=False):
    """The two belong together: by a person's word, or by the same vehicle within the window."""

    other: IncidentId
    relation: Relation
    reasons: tuple[str, ...] = ()


class MatchUndone(Event, frozen=True, kw_only=True, gc=False):
    """A person says that the two do not belong together; it is not proposed again."""

    other: IncidentId
    relation: Relation


class IncidentsLinked(Event, frozen=True, kw_only=True, gc=False):
    """This incident and others are one crash: as it stands from now on, in each of them in one append."""

    crash_id: CrashId
    number: str
    cars: tuple[Car, ...]
    told: tuple[ToldElsewhere, ...] = ()
    """Whom the others have told by now."""


class IncidentsUnlinked(Event, frozen=True, kw_only=True, gc=False):
    """This incident is a crash by itself again.  Nothing else of it changes."""

    crash_id: CrashId
    number: str


class LinkedTold(Event, frozen=True, kw_only=True, gc=False):
    """Another incident of the same crash has told an agency: in one append with that decision."""

    incident: IncidentId
    disclosure: DisclosureId
    agency: AgencyId
    service: Service
    version: int = 1
    supersedes: DisclosureId | None = None
    """The disclosure of that incident which this newer brief follows."""


class ReceiptIssued(Event, frozen=True, kw_only=True, gc=False):
    """A test call walked the real path; this is the vehicle's receipt."""

    passed: bool
    checks: tuple[tuple[str, bool], ...]
    """Name and outcome, such as (``located``, True)."""


class AnswerGiven(Event, frozen=True, kw_only=True, gc=False):
    """The vehicle shall get this.  Stands before anything leaves.  Parts: OBS, the text of a message."""

    answer: AnswerId
    action: AnswerAction


class AnswerDelivered(Event, frozen=True, kw_only=True, gc=False):
    answer: AnswerId
    channel: str
    """``mqtt``: the broker has it; ``http``: the vehicle fetched it and said so."""


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
    """Distance to the nearest other area, in metres, rounded to 100 m so that it does not tell the place."""
    datasets: tuple[str, ...] = ()
    """Name and digest of every data set and rule file the plan was made from, so that it can be made again."""
    source: str = "vehicle"
    """Who says where it is: ``vehicle``, or ``operator``."""
    moved_m: int | None = None
    """How far the place lies from that of the plan before, in metres to two digits, where that is more than both
    positions may be wrong; None where it is the same place, or the first."""
    kind: EmergencyKind = EmergencyKind.UNKNOWN
    """What kind of emergency it was made for."""
    same_place: bool = False
    """It was made anew for the kind, or for what somebody said, and the place is that of the plan before."""


class MoveNoticed(Event, frozen=True, kw_only=True, gc=False):
    """The vehicle reports a place that is not the one a person has stated; the person's holds until it is settled."""

    distance_m: int
    """Between the two, to two digits."""


class MoveSettled(Event, frozen=True, kw_only=True, gc=False):
    """The operator has looked at a move of the place."""

    adopted: bool
    """The vehicle's newest place holds; False: the one before it, or the one a person has stated."""


class PlaceStated(Event, frozen=True, kw_only=True, gc=False):
    """The operator says where it is.  Parts: LOC, coordinates or the caller's words."""

    how: str
    """``pin``, ``words``, ``address`` or ``road``; ``agency``: as an agency has it."""
    located: bool


class PlaceHeard(Event, frozen=True, kw_only=True, gc=False):
    """Somebody says where it is, and it stands beside the place in force until the operator adopts it or does not.

    Parts: LOC, what was said, and where that is by our data.
    """

    source: str
    """``caller`` or ``agency``."""
    how: str
    """``address``, ``road`` or ``words``."""
    found: bool
    """Whether our data know where that is."""
    disclosure: DisclosureId | None = None
    """By which an agency that says so was told."""


class HeardPlaceSettled(Event, frozen=True, kw_only=True, gc=False):
    """The operator has looked at a place that somebody says.  Adopted, it is stated (``PlaceStated``)."""

    operator: OperatorId
    adopted: bool


class PlaceReadBack(Event, frozen=True, kw_only=True, gc=False):
    """The place was read back with a human being at an agency: they have the same, or another one (``PlaceHeard``)."""

    disclosure: DisclosureId
    agency: AgencyId
    operator: OperatorId
    version: int
    """Of the place in force, counted from 1 (``Incident.place_version``)."""
    agreed: bool
    with_code: bool
    """The code of the brief, or the number to call back on, was read with it."""
    leg: LegId | None = None
    """Theirs, where they are in our call; None: on another telephone."""


class PlaceDescribed(Event, frozen=True, kw_only=True, gc=False):
    """The operator's own geocoder named the place of a report, for the screen only.  Parts: LOC, the address."""

    source: str
    """``nominatim``, ``photon`` or ``pelias``."""
    distance_m: int
    """From the report's position to what was found, rounded to 10 m."""


class DeskOffered(Event, frozen=True, kw_only=True, gc=False):
    """The incident rings at these desks; an empty list means at every desk."""

    desks: tuple[DeskId, ...]
    round: int


class OperatorAssigned(Event, frozen=True, kw_only=True, gc=False):
    """An operator answered, or took it over, and has the incident alone."""

    operator: OperatorId
    desk: DeskId
    taken_from: OperatorId | None = None
    """Who had it; None: nobody."""
    reason: TakeoverReason | None = None


class OperatorLost(Event, frozen=True, kw_only=True, gc=False):
    """The desk that had the incident is gone; it must ring again."""

    operator: OperatorId
    reason: str


class HandoverOffered(Event, frozen=True, kw_only=True, gc=False):
    """Whoever has the incident would have a colleague take it.  Parts: OBS, the note."""

    operator: OperatorId
    to: OperatorId


class HandoverEnded(Event, frozen=True, kw_only=True, gc=False):
    """The colleague does not take it, or it is not offered any more; ``operator`` said so."""

    operator: OperatorId


class LegInvited(Event, frozen=True, kw_only=True, gc=False):
    """Intent before effect: a leg is about to be taken into the conference, which is recorded from its first packet."""

    leg: LegId
    party: Party
    who: str
    called_in: bool = False
    """It telephoned us: who it is, only the number says that it shows."""


class LegDialled(Event, frozen=True, kw_only=True, gc=False):
    """Intent before effect: somebody is about to be called into the conference."""

    leg: LegId
    party: Party
    who: str
    line: str
    """Where the number stands: ``callback`` of the report, or a line of the agency's directory entry."""
    held: bool = False
    """It comes in held: whoever picks up neither hears nor is heard until they have shown that they are a person."""


class LegRinging(Event, frozen=True, kw_only=True, gc=False):
    leg: LegId


class LegModeSet(Event, frozen=True, kw_only=True, gc=False):
    """Who hears whom is about to change: held legs hear nobody, muted ones are not heard, a coach by one alone."""

    leg: LegId
    held: bool
    muted: bool
    coaching: LegId | None = None
    while_called: LegId | None = None
    """Held by itself, while this outside party is called; None: by a person's hand."""


class LegTransferred(Event, frozen=True, kw_only=True, gc=False):
    """Intent before effect: whoever is on this leg is about to go into the call of another incident, as its leg."""

    leg: LegId
    to: IncidentId
    as_leg: LegId


class KeysPressed(Event, frozen=True, kw_only=True, gc=False):
    """Keys of a telephone (DTMF): ``1`` yes and ``2`` no to a silent caller."""

    leg: LegId
    keys: str


class NoticePlayed(Event, frozen=True, kw_only=True, gc=False):
    """A leg is about to be told something by machine."""

    leg: LegId
    notice: str


class BriefSpoken(Event, frozen=True, kw_only=True, gc=False):
    """Intent before effect: the brief is about to be read to the agency's leg alone, by machine."""

    leg: LegId
    disclosure: DisclosureId
    voice: str
    """The language it is read in, ``ja`` or ``en``: the agency's, not a person's."""
    why: Telling
    by_keys: bool = False
    """It ends with what may be pressed: 1 takes over, 2 has it read again."""


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


class RecordingFetched(Event, frozen=True, kw_only=True, gc=False):
    """What a telephony provider recorded of one leg lies sealed in ``recording``; its own copy is deleted next."""

    recording: RecordingId
    leg: LegId
    copy: str
    """The provider's name of it."""
    digest: str
    """Hex SHA-256 of the file as it came."""
    size: int
    """Its bytes."""


class ProviderCopyDeleted(Event, frozen=True, kw_only=True, gc=False):
    """A provider has said that its copy of a recording is gone."""

    recording: RecordingId
    copy: str


class LegQueued(Event, frozen=True, kw_only=True, gc=False):
    """A call waits at the provider for its turn: it does not ring yet, and nobody there would say so."""

    leg: LegId
    queued_ms: int


class NoteAdded(Event, frozen=True, kw_only=True, gc=False):
    """Parts: one, in ``category``, the text of the note."""

    category: Category


class MedicalTaken(Event, frozen=True, kw_only=True, gc=False):
    """Somebody said something of a person's health, and it was written down.  Parts: MED, the words."""

    source: str
    """Who said it: ``person``, ``family``, ``bystander``, ``medical_staff``."""
    rule: str = ""
    """Row that lets it be taken in; empty where no row fits: then it is looked at within a day."""
    ground: str = ""
    law_version: str = ""
    rules: str = ""
    necessity: str = ""
    consent: str = ""
    obligations: tuple[str, ...] = ()


class ConsentRecorded(Event, frozen=True, kw_only=True, gc=False):
    """The person was asked whether somebody may be told, and answered."""

    answer: ConsentAnswer
    categories: tuple[Category, ...] = ()
    """What was agreed to."""
    agencies: tuple[AgencyId, ...] = ()
    """Whom the person named; empty: whoever helps."""
    audio_ms: int | None = None
    """Where in the recording the answer is; None: as the times of this event and of ``RecordingStarted`` say."""


class DisclosureReferred(Event, frozen=True, kw_only=True, gc=False):
    """The law leaves it to a supervisor whether an agency is told.  Parts: OBS, the operator's reason."""

    referral: ReferralId
    agency: AgencyId
    rule: str
    """Row that referred it, such as ``JP-05``."""
    path: str
    necessity: str
    consent: str


class ReferralAnswered(Event, frozen=True, kw_only=True, gc=False):
    """A supervisor has decided.  Parts: OBS, the reason."""

    referral: ReferralId
    supervisor: OperatorId
    approved: bool
    facts: tuple[str, ...] = ()
    """What the supervisor takes to be so, such as ``capacity_in_doubt``."""


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
    path: str = "life_protection"
    """What was taken as the reason (``routing.law.Path``); what is true of it stands in ``facts``."""
    facts: tuple[str, ...] = ()
    grounds: tuple[str, ...] = ()
    """Every ground relied on, where there is more than ``ground``."""
    rules: str = ""
    """Name and digest of the rule tables, so that the verdict can be reached again."""
    opt_out_clause: str = ""
    """Clause of the customer's terms that sets the wish not to share aside; empty where it was not set aside."""
    review: bool = False
    """A second person looks at it within a day."""
    obligations: tuple[str, ...] = ()
    """What the record must hold and what is still to be done, by the law (``routing.law.Obligation``)."""
    referral: ReferralId | None = None
    supervisor: OperatorId | None = None
    supersedes: DisclosureId | None = None
    """The disclosure to the same agency that this newer brief follows."""
    brief_version: int = 1
    unattended: bool = False
    """No person decided: nobody of ours could be found, and the law permits it (ops/decisions/0022).  A person looks at
    it afterwards (``review``), and only a human being at the agency can take over."""
    corrected: bool = False
    """The place it was told of held no longer, or the crash, and the row that let it be told still fits: sent without a
    further word of a person."""
    forms: tuple[tuple[str, str], ...] = ()
    """Each form the brief was prepared in, and the hex SHA-256 of its bytes; ``json`` is the RAW part itself."""
    without: tuple[str, ...] = ()
    """Fields that were left out of what was sent, such as ``VEH.licensePlate``."""
    heard: int = 0
    """Number of the newest answer on the call that the brief was made with; 0: of none."""
    joined: tuple[IncidentId, ...] = ()
    """With which other incidents the brief says that this is one crash."""
    again: tuple[DisclosureId, ...] = ()
    """By which disclosures of those the agency had been told of the crash: the brief names them, and who decided knew.
    """
    maybe: tuple[IncidentId, ...] = ()
    """With which incidents, of which it had been told, the brief says that this may be one crash: nobody has said so
    yet."""


class TellingReasoned(Event, frozen=True, kw_only=True, gc=False):
    """Why an agency was told, in the operator's words.  Parts: OBS, the words."""

    disclosure: DisclosureId


class DisclosureRefused(Event, frozen=True, kw_only=True, gc=False):
    """Somebody wanted to tell an agency and the law did not let them: nothing left.  Parts: OBS, the reason given."""

    agency: AgencyId
    rule: str
    """Row that decided, such as ``XX-99``."""
    outcome: str
    """``routing.law.Outcome`` of that row."""
    path: str
    necessity: str
    consent: str
    tried: tuple[tuple[str, str], ...]
    """Each row of the path that did not fire, and the first condition that kept it."""


class ObligationDue(Event, frozen=True, kw_only=True, gc=False):
    """What the law wants done has not been done in time: somebody is alarmed, and it falls due again."""

    obligation: str
    """``routing.law.Obligation``."""
    about: str
    """The disclosure, request or referral it follows from, or ``person``."""
    late: int
    """The how many-th time."""


class ObligationMet(Event, frozen=True, kw_only=True, gc=False):
    """A person has done what the law wants done.  Parts: OBS, what was done, in their own words."""

    obligation: str
    about: str
    outcome: str
    """``done``, or how it ended: ``cannot_reach``, ``would_harm``, ``in_order``, ``too_much`` ..."""
    operator: OperatorId


class RequestReceived(Event, frozen=True, kw_only=True, gc=False):
    """Somebody outside asks.  Parts: OBS, who, for which body, call-back number, provision, reference and words."""

    request: RequestId
    recipient: Recipient
    path: Path
    scope: tuple[Category, ...]
    """What is asked for; empty where only words are."""
    provision: bool
    """Whether a provision or a task was named."""
    document: str
    """Hex SHA-256 of the document; empty without one."""
    country: str
    """ISO 3166-1, where the one who asks is."""
    channel: str
    """``telephone``, ``letter``, ``mail`` or ``in_person``."""
    by: OperatorId


class RequestChecked(Event, frozen=True, kw_only=True, gc=False):
    """Somebody of ours has found something to be so about a request.  Parts: OBS, how it is known."""

    request: RequestId
    fact: Fact
    by: OperatorId


class RequestApproved(Event, frozen=True, kw_only=True, gc=False):
    """Somebody of ours agrees that it is answered."""

    request: RequestId
    by: OperatorId
    supervises: bool = False


class RequestAnswered(Event, frozen=True, kw_only=True, gc=False):
    """The law has been asked, and this is what is given out.  Parts: what is given, by category, and RAW, the document
    as it is handed over."""

    request: RequestId
    outcome: str
    """``routing.law.Outcome``."""
    recipient: Recipient
    rule: str
    ground: str
    grounds: tuple[str, ...]
    law_version: str
    rules: str
    clause: str
    categories: tuple[Category, ...]
    withheld: tuple[Category, ...]
    """Held, and not given out."""
    without: tuple[str, ...]
    statements: tuple[str, ...]
    """What may be said in words."""
    facts: tuple[str, ...]
    tried: tuple[tuple[str, str], ...]
    obligations: tuple[str, ...]
    digest: str
    """Hex SHA-256 of the document; empty where nothing is given out."""
    by: OperatorId


class RequestRefused(Event, frozen=True, kw_only=True, gc=False):
    """A person of ours refuses it: nothing is given out, whatever the law says.  Parts: OBS, why, in their words."""

    request: RequestId
    reason: RefusalReason
    by: OperatorId


class RequestOverdue(Event, frozen=True, kw_only=True, gc=False):
    """Nobody has answered it or refused it by the time it was to be."""

    request: RequestId
    late: int
    """The first time, the second ..."""


class TellingWithheld(Event, frozen=True, kw_only=True, gc=False):
    """Nobody of ours could be found, and the house tells no agency by itself, or no further one: nothing leaves."""

    reason: str
    """``law`` (it wants a person, or forbids it), ``setting``, ``implausible`` (what was reported cannot be read or
    cannot be), ``no_agency``, ``refused`` (as things stand), ``failed``, ``rejected`` (the agency that was told helps
    nobody), ``breakdown`` (by the vehicle's own word it is no more) or ``too_many`` (of its brand, or for that agency,
    were told without a person lately)."""
    agency: AgencyId | None = None
    """Whom it was about."""
    rule: str = ""
    """Row that decided, such as ``JP-05``."""
    outcome: str = ""
    """``routing.law.Outcome`` of that row."""


class PlacedInMassEvent(Event, frozen=True, kw_only=True, gc=False):
    """It lies in the area of a mass event, and takes the turns of ``place`` there while that is in force; or, without
    any, no longer."""

    mass_event: MassEventId | None = None
    place: str = ""
    """The municipality's code, else a field of a tenth of a degree: no nearer than whose agency is named already."""


class TellingHeld(Event, frozen=True, kw_only=True, gc=False):
    """Nobody of ours could be found, and the house does not tell this agency yet: it was told much of this place."""

    agency: AgencyId


class TellingDeclined(Event, frozen=True, kw_only=True, gc=False):
    """The operator decides that services of the plan are not told.  Parts: OBS, why, in the operator's words."""

    operator: OperatorId
    services: tuple[Service, ...]
    reason: DeclineReason


class SearchLimited(Event, frozen=True, kw_only=True, gc=False):
    """People of ours are looked for during another time than ``attendance.NOBODY_AFTER`` before an agency is told."""

    nobody_after_ms: int


class ResponseHeard(Event, frozen=True, kw_only=True, gc=False):
    """Somebody in the vehicle has answered: the no-response clock stops."""

    operator: OperatorId
    how: ResponseHow


class ResponseAwaited(Event, frozen=True, kw_only=True, gc=False):
    """The operator waits so much longer before nobody is taken to be conscious."""

    operator: OperatorId
    seconds: int
    reason: WaitReason


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


class RungTaken(Event, frozen=True, kw_only=True, gc=False):
    """The telling of an agency gets louder by one rung.  Stands before the rung's effect."""

    disclosure: DisclosureId
    number: int
    """From 1 within the disclosure."""
    rung: Rung
    reason: str
    """``decided``, ``due``, the outcome of the call before, ``answered``, ``clock_set_back`` ..."""
    line: str | None = None
    """``first``, ``second`` or ``joint``: the line that is called."""
    by_hand: bool = False
    """The house cannot dial: the operator is asked to."""
    proposed: tuple[AgencyId, ...] = ()
    elapsed_ms: int
    """Since the decision, as the ladder counts it."""
    next_after_ms: int | None
    """When the next rung will be due; None: the ladder ends here."""


class AgencyCallRequested(Event, frozen=True, kw_only=True, gc=False):
    """Intent before effect: the agency is about to be called on one of its lines, into the incident's conference."""

    disclosure: DisclosureId
    agency: AgencyId
    line: str
    """Names the line in the directory; numbers are not in the journal."""
    leg: LegId


class AgencyCallEnded(Event, frozen=True, kw_only=True, gc=False):
    """The call to the agency is over.  Only an acknowledgement says that a human was there."""

    disclosure: DisclosureId
    leg: LegId
    outcome: str
    """``no_answer``, ``busy``, ``machine``, ``failed``, ``ended`` ..."""


class AgencyAsked(Event, frozen=True, kw_only=True, gc=False):
    """A human at the agency asks back.  Parts: OBS, the words, when there are any."""

    disclosure: DisclosureId
    question: Question


class HandoffCompleted(Event, frozen=True, kw_only=True, gc=False):
    """Nobody who was told is left unheard: at least one agency has taken over, none is still pending."""


class AgencyReported(Event, frozen=True, kw_only=True, gc=False):
    disclosure: DisclosureId
    status: AgencyStatus


class PartsRead(Event, frozen=True, kw_only=True, gc=False):
    """Somebody is about to be shown personal data; written before the first byte is served.

    Parts: OBS, why, in the reader's own words, where they were asked.
    """

    reader: str
    categories: tuple[Category, ...]
    purpose: str
    """A code, such as ``emergency_handling`` or ``export``.  (Version 1 had words of an auditor after ``export:``.)"""


class HelpEscalated(Event, frozen=True, kw_only=True, gc=False):
    """A deadline passed and a louder rung was taken, such as ``ring_all`` or ``handoff_overdue``."""

    rung: str
    """``deadline.DeadlineName``, as it was called then."""


class AlarmRaised(Event, frozen=True, kw_only=True, gc=False):
    """Somebody of ours must hear of something, until a person acknowledges it.  Parts: OBS, words of whoever asks for
    help."""

    alarm: AlarmId
    why: AlarmKind
    about: str = ""
    """The disclosure, referral, recording, reader or operator that it is about; or a reason code."""


class AlarmShown(Event, frozen=True, kw_only=True, gc=False):
    """An alarm stands at desks that are connected."""

    alarm: AlarmId
    audience: Audience
    supervisors: tuple[OperatorId, ...] = ()
    """Who of them has a desk that is heard; empty: none, so that it stands at every other desk."""


class AlarmAcknowledged(Event, frozen=True, kw_only=True, gc=False):
    """A person has heard of it: by saying so, or by acting on its reason."""

    alarm: AlarmId
    operator: OperatorId


class IncidentClosed(Event, frozen=True, kw_only=True, gc=False):
    disposition: Disposition
    retention: tuple[tuple[Category, str], ...]
    """Retention tag per category; its clock starts at this event."""


class IncidentReopened(Event, frozen=True, kw_only=True, gc=False):
    """Parts: OBS, the reason in somebody's own words.  (Version 1 had it in the header.)"""


class HoldPlaced(Event, frozen=True, kw_only=True, gc=False):
    """Nothing of the incident is destroyed while this stands.  Parts: OBS, why, in somebody's own words."""

    hold: HoldId
    ground: HoldGround
    by: str


class HoldReleased(Event, frozen=True, kw_only=True, gc=False):
    """Its time counts again.  Parts: OBS, why, in somebody's own words."""

    hold: HoldId
    by: str


class DataDestroyed(Event, frozen=True, kw_only=True, gc=False):
    """The data keys of these categories were overwritten: a stub stays, which says what was here and by which promise.

    It is written in the transaction that overwrites them.  The keys they were wrapped under follow within hours.
    """

    disposal: str
    """The stream of the disposal: who listed, approved and carried it out."""
    listed: str
    """Hex SHA-256 of the review list that was approved."""
    disposed: tuple[Disposed, ...]
    approved: tuple[str, ...]


class ExportMade(Event, frozen=True, kw_only=True, gc=False):
    """A regulator package of this incident was built.  Parts: OBS, what for, in somebody's own words.

    (Version 1 had it in the header.)
    """

    export: str
    categories: tuple[Category, ...]
    """Categories revealed in clear; the others stand as commitments only."""


class VehicleRecognised(Event, frozen=True, kw_only=True, gc=False):
    """What the registry says of the vehicle.  It informs: whoever called is answered all the same.  Parts: OWN."""

    flags: tuple[str, ...]
    """``unknown_vehicle``, ``deactivated``, ``sold``, ``registry_unavailable`` ...: why to look twice."""
    pack: str
    """Brand pack in force, with its digest; empty when the brand has none."""
    entitlement: str
    """``entitled``, ``lapsed``, ``never`` or ``unknown``."""
    opt_out: bool
    """Provision to third parties has been stopped by the customer."""
    profiling: bool
    """False: severity is never scored for this brand, or nobody could say."""
    call_back_window_s: int
    record: str | None = None
    """The vehicle's stream in the registry."""
    holder: str | None = None
    """The subscriber's."""
    clauses: tuple[str, ...] = ()
    """Clauses of the brand's terms in force, as ``ground=text/version#clause``."""


class RegisteredDataCopied(Event, frozen=True, kw_only=True, gc=False):
    """What a customer registered for an emergency was taken into the incident, or may not be.  Parts: MED, FAM.

    It says what is there: the content is shown only to who asks for it, and told only by a row that lets it be told.
    """

    holder: str
    """The subscriber's stream in the registry."""
    categories: tuple[Category, ...]
    """What lies in the incident from now on."""
    withheld: tuple[Category, ...]
    """What the registry holds and the law does not let be used, as things stand."""
    rule: str
    """Row that decided, such as ``JP-16``."""
    ground: str
    law_version: str
    rules: str
    """Name and digest of the rule tables."""
    necessity: str
    consent: str
    facts: tuple[str, ...] = ()
    grounds: tuple[str, ...] = ()
    obligations: tuple[str, ...] = ()


class SeverityJudged(Event, frozen=True, kw_only=True, gc=False):
    """How badly somebody may be hurt, as an aid.  Parts: SEV, level, risk, inputs and reasons under ``prediction``."""

    judged_by: str
    """Id of the model asked for."""
    coefficients: str
    """Hex SHA-256 of the model."""
    scored: bool
    """False: something the model needs is unknown, so there is no risk, only rules."""
    report: int
    """Number of the newest event whose facts were used."""
    severe: bool = False
    """The level is severe: a head start in the queue."""


class RegistryChanged(Event, frozen=True, kw_only=True, gc=False):
    """A brand, vehicle or subscriber has changed; stands in the subject's own stream, never in an incident's.

    Parts: what the change holds of personal data, by category.
    """

    subject: str
    """``brand``, ``vehicle`` or ``subscriber``."""
    change: dict[str, Any]
    """One of ``sos.registry.changes``; ``kind`` names it.  (Version 1 had ``document`` in clear.)"""


class RegistryRead(Event, frozen=True, kw_only=True, gc=False):
    """Somebody is about to be shown personal data of the registry; written before the first byte is served.

    Parts: OBS, the purpose in the reader's own words.
    """

    subject: str
    reader: str
    categories: tuple[Category, ...]
    purpose: str
    """A code of the house, or ``stated``: then it is a part.  (Version 1 had the words here.)"""


class MassEventProposed(Event, frozen=True, kw_only=True, gc=False):
    """More emergencies came in around one place than the house is used to; a supervisor says what it is.

    This kind and the next ones stand in the one stream of mass events, never in an incident's.
    """

    mass_event: MassEventId
    area: Area
    emergencies: int
    """So many within ``within_s``."""
    tenants: int
    """Of so many brands: one alone may be a fault of its firmware."""
    within_s: int


class MassEventDismissed(Event, frozen=True, kw_only=True, gc=False):
    """A supervisor has looked at what was proposed, and it is none.  Parts: OBS, why, in their own words."""

    mass_event: MassEventId
    operator: OperatorId


class MassEventDeclared(Event, frozen=True, kw_only=True, gc=False):
    """From now on fairness is by place in ``area``.  Parts: OBS, its name and words about it."""

    mass_event: MassEventId
    operator: OperatorId
    area: Area
    until: datetime
    """By when somebody has to say whether it goes on."""


class MassEventChanged(Event, frozen=True, kw_only=True, gc=False):
    """It goes on, as it now stands here, complete.  Parts: OBS, its name and words about it."""

    mass_event: MassEventId
    operator: OperatorId
    area: Area
    until: datetime


class MassEventEnded(Event, frozen=True, kw_only=True, gc=False):
    """Parts: OBS, why, in the supervisor's own words."""

    mass_event: MassEventId
    operator: OperatorId


class MassEventOverdue(Event, frozen=True, kw_only=True, gc=False):
    """Its time has run out and nobody has said whether it goes on; it does, and people are alarmed."""

    mass_event: MassEventId


class MassTellingAsked(Event, frozen=True, kw_only=True, gc=False):
    """One agency has been told much of one place without a person: a supervisor says how it goes on, once."""

    mass_event: MassEventId
    agency: AgencyId
    place: str
    incident: IncidentId
    """The first that is held."""


class MassTellingAnswered(Event, frozen=True, kw_only=True, gc=False):
    """How the house tells this agency of this place from now on."""

    mass_event: MassEventId
    agency: AgencyId
    place: str
    operator: OperatorId
    how: HowToTell
    every_min: int = 0
    """Between two lists."""


OF_THE_REGISTRY: frozenset[type[Event]] = frozenset({RegistryChanged, RegistryRead})

OF_MASS_EVENTS: frozenset[type[Event]] = frozenset(
    {
        MassEventProposed,
        MassEventDismissed,
        MassEventDeclared,
        MassEventChanged,
        MassEventEnded,
        MassEventOverdue,
        MassTellingAsked,
        MassTellingAnswered,
    }
)


class DisposalListed(Event, frozen=True, kw_only=True, gc=False):
    """What is due was listed, for two people to look at; stands in the disposal's own stream."""

    listed: str
    """Hex SHA-256 of the review list, a file beside the journal."""
    until: datetime
    """Due by then."""
    incidents: int
    items: int
    """Categories of incidents."""
    classes: tuple[tuple[str, int], ...]
    """Retention class -> how many of the items."""


class DisposalApproved(Event, frozen=True, kw_only=True, gc=False):
    """One of two different people has looked at the list and agrees."""

    listed: str
    by: str


class DisposalDone(Event, frozen=True, kw_only=True, gc=False):
    """What was listed is destroyed, as far as nothing stood against it."""

    listed: str
    certificate: str
    """Hex SHA-256 of the certificate, a file beside the journal: digests, and never what was destroyed."""
    incidents: int
    items: int
    left: int
    """Items that were held, opened again or closed anew meanwhile."""
    keks: tuple[str, ...]
    """Key-encryption keys that wrap nothing more from now on, and end once nothing that lives is under them."""


class KeysEnded(Event, frozen=True, kw_only=True, gc=False):
    """Key-encryption keys were destroyed for good: what was destroyed under them opens out of no backup either."""

    keks: tuple[str, ...]


class RetentionAgreed(Event, frozen=True, kw_only=True, gc=False):
    """One person has agreed: to periods that are shorter than before, or that the clocks are right again."""

    about: str
    """``periods`` or ``clock``."""
    version: str
    """Of the periods."""
    by: str


class IncidentsSearched(Event, frozen=True, kw_only=True, gc=False):
    """Somebody of ours has looked for incidents; stands in a stream of its own, before the first one is shown.

    What was looked for is not in it: a plate that nobody had an accident with would stay for ever.  Each incident that
    was shown has it as an access (``PartsRead``), with the reason in words.
    """

    purpose: str
    by: tuple[str, ...]
    """Kinds of what was looked for: ``plate``, ``phone``, ``vin``, ``place``, ``time``."""
    shown: int


OF_THE_HOUSE: frozenset[type[Event]] = frozenset(
    {DisposalListed, DisposalApproved, DisposalDone, KeysEnded, RetentionAgreed, IncidentsSearched}
)
"""Kinds of the house itself: a disposal, what two people agreed to, a search."""


class ExportRequested(Event, frozen=True, kw_only=True, gc=False):
    """Somebody asks for a regulator's package; stands in the request's own stream.  Parts: OBS, what for, in words."""

    by: str
    recipient: str
    brands: tuple[str, ...]
    since: datetime
    until: datetime
    """Not included."""
    subject: str
    """A subject of the registry or an incident; empty: all."""
    kinds: tuple[str, ...]
    """Event kinds; none named: all."""
    categories: tuple[Category, ...]
    """To be opened; the others stand as commitments."""


class ExportCounted(Event, frozen=True, kw_only=True, gc=False):
    """A dry run: what such a package would hold as of one checkpoint.  Approvals of another digest are void."""

    digest: str
    """Hex SHA-256 over scope, checkpoint, recipient, every line and what would be opened."""
    size: int
    """Events that the checkpoint covers."""
    checkpoint: str
    """Hex SHA-256 of the checkpoint as it goes into the package."""
    lines: int
    opened: int
    """Parts that would be opened."""
    incidents: int
    """Incidents and subjects of which something would be opened."""
    recordings: int


class ExportApproved(Event, frozen=True, kw_only=True, gc=False):
    """One of two people who are not the requester agrees to what was counted."""

    digest: str
    by: str


class ExportBegun(Event, frozen=True, kw_only=True, gc=False):
    """The package is about to be built."""

    digest: str
    by: str


class ExportBuilt(Event, frozen=True, kw_only=True, gc=False):
    """The package lies encrypted to its recipient, until it ends."""

    digest: str
    package: str
    """Hex SHA-512 of its tag manifest, which its seal is over."""
    encrypted: str
    """Hex SHA-256 of the encrypted file."""
    bytes: int
    until: datetime


class ExportFetched(Event, frozen=True, kw_only=True, gc=False):
    """The encrypted package is about to be given out."""

    by: str
    encrypted: str


class ExportReceived(Event, frozen=True, kw_only=True, gc=False):
    """Whoever fetched it says that it arrived whole."""

    by: str
    encrypted: str


class ExportEnded(Event, frozen=True, kw_only=True, gc=False):
    """The request is over and its file, where there was one, destroyed."""

    why: str
    """``expired`` or ``withdrawn``."""


OF_EXPORTS: frozenset[type[Event]] = frozenset(
    {
        ExportRequested,
        ExportCounted,
        ExportApproved,
        ExportBegun,
        ExportBuilt,
        ExportFetched,
        ExportReceived,
        ExportEnded,
    }
)
"""Kinds of requests for a regulator's package."""


class RightAsked(Event, frozen=True, kw_only=True, gc=False):
    """A person asks for what the law gives them about their own data; this and the next kinds stand in the request's
    own stream.  Parts: PER, who they say they are; TEL; VEH; OBS, their words and where the answer goes."""

    right: str
    """Code of ``sos.rights.terms``."""
    channel: str
    """``letter``, ``counter``, ``telephone`` or ``mail``."""
    terms: str
    """Digest of the terms that the due time was made of."""
    due_at: datetime


class AskerChecked(Event, frozen=True, kw_only=True, gc=False):
    """Somebody of ours has looked whether it is the person.  Parts: OBS, what was seen."""

    proved: bool
    shown: tuple[str, ...]
    """Codes of what was shown, such as ``driving_licence``; never its number."""
    by: str


class RightExtended(Event, frozen=True, kw_only=True, gc=False):
    """It takes longer; the person is told at once, with the reason.  Parts: OBS, the reason in words."""

    reason: str
    due_at: datetime
    by: str


class RightRefused(Event, frozen=True, kw_only=True, gc=False):
    """It is refused; the person is told at once, with the rule, the reason and who hears a complaint.

    Parts: OBS, the reason in words."""

    rule: str
    """Code of ``sos.rights.terms``; ``identity-not-proved`` follows the check."""
    by: str


class AskersDataSearched(Event, frozen=True, kw_only=True, gc=False):
    """The index was asked for everything about the person; written before anybody is shown what it found."""

    sure: tuple[StreamId, ...]
    """Streams that are theirs by what the house itself knows."""
    maybe: tuple[StreamId, ...]
    """Streams that only a person can say to be theirs."""
    by: str


class AskersDataConfirmed(Event, frozen=True, kw_only=True, gc=False):
    """A person says that a stream is about the one who asks, or is not.  Parts: OBS, how they know."""

    stream: StreamId
    theirs: bool
    by: str


class RightAnswered(Event, frozen=True, kw_only=True, gc=False):
    """The answer was made; it stands here before the first byte of it is handed over.

    The answer itself is not kept: it would outlive the data it repeats."""

    digest: str
    """Hex SHA-256 of the JSON document."""
    streams: tuple[StreamId, ...]
    disclosures: int
    withheld: int
    """Pieces that are held and were not given out."""
    words: bool
    """Free words were given out too, after somebody had read them."""
    copy: int
    """The how many-th."""
    fee_yen: int
    by: str


class DataCorrected(Event, frozen=True, kw_only=True, gc=False):
    """What is held of the person was wrong, or lacked something: both values stand from now on.

    Parts: one, in ``category``, the field with what was held and what is right; OBS, what proves it."""

    stream: StreamId
    category: Category
    by: str


class ErasureAsked(Event, frozen=True, kw_only=True, gc=False):
    """What of the person's is to go now, and what a duty keeps; two people and the retention room do the rest."""

    erased: tuple[tuple[StreamId, Category], ...]
    kept: tuple[tuple[StreamId, Category, str], ...]
    """With the rule: ``held``, ``not-closed``, ``agency-told``, ``least-period`` or ``own-period``."""
    by: str


class RightDone(Event, frozen=True, kw_only=True, gc=False):
    """What was asked is done, other than by an answer.  Parts: OBS, what the person was told."""

    by: str


class RightRead(Event, frozen=True, kw_only=True, gc=False):
    """Somebody of ours is about to be shown who asked, and their words."""

    reader: str
    purpose: str


class RightOverdue(Event, frozen=True, kw_only=True, gc=False):
    """It was neither answered nor refused in time."""

    late: int
    """The how many-th time."""


class BreachFound(Event, frozen=True, kw_only=True, gc=False):
    """Personal data was lost, told to whom it should not, or may have been; this and the next kinds stand in its own
    stream.  Parts: OBS, what happened, in words."""

    what: str
    """Code of ``sos.rights.terms``, such as ``wrong_recipient``."""
    known_at: datetime
    """The clocks run from here."""
    categories: tuple[Category, ...]
    malicious: bool
    encrypted: bool
    """Nobody who has it can open it: then nothing is to be reported."""
    by: str


class BreachAffects(Event, frozen=True, kw_only=True, gc=False):
    """Whose data it was: incidents and subjects of the registry.  Parts: OBS, how that is known."""

    streams: tuple[StreamId, ...]
    by: str


class BreachReported(Event, frozen=True, kw_only=True, gc=False):
    """Somebody has reported it.  Parts: OBS, to whom under which reference, in words."""

    stage: str
    """``preliminary``, ``final`` or ``persons``."""
    by: str


class BreachListed(Event, frozen=True, kw_only=True, gc=False):
    """Somebody is about to be shown who is affected and how they are reached."""

    reader: str
    streams: tuple[StreamId, ...]


class BreachOverdue(Event, frozen=True, kw_only=True, gc=False):
    """It was not reported in time."""

    stage: str
    late: int
    """The how many-th time."""


OF_RIGHTS: frozenset[type[Event]] = frozenset(
    {
        RightAsked,
        AskerChecked,
        RightExtended,
        RightRefused,
        AskersDataSearched,
        AskersDataConfirmed,
        RightAnswered,
        DataCorrected,
        ErasureAsked,
        RightDone,
        RightRead,
        RightOverdue,
        BreachFound,
        BreachAffects,
        BreachReported,
        BreachListed,
        BreachOverdue,
    }
)
"""Kinds of requests that people make about their own data, and of the breach register."""


OF_NO_INCIDENT = OF_THE_REGISTRY | OF_MASS_EVENTS | OF_THE_HOUSE | OF_EXPORTS | OF_RIGHTS
"""Kinds that no incident has: whoever follows incidents passes them over."""

KINDS: Mapping[str, type[Event]] = MappingProxyType({kind.__name__: kind for kind in Event.__subclasses__()})
"""Every kind there is, by the name it has in the header."""

VERSIONS: Mapping[str, int] = MappingProxyType(
    dict.fromkeys(KINDS, 1)
    | {kind.__name__: 2 for kind in (IncidentReopened, ExportMade, PartsRead, RegistryChanged, RegistryRead)}
)
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
    stream: StreamId
    tenant: TenantId
    n: int
    """Number within the stream, from 1."""
    at: datetime
    actor: str
    """``vehicle``, ``operator:<id>``, ``agency:<id>``, ``timer``, ``provider:<name>`` or ``system:<role>``."""
    causation: str | None
    """Id of the event or request that caused it."""
    event: Event
    commitments: Mapping[Category, str] = field(default_factory=dict)
    """Per part: hex SHA-256 of ``salt ‖ part``."""
    position: int | None = None
    """Place in the journal's one order, from 0; None until the sequencer has given it."""

    @property
    def damaged(self) -> bool:
        """Whether its header cannot be read: then only its place is known."""
        return type(self.event) is Event

    @property
    def incident(self) -> IncidentId:
        """The stream, for whoever follows incidents and passes the kinds of the registry over."""
        return IncidentId(self.stream)
