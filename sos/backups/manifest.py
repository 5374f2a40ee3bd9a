"""What a backup says of itself: when it was made, what is in it, and the digest of every file."""

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from recording.durable import replace, sync_directory
from sos.errors import Malformed

FILE = "backup.json"
FORMAT = "sos-backup/1"

SQLITE, POSTGRES = "journal.db", "database.dump"


class Manifest(Struct, frozen=True, kw_only=True):
    made_at: datetime
    release: str
    database: Literal["sqlite", "postgres"]
    events: int
    """How many events the journal had."""
    root: str
    """The root over all of them, in hexadecimal: the restored journal must have the same."""
    newest_ms: int
    """When the newest of them happened; 0 where there is none."""
    log: str
    """Name of the log they are published in."""
    keys: str
    """Name of the copy of the keys that was made with it, and lies elsewhere."""
    files: Mapping[str, str]
    """Path -> SHA-256."""
    format: str = FORMAT


def stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%fZ")


def write(directory: Path, manifest: Manifest) -> None:
    replace(directory / FILE, msgspec.json.format(msgspec.json.encode(manifest)), mode=0o600)
    sync_directory(directory)


def read(directory: Path) -> Manifest:
    """The manifest of the backup at ``directory``; ``Malformed`` when that is none, or of another release's kind."""
    try:
        manifest = msgspec.json.decode((directory / FILE).read_bytes(), type=Manifest)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as none:
        raise Malformed(f"{directory} is no backup: it has no {FILE} that can be read") from none
    if manifest.format != FORMAT:
        raise Malformed(f"{directory} is a backup of the kind {manifest.format}; this release reads {FORMAT}")
    return manifest


def check(directory: Path, manifest: Manifest) -> None:
    """Every file as it was written; ``Malformed`` names the first that is not."""
    for name, digest in sorted(manifest.files.items()):
        path = directory / name
        if not path.is_file() or path.is_symlink() or digest_of(path) != digest:
            raise Malformed(f"{name} of the backup is not there or has been changed: take another backup")


def newest(directory: Path) -> Path:
    """The newest finished backup below ``directory``, or that itself where it is one."""
    if (directory / FILE).exists():
        return directory
    found = sorted(each.parent for each in directory.glob(f"[0-9]*Z/{FILE}"))
    if not found:
        raise Malformed(f"there is no backup in {directory}")
    return found[-1]


def digest_of(path: Path) -> str:
    digest = sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def files_below(directory: Path) -> Iterator[Path]:
    """The plain files below ``directory``, by name; what goes away meanwhile is left out, as are links."""
    for place, _, names in sorted(os.walk(directory)):
        for name in sorted(names):
            path = Path(place) / name
            if path.is_file() and not path.is_symlink():
                yield path


def copy_durably(source: Path, to: Path) -> str:
    """Copy one file and have it on the disk; its digest."""
    to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    digest = sha256()
    descriptor = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with source.open("rb") as file, os.fdopen(descriptor, "wb") as copy:
        while piece := file.read(1 << 20):
            digest.update(piece)
            copy.write(piece)
        copy.flush()
        os.fsync(copy.fileno())
    return digest.hexdigest()
