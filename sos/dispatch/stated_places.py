"""Where that is, what an operator has heard: an address, or a road with its kilometre post and direction.

From the operator's own data alone, in bounded time: kilometre posts of a table, an address by the house's own geocoder
where there is one, else the town or the municipality that it names.  What nothing here knows stays words.
"""

import asyncio
from typing import Protocol

from msgspec import Struct

from routing.location import Position
from routing.plan.addresses import AddressAreas
from routing.position.posts import KilometrePosts

GEOCODED_M = 200.0
"""How far an address that a geocoder knows may be from the car that stands there."""


class FindsAddresses(Protocol):
    """A geocoder.  It answers in bounded time and never raises."""

    async def find(self, text: str) -> Position | None: ...


class FoundPlace(Struct, frozen=True, kw_only=True):
    latitude: float
    longitude: float
    uncertainty_m: float
    by: str
    """``posts``, ``geocoder``, ``towns`` or ``municipality``."""
    name: str = ""

    @property
    def coarse(self) -> bool:
        """Whether it is an area and no place: it says who is responsible, and never where to drive."""
        return self.by == "municipality"


class StatedPlaces:
    def __init__(
        self,
        areas: AddressAreas,
        *,
        posts: KilometrePosts | None = None,
        geocoder: FindsAddresses | None = None,
    ) -> None:
        self._areas = areas
        self._posts = posts
        self._geocoder = geocoder

    @property
    def roads(self) -> tuple[str, ...]:
        """Those of which kilometre posts are known."""
        return self._posts.roads if self._posts is not None else ()

    def on_road(self, road: str, km: float, direction: str) -> FoundPlace | None:
        found = self._posts.find(road, km, direction) if self._posts is not None else None
        if found is None:
            return None
        return _place(found.position, found.uncertainty_m, by="posts", name=found.road)

    async def at_address(self, text: str) -> FoundPlace | None:
        """The geocoder's word counts only inside the area that the address names, as far as our data know that."""
        area = await asyncio.to_thread(self._areas.find, text)
        at = await self._geocoder.find(text) if self._geocoder is not None else None
        if at is not None and (area is None or area.holds(at)):
            return _place(at, GEOCODED_M, by="geocoder", name=area.name if area is not None else "")
        if area is None:
            return None
        by = "towns" if area.exact else "municipality"
        return _place(area.position, area.uncertainty_m, by=by, name=area.name)


def _place(at: Position, uncertainty_m: float, *, by: str, name: str) -> FoundPlace:
    return FoundPlace(
        latitude=at.latitude, longitude=at.longitude, uncertainty_m=round(uncertainty_m), by=by, name=name
    )
