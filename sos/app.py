"""The composition root: the only file that knows every room.  It opens in order and closes in reverse.

Read it as a parts list.  How a room's parts are made from the settings stands in its ``configured.py``.  What runs for
ever runs under ``Supervisor``: a task that dies is started again and shows in ``/readyz``; it never takes another one
with it.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import metadata

import structlog
from aiohttp import web
from msgspec import Struct

from routing.directory import Directory
from routing.plan import Sources
from sos import accesses, openapi
from sos.anchors import configured as anchoring
from sos.assist.configured import Announcing, announcing
from sos.assist.listening.configured import Listening, listening
from sos.calls.adapters.twilio.configured import desk_sources, desk_voice
from sos.calls.configured import Callers, Calls, calls
from sos.clock import Clock, SystemClock
from sos.console.access import Access
from sos.console.configured import ControlRoom, base_map, desks_know
from sos.console.desks import Desks
from sos.console.entrance import Entrance
from sos.console.http import Console
from sos.console.room import Room
from sos.dispatch import configured as dispatch
from sos.dispatch.adapters.portal import Links
from sos.dispatch.ladder import agencies_at, number, numbers
from sos.dispatch.lost import LostEndpoint
from sos.dispatch.sources import open_sources
from sos.early import Early, rings
from sos.exports import configured as exports
from sos.exports.package import Exporter
from sos.figures import Board
from sos.front import configured as front
from sos.front import connections, headers
from sos.front.access_monitor import AccessMonitor
from sos.health import Health
from sos.incident.model import OperatorId, TenantId
from sos.intake import http as intake_http
from sos.intake.configured import Intake, tls
from sos.intake.findings import MAX_BODY_BYTES
from sos.intake.matching import warm_up
from sos.interpreter import spare_the_loop
from sos.journal.asides import Asides, Tries
from sos.journal.asides import alarms as passed_over
from sos.journal.configured import Kept, kept
from sos.journal.deadlines import Deadlines
from sos.journal.journal import Journal
from sos.journal.readers import Reader
from sos.listeners import listeners
from sos.problems import problems_middleware
from sos.registry import configured as registering
from sos.registry.ledger import RETENTION
from sos.registry.registry import Registry
from sos.retention.configured import Retention, retention
from sos.rights.configured import ASKED, Rights, rights
from sos.settings import Settings
from sos.supervisor import Supervisor
from sos.times import Times

log = structlog.get_logger()


class Service(Struct, frozen=True, kw_only=True):
    """What is running, for those who start it: the command line, the demonstration, the tests."""

    settings: Settings
    journal: Journal
    exporter: Exporter
    links: Links
    directory: Directory
    registry: Registry
    desks: Desks
    access: Access
    access_monitor: AccessMonitor
    log_vkey: str
    seal_vkey: str
    url: str


class _Parts(Struct, frozen=True, kw_only=True):
    """Everything that is open, before anything runs."""

    settings: Settings
    kept: Kept
    sources: Sources
    calls: Calls
    handing: dispatch.HandingOver
    telling: dispatch.Telling
    geocoding: dispatch.Geocoding
    intake: Intake
    registry: Registry
    desks: ControlRoom
    exporting: exports.Exporting
    anchors: anchoring.Anchoring
    announcing: Announcing
    listening: Listening
    access_monitor: AccessMonitor
    retention: Retention
    rights: Rights


@asynccontextmanager
async def running(
    settings: Settings, *, clock: Clock | None = None, waits: Callable[[], None] = lambda: None
) -> AsyncIterator[Service]:
    """The whole service, listening, until the context is left."""
    os.umask(0o077)  # keys, database, spool, recordings, exports: for this user alone, however we were started
    sources = open_sources(settings)  # before one leads: who waits its turn has them when that comes
    async with AsyncExitStack() as stack:
        early = Early(settings, sources, clock=clock or SystemClock())
        opening = kept(
            settings, clock=clock or SystemClock(), retentions=(RETENTION, ASKED), waits=waits, meanwhile=early
        )
        parts = await _open(stack, settings, sources, await stack.enter_async_context(opening))
        await early.be_silent()
        supervisor = Supervisor(parts.kept.clock)
        stack.push_async_callback(supervisor.stop)
        health = _start(supervisor, parts)
        spare_the_loop()
        hall = front.hall(settings)
        app = await _application(stack, parts, hall)
        app.add_routes(health.routes())
        stack.callback(parts.desks.hub.close)
        parts.desks.outage.take_over(early.shown)
        await _listen(stack, app, hall, settings, early)
        await stack.enter_async_context(parts.intake.writer.listening(settings.data))
        log.info("listening", url=settings.url, database=parts.kept.store.name)
        yield _service(parts)


async def _open(stack: AsyncExitStack, settings: Settings, sources: Sources, kept_open: Kept) -> _Parts:
    journal, keys, clock = kept_open.journal, kept_open.keys, kept_open.clock
    directory = sources.directory
    rules = dispatch.rules(settings, directory, now=clock.now())
    voice = await stack.enter_async_context(
        calls(settings, kept_open, number_of=lambda agency, line: number(agency, line, directory))
    )
    dials = voice.provider.dials
    ladders = dispatch.handing_over(settings, journal, keys, directory=directory, zone_of=rules.zone, dials=dials)
    handing = await stack.enter_async_context(ladders)
    intake = Intake.of(settings, journal, keys, kept_open.store)
    stack.callback(intake.credentials.close)
    await warm_up(intake.matching)
    desks = await ControlRoom.of(settings, kept_open, hang_up=voice.bridge.hang_up, names=dispatch.place_names(sources))
    voice.loudness.tell = desks.hub.sound
    told = desks.transcript.told
    listens = await stack.enter_async_context(listening(settings.assist, journal, voice.sounds, tell=told))
    desks.transcript.lines = listens.lines
    journal.on_spooled(rings(desks.outage, handing.cards))
    registry = await registering.registry(settings, kept_open, rules)
    anchors = await stack.enter_async_context(anchoring.anchoring(settings, kept_open))
    access_monitor = stack.enter_context(front.access_monitor(settings, clock))
    desks.access.sessions.note = access_monitor.note
    return _Parts(
        settings=settings,
        kept=kept_open,
        sources=sources,
        calls=voice,
        handing=handing,
        telling=dispatch.Telling.of(
            settings, kept_open, directory=directory, rules=rules, dials=dials, code_of=handing.code_of
        ),
        geocoding=await stack.enter_async_context(dispatch.geocoding(settings, journal, sources)),
        intake=intake,
        registry=registry,
        desks=desks,
        exporting=exports.exporting(settings, kept_open, voice.recordings, anchors.anchor, subjects=registry),
        anchors=anchors,
        announcing=await stack.enter_async_context(
            announcing(
                settings.assist,
                journal,
                say=voice.say,
                languages_of=lambda agency: dispatch.languages(agency, directory, dials=dials),
                keys=dials,
            )
        ),
        listening=listens,
        access_monitor=access_monitor,
        retention=retention(kept_open, settings.data, registry.terms),
        rights=rights(settings, kept_open, registry, directory),
    )


def _start(supervisor: Supervisor, parts: _Parts) -> Health:
    """Everything that runs for ever, and who says how it is."""
    journal, overseer, anchors = parts.kept.journal, parts.retention.overseer, parts.anchors
    times = Times()
    followers = supervisor.follow((*_readers(parts), times.reader()), parts.kept.store)
    deadlines = Deadlines(journal)
    tries: tuple[Tries, ...] = (*followers, journal.stranded)
    stuck, alarm = lambda: deadlines.stuck, passed_over(journal)
    asides = Asides(parts.kept.store, tries, clock=parts.kept.clock, deadlines=stuck, alarm=alarm)
    counted = (anchors.figures, parts.access_monitor.figures, times.figures, overseer.figures, *parts.calls.figures())
    counted += (*parts.intake.figures(), parts.rights.overseer.figures)
    board = Board.of(
        parts.settings, parts.kept, supervisor, asides, desks=parts.desks.desks, followers=followers, others=counted
    )
    health = Health(
        parts.kept,
        board,
        supervisor.failures,
        asides=asides,
        assists=lambda: {**parts.announcing.state(), **parts.listening.state()},
        access=parts.access_monitor.state,
        retained=lambda: {**overseer.state(), **parts.rights.overseer.state()},
        anchored=anchors.state,
    )
    own = (("set-aside", asides.watch), ("deadlines", deadlines.watch))
    supervisor.start("health", lambda: health.watch(parts.desks.hub))
    for name, work in (*_long_work(parts), *own, *front.figures_shown(parts.settings, board.render, parts.kept.clock)):
        supervisor.start(name, work)
    return health


def _readers(parts: _Parts) -> Iterator[Reader]:
    """Who follows the journal, in the order of a crash's hops."""
    settings, journal = parts.settings, parts.kept.journal
    yield from parts.intake.readers()
    yield dispatch.planning(settings, journal, parts.sources)
    yield from registering.readers(parts.registry, journal, parts.telling.disclosures.rules)
    yield from parts.handing.readers()
    yield from parts.calls.readers()
    yield from parts.telling.readers()
    yield from parts.announcing.readers()
    yield from parts.listening.readers()
    yield from parts.geocoding.readers
    yield from parts.desks.readers()
    yield parts.retention.reader
    yield parts.rights.reader


