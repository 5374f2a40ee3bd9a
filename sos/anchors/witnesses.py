"""Asking a witness to cosign a checkpoint (c2sp.org/tlog-witness): one POST, and a second where it knows another size.

A witness that has cosigned more than our log holds says so by its size: then this log has been set back, and no proof
can be given.  That is told by its name and never papered over.
"""

from collections.abc import Callable, Sequence

from recording import note, witness
from recording.errors import Malformed
from recording.witness import CosignatureRefused
from sos.anchors.port import Answer, Post
from sos.clock import Clock
from sos.errors import Unavailable

Proof = Callable[[int, int], Sequence[bytes]]
"""The consistency proof between two sizes of the log."""

_REFUSALS = {400: "bad-request", 403: "log-key", 404: "origin", 422: "proof"}


class Witness:
    def __init__(self, post: Post, url: str, verifier: note.Verifier, proof: Proof, *, clock: Clock) -> None:
        """``url``: its submission prefix."""
        self.verifier = verifier
        self._post = post
        self._url = f"{url.rstrip('/')}/add-checkpoint"
        self._proof = proof
        self._clock = clock
        self._size = 0
        """What it has cosigned last, as far as we know."""

    async def cosign(self, checkpoint: bytes) -> bytes:
        """``checkpoint`` with its line.  ``Unavailable`` when it does not answer, ``CosignatureRefused`` by name."""
        size = note.read_checkpoint(checkpoint).size
        answer = await self._ask(min(self._size, size), size, checkpoint)
        if answer.status == 409:
            self._size = _size(answer.body)
            if self._size > size:
                raise CosignatureRefused("ahead", f"it has cosigned {self._size} entries of a log that has {size}")
            answer = await self._ask(self._size, size, checkpoint)
        if answer.status != 200:
            if (rule := _REFUSALS.get(answer.status)) is not None:
                raise CosignatureRefused(rule, f"it answered {answer.status}")
            raise Unavailable(f"http_{answer.status}")
        with_its_line = witness.cosigned(checkpoint, answer.body, self.verifier, now=self._clock.now())
        self._size = size
        return with_its_line

    async def _ask(self, old: int, size: int, checkpoint: bytes) -> Answer:
        body = witness.request(old, self._proof(old, size), checkpoint)
        return await self._post(self._url, body, content_type="text/plain; charset=utf-8")


def _size(body: bytes) -> int:
    try:
        return witness.size(body)
    except Malformed as error:
        raise CosignatureRefused("form", "it answered 409 without a size") from error
