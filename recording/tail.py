"""Hearing a recording while it is written: what is new in it, and the last seconds of one track.

The files are those of ``tracks``.  A chunk counts once it is whole, opens with the key and names the chunk before it;
the one that is being written is left for the next look.  A tail may begin near the end: then it proves that its pieces
belong together in this order, and ``tracks.read_chunks`` proves the rest.
"""

import heapq
import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from recording.errors import Tampered
from recording.opus import RATE_HZ, Packet
from recording.tracks import (
    EVENTS,
    GENESIS,
    MANIFEST,
    Chunk,
    open_chunk,
    read_header,
    unpack,
    whole,
)

LATE_SAMPLES = 5 * RATE_HZ
"""How much older than its neighbours a chunk may be: twice what a writer may wait for its disk before it gives up."""

_LOOKS = 3
"""How often a directory is listed before a number counts as missing: a listing may overlook what is made meanwhile."""

_SUFFIX = ".chunk"
_SUFFIX_AT, _NUMBER_AT = len(_SUFFIX), len("000000") + len(_SUFFIX)
"""From the end of a file's name (``tracks.file_name``)."""

_NEWEST = 32
"""Chunks at the end of which one is the latest: each track has one in every flush."""


class Tail:
    """Follows one recording.  ``read`` touches the disk: call it in a thread, one call at a time.

    ``since`` is where it begins, in 48 kHz samples since the start of the recording; a little more may come first.
    """

    def __init__(self, directory: Path, key: bytes, *, since: int = 0) -> None:
        self._directory = directory
        self._key = key
        self._since = since
        self._seq: int | None = None
        self._previous: str | None = GENESIS
        """Digest that the next chunk must name; None where it begins in the middle or after a loss."""

    def read(self) -> list[Chunk]:
        """The chunks that have become whole since the last call, in their order; none while there is no recording.

        ``Tampered`` names the file that is missing, changed, torn though others follow, or out of the chain.
        """
        if self._seq is None and not self._begin():
            return []
        found: list[Chunk] = []
        ahead = self._ahead()
        while ahead:
            if self._here not in ahead:
                self._pass_over_a_loss()
                continue
            path = self._directory / ahead.pop(self._here)
            chunk = _opened(path, self._key, followed=partial(_is_followed, self._directory, self._here))
            if chunk is None:
                break
            if self._previous not in (None, chunk.header["previous"]):
                raise Tampered(f"{path.name} does not continue the chunk before it")
            self._advance(chunk.digest)
            found.append(chunk)
        return found

    def _begin(self) -> bool:
        files = _files(self._directory)
        if not files:
            return False
        old = self._since - LATE_SAMPLES
        start = 0
        for path in reversed(files) if old > 0 else ():
            header = read_header(path)
            if header is not None and header["track"] != EVENTS and header["last"] < old:
                start = _number(path)
                break
        self._seq, self._previous = start, None if start else GENESIS
        return True

    def _ahead(self) -> dict[int, str]:
        """The files from the wanted chunk on, by number; looked for again while it is missing among later ones."""
        ahead: dict[int, str] = {}
        for _ in range(_LOOKS):
            ahead = dict(_numbered(self._directory, first=self._here))
            if self._here in ahead or not ahead:
                break
        return ahead

    def _pass_over_a_loss(self) -> None:
        if self._here not in _told_missing(self._directory):
            raise Tampered(f"chunk {self._here} is missing")
        self._advance(None)

    @property
    def _here(self) -> int:
        return self._seq or 0

    def _advance(self, digest: str | None) -> None:
        self._seq, self._previous = self._here + 1, digest


def tail(directory: Path, key: bytes, track: str, *, since: int, until: int | None = None) -> tuple[Packet, ...]:
    """The packets of ``track`` from ``since`` on and before ``until``, as far as they are on the disk.

    Both in 48 kHz samples since the start.  ``Tampered`` as in ``Tail.read``.
    """
    chunks = Tail(directory, key, since=since).read()
    packets = (packet for chunk in chunks if chunk.header["track"] == track for packet in unpack(chunk.body))
    return tuple(each for each in packets if since <= each.timestamp and (until is None or each.timestamp < until))


def marks(directory: Path, key: bytes) -> tuple[Packet, ...]:
    """What was noted of the recording so far (JSON payloads); each is proved for itself, their chain is not walked."""
    found: list[Packet] = []
    for number, name in sorted(each for each in _numbered(directory) if each[1].startswith(f"{EVENTS}-")):
        chunk = _opened(directory / name, key, followed=partial(_is_followed, directory, number))
        found += unpack(chunk.body) if chunk is not None else ()
    return tuple(found)


def tracks_of(directory: Path) -> frozenset[str]:
    """The names of the tracks that have sound or marks so far."""
    return frozenset(name.rpartition("-")[0] for _, name in _numbered(directory))


def newest(directory: Path) -> int:
    """When the latest packet or mark on the disk was, in 48 kHz samples since the start; 0 when there is none."""
    latest = heapq.nlargest(_NEWEST, _numbered(directory))
    headers = (read_header(directory / name) for _, name in latest)
    return max((header["last"] for header in headers if header is not None), default=0)


def _opened(path: Path, key: bytes, *, followed: Callable[[], bool]) -> Chunk | None:
    """The chunk in ``path``; None while it is being written.  ``Tampered`` when it never will be whole."""
    for _ in range(2):  # it may have become whole between the two questions
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        if whole(content):
            return open_chunk(path.name, content, key)
        if not followed():
            return None
    raise Tampered(f"{path.name} is torn, and others follow it")


def _is_followed(directory: Path, number: int) -> bool:
    return bool(_numbered(directory, first=number + 1))


def _told_missing(directory: Path) -> frozenset[int]:
    """The numbers of which the manifest of a recovered recording says that they are lost."""
    manifest = directory / MANIFEST
    return frozenset(json.loads(manifest.read_bytes())["missing"]) if manifest.exists() else frozenset()


def _files(directory: Path) -> list[Path]:
    return [directory / name for _, name in sorted(_numbered(directory))]


def _numbered(directory: Path, *, first: int = 0) -> list[tuple[int, str]]:
    """The chunk files from number ``first`` on, in any order; an hour of a call has twenty thousand, listed often."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    least = f"{first:06d}"
    late = [name for name in names if name[-_NUMBER_AT:-_SUFFIX_AT] >= least and name.endswith(_SUFFIX)]
    return [(int(number), name) for name in late if (number := name[-_NUMBER_AT:-_SUFFIX_AT]).isdecimal()]


def _number(path: Path) -> int:
    return int(path.name[-_NUMBER_AT:-_SUFFIX_AT])
