"""Checkpoints that somebody outside has vouched for, kept for as long as the log: cosigned, and stamped with a time.

One pair of files for each size, ``<size>.checkpoint`` and ``<size>.tsr``; the stamp is over the checkpoint's file as it
stands, cosignatures included, so that ``openssl ts -verify`` takes the two as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recording import note, stamp
from recording.durable import replace, sync_directory
from recording.errors import RecordingError


@dataclass(frozen=True, slots=True)
class Anchored:
    checkpoint: bytes
    """The signed note, with the witnesses' lines."""
    stamp: bytes | None = None
    """Answer of a time-stamping authority (RFC 3161) over ``checkpoint``."""
    witnesses: tuple[str, ...] = ()
    """Verifier keys of the witnesses whose lines are in it."""


class AnchorStore:
    """In ``directory``, which is made when the first is kept.  ``witnesses``: whose lines count."""

    def __init__(self, directory: Path, witnesses: Sequence[note.Verifier] = ()) -> None:
        self._directory = directory
        self._witnesses = tuple(witnesses)

    def keep(self, checkpoint: bytes, stamp_over_it: bytes | None) -> Anchored:
        self._directory.mkdir(parents=True, exist_ok=True)
        place = self._directory / str(note.read_checkpoint(checkpoint).size)
        replace(place.with_suffix(".checkpoint"), checkpoint)
        if stamp_over_it is not None:
            replace(place.with_suffix(".tsr"), stamp_over_it)
        sync_directory(self._directory)
        return self.described(checkpoint, stamp_over_it)

    def of(self, checkpoint: bytes) -> Anchored:
        """What is kept of the head that ``checkpoint`` signs; ``checkpoint`` itself where nothing is."""
        place = self._directory / str(note.read_checkpoint(checkpoint).size)
        try:
            kept = place.with_suffix(".checkpoint").read_bytes()
        except FileNotFoundError:
            return self.described(checkpoint, None)
        if note.unsigned(kept) != note.unsigned(checkpoint):  # of a log that has ended
            return self.described(checkpoint, None)
        return self.described(kept, _over(kept, place.with_suffix(".tsr")))

    def newest(self, beyond: int) -> Anchored | None:
        """The newest that covers entry ``beyond``."""
        covering = [path for path in self.files() if int(path.stem) > beyond]
        return self.of(covering[-1].read_bytes()) if covering else None

    def files(self) -> list[Path]:
        """The checkpoints that are kept, the smallest log first."""
        found = [path for path in self._directory.glob("*.checkpoint") if path.stem.isdigit()]
        return sorted(found, key=lambda path: int(path.stem))

    def described(self, checkpoint: bytes, stamp_over_it: bytes | None) -> Anchored:
        """``checkpoint`` with the keys of those who have cosigned it."""
        signed = {(each.name, each.key_id) for each in note.signatures(checkpoint)}
        there = tuple(each.vkey for each in self._witnesses if (each.name, each.key_id) in signed)
        return Anchored(checkpoint, stamp_over_it, there)


def _over(checkpoint: bytes, file: Path) -> bytes | None:
    """The stamp in ``file``, unless it is over another spelling, as when a crash came between the two."""
    try:
        answer = file.read_bytes()
        stamp.check(answer, checkpoint)
    except (FileNotFoundError, RecordingError):
        return None
    return answer
