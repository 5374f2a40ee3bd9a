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
from routing.kinds import EmergencyKind
from routing.services import BESIDE, Service
from sos.incident.owed import Asked, Owed

IncidentId = NewType("IncidentId", str)
SubjectId = NewType("SubjectId", str)
"""A brand, vehicle or subscriber of the registry."""

StreamId = IncidentId | SubjectId
"""Of a stream in the journal: a UUIDv7, and the id of what it is the history of."""

EventId = NewType("EventId", str)
LegId = NewType("LegId", str)
RecordingId = NewType("RecordingId", str)
DisclosureId = NewType("DisclosureId", str)
OperatorId = NewType("OperatorId", str)
DeskId = NewType("DeskId", str)
AgencyId = NewType("AgencyId", str)
ReferralId = NewType("ReferralId", str)
RequestId = NewType("RequestId", str)
TenantId = NewType("TenantId", str)
AnswerId = NewType("AnswerId", str)
AlarmId = NewType("AlarmId", str)
MassEventId = NewType("MassEventId", str)
CrashId = NewType("CrashId", str)
HoldId = NewType("HoldId", str)


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
    INTERPRETER = "interpreter"
    """Works for the house on the telephone, and is told what the people in the call say to each other."""


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


class Rung(StrEnum):
    """How loudly an agency is being told; ``sos.dispatch.ladder`` says which follows which, and when."""

    PUSH = "push"
    """The brief goes out over a data channel."""
    FIRST_LINE = "first_line"
    SECOND_LINE = "second_line"
    JOINT_CENTRE = "joint_centre"
    """The joint command centre (共同指令センター) that answers for the agency."""
    OTHERS = "others"
    """Nobody answers there: others are proposed to the operator, who alone decides."""
    SUPERVISOR = "supervisor"
    """An alarm to people, repeated."""
    HEARD = "heard"
    """A human there has heard; what is waited for now is the taking over."""
    REFUSED = "refused"
    """The agency refused: others are proposed."""


class Question(StrEnum):
    """What an agency may ask back."""

    CALL_ME = "call_me"
    WHERE = "where"
    HOW_MANY_HURT = "how_many_hurt"
    WHICH_VEHICLE = "which_vehicle"
    OTHER = "other"


class AgencyCall(Struct, frozen=True, kw_only=True, gc=False):
    """A telephone call to an agency.  That it was answered is in the legs; a call by hand has no leg."""

    leg: LegId
    line: str
    outcome: str | None = None
    """How it ended: ``no_answer``, ``busy``, ``machine``, ``failed``, ``ended`` ...; None while it lasts."""


class Relation(StrEnum):
    """Why two incidents may belong together."""

    SAME_CALL = "same_call"
    """The data and the voice of one vehicle, which came apart."""
    SAME_CRASH = "same_crash"
    """Two vehicles of one collision, or one crash reported twice."""
    CALLS_ABOUT = "calls_about"
    """An agency telephones about the other, and has named its code: this one is its call."""
    CALLED_ABOUT = "called_about"
    """The other is an agency's call about this one."""


class Standing(StrEnum):
    """How far a proposal has come."""

    PROPOSED = "proposed"
    CONFIRMED = "confirmed"
    UNDONE = "undone"


class Match(Struct, frozen=True, kw_only=True, gc=False):
    """That another incident may be part of this one; both stay incidents of their own."""

    other: IncidentId
    relation: Relation
    standing: Standing


class Share(StrEnum):
    """What an incident is of the one crash that it is linked with."""

    VEHICLE = "vehicle"
    SAME_VEHICLE = "same_vehicle"
    """A vehicle that another incident of the crash is about already: its voice, or its report once more."""
    CALLER = "caller"
    """Somebody who reports the crash and was not in it."""


class Car(Struct, frozen=True, kw_only=True, gc=False):
    """One incident of a crash, with its own call, operator, place and severity.  Whose brand it is of stands in its own
    record alone."""

    incident: IncidentId
    share: Share = Share.VEHICLE
    of: IncidentId | None = None
    """Of ``SAME_VEHICLE``: which incident is about that vehicle."""


