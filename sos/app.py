"""The composition root: the only file that knows every adapter.  It opens in order and closes in reverse.

Read it as a parts list.  What runs for ever runs under ``Supervisor``: a task that dies is started again and shows in
``/readyz``; it never takes another one with it.
"""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import structlog
from aiohttp import web
from msgspec import Struct
from prometheus_client import CollectorRegistry

from recording.keys import KeyStore
from recording.note import Signer
from recording.tiles import TileStore
from routing.boundaries import PrefectureLayer
from routing.brief import Sender
from routing.directory import Directory
from routing.errors import RoutingError
from routing.geocode import Geocoder
from routing.law import RuleBook
from routing.plan import Sources
from sos import openapi
from sos.calls import configured as telephony
from sos.calls.adapters.embedded import EmbeddedProvider
from sos.calls.adapters.twilio.provider import TwilioProvider
from sos.calls.agency import AgencyDoor
from sos.calls.bridge import Bridge
from sos.calls.http import IceDoor, SenderOf, VehicleDoor
from sos.calls.port import Level
from sos.calls.turn import Turn
from sos.clock import Clock, SystemClock
from sos.console.access import COOKIE, Access, Operator
from sos.console.acd import Distribution
from sos.console.desks import Desks
from sos.console.http import Console
from sos.console.hub import Hub
from sos.console.outage import Outage, Unrecorded
from sos.console.socket import Room
from sos.dispatch.adapters.cards import Cards, SignedIn
from sos.dispatch.adapters.portal import Links
from sos.dispatch.addresses import Addresses
from sos.dispatch.configured import handing_over
from sos.dispatch.disclosure import Disclosures, Policy
from sos.dispatch.ladder import number, numbers
from sos.dispatch.lost import LostDoor
from sos.dispatch.planner import Planner
from sos.dispatch.sources import open_sources, open_towns
from sos.errors import Misconfigured
from sos.exports.http import Auditor, ExportDoor
from sos.exports.package import Exporter
from sos.health import Health
from sos.incident.model import IncidentId, LegId, OperatorId, TenantId
from sos.intake import http as intake_http
from sos.intake.configured import Intake, tls
from sos.intake.findings import MAX_BODY_BYTES
from sos.intake.formats import read_report
from sos.intake.matching import warm_up
from sos.intake.reader import Filer
from sos.journal.journal import Journal, OnSpooled
from sos.journal.migrate import upgrade
from sos.journal.postgres import PostgresStore
from sos.journal.publisher import Publisher
from sos.journal.readers import Follower, Reader, drain_spool, pass_deadlines, under_lease
from sos.journal.spool import Spool, Spooled
from sos.journal.sqlite import SqliteStore
from sos.problems import problems_middleware
from sos.registry.http import Registrar, RegistryDoor
from sos.registry.index import Index
from sos.registry.lifecycle import Role
from sos.registry.pack import configured
from sos.registry.recogniser import Recogniser
from sos.registry.registry import Registry
from sos.registry.triage import Triage
from sos.settings import Settings, TenantSettings

log = structlog.get_logger()

RESTART_AFTER = timedelta(seconds=1)


class Service(Struct, frozen=True, kw_only=True):
    """What is running, for those who start it: the command line, the demonstration, the tests."""

    settings: Settings
    journal: Journal
    exporter: Exporter
    links: Links
    directory: Directory
    registry: Registry
    desks: Desks
    log_vkey: str
    seal_vkey: str
    url: str


class Supervisor:
    """Keeps the service's long tasks alive and knows which of them are not."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: list[asyncio.Task[None]] = []
        self.failures: dict[str, str] = {}

    def start(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        self._tasks.append(asyncio.create_task(self._keep_alive(name, work), name=name))

    async def stop(self) -> None:
        for task in reversed(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def _keep_alive(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except Exception as failed:  # the edge of one long task
                log.exception("task_died", task=name)
                self.failures[name] = type(failed).__name__
            await self._clock.wait(RESTART_AFTER)


def spare_the_collector() -> None:
    """Keep the cyclic garbage collector off the accept path.

    What is kept in memory (states, newest events) is acyclic and long-lived; with Python's default thresholds it is
    searched again and again, which took a tenth of the time of each accept.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


