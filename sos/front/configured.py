"""Who may be connected, and what watches over access, as the settings want it."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sos.clock import Clock
from sos.front import figures
from sos.front.access_log import AccessLog
from sos.front.access_monitor import AccessMonitor
from sos.front.connections import Hall, Room
from sos.settings import Settings


def hall(settings: Settings) -> Hall:
    """Room for connections: as many as this process may have, wide for a proxy on this machine."""
    return Hall(Room.of_this_process(per_address=settings.connections_per_address, proxies=_proxies(settings)))


@contextmanager
def access_monitor(settings: Settings, clock: Clock, *, under: Path | None = None) -> Iterator[AccessMonitor]:
    """Who comes in, who is refused: beside the journal, in files of its own; ``under`` another directory than that of
    the data where another process writes."""
    lines = AccessLog((under or settings.data) / "access")
    try:
        yield AccessMonitor(lines, clock=clock, proxies=_proxies(settings))
    finally:
        lines.close()


def figures_shown(
    settings: Settings, given: Callable[[], bytes], clock: Clock
) -> Iterator[tuple[str, Callable[[], Awaitable[None]]]]:
    """What gives figures out, for ever, where the settings want them anywhere."""
    host, port = settings.metrics_host, settings.metrics_port
    if port:
        yield "figures", lambda: figures.serve(given, host=host, port=port, clock=clock)


def _proxies(settings: Settings) -> tuple[str, ...]:
    return (*settings.trusted_proxies, "127.0.0.1", "::1")
