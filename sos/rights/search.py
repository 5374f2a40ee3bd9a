"""Everything about a person: which streams are theirs by what the house knows, and which only a person can say to be.

A name and a telephone number that stand together are the person.  So is the record of a customer of that name and
number, the car that is in that record now, and each incident of a car that was in it then.  A number, a name or a car
alone is a hint: numbers are given anew, names are shared, cars are sold.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

from msgspec import Meta, Struct

from sos.incident.events import ErasureAsked, Recorded, RegistryChanged
from sos.incident.model import StreamId, SubjectId
from sos.journal.store import Store
from sos.journal.subject_rows import SubjectRow, SubjectRows
from sos.rights.indexer import Indexer
from sos.rights.keys import HOLDER, NAME, TEL, Key, name, tel, vehicle
from sos.rights.ledger import HOUSE

Line = Annotated[str, Meta(max_length=256)]

TOGETHER = frozenset({NAME, TEL})


class ClaimedVehicle(Struct, frozen=True, forbid_unknown_fields=True):
    scheme: Annotated[str, Meta(pattern="^(vin|jp_frame|oem_id|plate)$")]
    value: Line


class Claim(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who somebody says they are, and what they want in their own words; sealed with the request."""

    name: Annotated[str, Meta(min_length=1, max_length=256)]
    tel: tuple[Line, ...] = ()
    vehicles: Annotated[tuple[ClaimedVehicle, ...], Meta(max_length=32)] = ()
    words: Annotated[str, Meta(max_length=10_000)] = ""
    contact: Annotated[str, Meta(max_length=1000)] = ""
    """Where the answer goes: an address on record, never one that came with the request alone."""

    def keys(self, brand: str) -> tuple[Key, ...]:
        """What the person is looked up by."""
        numbers = (key for each in self.tel for key in tel(each))
        cars = (key for each in self.vehicles for key in vehicle(each.scheme, each.value, brand=brand))
        return (*name(self.name), *numbers, *cars)


class Hit(Struct, frozen=True, kw_only=True):
    stream: StreamId
    kind: str
    tenant: str
    by: tuple[str, ...]
    """What was found there: ``name``, ``tel``, ``vehicle``, ``holder``."""


class Found(Struct, frozen=True, kw_only=True):
    sure: tuple[Hit, ...]
    maybe: tuple[Hit, ...]


class Search:
    def __init__(self, store: Store, rows: SubjectRows, indexer: Indexer) -> None:
        self._store = store
        self._rows = rows
        self._indexer = indexer

    async def everything(self, claim: Claim, *, brand: str, but: StreamId) -> Found:
        """Every stream in which the person may be, of ``brand`` alone unless that is the house; ``but`` the request."""
        hits = await self._hits(claim.keys(brand), brand)
        holders = [each.stream for each in hits.values() if each.kind == "subscriber" and {*each.by} >= TOGETHER]
        for stream, hit in (await self._hits([Key(HOLDER, each) for each in holders], brand)).items():
            before = hits.get(stream)
            hits[stream] = hit if before is None else _both(before, hit)
        hits.pop(but, None)
        for hit in [each for each in hits.values() if each.kind == "request" and {*each.by} >= TOGETHER]:
            for stream in _erased(await self._store.stream(hit.stream)):
                hits.setdefault(stream, Hit(stream=stream, kind="incident", tenant=hit.tenant, by=(HOLDER,)))
        sure = {stream for stream, hit in hits.items() if await self._sure(hit, holders)}
        ordered = [hits[stream] for stream in sorted(hits)]
        return Found(
            sure=tuple(each for each in ordered if each.stream in sure),
            maybe=tuple(each for each in ordered if each.stream not in sure),
        )

    async def _hits(self, keys: Sequence[Key], brand: str) -> dict[StreamId, Hit]:
        rows = await self._rows.where(self._indexer.digests(keys).keys())
        found: dict[StreamId, Hit] = {}
        for row in rows:
            if brand in (HOUSE, row.tenant):
                before = found.get(row.stream)
                found[row.stream] = _hit(row) if before is None else _both(before, _hit(row))
        return found

    async def _sure(self, hit: Hit, holders: Sequence[StreamId]) -> bool:
        if hit.kind == "vehicle":
            return owner(await self._store.stream(hit.stream)) in holders
        return HOLDER in hit.by or {*hit.by} >= TOGETHER


def _erased(history: Sequence[Recorded]) -> Iterator[StreamId]:
    """What an earlier request of theirs had erased: nothing leads there any more but that."""
    for recorded in history:
        if isinstance(recorded.event, ErasureAsked):
            yield from (stream for stream, _ in recorded.event.erased)


def owner(history: Sequence[Recorded]) -> StreamId | None:
    """Whose vehicle it is by its own record, of which ``history`` is all."""
    now: StreamId | None = None
    for recorded in history:
        if isinstance(recorded.event, RegistryChanged):
            now = _after(recorded.event.change, now)
    return now


def _after(change: Mapping[str, object], before: StreamId | None) -> StreamId | None:
    match change:
        case {"kind": "OwnerLinked", "subscriber": str(subscriber)}:
            return SubjectId(subscriber)
        case {"kind": "TransferCompleted"}:
            buyer = change.get("buyer")
            return SubjectId(buyer) if isinstance(buyer, str) else None
        case _:
            return before


def _hit(row: SubjectRow) -> Hit:
    return Hit(stream=row.stream, kind=row.kind, tenant=row.tenant, by=(row.scheme,))


def _both(one: Hit, other: Hit) -> Hit:
    return Hit(stream=one.stream, kind=one.kind, tenant=one.tenant, by=tuple(sorted({*one.by, *other.by})))
