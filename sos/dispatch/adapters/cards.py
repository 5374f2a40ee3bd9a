"""Cards of what came in lately, kept in memory and shown to a signed-in desk although the database is away.

A reader and a door.  The reader remembers what each report and its plan said; a report that is only in the spool comes
in by ``keep``.  What is remembered is also on this machine's disk, sealed (``Shelf``), so that a restart during an
outage loses no card; it goes when the incident is closed, and after ``LASTS`` in any case.

The door never waits for the journal longer than ``RECORD_WITHIN``: an emergency's card is shown, and an access that
could not be written is in the structured log (rule 1: rescue is never blocked, what it did is recorded afterwards).
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from html import escape
from pathlib import Path
from typing import Any

import msgspec
import structlog
from aiohttp import web
from msgspec import Struct, field

from recording.errors import RecordingError
from recording.vault import seal, unseal
from routing.categories import Category
from routing.directory import Directory
from sos.dispatch.card import Card, card_of, page, text
from sos.errors import SosError, Unknown
from sos.incident.commands import ReadParts
from sos.incident.events import IncidentClosed, PlanMade, Recorded, ReportFiled
from sos.incident.model import AgencyId, IncidentId, Mode, State
from sos.incident.report import CallBack, Crash, EmergencyReport, Location, Place, Vehicle
from sos.journal.journal import Journal

KEPT = 500
"""Cards in memory: the first minutes of a great earthquake, a few hundred kilobytes."""

LASTS = timedelta(hours=24)
"""How long an incident that nobody closes keeps its card: longer than any outage a paper would have to bridge."""

SAVE_EVERY = timedelta(seconds=2)
RECORD_WITHIN = timedelta(milliseconds=300)

SHOWN = (Category.LOC, Category.VEH, Category.SEV, Category.TEL)
OPEN = tuple(state for state in State if state is not State.CLOSED)

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
}

log = structlog.get_logger()

SignedIn = Callable[[web.Request], str]
"""Who asks, as an actor; raises when nobody known does."""


class Known(Struct, kw_only=True):
    """What the house knows of one incident without its database."""

    incident: IncidentId
    mode: Mode
    reported_at: datetime
    agencies: tuple[AgencyId, ...] = ()
    told: dict[Category, dict[str, Any]] = field(default_factory=dict)
    """By category, later facts over earlier ones."""

    def hear(self, parts: Mapping[Category, bytes]) -> None:
        for category, payload in parts.items():
            if category in SHOWN:
                self.told.setdefault(category, {}).update(msgspec.json.decode(payload))


_shelved = msgspec.json.Decoder(list[Known])


class Shelf:
    """What is known, in one sealed file; replaced whole, so that it is never half of two."""

    def __init__(self, file: Path, key: bytes) -> None:
        self._file = file
        self._key = key

    def save(self, known: Sequence[Known]) -> None:
        sealed = seal(self._key, msgspec.json.encode(known), context=_CONTEXT)
        fresh = self._file.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_bytes(sealed.ciphertext)
        fresh.replace(self._file)

    def load(self) -> list[Known]:
        """What was saved last; nothing when there is nothing readable."""
        try:
            return _shelved.decode(unseal(self._key, self._file.read_bytes(), context=_CONTEXT).payload)
        except FileNotFoundError:
            return []
        except (OSError, RecordingError, msgspec.DecodeError) as damaged:
            log.warning("cards_unreadable", reason=type(damaged).__name__)
            return []


_CONTEXT = b"sos/cards/1"


class Cards:
    """The newest cards by incident."""

    WANTS = (ReportFiled, PlanMade, IncidentClosed)

    def __init__(self, journal: Journal, directory: Directory, shelf: Shelf | None = None) -> None:
        self._journal = journal
        self._directory = directory
        self._shelf = shelf
        self._known: OrderedDict[IncidentId, Known] = OrderedDict()
        self._changed = False

    async def restore(self) -> None:
        """After a restart: what was on the shelf, and of the journal what is open, as far as it answers."""
        if self._shelf is not None:
            for known in await asyncio.to_thread(self._shelf.load):
                self._put(known)
        self._forget_old()
        try:
            for incident in list(self._known):
                await self._forget_closed(incident)
            _, incidents = await self._journal.queue(limit=KEPT, states=OPEN)
            for state in reversed(incidents):
                await self._recall(state.id)
        except SosError as away:
            log.warning("cards_not_restored", reason=type(away).__name__)

    async def watch(self) -> None:
        """Keep the shelf up to date, for ever."""
        while True:
            await self.save()
            await self._journal.clock.wait(SAVE_EVERY)

    async def save(self) -> None:
        """Write what has changed.  A disk that is full costs the cards' life beyond this process and nothing else."""
        self._forget_old()
        if self._shelf is None or not self._changed:
            return
        self._changed = False
        try:
            await asyncio.to_thread(self._shelf.save, list(self._known.values()))
        except OSError as full:
            log.warning("cards_not_saved", reason=type(full).__name__)

    async def handle(self, batch: Sequence[Recorded]) -> None:
        for recorded in batch:
            match recorded.event:
                case ReportFiled() | PlanMade():
                    await self._hear(recorded)
                case IncidentClosed():
                    self._drop(recorded.incident)

    def keep(self, report: EmergencyReport, *, incident: IncidentId, mode: Mode, reported_at: datetime) -> None:
        """Remember a report that the journal does not know yet."""
        known = Known(incident=incident, mode=mode, reported_at=reported_at)
        known.hear(report.parts())
        self._put(known)

    def card(self, incident: IncidentId) -> Card:
        """``Unknown`` when there is none in memory."""
        if incident not in self._known:
            raise Unknown("there is no card of this incident")
        return self._made(self._known[incident])

    def newest(self) -> list[tuple[IncidentId, datetime]]:
        """Incident and time of its report, the newest first."""
        return [(known.incident, known.reported_at) for known in reversed(self._known.values())]

    async def _hear(self, recorded: Recorded) -> None:
        known = self._known.get(recorded.incident)
        if known is None:
            state = await self._journal.state(recorded.incident)
            if state.state is State.CLOSED:
                return
            at = state.opened_at or recorded.at
            known = Known(incident=recorded.incident, mode=state.mode, reported_at=at)
        known.hear(await self._journal.parts_of(recorded))
        if isinstance(recorded.event, PlanMade):
            known.agencies = recorded.event.agencies
        self._put(known)

    async def _recall(self, incident: IncidentId) -> None:
        for recorded in await self._journal.store.stream(incident):
            if isinstance(recorded.event, ReportFiled | PlanMade):
                await self._hear(recorded)

    async def _forget_closed(self, incident: IncidentId) -> None:
        try:
            state = await self._journal.state(incident)
        except Unknown:  # still in the spool
            return
        if state.state is State.CLOSED:
            self._drop(incident)

    def _forget_old(self) -> None:
        oldest = self._journal.clock.now() - LASTS
        for known in [each for each in self._known.values() if each.reported_at < oldest]:
            self._drop(known.incident)

    def _drop(self, incident: IncidentId) -> None:
        self._changed |= self._known.pop(incident, None) is not None

    def _put(self, known: Known) -> None:
        self._changed = True
        self._known[known.incident] = known
        while len(self._known) > KEPT:
            self._known.popitem(last=False)

    def _made(self, known: Known) -> Card:
        told = known.told
        report = EmergencyReport(
            location=msgspec.convert(told.get(Category.LOC, {}), Location),
            vehicle=msgspec.convert(told.get(Category.VEH, {}), Vehicle),
            crash=msgspec.convert(told.get(Category.SEV, {}), Crash),
            call_back=msgspec.convert(told.get(Category.TEL, {}), CallBack),
        )
        place = msgspec.convert(told.get(Category.LOC, {}), Place)
        names = (place.prefecture_name, place.municipality_name, place.mgrs)
        return card_of(
            report,
            incident=known.incident,
            mode=known.mode,
            reported_at=known.reported_at,
            now=self._journal.clock.now(),
            directory=self._directory,
            agencies=known.agencies,
            place=" ".join(name for name in names if name) or None,
        )


