"""Signed notes, checkpoints and log proofs as text (C2SP signed-note, tlog-checkpoint, tlog-cosignature, tlog-proof).

A checkpoint is the log's promise «at this size, this root»; a witness outside our house adds a cosignature that says
when it saw it.  Reading is stricter than the specification where it leaves room for two texts with one meaning:
base64 must be the one canonical spelling, a signature line may not come twice.  Needs only ``cryptography``.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from recording.errors import Malformed, Tampered

ED25519 = 0x01
COSIGNATURE_V1 = 0x04
MAX_SIGNATURES = 64
"""The specification asks for at least 16; a limit keeps a hostile note from costing a thousand verifications."""

_PROOF_HEADER = "c2sp.org/tlog-proof@v1"
_MAX_INDEX = 2**63 - 1


class Signature(NamedTuple):
    """One signature line; ``time_seconds`` (Unix) only for a witness's cosignature."""

    name: str
    key_id: bytes
    blob: bytes
    time_seconds: int | None = None


class Note(NamedTuple):
    """An opened note: the text ends with a newline; ``verified`` were checked, ``unverified`` are by keys not known."""

    text: str
    verified: tuple[Signature, ...]
    unverified: tuple[Signature, ...]


class Checkpoint(NamedTuple):
    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LogProof:
    """One leaf's inclusion proof with the checkpoint it leads to (not yet verified)."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key under its name: of a log or a seal (``ED25519``) or of a witness (``COSIGNATURE_V1``)."""

    name: str
    public: bytes
    algorithm: int = ED25519

    def __post_init__(self) -> None:
        _check_name(self.name)
        if len(self.public) != 32 or self.algorithm not in (ED25519, COSIGNATURE_V1):
            raise Malformed("a verifier key is 32 bytes of Ed25519, of type 1 or 4")

    @classmethod
    def parse(cls, vkey: str) -> "Verifier":
        """The key in ``<name>+<key id>+<base64>``; ``Malformed`` when the parts do not belong together."""
        parts = vkey.strip().split("+", 2)
        if len(parts) != 3:
            raise Malformed("a verifier key reads name+id+key")
        name, key_id, encoded = parts
        key = unbase64(encoded)
        if not key:
            raise Malformed("a verifier key is empty")
        if not vkey.strip().isprintable():
            raise Malformed("a verifier key is printable text")
        verifier = cls(name, key[1:], key[0])
        if key_id != verifier.key_id.hex():
            raise Malformed(f"the id in the verifier key of {name} does not belong to the key")
        return verifier

    @property
    def vkey(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{base64(bytes([self.algorithm]) + self.public)}"

    @property
    def key_id(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + bytes([self.algorithm]) + self.public).digest()[:4]

    def check(self, text: str, signature: Signature) -> Signature:
        """``signature``, with its time if it is a cosignature; ``Tampered`` when it does not sign ``text``."""
        message, blob, seconds = text.encode(), signature.blob, None
        if self.algorithm == COSIGNATURE_V1:
            seconds = int.from_bytes(blob[:8], "big")
            message, blob = _cosigned_message(text, seconds), blob[8:]
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(blob, message)
        except InvalidSignature as error:
            raise Tampered(f"the signature of {self.name} does not belong to this text") from error
        return signature._replace(time_seconds=seconds)


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key under its name."""

    name: str
    key: Ed25519PrivateKey

    def __post_init__(self) -> None:
        _check_name(self.name)

    @property
    def verifier(self) -> Verifier:
        return Verifier(self.name, self.key.public_key().public_bytes_raw())

    @property
    def witness(self) -> Verifier:
        """The verifier of this key's cosignatures."""
        return Verifier(self.name, self.key.public_key().public_bytes_raw(), COSIGNATURE_V1)


def sign(text: str, signers: Sequence[Signer]) -> bytes:
    """``text`` (ending in a newline) as a note signed by each of ``signers``."""
    _check_text(text)
    if not signers:
        raise ValueError("a note needs a signature")
    lines = [_line(each.name, each.verifier.key_id + each.key.sign(text.encode())) for each in signers]
    return (text + "\n" + "".join(lines)).encode()


def cosign(note: bytes, signer: Signer, *, time_seconds: int) -> bytes:
    """The cosignature line (tlog-cosignature/v1) a witness gives for the checkpoint ``note``."""
    text, _ = _split(note)
    blob = time_seconds.to_bytes(8, "big") + signer.key.sign(_cosigned_message(text, time_seconds))
    return _line(signer.name, signer.witness.key_id + blob).encode()


def with_signatures(note: bytes, lines: bytes) -> bytes:
    """``note`` with further signature lines, such as a witness answers; a line already there is not added again."""
    text, present = _split(note)
    _, further = _split((text + "\n").encode() + lines)
    fresh = [each for each in further if each not in present]
    return note + "".join(_line(each.name, each.key_id + each.blob) for each in fresh).encode()


def open_note(note: bytes, verifiers: Iterable[Verifier], *, strict: bool = False) -> Note:
    """The text of ``note`` when at least one of ``verifiers`` signed it.

    ``Malformed`` when it is not a note; ``Tampered`` when a known key's signature is wrong, when no known key signed,
    or, if ``strict``, when any line is by a key not in ``verifiers`` (in a package every byte must be accounted for).
    """
    text, signatures = _split(note)
    known = {(each.name, each.key_id): each for each in verifiers}
    verified, unverified = list[Signature](), list[Signature]()
    for signature in signatures:
        verifier = known.get((signature.name, signature.key_id))
        if verifier is None:
            unverified.append(signature)
        else:
            verified.append(verifier.check(text, signature))
    if not verified:
        raise Tampered("no known key signed this note")
    if strict and unverified:
        raise Tampered(f"a signature line by a key that was not given: {unverified[0].name}")
    return Note(text, tuple(verified), tuple(unverified))


def checkpoint_text(origin: str, size: int, root: bytes) -> str:
    """The text of a checkpoint, ready to be signed."""
    if not origin or "\n" in origin or not 0 <= size <= _MAX_INDEX or len(root) != 32:
        raise ValueError("a checkpoint has a one-line origin, a size and a root of 32 bytes")
    return f"{origin}\n{size}\n{base64(root)}\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """Origin, size and root of a checkpoint's text (not of the whole note); ``Malformed`` otherwise."""
    lines = text.split("\n")
    if len(lines) < 4 or lines.pop() or not all(lines):
        raise Malformed("a checkpoint has an origin, a size, a root and no empty line")
    root = unbase64(lines[2])
    if len(root) != 32:
        raise Malformed("the root of a checkpoint has 32 bytes")
    return Checkpoint(lines[0], _decimal(lines[1]), root, tuple(lines[3:]))


def read_checkpoint(note: bytes) -> Checkpoint:
    """What a checkpoint note claims, its signatures not looked at: for one's own files only."""
    return parse_checkpoint(_split(note)[0])


def unsigned(note: bytes) -> str:
    """The text of a note, its signatures not looked at: for one's own files only."""
    return _split(note)[0]


def signatures(note: bytes) -> tuple[Signature, ...]:
    """The signature lines of a note, none of them checked."""
    return _split(note)[1]


def line(signature: Signature) -> bytes:
    """``signature`` as a line of a note."""
    return _line(signature.name, signature.key_id + signature.blob).encode()


def log_proof(index: int, hashes: Sequence[bytes], checkpoint: bytes) -> bytes:
    """A ``c2sp.org/tlog-proof@v1`` text."""
    return "\n".join((_PROOF_HEADER, f"index {index}", *map(base64, hashes), "", "")).encode() + checkpoint


def parse_log_proof(proof: bytes) -> LogProof:
    """What ``log_proof`` wrote; extra data is refused, for nothing would vouch for it."""
    head, gap, checkpoint = proof.partition(b"\n\n")
    lines = _text(head).split("\n")
    if not gap or len(lines) < 2 or lines[0] != _PROOF_HEADER or not lines[1].startswith("index "):
        raise Malformed(f"a log proof begins with {_PROOF_HEADER} and an index")
    hashes = tuple(unbase64(line) for line in lines[2:])
    if any(len(each) != 32 for each in hashes) or len(hashes) > 63:
        raise Malformed("a log proof has at most 63 hashes of 32 bytes")
    return LogProof(_decimal(lines[1].removeprefix("index ")), hashes, checkpoint)


def _split(note: bytes) -> tuple[str, tuple[Signature, ...]]:
    whole = _text(note)
    if not whole.endswith("\n"):
        raise Malformed("a note ends with a newline")
    body, gap, tail = whole.rpartition("\n\n")
    if not gap or not body or not tail:
        raise Malformed("a note has a text, a blank line and signatures")
    signatures = tuple(_signature(line) for line in tail[:-1].split("\n"))
    if len(signatures) > MAX_SIGNATURES:
        raise Malformed(f"a note has at most {MAX_SIGNATURES} signatures")
    if len({each[:2] for each in signatures}) != len(signatures):
        raise Malformed("a key signs a note once")
    return body + "\n", signatures


def _signature(line: str) -> Signature:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != "—":
        raise Malformed("a signature line reads: em dash, name, base64")
    _check_name(parts[1])
    blob = unbase64(parts[2])
    if len(blob) < 5:
        raise Malformed("a signature has a key id of 4 bytes and then some")
    return Signature(parts[1], blob[:4], blob[4:])


def _line(name: str, blob: bytes) -> str:
    return f"— {name} {base64(blob)}\n"


def _cosigned_message(text: str, seconds: int) -> bytes:
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()


def _check_name(name: str) -> None:
    if not name or "+" in name or any(each.isspace() or each < " " for each in name):
        raise Malformed("a key name is not empty and has no space, control character or plus")


def _check_text(text: str) -> None:
    if len(text) < 2 or not text.endswith("\n") or any(each < " " and each != "\n" for each in text):
        raise Malformed("the text of a note ends with a newline and has no other control character")


def _text(content: bytes) -> str:
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"not UTF-8 at byte {error.start}") from error
    if any(each < " " and each != "\n" for each in text):
        raise Malformed("a control character other than newline")
    return text


def _decimal(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or (text[0] == "0" and text != "0") or len(text) > 19:
        raise Malformed("a number has decimal digits and no leading zero")
    if (number := int(text)) > _MAX_INDEX:
        raise Malformed("a number is larger than any log")
    return number


def base64(content: bytes) -> str:
    """``content`` in the one spelling of a note."""
    return b64encode(content).decode()


def unbase64(text: str) -> bytes:
    """What ``base64`` wrote; ``Malformed`` for anything else, also for another spelling of the same bytes."""
    try:
        content = b64decode(text, validate=True)
    except ValueError as error:
        raise Malformed("not base64") from error
    if base64(content) != text:  # spare bits set: the same bytes must not have two spellings
        raise Malformed("base64 is not in its canonical spelling")
    return content
