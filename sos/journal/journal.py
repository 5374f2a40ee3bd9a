"""The journal as the rest of the service sees it: commands in, durable events out, personal data opened on the record.

``execute`` decides on the present state, seals the parts, appends, and decides again when somebody else was quicker.
``open`` is the same for a new report, with a deadline: a slow or absent database sends it to the spool, and the vehicle
is answered all the same.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Literal, assert_never

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from recording.keys import KeyStore
from routing.categories import Category
from sos.clock import Clock
from sos.errors import Conflict, Malformed, Refused, SosError, Unavailable, Unknown
from sos.incident import linking
from sos.incident.commands import Command, OpenIncident, ReadParts
from sos.incident.events import DataDestroyed, Draft, IncidentOpened, Recorded
from sos.incident.lifecycle import evolve, propose
from sos.incident.model import EventId, Incident, IncidentId, MassEventId, State, TenantId, new_id
from sos.journal.accepts import Accepts
from sos.journal.changes import Written, after, deadlines_of, row_of, stamp_of
from sos.journal.keyring import Keyring, Keys, Shut
from sos.journal.losses import Losses
from sos.journal.sealing import Contents, Part, Sealed, Sealer, milliseconds
from sos.journal.spool import Held, Spool, Spooled
from sos.journal.store import Append, Appended, Outcome, Overdue, Repeated, Store, Turn
from sos.journal.stranded import Stranded
from sos.journal.turns import Turns

log = structlog.get_logger()

CACHED_STATES = 8192
"""Incidents whose state stays in memory: a mass event of a great earthquake's first minutes, about 10 MB."""

FRESH_PARTS = 2048
"""Events whose parts stay in memory so that the readers right behind need not unseal them; about 5 MB."""

IN_ONE_GO = 250
"""States decoded before others have a turn: two milliseconds.  After an earthquake ten thousand may be asked for."""

CONFLICTS = 16
"""How often a command decides again before it gives up: more than there are writers to one incident."""

_incident = msgspec.json.Decoder(Incident)

DRAINED_AT_ONCE = 32
"""Spooled reports that share a commit, half of one, so that what is accepted meanwhile shares it too."""

OnSpooled = Callable[[Spooled], Awaitable[None]]


class Done(Struct, frozen=True, kw_only=True):
    incident: Incident
    recorded: tuple[Recorded, ...]
    """Empty when what was asked for was already so."""


class Received(Struct, frozen=True, kw_only=True, gc=False):
    """A report has been taken."""

    incident: IncidentId
    repeat: bool
    """The same receipt was seen before; ``incident`` is the one it opened then."""
    durability: Literal["committed", "spooled"]
    """``spooled``: fsync'ed to the local spool because the database did not answer in time."""
    digest: str = ""
    """Of a repeat whose first waits in the spool: the digest of the bytes that wait there."""