class CardEndpoint:
    """``/console/cards``: below the console, so that the desk's session opens it."""

    def __init__(self, cards: Cards, journal: Journal, *, signed_in: SignedIn) -> None:
        self._cards = cards
        self._journal = journal
        self._signed_in = signed_in

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/console/cards", self._list), web.get("/console/cards/{incident}", self._card)]

    async def _list(self, request: web.Request) -> web.Response:
        self._signed_in(request)
        rows = "".join(
            f'<li><a href="/console/cards/{escape(incident)}">{escape(incident)}</a> {at:%H:%M:%S} UTC</li>'
            for incident, at in self._cards.newest()
        )
        body = f'<!doctype html><meta charset="utf-8"><title>cards</title><ul>{rows}</ul>'
        return web.Response(text=body, content_type="text/html", headers=HEADERS)

    async def _card(self, request: web.Request) -> web.Response:
        """The page; as plain text with ``?text=ja`` or ``?text=en``."""
        reader = self._signed_in(request)
        card = self._cards.card(IncidentId(request.match_info["incident"]))
        await self._record(card.incident, reader)
        match request.query.get("text"):
            case "ja" | "en" as language:
                return web.Response(text=text(card, language), content_type="text/plain", headers=HEADERS)
            case _:
                return web.Response(text=page(card), content_type="text/html", headers=HEADERS)

    async def _record(self, incident: IncidentId, reader: str) -> None:
        command = ReadParts(reader=reader, categories=SHOWN, purpose="emergency_card")
        try:
            await _within(self._journal.execute(incident, command, actor=reader))
        except (SosError, TimeoutError) as away:
            log.warning("card_shown_unrecorded", incident=incident, reader=reader, reason=type(away).__name__)


async def _within(work: Awaitable[object]) -> None:
    async with asyncio.timeout(RECORD_WITHIN.total_seconds()):
        await work
