"""The comparison of the store with Twilio: what was not told is learnt, what was not done is ordered again."""

from collections.abc import AsyncIterator

import structlog

from sos.calls.adapters.twilio import callbacks
from sos.calls.adapters.twilio.context import Context
from sos.calls.adapters.twilio.copies import Copies
from sos.calls.adapters.twilio.leg_store import Room
from sos.calls.adapters.twilio.participants import Participants
from sos.calls.adapters.twilio.progress import CallProgress
from sos.calls.adapters.twilio.rest import Seen
from sos.calls.legs import Reach
from sos.calls.port import LegUp
from sos.errors import SosError
from sos.incident.model import LegId

log = structlog.get_logger()


class Reconciler:
    def __init__(self, context: Context, progress: CallProgress, participants: Participants, copies: Copies) -> None:
        self._context = context
        self._progress = progress
        self._participants = participants
        self._copies = copies

    async def run(self) -> None:
        while True:
            await self._context.clock.wait(self._context.options.reconcile_every)
            for room in tuple(self._context.store.rooms.values()):
                try:
                    await self.look_at(room)
                except SosError as away:
                    log.info("twilio_not_compared", incident=room.incident, reason=str(away))

    async def look_at(self, room: Room) -> None:
        """Compare one room.  ``Unavailable`` when Twilio does not answer."""
        await self._compare_legs(room)
        for stored in tuple(room.legs.values()):
            if stored.here and stored.leaving:
                await self._participants.leave(room, stored, reason=stored.leaving)
            elif stored.state.reach is Reach.UP and not stored.mode_set:
                await self._participants.apply_mode(room, stored)
        if not any(each.here for each in room.legs.values()):
            await self._copies.look_at(room)

    async def up(self) -> AsyncIterator[LegUp]:
        """Who is up, as Twilio says now; ``Unavailable`` when it does not say."""
        names = {room.incident for room in self._context.store.rooms.values()}
        for conference, name in await self._context.rest.conferences():
            if name not in names:
                continue
            for seen in await self._context.rest.participants(conference):
                found = self._context.store.find(LegId(seen.label))
                if found is None or seen.status != "connected":
                    continue
                room, stored = found
                yield LegUp(incident=room.incident, leg=stored.leg, party=stored.party, who=stored.who)

    async def _seen(self, room: Room) -> dict[str, Seen]:
        listed = await self._context.rest.participants(room.conference) if room.conference else []
        return {each.label: each for each in listed}

    async def _find_again(self, room: Room) -> None:
        live = await self._context.rest.conferences(room.incident)
        room.conference = next((conference for conference, _ in live), room.conference)

    async def _compare_legs(self, room: Room) -> None:
        waiting = [stored for stored in room.legs.values() if stored.here]
        if not waiting:
            return
        seen = await self._seen(room)
        if any(stored.state.reach is Reach.UP and stored.leg not in seen for stored in waiting):
            await self._find_again(room)  # Twilio may have begun another conference of this name, and not told
            seen = await self._seen(room)
        for stored in waiting:
            report = callbacks.PARTICIPANT.get(seen[stored.leg].status) if stored.leg in seen else None
            if report is not None:
                self._progress.tell(room, stored, report)
            else:
                await self._progress.ask_after(room, stored)
