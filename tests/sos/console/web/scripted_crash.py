"""Several incidents of the scripted service as one crash, by the house's own rules."""

from collections.abc import Mapping
from typing import Any

import msgspec

from routing.services import Service
from sos.console.crash import CarOfCrash, CrashView, ToldOfCar
from sos.incident import commands as c
from sos.incident import linking
from sos.incident.model import AgencyId, CrashId, Disclosure, Incident, IncidentId, Share, ToldElsewhere, new_id

Orders = Mapping[IncidentId, tuple[c.Command, ...]]
Events = list[dict[str, Any]]


def linked(states: Mapping[IncidentId, Incident], one: str, other: str, share: str) -> Orders:
    crash = CrashId(new_id())
    with_it = Share(share)
    return linking.link(states, IncidentId(one), IncidentId(other), crash_id=crash, number="482193", share=with_it)


def told_beside(incident: Incident, disclosure: str, agency: str, service: str) -> Orders:
    """That an agency has been told of one car, for the incidents of the others."""
    told = ToldElsewhere(
        incident=incident.id, disclosure=disclosure, agency=agency, service=Service(service), version=1  # type: ignore[arg-type]
    )  # fmt: skip
    return {other: (c.RecordTold(told=told),) for other in linking.others(incident)}


def check_second(incident: Incident, order: Mapping[str, Any], service: str) -> None:
    """``Unconfirmed`` where this agency has heard of the crash from another car."""
    told = c.DecideDisclosure(
        disclosure="d", agency=AgencyId(order["agency"]), service=Service(service), rule="", ground="", law_version="",  # type: ignore[arg-type]
        clause="", necessity="", consent="", opt_out_overridden=False, sections={}, withheld=(), brief=b"",
        exercise_partner=True, confirmed=bool(order.get("confirmed")),
    )  # fmt: skip
    linking.warn_of_second(incident, told)


def view(states: Mapping[str, Incident], events: Events, report: Mapping[str, Any], incident: str) -> Any:
    """What the desk is told of all cars."""
    known = states[incident].linked
    assert known is not None
    shown = CrashView(
        crash_id=known.crash_id,
        number=known.number,
        vehicles=known.vehicles,
        occupants=3 * len(known.cars),
        unknown=0,
        cars=tuple(_car(states[car.incident], car.share, events, report) for car in known.cars),
    )
    return msgspec.to_builtins(shown)


def _car(state: Incident, share: Share, events: Events, report: Mapping[str, Any]) -> CarOfCrash:
    place, vehicle = report["LOC"], report["VEH"]
    return CarOfCrash(
        incident=state.id,
        tenant=state.tenant,
        share=share,
        state=state.state,
        trigger=state.trigger,
        operator=state.operator,
        disposition=state.disposition,
        opened=True,
        occupants=vehicle["occupants"],
        hazards=("highVoltage",),
        severe=None,
        latitude=place["latitude"],
        longitude=place["longitude"],
        accuracy_m=place["horizontalAccuracy"],
        trusted=place["trusted"],
        place="東京都",
        look=f"{vehicle['exteriorColor']} {vehicle['brand']} {vehicle['model']}",
        told=tuple(_told(state, told, events) for told in state.disclosures),
    )


def _told(state: Incident, told: Disclosure, events: Events) -> ToldOfCar:
    (decided,) = [
        each for each in events
        if each["kind"] == "DisclosureDecided" and each["data"]["disclosure"] == told.disclosure
    ]  # fmt: skip
    return ToldOfCar(
        agency=told.agency,
        service=told.service,
        disclosure=told.disclosure,
        version=told.brief_version,
        at=decided["at"],
        by=decided["actor"],
        superseded=told.superseded,
        reached=told.reached,
        rejected=told.rejected,
        knows=not linking.outdated(state, told),
    )
