"""What every part of the provider works with: the account, the store, the queue of events, the background work."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog
from msgspec import Struct

from sos.calls.adapters.twilio import twiml
from sos.calls.adapters.twilio.leg_store import LegStore, Room
from sos.calls.adapters.twilio.rest import Account, Rest
from sos.calls.adapters.twilio.twiml import Conference, Urls
from sos.calls.port import ProviderEvent
from sos.clock import Clock
from sos.incident.model import RecordingId

log = structlog.get_logger()

EMPTY_FOR = timedelta(seconds=5)
"""How long a conference waits for somebody to come back before its recording is done."""
LOOK_AFTER = timedelta(seconds=1)
"""Between an order without an answer and the first look for what it did."""
RECONCILE_EVERY = timedelta(seconds=5)
"""Between two comparisons of the store with Twilio; callbacks are faster, and may be lost."""


class Options(Struct, frozen=True, kw_only=True):
    """How this house uses its account."""

    account: Account
    caller: str
    """The number that people see who are called (E.164), one of the account's own."""
    urls: Urls
    fallback: str = ""
    """E.164 number where people sit when nothing of ours can take a call; empty: none."""
    mixing_region: str = ""
    ring_s: int = twiml.RING_S
    jitter_buffer: str = "small"
    place_within_s: float = 9.0
    """How long dialling may take with all looking for lost answers; other orders of the incident wait for it."""
    reconcile_every: timedelta = RECONCILE_EVERY
    look_after: timedelta = LOOK_AFTER
    empty_for: timedelta = EMPTY_FOR


class Context:
    """Opened and closed by the provider; a part asks here for what it needs of the others."""

    def __init__(self, options: Options, *, store: Path, clock: Clock) -> None:
        self.options = options
        self.rest = Rest(options.account)
        self.store = LegStore(store)
        self.clock = clock
        self.events: asyncio.Queue[ProviderEvent | None] = asyncio.Queue()
        """What happened; None once nothing follows."""
        self._background: set[asyncio.Task[Any]] = set()
        self._unsaved: set[RecordingId] = set()

    def tell(self, event: ProviderEvent) -> None:
        self.events.put_nowait(event)

    def conference(self, room: Room) -> Conference:
        """How a leg enters this room's conference."""
        return Conference(
            incident=room.incident,
            recording=room.recording,
            urls=self.options.urls,
            region=self.options.mixing_region,
            ring_s=self.options.ring_s,
            jitter_buffer=self.options.jitter_buffer,
        )

    # --- work beside the calls ----------------------------------------------------------------------------------------

    def start(self, work: Coroutine[Any, Any, Any], *, name: str) -> "asyncio.Task[Any]":
        task = asyncio.create_task(work, name=name)
        self._background.add(task)
        task.add_done_callback(self._finished)
        return task

    async def stop(self) -> None:
        """End all work; what it begins while it ends is ended as well."""
        while self._background:
            for task in self._background:
                task.cancel()
            await asyncio.wait(self._background)

    def save_soon(self, room: Room) -> None:
        """Once for everything that happens until the disk has been asked."""
        if room.recording not in self._unsaved:
            self._unsaved.add(room.recording)
            self.start(self.save(room), name="twilio store")

    async def save(self, room: Room) -> None:
        """Keep ``room``; a disk that refuses is told of and holds up no call."""
        self._unsaved.discard(room.recording)
        try:
            await self.store.save(room)
        except OSError as full:
            log.error("twilio_store_unwritten", incident=room.incident, error=type(full).__name__)

    def _finished(self, task: "asyncio.Task[Any]") -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("twilio_work_died", task=task.get_name(), exc_info=error)
