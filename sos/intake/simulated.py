"""A reception that keeps reports in memory: the twin of the journal for trials of the door and of vehicles."""

import asyncio
from datetime import datetime

from msgspec import Struct

from sos.incident.commands import OpenIncident
from sos.incident.model import IncidentId, TenantId, new_id
from sos.journal.journal import Received


class Opened(Struct, frozen=True, kw_only=True):
    """One incident as it was opened."""

    incident: IncidentId
    command: OpenIncident
    tenant: TenantId
    receipt: bytes
    received_at: datetime


class MemoryReception:
    """Each receipt opens one incident, however many ask at once; nothing outlives the process."""

    def __init__(self) -> None:
        self.opened: list[Opened] = []
        self.failing: list[Exception] = []
        """Raised one by one, before anything is kept: the outages a trial wants."""
        self.kept = asyncio.Event()
        self._by_receipt: dict[bytes, asyncio.Future[IncidentId]] = {}

    async def open(self, command: OpenIncident, *, tenant: TenantId, receipt: bytes, received_at: datetime) -> Received:
        if self.failing:
            raise self.failing.pop(0)
        known = self._by_receipt.get(receipt)
        if known is not None:
            return Received(incident=await asyncio.shield(known), repeat=True, durability="committed")
        opening = self._by_receipt[receipt] = asyncio.get_running_loop().create_future()
        await asyncio.sleep(0)
        incident = IncidentId(new_id())
        self.opened.append(
            Opened(incident=incident, command=command, tenant=tenant, receipt=receipt, received_at=received_at)
        )
        opening.set_result(incident)
        self.kept.set()
        return Received(incident=incident, repeat=False, durability="committed")

    @property
    def last(self) -> OpenIncident:
        return self.opened[-1].command
