"""One entry of the log with its proof, in two files: ``NAME.entry`` as it is in the log and ``NAME.tlog-proof``.

The second is a c2sp.org/tlog-proof@v1 with a checkpoint that may be cosigned, so that any verifier of that form takes
it.  For whoever is shown one event and not a whole package.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recording import bounds, ledger, note
from recording.errors import Malformed, RecordingError, Tampered
from recording.shown import shown
from recording.tiles import MAX_ENTRY_BYTES

SUFFIX, ENTRY_SUFFIX = ".tlog-proof", ".entry"

MOST_BYTES = 64 * 1024
"""Of a proof: 63 hashes and 64 signatures have twelve thousand."""


@dataclass(frozen=True, slots=True)
class Proved:
    told: str
    ok: bool
    origin_proved: bool

    @property
    def code(self) -> int:
        """The exit code, as ``recording.verify`` has them."""
        return 1 if not self.ok else 0 if self.origin_proved else 3

    def __str__(self) -> str:
        return shown(self.told, most=2_000)


def check(
    proof: bytes, entry: bytes, *, log: note.Verifier | None, witnesses: Sequence[note.Verifier] = ()
) -> note.Checkpoint:
    """The checkpoint that ``proof`` leads ``entry`` to; ``Malformed`` or ``Tampered`` says what is wrong.

    Without ``log`` nobody is known to have signed it.  Each of ``witnesses`` must have cosigned.
    """
    read = note.parse_log_proof(proof)
    if log is None:
        text = note.unsigned(read.checkpoint)
    else:
        opened = note.open_note(read.checkpoint, [log, *witnesses])
        signed = {(each.name, each.key_id) for each in opened.verified}
        for verifier in (log, *witnesses):
            if (verifier.name, verifier.key_id) not in signed:
                raise Tampered(f"the checkpoint is not signed by {verifier.name}")
        text = opened.text
    head = note.parse_checkpoint(text)
    if log is not None and head.origin != log.name:
        raise Tampered("the checkpoint is of another log")
    if not ledger.verify_inclusion(ledger.leaf_hash(entry), read.index, head.size, read.hashes, head.root):
        raise Tampered(f"this is not entry {read.index} of the log")
    return head


def verify_file(file: Path, *, log_vkey: str | None = None, witness_vkeys: Sequence[str] = ()) -> Proved:
    """What the proof ``file`` shows of the entry beside it.  ``Malformed`` when a key that was given cannot be read."""
    log = note.Verifier.parse(log_vkey) if log_vkey else None
    witnesses = [note.Verifier.parse(each) for each in witness_vkeys]
    if witnesses and log is None:
        raise Malformed("a witness's key is of use beside the log's")
    try:
        proof = bounds.read_plain(file, most=MOST_BYTES)
        entry = bounds.read_plain(file.with_suffix(ENTRY_SUFFIX), most=MAX_ENTRY_BYTES)
        head = check(proof, entry, log=log, witnesses=witnesses)
    except OSError as error:
        return Proved(f"FAIL {file.name}: {error.strerror}", False, log is not None)
    except RecordingError as error:
        return Proved(f"FAIL {file.name}: {error}", False, log is not None)
    index = note.parse_log_proof(proof).index
    origin = "" if log else "; the log's key was not given: its origin is NOT proved"
    by = "".join(f", cosigned by {each.name}" for each in witnesses)
    return Proved(f"ok   {file.name}: entry {index} of {head.size} of {head.origin}{by}{origin}", True, log is not None)
