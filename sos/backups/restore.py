"""The way back: a backup into a data directory and a database, and what is missing then, counted.

Nothing that is there is thrown away: it is put beside.  What outlived the disaster and is newer than the backup stays,
such as keys, recordings, the spool and the published log.  Of a key that is there twice the one counts that the
restored database knows by its check value; one that was destroyed meanwhile does not come back.  A log that cannot be
shown to be continued whole is not continued: the next one begins and names it (``sos.journal.succession``).
"""

import io
import os
import re
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import asyncpg
import msgspec
import structlog
from msgspec import Struct

from recording import age
from recording.durable import create_once, sync_directory
from recording.keys import KeyStore, held_check
from recording.note import read_checkpoint
from recording.tiles import TileStore
from sos.backups import manifest as manifests
from sos.backups.manifest import POSTGRES, SQLITE, Manifest
from sos.backups.postgres import Tools
from sos.clock import Clock, epoch_ms
from sos.errors import Malformed, Misconfigured, Refused, Unavailable
from sos.journal.configured import make_home
from sos.journal.custody import Custody, Found
from sos.journal.keyring import RETENTIONS
from sos.journal.migrate import upgrade
from sos.journal.postgres import PostgresStore
from sos.journal.root_keys import key_store
from sos.journal.sole import Sole
from sos.journal.sqlite import SqliteStore
from sos.journal.succession import goes_on, published_in, succeed, tree_of
from sos.settings import Settings

log = structlog.get_logger()

_KEY_FILE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,120}\Z")

MANY = 8192


class Lost(Struct, frozen=True, kw_only=True):
    """What the published log has and the restored database has not: it was acknowledged."""

    events: int = 0
    streams: Sequence[str] = ()
    """Whose they are: incidents, and records of the registry."""
    last: str = ""
    """When the newest of it happened."""


class Restored(Struct, frozen=True, kw_only=True):
    events: int
    made_at: datetime
    log: str
    """Name of the log that goes on from here."""
    new_log: bool
    lost: Lost
    keys: Found
    aside: str
    """Where what was there before lies."""
    rpo_s: float
    """Age of the newest event that was restored: so much of the past may be missing."""
    rto_s: float
    """From the call to the end, everything checked."""


class Source(Struct, frozen=True, kw_only=True):
    """A backup, the copy of the keys that belongs to it, and who can open that."""

    backup: Path
    keys: Path
    identity: str = ""

    def manifest(self) -> Manifest:
        return manifests.read(self.backup)

    def key_files(self, manifest: Manifest) -> Mapping[str, bytes]:
        """Name -> content of every file of the copy of the keys."""
        copy = self.keys / manifest.keys
        if copy.is_dir():
            return {path.name: path.read_bytes() for path in copy.iterdir() if _KEY_FILE.match(path.name)}
        if not copy.is_file():
            raise Malformed(f"the keys of this backup ({manifest.keys}) are not in {self.keys}")
        if not self.identity:
            raise Misconfigured(f"{manifest.keys} is encrypted: name the identity (--identity)")
        return _unpacked(age.decrypt(copy.read_bytes(), self.identity))


