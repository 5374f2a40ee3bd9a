"""Who audits: an auditor is known by a token, and bound to brands and to categories of data.

What an auditor may not see is refused before anything is read or written; a foreign brand's incident is answered as one
that does not exist, so that asking teaches nothing.
"""

import hmac
from collections.abc import Collection, Sequence
from hashlib import sha256

from aiohttp import web
from msgspec import Struct

from routing.categories import Category
from routing.text import octets
from sos.accesses import known
from sos.errors import Forbidden
from sos.incident.model import TenantId
from sos.problems import Unauthenticated
from sos.settings import EVERY, AuditorSettings


class Scope(Struct, frozen=True, kw_only=True):
    """What may be exported for somebody."""

    brands: frozenset[str]
    """Tenants; with ``*`` every one."""
    categories: frozenset[str]
    """What may be opened; with ``*`` all."""

    @property
    def every_brand(self) -> bool:
        return EVERY in self.brands

    def covers(self, tenant: TenantId) -> bool:
        return self.every_brand or tenant in self.brands

    def check(self, categories: Collection[Category]) -> None:
        """``Forbidden`` when one of ``categories`` may not be opened."""
        if EVERY not in self.categories and (beyond := sorted(set(categories) - self.categories)):
            raise Forbidden(f"{', '.join(beyond)}: not among the categories that may be opened for you")


WHOLE = Scope(brands=frozenset({EVERY}), categories=frozenset({EVERY}))
"""Of the house itself."""


class Auditor(Struct, frozen=True, kw_only=True):
    id: str
    token_digest: str
    """Hex SHA-256 of the auditor's token (32 random bytes)."""
    scope: Scope

    @classmethod
    def of(cls, given: AuditorSettings) -> "Auditor":
        scope = Scope(brands=frozenset(given.brands), categories=frozenset(given.categories))
        return cls(id=given.id, token_digest=given.token_digest, scope=scope)


class Auditors:
    def __init__(self, auditors: Sequence[Auditor]) -> None:
        self._auditors = tuple(auditors)

    def of(self, request: web.Request) -> Auditor:
        """Who asks; ``Unauthenticated`` when no auditor does."""
        authorization = request.headers.get("Authorization", "")
        given = sha256(octets(authorization.removeprefix("Bearer "))).hexdigest()
        for auditor in self._auditors:
            if hmac.compare_digest(auditor.token_digest, given):
                known(request, f"auditor:{auditor.id}")
                return auditor
        raise Unauthenticated("Send the header `Authorization: Bearer <auditor token>`.")
