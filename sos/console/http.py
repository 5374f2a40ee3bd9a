"""The console's HTTP side: the page and its map, log-in, the socket, and the operator's voice leg (WHIP, RFC 9725)."""

from importlib import resources
from pathlib import Path

import msgspec
from aiohttp import web
from msgspec import Struct

from sos.console.access import COOKIE, Access, Operator
from sos.console.socket import OPEN, DeskSocket, Room
from sos.errors import Malformed, Unavailable
from sos.incident.model import IncidentId, LegId, Party
from sos.whip import leg_id, sdp_answer, sdp_offer

STATIC = Path(str(resources.files("sos.console"))) / "static"

CONTENT_SECURITY = (
    "default-src 'self'; script-src 'self'; worker-src 'self' blob:; img-src 'self' data: blob:;"
    " style-src 'self' 'unsafe-inline'; connect-src 'self' ws: wss:; media-src 'self' blob:;"
    " frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)


class _LogIn(Struct, frozen=True):
    token: str


class Console:
    """The routes below ``/console``."""

    def __init__(self, room: Room, access: Access, *, base_map: bytes, secure: bool) -> None:
        """``secure``: desks reach us over TLS, so that the session must never travel without it."""
        self._room = room
        self._access = access
        self._base_map = base_map
        self._secure = secure

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/console", self._to_page),
            web.get("/console/", self._page),
            web.get("/console/assets/{name}", self._asset),
            web.get("/console/map/base.geojson", self._map),
            web.get("/console/session", self._session),
            web.post("/console/session", self._log_in),
            web.get("/console/socket", self._socket),
            web.post("/console/incidents/{incident}/voice", self._connect),
            web.delete("/console/legs/{leg}", self._hang_up),
        ]

    async def _to_page(self, _: web.Request) -> web.Response:
        raise web.HTTPFound("/console/")

    async def _page(self, _: web.Request) -> web.StreamResponse:
        page = STATIC / "index.html"
        if not page.is_file():
            raise Unavailable("the console is not built: run ops/build_console.py")
        return web.FileResponse(page, headers={"Cache-Control": "no-cache", **_headers()})

    async def _asset(self, request: web.Request) -> web.StreamResponse:
        asset = STATIC / "assets" / Path(request.match_info["name"]).name
        if not asset.is_file():
            raise web.HTTPNotFound
        return web.FileResponse(asset, headers={"Cache-Control": "public, max-age=31536000, immutable", **_headers()})

    async def _map(self, _: web.Request) -> web.Response:
        return web.Response(
            body=self._base_map, content_type="application/geo+json", headers={"Cache-Control": "max-age=86400"}
        )

    async def _session(self, request: web.Request) -> web.Response:
        """204 while the log-in holds: a page that lost its socket asks whether to log in again."""
        self._operator(request)
        return web.Response(status=204)

    async def _log_in(self, request: web.Request) -> web.Response:
        try:
            given = msgspec.json.decode(await request.read(), type=_LogIn)
        except msgspec.DecodeError as wrong:
            raise Malformed("send {'token': '...'}", field="$.token") from wrong
        session = self._access.log_in(given.token)
        response = web.Response(status=204)
        response.set_cookie(
            COOKIE,
            session,
            httponly=True,
            samesite="Strict",
            secure=self._secure or request.secure,
            path="/console",
            max_age=None,
        )
        return response

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        operator = self._operator(request)
        _same_origin(request)
        return await DeskSocket(self._room, operator).serve(request)

    async def _connect(self, request: web.Request) -> web.Response:
        operator = self._operator(request)
        incident = IncidentId(request.match_info["incident"])
        leg = leg_id(request)
        answer = await self._room.voice.connect(
            incident, leg=leg, party=Party.OPERATOR, who=operator.id, offer=await sdp_offer(request)
        )
        return sdp_answer(answer, location=f"/console/legs/{leg}")

    async def _hang_up(self, request: web.Request) -> web.Response:
        """Only a leg of the operator's own: nobody ends another's call, or the vehicle's, from here."""
        operator = self._operator(request)
        leg = LegId(request.match_info["leg"])
        _, incidents = await self._room.journal.queue(limit=10_000, states=OPEN)
        legs = (known for incident in incidents for known in incident.legs if known.leg == leg)
        if any(known.party is Party.OPERATOR and known.who == operator.id for known in legs):
            await self._room.voice.hang_up(leg)
        return web.Response(status=204)

    def _operator(self, request: web.Request) -> Operator:
        return self._access.operator(request.cookies.get(COOKIE))


def _headers() -> dict[str, str]:
    return {
        "Content-Security-Policy": CONTENT_SECURITY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Permissions-Policy": "microphone=(self)",
    }


def _same_origin(request: web.Request) -> None:
    """A socket opened by another site's page would carry our cookie in older browsers."""
    origin = request.headers.get("Origin")
    if origin is not None and origin.split("://", 1)[-1] != request.host:
        raise web.HTTPForbidden
