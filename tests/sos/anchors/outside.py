"""Who is outside the house, over HTTP: a witness as c2sp.org/tlog-witness says, and a time-stamping authority."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime

from aiohttp import web
from aiohttp.test_utils import TestServer

from recording import ledger, note, witness
from recording.errors import RecordingError
from tests.recording.authority import Authority

Door = Callable[[web.Request], Awaitable[web.Response]]


class WitnessTwin:
    """Holds the last head it cosigned of one log, and answers as the specification says."""

    def __init__(self, signer: note.Signer, log: note.Verifier, now: Callable[[], datetime]) -> None:
        self.signer = signer
        self.log = log
        self.now = now
        self.size = 0
        self.root = ledger.EMPTY_ROOT
        self.asked: list[int] = []
        """Old sizes, as they came."""

    async def answer(self, request: web.Request) -> web.Response:
        try:
            old, proof, checkpoint = witness.parse_request(await request.read())
            head = note.read_checkpoint(checkpoint)
        except RecordingError:
            return web.Response(status=400)
        self.asked.append(old)
        if head.origin != self.log.name:
            return web.Response(status=404)
        try:
            note.open_note(checkpoint, [self.log])
        except RecordingError:
            return web.Response(status=403)
        if old > head.size:
            return web.Response(status=400)
        if old != self.size:
            return web.Response(status=409, text=f"{self.size}\n", content_type=witness.SIZE_TYPE)
        if not ledger.verify_consistency(old, head.size, proof, self.root, head.root):
            return web.Response(status=422)
        self.size, self.root = head.size, head.root
        return web.Response(body=note.cosign(checkpoint, self.signer, time_seconds=int(self.now().timestamp())))


def stamping(authority: Authority) -> Door:
    async def answer(request: web.Request) -> web.Response:
        assert request.content_type == "application/timestamp-query"
        return web.Response(body=authority.answer(await request.read()), content_type="application/timestamp-reply")

    return answer


@asynccontextmanager
async def at(path: str, door: Door) -> AsyncIterator[str]:
    """The address under which ``door`` answers at ``path``."""
    app = web.Application(client_max_size=1 << 20)
    app.router.add_post(path, door)
    async with TestServer(app) as server:
        yield str(server.make_url("/")).rstrip("/")
