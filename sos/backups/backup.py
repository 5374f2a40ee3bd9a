"""Making a backup while the service runs: log, database, recordings and spool in one place, the keys in another.

The order makes the copies fit: what is published and what is spooled is copied before the database, so that the copied
log is never ahead of it and a report that is drained meanwhile is in one of both; recordings and keys after it, so that
what it refers to is there.  Keys never lie beside what they open.  They
are kept no longer than the shortest retention period: a key that lives on in a backup has not been destroyed.
"""

import io
import os
import shutil
import sqlite3
import tarfile
from contextlib import closing
from datetime import datetime, timedelta
from importlib import metadata
from pathlib import Path

import asyncpg
import msgspec
import structlog
from msgspec import Struct

from recording import age
from recording.durable import sync_directory, write_new
from recording.ledger import Tree
from recording.succession import FILE as STATEMENT
from recording.tiles import TileStore
from sos.backups import manifest as manifests
from sos.backups.manifest import POSTGRES, SQLITE, Manifest
from sos.backups.postgres import Tools
from sos.clock import Clock
from sos.errors import Misconfigured, Unavailable
from sos.journal.queries import split_hashes
from sos.settings import Settings

log = structlog.get_logger()

KEYS_KEPT = timedelta(days=28)
"""The shortest retention period: what was no emergency is destroyed after four weeks."""

LOG_TRIES = 5
"""Copies of a log that is written meanwhile."""

SEALED = ".keys.age"
OPEN = ".keys"


class Made(Struct, frozen=True, kw_only=True):
    directory: str
    keys: str
    events: int
    files: int
    seconds: float


class Where(Struct, frozen=True, kw_only=True):
    """Two places, and for whom the keys are encrypted: nobody, then only the place protects them."""

    backups: Path
    keys: Path
    recipient: str = ""

    def __post_init__(self) -> None:
        one, other = self.backups.resolve(), self.keys.resolve()
        if one == other or one in other.parents or other in one.parents:
            raise Misconfigured("the keys need a place of their own, not within the backups nor around them")


class Backup:
    def __init__(self, settings: Settings, where: Where, *, clock: Clock, tools: Tools) -> None:
        self._settings = settings
        self._where = where
        self._clock = clock
        self._tools = tools

    async def make(self) -> Made:
        """Copy everything; the copies have their names when all of them are whole and on the disk."""
        os.umask(0o077)
        at = self._clock.now()
        name = manifests.stamp(at)
        for place in (self._where.backups, self._where.keys):
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished = self._where.backups / f".{name}"
        unfinished.mkdir(mode=0o700)
        try:
            manifest = await self._fill(unfinished, name, at)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        manifests.write(unfinished, manifest)
        finished = unfinished.rename(self._where.backups / name)
        sync_directory(self._where.backups)
        self._forget_old_keys(at)
        seconds = (self._clock.now() - at).total_seconds()
        return Made(
            directory=str(finished),
            keys=str(self._where.keys / manifest.keys),
            events=manifest.events,
            files=len(manifest.files),
            seconds=round(seconds, 1),
        )

    async def _fill(self, to: Path, name: str, at: datetime) -> Manifest:
        data, files = self._settings.data, dict[str, str]()
        _copy_log(data / "log", to, files)
        self._copy(data / "spool", to, "spool", files)
        dump = self._postgres if self._settings.database_url else self._sqlite
        size, root, newest_ms, origin = await dump(to)
        file = to / (POSTGRES if self._settings.database_url else SQLITE)
        files[file.name] = manifests.digest_of(file)
        self._copy(data / "recordings", to, "recordings", files)
        return Manifest(
            made_at=at,
            release=metadata.version("sos-service"),
            database="postgres" if self._settings.database_url else "sqlite",
            events=size,
            root=root.hex(),
            newest_ms=newest_ms,
            log=origin or self._settings.log_origin,
            keys=self._copy_keys(name),
            files=files,
        )

    async def _sqlite(self, to: Path) -> tuple[int, bytes, int, str]:
        """SQLite's own way: a whole database however much is written meanwhile."""
        source = self._settings.data / "journal.db"
        if not source.is_file():
            raise Misconfigured(f"there is no journal in {self._settings.data}: is data_dir right?")
        copy = to / SQLITE
        with closing(sqlite3.connect(source)) as journal, closing(sqlite3.connect(copy)) as other:
            journal.backup(other, pages=2048)
            other.execute("PRAGMA journal_mode=DELETE")
            (found,) = other.execute("PRAGMA integrity_check").fetchone()
            if found != "ok":
                raise Unavailable("the copy of the database is damaged: is the disk?")
            tree = other.execute("SELECT size, hashes FROM tree").fetchone()
            last = other.execute("SELECT header FROM events ORDER BY position DESC LIMIT 1").fetchone()
            origin = other.execute("SELECT origin FROM logs ORDER BY ordinal DESC LIMIT 1").fetchone()
        _sync(copy)
        return *_tree(tree), _at_ms(last), origin[0] if origin else ""

    async def _postgres(self, to: Path) -> tuple[int, bytes, int, str]:
        """A dump of one snapshot, from which the figures are taken too."""
        connection = await asyncpg.connect(self._settings.database_url)
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                snapshot = await connection.fetchval("SELECT pg_export_snapshot()")
                await self._tools.dump(self._settings.database_url, to / POSTGRES, snapshot=snapshot)
                tree = await connection.fetchrow("SELECT size, hashes FROM tree")
                last = await connection.fetchrow("SELECT header FROM events ORDER BY position DESC LIMIT 1")
                origin = await connection.fetchval("SELECT origin FROM logs ORDER BY ordinal DESC LIMIT 1")
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as away:
            raise Unavailable(f"PostgreSQL does not answer ({type(away).__name__})") from away
        finally:
            await connection.close()
        _sync(to / POSTGRES)
        return *_tree(tree), _at_ms(last), origin or ""

    def _copy(self, source: Path, to: Path, name: str, files: dict[str, str]) -> None:
        """Copy a directory; a file that the last backup has already is one file with two names."""
        before, known = self._last()
        for path in manifests.files_below(source):
            relative = f"{name}/{path.relative_to(source).as_posix()}"
            copy = to / relative
            try:
                earlier = before / relative if before else None
                if earlier and relative in known and _same(path, earlier):
                    copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                    os.link(earlier, copy)
                    files[relative] = known[relative]
                else:
                    digest = manifests.copy_durably(path, copy)
                    shutil.copystat(path, copy)
                    files[relative] = digest
            except FileNotFoundError:  # it has been destroyed or drained meanwhile
                copy.unlink(missing_ok=True)

    def _last(self) -> tuple[Path | None, dict[str, str]]:
        try:
            last = manifests.newest(self._where.backups)
            return last, dict(manifests.read(last).files)
        except Exception:  # noqa: BLE001  without an earlier one everything is copied
            return None, {}

    # --- keys ---

    def _copy_keys(self, name: str) -> str:
        source = self._settings.data / "keys"
        if self._where.recipient:
            sealed = age.encrypt(_packed(source), self._where.recipient)
            write_new(self._where.keys / f"{name}{SEALED}", sealed, mode=0o600)
            sync_directory(self._where.keys)
            return f"{name}{SEALED}"
        unfinished = self._where.keys / f".{name}"
        unfinished.mkdir(mode=0o700)
        for path in _key_files(source):
            manifests.copy_durably(path, unfinished / path.name)
        sync_directory(unfinished)
        unfinished.rename(self._where.keys / f"{name}{OPEN}")
        sync_directory(self._where.keys)
        return f"{name}{OPEN}"

    def _forget_old_keys(self, at: datetime) -> None:
        oldest = manifests.stamp(at - KEYS_KEPT)
        for path in self._where.keys.glob(f"[0-9]*Z{OPEN}*"):
            if path.name < oldest:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
                log.info("old_keys_forgotten", backup=path.name)


