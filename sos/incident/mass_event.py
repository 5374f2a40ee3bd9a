"""Mass events: an earthquake, a flood, a pile-up of hundreds, for as long as a supervisor says that there is one.

While one is in force, whoever waits inside its area takes turns by place instead of by brand, and what the house tells
agencies without a person is limited by agency and place (ops/decisions/0032).

**Theory.**  All of them stand in one stream of the journal, so of two supervisors who decide at once the second decides
again on what the first has said: every decision names what its desk had seen (``seen``), and one that was overtaken is
refused with the colleague's name.  The house only ever *proposes*.  A person declares, changes, ends and dismisses.  A
mass event has a time by which somebody must say whether it goes on; when that runs out it goes on all the same and
people are alarmed, since to end it would be a decision too.

Pure: values in, values out, the time is an argument.
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from routing.categories import Category
from sos.errors import Refused
from sos.incident import events as e
from sos.incident.model import AgencyId, Area, HowToTell, IncidentId, MassEventId, OperatorId
from sos.incident.report import canonical

AT_ONCE = 8
"""Mass events that stand beside each other, proposed ones included: a banner holds no more, and the house proposes no
further one."""

LONGEST = timedelta(hours=24)
"""Until somebody has to say whether it goes on: a shift that declares it is gone by then."""

WIDEST_KM = 500
"""Radius of a circle."""

MOST_CODES = 200

QUIET = timedelta(minutes=30)
"""After a supervisor said that there is none, or that it is over, none is proposed there."""

CODE = re.compile(r"[A-Z]{2}-[A-Z0-9]{1,3}|[0-9]{5}")
"""ISO 3166-2, or the five digits of a municipality."""


class Telling(Struct, frozen=True, kw_only=True, gc=False):
    """How one agency is told of one place without a person; ``how`` None: a supervisor has been asked."""

    agency: AgencyId
    place: str
    incident: IncidentId
    asked_at: datetime
    how: HowToTell | None = None
    every_min: int = 0
    operator: OperatorId | None = None
    answered_at: datetime | None = None


class MassEvent(Struct, frozen=True, kw_only=True, gc=False):
    mass_event: MassEventId
    area: Area
    since: datetime
    """When it was proposed, and then when it was declared."""
    words: int = 0
    """Number of the event that holds its name and the words about it; 0: it is proposed and has none."""
    operator: OperatorId | None = None
    """Who has declared it; None while it is proposed."""
    until: datetime | None = None
    overdue: bool = False
    emergencies: int = 0
    tenants: int = 0
    within_s: int = 0
    """What made the house propose it."""
    tellings: tuple[Telling, ...] = ()

    @property
    def in_force(self) -> bool:
        return self.operator is not None

    def telling(self, agency: AgencyId, place: str) -> Telling | None:
        return next((each for each in self.tellings if (each.agency, each.place) == (agency, place)), None)


class Over(Struct, frozen=True, kw_only=True, gc=False):
    """There is none here, a supervisor said at that time."""

    area: Area
    at: datetime


class MassEvents(Struct, frozen=True, kw_only=True):
    """All that stand.  It has no ``id``, so its row is never mistaken for an incident's."""

    version: int = 0
    decisions: int = 0
    """How often a supervisor has decided about one."""
    decided_by: OperatorId | None = None
    """Who did last."""
    events: tuple[MassEvent, ...] = ()
    over: tuple[Over, ...] = ()

    def get(self, mass_event: MassEventId | None) -> MassEvent | None:
        return next((each for each in self.events if each.mass_event == mass_event), None)

    @property
    def in_force(self) -> tuple[MassEvent, ...]:
        return tuple(each for each in self.events if each.in_force)


class Spot(Struct, frozen=True, kw_only=True, gc=False):
    """Where something is, as far as it is known."""

    latitude: float | None = None
    longitude: float | None = None
    prefecture: str | None = None
    municipality: str | None = None

    @property
    def place(self) -> str:
        """Those who wait at one place take one turn: a municipality, else a tenth of a degree, else a prefecture."""
        if self.municipality is not None:
            return self.municipality
        if self.latitude is not None and self.longitude is not None:
            return f"{math.floor(self.latitude * 10) / 10:.1f},{math.floor(self.longitude * 10) / 10:.1f}"
        return self.prefecture or ""


