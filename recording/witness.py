"""What a witness is asked and what it answers (c2sp.org/tlog-witness, «add-checkpoint»; cosignature/v1).

A witness outside the house cosigns a checkpoint only if it continues what it has cosigned before, so that nobody can be
shown two histories of one log.  Values in, values out; who sends them stands elsewhere.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from recording import note
from recording.errors import Malformed, Tampered

MOST_HASHES = 63
SIZE_TYPE = "text/x.tlog.size"
"""Of a 409's body: the size that the witness has cosigned last."""

SKEW = timedelta(minutes=10)
"""How far a witness's clock may be from ours: its time is evidence, so one that is plainly wrong is none."""


class CosignatureRefused(Tampered):
    """``rule`` names what is wrong: ``form``, ``absent``, ``signature`` or ``clock``."""

    def __init__(self, rule: str, what: str) -> None:
        super().__init__(f"cosignature, {rule}: {what}")
        self.rule = rule


def request(old: int, proof: Sequence[bytes], checkpoint: bytes) -> bytes:
    """The body that asks to cosign ``checkpoint``, which continues the tree of ``old`` leaves by ``proof``."""
    if len(proof) > MOST_HASHES:
        raise ValueError(f"a consistency proof has at most {MOST_HASHES} hashes")
    return "\n".join((f"old {old}", *map(note.base64, proof), "", "")).encode() + checkpoint


def parse_request(body: bytes) -> tuple[int, tuple[bytes, ...], bytes]:
    """Old size, proof and checkpoint of what ``request`` wrote."""
    head, gap, checkpoint = body.partition(b"\n\n")
    lines = head.decode("utf-8", "replace").split("\n")
    if not gap or not lines[0].startswith("old ") or len(lines) - 1 > MOST_HASHES:
        raise Malformed("a request to cosign begins with the old size and a proof")
    proof = tuple(map(note.unbase64, lines[1:]))
    if any(len(each) != 32 for each in proof):
        raise Malformed("a hash of a proof has 32 bytes")
    return size(lines[0].removeprefix("old ").encode()), proof, checkpoint


def size(body: bytes) -> int:
    """The size in the body of a 409; ``Malformed`` when it is none."""
    text = body.decode("ascii", "replace").removesuffix("\n")
    if not (text.isascii() and text.isdigit()) or len(text) > 19 or (text[0] == "0" and text != "0"):
        raise Malformed("a witness's size is a decimal number")
    return int(text)


def cosigned(checkpoint: bytes, lines: bytes, witness: note.Verifier, *, now: datetime) -> bytes:
    """``checkpoint`` with the line of ``witness`` out of ``lines``, and with no other of them.

    ``CosignatureRefused`` names what is wrong with the answer.
    """
    text = note.unsigned(checkpoint)
    try:
        answered = note.signatures((text + "\n").encode() + lines)
    except Malformed as error:
        raise CosignatureRefused("form", str(error)) from error
    ours = [each for each in answered if (each.name, each.key_id) == (witness.name, witness.key_id)]
    if not ours:
        raise CosignatureRefused("absent", f"no line is by {witness.name}")
    try:
        checked = witness.check(text, ours[0])
    except Tampered as error:
        raise CosignatureRefused("signature", f"{witness.name} signed something else") from error
    if abs(now.timestamp() - (checked.time_seconds or 0)) > SKEW.total_seconds():
        raise CosignatureRefused("clock", f"the clock of {witness.name} is more than {SKEW} from ours")
    return note.with_signatures(checkpoint, note.line(ours[0]))
