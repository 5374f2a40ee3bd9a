"""Disposals as streams in the journal: what was listed, who agreed, what became of it.  Nothing is destroyed here.

A disposal is one stream of its own.  It is listed, approved by two different people, and done; what it may do next is
decided from its state, as an incident's is.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from enum import StrEnum

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from recording.keys import KeyStore
from sos.clock import Clock, epoch_ms
from sos.errors import Conflict, Refused, Unknown
from sos.incident.events import DisposalApproved, DisposalDone, DisposalListed, Draft, Event, KeysEnded, RetentionAgreed
from sos.incident.keeping import PERSONS
from sos.incident.model import IncidentId, TenantId, new_id
from sos.journal.keyring import Keyring
from sos.journal.losses import Losses
from sos.journal.sealing import Sealer, Stamp, milliseconds
from sos.journal.store import QueueRow, Store

STATE = "retention"
"""State of the rows of these streams among the journal's rows: no queue asks for it."""

HOUSE = TenantId("house")
_LEAST_URGENT = 99
_TRIES = 8


class Stage(StrEnum):
    NEW = "new"
    LISTED = "listed"
    APPROVED = "approved"
    DONE = "done"


class Disposal(Struct, frozen=True, kw_only=True):
    """One disposal as it stands.  It has no ``id``, so it is never mistaken for an incident."""

    disposal: IncidentId
    version: int = 0
    stage: Stage = Stage.NEW
    listed: str = ""
    until: datetime | None = None
    incidents: int = 0
    items: int = 0
    approved: tuple[str, ...] = ()
    certificate: str = ""
    left: int = 0


def evolve(state: Disposal, event: Event) -> Disposal:
    """``state`` after ``event``; ``Refused`` where it may not follow."""
    now = replace(state, version=state.version + 1)
    match event:
        case DisposalListed() if state.stage is Stage.NEW:
            listed = {"listed": event.listed, "until": event.until, "incidents": event.incidents, "items": event.items}
            return replace(now, stage=Stage.LISTED, **listed)
        case DisposalApproved() if state.stage is Stage.LISTED:
            if event.listed != state.listed:
                raise Refused("this is not the list that was made: look at it again")
            if event.by in state.approved:
                raise Refused("you have agreed already; it takes another person")
            approved = (*state.approved, event.by)
            return replace(now, approved=approved, stage=Stage.APPROVED if len(approved) >= PERSONS else state.stage)
        case DisposalDone() if state.stage is Stage.APPROVED:
            return replace(now, stage=Stage.DONE, certificate=event.certificate, left=event.left)
        case KeysEnded() | RetentionAgreed() if state.stage is Stage.NEW:
            return now
        case _:
            raise Refused(f"a disposal that is {state.stage} cannot have that")


class Disposals:
    def __init__(self, store: Store, keys: KeyStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._sealer = Sealer(store, Keyring(keys), Losses())

    async def begin(self, event: Event, *, actor: str) -> Disposal:
        """A new stream, which begins with ``event``."""
        return await self._write(Disposal(disposal=IncidentId(new_id())), event, actor=actor)

    async def add(self, disposal: str, event: Event, *, actor: str) -> Disposal:
        """``event`` behind what is there.  ``Refused`` where it may not follow, ``Unknown`` where there is none."""
        for _ in range(_TRIES):
            try:
                return await self._write(await self.load(disposal), event, actor=actor)
            except Conflict:
                continue
        raise Conflict("this disposal changes faster than a decision can be written")

    async def load(self, disposal: str) -> Disposal:
        """As it stands; ``Unknown`` when there is none of that id."""
        stored = await self._store.load(IncidentId(disposal))
        try:
            return msgspec.json.decode(stored.snapshot if stored else b"", type=Disposal)
        except (msgspec.MsgspecError, UnicodeDecodeError) as none:
            raise Unknown("there is no such disposal") from none

    async def all(self) -> Sequence[Disposal]:
        """Those that were listed, the oldest first."""
        _, rows = await self._store.queue(limit=10_000, states=(STATE,))
        found = [msgspec.json.decode(snapshot, type=Disposal) for _, snapshot in rows]
        return sorted((each for each in found if each.stage is not Stage.NEW), key=lambda each: each.disposal)

    async def _write(self, state: Disposal, event: Event, *, actor: str) -> Disposal:
        after = evolve(state, event)
        now = milliseconds(self._clock.now())
        stamp = Stamp(stream=state.disposal, tenant=HOUSE, follows=state.version, at=now, actor=actor)
        row = QueueRow(HOUSE, STATE, _LEAST_URGENT, epoch_ms(now), msgspec.json.encode(after))
        await self._sealer.write(stamp, [Draft(event=event)], row=row)
        return after


Told = Callable[[int, int], None]
"""Hears how far a long piece of work is, of how much."""
