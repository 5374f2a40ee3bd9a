"""How often the house may tell agencies by itself before people have to look.

Pure but for its memory.  A fault, a flood or a real disaster all look alike to a machine: beyond so many tellings of
one brand, or to one agency (inside a mass event: to one agency about one place), within the time it stops by itself and
asks people (``Unattended``).
"""

from collections import deque
from collections.abc import Hashable, Mapping
from datetime import datetime, timedelta

WITHIN = timedelta(minutes=10)
"""A fire brigade's control room reads and answers a handful of such calls in this time."""


class Pace:
    """``most``: so many within ``within``, for each kind of key."""

    def __init__(self, most: Mapping[str, int], *, within: timedelta = WITHIN) -> None:
        self._most = most
        self._within = within
        self._taken: dict[Hashable, deque[datetime]] = {}

    def take(self, keys: Mapping[str, Hashable], *, at: datetime) -> str | None:
        """Count one for each of ``keys`` (by kind); or the kind that has had its share, and nothing is counted."""
        full = next((kind for kind, key in keys.items() if len(self._lately(kind, key, at)) >= self._most[kind]), None)
        if full is None:
            self.note(keys, at=at)
        return full

    def note(self, keys: Mapping[str, Hashable], *, at: datetime) -> None:
        """Count one that has been taken already: before a restart, say."""
        for kind, key in keys.items():
            self._lately(kind, key, at).append(at)

    def give_back(self, keys: Mapping[str, Hashable]) -> None:
        """The last one was not used."""
        for kind, key in keys.items():
            if taken := self._taken.get((kind, key)):
                taken.pop()

    def _lately(self, kind: str, key: Hashable, at: datetime) -> deque[datetime]:
        taken = self._taken.setdefault((kind, key), deque())
        while taken and at - taken[0] >= self._within:
            taken.popleft()
        return taken
