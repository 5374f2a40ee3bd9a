"""Is it alive, is it ready, how much does it do: `/healthz`, `/readyz`, and the console's health strip.

Ready means that a report can be accepted, by the database or by the spool: what else is down is said beside it.  The
answer stands in memory (``sos.figures``), so that it comes at once also while the database hangs.
"""

import shutil
from collections.abc import Callable, Mapping
from datetime import timedelta

import msgspec
from aiohttp import web

from sos.console import frames
from sos.console.hub import Hub, message
from sos.figures import Board
from sos.journal.asides import Asides
from sos.journal.configured import Kept

DISK_FLOOR = 0.05
"""Share of the disk that must be free: below it the journal soon cannot keep what comes in."""

EVERY = timedelta(seconds=2)


class Health:
    def __init__(
        self,
        kept: Kept,
        board: Board,
        failures: Mapping[str, str],
        *,
        asides: Asides,
        assists: Callable[[], Mapping[str, str]] = dict,
        access: Callable[[], str] = lambda: "ok",
        retained: Callable[[], Mapping[str, str]] = dict,
        anchored: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        """``assists``: which extras are ``ok`` or ``off``; ``access``: ``ok`` or ``alarm``, which stops no call;
        ``anchored``: ``ok`` or ``late`` of who vouches for the log outside."""
        self._anchored = anchored
        self._retained = retained
        self._kept = kept
        self._journal = kept.journal
        self._board = board
        self._failures = failures
        self._asides = asides
        self._assists = assists
        self._access = access

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/healthz", self._alive),
            web.get("/readyz", self._ready),
        ]

    async def watch(self, hub: Hub) -> None:
        """Look, and tell every desk how the house is, for ever."""
        while True:
            await self._board.refresh()
            hub.tell(message(frames.HealthFrame(items=self.items(), waiting=self._board.waiting)))
            await self._journal.clock.wait(EVERY)

    def items(self) -> dict[str, frames.Health]:
        """State of each part in one word: ``ok``, ``degraded`` or ``down``."""
        return {
            "journal": self._journal_state(),
            "recording": "ok" if self._disk_free() else "degraded",
            "voice": "down" if "voice" in self._failures else "ok",
            "access": "degraded" if self._access() == "alarm" else "ok",
        }

    def _journal_state(self) -> frames.Health:
        if not self._board.database_up:
            return "down"
        odd = self._journal.spool_oldest or self._asides.waiting or self._journal.store.damage.stands
        return "degraded" if odd else "ok"

    def _disk_free(self) -> bool:
        usage = shutil.disk_usage(self._kept.data)
        return usage.free >= DISK_FLOOR * usage.total

    async def _alive(self, _: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def _ready(self, _: web.Request) -> web.Response:
        if self._board.database_up is None:
            await self._board.refresh()
        ready = self._board.accepts
        state: dict[str, object] = {
            "ready": ready,
            "items": self.items(),
            "died": dict(self._failures),
            "assists": dict(self._assists()),
        }
        state["set_aside"] = dict(self._asides.waiting)
        state["keys"] = {**self._kept.custody.state(), **self._retained()}
        state["unreadable"] = self._journal.losses.count
        state["access"] = self._access()
        state["log"] = "down" if self._kept.publisher.stopped else "ok"
        state["anchors"] = dict(self._anchored())
        body = msgspec.json.encode(state)
        return web.Response(status=200 if ready else 503, body=body, content_type="application/json")
