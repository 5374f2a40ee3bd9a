"""What a brief says of the other cars of a crash: how many, under which number, and what the agency has heard of them.

Counts alone leave here.  What is known of another car is told in a brief of its own, by a decision of its own; from
one brand's record nobody learns of another brand's car more than that it was there.  What cannot be found out in time
is left unsaid: a rescue does not wait for it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
import structlog
from msgspec import Struct

from routing.brief import Before, OneCrash
from routing.categories import Category
from sos.errors import SosError
from sos.incident import linking
from sos.incident.events import DisclosureDecided
from sos.incident.model import (
    AgencyId,
    Car,
    ConsentAnswer,
    DisclosureId,
    Incident,
    IncidentId,
    Linked,
    Share,
)
from sos.journal.journal import Journal
from sos.journal.sections import sections

LOOKS_FOR_S = 2.0
"""How long a decision waits for what is known of the other cars."""

SAID_OF_A_NUMBER = 4
"""Characters of an incident's number that are read out with a brief."""

log = structlog.get_logger()


class OfTheCrash(Struct, frozen=True, kw_only=True):
    """What one agency is told of the crash beside this car."""

    one_crash: OneCrash | None = None
    maybe: tuple[Before, ...] = ()
    joined: tuple[IncidentId, ...] = ()
    again: tuple[DisclosureId, ...] = ()
    maybe_with: tuple[IncidentId, ...] = ()


class Crashes:
    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def of(self, state: Incident, agency: AgencyId, *, vehicles: bool) -> OfTheCrash:
        """``vehicles``: whether the agency may be told of vehicles, and so how many people are in them."""
        maybe = await self._maybe(state, agency)
        found = OfTheCrash(maybe=tuple(maybe.values()), maybe_with=tuple(maybe))
        linked = state.linked
        if linked is None:
            return found
        told = [known for known in linked.told if known.agency == agency]
        before = [await self._before(known.incident, known.disclosure) for known in told]
        people = await self._people(linked) if vehicles else []
        known_people = [number for number in people if number is not None]
        return msgspec.structs.replace(
            found,
            one_crash=OneCrash(
                number=linked.number,
                vehicles=linked.vehicles,
                occupants=sum(known_people) if known_people else None,
                unknown=linked.vehicles - len(known_people),
                before=tuple(before),
            ),
            joined=linking.others(state),
            again=tuple(known.disclosure for known in told),
        )

    async def _maybe(self, state: Incident, agency: AgencyId) -> Mapping[IncidentId, Before]:
        """What ``agency`` has been told of incidents that may be this crash."""
        found: dict[IncidentId, Before] = {}
        for other in linking.maybe(state):
            there = await self._state(other)
            told = [known for known in there.disclosures if known.agency == agency] if there else []
            if there is not None and told and told[-1].rejected is None:
                found[other] = await self._before(other, told[-1].disclosure)
        return found

    async def _before(self, incident: IncidentId, disclosure: DisclosureId) -> Before:
        at = await self._decided_at(incident, disclosure)
        return Before(disclosure=disclosure, tail=incident[-SAID_OF_A_NUMBER:], at=at)

    async def _decided_at(self, incident: IncidentId, disclosure: DisclosureId) -> datetime | None:
        try:
            async with asyncio.timeout(LOOKS_FOR_S):
                stream = await self._journal.store.stream(incident)
        except (SosError, TimeoutError) as away:
            log.warning("linked_telling_unread", incident=incident, error=type(away).__name__)
            return None
        decisions = ((each.at, each.event) for each in stream if isinstance(each.event, DisclosureDecided))
        return next((at for at, event in decisions if event.disclosure == disclosure), None)

    async def _people(self, linked: Linked) -> Sequence[int | None]:
        """How many are in each vehicle, by what any incident of that vehicle knows; None: nobody knows."""
        by_vehicle: dict[IncidentId, int | None] = {
            car.incident: None for car in linked.cars if car.share is Share.VEHICLE
        }
        for car in linked.cars:
            vehicle = car.of or car.incident
            if vehicle in by_vehicle and by_vehicle[vehicle] is None:
                by_vehicle[vehicle] = await self._people_in(car)
        return tuple(by_vehicle.values())

    async def _people_in(self, car: Car) -> int | None:
        state = await self._state(car.incident)
        if state is None or (state.consent is not None and state.consent.answer is ConsentAnswer.REFUSED):
            return None
        try:
            async with asyncio.timeout(LOOKS_FOR_S):
                parts = await self._journal.unseal(car.incident, (Category.VEH,))
        except (SosError, TimeoutError) as away:
            log.warning("linked_vehicle_unread", incident=car.incident, error=type(away).__name__)
            return None
        known = sections(parts).get(Category.VEH)
        people = msgspec.json.decode(known).get("occupants") if known else None
        return people if isinstance(people, int) and not isinstance(people, bool) and people >= 0 else None

    async def _state(self, incident: IncidentId) -> Incident | None:
        try:
            async with asyncio.timeout(LOOKS_FOR_S):
                return await self._journal.state(incident)
        except (SosError, TimeoutError) as away:
            log.warning("linked_incident_unread", incident=incident, error=type(away).__name__)
            return None