def _long_work(parts: _Parts) -> Iterator[tuple[str, Callable[[], Awaitable[None]]]]:
    """What runs for ever beside the readers."""
    yield from parts.calls.work()
    yield from parts.kept.work()
    yield from parts.desks.work()
    yield from registering.work(parts.registry)
    yield from parts.handing.work
    yield "held-tellings", parts.kept.once("held-tellings", parts.telling.unattended.watch)
    yield from parts.listening.work
    yield "anchors", parts.anchors.watch
    yield "retention", parts.kept.once("retention", parts.retention.overseer.watch)
    yield "exports", parts.kept.once("exports", parts.exporting.ends)
    yield "rights", parts.kept.once("rights", parts.rights.overseer.watch)
    yield from parts.intake.work(parts.kept)


async def _application(stack: AsyncExitStack, parts: _Parts, hall: connections.Hall) -> web.Application:
    """Every door of the house but the one that says how it is."""
    settings, clock, intake, access = parts.settings, parts.kept.clock, parts.intake, parts.desks.access

    def tenant_of(request: web.Request) -> TenantId:
        return intake.credentials.tenant(request, at=clock.now()).id

    def operator_of(request: web.Request) -> OperatorId:
        return access.of(request.cookies).id

    def signed_in(request: web.Request) -> str:
        return f"operator:{operator_of(request)}"

    middlewares = (hall.middleware(), problems_middleware, parts.access_monitor.middleware())
    app = web.Application(middlewares=middlewares, client_max_size=MAX_BODY_BYTES + 1)
    app[accesses.LOG] = parts.access_monitor
    headers.furnish(app, secure=settings.secure, subdomains=settings.hsts_subdomains)
    described = openapi.files(url=settings.url, version=metadata.version("sos-service"))
    app.add_routes([*intake_http.SchemaEndpoint(described).routes(), *intake.routes(clock)])
    console = Console(_room(parts), Entrance(access, base_map=base_map(), connects=desk_sources(settings)))
    app.add_routes([*console.routes(), *parts.handing.routes(signed_in=signed_in)])
    lost = LostEndpoint.opened(settings, parts.sources, clock=clock, tenant_of=tenant_of)
    app.add_routes((await stack.enter_async_context(lost)).routes())
    registrars = registering.door(settings, parts.registry, clock)
    exported = exports.routes(settings, parts.kept, parts.exporting, signed_in=signed_in)
    app.add_routes([*exported, *registrars.routes()])
    app.add_routes(intake.field_log_routes(supervisor=console.supervisor, brand_of=registrars.brand_of))
    app.add_routes(parts.rights.routes(console.at_desk))
    callers = Callers(
        sender_of=lambda request: intake.credentials.identify(request, at=clock.now()),
        operator_of=operator_of,
        agency_of=parts.handing.agency_of,
        incident_of_call=intake.incident_of_call,
        agencies_at=agencies_at(parts.sources.directory),
        listener_of=listeners(console.at_desk, exports.auditors(settings)),
    )
    parts.calls.open_doors(app, callers)
    return app


