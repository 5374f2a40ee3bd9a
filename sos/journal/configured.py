"""What is kept, as the settings want it: keys, database, spool, journal, and the log that is published of it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from msgspec import Struct

from recording.keys import KeyStore
from recording.note import Signer
from recording.tiles import TileStore
from sos.clock import Clock
from sos.errors import Misconfigured
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
from sos.journal.sole import Sole
from sos.journal.spool import Spool
from sos.journal.sqlite import SqliteStore
from sos.journal.succession import make_room, published_in
from sos.settings import Settings


class Kept(Struct, frozen=True, kw_only=True):
    """What every room stands on."""

    lead: Lead | None
    """None on the embedded database, whose lock nobody can take away."""
    clock: Clock
    data: Path
    keys: KeyStore
    store: SqliteStore | PostgresStore
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


@asynccontextmanager
async def kept(
    settings: Settings, *, clock: Clock, retentions: Sequence[str] = (), waits: Callable[[], None] = lambda: None
) -> AsyncIterator[Kept]:
    """All of it open, until the context is left, for one process: another one waits until that is gone.

    ``retentions``: classes of keys besides the journal's own; ``waits`` is called before it may come to that.
    """
    make_home(settings.data)
    sole = Sole(settings.data)
    async with AsyncExitStack() as stack:
        stack.callback(sole.release)
        waits()
        await sole.wait(clock)
        keys = KeyStore(settings.data / "keys")
        store = _store(settings)
        await stack.enter_async_context(store)
        await upgrade(store.engine)
        lead = await _leading(stack, settings, store, clock)
        within = timedelta(milliseconds=settings.accept_within_ms)
        spool = Spool(settings.data / "spool", keys.secret("spool"))
        journal = await stack.enter_async_context(Journal(store, keys, spool, clock=clock, accept_within=within))
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


def _store(settings: Settings) -> SqliteStore | PostgresStore:
    if settings.database_url:
        return PostgresStore(settings.database_url, holder=new_id())
    return SqliteStore(settings.data / "journal.db")


async def _leading(
    stack: AsyncExitStack, settings: Settings, store: SqliteStore | PostgresStore, clock: Clock
) -> Lead | None:
    """Return when this process leads; ``None`` where the lock of the directory says it all."""
    if not isinstance(store, PostgresStore):
        return None
    lead = Lead(settings.database_url, store.holder, clock=clock, deposed=store.deposed)
    stack.push_async_callback(lead.close)
    await lead.wait()
    store.fenced = True
    return lead
