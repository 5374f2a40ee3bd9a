"""What an incident knows of where it is: the vehicle's own reports, what a person has stated, and the plans so far.

Pure.  It says which place holds after something new was said; the planner makes the plan for it.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from routing.categories import Category
from sos.incident.events import (
    CardAnswered,
    HelpEscalated,
    KindStated,
    MoveSettled,
    PlaceStated,
    PlanMade,
    Recorded,
    ReportFiled,
)
from sos.incident.report import Crash, Location, Place
from sos.journal.sealing import Part

VEHICLE, OPERATOR = "vehicle", "operator"
"""Who says where it is."""

SAME_PLACE = (KindStated, CardAnswered, HelpEscalated)
"""What makes a new plan for the place that is in force."""

_location = msgspec.json.Decoder(Location)
_crash = msgspec.json.Decoder(Crash)
_place = msgspec.json.Decoder(Place)


class Known(Struct, frozen=True, kw_only=True):
    """In the order in which the incident came to know it."""

    plans: tuple[Place, ...] = ()
    reported: tuple[Location, ...] = ()
    """By the vehicle, the newest last."""
    stated: Location | None = None
    crash: Crash = Crash()

    @classmethod
    def of(cls, parts: Sequence[Part], until: Recorded) -> "Known":
        """From the LOC and SEV parts; of reports and statements, those up to ``until``."""
        plans: list[Place] = []
        reported: list[Location] = []
        stated, crash = None, Crash()
        for part in parts:
            event, early = part.recorded.event, part.recorded.n <= until.n
            if isinstance(event, PlanMade):
                plans.append(_place.decode(part.payload))
            elif isinstance(event, PlaceStated) and early:
                stated = _location.decode(part.payload)
            elif isinstance(event, ReportFiled) and early:
                if part.category is Category.LOC:
                    reported.append(_location.decode(part.payload))
                else:
                    crash = _crash.decode(part.payload)
        return cls(plans=tuple(plans), reported=tuple(reported), stated=stated, crash=crash)

    @property
    def place(self) -> Place | None:
        """The place in force; None while none is known."""
        return self.plans[-1] if self.plans else None

    @property
    def in_force(self) -> tuple[Location, str]:
        """The place in force as it was reported or stated, and whose it is; an unknown one where none is known."""
        place = self.place
        return (Location(), VEHICLE) if place is None else (place.location, place.source or VEHICLE)

    def after(self, news: Recorded) -> tuple[Location | None, str]:
        """The place to plan for after ``news``, and whose it is; None where nothing changes."""
        event = news.event
        if isinstance(event, SAME_PLACE):
            return self.in_force
        if isinstance(event, PlaceStated):
            return (self.stated if event.located else None), OPERATOR
        if isinstance(event, MoveSettled) and not event.adopted:
            return self._before(), OPERATOR
        if isinstance(event, MoveSettled):
            newest = self.reported[-1] if self.reported else None
            adopted = self.place is None or newest == self.place.location
            return (None if adopted else newest), VEHICLE
        return self._news(), VEHICLE

    def holds_against(self, source: str, news: Recorded) -> bool:
        """Whether the place that a person has stated stays in force although the vehicle says otherwise."""
        stated = self.place is not None and self.place.source == OPERATOR
        return stated and source == VEHICLE and isinstance(news.event, ReportFiled)

    def _news(self) -> Location | None:
        """What the newest report says of the place, where it is not what was known."""
        if not self.reported or not self.reported[-1].known:
            return None
        newest = self.reported[-1]
        if self.place is not None and newest == self.place.location:
            return None
        return None if newest in self.reported[-2:-1] else newest

    def _before(self) -> Location | None:
        """The place that held before the vehicle said that it had moved."""
        if self.place is None or self.place.source == OPERATOR:
            return None
        earlier = [plan.location for plan in self.plans if plan.location != self.place.location]
        return earlier[-1] if earlier else None
