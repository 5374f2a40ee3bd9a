"""Desks: which operators are at work, which are free, and which have fallen silent.

In memory and per process: a desk says it is there every five seconds, so after a restart the picture is whole again
within one beat.

An operator has one desk and may have it open in several windows: a second tab, or a connection that nobody has noticed
is dead while the page has come back on another.  One of them is worked at, the one the operator did something in
last, and it alone says whether the desk is ready and alive.  Whichever window closes, the desk goes on in the others.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType

from msgspec import Struct, field

from sos.clock import Clock
from sos.console.skills import ANYTHING, UNKNOWN, Skills, Wanted, fit
from sos.incident.model import DeskId, IncidentId, OperatorId

BEAT = timedelta(seconds=5)
SILENT = BEAT * 2
"""Two missed beats and a desk is no longer counted on (`@twilio/voice-sdk` 444: a dead tab looks alive)."""


class Seat(Struct, kw_only=True):
    """One window in which a desk is open."""

    tell: Callable[[bool], None]
    """Told when the desk is worked at here (true), or has begun to be worked at elsewhere (false)."""
    ready: bool = False
    beat_at: datetime


class Desk(Struct, kw_only=True):
    id: DeskId
    operator: OperatorId
    ready: bool = False
    ready_since: datetime
    beat_at: datetime
    seats: dict[str, Seat] = field(default_factory=dict)
    """Windows by the id of their connection; the last one is worked at."""
    incident: IncidentId | None = None
    """The incident this desk has answered and not closed."""
    offered: IncidentId | None = None

    @property
    def connected(self) -> bool:
        return bool(self.seats)

    @property
    def worked_at(self) -> str | None:
        return next(reversed(self.seats), None)


def nobody(_: bool) -> None:
    """Who does not need to be told."""


class Desks:
    def __init__(self, clock: Clock, *, skills: Mapping[OperatorId, Skills] = MappingProxyType({})) -> None:
        self._clock = clock
        self._skills = skills
        self._desks: dict[DeskId, Desk] = {}
        self.opened_at = clock.now()

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(tuple(self._desks.values()))

    def arrive(
        self, desk: DeskId, operator: OperatorId, *, seat: str = "", tell: Callable[[bool], None] = nobody
    ) -> bool:
        """The desk is connected (again), in one more window; whether that is where it is worked at."""
        now = self._clock.now()
        known = self._desks.get(desk)
        if known is None or known.operator != operator:
            known = self._desks[desk] = Desk(id=desk, operator=operator, ready_since=now, beat_at=now)
        known.seats.pop(seat, None)
        alone = not known.seats
        came = Seat(tell=tell, beat_at=now, ready=alone and known.ready)
        known.seats = {**known.seats, seat: came} if alone else {seat: came, **known.seats}
        if alone:
            known.beat_at = now
        return alone

    def leave(self, desk: DeskId, *, seat: str = "") -> None:
        """One window has closed; the one worked at before it is worked at now."""
        known = self._desks.get(desk)
        if known is None or seat not in known.seats:
            return
        was = known.worked_at
        del known.seats[seat]
        if was == seat and known.worked_at is not None:
            self._work(known, known.worked_at)

    def work(self, desk: DeskId, *, seat: str = "") -> None:
        """The operator does something in this window: the desk is worked at here from now on."""
        known = self._desks.get(desk)
        if known is None or seat not in known.seats or known.worked_at == seat:
            return
        before = known.worked_at
        known.seats[seat] = known.seats.pop(seat)
        self._work(known, seat)
        if before is not None:
            known.seats[before].tell(False)

    def beat(self, desk: DeskId, *, seat: str = "") -> None:
        """A window is alive.  Where the one worked at is silent, another that is heard takes its place."""
        known = self._desks.get(desk)
        if known is None or seat not in known.seats:
            return
        now = self._clock.now()
        known.seats[seat].beat_at = now
        if known.worked_at == seat:
            known.beat_at = now
        elif now - known.beat_at > SILENT:
            self.work(desk, seat=seat)

    def set_ready(self, desk: DeskId, ready: bool, *, seat: str = "") -> None:
        if (known := self._desks.get(desk)) is None or seat not in known.seats:
            return
        self.work(desk, seat=seat)
        known.seats[seat].ready = ready
        self._ready(known, ready)

    def _work(self, desk: Desk, seat: str) -> None:
        desk.beat_at = desk.seats[seat].beat_at
        self._ready(desk, desk.seats[seat].ready)
        desk.seats[seat].tell(True)

    def _ready(self, desk: Desk, ready: bool) -> None:
        if ready and not desk.ready:
            desk.ready_since = self._clock.now()
        desk.ready = ready

    def of(self, operator: OperatorId) -> Desk | None:
        return next((desk for desk in self._desks.values() if desk.operator == operator), None)

    def present(self, operator: OperatorId) -> bool:
        """Whether the operator's desk has been heard lately; everybody is given time after a start."""
        now = self._clock.now()
        if now - self.opened_at <= SILENT:
            return True
        desk = self.of(operator)
        return desk is not None and now - desk.beat_at <= SILENT

    def connected(self, operator: OperatorId) -> bool:
        """Whether the operator sits at a desk that is connected."""
        desk = self.of(operator)
        return desk is not None and desk.connected

    def heard(self) -> frozenset[OperatorId]:
        """Whoever sits at a desk that is connected and heard."""
        now = self._clock.now()
        return frozenset(
            desk.operator for desk in self._desks.values() if desk.connected and now - desk.beat_at <= SILENT
        )

    @property
    def staffed(self) -> bool:
        """Whether anybody sits at a desk that is heard."""
        return bool(self.heard())

    def others_ready(self, operator: OperatorId) -> bool:
        """Whether somebody else could take a call now."""
        now = self._clock.now()
        return any(
            desk.operator != operator and desk.connected and desk.ready and now - desk.beat_at <= SILENT
            for desk in self._desks.values()
        )

    def free(self, *, but: Collection[DeskId] = (), wanted: Wanted = ANYTHING) -> Desk | None:
        """The ready desk without work that fits best, of those the one that has waited longest; none of ``but``."""
        now = self._clock.now()
        free = [
            desk
            for desk in self._desks.values()
            if desk.id not in but and desk.connected and desk.ready and desk.incident is None and desk.offered is None
            and now - desk.beat_at <= SILENT
        ]  # fmt: skip
        return min(free, key=lambda desk: self._rank(desk, wanted), default=None)

    @property
    def chooses(self) -> bool:
        """Whether a desk is free and a caller's language can decide which one rings."""
        return any(each.languages for each in self._skills.values()) and self.free() is not None

    def _rank(self, desk: Desk, wanted: Wanted) -> tuple[int, bool, datetime]:
        level, trained = fit(self._skills.get(desk.operator, UNKNOWN), wanted)
        return -level, not trained, desk.ready_since
