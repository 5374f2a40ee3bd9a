"""Where incidents of mass events wait, for whose turn it is: by place inside the areas of those that are in force.

Kept in memory for the incidents in work, and beside the incident in the database for desks and deadlines.  Which mass
events are in force is told by ``mass_events``; of one that is over nothing here counts any more.
"""

from collections import OrderedDict

from sos.incident.model import MassEventId, StreamId

KEPT = 16_384
"""Incidents that are remembered: the first minutes of a great earthquake, about 3 MB."""


class Places:
    def __init__(self) -> None:
        self._known: OrderedDict[StreamId, tuple[MassEventId, str]] = OrderedDict()
        self.in_force: tuple[MassEventId, ...] = ()

    def note(self, stream: StreamId, mass_event: MassEventId | None, place: str | None) -> None:
        """Where an incident is now; nowhere without a mass event."""
        if mass_event is None or place is None:
            self._known.pop(stream, None)
            return
        self._known[stream] = (mass_event, place)
        while len(self._known) > KEPT:
            self._known.popitem(last=False)

    def of(self, stream: StreamId) -> str | None:
        """Whose turn it takes inside a mass event in force; None outside, and where this process does not know it."""
        mass_event, place = self._known.get(stream, (None, None))
        return place if mass_event in self.in_force else None
