"""What a door tells of a request that matters for who came in: who it is, and that it was a log-in or an export.

The access log writes it down.  Refusals need no telling, since the error that a door raises says why; but for those of
orders on a connection that stays open.
"""

from typing import Protocol

from aiohttp import web
from msgspec import Struct


class Told(Struct, frozen=True, kw_only=True):
    """Ids and codes, never a token and nothing that a person wrote."""

    what: str
    about: str = ""


class Log(Protocol):
    """Who watches the doors, for what no answer to a request says."""

    def refused(self, request: web.Request, kind: str, *, who: str, reason: str, about: str = "") -> None:
        """Something that was asked for over the open connection of ``request`` was refused."""
        ...


LOG: web.AppKey[Log] = web.AppKey("sos.accesses.log", Log)

_WHO = web.RequestKey("sos.accesses.who", str)
_TOLD = web.RequestKey("sos.accesses.told", Told)


def known(request: web.Request, who: str) -> None:
    """``request`` is by ``who``, such as ``operator:hanako``: it has shown what proves it."""
    request[_WHO] = who


def tell(request: web.Request, what: str, *, who: str, about: str = "") -> None:
    """``what`` was done in ``request`` by ``who``, with the thing ``about``."""
    known(request, who)
    request[_TOLD] = Told(what=what, about=about)


def refused(request: web.Request, kind: str, *, who: str, reason: str, about: str = "") -> None:
    """``who`` was refused something over the open connection of ``request``."""
    if (log := request.app.get(LOG)) is not None:
        log.refused(request, kind, who=who, reason=reason, about=about)


def who(request: web.Request) -> str:
    """Who it is, when a door knows; else nothing."""
    found: str = request.get(_WHO, "")
    return found


def told(request: web.Request) -> Told | None:
    """What was done, when a door said so."""
    return request.get(_TOLD)
