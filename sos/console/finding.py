"""Finding an incident again: by plate, number, vehicle number, place or time, of a call of yesterday or of last year.

A reader writes down by what each incident is found, as keyed digests of what its sealed parts hold; nothing is opened
to search.  A search says what for and is in the journal before anybody is told what it found, and so is each incident
that is shown: its place and its vehicle are opened for it.  What was destroyed is found by its time alone.
"""

import hmac
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
from msgspec import Struct

from routing.categories import Category
from sos.clock import epoch_ms, timestamp
from sos.console.names import Kind, asked, words
from sos.errors import Refused, SosError
from sos.incident.access import Purpose
from sos.incident.events import (
    DataDestroyed,
    IncidentOpened,
    IncidentsSearched,
    PlaceDescribed,
    PlaceStated,
    PlanMade,
    Recorded,
    ReportFiled,
    VehicleRecognised,
)
from sos.incident.model import Disposition, Incident, IncidentId, Mode, State, TenantId, Trigger
from sos.incident.report import CallBack, NamedPlace, Place, StatedPlace, Vehicle
from sos.journal.found_by import Found, FoundBy, SearchRecord
from sos.journal.journal import Journal
from sos.journal.sealing import Part

SHOWN = 20
"""Incidents of one search at most: what is shown is opened, so whoever wants more says more."""

ANY = "any"
"""By which every incident is found: who knows only when it was."""

LONGEST = timedelta(days=31)
"""Of a search by place or time alone."""

OPENED = (Category.LOC, Category.VEH)


class Wanted(Struct, frozen=True, kw_only=True):
    """What somebody looks for; all of it holds."""

    names: Mapping[Kind, str]
    since: datetime | None
    until: datetime | None


class FoundIncident(Struct, frozen=True, kw_only=True):
    """An incident as a search shows it."""

    incident: IncidentId
    tenant: TenantId
    at: str
    mode: Mode
    trigger: Trigger
    state: State
    disposition: Disposition | None
    prefecture: str | None
    place: str
    """Address, municipality or what was said; empty where none is known, or where it may not be shown for this
    purpose."""
    vehicle: str
    plate: str


class SearchResult(Struct, frozen=True, kw_only=True):
    incidents: tuple[FoundIncident, ...]
    """The newest first."""
    more: bool
    """There are others, which are not shown."""


class Finder:
    WANTS = (IncidentOpened, ReportFiled, PlanMade, PlaceStated, PlaceDescribed, VehicleRecognised, DataDestroyed)

    def __init__(self, journal: Journal, rows: FoundBy, record: SearchRecord, *, secret: bytes) -> None:
        self._journal = journal
        self._rows = rows
        self._record = record
        self._secret = secret

    # --- what there is to be found ---

    async def handle(self, batch: Sequence[Recorded]) -> None:
        """As a reader."""
        found: list[Found] = []
        for recorded in batch:
            if isinstance(recorded.event, DataDestroyed):
                await self._rows.add(found)
                found = []
                gone = [str(each.category) for each in recorded.event.disposed]
                await self._rows.forget(recorded.incident, gone)
            elif isinstance(recorded.event, self.WANTS):
                found += await self._found_by(recorded)
        await self._rows.add(found)

    async def _found_by(self, recorded: Recorded) -> Sequence[Found]:
        opened_at = (await self._journal.state(recorded.incident)).opened_at or recorded.at
        return [
            Found(
                digest=digest,
                opened_ms=epoch_ms(opened_at),
                stream=recorded.incident,
                category=category,
                tenant=recorded.tenant,
            )
            for category, digest in self._digests(recorded, await self._journal.parts_of(recorded))
        ]

    def _digests(self, recorded: Recorded, parts: Mapping[Category, bytes]) -> Iterator[tuple[str, bytes]]:
        if isinstance(recorded.event, IncidentOpened):
            yield "", self._digest(ANY, "")
        for category, content in parts.items():
            for kind, text in _names(recorded, category, content):
                yield from ((str(category), self._digest(kind, word)) for word in words(kind, text))

    def _digest(self, kind: str, word: str) -> bytes:
        return hmac.digest(self._secret, f"{kind}\0{word}".encode(), "sha256")[:16]

    # --- finding it ---

    async def find(self, wanted: Wanted, *, reader: str, purpose: Purpose, reason: str) -> SearchResult:
        """What is found, with its place and vehicle; that it was looked for, and what for, is in the journal first."""
        digests, since, until = self._asked(wanted)
        rows = await self._rows.find(digests, since_ms=epoch_ms(since), until_ms=epoch_ms(until), limit=SHOWN + 1)
        shown = [incident for incident, _ in rows[:SHOWN]]
        by = (*map(str, wanted.names), *(("time",) if wanted.since or wanted.until else ()))
        searched = IncidentsSearched(purpose=str(purpose), by=by, shown=len(shown))
        await self._record.write(searched, actor=reader)
        told = [await self._show(incident, reader=reader, purpose=purpose, reason=reason) for incident in shown]
        return SearchResult(incidents=tuple(told), more=len(rows) > SHOWN)

    def _asked(self, wanted: Wanted) -> tuple[Sequence[bytes], datetime, datetime]:
        now = self._journal.clock.now()
        if not all(asked(kind, text) for kind, text in wanted.names.items()):
            raise Refused("this is too short to look for")
        until = wanted.until or now + timedelta(days=1)
        exact = any(kind is not Kind.PLACE for kind in wanted.names)
        since = wanted.since or (datetime.fromtimestamp(0, until.tzinfo) if exact else until - LONGEST)
        if since >= until:
            raise Refused("the time ends before it begins")
        if not wanted.names and wanted.since is None:
            raise Refused("say a plate, a number, a place or a time")
        if not exact and until - since > LONGEST + timedelta(days=1):
            raise Refused("by place or time alone at most 31 days are searched")
        digests = [
            self._digest(kind, word)
            for kind in (Kind.VIN, Kind.PHONE, Kind.PLATE, Kind.PLACE)
            for word in sorted(asked(kind, wanted.names.get(kind, "")), key=len, reverse=True)
        ]
        return digests or [self._digest(ANY, "")], since, until

    async def _show(self, incident: IncidentId, *, reader: str, purpose: Purpose, reason: str) -> FoundIncident:
        state = await self._journal.state(incident)
        try:
            contents = await self._journal.read(
                incident, OPENED, reader=reader, purpose=purpose, reason=reason, each_time=True
            )
            parts = contents.parts
        except SosError:  # for this purpose it may not be opened: that there was one is no secret
            parts = ()
        return _told(state, parts)


