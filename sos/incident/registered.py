"""What a customer registered for an emergency, in the incident: that it is there, and what may not be used.

Part of ``lifecycle``: its deciders and effects for these facts, pure like all of it.  Only a live emergency takes such
data in, and only while it lasts: whatever came too late is not brought in afterwards.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from routing.categories import Category
from sos.incident import commands as c
from sos.incident import events as e
from sos.incident.model import Incident, Mode, State

Decision = tuple[e.Draft, ...]

REGISTERED = (Category.MED, Category.FAM)
"""What a customer registers for the day of an emergency, and for nothing else."""


def _copy(incident: Incident, command: c.CopyRegisteredData, _: datetime) -> Decision:
    if incident.state is State.CLOSED or incident.mode is not Mode.LIVE:
        return ()
    parts = {category: told for category, told in command.parts.items() if category in REGISTERED}
    if set(parts) <= set(incident.registered) and command.withheld == incident.registered_withheld:
        return ()
    copied = e.RegisteredDataCopied(
        holder=command.holder,
        categories=tuple(category for category in REGISTERED if category in parts),
        withheld=command.withheld,
        rule=command.rule,
        ground=command.ground,
        law_version=command.law_version,
        rules=command.rules,
        necessity=command.necessity,
        consent=command.consent,
        facts=command.facts,
        grounds=command.grounds,
    )
    return (e.Draft(event=copied, parts=parts),)


def _copied(incident: Incident, event: e.RegisteredDataCopied) -> dict[str, Any]:
    there = tuple(category for category in REGISTERED if category in {*incident.registered, *event.categories})
    return {"registered": there, "registered_withheld": event.withheld}


EFFECTS: Mapping[type[e.Event], Callable[[Incident, Any], dict[str, Any]]] = MappingProxyType(
    {
        e.RegisteredDataCopied: _copied,
    }
)

DECIDERS: Mapping[type[c.Command], Callable[[Incident, Any, datetime], Decision]] = MappingProxyType(
    {
        c.CopyRegisteredData: _copy,
    }
)
