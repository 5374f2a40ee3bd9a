"""Follows the journal and keeps the due dates: a reader, so whatever a restart finds undone is done again.

What an incident's rows say is computed from its state as it is now, never from the one event, so events may come twice
or late.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from recording.retention import Terms, house
from routing.categories import Category
from sos.errors import Unknown
from sos.incident.events import (
    OF_NO_INCIDENT,
    ErasureAsked,
    Event,
    IncidentReopened,
    Recorded,
)
from sos.incident.model import IncidentId, State, TenantId
from sos.journal.journal import Journal
from sos.journal.retention_rows import DueRow, RetentionRows
from sos.retention.dates import dates

READER = "retention"

PERSONS = 2
"""How many must agree to a shorter period, as to a disposal."""

CATCH_UP = 512
"""Events read in one go when a command brings the due dates up to date."""


Asked = Callable[[IncidentId], Awaitable[Collection[Category]]]


async def nobody(_: IncidentId) -> Collection[Category]:
    return ()


class Clerk:
    WANTS: tuple[type[Event], ...] = (Event, IncidentReopened)

    def __init__(
        self, journal: Journal, rows: RetentionRows, *, terms: Callable[[TenantId], Terms], asked: Asked = nobody
    ) -> None:
        """``terms``: what a brand promises otherwise than the house; ``asked``: what of it a person wants gone."""
        self._asked = asked
        self._journal = journal
        self._rows = rows
        self._terms = terms

    async def handle(self, batch: Sequence[Recorded]) -> None:
        """Bring the dates of every incident in ``batch`` up to date that is, or was, closed, or that a person wants
        something of erased."""
        asked = _asked_in(batch)
        of_incidents = (each.incident for each in batch if type(each.event) not in OF_NO_INCIDENT)
        touched = dict.fromkeys((*of_incidents, *asked))
        opened = {each.incident for each in batch if isinstance(each.event, IncidentReopened)}
        found: list[DueRow] = []
        done: list[IncidentId] = []
        for incident in touched:
            rows = await self.dates(incident, also=asked.get(incident, ()))
            if rows is not None or incident in opened:
                done.append(incident)
                found += rows or ()
        if done:
            await self._rows.replace(done, found)

    async def dates(self, incident: IncidentId, *, also: Collection[Category] = ()) -> Sequence[DueRow] | None:
        """What holds for ``incident`` now; None while it is open, or where it is none.

        ``also``: what a person wants gone, where ``asked`` may not know it yet.
        """
        try:
            state = await self._journal.state(incident)
        except Unknown:  # a stream of the registry, or of a disposal
            return None
        if state.state is not State.CLOSED:
            return None
        terms = self._terms(state.tenant)
        return dates(
            state,
            await self._journal.store.keys(incident),
            schedule=house(),
            terms=terms,
            agreed=await self._agreed(terms.version, house().version),
            before=await self._rows.of(incident),
            asked={*await self._asked(incident), *also},
            now=self._journal.clock.now(),
        )

    async def again_of(self, incident: IncidentId) -> None:
        """Bring the dates of one incident up to date."""
        await self._rows.replace([incident], await self.dates(incident) or ())

    async def catch_up(self, told: Callable[[int, int], None] = lambda *_: None) -> None:
        """Bring the dates up to date now; ``told`` hears how far of how many events."""
        position = await self._journal.store.cursor(READER)
        while events := await self._journal.store.follow(position, limit=CATCH_UP):
            await self.handle([each for each in events if not each.damaged])
            position += len(events)
            await self._journal.store.save_cursor(READER, position)
            told(position, (await self._journal.store.tree())[0])

    async def again(self, told: Callable[[int, int], None] = lambda *_: None) -> None:
        """Compute every date anew, from the first event on."""
        await self._journal.store.save_cursor(READER, 0)
        await self.catch_up(told)

    async def _agreed(self, *versions: str) -> frozenset[str]:
        return frozenset([each for each in versions if each and len(await self._rows.agreed(each)) >= PERSONS])


def _asked_in(batch: Sequence[Recorded]) -> Mapping[IncidentId, Collection[Category]]:
    """What persons want gone by ``batch``: whoever asked for them may have been stopped before any date was made."""
    found: dict[IncidentId, set[Category]] = {}
    for recorded in batch:
        if isinstance(recorded.event, ErasureAsked):
            for stream, category in recorded.event.erased:
                found.setdefault(IncidentId(stream), set()).add(category)
    return found
