"""How loud each leg is and who speaks, from the provider to the desks: ten times a second, and never a rule's input."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Protocol

from msgspec import Struct

from sos.calls.port import Level
from sos.clock import Clock
from sos.incident.model import IncidentId, LegId
from sos.media.activity import Activity

EVERY = timedelta(milliseconds=100)

_LOOK_EVERY = 600
"""Rounds of ``hear``: legs that told nothing in all of them are gone."""


class Loud(Struct, frozen=True, array_like=True):
    """One leg in the last tenth of a second."""

    rms: int
    """Mean loudness, dBov (0 to -127)."""
    peak: int
    speaking: bool
    """Somebody speaks there, as far as loudness tells (``sos.media.activity``)."""


Tell = Callable[[Mapping[IncidentId, Mapping[LegId, Loud]]], None]


class Metered(Protocol):
    """A provider that says how loud its legs are when it is asked."""

    def levels(self) -> Sequence[Level]: ...


class Loudness:
    """``hear`` the legs of one worker at a time; ``tell`` is told, nobody while the service opens."""

    def __init__(self) -> None:
        self.tell: Tell = lambda _: None
        self._activity: dict[LegId, Activity] = {}
        self._heard: set[LegId] = set()
        self._rounds = 0

    def hear(self, levels: Sequence[Level]) -> None:
        by_incident: dict[IncidentId, dict[LegId, Loud]] = {}
        for level in levels:
            self._heard.add(level.leg)
            speaking = self._activity.setdefault(level.leg, Activity()).hear(level.rms)
            by_incident.setdefault(level.incident, {})[level.leg] = Loud(level.rms, level.peak, speaking)
        self._forget_the_gone()
        if by_incident:
            self.tell(by_incident)

    async def watch(self, provider: Metered, clock: Clock) -> None:
        """Ask a provider that does not tell by itself, for ever."""
        while True:
            await clock.wait(EVERY)
            self.hear(provider.levels())

    def _forget_the_gone(self) -> None:
        self._rounds += 1
        if self._rounds % _LOOK_EVERY == 0:
            self._activity = {leg: known for leg, known in self._activity.items() if leg in self._heard}
            self._heard.clear()