_KM_PER_DEGREE = 111.2


def km_between(latitude: float, longitude: float, spot: Spot) -> float:
    """Roughly: to a per cent within ``WIDEST_KM``; infinite where the spot is not known."""
    if spot.latitude is None or spot.longitude is None:
        return math.inf
    east = (spot.longitude - longitude + 180) % 360 - 180
    wide = east * math.cos(math.radians((latitude + spot.latitude) / 2))
    return math.hypot(spot.latitude - latitude, wide) * _KM_PER_DEGREE


def holds(area: Area, spot: Spot) -> bool:
    """Whether ``spot`` lies in ``area``; what is not known to lie there does not."""
    if area.latitude is not None and area.longitude is not None:
        return km_between(area.latitude, area.longitude, spot) <= area.radius_km
    return bool({spot.prefecture, spot.municipality} & set(area.codes))


def holding(events: MassEvents, spot: Spot) -> MassEvent | None:
    """The mass event in force at ``spot``; of several, the one that was declared first."""
    found = [each for each in events.in_force if holds(each.area, spot)]
    return min(found, key=lambda each: (each.since, each.mass_event), default=None)


def check_area(area: Area) -> None:
    """``Refused`` where it is none."""
    circle = area.latitude is not None and area.longitude is not None
    if circle is bool(area.codes) or (area.latitude is None) is not (area.longitude is None):
        raise Refused("the area is a circle, or prefectures and municipalities")
    if circle and not 1 <= area.radius_km <= WIDEST_KM:
        raise Refused(f"the radius is between 1 and {WIDEST_KM} km")
    if len(area.codes) > MOST_CODES:
        raise Refused(f"an area has at most {MOST_CODES} codes: name prefectures instead of municipalities")
    for code in area.codes:
        if not CODE.fullmatch(code):
            raise Refused(f"{code} is no prefecture (JP-13) and no municipality (13101)")


# --- what may be wanted ---


class Order(Struct, frozen=True, kw_only=True):
    """Something that is wanted of the mass events."""


class Propose(Order, frozen=True, kw_only=True):
    mass_event: MassEventId
    area: Area
    """A circle."""
    spot: Spot
    """Its middle."""
    emergencies: int
    tenants: int
    within_s: int


class RunOut(Order, frozen=True, kw_only=True):
    """Its time has passed."""

    mass_event: MassEventId


class AskTelling(Order, frozen=True, kw_only=True):
    mass_event: MassEventId
    agency: AgencyId
    place: str
    incident: IncidentId


class Decide(Order, frozen=True, kw_only=True):
    """A supervisor's; who that is comes from the log-in."""

    mass_event: MassEventId
    operator: OperatorId
    seen: int
    """``MassEvents.decisions`` as the supervisor's desk has them."""
    words: str = ""


class Declare(Decide, frozen=True, kw_only=True):
    """Declare one; with the id of one that is proposed, confirm that."""

    name: str
    area: Area
    until: datetime


class Change(Decide, frozen=True, kw_only=True):
    """It goes on until then, there, under that name."""

    name: str
    area: Area
    until: datetime


class End(Decide, frozen=True, kw_only=True):
    pass


class Dismiss(Decide, frozen=True, kw_only=True):
    pass


class AnswerTelling(Order, frozen=True, kw_only=True):
    mass_event: MassEventId
    operator: OperatorId
    agency: AgencyId
    place: str
    was: HowToTell | None
    """The answer until now, as the supervisor's desk has it."""
    how: HowToTell
    every_min: int = 0


Decision = tuple[e.Draft, ...]

LIST_EVERY_MIN = (1, 120)
"""Least and most between two lists."""


def decide(events: MassEvents, order: Order, *, now: datetime) -> Decision:
    """The events that ``order`` leads to; none when it is already so.  ``Refused`` when it may not happen."""
    if isinstance(order, Decide):
        _check_seen(events, order)
    return _DECIDERS[type(order)](events, order, now)


