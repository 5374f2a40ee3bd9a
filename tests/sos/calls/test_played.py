"""Sound of recordings is made beside the service's work, never in its stead."""

import asyncio
import threading
from collections.abc import Sequence

from sos.calls.played import Piece, Played


async def test_however_many_listen_they_share_the_threads_that_are_for_it():
    at_once, most, counting = 0, 0, threading.Lock()

    def fetch(pieces: Sequence[Piece]) -> Sequence[bytes]:
        nonlocal at_once, most
        with counting:
            at_once += 1
            most = max(most, at_once)
        threading.Event().wait(0.01)
        with counting:
            at_once -= 1
        return [b"" for _ in pieces]

    workers = asyncio.Semaphore(2)
    listened_to = [Played((), b"k" * 32, fetch=fetch, workers=workers) for _ in range(6)]
    alone = Played((), b"k" * 32, fetch=fetch)

    await asyncio.gather(*(each.loudness(0, 1000) for each in listened_to for _ in range(2)))
    shared, most = most, 0
    await asyncio.gather(*(alone.loudness(0, 1000) for _ in range(4)))

    assert (shared, most) == (2, 1)
