"""The probe: a task that asks for its next turn again and again, and how long it had to wait for one.

Three clocks.  The loop's own CPU time between two turns says what our code did to it, whatever else the machine does;
the process's CPU time holds what threads did as well, among them one that keeps the interpreter's lock; the wall's time
is what somebody waits, and is compared with what an idle loop on this machine waited just before.
"""

import asyncio
import time
from array import array
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

EVERY_S = 0.001


class Probe:
    """``async with`` it around what is to be measured."""

    def __init__(self, under_way: Callable[[], tuple[str, bytes]] = lambda: ("", b"")) -> None:
        """``under_way``: the target and the input that is being handled."""
        self._under_way = under_way
        self.own_s: array[float] = array("f")
        self.wall_s: array[float] = array("f")
        self.process_s = 0.0
        self.lately_s = 0.0
        """The longest of our own since somebody set it to nothing."""
        self.longest: tuple[float, str, bytes] = (0.0, "", b"")

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="stall-probe")
        await asyncio.sleep(0)  # it has begun
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await asyncio.sleep(2 * EVERY_S)  # and sees what came last
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        own, process, wall = time.thread_time(), time.process_time(), time.perf_counter()
        while True:
            await asyncio.sleep(EVERY_S)
            own_now, process_now, wall_now = time.thread_time(), time.process_time(), time.perf_counter()
            self.own_s.append(own_now - own)
            self.wall_s.append(max(0.0, wall_now - wall - EVERY_S))
            self.process_s = max(self.process_s, process_now - process)
            self.lately_s = max(self.lately_s, own_now - own)
            if own_now - own > self.longest[0]:
                self.longest = (own_now - own, *self._under_way())
            own, process, wall = own_now, process_now, wall_now


async def baseline(seconds: float = 1.0) -> Probe:
    """How the loop is kept waiting by this machine alone."""
    async with Probe() as probe:
        await asyncio.sleep(seconds)
    return probe
