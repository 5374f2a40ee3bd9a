"""Where it is, as the operator has heard or seen it, beside what the vehicle says; and read back with an agency."""

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from routing.categories import Category
from routing.location import Known, plausible
from sos.console.orders.order import Id, May, Number, OfIncident
from sos.console.port import FoundPlace
from sos.console.window import Window
from sos.errors import Malformed, Refused
from sos.incident.commands import HearPlace, ReadBack, SettleHeard, SettleMove, StatePlace
from sos.incident.events import PlaceHeard
from sos.incident.model import DisclosureId, Incident
from sos.incident.report import Place, StatedPlace, canonical

STATED_ACCURACY_M = 100.0
"""Of a place that an operator points at: a landmark, a junction, a kilometre post."""

Words = Annotated[str, Meta(max_length=300)]
"""A place in words."""

How = Literal["words", "address", "road"]

_stated = msgspec.json.Decoder(StatedPlace)
_place = msgspec.json.Decoder(Place)


class Move(OfIncident, frozen=True, kw_only=True, tag="move"):
    """The vehicle's newest place holds (``adopted``), or the one before it."""

    may: ClassVar = May.WHO_HAS_IT
    adopted: bool

    async def obey(self, window: Window) -> None:
        await window.execute(self.incident, SettleMove(operator=window.operator.id, adopted=self.adopted))


class PlaceByHand(OfIncident, frozen=True, kw_only=True, tag="place"):
    """Where it is: a pin on the map, or the caller's words."""

    may: ClassVar = May.WHO_HAS_IT
    text: Words = ""
    latitude: Annotated[float, Meta(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Meta(ge=-180, le=180)] | None = None

    async def obey(self, window: Window) -> None:
        located = isinstance(plausible(self.latitude, self.longitude), Known)
        if not located and self.latitude is not None:
            raise Malformed("that is no place on Earth", field="$.latitude")
        if not located and not self.text.strip():
            raise Malformed("that is no place on Earth", field="$.text")
        place = StatedPlace(
            latitude=self.latitude if located else None,
            longitude=self.longitude if located else None,
            horizontal_accuracy=STATED_ACCURACY_M if located else None,
            stated=self.text.strip(),
        )
        command = StatePlace(
            operator=window.operator.id,
            how="pin" if located else "words",
            located=located,
            place=canonical(place),
        )
        await window.execute(self.incident, command)
        await window.show_done(self.incident)


class Said(OfIncident, frozen=True, kw_only=True):
    """A place in somebody's words, looked for in the data of the house."""

    how: How
    text: Words = ""
    """An address, or anything; of a road, what was said beside it."""
    road: Words = ""
    km: Annotated[float, Meta(ge=0, le=9_999)] | None = None
    direction: Annotated[str, Meta(max_length=32)] = ""

    def words(self) -> str:
        """What was said, for a person."""
        if self.how != "road":
            return self.text.strip()
        post = f"{self.km:g} km" if self.km is not None else ""
        return " ".join(word for word in (self.road.strip(), self.direction.strip(), post, self.text.strip()) if word)

    async def look(self, window: Window) -> FoundPlace | None:
        """``Malformed`` where nothing was said."""
        if not self.words():
            raise Malformed("where do they say it is?", field="$.text")
        if self.how == "road":
            return window.room.places.on_road(self.road, self.km, self.direction) if self.km is not None else None
        return await window.room.places.at_address(self.text) if self.how == "address" else None

    def stated(self, found: FoundPlace | None) -> StatedPlace:
        if found is None:
            return StatedPlace(stated=self.words())
        return StatedPlace(
            latitude=found.latitude,
            longitude=found.longitude,
            horizontal_accuracy=found.uncertainty_m,
            stated=self.words(),
            by=found.by,
            name=found.name,
        )


class SayPlace(Said, frozen=True, kw_only=True, tag="say_place"):
    """An address or a kilometre post, as the caller says.

    It is the place where none is known, and stands beside the one in force otherwise, until the operator adopts it.
    """

    may: ClassVar = May.WHO_HAS_IT

    async def obey(self, window: Window) -> dict[str, Any]:
        found = await self.look(window)
        state, operator = await window.state(self.incident), window.operator.id
        place = canonical(self.stated(found))
        if found is None or _unknown(state):
            stated = StatePlace(operator=operator, how=self.how, located=found is not None, place=place)
            await window.execute(self.incident, stated)
        else:
            heard = HearPlace(operator=operator, how=self.how, found=True, place=place)
            await window.execute(self.incident, heard)
        await window.show_done(self.incident)
        return {"found": found}


class ReadPlaceBack(Said, frozen=True, kw_only=True, tag="read_back"):
    """The place was read back with somebody at the agency: they have the same (``agreed``), or what is said here."""

    may: ClassVar = May.WHO_HAS_IT
    disclosure: Id[DisclosureId]
    version: Number
    """Of the place that was on the screen."""
    agreed: bool
    with_code: bool
    """The code of the brief, or the number to call back on, was read with it."""
    how: How = "words"

    async def obey(self, window: Window) -> None:
        found = None if self.agreed else await self.look(window)
        read = ReadBack(
            operator=window.operator.id,
            disclosure=self.disclosure,
            version=self.version,
            agreed=self.agreed,
            with_code=self.with_code,
            how=self.how,
            found=found is not None,
            place=b"" if self.agreed else canonical(self.stated(found)),
        )
        await window.execute(self.incident, read)
        await window.show_done(self.incident)


class SettleHeardPlace(OfIncident, frozen=True, kw_only=True, tag="settle_heard"):
    """What somebody says of the place is adopted, or set aside.

    Words and areas say who was heard, and never replace a place that is known better: they stand beside it.
    """

    may: ClassVar = May.WHO_HAS_IT
    adopted: bool

    async def obey(self, window: Window) -> None:
        state, operator = await window.state(self.incident), window.operator.id
        if state.heard_place is None:
            raise Refused("nothing that was heard of the place waits")
        stated = None
        if self.adopted:
            place = await self._newest(window)
            located = place.latitude is not None and (place.by != "municipality" or _unknown(state))
            how: Any = "agency" if state.heard_place.source == "agency" else state.heard_place.how
            stated = StatePlace(operator=operator, how=how, located=located, place=canonical(place))
        settled = SettleHeard(operator=operator, adopted=self.adopted, stated=stated)
        await window.execute(self.incident, settled)
        await window.show_done(self.incident)

    async def _newest(self, window: Window) -> StatedPlace:
        parts = await window.room.journal.unseal(self.incident, (Category.LOC,))
        heard = [part for part in parts if isinstance(part.recorded.event, PlaceHeard)]
        if not heard:
            raise Refused("what was heard cannot be opened: ask again")
        return _stated.decode(heard[-1].payload)


def _unknown(state: Incident) -> bool:
    """Whether nobody knows where it is, so that anything is better."""
    return "position_unknown" in state.flags or not state.planned
