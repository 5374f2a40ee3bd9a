"""Whom an offer may make us knock at, and that a caller who shows us nobody is reached all the same."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sos.calls.adapters.embedded.candidates import MOST_CANDIDATES, usable
from sos.calls.adapters.embedded.media_server import MediaServer
from sos.calls.adapters.embedded.sdp import Offer
from sos.calls.port import LegUp
from sos.errors import Refused
from sos.incident.model import IncidentId, LegId, Party, new_id
from tests.sos.calls.peers import KEY, Events, Peer

OURS = frozenset({"10.0.0.7", "2001:db8::7"})
MDNS = "a=candidate:0 1 UDP 2122187007 c195945e-890e-f747-996b-c7fbf98f4da9.local 58408 typ host"
"""As browsers hide a host (draft-ietf-mmusic-mdns-ice-candidates)."""


def candidate(address: str, port: object = 50_000, *, kind: str = "host", transport: str = "udp", part: int = 1) -> str:
    return f"1 {part} {transport} 2122260223 {address} {port} typ {kind}"


@pytest.mark.parametrize("address", ["192.0.2.1", "10.1.2.3", "192.168.1.9", "100.64.0.1", "2001:db8::1", "fd00::1"])
def test_a_peer_elsewhere_is_checked(address: str) -> None:
    assert usable([candidate(address)], ours=OURS) == (candidate(address),)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "0.0.0.0", "::", "169.254.169.254", "fe80::1",
        "224.0.0.251", "ff02::fb", "255.255.255.255", "240.0.0.1", "10.0.0.7", "2001:db8::7", "::ffff:10.0.0.7",
        "c195945e-890e-f747-996b-c7fbf98f4da9.local", "sos.example.com", "10.0.0", "",
    ],
)  # fmt: skip
def test_nobody_is_checked_at_an_address_that_is_ours_everybodys_or_nobodys(address: str) -> None:
    assert usable([candidate(address)], ours=OURS) == ()


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        candidate("192.0.2.1", 53),
        candidate("192.0.2.1", 0),
        candidate("192.0.2.1", 65_536),
        candidate("192.0.2.1", "10" * 3000),
        candidate("192.0.2.1", "five"),
        candidate("192.0.2.1", kind="odd"),
        candidate("192.0.2.1", transport="tcp"),
        candidate("192.0.2.1", part=2),
    ],
)
def test_what_is_no_candidate_for_media_is_left_out(line: str) -> None:
    assert usable([line], ours=OURS) == ()


def test_a_machine_with_nothing_but_loopback_is_called_from_there() -> None:
    assert usable([candidate("127.0.0.1")], ours=frozenset({"127.0.0.1"})) == (candidate("127.0.0.1"),)


def test_a_relay_may_listen_where_the_web_does() -> None:
    assert len(usable([candidate("192.0.2.1", 443, kind="relay")], ours=OURS)) == 1


def test_of_many_the_first_are_checked() -> None:
    many = [candidate(f"192.0.2.{each}") for each in range(100)]

    assert usable(many, ours=OURS) == tuple(many[:MOST_CANDIDATES])


@given(st.lists(st.text(max_size=80), max_size=4))
def test_any_text_is_read_or_left_out(lines: list[str]) -> None:
    assert set(usable(lines, ours=OURS)) <= set(lines)


def test_the_hidden_host_of_the_field_is_the_one_that_is_tried_here() -> None:
    file = Path(__file__).resolve().parents[4] / "shared" / "data" / "field" / "offer_mdns_only.txt"
    if not file.is_file():
        pytest.skip("the field inputs are not beside this checkout")

    assert MDNS in file.read_text()
    assert usable([MDNS.removeprefix("a=candidate:")], ours=OURS) == ()


async def test_a_caller_who_names_no_address_is_answered_at_once_and_connected(
    provider: MediaServer, new_peer: Callable[[int], Peer]
) -> None:
    events, car, leg = Events(provider), new_peer(1), LegId(new_id())
    offered = re.sub(r"a=candidate:.*(?=\r)", "", await car.offer())
    offered = offered.replace("a=end-of-candidates", MDNS + "\r\na=end-of-candidates")
    assert ".local" in offered

    answer = await provider.accept(
        incident=IncidentId(new_id()), leg=leg, party=Party.VEHICLE, who="vehicle", offer=offered, key=KEY
    )
    await car.take(answer)
    await events.until(LegUp, leg=leg)

    assert "a=setup:passive" in answer
    await car.hears(0.3)


async def test_addresses_that_come_later_are_checked_when_they_are_of_the_same_session(
    provider: MediaServer, new_peer: Callable[[int], Peer]
) -> None:
    incident, leg, offered = IncidentId(new_id()), LegId(new_id()), await new_peer(1).offer()
    await provider.accept(incident=incident, leg=leg, party=Party.VEHICLE, who="vehicle", offer=offered, key=KEY)
    ufrag = Offer.read(offered).ufrag
    ice = provider._conferences[incident].seats[leg].connection._ice

    with pytest.raises(Refused):
        await provider.trickle(leg, ufrag="other", candidates=(candidate("192.0.2.9"),))
    await provider.trickle(leg, ufrag=ufrag, candidates=(candidate("127.0.0.1"), candidate("192.0.2.1"), "nonsense"))
    await provider.trickle(leg, ufrag=ufrag, candidates=tuple(candidate(f"192.0.2.{each}") for each in range(2, 99)))
    await provider.trickle(LegId(new_id()), ufrag=ufrag, candidates=(candidate("192.0.2.1"),))

    known = [each.host for each in ice.agent.remote_candidates if each.host.startswith(("192.0.2.", "127."))]
    assert known[0] == "192.0.2.1"
    assert "192.0.2.9" in known
    assert len(known) == MOST_CANDIDATES


HEAD = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE v a\r\n"
VIDEO = (
    "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:v\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n"
    f"a=setup:actpass\r\na={'candidate:' + candidate('192.0.2.1')}\r\na=rtpmap:96 VP8/90000\r\n"
)
AUDIO = "m=audio 0 UDP/TLS/RTP/SAVPF 111\r\na=mid:a\r\na=bundle-only\r\na=rtpmap:111 opus/48000/2\r\n"


def test_sound_that_is_only_bundled_with_pictures_takes_its_transport_from_them() -> None:
    offer = Offer.read(HEAD + VIDEO + AUDIO)

    assert (offer.chosen, offer.ufrag, offer.waits) == (1, "abcd", False)
    assert "m=audio 9 " in offer.audio
    assert candidate("192.0.2.1") in offer.audio
    assert "VP8" not in offer.audio
