"""A door's end towards the service: hands each report over, and keeps it itself when no answer comes in time.

*Sound*: reports are handed over.  *Alone*: the service is gone or does not turn; reports go to the door's own spool,
with the incident id that was named before, so that a report which the service took all the same is one incident.  Back
again, the spool is handed over first and reports after it: whoever sends again meets what was acknowledged.
"""

import asyncio
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import msgspec
import structlog
from msgspec.structs import replace

from sos.clock import Clock
from sos.errors import Malformed
from sos.incident.model import IncidentId, new_id
from sos.intake import handed
from sos.intake.acceptance import BY_HTTP, Acceptance, Accepted, Came
from sos.intake.tenants import Tenant
from sos.intake.writer import local
from sos.journal.spool import Spool, Spooled

log = structlog.get_logger()

UNDER_WAY = 1024
"""Reports that wait for an answer; with more, one is kept here at once."""

MOST_UNSENT_BYTES = 16 * 1024 * 1024
"""What the service has not read yet; with more, a report is kept here at once."""

AGAIN = timedelta(milliseconds=200)
"""Between two tries to reach the service, and two looks whether it turns."""

HANDED_AT_ONCE = 64


class Relay:
    """What a door does with a report: ``take`` and ``take_unread`` as ``Acceptance`` has them."""

    def __init__(
        self, directory: Path, own: Acceptance, spool: Spool, *, clock: Clock, within: timedelta, door: int
    ) -> None:
        """``directory`` of the service's socket; ``own`` on the ``spool``; ``within``: how long an answer may take."""
        self._directory = directory
        self._own = own
        self._spool = spool
        self._clock = clock
        self._within = within
        self._door = door
        self._numbers = count(1)
        self._asked: dict[int, asyncio.Future[handed.Answer | None]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self.sound = False
        """Whether reports are handed over now."""

    # --- reports ---

    async def take(
        self,
        body: bytes,
        *,
        content_type: str,
        tenant: Tenant,
        received_at: datetime,
        key: str | None = None,
        cut: str | None = None,
        findings: tuple[str, ...] = (),
        by: Came = BY_HTTP,
    ) -> Accepted:
        """As ``Acceptance.take``: by the service, else by the door alone."""
        by = _named(by)
        answer = await self._handed(
            handed.Report(
                number=next(self._numbers),
                body=body,
                content_type=content_type,
                tenant=tenant.id,
                received_at=received_at,
                incident=_id(by),
                key=key,
                cut=cut,
                findings=findings,
                connection=by.connection,
            )
        )
        return answer or await self._own.take(
            body,
            content_type=content_type,
            tenant=tenant,
            received_at=received_at,
            key=key,
            cut=cut,
            findings=findings,
            by=by,
        )

    async def take_unread(self, body: bytes, *, tenant: Tenant, received_at: datetime, by: Came = BY_HTTP) -> Accepted:
        by = _named(by)
        answer = await self._handed(
            handed.Report(
                number=next(self._numbers),
                body=body,
                content_type="",
                tenant=tenant.id,
                received_at=received_at,
                incident=_id(by),
                connection=by.connection,
                unread=True,
            )
        )
        return answer or await self._own.take_unread(body, tenant=tenant, received_at=received_at, by=by)

    async def _handed(self, report: handed.Report) -> Accepted | None:
        """What the service says; None when the door must keep it.  ``Malformed`` as the service says."""
        if not self.sound or len(self._asked) >= UNDER_WAY or self._unsent_bytes > MOST_UNSENT_BYTES:
            return None
        match await self._ask(report):
            case handed.Taken(accepted=accepted):
                return accepted
            case handed.NoReport(why=why, field=field):
                raise Malformed(why, field=field)
            case None:
                self._lost("no_answer")
        return None

    async def _ask(self, question: handed.Question) -> handed.Answer | None:
        """The answer; None when none comes in time, or the service is gone.

        What is longer than a frame may be is not sent, since it would end the connection each time: ``Failed``.
        """
        if self._writer is None:
            return None
        frame = handed.framed(question)
        if len(frame) > handed.MOST_BYTES:
            log.error("too_long_for_the_service", door=self._door, bytes=len(frame))
            return handed.Failed(number=question.number, why="too_long")
        answered = asyncio.get_running_loop().create_future()
        self._asked[question.number] = answered
        try:
            self._writer.write(frame)
            async with asyncio.timeout(self._within.total_seconds()):
                answer: handed.Answer | None = await answered
                return answer
        except (TimeoutError, ConnectionError):
            return None
        finally:
            self._asked.pop(question.number, None)

    @property
    def _unsent_bytes(self) -> int:
        return 0 if self._writer is None else self._writer.transport.get_write_buffer_size()

    def _lost(self, why: str) -> None:
        if self.sound:
            log.warning("door_alone", door=self._door, why=why)
        self.sound = False

    # --- the service, as it comes and goes ---

    async def run(self) -> None:
        """For ever: reach the service, hand over what was kept, and see whether it turns."""
        while True:
            await self._connected()
            await self._clock.wait(AGAIN)

    async def _connected(self) -> None:
        """Until the connection ends."""
        try:
            with local(self._directory) as path:
                reader, self._writer = await asyncio.open_unix_connection(path)
        except OSError:
            return
        listens = asyncio.create_task(self._listen(reader), name="door-answers")
        try:
            while not listens.done():
                await self._look()
                await self._clock.wait(AGAIN)
        finally:
            self._lost("service_gone")
            self._writer.close()
            self._writer = None
            listens.cancel()
            await asyncio.gather(listens, return_exceptions=True)

    async def _look(self) -> None:
        """Whether the service turns, and whether all that was kept here is with it."""
        standing = handed.Standing(number=next(self._numbers), door=self._door, spooled=len(self._spool))
        if not isinstance(await self._ask(standing), handed.Heard):
            self._lost("does_not_turn")
        elif await self._hand_over() and not self.sound:
            log.info("door_with_service", door=self._door)
            self.sound = True

    async def _hand_over(self) -> bool:
        """Whether the service has all that it can take: what it refuses (a tenant that it does not know yet) stays."""
        refused: set[bytes] = set()
        while waiting := [each for each in await self._spool.waiting() if each.receipt not in refused]:
            there: set[bytes] = set()
            for start in range(0, len(waiting), HANDED_AT_ONCE):
                piece = waiting[start : start + HANDED_AT_ONCE]
                answers = await asyncio.gather(*(self._kept(spooled) for spooled in piece))
                told = list(zip(piece, answers, strict=True))
                there |= {spooled.receipt for spooled, answer in told if isinstance(answer, handed.Heard)}
                refused |= {spooled.receipt for spooled, answer in told if isinstance(answer, handed.Failed)}
                if None in answers:
                    break
            if there:
                await self._spool.drop(there)
            if len(there) + len(refused) < len(waiting):
                return False
        return True

    async def _kept(self, spooled: Spooled) -> handed.Answer | None:
        return await self._ask(handed.Kept(number=next(self._numbers), spooled=spooled))

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        """Give each answer to who waits for it, until the connection ends; then nobody waits any longer."""
        try:
            while True:
                answer = handed.answers.decode(await handed.frame(reader))
                waiting = self._asked.get(answer.number)
                if waiting is not None and not waiting.done():
                    waiting.set_result(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except (ValueError, msgspec.MsgspecError) as foreign:
            log.error("service_not_understood", error=type(foreign).__name__)
        finally:
            for waiting in self._asked.values():
                if not waiting.done():
                    waiting.set_result(None)


def _named(by: Came) -> Came:
    return by if by.incident else replace(by, incident=IncidentId(new_id()))


def _id(by: Came) -> IncidentId:
    assert by.incident is not None
    return by.incident
