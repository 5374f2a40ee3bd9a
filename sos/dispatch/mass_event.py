"""Which incidents lie inside a mass event, and whether there seems to be one: a reader of plans and of declarations.

A plan says where an incident is.  Where a mass event is in force there, the incident is placed in it and takes its
place's turns; when one is declared or its area changed, everything that is open is looked at again.  Where none is
known, live emergencies are counted, and more of them around one place than the house is used to are *proposed* to its
supervisors.  What is a test, a drill, no plausible report or without a position counts for nothing.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
import structlog
from msgspec import Struct

from routing.categories import Category
from sos.errors import Refused
from sos.incident import mass_event as m
from sos.incident.commands import PlaceInMassEvent
from sos.incident.correlation import plausible
from sos.incident.events import MassEventChanged, MassEventDeclared, MassEventEnded, PlanMade, Recorded
from sos.incident.model import Area, Incident, IncidentId, MassEventId, Mode, State, TenantId, new_id
from sos.incident.report import Place
from sos.journal.journal import Journal
from sos.journal.mass_events import MassEventLedger

ACTOR = "system:mass-event"

OPEN = tuple(state for state in State if state is not State.CLOSED)

LOOKED_AT = 100_000
"""Open incidents that are looked at when a mass event is declared: more than any house has."""

IN_ONE_GO = 16
"""Incidents placed beside each other: they share commits, and others have their turns between."""

COUNTED = 2_000
"""Emergencies that are remembered while they are counted: by then something has been proposed."""

log = structlog.get_logger()

_place = msgspec.json.Decoder(Place)


class Unusual(Struct, frozen=True, kw_only=True):
    """When the house proposes a mass event; the settings' group ``mass_event``."""

    emergencies: int = 12
    within: timedelta = timedelta(minutes=10)
    radius_km: int = 20


class Seen(Struct, frozen=True, kw_only=True, gc=False):
    incident: IncidentId
    tenant: TenantId
    at: datetime
    spot: m.Spot


class Counted:
    """Emergencies of the last minutes, each once.  Pure but for its memory."""

    def __init__(self, unusual: Unusual) -> None:
        self._unusual = unusual
        self._seen: deque[Seen] = deque(maxlen=COUNTED)

    def count(self, seen: Seen, *, now: datetime) -> m.Propose | None:
        """What is to be proposed, now that this one has come too."""
        since = now - self._unusual.within
        self._seen = deque((each for each in self._seen if each.at >= since), maxlen=COUNTED)
        if seen.at < since:
            return None
        if not any(each.incident == seen.incident for each in self._seen):
            self._seen.append(seen)
        latitude, longitude = seen.spot.latitude, seen.spot.longitude
        if latitude is None or longitude is None:
            return None
        near = [each for each in self._seen if m.km_between(latitude, longitude, each.spot) <= self._unusual.radius_km]
        if len(near) < self._unusual.emergencies:
            return None
        area = Area(latitude=round(latitude, 2), longitude=round(longitude, 2), radius_km=self._unusual.radius_km)
        return m.Propose(
            mass_event=MassEventId(new_id()),
            area=area,
            spot=seen.spot,
            emergencies=len(near),
            tenants=len({each.tenant for each in near}),
            within_s=int(self._unusual.within.total_seconds()),
        )


class MassEventPlaces:
    WANTS = (PlanMade, MassEventDeclared, MassEventChanged, MassEventEnded)

    def __init__(self, journal: Journal, ledger: MassEventLedger, *, unusual: Unusual | None = None) -> None:
        self._journal = journal
        self._ledger = ledger
        self._counted = Counted(unusual or Unusual())
        self._recalled = False

    async def handle(self, batch: Sequence[Recorded]) -> None:
        for recorded in batch:
            match recorded.event:
                case PlanMade():
                    await self._planned(recorded)
                case MassEventDeclared() | MassEventChanged() | MassEventEnded():
                    await self._look_again()
                case _:
                    pass

    async def _planned(self, planned: Recorded) -> None:
        await self._recall()
        incident = await self._journal.state(planned.incident)
        if incident.mode is not Mode.LIVE:
            return
        spot = _spot((await self._journal.parts_of(planned)).get(Category.LOC), incident)
        await self._put(incident, spot)
        if m.holding(self._ledger.now, spot) is None:
            await self._count(incident, spot)

    async def _count(self, incident: Incident, spot: m.Spot) -> None:
        if incident.opened_at is None or not plausible(incident):
            return
        seen = Seen(incident=incident.id, tenant=incident.tenant, at=incident.opened_at, spot=spot)
        proposed = self._counted.count(seen, now=self._journal.clock.now())
        if proposed is not None and await self._ledger.execute(proposed, actor=ACTOR):
            log.warning("mass_event_proposed", emergencies=proposed.emergencies, tenants=proposed.tenants)

    async def _recall(self) -> None:
        """What came before a restart counts as before: of all that is open, what is new enough."""
        if self._recalled:
            return
        self._recalled = True
        _, waiting = await self._journal.queue(limit=COUNTED, states=OPEN)
        for incident in waiting:
            if incident.mode is Mode.LIVE and incident.opened_at is not None and plausible(incident):
                seen = Seen(
                    incident=incident.id,
                    tenant=incident.tenant,
                    at=incident.opened_at,
                    spot=await self._known(incident),
                )
                self._counted.count(seen, now=self._journal.clock.now())

    async def _look_again(self) -> None:
        """Another area holds from now on: whatever is open is where it belongs."""
        await self._ledger.load()
        _, waiting = await self._journal.queue(limit=LOOKED_AT, states=OPEN)
        live = [incident for incident in waiting if incident.mode is Mode.LIVE and incident.planned]
        for start in range(0, len(live), IN_ONE_GO):
            await asyncio.gather(*map(self._look_at, live[start : start + IN_ONE_GO]))

    async def _look_at(self, incident: Incident) -> None:
        await self._put(incident, await self._known(incident))

    async def _put(self, incident: Incident, spot: m.Spot) -> None:
        held = m.holding(self._ledger.now, spot)
        if held is None and incident.mass_event is None:
            return
        place = PlaceInMassEvent() if held is None else PlaceInMassEvent(mass_event=held.mass_event, place=spot.place)
        try:
            await self._journal.execute(incident.id, place, actor=ACTOR)
        except Refused as refused:  # closed meanwhile
            log.info("not_placed", incident=incident.id, reason=str(refused))

    async def _known(self, incident: Incident) -> m.Spot:
        """The position in force."""
        parts = await self._journal.unseal(incident.id, (Category.LOC,))
        plans = [part.payload for part in parts if isinstance(part.recorded.event, PlanMade)]
        return _spot(plans[-1] if plans else None, incident)


def _spot(part: bytes | None, incident: Incident) -> m.Spot:
    if part is None:
        return m.Spot(prefecture=incident.prefecture)
    place = _place.decode(part)
    return m.Spot(
        latitude=place.latitude,
        longitude=place.longitude,
        prefecture=incident.prefecture,
        municipality=place.municipality,
    )
