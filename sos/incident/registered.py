"""A person's health and family in the incident: what was registered beforehand, and what somebody says now.

Part of ``lifecycle``: its deciders and effects for these facts, pure like all of it.  Only a live emergency takes such
data in, and only while it lasts: whatever came too late is not brought in afterwards.  What is said on the call is
written down whatever the law says of it; where no row fits, somebody looks at it within a day.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from routing.categories import Category
from sos.errors import Refused
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
        obligations=command.obligations,
    )
    return (e.Draft(event=copied, parts=parts),)


def _copied(incident: Incident, event: e.RegisteredDataCopied) -> dict[str, Any]:
    there = tuple(category for category in REGISTERED if category in {*incident.registered, *event.categories})
    return {"registered": there, "registered_withheld": event.withheld}


def _take(incident: Incident, command: c.TakeMedical, _: datetime) -> Decision:
    if not command.text.strip():
        raise Refused("an empty note says nothing")
    if incident.state is State.CLOSED:
        raise Refused("the incident is closed: reopen it first")
    taken = e.MedicalTaken(
        source=command.source,
        rule=command.rule,
        ground=command.ground,
        law_version=command.law_version,
        rules=command.rules,
        necessity=command.necessity,
        consent=command.consent,
        obligations=command.obligations,
    )
    return (e.Draft(event=taken, parts={Category.MED: command.text.encode()}),)


EFFECTS: Mapping[type[e.Event], Callable[[Incident, Any], dict[str, Any]]] = MappingProxyType(
    {
        e.RegisteredDataCopied: _copied,
    }
)

DECIDERS: Mapping[type[c.Command], Callable[[Incident, Any, datetime], Decision]] = MappingProxyType(
    {
        c.CopyRegisteredData: _copy,
        c.TakeMedical: _take,
    }
)
