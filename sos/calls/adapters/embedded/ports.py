"""The UDP ports that voice may use, so that a firewall opens those and no others."""

import secrets
import socket
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MediaPorts:
    """From ``first`` to ``last``; both 0 for whichever the operating system gives."""

    first: int = 0
    last: int = 0

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
