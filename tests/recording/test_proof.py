"""One entry with its proof: an independent verifier takes it, and whoever changes one of the two files is found out."""

import base64
import os
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from recording import ledger, note, proof
from recording.tiles import TileStore
from recording.verify import main

LOG = note.Signer("log.centre.example/audit", Ed25519PrivateKey.from_private_bytes(bytes(32)))
WITNESS = note.Signer("witness.example/w1", Ed25519PrivateKey.from_private_bytes(bytes([3]) * 32))
ENTRIES = [b'{"entry":%d}' % number for number in range(65_537)]
NODES = ledger.from_leaves([ledger.leaf_hash(entry) for entry in ENTRIES])
SIZES = (1, 2, 255, 256, 257, 65_535, 65_536, 65_537)


def checkpoint(size: int, *signers: note.Signer) -> bytes:
    text = note.checkpoint_text(LOG.name, size, ledger.root(size, NODES))
    signed = note.sign(text, [*signers] or [LOG])
    return note.with_signatures(signed, note.cosign(signed, WITNESS, time_seconds=1_795_000_000))


def of_another_log(size: int) -> bytes:
    """The same tree under another name, signed with this log's key under this log's name."""
    return note.sign(note.checkpoint_text("another.example/log", size, ledger.root(size, NODES)), [LOG])


def made(directory: Path, index: int, size: int) -> Path:
    file = directory / f"{index}{proof.SUFFIX}"
    file.write_bytes(note.log_proof(index, ledger.inclusion_proof(index, size, NODES), checkpoint(size)))
    file.with_suffix(proof.ENTRY_SUFFIX).write_bytes(ENTRIES[index])
    return file


def independent(text: bytes, entry: bytes, public: bytes) -> bool:
    """Of c2sp.org/tlog-proof, RFC 6962 2.1 and signed-note by their texts, with nothing of ours: recursive, slow."""
    head, _, signed = text.partition(b"\n\n")
    title, told, *path = head.decode().split("\n")
    body, _, lines = signed.rpartition(b"\n\n")
    origin, size, root = body.decode().split("\n")[:3]
    index, siblings = int(told.split(" ")[1]), [base64.b64decode(each) for each in path]

    def up(at: int, count: int, rest: list[bytes]) -> bytes:
        if count == 1:
            return sha256(b"\0" + entry).digest()
        half = 1
        while half * 2 < count:
            half *= 2
        sibling = rest[-1]
        if at < half:
            return sha256(b"\1" + up(at, half, rest[:-1]) + sibling).digest()
        return sha256(b"\1" + sibling + up(at - half, count - half, rest[:-1])).digest()

    line = next(each for each in lines.decode().split("\n") if each.startswith(f"— {origin} "))
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(base64.b64decode(line.split(" ")[2])[4:], body + b"\n")
        return title == "c2sp.org/tlog-proof@v1" and up(index, int(size), siblings) == base64.b64decode(root)
    except (InvalidSignature, IndexError):
        return False


