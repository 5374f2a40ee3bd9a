"""Hop 3: location -> candidates -> services -> agencies, as soon as the report is filed.

A reader.  It never refuses: without a position the plan names the default agencies and says so.  A plan is of one
position; a report that brings another one, or the same better known, makes a new plan, with words and grid of its own.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from geopy.distance import great_circle

from routing.boundaries import Match
from routing.categories import Category
from routing.kinds import NEEDED
from routing.plan import Before, Facts, Plan, Sources, plan_from
from routing.plan.place import TownPoints, Words, describe
from routing.services import Service
from sos.dispatch.whereabouts import OPERATOR, SAME_PLACE, VEHICLE, Known
from sos.incident import cards, emergency
from sos.incident.commands import NoticeMove, RecordPlan
from sos.incident.deadline import DeadlineName
from sos.incident.events import (
    CardAnswered,
    HelpEscalated,
    KindStated,
    MoveNoticed,
    MoveSettled,
    PlaceStated,
    PlanMade,
    Recorded,
    ReportFiled,
)
from sos.incident.model import AgencyId, Incident, IncidentId
from sos.incident.report import Crash, Location, Place, Planning, canonical
from sos.journal.journal import Journal

ACTOR = "system:planner"


_location = msgspec.json.Decoder(Location)
_crash = msgspec.json.Decoder(Crash)


class Planner:
    WANTS = (ReportFiled, PlaceStated, MoveSettled, KindStated, CardAnswered, HelpEscalated)

    def __init__(
        self,
        journal: Journal,
        sources: Sources,
        *,
        towns: TownPoints | None = None,
        prefectures: Mapping[str, tuple[str, str]] | None = None,
    ) -> None:
        """``prefectures``: ISO 3166-2 code to (Japanese, English) name, where the layer names municipalities only."""
        self._journal = journal
        self._sources = sources
        self._towns = towns
        self._names = {**(prefectures or {}), **(sources.layer.names if sources.layer is not None else {})}

    async def handle(self, batch: Sequence[Recorded]) -> None:
        """Those of one incident in their order, of several beside one another."""
        by_incident: dict[IncidentId, list[Recorded]] = {}
        for recorded in batch:
            if _of_interest(recorded):
                by_incident.setdefault(recorded.incident, []).append(recorded)
        await asyncio.gather(*map(self._follow, by_incident.values()))

    async def _follow(self, events: Sequence[Recorded]) -> None:
        for recorded in events:
            incident = await self._journal.state(recorded.incident)
            if not incident.planned:
                await self._first(recorded, incident)
            elif not await self._answered(recorded):
                await self._again(recorded, incident)

    async def _answered(self, recorded: Recorded) -> bool:
        """Whether this event was planned for before, in a run that ended before it could say so."""
        stream = await self._journal.store.stream(recorded.incident)
        return any(isinstance(each.event, PlanMade | MoveNoticed) and each.causation == recorded.id for each in stream)

    async def _first(self, filed: Recorded, incident: Incident) -> None:
        parts = await self._journal.parts_of(filed)
        location = _location.decode(parts[Category.LOC]) if Category.LOC in parts else Location()
        crash = _crash.decode(parts[Category.SEV]) if Category.SEV in parts else Crash()
        source = OPERATOR if isinstance(filed.event, PlaceStated) else VEHICLE
        command = self.plan(incident, location, crash=crash, at=filed.at, source=source)
        await self._journal.execute(filed.incident, command, actor=ACTOR, causation=filed.id)

    async def _again(self, news: Recorded, incident: Incident) -> None:
        """A plan for the place that holds after ``news``; the one that a person has stated no report overwrites.

        A report that says nothing new of the place, and of the kind something, makes a plan for the place in force.
        """
        parts = await self._journal.unseal(news.incident, (Category.LOC, Category.SEV))
        known = Known.of(parts, news)
        location, source = known.after(news)
        same_place = isinstance(news.event, SAME_PLACE)
        if location is None and isinstance(news.event, ReportFiled):
            location, source = known.in_force
            same_place = True
        if location is None:
            return
        command = self.plan(incident, location, crash=known.crash, at=news.at, before=known.place, source=source)
        if same_place:
            if await self._is_news(incident, command):
                command = msgspec.structs.replace(command, same_place=True, moved_m=None)
                await self._journal.execute(news.incident, command, actor=ACTOR, causation=news.id)
        elif known.holds_against(source, news):
            if command.moved_m is None:
                return
            noticed = NoticeMove(distance_m=command.moved_m)
            await self._journal.execute(news.incident, noticed, actor=ACTOR, causation=news.id)
        else:
            await self._journal.execute(news.incident, command, actor=ACTOR, causation=news.id)

    async def _is_news(self, incident: Incident, command: RecordPlan) -> bool:
        """Whether the plan for the place in force names others, or another kind of emergency, than the one before."""
        stream = await self._journal.store.stream(incident.id)
        last = next(each.event for each in reversed(stream) if isinstance(each.event, PlanMade))
        made = (command.kind, command.services, command.agencies)
        return made != (last.kind, last.services, last.agencies)

    def plan(
        self,
        incident: Incident,
        location: Location,
        *,
        crash: Crash | None = None,
        at: datetime | None = None,
        before: Place | None = None,
        source: str = VEHICLE,
    ) -> RecordPlan:
        """What is to be recorded for an incident at ``location``, reported ``at``; ``before``: the place until now."""
        facts = facts_of(incident, location, crash or Crash(), at=at)
        plan = plan_from(facts, self._sources)
        return RecordPlan(
            again=incident.planned,
            source=source,
            moved_m=moved_m(before, location, radius_m=plan.radius_m),
            prefecture=plan.prefecture,
            services=tuple(need.service for need in plan.services),
            agencies=tuple(AgencyId(agency) for agency in plan.agencies),
            reasons=plan.reasons,
            flags=plan.flags,
            border_m=plan.border_m,
            datasets=plan.datasets,
            kind=facts.kind,
            parts=self._place(location, plan, facts, source),
        )

    def _place(self, location: Location, plan: Plan, facts: Facts, source: str) -> dict[Category, bytes]:
        if plan.prefecture is None and location == Location():
            return {}
        words = self._words(plan, location, facts)
        place = Place(
            source=source,
            **{name: getattr(location, name) for name in Location.__struct_fields__},
            prefecture_name=self._name(plan.prefecture),
            border_distance_m=plan.border_m,
            runner_up=plan.runner_up,
            runner_up_name=self._name(plan.runner_up),
            municipality=plan.municipality,
            municipality_name=self._name(plan.municipality),
            aloud_ja=words.aloud_ja() if words else None,
            aloud_en=words.aloud_en() if words else None,
            mgrs=words.mgrs if words else None,
            plus_code=words.plus_code if words else None,
            planning=Planning(facts=facts, plan=plan),
        )
        return {Category.LOC: canonical(place)}

    def _words(self, plan: Plan, location: Location, facts: Facts) -> Words | None:
        """The place in words; None without a position of its own."""
        if location.latitude is None or location.longitude is None or plan.prefecture is None:
            return None
        found = plan.crossing is not None or "off_shore" in plan.flags or "at_sea" in plan.flags
        return describe(
            location.latitude,
            location.longitude,
            match=Match(plan.prefecture, "nearest" if found else "inside", 0.0, plan.municipality),
            names=self._names,
            towns=self._towns,
            road=plan.roads[0] if plan.roads else None,
            radius_m=facts.uncertainty_m,
            age_s=facts.fix_age_s,
        )

    def _name(self, code: str | None) -> str | None:
        """Japanese name of an area."""
        return self._names[code][0] if code in self._names else None


def _of_interest(recorded: Recorded) -> bool:
    """Whether a plan may follow; of all deadlines only that nobody in the vehicle answers."""
    event = recorded.event
    if isinstance(event, HelpEscalated):
        return event.rung == DeadlineName.NO_RESPONSE
    return isinstance(event, ReportFiled | MoveSettled | PlaceStated | KindStated | CardAnswered)


def _besides(incident: Incident) -> tuple[Service, ...]:
    """Who is needed whatever the kind: by what the vehicle says against a person, and by what was answered."""
    against = NEEDED[incident.kind_against] if incident.kind_against is not None else ()
    return tuple(dict.fromkeys((*against, *cards.needed(incident))))


LEAST_MOVE_M = 150.0
"""EN 15722: a position that can be trusted is within 150 m.  What lies nearer is the same place."""


def moved_m(before: Place | None, location: Location, *, radius_m: float) -> int | None:
    """How far ``location`` lies from the place before, to two digits, where that is more than both may be wrong.

    ``radius_m``: of the circle that the new plan was made for.
    """
    if before is None or before.latitude is None or before.longitude is None:
        return None
    if location.latitude is None or location.longitude is None:
        return None
    apart = float(great_circle((before.latitude, before.longitude), (location.latitude, location.longitude)).m)
    wrong = radius_m + (before.planning.plan.radius_m if before.planning is not None else 0.0)
    if apart <= max(LEAST_MOVE_M, wrong):
        return None
    step = 10.0 ** (math.floor(math.log10(apart)) - 1)
    return int(round(apart / step) * step)


def facts_of(incident: Incident, location: Location, crash: Crash, *, at: datetime | None) -> Facts:
    """What the plan needs of a report.

    The age of the fix counts to the crash, not to its arrival: a report that came late does not move the car.
    """
    age_s = None
    if location.timestamp is not None and crash.event_time is not None:
        age_s = max(0.0, (crash.event_time - location.timestamp).total_seconds())
    return Facts(
        latitude=location.latitude,
        longitude=location.longitude,
        trigger=incident.trigger,
        kind=emergency.planned_for(incident),
        besides=_besides(incident),
        heading=location.heading,
        uncertainty_m=location.horizontal_accuracy,
        trusted=location.trusted,
        fix_age_s=age_s,
        speed_kmh=crash.speed_before,
        recent=tuple(
            Before(latitude=fix.latitude, longitude=fix.longitude, age_s=fix.age_seconds) for fix in location.recent
        ),
        at=at,
    )
