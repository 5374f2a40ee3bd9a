"""Hop 3: location -> candidates -> services -> agencies, as soon as the report is filed.

A reader.  It never refuses: without a position the plan names the default agencies and says so.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from routing.boundaries import Match
from routing.categories import Category
from routing.place import TownPoints, Words, describe
from routing.plan import Before, Facts, Plan, Sources, plan_from
from sos.incident.commands import RecordPlan
from sos.incident.events import Recorded, ReportFiled
from sos.incident.model import AgencyId, Incident
from sos.incident.report import Crash, Location, Place, Planning, canonical
from sos.journal.journal import Journal

ACTOR = "system:planner"

_location = msgspec.json.Decoder(Location)
_crash = msgspec.json.Decoder(Crash)


class Planner:
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
        filed = [event for event in batch if isinstance(event.event, ReportFiled)]
        if filed:
            await asyncio.gather(*(self._plan(event) for event in filed))

    async def _plan(self, filed: Recorded) -> None:
        incident = await self._journal.state(filed.incident)
        assert isinstance(filed.event, ReportFiled)
        if incident.planned and (incident.prefecture is not None or not filed.event.located):
            return
        parts = await self._journal.parts_of(filed)
        location = _location.decode(parts[Category.LOC]) if Category.LOC in parts else Location()
        crash = _crash.decode(parts[Category.SEV]) if Category.SEV in parts else Crash()
        command = self.plan(incident, location, crash=crash, at=filed.at)
        await self._journal.execute(filed.incident, command, actor=ACTOR, answers=filed.id)

    def plan(
        self, incident: Incident, location: Location, *, crash: Crash | None = None, at: datetime | None = None
    ) -> RecordPlan:
        """What is to be recorded for an incident at ``location``, reported ``at``."""
        facts = facts_of(incident, location, crash or Crash(), at=at)
        plan = plan_from(facts, self._sources)
        return RecordPlan(
            prefecture=plan.prefecture,
            services=tuple(need.service for need in plan.services),
            agencies=tuple(AgencyId(agency) for agency in plan.agencies),
            reasons=plan.reasons,
            flags=plan.flags,
            border_m=plan.border_m,
            datasets=plan.datasets,
            parts=self._place(location, plan, facts),
        )

    def _place(self, location: Location, plan: Plan, facts: Facts) -> dict[Category, bytes]:
        if plan.prefecture is None:
            return {}
        words = self._words(plan, location, facts)
        place = Place(
            latitude=location.latitude,
            longitude=location.longitude,
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
        if location.latitude is None or location.longitude is None:
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
