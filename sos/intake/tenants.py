"""Who may send: tenants (brands) and the keys their clouds present.  Only digests of keys are held."""

import hashlib
import re
from collections.abc import Mapping

from msgspec import Struct

from sos.errors import Misconfigured
from sos.incident.model import Mode, TenantId
from sos.problems import Unauthenticated

_DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*\Z")
_SCHEME = "Bearer "


class Tenant(Struct, frozen=True, kw_only=True):
    id: TenantId
    domain: str
    """Stands at the end of its incidents' URNs (NENA-STA-010.3)."""
    mode: Mode = Mode.LIVE
    """DRILL for a tenant whose every report is an exercise."""

    def __post_init__(self) -> None:
        if _DOMAIN.match(self.domain) is None:
            raise Misconfigured(f"tenant {self.id}: `domain` must be a lower-case DNS name such as example.com")
        if not self.id or "\0" in self.id:
            raise Misconfigured("a tenant's `id` may not be empty or hold a NUL character")


class TenantKeys:
    """The tenant of each key.

    A presented key is hashed before it is looked up, so how long the search takes tells nothing about any key.
    """

    def __init__(self, by_digest: Mapping[bytes, Tenant]) -> None:
        """``by_digest`` maps the 32-byte SHA-256 of a key to its tenant."""
        self._by_digest = dict(by_digest)

    @classmethod
    def of(cls, keys: Mapping[str, Tenant]) -> "TenantKeys":
        """From keys in clear, as a demonstration or a test has them."""
        return cls({digest(key): tenant for key, tenant in keys.items()})

    def tenant(self, authorization: str | None) -> Tenant:
        """Whose the ``Authorization`` header is; ``Unauthenticated`` when it is missing or nobody's."""
        if authorization is None:
            raise Unauthenticated("Send the header `Authorization: Bearer <tenant key>`.")
        if authorization[:7] != _SCHEME and authorization[:7].title() != _SCHEME:
            raise Unauthenticated("The header `Authorization` must have the form `Bearer <tenant key>`.")
        tenant = self._by_digest.get(digest(authorization[7:].strip()))
        if tenant is None:
            raise Unauthenticated("This tenant key is not known here; check that it was copied whole and not revoked.")
        return tenant


def digest(key: str) -> bytes:
    """SHA-256 of a tenant key, under which it is stored."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
