"""The composition root: the only file that knows every adapter.  It opens in order and closes in reverse.

Read it as a parts list.  What runs for ever runs under ``Supervisor``: a task that dies is started again and shows in
``/readyz``; it never takes another one with it.
"""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from importlib import resources
from pathlib import Path

import structlog
from aiohttp import web
from msgspec import Struct

from recording.errors import OutOfOrder, RecordingError
from recording.keys import KeyStore
from recording.note import Signer
from recording.tiles import TileStore
from recording.tracks import duration_ms, recover
from routing.boundaries import PrefectureLayer
from routing.categories import Category
from routing.directory import Directory
from routing.law import RuleBook
from routing.plan import PlanRules
from sos.calls.adapters.embedded import EmbeddedProvider
from sos.calls.bridge import OPEN, Bridge
from sos.calls.http import VehicleDoor
from sos.clock import Clock, SystemClock
from sos.console.access import Access, Operator
from sos.console.acd import Distribution
from sos.console.desks import Desks
from sos.console.http import Console
from sos.console.hub import Hub
from sos.console.outage import Outage, Unrecorded
from sos.console.socket import Room
from sos.dispatch.adapters.portal import Links, Portal, PortalChannel
from sos.dispatch.disclosure import Disclosures
from sos.dispatch.handoff import Handoff
from sos.dispatch.planner import Planner
from sos.errors import Refused
from sos.exports.http import Auditor, ExportDoor
from sos.exports.package import Exporter
from sos.health import Health
from sos.incident.commands import FailRecording, SealRecording
from sos.incident.model import IncidentId, Mode, OperatorId, RecordingId, TenantId, new_id
from sos.intake import http as intake_http
from sos.intake.filer import read_report
from sos.intake.reader import Filer
from sos.intake.tenants import Tenant, TenantKeys
from sos.journal.journal import Journal, OnSpooled, digest
from sos.journal.migrate import upgrade
from sos.journal.postgres import PostgresStore
from sos.journal.publisher import Publisher
from sos.journal.readers import Follower, Reader, drain_spool, pass_deadlines, under_lease
from sos.journal.spool import Spool, Spooled
from sos.journal.sqlite import SqliteStore
from sos.problems import problems_middleware
from sos.settings import Settings

log = structlog.get_logger()

RESTART_AFTER = timedelta(seconds=1)


class Service(Struct, frozen=True, kw_only=True):
    """What is running, for those who start it: the command line, the demonstration, the tests."""

    settings: Settings
    journal: Journal
    exporter: Exporter
    links: Links
    directory: Directory
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


class _Voice(Struct, frozen=True, kw_only=True):
    recordings: Path
    provider: EmbeddedProvider
    bridge: Bridge


@asynccontextmanager
async def running(settings: Settings, *, clock: Clock | None = None) -> AsyncIterator[Service]:
    """The whole service, listening, until the context is left."""
    async with AsyncExitStack() as stack:
        kept = await _open_journal(stack, settings, clock or SystemClock())
        directory = Directory.read(_file(settings.directory)) if settings.directory else Directory.demo()
        voice = await _open_voice(stack, kept, settings)
        links = Links(kept.keys.secret("portal"), public_url=settings.url)
        hub, desks = Hub(seen=(await kept.store.tree())[0] - 1), Desks(kept.clock)
        distribution = Distribution(kept.journal, desks)
        outage = Outage(kept.journal, hub)
        kept.journal.on_spooled(rings(outage))
        exporter = Exporter(
            kept.journal,
            kept.publisher,
            kept.tiles,
            recordings=voice.recordings,
            log_signer=kept.log_signer,
            seal_signer=kept.seal_signer,
        )

        supervisor = Supervisor(kept.clock)
        stack.push_async_callback(supervisor.stop)
        followers = _start_readers(
            supervisor,
            kept,
            (
                Reader(name="filer", handle=Filer(kept.journal).handle),
                Reader(name="planner", handle=_planner(kept, directory).handle),
                Reader(name="distribution", handle=distribution.handle),
                Reader(name="handoff", handle=_handoff(kept, directory, links).handle),
                Reader(name="bridge", handle=voice.bridge.handle),
                Reader(name="hub", handle=hub.handle, from_now=True),
            ),
        )
        health = Health(kept.journal, supervisor.failures, followers=followers, data=settings.data)
        for name, work in (
            ("voice", voice.bridge.run),
            ("deadlines", lambda: pass_deadlines(kept.journal)),
            ("spool", lambda: drain_spool(kept.journal)),
            ("publisher", lambda: kept.publisher.run(kept.clock)),
            ("desk-watch", distribution.watch),
            ("outage", outage.watch),
            ("health", lambda: health.watch(hub)),
        ):
            supervisor.start(name, work)

        room = Room(
            journal=kept.journal,
            hub=hub,
            outage=outage,
            desks=desks,
            distribution=distribution,
            voice=voice.bridge,
            disclose=_disclosures(kept, directory, settings),
            directory=directory,
            demo=settings.demo,
            boot=new_id(),
        )
        spare_the_collector()
        app = _doors(kept, voice, room, settings)
        app.add_routes(Portal(kept.journal, links, directory).routes())
        app.add_routes(ExportDoor(exporter, _auditors(settings)).routes())
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
            desks=desks,
            log_vkey=kept.log_signer.verifier.vkey,
            seal_vkey=kept.seal_signer.verifier.vkey,
            url=settings.url,
        )


