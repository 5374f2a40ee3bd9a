"""How long the contents of an incident are kept: the class of each category, holds, and what is gone for good.

Part of ``lifecycle``: its deciders and effects for keeping, pure like all of it.

**Theory.**  A closing gives each category a class (``recording.retention``), by how the call ended.  The strictest
closing wins: a class is never exchanged for a shorter one, however often the incident is reopened, and an incident that
somebody outside was told of, from it or from another car of the same crash, is never kept like one that was none,
whatever it is closed as.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from recording.retention import house
from routing.categories import Category
from routing.law.codes import Outcome
from sos.incident import events as e
from sos.incident.model import Disposition, Incident, Mode

NO_INCIDENT = "nonincident-4w"
_CASE = "incident-case-3y"
_CLASSES: Mapping[Category, str] = MappingProxyType(
    {Category.AUD: "incident-audio-1y", Category.RAW: "incident-raw-1y"}
)
_REAL = (Disposition.HANDED_OVER, Disposition.NO_HELP_NEEDED, Disposition.ABANDONED, Disposition.DUPLICATE)


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


def _real(category: Category) -> str:
    return _CLASSES.get(category, _CASE)


def _told(incident: Incident) -> bool:
    """Whether anybody outside was told anything of a call that was no exercise."""
    if incident.mode is not Mode.LIVE:
        return False
    answered = any(each.outcome in (Outcome.PERMIT, Outcome.PERMIT_REVIEW) for each in incident.asked)
    of_the_crash = incident.linked is not None and bool(incident.linked.told)
    return bool(incident.disclosures) or answered or of_the_crash


def _closed(incident: Incident, event: e.IncidentClosed) -> dict[str, Any]:
    kept_as = strictest(incident, event.retention)
    return {"disposition": event.disposition, "read_by": (), "desks": (), "kept_as": kept_as}


EFFECTS: Mapping[type[e.Event], Callable[[Incident, Any], dict[str, Any]]] = MappingProxyType(
    {
        e.IncidentClosed: _closed,
    }
)
