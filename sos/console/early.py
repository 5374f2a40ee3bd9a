"""The desks while the service waits for its database: whoever sits there sees what came in, and how to reach whom.

Nothing can be answered here until the journal can be written.  A desk gets the cards of the spool, the agencies with
their telephone numbers and the health of the house; orders are refused, and once the service is whole the socket is
closed and the page comes again.
"""

import asyncio
from collections.abc import Callable, Mapping

from aiohttp import WSCloseCode, WSMsgType, web
from msgspec import Struct

from routing.cards import shipped
from routing.directory import Directory
from sos.clock import Clock, timestamp
from sos.console import frames, refusals
from sos.console.access import Operator
from sos.console.arrival import agencies_of, asked
from sos.console.entrance import Entrance, same_origin
from sos.console.hub import Hub, Mailbox, message
from sos.console.orders import contract
from sos.console.orders.desk import Beat
from sos.console.outage import Outage
from sos.errors import Malformed, SosError, Unavailable
from sos.incident.model import DeskId, OperatorId
from sos.journal.store import NOT_OPEN

BOOT = "early"
"""Stands for no voice: legs are offered anew to the service that comes."""


class EarlyDesks(Struct, frozen=True, kw_only=True):
    """What these desks share."""

    entrance: Entrance
    hub: Hub
    outage: Outage
    directory: Directory
    lines: Mapping[str, Mapping[str, str]]
    colleagues: Mapping[OperatorId, str]
    demo: bool
    clock: Clock
    health: Callable[[], Mapping[str, frames.Health]]

    def routes(self) -> list[web.RouteDef]:
        return [*self.entrance.routes(), web.get("/console/socket", self._socket)]

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        entry = self.entrance.entry(request)
        same_origin(request)
        socket = web.WebSocketResponse(heartbeat=15.0, max_msg_size=64 * 1024, compress=False)
        await socket.prepare(request)
        mailbox = self.hub.join()
        sending = asyncio.create_task(_send(socket, mailbox), name=f"early-desk-{entry.operator.id}")
        try:
            mailbox.put(message(self._welcome(entry.operator)))
            self.outage.tell(mailbox)
            mailbox.put(message(frames.HealthFrame(items=self.health(), waiting=0)))
            async for frame in socket:
                if frame.type is WSMsgType.TEXT:
                    mailbox.put(self._answer(frame.data))
        finally:
            self.hub.leave(mailbox)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        return socket

    def _welcome(self, operator: Operator) -> frames.Welcome:
        return frames.Welcome(
            operator=frames.Sitting(id=operator.id, name=operator.name, supervisor=operator.supervisor),
            desk=DeskId(f"desk-{operator.id}"),
            active=True,
            now=timestamp(self.clock.now()),
            demo=self.demo,
            boot=BOOT,
            agencies=agencies_of(self.directory, self.lines),
            languages=("ja", "en"),
            brands={},
            cards={"": asked(shipped())},
            interpreters=[],
            colleagues={id: name for id, name in self.colleagues.items() if id != operator.id},
            dials=False,
            voice="none",
            roads=(),
        )

    def _answer(self, frame: str) -> str:
        try:
            order = contract.order_of(frame)
        except Malformed as wrong:
            return self._refusal(contract.number_of(frame), wrong)
        if isinstance(order, Beat):
            return message(frames.Beat())
        return self._refusal(order.id, Unavailable(f"the journal's database does not answer ({NOT_OPEN})"))

    def _refusal(self, order: int, no: SosError) -> str:
        title = (type(no).__doc__ or "").strip().splitlines()[0]
        told = refusals.told(no, name_of=self._name_of)
        fault = frames.Fault(
            type=type(no).__name__, title=title, detail=str(no), code=told.code, words=(told.ja, told.en)
        )
        return message(frames.Reply(id=order, ok=False, result=None, error=fault))

    def _name_of(self, known: str) -> tuple[str, str] | None:
        agency = self.directory.agencies.get(known)
        return None if agency is None else (agency.name_ja, agency.name_en)


async def _send(socket: web.WebSocketResponse, mailbox: Mailbox) -> None:
    while (text := await mailbox.take()) is not None:
        await socket.send_str(text)
    await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"reconnect and resume")