def _check_seen(events: MassEvents, order: Decide) -> None:
    if order.seen != events.decisions:
        raise Refused(f"{events.decided_by} has decided about mass events meanwhile: look at that first")


def _propose(events: MassEvents, order: Propose, now: datetime) -> Decision:
    """Nothing where one stands already, or a supervisor said lately that there is none."""
    quiet = [over.area for over in events.over if now - over.at < QUIET]
    known = [*quiet, *(each.area for each in events.events)]
    if len(events.events) >= AT_ONCE or any(holds(area, order.spot) for area in known):
        return ()
    proposed = e.MassEventProposed(
        mass_event=order.mass_event,
        area=order.area,
        emergencies=order.emergencies,
        tenants=order.tenants,
        within_s=order.within_s,
    )
    return (e.Draft(event=proposed),)


def _declare(events: MassEvents, order: Declare, now: datetime) -> Decision:
    _check_whole(order, now)
    known = events.get(order.mass_event)
    if known is not None and known.in_force:
        raise Refused(f"{known.operator} has declared it already: change it")
    if len(events.in_force) >= AT_ONCE:
        raise Refused(f"{AT_ONCE} mass events are in force: widen or end one")
    declared = e.MassEventDeclared(
        mass_event=order.mass_event, operator=order.operator, area=order.area, until=order.until
    )
    return (e.Draft(event=declared, parts=_said(order.words, order.name)),)


def _check_whole(order: Declare | Change, now: datetime) -> None:
    check_area(order.area)
    if not order.name.strip():
        raise Refused("a mass event needs a name, by which everybody speaks of it")
    if not now < order.until <= now + LONGEST:
        raise Refused("somebody has to say again whether it goes on, within 24 hours")


def _in_force(events: MassEvents, mass_event: MassEventId) -> MassEvent:
    known = events.get(mass_event)
    if known is None or not known.in_force:
        raise Refused("this mass event is not in force")
    return known


def _change(events: MassEvents, order: Change, now: datetime) -> Decision:
    _check_whole(order, now)
    _in_force(events, order.mass_event)
    changed = e.MassEventChanged(
        mass_event=order.mass_event, operator=order.operator, area=order.area, until=order.until
    )
    return (e.Draft(event=changed, parts=_said(order.words, order.name)),)


def _end(events: MassEvents, order: End, _: datetime) -> Decision:
    _in_force(events, order.mass_event)
    ended = e.MassEventEnded(mass_event=order.mass_event, operator=order.operator)
    return (e.Draft(event=ended, parts=_said(order.words)),)


def _dismiss(events: MassEvents, order: Dismiss, _: datetime) -> Decision:
    known = events.get(order.mass_event)
    if known is None or known.in_force:
        raise Refused("no such mass event is proposed")
    dismissed = e.MassEventDismissed(mass_event=order.mass_event, operator=order.operator)
    return (e.Draft(event=dismissed, parts=_said(order.words)),)


def _run_out(events: MassEvents, order: RunOut, now: datetime) -> Decision:
    known = events.get(order.mass_event)
    if known is None or known.overdue or known.until is None or now < known.until:
        return ()
    return (e.Draft(event=e.MassEventOverdue(mass_event=order.mass_event)),)


def _ask(events: MassEvents, order: AskTelling, _: datetime) -> Decision:
    known = events.get(order.mass_event)
    if known is None or not known.in_force or known.telling(order.agency, order.place) is not None:
        return ()
    asked = e.MassTellingAsked(
        mass_event=order.mass_event, agency=order.agency, place=order.place, incident=order.incident
    )
    return (e.Draft(event=asked),)


