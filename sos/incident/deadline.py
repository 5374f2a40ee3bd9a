"""Everything an incident can wait for, by name, and who acts when it has waited in vain.

A deadline that nobody acts on is a promise that nobody keeps: each row of the tables (``lifecycle.ROWS``) names its
actors, and a test holds them to it.
"""

from datetime import timedelta
from enum import StrEnum

from msgspec import Struct


class DeadlineName(StrEnum):
    RING_ANYWAY = "ring_anyway"
    CALL_VEHICLE = "call_vehicle"
    UNDECIDED = "undecided"
    REDELIVER = "redeliver"
    RUNG = "rung"
    HANDOFF_OVERDUE = "handoff_overdue"
    UNCLOSED = "unclosed"
    NEXT_DESK = "next_desk"
    RING_ALL = "ring_all"
    UNANSWERED = "unanswered"
    ON_CALL = "on_call"
    NOBODY = "nobody"
    NEXT_PERSON = "next_person"
    NO_RESPONSE = "no_response"
    NO_RESPONSE_ALARM = "no_response_alarm"
    NO_VOICE = "no_voice"
    PLACE_UNKNOWN = "place_unknown"
    ALARM_AGAIN = "alarm_again"
    HANDOVER_UNANSWERED = "handover_unanswered"
    TEST_OVER = "test_over"
    CALL_BACK_OVER = "call_back_over"
    HELD_TOO_LONG = "held_too_long"
    CORRECT = "correct"
    OWED = "owed"
    ASKED = "asked"
    """A family: ``owed:<obligation>:<about>``, one for each that waits."""


class Actor(StrEnum):
    """Who acts: the decision itself, or the reader that goes by this name in ``sos.app``."""

    DESKS = "desks"
    """The incident rings at every desk with the passing itself."""
    SUPERVISORS = "supervisors"
    """The passing raises an alarm, which stands at desks until somebody acknowledges it (``alarms``)."""
    BRIEF = "brief"
    """The passing itself says something of the people in the vehicle, which every brief then tells."""
    TIMELINE = "timeline"
    """The passing itself is what has to be known: it stands in the timeline, and changes what is shown."""
    LEG = "leg"
    """The passing itself lets a leg go."""
    BRIDGE = "bridge"
    CORRECTIONS = "corrections"
    DISTRIBUTION = "distribution"
    HANDOFF = "handoff"
    ON_CALL = "on-call"
    RECEIPTS = "receipts"
    UNATTENDED = "unattended"


class Deadline(Struct, frozen=True, kw_only=True):
    name: DeadlineName
    after: timedelta
    """Counted from the entry into the state, or from what the table names."""
    reason: str
    actors: tuple[Actor, ...]
