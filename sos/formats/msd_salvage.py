"""What can be saved of an MSD that ``msd.read`` refuses, so that a damaged message still says where help is needed."""

import msgspec

from routing.location import Known, plausible
from sos.formats.bits import LONGEST, BitReader, MalformedBits
from sos.formats.msd import EDITIONS, FIRST_POSSIBLE, UNKNOWN_DIRECTION, Edition, Msd, base_data, read


def salvage(octets: bytes) -> Msd | None:
    """The base data of octets that ``msd.read`` refuses; None when there is none to be relied on.

    Three faults leave it whole: what comes behind it is cut off (finding ``cut_off``), the version octet is another's
    (``version_mislabelled``), and the VIN holds what is no character (``vin_illegal``; it is then all zeros).  The last
    two are believed only where everything else fits to the last bit and is possible, since a wrong body read by chance
    would be a wrong place on the map.
    """
    edition = EDITIONS.get(octets[0]) if octets else None
    if edition is None or len(octets) > LONGEST:
        return None
    findings = ["cut_off:$"]
    try:
        _, _, core = base_data(_body(octets, edition), edition, findings)
    except MalformedBits:
        return _relabelled(octets, edition) or _without_vin(octets, edition)
    return msgspec.structs.replace(core, findings=tuple(findings))


def _relabelled(octets: bytes, labelled: Edition) -> Msd | None:
    """The message read as the other version in the same frame; version 1 has a frame of its own."""
    other = {2: 3, 3: 2}.get(labelled.version)
    return None if other is None else _believed(bytes((other,)) + octets[1:], "version_mislabelled:$.version")


def _without_vin(octets: bytes, edition: Edition) -> Msd | None:
    """The message with the VIN overwritten."""
    try:
        bits = _body(octets, edition)
        head = bits.take(edition.head_bits, "control")
        behind = bits.left - edition.type_bits - 102
    except MalformedBits:
        return None
    if head & 1 or behind < 0:
        return None
    blank = int.from_bytes(octets, "big") & ~(((1 << 102) - 1) << behind)
    return _believed(blank.to_bytes(len(octets), "big"), "vin_illegal:$.vin")


def _believed(octets: bytes, finding: str) -> Msd | None:
    """The message in mended ``octets`` with ``finding`` alone, when nothing but the VIN makes one doubt it."""
    try:
        msd = read(octets)
    except MalformedBits:
        return None
    return msgspec.structs.replace(msd, findings=(finding,)) if not msd.findings and _sound(msd) else None


def _sound(msd: Msd) -> bool:
    """Whether everything but the VIN is as an honest sender of the field writes it."""
    clock = msd.happened_at is not None and msd.happened_at >= FIRST_POSSIBLE
    place = not msd.has_position or _placed(msd)
    direction = msd.direction < 180 or msd.direction == UNKNOWN_DIRECTION
    return clock and place and direction and msd.vehicle_type is not None


def _placed(msd: Msd) -> bool:
    """Coordinates that changed places are an honest sender's too."""
    latitude, longitude = msd.latitude_mas / 3_600_000, msd.longitude_mas / 3_600_000
    either = (plausible(latitude, longitude), plausible(longitude, latitude))
    return any(isinstance(each, Known) for each in either)


def _body(octets: bytes, edition: Edition) -> BitReader:
    """The message without its envelope, as far as it goes."""
    bits = BitReader(octets[1:], origin=8)
    if edition.framed:
        bits.take_length("length")
    return bits
