"""Strangers who know a port of ours and send it whatever might hurt, while calls are being set up.

``python -m tests.sos.calls.strangers --calls 100`` sets up that many under the spray, prints how many came up and how
long each took, and ends with 1 when one did not; the suite sets up a few.
"""

import argparse
import asyncio
import os
import re
import secrets
import socket
import struct
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from time import perf_counter

from aioice import stun

from sos.calls.adapters.embedded.media_server import MediaServer
from sos.calls.port import LegUp
from sos.clock import SystemClock
from sos.incident.model import IncidentId, LegId, Party, new_id
from tests.sos.calls.peers import KEY, Events, Peer

EVERY = timedelta(milliseconds=2)


def record(kind: int, body: bytes, *, epoch: int = 0) -> bytes:
    """A DTLS 1.2 record."""
    return struct.pack("!BHHHLH", kind, 0xFEFD, epoch, 0, secrets.randbelow(100), len(body)) + body


def handshake(kind: int, body: bytes) -> bytes:
    """An unfragmented handshake message with the first sequence number (RFC 6347 4.2.2)."""
    size = len(body).to_bytes(3, "big")
    return record(22, bytes([kind]) + size + b"\0\0" + b"\0\0\0" + size + body)


def check(username: str = "", password: str = "") -> bytes:
    """A connectivity check that proves nothing."""
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    if username:
        message.attributes |= {"USERNAME": username, "PRIORITY": 1, "ICE-CONTROLLING": 1, "USE-CANDIDATE": None}
        message.add_message_integrity(password.encode())
    return bytes(message)


def forgeries(username: str) -> list[bytes]:
    """What a stranger sends, who has even seen the user name of the answer."""
    hello = b"\xfe\xfd" + secrets.token_bytes(32) + b"\0"
    return [
        b"",
        b"\x16",
        secrets.token_bytes(200),
        record(21, b"\x02\x28"),  # fatal: handshake failure
        record(21, b"\x02\x30"),  # fatal: unknown CA
        record(21, b"\x01\x00"),  # close
        record(21, b"\x02\x28", epoch=1),
        handshake(1, hello + b"\0" + b"\0\x02\xc0\x2b" + b"\x01\0"),
        handshake(2, hello + b"\xc0\x2b\0"),
        handshake(3, b"\xfe\xfd\x14" + secrets.token_bytes(20)),
        handshake(20, secrets.token_bytes(12)),
        record(22, secrets.token_bytes(60)),
        record(23, secrets.token_bytes(60), epoch=1),
        record(20, b"\x01"),
        b"\x80\x6f" + secrets.token_bytes(60),
        b"\x80\xc8" + secrets.token_bytes(60),
        check(),
        check(username, "0123456789012345678901"),
        check()[:19],
        b"\0\x01\0\x40\x21\x12\xa4\x42" + secrets.token_bytes(60),
        b"\x01\x01\0\0\x21\x12\xa4\x42" + secrets.token_bytes(12),
    ]


@asynccontextmanager
async def sprayed(answer: str) -> AsyncIterator[list[int]]:
    """While it is open, three strangers send all they have to every address of ``answer``.

    Gives how many went, and once it is closed how many of the strangers were answered.
    """
    targets = [(host, int(port)) for host, port in re.findall(r"candidate:\S+ 1 udp \d+ (\S+) (\d+) typ host", answer)]
    targets = [target for target in targets if ":" not in target[0]]
    assert targets
    username = re.findall(r"a=ice-ufrag:(\S+)", answer)[0] + ":abcd"
    senders = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
    for sender in senders:
        sender.setblocking(False)
    sent = [0]

    async def spray() -> None:
        clock = SystemClock()
        while True:
            for sender in senders:
                for forged in forgeries(username):
                    for target in targets:
                        sender.sendto(forged, target)
                        sent[0] += 1
            await clock.wait(EVERY)

    task = asyncio.create_task(spray())
    try:
        yield sent
    finally:
        task.cancel()
        sent.append(sum(_answered(sender) for sender in senders))


def _answered(sender: socket.socket) -> bool:
    with sender:
        try:
            return bool(sender.recv(2048))
        except BlockingIOError:
            return False


async def set_up(server: MediaServer, events: Events, peer: Peer, *, speaks_s: float) -> tuple[float, int]:
    """One call, sprayed from its answer on: how long until it was up, and how many datagrams were sent to it.

    ``TimeoutError`` when it does not come up, or when the caller then hears nothing for so long.
    """
    incident, leg = IncidentId(new_id()), LegId(new_id())
    answer = await server.accept(
        incident=incident, leg=leg, party=Party.VEHICLE, who="vehicle", offer=await peer.offer(), key=KEY
    )
    async with sprayed(answer) as sent:
        async with asyncio.timeout(5):
            while sent[0] < 100:  # the strangers are there before the caller is
                await SystemClock().wait(EVERY)
        began = perf_counter()
        await peer.take(answer)
        await events.until(LegUp, leg=leg, within_s=14)
        took = perf_counter() - began
        await peer.hears(speaks_s)
    await server.end(leg)
    assert sent[1] == 0, "a stranger was answered"
    return took, sent[0]


async def main(calls: int) -> int:
    """How many did not come up."""
    took: list[float] = []
    sent = failed = 0
    with tempfile.TemporaryDirectory() as directory:
        async with MediaServer(Path(directory) / "recordings", clock=SystemClock()) as server:
            events = Events(server)
            for number in range(calls):
                peer = Peer(Path(directory), seed=number, seconds=2)
                try:
                    seconds, datagrams = await set_up(server, events, peer, speaks_s=0.1)
                    took.append(seconds)
                    sent += datagrams
                except TimeoutError:
                    failed += 1
                await peer.leave()
    took.sort()
    print(f"{len(took)} of {calls} came up, {sent} forged datagrams; load {os.getloadavg()[0]:.1f}")
    if took:
        print(f"up after {took[len(took) // 2] * 1000:.0f} ms (median), {took[-1] * 1000:.0f} ms (longest)")
    return failed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--calls", type=int, default=100)
    sys.exit(min(1, asyncio.run(main(parser.parse_args().calls))))
