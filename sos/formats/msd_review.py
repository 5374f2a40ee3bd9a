"""What an MSD says it does not know, and what it says against its own standard, beside the findings of its octets.

Whether the rest can be true is judged of every report alike (``sos.incident.plausible``).  Nothing is corrected here.
A finding is a code with a field, such as ``clock_unset:$.timestamp``; ``findings`` explains each.
"""

from sos.formats import ncap
from sos.formats.bits import MalformedBits
from sos.formats.msd import UNKNOWN_DIRECTION, UNKNOWN_OCCUPANTS, Msd


def review(msd: Msd) -> tuple[str, ...]:
    """All findings: those of the octets, and what they leave unknown or say against the standard."""
    return (*msd.findings, *_unknown(msd), *_additional_findings(msd))


def _unknown(msd: Msd) -> list[str]:
    findings = [] if msd.has_position else ["location_unknown:$.vehicleLocation"]
    if 180 <= msd.direction < UNKNOWN_DIRECTION:
        findings.append("direction_impossible:$.vehicleDirection")
    if msd.occupants == UNKNOWN_OCCUPANTS:
        findings.append("occupants_unknown:$.numberOfOccupants")
    if msd.happened_at is None:
        findings.append("clock_unset:$.timestamp")
    return findings


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
