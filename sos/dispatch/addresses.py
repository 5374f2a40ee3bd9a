"""An address for the operator's screen, from the operator's own geocoder, where one is configured.

A reader of its own, so that nothing waits for it: the plan, the ringing and the telling go on without.  What the
geocoder does not know, or does not say in time, is not asked for again; our own data have named the place already.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import msgspec
import structlog

from routing.categories import Category
from routing.location import Known, plausible
from routing.position.geocode import Geocoder
from sos.clock import Clock
from sos.incident.commands import DescribePlace
from sos.incident.events import PlaceDescribed, Recorded, ReportFiled
from sos.incident.model import State
from sos.incident.report import Location, NamedPlace, canonical
from sos.journal.journal import Journal

log = structlog.get_logger(__name__)

ACTOR = "system:addresses"

FRESH = timedelta(minutes=10)
"""After a stop the reader catches up; nobody looks at the screen of an older report."""

AT_ONCE = 4
"""Questions under way: the geocoder may be one small machine."""

_location = msgspec.json.Decoder(Location)


class Addresses:
    WANTS = (ReportFiled,)

    def __init__(self, journal: Journal, geocoder: Geocoder, *, clock: Clock) -> None:
        self._journal = journal
        self._geocoder = geocoder
        self._clock = clock
        self._few = asyncio.Semaphore(AT_ONCE)

    async def handle(self, batch: Sequence[Recorded]) -> None:
        filed = [event for event in batch if isinstance(event.event, ReportFiled) and event.event.located]
        fresh = [event for event in filed if self._clock.now() - event.at <= FRESH]
        await asyncio.gather(*(self._describe(event) for event in fresh))

    async def _describe(self, filed: Recorded) -> None:
        incident = await self._journal.state(filed.incident)
        if incident.state is State.CLOSED or await self._described(filed):
            return
        parts = await self._journal.parts_of(filed)
        location = _location.decode(parts[Category.LOC]) if Category.LOC in parts else Location()
        place = plausible(location.latitude, location.longitude)
        if not isinstance(place, Known):
            return
        async with self._few:
            seen = await self._geocoder.describe(place.position)
        if seen.address is None:
            log.info("place_not_described", incident=filed.incident, outcome=seen.outcome.value)
            return
        named = NamedPlace(address=seen.address.text, address_distance_m=round(seen.address.distance_m))
        command = DescribePlace(
            source=self._geocoder.kind,
            distance_m=round(seen.address.distance_m / 10.0) * 10,
            parts={Category.LOC: canonical(named)},
        )
        await self._journal.execute(filed.incident, command, actor=ACTOR, causation=filed.id)

    async def _described(self, filed: Recorded) -> bool:
        """Whether this report was described before, in a run that ended before it could say so."""
        stream = await self._journal.store.stream(filed.incident)
        return any(isinstance(each.event, PlaceDescribed) and each.causation == filed.id for each in stream)
