"""Requests for a regulator's package as streams in the journal: asked, counted, agreed to, built, fetched, ended.

A request is one stream of its own, behind whatever its package holds.  What it may do next is decided from its state,
as an incident's is; nothing is built here.  What it is for, in words, is a sealed part.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from recording.keys import KeyStore
from routing.categories import Category
from sos.clock import Clock, epoch_ms
from sos.errors import Conflict, RuleBroken, Unknown
from sos.exports.scope import Wanted
from sos.incident import events as e
from sos.incident.keeping import PERSONS
from sos.incident.model import IncidentId, TenantId, new_id
from sos.journal.keyring import Keyring
from sos.journal.losses import Losses
from sos.journal.sealing import Sealer, Stamp, milliseconds
from sos.journal.store import QueueRow, Store

STATE = "export"
"""State of the rows of these streams among the journal's rows: no queue asks for it."""

HOUSE = TenantId("house")
_LEAST_URGENT = 99
_TRIES = 8


class Step(StrEnum):
    NEW = "new"
    REQUESTED = "requested"
    COUNTED = "counted"
    APPROVED = "approved"
    BEGUN = "begun"
    BUILT = "built"
    ENDED = "ended"


class Request(Struct, frozen=True, kw_only=True):
    """One request as it stands.  It has no ``id``, so it is never mistaken for an incident."""

    request: IncidentId
    version: int = 0
    stage: Step = Step.NEW
    by: str = ""
    asked: Wanted | None = None
    at: datetime | None = None
    """When it was made."""
    digest: str = ""
    """Of the dry run that counts."""
    size: int = 0
    checkpoint: str = ""
    lines: int = 0
    opened: int = 0
    incidents: int = 0
    recordings: int = 0
    approved: tuple[str, ...] = ()
    begun_at: datetime | None = None
    built_at: datetime | None = None
    package: str = ""
    encrypted: str = ""
    bytes: int = 0
    until: datetime | None = None
    """When the built package is destroyed."""
    fetched: tuple[str, ...] = ()
    received: tuple[str, ...] = ()
    why: str = ""
    """Why it ended."""

    @property
    def scope(self) -> Wanted:
        """What was asked for; ``Unknown`` where nothing was."""
        if self.asked is None:
            raise Unknown("there is no such request")
        return self.asked

    def over_at(self, lasts: timedelta) -> datetime | None:
        """When it is over by itself; None when it is."""
        if self.stage is Step.ENDED or self.at is None:
            return None
        return self.until if self.stage is Step.BUILT else self.at + lasts


def evolve(state: Request, event: e.Event, *, at: datetime) -> Request:
    """``state`` after ``event``; ``RuleBroken`` where it may not follow."""
    now = replace(state, version=state.version + 1)
    match event:
        case e.ExportRequested() if state.stage is Step.NEW:
            return replace(now, stage=Step.REQUESTED, by=event.by, at=at, asked=_asked(event))
        case e.ExportCounted() if state.stage in (Step.REQUESTED, Step.COUNTED, Step.APPROVED):
            return _counted(now, event)
        case e.ExportApproved() if state.stage is Step.COUNTED:
            _check_approver(state, event)
            approved = (*state.approved, event.by)
            return replace(now, approved=approved, stage=Step.APPROVED if len(approved) >= PERSONS else state.stage)
        case e.ExportBegun() if state.stage in (Step.APPROVED, Step.BEGUN) and event.digest == state.digest:
            return replace(now, stage=Step.BEGUN, begun_at=at)
        case e.ExportBuilt() if state.stage is Step.BEGUN and event.digest == state.digest:
            lies = {"package": event.package, "encrypted": event.encrypted, "bytes": event.bytes, "until": event.until}
            return replace(now, stage=Step.BUILT, built_at=at, **lies)
        case e.ExportFetched() if state.stage is Step.BUILT:
            return replace(now, fetched=(*state.fetched, event.by))
        case e.ExportReceived() if state.stage is Step.BUILT and event.by in state.fetched:
            if event.encrypted != state.encrypted:
                raise RuleBroken("receipt-digest", "this is not the package that was built: fetch it again")
            return replace(now, received=(*state.received, event.by))
        case e.ExportEnded() if state.stage not in (Step.NEW, Step.ENDED):
            return replace(now, stage=Step.ENDED, why=event.why)
        case _:
            raise RuleBroken("out-of-turn", f"a request that is {state.stage} cannot have that")


