"""What the service tells a desk: one JSON object per text frame, its kind in ``t``.

``ops/protocol.py`` makes ``sos/console/web/src/protocol.ts`` of these, of the orders and of all that they hold.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from msgspec import Struct

from routing.cards import AnswerChoice, AnswerForm, Wording
from routing.categories import Category
from routing.kinds import EmergencyKind
from routing.services import Service
from sos.incident.model import (
    AgencyId,
    Area,
    Audience,
    DeskId,
    EventId,
    HowToTell,
    Incident,
    IncidentId,
    LegId,
    MassEventId,
    Mode,
    OperatorId,
    TenantId,
    Trigger,
)
from sos.incident.report import CallBack, Crash, Location, Vehicle
from sos.journal.keyring import Shut
from sos.media.heard import Line

NOT_FOLLOWED = frozenset(
    {
        "alarms_raised",
        "asked",
        "filed",
        "held",
        "ladders",
        "listed",
        "mass_event",
        "mass_place",
        "nobody_after_ms",
        "on_call",
        "opt_out",
        "owed",
        "profiling",
        "record",
        "to_correct",
        "reports",
        "sequence",
        "silence",
        "tried_at",
        "voiceless",
    }
)
"""Fields of an incident that desks do not follow: what the service waits for, not what happened."""

Health = Literal["ok", "degraded", "down", "failed"]
"""State of one part of the house."""

VoiceBy = Literal["webrtc", "sdk", "telephone", "none"]
"""How a desk takes part in calls."""


class Frame(Struct, frozen=True, kw_only=True, tag_field="t"):
    """Base of all frames."""


class Sitting(Struct, frozen=True, kw_only=True):
    """Whose desk it is."""

    id: OperatorId
    name: str
    supervisor: bool


class Agency(Struct, frozen=True, kw_only=True):
    name_ja: str
    name_en: str
    service: Service
    exercise_partner: bool
    default: bool
    lines: Mapping[str, str]
    """Telephone numbers by line, for an operator who has to dial."""
    speaks: bool
    """Whether its brief can be read to it by machine."""


class CardQuestion(Struct, frozen=True, kw_only=True):
    """A question of the card, as a desk shows it."""

    id: str
    kinds: Sequence[EmergencyKind]
    """On whose cards it stands."""
    category: Category
    form: AnswerForm
    ask: Wording
    told: Wording
    """As the answer is headed."""
    choices: Sequence[AnswerChoice]


class Welcome(Frame, frozen=True, kw_only=True, tag="welcome"):
    operator: Sitting
    desk: DeskId
    active: bool
    """False when the operator works at the same desk in another window."""
    now: str
    demo: bool
    boot: str
    """Changes with every start of the service; when it does, voice legs are offered again at once."""
    agencies: Mapping[str, Agency]
    languages: Sequence[str]
    brands: Mapping[str, object]
    """By tenant; a brand without a pack is missing."""
    cards: Mapping[str, Sequence[CardQuestion]]
    """What is asked, by tenant where a brand asks otherwise than the house; under an empty name what the house asks."""
    interpreters: Sequence[str]
    """Languages for which somebody can be called to interpret."""
    colleagues: Mapping[OperatorId, str]
    """Names of the other operators."""
    dials: bool
    """Whether the house reaches telephone numbers; otherwise the operator dials by hand."""
    voice: VoiceBy
    """How this desk takes part in calls."""
    roads: Sequence[str]
    """Of which kilometre posts are known."""


class Snapshot(Frame, frozen=True, kw_only=True, tag="snapshot"):
    position: int
    incidents: Sequence[Incident]
    total: int
    """How many open incidents there are; more than are told."""


class EventFrame(Frame, frozen=True, kw_only=True, tag="event"):
    """One thing that happened.  ``data`` holds the event's fields; fields at their default are missing."""

    position: int | None
    incident: IncidentId
    tenant: TenantId
    id: EventId
    n: int
    kind: str
    at: str
    actor: str
    data: object


class PartsItem(Struct, frozen=True, kw_only=True):
    """Personal data of one event, by category.  Served only after ``open``, which the journal has as an access."""

    event: EventId
    kind: str
    n: int
    at: str
    actor: str
    parts: dict[str, object]


