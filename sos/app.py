"""The composition root: the only file that knows every adapter.  It opens in order and closes in reverse.

Read it as a parts list.  What runs for ever runs under ``Supervisor``: a task that dies is started again and shows in
``/readyz``; it never takes another one with it.
"""

import asyncio
import gc
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from importlib import metadata, resources
from pathlib import Path
from typing import Any, Protocol

import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware
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
from routing.law import RuleBook, Terms
from routing.plan import Sources
from sos import openapi
from sos.assist.configured import Announcing, announcing
from sos.assist.listening.configured import Listening, listening
from sos.calls import configured as telephony
from sos.calls.adapters.embedded.provider import EmbeddedProvider
from sos.calls.adapters.twilio.provider import TwilioProvider
from sos.calls.agency import AgencyDoor
from sos.calls.bridge import Bridge
from sos.calls.http import IceDoor, SenderOf, VehicleDoor
from sos.calls.loudness import Loudness
from sos.calls.on_call import OnCall, Person, with_people
from sos.calls.port import Sound
from sos.calls.replay import Forks, Recordings
from sos.calls.turn import Turn
from sos.clock import Clock, SystemClock
from sos.console.access import Access, Operator
from sos.console.acd import Distribution
from sos.console.desks import Desks
from sos.console.http import Console
from sos.console.hub import Hub
from sos.console.outage import Outage, Unrecorded
from sos.console.socket import Room
from sos.console.transcript import Transcript
from sos.dispatch.adapters.cards import Cards, SignedIn
from sos.dispatch.adapters.portal import Links
from sos.dispatch.addresses import Addresses
from sos.dispatch.configured import HandingOver, handing_over
from sos.dispatch.corrections import Corrections
from sos.dispatch.disclosure import Disclosures, Policy
from sos.dispatch.ladder import number, numbers
from sos.dispatch.lost import LostDoor
from sos.dispatch.planner import Planner
from sos.dispatch.sources import open_sources, open_towns
from sos.dispatch.unattended import Practice, Unattended
from sos.errors import Misconfigured
from sos.exports.http import Auditor, ExportDoor
from sos.exports.package import Exporter
from sos.front import connections, headers
from sos.front.access_log import AccessLog
from sos.front.watch import Watch
from sos.health import Health
from sos.incident.events import Event, Recorded
from sos.incident.model import AgencyId, LegId, OperatorId, TenantId
from sos.intake import http as intake_http
from sos.intake.configured import Intake, tls
from sos.intake.findings import MAX_BODY_BYTES
from sos.intake.formats import read_report
from sos.intake.matching import warm_up
from sos.intake.reader import Filer
from sos.journal.asides import Asides
from sos.journal.custody import Custody
from sos.journal.deadlines import Deadlines
from sos.journal.journal import Journal, OnSpooled
from sos.journal.keyring import RETENTIONS
from sos.journal.migrate import upgrade
from sos.journal.postgres import PostgresStore
from sos.journal.publisher import Publisher
from sos.journal.readers import AT_ONCE, Follower, Reader, drain_spool, under_lease
from sos.journal.spool import Spool, Spooled
from sos.journal.sqlite import SqliteStore
from sos.problems import problems_middleware
from sos.registry.http import Registrar, RegistryDoor
from sos.registry.index import Index
from sos.registry.ledger import RETENTION
from sos.registry.lifecycle import Role
from sos.registry.pack import agree, configured
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
    custody: Custody


class _Voice(Struct, frozen=True, kw_only=True):
    loudness: Loudness
    recordings: Path
    sounds: Recordings | Forks
    provider: EmbeddedProvider | TwilioProvider
    bridge: Bridge


class _Parts(Struct, frozen=True, kw_only=True):
    """Everything that is open, before anything runs."""

    settings: Settings
    kept: _Kept
    sources: Sources
    voice: _Voice
    telling: HandingOver
    disclosures: Disclosures
    intake: Intake
    registry: Registry
    hub: Hub
    desks: Desks
    distribution: Distribution
    outage: Outage
    exporter: Exporter
    announcing: Announcing
    transcript: Transcript
    listening: Listening


