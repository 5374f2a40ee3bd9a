"""The eCall minimum set of data (MSD, EN 15722), versions 1 (2011), 2 (2015) and 3 (2020), read and written.

An MSD is a version octet and a message in ASN.1 UPER; from version 2 the message lies in an octet string.  ``read``
accepts exactly what an ASN.1 decoder accepts.  What is legal yet odd on the wire becomes a *finding* in
``Msd.findings``; whether the content makes sense is the matter of ``msd_review``, and what can be saved of a damaged
message that of ``msd_salvage``.  Field names follow the standard; registered additional data stays raw here (Euro NCAP
TB 040 is read by ``ncap``).
"""

from binascii import b2a_base64
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType

import msgspec
from msgspec import Struct

from sos.formats.bits import (
    LONGEST,
    BitReader,
    BitWriter,
    MalformedBits,
    length_octets,
    oid_octets,
    subidentifiers,
)

MEDIA_TYPE = "application/EmergencyCallData.eCall.MSD"
"""RFC 8147 14.2; compare without regard to case."""

UNKNOWN_MAS = 2147483647
"""Either coordinate when there was no fix."""
MAX_LATITUDE_MAS = 90 * 3_600_000
MAX_LONGITUDE_MAS = 180 * 3_600_000
UNKNOWN_DIRECTION = 255
UNKNOWN_OCCUPANTS = 255

FIRST_POSSIBLE = datetime(2011, 1, 1, tzinfo=UTC)
"""No vehicle spoke EN 15722 before its first edition: an earlier clock was never set."""


class VehicleType(StrEnum):
    """EN 15722 vehicleType in the order of the wire; those from ``o`` exist from version 3."""

    M1 = "m1"
    M2 = "m2"
    M3 = "m3"
    N1 = "n1"
    N2 = "n2"
    N3 = "n3"
    L1E = "l1e"
    L2E = "l2e"
    L3E = "l3e"
    L4E = "l4e"
    L5E = "l5e"
    L6E = "l6e"
    L7E = "l7e"
    O = "o"  # noqa: E741  the standard's name
    R = "r"
    S = "s"
    T = "t"
    G = "g"
    SA = "sa"
    SB = "sb"
    SC = "sc"
    SD = "sd"
    OTHER = "other"


class Energy(StrEnum):
    """EN 15722 vehiclePropulsionStorageType in the order of the wire; ``other`` exists from version 2."""

    GASOLINE = "gasoline"
    DIESEL = "diesel"
    CNG = "cng"
    LPG = "lpg"
    ELECTRIC = "electric"
    HYDROGEN = "hydrogen"
    OTHER = "other"


class Edition(Struct, frozen=True):
    """What differs from one version to the next."""

    version: int
    framed: bool
    """Whether the message lies in an octet string with a length of its own."""
    recent_optional: bool
    """Whether recentVehicleLocationN1 and N2 may be missing."""
    types: tuple[VehicleType, ...]
    type_bits: int
    energies: tuple[Energy, ...]
    energy_sets: tuple[tuple[Energy, ...], ...]
    """The energies for each combination of bits, the first energy in the highest bit."""
    head_bits: int
    """From the message's extension bit to that of the vehicle type: two, the core's own, 8 + 3, and one."""


def _edition(version: int, types: int, energies: int) -> Edition:
    named = tuple(Energy)[:energies]
    sets = tuple(
        tuple(energy for place, energy in enumerate(reversed(named)) if bits >> place & 1)[::-1]
        for bits in range(1 << energies)
    )
    optional = version < 3
    return Edition(
        version=version,
        framed=version > 1,
        recent_optional=optional,
        types=tuple(VehicleType)[:types],
        type_bits=(types - 1).bit_length(),
        energies=named,
        energy_sets=sets,
        head_bits=18 if optional else 16,
    )


EDITIONS: Mapping[int, Edition] = MappingProxyType(
    {1: _edition(1, 13, 6), 2: _edition(2, 13, 7), 3: _edition(3, 23, 7)}
)


class Delta(Struct, frozen=True, gc=False):
    """The way from the position one step later to this earlier one, in units of 100 milliarcseconds (-512 to 511)."""

    latitude: int
    longitude: int


class AdditionalData(Struct, frozen=True, gc=False):
    """optionalAdditionalData: registered content under a relative object identifier, both as received."""

    oid: bytes
    """The contents octets of the RELATIVE-OID; an OCTET STRING has the same encoding in UPER."""
    data: bytes

    @property
    def relative_oid(self) -> str | None:
        """The identifier in dotted form such as ``8.1``; None when its octets are none."""
        try:
            return ".".join(map(str, subidentifiers(self.oid)))
        except MalformedBits:
            return None


