"""Desks: which operators are at work, which are free, and which have fallen silent.

In memory and per process: a desk says it is there every five seconds, so after a restart the picture is whole again
within one beat.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from msgspec import Struct

from sos.clock import Clock
from sos.incident.model import DeskId, IncidentId, OperatorId

BEAT = timedelta(seconds=5)
SILENT = BEAT * 2
"""Two missed beats and a desk is no longer counted on (`@twilio/voice-sdk` 444: a dead tab looks alive)."""


class Desk(Struct, kw_only=True):
    id: DeskId
    operator: OperatorId
    ready: bool = False
    ready_since: datetime
    beat_at: datetime
    connected: bool = True
    incident: IncidentId | None = None
    """The incident this desk has answered and not closed."""
    offered: IncidentId | None = None


class Desks:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._desks: dict[DeskId, Desk] = {}
        self.opened_at = clock.now()

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(tuple(self._desks.values()))

    def arrive(self, desk: DeskId, operator: OperatorId) -> Desk:
        """The desk is connected (again)."""
        now = self._clock.now()
        known = self._desks.get(desk)
        if known is None or known.operator != operator:
            known = self._desks[desk] = Desk(id=desk, operator=operator, ready_since=now, beat_at=now)
        known.connected, known.beat_at = True, now
        return known

    def leave(self, desk: DeskId) -> None:
        if known := self._desks.get(desk):
            known.connected = False

    def beat(self, desk: DeskId) -> None:
        if known := self._desks.get(desk):
            known.beat_at = self._clock.now()

    def set_ready(self, desk: DeskId, ready: bool) -> None:
        if known := self._desks.get(desk):
            if ready and not known.ready:
                known.ready_since = self._clock.now()
            known.ready = ready

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

    def free(self, *, but: Collection[DeskId] = ()) -> Desk | None:
        """The ready desk without work that has waited longest; none of ``but``."""
        now = self._clock.now()
        free = [
            desk
            for desk in self._desks.values()
            if desk.id not in but and desk.connected and desk.ready and desk.incident is None and desk.offered is None
            and now - desk.beat_at <= SILENT
        ]  # fmt: skip
        return min(free, key=lambda desk: desk.ready_since, default=None)