@asynccontextmanager
async def running(settings: Settings, *, clock: Clock | None = None) -> AsyncIterator[Service]:
    """The whole service, listening, until the context is left."""
    os.umask(0o077)  # keys, database, spool, recordings, exports: for this user alone, however we were started
    async with AsyncExitStack() as stack:
        parts = await _open(stack, settings, clock or SystemClock())
        kept, supervisor = parts.kept, Supervisor(parts.kept.clock)
        stack.push_async_callback(supervisor.stop)
        readers = (*_readers(parts), *await _addresses(stack, kept, settings), _to_the_desks(parts))
        followers = _start_readers(supervisor, kept, readers, within=_within(parts))
        watch = _watch(stack, kept, settings)
        deadlines = Deadlines(kept.journal)
        asides = Asides(kept.store, followers, clock=kept.clock, deadlines=lambda: deadlines.stuck)
        health = Health(
            kept.journal,
            supervisor.failures,
            followers=followers,
            asides=asides,
            data=settings.data,
            others=(kept.journal.losses.figures, kept.custody.figures, watch.figures, *_figures(parts.voice)),
            assists=lambda: {**parts.announcing.state(), **parts.listening.state()},
            keys=kept.custody.state,
            access=watch.state,
        )
        others = (
            ("health", lambda: health.watch(parts.hub)),
            ("set-aside", asides.watch),
            ("deadlines", deadlines.watch),
        )
        for name, work in (*_long_work(parts), *others):
            supervisor.start(name, work)
        spare_the_collector()
        hall = _hall(settings)
        app = await _application(stack, parts, hall, watch)
        app.add_routes(health.routes())
        stack.callback(parts.hub.close)
        await _listen(stack, app, hall, settings)
        log.info("listening", url=settings.url, database=kept.store.name)
        yield Service(
            settings=settings,
            journal=kept.journal,
            exporter=parts.exporter,
            links=parts.telling.links,
            directory=parts.sources.directory,
            registry=parts.registry,
            desks=parts.desks,
            log_vkey=kept.log_signer.verifier.vkey,
            seal_vkey=kept.seal_signer.verifier.vkey,
            url=settings.url,
        )


async def _open(stack: AsyncExitStack, settings: Settings, clock: Clock) -> _Parts:
    kept = await _open_journal(stack, settings, clock)
    sources = open_sources(settings)
    rules = _rules(sources.directory, settings, now=kept.clock.now())
    voice = await _open_voice(stack, kept, settings, sources.directory)
    telling = await stack.enter_async_context(
        handing_over(settings, kept.journal, kept.keys, directory=sources.directory, dials=voice.provider.dials)
    )
    intake = Intake.of(settings, kept.journal, secret=kept.keys.secret("intake"))
    stack.callback(intake.credentials.close)
    await warm_up(intake.matching)
    hub, desks = Hub(seen=(await kept.store.tree())[0] - 1), Desks(kept.clock)
    voice.loudness.tell = hub.sound
    transcript = Transcript(kept.journal, hub)
    listens = await stack.enter_async_context(
        listening(settings.assist, kept.journal, voice.sounds, tell=transcript.told)
    )
    transcript.lines = listens.lines
    outage = Outage(kept.journal, hub)
    kept.journal.on_spooled(rings(outage, telling.cards))
    return _Parts(
        settings=settings,
        kept=kept,
        sources=sources,
        voice=voice,
        telling=telling,
        disclosures=_disclosures(kept, sources.directory, settings, rules),
        intake=intake,
        registry=await _open_registry(kept, settings, rules),
        hub=hub,
        desks=desks,
        distribution=Distribution(kept.journal, desks),
        outage=outage,
        exporter=Exporter(
            kept.journal,
            kept.publisher,
            kept.tiles,
            recordings=voice.recordings,
            log_signer=kept.log_signer,
            seal_signer=kept.seal_signer,
        ),
        announcing=await _open_assists(stack, kept, voice, sources.directory, settings),
        transcript=transcript,
        listening=listens,
    )


def _readers(parts: _Parts) -> tuple[Reader, ...]:
    """Who follows the journal, in the order of a crash's hops."""
    journal, registry = parts.kept.journal, parts.registry
    return (
        _filing(journal),
        *parts.intake.readers(),
        _each("planner", _planner(parts.kept, parts.sources, parts.settings)),
        _each("registry", Recogniser(journal, registry)),
        Reader(name="registry-index", handle=registry.catch_up, wants=registry.WANTS),
        _each("severity", Triage(journal, registry.packs.get)),
        Reader(name="distribution", handle=parts.distribution.handle, wants=parts.distribution.WANTS),
        _each("cards", parts.telling.cards),
        _each("corrections", Corrections(journal, parts.disclosures)),
        _each("handoff", parts.telling.handoff, at_once=None),
        _each("bridge", parts.voice.bridge, at_once=None),
        *_last_resorts(parts),
        *parts.announcing.readers(),
        *parts.listening.readers(),
    )