def _names(recorded: Recorded, category: Category, content: bytes) -> Iterable[tuple[Kind, str]]:
    """What of a part is looked for; nothing where it cannot be read."""
    try:
        return _read(recorded, category, content)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ()


def _read(recorded: Recorded, category: Category, content: bytes) -> Iterable[tuple[Kind, str]]:
    match recorded.event, category:
        case ReportFiled(), Category.VEH:
            vehicle = msgspec.json.decode(content, type=Vehicle)
            return _said((Kind.PLATE, vehicle.license_plate), (Kind.VIN, vehicle.id_value))
        case ReportFiled(), Category.TEL:
            return _said((Kind.PHONE, msgspec.json.decode(content, type=CallBack).tel))
        case VehicleRecognised(), Category.OWN:
            told = msgspec.json.decode(content, type=dict[str, str])
            return _said((Kind.PHONE, told.get("ownerTel")))
        case ((PlanMade() | PlaceStated() | PlaceDescribed()), Category.LOC):
            return _said(*((Kind.PLACE, text) for text in _places(recorded, content)))
        case _:
            return ()


def _said(*names: tuple[Kind, str | None]) -> Sequence[tuple[Kind, str]]:
    return [(kind, text) for kind, text in names if text]


def _places(recorded: Recorded, content: bytes) -> Sequence[str | None]:
    """A place in words, the most exact ones first."""
    match recorded.event:
        case PlanMade():
            place = msgspec.json.decode(content, type=Place)
            areas = "".join(filter(None, (place.prefecture_name, place.municipality_name)))
            return (areas, place.aloud_en)
        case PlaceStated():
            stated = msgspec.json.decode(content, type=StatedPlace)
            return (stated.stated, stated.name)
        case _:
            return (msgspec.json.decode(content, type=NamedPlace).address,)


def _shown(recorded: Recorded, content: bytes) -> str:
    if isinstance(recorded.event, PlanMade):  # its prefecture is no secret and stands beside it
        return msgspec.json.decode(content, type=Place).municipality_name or ""
    return next(filter(None, _places(recorded, content)), "")


def _told(state: Incident, parts: Sequence[Part]) -> FoundIncident:
    place, vehicle = "", Vehicle()
    for part in parts:
        match part.recorded.event, part.category:
            case ReportFiled(), Category.VEH:
                vehicle = msgspec.json.decode(part.payload, type=Vehicle)
            case ((PlanMade() | PlaceStated() | PlaceDescribed()), Category.LOC):
                place = _shown(part.recorded, part.payload) or place
            case _:
                pass
    return FoundIncident(
        incident=state.id,
        tenant=state.tenant,
        at=timestamp(state.opened_at) if state.opened_at is not None else "",
        mode=state.mode,
        trigger=state.trigger,
        state=state.state,
        disposition=state.disposition,
        prefecture=state.prefecture,
        place=place,
        vehicle=" ".join(filter(None, (vehicle.brand, vehicle.model))),
        plate=vehicle.license_plate or "",
    )
