"""One crash at the desk: all of its cars beside each other, and who has been told of which, by whom and when.

Every car's facts are its own; they stand beside each other and are added up nowhere but in the count of people.  What
is opened for it is on record in each incident, as when it is opened by itself; of a closed one the headers alone show.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from routing.brief.crash import crash_facts
from routing.categories import Category
from routing.services import Service
from sos.clock import timestamp
from sos.console.window import Window
from sos.errors import Refused
from sos.incident import linking
from sos.incident.access import Purpose
from sos.incident.events import DisclosureDecided, Recorded
from sos.incident.model import (
    Acknowledgement,
    AgencyId,
    Car,
    Disclosure,
    DisclosureId,
    Disposition,
    Incident,
    IncidentId,
    OperatorId,
    Share,
    State,
    TenantId,
    Trigger,
)
from sos.journal.sections import sections

SEEN = (Category.LOC, Category.VEH, Category.SEV)
"""What is seen of each car beside the others."""


class ToldOfCar(Struct, frozen=True, kw_only=True):
    """One brief that an agency was sent of one car."""

    agency: AgencyId
    service: Service
    disclosure: DisclosureId
    version: int
    at: str
    by: str
    """Who decided: ``operator:<id>``, or a part of the house."""
    superseded: bool
    reached: Acknowledgement | None
    rejected: str | None
    knows: bool
    """Whether the agency knows the crash as it is now, by this brief or another."""


class CarOfCrash(Struct, frozen=True, kw_only=True):
    incident: IncidentId
    tenant: TenantId
    share: Share
    state: State
    trigger: Trigger
    operator: OperatorId | None
    disposition: Disposition | None
    opened: bool
    """False: what is known of the car is not shown, since its incident is closed."""
    occupants: int | None
    hazards: tuple[str, ...]
    severe: bool | None
    """The sender's verdict."""
    latitude: float | None
    longitude: float | None
    accuracy_m: float | None
    trusted: bool | None
    place: str
    look: str
    told: tuple[ToldOfCar, ...]


class CrashView(Struct, frozen=True, kw_only=True):
    crash_id: str
    number: str
    vehicles: int
    occupants: int | None
    """In all vehicles of which it is known."""
    unknown: int
    """Vehicles of which nobody knows how many are in them."""
    cars: tuple[CarOfCrash, ...]


async def view(window: Window, incident: IncidentId, *, anew: bool) -> CrashView:
    """The crash of ``incident``.  ``anew``: each car's opening is written down although this desk had opened it.

    ``Refused`` where it is a crash by itself.
    """
    linked = (await window.state(incident)).linked
    if linked is None:
        raise Refused("this is a crash by itself: link it with another first")
    cars = [await _car(window, car, anew=anew) for car in linked.cars]
    people = [car.occupants for car in cars if car.share is Share.VEHICLE]
    known = [number for number in people if number is not None]
    return CrashView(
        crash_id=linked.crash_id,
        number=linked.number,
        vehicles=linked.vehicles,
        occupants=sum(known) if known else None,
        unknown=len(people) - len(known),
        cars=tuple(cars),
    )


async def _car(window: Window, car: Car, *, anew: bool) -> CarOfCrash:
    state = await window.state(car.incident)
    known = await _known(window, car.incident, anew=anew)
    place, vehicle, crash = (dict((known or {}).get(category, {})) for category in SEEN)
    facts = crash_facts(crash, vehicle)
    people = vehicle.get("occupants")
    return CarOfCrash(
        incident=car.incident,
        tenant=state.tenant,
        share=car.share,
        state=state.state,
        trigger=state.trigger,
        operator=state.operator,
        disposition=state.disposition,
        opened=known is not None,
        occupants=people if isinstance(people, int) and not isinstance(people, bool) else None,
        hazards=tuple(facts.hazards),
        severe=facts.sender_severe,
        latitude=place.get("latitude"),
        longitude=place.get("longitude"),
        accuracy_m=place.get("horizontalAccuracy"),
        trusted=place.get("trusted"),
        place=next((str(place[name]) for name in _PLACE if place.get(name)), ""),
        look=" ".join(str(vehicle[name]) for name in ("exteriorColor", "brand", "model") if vehicle.get(name)),
        told=_told(state, await window.room.journal.store.stream(car.incident)),
    )


_PLACE = ("stated", "address", "municipalityName", "prefectureName")


async def _known(window: Window, incident: IncidentId, *, anew: bool) -> Mapping[Category, dict[str, Any]] | None:
    """What is known of one car, by category; None where it may not be opened for this."""
    read = window.room.journal.read
    try:
        contents = await read(incident, SEEN, reader=window.actor, purpose=Purpose.EMERGENCY, each_time=anew)
    except Refused:
        return None
    return {category: msgspec.json.decode(section) for category, section in sections(contents.parts).items()}


def _told(state: Incident, stream: Sequence[Recorded]) -> tuple[ToldOfCar, ...]:
    decided = {each.event.disclosure: each for each in stream if isinstance(each.event, DisclosureDecided)}
    return tuple(_telling(state, told, decided[told.disclosure]) for told in state.disclosures)


def _telling(state: Incident, told: Disclosure, decided: Recorded) -> ToldOfCar:
    return ToldOfCar(
        agency=told.agency,
        service=told.service,
        disclosure=told.disclosure,
        version=told.brief_version,
        at=timestamp(decided.at),
        by=decided.actor,
        superseded=told.superseded,
        reached=told.reached,
        rejected=told.rejected,
        knows=not linking.outdated(state, told),
    )
