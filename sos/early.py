"""The service before its database answers: reports are taken into the spool and shown at the desks, nothing else.

It stands on a journal whose store nobody has opened, so each report goes the way it goes in any outage.  Who sends is
known from the settings, nonces are remembered here, and where a report belongs is decided from memory alone: in doubt
there are two.  The service that comes listens at the same sockets before this one stops, and takes over what was shown.
"""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import timedelta

import msgspec
import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from recording.keys import KeyStore
from routing.plan import Sources
from sos import accesses
from sos.calls.adapters.twilio.configured import desk_sources
from sos.clock import Clock
from sos.console import frames
from sos.console.configured import base_map, desk_access
from sos.console.desks import Desks
from sos.console.early import EarlyDesks
from sos.console.entrance import Entrance
from sos.console.hub import Hub, message
from sos.console.outage import Outage, Unrecorded
from sos.dispatch.adapters.cards import Cards
from sos.dispatch.ladder import numbers
from sos.errors import Unavailable
from sos.figures import spool_usable
from sos.front import configured as front
from sos.front import connections, headers
from sos.incident.model import IncidentId, LegId, OperatorId
from sos.intake.acceptance import Acceptance
from sos.intake.auth import NONCES_KEPT
from sos.intake.configured import credentials, tenants, tls
from sos.intake.findings import MAX_BODY_BYTES
from sos.intake.formats import read_report
from sos.intake.http import routes as event_routes
from sos.intake.nonces import Nonces
from sos.intake.receipts import Receipts
from sos.intake.recent import Recent
from sos.intake.writer import Writer
from sos.journal.configured import AnyStore
from sos.journal.desk_access import DeskAccess
from sos.journal.journal import Journal, OnSpooled
from sos.journal.spool import Spooled
from sos.problems import Handler, problems_middleware
from sos.settings import Settings
from sos.supervisor import Supervisor

log = structlog.get_logger()

EVERY = timedelta(seconds=2)
"""Between two words to the desks on how the house is."""

GRACE = timedelta(milliseconds=250)
"""For a request whose connection was taken just before the service that comes took over."""