class _Kept(Struct, frozen=True, kw_only=True):
    """What is kept: keys, database, spool, published log."""

    clock: Clock
    keys: KeyStore
    store: SqliteStore | PostgresStore
    journal: Journal
    tiles: TileStore
    log_signer: Signer
    seal_signer: Signer
    publisher: Publisher


class _Loudness:
    """How loud each leg is, from the workers to whoever wants to know; nobody while the service opens."""

    def __init__(self) -> None:
        self.tell: Callable[[Mapping[IncidentId, Mapping[LegId, tuple[int, int]]]], None] = lambda _: None

    def hear(self, levels: tuple[Level, ...]) -> None:
        by_incident: dict[IncidentId, dict[LegId, tuple[int, int]]] = {}
        for level in levels:
            by_incident.setdefault(level.incident, {})[level.leg] = (level.rms, level.peak)
        self.tell(by_incident)


class _Voice(Struct, frozen=True, kw_only=True):
    loudness: _Loudness
    recordings: Path
    provider: EmbeddedProvider | TwilioProvider
    bridge: Bridge


@asynccontextmanager
async def running(settings: Settings, *, clock: Clock | None = None) -> AsyncIterator[Service]:
    """The whole service, listening, until the context is left."""
    async with AsyncExitStack() as stack:
        kept = await _open_journal(stack, settings, clock or SystemClock())
        sources = open_sources(settings)
        directory = sources.directory
        voice = await _open_voice(stack, kept, settings, directory)
        telling = await stack.enter_async_context(
            handing_over(settings, kept.journal, kept.keys, directory=directory, dials=voice.provider.dials)
        )
        links = telling.links
        intake = Intake.of(settings, kept.journal, secret=kept.keys.secret("intake"))
        await warm_up(intake.matching)
        hub, desks = Hub(seen=(await kept.store.tree())[0] - 1), Desks(kept.clock)
        voice.loudness.tell = hub.sound
        distribution = Distribution(kept.journal, desks)
        outage = Outage(kept.journal, hub)
        kept.journal.on_spooled(rings(outage, telling.cards))
        exporter = Exporter(
            kept.journal,
            kept.publisher,
            kept.tiles,
            recordings=voice.recordings,
            log_signer=kept.log_signer,
            seal_signer=kept.seal_signer,
        )

        registry = await _open_registry(kept, settings)

        supervisor = Supervisor(kept.clock)
        stack.push_async_callback(supervisor.stop)
        followers = _start_readers(
            supervisor,
            kept,
            (
                Reader(name="filer", handle=Filer(kept.journal).handle),
                *intake.readers(),
                Reader(name="planner", handle=_planner(kept, sources, settings).handle),
                Reader(name="registry", handle=Recogniser(kept.journal, registry).handle),
                Reader(name="registry-index", handle=registry.catch_up),
                Reader(name="severity", handle=Triage(kept.journal, registry.packs.get).handle),
                Reader(name="distribution", handle=distribution.handle),
                Reader(name="cards", handle=telling.cards.handle),
                Reader(name="handoff", handle=telling.handoff.handle),
                Reader(name="bridge", handle=voice.bridge.handle),
                *await _addresses(stack, kept, settings),
                Reader(name="hub", handle=hub.handle, from_now=True),
            ),
            within={"handoff": telling.handoff.run},
        )
        health = Health(
            kept.journal, supervisor.failures, followers=followers, data=settings.data, others=_figures(voice)
        )
        for name, work in (
            ("voice", voice.bridge.run),
            ("deadlines", lambda: pass_deadlines(kept.journal)),
            ("spool", lambda: drain_spool(kept.journal)),
            ("publisher", lambda: kept.publisher.run(kept.clock)),
            ("desk-watch", distribution.watch),
            ("outage", outage.watch),
            ("registry-periods", registry.keep_periods),
            ("health", lambda: health.watch(hub)),
            *telling.work,
        ):
            supervisor.start(name, work)

        if intake.mqtt is not None:
            supervisor.start("mqtt", _once(kept, "mqtt", intake.mqtt.serve))

        room = Room(
            journal=kept.journal,
            hub=hub,
            outage=outage,
            desks=desks,
            distribution=distribution,
            voice=voice.bridge,
            disclose=_disclosures(kept, directory, settings),
            agencies=telling.replies,
            lines={agency.id: numbers(agency, directory) for agency in directory.agencies.values()},
            directory=directory,
            demo=settings.demo,
            boot=voice.provider.boot,
            brands=registry.spoken,
            dials=voice.provider.dials,
        )
        spare_the_collector()
        app = _doors(kept, intake, voice, room, settings)
        app.add_routes(telling.routes(signed_in=_signed_in(kept, settings)))
        app.add_routes(AgencyDoor(voice.bridge, kept.journal, agency_of=telling.agency_of).routes())
        lost = LostDoor.opened(settings, sources, clock=kept.clock, tenant_of=_tenant_of(intake, kept))
        app.add_routes((await stack.enter_async_context(lost)).routes())
        app.add_routes(ExportDoor(exporter, _auditors(settings)).routes())
        app.add_routes(RegistryDoor(registry, _registrars(settings), clock=kept.clock).routes())
        _open_exchange(app, kept, intake, voice, settings)
        app.add_routes(_ice_routes(kept, intake, settings))
        app.add_routes(health.routes())
        stack.callback(hub.close)
        await _listen(stack, app, settings)
        log.info("listening", url=settings.url, database=kept.store.name)
        yield Service(
            settings=settings,
            journal=kept.journal,
            exporter=exporter,
            links=links,
            directory=directory,
            registry=registry,
            desks=desks,
            log_vkey=kept.log_signer.verifier.vkey,
            seal_vkey=kept.seal_signer.verifier.vkey,
            url=settings.url,
        )