def _answer(events: MassEvents, order: AnswerTelling, _: datetime) -> Decision:
    asked = _in_force(events, order.mass_event).telling(order.agency, order.place)
    if asked is None:
        raise Refused("nobody has been asked how this agency is told of this place")
    if asked.how is not order.was:
        raise Refused(f"{asked.operator} has answered meanwhile: {asked.how}")
    least, most = LIST_EVERY_MIN
    if order.how is HowToTell.LIST and not least <= order.every_min <= most:
        raise Refused(f"a list goes out every {least} to {most} minutes")
    answered = e.MassTellingAnswered(
        mass_event=order.mass_event,
        agency=order.agency,
        place=order.place,
        operator=order.operator,
        how=order.how,
        every_min=order.every_min if order.how is HowToTell.LIST else 0,
    )
    return (e.Draft(event=answered),)


def _said(words: str, name: str = "") -> dict[Category, bytes]:
    told = {key: text.strip() for key, text in (("name", name), ("words", words)) if text.strip()}
    return {Category.OBS: canonical(told)} if told else {}


_DECIDERS: Mapping[type[Order], Callable[[MassEvents, Any, datetime], Decision]] = MappingProxyType(
    {
        Propose: _propose,
        Declare: _declare,
        Change: _change,
        End: _end,
        Dismiss: _dismiss,
        RunOut: _run_out,
        AskTelling: _ask,
        AnswerTelling: _answer,
    }
)

# --- what has happened ---


def evolve(events: MassEvents, event: e.Event, *, at: datetime) -> MassEvents:
    """The mass events after ``event``."""
    now = replace(events, version=events.version + 1)
    match event:
        case e.MassEventProposed():
            made = MassEvent(
                mass_event=event.mass_event,
                area=event.area,
                since=at,
                emergencies=event.emergencies,
                tenants=event.tenants,
                within_s=event.within_s,
            )
            return replace(now, events=(*now.events, made))
        case e.MassEventDeclared():
            known = now.get(event.mass_event) or MassEvent(mass_event=event.mass_event, area=event.area, since=at)
            others = tuple(each for each in now.events if each.mass_event != event.mass_event)
            made = replace(
                known,
                area=event.area,
                since=at,
                until=event.until,
                operator=event.operator,
                words=now.version,
            )
            return _decided(replace(now, events=(*others, made)), event.operator)
        case e.MassEventChanged():
            changed = {"area": event.area, "until": event.until, "overdue": False, "words": now.version}
            return _decided(_changed(now, event.mass_event, **changed), event.operator)
        case e.MassEventEnded() | e.MassEventDismissed():
            return _decided(_over(now, event.mass_event, at), event.operator)
        case e.MassEventOverdue():
            return _changed(now, event.mass_event, overdue=True)
        case e.MassTellingAsked():
            asked = Telling(agency=event.agency, place=event.place, incident=event.incident, asked_at=at)
            before = tuple(
                each for known in now.events if known.mass_event == event.mass_event for each in known.tellings
            )
            return _changed(now, event.mass_event, tellings=(*before, asked))
        case e.MassTellingAnswered():
            return _answered(now, event, at)
    return now


def _decided(events: MassEvents, operator: OperatorId) -> MassEvents:
    return replace(events, decisions=events.decisions + 1, decided_by=operator)


def _changed(events: MassEvents, mass_event: MassEventId, **changes: Any) -> MassEvents:
    made = (replace(each, **changes) if each.mass_event == mass_event else each for each in events.events)
    return replace(events, events=tuple(made))


def _over(events: MassEvents, mass_event: MassEventId, at: datetime) -> MassEvents:
    gone = [Over(area=each.area, at=at) for each in events.events if each.mass_event == mass_event]
    kept = tuple(each for each in events.events if each.mass_event != mass_event)
    lately = tuple(each for each in (*events.over, *gone) if at - each.at < QUIET)
    return replace(events, events=kept, over=lately)


def _answered(events: MassEvents, event: e.MassTellingAnswered, at: datetime) -> MassEvents:
    known = events.get(event.mass_event)
    tellings = tuple(
        replace(each, how=event.how, every_min=event.every_min, operator=event.operator, answered_at=at)
        if (each.agency, each.place) == (event.agency, event.place)
        else each
        for each in (known.tellings if known else ())
    )
    return _changed(events, event.mass_event, tellings=tellings)
