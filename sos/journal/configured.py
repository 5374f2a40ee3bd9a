"""What is kept, as the settings want it: keys, database, spool, journal, and the log that is published of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Protocol, TypeAlias

import structlog
from msgspec import Struct

from recording.keys import KeyStore
from recording.note import Signer
from recording.tiles import TileStore
from sos.clock import Clock
from sos.errors import Misconfigured, Unavailable
from sos.incident.model import new_id
from sos.journal.custody import Custody
from sos.journal.journal import Journal
from sos.journal.keyring import RETENTIONS
from sos.journal.lead import Lead
from sos.journal.mass_events import MassEventLedger
from sos.journal.migrate import upgrade
from sos.journal.postgres import PostgresStore
from sos.journal.publisher import Publisher
from sos.journal.readers import drain_spool, under_lease
from sos.journal.root_keys import key_store
from sos.journal.sole import Sole
from sos.journal.spool import Spool
from sos.journal.sqlite import SqliteStore
from sos.journal.succession import make_room, published_in
from sos.settings import Settings

log = structlog.get_logger()

PATIENCE = timedelta(seconds=2)
"""How long a start waits for the database before it takes reports without."""

AGAIN = timedelta(milliseconds=500)
"""Between two looks whether the database answers."""


AnyStore: TypeAlias = SqliteStore | PostgresStore


class Kept(Struct, frozen=True, kw_only=True):
    """What every room stands on."""

    lead: Lead | None
    """None on the embedded database, whose lock nobody can take away."""
    clock: Clock
    data: Path
    keys: KeyStore
    store: AnyStore
    journal: Journal
    tiles: TileStore
    log_signer: Signer
    seal_signer: Signer
    publisher: Publisher
    custody: Custody
    mass_events: MassEventLedger

    def work(self) -> Iterator[tuple[str, Callable[[], Awaitable[None]]]]:
        """What runs for ever."""
        yield "spool", lambda: drain_spool(self.journal)
        yield "publisher", lambda: self.publisher.run(self.clock)
        yield "keys", self.custody.watch
        yield "mass-events", self.mass_events.watch
        yield "mass-events-run-out", self.once("mass-events-run-out", self.mass_events.run_out)
        if self.lead is not None:
            yield "lead", self.lead.watch

    def once(self, role: str, work: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], Awaitable[None]]:
        """Of several replicas one does ``work``, and another when that one is gone."""
        return lambda: under_lease(role, work, store=self.store, clock=self.clock)


class Meanwhile(Protocol):
    """Who takes reports while the database does not answer at the start."""

    async def begin(self, journal: Journal, keys: KeyStore, store: AnyStore) -> None:
        """The database does not answer: what comes goes into the spool of ``journal``."""
        ...

    async def end(self) -> None:
        """It answers, and another process leads it: that one takes what comes.  Called again and again."""
        ...


@asynccontextmanager
async def kept(
    settings: Settings,
    *,
    clock: Clock,
    retentions: Sequence[str] = (),
    waits: Callable[[], None] = lambda: None,
    meanwhile: Meanwhile | None = None,
) -> AsyncIterator[Kept]:
    """All of it open, until the context is left, for one process: another one waits until that is gone.

    ``retentions``: classes of keys besides the journal's own; ``waits`` is called before it may come to that;
    ``meanwhile`` takes reports until the database answers, without one ``Unavailable`` when it does not.
    """
    make_home(settings.data)
    sole = Sole(settings.data)
    async with AsyncExitStack() as stack:
        stack.callback(sole.release)
        waits()
        await sole.wait(clock)
        keys = key_store(settings)
        store = _store(settings)
        stack.push_async_exit(store)
        within = timedelta(milliseconds=settings.accept_within_ms)
        spool = Spool(settings.data / "spool", keys.secret("spool"))
        journal = await stack.enter_async_context(Journal(store, keys, spool, clock=clock, accept_within=within))
        if meanwhile is not None:
            stack.push_async_callback(meanwhile.end)
        await _answering(journal, keys, store, meanwhile)
        lead = await _leading(stack, settings, journal, store, meanwhile)
        published = await published_in(store, settings.log_origin)
        make_room(settings.data / "log", published)
        tiles = TileStore(settings.data / "log")
        mass_events = MassEventLedger(store, keys, clock=clock, losses=journal.losses)
        await mass_events.load()  # the first call rings by what is in force
        log_signer = Signer(published.origin, keys.signing_key("log"))
        yield Kept(
            lead=lead,
            clock=clock,
            data=settings.data,
            keys=keys,
            store=store,
            journal=journal,
            tiles=tiles,
            log_signer=log_signer,
            seal_signer=Signer(f"{settings.log_origin.split('/')[0]}/seal", keys.signing_key("seal")),
            publisher=Publisher(store, tiles, log_signer, origin=published.origin),
            custody=Custody(keys, store, retentions=(*RETENTIONS, *retentions), clock=clock),
            mass_events=mass_events,
        )


def make_home(data: Path) -> None:
    """The directory of everything that is kept, for this user alone; ``Misconfigured`` where that cannot be had."""
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        data.chmod(0o700)  # what an older start left open below is shut with it
        with TemporaryFile(dir=data):
            pass
    except OSError as refused:
        raise Misconfigured(
            f"data_dir: {data} cannot be made or written ({refused.strerror}); name another directory with the setting"
            " data_dir, or with --data where this is the demonstration"
        ) from refused


def _store(settings: Settings) -> AnyStore:
    if settings.database_url:
        return PostgresStore(settings.database_url, holder=new_id())
    return SqliteStore(settings.data / "journal.db")


async def _answering(journal: Journal, keys: KeyStore, store: AnyStore, meanwhile: Meanwhile | None) -> None:
    """Return once ``store`` is open and has the schema of this release."""
    if meanwhile is None:
        await _open(store)
        return
    opening = asyncio.create_task(_open_in_the_end(store, journal.clock), name="database")
    patience = asyncio.create_task(journal.clock.wait(PATIENCE), name="patience")
    try:
        await asyncio.wait({opening, patience}, return_when=asyncio.FIRST_COMPLETED)
        if not opening.done():
            await meanwhile.begin(journal, keys, store)
        await opening
    finally:
        for each in (opening, patience):
            each.cancel()
        await asyncio.gather(opening, patience, return_exceptions=True)


async def _open_in_the_end(store: AnyStore, clock: Clock) -> None:
    while True:
        try:
            await _open(store)
            return
        except Unavailable as away:
            log.warning("database_away", reason=str(away))
        await clock.wait(AGAIN)


async def _open(store: AnyStore) -> None:
    await store.__aenter__()
    try:
        await upgrade(store.engine)
    except BaseException:
        await store.__aexit__()
        raise


async def _leading(
    stack: AsyncExitStack,
    settings: Settings,
    journal: Journal,
    store: AnyStore,
    meanwhile: Meanwhile | None,
) -> Lead | None:
    """Return when this process leads; ``None`` where the lock of the directory says it all."""
    if not isinstance(store, PostgresStore):
        return None

    async def stands_by() -> None:
        """What was taken here before another process led is passed on, and no more is taken."""
        if meanwhile is not None:
            await meanwhile.end()
        if journal.spool_oldest is not None:
            with suppress(Unavailable):
                log.warning("spool_passed_on", reports=await journal.drain())

    clock = journal.clock
    lead = Lead(settings.database_url, store.holder, clock=clock, deposed=store.deposed, stands_by=stands_by)
    stack.push_async_callback(lead.close)
    while True:
        try:
            await lead.wait()
            break
        except Unavailable as away:
            if meanwhile is None:
                raise
            log.warning("database_away", reason=str(away))
        await clock.wait(AGAIN)
    store.fenced = True
    return lead
