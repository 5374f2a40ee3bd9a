"""Hop 3: location -> candidates -> services -> agencies, as soon as the report is filed.

A reader.  It never refuses: without a position the plan names the default agencies and says so.
"""

import asyncio
from collections.abc import Sequence

import msgspec

from routing.boundaries import PrefectureLayer
from routing.categories import Category
from routing.directory import Directory
from routing.plan import Facts, Plan, PlanRules, make_plan
from sos.incident.commands import RecordPlan
from sos.incident.events import Recorded, ReportFiled
from sos.incident.model import AgencyId, Incident
from sos.incident.report import Location, Place, canonical
from sos.journal.journal import Journal

ACTOR = "system:planner"

_location = msgspec.json.Decoder(Location)


class Planner:
    def __init__(self, journal: Journal, *, layer: PrefectureLayer, directory: Directory, rules: PlanRules) -> None:
        self._journal = journal
        self._layer = layer
        self._directory = directory
        self._rules = rules

    async def handle(self, batch: Sequence[Recorded]) -> None:
        filed = [event for event in batch if isinstance(event.event, ReportFiled)]
        if filed:
            await asyncio.gather(*(self._plan(event) for event in filed))

    async def _plan(self, filed: Recorded) -> None:
        incident = await self._journal.state(filed.incident)
        if incident.planned:
            return
        parts = await self._journal.parts_of(filed)
        location = _location.decode(parts[Category.LOC]) if Category.LOC in parts else Location()
        command = self.plan(incident, location)
        await self._journal.execute(filed.incident, command, actor=ACTOR, answers=filed.id)

    def plan(self, incident: Incident, location: Location) -> RecordPlan:
        """What is to be recorded for an incident at ``location``."""
        facts = Facts(
            latitude=location.latitude,
            longitude=location.longitude,
            trigger=incident.trigger,
            heading=location.heading,
            uncertainty_m=location.horizontal_accuracy,
            trusted=location.trusted,
        )
        plan = make_plan(facts, layer=self._layer, directory=self._directory, rules=self._rules)
        return RecordPlan(
            prefecture=plan.prefecture,
            services=tuple(need.service for need in plan.services),
            agencies=tuple(AgencyId(agency) for agency in plan.agencies),
            reasons=plan.reasons,
            flags=plan.flags,
            border_m=plan.border_m,
            datasets=plan.datasets,
            parts=self._place(location, plan),
        )

    def _place(self, location: Location, plan: Plan) -> dict[Category, bytes]:
        if plan.prefecture is None:
            return {}
        place = Place(
            latitude=location.latitude,
            longitude=location.longitude,
            prefecture_name=self._layer.names[plan.prefecture][0],
            border_distance_m=plan.border_m,
            runner_up=plan.runner_up,
        )
        return {Category.LOC: canonical(place)}
