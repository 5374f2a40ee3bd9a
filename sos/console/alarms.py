"""Alarms reach desks: the supervisors' at first, every desk where there is no supervisor or none says anything.

A reader for what is raised, and a look at what stands every two seconds: supervisors come and go.  What a desk shows
follows from the journal alone (``AlarmShown``), so it survives restarts and says the same everywhere.
"""

from collections.abc import Collection, Sequence
from datetime import timedelta

import structlog

from sos.console.desks import Desks
from sos.errors import Refused, Unavailable
from sos.incident import alarms
from sos.incident.commands import ShowAlarm
from sos.incident.events import AlarmRaised, Recorded
from sos.incident.model import Alarm, Audience, Incident, OperatorId
from sos.journal.journal import Journal

ACTOR = "system:alarms"

EVERY = timedelta(seconds=2)

LOOKED_AT = 1000
"""Incidents with alarms, at most: beyond that one more makes no difference at a desk."""

log = structlog.get_logger()


class Alarms:
    WANTS = (AlarmRaised,)

    def __init__(self, journal: Journal, desks: Desks, *, supervisors: Collection[OperatorId]) -> None:
        self._journal = journal
        self._desks = desks
        self._supervisors = frozenset(supervisors)

    async def handle(self, batch: Sequence[Recorded]) -> None:
        for incident in dict.fromkeys(recorded.incident for recorded in batch):
            await self._show(await self._journal.state(incident))

    async def watch(self) -> None:
        """Show what stands to whoever is there by now, for ever."""
        while True:
            try:
                await self.look()
            except Unavailable as away:
                log.warning("alarms_wait", reason=str(away))
            await self._journal.clock.wait(EVERY)

    async def look(self) -> None:
        for incident in await self._journal.alarmed(limit=LOOKED_AT):
            await self._show(incident)

    async def _show(self, incident: Incident) -> None:
        there = self._desks.heard()
        supervisors = tuple(sorted(there & self._supervisors))
        if not there:
            return
        for alarm in alarms.standing(incident):
            audience = self._audience(alarm, supervisors)
            if alarm.audience is audience and set(supervisors) <= set(alarm.supervisors):
                continue
            command = ShowAlarm(alarm=alarm.alarm, audience=audience, supervisors=supervisors)
            try:
                await self._journal.execute(incident.id, command, actor=ACTOR)
            except Refused as refused:
                log.info("alarm_not_shown", incident=incident.id, alarm=alarm.alarm, reason=str(refused))

    def _audience(self, alarm: Alarm, supervisors: Sequence[OperatorId]) -> Audience:
        """Never fewer desks than before."""
        patient = self._journal.clock.now() - alarm.raised_at < alarms.LOUDER_AFTER
        if alarm.audience is not Audience.EVERYBODY and supervisors and patient:
            return Audience.SUPERVISORS
        return Audience.EVERYBODY
