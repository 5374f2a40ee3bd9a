"""Which vehicle opened an incident, as a keyed digest and nothing more: for turns, so that one vehicle delays itself.

Kept in memory for the incidents in work, and beside the incident in the database for the desks' queue.  What is not
known here (another process opened it, no vehicle was named) counts as a vehicle of its own.
"""

from collections import OrderedDict

from sos.incident.model import StreamId

KEPT = 16_384
"""Incidents that are remembered: the first minutes of a great earthquake, about 3 MB."""


class Senders:
    def __init__(self) -> None:
        self._known: OrderedDict[StreamId, str] = OrderedDict()

    def note(self, stream: StreamId, sender: str) -> None:
        """An incident opened by ``sender``; empty when nobody knows."""
        if not sender:
            return
        self._known[stream] = sender
        while len(self._known) > KEPT:
            self._known.popitem(last=False)

    def of(self, stream: StreamId) -> str:
        """Whose turn its work takes within the tenant."""
        return self._known.get(stream, stream)
