"""A small centre's worth of evidence, made with the real parts: keys, vault, recorder, tiles and package."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256, sha512
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recording import ledger, note, package, vault
from recording.bag import LeafExport, OpenedPart, RecordingExport, build_package, manifest
from recording.canonical import canonical
from recording.report import Report
from recording.tiles import TileStore
from recording.tracks import Recorder, read_chunks
from recording.verify import verify_package

ORIGIN = "log.centre.example/audit"
STREAM = "0192f0c1-0000-7000-8000-000000000001"
OTHER = "0192f0c1-0000-7000-8000-000000000002"
RECORDING = "0192f0c1-0000-7000-8000-0000000000aa"
HIDDEN = "0192f0c1-0000-7000-8000-0000000000bb"


@dataclass(frozen=True)
class Signers:
    log: note.Signer
    seal: note.Signer
    witness: note.Signer


@dataclass(frozen=True)
class Package:
    directory: Path
    signers: Signers
    key: bytes

    def verify(self) -> Report:
        return verify_package(
            self.directory, log_vkey=self.signers.log.verifier.vkey, seal_vkey=self.signers.seal.verifier.vkey
        )

    def remanifest(self) -> str:
        """Make all manifests anew, as anybody could; the text the seal would have to sign."""
        read = {path.relative_to(self.directory).as_posix(): path.read_bytes() for path in files(self.directory)}
        payload = {path: content for path, content in read.items() if path.startswith("data/")}
        tags = {path: read[path] for path in ("bag-info.txt", "bagit.txt")}
        tags["manifest-sha256.txt"] = manifest({path: sha256(each).hexdigest() for path, each in payload.items()})
        tags["manifest-sha512.txt"] = manifest({path: sha512(each).hexdigest() for path, each in payload.items()})
        tag_manifest = manifest({path: sha512(each).hexdigest() for path, each in tags.items()})
        for path, content in {**tags, "tagmanifest-sha512.txt": tag_manifest}.items():
            (self.directory / path).write_bytes(content)
        return package.seal_text(sha512(tag_manifest).hexdigest())

    def reseal(self, signer: note.Signer | None = None) -> None:
        """Make manifests and seal anew: what only somebody with the seal key can do."""
        text = self.remanifest()
        (self.directory / "seal.note").write_bytes(note.sign(text, [signer or self.signers.seal]))


def files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())


def header(event: str, stream: str, n: int, kind: str, *, commit: Mapping[str, str], data: Mapping[str, Any]) -> bytes:
    return canonical(
        {
            "actor": "system",
            "answers": None,
            "at": f"2026-11-21T03:04:{n:02d}.000Z",
            "commit": dict(commit),
            "data": dict(data),
            "id": event,
            "kind": kind,
            "n": n,
            "stream": stream,
            "tenant": "centre",
            "v": 1,
        }
    )


def opus_packets(seconds: float, *, hertz: float = 440.0) -> list[bytes]:
    """A tone as 20 ms Opus packets, the way a peer would send it."""
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format, encoder.bit_rate = 48_000, "mono", "s16", 24_000
    tone = np.sin(np.arange(int(seconds * 48_000)) * 2 * np.pi * hertz / 48_000) * 12_000
    frame = av.AudioFrame.from_ndarray(tone.astype(np.int16).reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate = 48_000
    return [bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)]]


@pytest.fixture(scope="session")
def tone() -> list[bytes]:
    return opus_packets(1.2)


@pytest.fixture(scope="session")
def signers() -> Signers:
    def signer(name: str, seed: int) -> note.Signer:
        return note.Signer(name, Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))

    return Signers(signer(ORIGIN, 1), signer("seal.centre.example", 2), signer("witness.example/w1", 3))


def record(directory: Path, recording: str, key: bytes, tone: list[bytes]) -> bytes:
    recorder = Recorder(directory, recording, key, started_at="2026-11-21T03:04:05.000Z")
    recorder.mark({"event": "leg_added", "leg": "vehicle", "gain": 1.0})
    for number, payload in enumerate(tone):
        recorder.add("vehicle", 4_800 + number * 960, payload)
        recorder.add("operator", 24_000 + number * 960, payload)
    return recorder.seal()


@dataclass(frozen=True)
class Story:
    """What went into the log, before it is packed."""

    entries: list[bytes]
    opened: list[OpenedPart]
    manifests: dict[str, bytes]
    key: bytes
    directory: Path


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory, tone: list[bytes]) -> Story:
    directory, key = tmp_path_factory.mktemp("story"), vault.new_key()
    manifests = {each: record(directory / each, each, key, tone) for each in (RECORDING, HIDDEN)}
    parts = {
        ("00000001", "RAW"): b"\x00\xff raw bytes of the report",
        ("00000002", "LOC"): '{"latitude":35.0,"place":"さいたま"}'.encode(),
        ("00000002", "PER"): b'{"name":"withheld"}',
    }
    dek, opened, commitments = vault.new_key(), [], {}
    for (event, category), payload in parts.items():
        sealed = vault.seal(dek, payload, context=event.encode())
        part = vault.unseal(dek, sealed.ciphertext, context=event.encode())
        commitments.setdefault(event, {})[category] = sealed.commitment.hex()
        if category != "PER":
            opened.append(OpenedPart(event=event, category=category, salt=part.salt, payload=part.payload))
    told: list[tuple[str, Mapping[str, Any]]] = [
        ("IncidentOpened", {"mode": "live"}),
        ("ReportFiled", {"located": True, "sequence": 1}),
        ("DisclosureDecided", {"agency": "fire", "categories": ["LOC"], "disclosure": "d1", "ground": "JP-27-1-ii"}),
        ("DeliveryStarted", {"attempt": 1, "channel": "portal", "disclosure": "d1"}),
        ("DeliveryConfirmed", {"disclosure": "d1", "level": "transport", "receipt": "r"}),
        ("DeliveryConfirmed", {"disclosure": "d1", "level": "delivered", "receipt": "r"}),
        ("AgencyAcknowledged", {"disclosure": "d1", "level": "taken_over"}),
        ("RecordingSealed", {"manifest_digest": sha256(manifests[RECORDING]).hexdigest(), "recording": RECORDING}),
        ("RecordingSealed", {"manifest_digest": sha256(manifests[HIDDEN]).hexdigest(), "recording": HIDDEN}),
    ]
    entries = []
    for n, (kind, data) in enumerate(told, start=1):
        event = f"{n:08d}"
        entries.append(header(event, STREAM, n, kind, commit=commitments.get(event, {}), data=data))
        if n in (2, 5):  # another incident goes on at the same time
            entries.append(header(f"1{event}", OTHER, 1 if n == 2 else 2, "NoteAdded", commit={}, data={}))
    return Story(entries, opened, manifests, key, directory)


def pack(
    story: Story,
    signers: Signers,
    directory: Path,
    *,
    entries: list[bytes] | None = None,
    unreadable: Mapping[str, str] | None = None,
    stamp: Callable[[bytes], bytes | None] = lambda _: None,
) -> Package:
    """The package of the story's first stream; ``entries`` replaces what is in the log."""
    log = story.entries if entries is None else entries
    tree = ledger.Tree()
    for entry in log:
        tree.append(ledger.leaf_hash(entry))
    checkpoint = note.sign(note.checkpoint_text(ORIGIN, tree.size, tree.root()), [signers.log])
    checkpoint = note.with_signatures(checkpoint, note.cosign(checkpoint, signers.witness, time_seconds=1_795_000_000))
    tiles = TileStore(directory.with_name(f"{directory.name}-log"))
    tiles.publish(0, log, checkpoint)
    leaves = [
        LeafExport(index=index, entry=entry, proof=tiles.inclusion_proof(index, tree.size))
        for index, entry in enumerate(log)
        if json.loads(entry)["stream"] == STREAM
    ]
    chunks = read_chunks(story.directory / RECORDING, story.key, manifest=story.manifests[RECORDING])
    names = [each["file"] for each in json.loads(story.manifests[RECORDING])["chunks"]]
    bodies = {name: chunk.body for name, chunk in zip(names, chunks, strict=True)}
    build_package(
        directory,
        origin=ORIGIN,
        checkpoint=checkpoint,
        leaves=leaves,
        opened=story.opened,
        unreadable=unreadable or {},
        recordings=[
            RecordingExport(
                recording=RECORDING,
                manifest=story.manifests[RECORDING],
                bodies={name: body for name, body in bodies.items() if not name.startswith("operator")},
                chunks={
                    name: (story.directory / RECORDING / name).read_bytes() for name in bodies if "vehicle" in name
                },
            )
        ],
        info={"Source-Organization": "Centre Example", "Bagging-Date": "2026-11-21"},
        seal_signer=signers.seal,
        log_vkey=signers.log.verifier.vkey,
        witness_vkeys=[signers.witness.witness.vkey],
        stamp=stamp(checkpoint),
    )
    return Package(directory, signers, story.key)


@pytest.fixture(scope="session")
def packed(story: Story, signers: Signers, tmp_path_factory: pytest.TempPathFactory) -> Package:
    """A good package; not to be changed."""
    return pack(story, signers, tmp_path_factory.mktemp("packed") / "export-0001")


@pytest.fixture
def fresh(packed: Package, tmp_path: Path) -> Package:
    """A copy to spoil."""
    directory = tmp_path / "export-0001"
    shutil.copytree(packed.directory, directory)
    return Package(directory, packed.signers, packed.key)


@pytest.fixture
def repack(story: Story, signers: Signers, tmp_path: Path) -> Callable[[list[bytes]], Package]:
    """A package, correctly signed and sealed throughout, of a log that holds other lines."""
    return lambda entries: pack(story, signers, tmp_path / "export-0002", entries=entries)


@pytest.fixture
def edit() -> Callable[..., bytes]:
    """One log line with some of its fields replaced."""
    return lambda entry, **changes: canonical(json.loads(entry) | changes)
