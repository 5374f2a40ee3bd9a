"""Whether what an MSD says makes sense: findings of its content, beside those of its octets.

Nothing is corrected here.  A finding is a code with a field, such as ``clock_unset:$.timestamp``; ``findings`` explains
each.
"""

from datetime import datetime, timedelta

from msgspec import Struct

from routing.location import Known, plausible
from sos.formats import ncap
from sos.formats.bits import MalformedBits
from sos.formats.msd import UNKNOWN_DIRECTION, UNKNOWN_OCCUPANTS, Msd

CLOCK_LEEWAY = timedelta(minutes=10)
"""A vehicle's clock may run ahead of ours by so much before it is odd; with a satellite fix it is right to a second."""


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
"""Where cars drive, very coarsely: enough to see that latitude and longitude have changed places (a public test message
of a large supplier has them so), and never used for anything else."""


def swapped(latitude_mas: int, longitude_mas: int) -> bool:
    """Whether this is no place where cars drive, and would be one with the coordinates exchanged."""
    latitude, longitude = latitude_mas / 3_600_000, longitude_mas / 3_600_000
    return not any(box.holds(latitude, longitude) for box in _DRIVEN) and any(
        box.holds(longitude, latitude) for box in _DRIVEN
    )


def review(msd: Msd, *, now: datetime) -> tuple[str, ...]:
    """All findings: those of the octets, and what makes no sense in the content when it was received at ``now``."""
    return (*msd.findings, *content_findings(msd), *_clock_findings(msd, now), *_additional_findings(msd))


def content_findings(msd: Msd) -> list[str]:
    """What is odd about values that need neither a clock nor another format to judge."""
    findings = ["vin_unset:$.vin"] if msd.vin_known is None else []
    if not msd.has_position:
        findings.append("location_unknown:$.vehicleLocation")
    elif swapped(msd.latitude_mas, msd.longitude_mas):
        findings.append("location_swapped:$.vehicleLocation")
    elif not isinstance(plausible(msd.latitude, msd.longitude), Known):
        findings.append("location_impossible:$.vehicleLocation")
    if 180 <= msd.direction < UNKNOWN_DIRECTION:
        findings.append("direction_impossible:$.vehicleDirection")
    if msd.occupants == UNKNOWN_OCCUPANTS:
        findings.append("occupants_unknown:$.numberOfOccupants")
    return findings


def _clock_findings(msd: Msd, now: datetime) -> list[str]:
    happened_at = msd.happened_at
    if happened_at is None:
        return ["clock_unset:$.timestamp"]
    return ["clock_ahead:$.timestamp"] if happened_at > now + CLOCK_LEEWAY else []


def _additional_findings(msd: Msd) -> list[str]:
    additional = msd.additional
    if additional is None:
        return []
    oid = additional.relative_oid
    if oid is None:
        return ["oid_malformed:$.optionalAdditionalData.oid"]
    if oid != ncap.RELATIVE_OID:
        return [] if oid in RAW_OIDS else ["additional_data_unknown:$.optionalAdditionalData.oid"]
    try:
        return list(ncap.read(additional.data).findings)
    except MalformedBits:
        return ["additional_data_undecodable:$.optionalAdditionalData.data"]


RAW_OIDS = frozenset({"1.4.1", "1.4.2"})
"""ERA-GLONASS additional data: kept as received."""


def impact_of(msd: Msd) -> ncap.EuroNcap | None:
    """The Euro NCAP TB 040 data that came with ``msd``; None when none came or it cannot be read."""
    additional = msd.additional
    if additional is None or additional.relative_oid != ncap.RELATIVE_OID:
        return None
    try:
        return ncap.read(additional.data)
    except MalformedBits:
        return None
