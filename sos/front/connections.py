"""Who may be connected: a stranger who opens thousands of connections and says nothing never costs a crash its answer.

A connection on which no request is running is *waiting*.  The process has room for so many (its file descriptors less a
reserve for database, spool and voice); when the room is full, the connection that has waited longest makes place for
the one that comes, so that whoever has something to say is let in.  Addresses that have shown a credential lately have
a share that strangers cannot take.  A connection must send its first request soon, a request's head and body in time,
and one address has no more than its share, unless it is a proxy that stands for many.
"""

import asyncio
import errno
import logging
import os
import resource
import socket
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.typedefs import Middleware
from msgspec import Struct
from multidict import CIMultiDict, CIMultiDictProxy

from sos.errors import Misconfigured
from sos.formats.unpacked import Unpacked
from sos.front.headers import ALWAYS
from sos.problems import Problem, TooSlow, respond

HEAD_WITHIN_S = 10.0
"""From the connection to the end of the first request's head: a vehicle on a bad cell sends it in two."""
KEEPALIVE_S = 75.0
"""Between requests: longer than the proxy keeps them (nginx and Caddy 60 s), so that it never meets a closed one."""
BODY_WITHIN_S = 30.0
"""From the head to the end of the body, on every route; doors that can work with half a body wait less."""
LARGE_BODY_WITHIN_S = 120.0
"""For what a registrar sends: 64 MB over 5 Mbit/s."""
LINGER_S = 2.0
"""Reading on after an early answer, so that the sender sees the answer and not a reset."""

_NOWHERE = logging.getLogger("sos.front.nowhere")
_NOWHERE.disabled = True  # aiohttp's own access log would hold addresses with credentials

RESERVE = 200
"""File descriptors that no connection gets: database, spool, log, recordings, workers, MQTT, mail, agencies."""
AT_ONCE = 64
"""Accepted before any is looked at, each with a descriptor that nobody counts yet: less than ``RESERVE``."""
BACKLOG = 4096
"""Not accepted yet, in the kernel, which may hold fewer (net.core.somaxconn)."""
KNOWN_SHARE = 4
"""One of so many places is kept for addresses that have shown a credential."""
KNOWN_FOR_S = 3600.0
MOST_KNOWN = 4096
WANTED_DESCRIPTORS = 65_536
"""As the systemd unit sets it; a shell's 1,024 is raised to what the system allows."""


class Room(Struct, frozen=True, kw_only=True):
    """How many connections there may be."""

    most: int
    per_address: int
    proxies: Collection[str] = ()
    """Addresses that stand for many: the TLS proxy."""
    head_within_s: float = HEAD_WITHIN_S
    body_within_s: float = BODY_WITHIN_S

    @classmethod
    def of_this_process(cls, *, per_address: int, proxies: Collection[str]) -> "Room":
        """As many as the system gives descriptors for; asks it for more first."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = WANTED_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, WANTED_DESCRIPTORS)
        if soft < wanted:
            with suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
                soft = wanted
        return cls(most=max(64, soft - RESERVE), per_address=per_address, proxies=proxies)


class Visitor(web.RequestHandler):
    """One connection."""

    def __init__(self, server: web.Server, hall: "Hall", *, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            server,
            loop=loop,
            access_log=_NOWHERE,
            keepalive_timeout=KEEPALIVE_S,
            lingering_time=LINGER_S,
            auto_decompress=False,  # ``Unpacked`` does it, and knows the bytes as they came
        )
        self._hall = hall
        self.address = ""
        self._first: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if peer else ""
        super().connection_made(transport)
        if not self._hall.came(self):
            self.force_close()
            return
        self._first = asyncio.get_running_loop().call_later(self._hall.room.head_within_s, self.force_close)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.heard()
        self._hall.left(self)
        super().connection_lost(exc)

    def heard(self) -> None:
        """The head of a request is here."""
        if self._first is not None:
            self._first.cancel()
            self._first = None

    def handle_error(
        self, request: Any, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """What could not even be read as a request: answered like any other, without our versions or their bytes."""
        super().handle_error(request, status, exc, message)
        answer = respond(Problem(type="about:blank", title=HTTPStatus(status).phrase, status=status), headers=ALWAYS)
        answer.force_close()
        return answer


class Hall:
    """All connections of this process."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self._by_address: Counter[str] = Counter()
        self._there: set[Visitor] = set()
        self._waiting: OrderedDict[Visitor, None] = OrderedDict()
        self._known: OrderedDict[str, float] = OrderedDict()
        self.turned_away = self.sent_away = 0
        """How many were not let in, and how many had to make place."""

    @property
    def connected(self) -> int:
        return len(self._there)

    def came(self, visitor: Visitor) -> bool:
        """Whether there is place, made by sending away who has waited longest if need be."""
        address, known = visitor.address, self.knows(visitor.address)
        self._there.add(visitor)
        self._by_address[address] += 1
        self._waiting[visitor] = None
        if self._by_address[address] > self.room.per_address and address not in self.room.proxies and not known:
            self.turned_away += 1
            return False
        most = self.room.most if known else self.room.most - self.room.most // KNOWN_SHARE
        return len(self._there) <= most or self._made_place(but=visitor)

    def left(self, visitor: Visitor) -> None:
        self._waiting.pop(visitor, None)
        if visitor in self._there:
            self._there.discard(visitor)
            self._by_address[visitor.address] -= 1
            if not self._by_address[visitor.address]:
                del self._by_address[visitor.address]

    def works(self, visitor: Visitor) -> None:
        visitor.heard()
        self._waiting.pop(visitor, None)

    def rests(self, visitor: Visitor) -> None:
        if visitor in self._there:
            self._waiting[visitor] = None

    def knows(self, address: str) -> bool:
        until = self._known.get(address)
        return until is not None and until > asyncio.get_running_loop().time()

    def introduce(self, address: str) -> None:
        """Somebody there has shown a credential."""
        if address in self.room.proxies:
            return  # it stands for strangers too
        self._known[address] = asyncio.get_running_loop().time() + KNOWN_FOR_S
        self._known.move_to_end(address)
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)

    def _made_place(self, *, but: Visitor) -> bool:
        strangers = (each for each in self._waiting if each is not but and not self.knows(each.address))
        chosen = next(strangers, None)
        if chosen is None:
            self.turned_away += 1
            return False
        self.sent_away += 1
        self.left(chosen)
        chosen.force_close()
        return True

    def middleware(self) -> Middleware:
        """Outermost: who is being answered is not waiting, and whose body does not come is not waited for."""

        @web.middleware
        async def attend(
            request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            visitor = request.protocol
            if not isinstance(visitor, Visitor):
                return await handler(request)
            self.works(visitor)
            timer = _body_timer(request, self.room.body_within_s)
            try:
                answer = await handler(request)
                if answer.status < 400 and _shows_a_credential(request):
                    self.introduce(visitor.address)
                return answer
            finally:
                if timer is not None:
                    timer.cancel()
                self.rests(visitor)

        return attend


def _understood(head: RawRequestMessage) -> RawRequestMessage:
    """``head`` without what a sender may ask and aiohttp breaks on.

    An expectation that is none of ours may be ignored (RFC 9110 10.1.1), and a report is not turned away for one; an
    upgrade to what is no text is an upgrade to nothing.
    """
    unheard = set()
    if head.headers.get("Expect", "100-continue").lower() != "100-continue":
        unheard.add("expect")
    if not head.headers.get("Upgrade", "").isascii():
        unheard.add("upgrade")
    if not unheard:
        return head
    return head._replace(headers=CIMultiDictProxy(CIMultiDict(_without(head.headers, unheard))))


def _without(headers: CIMultiDictProxy[str], names: set[str]) -> Iterable[tuple[str, str]]:
    return [(each, value) for each, value in headers.items() if each.lower() not in names]


def _body_timer(request: web.Request, within_s: float) -> asyncio.TimerHandle | None:
    if not request.can_read_body or request.content.is_eof():
        return None
    within = max(within_s, LARGE_BODY_WITHIN_S) if request.path.startswith("/v1/registry/") else within_s
    return asyncio.get_running_loop().call_later(within, _too_slow, request, within)


def _too_slow(request: web.Request, within: float) -> None:
    if not request.content.is_eof():
        request.content.set_exception(TooSlow(f"The body did not arrive whole within {within:g} s; send it again."))


def _shows_a_credential(request: web.Request) -> bool:
    return "Authorization" in request.headers or "Signature" in request.headers


class Listening(Struct, frozen=True):
    """An application that is being asked."""

    sockets: Sequence[socket.socket]
    """Where; another one that is given them listens from the first moment on, and nobody is refused between the two."""
    close: Callable[[], None]
    """Take no new connection."""
    stop: Callable[[], Awaitable[None]]
    """End it, once what is being answered is."""


async def serve(
    app: web.Application,
    hall: Hall,
    *,
    host: str,
    port: int,
    ssl_context: Any,
    sockets: Sequence[socket.socket] = (),
) -> Listening:
    """Listen, through ``hall``, at ``sockets`` where there are any.

    ``Misconfigured`` where somebody else has the port.
    """
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=5.0)
    await runner.setup()
    server = runner.server
    assert server is not None
    make = server.request_factory

    def request(head: RawRequestMessage, content: Any, *others: Any) -> web.BaseRequest:
        unpacked: Any = Unpacked(content, head.compression) if head.compression else content
        return make(_understood(head), unpacked, *others)

    server.request_factory = request
    loop = asyncio.get_running_loop()

    async def listen(**at: Any) -> asyncio.Server:
        return await loop.create_server(
            lambda: Visitor(server, hall, loop=loop),
            backlog=AT_ONCE,
            ssl=ssl_context,
            ssl_handshake_timeout=HEAD_WITHIN_S if ssl_context else None,
            **at,
        )

    try:
        listening = [await listen(sock=each.dup()) for each in sockets] or [await listen(host=host, port=port)]
    except OSError as refused:
        await runner.cleanup()
        raise Misconfigured(_not_listening(host, port, refused)) from refused

    same = [socket.socket(fileno=os.dup(each.fileno())) for each_server in listening for each in each_server.sockets]
    for each in same:
        each.listen(BACKLOG)

    def close() -> None:
        for each_server in listening:
            each_server.close()
        for each in same:
            each.close()

    async def stop() -> None:
        close()
        await runner.cleanup()

    return Listening(same, close, stop)


def _not_listening(host: str, port: int, refused: OSError) -> str:
    """Why, and the way out."""
    if refused.errno == errno.EADDRINUSE:
        return (
            f"port {port} of {host} is taken by another program: name a free one with the setting port, or with --port"
            f" where this is the demonstration (./ops/run --port {port + 1})"
        )
    return f"cannot listen at {host} port {port} ({refused.strerror}): look at the settings host and port"
