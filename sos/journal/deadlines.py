"""Deadlines that have passed become commands: tenants in turns, many beside each other, none in another one's way.

A restart re-arms all of them by itself, since they are rows of the database.  One that cannot be passed rests longer
and longer between its tries, and is an alarm meanwhile; others are passed in time.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from msgspec import Struct

from sos.clock import epoch_ms
from sos.errors import Conflict, SosError, Unavailable
from sos.incident.commands import PassDeadline, RaiseAlarm
from sos.incident.model import AlarmKind, IncidentId
from sos.journal.journal import Journal

log = structlog.get_logger()

EVERY = timedelta(milliseconds=200)

AT_ONCE = 32
"""Deadlines that pass beside each other: they share commits, and accepting goes on between them."""

RESTS = tuple(timedelta(seconds=each) for each in (1, 5, 30, 60))
"""After each failure of one deadline; the last one again and again."""

Due = tuple[IncidentId, str]


class _Resting(Struct, kw_only=True):
    failed: int = 0
    until: datetime


class Deadlines:
    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._resting: dict[Due, _Resting] = {}

    @property
    def stuck(self) -> int:
        """Deadlines that could not be passed and are tried again: an alarm when it is not zero."""
        return len(self._resting)

    async def watch(self, *, every: timedelta = EVERY) -> None:
        """Pass what is due, for ever."""
        while True:
            try:
                if await self.round() == AT_ONCE:
                    await asyncio.sleep(0)
                    continue
            except Unavailable as away:
                log.warning("deadlines_wait", reason=str(away))
            await self._journal.clock.wait(every)

    async def round(self) -> int:
        """Pass the first of what is due now, those of one incident in order; how many."""
        now = self._journal.clock.now()
        due = await self._journal.store.due(epoch_ms(now), limit=AT_ONCE + len(self._resting))
        self._resting = {each: rest for each, rest in self._resting.items() if each in due}
        by_incident: dict[IncidentId, list[str]] = {}
        for incident, name in due:
            rest = self._resting.get((incident, name))
            if rest is None or rest.until <= now:
                by_incident.setdefault(incident, []).append(name)
        rounds = [self._pass_all(incident, names, now=now) for incident, names in by_incident.items()]
        for outcome in await asyncio.gather(*rounds, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
        return sum(map(len, by_incident.values()))

    async def _pass_all(self, incident: IncidentId, names: Sequence[str], *, now: datetime) -> None:
        for name in names:
            try:
                await self._pass(incident, name, due_ms=epoch_ms(now))
                self._resting.pop((incident, name), None)
            except Unavailable:
                raise
            except Exception:  # the edge of one deadline
                rest = self._resting.setdefault((incident, name), _Resting(until=now))
                rest.until = now + RESTS[min(rest.failed, len(RESTS) - 1)]
                rest.failed += 1
                log.exception("deadline_failed", incident=incident, deadline=name, attempt=rest.failed)
                await self._alarm(incident, name)

    async def _alarm(self, incident: IncidentId, name: str) -> None:
        """Whoever was to act on it hears of nothing: people do."""
        try:
            alarm = RaiseAlarm(why=AlarmKind.SET_ASIDE, about=f"deadline:{name}")
            await self._journal.execute(incident, alarm, actor="timer")
        except Unavailable:
            raise
        except Exception:  # the edge of one alarm: it is counted as stuck all the same
            log.exception("deadline_unalarmed", incident=incident, deadline=name)

    async def _pass(self, incident: IncidentId, name: str, *, due_ms: int) -> None:
        try:
            done = await self._journal.execute(incident, PassDeadline(name=name), actor="timer")
        except Unavailable:
            raise
        except Conflict:  # the next round tries again: help is never dropped because of a crowd
            return
        except SosError as refused:
            log.warning("deadline_refused", incident=incident, deadline=name, reason=str(refused))
            await self._journal.store.drop_deadline(incident, name, due_ms=due_ms)
            return
        if not done.recorded:
            await self._journal.store.drop_deadline(incident, name, due_ms=due_ms)