class Restore:
    def __init__(self, settings: Settings, source: Source, *, clock: Clock, tools: Tools) -> None:
        self._settings = settings
        self._source = source
        self._clock = clock
        self._tools = tools
        self._aside = settings.data / f"before-{manifests.stamp(clock.now())}"

    async def make(self) -> Restored:
        """Check the backup whole, then put it in place.  ``Refused`` while a service runs on the data directory."""
        os.umask(0o077)
        at = self._clock.now()
        manifest = self._source.manifest()
        self._fits(manifest)
        manifests.check(self._source.backup, manifest)
        keys = self._source.key_files(manifest)
        make_home(self._settings.data)
        sole = Sole(self._settings.data)
        if not sole.take():
            raise Refused("a service runs on this data directory: stop it first")
        try:
            survived = TileStore(self._settings.data / "log").checkpoint() is not None
            await self._put_database(manifest)
            for name in ("recordings", "log", "spool"):
                self._put_files(manifest, name)
            return await self._look(manifest, keys, at=at, survived=survived)
        finally:
            sole.release()

    def _fits(self, manifest: Manifest) -> None:
        wanted = "postgres" if self._settings.database_url else "sqlite"
        if manifest.database != wanted:
            raise Misconfigured(f"the backup is of {manifest.database}, and the settings want {wanted} (database_url)")

    # --- the database ---

    async def _put_database(self, manifest: Manifest) -> None:
        if manifest.database == "postgres":
            await self._put_postgres()
            return
        data = self._settings.data
        for name in (SQLITE, f"{SQLITE}-wal", f"{SQLITE}-shm"):
            if (data / name).exists():
                self._put_aside(data / name)
        manifests.copy_durably(self._source.backup / SQLITE, data / SQLITE)
        sync_directory(data)

    async def _put_postgres(self) -> None:
        """The tables that are there go into a schema beside, then the dump comes in whole."""
        try:
            connection = await asyncpg.connect(self._settings.database_url)
        except (asyncpg.PostgresError, OSError) as away:
            raise Unavailable(f"PostgreSQL does not answer ({type(away).__name__})") from away
        try:
            others = (
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            if await connection.fetchval(others + " AND application_name LIKE 'sos %'"):
                raise Refused("a service is connected to this database: stop it first")
            if await connection.fetchval("SELECT to_regclass('public.events') IS NOT NULL"):
                name = self._aside.name.lower().replace("-", "_").replace(".", "_")
                await connection.execute(f'ALTER SCHEMA public RENAME TO "{name}"')
                await connection.execute("CREATE SCHEMA public")
                log.warning("tables_put_aside", schema=name)
        finally:
            await connection.close()
        await self._tools.restore(self._settings.database_url, self._source.backup / POSTGRES)

    # --- files ---

    def _put_aside(self, path: Path) -> None:
        self._aside.mkdir(mode=0o700, exist_ok=True)
        path.rename(self._aside / path.name)
        sync_directory(self._aside)

    def _put_files(self, manifest: Manifest, name: str) -> None:
        """What of the backup is not there; log and spool come whole or, where one outlived the disaster, not at all."""
        to = self._settings.data / name
        if name != "recordings" and any(manifests.files_below(to)):
            return
        for relative in manifest.files:
            path = self._settings.data / relative
            if relative.startswith(f"{name}/") and not path.exists():
                manifests.copy_durably(self._source.backup / relative, path)
                shutil.copystat(self._source.backup / relative, path)

    # --- keys ---

    def _put_keys(self, kept: Mapping[str, bytes], known: Mapping[str, str]) -> None:
        """Keys of the copy that are missing, and those that the database knows better than the ones that are there."""
        directory = self._settings.data / "keys"
        KeyStore(directory)
        gone = {name for name in kept if name.endswith(".destroyed")}
        gone |= {path.name for path in directory.glob("*.destroyed")}
        for name, content in sorted(kept.items()):
            path = directory / name
            if name.endswith(".kek") and f"{name.removesuffix('.kek')}.destroyed" in gone:
                continue
            if path.exists() and known.get(name) == held_check(content) != held_check(path.read_bytes()):
                self._put_aside(path)
            create_once(path, content)
        for name in gone:
            if (path := directory / f"{name.removesuffix('.destroyed')}.kek").exists():
                KeyStore(directory).destroy(path.name.removesuffix(".kek"))

    # --- what there is now ---

    async def _look(self, manifest: Manifest, kept: Mapping[str, bytes], *, at: datetime, survived: bool) -> Restored:
        data, wanted = self._settings.data, self._settings.log_origin
        url = self._settings.database_url
        store = PostgresStore(url) if url else SqliteStore(data / SQLITE)
        async with store:
            await upgrade(store.engine)
            self._put_keys(kept, await store.key_names())
            await _whole(store, manifest)
            while await store.sequence():  # what had no place yet when the backup was made
                pass
            size, _ = await store.tree()
            lost = await lost_events(store, data / "log")
            new = not (survived and await goes_on(store, data / "log"))
            keys = key_store(self._settings)
            if new:
                await succeed(store, data / "log", keys, wanted=wanted)
            custody = Custody(keys, store, retentions=RETENTIONS, clock=self._clock)
            found = await custody.compare(thorough=True)
            origin = (await published_in(store, wanted)).origin
        now = self._clock.now()
        return Restored(
            events=size,
            made_at=manifest.made_at,
            log=origin,
            new_log=new,
            lost=lost,
            keys=found,
            aside=str(self._aside) if self._aside.exists() else "",
            rpo_s=round(max(0.0, (epoch_ms(at) - (manifest.newest_ms or epoch_ms(manifest.made_at))) / 1000), 1),
            rto_s=round((now - at).total_seconds(), 1),
        )


async def _whole(store: SqliteStore | PostgresStore, manifest: Manifest) -> None:
    """All events as they were when the backup was made, or ``Malformed``."""
    tree = await tree_of(store, manifest.events)
    if tree.root().hex() != manifest.root:
        raise Malformed("the restored journal is not the one that was backed up: its events have another root")


async def lost_events(store: SqliteStore | PostgresStore, directory: Path) -> Lost:
    """What stands in the published log and not in the database."""
    tiles = TileStore(directory)
    checkpoint = tiles.checkpoint()
    size, _ = await store.tree()
    end = read_checkpoint(checkpoint).size if checkpoint else 0
    if end <= size:
        return Lost()
    starts = range(size, end, MANY)
    headers = [_header(entry) for first in starts for entry in tiles.entries(first, min(MANY, end - first))]
    streams = dict.fromkeys(header["stream"] for header in headers)
    return Lost(events=len(headers), streams=tuple(streams), last=max(header["at"] for header in headers))


def _header(entry: bytes) -> Mapping[str, str]:
    """Whose event it was and when it happened; of one that cannot be read, nothing."""
    try:
        header = msgspec.json.decode(entry)
        return {"stream": str(header["stream"]), "at": str(header["at"])}
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError):
        return {"stream": "", "at": ""}


def _unpacked(packed: bytes) -> Mapping[str, bytes]:
    """Plain files with plain names; what else an archive may hold is not looked at."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:") as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isreg() else None
            if content is not None and _KEY_FILE.match(member.name):
                found[member.name] = content.read()
    return found
