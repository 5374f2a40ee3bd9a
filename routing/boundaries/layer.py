"""What every boundary layer answers, whatever it was made from: whose place is this, and how sure is that?

Two layers speak this protocol: the coarse prefectures that ship with the package, and the exact municipalities that an
operator imports (``sos geo import``).  All positions are WGS-84 degrees, latitude first in arguments; shapely shapes
have the longitude first, as GeoJSON does.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Protocol

from msgspec import Struct

NEAREST_LIMIT_M = 5_000.0
"""Up to here off every shore a point counts as on land: coasts in files miss piers, bridges and small islands."""

SEA_LIMIT_M = 400_000.0
"""Up to here a point at sea is given to the nearest area: 200 nautical miles and a little."""


class Match(Struct, frozen=True):
    """What a layer says of one point."""

    prefecture: str | None
    """ISO 3166-2, such as ``JP-13``; None abroad, on the high seas, and where a foreign layer does not say."""
    how: str
    """``inside``, ``nearest`` (off the shore or in a gap, at most NEAREST_LIMIT_M), ``sea`` or ``outside``.  RFC 5222
    asks for the warning defaultMappingReturned with everything but ``inside``."""
    distance_m: float
    """To the area; 0 when inside."""
    municipality: str | None = None
    """Five-digit JIS X 0402 code, or the code of a foreign source; None where the layer knows prefectures only."""

    @property
    def code(self) -> str | None:
        """The finest area known: what ``border``, ``polygon`` and ``names`` of the same layer take."""
        return self.municipality or self.prefecture


class Border(Struct, frozen=True):
    """The nearest area other than the one asked from."""

    distance_m: float
    runner_up: str


class Share(Struct, frozen=True):
    """How much of a shape lies in one area."""

    code: str
    share: float
    """0 to 1; what is missing to 1 over all areas is water or another country."""


class Layer(Protocol):
    """A set of areas, each with a code.  Its answers never change after it is made; safe to share between threads.

    ``as_of`` None means the newest state the layer holds; a date before or after everything in the layer is answered
    by the state nearest in time, because an out-of-date map is better than none (``covers`` tells).
    """

    accuracy_m: float
    """How far the borders may be wrong."""

    @property
    def names(self) -> Mapping[str, tuple[str, str]]:
        """Code to (Japanese, English) name, of every area of every date; English may be empty."""
        ...

    @property
    def dataset(self) -> str:
        """``name@sha256``, as plans record it."""
        ...

    def covers(self, as_of: date) -> bool:
        """Whether the layer states something about this date."""
        ...

    def find(self, latitude: float, longitude: float, *, as_of: date | None = None) -> Match:
        """The area of a point; of a point on a border, the lowest code.  ``Malformed`` when it is no place on Earth."""
        ...

    def find_many(
        self, latitudes: Sequence[float], longitudes: Sequence[float], *, as_of: date | None = None
    ) -> list[Match]:
        """``find`` for many points at bulk speed (numpy arrays are best), in their order."""
        ...

    def border(self, latitude: float, longitude: float, *, code: str, as_of: date | None = None) -> Border | None:
        """How far it is to the nearest area other than ``code``, and which one; None when there is no other.

        A point inside another one is as far as that one's edge.
        """
        ...

    def shares(
        self, latitude: float, longitude: float, radius_m: float, *, as_of: date | None = None
    ) -> tuple[Share, ...]:
        """How a circle divides among the areas, largest first, then by code; empty when it touches none."""
        ...

    def shares_of(self, shape: Any, *, as_of: date | None = None) -> tuple[Share, ...]:
        """The same for any shapely (Multi)Polygon in degrees."""
        ...

    def polygon(self, code: str, *, as_of: date | None = None) -> Any:
        """The shapely (Multi)Polygon of an area in degrees, or None when there is no such area on that date."""
        ...
