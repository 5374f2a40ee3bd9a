"""Recording a call: one mono track per party on one timeline, in sealed chunks that survive a crash and prove order.

A chunk file is one line of JSON, then ``nonce(12) ‖ AES-256-GCM(body)`` bound to that line.  Every line holds the
SHA-256 of the chunk file before it, over all tracks, so a chunk cannot be taken out, swapped or put in later.  A chunk
holds at most one second of one track and is on the disk before ``flush`` returns; what a crash can cost is what was
not flushed yet.  What the mixer did (gain, legs coming and going) is a track of its own, ``events``.  The manifest
that ``seal`` returns lists every chunk; its digest belongs in the log.  Payloads are Opus as received (see ``opus``).
"""

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from recording.canonical import canonical
from recording.durable import replace, sync_directory, write_new
from recording.errors import Malformed, OutOfOrder, Tampered, TooLarge
from recording.opus import MAX_PACKET_BYTES, MAX_TIMESTAMP, RATE_HZ, Packet

EVENTS = "events"
"""The track that holds marks (JSON) instead of sound."""
FORMAT = "sos-recording/1"
WriteFile = Callable[[Path, bytes], None]
CHUNK_SAMPLES = RATE_HZ
"""One second: what a reader must decrypt to hear a moment, and the most that one torn file can cost."""

