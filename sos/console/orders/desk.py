"""A desk's own orders: ready or away, there, answering, looking."""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import msgspec
from msgspec.structs import replace

from sos.console.hub import event_message
from sos.console.orders.order import Id, May, OfIncident, Order, Reason
from sos.console.window import Window
from sos.errors import Refused
from sos.incident.access import Purpose
from sos.incident.commands import TakeIncident
from sos.incident.events import Recorded
from sos.incident.model import IncidentId, State

ANSWERABLE = (State.RINGING, State.RECEIVED, State.REOPENED)
UNDER_WAY = (State.HANDING_OVER, State.HANDED_OVER)
"""States in which an incident may be without an operator although an agency has been told."""


class Ready(Order, frozen=True, tag="ready"):
    """Calls may be offered here."""

    may: ClassVar = May.ANY_DESK

    async def obey(self, window: Window) -> None:
        window.room.desks.set_ready(window.desk, True, seat=window.seat)
        window.room.desks.beat(window.desk, seat=window.seat)
        await window.room.distribution.distribute()


class Away(Order, frozen=True, tag="away"):
    may: ClassVar = May.ANY_DESK

    async def obey(self, window: Window) -> None:
        window.room.desks.set_ready(window.desk, False, seat=window.seat)


class Beat(Order, frozen=True, kw_only=True, tag="beat"):
    """The window is alive.  Answered by a beat, not by a reply."""

    may: ClassVar = May.ANY_DESK
    works: ClassVar = False
    touched: bool | None = None
    """Whether a key was pressed or the pointer moved since the last beat; a page of the release before does not say."""

    async def obey(self, window: Window) -> None:
        window.room.desks.beat(window.desk, seat=window.seat)
        if self.touched:
            window.session.worked(window.room.journal.clock.now())


class Answer(Order, frozen=True, kw_only=True, tag="answer"):
    """Take an incident: the one named, or the most urgent that waits."""

    may: ClassVar = May.ANY_DESK
    incident: Id[IncidentId] | None = None

    async def obey(self, window: Window) -> dict[str, Any]:
        incident = self.incident or await _next(window)
        await window.room.distribution.check_hoard(window.operator.id)
        await window.execute(incident, TakeIncident(operator=window.operator.id, desk=window.desk))
        await window.open(incident, purpose=Purpose.EMERGENCY)
        return {"incident": incident}


class Open(OfIncident, frozen=True, kw_only=True, tag="open"):
    """Show what is known of the people and the place.  Each time is on the record, with what it is for."""

    may: ClassVar = May.ANY_DESK
    works: ClassVar = False
    purpose: Purpose
    reason: Reason = ""
    """Needed where the incident is closed."""

    async def obey(self, window: Window) -> None:
        if self.purpose is Purpose.OFFERED and not await _rings_at(window, self.incident):
            raise Refused("it does not ring at this desk")
        await window.open(self.incident, purpose=self.purpose, reason=self.reason)


class Refresh(OfIncident, frozen=True, tag="refresh"):
    """Show again what was opened: something has come in."""

    may: ClassVar = May.ANY_DESK
    works: ClassVar = False

    async def obey(self, window: Window) -> None:
        await window.show(self.incident)


class History(OfIncident, frozen=True, tag="history"):
    """The timeline of one incident, without personal data."""

    may: ClassVar = May.ANY_DESK
    works: ClassVar = False

    async def obey(self, window: Window) -> list[msgspec.Raw]:
        recorded = await window.room.journal.store.whole(self.incident)
        return [msgspec.Raw(event_message(event).encode()) for event in _in_time(recorded)]


def _in_time(recorded: Sequence[Recorded]) -> Iterator[Recorded]:
    """One that cannot be read stands at the time of the one before it."""
    at = next((event.at for event in recorded if not event.damaged), None)
    for event in recorded:
        at = event.at if at is None or not event.damaged else at
        yield replace(event, at=at)


async def _rings_at(window: Window, incident: IncidentId) -> bool:
    desks = (await window.state(incident)).desks
    return desks == () or window.desk in desks


async def _next(window: Window) -> IncidentId:
    """The most urgent that waits for a person of ours."""
    _, waiting = await window.room.journal.queue(limit=1, states=ANSWERABLE)
    if waiting:
        return waiting[0].id
    _, telling = await window.room.journal.queue(limit=10_000, states=UNDER_WAY)
    alone = [incident.id for incident in telling if incident.unattended_at is not None]
    if not alone:
        raise Refused("nobody is waiting")
    return alone[0]
