"""One process alone on a data directory: a lock of the kernel's, which nobody needs to release for a killed process.

What it protects is the embedded database, the spool, the published log and the recordings.  It lasts until the process
ends, however it ends; a process that is stopped (SIGSTOP) keeps it, so two never write.
"""

import fcntl
import os
from datetime import timedelta
from pathlib import Path

import structlog

from sos.clock import Clock

log = structlog.get_logger()

FILE = "lock"

POLL = timedelta(milliseconds=200)
"""How soon a process that waits sees that the other is gone."""


class Sole:
    """The lock of one data directory, which must exist."""

    def __init__(self, data: Path) -> None:
        self._path = data / FILE
        self._descriptor: int | None = None

    def take(self) -> bool:
        """Whether this process has it now."""
        if self._descriptor is not None:
            return True
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    async def wait(self, clock: Clock) -> None:
        """Return once this process has it."""
        if self.take():
            return
        log.warning("standby", waits_for=str(self._path))
        while not self.take():
            await clock.wait(POLL)

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
