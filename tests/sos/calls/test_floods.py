"""Datagrams of strangers at a leg's port, and of parties who are not in the call any more: the call does not care."""

import re
import socket
from collections.abc import Callable
from random import Random

import pytest

from recording.opus import RATE_HZ
from sos.calls.adapters.embedded.media_server import MediaServer
from sos.calls.port import LegDown, LegUp
from sos.clock import SystemClock
from sos.incident.model import LegId, Party, new_id
from tests.audio import correlate
from tests.sos.calls.peers import TICK, Events, Peer
from tests.sos.calls.test_two_parties import wav

DATAGRAMS = 4_000
A_TICK = 80
"""Datagrams in 20 ms: 4,000 a second, fifty times what a party sends."""


def binding_request(stranger: Random) -> bytes:
    """A STUN binding request (RFC 8489 5) with a made-up user and no valid integrity."""
    name = b"x" * 8
    attribute = (6).to_bytes(2, "big") + len(name).to_bytes(2, "big") + name
    return b"\x00\x01" + len(attribute).to_bytes(2, "big") + b"\x21\x12\xa4\x42" + stranger.randbytes(12) + attribute


def client_hello(stranger: Random) -> bytes:
    """The head of a DTLS 1.2 handshake record and nonsense after it."""
    body = stranger.randbytes(80)
    return b"\x16\xfe\xfd" + bytes(8) + len(body).to_bytes(2, "big") + body


def rtp(stranger: Random) -> bytes:
    return b"\x80\x6f" + stranger.randbytes(10 + stranger.randrange(200))


def rtcp(stranger: Random) -> bytes:
    return b"\x80" + bytes([200 + stranger.randrange(8)]) + stranger.randbytes(stranger.randrange(60))


def noise(stranger: Random) -> bytes:
    return stranger.randbytes(stranger.randrange(1, 1_400))


KINDS = {"STUN": binding_request, "DTLS": client_hello, "RTP": rtp, "RTCP": rtcp, "noise": noise}


def doors(answer: str) -> list[tuple[str, int]]:
    """Address and port of our candidates over IPv4."""
    found = re.findall(r"^a=candidate:\S+ 1 udp \d+ (\d+\.\d+\.\d+\.\d+) (\d+) typ host", answer, re.MULTILINE | re.I)
    return [(address, int(port)) for address, port in found]


async def called(provider: MediaServer, peer: Peer, *, incident: str, leg: str, party: Party) -> str:
    """As ``Peer.call``; gives our answer."""
    answers: list[str] = []
    take = peer.take

    async def keep(answer: str) -> None:
        answers.append(answer)
        await take(answer)

    peer.take = keep  # type: ignore[method-assign]
    await peer.call(provider, incident=incident, leg=leg, party=party)
    return answers[0]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_call_goes_on_while_a_stranger_floods_its_port(
    provider: MediaServer, new_peer: Callable[[int], Peer], kind: str
) -> None:
    events, incident, stranger = Events(provider), new_id(), Random(7)
    car, desk = new_peer(1), new_peer(2)
    answer = await called(provider, car, incident=incident, leg=new_id(), party=Party.VEHICLE)
    await desk.call(provider, incident=incident, leg=new_id(), party=Party.OPERATOR)
    await events.until(LegUp, party=Party.OPERATOR)
    targets = doors(answer)
    words = car.next_words(after_s=0.3, seconds=1.5)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for number in range(DATAGRAMS):
            sock.sendto(KINDS[kind](stranger), targets[number % len(targets)])
            if number % A_TICK == 0:
                await SystemClock().wait(TICK)
    await desk.hears(1.5)
    for peer in (car, desk):
        await peer.leave()

    assert targets
    assert correlate(words, wav(desk.heard), RATE_HZ)[0] >= 0.85
    assert "LegDown" not in events.kinds()


async def test_sound_of_a_leg_that_was_ended_reaches_nobody(
    provider: MediaServer, new_peer: Callable[[int], Peer]
) -> None:
    events, incident, leg = Events(provider), new_id(), LegId(new_id())
    car, desk, fire = new_peer(1), new_peer(2), new_peer(3)
    await car.call(provider, incident=incident, leg=new_id(), party=Party.VEHICLE)
    await desk.call(provider, incident=incident, leg=new_id(), party=Party.OPERATOR)
    await fire.call(provider, incident=incident, leg=leg, party=Party.AGENCY)
    await events.until(LegUp, party=Party.AGENCY)
    await provider.end(leg)
    await events.until(LegDown, leg=leg)
    await desk.hears(0.5)  # what was in buffers

    words = fire.next_words(after_s=0.3, seconds=1.5)
    spoken = car.next_words(after_s=0.3, seconds=1.5)
    await desk.hears(2.5)
    for peer in (car, desk, fire):
        await peer.leave()

    heard = wav(desk.heard)
    assert correlate(words, heard, RATE_HZ)[0] < 0.35
    assert correlate(spoken, heard, RATE_HZ)[0] >= 0.85
