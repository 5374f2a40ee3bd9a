"""The service's end towards its door processes: takes what they hand over, as its own door would, and answers.

A local socket in the data directory, for the user of the service alone: whoever can connect could read the keys too.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import msgspec
import structlog
from prometheus_client import CollectorRegistry, Gauge

from sos.errors import Malformed, Unavailable
from sos.incident.model import TenantId
from sos.intake import handed
from sos.intake.acceptance import Acceptance, Came
from sos.intake.port import Reception
from sos.intake.tenants import Tenant
from sos.journal.spool import Spooled

log = structlog.get_logger()

NAME = "door.sock"

AT_ONCE = 256
"""Questions of one door under way; more wait in its socket, and the door keeps them itself before long."""


@contextmanager
def local(directory: Path) -> Iterator[str]:
    """The address of the socket in ``directory`` while the context lasts; short enough for the kernel (unix(7): 108
    bytes) however long the directory's own name is.  ``OSError`` when there is no such directory."""
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{NAME}"
    finally:
        os.close(descriptor)


class Writer:
    def __init__(self, acceptance: Acceptance, reception: Reception, *, tenants: Mapping[TenantId, Tenant]) -> None:
        self._acceptance = acceptance
        self._reception = reception
        self._tenants = tenants
        self._waiting: dict[int, int] = {}
        self._left = 0
        self.figures = CollectorRegistry()
        self._doors = Gauge("sos_doors", "Door processes that are connected", registry=self.figures)
        self._missing = Gauge(
            "sos_doors_missing", "Whether the settings have doors and none is connected", registry=self.figures
        )
        self._expected = False
        self._connected = 0
        self._spooled = Gauge(
            "sos_door_spool_reports", "Reports that wait on the disks of doors", registry=self.figures
        )

    def expect_doors(self) -> None:
        """The settings have doors: it is an alarm when there is none."""
        self._expected = True
        self._count(0)

    def _count(self, more: int) -> None:
        self._connected += more
        self._doors.set(self._connected)
        self._missing.set(self._expected and not self._connected)

    @asynccontextmanager
    async def listening(self, directory: Path) -> AsyncIterator[None]:
        """Doors of ``directory`` are answered until the context is left."""
        connections: set[asyncio.Task[None]] = set()

        def come(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self._answer(reader, writer), name="door")
            connections.add(task)
            task.add_done_callback(connections.discard)

        with local(directory) as path:
            with suppress(FileNotFoundError):
                os.unlink(path)
            server = await asyncio.start_unix_server(come, path)
        try:
            yield
        finally:
            server.close()
            for task in connections:
                task.cancel()
            await asyncio.gather(*connections, return_exceptions=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One door, until it goes."""
        room, running = asyncio.Semaphore(AT_ONCE), set[asyncio.Task[None]]()
        self._count(1)
        try:
            while True:
                asked = handed.questions.decode(await handed.frame(reader))
                await room.acquire()
                task = asyncio.create_task(self._one(asked, writer, room))
                running.add(task)
                task.add_done_callback(running.discard)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except (ValueError, msgspec.MsgspecError) as foreign:
            log.error("door_not_understood", error=type(foreign).__name__)
        finally:
            self._count(-1)
            await asyncio.gather(*running, return_exceptions=True)  # what is half written is written to its end
            self._note(writer, 0)  # last: a question of those may have said how many wait
            writer.close()

    async def _one(self, asked: handed.Question, writer: asyncio.StreamWriter, room: asyncio.Semaphore) -> None:
        try:
            answer = await self._answered(asked, writer)
        except Malformed as wrong:
            answer = handed.NoReport(number=asked.number, why=str(wrong), field=wrong.field)
        except Unavailable:
            answer = handed.Failed(number=asked.number, why="unavailable")
        except Exception as fault:  # the edge of one question: the door keeps the report, and those behind it go on
            log.exception("door_not_answered", error=type(fault).__name__)
            answer = handed.Failed(number=asked.number, why="fault")
        finally:
            room.release()
        with suppress(ConnectionError):
            writer.write(handed.framed(answer))
            await writer.drain()

    async def _answered(self, asked: handed.Question, writer: asyncio.StreamWriter) -> handed.Answer:
        match asked:
            case handed.Report():
                tenant = self._tenants.get(asked.tenant)
                if tenant is None:  # the door has newer settings than this process
                    return handed.Failed(number=asked.number, why="unknown_tenant")
                return await self._take(asked, tenant)
            case handed.Kept(spooled=spooled):
                if not await self.keep(spooled):
                    return handed.Failed(number=asked.number, why="unknown_tenant")
            case handed.Standing():
                self._note(writer, asked.spooled)
        return handed.Heard(number=asked.number)

    async def keep(self, spooled: Spooled) -> bool:
        """Make durable here what a door has acknowledged; False where its tenant is not known.  ``Unavailable``."""
        if spooled.tenant not in self._tenants:
            return False
        await self._reception.open(
            spooled.command,
            tenant=spooled.tenant,
            receipt=spooled.receipt,
            received_at=spooled.received_at,
            sender=spooled.sender,
            incident=spooled.incident,
            told=True,
        )
        return True

    def left_behind(self, count: int) -> None:
        """So many wait on the disks of doors that are no more."""
        self._left = count
        self._spooled.set(sum(self._waiting.values()) + count)

    async def _take(self, asked: handed.Report, tenant: Tenant) -> handed.Taken:
        by = Came(connection=asked.connection, incident=asked.incident)
        if asked.unread:
            accepted = await self._acceptance.take_unread(
                asked.body, tenant=tenant, received_at=asked.received_at, by=by
            )
        else:
            accepted = await self._acceptance.take(
                asked.body,
                content_type=asked.content_type,
                tenant=tenant,
                received_at=asked.received_at,
                key=asked.key,
                cut=asked.cut,
                findings=asked.findings,
                by=by,
            )
        return handed.Taken(number=asked.number, accepted=accepted)

    def _note(self, writer: asyncio.StreamWriter, spooled: int) -> None:
        self._waiting[id(writer)] = spooled
        if not spooled:
            del self._waiting[id(writer)]
        self._spooled.set(sum(self._waiting.values()) + self._left)
