"""Until when an incident's data is kept: from its state, its keys and what its brand has promised.  Pure.

A brand's shorter promise holds once two people have agreed to its version; until then the house's holds, since a period
that somebody has shortened by mistake cannot be taken back.  A date that stands is never moved forward without that.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from msgspec.structs import replace

from recording.retention import HOUSE, Schedule, Tag, Terms, due
from routing.categories import Category
from sos.incident.keeping import kept_by
from sos.incident.model import Incident, State
from sos.journal.retention_rows import DueRow
from sos.journal.store import KeyRow


def dates(
    state: Incident,
    keys: Iterable[KeyRow],
    *,
    schedule: Schedule,
    terms: Terms = HOUSE,
    agreed: Collection[str] = (),
    before: Iterable[DueRow] = (),
    asked: Collection[Category] = (),
    now: datetime | None = None,
) -> Sequence[DueRow]:
    """A row for each category that has anything to be destroyed; none while the incident is open.

    ``agreed``: versions whose shorter periods two people have agreed to; ``before``: the rows that stand; ``asked``:
    what the person wants erased, which is due once its shortest period is over and no other duty keeps it.
    """
    if state.state is not State.CLOSED or state.changed_at is None:
        return ()
    classes, standing = dict(state.kept_as), {row.category: row for row in before}
    found = []
    for category in sorted({row.category for row in keys if not row.destroyed}):
        given = classes.get(category, schedule.longest.name)
        promises = [(tag, _due(tag, state.changed_at)) for tag in _tags(schedule, given, category, terms, agreed)]
        tag, due_at = max(promises, key=lambda promise: promise[1])
        row = DueRow(
            stream=state.id,
            category=category,
            tenant=state.tenant,
            tag=tag.name,
            version=tag.version,
            started_at=state.changed_at,
            due_at=due_at,
            held=bool(state.holds),
        )
        if category in asked and now is not None and not kept_by(state, category, tag, now=now):
            found.append(replace(row, due_at=min(row.due_at, tag.least.after(state.changed_at))))
            continue
        found.append(_unless_shorter(row, standing.get(category), agreed))
    return found


def _tags(schedule: Schedule, given: str, category: Category, terms: Terms, agreed: Collection[str]) -> tuple[Tag, ...]:
    own = schedule.tag(given, category=category, terms=terms)
    return (own,) if terms.version in agreed or terms == HOUSE else (own, schedule.tag(given))


def _due(tag: Tag, started_at: datetime) -> datetime:
    found = due(tag, (started_at,))
    assert found is not None
    return found


def _unless_shorter(row: DueRow, standing: DueRow | None, agreed: Collection[str]) -> DueRow:
    """``row``, or the promise that stands when the new one would be shorter and nobody has agreed to that."""
    if standing is None or standing.started_at != row.started_at or row.due_at >= standing.due_at:
        return row
    if row.version in agreed or row.version.partition("+")[2] in agreed:
        return row
    return DueRow(
        stream=row.stream,
        category=row.category,
        tenant=row.tenant,
        tag=standing.tag,
        version=standing.version,
        started_at=row.started_at,
        due_at=standing.due_at,
        held=row.held,
    )
