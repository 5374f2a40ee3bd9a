"""Writing what a regulator receives: a BagIt 1.0 bag (RFC 8493) and, on top of it, a sealed audit package.

A bag by itself proves completeness only, for anybody can make new manifests.  The seal, a signed note over the tag
manifest, proves who made it; the proofs in the bag prove that its lines are in the log.  Equal contents give equal
bytes.  It is written piece by piece, so that a large one needs no more memory than a small one but for its digests.
What may be in a package is decided elsewhere; ``package`` knows its form and ``verify`` checks it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256, sha512
from pathlib import Path
from secrets import token_hex
from shutil import rmtree
from types import MappingProxyType
from typing import Protocol

from recording import note, package
from recording.canonical import parse_canonical
from recording.durable import sync_directory, write_new
from recording.errors import Malformed, OutOfOrder
from recording.opus import to_ogg_opus
from recording.tracks import EVENTS, unpack

NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class LeafExport:
    """One line of the log with its inclusion proof in the exported checkpoint."""

    index: int
    entry: bytes
    proof: Sequence[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedPart:
    """One part that the recipient may see."""

    event: str
    category: str
    salt: bytes
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingExport:
    """One recording: its manifest always, and per chunk the opened body, the sealed file, both or neither.

    ``bodies`` and ``chunks`` are keyed by the chunk's file name in the manifest (``vehicle-000000.chunk``).  A track is
    given whole or not at all.
    """

    recording: str
    manifest: bytes
    bodies: Mapping[str, bytes] = field(default_factory=dict)
    chunks: Mapping[str, bytes] = field(default_factory=dict)


class Sink(Protocol):
    """Where the files of a bag go: a folder, an archive."""

    def put(self, path: str, size: int, pieces: Iterable[bytes]) -> None:
        """One file, whose ``pieces`` are ``size`` bytes together."""
        ...


class Folder:
    """A folder that is not there yet.  It appears in one step when the context is left in good order, or not at all."""

    def __init__(self, directory: Path) -> None:
        """``OutOfOrder`` when something is there already."""
        if directory.exists():
            raise OutOfOrder("there is something at the place of the bag already")
        self._directory = directory
        self._building = directory.with_name(f".{directory.name}.{token_hex(8)}")

    def put(self, path: str, size: int, pieces: Iterable[bytes]) -> None:
        (self._building / path).parent.mkdir(parents=True, exist_ok=True)
        write_new(self._building / path, b"".join(pieces))

    def __enter__(self) -> "Folder":
        return self

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        if failed is not None:
            rmtree(self._building, ignore_errors=True)
            return
        for folder in (self._building, *(path for path in self._building.rglob("*") if path.is_dir())):
            sync_directory(folder)
        self._building.rename(self._directory)
        sync_directory(self._directory.parent)


class Bag:
    """A bag on its way into ``sink``: payload first, in whatever order, then what is said of it."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._digests: dict[str, tuple[bytes, bytes]] = {}
        self._bytes = 0

    def add(self, path: str, content: bytes) -> None:
        self.add_pieces(path, len(content), (content,))

    def add_pieces(self, path: str, size: int, pieces: Iterable[bytes]) -> None:
        """One payload file, never held as a whole.  ``Malformed`` when it is not ``size`` bytes, or there already."""
        if path in self._digests:
            raise Malformed(f"{path} is in the bag already")
        short, long, written = sha256(), sha512(), 0

        def counted() -> Iterator[bytes]:
            nonlocal written
            for piece in pieces:
                short.update(piece)
                long.update(piece)
                written += len(piece)
                yield piece

        self._sink.put(path, size, counted())
        if written != size:
            raise Malformed(f"{path} has {written} bytes and not {size}")
        self._digests[path] = short.digest(), long.digest()
        self._bytes += size

    def close(self, *, info: Mapping[str, str], seal_signer: note.Signer | None = None) -> str:
        """Write manifests and seal; the hex SHA-512 of the tag manifest."""
        tags = {
            "bag-info.txt": _bag_info(info, size=self._bytes, files=len(self._digests)),
            "bagit.txt": package.BAGIT_TXT,
            "manifest-sha256.txt": manifest({path: short.hex() for path, (short, _) in self._digests.items()}),
            "manifest-sha512.txt": manifest({path: long.hex() for path, (_, long) in self._digests.items()}),
        }
        tag_manifest = manifest({path: sha512(content).hexdigest() for path, content in tags.items()})
        digest = sha512(tag_manifest).hexdigest()
        tags[package.TAG_MANIFEST] = tag_manifest
        if seal_signer is not None:
            tags[package.SEAL] = note.sign(package.seal_text(digest), [seal_signer])
        for path, content in tags.items():
            self._sink.put(path, len(content), (content,))
        return digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """The log lines of a package, in the log's order: they are read as often as something is made of them."""

    read: Callable[[], Iterable[bytes]]
    size: int
    """Bytes of all of them, each with its line end."""


