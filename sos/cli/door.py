"""``sos door``: take emergency reports in a process of its own."""

import asyncio

from sos import door as doors
from sos.cli.options import ConfigFile, run
from sos.clock import SystemClock
from sos.settings import Settings, load
from sos.watchdog import Watchdog


def door(config_file: ConfigFile = None) -> None:
    """Take reports beside the service, and while it is down or hangs, until told to stop (SIGTERM or Ctrl+C)."""
    settings = load(config_file)
    settings.require_for_service()
    run(_door(settings))


async def _door(settings: Settings) -> None:
    watchdog, clock = Watchdog.of(), SystemClock()
    async with doors.door(settings, clock=clock):
        watchdog.ready()
        await watchdog.run(clock)
        await asyncio.Event().wait()
