"""Hop 3, beside the plan: as soon as a report is filed, the registry says how the vehicle stands.

A reader: ``ReportFiled`` -> ``VehicleRecognised``.  Whatever it finds, the call is answered by a person; what it finds
stands on their screen.  A test call that has passed clears the warning of a car whose data had been stopped.
"""

import asyncio
from collections.abc import Sequence

import msgspec
import structlog

from routing.categories import Category
from sos.errors import KeyLost, Malformed, Refused
from sos.incident.commands import RecogniseVehicle
from sos.incident.events import NO_PARTS, ReceiptIssued, Recorded, ReportFiled
from sos.incident.model import Incident, State, SubjectId, TenantId
from sos.incident.report import Vehicle as Reported
from sos.incident.report import canonical
from sos.journal.journal import Journal
from sos.registry.lifecycle import Role
from sos.registry.model import Flag, Standing, VehicleKey
from sos.registry.orders import PassTestCall
from sos.registry.registry import By, Registry

log = structlog.get_logger()

ACTOR = "system:registry"

_reported = msgspec.json.Decoder(Reported)


class Recogniser:
    WANTS = (ReportFiled, ReceiptIssued)

    def __init__(self, journal: Journal, registry: Registry) -> None:
        self._journal = journal
        self._registry = registry

    async def handle(self, batch: Sequence[Recorded]) -> None:
        """Those of one incident in their order, of several beside one another."""
        by_incident: dict[str, list[Recorded]] = {}
        for recorded in batch:
            if isinstance(recorded.event, ReportFiled | ReceiptIssued):
                by_incident.setdefault(recorded.incident, []).append(recorded)
        if by_incident:
            await asyncio.gather(*(self._follow(events) for events in by_incident.values()))

    async def _follow(self, events: Sequence[Recorded]) -> None:
        for recorded in events:
            if isinstance(recorded.event, ReportFiled):
                await self._recognise(recorded)
            elif isinstance(recorded.event, ReceiptIssued) and recorded.event.passed:
                await self._tested(recorded)

    async def _recognise(self, filed: Recorded) -> None:
        incident = await self._journal.state(filed.incident)
        if incident.state is State.CLOSED:  # long over: this reader is new here, or was away
            return
        parts = await self._journal.parts_of(filed)
        if Category.VEH not in parts and incident.registry_flags is not None:
            return  # an update that says nothing of the vehicle takes nothing back
        reported = _reported.decode(parts[Category.VEH]) if Category.VEH in parts else Reported()
        keys = keys_of(reported)
        standing = await self._registry.standing(keys, tenant=incident.tenant, at=filed.at)
        command = await self._command(incident, standing)
        await self._journal.execute(filed.incident, command, actor=ACTOR, causation=filed.id)

    async def _command(self, incident: Incident, standing: Standing) -> RecogniseVehicle:
        return RecogniseVehicle(
            flags=tuple(str(flag) for flag in standing.flags),
            pack=standing.pack,
            entitlement=standing.entitlement,
            opt_out=standing.opt_out,
            profiling=standing.profiling,
            call_back_window_s=round(standing.call_back_window.total_seconds()),
            record=standing.vehicle,
            holder=standing.subscriber,
            clauses=standing.clauses,
            parts=NO_PARTS
            if standing.subscriber is None or incident.record == standing.vehicle
            else await self._owner(standing.subscriber, incident),
        )

    async def _owner(self, subscriber: SubjectId, incident: Incident) -> dict[Category, bytes]:
        """Name, number and language of the contract's holder, for those who look for the people in the car.

        Case data is a copy: what the registry holds stays apart, with keys and a period of its own.
        """
        by = _house(incident.tenant)
        purpose = f"emergency:{incident.id}"
        try:
            held = await self._registry.personal(subscriber, (Category.OWN, Category.TEL), by=by, purpose=purpose)
        except (Refused, KeyLost) as refused:
            log.info("owner_not_shown", incident=incident.id, reason=str(refused))
            return {}
        told = {
            "ownerName": held.get(Category.OWN, {}).get("name"),
            "ownerTel": held.get(Category.TEL, {}).get("phone"),
        }
        known = {name: value for name, value in told.items() if value}
        language = held.get(Category.TEL, {}).get("language")
        spoken = {Category.TEL: canonical({"registeredLanguage": language})} if language else {}
        return ({Category.OWN: canonical(known)} if known else {}) | spoken

    async def _tested(self, receipt: Recorded) -> None:
        incident = await self._journal.state(receipt.incident)
        if incident.record is None or Flag.RESUMED_UNTESTED not in (incident.registry_flags or ()):
            return
        order = PassTestCall(incident=receipt.incident)
        await self._registry.change_vehicle(SubjectId(incident.record), order, by=_house(incident.tenant))


def keys_of(reported: Reported) -> tuple[VehicleKey, ...]:
    """The names a report gives its vehicle, the surest first; what can be no name is left out."""
    named = ((reported.id_scheme or "", reported.id_value or ""), ("plate", reported.license_plate or ""))
    keys: list[VehicleKey] = []
    for scheme, value in named:
        try:
            keys.append(VehicleKey.of(scheme, value))
        except Malformed:
            continue
    return tuple(keys)


def _house(tenant: TenantId) -> By:
    return By(tenant=tenant, role=Role.SYSTEM, id="registry")
