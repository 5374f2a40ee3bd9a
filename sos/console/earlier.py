"""Earlier calls of the same vehicle at the desk: when each was, how it was closed, and whether its button was misused.

Headers alone: nobody's data is opened for it.  That a button was misused is a word to the operator and nothing else:
it ranks, delays and closes nothing, ends by its date, and is never said of a crash that a vehicle reports by itself.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from sos.clock import timestamp
from sos.console.window import Window
from sos.incident.model import Disposition, Incident, IncidentId, Mode, State, Trigger

SHOWN = 10
"""Of the earlier calls at most: who answers has seconds."""


class EarlierCall(Struct, frozen=True, kw_only=True):
    incident: IncidentId
    at: str
    mode: Mode
    trigger: Trigger
    state: State
    disposition: Disposition | None


class EarlierCalls(Struct, frozen=True, kw_only=True):
    calls: tuple[EarlierCall, ...]
    """The newest first."""
    misused_until: str | None
    """Until when it is said that the button was misused; null: it is not said."""


async def earlier_calls(window: Window, incident: IncidentId) -> EarlierCalls:
    state = await window.state(incident)
    known = await window.room.journal.earlier(state, limit=SHOWN)
    now = window.room.journal.clock.now()
    until = misused_until(state, known, now=now, lasts=window.room.nuisance)
    return EarlierCalls(
        calls=tuple(_call(each) for each in known),
        misused_until=timestamp(until) if until is not None else None,
    )


def misused_until(incident: Incident, known: Sequence[Incident], *, now: datetime, lasts: timedelta) -> datetime | None:
    """Until when ``incident`` is marked by a misuse among ``known``; None where it is not."""
    if incident.trigger is Trigger.AUTOMATIC:
        return None
    closed = [each.changed_at for each in known if _misuse(each) and each.changed_at is not None]
    until = max(closed) + lasts if closed else None
    return until if until is not None and now < until else None


def _misuse(call: Incident) -> bool:
    pressed = call.trigger is not Trigger.AUTOMATIC and call.mode is Mode.LIVE
    return pressed and call.state is State.CLOSED and call.disposition is Disposition.MISUSE


def _call(incident: Incident) -> EarlierCall:
    return EarlierCall(
        incident=incident.id,
        at=timestamp(incident.opened_at) if incident.opened_at is not None else "",
        mode=incident.mode,
        trigger=incident.trigger,
        state=incident.state,
        disposition=incident.disposition,
    )
