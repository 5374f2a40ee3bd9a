"""Offers of every kind: usable ones are cut down to one Opus section, the rest is the sender's fault and said so."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sos.calls.adapters.embedded.media_server import MediaServer
from sos.calls.adapters.embedded.sdp import LARGEST_OFFER_BYTES, Offer
from sos.calls.port import LegUp
from sos.errors import Malformed
from sos.incident.model import IncidentId, LegId, Party, new_id
from tests.sos.calls.peers import KEY, Events, Peer

VIDEO = "m=video 9 UDP/TLS/RTP/SAVPF 97\r\nc=IN IP4 0.0.0.0\r\na=mid:v\r\na=rtpmap:97 VP8/90000\r\na=sendrecv\r\n"
DATA = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:d\r\na=sctp-port:5000\r\n"
SMALL = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n"
OPUS = "a=rtpmap:111 opus/48000/2\r\n"


async def taken(provider: MediaServer, offer: str) -> str:
    return await provider.accept(
        incident=IncidentId(new_id()),
        leg=LegId(new_id()),
        party=Party.VEHICLE,
        who="vehicle",
        offer=offer,
        key=KEY,
    )


async def test_video_and_data_are_refused_with_port_0_and_the_call_still_comes_up(
    provider: MediaServer, new_peer: Callable[[int], Peer]
) -> None:
    events, car = Events(provider), new_peer(1)
    audio = await car.offer()

    answer = await taken(provider, audio + VIDEO + DATA)
    await car.take(Offer.read(audio).answered(answer))
    await events.until(LegUp)

    heads = re.findall(r"^m=(\w+) (\d+)", answer, re.MULTILINE)
    assert [kind for kind, _ in heads] == ["audio", "video", "application"]
    assert [port == "0" for _, port in heads] == [False, True, True]
    assert "a=mid:v" in answer
    assert "useinbandfec=1" in answer


@pytest.mark.parametrize(
    "offer",
    [
        "v=0",
        SMALL,
        SMALL + OPUS,
        SMALL.replace("m=audio 9", "m=audio 0") + OPUS,
        SMALL + OPUS + "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n",
        SMALL + OPUS + "a=candidate:nonsense\r\n",
        SMALL + OPUS + "a=fmtp:99 x=1\r\n",
        SMALL + OPUS + "a=setup:sideways\r\n",
        SMALL.replace("0.0.0.0", "::::") + OPUS + "c=IN IP4 not-an-address\r\n",
        SMALL.replace("SAVPF 111", "SAVPF eleven") + OPUS,
        SMALL + OPUS + "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n" * 65,
        SMALL + OPUS + VIDEO * 20,
        SMALL + OPUS + "a=x:" + "y" * LARGEST_OFFER_BYTES,
    ],
)
async def test_an_unusable_offer_is_malformed_and_never_quoted(provider: MediaServer, offer: str) -> None:
    with pytest.raises(Malformed) as refused:
        await taken(provider, offer)

    assert refused.value.field == "$"
    assert "rtpmap" not in str(refused.value)
    assert await provider.legs() == ()


@settings(max_examples=200)
@given(st.lists(st.sampled_from([*SMALL.split("\r\n"), OPUS.strip(), "m=", "a=mid:", "m=audio", "", "a=rtpmap:"])))
def test_reading_any_mixture_of_lines_gives_an_offer_or_malformed(lines: list[str]) -> None:
    try:
        offer = Offer.read("\n".join(["v=0", *lines]))
    except Malformed:
        return
    assert offer.payload_type == 111
    assert offer.audio.count("m=audio") == 1
    assert offer.answered("v=0\r\nm=audio 9 X 111\r\n").count("m=") == len(offer.sections)
