"""Keeps the service's long tasks alive: one that dies is started again and takes no other one with it."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import structlog

from sos.clock import Clock
from sos.journal.readers import Follower, Reader, under_lease
from sos.journal.store import Store

log = structlog.get_logger()

RESTART_AFTER = timedelta(seconds=1)


class Supervisor:
    """``failures`` names the tasks that died, for ``/readyz``."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: list[asyncio.Task[None]] = []
        self.failures: dict[str, str] = {}
        self.deaths = Counter[str]()
        """How often each task has died."""

    def start(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        self._tasks.append(asyncio.create_task(self._keep_alive(name, work), name=name))

    def follow(self, readers: Sequence[Reader], store: Store) -> list[Follower]:
        """Start the readers, each as it asks."""
        followers = [Follower(reader, store, clock=self._clock) for reader in readers]
        for reader, follower in zip(readers, followers, strict=True):
            self.start(reader.name, self._following(reader, follower, store))
        return followers

    async def stop(self) -> None:
        for task in reversed(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    def _following(self, reader: Reader, follower: Follower, store: Store) -> Callable[[], Awaitable[None]]:
        if not reader.alone:
            return follower.run
        within = reader.within
        work = follower.run if within is None else lambda: within(follower.run)
        return lambda: under_lease(reader.name, work, store=store, clock=self._clock)

    async def _keep_alive(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except Exception as failed:  # the edge of one long task
                log.exception("task_died", task=name)
                self.failures[name] = type(failed).__name__
                self.deaths[name] += 1
            await self._clock.wait(RESTART_AFTER)