class ToldElsewhere(Struct, frozen=True, kw_only=True, gc=False):
    """An agency was told of the same crash from another of its incidents."""

    incident: IncidentId
    disclosure: DisclosureId
    agency: AgencyId
    service: Service
    version: int = 1
    supersedes: DisclosureId | None = None


class Linked(Struct, frozen=True, kw_only=True, gc=False):
    """That an incident is one crash with others.  Each keeps its own facts; only what is told is told with the others
    in view."""

    crash_id: CrashId
    number: str
    """Six digits that operators and agencies say to each other: the same for all of them."""
    cars: tuple[Car, ...]
    """All of them, this one too."""
    told: tuple[ToldElsewhere, ...] = ()
    """By the others."""

    @property
    def vehicles(self) -> int:
        return sum(car.share is Share.VEHICLE for car in self.cars)

    def others(self, incident: IncidentId) -> tuple[IncidentId, ...]:
        return tuple(car.incident for car in self.cars if car.incident != incident)


class AnswerAction(StrEnum):
    """What a vehicle can be told or asked (RFC 8147 14.4: ``ack``, ``send-data``; RFC 8148 9: ``msg-dynamic``)."""

    ACK = "ack"
    REQUEST_DATA = "requestData"
    CALL_BACK = "callBack"
    """Ours: call us again by voice; no standard has an action for it."""
    MESSAGE = "message"
    CLEAR_DOWN = "clearDown"
    """Ours: the call is over, end it on your side; the time in which we may call back goes on.  In RFC 8147 it is the
    call itself that ends (BYE); a vehicle whose call is another network's has only this."""


class Answer(Struct, frozen=True, kw_only=True, gc=False):
    """Something an operator wants the vehicle to get."""

    answer: AnswerId
    action: AnswerAction
    delivered: str | None = None
    """The channel that took it to the vehicle; None while it waits."""


class Telling(StrEnum):
    """Why a brief is read to an agency by machine."""

    ALONE = "alone"
    """Its leg came up and no person of ours is in the conference."""
    ASKED = "asked"
    """The operator wants it so."""
    AGAIN = "again"
    """Whoever listens pressed the key for it."""


class Leg(Struct, frozen=True, kw_only=True, gc=False):
    leg: LegId
    party: Party
    who: str
    """Operator id, agency id, or ``vehicle``."""
    up: bool
    ringing: bool = False
    held: bool = False
    muted: bool = False
    coaching: LegId | None = None
    """The one leg that hears this one."""
    called_in: bool = False
    """It telephoned us, known by the number it shows alone: a person may tell it something, no machine."""
    held_for: LegId | None = None
    """Held while this outside party is called, and let go by itself when that leg ends."""
    left: str | None = None
    """Why it is gone; None while it is up or on its way."""
    notices: tuple[str, ...] = ()
    """What it has been told by the machine."""
    briefs: tuple[DisclosureId, ...] = ()
    """Whose briefs have been read to it by the machine, each time it was."""

    @property
    def alive(self) -> bool:
        return self.left is None


class Silence(Struct, frozen=True, kw_only=True, gc=False):
    """The vehicle does not speak and is looked for."""

    since: datetime
    cut_off: bool = False
    """It spoke and was cut off; otherwise it has not spoken yet."""
    calls: int = 0
    """How often it was called since then."""


class Recording(Struct, frozen=True, kw_only=True, gc=False):
    recording: RecordingId
    sealed: bool
    failed: bool = False


class ConsentAnswer(StrEnum):
    AGREED = "agreed"
    REFUSED = "refused"


class DeclineReason(StrEnum):
    """Why somebody whom the plan names is not told."""

    NOT_NEEDED = "not_needed"
    """What has happened does not call for them."""
    FALSE_ALARM = "false_alarm"
    ALREADY_THERE = "already_there"
    """They are there, or were told by others."""
    DECLINED = "declined"
    """The person does not want them, and nobody is in danger."""
    DUPLICATE = "duplicate"
    """They were told in another incident of the same emergency."""
    NOBODY_TO_HELP = "nobody_to_help"
    """The line is lost, and nothing says where anybody needs help."""
    LAW = "law"
    """The law does not let them be told."""
    OTHER = "other"