def _sender_of(intake: Intake, kept: _Kept) -> SenderOf:
    return lambda request: intake.credentials.identify(request, at=kept.clock.now())


def _tenant_of(intake: Intake, kept: _Kept) -> Callable[[web.Request], TenantId]:
    return lambda request: intake.credentials.tenant(request, at=kept.clock.now()).id


def _doors(kept: _Kept, intake: Intake, voice: _Voice, room: Room, settings: Settings) -> web.Application:
    """Where vehicles and operators come in."""
    access = Access(_operators(settings), secret=kept.keys.secret("session"), clock=kept.clock)
    secure = settings.url.startswith("https://")
    vehicles = VehicleDoor(
        voice.bridge, kept.journal, sender_of=_sender_of(intake, kept), incident_of_call=intake.incident_of_call
    )
    app = web.Application(middlewares=[problems_middleware], client_max_size=MAX_BODY_BYTES + 1)
    app.add_routes(intake_http.routes(intake.acceptance, intake.credentials, kept.clock))
    described = openapi.files(url=settings.url, version=metadata.version("sos-service"))
    app.add_routes(intake_http.SchemaDoor(described).routes())
    app.add_routes(intake_http.IncidentDoor(kept.journal, intake.credentials, intake.answers).routes())
    app.add_routes(vehicles.routes())
    app.add_routes(Console(room, access, base_map=_base_map(), secure=secure).routes())
    return app


async def _open_journal(stack: AsyncExitStack, settings: Settings, clock: Clock) -> _Kept:
    settings.data.mkdir(parents=True, exist_ok=True)
    keys = KeyStore(settings.data / "keys")
    store = _store(settings)
    await stack.enter_async_context(store)
    await upgrade(store.engine)
    within = timedelta(milliseconds=settings.accept_within_ms)
    spool = Spool(settings.data / "spool", keys.secret("spool"))
    journal = await stack.enter_async_context(Journal(store, keys, spool, clock=clock, accept_within=within))
    tiles = TileStore(settings.data / "log")
    log_signer = Signer(settings.log_origin, keys.signing_key("log"))
    return _Kept(
        clock=clock,
        keys=keys,
        store=store,
        journal=journal,
        tiles=tiles,
        log_signer=log_signer,
        seal_signer=Signer(f"{settings.log_origin.split('/')[0]}/seal", keys.signing_key("seal")),
        publisher=Publisher(store, tiles, log_signer, origin=settings.log_origin),
    )


async def _open_registry(kept: _Kept, settings: Settings) -> Registry:
    """The registry with the brands' packs in force."""
    registry = Registry(kept.store, Index(kept.store.engine), kept.keys, clock=kept.clock)
    tenants = {TenantId(tenant.id) for tenant in settings.tenants}
    packs = configured(Path(settings.brand_packs) if settings.brand_packs else None, tenants)
    await registry.load_packs(packs, tenants)
    return registry


