"""What we want of those who are in a conference: held, muted, coached, gone.  An order stays until Twilio says so.

Every order stands in the store before Twilio is asked, and whatever it does not do at once is ordered again by
``reconcile``: an update that is answered with 200 and not carried out has been seen.
"""

import asyncio
from contextlib import suppress
from typing import Any

import structlog

from sos.calls.adapters.twilio import callbacks
from sos.calls.adapters.twilio.context import Context
from sos.calls.adapters.twilio.copies import Copies
from sos.calls.adapters.twilio.dialling import Dialling
from sos.calls.adapters.twilio.leg_store import Room, StoredLeg
from sos.calls.adapters.twilio.progress import CallProgress
from sos.calls.legs import Reach, Report
from sos.calls.port import TALKING, LegMode
from sos.errors import SosError, Unavailable

log = structlog.get_logger()

CLOSE_WITHIN_S = 8.0

TRANSFERRED = "transferred"
"""Why a leg is over whose call goes on as a leg of another incident (see the port)."""


class Participants:
    def __init__(self, context: Context, progress: CallProgress, dialling: Dialling, copies: Copies) -> None:
        self._context = context
        self._progress = progress
        self._dialling = dialling
        self._copies = copies

    # --- how a leg takes part ---------------------------------------------------------------------------------------

    async def want(self, room: Room, stored: StoredLeg, mode: LegMode) -> None:
        """Keep the order and have it done when the leg is up.  ``Unavailable`` when Twilio does not do it in time."""
        if stored.mode == mode and stored.mode_set:
            return
        stored.mode, stored.mode_set = mode, False
        await self._context.store.save(room)
        if stored.state.reach is Reach.UP:
            await self.apply_mode(room, stored)

    def settle(self, room: Room, stored: StoredLeg) -> None:
        """Give a leg that has just come up what it still needs; the call does not wait for it."""
        stored.mode_set = stored.mode == TALKING
        self._context.start(self._settle(room, stored), name="twilio leg")

    async def apply_mode(self, room: Room, stored: StoredLeg) -> None:
        """Until Twilio says that it is so, twice at most; ``Unavailable`` when it then does not."""
        if not room.conference:
            raise Unavailable("Twilio has not said which conference this is")
        wanted = self._participant_of(room, stored.mode)
        for _ in range(2):
            seen = await self._context.rest.change(room.conference, stored.leg, **wanted)
            if seen is None:  # gone meanwhile; its end is told by a callback or by reconciliation
                return
            seen = await self._context.rest.participant(room.conference, stored.leg) or seen
            if (seen.held, seen.muted, seen.coaching) == (
                wanted["hold"],
                wanted["muted"],
                wanted.get("call_sid_to_coach", ""),
            ):
                stored.mode_set = True
                self._context.save_soon(room)
                return
        raise Unavailable("Twilio does not do what it says it did")

    async def _settle(self, room: Room, stored: StoredLeg) -> None:
        if not stored.mode_set:
            with suppress(SosError):
                await self.apply_mode(room, stored)
        if stored.called_us:  # its TwiML has begun the stream
            return
        url = self._context.options.urls.stream(room.incident, stored.leg)
        with suppress(SosError):
            await self._context.rest.fork(stored.call, url=url, name=f"{stored.party}-{stored.leg}")

    def _participant_of(self, room: Room, mode: LegMode) -> dict[str, Any]:
        coached = room.legs.get(mode.coaching) if mode.coaching else None
        coaching = {"coaching": True, "call_sid_to_coach": coached.call} if coached else {"coaching": False}
        held = {"hold": mode.held, "hold_url": self._context.options.urls.hold(), "hold_method": "POST"}
        return {"muted": mode.muted, **held, **coaching}

    async def move(self, room: Room, stored: StoredLeg, to: Room, moved: StoredLeg) -> None:
        """Redirect the call of ``stored`` into the conference of ``to``; what was recorded of it stays here.

        ``Unavailable`` or ``Unknown`` when Twilio does not: then its recording has a gap at most.
        """
        copies = await self._context.rest.copies(stored.call)
        moved.others = [copy.sid for copy in copies]
        for copy in copies:
            if copy.status not in callbacks.FINAL:
                with suppress(SosError):
                    await self._context.rest.stop_recording(stored.call, copy.sid)
        await self._context.save(to)
        twiml = self._context.conference(to).answered(moved.leg, party=moved.party)
        await self._context.rest.redirect(stored.call, twiml)
        stored.own, stored.leaving = [sid for sid in moved.others if stored.has(sid)], TRANSFERRED
        self._progress.tell(room, stored, Report(reach=Reach.OVER, why="ended"))

    # --- ending -----------------------------------------------------------------------------------------------------

    async def leave(self, room: Room, stored: StoredLeg, *, reason: str) -> None:
        """Hang one leg up, now or by reconciliation."""
        stored.leaving = reason
        await self._context.store.save(room)
        if not stored.call:
            return
        try:
            await self._context.rest.hang_up(stored.call)
        except SosError as away:
            log.warning("twilio_leg_not_ended", incident=room.incident, leg=stored.leg, reason=str(away))
            return
        self._progress.tell(room, stored, Report(reach=Reach.OVER, why="ended"))

    async def finish(self, room: Room, *, reason: str) -> None:
        """End the conference and every call into it, now or by reconciliation."""
        present = [stored for stored in room.legs.values() if stored.here]
        for stored in present:
            stored.leaving = reason
        room.over = True
        await self._context.store.save(room)
        try:
            if room.conference:
                await self._context.rest.end_conference(room.conference)
            for stored in present:
                await self._context.rest.hang_up(stored.call)  # one that rings is in no conference yet
        except SosError as away:
            log.warning("twilio_conference_not_ended", incident=room.incident, reason=str(away))
            return
        for stored in present:
            self._progress.tell(room, stored, Report(reach=Reach.OVER, why="ended"))
        self._over(room)

    def end_if_empty(self, room: Room) -> None:
        """Somebody has gone: a conference to which nobody comes back within ``empty_for`` is over."""
        if not room.over and not any(each.here for each in room.legs.values()):
            self._context.start(self._end_when_still_empty(room), name="twilio empty")

    async def end_all(self) -> None:
        """The end of a house that takes its callers with it."""
        for room in tuple(self._context.store.rooms.values()):
            if not room.over:
                await self.finish(room, reason="shutdown")
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_WITHIN_S):
                await self._copies.all_sealed()

    async def _end_when_still_empty(self, room: Room) -> None:
        await self._context.clock.wait(self._context.options.empty_for)
        if room.over or any(each.here for each in room.legs.values()) or self._dialling.at_work(room):
            return
        room.over = True
        await self._context.save(room)
        self._over(room)

    def _over(self, room: Room) -> None:
        """Nobody is left."""
        if room.begun:
            self._copies.over(room)
        else:
            self._context.save_soon(room)
