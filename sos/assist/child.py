"""A helper program that answers one question at a time and may be missing, slow, dead or mad.

Whatever becomes of it, whoever asked gets ``Unavailable`` within the time given and nobody else notices: it is killed
with all that it started, and the next question starts a new one.  One that fails again and again is left alone for a
while, so that starting it takes no time from calls.
"""

import asyncio
import os
import resource
import signal
import struct
import sys
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from types import TracebackType
from typing import BinaryIO, Generic, Self, TypeVar

import msgspec

from sos.clock import Clock
from sos.errors import Unavailable

MOST_ANSWER_BYTES = 64 * 1024
KEEPS_TO_ITSELF = {"ORT_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1"}
"""ONNX Runtime, which speech libraries use where it is installed, holds code that reports to its maker, and others
fetch models by themselves: a helper that holds what people said talks to nobody."""

NICE = 15
"""How far a helper gives way to everything else."""

LONGEST_REST = timedelta(minutes=2)

_LENGTH = struct.Struct(">I")
HEAD_BYTES = _LENGTH.size


class Numbered(msgspec.Struct, frozen=True):
    """A question, and with the same number its answer: what one call said must never be taken for another's."""

    n: int = 0
    """0 in the greeting, which answers nothing."""


Answer = TypeVar("Answer", bound=Numbered)
Waited = TypeVar("Waited")


def framed(message: msgspec.Struct) -> bytes:
    """``message`` as MessagePack behind its length."""
    body = msgspec.msgpack.encode(message)
    return _LENGTH.pack(len(body)) + body


def body_length(head: bytes, *, at_most: int = MOST_ANSWER_BYTES) -> int:
    """The length of the body after these four bytes; ``ValueError`` when no message is that long."""
    (length,) = _LENGTH.unpack(head)
    if length > at_most:
        raise ValueError("a frame is longer than any message")
    return int(length)


def withdraw() -> BinaryIO:
    """Inside a helper, first of all: give way, leave no core, and print nothing, since libraries that print would print
    what people said.  What answers are written to comes back."""
    os.nice(NICE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    outgoing = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())
    return outgoing


class Child(Generic[Answer]):
    """``command`` reads frames on its standard input and answers each with one ``answer``; first it says ``answer``
    once, unasked, as soon as it is ready."""

    def __init__(
        self,
        command: Sequence[str],
        answer: type[Answer],
        *,
        clock: Clock,
        ready_within_s: float,
        answer_within_s: float,
        most_bytes: int = MOST_ANSWER_BYTES,
    ) -> None:
        """``most_bytes``: of one answer."""
        self._most_bytes = most_bytes
        self._open = True
        self.greeting: Answer | None = None
        """What it said when it was ready."""
        self._command = tuple(command)
        self._decoder = msgspec.msgpack.Decoder(answer)
        self._clock = clock
        self._ready_within_s = ready_within_s
        self._answer_within_s = answer_within_s
        self._turn = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._failures = 0
        self._rests_until: datetime | None = None
        self.starts = 0
        """How often it was started."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = False
        await self._kill()

    @property
    def well(self) -> bool:
        """Whether it answered when it was last asked; True before it was asked at all."""
        return self._failures == 0

    @property
    def pid(self) -> int | None:
        """Of the process that is running."""
        return self._process.pid if self._process is not None else None

    async def ask(self, question: Numbered) -> Answer:
        """Its answer; ``Unavailable`` when it gives none in time or one to another question, or rests after failing."""
        async with self._turn:
            process = await self._running()
            answer = await self._guarded(self._talk(process, question), within_s=self._answer_within_s)
            self._failures, self._rests_until = 0, None
            return answer

    async def wake(self) -> None:
        """Start it now, so that the first question need not wait for that; ``Unavailable`` as in ``ask``."""
        async with self._turn:
            await self._running()

    async def _running(self) -> asyncio.subprocess.Process:
        if not self._open:
            raise Unavailable("the house is closing")
        if self._rests_until is not None and self._clock.now() < self._rests_until:
            raise Unavailable("the helper failed lately and rests")
        if self._process is None or self._process.returncode is not None:
            self.starts += 1
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *self._command,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.DEVNULL,  # what it might print there is what people said
                    start_new_session=True,
                    env=os.environ | KEEPS_TO_ITSELF,
                )
            except OSError as missing:
                self._fail()
                raise Unavailable("the helper cannot be started") from missing
            self.greeting = await self._guarded(self._hear(self._process), within_s=self._ready_within_s)
        return self._process

    async def _guarded(self, talk: Awaitable[Waited], *, within_s: float) -> Waited:
        """``talk`` in time; else the process is ended, whose answers nobody could tell apart any more."""
        try:
            async with asyncio.timeout(within_s):
                return await talk
        except TimeoutError as late:
            await self._end_of_it()
            raise Unavailable("the helper takes too long") from late
        except (EOFError, OSError, ValueError) as gone:
            await self._end_of_it()
            raise Unavailable("the helper has died, or says what nobody asked") from gone
        except asyncio.CancelledError:
            await self._kill()
            raise

    async def _talk(self, process: asyncio.subprocess.Process, question: Numbered) -> Answer:
        assert process.stdin is not None
        process.stdin.write(framed(question))
        await process.stdin.drain()
        answer = await self._hear(process)
        if answer.n != question.n:
            raise ValueError("the answer is to another question")
        return answer

    async def _hear(self, process: asyncio.subprocess.Process) -> Answer:
        assert process.stdout is not None
        head = await process.stdout.readexactly(HEAD_BYTES)
        return self._decoder.decode(await process.stdout.readexactly(body_length(head, at_most=self._most_bytes)))

    async def _end_of_it(self) -> None:
        self._fail()
        await self._kill()

    def _fail(self) -> None:
        self._failures += 1
        if self._failures > 1:
            rest = min(LONGEST_REST, timedelta(seconds=2.0 ** min(self._failures, 10)))
            self._rests_until = self._clock.now() + rest

    async def _kill(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.shield(process.wait())
