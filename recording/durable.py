"""Writing files so that they survive a power cut: whole or not at all, and on the disk before anybody is told."""

import os
from pathlib import Path
from secrets import token_hex


def sync_directory(directory: Path) -> None:
    """Make the names in ``directory`` durable (a rename is not, until its directory is synced)."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_new(path: Path, content: bytes | memoryview, *, mode: int = 0o644) -> None:
    """Write and fsync a file that must not exist yet; the caller syncs the directory."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Put ``content`` at ``path`` in one step: a reader sees the old file or the new one, never a part of either."""
    fresh = path.with_name(f".{path.name}.{token_hex(8)}")
    write_new(fresh, content, mode=mode)
    fresh.replace(path)


def create_once(path: Path, content: bytes, *, mode: int = 0o600) -> bool:
    """Put ``content`` at ``path`` durably unless a file is there; False when somebody else was first."""
    fresh = path.with_name(f".{path.name}.{token_hex(8)}")
    write_new(fresh, content, mode=mode)
    try:
        os.link(fresh, path)
    except FileExistsError:
        return False
    finally:
        fresh.unlink()
        sync_directory(path.parent)
    return True


def erase(path: Path) -> None:
    """Overwrite, then unlink.  On flash or copying file systems the old blocks may live on: use an encrypted volume."""
    try:
        descriptor = os.open(path, os.O_WRONLY)
    except FileNotFoundError:
        return
    try:
        os.write(descriptor, os.urandom(os.fstat(descriptor).st_size))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    path.unlink(missing_ok=True)