class Package:
    """An audit package on its way into ``sink``.  ``Malformed`` for an id that cannot be a file name."""

    def __init__(self, sink: Sink, checkpoint: bytes) -> None:
        self._bag = Bag(sink)
        self._checkpoint = checkpoint

    def lines(self, lines: Lines) -> None:
        self._bag.add_pieces(package.AUDIT, lines.size, (entry + b"\n" for entry in lines.read()))
        view = package.disclosures_csv(parse_canonical(entry) for entry in lines.read())
        self._bag.add(package.DISCLOSURES, view)

    def proof(self, index: int, proof: Sequence[bytes]) -> None:
        self._add(f"data/proofs/{index}.tlog-proof", note.log_proof(index, proof, self._checkpoint))

    def part(self, part: OpenedPart) -> None:
        self._add(f"data/parts/{part.event}.{part.category}.json", package.part_json(part.salt, part.payload))

    def recording(self, recording: RecordingExport) -> None:
        for path, content in _recording_files(recording).items():
            self._add(path, content)

    def close(
        self,
        *,
        unreadable: Mapping[str, str] = NOTHING,
        info: Mapping[str, str],
        seal_signer: note.Signer,
        log_vkey: str,
        witness_vkeys: Sequence[str] = (),
        stamp: bytes | None = None,
    ) -> str:
        """Write what stands over all of it; the hex SHA-512 of the tag manifest, which names the package."""
        self._bag.add(package.README, package.README_TEXT.encode())
        self._bag.add(package.CHECKPOINT, self._checkpoint)
        self._bag.add(package.KEYS, package.keys_text(log_vkey, witness_vkeys, seal_signer.verifier.vkey))
        if stamp is not None:
            self._bag.add(package.STAMP, stamp)
        if unreadable:
            self._bag.add(package.UNREADABLE, package.unreadable_json(unreadable))
        origin = note.read_checkpoint(self._checkpoint).origin
        facts = {**info, "Log-Origin": origin, "Package-Format": package.FORMAT}
        return self._bag.close(info=facts, seal_signer=seal_signer)

    def _add(self, path: str, content: bytes) -> None:
        if not package.known_path(path):
            raise Malformed(f"cannot be a file of a package: {path!r}")
        self._bag.add(path, content)


def build_package(
    directory: Path,
    *,
    origin: str,
    checkpoint: bytes,
    leaves: Sequence[LeafExport],
    opened: Sequence[OpenedPart],
    recordings: Sequence[RecordingExport],
    unreadable: Mapping[str, str] = NOTHING,
    info: Mapping[str, str],
    seal_signer: note.Signer,
    log_vkey: str,
    witness_vkeys: Sequence[str] = (),
    stamp: bytes | None = None,
) -> str:
    """Write the package at ``directory``, which must not exist, and return the hex SHA-512 of its tag manifest.

    ``unreadable``: what was asked for and cannot be opened, as ``package.unreadable_json`` has it; ``stamp``: a time
    stamp over ``checkpoint``.
    That digest names the package and belongs in the log.  ``Malformed`` when an id cannot be a file name or the
    checkpoint is of another log; nothing is left behind then.
    """
    if note.read_checkpoint(checkpoint).origin != origin:
        raise Malformed("the checkpoint belongs to another log")
    ordered = sorted(leaves, key=lambda leaf: leaf.index)
    if len({leaf.index for leaf in ordered}) != len(ordered):
        raise Malformed("a log line is exported once")
    entries = [leaf.entry for leaf in ordered]
    with Folder(directory) as folder:
        made = Package(folder, checkpoint)
        made.lines(Lines(read=lambda: entries, size=sum(len(entry) + 1 for entry in entries)))
        for leaf in ordered:
            made.proof(leaf.index, leaf.proof)
        for part in opened:
            made.part(part)
        for recording in recordings:
            made.recording(recording)
        return made.close(
            unreadable=unreadable,
            info={"External-Identifier": directory.name, **info},
            seal_signer=seal_signer,
            log_vkey=log_vkey,
            witness_vkeys=witness_vkeys,
            stamp=stamp,
        )


def manifest(digests: Mapping[str, str]) -> bytes:
    """A BagIt manifest (RFC 8493 2.1.3), sorted by path."""
    return "".join(f"{digest}  {path}\n" for path, digest in sorted(digests.items())).encode()


def _recording_files(recording: RecordingExport) -> dict[str, bytes]:
    folder = f"data/recordings/{recording.recording}"
    files = {f"{folder}/manifest.json": recording.manifest}
    tracks: dict[str, list[bytes]] = {}
    for chunk in parse_canonical(recording.manifest)["chunks"]:
        name, stem = chunk["file"], chunk["file"].removesuffix(".chunk")
        if name in recording.bodies:
            files[f"{folder}/{stem}.body"] = recording.bodies[name]
            tracks.setdefault(chunk["track"], []).append(recording.bodies[name])
        if name in recording.chunks:
            files[f"{folder}/{name}"] = recording.chunks[name]
    for track, bodies in tracks.items():
        if track != EVENTS:
            files[f"{folder}/{track}.ogg"] = to_ogg_opus(packet for body in bodies for packet in unpack(body))
    return files


def _bag_info(info: Mapping[str, str], *, size: int, files: int) -> bytes:
    oxum = f"{size}.{files}"
    lines = []
    for label, value in (*info.items(), ("Payload-Oxum", oxum)):
        if not label or any(each in label for each in ":\r\n \t") or value != " ".join(value.split()) or not value:
            raise Malformed(f"bag-info: {label!r} must be one line without a colon in its label")
        lines.append(f"{label}: {value}\n")
    return "".join(lines).encode()
