"""What readers could not handle and went on without: how much of it lies there, and one more try where asked for.

The list is in the database (``set_aside``), so it outlives restarts and any process may ask for a try, such as
``sos journal set-aside again``; the process that runs the reader makes it.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Protocol

import structlog

from sos.clock import Clock
from sos.errors import SosError, Unavailable
from sos.incident.commands import RaiseAlarm
from sos.incident.events import OF_NO_INCIDENT, AlarmRaised
from sos.incident.model import AlarmKind, IncidentId
from sos.journal.journal import Journal
from sos.journal.store import Aside, Store

log = structlog.get_logger()

LISTED = 1000
"""Looked at in one go; when so many lie there one more makes no difference."""

EVERY = timedelta(seconds=2)

ACTOR = "system:set-aside"

UNALARMED = OF_NO_INCIDENT | {AlarmRaised}
"""Kinds of which the health strip alone tells: no incident has them, or an alarm about them would lead to the next."""


class Tries(Protocol):
    """Who can try again what was set aside under its name; ``Follower`` is one."""

    @property
    def name(self) -> str: ...

    @property
    def running(self) -> bool:
        """Whether it works in this process."""
        ...

    async def try_again(self, aside: Aside) -> None: ...


async def nobody_hears(_: Aside) -> None:
    """The health strip alone tells of it."""


class Asides:
    def __init__(
        self,
        store: Store,
        followers: Sequence[Tries],
        *,
        clock: Clock,
        deadlines: Callable[[], int] = int,
        alarm: Callable[[Aside], Awaitable[None]] = nobody_hears,
    ) -> None:
        """``deadlines``: how many cannot be passed; they are an alarm too, and tried again by themselves.  ``alarm``
        tells people of each event that lies there."""
        self._store = store
        self._alarm = alarm
        self._followers = {follower.name: follower for follower in followers}
        self._clock = clock
        self._deadlines = deadlines
        self._alarmed: set[tuple[str, int]] = set()
        self.waiting: Mapping[str, int] = {}
        """How many events of each reader lie there: an alarm when there is any."""

    async def watch(self) -> None:
        """Count and try again, for ever."""
        while True:
            try:
                await self.look()
            except Unavailable as away:
                log.warning("set_aside_unknown", reason=str(away))
            await self._clock.wait(EVERY)

    async def look(self) -> None:
        """Make the tries that were asked for, and count what lies there then."""
        for aside in await self._store.asides(limit=LISTED):
            if aside.again:
                await self._try(aside)
        left = await self._store.asides(limit=LISTED)
        for aside in left:
            if (known := (aside.reader, aside.position)) not in self._alarmed:
                await self._alarm(aside)
                self._alarmed.add(known)
        waiting = Counter(aside.reader for aside in left)
        if stuck := self._deadlines():
            waiting["deadlines"] = stuck
        self.waiting = waiting

    async def _try(self, aside: Aside) -> None:
        follower = self._followers.get(aside.reader)
        if follower is None or not follower.running:  # it runs in another process
            return
        if await self._store.take_again(aside.reader, aside.position):
            log.info("set_aside_tried_again", reader=aside.reader, event_id=aside.event, incident=aside.stream)
            await follower.try_again(aside)


def alarms(journal: Journal) -> Callable[[Aside], Awaitable[None]]:
    """Somebody at a desk hears that something of an incident was passed over; once for each event."""

    async def alarm(aside: Aside) -> None:
        there = await journal.store.follow(aside.position, limit=1)
        if any(event.id == aside.event and type(event.event) in UNALARMED for event in there):
            return
        command = RaiseAlarm(why=AlarmKind.SET_ASIDE, about=f"{aside.reader}#{aside.n}")
        try:
            await journal.execute(IncidentId(aside.stream), command, actor=ACTOR)
        except Unavailable:
            raise
        except SosError as none:  # what lies there has opened no incident: the health strip tells of it
            log.warning("set_aside_of_no_incident", reader=aside.reader, stream=aside.stream, reason=str(none))

    return alarm
