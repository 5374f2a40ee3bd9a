"""What a package may hold at most, so that a hostile one costs little time and little memory.

A package is looked at by people who do not trust who made it.  Every file has a size by its kind, the folder has a
depth and a count, and JSON has a number of values; whatever is beyond is a failure with its name, and is not read.
The limits are far above a call of twelve hours with three voices.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from recording import package
from recording.errors import TooLarge

MOST_ENTRIES = 500_000
"""Files and folders; a recording has two files for each second and voice."""
DEEPEST = 4
"""Folders below the package: ``data/recordings/<id>/<file>``."""
MOST_VALUES = 2_000_000
"""Values in the JSON of one file; each costs about a hundred bytes of memory to read."""
MOST_LINES = MOST_ENTRIES
MOST_BYTES = 1 << 40
"""Of the whole package."""

_KIB, _MIB, _GIB = 1 << 10, 1 << 20, 1 << 30
_SMALL = 64 * _KIB
_LARGE = {
    package.AUDIT: 48 * _MIB,
    package.DISCLOSURES: 48 * _MIB,
    package.UNREADABLE: 4 * _MIB,
    "manifest-sha256.txt": 128 * _MIB,
    "manifest-sha512.txt": 192 * _MIB,
}
_JSON = 48 * _MIB
_CHUNK = 16 * _MIB  # a second of one voice
_SOUND = 4 * _GIB  # two days of one voice at the highest rate

PASSED_OVER = frozenset({".ds_store", "thumbs.db", "desktop.ini", "__macosx"})
"""What desktops leave beside files that people carry: it is no part of the package."""


def of_a_desktop(name: str) -> bool:
    """Whether a file of this name was left by somebody's desktop: Finder, Explorer, an archive made on a Mac."""
    return name.casefold() in PASSED_OVER or name.startswith("._")


def most_bytes(path: str) -> int:
    """How large the file ``path`` of a package may be."""
    if path in _LARGE:
        return _LARGE[path]
    if package.PART_PATH.match(path):
        return _JSON
    if match := package.RECORDING_PATH.match(path):
        return _JSON if match["manifest"] else _SOUND if match["track"] else _CHUNK
    return _SMALL


class Entry(NamedTuple):
    path: str
    """Below the package, with slashes."""
    mode: int
    size: int
    empty: bool
    """A folder without anything that belongs to a package."""

    @property
    def passed_over(self) -> bool:
        """Left by a desktop, as a plain file or as the folder of a Mac's archive: no link, nothing else."""
        name = self.path.rpartition("/")[2]
        folder = name.casefold() == "__macosx"
        return of_a_desktop(name) and (stat.S_ISDIR(self.mode) if folder else stat.S_ISREG(self.mode))


def entries(directory: Path) -> Iterator[Entry]:
    """Every entry below ``directory``, sorted; ``TooLarge`` when there are too many, too deep or too much of them.

    No link is followed, and what a desktop left is not looked into.
    """
    count = total = 0
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        for entry in _of(directory, folder, most=MOST_ENTRIES - count):
            count += 1
            total += entry.size if stat.S_ISREG(entry.mode) else 0
            if total > MOST_BYTES:
                raise TooLarge(f"the package is larger than {MOST_BYTES} bytes")
            if stat.S_ISDIR(entry.mode) and not entry.passed_over:
                if entry.path.count("/") + 1 >= DEEPEST:
                    raise TooLarge(f"something lies deeper than a package goes: {entry.path}")
                waiting.append(entry.path)
            yield entry


def _of(directory: Path, folder: str, *, most: int) -> list[Entry]:
    found = list[Entry]()
    with os.scandir(directory / folder) as inside:
        for each in inside:
            if len(found) >= most:
                raise TooLarge(f"there are more than {MOST_ENTRIES} files and folders")
            known = each.stat(follow_symlinks=False)
            path = f"{folder}/{each.name}" if folder else each.name
            empty = stat.S_ISDIR(known.st_mode) and _empty(each.path)
            found.append(Entry(path, known.st_mode, known.st_size, empty))
    return sorted(found)


def _empty(folder: str) -> bool:
    with os.scandir(folder) as inside:
        return all(of_a_desktop(each.name) for each in inside)


def read(directory: Path, path: str) -> bytes:
    """The bytes of a file of a package; ``TooLarge`` when it is larger than such a file may be."""
    return read_plain(directory / path, most=most_bytes(path), named=path)


def read_plain(file: Path, *, most: int, named: str = "") -> bytes:
    """The bytes of a file that is no link and no pipe; ``TooLarge`` when there are more than ``most``."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as opened:
        content = opened.read(most + 1)
    if len(content) > most:
        raise TooLarge(f"{named or file.name} is larger than {most} bytes")
    return content


def check_values(content: bytes, *, most: int = MOST_VALUES) -> int:
    """How many values JSON text has at most; ``TooLarge`` when reading it would take too much memory."""
    values = content.count(b",") + content.count(b"[") + content.count(b"{")
    if values > most:
        raise TooLarge(f"holds more than {most} values")
    return values
