"""Severity as an aid: the crash of a recognised vehicle judged by its brand's model, where the brand allows it.

A reader: ``VehicleRecognised`` and later facts -> ``SeverityJudged``.  For a brand whose policy says that no profiling
is done nothing is computed, kept or shown; the same while nobody can say.  It rings nobody, sends nobody and closes
nothing.
"""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from routing.brief.crash import Hazard, joined
from routing.categories import Category
from routing.severity import Facts, Impact, Level, judge, model
from sos.incident.commands import JudgeSeverity
from sos.incident.events import CardAnswered, DisclosureDecided, Event, Recorded, ReportFiled, VehicleRecognised
from sos.incident.model import Incident, IncidentId, State, TenantId
from sos.incident.report import Crash, canonical
from sos.journal.journal import Journal
from sos.registry.pack import BrandPack

ACTOR = "system:severity"

NO_ANSWER = frozenset({"no_answer", "unconscious"})
"""Codes by which an operator has said that nobody in the car answers."""

_SIDES: Mapping[str, Impact] = {
    "front": Impact.FRONT,
    "frontal": Impact.FRONT,
    "left": Impact.SIDE,
    "right": Impact.SIDE,
    "side": Impact.SIDE,
    "driverside": Impact.SIDE,
    "nondriverside": Impact.SIDE,
    "rear": Impact.REAR,
    "back": Impact.REAR,
}
_HEARD: Mapping[str, Hazard] = {
    "fire": Hazard.FIRE,
    "submersed": Hazard.WATER,
    "ejected": Hazard.EJECTED,
    "pedestrian": Hazard.PEDESTRIAN,
}
"""Facts of the models and rules that an answer can give."""

_ROLLED = frozenset({"DETECTED", "TRUE", "YES"})
_NOT_ROLLED = frozenset({"NONE", "FALSE", "NO"})


class Triage:
    WANTS = (VehicleRecognised, ReportFiled, CardAnswered, DisclosureDecided)

    def __init__(self, journal: Journal, packs: Callable[[TenantId], BrandPack | None]) -> None:
        self._journal = journal
        self._packs = packs

    async def handle(self, batch: Sequence[Recorded]) -> None:
        """Judge each incident once on the newest of ``batch``: a judgement takes in all that is known by then."""
        newest = {recorded.incident: recorded for recorded in batch if _tells(recorded.event)}
        if newest:
            await asyncio.gather(*(self._judge(recorded) for recorded in newest.values()))

    async def _judge(self, newest: Recorded) -> None:
        incident = await self._journal.state(newest.incident)
        pack = self._packs(incident.tenant)
        if incident.profiling is not True or pack is None or not pack.profiling or incident.state is State.CLOSED:
            return
        facts = _with_answers(await self._facts(newest.incident), incident)
        judged = judge(facts, by=pack.severity.model, cuts=pack.severity.cuts)
        command = JudgeSeverity(
            judged_by=judged.chosen,
            coefficients=model(judged.chosen).digest,
            scored=judged.score is not None,
            report=newest.n,
            severe=judged.level is Level.SEVERE,
            judgement=canonical({"prediction": judged}),
        )
        await self._journal.execute(newest.incident, command, actor=ACTOR, causation=newest.id)

    async def _facts(self, incident: IncidentId) -> Facts:
        """What all reports so far say together, the later over the earlier."""
        told: dict[str, Any] = {}
        for part in await self._journal.unseal(incident, (Category.SEV,)):
            if isinstance(part.recorded.event, ReportFiled):
                told = joined(told, msgspec.json.decode(part.payload, type=dict[str, Any]))
        silent = any(
            isinstance(recorded.event, DisclosureDecided) and recorded.event.consent in NO_ANSWER
            for recorded in await self._journal.store.stream(incident)
        )
        return facts_of(msgspec.convert(told, Crash), answers=False if silent else None)


def _tells(event: Event) -> bool:
    """Whether ``event`` may change what is known of the crash."""
    match event:
        case VehicleRecognised(profiling=True) | ReportFiled() | CardAnswered():
            return True
        case DisclosureDecided(consent=consent):
            return consent in NO_ANSWER
        case _:
            return False


def _with_answers(facts: Facts, incident: Incident) -> Facts:
    """With what was answered on the call; an answer denies nothing that the vehicle reports."""
    heard = {ground for each in incident.heard for ground in each.urgent}
    seen = {name: True for name, hazard in _HEARD.items() if hazard in heard}
    return msgspec.structs.replace(facts, **seen)


def facts_of(crash: Crash, *, answers: bool | None = None) -> Facts:
    """What of a reported crash the models and rules can use; what is no usable value is unknown."""
    known = [abs(each) for each in (crash.delta_v_x, crash.delta_v_y) if each is not None and math.isfinite(each)]
    whole = crash.delta_v if crash.delta_v is not None and math.isfinite(crash.delta_v) else None
    limit = crash.delta_v_limit
    saturated = limit is not None and any(each >= abs(limit) for each in known)
    return Facts(
        delta_v_kmh=math.hypot(*known) if known else None if whole is None else abs(whole),
        delta_v_partial=saturated or len(known) == 1,
        impact=_SIDES.get((crash.impact or "").lower()) or _by_clock(crash.principal_direction_clock),
        rollover=_rolled(crash.rollover),
        airbag_deployed=crash.airbag_deployed,
        answers=answers,
        fire=crash.fire,
        submersed=crash.submersed,
        ejected=crash.ejected,
        pedestrian=crash.pedestrian,
    )


def _by_clock(hour: int | None) -> Impact | None:
    """Principal direction of force: 12 is straight ahead (SAE J224)."""
    if hour is None or not 1 <= hour <= 12:
        return None
    if hour in (11, 12, 1):
        return Impact.FRONT
    return Impact.REAR if hour in (5, 6, 7) else Impact.SIDE


def _rolled(told: str | None) -> bool | None:
    word = (told or "").upper()
    if word in _ROLLED:
        return True
    return False if word in _NOT_ROLLED else None