class Consent(Struct, frozen=True, kw_only=True, gc=False):
    """What the person said last when asked whether somebody may be told."""

    answer: ConsentAnswer
    categories: tuple[Category, ...] = ()
    """What was agreed to."""
    agencies: tuple[AgencyId, ...] = ()
    """Whom the person named; empty: whoever helps."""


class Referral(Struct, frozen=True, kw_only=True, gc=False):
    """A request to tell an agency that a supervisor has to decide."""

    referral: ReferralId
    agency: AgencyId
    path: str = ""
    """The reason it was asked for (``routing.law.Path``): the answer holds for that one."""
    approved: bool | None = None
    supervisor: OperatorId | None = None
    facts: tuple[str, ...] = ()
    """What the supervisor takes to be so (``routing.law.Fact``)."""


class KindSource(StrEnum):
    """Who says what kind of emergency it is."""

    VEHICLE = "vehicle"
    """It names the kind itself, or its sensors set the call off."""
    DEDUCED = "deduced"
    """We read it out of what the vehicle measured."""
    OPERATOR = "operator"


class KindSaid(Struct, frozen=True, kw_only=True, gc=False):
    """What kind of emergency it was taken for, by whom, and why."""

    kind: EmergencyKind
    source: KindSource
    because: str
    """``trigger``, ``said``, ``service``, ``crash_data``, ``fire_sensor``; ``asked`` of a person."""
    at_n: int
    """Number of the event that said so."""


class Heard(Struct, frozen=True, kw_only=True, gc=False):
    """That a question of the card was answered; the answer itself is sealed in its category."""

    question: str
    category: Category
    at_n: int
    """Number of the event with the answer that stands."""
    urgent: tuple[str, ...] = ()
    """What of it gives the call a head start, as codes of ``urgency.HEAD_START``."""
    needs: tuple[Service, ...] = ()
    """Who is needed for it, whatever the kind of emergency."""


class Move(Struct, frozen=True, kw_only=True, gc=False):
    """A place that is not where it was: what an operator has to look at."""

    distance_m: int
    in_force: bool
    """The new place holds already; False: the one that a person has stated does."""


class HeardPlace(Struct, frozen=True, kw_only=True, gc=False):
    """A place that somebody says, beside the one in force."""

    source: str
    """``caller`` or ``agency``."""
    how: str
    found: bool
    """Whether our data know where that is."""


class Disclosure(Struct, frozen=True, kw_only=True, gc=False):
    disclosure: DisclosureId
    agency: AgencyId
    service: Service
    brief_version: int = 1
    superseded: bool = False
    """A newer brief has been decided for the same agency, so nothing is waited for here."""
    reached: Acknowledgement | None = None
    rejected: str | None = None
    """Reason code of the agency, when it refused."""
    attempts: int = 0
    status: AgencyStatus | None = None
    rung: Rung | None = None
    """The last rung of the ladder that was taken."""
    line: str | None = None
    """Which line that rung calls: ``first``, ``second`` or ``joint``."""
    by_hand: bool = False
    """The operator has to dial that line: the house has no telephone of its own for it."""
    alarms: int = 0
    """How often people have been alarmed because nobody there answers."""
    proposed: tuple[AgencyId, ...] = ()
    """Whom the ladder proposes to tell as well; only the operator decides."""
    calls: tuple[AgencyCall, ...] = ()
    asked: Question | None = None
    """What the agency has asked back last."""
    unattended: bool = False
    """No person decided it: nobody of ours was there."""
    elsewhere: bool = False
    """The agency was told of a place that holds no longer, and has not been told of the new one."""
    joined: tuple[IncidentId, ...] = ()
    """With which other incidents its brief says that this is one crash."""
    read_back: int | None = None
    """Which place (``Incident.place_version``) somebody there has read back and had right; None: none."""
    otherwise: bool = False
    """The agency was told of another kind of emergency, and has not been told of the one that holds now."""
    categories: tuple[Category, ...] = ()
    """Of which its brief holds something."""
    unheard: bool = False
    """Something has been answered on the call since, in one of these categories, and the agency has not been told."""

    @property
    def taken_over(self) -> bool:
        return self.reached is Acknowledgement.TAKEN_OVER

    @property
    def helps(self) -> bool:
        """Whether it has taken over and goes there: a hospital that waits for a patient does not."""
        return self.taken_over and self.service not in BESIDE

    @property
    def engages(self) -> bool:
        """Whether somebody who would go there has it, or is being told."""
        return (self.pending or self.taken_over) and self.service not in BESIDE

    @property
    def pending(self) -> bool:
        return not self.taken_over and self.rejected is None and not self.superseded