class Msd(Struct, frozen=True, kw_only=True, gc=False):
    """One MSD.  Raw values are kept beside their meaning: ``None`` from a property is unknown, never zero."""

    version: int
    message_identifier: int
    """1 for the first transmission of an eCall, one more for each retransmission by the application."""
    automatic_activation: bool
    test_call: bool
    position_can_be_trusted: bool
    """Within 150 m at 95 % confidence."""
    vehicle_type: VehicleType | None
    """None is a type that this edition does not know."""
    vin: str
    """ISO 3779: isowmi, isovds, isovisModelyear and isovisSeqPlant in one, 17 characters."""
    propulsion: tuple[Energy, ...]
    """Empty is unknown."""
    timestamp: int
    """Unix seconds (UTC) of the incident; the same in retransmissions; 0 is a failed clock."""
    latitude_mas: int
    """Milliarcseconds, WGS-84; ``UNKNOWN_MAS`` without a fix."""
    longitude_mas: int
    direction: int
    """Steps of two degrees clockwise from north, 0 to 179; 255 is unknown."""
    recent_n1: Delta | None = None
    """Before ``latitude_mas``, ``longitude_mas``."""
    recent_n2: Delta | None = None
    """Before ``recent_n1``."""
    occupants: int | None = None
    """numberOfPassengers in versions 1 and 2; None and 255 are unknown, 0 is a value."""
    additional: AdditionalData | None = None
    findings: tuple[str, ...] = ()
    """What was odd about the octets, as ``code:$.field``."""

    @property
    def latitude(self) -> float | None:
        """Degrees to seven places, None when unknown or impossible."""
        return _degrees(self.latitude_mas, MAX_LATITUDE_MAS) if self.has_position else None

    @property
    def longitude(self) -> float | None:
        """Degrees to seven places, None when unknown or impossible."""
        return _degrees(self.longitude_mas, MAX_LONGITUDE_MAS) if self.has_position else None

    @property
    def has_position(self) -> bool:
        """Whether any position is claimed: both zero is none since the 2020 edition, and nobody drives there."""
        return (self.latitude_mas, self.longitude_mas) not in ((0, 0), (UNKNOWN_MAS, UNKNOWN_MAS))

    @property
    def heading(self) -> int | None:
        """Degrees clockwise from north, None when unknown or out of range."""
        return 2 * self.direction if self.direction < 180 else None

    @property
    def happened_at(self) -> datetime | None:
        """The time of the incident as the vehicle's clock had it, None when that failed (0)."""
        return datetime.fromtimestamp(self.timestamp, UTC) if self.timestamp else None

    @property
    def occupants_known(self) -> int | None:
        """People known to be in the vehicle, None when unknown."""
        return None if self.occupants == UNKNOWN_OCCUPANTS else self.occupants


def _degrees(mas: int, limit: int) -> float | None:
    return round(mas / 3_600_000, 7) if -limit <= mas <= limit else None


# Reading


def read(octets: bytes) -> Msd:
    """The MSD in ``octets``.  ``MalformedBits`` when they are none: always the sender's fault."""
    if not octets:
        raise MalformedBits(0, "version", "too short: expected a version octet")
    edition = EDITIONS.get(octets[0])
    if edition is None:
        raise MalformedBits(0, "version", "unsupported version: expected 1, 2 or 3")
    if len(octets) > LONGEST:
        raise MalformedBits(8 * LONGEST, "version", f"too long: expected at most {LONGEST} octets")
    if not edition.framed:
        return _message(BitReader(octets[1:], origin=8), edition, more=b"")
    length, start = _framing(octets)
    return _message(BitReader(octets[start : start + length], origin=8 * start), edition, more=octets[start + length :])


def _framing(octets: bytes) -> tuple[int, int]:
    """Octets of the message and the octet at which it begins."""
    frame = BitReader(octets[1:4], origin=8)
    length = frame.take_length("length")
    start = frame.position // 8
    if start + length > len(octets):
        raise MalformedBits(8, "length", f"the length octet promises more than is there: expected {length} octets")
    return length, start


