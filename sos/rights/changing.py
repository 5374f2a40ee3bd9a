"""What is changed because a person asked: both values of what was wrong, and what is to go, or why not.

Nothing is overwritten and nothing is destroyed here.  A correction stands beside what was held; what may go is due from
then on, and two people destroy it (``sos.retention``).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from recording.retention import Terms, house
from routing.categories import Category
from sos.errors import Malformed, Refused, Unknown
from sos.incident import events as e
from sos.incident.access import Purpose
from sos.incident.keeping import kept_by
from sos.incident.model import IncidentId, StreamId, SubjectId, TenantId
from sos.incident.report import canonical
from sos.journal.journal import Journal
from sos.journal.sealing import Contents
from sos.journal.subject_rows import ERASURE, SubjectRow, SubjectRows, erasure_of
from sos.rights.answer import Subjects
from sos.rights.keys import fields
from sos.rights.ledger import RightsLedger, draft
from sos.rights.request import RightsRequest

OWN_PERIOD = "own-period"
"""Rule of what has periods of its own: a contract's data, and the requests of the person."""


class Correction(Struct, frozen=True, kw_only=True):
    stream: StreamId
    category: Category
    field: str
    value: str
    """What is right, as the person has proved it."""


class Changing:
    def __init__(
        self,
        journal: Journal,
        registry: Subjects,
        ledger: RightsLedger,
        rows: SubjectRows,
        *,
        brand_terms: Callable[[TenantId], Terms],
    ) -> None:
        """``brand_terms``: what a brand promises otherwise than the house of how long anything is kept."""
        self._journal = journal
        self._registry = registry
        self._ledger = ledger
        self._rows = rows
        self._brand_terms = brand_terms

    async def correct(self, request: str, change: Correction, *, words: str, by: str) -> RightsRequest:
        """Put what is right beside what is held.  ``Refused`` where a correction finds nothing of that name."""
        state = await self._ledger.load(request)
        state.prove()
        if change.stream not in state.theirs:
            raise Refused("this is not known to be theirs")
        if change.category is Category.OBS:
            raise Refused("what somebody heard or saw has no field to correct")
        if not words.strip():
            raise Refused("say what proves it")
        held = await self._held(change, reader=by, why=f"rights request {request}")
        if held is None and state.right == "correction":
            raise Refused(f"nothing called {change.field!r} is held there; the request may be an addition")
        both = canonical({"field": change.field, "held": held, "right": change.value})
        event = e.DataCorrected(stream=change.stream, category=change.category, by=by)
        said = draft(event, **{change.category: both, Category.OBS: canonical({"text": words.strip()})})
        return await self._ledger.change(request, lambda _: (said,), actor=by)

    async def _held(self, change: Correction, *, reader: str, why: str) -> Any:
        """The newest value of the field; reading it is in the journal first."""
        newest: Any = None
        for part in (await self._contents(change.stream, (change.category,), reader=reader, why=why)).parts:
            newest = (fields(part.payload) or {}).get(change.field, newest)
        return newest

    async def _contents(self, stream: StreamId, categories: Sequence[Category], *, reader: str, why: str) -> Contents:
        try:
            return await self._journal.read(
                IncidentId(stream), categories, reader=reader, purpose=Purpose.PERSON, reason=why, each_time=True
            )
        except Unknown:  # of the registry
            return await self._registry.shown(SubjectId(stream), categories, reader=reader, purpose=why)

    async def corrections(self, stream: StreamId) -> list[Mapping[str, Any]]:
        """Both values of whatever was corrected in ``stream``, by whichever request."""
        found: list[Mapping[str, Any]] = []
        for state in await self._ledger.all():
            if stream not in state.corrected:
                continue
            for part in (await self._ledger.opened(state.request)).parts:
                event = part.recorded.event
                if isinstance(event, e.DataCorrected) and event.stream == stream and part.category is event.category:
                    found.append({"category": part.category, **msgspec.json.decode(part.payload)})
        return found

    async def erase(self, request: str, *, by: str) -> e.ErasureAsked:
        """Say of everything that is theirs whether it is to go or which duty keeps it; what goes is due from now."""
        state = await self._ledger.load(request)
        state.prove()
        erased: list[tuple[StreamId, Category]] = []
        kept: list[tuple[StreamId, Category, str]] = []
        for stream in state.theirs:
            for category, rule in (await self._rules(stream)).items():
                kept.append((stream, category, rule)) if rule else erased.append((stream, category))
        if not erased and not kept:
            raise Refused("nothing is held that could go: search first, or refuse it as nothing-held")
        event = e.ErasureAsked(erased=tuple(erased), kept=tuple(kept), by=by)
        after = await self._ledger.change(request, lambda _: (draft(event),), actor=by)
        await self._rows.take([_row(after, *each) for each in erased])
        return event

    async def _rules(self, stream: StreamId) -> Mapping[Category, str]:
        """Each category of which there is something, with the rule that keeps it; empty where none does."""
        there = sorted({row.category for row in await self._journal.store.keys(stream) if not row.destroyed})
        try:
            incident = await self._journal.state(IncidentId(stream))
        except Unknown:
            return dict.fromkeys(there, OWN_PERIOD)
        classes, terms = dict(incident.kept_as), self._brand_terms(incident.tenant)
        now, longest = self._journal.clock.now(), house().longest.name
        tags = {each: house().tag(classes.get(each, longest), category=each, terms=terms) for each in there}
        return {each: kept_by(incident, each, tag, now=now) for each, tag in tags.items()}


def value_of(content: bytes) -> str:
    """What is right, out of a file; ``Malformed`` where it is no text."""
    try:
        return content.decode().strip()
    except UnicodeDecodeError as wrong:
        raise Malformed("the value is not UTF-8") from wrong


def _row(state: RightsRequest, stream: StreamId, category: Category) -> SubjectRow:
    return SubjectRow(
        digest=erasure_of(stream),
        stream=state.request,
        category=category,
        scheme=ERASURE,
        kind="request",
        tenant=TenantId(state.tenant),
    )
