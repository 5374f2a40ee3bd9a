"""Writing what a regulator receives: a BagIt 1.0 bag (RFC 8493) and, on top of it, a sealed audit package.

A bag by itself proves completeness only, for anybody can make new manifests.  The seal, a signed note over the tag
manifest, proves who made it; the proofs in the bag prove that its lines are in the log.  Equal contents give equal
bytes.  What may be in a package is decided elsewhere; ``package`` knows its form and ``verify`` checks it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256, sha512
from pathlib import Path
from secrets import token_hex
from types import MappingProxyType

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
    headers = [parse_canonical(leaf.entry) for leaf in ordered]
    payload = {
        package.README: package.README_TEXT.encode(),
        package.CHECKPOINT: checkpoint,
        package.KEYS: package.keys_text(log_vkey, witness_vkeys, seal_signer.verifier.vkey),
        package.AUDIT: b"".join(leaf.entry + b"\n" for leaf in ordered),
        package.DISCLOSURES: package.disclosures_csv(headers),
    }
    if stamp is not None:
        payload[package.STAMP] = stamp
    for leaf in ordered:
        payload[f"data/proofs/{leaf.index}.tlog-proof"] = note.log_proof(leaf.index, leaf.proof, checkpoint)
    for part in opened:
        payload[f"data/parts/{part.event}.{part.category}.json"] = package.part_json(part.salt, part.payload)
    if unreadable:
        payload[package.UNREADABLE] = package.unreadable_json(unreadable)
    for recording in recordings:
        payload |= _recording_files(recording)
    if unknown := [path for path in payload if not package.known_path(path)]:
        raise Malformed(f"cannot be a file of a package: {unknown[0]!r}")
    facts = {"External-Identifier": directory.name, **info, "Log-Origin": origin, "Package-Format": package.FORMAT}
    return write_bag(directory, payload, info=facts, seal_signer=seal_signer)


def write_bag(
    directory: Path, payload: Mapping[str, bytes], *, info: Mapping[str, str], seal_signer: note.Signer | None = None
) -> str:
    """Write ``payload`` (paths beginning with ``data/``) as a bag and return the hex SHA-512 of its tag manifest.

    The bag appears at ``directory`` in one step or not at all; ``OutOfOrder`` when something is there already.
    """
    if directory.exists():
        raise OutOfOrder("there is something at the place of the bag already")
    tags = {
        "bag-info.txt": _bag_info(info, payload),
        "bagit.txt": package.BAGIT_TXT,
        "manifest-sha256.txt": manifest({path: sha256(content).hexdigest() for path, content in payload.items()}),
        "manifest-sha512.txt": manifest({path: sha512(content).hexdigest() for path, content in payload.items()}),
    }
    tag_manifest = manifest({path: sha512(content).hexdigest() for path, content in tags.items()})
    digest = sha512(tag_manifest).hexdigest()
    tags[package.TAG_MANIFEST] = tag_manifest
    if seal_signer is not None:
        tags[package.SEAL] = note.sign(package.seal_text(digest), [seal_signer])
    building = directory.with_name(f".{directory.name}.{token_hex(8)}")
    for path, content in sorted({**payload, **tags}.items()):
        (building / path).parent.mkdir(parents=True, exist_ok=True)
        write_new(building / path, content)
    for folder in (building, *(path for path in building.rglob("*") if path.is_dir())):
        sync_directory(folder)
    building.rename(directory)
    sync_directory(directory.parent)
    return digest


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


def _bag_info(info: Mapping[str, str], payload: Mapping[str, bytes]) -> bytes:
    oxum = f"{sum(map(len, payload.values()))}.{len(payload)}"
    lines = []
    for label, value in (*info.items(), ("Payload-Oxum", oxum)):
        if not label or any(each in label for each in ":\r\n \t") or value != " ".join(value.split()) or not value:
            raise Malformed(f"bag-info: {label!r} must be one line without a colon in its label")
        lines.append(f"{label}: {value}\n")
    return "".join(lines).encode()