MANIFEST = "manifest.json"
GENESIS = "0" * 64
"""What the first chunk names in place of a chunk before it."""
_NONCE_BYTES = 12
_TAG_BYTES = 16
_TRACK = re.compile(r"[A-Za-z0-9_-]{1,48}\Z")
_CHUNK_FILE = re.compile(r"(?P<track>[A-Za-z0-9_-]{1,48})-(?P<seq>[0-9]{6})\.chunk\Z")
_HEADER = {"bytes": int, "first": int, "last": int, "packets": int, "previous": str, "recording": str}
_HEADER |= {"seq": int, "started_at": str, "track": str, "v": int}
_HEADER_BYTES = 1024
"""No header is longer; every value in it is short."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """One chunk, opened."""

    header: Mapping[str, Any]
    body: bytes
    digest: str
    """Hex SHA-256 of the file as it lies on the disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What a killed process left."""

    manifest: bytes
    chunks: int
    packets: int
    torn: tuple[str, ...]
    """Files that do not open, kept under their name with ``.torn`` added."""
    missing: tuple[int, ...]
    """Sequence numbers of which there is no readable chunk although a later one is there."""


class Recorder:
    """Writes one recording into ``directory``, which must be empty or new.

    ``key`` is the 32-byte data key of its audio; ``started_at`` (RFC 3339) is the instant of sample 0.  ``add`` and
    ``mark`` are quick and may be called from an event loop; ``flush`` and ``seal`` wait for the disk, so call them in
    a thread, at least once a second.  The constructor touches the disk as well.  ``write`` puts one new file on the
    disk, synced, or raises ``OSError``.
    """

    def __init__(
        self, directory: Path, recording: str, key: bytes, *, started_at: str, write: WriteFile = write_new
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        sync_directory(directory.parent)
        if any(directory.iterdir()):
            raise OutOfOrder("there is a recording in this directory already: recover it first")
        self._directory = directory
        self._recording = recording
        self._started_at = started_at
        self._write_file = write
        self._cipher = AESGCM(key)
        self._waiting: dict[str, list[Packet]] = {}
        self._chunks: list[dict[str, Any]] = []
        self._latest = 0
        self._manifest: bytes | None = None
        self._adding, self._writing = Lock(), Lock()

    def add(self, track: str, timestamp: int, payload: bytes) -> None:
        """Take one packet of ``track``; ``timestamp`` in 48 kHz samples since the start, in order per track."""
        if not _TRACK.match(track):
            raise Malformed("a track name has 1 to 48 letters, digits, hyphens or underscores")
        if not 0 <= timestamp <= MAX_TIMESTAMP or len(payload) > MAX_PACKET_BYTES:
            raise TooLarge("a packet lies within two days and has at most 60 KiB")
        with self._adding:
            if self._manifest is not None:
                raise OutOfOrder("this recording is sealed")
            self._latest = max(self._latest, timestamp)
            self._waiting.setdefault(track, []).append(Packet(timestamp, payload))

    def mark(self, event: Mapping[str, Any], *, timestamp: int | None = None) -> None:
        """Note what was done to the sound (gain, mute, leg added), at ``timestamp`` or at the latest one seen."""
        self.add(EVENTS, self._latest if timestamp is None else timestamp, canonical(event))

    def flush(self) -> int:
        """Write all that was added, synced to the disk; the number of chunks written.

        When the disk refuses (``OSError``) what was not written is kept for the next try.
        """
        with self._writing:
            with self._adding:
                taken, self._waiting = self._waiting, {}
            written = len(self._chunks)
            pieces = [(track, piece) for track in sorted(taken) for piece in _seconds(taken[track])]
            try:
                while pieces:
                    self._write(*pieces[0])
                    pieces.pop(0)
            finally:
                self._give_back(pieces)
            if len(self._chunks) > written:
                sync_directory(self._directory)
            return len(self._chunks) - written

    def seal(self) -> bytes:
        """Flush, close the recording for good and return its manifest; calling it again returns the same bytes."""
        while self._manifest is None:
            self.flush()
            with self._writing, self._adding:
                if not self._waiting:
                    manifest = _manifest(self._recording, self._started_at, self._chunks)
                    _keep(self._directory, manifest)
                    self._manifest = manifest
        return self._manifest

    def _write(self, track: str, packets: list[Packet]) -> None:
        previous = self._chunks[-1]["sha256"] if self._chunks else GENESIS
        body = pack(packets)
        header = {
            "bytes": len(body),
            "first": packets[0].timestamp,
            "last": packets[-1].timestamp,
            "packets": len(packets),
            "previous": previous,
            "recording": self._recording,
            "seq": len(self._chunks),
            "started_at": self._started_at,
            "track": track,
            "v": 1,
        }
        line, nonce = canonical(header) + b"\n", os.urandom(_NONCE_BYTES)
        content = line + nonce + self._cipher.encrypt(nonce, body, line)
        path = self._directory / file_name(track, len(self._chunks))
        try:
            self._write_file(path, content)
        except OSError:
            path.unlink(missing_ok=True)  # a half-written chunk must not stand in the way of the next try
            raise
        self._chunks.append(_entry(header, body, sha256(content).hexdigest()))

    def _give_back(self, pieces: list[tuple[str, list[Packet]]]) -> None:
        if not pieces:
            return
        with self._adding:
            for track, piece in reversed(pieces):
                self._waiting[track] = piece + self._waiting.get(track, [])


def recover(directory: Path, key: bytes, *, recording: str = "", started_at: str = "") -> Recovered:
    """Seal what a killed process left in ``directory``; harmless on a recording that is sealed already.

    Nothing is deleted: a file that does not open (torn by the crash) is set aside as ``.torn`` and named in the
    manifest, as is every number that is missing.  ``recording`` and ``started_at`` go into the manifest when no chunk
    is left to tell them.  ``OutOfOrder`` when there is no recording at all; ``Tampered``, with nothing touched, when
    whole chunks are there and none opens, for then it is the key that is wrong.
    """
    sealed = directory / MANIFEST
    if sealed.exists():
        manifest = sealed.read_bytes()
        listed = json.loads(manifest)
        return Recovered(
            manifest=manifest,
            chunks=len(listed["chunks"]),
            packets=sum(each["packets"] for each in listed["chunks"]),
            torn=tuple(listed["torn"]),
            missing=tuple(listed["missing"]),
        )
    opened, torn = list[Chunk](), list[Path]()
    for path in chunk_files(directory):
        try:
            opened.append(read_chunk(path, key))
        except Tampered:
            torn.append(path)
    set_aside = sorted([path.name for path in torn] + [path.stem for path in directory.glob("*.chunk.torn")])
    if not opened and not set_aside:
        raise OutOfOrder("there is no recording in this directory")
    if not opened and any(whole(path.read_bytes()) for path in torn):
        raise Tampered("no chunk of this recording opens with this key")
    for path in torn:
        path.rename(path.with_name(f"{path.name}.torn"))
    numbers = {chunk.header["seq"] for chunk in opened}
    missing = sorted(set(range(max(numbers, default=-1) + 1)) - numbers)
    chunks = [_entry(chunk.header, chunk.body, chunk.digest) for chunk in opened]
    if opened:
        recording, started_at = opened[0].header["recording"], opened[0].header["started_at"]
    manifest = _manifest(recording, started_at, chunks, recovered=True, torn=set_aside, missing=missing)
    _keep(directory, manifest)
    packets = sum(chunk["packets"] for chunk in chunks)
    return Recovered(
        manifest=manifest, chunks=len(chunks), packets=packets, torn=tuple(set_aside), missing=tuple(missing)
    )


def read_chunk(path: Path, key: bytes) -> Chunk:
    """The chunk in ``path``; ``Tampered`` when it is torn, changed, renamed or sealed with another key."""
    return open_chunk(path.name, path.read_bytes(), key)


def open_chunk(name: str, content: bytes, key: bytes) -> Chunk:
    """The chunk whose file is called ``name`` and holds ``content``; ``Tampered`` as in ``read_chunk``."""
    line, newline, sealed = content.partition(b"\n")
    header = _header(line) if newline else None
    if header is None:
        raise Tampered(f"{name} has no readable header")
    if name != file_name(header["track"], header["seq"]):
        raise Tampered(f"{name} is not the file that its header names")
    try:
        body = AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], line + newline)
    except (InvalidTag, ValueError) as error:
        raise Tampered(f"{name} does not open with this key") from error
    return Chunk(header=header, body=body, digest=sha256(content).hexdigest())


def read_chunks(directory: Path, key: bytes, *, manifest: bytes) -> list[Chunk]:
    """Every chunk that ``manifest`` lists, checked against it and against the chain.

    ``Tampered`` names the file that is missing, changed or out of the chain.
    """
    opened: list[Chunk] = []
    for entry in json.loads(manifest)["chunks"]:
        path = directory / entry["file"]
        try:
            chunk = read_chunk(path, key)
        except FileNotFoundError as error:
            raise Tampered(f"{path.name} is missing") from error
        if _entry(chunk.header, chunk.body, chunk.digest) != entry:
            raise Tampered(f"{path.name} is not the chunk that the manifest lists")
        follows = opened[-1] if opened else None
        expected = follows.digest if follows else GENESIS
        gap = entry["seq"] != (follows.header["seq"] + 1 if follows else 0)
        if not gap and chunk.header["previous"] != expected:
            raise Tampered(f"{path.name} does not continue the chunk before it")
        opened.append(chunk)
    return opened


def read_track(directory: Path, key: bytes, track: str, *, manifest: bytes | None = None) -> tuple[Packet, ...]:
    """The packets of ``track`` in the order in which they were recorded.

    With its ``manifest`` a sealed recording is checked throughout; without, a running one is read as far as it is
    written.  ``Tampered`` as in ``read_chunks``.
    """
    if manifest is not None:
        chunks: Iterable[Chunk] = read_chunks(directory, key, manifest=manifest)
    else:
        chunks = _running(directory, key)
    return tuple(packet for chunk in chunks if chunk.header["track"] == track for packet in unpack(chunk.body))


def duration_ms(manifest: bytes) -> int:
    """From the start of the recording to its last packet or mark."""
    return max((chunk["last"] for chunk in json.loads(manifest)["chunks"]), default=0) * 1000 // RATE_HZ


def pack(packets: Iterable[Packet]) -> bytes:
    """The body of a chunk: timestamp (8 bytes) and length (4 bytes), big-endian, before each payload."""
    return b"".join(
        timestamp.to_bytes(8, "big") + len(payload).to_bytes(4, "big") + payload for timestamp, payload in packets
    )


def unpack(body: bytes) -> list[Packet]:
    """The packets in ``body``; ``Malformed`` when the lengths do not add up."""
    packets, at = list[Packet](), 0
    while at < len(body):
        start = at + 12
        end = start + int.from_bytes(body[at + 8 : start], "big")
        if start > len(body) or end > len(body):
            raise Malformed(f"the body ends inside the packet at byte {at}")
        packets.append(Packet(int.from_bytes(body[at : at + 8], "big"), body[start:end]))
        at = end
    return packets


def read_header(path: Path) -> Mapping[str, Any] | None:
    """What a chunk file says of itself, believed once ``read_chunk`` has opened it; None when it is gone or torn."""
    try:
        with path.open("rb") as file:
            return _header(file.readline(_HEADER_BYTES))
    except FileNotFoundError:  # a half-written chunk is taken away before the next try
        return None


def _header(line: bytes) -> dict[str, Any] | None:
    try:
        header = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(header, dict) or {name: type(value) for name, value in header.items()} != _HEADER:
        return None
    return header


def whole(content: bytes) -> bool:
    """Whether a chunk file is as long as its header says; a torn one is shorter."""
    line, _, sealed = content.partition(b"\n")
    header = _header(line)
    return header is not None and len(sealed) == _NONCE_BYTES + header["bytes"] + _TAG_BYTES


def _manifest(
    recording: str,
    started_at: str,
    chunks: list[dict[str, Any]],
    *,
    recovered: bool = False,
    torn: Iterable[str] = (),
    missing: Iterable[int] = (),
) -> bytes:
    return canonical(
        {
            "chunks": chunks,
            "format": FORMAT,
            "missing": list(missing),
            "rate_hz": RATE_HZ,
            "recording": recording,
            "recovered": recovered,
            "started_at": started_at,
            "torn": list(torn),
        }
    )


def _entry(header: Mapping[str, Any], body: bytes, digest: str) -> dict[str, Any]:
    return {
        "body_sha256": sha256(body).hexdigest(),
        "bytes": header["bytes"],
        "file": file_name(header["track"], header["seq"]),
        "first": header["first"],
        "last": header["last"],
        "packets": header["packets"],
        "seq": header["seq"],
        "sha256": digest,
        "track": header["track"],
    }


def _running(directory: Path, key: bytes) -> Iterable[Chunk]:
    files = chunk_files(directory)
    for path in files:
        try:
            yield read_chunk(path, key)
        except Tampered:
            if path != files[-1] or whole(path.read_bytes()):  # else it is just being written
                raise


def _keep(directory: Path, manifest: bytes) -> None:
    replace(directory / MANIFEST, manifest)
    sync_directory(directory)


def _seconds(packets: list[Packet]) -> Iterable[list[Packet]]:
    """``packets`` in runs that each span less than a second."""
    run: list[Packet] = []
    for packet in packets:
        if run and packet.timestamp - run[0].timestamp >= CHUNK_SAMPLES:
            yield run
            run = []
        run.append(packet)
    yield run


def chunk_files(directory: Path) -> list[Path]:
    """The chunk files in ``directory`` by their sequence number; those set aside as torn are left out."""
    found = [(match["seq"], path) for path in directory.iterdir() if (match := _CHUNK_FILE.match(path.name))]
    return [path for _, path in sorted(found)]


def file_name(track: str, seq: int) -> str:
    """Of the chunk with this sequence number."""
    return f"{track}-{seq:06d}.chunk"
