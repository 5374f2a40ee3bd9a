"""Errors as answers: RFC 9457 problem details, and the one table from an error family to an HTTP status.

Every room with a web edge uses this module, so that a fault looks the same wherever it is met.  A problem names the
thing and the way out; it never shows a stack trace, a payload or personal data.
"""

import traceback
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

import msgspec
import structlog
from aiohttp import web
from msgspec import Struct

from routing.text import clean
from sos.errors import (
    Bug,
    Conflict,
    Forbidden,
    Malformed,
    Misconfigured,
    Refused,
    RuleBroken,
    SecondFactor,
    SosError,
    Unavailable,
    Unknown,
)
from sos.incident.model import new_id

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1
"""What a sender is asked to wait after 503: a batch commit takes milliseconds, a database failover is spooled."""


class Unauthenticated(Refused):
    """Nobody known to us sent this.

    ``rule`` names what it failed, such as ``created`` or ``exp``; ``field`` the header; ``tenant`` whose credential it
    claims to be, when that is known.
    """

    def __init__(self, message: str, *, rule: str | None = None, field: str | None = None, tenant: str | None = None):
        super().__init__(message)
        self.rule = rule
        self.field = field
        self.tenant = tenant


class TooOften(Refused):
    """Too many wrong credentials came from there."""

    def __init__(self, message: str, *, wait_s: int) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class NoSuchLink(Unknown):
    """This link opens no page: it was never ours, or not for this."""


class LinkExpired(Refused):
    """This link's time is over."""


class TooLarge(Malformed):
    """The body is larger than we read."""


class UnsupportedMedia(Malformed):
    """The body is of a type we do not read."""


class TooSlow(Malformed):
    """The body did not arrive in time."""


class PreconditionFailed(Refused):
    """What it was meant for has changed since (RFC 9110 13.1.1)."""


class PreconditionRequired(Refused):
    """It must say what it was meant for (RFC 6585 3)."""


class Unprocessable(Refused):
    """It is understood, and not offered (RFC 9110 15.5.21)."""


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The members of RFC 9457 section 3.1, and ``field``: a JSON path to what is wrong."""

    type: str
    title: str
    status: int
    detail: str | None = None
    instance: str | None = None
    """Names this one occurrence; for a 500 it is also in our log."""
    field: str | None = None
    rule: str | None = None
    """The rule that was broken, by the name it has in its specification."""
    tenant: str | None = None


class Kind(Struct, frozen=True):
    """What all problems of one error family share."""

    status: int
    name: str
    title: str


STATUS: Mapping[type[SosError], Kind] = MappingProxyType(
    {
        Malformed: Kind(400, "malformed", "What was sent cannot be read"),
        Unauthenticated: Kind(401, "unauthenticated", "The key is missing or not known"),
        SecondFactor: Kind(403, "second-factor", "Give the digits of your second factor too"),
        Forbidden: Kind(403, "forbidden", "You are not allowed to do this"),
        Unknown: Kind(404, "unknown", "There is no such thing here"),
        TooSlow: Kind(408, "too-slow", "The body did not arrive in time"),
        Refused: Kind(409, "refused", "This may not happen in the present state"),
        Conflict: Kind(409, "conflict", "Somebody else changed it at the same moment"),
        LinkExpired: Kind(410, "link-expired", "This link's time is over"),
        PreconditionFailed: Kind(412, "precondition-failed", "It has changed since"),
        TooLarge: Kind(413, "too-large", "The body is larger than we read"),
        UnsupportedMedia: Kind(415, "unsupported-media", "We do not read this type of body"),
        Unprocessable: Kind(422, "unprocessable", "It is understood, and not offered here"),
        PreconditionRequired: Kind(428, "precondition-required", "Say what it is meant for"),
        TooOften: Kind(429, "too-often", "Too many wrong credentials; wait"),
        Misconfigured: Kind(500, "misconfigured", "A setting is missing or wrong"),
        Bug: Kind(500, "bug", "Our own mistake"),
        SosError: Kind(500, "bug", "Our own mistake"),
        Unavailable: Kind(503, "unavailable", "Not available just now; try again shortly"),
    }
)
"""The one table: the nearest family of an error decides."""


def type_uri(name: str) -> str:
    """The ``type`` of a problem; stable, so that a sender may switch on it."""
    return f"urn:problem-type:sos:{name}"


def kind_of(error: SosError) -> Kind:
    """The row of ``STATUS`` for the nearest family of ``error``."""
    return next(STATUS[family] for family in type(error).__mro__ if family in STATUS)


def problem(error: SosError, *, instance: str | None = None) -> Problem:
    """``error`` as a problem object.  Of our own mistakes only the instance is told, not the message."""
    kind = kind_of(error)
    return Problem(
        type=type_uri(kind.name),
        title=kind.title,
        status=kind.status,
        detail=None if kind.status == 500 else str(error) or None,
        instance=instance,
        field=error.field if isinstance(error, Malformed | Unauthenticated) else None,
        rule=error.rule if isinstance(error, Unauthenticated | RuleBroken) else None,
        tenant=error.tenant if isinstance(error, Unauthenticated) else None,
    )


def respond(told: Problem, *, headers: Mapping[str, str] = MappingProxyType({})) -> web.Response:
    """``told`` as an answer, with the headers its status asks for (RFC 9110 10.2.3 and 11.6.1)."""
    extra = dict(headers)
    if told.status == 503:
        extra["Retry-After"] = str(RETRY_AFTER_S)
    if told.status == 401:
        extra["WWW-Authenticate"] = "Bearer, Signature"
    return web.Response(
        status=told.status, body=msgspec.json.encode(told), headers=extra | {"Content-Type": MEDIA_TYPE}
    )


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_KEPT_HEADERS = ("Allow", "Location", "WWW-Authenticate")
"""Headers of a framework answer that are part of its meaning."""


@web.middleware
async def problems_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The named edge of one request: whatever goes wrong inside becomes a problem answer; ours also a record."""
    try:
        if clean(request.path) != request.path:
            raise Unknown("There is nothing at an address with control characters in it.")
        if clean(request.query_string) != request.query_string:
            raise Malformed("A query holds no control characters and no half surrogates.", field="?")
        return await handler(request)
    except SosError as error:
        instance = f"urn:uuid:{new_id()}"
        if kind_of(error).status == 500:
            _record(error, instance=instance)
        waits = {"Retry-After": str(error.wait_s)} if isinstance(error, TooOften) else {}
        return respond(problem(error, instance=instance), headers=waits)
    except web.HTTPException as answer:
        if answer.status < 400:
            raise
        told = Problem(type="about:blank", title=answer.reason, status=answer.status)
        kept = {name: answer.headers[name] for name in _KEPT_HEADERS if name in answer.headers}
        return respond(told, headers=kept)
    except Exception as error:  # noqa: BLE001  the edge of one request: nothing may pass it without a record
        instance = f"urn:uuid:{new_id()}"
        _record(error, instance=instance)
        return respond(problem(Bug(), instance=instance))


def _record(error: BaseException, *, instance: str) -> None:
    """Log where it broke; not the message, which may hold what was sent."""
    log.error("request failed unexpectedly", instance=instance, error=type(error).__name__, places=places_of(error))


def places_of(error: BaseException) -> list[str]:
    """Where in the program ``error`` came from, for a log that must not hold what was sent."""
    return [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
