"""As much of DER (ITU-T X.690, 10 and 11) as time stamps need: values one after the other, and a few written.

Strict: lengths in their one spelling, nothing left over, no indefinite lengths.  ``Malformed`` for anything else.
"""

from collections.abc import Iterator
from typing import NamedTuple

from recording.errors import Malformed

BOOLEAN, INTEGER, OCTETS, NULL, OID = 0x01, 0x02, 0x04, 0x05, 0x06
GENERALIZED_TIME, SEQUENCE, SET = 0x18, 0x30, 0x31


class Value(NamedTuple):
    tag: int
    content: bytes
    whole: bytes
    """Tag, length and content, as they came."""

    def expect(self, tag: int) -> bytes:
        if self.tag != tag:
            raise Malformed(f"DER: tag {self.tag:#04x} where {tag:#04x} must stand")
        return self.content

    @property
    def number(self) -> int:
        content = self.expect(INTEGER)
        if not content or (len(content) > 1 and content[:1] in (b"\x00", b"\xff") and _spare(content)):
            raise Malformed("DER: an integer is not in its shortest form")
        return int.from_bytes(content, "big", signed=True)

    @property
    def inside(self) -> "Reader":
        """The values of a sequence, a set or an explicit tag."""
        return Reader(self.content)


class Reader:
    """Takes value after value from ``content``."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def __iter__(self) -> Iterator[Value]:
        while (value := self.peek()) is not None:
            self._at += len(value.whole)
            yield value

    def peek(self) -> Value | None:
        if self._at == len(self._content):
            return None
        return _read(self._content, self._at)

    def take(self, tag: int) -> Value:
        value = self.maybe(tag)
        if value is None:
            raise Malformed(f"DER: no value of tag {tag:#04x} where one must stand")
        return value

    def maybe(self, tag: int) -> Value | None:
        """The next value if its tag is ``tag``; otherwise it stays where it is."""
        value = self.peek()
        if value is None or value.tag != tag:
            return None
        self._at += len(value.whole)
        return value

    def end(self) -> None:
        if self._at != len(self._content):
            raise Malformed("DER: something follows where nothing may")


def only(content: bytes, tag: int) -> Value:
    """The one value that ``content`` is."""
    reader = Reader(content)
    value = reader.take(tag)
    reader.end()
    return value


def write(tag: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def integer(number: int) -> bytes:
    bits = (number if number >= 0 else ~number).bit_length()
    return write(INTEGER, number.to_bytes(bits // 8 + 1, "big", signed=True))


def oid(dotted: str) -> bytes:
    first, second, *others = map(int, dotted.split("."))
    return write(OID, *map(_base128, (40 * first + second, *others)))


def _base128(number: int) -> bytes:
    found = [number & 0x7F]
    while number := number >> 7:
        found.append(0x80 | number & 0x7F)
    return bytes(reversed(found))


def _read(content: bytes, at: int) -> Value:
    if at + 2 > len(content) or content[at] & 0x1F == 0x1F:
        raise Malformed(f"DER: no tag and length at byte {at}")
    tag, size, start = content[at], content[at + 1], at + 2
    if size & 0x80:
        count = size & 0x7F
        start += count
        length = content[at + 2 : start]
        size = int.from_bytes(length, "big")
        if not 0 < count <= 4 or len(length) != count or size < 0x80 or length[0] == 0:
            raise Malformed(f"DER: a length at byte {at} that is none")
    if start + size > len(content):
        raise Malformed(f"DER: the value at byte {at} ends beyond the end")
    return Value(tag, content[start : start + size], content[at : start + size])


def _spare(content: bytes) -> bool:
    """Whether the first octet only repeats the sign of the second."""
    return (content[0] == 0) == (content[1] < 0x80)