def _filing(journal: Journal) -> Reader:
    filer = Filer(journal)
    return Reader(name="filer", handle=filer.handle, wants=filer.WANTS, by_incident=True, instead=filer.give_up)


class _OfIncidents(Protocol):
    """Follows incidents, each for itself."""

    @property
    def WANTS(self) -> tuple[type[Event], ...]: ...

    async def handle(self, batch: Sequence[Recorded]) -> None: ...


def _each(name: str, work: _OfIncidents, *, at_once: int | None = AT_ONCE) -> Reader:
    """``at_once`` None: it waits for the world."""
    return Reader(name=name, handle=work.handle, wants=work.WANTS, by_incident=True, at_once=at_once)


def _last_resorts(parts: _Parts) -> Iterator[Reader]:
    """Who acts when no desk answers."""
    kept, settings, provider = parts.kept, parts.settings, parts.voice.provider
    directory, wanted = parts.sources.directory, settings.attendance
    if provider.dials and wanted.on_call:
        on_call = OnCall(kept.journal, _people(settings), hang_up=provider.end)
        yield _each("on-call", on_call, at_once=None)
    elif wanted.on_call:
        log.warning("on_call_unreachable", people=len(wanted.on_call), telephony=settings.telephony)
    practice = Practice(
        tells=wanted.unattended == "ladder",
        nobody_after=timedelta(seconds=wanted.nobody_after_s),
        invites=not provider.dials,
    )
    unattended = Unattended(kept.journal, parts.disclosures, directory, practice=practice)
    yield _each("unattended", unattended)


def _people(settings: Settings) -> tuple[Person, ...]:
    return tuple(Person(id=OperatorId(each.id), number=each.number) for each in settings.attendance.on_call)


def _to_the_desks(parts: _Parts) -> Reader:
    return Reader(name="hub", handle=parts.hub.handle, from_now=True)


def _long_work(parts: _Parts) -> Iterator[tuple[str, Callable[[], Awaitable[None]]]]:
    """What runs for ever beside the readers."""
    kept = parts.kept
    yield "voice", parts.voice.bridge.run
    yield "spool", lambda: drain_spool(kept.journal)
    yield "publisher", lambda: kept.publisher.run(kept.clock)
    yield "desk-watch", parts.distribution.watch
    yield "outage", parts.outage.watch
    yield "keys", kept.custody.watch
    yield "registry-periods", parts.registry.keep_periods
    yield from parts.telling.work
    yield from parts.listening.work
    provider = parts.voice.provider
    if isinstance(provider, TwilioProvider):
        yield "levels", lambda: parts.voice.loudness.watch(provider, kept.clock)
    if parts.intake.mqtt is not None:
        yield "mqtt", _once(kept, "mqtt", parts.intake.mqtt.serve)


def _room(parts: _Parts) -> Room:
    directory, provider = parts.sources.directory, parts.voice.provider
    return Room(
        journal=parts.kept.journal,
        hub=parts.hub,
        outage=parts.outage,
        desks=parts.desks,
        distribution=parts.distribution,
        voice=parts.voice.bridge,
        disclose=parts.disclosures,
        agencies=parts.telling.replies,
        lines={agency.id: numbers(agency, directory) for agency in directory.agencies.values()},
        directory=directory,
        demo=parts.settings.demo,
        boot=provider.boot,
        brands=parts.registry.spoken,
        dials=provider.dials,
        transcript=parts.transcript,
        replay=parts.voice.sounds,
        speaks=parts.announcing.language,
        voice_of=lambda operator: telephony.desk_voice(parts.settings, operator),
    )


def _hall(settings: Settings) -> connections.Hall:
    """Room for connections: as many as this process may have, wide for a proxy on this machine."""
    proxies = (*settings.trusted_proxies, "127.0.0.1", "::1")
    return connections.Hall(
        connections.Room.of_this_process(per_address=settings.connections_per_address, proxies=proxies)
    )


