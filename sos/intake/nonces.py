"""Nonces of signed requests that were used, each for as long as its signature could be shown again.

They lie in a small SQLite file beside the data, so that a restart forgets none and the processes of one machine share
them.  Nothing is synced: after a loss of power the last two minutes may be forgotten, and then a request that is shown
again is met by its receipt and is a repeat.  A file that cannot be used delays no report either: it is memory then.
"""

import os
import sqlite3
from contextlib import suppress
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

import structlog

log = structlog.get_logger()

_WAIT_S = 0.02
"""For another process that is writing: its transaction takes some twenty microseconds."""

_FORGOTTEN_AT_ONCE = 4
"""Each new nonce removes as many that are too old: more than come in, and never many at once."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS used (digest BLOB PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS used_at ON used (at);
"""


class Nonces:
    def __init__(self, kept: timedelta, path: Path | None = None) -> None:
        """In the file ``path``, which is made when it is missing or unreadable; without one in memory."""
        self._kept_s = kept.total_seconds()
        self._connection = _memory() if path is None else _file(path)

    def first(self, key_id: str, nonce: str, *, at: datetime) -> bool:
        """Whether it was not used before; from now on it was."""
        digest = sha256(f"{key_id}\0{nonce}".encode()).digest()[:16]
        try:
            return self._taken(digest, at.timestamp())
        except sqlite3.Error as failed:
            log.warning("nonces_in_memory", why=type(failed).__name__)
            self.close()
            self._connection = _memory()
            return self._taken(digest, at.timestamp())

    def close(self) -> None:
        with suppress(sqlite3.Error):
            self._connection.close()

    def _taken(self, digest: bytes, now: float) -> bool:
        with self._connection as transaction:
            transaction.execute("BEGIN IMMEDIATE")
            transaction.execute(
                "DELETE FROM used WHERE digest IN (SELECT digest FROM used WHERE at < ? ORDER BY at LIMIT ?)",
                (now - self._kept_s, _FORGOTTEN_AT_ONCE),
            )
            return transaction.execute("INSERT OR IGNORE INTO used VALUES (?, ?)", (digest, now)).rowcount == 1


def _memory() -> sqlite3.Connection:
    return _opened(":memory:")


def _file(path: Path) -> sqlite3.Connection:
    """The file at ``path``; a broken one holds nothing that is worth more than a start, and is made anew."""
    try:
        for anew in (False, True):
            if anew:
                path.unlink(missing_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            try:
                return _opened(str(path))
            except sqlite3.DatabaseError as broken:
                log.warning("nonces_unreadable", why=type(broken).__name__)
    except OSError as failed:
        log.warning("nonces_in_memory", why=type(failed).__name__)
    return _memory()


def _opened(name: str) -> sqlite3.Connection:
    connection = sqlite3.connect(name, timeout=_WAIT_S, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=OFF")
        connection.executescript(_SCHEMA)
        connection.execute("SELECT count(*) FROM (SELECT 1 FROM used LIMIT 1)")
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection
