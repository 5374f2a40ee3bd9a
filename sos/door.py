"""A door in a process of its own: takes emergency reports while the service is killed, hangs or is upgraded.

Several share one port; each has a directory with its spool and its lines of the access log.  What it knows of senders
it has from the settings.  ``sos.intake.relay`` says what becomes of a report.
"""

import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path

import msgspec
import structlog
from aiohttp import web

from sos import accesses
from sos.clock import Clock
from sos.errors import Misconfigured
from sos.figures import spool_usable
from sos.front import configured as front
from sos.front import connections, headers
from sos.intake.acceptance import Acceptance
from sos.intake.auth import NONCES_KEPT
from sos.intake.configured import credentials, tls
from sos.intake.findings import MAX_BODY_BYTES
from sos.intake.http import routes
from sos.intake.left import DOORS
from sos.intake.nonces import Nonces
from sos.intake.receipts import Receipts
from sos.intake.recent import Recent
from sos.intake.relay import Relay
from sos.intake.spooling import SpoolReception
from sos.interpreter import spare_the_loop
from sos.journal.configured import make_home
from sos.journal.root_keys import key_store
from sos.journal.sole import Sole
from sos.journal.spool import Spool
from sos.problems import problems_middleware
from sos.settings import Settings
from sos.supervisor import Supervisor

log = structlog.get_logger()

ANSWERS_WITHIN = timedelta(seconds=1.5)
"""How long the service may take beyond ``accept_within_ms``, by which it has a report on disk itself."""


@asynccontextmanager
async def door(settings: Settings, *, clock: Clock) -> AsyncIterator[Relay]:
    """A door, listening, until the context is left.

    ``Misconfigured`` where the settings want none, or somebody else has its port.
    """
    if not settings.door_port:
        raise Misconfigured("door_port is 0: give the doors a port, and tell the proxy to send /v1/events there")
    os.umask(0o077)
    make_home(settings.data)
    async with AsyncExitStack() as stack:
        number, home = stack.enter_context(own_home(settings.data))
        keys = key_store(settings)
        spool = Spool(home, keys.secret("spool"))
        await spool.open()
        within = timedelta(milliseconds=settings.accept_within_ms)
        receipts = Receipts(keys.secret("intake"))
        alone = Acceptance(SpoolReception(spool), receipts, Recent(), join_within=within)
        relay = Relay(settings.data, alone, spool, clock=clock, within=within + ANSWERS_WITHIN, door=number)
        known = credentials(settings, nonces=Nonces(NONCES_KEPT, settings.data / "nonces.sqlite"))
        stack.callback(known.close)
        supervisor = Supervisor(clock)
        stack.push_async_callback(supervisor.stop)
        supervisor.start("service", relay.run)
        spare_the_loop()
        hall = front.hall(settings)
        app = _application(stack, settings, hall, clock, home)
        app.add_routes([*routes(relay, known, clock), *_Health(relay, spool, home).routes()])
        host = settings.door_host or settings.host
        listening = await connections.serve(
            app,
            hall,
            host=host,
            port=settings.door_port,
            ssl_context=tls(settings),
            sockets=(stack.enter_context(shared_socket(host, settings.door_port)),),
        )
        stack.push_async_callback(listening.stop)
        log.info("listening", door=number, host=host, port=settings.door_port)
        yield relay


@contextmanager
def own_home(data: Path) -> Iterator[tuple[int, Path]]:
    """The first number that no living door has, and its directory."""
    for number in count(1):
        home = data / DOORS / str(number)
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        sole = Sole(home)
        if sole.take():
            break
    try:
        yield number, home
    finally:
        sole.release()


@contextmanager
def shared_socket(host: str, port: int) -> Iterator[socket.socket]:
    """A listener beside those of other doors: the kernel gives each connection to one of them (SO_REUSEPORT)."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            listener.bind(address)
        except OSError as refused:
            raise Misconfigured(
                f"port {port} of {host} cannot be had ({refused.strerror}): look at door_port and door_host"
            ) from refused
        yield listener


def _application(
    stack: AsyncExitStack, settings: Settings, hall: connections.Hall, clock: Clock, home: Path
) -> web.Application:
    monitor = stack.enter_context(front.access_monitor(settings, clock, under=home))
    middlewares = (hall.middleware(), problems_middleware, monitor.middleware())
    app = web.Application(middlewares=middlewares, client_max_size=MAX_BODY_BYTES + 1)
    app[accesses.LOG] = monitor
    headers.furnish(app, secure=settings.secure, subdomains=settings.hsts_subdomains)
    return app


class _Health:
    """Whether the door turns, and whether it can take a report: for whoever starts it and for the proxy."""

    def __init__(self, relay: Relay, spool: Spool, home: Path) -> None:
        self._relay = relay
        self._spool = spool
        self._home = home

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/healthz", self._alive), web.get("/readyz", self._ready)]

    async def _alive(self, _: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def _ready(self, _: web.Request) -> web.Response:
        ready = self._relay.sound or spool_usable(self._home)
        state = {"ready": ready, "service": self._relay.sound, "spooled": len(self._spool)}
        return web.Response(
            status=200 if ready else 503, body=msgspec.json.encode(state), content_type="application/json"
        )