def _asked(event: e.ExportRequested) -> Wanted:
    return Wanted(
        recipient=event.recipient,
        brands=event.brands,
        since=event.since,
        until=event.until,
        subject=event.subject,
        kinds=event.kinds,
        categories=event.categories,
    )


def _counted(now: Request, event: e.ExportCounted) -> Request:
    """The same digest again changes nothing; with another one all who agreed are asked again."""
    found = replace(
        now,
        digest=event.digest,
        size=event.size,
        checkpoint=event.checkpoint,
        lines=event.lines,
        opened=event.opened,
        incidents=event.incidents,
        recordings=event.recordings,
    )
    return found if event.digest == now.digest else replace(found, stage=Step.COUNTED, approved=())


def _check_approver(state: Request, event: e.ExportApproved) -> None:
    if event.by == state.by:
        raise RuleBroken("approver-is-requester", "it takes two people who did not ask for it")
    if event.by in state.approved:
        raise RuleBroken("approver-twice", "you have agreed already; it takes another person")
    if event.digest != state.digest:
        raise RuleBroken("dry-run-changed", "this is not the newest dry run: look at it again")


class Requests:
    def __init__(self, store: Store, keys: KeyStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._sealer = Sealer(store, Keyring(keys), Losses())

    async def begin(self, asked: Wanted, *, words: str, by: str) -> Request:
        """A new request; ``words``: what for."""
        event = e.ExportRequested(
            by=by,
            recipient=asked.recipient,
            brands=asked.brands,
            since=asked.since,
            until=asked.until,
            subject=asked.subject,
            kinds=asked.kinds,
            categories=asked.categories,
        )
        draft = e.Draft(event=event, parts={Category.OBS: words.encode()})
        return await self._write(Request(request=IncidentId(new_id())), draft, actor=by)

    async def add(
        self, request: str, event: e.Event, *, actor: str, may: Callable[[Request], None] = lambda _: None
    ) -> Request:
        """``event`` behind what is there.  ``RuleBroken`` where it may not follow, ``Unknown`` where there is none.

        ``may`` raises for a state on which it may not be: it sees the one that ``event`` follows, whoever came between.
        """
        for _ in range(_TRIES):
            state = await self.load(request)
            may(state)
            try:
                return await self._write(state, e.Draft(event=event), actor=actor)
            except Conflict:
                continue
        raise Conflict("this request changes faster than a decision can be written")

    async def load(self, request: str) -> Request:
        """As it stands; ``Unknown`` when there is none of that id."""
        stored = await self._store.load(IncidentId(request))
        try:
            return msgspec.json.decode(stored.snapshot if stored else b"", type=Request)
        except (msgspec.MsgspecError, UnicodeDecodeError) as none:
            raise Unknown("there is no such request") from none

    async def all(self) -> Sequence[Request]:
        """Every one, the oldest first."""
        _, rows = await self._store.queue(limit=10_000, states=(STATE,))
        return sorted((msgspec.json.decode(row, type=Request) for _, row in rows), key=lambda each: each.request)

    async def words(self, request: Request) -> str:
        """What it is for, for the package's own entry at each incident; empty when that cannot be opened."""
        contents = await self._sealer.unseal(request.request, (Category.OBS,))
        return contents.parts[0].payload.decode() if contents.parts else ""

    async def _write(self, state: Request, draft: e.Draft, *, actor: str) -> Request:
        now = milliseconds(self._clock.now())
        after = evolve(state, draft.event, at=now)
        stamp = Stamp(stream=state.request, tenant=HOUSE, follows=state.version, at=now, actor=actor)
        row = QueueRow(HOUSE, STATE, _LEAST_URGENT, epoch_ms(now), msgspec.json.encode(after))
        await self._sealer.write(stamp, [draft], row=row)
        return after