def _message(bits: BitReader, edition: Edition, *, more: bytes) -> Msd:
    """The message in ``bits`` up to its end; ``more`` are the octets behind its frame."""
    findings: list[str] = []
    has_additional, extended, core = base_data(bits, edition, findings)
    additional = None
    if has_additional:
        additional = AdditionalData(bits.take_octets("oid"), bits.take_octets("data"))
    if extended:
        bits.skip_extensions("msd")
        findings.append("unknown_extension:$")
    if bits.left >= 8:
        findings.append("trailing_octets:$.msd" if edition.framed else "trailing_octets:$")
    elif not bits.padded():
        findings.append("padding_not_zero:$")
    if more:
        findings.append("trailing_octets:$")
    if additional is None and not findings:
        return core
    return msgspec.structs.replace(core, additional=additional, findings=tuple(findings))


def base_data(bits: BitReader, edition: Edition, findings: list[str]) -> tuple[bool, bool, Msd]:
    """Whether additional data and extensions of the message follow, and the base data, from its first bit.

    Read in blocks, not field by field: each block is one shift of the whole message.
    """
    head = bits.take(edition.head_bits, "control")
    shape = head >> 12
    recent, outer = (shape >> 1 & 3, shape >> 3) if edition.recent_optional else (3, shape >> 1)
    vehicle_type = _vehicle_type(bits, edition, findings, extended=head & 1)
    vin = _vin(bits)
    propulsion = _propulsion(bits, edition, findings)
    fix = bits.take(104, "timestamp")
    n1 = _delta(bits, "recentVehicleLocationN1") if recent & 2 else None
    n2 = _delta(bits, "recentVehicleLocationN2") if recent & 1 else None
    occupants = bits.take(8, "numberOfOccupants") if shape & 1 else None
    if outer & 1:
        bits.skip_extensions("msdStructure")
        findings.append("unknown_extension:$.msdStructure")
    core = Msd(
        version=edition.version,
        message_identifier=head >> 4 & 0xFF,
        automatic_activation=bool(head & 8),
        test_call=bool(head & 4),
        position_can_be_trusted=bool(head & 2),
        vehicle_type=vehicle_type,
        vin=vin,
        propulsion=propulsion,
        timestamp=fix >> 72,
        latitude_mas=(fix >> 40 & 0xFFFFFFFF) - 0x80000000,
        longitude_mas=(fix >> 8 & 0xFFFFFFFF) - 0x80000000,
        direction=fix & 0xFF,
        recent_n1=n1,
        recent_n2=n2,
        occupants=occupants,
    )
    return bool(outer & 2), bool(outer & 4), core


def _vehicle_type(bits: BitReader, edition: Edition, findings: list[str], *, extended: int) -> VehicleType | None:
    if extended:
        bits.take_small_number("vehicleType")
        findings.append("vehicle_type_unknown:$.vehicleType")
        return None
    index = bits.take(edition.type_bits, "vehicleType")
    if index < len(edition.types):
        return edition.types[index]
    at = bits.position - edition.type_bits
    raise MalformedBits(at, "vehicleType", f"expected one of the {len(edition.types)} types of the edition")


_VIN_ALPHABET = b"0123456789ABCDEFGHJKLMNPRSTUVWXYZ"
_BASE64_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_TO_VIN = bytes.maketrans(_BASE64_ALPHABET, _VIN_ALPHABET.ljust(64, b"?"))
"""Both write six bits as one character, so Base64 does the splitting and this the naming; ``?`` is no character."""
_FROM_VIN = MappingProxyType({chr(character): index for index, character in enumerate(_VIN_ALPHABET)})


def _vin(bits: BitReader) -> str:
    packed = (bits.take(102, "vin") << 2).to_bytes(13, "big")
    vin = b2a_base64(packed, newline=False)[:17].translate(_TO_VIN).decode("ascii")
    if "?" in vin:
        at = bits.position - 102 + 6 * vin.index("?")
        raise MalformedBits(at, "vin", "illegal VIN character: expected one of 33; perhaps the version octet is wrong")
    return vin


def _propulsion(bits: BitReader, edition: Edition, findings: list[str]) -> tuple[Energy, ...]:
    """A value bit follows only for flags present: absent is false (DEFAULT), and present is nearly always true."""
    count = len(edition.energies)
    present = bits.take(count + 1, "vehiclePropulsionStorageType")
    extended = present >> count
    present &= (1 << count) - 1
    width = present.bit_count()
    values = bits.take(width, "vehiclePropulsionStorageType")
    if values != (1 << width) - 1:
        present = _only_true(present, values)
    if extended:
        bits.skip_extensions("vehiclePropulsionStorageType")
        findings.append("unknown_extension:$.vehiclePropulsionStorageType")
    return edition.energy_sets[present]


def _only_true(present: int, values: int) -> int:
    """``present`` without the bits whose value, one each from the lowest, is false."""
    place, kept = 1, 0
    while place <= present:
        if present & place:
            kept |= place * (values & 1)
            values >>= 1
        place <<= 1
    return kept


