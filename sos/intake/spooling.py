"""A place for reports without a database: each is in the spool before it is acknowledged, and that is all.

What a door process falls back on: it asks no journal and opens no connection.  Reports that come at the same moment
share one write to the disk.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from sos.errors import Unavailable
from sos.incident.commands import Command, OpenIncident
from sos.incident.model import Incident, IncidentId, TenantId, new_id
from sos.journal.journal import Done, Received
from sos.journal.spool import Spool, Spooled


class SpoolReception:
    """``Reception`` on a spool alone.  ``Unavailable`` when the disk does not take a report either."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._coming: list[tuple[Spooled, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def open(
        self,
        command: OpenIncident,
        *,
        tenant: TenantId,
        receipt: bytes,
        received_at: datetime,
        sender: str = "",
        incident: IncidentId | None = None,
        told: bool = False,
    ) -> Received:
        if (waiting := self._spool.holds(receipt)) is not None:
            return self._waits(waiting, receipt)
        own = incident or IncidentId(new_id())
        spooled = Spooled(
            incident=own, tenant=tenant, receipt=receipt, received_at=received_at, command=command, sender=sender
        )
        await self._put(spooled)
        held = self._spool.holds(receipt) or own
        if held != own:
            return self._waits(held, receipt)
        return Received(incident=own, repeat=False, durability="spooled")

    def _waits(self, incident: IncidentId, receipt: bytes) -> Received:
        return Received(incident=incident, repeat=True, durability="spooled", digest=self._spool.digest(receipt))

    async def opened_under(self, receipt: bytes) -> IncidentId | None:
        waiting = self._spool.holds(receipt)
        if waiting is None:
            raise Unavailable("the journal is not asked here")
        return waiting

    async def execute(
        self,
        incident: IncidentId,
        command: Command,
        *,
        actor: str,
        causation: str | None = None,
        receipt: bytes | None = None,
    ) -> Done:
        raise Unavailable("the journal is not asked here")

    async def state(self, incident: IncidentId) -> Incident:
        raise Unavailable("the journal is not asked here")

    async def _put(self, spooled: Spooled) -> None:
        kept = asyncio.get_running_loop().create_future()
        self._coming.append((spooled, kept))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write(), name="door-spool")
        await kept

    async def _write(self) -> None:
        while self._coming:
            coming, self._coming = self._coming, []
            try:
                await self._spool.put([spooled for spooled, _ in coming])
            except Exception as failed:  # noqa: BLE001  whoever waits is told
                _settle([kept for _, kept in coming], failed)
            else:
                _settle([kept for _, kept in coming], None)


def _settle(waiting: Sequence[asyncio.Future[None]], failed: Exception | None) -> None:
    for kept in waiting:
        if kept.done():
            continue
        if failed is None:
            kept.set_result(None)
        else:
            kept.set_exception(failed)
