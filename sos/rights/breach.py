"""The breach register: what happened to whose data, who was told of it by when, and who is affected.

**Theory.**  The clocks run from when the house knew: first the authority, then finally, and the people by then as well;
a breach by malice has longer.  What nobody can open, or what is neither of special care nor by malice nor of many, is
kept in the register and is to be reported to nobody.  A stage that is late falls due again every day.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from routing.categories import Category
from sos.errors import Refused
from sos.incident import events as e
from sos.incident.access import Purpose
from sos.incident.model import IncidentId, StreamId, SubjectId
from sos.incident.report import canonical
from sos.journal.journal import Journal
from sos.rights.answer import Subjects
from sos.rights.keys import fields
from sos.rights.ledger import HOUSE, Kind, StreamLedger, draft
from sos.rights.request import AGAIN
from sos.rights.search import owner
from sos.rights.terms import BreachTerms

PRELIMINARY, FINAL, PERSONS = "preliminary", "final", "persons"
STAGES = (PRELIMINARY, FINAL, PERSONS)


class Breach(Struct, frozen=True, kw_only=True):
    breach: StreamId
    tenant: str
    version: int = 0
    what: str = ""
    known_at: datetime | None = None
    categories: tuple[Category, ...] = ()
    malicious: bool = False
    encrypted: bool = False
    streams: tuple[StreamId, ...] = ()
    reported: tuple[str, ...] = ()
    late: Mapping[str, int] = {}
    due: Mapping[str, datetime] = {}
    """By when each stage is to be reported; none: the register is all."""

    @property
    def stream(self) -> StreamId:
        return self.breach

    @property
    def open(self) -> bool:
        return bool(self.waiting) or self.version == 0

    @property
    def waiting(self) -> tuple[str, ...]:
        """Stages that are still to be reported."""
        return tuple(stage for stage in self.due if stage not in self.reported)


def register(terms: BreachTerms) -> Kind[Breach]:
    """Streams of breaches, whose clocks are those of ``terms``."""
    return Kind(
        decode=Breach,
        begin=lambda stream, tenant: Breach(breach=stream, tenant=tenant),
        evolve=lambda state, event, _: evolve(state, event, terms=terms),
        row="breach",
        called="breach",
    )


def evolve(state: Breach, event: e.Event, *, terms: BreachTerms) -> Breach:
    """``state`` after ``event``; ``Refused`` where it may not follow."""
    now = replace(state, version=state.version + 1)
    match event:
        case e.BreachFound() if state.version == 0:
            told = ("what", "known_at", "categories", "malicious", "encrypted")
            now = replace(now, **{name: getattr(event, name) for name in told})
        case e.BreachAffects():
            now = replace(now, streams=tuple(sorted({*state.streams, *event.streams})))
        case e.BreachReported(stage=stage):
            if stage not in state.waiting:
                raise Refused(f"{stage} is not to be reported; what waits: {', '.join(state.waiting) or 'nothing'}")
            now = replace(now, reported=(*state.reported, stage))
        case e.BreachOverdue(stage=stage, late=late):
            now = replace(now, late={**state.late, stage: late})
        case e.BreachListed():
            pass
        case _:
            raise Refused("this does not belong to a breach")
    return replace(now, due=_due(now, terms))


def _due(state: Breach, terms: BreachTerms) -> dict[str, datetime]:
    grave = state.malicious or {*state.categories} & {*terms.always} or len(state.streams) > terms.many
    if state.known_at is None or state.encrypted or not grave:
        return {}
    last = terms.final_malicious_days if state.malicious else terms.final_days
    days = {PRELIMINARY: terms.preliminary_days, FINAL: last, PERSONS: last}
    return {stage: state.known_at + timedelta(days=count) for stage, count in days.items()}


def falls_due(state: Breach, *, now: datetime) -> tuple[str, ...]:
    """Stages of which somebody has to be told now that they wait."""
    return tuple(each for each in state.waiting if state.due[each] + state.late.get(each, 0) * AGAIN <= now)


class Breaches:
    def __init__(self, journal: Journal, registry: Subjects, ledger: StreamLedger[Breach], terms: BreachTerms) -> None:
        self.ledger = ledger
        self._journal = journal
        self._registry = registry
        self._terms = terms

    async def found(self, event: e.BreachFound, *, words: str) -> Breach:
        """Take a breach down; its clocks run from when it was known."""
        if event.what not in self._terms.what:
            raise Refused(f"a breach is one of {', '.join(self._terms.what)}")
        if event.known_at > self.ledger.clock.now():
            raise Refused("nobody knows of it yet at that time")
        return await self.ledger.begin(draft(event, OBS=_text(words)), tenant=HOUSE, actor=event.by)

    async def affects(self, breach: str, streams: Iterable[str], *, words: str, by: str) -> Breach:
        """Whose data it was.  ``Refused`` where one of ``streams`` is nothing that is kept."""
        named = tuple(SubjectId(each) for each in streams)
        for each in named:
            if not await self._journal.store.stream(each):
                raise Refused(f"there is no incident or subject {each}")
        event = e.BreachAffects(streams=named, by=by)
        return await self.ledger.change(breach, lambda _: (draft(event, OBS=_text(words)),), actor=by)

    async def reported(self, breach: str, *, stage: str, words: str, by: str) -> Breach:
        """Somebody has reported a stage, to whom and under which reference."""
        event = e.BreachReported(stage=stage, by=by)
        return await self.ledger.change(breach, lambda _: (draft(event, OBS=_text(words)),), actor=by)

    async def persons(self, breach: str, *, by: str) -> Sequence[Mapping[str, Any]]:
        """Who is affected and how they are reached, by the registry where it knows them; journaled first."""
        state = await self.ledger.load(breach)
        event = e.BreachListed(reader=by, streams=state.streams)
        await self.ledger.change(breach, lambda _: (draft(event),), actor=by)
        by_holder: dict[StreamId, list[StreamId]] = {}
        for stream in state.streams:
            by_holder.setdefault(await self._holder(stream, at=state.known_at) or stream, []).append(stream)
        return [
            {"person": holder, "because_of": streams, **await self._reached(holder, breach, by)}
            for holder, streams in sorted(by_holder.items())
        ]

    async def _holder(self, stream: StreamId, *, at: datetime | None) -> StreamId | None:
        """The customer whose data a stream held at ``at``, by its headers; None where it is nobody's that the house
        knows.  A car that was sold since was its seller's."""
        history = await self._journal.store.stream(stream)
        match history[0].event:
            case e.RegistryChanged(subject="vehicle"):
                return owner([each for each in history if at is None or each.at <= at]) or owner(history)
            case e.RegistryChanged():
                return stream
            case _:
                named = [each.event.holder for each in history if isinstance(each.event, e.VehicleRecognised)]
                return next((SubjectId(each) for each in reversed(named) if each), None)

    async def _reached(self, stream: StreamId, breach: str, by: str) -> Mapping[str, Any]:
        wanted, why = (Category.OWN, Category.TEL), f"breach {breach}"
        history = await self._journal.store.stream(stream)
        if isinstance(history[0].event, e.RegistryChanged):
            contents = await self._registry.shown(SubjectId(stream), wanted, reader=by, purpose=why)
        else:
            contents = await self._journal.read(
                IncidentId(stream), wanted, reader=by, purpose=Purpose.PERSON, reason=why, each_time=True
            )
        told: dict[str, Any] = {}
        for part in contents.parts:
            told |= fields(part.payload) or {}
        names = (("name", ("name", "ownerName")), ("tel", ("phone", "ownerTel", "tel")), ("address", ("address",)))
        reached = {name: next((told[each] for each in among if told.get(each)), None) for name, among in names}
        return reached | {"unreadable": sorted(contents.missing)}


def _text(words: str) -> bytes:
    if not words.strip():
        raise Refused("say it in words: it is what the authority asks")
    return canonical({"text": words.strip()})