def _watch(stack: AsyncExitStack, kept: _Kept, settings: Settings) -> Watch:
    """Who comes in, who is refused: beside the journal, in files of its own."""
    lines = AccessLog(settings.data / "access")
    stack.callback(lines.close)
    return Watch(lines, clock=kept.clock, proxies=(*settings.trusted_proxies, "127.0.0.1", "::1"))


async def _application(stack: AsyncExitStack, parts: _Parts, hall: connections.Hall, watch: Watch) -> web.Application:
    """Every door of the house but the one that says how it is."""
    kept, intake, voice, settings = parts.kept, parts.intake, parts.voice, parts.settings
    app = _doors(
        kept, intake, voice, _room(parts), settings, (hall.middleware(), problems_middleware, watch.middleware())
    )
    app.add_routes(parts.telling.routes(signed_in=_signed_in(kept, settings)))
    app.add_routes(
        AgencyDoor(voice.bridge, kept.journal, agency_of=parts.telling.agency_of, turn=_turn(kept, settings)).routes()
    )
    lost = LostDoor.opened(settings, parts.sources, clock=kept.clock, tenant_of=_tenant_of(intake, kept))
    app.add_routes((await stack.enter_async_context(lost)).routes())
    app.add_routes(ExportDoor(parts.exporter, _auditors(settings)).routes())
    app.add_routes(RegistryDoor(parts.registry, _registrars(settings), clock=kept.clock).routes())
    _open_exchange(app, kept, intake, voice, settings)
    app.add_routes(_ice_routes(kept, intake, settings))
    return app


def _sender_of(intake: Intake, kept: _Kept) -> SenderOf:
    return lambda request: intake.credentials.identify(request, at=kept.clock.now())


def _tenant_of(intake: Intake, kept: _Kept) -> Callable[[web.Request], TenantId]:
    return lambda request: intake.credentials.tenant(request, at=kept.clock.now()).id


def _doors(
    kept: _Kept, intake: Intake, voice: _Voice, room: Room, settings: Settings, middlewares: Sequence[Middleware]
) -> web.Application:
    """Where vehicles and operators come in."""
    access = _access(kept, settings)
    turn = _turn(kept, settings)
    vehicles = VehicleDoor(
        voice.bridge,
        kept.journal,
        sender_of=_sender_of(intake, kept),
        incident_of_call=intake.incident_of_call,
        relays=lambda: turn.servers("vehicle"),
    )
    app = web.Application(middlewares=middlewares, client_max_size=MAX_BODY_BYTES + 1)
    headers.furnish(app, secure=settings.secure)
    app.add_routes(intake_http.routes(intake.acceptance, intake.credentials, kept.clock))
    described = openapi.files(url=settings.url, version=metadata.version("sos-service"))
    app.add_routes(intake_http.SchemaDoor(described).routes())
    app.add_routes(intake_http.IncidentDoor(kept.journal, intake.credentials, intake.answers).routes())
    app.add_routes(vehicles.routes())
    connects = telephony.desk_sources(settings)
    app.add_routes(Console(room, access, base_map=_base_map(), connects=connects).routes())
    return app


async def _open_journal(stack: AsyncExitStack, settings: Settings, clock: Clock) -> _Kept:
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings.data.chmod(0o700)  # what an older start left open below is shut with it
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
        custody=Custody(keys, store, retentions=(*RETENTIONS, RETENTION), clock=clock),
    )


async def _open_registry(kept: _Kept, settings: Settings, rules: RuleBook) -> Registry:
    """The registry with the brands' packs in force."""
    registry = Registry(kept.store, Index(kept.store.engine), kept.keys, clock=kept.clock, losses=kept.journal.losses)
    tenants = {TenantId(tenant.id) for tenant in settings.tenants}
    packs = configured(Path(settings.brand_packs) if settings.brand_packs else None, tenants)
    agree(packs, _terms(rules, settings, now=kept.clock.now()))
    await registry.load_packs(packs, tenants)
    return registry


async def _open_voice(stack: AsyncExitStack, kept: _Kept, settings: Settings, directory: Directory) -> _Voice:
    """Voice, and what a killed process left of it: legs that are gone, recordings that are open."""
    recordings = settings.data / "recordings"
    loudness = Loudness()
    provider = _provider(kept, settings, recordings, loudness)
    sounds = Forks(provider) if isinstance(provider, TwilioProvider) else Recordings(recordings, kept.journal)
    await stack.enter_async_context(provider)
    lines = telephony.with_desks(lambda agency, line: number(agency, line, directory), settings.twilio)
    bridge = Bridge(kept.journal, provider, number_of=with_people(lines, _people(settings)))
    await bridge.settle()
    return _Voice(loudness=loudness, recordings=recordings, sounds=sounds, provider=provider, bridge=bridge)


