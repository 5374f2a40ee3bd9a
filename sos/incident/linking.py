"""One crash, several incidents: what links them, who has been told of it by whom, and what is told of the others.

Part of ``lifecycle``: its deciders and effects for these facts, pure like all of it, and the orders for several
incidents that ``Journal.execute_together`` writes in one append, so that either all of them know or none.

**Theory.**  A *link* says that incidents are one crash, and nothing more: each keeps its call, its operator, its state,
its place, plan, severity and its own retention, and no fact goes from one to another.  It is transitive, because it is
a set: whoever is linked with one car is linked with all, under one number.  A person links and takes out; software
does so alone where the data and the voice of one vehicle came apart.

*Who was told.*  Each decision to tell an agency is written into every incident of the crash in the append that decides
it (``beside``), so of two operators who tell the same agency at once the second is warned, whoever writes first.  The
warning holds back nothing: confirmed, it is told, and its brief says by which number it has heard of this crash before.

*What an agency has* goes out of date when the crash gets another car or loses one (``outdated``).  It is brought up to
date in the one incident that told it first; not while it is still being called, since a newer brief begins a new
ladder and help would be later for it.

*Closing* one closes no other, and takes none out: who looks at the crash later sees all of it.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, TypeAlias

from msgspec.structs import replace

from sos.errors import Refused, Unconfirmed
from sos.incident import commands as c
from sos.incident import events as e
from sos.incident.model import (
    Car,
    CrashId,
    Disclosure,
    Incident,
    IncidentId,
    Linked,
    Relation,
    Share,
    Standing,
    State,
    ToldElsewhere,
)

MOST = 40
"""Incidents of one crash: more than the largest pile-up has cars that call by themselves.  Each telling is written into
every one of them."""

Decision = tuple[e.Draft, ...]

Orders: TypeAlias = Mapping[IncidentId, tuple[c.Command, ...]]
"""What several incidents are to record in one append."""

States: TypeAlias = Mapping[IncidentId, Incident]


# --- what is so ---


def others(incident: Incident) -> tuple[IncidentId, ...]:
    """The other incidents of the same crash."""
    return incident.linked.others(incident.id) if incident.linked else ()


def outdated(incident: Incident, told: Disclosure) -> bool:
    """Whether an agency knows the crash otherwise than it is now.

    What was told it by another incident of the crash first is brought up to date there, and not once for every car.
    """
    if told.superseded or told.rejected is not None or set(told.joined) == set(others(incident)):
        return False
    elsewhere = incident.linked.told if incident.linked else ()
    return all(incident.id < known.incident for known in elsewhere if known.agency == told.agency)


def to_correct(incident: Incident) -> tuple[Disclosure, ...]:
    """Who hears by itself that the crash is another one than it was told: whoever has taken over."""
    if incident.state is State.CLOSED:
        return ()
    taken = {known.agency for known in incident.disclosures if known.taken_over}
    newest = {known.agency: known for known in incident.disclosures if not known.superseded}
    return tuple(told for told in newest.values() if told.agency in taken and outdated(incident, told))


def maybe(incident: Incident) -> tuple[IncidentId, ...]:
    """Incidents that may be the same crash: proposed, and nobody has said yes or no."""
    proposed = (match.other for match in incident.matches if match.standing is Standing.PROPOSED)
    return tuple(dict.fromkeys(other for other in proposed if other not in others(incident)))


def warn_of_second(incident: Incident, command: c.DecideDisclosure) -> None:
    """``Unconfirmed`` where the agency, or one of the same service, has been told of this crash from another incident.

    Where no person is there to confirm it, only a brief that says so itself may leave.
    """
    if incident.linked is None or command.supersedes:
        return
    same = [known for known in incident.linked.told if known.agency == command.agency]
    if command.unattended and {known.disclosure for known in same} <= set(command.again):
        return
    alike = same or [known for known in incident.linked.told if known.service is command.service]
    if alike and not command.confirmed:
        told, number = alike[-1], incident.linked.number
        raise Unconfirmed(
            f"{told.agency} has been told of this crash (number {number}) from incident {told.incident[-8:].upper()}, "
            f"version {told.version}: confirm that {command.agency} is to be told of this car as well"
        )


# --- orders for several incidents ---


def link(
    states: States,
    one: IncidentId,
    other: IncidentId,
    *,
    crash_id: CrashId,
    number: str,
    relation: Relation = Relation.SAME_CRASH,
    share: Share | None = None,
    reasons: tuple[str, ...] = (),
) -> Orders:
    """Make ``other`` one crash with ``one``, and all that either is linked with already; nothing where it is so.

    ``share``: what ``other`` is of it; None: a vehicle, or what it is already.  ``crash_id`` and ``number`` are taken
    where neither has one.  ``Refused``, in words, where it cannot be.
    """
    here, there = states[one], states[other]
    _check(here, there)
    cars = _joined(here, there, share)
    if len(cars) > MOST:
        raise Refused(f"no more than {MOST} incidents can be linked as one crash")
    older = sorted((known.linked.crash_id, known.linked.number) for known in (here, there) if known.linked)
    known_as, said_as = older[0] if older else (crash_id, number)
    confirmed = {
        mine: (c.ConfirmMatch(other=theirs, relation=relation, reasons=reasons),)
        for mine, theirs in ((one, other), (other, one))
    }
    return {
        car.incident: (*confirmed.get(car.incident, ()), _link(states, car.incident, known_as, said_as, cars))
        for car in cars
        if car.incident in states
    }


def _check(here: Incident, there: Incident) -> None:
    if here.id == there.id:
        raise Refused("an incident is no match of its own")
    if here.mode is not there.mode:
        raise Refused(f"a {there.mode} call is never one crash with a {here.mode} one")
    if there.id in others(here):
        return
    for known in (here, there):
        if known.state is State.CLOSED:
            raise Refused(f"incident {known.id[-8:].upper()} is closed: reopen it first, if it is the same crash")


def _joined(here: Incident, there: Incident, share: Share | None) -> tuple[Car, ...]:
    """All cars of both, each once, in the order in which their incidents came in."""
    mine, theirs = _cars(here), _cars(there)
    found = {car.incident: car for car in (*theirs, *mine)}
    if share is Share.SAME_VEHICLE and here.linked is None and there.linked is not None:
        here, there = there, here  # the one that is new is the one more of the vehicle
    if share is not None:
        of = found[here.id].of or here.id if share is Share.SAME_VEHICLE else None
        found[there.id] = replace(found[there.id], share=share, of=of)
    return tuple(found[incident] for incident in sorted(found))


def _cars(incident: Incident) -> tuple[Car, ...]:
    return incident.linked.cars if incident.linked else (Car(incident=incident.id),)


def unlink(states: States, gone: IncidentId) -> Orders:
    """Take ``gone`` out of the crash; the others stay one crash while there are two of them."""
    linked = states[gone].linked
    if linked is None:
        return {}
    left = _without(linked.cars, gone)
    orders: dict[IncidentId, tuple[c.Command, ...]] = {gone: (*_undone(states, gone, linked), c.Unlink())}
    for car in left:
        if car.incident not in states:
            continue
        undone = tuple(
            c.UndoMatch(other=gone, relation=match.relation)
            for match in states[car.incident].matches
            if match.other == gone and match.standing is Standing.CONFIRMED
        )
        stays = _link(states, car.incident, linked.crash_id, linked.number, left) if len(left) > 1 else c.Unlink()
        orders[car.incident] = (*undone, stays)
    return orders


def _undone(states: States, gone: IncidentId, linked: Linked) -> tuple[c.UndoMatch, ...]:
    among = set(linked.others(gone))
    confirmed = (match for match in states[gone].matches if match.standing is Standing.CONFIRMED)
    return tuple(c.UndoMatch(other=m.other, relation=m.relation) for m in confirmed if m.other in among)


def _without(cars: Sequence[Car], gone: IncidentId) -> tuple[Car, ...]:
    """The cars but ``gone``; of those that were more of its vehicle, the first is about it now."""
    left: list[Car] = []
    heir: IncidentId | None = None
    for car in cars:
        if car.incident == gone:
            continue
        if car.of != gone:
            left.append(car)
        elif heir is None:
            heir = car.incident
            left.append(replace(car, share=Share.VEHICLE, of=None))
        else:
            left.append(replace(car, of=heir))
    return tuple(left)


def _link(states: States, incident: IncidentId, crash_id: CrashId, number: str, cars: tuple[Car, ...]) -> c.Link:
    told = tuple(
        ToldElsewhere(
            incident=car.incident,
            disclosure=known.disclosure,
            agency=known.agency,
            service=known.service,
            version=known.brief_version,
        )
        for car in cars
        if car.incident != incident and car.incident in states
        for known in states[car.incident].disclosures
        if not known.superseded and known.rejected is None
    )
    return c.Link(crash_id=crash_id, number=number, cars=cars, told=told)


def beside(incident: Incident, drafts: Sequence[e.Draft]) -> Orders:
    """What the other incidents of the crash record of ``drafts``, in the same append."""
    if incident.linked is None:
        return {}
    told = tuple(
        c.RecordTold(
            told=ToldElsewhere(
                incident=incident.id,
                disclosure=draft.event.disclosure,
                agency=draft.event.agency,
                service=draft.event.service,
                version=draft.event.brief_version,
                supersedes=draft.event.supersedes,
            )
        )
        for draft in drafts
        if isinstance(draft.event, e.DisclosureDecided)
    )
    return dict.fromkeys(others(incident), told) if told else {}


# --- deciders ---


def _record_link(incident: Incident, command: c.Link, _: datetime) -> Decision:
    wanted = Linked(crash_id=command.crash_id, number=command.number, cars=command.cars, told=command.told)
    known = incident.linked
    if known is not None and (known.crash_id, known.cars) == (wanted.crash_id, wanted.cars):
        return ()
    linked = e.IncidentsLinked(crash_id=command.crash_id, number=command.number, cars=command.cars, told=command.told)
    return (e.Draft(event=linked),)


def _record_unlink(incident: Incident, _: c.Unlink, __: datetime) -> Decision:
    if incident.linked is None:
        return ()
    return (e.Draft(event=e.IncidentsUnlinked(crash_id=incident.linked.crash_id, number=incident.linked.number)),)


def _record_told(incident: Incident, command: c.RecordTold, _: datetime) -> Decision:
    told = command.told
    if incident.linked is None or told in incident.linked.told:
        return ()
    event = e.LinkedTold(
        incident=told.incident,
        disclosure=told.disclosure,
        agency=told.agency,
        service=told.service,
        version=told.version,
        supersedes=told.supersedes,
    )
    return (e.Draft(event=event),)


DECIDERS: Mapping[type[c.Command], Callable[[Incident, Any, datetime], Decision]] = MappingProxyType(
    {c.Link: _record_link, c.Unlink: _record_unlink, c.RecordTold: _record_told}
)


# --- effects ---


def _linked(_: Incident, event: e.IncidentsLinked) -> dict[str, Any]:
    return {"linked": Linked(crash_id=event.crash_id, number=event.number, cars=event.cars, told=event.told)}


def _told(incident: Incident, event: e.LinkedTold) -> dict[str, Any]:
    """A newer brief takes the place of the one before, here as there."""
    if incident.linked is None:
        return {}
    made = ToldElsewhere(
        incident=event.incident,
        disclosure=event.disclosure,
        agency=event.agency,
        service=event.service,
        version=event.version,
        supersedes=event.supersedes,
    )
    others = (known for known in incident.linked.told if known.disclosure not in (made.disclosure, made.supersedes))
    return {"linked": replace(incident.linked, told=(*others, made))}


EFFECTS: Mapping[type[e.Event], Callable[[Incident, Any], dict[str, Any]]] = MappingProxyType(
    {
        e.IncidentsLinked: _linked,
        e.IncidentsUnlinked: lambda *_: {"linked": None},
        e.LinkedTold: _told,
    }
)
