"""A file of this library: a JSON header, then sections of bytes, each under its SHA-256, mapped when it is used.

``SOSGEO1`` and a line feed, the length of the header (8 bytes, little endian), the header, and the sections, each
aligned to 64 bytes.  Boundary indexes (``routing.boundaries.index``) and town points (``routing.plan.place``) are kept
so.
"""

import hashlib
import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
import numpy as np
from msgspec import Struct

from routing.errors import Misconfigured

MAGIC = b"SOSGEO1\n"

ALIGN = 64

_CHUNK = 1 << 20

About = TypeVar("About", bound=Struct)


class Section(Struct, frozen=True):
    offset: int
    """From the end of the header, rounded up to ALIGN."""
    length: int
    sha256: str


class Header(Struct, frozen=True, kw_only=True):
    kind: str
    about: msgspec.Raw
    sections: dict[str, Section]


class Container(Generic[About]):
    """A file that stays mapped.  Safe to share between threads."""

    def __init__(self, path: Path, *, kind: str, about: type[About]) -> None:
        """``Misconfigured`` when the file is missing, cut short, altered or of another kind or version."""
        self.about, header, self._base, self.digest = read_header(path, kind=kind, about=about)
        self._sections = header.sections
        _check(path, header, self._base)
        with path.open("rb") as file:
            self._bytes = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

    def section(self, name: str) -> memoryview:
        """The bytes of one section."""
        place = self._sections[name]
        return self._bytes[self._base + place.offset : self._base + place.offset + place.length]

    def array(self, name: str, dtype: str) -> Any:
        """One section as a numpy array over the mapped file."""
        return np.frombuffer(self.section(name), dtype=dtype)


def read_header(path: Path, *, kind: str, about: type[About]) -> tuple[About, Header, int, str]:
    """What the file says of itself, where its sections begin, and its digest (SHA-256 of the header, which holds those
    of the sections).  ``Misconfigured`` when it is none."""
    try:
        with path.open("rb") as file:
            start = file.read(len(MAGIC) + 8)
            length = int.from_bytes(start[len(MAGIC) :], "little")
            size = file.seek(0, 2)
            if start[: len(MAGIC)] != MAGIC or len(start) + length > size:
                raise Misconfigured(f"{path.name}: not a file made by `sos geo`, or cut short")
            file.seek(len(start))
            text = file.read(length)
    except OSError as fault:
        raise Misconfigured(f"{path.name}: cannot be read: {fault.strerror or fault}") from fault
    try:
        header = msgspec.json.decode(text, type=Header)
        if header.kind != kind:
            raise Misconfigured(f"{path.name}: holds {header.kind}, not {kind}")
        told = msgspec.json.decode(header.about, type=about)
    except msgspec.DecodeError as fault:
        raise Misconfigured(f"{path.name}: the header is damaged: {fault}") from fault
    base = _aligned(len(start) + length)
    if any(base + place.offset + place.length > size for place in header.sections.values()):
        raise Misconfigured(f"{path.name}: cut short; import it again")
    return told, header, base, hashlib.sha256(text).hexdigest()


def _check(path: Path, header: Header, base: int) -> None:
    """That every section is what it says.  Read, not mapped: memory stays small."""
    with path.open("rb") as file:
        for name, place in header.sections.items():
            file.seek(base + place.offset)
            seen, left = hashlib.sha256(), place.length
            while left > 0 and (chunk := file.read(min(left, _CHUNK))):
                seen.update(chunk)
                left -= len(chunk)
            if seen.hexdigest() != place.sha256:
                raise Misconfigured(f"{path.name}: the section {name} is not what was imported; import it again")


def write(path: Path, *, kind: str, about: Struct, sections: Mapping[str, bytes]) -> str:
    """Write a container, whole or not at all; its digest."""
    places, offset = {}, 0
    for name, data in sections.items():
        places[name] = Section(offset, len(data), hashlib.sha256(data).hexdigest())
        offset += _aligned(len(data))
    text = msgspec.json.encode(Header(kind=kind, about=msgspec.Raw(msgspec.json.encode(about)), sections=places))
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    with fresh.open("wb") as file:
        file.write(MAGIC + len(text).to_bytes(8, "little") + text)
        for data in sections.values():
            file.write(bytes(_aligned(file.tell()) - file.tell()))
            file.write(data)
        file.write(bytes(_aligned(file.tell()) - file.tell()))
    fresh.replace(path)
    return hashlib.sha256(text).hexdigest()


def _aligned(offset: int) -> int:
    return -(-offset // ALIGN) * ALIGN
