"""Bits in the order of UPER: what is put comes back, lengths are the shortest, extensions are stepped over."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sos.formats.bits import LONGEST, BitReader, BitWriter, MalformedBits, length_octets, oid_octets, subidentifiers

numbers = st.integers(1, 80).flatmap(lambda width: st.tuples(st.integers(0, 2**width - 1), st.just(width)))


@given(st.lists(numbers, max_size=30))
@settings(deadline=None)
def test_numbers_come_back_as_they_were_put(put):
    bits = BitWriter()
    for value, width in put:
        bits.put(value, width)

    reader = BitReader(bits.octets())
    assert [reader.take(width, "x") for _, width in put] == [value for value, _ in put]
    assert reader.padded()


@given(st.binary(max_size=300), st.integers(0, 7))
@settings(deadline=None)
def test_octet_strings_come_back_from_any_bit(octets, shift):
    bits = BitWriter()
    bits.put(0, shift)
    bits.put_octets(octets)

    reader = BitReader(bits.octets())
    reader.take(shift, "shift")
    assert reader.take_octets("x") == octets


def test_lengths_are_as_short_as_can_be():
    assert [length_octets(n).hex() for n in (0, 127, 128, LONGEST)] == ["00", "7f", "8080", "bfff"]


@given(st.lists(st.integers(0, 2**128 - 1), min_size=1, max_size=6))
@settings(deadline=None)
def test_object_identifiers_come_back(arcs):
    assert list(subidentifiers(oid_octets(iter(arcs)))) == arcs


def test_an_endless_arc_is_refused():
    with pytest.raises(MalformedBits, match="at most 128 bits"):
        list(subidentifiers(b"\xff" * 16_000 + b"\x01"))


def test_errors_count_bits_from_the_beginning_of_the_whole_message():
    reader = BitReader(b"\xff", origin=40)
    reader.take(3, "x")

    with pytest.raises(MalformedBits, match=r"bit 43 \(name\): expected 6 bits, the message ends after 5") as fault:
        reader.take(6, "name")
    assert (fault.value.bit, fault.value.field) == (43, "$.name")


def extensions(*open_types: bytes, count: int) -> BitWriter:
    """The additions of a sequence, of which the first are present."""
    bits = BitWriter()
    if count <= 64:
        bits.put(count - 1, 7)
    else:
        bits.put(0b10, 2)
        bits.put(count, 7)
    bits.put(((1 << len(open_types)) - 1) << count - len(open_types), count)
    for octets in open_types:
        bits.put_octets(octets)
    return bits


@pytest.mark.parametrize("count", [1, 2, 64, 65, 127])
def test_extensions_are_stepped_over_however_many_there_are(count):
    bits = extensions(b"abc", count=count)
    bits.put(0x5A, 8)

    reader = BitReader(bits.octets())
    reader.skip_extensions("x")
    assert reader.take(8, "behind") == 0x5A


def test_more_than_127_extensions_are_refused():
    with pytest.raises(MalformedBits, match="at most 127"):
        BitReader(b"\xff\xff").skip_extensions("x")


def test_small_numbers_are_read_in_both_forms():
    assert BitReader(bytes((0b0_111111_0,))).take_small_number("x") == 63
    bits = BitWriter()
    bits.put(1, 1)
    bits.put_octets(b"\x01\x00")
    assert BitReader(bits.octets()).take_small_number("x") == 256
