"""A media worker: a process of its own that carries conferences, so that no web request can disturb a voice.

Started by ``embedded`` and found again by it after a restart: a service that is killed leaves its callers talking and
recorded, and finds them so.  One service at a time holds the local socket; a new connection takes it over.
"""

import argparse
import asyncio
import fcntl
import os
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import assert_never

import structlog

from sos import logs
from sos.calls.adapters.embedded.control import (
    PROTOCOL,
    Accept,
    Acknowledge,
    Announce,
    Ask,
    End,
    Finish,
    FromWorker,
    Hello,
    Loud,
    Order,
    Reply,
    Retire,
    Say,
    SetMode,
    Told,
    Trickle,
    fault,
    frame,
    order_from,
)
from sos.calls.adapters.embedded.media_server import MediaServer
from sos.clock import Clock, SystemClock
from sos.errors import SosError
from sos.incident.model import new_id
from sos.interpreter import spare_the_loop

log = structlog.get_logger()

IDLE_FOR = timedelta(seconds=10)
"""How long a worker without a call waits for a service before it ends by itself."""

ALONE_FOR = timedelta(minutes=10)
"""How long callers are kept together while no service comes back; the people in them may still be talking."""

_LOOK_EVERY = timedelta(seconds=1)
_LEVELS_EVERY = timedelta(milliseconds=100)
_LEVELS_BEHIND_BYTES = 64 * 1024
_MOST_UNTOLD = 100_000
"""Events kept for a service that is away: ten minutes of legs coming and going in every conference."""


class Worker:
    """Serves one ``MediaServer`` on a Unix socket until it is retired or nobody needs it any more."""

    def __init__(
        self, media: MediaServer, *, clock: Clock, idle_for: timedelta = IDLE_FOR, alone_for: timedelta = ALONE_FOR
    ) -> None:
        self._media = media
        self._clock = clock
        self._idle_for = idle_for
        self._alone_for = alone_for
        self._boot = new_id()
        self._untold: deque[Told] = deque(maxlen=_MOST_UNTOLD)
        self._told = 0
        self._service: asyncio.StreamWriter | None = None
        self._orders: set[asyncio.Task[None]] = set()
        self._over = asyncio.Event()

    async def serve(self, path: Path) -> None:
        """Until retired, or until idle and alone for too long."""
        server = await asyncio.start_unix_server(self._serve_one, path=str(path))
        works = (self._follow_media(), self._watch_loneliness(), self._tell_levels())
        work = [asyncio.create_task(each) for each in works]
        await self._over.wait()
        server.close()
        for task in (*work, *self._orders):
            task.cancel()
        await asyncio.gather(*work, *self._orders, return_exceptions=True)
        if self._service is not None:
            self._service.close()

    async def _follow_media(self) -> None:
        async for event in self._media.events():
            self._told += 1
            told = Told(self._told, event)
            self._untold.append(told)
            self._send(told)

    async def _tell_levels(self) -> None:
        while True:
            await self._clock.wait(_LEVELS_EVERY)
            levels = self._media.levels()
            if levels and self._keeps_up():
                self._send(Loud(levels))

    def _keeps_up(self) -> bool:
        """Whether the service reads what it is told; levels are the first thing to be left out."""
        return self._service is not None and self._service.transport.get_write_buffer_size() < _LEVELS_BEHIND_BYTES

    async def _watch_loneliness(self) -> None:
        alone = timedelta()
        while not self._over.is_set():
            await self._clock.wait(_LOOK_EVERY)
            alone = timedelta() if self._service is not None else alone + _LOOK_EVERY
            if alone >= (self._alone_for if self._media.busy else self._idle_for):
                log.info("worker_ends", reason="alone")
                self._over.set()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One service, from its connection to its end or until another takes over."""
        if self._service is not None:
            self._service.close()
        self._service = writer
        self._send(Hello(PROTOCOL, self._boot, os.getpid(), await self._media.legs(), self._media.writing()))
        for told in tuple(self._untold):
            self._send(told)
        with suppress(EOFError, ValueError):
            while True:
                message = await order_from(reader)
                if isinstance(message, Acknowledge):
                    self._forget_to(message.number)
                else:
                    self._start(message, writer)
        if self._service is writer:
            self._service = None
        writer.close()

    def _start(self, order: Order, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._answer(order, writer))
        self._orders.add(task)
        task.add_done_callback(self._orders.discard)

    async def _answer(self, order: Order, writer: asyncio.StreamWriter) -> None:
        try:
            reply = await self._obey(order)
        except SosError as refused:
            reply = fault(order.order, refused)
        except Exception as failed:  # the edge of one order: the worker's other calls go on
            log.exception("order_failed", order=type(order).__name__)
            reply = Reply(order=order.order, fault="Unavailable", text=type(failed).__name__)
        if self._service is writer:
            self._send(reply)
        if isinstance(order, Retire):
            self._over.set()

    async def _obey(self, order: Order) -> Reply:
        number = order.order
        match order:
            case Accept():
                answer = await self._media.accept(
                    incident=order.incident,
                    leg=order.leg,
                    party=order.party,
                    who=order.who,
                    offer=order.offer,
                    key=order.key,
                    relays=order.relays,
                    ports=order.ports,
                )
                return Reply(order=number, answer=answer)
            case SetMode(leg=leg, mode=mode):
                await self._media.set_mode(leg, mode)
            case Announce(leg=leg, notice=notice):
                await self._media.announce(leg, notice)
            case Say(leg=leg, sound=sound):
                await self._media.say(leg, sound)
            case Trickle(leg=leg, ufrag=ufrag, candidates=candidates):
                await self._media.trickle(leg, ufrag=ufrag, candidates=candidates)
            case End(leg=leg):
                await self._media.end(leg)
            case Finish(incident=incident):
                await self._media.finish(incident)
            case Ask():
                return Reply(order=number, legs=await self._media.legs(), writing=self._media.writing())
            case Retire():
                await self._media.retire()
            case _:
                assert_never(order)
        return Reply(order=number)

    def _forget_to(self, number: int) -> None:
        while self._untold and self._untold[0].number <= number:
            self._untold.popleft()

    def _send(self, message: FromWorker) -> None:
        if self._service is not None and not self._service.is_closing():
            self._service.write(frame(message))


async def run(path: Path, recordings: Path) -> None:
    """A worker on the system's clock."""
    clock = SystemClock()
    async with MediaServer(recordings, clock=clock) as media:
        await Worker(media, clock=clock).serve(path)


def _favour_the_voice() -> None:
    """Threads that write recordings give way to the loop that carries voices within a millisecond, not five, and the
    cyclic collector leaves alone what lives as long as the process."""
    spare_the_loop()


def main(arguments: Sequence[str] | None = None) -> None:
    """``python -m sos.calls.adapters.embedded.worker SOCKET RECORDINGS``: started by the service, never by hand."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("socket", type=Path)
    parser.add_argument("recordings", type=Path)
    given = parser.parse_args(arguments)
    os.umask(0o077)
    logs.configure()
    with given.socket.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # another one is alive and has the socket
            return
        given.socket.unlink(missing_ok=True)
        _favour_the_voice()
        asyncio.run(run(given.socket, given.recordings))
        given.socket.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