class Ladder(Struct, frozen=True, kw_only=True, gc=False):
    """Where the telling of one disclosure stands in time; what the service waits for, not what happened."""

    disclosure: DisclosureId
    number: int = 0
    """How many rungs have been taken."""
    rung: Rung | None = None
    turned: Rung | None = None
    """HEARD or REFUSED once a human there has answered."""
    began_at: datetime
    """The ladder's time zero: the decision, moved when a clock was set back."""
    taken_at: datetime
    next_at: datetime | None
    """When the next rung is due; None: the ladder has ended."""
    woken_at: datetime | None = None
    """When the timer last said so."""
    answered_at: datetime | None = None
    """When somebody last picked up a call to the agency."""


class OnCall(Struct, frozen=True, kw_only=True, gc=False):
    """People with a telephone who are called while no desk answers; what the service waits for, not what happened."""

    rounds: int = 0
    """How often all of them were to be called."""
    called: tuple[str, ...] = ()
    """Who was dialled in this round, in order."""
    leg: LegId | None = None
    """The one call to any of them that is under way or being answered."""
    asked_at: datetime | None = None
    """When it was dialled or picked up; moved on each time the timer says that it takes too long."""


class AlarmKind(StrEnum):
    """What somebody of ours must hear of."""

    UNANSWERED = "unanswered"
    NO_VOICE = "no_voice"
    """The vehicle is on the line, and the voice of whoever has the incident is not."""
    NO_RESPONSE = "no_response"
    UNDECIDED = "undecided"
    PLACE_UNKNOWN = "place_unknown"
    """The place is unknown, and nobody has asked for it."""
    HANDOFF_OVERDUE = "handoff_overdue"
    LADDER = "ladder"
    """Nobody at an agency answers, however loudly it is told."""
    UNCLOSED = "unclosed"
    REFERRAL = "referral"
    """What the law leaves to a supervisor has been asked."""
    UNTOLD = "untold"
    """Nobody of ours was found, and the house might not tell anybody: the law, the breaker, no agency ..."""
    TOLD_UNATTENDED = "told_unattended"
    """The house has told an agency by itself: a person looks at it."""
    RECORDING = "recording"
    SET_ASIDE = "set_aside"
    """A reader could not handle an event and went on without it."""
    ASSIST = "assist"
    """The operator asks for help."""
    HANDOVER = "handover"
    """A colleague has not answered whether they take the incident."""
    OWED = "owed"
    """What the law wants done was not done in time."""
    GUESSING = "guessing"
    """Somebody tries codes of briefs on our lines."""


class RefusalReason(StrEnum):
    """Why somebody outside is given nothing."""

    NO_GROUND = "no_ground"
    """No provision that would let us."""
    NOT_VERIFIED = "not_verified"
    """Who asks could not be called back."""
    NO_DOCUMENT = "no_document"
    TOO_WIDE = "too_wide"
    """More is asked for than the provision names."""
    PERSON_OBJECTS = "person_objects"
    NOT_HELD = "not_held"
    """We do not have it, or it was destroyed."""
    WITHDRAWN = "withdrawn"
    OTHER = "other"