def _doors(kept: _Kept, voice: _Voice, room: Room, settings: Settings) -> web.Application:
    """Where vehicles and operators come in."""
    tenants = _tenants(settings)
    access = Access(_operators(settings), secret=kept.keys.secret("session"), clock=kept.clock)
    secure = settings.url.startswith("https://")
    vehicles = VehicleDoor(voice.bridge, kept.journal, tenant_of=lambda header: tenants.tenant(header).id)
    app = web.Application(middlewares=[problems_middleware], client_max_size=intake_http.MAX_BODY_BYTES + 1)
    app.add_routes(intake_http.routes(kept.journal, tenants, kept.clock, kept.keys.secret("intake")))
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


async def _open_voice(stack: AsyncExitStack, kept: _Kept, settings: Settings) -> _Voice:
    """Voice, and what a killed process left of it: legs that are gone, recordings that are open."""
    recordings = settings.data / "recordings"
    provider = await stack.enter_async_context(EmbeddedProvider(recordings, clock=kept.clock))
    bridge = Bridge(kept.journal, provider)
    await bridge.settle()
    await _seal_left_open(kept.journal, provider, recordings)
    return _Voice(recordings=recordings, provider=provider, bridge=bridge)


def _start_readers(supervisor: Supervisor, kept: _Kept, readers: Sequence[Reader]) -> list[Follower]:
    followers = [Follower(reader, kept.store, clock=kept.clock) for reader in readers]
    for follower in followers:
        supervisor.start(follower.name, _alone(kept, follower) if follower.name == "handoff" else follower.run)
    return followers


def _alone(kept: _Kept, follower: Follower) -> Callable[[], Awaitable[None]]:
    """Of several replicas one delivers: two would tell an agency twice."""
    return lambda: under_lease(follower.name, follower.run, store=kept.store, clock=kept.clock)


def _planner(kept: _Kept, directory: Directory) -> Planner:
    return Planner(kept.journal, layer=PrefectureLayer.load(), directory=directory, rules=PlanRules())


def _handoff(kept: _Kept, directory: Directory, links: Links) -> Handoff:
    return Handoff(kept.journal, directory=directory, channels={"portal": PortalChannel(links)})


def rings(outage: Outage) -> OnSpooled:
    """A report that cannot reach the database yet is read here and rings at every desk."""

    async def ring(spooled: Spooled) -> None:
        command = spooled.command
        outage.ring(
            Unrecorded(
                incident=spooled.incident,
                received_at=spooled.received_at,
                trigger=command.trigger,
                mode=command.mode,
                report=read_report(command.report, command.format),
            )
        )

    return ring


def _disclosures(kept: _Kept, directory: Directory, settings: Settings) -> Disclosures:
    book = RuleBook.read(_file(settings.rules), source=settings.rules) if settings.rules else RuleBook.shipped()
    domains = {TenantId(tenant.id): tenant.domain for tenant in settings.tenants}
    return Disclosures(kept.journal, directory=directory, book=book, domains=domains)


def _store(settings: Settings) -> SqliteStore | PostgresStore:
    if settings.database_url:
        return PostgresStore(settings.database_url)
    return SqliteStore(settings.data / "journal.db")


def _file(path: str) -> bytes:
    return Path(path).read_bytes()


def _operators(settings: Settings) -> tuple[Operator, ...]:
    return tuple(
        Operator(id=OperatorId(each.id), name=each.name, token_digest=each.token_digest) for each in settings.operators
    )


def _auditors(settings: Settings) -> tuple[Auditor, ...]:
    return tuple(Auditor(id=each.id, token_digest=each.token_digest) for each in settings.auditors)


def _tenants(settings: Settings) -> TenantKeys:
    return TenantKeys(
        {
            bytes.fromhex(key): Tenant(
                id=TenantId(tenant.id), domain=tenant.domain, mode=Mode.DRILL if tenant.drill else Mode.LIVE
            )
            for tenant in settings.tenants
            for key in tenant.key_digests
        }
    )


def _base_map() -> bytes:
    return (resources.files("routing") / "data" / "japan_base.geojson").read_bytes()


async def _seal_left_open(journal: Journal, provider: EmbeddedProvider, recordings: Path) -> None:
    """Recordings that the journal does not know to be sealed are sealed with what reached the disk."""
    left = {(incident, recording): directory for incident, recording, directory in provider.unsealed()}
    _, incidents = await journal.queue(limit=10_000, states=OPEN)
    for incident in incidents:
        for known in incident.recordings:
            if not (known.sealed or known.failed):
                left[incident.id, known.recording] = recordings / incident.id / known.recording
    for (incident_id, recording), directory in left.items():
        command = await _recovered(journal, incident_id, recording, directory)
        try:
            await journal.execute(incident_id, command, actor="system:recovery")
        except Refused as refused:
            log.warning("recording_left_open", incident=incident_id, recording=recording, reason=str(refused))


async def _recovered(
    journal: Journal, incident: IncidentId, recording: RecordingId, directory: Path
) -> SealRecording | FailRecording:
    try:
        key = await journal.data_key(incident, Category.AUD)
        kept = await asyncio.to_thread(recover, directory, key)
    except (OutOfOrder, FileNotFoundError):  # killed within its first second: nothing of it had reached the disk
        return FailRecording(recording=recording, reason="nothing_on_disk")
    except (RecordingError, Refused, OSError) as lost:
        return FailRecording(recording=recording, reason=type(lost).__name__)
    return SealRecording(
        recording=recording,
        manifest=kept.manifest,
        manifest_digest=digest(kept.manifest),
        chunks=kept.chunks,
        duration_ms=duration_ms(kept.manifest),
    )


async def _listen(stack: AsyncExitStack, app: web.Application, settings: Settings) -> None:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=5.0)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, settings.host, settings.port, backlog=1024).start()
