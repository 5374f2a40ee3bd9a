"""After the vehicle has been answered: each report is taken apart into its data categories."""

import asyncio
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from routing.categories import Category
from sos.incident.commands import FileReport
from sos.incident.events import IncidentOpened, Recorded, ReportFiled, ReportJoined
from sos.incident.model import IncidentId
from sos.intake.filer import completed, file_report, unreadable
from sos.journal.journal import Journal

ACTOR = "system:filer"


class Filer:
    """A reader: ``IncidentOpened`` and ``ReportJoined`` -> ``ReportFiled``."""

    WANTS = (IncidentOpened, ReportJoined)

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def handle(self, batch: Sequence[Recorded]) -> None:
        """File the reports of ``batch``: those of one incident in their order, of several beside one another."""
        by_incident: dict[str, list[Recorded]] = {}
        for recorded in batch:
            if isinstance(recorded.event, IncidentOpened | ReportJoined):
                by_incident.setdefault(recorded.incident, []).append(recorded)
        if by_incident:
            await asyncio.gather(*(self._file(reports) for reports in by_incident.values()))

    async def give_up(self, recorded: Recorded) -> None:
        """The report cannot be filed: the incident goes on as one of which nothing is known, and says so."""
        await self._journal.execute(recorded.incident, unreadable(), actor=ACTOR, causation=recorded.id)

    async def _file(self, reports: Sequence[Recorded]) -> None:
        for recorded in reports:
            event = recorded.event
            assert isinstance(event, IncidentOpened | ReportJoined)
            parts = await self._journal.parts_of(recorded)
            command = file_report(
                parts.get(Category.RAW, b""), event.format, at=recorded.at, report_digest=event.report_digest
            )
            if isinstance(event, ReportJoined):
                command = replace(command, parts=await self._completed(recorded.incident, command))
            await self._journal.execute(recorded.incident, command, actor=ACTOR, causation=recorded.id)

    async def _completed(self, incident: IncidentId, command: FileReport) -> Mapping[Category, bytes]:
        """The parts of a further report on top of what was filed before."""
        filed = await self._journal.unseal(incident, tuple(command.parts))
        earlier = {part.category: part.payload for part in filed if isinstance(part.recorded.event, ReportFiled)}
        sequence = (await self._journal.state(incident)).sequence
        return completed(command.parts, earlier, newest=sequence is None or command.sequence >= sequence)
