"""What kind of emergency it is: said by the vehicle, deduced of what it measured, stated by a person; never assumed.

Part of ``lifecycle``: its decider and effects for the kind, pure like all of it.

**Theory.**  Nobody knows the kind until somebody says it, and not known is shown and planned for as such: as the worst
that it may be (``routing.kinds.NEEDED``).  A vehicle's word holds until a louder one of it comes: what needs more help
takes its place, what needs less never does.  A person's word holds against every vehicle's.  Where the vehicle then
says something that needs more help, both are planned for and the desk says so, until a person states a kind again.
Whoever was told of another kind hears of the new one (``sos.dispatch.corrections``).
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from msgspec.structs import replace

from routing.kinds import EmergencyKind, louder
from sos.errors import Refused
from sos.incident import commands as c
from sos.incident import events as e
from sos.incident.model import Disclosure, Incident, KindSaid, KindSource, State, Trigger

SAID = frozenset({"said", "service"})
"""Reasons that are the vehicle's own word; the others are ours."""

Decision = tuple[e.Draft, ...]


def planned_for(incident: Incident) -> EmergencyKind:
    """The kind that help is planned for.

    Where only the vehicle has said it and nobody there answers us, it is not known: a button that says breakdown may
    have been pressed by somebody who cannot speak any more.
    """
    stated = bool(incident.kinds) and incident.kinds[-1].source is KindSource.OPERATOR
    clock = incident.response
    silent = clock is not None and clock.assumed_at is not None and not clock.heard
    unsure = silent and not stated and louder(EmergencyKind.CRASH, incident.kind)
    return EmergencyKind.UNKNOWN if unsure else incident.kind


def _state(incident: Incident, command: c.StateKind, _: datetime) -> Decision:
    if incident.operator != command.operator:
        raise Refused("only the operator who has the incident says what has happened: answer it first")
    if incident.state is State.CLOSED:
        raise Refused("the incident is closed")
    last = incident.kinds[-1] if incident.kinds else None
    same = last is not None and (last.kind, last.source) == (command.kind, KindSource.OPERATOR)
    if same and incident.kind_against is None:
        return ()
    return (e.Draft(event=e.KindStated(kind=command.kind)),)


DECIDERS: Mapping[type[c.Command], Callable[[Incident, Any, datetime], Decision]] = MappingProxyType(
    {c.StateKind: _state}
)

# --- effects ---


def triggered(incident: Incident, trigger: Trigger) -> dict[str, Any]:
    """Sensors that call by themselves do so for a crash."""
    if trigger is not Trigger.AUTOMATIC:
        return {}
    return heard(incident, EmergencyKind.CRASH, KindSource.VEHICLE, "trigger")


def filed(incident: Incident, event: e.ReportFiled) -> dict[str, Any]:
    source = KindSource.VEHICLE if event.kind_because in SAID else KindSource.DEDUCED
    return heard(incident, event.kind, source, event.kind_because)


def heard(incident: Incident, kind: EmergencyKind, source: KindSource, because: str) -> dict[str, Any]:
    """What a vehicle's word changes."""
    if not louder(kind, incident.kind):
        return {}
    if incident.kinds and incident.kinds[-1].source is KindSource.OPERATOR:
        against = incident.kind_against
        return {"kind_against": kind} if against is None or louder(kind, against) else {}
    return _taken(incident, kind, source, because)


def _taken(incident: Incident, kind: EmergencyKind, source: KindSource, because: str) -> dict[str, Any]:
    said = KindSaid(kind=kind, source=source, because=because, at_n=incident.version + 1)
    changes: dict[str, Any] = {"kind": kind, "kinds": (*incident.kinds, said), "kind_against": None}
    if kind is not incident.kind:
        changes["disclosures"] = tuple(map(_otherwise, incident.disclosures))
        changes["declined"] = ()
    return changes


def _otherwise(told: Disclosure) -> Disclosure:
    return told if told.superseded or told.rejected is not None else replace(told, otherwise=True)


EFFECTS: Mapping[type[e.Event], Callable[[Incident, Any], dict[str, Any]]] = MappingProxyType(
    {
        e.KindStated: lambda i, event: _taken(i, event.kind, KindSource.OPERATOR, "asked"),
    }
)
