"""One desk's WebSocket: orders in, answers and events out.

Two phases: the session is checked before the socket opens, then the desk is told where things stand (``arrival``) and
follows the hub.  Every order (``orders``) has an id and gets exactly one reply.
"""

import asyncio
from datetime import timedelta

import structlog
from aiohttp import WSCloseCode, WSMsgType, web

from sos.accesses import refused
from sos.console import arrival, frames, refusals
from sos.console.access import Operator
from sos.console.hub import Mailbox, message
from sos.console.orders import contract
from sos.console.orders.desk import Beat
from sos.console.orders.order import Order
from sos.console.room import Room
from sos.console.sessions import Session
from sos.console.window import Window
from sos.errors import Bug, Forbidden, Malformed, SosError, Unavailable

log = structlog.get_logger()

ARRIVE_AGAIN = timedelta(seconds=1)


class DeskSocket:
    """One connected desk."""

    def __init__(self, room: Room, operator: Operator, session: Session) -> None:
        self._room = room
        self._operator = operator
        self._session = session

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(heartbeat=15.0, max_msg_size=64 * 1024, compress=False)
        await socket.prepare(request)
        name, room = self._operator.id, self._room
        window = Window(room, self._operator, room.hub.join(), self._session)
        self._session.windows[window.seat] = lambda why: _ended(window, why)
        active = room.desks.arrive(window.desk, name, seat=window.seat, tell=lambda here: _moved(window, here))
        sent = request.query.get("after", "")
        after = arrival.position_of(sent)
        tasks = [asyncio.create_task(_send(socket, window.mailbox), name=f"desk-{name}")]
        try:
            arrival.welcome(window, active=active)
            if sent and after is None:
                window.mailbox.put(_reply(window, 0, error=Malformed(arrival.NO_POSITION, field="after")))
            if not await _arrive(window, after):
                tasks.append(asyncio.create_task(_arrive_later(window), name=f"late-{name}"))
            await _listen(socket, window, request)
        finally:
            self._session.windows.pop(window.seat, None)
            room.hub.leave(window.mailbox)
            room.desks.leave(window.desk, seat=window.seat)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return socket


async def _arrive(window: Window, after: int | None) -> bool:
    """Whether the desk has been told where things stand; False while the database is away."""
    try:
        await arrival.catch_up(window, after=after)
    except Unavailable as away:
        log.warning("desk_waits", desk=window.desk, reason=str(away))
        return False
    return True


async def _arrive_later(window: Window) -> None:
    """Until then the desk hears only what rings without the database."""
    arrived = False
    while not arrived:
        await window.room.journal.clock.wait(ARRIVE_AGAIN)
        arrived = await _arrive(window, None)


# --- out ---


async def _send(socket: web.WebSocketResponse, mailbox: Mailbox) -> None:
    while (text := await mailbox.take()) is not None:
        await socket.send_str(text)
    await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"reconnect and resume")


def _moved(window: Window, active: bool) -> None:
    """The desk is worked at in this window, or in another one, from now on."""
    window.mailbox.put(message(frames.Seat(active=active)))


def _ended(window: Window, why: str) -> None:
    """The log-in is over: nothing more is told here."""
    window.room.hub.leave(window.mailbox)
    window.mailbox.put(message(frames.Ended(why=why)))
    window.mailbox.close()


# --- in ---


async def _listen(socket: web.WebSocketResponse, window: Window, request: web.Request) -> None:
    async for frame in socket:
        if frame.type is WSMsgType.TEXT:
            if not window.session.live:
                return
            window.mailbox.put(await _answer(frame.data, window, request))
        elif frame.type is WSMsgType.ERROR:
            return


async def _answer(frame: str, window: Window, request: web.Request) -> str:
    try:
        order = contract.order_of(frame)
    except Malformed as wrong:
        refused(request, "order", who=f"operator:{window.operator.id}", reason="malformed")
        return _reply(window, contract.number_of(frame), error=wrong)
    if order.works:
        window.session.worked(window.room.journal.clock.now())
        window.room.desks.work(window.desk, seat=window.seat)
    return await _obey(order, window, request)


async def _obey(order: Order, window: Window, request: web.Request) -> str:
    try:
        result = await contract.give(order, window)
    except Forbidden as no:
        name = str(order.__struct_config__.tag)
        refused(request, "order", who=f"operator:{window.operator.id}", reason=no.rule or "forbidden", about=name)
        return _reply(window, order.id, error=no)
    except SosError as no:
        return _reply(window, order.id, error=no)
    except Exception as bug:  # the edge of one order
        log.exception("order_failed", order=type(order).__name__, incident=getattr(order, "incident", None))
        return _reply(window, order.id, error=bug)
    return message(frames.Beat()) if isinstance(order, Beat) else _reply(window, order.id, result=result)


def _reply(window: Window, order: int, *, result: object = None, error: Exception | None = None) -> str:
    if error is None:
        return message(frames.Reply(id=order, ok=True, result=result, error=None))
    no = error if isinstance(error, SosError) else Bug()
    title = (type(no).__doc__ or "").strip().splitlines()[0]
    told = refusals.told(no, name_of=window.room.name_of)
    fault = frames.Fault(type=type(no).__name__, title=title, detail=str(no), code=told.code, words=(told.ja, told.en))
    return message(frames.Reply(id=order, ok=False, result=None, error=fault))