async def _open_voice(stack: AsyncExitStack, kept: _Kept, settings: Settings, directory: Directory) -> _Voice:
    """Voice, and what a killed process left of it: legs that are gone, recordings that are open."""
    recordings = settings.data / "recordings"
    loudness = _Loudness()
    provider = _provider(kept, settings, recordings, loudness)
    await stack.enter_async_context(provider)
    lines = telephony.with_desks(lambda agency, line: number(agency, line, directory), settings.twilio)
    bridge = Bridge(kept.journal, provider, number_of=lines)
    await bridge.settle()
    return _Voice(loudness=loudness, recordings=recordings, provider=provider, bridge=bridge)


def _provider(
    kept: _Kept, settings: Settings, recordings: Path, loudness: _Loudness
) -> EmbeddedProvider | TwilioProvider:
    """Who carries voice."""
    if settings.telephony == "twilio" and settings.twilio is not None:
        return telephony.provider(settings, settings.twilio, recordings=recordings, clock=kept.clock)
    turn = _turn(kept, settings)
    return EmbeddedProvider(
        recordings,
        clock=kept.clock,
        workers=settings.media_workers,
        relays=lambda: turn.servers("worker"),
        on_levels=loudness.hear,
    )


def _turn(kept: _Kept, settings: Settings) -> Turn:
    return Turn(settings.turn_urls, kept.keys.secret("turn").hex(), clock=kept.clock)


def _figures(voice: _Voice) -> tuple[CollectorRegistry, ...]:
    return (voice.provider.metrics,) if isinstance(voice.provider, TwilioProvider) else ()


def _open_exchange(app: web.Application, kept: _Kept, intake: Intake, voice: _Voice, settings: Settings) -> None:
    """Where Twilio comes in, when it carries voice."""
    if settings.twilio is None or not isinstance(voice.provider, TwilioProvider):
        return
    access = Access(_operators(settings), secret=kept.keys.secret("session"), clock=kept.clock)
    door = telephony.door(
        settings,
        settings.twilio,
        exchange=voice.provider,
        bridge=voice.bridge,
        incident_of_call=intake.incident_of_call,
        operator_of=lambda request: access.operator(request.cookies.get(COOKIE)).id,
        clock=kept.clock,
    )
    app.add_routes(door.routes())
    app.on_shutdown.append(door.close)


_ALONE = frozenset({"handoff", "addresses"})
"""Readers that act on the world: of several replicas one runs them."""


_Within = Callable[[Callable[[], Awaitable[None]]], Coroutine[Any, Any, None]]
"""What a reader's following runs inside of, so that the work it began ends with it."""


def _start_readers(
    supervisor: Supervisor, kept: _Kept, readers: Sequence[Reader], *, within: Mapping[str, _Within]
) -> list[Follower]:
    followers = [Follower(reader, kept.store, clock=kept.clock) for reader in readers]
    for follower in followers:
        alone = _alone(kept, follower, within.get(follower.name))
        supervisor.start(follower.name, alone if follower.name in _ALONE else follower.run)
    return followers


def _once(kept: _Kept, role: str, work: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], Awaitable[None]]:
    """Of several replicas one does ``work``, and another when that one is gone."""
    return lambda: under_lease(role, work, store=kept.store, clock=kept.clock)


def _alone(kept: _Kept, follower: Follower, within: _Within | None) -> Callable[[], Awaitable[None]]:
    """Of several replicas one delivers: two would tell an agency twice."""
    work = follower.run if within is None else lambda: within(follower.run)
    return lambda: under_lease(follower.name, work, store=kept.store, clock=kept.clock)


def _planner(kept: _Kept, sources: Sources, settings: Settings) -> Planner:
    return Planner(
        kept.journal,
        sources,
        towns=open_towns(settings.towns),
        prefectures=PrefectureLayer.load().names,
    )