class TakeoverReason(StrEnum):
    """Why an incident goes from one operator to another."""

    NO_VOICE = "no_voice"
    """The operator's voice is not there."""
    ASKED = "asked"
    """The operator wanted it so: somebody helps, or takes a turn."""
    LANGUAGE = "language"
    SUPERVISION = "supervision"
    """A supervisor thinks it right."""
    HANDOVER = "handover"
    """It was offered with a note and accepted."""


class HowToTell(StrEnum):
    """What a supervisor wants done where the house has told one agency much of one place without a person."""

    EACH = "each"
    LIST = "list"
    """All that were held, together, every so many minutes."""
    HOLD = "hold"


class Area(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Where a mass event is: within a circle, or in prefectures (ISO 3166-2) and municipalities (five digits)."""

    latitude: float | None = None
    longitude: float | None = None
    radius_km: int = 0
    codes: tuple[str, ...] = ()


class Held(Struct, frozen=True, kw_only=True, gc=False):
    """The house could tell this agency without a person, and waits for what a supervisor says."""

    agency: AgencyId
    at: datetime


class Handover(Struct, frozen=True, kw_only=True, gc=False):
    """The operator has offered the incident to a colleague, who has not answered yet."""

    to: OperatorId
    at: datetime


class Audience(StrEnum):
    """At which desks an alarm stands."""

    SUPERVISORS = "supervisors"
    EVERYBODY = "everybody"


class Alarm(Struct, frozen=True, kw_only=True, gc=False):
    alarm: AlarmId
    why: AlarmKind
    about: str = ""
    """The disclosure, referral, recording, reader or operator that it is about; or a reason code."""
    raised_at: datetime
    audience: Audience | None = None
    """None: it has reached no desk yet."""
    supervisors: tuple[OperatorId, ...] = ()
    """Who of them had a desk when it went out."""
    operator: OperatorId | None = None
    """Who has acknowledged it; None while it stands."""
    acknowledged_at: datetime | None = None


class HoldGround(StrEnum):
    """Why something is kept beyond its time."""

    LITIGATION = "litigation"
    """A court case or a claim, or one that is to be expected."""
    INQUIRY = "inquiry"
    """An authority looks into it."""
    DISPUTE = "dispute"
    """A complaint, or a disagreement about the service."""
    REQUEST = "request"
    """The person has asked for what is kept."""
    AUDIT = "audit"


class Hold(Struct, frozen=True, kw_only=True, gc=False):
    """Nothing is destroyed while it stands; it ends only by its own id."""

    hold: HoldId
    ground: HoldGround
    by: str
    at: datetime


class Disposed(Struct, frozen=True, kw_only=True, gc=False):
    """One category of an incident that has had its time."""

    category: Category
    tag: str
    """The retention class that held."""
    version: str
    """Of the table, and of the brand's own where it was changed."""
    started_at: datetime
    due_at: datetime
    keks: tuple[str, ...]
    """What its data keys were wrapped under."""


class Voiceless(Struct, frozen=True, kw_only=True, gc=False):
    """The vehicle is on the line and the voice of whoever has the incident is not."""

    since: datetime
    alarmed: bool = False


class ResponseHow(StrEnum):
    """How somebody in the vehicle answered."""

    SPEECH = "speech"
    SOUNDS = "sounds"
    """Groans, knocking: alive, and perhaps not able to speak."""
    KEYS = "keys"


class WaitReason(StrEnum):
    """Why an operator waits longer for an answer."""

    LINE = "line"
    """The line is bad."""
    SOUNDS = "sounds"
    """Something is heard that may be somebody."""
    LANGUAGE = "language"
    """Another language or an interpreter."""
    OTHERS = "others"
    """Others at the scene look after the people."""


class ResponseClock(Struct, frozen=True, kw_only=True, gc=False):
    """How long the people in the vehicle have been spoken to."""

    limit_ms: int
    """After which nobody is taken to be conscious."""
    began_at: datetime | None = None
    """Since when somebody speaks to them; None while nobody does."""
    heard: bool = False
    """Somebody answered."""
    assumed_at: datetime | None = None
    """When the time was over."""


class Incident(Struct, frozen=True, kw_only=True, gc=False):
    """What ``evolve`` has computed from the events so far.  ``version`` is the number of the last event."""

    id: IncidentId
    tenant: TenantId
    version: int = 0
    state: State = State.RECEIVED
    mode: Mode = Mode.LIVE
    trigger: Trigger = Trigger.UNKNOWN
    kind: EmergencyKind = EmergencyKind.UNKNOWN
    """What has happened, as far as anybody has said: the last of ``kinds``."""
    kinds: tuple[KindSaid, ...] = ()
    """All that it was taken for, the one in force last."""
    kind_against: EmergencyKind | None = None
    """What the vehicle says against a person, where that needs more help: planned for as well until a person settles
    it."""
    opened_at: datetime | None = None
    changed_at: datetime | None = None
    """When ``state`` was entered: the deadlines of a state count from here."""
    offers: int = 0
    """How often the incident has been offered to desks since it last began to ring."""
    desks: tuple[DeskId, ...] = ()
    """Desks ringing now; empty means every desk."""
    operator: OperatorId | None = None
    handover: Handover | None = None
    unattended_at: datetime | None = None
    """Since when a person of ours is missing; None while somebody has the incident or nobody is needed."""
    sought: tuple[str, ...] = ()
    """What has been done since then to find somebody (``attendance.STEPS``)."""
    on_call: OnCall | None = None
    nobody_after_ms: int | None = None
    """How long somebody is looked for before the house tells an agency itself; None: ``attendance.NOBODY_AFTER``."""
    mass_event: MassEventId | None = None
    """In whose area it was placed last, whether it is still in force or not."""
    mass_place: str | None = None
    """Whose turn it takes while it is (``mass_event.Spot.place``)."""
    listed: MassEventId | None = None
    """On whose list it stands for each agency that is told of it: the first in which it lay while somebody was told."""
    held: Held | None = None
    """What the house does not tell yet."""
    voiceless: Voiceless | None = None
    response: ResponseClock | None = None
    """Whether anybody in the vehicle answers; None before anybody was spoken to."""
    planned: bool = False
    plan_flags: tuple[str, ...] = ()
    """Those of ``flags`` that the plan in force has raised: the next one takes them back."""
    heard: tuple[Heard, ...] = ()
    """What was answered of the question card: the last answer to each question."""
    located: bool | None = None
    sequence: int | None = None
    """Of the newest report that has been filed: one that is not newer is a repeat."""
    reports: tuple[str, ...] = ()
    """Digests of the newest reports that belong to the incident: what is among them came before."""
    filed: tuple[str, ...] = ()
    """Digests of the newest reports that have been taken apart."""
    cancelled: str | None = None
    """Reason code of the vehicle's last wish to cancel; only an operator closes."""
    matches: tuple[Match, ...] = ()
    linked: Linked | None = None
    """The crash that it shares with other incidents; None while it is one by itself."""
    answers: tuple[Answer, ...] = ()
    tested: bool | None = None
    """Whether a test call has passed; None while it has not been judged or is none."""
    place_version: int = 0
    """How many places have been in force; 0: none yet."""
    heard_place: HeardPlace | None = None
    """What somebody says of the place and the operator has neither adopted nor set aside."""
    move: Move | None = None
    """The place has moved and nobody has looked at it yet."""
    to_correct: bool = False
    """The place has moved again before those who had just been told of a move could be told anew."""
    place_asked: bool = False
    """A person has said where it is, at least in words."""
    prefecture: str | None = None
    """ISO 3166-2 code such as ``JP-13``; None while unknown."""
    agencies: tuple[AgencyId, ...] = ()
    services: tuple[Service, ...] = ()
    """Who is needed by the plan in force."""
    declined: tuple[Service, ...] = ()
    """Whom of these the operator has decided not to tell, as things stand."""
    disclosures: tuple[Disclosure, ...] = ()
    consent: Consent | None = None
    referrals: tuple[Referral, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    """Those that stand, and the newest of those that were acknowledged, in the order they were raised."""
    alarms_raised: int = 0
    ladders: tuple[Ladder, ...] = ()
    legs: tuple[Leg, ...] = ()
    silence: Silence | None = None
    """None while the vehicle speaks, or hung up by itself."""
    recordings: tuple[Recording, ...] = ()
    flags: tuple[str, ...] = ()
    registry_flags: tuple[str, ...] | None = None
    """Those of ``flags`` that the registry gave; None until it was asked."""
    opt_out: bool | None = None
    """The customer has stopped provision to third parties; None until the registry was asked."""
    profiling: bool | None = None
    """Whether severity may be scored; None until the registry was asked."""
    call_back_window_s: int | None = None
    call_back_from: datetime | None = None
    """Since when the vehicle waits to be called back; None before a report, while it is in the call, and once its time
    is over."""
    held_at: datetime | None = None
    """Since when the vehicle is held while an outside party is called; None while it is not."""
    record: str | None = None
    """The vehicle's stream in the registry."""
    registered: tuple[Category, ...] = ()
    """What the customer registered for an emergency and lies in the incident: MED, FAM."""
    registered_withheld: tuple[Category, ...] = ()
    """What the registry holds of it and may not be used, as things stand."""
    owed: tuple[Owed, ...] = ()
    """What the law wants done and nobody has said to be done."""
    asked: tuple[Asked, ...] = ()
    """What others have asked to be told."""
    judged: int = 0
    """Number of the newest event whose facts are in the last judgement of severity."""
    urgent: tuple[str, ...] = ()
    """Why it goes before others of its class (``urgency.HEAD_START``), the most urgent first."""
    urgent_reported: tuple[str, ...] = ()
    """Those of them that rest on reports and judgements, whatever is answered on the call."""
    passed: tuple[str, ...] = ()
    """Deadlines of the present state that have passed already."""
    tried_at: datetime | None = None
    """When an agency was last decided to be told or a delivery was last tried again: ``redeliver`` counts from here."""
    disposition: Disposition | None = None
    kept_as: tuple[tuple[Category, str], ...] = ()
    """The retention class of each category since the last closing, never shorter than an earlier one gave."""
    holds: tuple[Hold, ...] = ()
    """Why nothing of it may be destroyed, whatever is due."""
    destroyed: tuple[tuple[Category, int], ...] = ()
    """What is gone for good, and up to which event."""
    read_by: tuple[tuple[str, tuple[Category, ...]], ...] = ()
    """Who has opened which categories since the incident was last closed: the ground for serving them again."""

    @property
    def about_another(self) -> bool:
        """Whether it is an agency's call about another incident, and no vehicle's."""
        found = (each for each in self.matches if each.relation is Relation.CALLS_ABOUT)
        return any(each.standing is Standing.CONFIRMED for each in found)

    def leg(self, leg: LegId) -> Leg | None:
        return next((known for known in self.legs if known.leg == leg), None)

    def match(self, other: IncidentId, relation: Relation) -> Match | None:
        return next((known for known in self.matches if (known.other, known.relation) == (other, relation)), None)

    def answer(self, answer: AnswerId) -> Answer | None:
        return next((known for known in self.answers if known.answer == answer), None)

    def disclosure(self, disclosure: DisclosureId) -> Disclosure | None:
        return next((known for known in self.disclosures if known.disclosure == disclosure), None)

    def alarm(self, alarm: AlarmId) -> Alarm | None:
        return next((known for known in self.alarms if known.alarm == alarm), None)

    def referral(self, referral: str) -> Referral | None:
        return next((known for known in self.referrals if known.referral == referral), None)

    def ladder(self, disclosure: DisclosureId) -> Ladder | None:
        return next((known for known in self.ladders if known.disclosure == disclosure), None)

    def opened_by(self, reader: str) -> frozenset[Category]:
        """The categories ``reader`` may be served without a further access event."""
        return frozenset(category for who, categories in self.read_by if who == reader for category in categories)
