"""Tells the machine's supervisor that the event loop turns: sd_notify(3), so that a service that hangs is restarted.

systemd names a socket in ``NOTIFY_SOCKET`` and, where the unit has ``WatchdogSec=``, an interval in ``WATCHDOG_USEC``.
``READY=1`` goes when the doors are open and ``WATCHDOG=1`` from the loop itself at half the interval: a loop that is
blocked sends nothing, and is killed and started again.  Without a socket nothing is sent.
"""

import os
import socket
from collections.abc import Mapping
from datetime import timedelta
from typing import Self

import structlog

from sos.clock import Clock

log = structlog.get_logger()


class Watchdog:
    def __init__(self, address: str, *, every: timedelta | None) -> None:
        """``address`` of the supervisor's datagram socket, empty: there is none; ``every`` None: nobody watches."""
        self._address = address
        self._every = every

    @classmethod
    def of(cls, environment: Mapping[str, str] = os.environ, *, process: int | None = None) -> Self:
        """As the supervisor says; a ``WATCHDOG_PID`` of another process means that not we are watched."""
        watched = environment.get("WATCHDOG_PID") in (None, "", str(process or os.getpid()))
        interval = environment.get("WATCHDOG_USEC", "")
        every = timedelta(microseconds=int(interval)) / 2 if watched and interval.isdecimal() else None
        return cls(environment.get("NOTIFY_SOCKET", ""), every=every or None)

    def ready(self) -> None:
        self._say("READY=1")

    async def run(self, clock: Clock) -> None:
        """Say that the loop turns, for ever; return at once when nobody watches."""
        while self._every is not None:
            self._say("WATCHDOG=1")
            await clock.wait(self._every)

    def _say(self, state: str) -> None:
        if not self._address:
            return
        # an abstract address begins with @ in the environment and with NUL for the kernel
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as said:
                said.setblocking(False)
                said.sendto(state.encode(), address)
        except OSError as failed:
            log.warning("supervisor_not_told", state=state, why=failed.strerror)
