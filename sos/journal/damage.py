"""Events that stand in the journal and cannot be read: counted, logged once, and shown to whoever watches the house.

A reader sets such an event aside when it meets it.  Here are those that were handled well and were damaged later, which
only whoever reads a whole stream meets: help goes on with what can be read, and somebody must know of the rest.
"""

from collections import OrderedDict
from collections.abc import Sequence

import structlog
from prometheus_client import CollectorRegistry, Counter

from sos.incident.events import Recorded
from sos.incident.model import StreamId

log = structlog.get_logger()

REMEMBERED = 4096
"""Damaged events that are told once only; beyond, an old one may be told again."""


class Damage:
    def __init__(self) -> None:
        self.figures = CollectorRegistry()
        self._count = Counter(
            "sos_events_unreadable", "Events of the journal whose header cannot be read", registry=self.figures
        )
        self._told: OrderedDict[tuple[StreamId, int], None] = OrderedDict()
        self._doubled: set[tuple[StreamId, int]] = set()

    @property
    def stands(self) -> bool:
        """Whether anything that was read last could not be."""
        return bool(self._told or self._doubled)

    def look(self, read: Sequence[Recorded]) -> None:
        """Tell of each that is damaged, once until it could be read again or this process ends."""
        for each in read:
            if each.damaged:
                self._note(each)
            elif self._told:
                self._told.pop((each.stream, each.n), None)

    def doubled(self, stream: StreamId, n: int) -> None:
        """Tell of an event whose number another has: it stays without a place."""
        if (stream, n) in self._doubled or len(self._doubled) == REMEMBERED:
            return
        self._doubled.add((stream, n))
        self._count.inc()
        log.error("event_doubled", stream=stream, n=n)

    def _note(self, damaged: Recorded) -> None:
        if (damaged.stream, damaged.n) in self._told:
            return
        self._told[damaged.stream, damaged.n] = None
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        self._count.inc()
        log.error("event_unreadable", stream=damaged.stream, n=damaged.n, position=damaged.position)