async def _addresses(stack: AsyncExitStack, kept: _Kept, settings: Settings) -> tuple[Reader, ...]:
    """Names of places from the operator's own geocoder, where there is one."""
    if not settings.geocoder:
        return ()
    try:
        made = Geocoder(settings.geocoder, monotonic=time.monotonic, within_s=settings.geocoder_within_ms / 1000.0)
    except RoutingError as fault:
        raise Misconfigured(str(fault)) from fault
    geocoder = await stack.enter_async_context(made)
    return (Reader(name="addresses", handle=Addresses(kept.journal, geocoder, clock=kept.clock).handle),)


def _ice_routes(kept: _Kept, intake: Intake, settings: Settings) -> Sequence[web.AbstractRouteDef]:
    door = IceDoor(_turn(kept, settings), sender_of=_sender_of(intake, kept), operator_of=_signed_in(kept, settings))
    return door.routes()


def _signed_in(kept: _Kept, settings: Settings) -> SignedIn:
    """Who asks for a card: the operator of the desk's session."""
    access = Access(_operators(settings), secret=kept.keys.secret("session"), clock=kept.clock)
    return lambda request: f"operator:{access.operator(request.cookies.get(COOKIE)).id}"


def rings(outage: Outage, cards: Cards | None = None) -> OnSpooled:
    """A report that cannot reach the database yet is read here and rings at every desk."""

    async def ring(spooled: Spooled) -> None:
        command, incident, at = spooled.command, spooled.incident, spooled.received_at
        report = read_report(command.report, command.format, at=at)
        if cards is not None:
            cards.keep(report, incident=incident, mode=command.mode, reported_at=at)
        outage.ring(
            Unrecorded(
                incident=incident,
                received_at=at,
                trigger=command.trigger,
                mode=command.mode,
                report=report,
            )
        )

    return ring


def _disclosures(kept: _Kept, directory: Directory, settings: Settings) -> Disclosures:
    return Disclosures(
        kept.journal,
        directory=directory,
        book=_rules(directory, settings, now=kept.clock.now()),
        domains={TenantId(tenant.id): tenant.domain for tenant in settings.tenants},
        policies={TenantId(tenant.id): Policy(terms=tenant.terms) for tenant in settings.tenants},
        senders={TenantId(tenant.id): _sender(tenant, settings) for tenant in settings.tenants},
    )


def _rules(directory: Directory, settings: Settings, *, now: datetime) -> RuleBook:
    """The disclosure rules, with a table for each country an agency lies in and the terms of each tenant."""
    countries = {agency.country for agency in directory.agencies.values()}
    terms = {tenant.terms for tenant in settings.tenants if tenant.terms}
    try:
        book = RuleBook.load(Path(settings.rules)) if settings.rules else RuleBook.shipped()
        book.require(countries, terms=terms, as_of=now.date())
    except RoutingError as fault:
        raise Misconfigured(f"rules: {fault}") from fault
    return book


def _sender(tenant: TenantSettings, settings: Settings) -> Sender:
    return Sender(
        domain=tenant.domain,
        name_ja=settings.centre_ja,
        name_en=settings.centre_en,
        desk_uri=f"tel:{settings.desk_line}" if settings.desk_line else f"sip:desk@{tenant.domain}",
    )


def _store(settings: Settings) -> SqliteStore | PostgresStore:
    if settings.database_url:
        return PostgresStore(settings.database_url)
    return SqliteStore(settings.data / "journal.db")


def _file(path: str) -> bytes:
    return Path(path).read_bytes()


def _operators(settings: Settings) -> tuple[Operator, ...]:
    return tuple(
        Operator(id=OperatorId(each.id), name=each.name, token_digest=each.token_digest, supervisor=each.supervisor)
        for each in settings.operators
    )


def _registrars(settings: Settings) -> tuple[Registrar, ...]:
    return tuple(
        Registrar(id=each.id, tenant=TenantId(each.tenant), role=Role(each.role), token_digest=each.token_digest)
        for each in settings.registrars
    )


def _auditors(settings: Settings) -> tuple[Auditor, ...]:
    return tuple(Auditor(id=each.id, token_digest=each.token_digest) for each in settings.auditors)


def _base_map() -> bytes:
    return (resources.files("routing") / "data" / "japan_base.geojson").read_bytes()


async def _listen(stack: AsyncExitStack, app: web.Application, settings: Settings) -> None:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=5.0)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, settings.host, settings.port, backlog=1024, ssl_context=tls(settings)).start()