def _room(parts: _Parts) -> Room:
    directory, desks, calls_open = parts.sources.directory, parts.desks, parts.calls
    return Room(
        journal=parts.kept.journal,
        voice=calls_open.bridge,
        disclose=parts.telling.disclosures,
        agencies=parts.handing.replies,
        codes=parts.handing.codes,
        lines={agency.id: numbers(agency, directory) for agency in directory.agencies.values()},
        directory=directory,
        boot=calls_open.provider.boot,
        brands=parts.registry.spoken,
        cards=parts.registry.cards,
        dials=calls_open.provider.dials,
        places=parts.geocoding.places,
        replay=calls_open.sounds,
        speaks=parts.announcing.language,
        voice_of=lambda operator: desk_voice(parts.settings, operator),
        **desks.shared(),
        **desks_know(parts.settings),
    )


async def _listen(
    stack: AsyncExitStack, app: web.Application, hall: connections.Hall, settings: Settings, early: Early
) -> None:
    """Where ``early`` listens, if it does: whoever comes in between is refused by neither."""
    secured, before = tls(settings), () if early.listening is None else early.listening.sockets
    listening = await connections.serve(
        app, hall, host=settings.host, port=settings.port, ssl_context=secured, sockets=before
    )
    stack.push_async_callback(listening.stop)
    await early.end()


def _service(parts: _Parts) -> Service:
    return Service(
        settings=parts.settings,
        journal=parts.kept.journal,
        exporter=parts.exporting.exporter,
        links=parts.handing.links,
        directory=parts.sources.directory,
        registry=parts.registry,
        desks=parts.desks.desks,
        access=parts.desks.access,
        access_monitor=parts.access_monitor,
        log_vkey=parts.kept.log_signer.verifier.vkey,
        seal_vkey=parts.kept.seal_signer.verifier.vkey,
        url=parts.settings.url,
    )