async def _open_assists(
    stack: AsyncExitStack, kept: _Kept, voice: _Voice, directory: Directory, settings: Settings
) -> Announcing:
    """Extras: nothing here waits for them, and nothing that fails in them is told to a caller."""
    provider = voice.provider

    def languages_of(agency: AgencyId) -> Sequence[str]:
        known = directory.agencies.get(agency)
        reached = known is not None and (not provider.dials or numbers(known, directory))
        return known.languages if known is not None and reached else ()

    async def say(leg: LegId, sound: str, pcm: bytes) -> None:
        await provider.say(leg, Sound(id=sound, pcm=pcm))

    opened = announcing(settings.assist, kept.journal, say=say, languages_of=languages_of, keys=provider.dials)
    return await stack.enter_async_context(opened)


def _provider(
    kept: _Kept, settings: Settings, recordings: Path, loudness: Loudness
) -> EmbeddedProvider | TwilioProvider:
    """Who carries voice."""
    if settings.telephony == "twilio" and settings.twilio is not None:
        return telephony.provider(settings, settings.twilio, recordings=recordings, clock=kept.clock)
    turn = _turn(kept, settings)
    return EmbeddedProvider(
        recordings,
        clock=kept.clock,
        workers=settings.media_workers,
        ports=settings.media_port_range,
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
    access = _access(kept, settings)
    door = telephony.door(
        settings,
        settings.twilio,
        exchange=voice.provider,
        bridge=voice.bridge,
        incident_of_call=intake.incident_of_call,
        operator_of=lambda request: access.of(request.cookies).id,
        clock=kept.clock,
    )
    app.add_routes(door.routes())
    app.on_shutdown.append(door.close)


_ALONE = frozenset({"handoff", "addresses", "assist"})
"""Readers that act on the world: of several replicas one runs them."""


_Within = Callable[[Callable[[], Awaitable[None]]], Coroutine[Any, Any, None]]
"""What a reader's following runs inside of, so that the work it began ends with it."""


def _within(parts: _Parts) -> Mapping[str, _Within]:
    """What some readers' following runs inside of."""
    within: dict[str, _Within] = {"handoff": parts.telling.handoff.run}
    if parts.announcing.announcer is not None:
        within["assist"] = parts.announcing.announcer.run
    return within


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
    return (_each("addresses", Addresses(kept.journal, geocoder, clock=kept.clock), at_once=None),)


def _ice_routes(kept: _Kept, intake: Intake, settings: Settings) -> Sequence[web.AbstractRouteDef]:
    door = IceDoor(_turn(kept, settings), sender_of=_sender_of(intake, kept), operator_of=_signed_in(kept, settings))
    return door.routes()


def _access(kept: _Kept, settings: Settings) -> Access:
    """Who may sit at a desk."""
    return Access(_operators(settings), secret=kept.keys.secret("session"), clock=kept.clock, secure=settings.secure)


def _signed_in(kept: _Kept, settings: Settings) -> SignedIn:
    """Who asks for a card: the operator of the desk's session."""
    access = _access(kept, settings)
    return lambda request: f"operator:{access.of(request.cookies).id}"


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


def _disclosures(kept: _Kept, directory: Directory, settings: Settings, rules: RuleBook) -> Disclosures:
    return Disclosures(
        kept.journal,
        directory=directory,
        book=rules,
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


def _terms(rules: RuleBook, settings: Settings, *, now: datetime) -> dict[TenantId, Terms]:
    """The terms each tenant is bound to today."""
    bound = {TenantId(tenant.id): rules.terms(tenant.terms, now.date()) for tenant in settings.tenants if tenant.terms}
    return {tenant: terms for tenant, terms in bound.items() if terms is not None}


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


async def _listen(stack: AsyncExitStack, app: web.Application, hall: connections.Hall, settings: Settings) -> None:
    stop = await connections.serve(app, hall, host=settings.host, port=settings.port, ssl_context=tls(settings))
    stack.push_async_callback(stop)
