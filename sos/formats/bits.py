"""Bits in the order of ASN.1's unaligned packed encoding rules (UPER, ITU-T X.691), read and written.

The whole message is one integer; reading is shifting.  Only what the vehicle formats of this room need is here: numbers
of a fixed width, length determinants below 16384, and stepping over extensions that a later edition may have added.
"""

from collections.abc import Iterator

from sos.errors import Malformed

LONGEST = 16383
"""Octets that one length determinant can announce without fragments (X.691 11.9.3.7); longer messages are refused."""


class MalformedBits(Malformed):
    """A packed message ended early or holds a value that its format does not allow.

    ``bit`` counts from the first bit of the message as received; ``field`` names what was being read.  The message
    says what was expected there and never what was found.
    """

    def __init__(self, bit: int, name: str, expected: str) -> None:
        super().__init__(f"bit {bit} ({name}): {expected}", field=f"$.{name}")
        self.bit = bit
        self.expected = expected


class BitReader:
    """Takes numbers off the front of ``octets``; every method raises ``MalformedBits`` when too little is left.

    ``origin`` is the bit at which ``octets`` begin in the message as received, so that errors point into that.
    """

    __slots__ = ("_end", "_value", "left")

    def __init__(self, octets: bytes, *, origin: int = 0) -> None:
        self._value = int.from_bytes(octets, "big")
        self.left = 8 * len(octets)
        """Bits not yet taken."""
        self._end = origin + self.left

    @property
    def position(self) -> int:
        """The bit of the whole message that comes next."""
        return self._end - self.left

    def take(self, width: int, name: str) -> int:
        """The next ``width`` bits as a number from 0."""
        left = self.left - width
        if left < 0:
            raise MalformedBits(self.position, name, f"expected {width} bits, the message ends after {self.left}")
        self.left = left
        return (self._value >> left) & ((1 << width) - 1)

    def take_octets(self, name: str) -> bytes:
        """The next OCTET STRING without size bounds: a length determinant and so many octets."""
        count = self.take_length(name)
        return self.take(8 * count, name).to_bytes(count, "big")

    def take_length(self, name: str) -> int:
        """The next length determinant (X.691 11.9), in one or two octets."""
        start = self.position
        first = self.take(8, name)
        if first < 0x80:
            return first
        if first < 0xC0:
            return (first & 0x3F) << 8 | self.take(8, name)
        raise MalformedBits(start, name, f"expected a length below {LONGEST + 1}, not one in fragments")

    def take_small_number(self, name: str) -> int:
        """The next normally small non-negative whole number (X.691 11.6): the index of an enumeration's extension."""
        if not self.take(1, name):
            return self.take(6, name)
        return self.take(8 * self.take_length(name), name)

    def skip_extensions(self, name: str) -> None:
        """Step over the extension additions of a sequence (X.691 19.7 to 19.9), none of which is known here."""
        count = self._extensions(name)
        present = self.take(count, name).bit_count()
        for _ in range(present):
            self.take(8 * self.take_length(name), name)

    def _extensions(self, name: str) -> int:
        """How many presence bits follow: a normally small length (X.691 11.9.3.4)."""
        if not self.take(1, name):
            return self.take(6, name) + 1
        if not self.take(1, name):
            return self.take(7, name)
        raise MalformedBits(self.position - 1, name, "expected at most 127 extensions")

    def padded(self) -> bool:
        """Whether all that is left are fewer than eight bits, all zero: how a whole encoding ends (X.691 11.1)."""
        return self.left < 8 and not self._value & ((1 << self.left) - 1)


class BitWriter:
    """Puts numbers one behind the other; ``octets`` is the encoding, filled up with zero bits."""

    __slots__ = ("_value", "_width")

    def __init__(self) -> None:
        self._value = 0
        self._width = 0

    def put(self, value: int, width: int) -> None:
        """``value``, from 0, in ``width`` bits; the caller has checked that it fits."""
        self._value = self._value << width | value
        self._width += width

    def put_flags(self, *flags: bool) -> None:
        """One bit for each of ``flags``."""
        for flag in flags:
            self.put(int(flag), 1)

    def put_octets(self, octets: bytes) -> None:
        """``octets``, at most ``LONGEST``, behind their length determinant."""
        for part in length_octets(len(octets)):
            self.put(part, 8)
        self.put(int.from_bytes(octets, "big"), 8 * len(octets))

    def octets(self) -> bytes:
        """What was put, ended with zero bits at a full octet."""
        padding = -self._width % 8
        return (self._value << padding).to_bytes((self._width + padding) // 8, "big")


def length_octets(count: int) -> bytes:
    """The shortest length determinant of ``count``, at most ``LONGEST`` (X.691 11.9.3.6 and 11.9.3.7)."""
    return bytes((count,)) if count < 0x80 else bytes((0x80 | count >> 8, count & 0xFF))


MAX_ARC_BITS = 128
"""The longest arcs in use are UUIDs (X.667)."""


def subidentifiers(contents: bytes) -> Iterator[int]:
    """The arcs of a RELATIVE-OID from its contents octets (X.690 8.20).

    ``MalformedBits`` when there is none, one is too long or the last one is not ended; its bit counts from the first of
    ``contents``.
    """
    arc = 0
    for place, octet in enumerate(contents):
        arc = arc << 7 | octet & 0x7F
        if arc.bit_length() > MAX_ARC_BITS:
            raise MalformedBits(8 * place, "oid", f"expected arcs of at most {MAX_ARC_BITS} bits")
        if octet < 0x80:
            yield arc
            arc = 0
    if not contents or contents[-1] >= 0x80:
        raise MalformedBits(8 * len(contents), "oid", "expected another octet of the object identifier")


def oid_octets(arcs: Iterator[int]) -> bytes:
    """The contents octets of a RELATIVE-OID (X.690 8.20)."""
    contents = bytearray()
    for arc in arcs:
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(0x80 | arc & 0x7F)
        contents += bytes(reversed(groups))
    return bytes(contents)
