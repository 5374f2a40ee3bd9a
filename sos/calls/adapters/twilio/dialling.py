"""Calling somebody once, whatever happens to the answer.

An order whose answer was lost may have been carried out.  It is repeated only after Twilio, asked by label, by
conference and by number, has said that there is no such call.
"""

import asyncio
from datetime import timedelta

import structlog

from sos.calls.adapters.twilio import callbacks
from sos.calls.adapters.twilio.context import Context
from sos.calls.adapters.twilio.leg_store import Room, StoredLeg
from sos.calls.adapters.twilio.progress import QUEUED_FOR, CallProgress
from sos.calls.adapters.twilio.rest import Unclear
from sos.errors import SosError, Unavailable
from sos.incident.model import LegId

log = structlog.get_logger()

TRIES = 2
_CLOCKS_DIFFER_BY = timedelta(seconds=5)


class Dialling:
    def __init__(self, context: Context, progress: CallProgress) -> None:
        self._context = context
        self._progress = progress
        self._locks: dict[LegId, asyncio.Lock] = {}

    async def place(self, room: Room, stored: StoredLeg, number: str) -> None:
        """Have Twilio call, unless it did.  ``Unavailable`` when it does not say in time whether it has."""
        async with self._locks.setdefault(stored.leg, asyncio.Lock()):
            if not stored.call and not stored.over:
                try:
                    async with asyncio.timeout(self._context.options.place_within_s):
                        await self._dial(room, stored, number)
                except TimeoutError as late:
                    raise Unavailable("Twilio does not say in time whether it has dialled") from late
            self._locks.pop(stored.leg, None)  # whoever comes from now on finds the call

    def at_work(self, room: Room) -> bool:
        """Whether somebody is being dialled into this room right now."""
        return any(lock.locked() for leg, lock in self._locks.items() if leg in room.legs)

    async def _dial(self, room: Room, stored: StoredLeg, number: str) -> None:
        """Twice at most, and the second time only when there is no first call."""
        caller, muted = self._context.options.caller, stored.mode.held or stored.mode.muted
        options = self._context.conference(room).dialled(stored.leg, caller=caller, number=number, muted=muted)
        for _ in range(TRIES):
            if stored.unclear:
                await self._context.clock.wait(self._context.options.look_after)
                if stored.call or await self._found(room, stored, number):
                    return
            stored.unclear = True
            try:
                placed = await self._context.rest.dial(room.incident, options)
            except Unclear as lost:
                log.warning("twilio_dial_unclear", incident=room.incident, leg=stored.leg, reason=str(lost))
                continue
            except SosError:
                stored.unclear = False
                raise
            room.conference = room.conference or placed.conference
            self._progress.has_call(room, stored, placed.call)
            if placed.queued_ms > QUEUED_FOR / timedelta(milliseconds=1):
                self._progress.alarm_queued(room, stored, placed.queued_ms)
            return
        if not stored.call:
            raise Unavailable("Twilio does not say whether it has dialled")

    async def _found(self, room: Room, stored: StoredLeg, number: str) -> bool:
        """Whether Twilio made the call that we got no answer for.  ``Unavailable`` when it does not say that either."""
        rest = self._context.rest
        for conference, _ in await rest.conferences(room.incident):
            if (seen := await rest.participant(conference, stored.leg)) is not None:
                room.conference = conference
                self._progress.has_call(room, stored, seen.call)
                return True
        since = stored.asked_at - _CLOCKS_DIFFER_BY
        known = self._context.store.calls()
        for call, status in await rest.calls_to(number, since=since):  # over already, so in no conference
            if call not in known:
                self._progress.has_call(room, stored, call)
                self._progress.tell(room, stored, *callbacks.of_status(status))
                return True
        return False
