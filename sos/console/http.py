"""The console's HTTP side: the page and its map, log-in, the socket, and the operator's voice leg (WHIP, RFC 9725)."""

from importlib import resources
from pathlib import Path
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from routing.categories import Category
from sos.accesses import known, tell
from sos.console.access import Access, Entry, Operator
from sos.console.room import Room
from sos.console.socket import DeskSocket
from sos.errors import Forbidden, Malformed, Refused, Unavailable, Unknown
from sos.formats.body import read
from sos.incident.commands import ReadParts
from sos.incident.model import IncidentId, LegId, Party, State
from sos.problems import UnsupportedMedia
from sos.whip import leg_id, sdp_answer, sdp_offer

STATIC = Path(str(resources.files("sos.console"))) / "static"

REPLAY_S, MOST_REPLAY_S = 15, 60
"""What is heard again when nothing else is asked for, and the most."""

CONTENT_SECURITY = (
    "default-src 'self'; script-src 'self'; worker-src 'self' blob:; img-src 'self' data: blob:;"
    " style-src 'self' 'unsafe-inline'; connect-src {connect}; media-src 'self' blob:;"
    " object-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
"""CSP level 3, where ``'self'`` covers our own WebSocket; ``connect`` names whatever else voice needs."""


LONGEST_NAME = 120
"""Of a script of the page; a file system refuses more than 255 octets with an error, not with a no."""


class _LogIn(Struct, frozen=True):
    """The desk token, or the code of a link."""

    token: Annotated[str, Meta(max_length=1024)] = ""
    code: Annotated[str, Meta(max_length=256)] = ""
    second_factor: Annotated[str, Meta(max_length=64)] = ""


_log_in = msgspec.json.Decoder(_LogIn)


class Console:
    """The routes below ``/console``."""

    def __init__(self, room: Room, access: Access, *, base_map: bytes, connects: tuple[str, ...] = ()) -> None:
        """``connects``: origins besides ours that the page must reach for voice."""
        self._room = room
        self._access = access
        self._base_map = base_map
        self._headers = _headers(connects)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/console", self._to_page),
            web.get("/console/", self._page),
            web.get("/console/assets/{name}", self._asset),
            web.get("/console/map/base.geojson", self._map),
            web.get("/console/session", self._session),
            web.post("/console/session", self._log_in),
            web.delete("/console/session", self._log_out),
            web.get("/console/socket", self._socket),
            web.post("/console/incidents/{incident}/voice", self._connect),
            web.delete("/console/incidents/{incident}/legs/{leg}", self._hang_up),
            web.get("/console/incidents/{incident}/replay/{leg}", self._replay),
        ]

    async def _to_page(self, _: web.Request) -> web.Response:
        raise web.HTTPFound("/console/")

    async def _page(self, _: web.Request) -> web.StreamResponse:
        page = STATIC / "index.html"
        if not page.is_file():
            raise Unavailable("the console is not built: run ops/build_console.py")
        return web.FileResponse(page, headers={"Cache-Control": "no-cache", **self._headers})

    async def _asset(self, request: web.Request) -> web.StreamResponse:
        name = Path(request.match_info["name"]).name
        asset = STATIC / "assets" / name
        if len(name) > LONGEST_NAME or not asset.is_file():
            raise web.HTTPNotFound
        lasting = {"Cache-Control": "public, max-age=31536000, immutable"}
        return web.FileResponse(asset, headers=lasting | self._headers)

    async def _map(self, _: web.Request) -> web.Response:
        return web.Response(
            body=self._base_map, content_type="application/geo+json", headers={"Cache-Control": "max-age=86400"}
        )

    async def _session(self, request: web.Request) -> web.Response:
        """204 while the log-in holds: a page that lost its socket asks whether to log in again."""
        self._operator(request)
        return web.Response(status=204)

    async def _log_in(self, request: web.Request) -> web.Response:
        _same_origin(request)
        if request.content_type != "application/json":  # a form of another site's page can send anything else
            raise UnsupportedMedia("Send `Content-Type: application/json`.", field="Content-Type")
        given = read(_log_in, await request.read(), expected="send {'token': '...'}", field="$.token")
        if bool(given.token) is bool(given.code):
            raise Malformed("send a token, or the code of a link", field="$.token")
        operator, session = await self._access.log_in(
            token=given.token, code=given.code, second_factor=given.second_factor
        )
        tell(request, "logged_in", who=f"operator:{operator.id}", about="code" if given.code else "token")
        response = web.Response(status=204)
        response.set_cookie(
            self._access.cookie,
            session,
            httponly=True,
            samesite="Strict",
            secure=self._access.secure,
            path="/",
            max_age=None,
        )
        return response

    async def _log_out(self, request: web.Request) -> web.Response:
        """``Refused`` while the operator is in a call: nobody leaves somebody alone by mistake."""
        entry = self._entry(request)
        _same_origin(request)
        if await self._access.sessions.in_call(entry.operator.id):
            raise Refused("you are in a call: leave it or hand it over first")
        self._access.sessions.end(entry.session, "logged_out")
        tell(request, "logged_out", who=f"operator:{entry.operator.id}")
        response = web.Response(status=204)
        response.del_cookie(self._access.cookie, path="/", secure=self._access.secure, httponly=True, samesite="Strict")
        return response

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        entry = self._entry(request)
        _same_origin(request)
        return await DeskSocket(self._room, entry.operator, entry.session).serve(request)

    async def _connect(self, request: web.Request) -> web.Response:
        operator = self._at_work(request)
        _same_origin(request)
        incident = IncidentId(request.match_info["incident"])
        leg = leg_id(request)
        answer = await self._room.voice.connect(
            incident, leg=leg, party=Party.OPERATOR, who=operator.id, offer=await sdp_offer(request)
        )
        return sdp_answer(answer, location=f"/console/incidents/{incident}/legs/{leg}")

    async def _hang_up(self, request: web.Request) -> web.Response:
        """Only a leg of the operator's own: nobody ends another's call, or the vehicle's, from here."""
        operator = self._operator(request)
        _same_origin(request)
        leg = LegId(request.match_info["leg"])
        found = (await self._room.journal.state(IncidentId(request.match_info["incident"]))).leg(leg)
        if found is not None and found.party is Party.OPERATOR and found.who == operator.id:
            await self._room.voice.hang_up(leg)
        return web.Response(status=204)

    async def _replay(self, request: web.Request) -> web.Response:
        """What a leg said last, for the operator who has the incident and supervisors; on record before it sounds."""
        operator = self._at_work(request)
        _same_origin(request)
        journal, leg = self._room.journal, LegId(request.match_info["leg"])
        state = await journal.state(IncidentId(request.match_info["incident"]))
        if state.operator != operator.id and not operator.supervisor:
            raise Forbidden("only the operator who has the incident, or a supervisor, may hear it again")
        if state.state is State.CLOSED:
            raise Refused("the incident is closed: hear its recording, with a purpose")
        if state.leg(leg) is None:
            raise Unknown("there is no such leg")
        seconds, reader = _seconds(request), f"operator:{operator.id}"
        purpose = f"replay:{leg}:{seconds:g}s"
        command = ReadParts(reader=reader, categories=(Category.AUD,), purpose=purpose, each_time=True)
        await journal.execute(state.id, command, actor=reader)
        sound = await self._room.replay.again(state, leg, seconds=seconds)
        return web.Response(body=sound, content_type="audio/wav", headers={"Cache-Control": "no-store"})

    def supervisor(self, request: web.Request) -> None:
        """Let a supervisor by; ``Forbidden`` for anybody else."""
        if not self._operator(request).supervisor:
            raise Forbidden("this is for supervisors")

    def at_desk(self, request: web.Request) -> Operator:
        """Who asks from a desk of ours, for the doors of other rooms; ``Forbidden`` when nobody does."""
        operator = self._operator(request)
        _same_origin(request)
        return operator

    def _operator(self, request: web.Request) -> Operator:
        return self._entry(request).operator

    def _at_work(self, request: web.Request) -> Operator:
        """Who asks for something that only a person asks for."""
        entry = self._entry(request)
        entry.session.worked(self._room.journal.clock.now())
        return entry.operator

    def _entry(self, request: web.Request) -> Entry:
        entry = self._access.entry(request.cookies)
        known(request, f"operator:{entry.operator.id}")
        return entry


def _headers(connects: tuple[str, ...]) -> dict[str, str]:
    return {
        "Content-Security-Policy": CONTENT_SECURITY.format(connect=" ".join(("'self'", *connects))),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Permissions-Policy": "microphone=(self)",
    }


def _same_origin(request: web.Request) -> None:
    """What another site's page asks for would carry our cookie in older browsers."""
    origin = request.headers.get("Origin")
    if origin is not None and origin.split("://", 1)[-1] != request.host:
        raise web.HTTPForbidden
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        raise web.HTTPForbidden


def _seconds(request: web.Request) -> float:
    """How much is to be heard again."""
    asked = request.query.get("seconds", str(REPLAY_S))
    if not asked.isdecimal() or not 1 <= int(asked[:4]) <= MOST_REPLAY_S:
        raise Malformed(f"seconds is between 1 and {MOST_REPLAY_S}", field="seconds")
    return float(asked[:4])
