"""The short way of RTP: what the long way reads, this reads alike, and nothing that arrives can raise more than
``ValueError``."""

from typing import Any

import pytest
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.rtp import HeaderExtensionsMap, RtpPacket
from hypothesis import given
from hypothesis import strategies as st

from sos.calls.adapters.embedded.rtp import parse

_known = HeaderExtensionsMap()
_known.configure(
    RTCRtpParameters(
        headerExtensions=[
            RTCRtpHeaderExtensionParameters(id=1, uri="urn:ietf:params:rtp-hdrext:sdes:mid"),
            RTCRtpHeaderExtensionParameters(id=2, uri="urn:ietf:params:rtp-hdrext:ssrc-audio-level"),
        ]
    )
)


@st.composite
def sent(draw: Any) -> RtpPacket:
    packet = RtpPacket(
        payload_type=draw(st.integers(0, 127)),
        marker=draw(st.integers(0, 1)),
        sequence_number=draw(st.integers(0, 2**16 - 1)),
        timestamp=draw(st.integers(0, 2**32 - 1)),
        ssrc=draw(st.integers(0, 2**32 - 1)),
        payload=draw(st.binary(max_size=60)),
    )
    packet.csrc = draw(st.lists(st.integers(0, 2**32 - 1), max_size=3))
    packet.padding_size = draw(st.integers(0, 8))
    packet.extensions.mid = draw(st.none() | st.text("audio0123", min_size=1, max_size=16))
    packet.extensions.audio_level = draw(st.none() | st.tuples(st.booleans(), st.integers(0, 127)))
    return packet


@given(sent())
def test_the_short_way_reads_what_aiortc_writes(packet: RtpPacket) -> None:
    read = parse(packet.serialize(_known), level_id=2)

    assert (read.payload_type, read.sequence_number, read.timestamp, read.ssrc, read.payload) == (
        packet.payload_type, packet.sequence_number, packet.timestamp, packet.ssrc, packet.payload,
    )  # fmt: skip
    stated = packet.extensions.audio_level
    assert read.level == (stated[1] if stated is not None else None)


@given(st.binary(max_size=80), st.integers(0, 14))
def test_whatever_arrives_is_read_or_refused(data: bytes, level_id: int) -> None:
    try:
        read = parse(data, level_id=level_id)
    except ValueError:
        return

    assert len(read.payload) <= len(data)


def test_a_packet_that_claims_more_header_than_it_has_is_refused() -> None:
    with pytest.raises(ValueError, match="longer"):
        parse(b"\x8f" + bytes(11), level_id=0)