@pytest.mark.parametrize("size", SIZES)
def test_an_independent_verifier_and_ours_take_the_same_proofs(tmp_path: Path, size: int):
    for index in {0, size // 2, size - 1}:
        file = made(tmp_path, index, size)
        told = proof.verify_file(file, log_vkey=LOG.verifier.vkey, witness_vkeys=[WITNESS.witness.vkey])
        assert told.code == 0, str(told)
        assert str(told).endswith(f"entry {index} of {size} of {LOG.name}, cosigned by {WITNESS.name}")
        assert independent(file.read_bytes(), ENTRIES[index], LOG.verifier.public)
        assert not independent(file.read_bytes(), b"another", LOG.verifier.public)


def test_the_tlog_scales_tool_makes_the_same_file(tmp_path: Path):
    tool = Path(sys.executable).with_name("tlog-tiles")
    if not tool.exists():
        pytest.skip("tlog-scales is not installed")
    (tmp_path / "log").mkdir()
    TileStore(tmp_path / "log").publish(0, ENTRIES[:300], checkpoint(300))

    theirs = subprocess.run([tool, "gen-proof", tmp_path / "log", "256"], capture_output=True, check=True).stdout

    (tmp_path / "256.tlog-proof").write_bytes(theirs)
    (tmp_path / "256.entry").write_bytes(ENTRIES[256])
    assert theirs == made(tmp_path, 256, 300).read_bytes()
    assert proof.verify_file(tmp_path / "256.tlog-proof", log_vkey=LOG.verifier.vkey).code == 0


def test_every_byte_of_both_files_counts(tmp_path: Path):
    file = made(tmp_path, 256, 257)
    unseen = []
    for path in (file, file.with_suffix(proof.ENTRY_SUFFIX)):
        content = path.read_bytes()
        for at in range(len(content)):
            for mask in (0x01, 0x20):
                path.write_bytes(content[:at] + bytes((content[at] ^ mask,)) + content[at + 1 :])
                told = proof.verify_file(file, log_vkey=LOG.verifier.vkey, witness_vkeys=[WITNESS.witness.vkey])
                if told.ok:
                    unseen.append((path.suffix, at, mask))
        path.write_bytes(content)
    assert not unseen


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace(b"index 4\n", b"index 5\n"),
        lambda text: text.replace(b"index 4\n", b"index 04\n"),
        lambda text: text.replace(b"index 4\n", b"extra AAAA\nindex 4\n"),
        lambda text: b"\n".join(text.split(b"\n")[:2] + text.split(b"\n")[3:]),
        lambda text: b"\n".join(text.split(b"\n")[:3] + text.split(b"\n")[2:]),
        lambda text: text.split(b"\n\n")[0] + b"\n\n" + checkpoint(200),
        lambda text: text.split(b"\n\n")[0] + b"\n\n" + checkpoint(257, WITNESS),
        lambda text: text.split(b"\n\n")[0] + b"\n\n" + b"\n\n".join(text.split(b"\n\n")[1:])[:-40],
        lambda text: text.split(b"\n\n")[0] + b"\n\n" + of_another_log(257),
        lambda text: text.split(b"\n\n")[0] + b"\n\n",
        lambda text: text * 2,
        lambda text: b"",
        lambda text: b"x" * 70_000,
    ],
)
def test_a_proof_that_was_changed_is_refused(tmp_path: Path, spoil: Callable[[bytes], bytes]):
    file = made(tmp_path, 4, 257)
    file.write_bytes(spoil(file.read_bytes()))

    assert proof.verify_file(file, log_vkey=LOG.verifier.vkey).code == 1


def test_a_witness_that_was_asked_for_must_have_cosigned_and_another_key_is_none_of_the_log(tmp_path: Path):
    file, stranger = made(tmp_path, 4, 257), note.Signer("other.example", LOG.key)

    assert proof.verify_file(file, log_vkey=LOG.verifier.vkey, witness_vkeys=[stranger.witness.vkey]).code == 1
    assert proof.verify_file(file, log_vkey=stranger.verifier.vkey).code == 1
    assert proof.verify_file(file).code == 3
    assert main([str(file)]) == 3
    assert main([str(file), "--log-vkey", LOG.verifier.vkey, "--witness-vkey", WITNESS.witness.vkey]) == 0
    with pytest.raises(SystemExit):
        main([str(file), "--log-vkey", "none"])


def test_what_is_no_plain_file_is_not_waited_for(tmp_path: Path):
    file = made(tmp_path, 4, 257)
    entry = file.with_suffix(proof.ENTRY_SUFFIX)
    entry.unlink()
    assert proof.verify_file(file, log_vkey=LOG.verifier.vkey).code == 1
    os.mkfifo(entry)
    assert proof.verify_file(file, log_vkey=LOG.verifier.vkey).code == 1
    entry.unlink()
    entry.symlink_to("/etc/passwd")
    assert proof.verify_file(file, log_vkey=LOG.verifier.vkey).code == 1
