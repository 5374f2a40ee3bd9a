"""The one stream of mass events in the journal: what supervisors have said, sealed, and found after a restart.

Its state lies as a snapshot in the row that the journal keeps for every stream, written with the event; the row's state
keeps it out of every queue of incidents.  Every process looks at it once a second, so each knows within that time what
another one was told.  While the database is away what was known last holds.
"""

from collections.abc import Callable
from datetime import timedelta

import msgspec
import structlog
from msgspec import Struct

from recording.keys import KeyStore
from routing.categories import Category
from sos.clock import Clock, epoch_ms
from sos.errors import Conflict, Unavailable
from sos.incident import mass_event
from sos.incident.events import Recorded
from sos.incident.mass_event import MassEvent, MassEvents, Order, RunOut
from sos.incident.model import MassEventId, SubjectId, TenantId
from sos.journal.keyring import Keyring
from sos.journal.losses import Losses
from sos.journal.sealing import Sealer, Stamp, milliseconds
from sos.journal.store import QueueRow, Store

log = structlog.get_logger()

STREAM = SubjectId("00000000-0000-7000-8000-000000000001")
"""There is one, so that two supervisors cannot write past each other."""

HOUSE = TenantId("house:mass-events")
"""It belongs to no brand; no brand's id holds a colon."""

STATE = "mass_events"
"""State of its row: no queue asks for it."""

_LEAST_URGENT = 99

EVERY = timedelta(seconds=1)

CONFLICTS = 8

TIMER = "timer"

_snapshot = msgspec.json.Decoder(MassEvents)


class Said(Struct, frozen=True):
    """What the supervisor has called it."""

    name: str = ""
    words: str = ""


_said = msgspec.json.Decoder(Said)


class MassEventLedger:
    def __init__(self, store: Store, keys: KeyStore, *, clock: Clock, losses: Losses) -> None:
        self._store = store
        self._sealer = Sealer(store, Keyring(keys), losses)
        self._said: dict[tuple[MassEventId, int], Said] = {}
        self._changed: list[Callable[[], None]] = []
        self.clock = clock
        self.now = MassEvents()
        """As they were known last."""

    def on_change(self, tell: Callable[[], None]) -> None:
        """Call ``tell`` whenever this process hears of something new."""
        self._changed.append(tell)

    async def load(self) -> MassEvents:
        """As they stand in the database.  ``Unavailable`` when it does not answer."""
        stored = await self._store.load(STREAM)
        found = MassEvents() if stored is None else _snapshot.decode(stored.snapshot)
        self._know(found)
        return self.now

    async def execute(self, order: Order, *, actor: str, causation: str | None = None) -> tuple[Recorded, ...]:
        """Decide ``order`` on what stands and write what it leads to; nothing when it is already so.

        ``Refused`` when it may not happen, ``Unavailable`` when the database does not answer.
        """
        for _ in range(CONFLICTS):
            before = await self.load()
            now = milliseconds(self.clock.now())
            drafts = mass_event.decide(before, order, now=now)
            if not drafts:
                return ()
            after = before
            for draft in drafts:
                after = mass_event.evolve(after, draft.event, at=now)
            stamp = Stamp(stream=STREAM, tenant=HOUSE, follows=before.version, at=now, actor=actor, causation=causation)
            row = QueueRow(HOUSE, STATE, _LEAST_URGENT, epoch_ms(now), msgspec.json.encode(after))
            try:
                recorded, _outcome = await self._sealer.write(stamp, drafts, row=row)
            except Conflict:  # somebody else was quicker: decide again on what they have said
                continue
            self._know(after)
            log.warning("mass_event", changed=[type(draft.event).__name__ for draft in drafts])
            return tuple(recorded)
        raise Conflict("the mass events change faster than a decision can be written")

    async def said(self, event: MassEvent) -> Said:
        """Its name and the words about it; empty where it has none, or where they cannot be opened."""
        key = (event.mass_event, event.words)
        if event.words and key not in self._said:
            stream = await self._store.stream(STREAM)
            found = next((each for each in stream if each.n == event.words), None)
            self._sealer.forget(STREAM)  # another process may have made the key
            parts = {} if found is None else await self._sealer.unseal_event(found)
            self._said[key] = _said.decode(parts[Category.OBS]) if Category.OBS in parts else Said()
        return self._said.get(key, Said())

    async def history(self) -> tuple[Recorded, ...]:
        """All that was ever said of mass events, without words."""
        return tuple(await self._store.stream(STREAM))

    async def watch(self) -> None:
        """Learn what other processes were told, for ever."""
        while True:
            try:
                await self.load()
            except Unavailable as away:
                log.warning("mass_events_wait", reason=str(away))
            await self.clock.wait(EVERY)

    async def run_out(self) -> None:
        """Say of each whose time has run out that it has, for ever.  Of several replicas one does this."""
        while True:
            try:
                await self.look()
            except Unavailable as away:
                log.warning("mass_events_wait", reason=str(away))
            await self.clock.wait(EVERY)

    async def look(self) -> None:
        for event in (await self.load()).in_force:
            if event.until is not None and not event.overdue and event.until <= self.clock.now():
                await self.execute(RunOut(mass_event=event.mass_event), actor=TIMER)

    def _know(self, found: MassEvents) -> None:
        if found.version <= self.now.version:
            return
        self.now = found
        self._store.places.in_force = tuple(each.mass_event for each in found.in_force)
        kept = {(each.mass_event, each.words) for each in found.events}
        self._said = {key: said for key, said in self._said.items() if key in kept}
        for tell in self._changed:
            tell()
