"""Where it is, as the incident knows it: the plan in force, a place that has moved, and who was told of another one.

A position is a living fact.  The newest plan holds the one in force; a vehicle's own newer report takes its place at
once, since rescue may not wait for a click, and a person adopts the move or goes back.  What a person has put in its
place no report overwrites: it stands beside it until somebody decides.  Pure.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from msgspec.structs import replace

from routing.categories import Category
from sos.errors import Refused
from sos.incident import cards, linking
from sos.incident import commands as c
from sos.incident import events as e
from sos.incident.deadline import Actor, Deadline, DeadlineName
from sos.incident.model import Disclosure, Incident, Mode, Move, State

ROW = Deadline(
    name=DeadlineName.PLACE_UNKNOWN,
    after=timedelta(seconds=30),
    reason="nobody knows where it is, and whoever has the incident has not asked",
    actors=(Actor.SUPERVISORS,),
)
"""Counted from the answer, and again from the first decision to tell somebody."""

CORRECT = Deadline(
    name=DeadlineName.CORRECT,
    after=timedelta(seconds=60),
    reason="a car that goes on moving, or a card that is being answered: one newer brief a minute to each agency, and "
    "the last always gets there",
    actors=(Actor.CORRECTIONS,),
)
"""Counted from the newer brief before.  Who was told once is brought up to date at once."""

Decision = tuple[e.Draft, ...]


def correct_at(incident: Incident, told: Disclosure) -> datetime | None:
    """From when who was told of a place that holds no longer may be told of the next one; None: at once."""
    ladder = incident.ladder(told.disclosure)
    return None if told.brief_version == 1 or ladder is None else ladder.began_at + CORRECT.after


def outdated(incident: Incident) -> tuple[Disclosure, ...]:
    """Who was told of another place and has nothing newer, or has taken over and not heard what was answered since."""
    if incident.state is State.CLOSED:
        return ()
    current = (told for told in incident.disclosures if not told.superseded)
    return tuple(told for told in current if told.elsewhere or cards.untold(incident, told))


def correctable(incident: Incident, now: datetime) -> tuple[Disclosure, ...]:
    """Those of them whose time has come; the others wait, and then hear of the newest place alone."""
    return tuple(told for told in outdated(incident) if (at := correct_at(incident, told)) is None or at <= now)


def corrections(incident: Incident) -> tuple[tuple[str, datetime], ...]:
    """When the next of those who wait for the newest place is told of it."""
    if not incident.to_correct:
        return ()
    times = [at for told in outdated(incident) if (at := correct_at(incident, told)) is not None]
    return ((CORRECT.name, min(times)),) if times else ()


def followed(incident: Incident, event: e.Event, at: datetime) -> dict[str, Any]:
    """What changes in ``incident``, as it is after ``event``, in who waits for the newest place."""
    match event:
        case e.PlanMade() if event.moved_m is not None:
            return {"to_correct": True}
        case e.CardAnswered() | e.AgencyAcknowledged() if outdated(incident):
            return {"to_correct": True}
        case e.HelpEscalated(rung=CORRECT.name):
            times = (correct_at(incident, told) for told in outdated(incident))
            return {"to_correct": any(time is not None and time > at for time in times)}
    return {}


def due(incident: Incident) -> tuple[tuple[str, datetime], ...]:
    """When somebody else hears that the place is unknown and nobody asks for it."""
    unknown = "position_unknown" in incident.flags or not (incident.planned or incident.located)
    if incident.state not in (State.IN_CALL, State.HANDING_OVER) or incident.changed_at is None:
        return ()
    if incident.about_another:  # it is an agency's call
        return ()
    asked = incident.place_asked or incident.mode is Mode.TEST or ROW.name in incident.passed
    return ((ROW.name, incident.changed_at + ROW.after),) if unknown and not asked else ()


# --- deciders ---


def check(incident: Incident, command: c.DecideDisclosure) -> None:
    """``Refused`` where the house may not bring an agency up to date by itself."""
    before = incident.disclosure(command.supersedes) if command.supersedes else None
    if before is None or before.agency != command.agency or before.superseded:
        raise Refused(f"{command.agency} was not told, or has a newer brief")
    if not (before.elsewhere or before.otherwise or before.unheard or linking.outdated(incident, before)):
        raise Refused(f"{command.agency} was not told of a place, a kind or a crash that holds no longer")
    if incident.state is State.CLOSED:
        raise Refused("the incident is closed")
    if command.unattended != before.unattended:
        raise Refused("a correction is of the same kind as what it corrects")


def _plan(incident: Incident, command: c.RecordPlan, _: datetime) -> Decision:
    if incident.planned and not command.again:
        return ()
    made = e.PlanMade(
        prefecture=command.prefecture,
        services=command.services,
        agencies=command.agencies,
        reasons=command.reasons,
        flags=command.flags,
        border_m=command.border_m,
        datasets=command.datasets,
        source=command.source,
        moved_m=command.moved_m,
        kind=command.kind,
        same_place=command.same_place,
    )
    return (e.Draft(event=made, parts=command.parts),)


def _noticed(incident: Incident, command: c.NoticeMove, _: datetime) -> Decision:
    if incident.state is State.CLOSED or incident.move == Move(distance_m=command.distance_m, in_force=False):
        return ()
    return (e.Draft(event=e.MoveNoticed(distance_m=command.distance_m)),)


def _settle(incident: Incident, command: c.SettleMove, _: datetime) -> Decision:
    if incident.operator != command.operator:
        raise Refused("only the operator who has the incident says where it is: answer it first")
    if incident.move is None:
        return ()
    return (e.Draft(event=e.MoveSettled(adopted=command.adopted)),)


def _state(incident: Incident, command: c.StatePlace, _: datetime) -> Decision:
    if incident.operator != command.operator:
        raise Refused("only the operator who has the incident says where it is: answer it first")
    stated = e.PlaceStated(how=command.how, located=command.located)
    return (e.Draft(event=stated, parts={Category.LOC: command.place}),)


def _describe(_: Incident, command: c.DescribePlace, __: datetime) -> Decision:
    described = e.PlaceDescribed(source=command.source, distance_m=command.distance_m)
    return (e.Draft(event=described, parts=command.parts),)


# --- effects ---


def _planned(incident: Incident, event: e.PlanMade) -> dict[str, Any]:
    """All that the plan before had raised goes with it: its doubts were those of another place."""
    known = tuple(flag for flag in incident.flags if flag not in incident.plan_flags)
    raised = tuple(flag for flag in event.flags if flag not in known)
    changes: dict[str, Any] = {
        "planned": True,
        "prefecture": event.prefecture,
        "agencies": event.agencies,
        "services": event.services,
        "flags": (*known, *raised),
        "plan_flags": raised,
    }
    if event.same_place:
        return changes
    changes["place_version"] = incident.place_version + 1
    if event.source != "vehicle":
        changes["move"] = None
    elif event.moved_m is not None:
        changes["move"] = Move(distance_m=event.moved_m, in_force=True)
    if event.moved_m is not None:
        changes["disclosures"] = tuple(map(_elsewhere, incident.disclosures))
    return changes


def _elsewhere(told: Disclosure) -> Disclosure:
    current = not told.superseded and told.rejected is None
    return replace(told, elsewhere=True) if current else told


EFFECTS: Mapping[type[e.Event], Callable[[Incident, Any], dict[str, Any]]] = MappingProxyType(
    {
        e.PlanMade: _planned,
        e.MoveNoticed: lambda _, event: {"move": Move(distance_m=event.distance_m, in_force=False)},
        e.MoveSettled: lambda *_: {"move": None},
        e.PlaceStated: lambda *_: {"place_asked": True},
    }
)

DECIDERS: Mapping[type[c.Command], Callable[[Incident, Any, datetime], Decision]] = MappingProxyType(
    {
        c.RecordPlan: _plan,
        c.NoticeMove: _noticed,
        c.SettleMove: _settle,
        c.StatePlace: _state,
        c.DescribePlace: _describe,
    }
)