class Early:
    """``begin`` once the database is found away, ``end`` when somebody else takes reports; both may come twice."""

    def __init__(self, settings: Settings, sources: Sources, *, clock: Clock) -> None:
        self._settings = settings
        self._sources = sources
        self._clock = clock
        self._stack = AsyncExitStack()
        self._outage: Outage | None = None
        self._listening: connections.Listening | None = None
        self._tasks = Supervisor(clock)

    @property
    def listening(self) -> connections.Listening | None:
        """Where it is asked now; None before and after."""
        return self._listening

    @property
    def shown(self) -> Mapping[IncidentId, str]:
        """What desks have been told and the journal does not know yet."""
        return {} if self._outage is None else self._outage.shown

    async def begin(self, journal: Journal, keys: KeyStore, store: AnyStore) -> None:
        """Take reports, and show desks what came and what was waiting already."""
        if self._listening is not None:
            return
        settings, hub = self._settings, Hub()
        log.warning("takes_reports_without_database")
        self._outage = Outage(journal, hub)
        self._stack.callback(hub.close)
        ring = rings(self._outage)
        self._stack.callback(journal.on_spooled(ring))
        hall = front.hall(settings)
        app = self._application(journal, hall)
        acceptance = self._acceptance(journal, keys)
        app.add_routes(self._intake(acceptance))
        app.add_routes(self._desks(journal, keys, store, hub).routes())
        secured = tls(settings)
        self._listening = await connections.serve(
            app, hall, host=settings.host, port=settings.port, ssl_context=secured
        )
        writer = Writer(acceptance, journal, tenants=tenants(settings))
        await self._stack.enter_async_context(writer.listening(settings.data))
        log.info("listening", url=settings.url, database="away")
        for spooled in await journal.waiting():
            await ring(spooled)
        self._tasks.start("early-health", lambda: self._tell(hub))
        for name, work in front.figures_shown(settings, lambda: self._figures(journal), self._clock):
            self._tasks.start(name, work)

    async def be_silent(self) -> None:
        """Say no more how the house is: the service that comes does, at the same places."""
        await self._tasks.stop()

    async def end(self) -> None:
        """Take no more; what came in is answered."""
        listening, self._listening = self._listening, None
        if listening is not None:
            await self.be_silent()
            listening.close()
            await self._clock.wait(GRACE)
            await self._stack.aclose()
            await listening.stop()

    def _application(self, journal: Journal, hall: connections.Hall) -> web.Application:
        settings = self._settings
        monitor = self._stack.enter_context(front.access_monitor(settings, self._clock))
        middlewares = (hall.middleware(), _closing, problems_middleware, monitor.middleware())
        app = web.Application(middlewares=middlewares, client_max_size=MAX_BODY_BYTES + 1)
        app[accesses.LOG] = monitor
        headers.furnish(app, secure=settings.secure, subdomains=settings.hsts_subdomains)
        app.add_routes([web.get("/healthz", _alive), web.get("/readyz", self._ready)])
        return app

    def _acceptance(self, journal: Journal, keys: KeyStore) -> Acceptance:
        within = timedelta(milliseconds=self._settings.accept_within_ms)
        return Acceptance(journal, Receipts(keys.secret("intake")), Recent(), join_within=within)

    def _intake(self, acceptance: Acceptance) -> list[web.RouteDef]:
        settings = self._settings
        known = credentials(settings, nonces=Nonces(NONCES_KEPT, settings.data / "nonces.sqlite"))
        self._stack.callback(known.close)
        return event_routes(acceptance, known, self._clock)

    def _desks(self, journal: Journal, keys: KeyStore, store: AnyStore, hub: Hub) -> EarlyDesks:
        settings, directory = self._settings, self._sources.directory
        assert self._outage is not None
        access = desk_access(
            settings, journal, Desks(self._clock), DeskAccess(store.engine), keys=keys, hang_up=_no_voice
        )
        return EarlyDesks(
            entrance=Entrance(access, base_map=base_map(), connects=desk_sources(settings)),
            hub=hub,
            outage=self._outage,
            directory=directory,
            lines={agency.id: numbers(agency, directory) for agency in directory.agencies.values()},
            colleagues={OperatorId(each.id): each.name for each in settings.operators},
            demo=settings.demo,
            clock=self._clock,
            health=self._items,
        )

    async def _tell(self, hub: Hub) -> None:
        while True:
            hub.tell(message(frames.HealthFrame(items=self._items(), waiting=0)))
            await self._clock.wait(EVERY)

    def _items(self) -> dict[str, frames.Health]:
        spool: frames.Health = "ok" if spool_usable(self._settings.data) else "degraded"
        return {"journal": "down", "recording": spool, "voice": "down", "access": "ok"}

    async def _ready(self, _: web.Request) -> web.Response:
        ready = spool_usable(self._settings.data)
        state = {"ready": ready, "starting": True, "items": self._items(), "died": {}, "assists": {}}
        return web.Response(
            status=200 if ready else 503, body=msgspec.json.encode(state), content_type="application/json"
        )

    def _figures(self, journal: Journal) -> bytes:
        """Of those that the whole service gives, what can be said now: the alarm of an outage is among them."""
        registry = CollectorRegistry()
        oldest = journal.spool_oldest
        figures = {
            "sos_ready": ("Whether reports can be accepted: by the spool", spool_usable(self._settings.data)),
            "sos_database_up": ("Whether the database answers", False),
            "sos_spool_reports": ("Reports that wait in the spool", journal.spooled),
            "sos_spool_oldest_seconds": (
                "Age of the oldest spooled report",
                (self._clock.now() - oldest).total_seconds() if oldest else 0,
            ),
        }
        for name, (says, figure) in figures.items():
            Gauge(name, says, registry=registry).set(figure)
        return generate_latest(registry)


def rings(outage: Outage, cards: Cards | None = None) -> OnSpooled:
    """A report that cannot reach the database yet is read here and rings at every desk."""

    async def ring(spooled: Spooled) -> None:
        command, incident, at = spooled.command, spooled.incident, spooled.received_at
        report = read_report(command.report, command.format, at=at)
        if cards is not None:
            cards.keep(report, incident=incident, mode=command.mode, reported_at=at)
        outage.ring(
            Unrecorded(incident=incident, received_at=at, trigger=command.trigger, mode=command.mode, report=report)
        )

    return ring


@web.middleware
async def _closing(request: web.Request, handler: Handler) -> web.StreamResponse:
    """No connection is kept: the next request of whoever sends meets the service that has come meanwhile."""
    answer = await handler(request)
    answer.force_close()
    return answer


async def _alive(_: web.Request) -> web.Response:
    return web.Response(text="alive\n")


async def _no_voice(_: LegId) -> None:
    raise Unavailable("voice begins once the database answers")
