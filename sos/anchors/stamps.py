"""A time-stamping authority (RFC 3161 3.4, over HTTP) is asked for a stamp over a checkpoint, and checked."""

import secrets
from collections.abc import Sequence
from datetime import timedelta

from cryptography.x509 import Certificate

from recording import stamp
from recording.stamp import StampRefused
from sos.anchors.port import Post
from sos.clock import Clock
from sos.errors import Unavailable

QUERY = "application/timestamp-query"

SKEW = timedelta(minutes=10)
"""How far its time may be from ours: one that stamps other times proves nothing about this one."""


class Stamps:
    def __init__(self, post: Post, url: str, roots: Sequence[Certificate], *, clock: Clock) -> None:
        self._post = post
        self._url = url
        self._roots = tuple(roots)
        self._clock = clock

    async def stamp(self, checkpoint: bytes) -> bytes:
        """The authority's answer, checked.  ``Unavailable`` when there is none; ``StampRefused`` when it lies."""
        nonce = secrets.randbits(63)
        answer = await self._post(self._url, stamp.request(checkpoint, nonce=nonce), content_type=QUERY)
        if answer.status != 200:
            raise Unavailable(f"http_{answer.status}")
        found = stamp.check(answer.body, checkpoint, roots=self._roots, nonce=nonce)
        if abs(found.at - self._clock.now()) > SKEW:
            raise StampRefused("clock", f"its time is more than {SKEW} from ours")
        return answer.body
