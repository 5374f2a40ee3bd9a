"""Requests as streams in the journal: each its own, sealed, provable as any other; written and read here alone.

A request belongs to the brand that was asked, or to the house.  Its state lies as a snapshot in the row that the
journal keeps for every stream, in a state that no queue of incidents asks for.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from recording.keys import KeyStore
from routing.categories import Category
from sos.clock import Clock, epoch_ms
from sos.errors import Conflict, Unknown
from sos.incident.events import Draft, Event, Recorded
from sos.incident.model import SubjectId, TenantId, new_id
from sos.journal.keyring import Keyring
from sos.journal.losses import Losses
from sos.journal.sealing import Contents, Sealer, Stamp, milliseconds
from sos.journal.store import QueueRow, Store
from sos.rights.request import RightsRequest, evolve

RETENTION = "rights-request"
"""Class of the data keys of requests; what is asked and answered is proved for as long as a claim may follow."""

STATE, OVER = "rights", "rights-over"
"""States of the rows of open requests and of the others: no queue of incidents asks for either."""

HOUSE = TenantId("house")
_LEAST_URGENT = 99
_TRIES = 8
MOST = 10_000
"""Requests that are listed at once."""

Decide = Callable[[RightsRequest], Sequence[Draft]]


class RightsLedger:
    def __init__(self, store: Store, keys: KeyStore, clock: Clock, *, losses: Losses | None = None) -> None:
        self._store = store
        self._sealer = Sealer(store, Keyring(keys, retention=lambda _: RETENTION), losses or Losses())
        self.clock = clock

    async def begin(self, draft: Draft, *, tenant: TenantId, actor: str) -> RightsRequest:
        """A new stream, which begins with ``draft``."""
        new = RightsRequest(request=SubjectId(new_id()), tenant=tenant)
        return await self._write(new, (draft,), actor=actor)

    async def change(self, request: str, decide: Decide, *, actor: str) -> RightsRequest:
        """What ``decide`` says of the request as it stands, behind what is there.  ``Unknown`` where there is none."""
        for _ in range(_TRIES):
            state = await self.load(request)
            try:
                return await self._write(state, decide(state), actor=actor)
            except Conflict:
                continue
        raise Conflict("this request changes faster than a decision can be written")

    async def load(self, request: str) -> RightsRequest:
        """As it stands; ``Unknown`` when there is none of that id."""
        stored = await self._store.load(SubjectId(request))
        try:
            return msgspec.json.decode(stored.snapshot if stored else b"", type=RightsRequest)
        except (msgspec.MsgspecError, UnicodeDecodeError) as none:
            raise Unknown("there is no such request") from none

    async def open(self) -> Sequence[RightsRequest]:
        """Those that wait, the oldest first."""
        return await self._listed(STATE)

    async def all(self) -> Sequence[RightsRequest]:
        """The oldest first."""
        return await self._listed(STATE, OVER)

    async def _listed(self, *states: str) -> Sequence[RightsRequest]:
        _, rows = await self._store.queue(limit=MOST, states=states)
        found = [msgspec.json.decode(snapshot, type=RightsRequest) for _, snapshot in rows]
        return sorted(found, key=lambda each: each.request)

    async def history(self, request: str) -> Sequence[Recorded]:
        """All that ever happened to it, without words."""
        return await self._store.stream(SubjectId(request))

    async def opened(self, request: str, categories: Sequence[Category] = tuple(Category)) -> Contents:
        """What was said in it, in clear.  Who shows it to somebody has journaled that first."""
        self._sealer.forget(SubjectId(request))  # another process may have made a key
        return await self._sealer.unseal(SubjectId(request), categories)

    async def said(self, request: str) -> Mapping[Category, bytes]:
        """What came with the request itself, in clear."""
        first = (await self.history(request))[0]
        self._sealer.forget(SubjectId(request))
        return await self._sealer.unseal_event(first)

    async def _write(self, state: RightsRequest, drafts: Sequence[Draft], *, actor: str) -> RightsRequest:
        now = milliseconds(self.clock.now())
        after = state
        for draft in drafts:
            after = evolve(after, draft.event, at=now)
        if not drafts:
            return state
        tenant, stream = TenantId(state.tenant), state.request
        stamp = Stamp(stream=stream, tenant=tenant, follows=state.version, at=now, actor=actor)
        row = QueueRow(tenant, STATE if after.open else OVER, _LEAST_URGENT, epoch_ms(now), msgspec.json.encode(after))
        self._sealer.forget(stream)
        await self._sealer.write(stamp, drafts, row=row)
        return after


def draft(event: Event, **parts: bytes) -> Draft:
    """``event`` with its parts; those that hold nothing are left out."""
    return Draft(event=event, parts={Category(name): part for name, part in parts.items() if part})
