"""What incidents are about to record, and what of it stands in the rows beside the events.

Between deciding and writing: the state after the events, the row of the queue, the deadlines.  Nothing is written here.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from sos.clock import epoch_ms
from sos.incident import keeping
from sos.incident.alarms import standing
from sos.incident.commands import Command
from sos.incident.events import DataDestroyed, Draft, Recorded
from sos.incident.lifecycle import deadlines, evolve, propose
from sos.incident.model import Incident, Mode, Trigger
from sos.incident.urgency import ranked_at
from sos.journal.sealing import Change, Classes, Stamp
from sos.journal.store import PRACTICE, QueueRow

_snapshot = msgspec.json.Encoder()


class Written:
    """What one incident is about to record."""

    __slots__ = ("_at", "_before", "after", "drafts", "recorded")

    def __init__(self, before: Incident, made: Incident, drafts: Sequence[Draft], *, at: datetime) -> None:
        self._before = before
        self._at = at
        self.after = made
        self.drafts = drafts
        self.recorded: tuple[Recorded, ...] = ()

    @classmethod
    def of(cls, before: Incident, drafts: Sequence[Draft], *, at: datetime) -> "Written":
        return cls(before, after(before, drafts, at=at), drafts, at=at)

    @classmethod
    def by_orders(cls, before: Incident, orders: Sequence[Command], *, at: datetime) -> "Sequence[Written]":
        """One after the other, each on what those before it have led to; nothing where all of it is so already."""
        state, drafts = before, list[Draft]()
        for order in orders:
            made = propose(state, order, now=at)
            state = after(state, made, at=at)
            drafts += made
        return [cls(before, state, drafts, at=at)] if drafts else []

    def change(self, *, actor: str, causation: str | None, receipt: bytes | None) -> Change:
        stamp = stamp_of(self._before, at=self._at, actor=actor, causation=causation, receipt=receipt)
        return Change(
            stamp=stamp,
            drafts=self.drafts,
            row=row_of(self.after),
            deadlines=deadlines_of(self.after),
            classes=classes_of(self._before, self.after, self.drafts),
        )


_URGENT = {Trigger.AUTOMATIC: 0, Trigger.UNKNOWN: 1, Trigger.MANUAL: 2}


def after(state: Incident, drafts: Sequence[Draft], *, at: datetime) -> Incident:
    for draft in drafts:
        state = evolve(state, draft.event, at=at)
    return state


def stamp_of(
    state: Incident, *, at: datetime, actor: str, causation: str | None = None, receipt: bytes | None = None
) -> Stamp:
    return Stamp(
        stream=state.id,
        tenant=state.tenant,
        follows=state.version,
        at=at,
        actor=actor,
        causation=causation,
        receipt=receipt,
    )


def deadlines_of(incident: Incident) -> tuple[tuple[str, int], ...]:
    return tuple((name, epoch_ms(due)) for name, due in deadlines(incident))


def classes_of(before: Incident, after: Incident, drafts: Sequence[Draft]) -> Classes:
    """What becomes of the data keys: a closing, a hold and its end wrap them anew, a disposal destroys some."""
    under = keeping.wrapped_under(after)
    gone = [
        each.category for draft in drafts if isinstance(draft.event, DataDestroyed) for each in draft.event.disposed
    ]
    moved = bool(under) and under != keeping.wrapped_under(before)
    return Classes(under=under, moved=moved, gone=tuple(gone))


def row_of(incident: Incident) -> QueueRow:
    priority = _URGENT[incident.trigger] + (0 if incident.mode is Mode.LIVE else PRACTICE)
    ranked_ms = epoch_ms(ranked_at(incident.opened_at, incident.urgent)) if incident.opened_at else 0
    alarms = len(standing(incident))
    return QueueRow(
        incident.tenant,
        incident.state,
        priority,
        ranked_ms,
        _snapshot.encode(incident),
        alarms,
        mass_event=incident.mass_event or incident.listed,
        place=incident.mass_place,
        held=int(incident.held is not None),
        vehicle=incident.record,
    )
