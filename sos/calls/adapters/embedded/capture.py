"""Recording one conference: one track per party on the conference's timeline, written beside the call, never in it.

The recorder works in a thread, one job at a time; a disk that fails or stalls costs the recording, not the call, and
is told within 3 s.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from math import inf
from pathlib import Path
from typing import Any, Protocol

from recording.opus import RATE_HZ

FLUSH_EVERY_TICKS = 2
"""Half a second: what a killed process may lose."""
STALLED_AFTER_S = 2.25
"""A flush that takes longer is a failed disk.  Real time, as threads know no other; it is told within 3 s."""
_SEAL_WITHIN_S = 10.0
_DRIFT_SAMPLES = 960
_DISCONTINUITY_SAMPLES = 3 * RATE_HZ
_FIRST_LOOK_SAMPLES = 2 * RATE_HZ
_LOOK_EVERY_SAMPLES = 10 * RATE_HZ


class Recorder(Protocol):
    """What is used of ``recording.tracks.Recorder``; every call may block and comes from one thread at a time."""

    def add(self, track: str, timestamp: int, payload: bytes) -> None: ...

    def mark(self, event: dict[str, Any], *, timestamp: int | None = None) -> None: ...

    def flush(self) -> int: ...

    def seal(self) -> bytes: ...


RecorderFactory = Callable[[Path, str, bytes, str], Recorder]
"""Directory, recording id, data key and RFC 3339 start to a new recorder."""

Note = tuple[str, int, bytes] | tuple[None, int, dict[str, Any]]
"""A packet of a track, or a mark (no track), with its timestamp."""


class Capture:
    """One recording.  ``add`` and ``mark`` only take note; ``tick`` sends the notes to the disk."""

    def __init__(self, open_recorder: Callable[[], Recorder], executor: Executor) -> None:
        self._open = open_recorder
        self._executor = executor
        self._recorder: Recorder | None = None
        self._notes: list[Note] = []
        self._job: asyncio.Future[None] | None = None
        self._job_begun = 0.0
        self._now = asyncio.get_running_loop().time
        self._ticks = 0
        self.broken: str | None = None
        """Why nothing more is recorded; a code, no text of the operating system."""

    def add(self, track: str, timestamp: int, payload: bytes) -> None:
        if self.broken is None:
            self._notes.append((track, timestamp, payload))

    def mark(self, event: dict[str, Any], *, timestamp: int) -> None:
        if self.broken is None:
            self._notes.append((None, timestamp, event))

    def tick(self) -> None:
        """Four times a second: look after the running job, start the next."""
        self._ticks += 1
        if self.broken is not None:
            return
        if self._job is not None and not self._job.done():
            if self._now() - self._job_begun > STALLED_AFTER_S:
                self._break("stalled")
            return
        if self._job is not None and self._failed(self._job):
            return
        if self._ticks % FLUSH_EVERY_TICKS == 0:
            notes, self._notes = self._notes, []
            self._job_begun = self._now()
            self._job = asyncio.get_running_loop().run_in_executor(self._executor, partial(self._write, notes))

    async def seal(self) -> bytes | None:
        """The manifest, when all is on the disk; None when the recording is broken (``broken`` says why)."""
        if self.broken is not None:
            return None
        notes, self._notes = self._notes, []
        try:
            async with asyncio.timeout(_SEAL_WITHIN_S):
                if self._job is not None:
                    await asyncio.wait((self._job,))
                    if self._failed(self._job):
                        return None
                job = partial(self._write_and_seal, notes)
                return await asyncio.get_running_loop().run_in_executor(self._executor, job)
        except TimeoutError:
            self._break("stalled")
        except Exception as error:  # noqa: BLE001 - the recorder's edge: it may end the recording, never the call
            self._break(type(error).__name__)
        return None

    def _failed(self, job: asyncio.Future[None]) -> bool:
        if (error := job.exception()) is not None:
            self._break(type(error).__name__)
        return error is not None

    def _break(self, reason: str) -> None:
        self.broken = reason
        self._notes.clear()

    def _write(self, notes: list[Note]) -> None:
        if self._recorder is None:
            self._recorder = self._open()
        for note in notes:
            if note[0] is None:
                self._recorder.mark(note[2], timestamp=note[1])
            else:
                self._recorder.add(*note)
        self._recorder.flush()

    def _write_and_seal(self, notes: list[Note]) -> bytes:
        self._write(notes)
        assert self._recorder is not None
        return self._recorder.seal()


class Timeline:
    """Where one sender's packets belong on the conference's timeline, whatever its own clock does.

    The sender's timestamps keep the spacing; the least delayed packet of each stretch says how far its clock has
    drifted from ours, so jitter moves nothing and drift cannot pile up.
    """

    def __init__(self) -> None:
        self._offset: int | None = None
        self._last = -1
        self._least = inf
        self._look_at = 0

    def restart(self) -> None:
        """The sender begins anew, on a new connection."""
        self._offset = None

    def place(self, timestamp: int, *, arrived: int) -> int:
        """The recording timestamp of a packet that ``arrived`` so many samples after the epoch; never goes back."""
        if self._offset is None or abs(arrived - timestamp - self._offset) > _DISCONTINUITY_SAMPLES:
            self._offset = arrived - timestamp
            self._least, self._look_at = inf, arrived + _FIRST_LOOK_SAMPLES
        self._least = min(self._least, arrived - timestamp - self._offset)
        if arrived >= self._look_at:
            if abs(self._least) > _DRIFT_SAMPLES:
                self._offset += int(self._least)
            self._least, self._look_at = inf, arrived + _LOOK_EVERY_SAMPLES
        self._last = max(self._last + 1, timestamp + self._offset, 0)
        return self._last
