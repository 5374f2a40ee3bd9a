"""What is known of a leg: reports from anywhere are folded in, and what is new by them is told.

A report comes from a callback, from an answer or from reconciliation; ``sos.calls.legs`` makes their order and number
immaterial.  A vehicle that is gone without our having hung up counts as cut off (``media_lost``), also when its network
says that it ended the call: by EN 16072 a car does not clear an emergency call, the centre does, and over the telephone
a hang-up and a dead spot look alike.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import structlog
from prometheus_client import CollectorRegistry, Counter

from sos.calls.adapters.twilio import callbacks
from sos.calls.adapters.twilio.context import Context
from sos.calls.adapters.twilio.leg_store import Room, StoredLeg
from sos.calls.legs import Reach, Report, after
from sos.calls.port import LegDown, LegQueued, LegRinging, LegUp, RecordingBegun
from sos.errors import Unavailable
from sos.incident.model import LegId, Party

log = structlog.get_logger()

QUEUED_FOR = timedelta(seconds=2)
"""How long a call may wait at Twilio for its turn before people are told: by default an account starts one call a
second, and what is above waits silently, for up to a day."""

Told = Callable[[Room, StoredLeg], None]


def _nothing(_: Room, __: StoredLeg) -> None:
    """Nobody wants to know."""


class CallProgress:
    """``came_up`` and ``went_down`` are called after the event was told: what a leg needs then is done by others."""

    def __init__(self, context: Context, *, metrics: CollectorRegistry) -> None:
        self._context = context
        self.came_up: Told = _nothing
        self.went_down: Told = _nothing
        self._queued = Counter("sos_twilio_queued_legs", "Calls that waited for their turn", registry=metrics)
        self._forged = Counter("sos_twilio_strange_callbacks", "Callbacks about others' calls", registry=metrics)

    def own(self, leg: LegId, call: str) -> tuple[Room, StoredLeg] | None:
        """The entry of a leg, if ``call`` is its call; anything else touches nothing."""
        found = self._context.store.find(leg)
        if found is None or (found[1].call and found[1].call != call) or not call:
            self._forged.inc()
            log.warning("twilio_callback_strange", leg=leg, known=found is not None)
            return None
        if not found[1].call:  # the answer to our order was lost, or is not read yet
            self.has_call(*found, call)
        return found

    def has_call(self, room: Room, stored: StoredLeg, call: str) -> None:
        """Twilio has made the leg's call."""
        if stored.call:
            return
        stored.call, stored.unclear = call, False
        self.tell(room, stored, Report(reach=Reach.QUEUED))
        self._context.start(self._watch_queue(room, stored), name="twilio queue")

    def tell(self, room: Room, stored: StoredLeg, *reports: Report) -> None:
        """Fold reports in and tell what is new by them."""
        for report in reports:
            before = stored.state
            stored.state = now = after(before, report)
            if now == before:
                continue
            self._context.save_soon(room)
            if now.reach is before.reach:
                continue
            match now.reach:
                case Reach.RINGING:
                    self._context.tell(LegRinging(incident=room.incident, leg=stored.leg))
                case Reach.UP:
                    self._up(room, stored)
                case Reach.OVER:
                    self._down(room, stored)

    async def ask_after(self, room: Room, stored: StoredLeg) -> None:
        """Learn what its call says of a leg; a call that Twilio does not know is over.  ``Unavailable`` as ``Rest``."""
        status = await self._context.rest.call_status(stored.call)
        gone = (Report(reach=Reach.OVER, why="failed"),)
        self.tell(room, stored, *(gone if status is None else callbacks.of_status(status)))

    def alarm_queued(self, room: Room, stored: StoredLeg, queued_ms: int) -> None:
        """Tell, once for each leg, that its call waits for its turn."""
        if stored.alarmed:
            return
        stored.alarmed = True
        self._queued.inc()
        log.error("twilio_leg_queued", incident=room.incident, leg=stored.leg, queued_ms=queued_ms)
        self._context.tell(LegQueued(incident=room.incident, leg=stored.leg, queued_ms=queued_ms))

    def _up(self, room: Room, stored: StoredLeg) -> None:
        if not room.begun:
            room.begun = True
            self._context.tell(RecordingBegun(incident=room.incident, recording=room.recording))
        self._context.tell(LegUp(incident=room.incident, leg=stored.leg, party=stored.party, who=stored.who))
        self.came_up(room, stored)

    def _down(self, room: Room, stored: StoredLeg) -> None:
        down = LegDown(incident=room.incident, leg=stored.leg, party=stored.party, reason=why(stored))
        self._context.tell(down)
        self.went_down(room, stored)

    async def _watch_queue(self, room: Room, stored: StoredLeg) -> None:
        """Twilio's queue is silent: whoever waits longer than ``QUEUED_FOR`` is told of."""
        await self._context.clock.wait(QUEUED_FOR)
        if stored.state.reach is Reach.QUEUED:
            with suppress(Unavailable):
                await self.ask_after(room, stored)
        if stored.state.reach is Reach.QUEUED and not stored.leaving:
            self.alarm_queued(room, stored, QUEUED_FOR // timedelta(milliseconds=1))


def why(stored: StoredLeg) -> str:
    """Why a leg is gone, in the port's words; see the module for vehicles."""
    if stored.leaving:
        return stored.leaving
    if not stored.state.was_up:
        return "no_answer" if stored.state.why == "ended" else stored.state.why
    return "media_lost" if stored.party is Party.VEHICLE else stored.state.why
