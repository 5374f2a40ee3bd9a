"""What a supervisor decides about mass events: that there is one, where and until when; or none; how to tell."""

from datetime import timedelta
from typing import Annotated, ClassVar

from msgspec import Meta

from sos.console.orders.order import Code, Id, May, Number, Order, Reason
from sos.console.window import Window
from sos.incident import mass_event as m
from sos.incident.model import AgencyId, Area, HowToTell, MassEventId, new_id

Name = Annotated[str, Meta(min_length=1, max_length=80)]
"""What everybody calls it."""

Hours = Annotated[float, Meta(ge=0.25, le=24)]
Codes = Annotated[tuple[Annotated[str, Meta(max_length=8)], ...], Meta(max_length=m.MOST_CODES)]
Minutes = Annotated[int, Meta(ge=0, le=120)]


class _Whole(Order, frozen=True, kw_only=True):
    """A mass event as it is to stand; its area is a circle, or codes."""

    may: ClassVar = May.SUPERVISOR
    seen: Number
    """``decisions`` of the frame that this desk has: of two supervisors at once the second hears who was first."""
    name: Name
    words: Reason = ""
    hours: Hours
    """From now on until somebody has to say whether it goes on."""
    latitude: Annotated[float, Meta(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Meta(ge=-180, le=180)] | None = None
    radius_km: Annotated[int, Meta(ge=0, le=m.WIDEST_KM)] = 0
    codes: Codes = ()

    @property
    def area(self) -> Area:
        return Area(latitude=self.latitude, longitude=self.longitude, radius_km=self.radius_km, codes=self.codes)


class DeclareMassEvent(_Whole, frozen=True, kw_only=True, tag="declare_mass_event"):
    """There is one; with ``mass_event``, what the house has proposed is one."""

    mass_event: Id[MassEventId] | None = None

    async def obey(self, window: Window) -> None:
        order = m.Declare(
            mass_event=self.mass_event or MassEventId(new_id()),
            operator=window.operator.id,
            seen=self.seen,
            name=self.name,
            words=self.words,
            area=self.area,
            until=window.room.journal.clock.now() + timedelta(hours=self.hours),
        )
        await window.room.mass_events.execute(order, operator=window.operator.id)


class ChangeMassEvent(_Whole, frozen=True, kw_only=True, tag="change_mass_event"):
    """It goes on, as it is said here."""

    mass_event: Id[MassEventId]

    async def obey(self, window: Window) -> None:
        order = m.Change(
            mass_event=self.mass_event,
            operator=window.operator.id,
            seen=self.seen,
            name=self.name,
            words=self.words,
            area=self.area,
            until=window.room.journal.clock.now() + timedelta(hours=self.hours),
        )
        await window.room.mass_events.execute(order, operator=window.operator.id)


class EndMassEvent(Order, frozen=True, kw_only=True, tag="end_mass_event"):
    may: ClassVar = May.SUPERVISOR
    mass_event: Id[MassEventId]
    seen: Number
    words: Reason = ""

    async def obey(self, window: Window) -> None:
        who = window.operator.id
        over = m.End(mass_event=self.mass_event, operator=who, seen=self.seen, words=self.words)
        await window.room.mass_events.execute(over, operator=who)


class DismissMassEvent(Order, frozen=True, kw_only=True, tag="dismiss_mass_event"):
    """What the house has proposed is none."""

    may: ClassVar = May.SUPERVISOR
    mass_event: Id[MassEventId]
    seen: Number
    words: Reason = ""

    async def obey(self, window: Window) -> None:
        who = window.operator.id
        none = m.Dismiss(mass_event=self.mass_event, operator=who, seen=self.seen, words=self.words)
        await window.room.mass_events.execute(none, operator=who)


class AnswerMassTelling(Order, frozen=True, kw_only=True, tag="answer_mass_telling"):
    """How the house tells an agency of a place without a person, from now on and for what was held."""

    may: ClassVar = May.SUPERVISOR
    mass_event: Id[MassEventId]
    agency: Id[AgencyId]
    place: Code
    was: HowToTell | None = None
    """The answer until now, as this desk has it."""
    how: HowToTell
    every_min: Minutes = 0

    async def obey(self, window: Window) -> None:
        who = window.operator.id
        answer = m.AnswerTelling(
            mass_event=self.mass_event,
            operator=who,
            agency=self.agency,
            place=self.place,
            was=self.was,
            how=self.how,
            every_min=self.every_min,
        )
        await window.room.mass_events.execute(answer, operator=who)
