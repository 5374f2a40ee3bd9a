"""Figures on an address and a port of their own, so that no proxy in front of the doors can ever pass them on.

Figures tell how busy the centre is, and that is nobody's but ours.  They are an extra: a port that another program has
is said in the log and tried again, and no call waits for it.
"""

from collections.abc import Callable
from datetime import timedelta

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from sos.clock import Clock
from sos.front.headers import furnish
from sos.problems import problems_middleware

log = structlog.get_logger()

AGAIN = timedelta(seconds=30)


async def serve(figures: Callable[[], bytes], *, host: str, port: int, clock: Clock) -> None:
    """Answer ``GET /metrics`` there, for ever."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=figures(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application(middlewares=(problems_middleware,))
    furnish(app, secure=False)
    app.add_routes([web.get("/metrics", answer)])
    while True:
        runner = web.AppRunner(app, access_log=None)
        try:
            await runner.setup()
            await web.TCPSite(runner, host, port).start()
            await clock.wait(timedelta(days=3650))
        except OSError as taken:
            log.warning("figures_nowhere", host=host, port=port, why=taken.strerror)
        finally:
            await runner.cleanup()
        await clock.wait(AGAIN)
