"""A reception that keeps reports in memory: the twin of the journal for trials of the doors and of vehicles."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from sos.errors import Unknown
from sos.incident.commands import Command, OpenIncident
from sos.incident.events import Recorded
from sos.incident.lifecycle import decide, evolve
from sos.incident.model import EventId, Incident, IncidentId, TenantId, new_id
from sos.journal.journal import Done, Received


class Opened(Struct, frozen=True, kw_only=True):
    """One incident as it was opened."""

    incident: IncidentId
    command: OpenIncident
    tenant: TenantId
    receipt: bytes
    received_at: datetime
    sender: str = ""


class MemoryReception:
    """Each receipt opens one incident, however many ask at once; nothing outlives the process."""

    def __init__(self) -> None:
        self.opened: list[Opened] = []
        self.executed: list[tuple[IncidentId, Command]] = []
        """What was ordered besides opening, in order, and led to events."""
        self.failing: list[Exception] = []
        """Raised one by one, before anything is kept: the outages a trial wants."""
        self.failing_states: list[Exception] = []
        """The same for what is asked of an incident's state."""
        self.kept = asyncio.Event()
        self._by_receipt: dict[bytes, asyncio.Future[IncidentId]] = {}
        self._states: dict[IncidentId, Incident] = {}

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
        if self.failing:
            raise self.failing.pop(0)
        known = self._by_receipt.get(receipt)
        if known is not None:
            return Received(incident=await asyncio.shield(known), repeat=True, durability="committed")
        opening = self._by_receipt[receipt] = asyncio.get_running_loop().create_future()
        await asyncio.sleep(0)
        incident = incident or IncidentId(new_id())
        self.opened.append(
            Opened(
                incident=incident,
                command=command,
                tenant=tenant,
                receipt=receipt,
                received_at=received_at,
                sender=sender,
            )
        )
        self._write(Incident(id=incident, tenant=tenant), command, actor="vehicle", now=received_at)
        opening.set_result(incident)
        self.kept.set()
        return Received(incident=incident, repeat=False, durability="committed")

    async def opened_under(self, receipt: bytes) -> IncidentId | None:
        if self.failing_states:
            raise self.failing_states.pop(0)
        known = self._by_receipt.get(receipt)
        return None if known is None else await asyncio.shield(known)

    async def execute(
        self,
        incident: IncidentId,
        command: Command,
        *,
        actor: str,
        causation: str | None = None,
        receipt: bytes | None = None,
    ) -> Done:
        if self.failing:
            raise self.failing.pop(0)
        if receipt is not None and receipt in self._by_receipt:
            return Done(incident=self._states[await self._by_receipt[receipt]], recorded=())
        state = await self.state(incident)
        recorded = self._write(state, command, actor=actor, now=state.opened_at or self.opened[-1].received_at)
        if recorded:
            self.executed.append((incident, command))
        if receipt is not None and recorded:
            done = self._by_receipt[receipt] = asyncio.get_running_loop().create_future()
            done.set_result(incident)
        return Done(incident=self._states[incident], recorded=tuple(recorded))

    async def state(self, incident: IncidentId) -> Incident:
        if self.failing_states:
            raise self.failing_states.pop(0)
        try:
            return self._states[incident]
        except KeyError:
            raise Unknown("there is no such incident") from None

    @property
    def last(self) -> OpenIncident:
        return self.opened[-1].command

    def _write(self, state: Incident, command: Command, *, actor: str, now: datetime) -> Sequence[Recorded]:
        recorded: list[Recorded] = []
        for draft in decide(state, command, now=now):
            state = evolve(state, draft.event, at=now)
            recorded.append(
                Recorded(
                    id=EventId(new_id()),
                    stream=state.id,
                    tenant=state.tenant,
                    n=state.version,
                    at=now,
                    actor=actor,
                    causation=None,
                    event=draft.event,
                )
            )
        self._states[state.id] = state
        return recorded
