"""Where recordings are heard: begin a listening with its purpose, then any range of bytes of it (RFC 9110 14).

``GET .../recordings`` names what there is, ``POST .../listenings`` says what for and makes a listening, and below
``/v1/listenings`` are its sound, as a WAV file, and its waveform.  A desk comes with its session, an auditor with a
token.
"""

import re
from collections.abc import Callable
from typing import Annotated

import msgspec
import structlog
from aiohttp import web
from msgspec import Meta, Struct

from recording.errors import RecordingError
from sos.accesses import tell
from sos.calls.playback import Kept, Listener, Playback
from sos.calls.played import Played
from sos.errors import Malformed, Unavailable
from sos.formats.body import read
from sos.incident.access import Purpose
from sos.incident.model import IncidentId, RecordingId

log = structlog.get_logger()

ListenerOf = Callable[[web.Request], Listener]
"""Who asks; raises when it is nobody known."""

MOST_WAVEFORM_MS = 600_000
"""Of which a waveform is given at once: some two seconds of work."""
_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})\Z")


class ListeningWanted(Struct, frozen=True, forbid_unknown_fields=True):
    purpose: Purpose
    reason: Annotated[str, Meta(max_length=200)] = ""
    """In the listener's own words; needed for everything but helping."""


class RecordingsKept(Struct, frozen=True, kw_only=True):
    recordings: tuple[Kept, ...]


_wanted = msgspec.json.Decoder(ListeningWanted)


class PlaybackEndpoint:
    def __init__(self, playback: Playback, *, listener_of: ListenerOf) -> None:
        self._playback = playback
        self._listener_of = listener_of

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/incidents/{incident}/recordings", self._kept),
            web.post("/v1/incidents/{incident}/recordings/{recording}/listenings", self._begin),
            web.get("/v1/listenings/{listening}/sound", self._sound, allow_head=False),
            web.get("/v1/listenings/{listening}/waveform", self._waveform, allow_head=False),
        ]

    async def _kept(self, request: web.Request) -> web.Response:
        listener = self._listener_of(request)
        kept = await self._playback.kept(IncidentId(request.match_info["incident"]), listener)
        return _json(RecordingsKept(recordings=kept))

    async def _begin(self, request: web.Request) -> web.Response:
        listener = self._listener_of(request)
        asked = read(_wanted, await request.read(), expected="say what it is heard for", field="$.purpose")
        told = await self._playback.begin(
            IncidentId(request.match_info["incident"]),
            RecordingId(request.match_info["recording"]),
            listener,
            purpose=asked.purpose,
            reason=asked.reason,
        )
        tell(request, "listened", who=listener.reader, about=told.recording)
        return _json(told, status=201, headers={"Location": f"/v1/listenings/{told.listening}/sound"})

    async def _sound(self, request: web.Request) -> web.StreamResponse:
        played = await self._played(request)
        ranged = _range(request, played.size)
        if ranged is None:
            whole = {"Content-Range": f"bytes */{played.size}", "Accept-Ranges": "bytes"}
            return web.Response(status=416, headers=whole)
        start, stop = ranged
        headers = {"Accept-Ranges": "bytes", "Cache-Control": "no-store", "Content-Type": "audio/wav"}
        partly = "Range" in request.headers and (start, stop) != (0, played.size)
        if partly:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{played.size}"
        pieces = played.wav(start, stop)
        try:
            first = await anext(pieces, b"")  # what cannot be read is refused in words, before anything is sent
        except (RecordingError, OSError) as fault:
            raise Unavailable("this part of the recording cannot be read: see the runbook «recordings»") from fault
        response = web.StreamResponse(status=206 if partly else 200, headers=headers)
        response.content_length = stop - start
        await response.prepare(request)
        await response.write(first)
        try:
            async for piece in pieces:
                await response.write(piece)
        except ConnectionError:  # whoever listened has gone on to another place
            pass
        except (RecordingError, OSError) as fault:  # too late for words: the player sees that it is cut off
            log.error("recording_unreadable", error=type(fault).__name__)
            if request.transport is not None:
                request.transport.close()
        return response

    async def _waveform(self, request: web.Request) -> web.Response:
        played = await self._played(request)
        begin, end = (_ms(request, name) for name in ("begin_ms", "end_ms"))
        if not begin < end <= begin + MOST_WAVEFORM_MS:
            raise Malformed(f"a waveform is of at most {MOST_WAVEFORM_MS} ms at once", field="end_ms")
        try:
            return _json(await played.loudness(begin, end))
        except (RecordingError, OSError) as fault:
            raise Unavailable("this part of the recording cannot be read: see the runbook «recordings»") from fault

    async def _played(self, request: web.Request) -> Played:
        listener = self._listener_of(request)
        return await self._playback.played(request.match_info["listening"], listener.reader)


def _range(request: web.Request, size: int) -> tuple[int, int] | None:
    """Which bytes, from and before: all where the header asks for no range that we serve; None: beyond the end."""
    match = _RANGE.match(request.headers.get("Range", ""))
    if match is None or not (match[1] or match[2]):
        return 0, size
    if not match[1]:
        return (max(0, size - int(match[2])), size) if int(match[2]) else None
    start = int(match[1])
    stop = min(size, int(match[2]) + 1) if match[2] else size
    return (start, stop) if start < stop else None


def _ms(request: web.Request, name: str) -> int:
    given = request.query.get(name, "")
    if not (given.isascii() and given.isdecimal() and len(given) <= 10):
        raise Malformed(f"{name} is a number of milliseconds", field=name)
    return int(given)


def _json(body: object, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        status=status,
        body=msgspec.json.encode(body),
        content_type="application/json",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )
