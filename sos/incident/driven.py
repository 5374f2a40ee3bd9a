"""Where cars drive, very coarsely: enough to see that latitude and longitude have changed places.

A public test message of a large supplier has them so.  Nothing is corrected by it, and it is used for nothing else.
"""

from msgspec import Struct


class _Box(Struct, frozen=True):
    """Degrees."""

    south: float
    north: float
    west: float
    east: float

    def holds(self, latitude: float, longitude: float) -> bool:
        return self.south <= latitude <= self.north and self.west <= longitude <= self.east


_DRIVEN = (
    _Box(34, 72, -25, 45),  # Europe
    _Box(40, 78, 45, 180),  # northern Asia
    _Box(12, 45, 34, 75),  # western and central Asia
    _Box(5, 38, 66, 98),  # southern Asia
    _Box(-11, 55, 92, 146),  # eastern and south-eastern Asia
    _Box(-48, -9, 112, 180),  # Oceania
    _Box(-35, 38, -18, 45),  # Africa
    _Box(-2, 12, 45, 51.5),  # the Horn of Africa
    _Box(7, 72, -170, -52),  # North America
    _Box(-56, 13, -82, -34),  # South America
)


def swapped(latitude: float, longitude: float) -> bool:
    """Whether this is no place where cars drive, and would be one with the coordinates exchanged."""
    return not any(box.holds(latitude, longitude) for box in _DRIVEN) and any(
        box.holds(longitude, latitude) for box in _DRIVEN
    )