class Parts(Frame, frozen=True, kw_only=True, tag="parts"):
    incident: IncidentId
    items: Sequence[PartsItem]
    unreadable: Mapping[Category, Shut]
    """Categories of which something should be here and cannot be opened: ``lost`` or ``damaged``."""


class ReportKnown(Struct, frozen=True, kw_only=True):
    location: Location
    vehicle: Vehicle
    crash: Crash
    call_back: CallBack


class Degraded(Frame, frozen=True, kw_only=True, tag="degraded"):
    """A report that came in while the database was away: safe on disk, and an incident as soon as it is back."""

    incident: IncidentId
    received_at: str
    trigger: Trigger
    mode: Mode
    report: ReportKnown


class Recorded(Frame, frozen=True, kw_only=True, tag="recorded"):
    """The journal knows now what ``Degraded`` told of."""

    incident: IncidentId


class Levels(Frame, frozen=True, kw_only=True, tag="levels"):
    """Ten times a second while somebody is in the call: how loud each leg is, and whether somebody speaks there."""

    incident: IncidentId
    legs: Mapping[LegId, object]
    """Mean and peak loudness, dBov (0 to -127); whether somebody speaks, as far as loudness tells."""


class Transcribed(Frame, frozen=True, kw_only=True, tag="transcript"):
    """All that a machine has written down of this call lately; no record."""

    incident: IncidentId
    machine: bool
    lines: Sequence[Line]


class Fault(Struct, frozen=True, kw_only=True):
    type: str
    title: str
    detail: str
    code: str
    """Of the sentence (``sos.console.refusals``); empty where it has none."""
    words: tuple[str, str]
    """Japanese and English, for the operator."""


class Reply(Frame, frozen=True, kw_only=True, tag="reply"):
    """The one answer to an order."""

    id: int
    """The order's number; 0 where it had none that could be read."""
    ok: bool
    result: object
    error: Fault | None


class HealthFrame(Frame, frozen=True, kw_only=True, tag="health"):
    items: Mapping[str, Health]
    waiting: int


class MassTellingTold(Struct, frozen=True, kw_only=True):
    """How one agency is told of one place without a person."""

    agency: AgencyId
    place: str
    place_name: tuple[str, str]
    """Japanese and English."""
    asked_at: str
    how: HowToTell | None
    """None: a supervisor has to say."""
    every_min: int
    operator: OperatorId | None
    held: int


class MassEventTold(Struct, frozen=True, kw_only=True):
    mass_event: MassEventId
    in_force: bool
    """False: the house proposes it."""
    name: str
    words: str
    since: str
    operator: OperatorId | None
    until: str | None
    overdue: bool
    area: Area
    area_names: Sequence[tuple[str, str]]
    """Of its codes, Japanese and English."""
    emergencies: int
    tenants: int
    within_s: int
    waiting: int
    """Incidents inside that nobody has answered."""
    held: int
    """Incidents of which a telling is held."""
    tellings: Sequence[MassTellingTold]


class MassEventsTold(Frame, frozen=True, kw_only=True, tag="mass_events"):
    """All mass events that stand."""

    decisions: int
    """How often a supervisor has decided about one: whoever decides next says what they had seen."""
    renewed_after_h: float
    audience: Audience | None
    """At which desks it is an alarm; None while nothing has to be decided."""
    events: Sequence[MassEventTold]


class Seat(Frame, frozen=True, kw_only=True, tag="seat"):
    """The desk is worked at in this window, or in another one, from now on."""

    active: bool


class Ended(Frame, frozen=True, kw_only=True, tag="ended"):
    """The log-in is over: nothing more comes, and no order is taken."""

    why: str


class Beat(Frame, frozen=True, kw_only=True, tag="beat"):
    """The answer to a beat of the page's."""


AnyFrame: TypeAlias = (
    Welcome | Snapshot | EventFrame | Parts | Degraded | Recorded
    | Levels | Transcribed | Reply | HealthFrame | MassEventsTold | Seat | Ended | Beat
)  # fmt: skip