class Journal:
    """One journal over one store.  ``async with`` opens the spool and the watch over waiting reports."""

    def __init__(
        self,
        store: Store,
        keys: KeyStore,
        spool: Spool,
        *,
        clock: Clock,
        accept_within: timedelta = timedelta(milliseconds=250),
    ) -> None:
        self.store = store
        self.clock = clock
        self.accepts = Accepts()
        """How long a report takes to be durable."""
        self.losses = Losses()
        """What could not be opened although nobody destroyed it."""
        self._sealer = Sealer(store, Keyring(keys), self.losses)
        self._spool = spool
        self._accept_within = accept_within
        self._states: OrderedDict[IncidentId, Incident] = OrderedDict()
        self._fresh: OrderedDict[EventId, Mapping[Category, bytes]] = OrderedDict()
        self._waiting: dict[asyncio.Future[Outcome], Spooled] = {}
        self._on_spooled: list[OnSpooled] = []
        self._watch: asyncio.Task[None] | None = None
        self._draining = asyncio.Lock()
        self.stranded = Stranded(spool, store, clock=clock, write=self._write_spooled)
        """Reports of the spool that could not be written, and one more try of them."""
        store.on_follow(self._outgrow)

    async def __aenter__(self) -> "Journal":
        await self._spool.open()
        self._watch = asyncio.create_task(self._watch_waiting(), name="accept-deadline")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
            self._watch = None

    @property
    def figures(self) -> Sequence[CollectorRegistry]:
        """What could not be opened, and what could not be read."""
        return self.losses.figures, self.store.damage.figures

    # --- commands ---

    async def execute(
        self,
        incident: IncidentId,
        command: Command,
        *,
        actor: str,
        causation: str | None = None,
        receipt: bytes | None = None,
    ) -> Done:
        """Decide ``command`` on the present state and write what it leads to.

        With ``receipt`` it is written once for ever: when the receipt is known nothing is, and ``Done`` holds the
        incident that it belongs to.
        ``Refused`` when it may not happen, ``Unknown`` when there is no such incident, ``Unavailable`` when the
        database does not answer: then it may or may not have been written, and asking again is safe.
        """
        for _ in range(CONFLICTS):
            remembered = self.store.shared and incident in self._states
            state = await self.state(incident)
            now = self._now()
            try:
                drafts = propose(state, command, now=now)
            except Refused:
                if not remembered:
                    raise
                drafts = ()
            if not drafts and remembered:  # another replica may have gone further: look before saying no
                self._forget(incident)
                continue
            if not drafts:
                return Done(incident=state, recorded=())
            written = [Written.of(state, drafts, at=now)]
            try:
                for other, orders in linking.beside(state, drafts).items():
                    written += await self._beside(other, orders, at=now)
                outcome = await self._write(written, actor=actor, causation=causation, receipt=receipt)
            except Conflict:
                continue
            if isinstance(outcome, Repeated):
                return Done(incident=await self.state(IncidentId(outcome.stream)), recorded=())
            return _done(written[0])
        raise Conflict(f"{incident} changes faster than a decision can be written")

    async def execute_together(
        self,
        incidents: Sequence[IncidentId],
        decide: Callable[[linking.States], linking.Orders],
        *,
        actor: str,
        causation: str | None = None,
    ) -> Mapping[IncidentId, Done]:
        """Have several incidents record something in one append: all of them or none.

        ``decide`` is shown ``incidents`` and those of the same crashes as they stand, and asked again when somebody
        else was quicker.  Errors as of ``execute``; a ``Refused`` of any of them is one of all.
        """
        for _ in range(CONFLICTS):
            remembered = self.store.shared and any(incident in self._states for incident in incidents)
            states = await self._of_the_crash(incidents)
            now = self._now()
            try:
                found = [
                    each
                    for incident, orders in decide(states).items()
                    for each in Written.by_orders(states[incident], orders, at=now)
                ]
                if found:
                    await self._write(found, actor=actor, causation=causation)
            except Conflict:
                continue
            except Refused:
                if not remembered:
                    raise
                found = []
            if not found and remembered:  # another replica may have gone further: look before saying no
                for incident in states:
                    self._forget(incident)
                continue
            return {each.after.id: _done(each) for each in found}
        raise Conflict(f"{incidents[0]} changes faster than a decision can be written")

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
        """Make a report durable: in the database, or in the spool when that takes too long.

        ``sender`` is the vehicle as a keyed digest, empty when nobody knows it: a tenant's take turns.  ``incident``
        is the id that a new incident is to have; ``told``: a vehicle was told it, so it is good for the incident of the
        first report also where this is a repeat.  ``Unavailable`` then when the database cannot remember that.
        ``Unavailable`` when neither can keep it.
        """
        incident = incident or IncidentId(new_id())
        spooled = Spooled(
            incident=incident,
            tenant=tenant,
            receipt=receipt,
            received_at=received_at,
            command=command,
            sender=sender,
        )
        received = await self._take(spooled)
        if told:
            await self._told_as(incident, received.incident)
        return received

    async def _take(self, spooled: Spooled) -> Received:
        incident, receipt = spooled.incident, spooled.receipt
        if (waiting := self._spool.holds(receipt)) is not None:
            return self._waits(waiting, receipt)
        opening = _Opening(self, spooled)
        committed = self._sealer.queue(opening, opening.turn)
        self._waiting[committed] = spooled
        try:
            outcome = await committed
        except Unavailable:
            await self._spool_now([spooled])
            outcome = Overdue()
        except Exception as failed:  # a fault of ours on the way to the database: the spool can keep it all the same
            log.exception("report_not_written", incident=incident, error=type(failed).__name__)
            await self._spool_now([spooled])
            outcome = Overdue()
        finally:
            self._waiting.pop(committed, None)
        spooled_now = isinstance(outcome, Overdue)
        self.accepts.note(self.clock.now() - spooled.received_at, durability="spooled" if spooled_now else "committed")
        match outcome:
            case Appended():
                opening.keep()
                return Received(incident=incident, repeat=False, durability="committed")
            case Repeated(stream):
                return Received(incident=IncidentId(stream), repeat=True, durability="committed")
            case Overdue():
                waiting = self._spool.holds(receipt) or incident
                if waiting != incident:
                    return self._waits(waiting, receipt)
                return Received(incident=incident, repeat=False, durability="spooled")
        assert_never(outcome)

    def _waits(self, incident: IncidentId, receipt: bytes) -> Received:
        """A repeat of what is in the spool."""
        return Received(incident=incident, repeat=True, durability="spooled", digest=self._spool.digest(receipt))

    async def opened_under(self, receipt: bytes) -> IncidentId | None:
        """The incident that a report with ``receipt`` has opened, or will when the spool is drained."""
        waiting = self._spool.holds(receipt)
        stream = await self.store.stream_of(receipt) if waiting is None else waiting
        return None if stream is None else IncidentId(stream)

    # --- reading ---

    async def state(self, incident: IncidentId) -> Incident:
        """The incident as it stands; another one's where ``incident`` is an id that its vehicle was told besides.

        ``Unknown`` when there is none of that id.
        """
        known = self._states.get(incident)
        if known is not None:
            return known
        stored = await self.store.load(incident)
        if stored is None:
            if (meant := await self.store.told_as(incident)) is not None:
                return await self.state(meant)
            raise Unknown("there is no such incident")
        state = await self._read_state(incident, stored.snapshot)
        self._remember(state)
        return state

    async def queue(self, *, limit: int, states: Sequence[State]) -> tuple[int, Sequence[Incident]]:
        """How many incidents are in ``states``, and the most urgent of them."""
        total, found = await self.store.queue(limit=limit, states=[str(state) for state in states])
        return total, await self._readable(found)

    async def alarmed(self, *, limit: int) -> Sequence[Incident]:
        """Incidents of which an alarm stands, closed ones too."""
        return await self._readable(await self.store.alarmed(limit=limit))

    async def held(self, *, limit: int) -> Sequence[Incident]:
        """Incidents of which the house holds a telling back, the oldest first."""
        return await self._readable(await self.store.held(limit=limit))

    async def listed(self, mass_event: MassEventId, *, limit: int) -> Sequence[Incident]:
        """Incidents on the lists of a mass event, the oldest first, closed ones too."""
        found = await self._readable(await self.store.of_mass_event(mass_event, limit=limit))
        return [each for each in found if each.listed == mass_event]

    async def earlier(self, incident: Incident, *, limit: int) -> Sequence[Incident]:
        """Earlier incidents of the same vehicle of the registry, the newest first; none where it is in no registry."""
        if incident.record is None:
            return ()
        found = await self._readable(await self.store.of_vehicle(incident.record, limit=limit + 1))
        return [each for each in found if each.id < incident.id and each.tenant == incident.tenant][:limit]

    async def _readable(self, found: Sequence[tuple[IncidentId, bytes]]) -> Sequence[Incident]:
        readable: list[Incident] = []
        for count, (incident, snapshot) in enumerate(found, 1):
            if count % IN_ONE_GO == 0:
                await asyncio.sleep(0)
            try:
                readable.append(await self._read_state(incident, snapshot))
            except (Unknown, Malformed) as damaged:  # one that cannot be read hides no other
                log.error("incident_unreadable", incident=incident, reason=str(damaged))
        return readable

    async def _read_state(self, incident: IncidentId, snapshot: bytes) -> Incident:
        """The state in ``snapshot``; out of the headers when it has been damaged.

        ``Unknown`` when this is no incident's: a stream of the registry, say.
        """
        try:
            return _incident.decode(snapshot)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            recorded = await self.store.stream(incident)
        if not recorded or not isinstance(recorded[0].event, IncidentOpened):
            raise Unknown("there is no such incident")
        log.error("state_damaged", incident=incident)
        return _replayed(Incident(id=incident, tenant=recorded[0].tenant), recorded)

    async def read(
        self,
        incident: IncidentId,
        categories: Sequence[Category],
        *,
        reader: str,
        purpose: str,
        reason: str = "",
        each_time: bool = False,
    ) -> Contents:
        """Show personal data to somebody: the access is in the journal before the first byte is given.

        What was opened by ``reader`` before is not written down again, unless ``each_time``.
        What cannot be opened is named in it, with the reason.
        """
        command = ReadParts(
            reader=reader, categories=tuple(sorted(categories)), purpose=purpose, reason=reason, each_time=each_time
        )
        await self.execute(incident, command, actor=reader)
        return await self._sealer.unseal(incident, categories)

    async def unseal(self, incident: IncidentId, categories: Sequence[Category]) -> Sequence[Part]:
        """The parts of an incident that open, for a machine inside the house: help goes on with what there is.

        What shows them to a person calls ``read``, and says what is missing.
        """
        return (await self._sealer.unseal(incident, categories)).parts

    async def missing(self, incident: IncidentId, categories: Sequence[Category]) -> Mapping[Category, Shut]:
        """Categories of which something should open and does not, and why; nothing is shown."""
        return (await self._sealer.unseal(incident, categories)).missing

    async def parts_of(self, recorded: Recorded) -> Mapping[Category, bytes]:
        """The parts of one event that open, for a reader that handles it."""
        fresh = self._fresh.get(recorded.id)
        if fresh is not None:
            return fresh
        return await self._sealer.unseal_event(recorded)

    async def data_key(self, incident: IncidentId, category: Category, *, at: int | None = None) -> bytes:
        """The data key of one category, for a recorder that seals as it goes: the newest, or that of event ``at``.

        ``Unknown`` before an event has sealed or reserved it (``Draft.seals``), or once it has been destroyed;
        ``KeyLost`` when it should be there and is not.
        """
        return await self._sealer.data_key(incident, category, at=at)

    # --- the spool ---

    def on_spooled(self, tell: OnSpooled) -> Callable[[], None]:
        """Call ``tell`` for each report that went to the spool, so that it rings although the database is away; until
        what is returned is called."""
        self._on_spooled.append(tell)
        return lambda: self._on_spooled.remove(tell)

    async def waiting(self) -> Sequence[Spooled]:
        """What waits in the spool, the oldest first."""
        return await self._spool.waiting()

    def waits(self, incident: IncidentId) -> Held | None:
        """What is known of an incident that was told and that waits in the spool; None when it does not."""
        return self._spool.waits(incident)

    @property
    def spool_oldest(self) -> datetime | None:
        return self._spool.oldest

    @property
    def spooled(self) -> int:
        """How many reports wait in the spool."""
        return len(self._spool)

    async def drain(self) -> int:
        """Write what waits in the spool into the database, each tenant's in order, tenants in turns; how many."""
        async with self._draining:
            reports = await self._spool.waiting()
            turns: Turns[Spooled] = Turns()
            for spooled in reports:
                turns.put(spooled.tenant, spooled, of=spooled.sender or spooled.incident)
            fair, done = list(turns), set[bytes]()
            for start in range(0, len(fair), DRAINED_AT_ONCE):
                piece = fair[start : start + DRAINED_AT_ONCE]
                gone = await asyncio.gather(*(self._drain(spooled) for spooled in piece))
                done |= {spooled.receipt for spooled, is_gone in zip(piece, gone, strict=True) if is_gone}
            if done:
                await self._spool.drop(done)
            return len(done)

    async def _drain(self, spooled: Spooled) -> bool:
        """Whether the spool need not hold it any longer; one that cannot be written delays no other."""
        try:
            await self._write_spooled(spooled)
        except Unavailable:
            raise
        except Exception as failed:  # noqa: BLE001  the edge of one report: those behind it are drained all the same
            return await self.stranded.failed(spooled, failed)
        return True

    async def _write_spooled(self, spooled: Spooled) -> None:
        opening = _Opening(self, spooled)
        match await self._sealer.queue(opening, opening.turn):
            case Appended():
                opening.keep()
            case Repeated(stream):
                await self._told_as(spooled.incident, IncidentId(stream))

    async def _told_as(self, told: IncidentId, incident: IncidentId) -> None:
        """A vehicle was told an id; another place had taken the same report already, under another one."""
        if told != incident:
            log.warning("told_twice", told=told, incident=incident)
            await self.store.note_told(told, incident)

    async def _watch_waiting(self) -> None:
        """Send to the spool whatever has waited for the database too long."""
        step = self._accept_within / 5
        while True:
            await self.clock.wait(step)
            limit = self.clock.now() - self._accept_within
            late = {
                committed: spooled
                for committed, spooled in self._waiting.items()
                if spooled.received_at <= limit and not committed.done()
            }
            if not late:
                continue
            failed: Unavailable | None = None
            try:
                await self._spool_now(list(late.values()))
            except Unavailable as full:
                failed = full
            for committed in late:
                if committed.done():
                    continue
                if failed:
                    committed.set_exception(failed)
                else:
                    committed.set_result(Overdue())

    async def _spool_now(self, reports: Sequence[Spooled]) -> None:
        for spooled in await self._spool.put(reports):
            for tell in self._on_spooled:
                try:
                    await tell(spooled)
                except Exception as failed:  # the edge of one listener: it must not hold up the next report
                    log.exception("spooled_untold", incident=spooled.incident, error=type(failed).__name__)

    # --- inside ---

    async def _of_the_crash(self, incidents: Sequence[IncidentId]) -> Mapping[IncidentId, Incident]:
        """``incidents`` and all that are linked with them.  ``Unknown`` where one of ``incidents`` is none."""
        states = {incident: await self.state(incident) for incident in incidents}
        for state in tuple(states.values()):
            for other in linking.others(state):
                try:
                    states.setdefault(other, await self.state(other))
                except Unknown:  # what cannot be read any more holds up no other
                    log.error("linked_incident_unknown", incident=state.id, other=other)
        return states

    async def _beside(self, incident: IncidentId, orders: Sequence[Command], *, at: datetime) -> Sequence[Written]:
        try:
            state = await self.state(incident)
        except Unknown:
            log.error("linked_incident_unknown", incident=incident)
            return ()
        return Written.by_orders(state, orders, at=at)

    async def _write(
        self,
        written: Sequence[Written],
        *,
        actor: str,
        causation: str | None = None,
        receipt: bytes | None = None,
    ) -> Outcome:
        """One append of all of ``written``; what is remembered of them is forgotten where it fails."""
        changes = [each.change(actor=actor, causation=causation, receipt=receipt) for each in written]
        try:
            recorded, outcome = await self._sealer.write_together(changes)
        except SosError:
            for each in written:
                self._forget(each.after.id)
            raise
        if isinstance(outcome, Appended):
            for each, events in zip(written, recorded, strict=True):
                each.recorded = tuple(events)
                self._keep(each.after, events, each.drafts)
                if any(isinstance(draft.event, DataDestroyed) for draft in each.drafts):
                    self._let_go(each.after.id)
        return outcome

    def _now(self) -> datetime:
        return milliseconds(self.clock.now())

    def _seal_opening(self, spooled: Spooled) -> tuple[Sealed, Incident, Sequence[Draft]]:
        at = milliseconds(spooled.received_at)
        new = Incident(id=spooled.incident, tenant=spooled.tenant)
        drafts = propose(new, spooled.command, now=at)
        made = after(new, drafts, at=at)
        stamp = stamp_of(new, at=at, actor="vehicle", receipt=spooled.receipt)
        row = replace(row_of(made), sender=spooled.sender)
        sealed = self._sealer.seal(stamp, drafts, keys=Keys(), row=row, deadlines=deadlines_of(made))
        return sealed, made, drafts

    def _keep(self, after: Incident, recorded: Sequence[Recorded], drafts: Sequence[Draft]) -> None:
        """Remember what was just written for those who come right behind."""
        self._remember(after)
        for event, draft in zip(recorded, drafts, strict=True):
            if draft.parts:
                self._fresh[event.id] = draft.parts
        while len(self._fresh) > FRESH_PARTS:
            self._fresh.popitem(last=False)

    def _remember(self, state: Incident) -> None:
        known = self._states.get(state.id)
        if known is None or known.version < state.version:
            self._states[state.id] = state
            self.store.places.note(state.id, state.mass_event, state.mass_place)
        self._states.move_to_end(state.id)
        while len(self._states) > CACHED_STATES:
            self._states.popitem(last=False)

    def _outgrow(self, events: Sequence[Recorded]) -> None:
        """Forget states that are older than what a reader is about to be told.

        A reader may be told of an event before whoever wrote it has brought the remembered state up to date, and of
        events of other replicas always.
        """
        for recorded in events:
            known = self._states.get(recorded.incident)
            if known is not None and known.version < recorded.n:
                self._forget(recorded.incident)
            if isinstance(recorded.event, DataDestroyed):
                self._let_go(recorded.incident)

    def _let_go(self, incident: IncidentId) -> None:
        """Nothing of what has been destroyed, here or by another process, stays in memory."""
        self._sealer.forget(incident)
        self._fresh.clear()  # by event and not by incident; it only saves unsealing

    def _forget(self, incident: IncidentId) -> None:
        self._states.pop(incident, None)
        self._sealer.forget(incident)


