"""One media worker, as the service sees it: found or started, asked, listened to, replaced."""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from hashlib import sha256
from itertools import count
from pathlib import Path

import structlog

from sos.calls.adapters.embedded.control import (
    PROTOCOL,
    SAYS_SINCE,
    STILL_UNDERSTOOD,
    TRICKLES_SINCE,
    Acknowledge,
    Ask,
    Hello,
    Loud,
    Order,
    Reply,
    Retire,
    Say,
    Told,
    Trickle,
    frame,
    news_from,
    raised,
)
from sos.calls.port import (
    LegDown,
    LegUp,
    Level,
    ProviderEvent,
    RecordingBegun,
    RecordingBroken,
    RecordingDone,
    RecordingLeft,
)
from sos.clock import Clock
from sos.errors import Unavailable
from sos.incident.model import IncidentId, LegId, RecordingId

log = structlog.get_logger()

OPEN_WITHIN = timedelta(seconds=15)
"""A worker imports and opens in about 1 s; on a machine that does ten other things it takes longer."""

_TRY_EVERY = timedelta(milliseconds=50)
_ANSWER_WITHIN_S = 15.0
"""The longest order is ``Finish``, which waits up to 10 s for a disk."""
_BEAT_EVERY = timedelta(seconds=1)
_BEAT_WITHIN_S = 3.0
"""A worker that does not say for so long what is up is stuck: callers hear nothing, so it is ended and replaced."""
_BEATS_MISSED = 2
"""In a row; a caller of a stuck worker is then silent for about 12 s until it has called again."""
_FREE_BEATS = 20
"""How often in a row a worker of the release before must say that it carries nobody; one who has just been answered
may take 15 s to come up."""
_SOCKET_BYTES = 100
"""A Unix socket's name has 104 bytes on macOS and 108 on Linux."""
_LOG_BYTES = 16 * 1024 * 1024


orders = count(1)
"""The numbers of orders, told apart over all workers."""


