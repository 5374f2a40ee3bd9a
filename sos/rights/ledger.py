"""Requests as streams in the journal: each its own, sealed, provable as any other; written and read here alone.

A request belongs to the brand that was asked, or to the house.  Its state lies as a snapshot in the row that the
journal keeps for every stream, in a state that no queue of incidents asks for.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Generic, Protocol, TypeVar

import msgspec
from msgspec import Struct

from recording.keys import KeyStore
from routing.categories import Category
from sos.clock import Clock, epoch_ms
from sos.errors import Conflict, Unknown
from sos.incident.events import Draft, Event, Recorded
from sos.incident.model import StreamId, SubjectId, TenantId, new_id
from sos.journal.keyring import Keyring
from sos.journal.losses import Losses
from sos.journal.sealing import Contents, Sealer, Stamp, milliseconds
from sos.journal.store import QueueRow, Store
from sos.rights.request import RightsRequest, evolve

RETENTION = "rights-request"
"""Class of the data keys of requests; what is asked and answered is proved for as long as a claim may follow."""

HOUSE = TenantId("house")
_LEAST_URGENT = 99
_TRIES = 8
MOST = 10_000
"""Requests that are listed at once."""


class Kept(Protocol):
    """The state of one of the room's streams."""

    @property
    def stream(self) -> StreamId: ...

    @property
    def tenant(self) -> str: ...

    @property
    def version(self) -> int: ...

    @property
    def open(self) -> bool: ...


State = TypeVar("State", bound=Kept)


class Kind(Struct, Generic[State], frozen=True, kw_only=True):
    """How streams of one kind are told from others, begin and go on."""

    decode: type[State]
    begin: Callable[[StreamId, str], State]
    evolve: Callable[[State, Event, datetime], State]
    row: str
    """State of their rows while they are open; ``-over`` is added afterwards."""
    called: str


REQUESTS: Kind[RightsRequest] = Kind(
    decode=RightsRequest,
    begin=lambda stream, tenant: RightsRequest(request=stream, tenant=tenant),
    evolve=lambda state, event, at: evolve(state, event, at=at),
    row="rights",
    called="request",
)


class StreamLedger(Generic[State]):
    def __init__(
        self, store: Store, keys: KeyStore, clock: Clock, *, kind: Kind[State], losses: Losses | None = None
    ) -> None:
        self._kind = kind
        self._store = store
        self._sealer = Sealer(store, Keyring(keys, retention=lambda _: RETENTION), losses or Losses())
        self.clock = clock

    @property
    def _over(self) -> str:
        return f"{self._kind.row}-over"

    async def begin(self, draft: Draft, *, tenant: TenantId, actor: str) -> State:
        """A new stream, which begins with ``draft``."""
        new = self._kind.begin(SubjectId(new_id()), tenant)
        return await self._write(new, (draft,), actor=actor)

    async def change(self, request: str, decide: Callable[[State], Sequence[Draft]], *, actor: str) -> State:
        """What ``decide`` says of the request as it stands, behind what is there.  ``Unknown`` where there is none."""
        for _ in range(_TRIES):
            state = await self.load(request)
            try:
                return await self._write(state, decide(state), actor=actor)
            except Conflict:
                continue
        raise Conflict(f"this {self._kind.called} changes faster than a decision can be written")

    async def load(self, request: str) -> State:
        """As it stands; ``Unknown`` when there is none of that id."""
        stored = await self._store.load(SubjectId(request))
        try:
            return msgspec.json.decode(stored.snapshot if stored else b"", type=self._kind.decode)
        except (msgspec.MsgspecError, UnicodeDecodeError) as none:
            raise Unknown(f"there is no such {self._kind.called}") from none

    async def open(self) -> Sequence[State]:
        """Those that wait, the oldest first."""
        return await self._listed(self._kind.row)

    async def all(self) -> Sequence[State]:
        """The oldest first."""
        return await self._listed(self._kind.row, self._over)

    async def _listed(self, *states: str) -> Sequence[State]:
        _, rows = await self._store.queue(limit=MOST, states=states)
        found = [msgspec.json.decode(snapshot, type=self._kind.decode) for _, snapshot in rows]
        return sorted(found, key=lambda each: each.stream)

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

    async def _write(self, state: State, drafts: Sequence[Draft], *, actor: str) -> State:
        now = milliseconds(self.clock.now())
        after = state
        for draft in drafts:
            after = self._kind.evolve(after, draft.event, now)
        if not drafts:
            return state
        tenant, stream = TenantId(state.tenant), state.stream
        stamp = Stamp(stream=stream, tenant=tenant, follows=state.version, at=now, actor=actor)
        row = QueueRow(
            tenant,
            self._kind.row if after.open else self._over,
            _LEAST_URGENT,
            epoch_ms(now),
            msgspec.json.encode(after),
        )
        self._sealer.forget(stream)
        await self._sealer.write(stamp, drafts, row=row)
        return after


class RightsLedger(StreamLedger[RightsRequest]):
    """Requests of people about their own data."""

    def __init__(self, store: Store, keys: KeyStore, clock: Clock, *, losses: Losses | None = None) -> None:
        super().__init__(store, keys, clock, kind=REQUESTS, losses=losses)


def draft(event: Event, **parts: bytes) -> Draft:
    """``event`` with its parts; those that hold nothing are left out."""
    return Draft(event=event, parts={Category(name): part for name, part in parts.items() if part})
