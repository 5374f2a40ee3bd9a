"""The key store: everything whose destruction must be final, kept as files outside the database and its logs.

Data keys lie in the database wrapped under a key-encryption key (KEK) of one retention class and month; destroying the
KEK destroys every data key under it, in the database, its write-ahead log and its backups alike.  A destroyed KEK
leaves a tombstone, so that «destroyed» and «lost» stay different answers.  Every KEK has a random id in its name, so no
name is ever given twice: what is made while one is lost does not stand where the lost one belongs.  KEKs are made
``AHEAD`` months before their time, so that a backup of the directory holds a key before anything is sealed under it.
Before it is destroyed a KEK is *retired*: nothing more is wrapped under it, and what is still needed moves to another.
The directory must have backups of its own, with a life no longer than the shortest period.  Several processes may
share it.
"""

import fcntl
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from threading import Lock
from typing import NamedTuple

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from recording.durable import create_once, erase, replace, sync_directory
from recording.errors import Destroyed, KeyMissing, Malformed, RootAway, Tampered
from recording.root import Held, Roots

KEK_BYTES = 32
SECRET_BYTES = 32
NONCE_BYTES = 12

SETTLED_NS = 1_000_000_000
"""So long after its last change a directory shows every further one: time stamps have a grain of some milliseconds."""

AHEAD = 2
"""Months for which keys are made before their time: a backup every few weeks has them before they are used."""