class WorkerHandle:
    """Opened once, it keeps a worker running until it is closed."""

    def __init__(
        self,
        number: int,
        recordings: Path,
        *,
        clock: Clock,
        events: "asyncio.Queue[tuple[ProviderEvent, WorkerHandle | None, int] | None]",
        on_levels: Callable[[tuple[Level, ...]], None],
    ) -> None:
        self.legs: dict[LegId, LegUp] = {}
        self.boot = ""
        self._recordings = recordings
        self._clock = clock
        self._events = events
        self._on_levels = on_levels
        self._path = socket_path(recordings, number)
        self._log = self._path.with_suffix(".log")
        self._writing: dict[RecordingId, IncidentId] = {}
        self._seen = 0
        self._pid = 0
        self._protocol = PROTOCOL
        self._free_beats = 0
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._asked: dict[int, asyncio.Future[Reply]] = {}
        self._up = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Begin; returns when the worker answers, or after ``OPEN_WITHIN`` all the same: voice is tried for ever."""
        self._tasks = [
            asyncio.create_task(self._keep(), name=f"voice worker {self._path.name}"),
            asyncio.create_task(self._beat(), name=f"voice beat {self._path.name}"),
        ]
        with suppress(TimeoutError):
            async with asyncio.timeout(OPEN_WITHIN.total_seconds()):
                await self._up.wait()

    async def close(self, *, retire: bool) -> None:
        if retire and self._up.is_set():
            with suppress(Unavailable):
                await self.ask(Retire(order=next(orders)))
                if self._process is not None:
                    await self._process.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self._disconnect()

    async def ask(self, order: Order) -> Reply:
        """The worker's answer.  Raises the error it tells of, and ``Unavailable`` when it does not answer in time."""
        try:
            async with asyncio.timeout(_BEAT_WITHIN_S):
                await self._up.wait()
        except TimeoutError as away:
            raise Unavailable("the voice worker is being started; call again") from away
        if isinstance(order, Say) and self._protocol < SAYS_SINCE:
            raise Unavailable("this call is carried by the release before, which plays no made speech")
        if isinstance(order, Trickle) and self._protocol < TRICKLES_SINCE:
            return Reply(order=order.order)  # the call comes up by the addresses that its checks come from
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._asked[order.order] = reply
        try:
            self._send(frame(order))
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                answered = await reply
        except TimeoutError as late:
            raise Unavailable("the voice worker does not answer") from late
        finally:
            self._asked.pop(order.order, None)
        if answered.fault:
            raise raised(answered)
        return answered

    def acknowledge(self, number: int) -> None:
        self._send(frame(Acknowledge(number)))

    def _send(self, data: bytes) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(data)

    async def _keep(self) -> None:
        """Find or start the worker, listen to it until it is gone, and again."""
        while True:
            reader = await self._connect()
            try:
                await self._listen(reader)
            except (EOFError, ValueError) as gone:
                log.warning("voice_worker_gone", worker=self._path.name, error=type(gone).__name__)
            self._disconnect()

    async def _connect(self) -> asyncio.StreamReader:
        while True:
            try:
                reader, self._writer = await asyncio.open_unix_connection(str(self._path))
                return reader
            except OSError:
                await self._start_if_needed()
                await self._clock.wait(_TRY_EVERY)

    async def _start_if_needed(self) -> None:
        if self._process is not None and self._process.returncode is None:
            return
        self._recordings.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as written:
            if written.tell() > _LOG_BYTES:
                written.truncate(0)
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "sos.calls.adapters.embedded.worker", str(self._path), str(self._recordings),
                stdin=asyncio.subprocess.DEVNULL, stdout=written, stderr=written, start_new_session=True,
            )  # fmt: skip

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while True:
            match await news_from(reader):
                case Hello() as hello:
                    await self._met(hello)
                case Reply() as reply:
                    asked = self._asked.get(reply.order)
                    if asked is not None and not asked.done():
                        asked.set_result(reply)
                case Told(number=number, event=event):
                    self._hear(number, event)
                case Loud(levels=levels):
                    self._on_levels(levels)

    async def _met(self, hello: Hello) -> None:
        self._pid, self._protocol = hello.pid, hello.protocol
        if hello.boot != self.boot:
            self._lose_all()
            self.boot, self._seen = hello.boot, 0
            self.legs.update((leg.leg, leg) for leg in hello.legs)
            self._writing.update((recording, incident) for incident, recording in hello.writing)
        if hello.protocol not in STILL_UNDERSTOOD:
            log.warning("voice_worker_replaced", worker=self._path.name, protocol=hello.protocol)
            self._send(frame(Retire(order=next(orders))))
            return
        self._up.set()

    def _hear(self, number: int, event: ProviderEvent) -> None:
        if number <= self._seen:  # told again after a reconnection
            return
        self._seen = number
        self._note(event)
        self._events.put_nowait((event, self, number))

    def _note(self, event: ProviderEvent) -> None:
        match event:
            case LegUp(leg=leg):
                self.legs[leg] = event
            case LegDown(leg=leg):
                self.legs.pop(leg, None)
            case RecordingBegun(incident=incident, recording=recording):
                self._writing[recording] = incident
            case RecordingDone(recording=recording) | RecordingBroken(recording=recording):
                self._writing.pop(recording, None)

    def _lose_all(self) -> None:
        """The worker that had these is gone."""
        for leg in self.legs.values():
            lost = LegDown(incident=leg.incident, leg=leg.leg, party=leg.party, reason="worker_lost")
            self._events.put_nowait((lost, None, 0))
        for recording, incident in self._writing.items():
            self._events.put_nowait((RecordingLeft(incident=incident, recording=recording), None, 0))
        self.legs.clear()
        self._writing.clear()

    def _disconnect(self) -> None:
        self._up.clear()
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        for reply in self._asked.values():
            if not reply.done():
                reply.set_exception(Unavailable("the voice worker is gone; call again"))

    async def _beat(self) -> None:
        """A worker that lives and does not answer leaves people in silence: it is ended and replaced.

        Not at the first miss: it may be this process that was held up, with the answer waiting in its own socket.
        """
        missed = 0
        while True:
            await self._clock.wait(_BEAT_EVERY)
            if not self._up.is_set():
                continue
            try:
                async with asyncio.timeout(_BEAT_WITHIN_S):
                    held = await self.ask(Ask(order=next(orders)))
                missed = 0
                self._replace_if_old(held)
            except Unavailable:
                missed = 0
            except TimeoutError:
                missed += 1
                if missed >= _BEATS_MISSED:
                    missed = 0
                    log.error("voice_worker_stuck", worker=self._path.name)
                    with suppress(ProcessLookupError, PermissionError):
                        os.kill(self._pid, signal.SIGKILL)

    def _replace_if_old(self, held: Reply) -> None:
        """A worker of the release before goes once it has carried nobody for a while."""
        self._free_beats = 0 if held.legs or held.writing or self._asked else self._free_beats + 1
        if self._protocol != PROTOCOL and self._free_beats >= _FREE_BEATS:
            log.info("voice_worker_replaced", worker=self._path.name, protocol=self._protocol)
            self._free_beats = 0
            self._up.clear()
            self._send(frame(Retire(order=next(orders))))


def socket_path(recordings: Path, number: int) -> Path:
    """Where a worker listens: beside the recordings, or under a short name where that is too long for a socket."""
    beside = recordings.resolve() / ".run" / f"{number}.sock"
    if len(os.fsencode(beside)) <= _SOCKET_BYTES:
        beside.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return beside
    name = sha256(str(recordings.resolve()).encode()).hexdigest()[:16]
    directory = Path(tempfile.gettempdir()) / f"sos-voice-{os.getuid()}-{name}"
    directory.mkdir(mode=0o700, exist_ok=True)
    if directory.stat().st_uid != os.getuid() or directory.stat().st_mode & 0o077:
        raise Unavailable(f"{directory.name} in the directory for temporary files is not ours alone")
    return directory / f"{number}.sock"