def _copy_log(source: Path, to: Path, files: dict[str, str]) -> None:
    """Checkpoint first, then the tiles; again where tiles were tidied away in between."""
    checkpoint = TileStore(source).checkpoint()
    if checkpoint is None:
        return
    for _ in range(LOG_TRIES):
        shutil.rmtree(to / "log", ignore_errors=True)
        found = {}
        for path in manifests.files_below(source):
            relative = path.relative_to(source).as_posix()
            if relative != "checkpoint" and (relative == STATEMENT or relative.startswith("tile/")):
                try:
                    found[f"log/{relative}"] = manifests.copy_durably(path, to / "log" / relative)
                except FileNotFoundError:
                    (to / "log" / relative).unlink(missing_ok=True)
        (to / "log").mkdir(exist_ok=True)
        write_new(to / "log" / "checkpoint", checkpoint, mode=0o600)
        if _whole(to / "log"):
            files |= found
            files["log/checkpoint"] = manifests.digest_of(to / "log" / "checkpoint")
            return
    raise Unavailable("the published log could not be copied: it changed while it was read; try again")


def _whole(directory: Path) -> bool:
    tiles = TileStore(directory)
    try:
        tiles.entries(max(0, tiles.size() - 1), 1 if tiles.size() else 0)
        tiles.root(tiles.size())
    except Exception:  # noqa: BLE001  whatever it is, this copy is none
        return False
    return True


def _tree(row: tuple[int, bytes] | None) -> tuple[int, bytes]:
    tree = Tree.from_state(row[0], split_hashes(row[1])) if row else Tree()
    return tree.size, tree.root()


def _at_ms(row: tuple[bytes] | None) -> int:
    """When an event happened, by its header; 0 where that cannot be read."""
    try:
        at = datetime.fromisoformat(msgspec.json.decode(row[0])["at"]) if row else None
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError):
        return 0
    return int(at.timestamp() * 1000) if at else 0


def _same(path: Path, earlier: Path) -> bool:
    if not earlier.is_file():
        return False
    one, other = path.stat(), earlier.stat()
    return (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _key_files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.glob("[!.]*") if path.is_file() and not path.is_symlink())


def _packed(directory: Path) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path in _key_files(directory):
            content = path.read_bytes()
            member = tarfile.TarInfo(path.name)
            member.size, member.mode = len(content), 0o600
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()
