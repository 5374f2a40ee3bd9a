"""Euro NCAP TB 040 data: equal to an independent decoder, back as written, judged for sense."""

import random

import asn1tools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sos.formats import ncap
from sos.formats.bits import BitWriter, MalformedBits
from sos.formats.ncap import EuroNcap, Impact
from tests.sos.formats.oracle import ABSENT, HERE, module
from tests.sos.formats.strategies import impacts

PUBLISHED = bytes.fromhex("0832D28480")


def test_the_published_value_is_read():
    assert ncap.read(PUBLISHED) == EuroNcap(
        location_of_impact=Impact.FRONT, range_limit=125, delta_v_x=-45, delta_v_y=10
    )
    assert ncap.write(ncap.read(PUBLISHED)) == PUBLISHED


@given(impacts)
@settings(deadline=None)
def test_reading_what_was_written_gives_the_same_report(report):
    assert ncap.read(ncap.write(report)) == report


@given(st.binary(max_size=12))
@settings(deadline=None)
def test_arbitrary_octets_give_a_report_or_the_one_documented_error(octets):
    try:
        report = ncap.read(octets)
    except MalformedBits:
        return
    assert ncap.delta_v(report) is None or abs(report.delta_v_x) <= 255


def judged(octets: bytes) -> dict | None:
    try:
        return module().decode("EuroNcapIncident", octets)
    except (asn1tools.Error, IndexError, NotImplementedError):
        return None


@pytest.mark.skipif(not HERE, reason=ABSENT)
def test_spoiled_reports_are_read_exactly_as_an_independent_decoder_reads_them():
    dice = random.Random(40)
    for _ in range(20_000):
        octets = bytearray(dice.choice((PUBLISHED, bytes.fromhex("526479C940"), dice.randbytes(12))))
        octets[dice.randrange(len(octets))] ^= 1 << dice.randrange(8)
        octets = octets[: dice.randrange(1, len(octets) + 1)] + dice.randbytes(dice.choice((0, 0, 9)))
        expected = judged(bytes(octets))
        try:
            report = ncap.read(bytes(octets))
        except MalformedBits:
            assert expected is None
            continue
        told = {
            "impact": None if report.location_of_impact is None else str(report.location_of_impact),
            "deltaV": {"rangeLimit": report.range_limit, "x": report.delta_v_x, "y": report.delta_v_y},
        }
        if report.rollover_detected is not None:
            told["rollover"] = report.rollover_detected
        assert told == expected


def test_values_beyond_their_range_are_read_reported_and_not_used():
    bits = BitWriter()
    for value, width in ((0, 2), (2, 4), (0, 1), (200, 8), (511, 9), (0, 9)):
        bits.put(value, width)

    report = ncap.read(bits.octets())

    assert (report.range_limit, report.delta_v_x) == (300, 256)
    assert report.findings == ("delta_v_impossible:$.optionalAdditionalData.data",)
    assert ncap.delta_v(report) is None
    with pytest.raises(MalformedBits):
        ncap.write(report)


def test_a_place_of_a_later_edition_and_octets_behind_the_end_are_reported():
    later = ncap.write(EuroNcap(location_of_impact=None, range_limit=100, delta_v_x=0, delta_v_y=0))

    report = ncap.read(later + b"\0")

    assert report.location_of_impact is None
    assert {finding.partition(":")[0] for finding in report.findings} == {"unknown_extension", "trailing_octets"}
