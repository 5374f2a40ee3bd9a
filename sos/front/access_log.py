"""The access log: who came in, who was refused and why, what was exported; one JSON line each, in files of its own.

Ids, routes, codes and addresses; no token, no path (a portal's holds its link) and nothing that a person wrote.  The
journal is the record of what happened to people; this one is for whoever watches the doors.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
import structlog

log = structlog.get_logger(__name__)

NAME = "access.jsonl"
FILE_BYTES = 16 * 1024 * 1024
FILES = 8
"""With the one that is written: 128 MB, some half a million lines."""
LONGEST = 200
"""Characters of one field."""


class AccessLog:
    """``access.jsonl`` in ``directory``, and up to ``files - 1`` older ones, ``access.jsonl.1`` the newest of them."""

    def __init__(self, directory: Path, *, file_bytes: int = FILE_BYTES, files: int = FILES) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = directory / NAME
        self._file_bytes = file_bytes
        self._files = files
        self._opened: int | None = None
        self.lost = 0
        """Lines that the disk did not take."""

    def write(self, fields: Mapping[str, object]) -> None:
        """One line.  A disk that is full or gone costs the line, never the request."""
        shown = {name: value[:LONGEST] if isinstance(value, str) else value for name, value in fields.items()}
        try:
            self._append(msgspec.json.encode(shown) + b"\n")
        except OSError as failed:
            self.lost += 1
            if self.lost & (self.lost - 1) == 0:  # the 1st, 2nd, 4th, 8th ...
                log.error("access_log_not_written", lost=self.lost, exc_info=failed)
            self.close()

    def close(self) -> None:
        if self._opened is not None:
            os.close(self._opened)
            self._opened = None

    def _append(self, line: bytes) -> None:
        if self._opened is None:
            self._opened = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if os.fstat(self._opened).st_size + len(line) > self._file_bytes:
            self._turn()
            self._opened = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.write(self._opened, line)

    def _turn(self) -> None:
        self.close()
        for number in range(self._files - 1, 0, -1):
            older = self._path.with_name(f"{NAME}.{number}")
            newer = self._path if number == 1 else self._path.with_name(f"{NAME}.{number - 1}")
            if newer.exists():
                newer.replace(older)
