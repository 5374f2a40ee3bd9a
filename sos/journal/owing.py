"""What the law wants done and nobody has said to be done, of every incident, closed or not: for queues of people."""

from collections.abc import Collection, Sequence

from msgspec import Struct

from sos.incident.model import IncidentId
from sos.incident.obligations import PREFIX
from sos.incident.owed import Owed
from sos.journal.journal import Journal

MOST = 500
"""Obligations that are looked at, at once."""


class Owing(Struct, frozen=True, kw_only=True):
    incident: IncidentId
    owed: Owed


async def owing(journal: Journal, *, among: Collection[str] = (), limit: int = MOST) -> Sequence[Owing]:
    """What is owed, the first due first; ``among`` some obligations, or every one."""
    waiting = await journal.store.waiting(PREFIX, limit=limit)
    named = {stream for stream, name, _ in waiting if not among or name.removeprefix(PREFIX).partition(":")[0] in among}
    found = [
        Owing(incident=incident, owed=owed)
        for incident in sorted(named)
        for owed in (await journal.state(incident)).owed
        if not among or owed.obligation in among
    ]
    return sorted(found, key=lambda each: each.owed.due_at)
