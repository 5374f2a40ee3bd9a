"""Ports for servers that tests start, given so that nobody else gets them meanwhile.

Asking the kernel for a free port and closing it again is a race: until the server listens, the kernel may give that
port to any connection of this machine.  So ports come from below the kernel's range, and each process holds the lock of
a block of them for as long as it lives: another worker, another run and another clone draw from other blocks.
"""

import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

FIRST = 10_240
BLOCK = 128
_LOCKS = Path(tempfile.gettempdir()) / f"sos-test-ports-{os.getuid()}"
_held: list[int] = []
"""Descriptors of this process's locks: closing one would give its block away."""


def free_port() -> int:
    """One that is nobody's, and that no other test is given while this process lives."""
    return next(port for port in _ours if is_free(port))


def neighbours() -> tuple[int, int]:
    """Two such ports, one after the other."""
    first = free_port()
    while (second := free_port()) != first + 1:
        first = second
    return first, second


def end() -> int:
    """The first port that the kernel gives by itself; where it gives all of them, ours are among them."""
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    return low if low >= FIRST + 16 * BLOCK else 32_768


def _drawn() -> Iterator[int]:
    _LOCKS.mkdir(mode=0o700, exist_ok=True)
    for first in range(FIRST, end() - BLOCK + 1, BLOCK):
        if _lock(_LOCKS / str(first)):
            yield from range(first, first + BLOCK)
    raise AssertionError(f"every port from {FIRST} to {end()} is in use by tests")


def _lock(file: Path) -> bool:
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return False
    _held.append(descriptor)
    return True


def is_free(port: int) -> bool:
    """For TCP and for UDP, on every address of this machine."""
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with closing(socket.socket(socket.AF_INET, kind)) as probe:
            try:
                probe.bind(("", port))
            except OSError:
                return False
    return True


_ours = _drawn()
