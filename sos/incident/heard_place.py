"""A place as somebody says it: read back with an agency, or heard as an address or a kilometre post, beside ours.

Part of ``lifecycle``: its deciders and effects, pure like all of it.  What somebody says never takes the place of what
the vehicle reports by itself: it stands beside it until the operator adopts it or does not.  Each place in force has a
number (``Incident.place_version``), and who has read it back has read that one: after a move it is to be read anew.
That nobody did stands in nobody's way; the desk says so before an incident is closed.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from msgspec.structs import replace

from routing.categories import Category
from sos.errors import Refused
from sos.incident import commands as c
from sos.incident import events as e
from sos.incident import place
from sos.incident.model import Disclosure, HeardPlace, Incident, Party

Decision = tuple[e.Draft, ...]

AGENCY, CALLER = "agency", "caller"
"""Who says so."""


def unread(incident: Incident) -> tuple[Disclosure, ...]:
    """Who has taken over, and with whom the place in force was not read back."""
    return tuple(
        told
        for told in incident.disclosures
        if told.taken_over and not told.superseded and told.read_back != incident.place_version
    )


# --- deciders ---


def _hear(incident: Incident, command: c.HearPlace, _: datetime) -> Decision:
    if incident.operator != command.operator:
        raise Refused("only the operator who has the incident says where it is: answer it first")
    heard = e.PlaceHeard(source=CALLER, how=command.how, found=command.found)
    return (e.Draft(event=heard, parts={Category.LOC: command.place}),)


def _read_back(incident: Incident, command: c.ReadBack, _: datetime) -> Decision:
    known = incident.disclosure(command.disclosure)
    if incident.operator != command.operator:
        raise Refused("only the operator who has the incident reads it back: answer it first")
    if known is None or known.superseded or known.rejected is not None:
        raise Refused("this agency has a newer brief, has refused, or was told nothing")
    if command.version != incident.place_version:
        raise Refused("the place is another one by now: read that one")
    if command.agreed and known.read_back == command.version:
        return ()
    if not command.agreed and not command.place:
        raise Refused("what do they have instead?")
    leg = next(
        (leg.leg for leg in incident.legs if (leg.party, leg.who) == (Party.AGENCY, known.agency) and leg.up), None
    )
    read = e.PlaceReadBack(
        disclosure=known.disclosure,
        agency=known.agency,
        operator=command.operator,
        version=command.version,
        agreed=command.agreed,
        with_code=command.with_code,
        leg=leg,
    )
    if command.agreed:
        return (e.Draft(event=read),)
    heard = e.PlaceHeard(source=AGENCY, how=command.how, found=command.found, disclosure=known.disclosure)
    return (e.Draft(event=read), e.Draft(event=heard, parts={Category.LOC: command.place}))


def _settle(incident: Incident, command: c.SettleHeard, now: datetime) -> Decision:
    if incident.operator != command.operator:
        raise Refused("only the operator who has the incident says where it is: answer it first")
    if incident.heard_place is None:
        return ()
    stated = () if command.stated is None else place.DECIDERS[c.StatePlace](incident, command.stated, now)
    return (*stated, e.Draft(event=e.HeardPlaceSettled(operator=command.operator, adopted=command.adopted)))


DECIDERS: Mapping[type[c.Command], Callable[[Incident, Any, datetime], Decision]] = MappingProxyType(
    {
        c.HearPlace: _hear,
        c.ReadBack: _read_back,
        c.SettleHeard: _settle,
    }
)


# --- effects ---


def _was_read_back(incident: Incident, event: e.PlaceReadBack) -> dict[str, Any]:
    version = event.version if event.agreed else None
    return {
        "disclosures": tuple(
            replace(told, read_back=version) if told.disclosure == event.disclosure else told
            for told in incident.disclosures
        )
    }


EFFECTS: Mapping[type[e.Event], Callable[[Incident, Any], dict[str, Any]]] = MappingProxyType(
    {
        e.PlaceHeard: lambda _, event: {
            "heard_place": HeardPlace(source=event.source, how=event.how, found=event.found),
            "place_asked": True,
        },
        e.PlaceReadBack: _was_read_back,
        e.HeardPlaceSettled: lambda *_: {"heard_place": None},
    }
)
