"""How long the contents of an incident are kept: the class of each category, holds, and what is gone for good.

Part of ``lifecycle``: its deciders and effects for keeping, pure like all of it.

**Theory.**  A closing gives each category a class (``recording.retention``), by how the call ended.  The strictest
closing wins: a class is never exchanged for a shorter one, however often the incident is reopened, and an incident that
somebody outside was told of, from it or from another car of the same crash, is never kept like one that was none,
whatever it is closed as.

Holds are a set: each has an id and ends by that id alone, and while any stands nothing is destroyed.  Destroying wants
a closed incident, no hold, a time that is over, and two people; it is refused where the incident was closed again since
the due dates were looked at.  The data keys of an incident are wrapped for the class it is in (``wrapped_under``), so
that what is held does not stand in the way of the rest of its class.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

from recording.retention import Tag, house
from routing.categories import Category
from routing.law.codes import Outcome
from sos.errors import Refused
from sos.incident import commands as c
from sos.incident import events as e
from sos.incident.model import Disposition, Hold, Incident, Mode, State
from sos.incident.obligations import said

Decision = tuple[e.Draft, ...]

NO_INCIDENT = "nonincident-4w"
HELD = "hold"
"""What the keys of a held incident are wrapped under."""
PERSONS = 2
"""How many different people must agree that something is destroyed."""

_CASE = "incident-case-3y"
_CLASSES: Mapping[Category, str] = MappingProxyType(
    {Category.AUD: "incident-audio-1y", Category.RAW: "incident-raw-1y"}
)
GIVEN = (NO_INCIDENT, _CASE, *_CLASSES.values())
"""Every class that a closing gives."""

_REAL = (Disposition.HANDED_OVER, Disposition.NO_HELP_NEEDED, Disposition.ABANDONED, Disposition.DUPLICATE)
_ALL_HELD: Mapping[Category, str] = MappingProxyType(dict.fromkeys(Category, HELD))


def classes(incident: Incident, disposition: Disposition) -> tuple[tuple[Category, str], ...]:
    """The class of each category once ``incident`` is closed with ``disposition``."""
    real = disposition in _REAL
    return strictest(incident, [(each, _real(each) if real else NO_INCIDENT) for each in Category])


def strictest(incident: Incident, given: Sequence[tuple[Category, str]]) -> tuple[tuple[Category, str], ...]:
    """``given`` classes, none of them shorter than an earlier closing's or than what was told to others demands."""
    known = dict(incident.kept_as)
    told = _told(incident)
    found = []
    for category, name in given:
        longest = house().stricter(known.get(category, name), name)
        found.append((category, house().stricter(_real(category), longest) if told else longest))
    return tuple(found)


def wrapped_under(incident: Incident) -> Mapping[Category, str]:
    """The class that the data keys of each category are wrapped for; empty while they are as they were made."""
    if incident.holds:
        return _ALL_HELD
    return dict(incident.kept_as) if incident.state is State.CLOSED else {}


def _real(category: Category) -> str:
    return _CLASSES.get(category, _CASE)


def _told(incident: Incident) -> bool:
    """Whether anybody outside was told anything of a call that was no exercise."""
    if incident.mode is not Mode.LIVE:
        return False
    answered = any(each.outcome in (Outcome.PERMIT, Outcome.PERMIT_REVIEW) for each in incident.asked)
    of_the_crash = incident.linked is not None and bool(incident.linked.told)
    return bool(incident.disclosures) or answered or of_the_crash


def kept_by(incident: Incident, category: Category, tag: Tag, *, now: datetime) -> str:
    """The rule by which data must stay although the person asks that it goes; empty where none does."""
    if incident.state is not State.CLOSED or incident.changed_at is None:
        return "not-closed"
    if incident.holds:
        return "held"
    if _told(incident) and dict(incident.kept_as).get(category) == _CASE:
        return "agency-told"
    return "least-period" if tag.least.after(incident.changed_at) > now else ""


# --- deciders ---


def _hold(incident: Incident, command: c.PlaceHold, _: datetime) -> Decision:
    if any(known.hold == command.hold for known in incident.holds):
        return ()
    if not command.words.strip():
        raise Refused("say why it is held: whoever ends the hold must know")
    placed = e.HoldPlaced(hold=command.hold, ground=command.ground, by=command.by)
    return (e.Draft(event=placed, parts=said(command.words)),)


def _release(incident: Incident, command: c.ReleaseHold, _: datetime) -> Decision:
    if not any(known.hold == command.hold for known in incident.holds):
        raise Refused("no hold of that id stands here")
    if not command.words.strip():
        raise Refused("say why the hold ends")
    released = e.HoldReleased(hold=command.hold, by=command.by)
    return (e.Draft(event=released, parts=said(command.words)),)


def _destroy(incident: Incident, command: c.DestroyData, now: datetime) -> Decision:
    if incident.holds:
        raise Refused(f"it is held: {', '.join(hold.hold for hold in incident.holds)}")
    if incident.state is not State.CLOSED:
        raise Refused("it is not closed")
    if any(incident.changed_at is None or each.started_at < incident.changed_at for each in command.disposed):
        raise Refused("it was closed again since its due dates were looked at")
    if len(set(command.approved)) < PERSONS:
        raise Refused("two different people must agree")
    if early := [each.category for each in command.disposed if each.due_at > now]:
        raise Refused(f"not due yet: {', '.join(sorted(early))}")
    gone = dict(incident.destroyed)
    left = tuple(each for each in command.disposed if gone.get(each.category, 0) <= command.seen)
    if not left:
        return ()
    destroyed = e.DataDestroyed(
        disposal=command.disposal, listed=command.listed, disposed=left, approved=command.approved
    )
    return (e.Draft(event=destroyed),)


DECIDERS: Mapping[type[c.Command], Callable[[Incident, Any, datetime], Decision]] = MappingProxyType(
    {
        c.PlaceHold: _hold,
        c.ReleaseHold: _release,
        c.DestroyData: _destroy,
    }
)


# --- effects ---


def _closed(incident: Incident, event: e.IncidentClosed) -> dict[str, Any]:
    kept_as = strictest(incident, event.retention)
    return {"disposition": event.disposition, "read_by": (), "desks": (), "kept_as": kept_as}


def _released(incident: Incident, event: e.HoldReleased) -> dict[str, Any]:
    return {"holds": tuple(known for known in incident.holds if known.hold != event.hold)}


def _destroyed(incident: Incident, event: e.DataDestroyed) -> dict[str, Any]:
    now = {each.category for each in event.disposed}
    before = tuple(known for known in incident.destroyed if known[0] not in now)
    return {"destroyed": (*before, *((each.category, incident.version + 1) for each in event.disposed))}


def timed(incident: Incident, event: e.Event, at: datetime) -> dict[str, Any]:
    """What needs the time of the event."""
    if not isinstance(event, e.HoldPlaced):
        return {}
    return {"holds": (*incident.holds, Hold(hold=event.hold, ground=event.ground, by=event.by, at=at))}


EFFECTS: Mapping[type[e.Event], Callable[[Incident, Any], dict[str, Any]]] = MappingProxyType(
    {
        e.IncidentClosed: _closed,
        e.HoldReleased: _released,
        e.DataDestroyed: _destroyed,
    }
)
