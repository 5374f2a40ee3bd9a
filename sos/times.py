"""How long a call waits at each step: ring, answer, tell, taken over; how many legs are up, how many recordings failed.

Histograms of what happened since this process started, of live incidents alone, each measured from the events' own
times: what is published can be computed again from the journal.  The steps are those of NENA-STA-020 (answer) and of a
call centre that hands over: ring and answer count from the report, telling from the answer, taking over from the
first delivery.
"""

from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from sos.incident.events import (
    DeliveryStarted,
    DeskOffered,
    HandoffCompleted,
    IncidentOpened,
    LegJoined,
    LegLeft,
    OperatorAssigned,
    Recorded,
    RecordingFailed,
)
from sos.incident.model import IncidentId, LegId, Mode
from sos.journal.readers import Reader

REMEMBERED = 8192
"""Incidents under way; of older ones nothing more is measured."""

STEPS = (0.25, 0.5, 1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 1800)
"""Seconds: those of NENA-STA-020 (15 s, 20 s) and of the unanswered ladder are among them."""


class _Marks(Struct, kw_only=True):
    opened: datetime
    rung: bool = False
    answered: datetime | None = None
    told: datetime | None = None
    taken: bool = False


class Times:
    """A reader that begins at the end and keeps no cursor."""

    WANTS = (
        DeliveryStarted,
        DeskOffered,
        HandoffCompleted,
        IncidentOpened,
        LegJoined,
        LegLeft,
        OperatorAssigned,
        RecordingFailed,
    )

    def __init__(self) -> None:
        self.figures = CollectorRegistry()

        def histogram(name: str, says: str) -> Histogram:
            return Histogram(name, says, buckets=STEPS, registry=self.figures)

        self._ring = histogram("sos_ring_seconds", "From the report to the first ring at a desk")
        self._answer = histogram("sos_answer_seconds", "From the report to an operator's answer")
        self._tell = histogram("sos_tell_seconds", "From the answer to the first delivery to an agency")
        self._taken = histogram("sos_taken_over_seconds", "From the first delivery until an agency has taken over")
        self._calls = Gauge("sos_calls", "Legs that are up, of those that came since the start", registry=self.figures)
        self._unrecorded = Counter(
            "sos_recordings_failed", "Recordings that failed, since the start", registry=self.figures
        )
        self._marks: OrderedDict[IncidentId, _Marks] = OrderedDict()
        self._legs: set[LegId] = set()

    def reader(self) -> Reader:
        return Reader(name="times", handle=self.handle, wants=self.WANTS, from_now=True)

    async def handle(self, batch: Sequence[Recorded]) -> None:
        for recorded in batch:
            self._note(recorded)

    def _note(self, recorded: Recorded) -> None:
        event, at = recorded.event, recorded.at
        match event:
            case IncidentOpened(mode=Mode.LIVE):
                self._marks[recorded.incident] = _Marks(opened=at)
                if len(self._marks) > REMEMBERED:
                    self._marks.popitem(last=False)
            case LegJoined():
                self._legs.add(event.leg)
            case LegLeft():
                self._legs.discard(event.leg)
            case RecordingFailed():
                self._unrecorded.inc()
        self._calls.set(len(self._legs))
        marks = self._marks.get(recorded.incident)
        if marks is not None:
            self._step(marks, recorded)

    def _step(self, marks: _Marks, recorded: Recorded) -> None:
        """Each step once."""
        event, at = recorded.event, recorded.at
        if isinstance(event, DeskOffered) and not marks.rung:
            marks.rung = True
            self._ring.observe(_between(marks.opened, at))
        elif isinstance(event, OperatorAssigned) and marks.answered is None:
            marks.answered = at
            self._answer.observe(_between(marks.opened, at))
        elif isinstance(event, DeliveryStarted) and marks.told is None:
            marks.told = at
            self._tell.observe(_between(marks.answered or marks.opened, at))
        elif isinstance(event, HandoffCompleted) and not marks.taken:
            marks.taken = True
            self._taken.observe(_between(marks.told or marks.opened, at))


def _between(one: datetime, other: datetime) -> float:
    return max(0.0, (other - one).total_seconds())