def _delta(bits: BitReader, name: str) -> Delta:
    both = bits.take(20, name)
    return Delta((both >> 10) - 512, (both & 0x3FF) - 512)


# Writing


def write(msd: Msd) -> bytes:
    """``msd`` in its canonical encoding, without extensions; a vehicle type that is None is written as a later one.

    ``MalformedBits`` when a value has no place in the edition: the fault of whoever made it.
    """
    edition = EDITIONS.get(msd.version)
    if edition is None:
        raise MalformedBits(0, "version", "unsupported version: expected 1, 2 or 3")
    bits = BitWriter()
    bits.put_flags(False, msd.additional is not None)
    _put_core(bits, msd, edition)
    if msd.additional is not None:
        for octets, name in ((msd.additional.oid, "oid"), (msd.additional.data, "data")):
            _within(len(octets), 0, LONGEST, name)
            bits.put_octets(octets)
    message = bits.octets()
    _within(len(message), 0, LONGEST - 3, "length")
    return bytes((msd.version,)) + (length_octets(len(message)) if edition.framed else b"") + message


def _put_core(bits: BitWriter, msd: Msd, edition: Edition) -> None:
    bits.put_flags(False)
    if edition.recent_optional:
        bits.put_flags(msd.recent_n1 is not None, msd.recent_n2 is not None)
    bits.put_flags(msd.occupants is not None)
    bits.put(_within(msd.message_identifier, 0, 255, "messageIdentifier"), 8)
    bits.put_flags(msd.automatic_activation, msd.test_call, msd.position_can_be_trusted)
    _put_vehicle_type(bits, msd.vehicle_type, edition)
    _put_vin(bits, msd.vin)
    _put_propulsion(bits, msd.propulsion, edition)
    bits.put(_within(msd.timestamp, 0, 0xFFFFFFFF, "timestamp"), 32)
    for mas, name in ((msd.latitude_mas, "positionLatitude"), (msd.longitude_mas, "positionLongitude")):
        bits.put(_within(mas, -0x80000000, 0x7FFFFFFF, name) + 0x80000000, 32)
    bits.put(_within(msd.direction, 0, 255, "vehicleDirection"), 8)
    for delta, name in ((msd.recent_n1, "recentVehicleLocationN1"), (msd.recent_n2, "recentVehicleLocationN2")):
        if delta is None and not edition.recent_optional:
            raise MalformedBits(0, name, f"expected a value: version {edition.version} always has one")
        if delta is not None:
            bits.put(_within(delta.latitude, -512, 511, name) + 512, 10)
            bits.put(_within(delta.longitude, -512, 511, name) + 512, 10)
    if msd.occupants is not None:
        bits.put(_within(msd.occupants, 0, 255, "numberOfOccupants"), 8)


def _put_vehicle_type(bits: BitWriter, vehicle_type: VehicleType | None, edition: Edition) -> None:
    if vehicle_type is None:
        bits.put(0b1_0_000000, 8)
        return
    if vehicle_type not in edition.types:
        raise MalformedBits(0, "vehicleType", f"expected a type of version {edition.version}")
    bits.put(edition.types.index(vehicle_type), 1 + edition.type_bits)


def _put_vin(bits: BitWriter, vin: str) -> None:
    if len(vin) != 17 or not all(character in _FROM_VIN for character in vin):
        raise MalformedBits(0, "vin", "expected 17 characters of A to H, J to N, P, R to Z and 0 to 9")
    for character in vin:
        bits.put(_FROM_VIN[character], 6)


def _put_propulsion(bits: BitWriter, propulsion: tuple[Energy, ...], edition: Edition) -> None:
    if not set(propulsion) <= set(edition.energies):
        raise MalformedBits(0, "vehiclePropulsionStorageType", f"expected energies of version {edition.version}")
    present = [energy in propulsion for energy in edition.energies]
    bits.put_flags(False, *present, *(True for flag in present if flag))


def _within(value: int, lowest: int, highest: int, name: str) -> int:
    """``value``, when it is in range."""
    if lowest <= value <= highest:
        return value
    raise MalformedBits(0, name, f"expected {lowest} to {highest}")


def relative_oid(dotted: str) -> bytes:
    """The contents octets of an identifier such as ``8.1``.  ``MalformedBits`` when it is none."""
    arcs = dotted.split(".")
    if not all(arc.isascii() and arc.isdigit() and len(arc) < 39 for arc in arcs):
        raise MalformedBits(0, "oid", "expected numbers with dots between them")
    return oid_octets(map(int, arcs))
