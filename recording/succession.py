"""When a log cannot go on: the next one names it, with its last checkpoint, and says how far both are the same.

A journal that was restored to an earlier point must not go on under the name of a log that is further already: whoever
holds the later checkpoint would see two histories under one name.  So another log begins, under a name of its own.  The
statement of that is a signed note beside its checkpoint, ``predecessor``, with the old log's last checkpoint in it.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterable
from typing import NamedTuple

from recording import note
from recording.errors import Malformed

FILE = "predecessor"

_CONTINUES, _SAME, _ROOT, _CHECKPOINT = "continues ", "same ", "root ", "checkpoint "


class Succession(NamedTuple):
    """``origin`` goes on where the log ``before`` ended for us."""

    origin: str
    before: str
    same: int
    """So many entries both have, from the first on."""
    root: bytes
    """The root over those."""
    checkpoint: bytes
    """The last signed checkpoint of the log before, as it was; empty when none is known."""


def write(succession: Succession, signer: note.Signer) -> bytes:
    """The signed statement; ``signer`` is the new log's."""
    lines = (
        succession.origin,
        _CONTINUES + succession.before,
        f"{_SAME}{succession.same}",
        _ROOT + b64encode(succession.root).decode(),
        _CHECKPOINT + b64encode(succession.checkpoint).decode(),
    )
    return note.sign("\n".join(lines) + "\n", [signer])


def read(content: bytes, verifiers: Iterable[note.Verifier]) -> Succession:
    """What was written; ``Malformed`` when it is none, ``Tampered`` when none of ``verifiers`` signed it."""
    return _parsed(note.open_note(content, verifiers).text)


def claimed(content: bytes) -> Succession:
    """What it says, its signatures not looked at: for one's own only."""
    return _parsed(note.unsigned(content))


def _parsed(text: str) -> Succession:
    origin, *lines = text.removesuffix("\n").split("\n")
    marks = (_CONTINUES, _SAME, _ROOT, _CHECKPOINT)
    if len(lines) != len(marks) or not all(line.startswith(mark) for line, mark in zip(lines, marks, strict=True)):
        raise Malformed("a succession names a log, the one before, how far they are the same, and its checkpoint")
    before, same, root, checkpoint = (line.removeprefix(mark) for line, mark in zip(lines, marks, strict=True))
    if not (same.isascii() and same.isdigit()):
        raise Malformed("a number has decimal digits")
    try:
        return Succession(
            origin, before, int(same), b64decode(root, validate=True), b64decode(checkpoint, validate=True)
        )
    except ValueError as error:
        raise Malformed("not base64") from error
