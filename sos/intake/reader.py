"""After the vehicle has been answered: each new report is taken apart into its data categories."""

import asyncio
from collections.abc import Sequence

from routing.categories import Category
from sos.incident.events import IncidentOpened, Recorded
from sos.intake.filer import file_report
from sos.journal.journal import Journal

ACTOR = "system:filer"


class Filer:
    """A reader: ``IncidentOpened`` -> ``ReportFiled``."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def handle(self, batch: Sequence[Recorded]) -> None:
        opened = [recorded for recorded in batch if isinstance(recorded.event, IncidentOpened)]
        if opened:
            await asyncio.gather(*(self._file(recorded) for recorded in opened))

    async def _file(self, opened: Recorded) -> None:
        assert isinstance(opened.event, IncidentOpened)
        parts = await self._journal.parts_of(opened)
        command = file_report(parts.get(Category.RAW, b""), opened.event.format)
        await self._journal.execute(opened.incident, command, actor=ACTOR, answers=opened.id)
