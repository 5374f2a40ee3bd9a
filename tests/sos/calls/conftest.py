"""Fixtures for the voice tests: an embedded provider on a real clock, and peers that are hung up afterwards."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from sos.calls.adapters.embedded.media_server import MediaServer
from sos.clock import SystemClock
from tests.sos.calls.peers import Peer


@pytest.fixture
async def provider(tmp_path: Path) -> AsyncIterator[MediaServer]:
    async with MediaServer(tmp_path / "recordings", clock=SystemClock()) as opened:
        yield opened


@pytest.fixture
async def new_peer(tmp_path: Path) -> AsyncIterator[Callable[[int], Peer]]:
    peers: list[Peer] = []

    def make(seed: int) -> Peer:
        peers.append(Peer(tmp_path, seed=seed))
        return peers[-1]

    yield make
    for peer in peers:
        await peer.leave()
