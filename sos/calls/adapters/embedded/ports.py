"""The UDP ports that voice may use, so that a firewall opens those and no others."""

import secrets
import socket
from dataclasses import dataclass

from sos.errors import Misconfigured

_LOWEST, _HIGHEST = 1024, 65_535


@dataclass(frozen=True, slots=True)
class MediaPorts:
    """From ``first`` to ``last``; both 0 for whichever the operating system gives."""

    first: int = 0
    last: int = 0

    @classmethod
    def read(cls, text: str) -> "MediaPorts":
        """``50000-50999``; empty for any.  ``Misconfigured`` when it is no such range."""
        if not text:
            return cls()
        first, _, last = text.partition("-")
        if not (first.isascii() and first.isdigit() and last.isascii() and last.isdigit() and len(text) <= 11):
            raise Misconfigured("media_ports is a range such as 50000-50999, or empty")
        ports = cls(int(first), int(last))
        if not _LOWEST <= ports.first <= ports.last <= _HIGHEST:
            raise Misconfigured(f"media_ports lie between {_LOWEST} and {_HIGHEST}, the lower one first")
        return ports

    def bound(self, address: str) -> socket.socket:
        """A socket that is bound to a free one of them; ``OSError`` when none is free, or ``address`` is not ours."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        opened = socket.socket(family, socket.SOCK_DGRAM)
        opened.setblocking(False)
        count = self.last - self.first + 1
        begin = secrets.randbelow(count)  # processes that share the range seldom try the same
        for step in range(count):
            try:
                opened.bind((address, self.first + (begin + step) % count))
            except OSError as taken:
                refused = taken
            else:
                return opened
        opened.close()
        raise refused


ANY_PORT = MediaPorts()
