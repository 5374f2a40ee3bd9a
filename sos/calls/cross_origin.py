"""Routes of WHIP that a page of any origin may use (RFC 9725 4.2, the Fetch standard's CORS).

No cookie opens these routes, only what a caller puts into ``Authorization`` itself, so any origin may ask.
"""

from collections.abc import Mapping
from types import MappingProxyType

from aiohttp import web

from sos.errors import SosError
from sos.problems import Handler, kind_of, problem, respond
from sos.whip import FRAGMENT_MEDIA_TYPE, OFFER_MEDIA_TYPE

_SHOWN: Mapping[str, str] = MappingProxyType(
    {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Expose-Headers": "Location, ETag, Link, Incident, Retry-After",
    }
)
_METHODS = "OPTIONS, POST, PATCH, DELETE"
"""Of an offer and of the leg that it becomes: clients ask at the first whether the second takes candidates."""
_HEADERS = "Authorization, Content-Type, If-Match, ETag, Leg-Id, Vehicle-Id, Call-Back, Call-Language"


def whip_routes(path: str, **handlers: Handler) -> list[web.RouteDef]:
    """``handlers`` by method, and what a browser asks before it uses them."""
    offers = {"Accept-Post": OFFER_MEDIA_TYPE} if "post" in handlers else {"Accept-Patch": FRAGMENT_MEDIA_TYPE}
    asked = dict(_SHOWN) | offers
    asked |= {
        "Access-Control-Allow-Methods": _METHODS,
        "Access-Control-Allow-Headers": _HEADERS,
        "Access-Control-Max-Age": "7200",
    }

    async def options(_: web.Request) -> web.Response:
        return web.Response(headers=asked)

    routes = [web.route(method.upper(), path, _shown(handler)) for method, handler in handlers.items()]
    return [*routes, web.options(path, options)]


def _shown(handler: Handler) -> Handler:
    """``handler``, whose answers a page of another origin can read; the refusals as well."""

    async def answered(request: web.Request) -> web.StreamResponse:
        try:
            response = await handler(request)
        except SosError as error:
            if kind_of(error).status == 500:
                raise  # the edge of requests records it
            response = respond(problem(error))
        response.headers.update(_SHOWN)
        return response

    return answered
