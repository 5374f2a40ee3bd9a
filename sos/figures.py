"""What Prometheus is told: everything stands in memory, so that figures are given out while the database is away.

``Board`` looks at the database every two seconds and keeps the last answer; that there is none is a figure itself.
Every figure is an aggregate, without personal data.  The alert rules and the dashboard (``ops/alerts``,
``ops/dashboards``) name figures of this module and are checked against it by test.
"""

import asyncio
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from cryptography import x509
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from sos.clock import epoch_ms
from sos.console.desks import Desks
from sos.errors import Unavailable
from sos.incident.model import State
from sos.journal.asides import Asides
from sos.journal.configured import Kept
from sos.journal.journal import Journal
from sos.journal.publisher import Publisher
from sos.journal.readers import Follower
from sos.settings import Settings

WITHIN = timedelta(seconds=2)
"""How long the database may take to say how things stand; then it counts as away."""

WAITING = (State.RECEIVED, State.RINGING, State.REOPENED)
OPEN = tuple(state for state in State if state is not State.CLOSED)

SPOOL_FLOOR_BYTES = 16 * 1024 * 1024
"""Free space below which the spool soon cannot keep a report."""


class Space(Protocol):
    """Bytes of a disk."""

    @property
    def free(self) -> int: ...

    @property
    def total(self) -> int: ...


class Tasks(Protocol):
    """Who keeps the long tasks alive."""

    @property
    def deaths(self) -> Mapping[str, int]: ...