def _replayed(incident: Incident, recorded: Sequence[Recorded]) -> Incident:
    """``incident`` after what can be read of its events: what does not fit over a gap is passed over."""
    for each in recorded:
        incident = replace(incident, version=each.n - 1)
        try:
            incident = evolve(incident, each.event, at=each.at)
        except Refused:
            log.error("event_does_not_follow", incident=incident.id, n=each.n)
            incident = replace(incident, version=each.n)
    return incident


class _Opening:
    """A report on its way to the database: sealed when its batch is written, remembered when it is durable."""

    __slots__ = ("_after", "_drafts", "_journal", "_sealed", "_spooled", "turn")

    def __init__(self, journal: Journal, spooled: Spooled) -> None:
        self._journal = journal
        self._spooled = spooled
        journal.store.senders.note(spooled.incident, spooled.sender)
        self.turn: Turn = (spooled.tenant, spooled.sender or spooled.incident)

    def __call__(self) -> Append:
        self._sealed, self._after, self._drafts = self._journal._seal_opening(self._spooled)
        return self._sealed.append

    def keep(self) -> None:
        self._journal._sealer.kept(self._sealed)
        self._journal._keep(self._after, self._sealed.append.recorded, self._drafts)


def _done(written: Written) -> Done:
    return Done(incident=written.after, recorded=written.recorded)


def digest(data: bytes) -> str:
    return sha256(data).hexdigest()
