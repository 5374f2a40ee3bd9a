"""Is it alive, is it ready, how much does it do: `/healthz`, `/readyz`, the figures, and the console's health strip."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from sos.console import frames
from sos.console.hub import Hub, message
from sos.errors import Unavailable
from sos.incident.model import State
from sos.journal.asides import Asides
from sos.journal.journal import Journal
from sos.journal.readers import Follower

DISK_FLOOR = 0.05
"""Share of the disk that must be free: below it the journal soon cannot keep what comes in."""

EVERY = timedelta(seconds=2)


class Health:
    def __init__(
        self,
        journal: Journal,
        failures: Mapping[str, str],
        *,
        followers: Sequence[Follower],
        asides: Asides,
        data: Path,
        others: Sequence[CollectorRegistry] = (),
        assists: Callable[[], Mapping[str, str]] = dict,
        keys: Callable[[], Mapping[str, str]] = dict,
        access: Callable[[], str] = lambda: "ok",
        log: Callable[[], str] = str,
    ) -> None:
        """``others``: figures that other parts keep; ``assists``: which extras are ``ok`` and which ``off``; ``keys``:
        retention classes of which a key is missing.  That is an alarm and stops no call, so the house stays ready.
        ``access``: ``ok`` or ``alarm``, an alarm of the same sort.  ``log``: why nothing is published; else empty.
        """
        self._log = log
        self._access = access
        self._keys = keys
        self._others = others
        self._assists = assists
        self._journal = journal
        self._failures = failures
        self._followers = followers
        self._asides = asides
        self._data = data
        self._registry = CollectorRegistry()
        self._waiting = Gauge("sos_incidents_waiting", "Incidents that nobody has answered", registry=self._registry)
        self._log_size = Gauge("sos_journal_events", "Events in the journal", registry=self._registry)
        self._behind = Gauge(
            "sos_reader_behind", "Events a reader has still to handle", ["reader"], registry=self._registry
        )
        self._set_aside = Gauge(
            "sos_reader_set_aside", "Events a reader could not handle", ["reader"], registry=self._registry
        )
        self._spool_age = Gauge("sos_spool_oldest_seconds", "Age of the oldest spooled report", registry=self._registry)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/healthz", self._alive),
            web.get("/readyz", self._ready),
        ]

    async def watch(self, hub: Hub) -> None:
        """Tell every desk how the house is, for ever."""
        while True:
            hub.tell(message(frames.HealthFrame(items=await self.items(), waiting=await self._count_waiting())))
            await self._journal.clock.wait(EVERY)

    async def items(self) -> dict[str, frames.Health]:
        """State of each part in one word: ``ok``, ``degraded`` or ``down``."""
        return {
            "journal": await self._journal_state(),
            "recording": "ok" if self._disk_free() else "degraded",
            "voice": "down" if "voice" in self._failures else "ok",
            "access": "degraded" if self._access() == "alarm" else "ok",
        }

    async def _journal_state(self) -> frames.Health:
        try:
            await self._journal.store.ping()
        except Unavailable:
            return "down"
        odd = self._journal.spool_oldest or self._asides.waiting or self._journal.store.damage.stands
        return "degraded" if odd else "ok"

    async def _count_waiting(self) -> int:
        try:
            waiting, _ = await self._journal.queue(limit=1, states=(State.RECEIVED, State.RINGING, State.REOPENED))
        except Unavailable:
            return 0
        return waiting

    def _disk_free(self) -> bool:
        usage = shutil.disk_usage(self._data)
        return usage.free >= DISK_FLOOR * usage.total

    async def _alive(self, _: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def _ready(self, _: web.Request) -> web.Response:
        items = await self.items()
        ready = "down" not in items.values()
        state: dict[str, object] = {
            "ready": ready,
            "items": items,
            "died": dict(self._failures),
            "assists": dict(self._assists()),
        }
        state["set_aside"] = dict(self._asides.waiting)
        state["keys"] = dict(self._keys())
        state["access"] = self._access()
        state["log"] = "down" if self._log() else "ok"
        body = msgspec.json.encode(state)
        return web.Response(status=200 if ready else 503, body=body, content_type="application/json")

    async def figures(self) -> bytes:
        """For Prometheus; ``sos.front.figures`` gives them out."""
        self._waiting.set(await self._count_waiting())
        size, _hashes = await self._journal.store.tree()
        self._log_size.set(size)
        for follower in self._followers:
            self._behind.labels(follower.name).set(max(0, size - follower.position))
        for name in {*(follower.name for follower in self._followers), *self._asides.waiting}:
            self._set_aside.labels(name).set(self._asides.waiting.get(name, 0))
        oldest = self._journal.spool_oldest
        self._spool_age.set((self._journal.clock.now() - oldest).total_seconds() if oldest else 0)
        return b"".join(generate_latest(registry) for registry in (self._registry, *self._others))