class Board:
    """``refresh`` looks, ``render`` tells what was seen; nothing that ``render`` does can wait."""

    def __init__(
        self,
        journal: Journal,
        publisher: Publisher,
        *,
        tasks: Tasks,
        desks: Desks,
        followers: Sequence[Follower],
        asides: Asides,
        data: Path,
        certificates: Sequence[str] = (),
        others: Iterable[CollectorRegistry] = (),
        space: Callable[[Path], Space] = shutil.disk_usage,
    ) -> None:
        """``certificates``: files whose end is watched; ``others``: figures that other parts keep."""
        self._space = space
        self._journal = journal
        self._publisher = publisher
        self._desks = desks
        self._followers = followers
        self._asides = asides
        self._data = data
        self._certificates = tuple(Path(file) for file in certificates if file)
        self._others = tuple(others)
        self._size = 0
        self.database_up: bool | None = None
        """Whether the database answered the last time it was asked; None before that."""
        self.waiting = 0
        """Incidents that nobody has answered, as of the last look."""
        self._registry = CollectorRegistry()
        self._registry.register(_Deaths(tasks))
        self._make()

    @classmethod
    def of(
        cls,
        settings: Settings,
        kept: Kept,
        tasks: Tasks,
        asides: Asides,
        *,
        desks: Desks,
        followers: Sequence[Follower],
        others: Sequence[CollectorRegistry] = (),
    ) -> "Board":
        """Of a whole service, with the figures that the journal keeps of itself."""
        return cls(
            kept.journal,
            kept.publisher,
            tasks=tasks,
            desks=desks,
            followers=followers,
            asides=asides,
            data=kept.data,
            certificates=(settings.tls_certificate, settings.tls_client_ca, settings.mqtt_ca),
            others=(*kept.journal.figures, kept.journal.accepts.figures, kept.custody.figures, *others),
        )

    def _make(self) -> None:
        def gauge(name: str, says: str, labels: Sequence[str] = ()) -> Gauge:
            return Gauge(name, says, labels, registry=self._registry)

        self._ready = gauge("sos_ready", "Whether reports can be accepted: by the database or by the spool")
        self._up = gauge("sos_database_up", "Whether the database answers")
        self._waiting = gauge("sos_incidents_waiting", "Incidents that nobody has answered")
        self._oldest = gauge("sos_waiting_oldest_seconds", "How long the first of them has waited")
        self._incidents = gauge("sos_incidents", "Open incidents", ("state", "tenant"))
        self._log_size = gauge("sos_journal_events", "Events in the journal")
        self._behind = gauge("sos_reader_behind", "Events a reader has still to handle", ("reader",))
        self._set_aside = gauge("sos_reader_set_aside", "Events a reader could not handle", ("reader",))
        self._spool_age = gauge("sos_spool_oldest_seconds", "Age of the oldest spooled report")
        self._spooled = gauge("sos_spool_reports", "Reports that wait in the spool")
        self._late = gauge("sos_deadline_late_seconds", "How late the oldest deadline is that has not been passed")
        self._unpublished = gauge("sos_publisher_behind", "Events that the published log does not cover yet")
        self._stopped = gauge("sos_log_stopped", "Whether log and database have parted, so that nothing is published")
        self._desk_count = gauge("sos_desks", "Desks that are connected", ("state",))
        self._disk = gauge("sos_disk_free_ratio", "Free share of the disk of the data directory")
        self._ends = gauge("sos_certificate_left_seconds", "Until a certificate ends", ("file",))

    # --- looking ---

    async def refresh(self) -> None:
        """Ask the database how things stand; without an answer in time the last one is kept."""
        try:
            async with asyncio.timeout(WITHIN.total_seconds()):
                await self._look()
        except (Unavailable, TimeoutError):
            self.database_up = False
        else:
            self.database_up = True

    async def _look(self) -> None:
        store, now_ms = self._journal.store, epoch_ms(self._journal.clock.now())
        self._size, _ = await store.tree()
        census = await store.census([str(state) for state in OPEN])
        self._incidents.clear()
        for (state, tenant), count in census.counts.items():
            self._incidents.labels(state, tenant).set(count)
        self.waiting = sum(count for (state, _), count in census.counts.items() if state in WAITING)
        opened = [at for state, at in census.first_ms.items() if state in WAITING]
        self._oldest.set(max(0.0, (now_ms - min(opened)) / 1000) if opened else 0)
        due_ms = await store.next_due()
        self._late.set(max(0.0, (now_ms - due_ms) / 1000) if due_ms is not None else 0)

    @property
    def accepts(self) -> bool:
        """Whether a report can be made durable: in the database, or else in the spool."""
        return bool(self.database_up) or self.spool_usable

    @property
    def spool_usable(self) -> bool:
        return spool_usable(self._data, space=self._space)

    # --- telling ---

    def render(self) -> bytes:
        """Everything, as Prometheus reads it."""
        self._ready.set(self.accepts)
        self._up.set(bool(self.database_up))
        self._waiting.set(self.waiting)
        self._log_size.set(self._size)
        for follower in self._followers:
            self._behind.labels(follower.name).set(max(0, self._size - follower.position))
        for name in {*(follower.name for follower in self._followers), *self._asides.waiting}:
            self._set_aside.labels(name).set(self._asides.waiting.get(name, 0))
        oldest = self._journal.spool_oldest
        self._spool_age.set((self._journal.clock.now() - oldest).total_seconds() if oldest else 0)
        self._spooled.set(self._journal.spooled)
        self._unpublished.set(max(0, self._size - self._publisher.published))
        self._stopped.set(bool(self._publisher.stopped))
        for state, count in _desk_states(self._desks).items():
            self._desk_count.labels(state).set(count)
        usage = self._space(self._data)
        self._disk.set(usage.free / usage.total)
        for file in self._certificates:
            self._ends.labels(file.name).set(_left_s(file, now_ms=epoch_ms(self._journal.clock.now())))
        return b"".join(generate_latest(registry) for registry in (self._registry, *self._others))


def spool_usable(data: Path, *, space: Callable[[Path], Space] = shutil.disk_usage) -> bool:
    """Whether the spool below ``data`` can keep a report."""
    return os.access(data / "spool", os.W_OK) and space(data).free >= SPOOL_FLOOR_BYTES


def _desk_states(desks: Desks) -> Mapping[str, int]:
    states = {"ready": 0, "busy": 0, "away": 0}
    for desk in desks:
        if desk.connected:
            states["busy" if desk.incident is not None else "ready" if desk.ready else "away"] += 1
    return states


def _left_s(file: Path, *, now_ms: int) -> float:
    """Seconds until the first certificate in ``file`` ends; one that cannot be read has ended."""
    try:
        ends = x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc
    except (OSError, ValueError):
        return 0.0
    return ends.timestamp() - now_ms / 1000


class _Deaths(Collector):
    """How often each long task has died, as its keeper counts it."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks

    def collect(self) -> Iterable[Metric]:
        family = CounterMetricFamily(
            "sos_tasks_died", "How often a long task has died and was begun again", labels=["task"]
        )
        for task, count in self._tasks.deaths.items():
            family.add_metric([task], count)
        yield family