TRIES = 16
"""KEKs that are tried before a data key is refused."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])\Z")
_KEK = re.compile(r"[A-Za-z0-9_-]{1,64}\.[0-9]{4}-(0[1-9]|1[0-2])\.[0-9a-f]{1,16}\Z")


class WrappedKey(NamedTuple):
    """A data key as the database may hold it, with the name of the KEK that opens it."""

    kek: str
    wrapped: bytes


class _Standing(NamedTuple):
    destroyed: bool
    there: bool
    retired: bool


class KeyStore:
    """KEKs, signing keys and secrets in ``directory`` (made 0700, files 0600)."""

    def __init__(self, directory: Path, roots: Roots | None = None) -> None:
        """``roots``: what KEKs lie under on the disk; by itself none does."""
        self._directory = directory
        self._roots = roots or Roots()
        self._stem = f"{directory}{os.sep}"  # plain text for the hot path: making a Path costs more than the look-up
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_directory(directory.parent)
        self._ciphers: dict[str, AESGCM] = {}
        self._standings: dict[str, tuple[int, _Standing]] = {}
        """What the files said when the directory was changed last."""
        self._current: dict[tuple[str, str], str] = {}
        self._unusable: set[str] = set()
        """There, but nothing was to be wrapped under them when it was tried: they are not tried again."""
        self._signing: dict[str, Ed25519PrivateKey] = {}
        self._secrets: dict[str, bytes] = {}
        self._lock = Lock()

    def wrap(self, dek: bytes, *, retention: str, month: str, context: bytes) -> WrappedKey:
        """``dek`` wrapped under the KEK of ``retention`` and ``month`` (``2026-11``), which is made on first use.

        ``RootAway`` when none that is there opens and none can be made.
        """
        for left in reversed(range(TRIES)):
            kek = self._current_kek(retention, month)
            try:
                if self._standing(kek).retired:
                    raise Destroyed(f"key {kek} is about to be destroyed")
                cipher = self._cipher(kek)
            except (Destroyed, KeyMissing, Tampered, RootAway) as shut:  # gone under our feet: another one takes over
                with self._lock:
                    self._current.pop((retention, month), None)
                    self._unusable |= {kek} if isinstance(shut, Tampered | RootAway) else set()
                if not left:  # a root key that gives back other bytes than it was given, say
                    raise
                continue
            nonce = os.urandom(NONCE_BYTES)
            return WrappedKey(kek, nonce + cipher.encrypt(nonce, dek, _bound(kek, context)))
        raise AssertionError

    def unwrap(self, kek: str, wrapped: bytes, *, context: bytes) -> bytes:
        """The data key.

        ``Destroyed`` when the KEK was destroyed on purpose, ``KeyMissing`` when it is gone and nothing says so,
        ``Tampered`` when key, context or bytes do not match.
        """
        if not _KEK.match(kek):
            raise Tampered("not the name of a key-encryption key")
        cipher = self._cipher(kek)
        try:
            return cipher.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], _bound(kek, context))
        except (InvalidTag, ValueError) as error:
            raise Tampered(f"wrapped key does not open under {kek}") from error

    def keks(self) -> tuple[str, ...]:
        """The names of all KEKs that can still be used, in order."""
        return tuple(sorted(path.name.removesuffix(".kek") for path in self._directory.glob("[!.]*.kek")))

    def ahead(self, retentions: Iterable[str], month: str, *, months: int = AHEAD) -> tuple[str, ...]:
        """Have the KEKs of ``month`` and of the ``months`` after it, for each class; the names of those made now."""
        before = set(self.keks())
        for retention in retentions:
            for later in range(months + 1):
                self._current_kek(retention, month_after(month, later))
        return tuple(sorted(set(self.keks()) - before))

    def rotate(self, retentions: Iterable[str], month: str) -> tuple[str, ...]:
        """A new KEK of ``month`` for each class, which whatever comes next is wrapped under; earlier ones still open.

        Another process goes on with the one it has until it is started again.
        """
        made = []
        for retention in retentions:
            with self._lock, self._alone():
                kek = f"{_named(retention)}.{month}.{token_hex(4)}"
                self._create(kek)
                self._current[(retention, month)] = kek
            made.append(kek)
        return tuple(made)

    def inventory(self) -> Mapping[str, str]:
        """Every file that something depends on -> check value of its content: KEKs, signing keys and secrets.

        Nothing can be learnt of a key from its check value, so that it may stand in the database.
        """
        return {
            path.name: held_check(path.read_bytes())
            for pattern in ("kek", "pem", "secret")
            for path in sorted(self._directory.glob(f"[!.]*.{pattern}"))
        }

    def root_answers(self) -> bool:
        """Whether the root key in force can be asked now; it may take as long as a device may."""
        return self._roots.answers()

    def lying(self) -> Mapping[str, Held]:
        """How each KEK lies on the disk: under which root, and its check value."""
        return {kek: self._roots.held(self._path(kek).read_bytes(), check=check_value) for kek in self.keks()}

    def rewrap(self) -> Iterator[str]:
        """Put every KEK under the root in force, or under none; yields the name of each that was moved.

        What lay there before is overwritten, also what one that was stopped left of it.  Stopped at any moment each
        file is the old one or the new one; again is harmless, and so is a service that runs meanwhile.  ``RootAway``
        and ``Tampered`` as they come.
        """
        for kek in self.keks():
            path = self._path(kek)
            with self._alone():
                if self._tombstone(kek).exists() or not path.exists():
                    continue
                self._erase_left(kek)
                stored = path.read_bytes()
                if self._roots.in_force(stored):
                    continue
                key = self._roots.open(stored, name=kek, check=check_value)
                before = path.with_name(f".{path.name}.{token_hex(4)}")  # as what a crash leaves: ``destroy`` finds it
                os.link(path, before)
                replace(path, self._roots.close(key, name=kek, check=check_value), mode=0o600)
                sync_directory(self._directory)
                erase(before)
            yield kek

    def tombstones(self) -> frozenset[str]:
        """The names of all KEKs that were destroyed on purpose."""
        return frozenset(path.name.removesuffix(".destroyed") for path in self._directory.glob("[!.]*.destroyed"))

    def retire(self, kek: str, *, at: datetime) -> None:
        """Wrap nothing more under ``kek``, in any process; what is under it opens until it is destroyed."""
        if not _KEK.match(kek):
            raise Malformed("not the name of a key-encryption key")
        create_once(self._retired(kek), at.isoformat().encode())

    def retired(self) -> Mapping[str, datetime]:
        """The KEKs that are retired and not destroyed yet, and since when."""
        found = {path.name.removesuffix(".retired"): path for path in self._directory.glob("[!.]*.retired")}
        return {
            kek: datetime.fromisoformat(path.read_text())
            for kek, path in sorted(found.items())
            if not self._tombstone(kek).exists()
        }

    def destroyed(self, kek: str) -> bool:
        """Whether ``kek`` was destroyed on purpose."""
        return bool(_KEK.match(kek)) and self._tombstone(kek).exists()

    def destroy(self, kek: str) -> None:
        """Destroy ``kek`` for good: tombstone first, then overwrite and unlink, all synced.  Again is harmless."""
        if not _KEK.match(kek):
            raise Malformed("not the name of a key-encryption key")
        create_once(self._tombstone(kek), b"")
        with self._lock:
            self._ciphers.pop(kek, None)
            self._current = {key: name for key, name in self._current.items() if name != kek}
        with self._alone():  # or a move to another root would put it back
            self._erase_left(kek)
            erase(self._path(kek))
            sync_directory(self._directory)

    def _erase_left(self, kek: str) -> None:
        """What a crash left beside the file of ``kek``.  It may be that file by another name: then the name alone
        goes."""
        path = self._path(kek)
        for left in self._directory.glob(f".{kek}.kek.*"):
            if path.exists() and left.samefile(path):
                left.unlink()
            else:
                erase(left)

    def signing_key(self, name: str) -> Ed25519PrivateKey:
        """The Ed25519 key called ``name``, made on first use (PKCS #8 PEM).

        One that is damaged is put beside (``name.pem.damaged``) and made anew, so that the house starts.
        """
        with self._lock:
            if name not in self._signing:
                fresh = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
                key = _signs(self._once(f"{_named(name)}.pem", fresh, whole=lambda held: _signs(held) is not None))
                assert key is not None  # what does not sign has been put beside
                self._signing[name] = key
            return self._signing[name]

    def secret(self, name: str) -> bytes:
        """The 32 random bytes called ``name``, made on first use; for keyed digests.

        What does not hold so many is put beside (``name.secret.damaged``) and made anew, so that the house starts.
        """
        with self._lock:
            if name not in self._secrets:
                fresh = os.urandom(SECRET_BYTES)
                held = self._once(f"{_named(name)}.secret", fresh, whole=lambda held: len(held) == SECRET_BYTES)
                self._secrets[name] = held
            return self._secrets[name]

    def _current_kek(self, retention: str, month: str) -> str:
        with self._lock:
            known = self._current.get((retention, month))
            if known is not None:
                return known
            _named(retention)
            if not _MONTH.match(month):
                raise Malformed("a month is written 2026-11")
            with self._alone():
                kek = self._usable(retention, month)
                if kek is None:
                    kek = f"{retention}.{month}.{token_hex(4)}"
                    self._create(kek)
            self._current[(retention, month)] = kek
            return kek

    def _usable(self, retention: str, month: str) -> str | None:
        """The newest KEK of this class and month that can be wrapped under."""
        found = self._directory.glob(f"{retention}.{month}.*.kek")
        for path in sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True):
            kek = path.name.removesuffix(".kek")
            gone = self._tombstone(kek).exists() or self._retired(kek).exists()
            if _KEK.match(kek) and not gone and kek not in self._unusable and self._plausible(path.read_bytes()):
                return kek
        return None

    def _plausible(self, stored: bytes) -> bool:
        """Whether a file can hold a KEK: one whose root cannot be asked now is not passed over."""
        return bool(self._roots.held(stored, check=check_value).root) or len(stored) == KEK_BYTES

    def _create(self, kek: str) -> None:
        create_once(self._path(kek), self._roots.close(os.urandom(KEK_BYTES), name=kek, check=check_value))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One process at a time looks for a key and makes it, so that there is one."""
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _cipher(self, kek: str) -> AESGCM:
        standing = self._standing(kek)
        if standing.destroyed:
            self._ciphers.pop(kek, None)
            raise Destroyed(f"key {kek} has been destroyed")
        if not standing.there:
            self._ciphers.pop(kek, None)
            raise KeyMissing(f"key {kek} is not in the key store and no tombstone says that it was destroyed")
        cipher = self._ciphers.get(kek)
        if cipher is None:
            content = self._roots.open(self._path(kek).read_bytes(), name=kek, check=check_value)
            if len(content) != KEK_BYTES:
                raise Tampered(f"key file {kek}.kek does not hold {KEK_BYTES} bytes")
            cipher = self._ciphers.setdefault(kek, AESGCM(content))
        return cipher

    def _standing(self, kek: str) -> _Standing:
        """What the files say of ``kek``.  They are the truth: another process may have destroyed it.

        A file that comes or goes changes the directory, so while that stands still one look at it is enough.  A change
        within the grain of its time stamps would not show: soon after one the files are asked each time.
        """
        changed = os.stat(self._directory).st_mtime_ns
        of, known = self._standings.get(kek, (0, None))
        if known is None or of != changed:
            stem = f"{self._stem}{kek}"
            known = _Standing(*(os.path.exists(f"{stem}.{what}") for what in ("destroyed", "kek", "retired")))
            if time.time_ns() - changed > SETTLED_NS:
                self._standings[kek] = changed, known
        return known

    def _once(self, name: str, fresh: bytes, *, whole: Callable[[bytes], bool]) -> bytes:
        """What the file ``name`` holds, made on first use.  A damaged one is kept for whoever can mend it; that another
        stands in its place is seen by its check value (``inventory``)."""
        path = self._directory / name
        with self._alone():
            if path.exists() and not whole(path.read_bytes()):
                path.replace(path.with_name(f"{name}.damaged.{token_hex(4)}"))
            if not path.exists():
                create_once(path, fresh)
            return path.read_bytes()

    def _path(self, kek: str) -> Path:
        return self._directory / f"{kek}.kek"

    def _retired(self, kek: str) -> Path:
        return self._directory / f"{kek}.retired"

    def _tombstone(self, kek: str) -> Path:
        return self._directory / f"{kek}.destroyed"


def check_value(content: bytes) -> str:
    """By which the content of a key file is known; nothing can be learnt of it."""
    return sha256(b"sos-key-check/1\0" + content).hexdigest()[:16]


def held_check(stored: bytes) -> str:
    """The check value of the key that a file holds, whichever root key it lies under."""
    return Roots().held(stored, check=check_value).check


def month_after(month: str, later: int) -> str:
    """The month (``2026-11``) so many months after ``month``."""
    count = int(month[:4]) * 12 + int(month[5:]) - 1 + later
    return f"{count // 12:04d}-{count % 12 + 1:02d}"


def _signs(content: bytes) -> Ed25519PrivateKey | None:
    """The signing key in a PEM file, if it is one."""
    try:
        key = load_pem_private_key(content, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, Ed25519PrivateKey) else None


def _bound(kek: str, context: bytes) -> bytes:
    return kek.encode() + b"\0" + context


def _named(name: str) -> str:
    if not _NAME.match(name):
        raise Malformed("a key name has 1 to 64 letters, digits, hyphens or underscores")
    return name
