"""Euro NCAP TB 040 additional data (relative OID 8.1): where a car was hit and how much its velocity changed.

It travels inside an MSD and is the way by which delta-V reaches a call centre by eCall.  Read and written after public
implementations, not after the bulletin itself; units are km/h by their usage.
"""

from enum import StrEnum

from msgspec import Struct

from sos.formats.bits import BitReader, BitWriter, MalformedBits

RELATIVE_OID = "8.1"


class Impact(StrEnum):
    """locationOfImpact in the order of the wire."""

    UNKNOWN = "unknown"
    NONE = "none"
    FRONT = "front"
    REAR = "rear"
    DRIVER_SIDE = "driverSide"
    NON_DRIVER_SIDE = "nonDriverSide"
    OTHER = "other"


_IMPACTS = tuple(Impact)


class EuroNcap(Struct, frozen=True, kw_only=True, gc=False):
    """One TB 040 report."""

    location_of_impact: Impact | None
    """None is a place that a later edition may name."""
    rollover_detected: bool | None = None
    range_limit: int
    """km/h, 100 to 255: what the sensor can measure; a delta-V at the limit may be more."""
    delta_v_x: int
    """km/h along the car, forward positive, -255 to 255."""
    delta_v_y: int
    """km/h across the car."""
    findings: tuple[str, ...] = ()


def read(octets: bytes) -> EuroNcap:
    """The report in ``octets``.  ``MalformedBits`` when they are none, always the sender's fault."""
    bits = BitReader(octets)
    head = bits.take(3, "locationOfImpact")
    impact = _impact(bits, extended=head & 1)
    rollover = bool(bits.take(1, "rolloverDetected")) if head & 2 else None
    delta_v = bits.take(27, "deltaV")
    range_limit = (delta_v >> 18 & 0xFF) + 100
    x, y = (delta_v >> 9 & 0x1FF) - 255, (delta_v & 0x1FF) - 255
    findings = [] if _possible(range_limit, x, y) else ["delta_v_impossible:$.optionalAdditionalData.data"]
    if delta_v >> 26:
        bits.skip_extensions("deltaV")
    if head & 4:
        bits.skip_extensions("incident")
    if head & 4 or delta_v >> 26 or impact is None:
        findings.append("unknown_extension:$.optionalAdditionalData.data")
    if not bits.padded():
        findings.append("trailing_octets:$.optionalAdditionalData.data")
    return EuroNcap(
        location_of_impact=impact,
        rollover_detected=rollover,
        range_limit=range_limit,
        delta_v_x=x,
        delta_v_y=y,
        findings=tuple(findings),
    )


def _impact(bits: BitReader, *, extended: int) -> Impact | None:
    if extended:
        bits.take_small_number("locationOfImpact")
        return None
    index = bits.take(3, "locationOfImpact")
    if index < len(_IMPACTS):
        return _IMPACTS[index]
    raise MalformedBits(bits.position - 3, "locationOfImpact", f"expected one of the {len(_IMPACTS)} places")


def _possible(range_limit: int, x: int, y: int) -> bool:
    """Whether the values are in their ranges; eight and nine bits could hold more, and decoders do not refuse it."""
    return range_limit <= 255 and x <= 255 and y <= 255


def delta_v(report: EuroNcap) -> tuple[int, int] | None:
    """Delta-V along and across in km/h; None when the values are out of their ranges, since neither can be trusted."""
    possible = _possible(report.range_limit, report.delta_v_x, report.delta_v_y)
    return (report.delta_v_x, report.delta_v_y) if possible else None


def write(report: EuroNcap) -> bytes:
    """``report`` in its canonical encoding, without extensions; a place that is None is written as a later one.

    ``MalformedBits`` when a value is out of range: the fault of whoever made it.
    """
    limit, x, y = report.range_limit, report.delta_v_x, report.delta_v_y
    if not (100 <= limit <= 255 and -255 <= x <= 255 and -255 <= y <= 255):
        raise MalformedBits(0, "deltaV", "expected a range limit of 100 to 255 and delta-V of -255 to 255")
    bits = BitWriter()
    bits.put_flags(False, report.rollover_detected is not None)
    if report.location_of_impact is None:
        bits.put(0b1_0_000000, 8)
    else:
        bits.put(_IMPACTS.index(report.location_of_impact), 4)
    if report.rollover_detected is not None:
        bits.put_flags(report.rollover_detected)
    for value, width in ((0, 1), (limit - 100, 8), (x + 255, 9), (y + 255, 9)):
        bits.put(value, width)
    return bits.octets()
