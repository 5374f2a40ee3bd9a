"""What goes to one agency of one mass event at the same time goes as one message, where a channel can carry a list.

Above the channel and below the hand-off.  Each incident keeps its own delivery, its own outcome in the journal and its
own ladder: a list that fails has failed for each of its incidents, and each goes on by itself.  One that is alone goes
as it always does.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Protocol

import structlog
from msgspec import Struct

from routing.brief import read
from routing.brief.mass_list import MassList, Row, Standing, in_order, render_list
from sos.clock import Clock
from sos.dispatch.port import AgencyChannel, Parcel, Receipt
from sos.errors import SosError
from sos.incident.model import AgencyId, DisclosureId, MassEventId

GATHER = timedelta(seconds=2)
"""How long the first of a list waits for others.  What a supervisor lets go leaves within that time; a mail needs
longer by itself."""

MOST = 40
"""Incidents in one message: a sheet each, about 50 kB."""

Key = tuple[AgencyId, MassEventId]
VersionOf = Callable[[AgencyId, MassEventId], Awaitable[int]]

log = structlog.get_logger()


class Listed(Struct, frozen=True, kw_only=True):
    """Several parcels for one agency, and what is said of them together."""

    parcels: tuple[Parcel, ...]
    """The worst first."""
    mass_event: MassEventId
    text: str
    """Japanese, then English; made of the briefs of the parcels alone."""


class ListChannel(AgencyChannel, Protocol):
    """A channel that can carry a list as well."""

    async def deliver_list(self, listed: Listed) -> Mapping[DisclosureId, Receipt]:
        """Deliver all of it once, as one message.  ``Unavailable`` when none of it is there."""
        ...


class Batch:
    def __init__(self) -> None:
        self.parcels: dict[DisclosureId, Parcel] = {}
        self.sent: asyncio.Task[Mapping[DisclosureId, Receipt]] | None = None


class Bundles:
    """``AgencyChannel`` around one that can carry lists."""

    def __init__(self, channel: ListChannel, *, version: VersionOf, clock: Clock) -> None:
        self.name = channel.name
        self._channel = channel
        self._version = version
        self._clock = clock
        self._gathering: dict[Key, Batch] = {}

    async def find(self, parcel: Parcel) -> Receipt | None:
        return await self._channel.find(parcel)

    async def deliver(self, parcel: Parcel) -> Receipt:
        if parcel.listed is None:
            return await self._channel.deliver(parcel)
        batch = self._batch((parcel.agency, parcel.listed))
        batch.parcels[parcel.disclosure] = parcel
        assert batch.sent is not None
        receipts = await asyncio.shield(batch.sent)  # the others of the list do not end with this one
        return receipts[parcel.disclosure]

    def _batch(self, key: Key) -> Batch:
        batch = self._gathering.get(key)
        if batch is None or len(batch.parcels) >= MOST:
            batch = self._gathering[key] = Batch()
            batch.sent = asyncio.create_task(self._send(key, batch), name="mass-list")
        return batch

    async def _send(self, key: Key, batch: Batch) -> Mapping[DisclosureId, Receipt]:
        await self._clock.wait(GATHER)
        if self._gathering.get(key) is batch:
            del self._gathering[key]
        parcels = tuple(batch.parcels.values())
        if len(parcels) == 1:
            return {parcels[0].disclosure: await self._channel.deliver(parcels[0])}
        made = list_of(parcels, version=await self._known(key))
        order = {row.disclosure: place for place, row in enumerate(made.rows)}
        ordered = tuple(sorted(parcels, key=lambda parcel: order[parcel.disclosure]))
        text = f"{render_list(made, 'ja')}\n{render_list(made, 'en')}"
        return await self._channel.deliver_list(Listed(parcels=ordered, mass_event=key[1], text=text))

    async def _known(self, key: Key) -> int:
        """The list leaves without its number rather than late."""
        try:
            return await self._version(*key)
        except SosError as away:
            log.warning("list_has_no_number", agency=key[0], error=type(away).__name__)
            return 0


def list_of(parcels: Sequence[Parcel], *, version: int) -> MassList:
    """What these parcels add to the list of their agency."""
    rows = []
    for parcel in parcels:
        brief = read(parcel.brief)
        rows.append(Row(incident=parcel.incident, disclosure=parcel.disclosure, standing=Standing.WAITS, brief=brief))
    name = rows[0].brief.agency_name if rows and rows[0].brief is not None else ""
    return MassList(agency_name=name, version=version, rows=in_order(rows), whole=False)
