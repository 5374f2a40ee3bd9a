"""What could not be opened although nobody destroyed it: counted, logged once, and shown to whoever watches the house.

A key that is lost or damaged stops no call; it must be seen all the same, or the day on which a backup still had it
goes by.  Figures and log lines name streams, categories and reasons, never contents.
"""

from collections import OrderedDict

import structlog
from prometheus_client import CollectorRegistry, Counter

from routing.categories import Category
from sos.incident.model import StreamId
from sos.journal.keyring import Shut

log = structlog.get_logger()

REMEMBERED = 4096
"""Losses that are told once only; beyond, an old one may be told again."""


class Losses:
    def __init__(self) -> None:
        self.figures = CollectorRegistry()
        self._count = Counter(
            "sos_parts_unreadable",
            "Categories of incidents and subjects that cannot be opened although nobody destroyed them",
            ["category", "why"],
            registry=self.figures,
        )
        self._told: OrderedDict[tuple[StreamId, Category], None] = OrderedDict()

    @property
    def count(self) -> int:
        """How many categories of incidents could not be opened, as far as this process remembers."""
        return len(self._told)

    def note(self, stream: StreamId, category: Category, why: Shut) -> None:
        """This cannot be opened; told once, until it could be opened again or this process ends."""
        if (stream, category) in self._told:
            return
        self._told[stream, category] = None
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        self._count.labels(category, why).inc()
        log.error("part_unreadable", stream=stream, category=category, why=str(why))
