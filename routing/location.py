"""Positions: WGS-84 degrees, latitude first; and the rules that tell a possible position from an impossible one.

Unknown is not zero: a position that cannot be right becomes ``Unknown`` with the reasons, and nobody downstream has
to wonder about 0/0 again.  A doubtful position stays as it was sent, with flags; nothing here corrects a number.
"""

import math

from msgspec import Struct

from routing.errors import Malformed

COVERAGE = (20.0, 122.0, 46.0, 154.5)
"""South, west, north, east of everything Japanese, with the sea around it: 沖ノ鳥島, 与那国島, 択捉島, 南鳥島."""

_NULL_ISLAND_DEG = 0.5
"""Real crash files hold 0/0 and 0.0046/0.0100, a field cut short.  There is only sea this near to where the equator
meets the zero meridian."""

_WGS84_ALIKE = frozenset(
    {"wgs84", "jgd2000", "jgd2011", "epsg:4326", "epsg:4612", "epsg:6668", "urn:ogc:def:crs:epsg::4326"}
)
"""Systems whose degrees mean the same place to two metres."""

_TOKYO = frozenset({"tokyo", "epsg:4301", "tokyo97"})
"""The datum of Japanese maps before 2002: its degrees lie about 450 m to the north-west of ours."""

_EQUATOR_DEG = 0.01
"""A latitude alone below this (1.1 km) is far likelier a broken field than a road on the equator; Kampala and Quito
lie further off."""


class Position(Struct, frozen=True):
    """A place on Earth.  ``Malformed`` when it cannot be one: NaN, infinite or out of range."""

    latitude: float
    longitude: float

    def __post_init__(self) -> None:
        # Written so that NaN fails: every comparison with it is false.
        if not -90.0 <= self.latitude <= 90.0:
            raise Malformed("latitude must lie between -90 and 90 degrees", field="$.latitude")
        if not -180.0 <= self.longitude <= 180.0:
            raise Malformed("longitude must lie between -180 and 180 degrees", field="$.longitude")


class Known(Struct, frozen=True):
    """A usable position.  ``flags`` may hold ``outside_coverage``, ``axes_swapped?``, and ``datum_tokyo`` (some 450 m
    off) or ``datum_unknown`` when the sender names another system than WGS-84."""

    position: Position
    flags: tuple[str, ...] = ()


class Unknown(Struct, frozen=True):
    """No usable position.  ``reasons`` are codes: ``missing``, ``not_a_number``, ``out_of_range``, ``null_island``,
    ``latitude_near_zero``, ``longitude_near_zero``, ``axes_swapped?``."""

    reasons: tuple[str, ...]


def plausible(
    latitude: float | None,
    longitude: float | None,
    *,
    coverage: tuple[float, float, float, float] = COVERAGE,
    datum: str | None = None,
) -> Known | Unknown:
    """What can be believed of a position as sent.  Never raises and never alters a number.

    ``datum`` is the system the sender names; none named means WGS-84, as every standard of the field has it.

    ``axes_swapped?`` means that the two values would lie in the coverage if they changed places: a person may do that,
    software may not.
    """
    if latitude is None or longitude is None:
        return Unknown(("missing",))
    if not (math.isfinite(latitude) and math.isfinite(longitude)):
        return Unknown(("not_a_number",))
    if _within(latitude, longitude, coverage):
        return Known(Position(latitude, longitude), _datum(datum))
    swapped = ("axes_swapped?",) if _within(longitude, latitude, coverage) else ()
    if not (abs(latitude) <= 90.0 and abs(longitude) <= 180.0):
        return Unknown(("out_of_range", *swapped))
    if broken := _broken(latitude, longitude):
        return Unknown(broken)
    return Known(Position(latitude, longitude), ("outside_coverage", *swapped, *_datum(datum)))


def _datum(named: str | None) -> tuple[str, ...]:
    if named is None or named.strip().lower() in _WGS84_ALIKE:
        return ()
    return ("datum_tokyo",) if named.strip().lower() in _TOKYO else ("datum_unknown",)


def _broken(latitude: float, longitude: float) -> tuple[str, ...]:
    if abs(latitude) < _NULL_ISLAND_DEG and abs(longitude) < _NULL_ISLAND_DEG:
        return ("null_island",)
    if abs(latitude) < _EQUATOR_DEG:
        return ("latitude_near_zero",)
    # London and Accra lie on the zero meridian, so a small longitude is broken only when it is exactly zero.
    return ("longitude_near_zero",) if longitude == 0.0 else ()


def _within(latitude: float, longitude: float, coverage: tuple[float, float, float, float]) -> bool:
    south, west, north, east = coverage
    return south <= latitude <= north and west <= longitude <= east
