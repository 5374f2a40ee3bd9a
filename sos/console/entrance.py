"""How one comes to a desk: the page, its scripts and its map, and logging in and out.

It needs no database, so it stands as well while the service waits for one (``sos.console.early``).
"""

from importlib import resources
from pathlib import Path
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from sos.accesses import known, tell
from sos.console.access import Access, Entry
from sos.errors import Malformed, Refused, Unavailable
from sos.formats.body import read
from sos.problems import UnsupportedMedia

STATIC = Path(str(resources.files("sos.console"))) / "static"

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


class Entrance:
    """The routes below ``/console`` that anybody may ask for who has a desk, or wants to log in."""

    def __init__(self, access: Access, *, base_map: bytes, connects: tuple[str, ...] = ()) -> None:
        """``connects``: origins besides ours that the page must reach for voice."""
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
        ]

    def entry(self, request: web.Request) -> Entry:
        """By which log-in a request comes.  ``Forbidden`` as of ``Access.entry``."""
        entry = self._access.entry(request.cookies)
        known(request, f"operator:{entry.operator.id}")
        return entry

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
        self.entry(request)
        return web.Response(status=204)

    async def _log_in(self, request: web.Request) -> web.Response:
        same_origin(request)
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
        entry = self.entry(request)
        same_origin(request)
        if await self._access.sessions.in_call(entry.operator.id):
            raise Refused("you are in a call: leave it or hand it over first")
        self._access.sessions.end(entry.session, "logged_out")
        tell(request, "logged_out", who=f"operator:{entry.operator.id}")
        response = web.Response(status=204)
        response.del_cookie(self._access.cookie, path="/", secure=self._access.secure, httponly=True, samesite="Strict")
        return response


def _headers(connects: tuple[str, ...]) -> dict[str, str]:
    return {
        "Content-Security-Policy": CONTENT_SECURITY.format(connect=" ".join(("'self'", *connects))),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Permissions-Policy": "microphone=(self)",
    }


def same_origin(request: web.Request) -> None:
    """What another site's page asks for would carry our cookie in older browsers."""
    origin = request.headers.get("Origin")
    if origin is not None and origin.split("://", 1)[-1] != request.host:
        raise web.HTTPForbidden
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        raise web.HTTPForbidden
