"""A signed request to another's machine (RFC 9421, ``sos.signing``): bounded in time and answer, never redirected.

Addresses come from the settings or the directory alone.  Plain HTTP is refused except to this machine in a
demonstration or a test.
"""

from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import aiohttp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sos.clock import Clock
from sos.errors import Unavailable
from sos.signing import signed

CONNECT_S = 2.0
TOTAL_S = 4.0
"""Less than the 5 s after which a delivery is tried again: two attempts never overlap."""

READ_BYTES = 4096
"""Of an answer: a receipt is a hundred bytes."""

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class SignedPost:
    """``async with`` opens its connections."""

    def __init__(
        self, key: Ed25519PrivateKey, *, keyid: str, clock: Clock, loopback: bool = False, total_s: float = TOTAL_S
    ) -> None:
        """``loopback`` allows plain HTTP to this machine."""
        self._key = key
        self._keyid = keyid
        self._clock = clock
        self._loopback = loopback
        self._timeout = aiohttp.ClientTimeout(total=total_s, connect=CONNECT_S)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def ask(
        self, method: str, url: str, body: bytes, *, content_type: str, idempotency_key: str
    ) -> tuple[int, bytes]:
        """Status and the beginning of the answer.  ``Unavailable`` when there is none, or may not be asked there."""
        check_url(url, loopback=self._loopback)
        if self._session is None:
            raise Unavailable("not_open")
        headers = signed(
            self._key,
            keyid=self._keyid,
            method=method,
            url=url,
            body=body,
            content_type=content_type,
            idempotency_key=idempotency_key,
            now=self._clock.now(),
        )
        try:
            async with self._session.request(
                method, url, data=body or None, headers=headers, allow_redirects=False
            ) as response:
                return response.status, await response.content.read(READ_BYTES)
        except (aiohttp.ClientError, TimeoutError, OSError) as failed:
            raise Unavailable(f"https_{type(failed).__name__}") from failed


def check_url(url: str, *, loopback: bool) -> None:
    """``Unavailable`` for an address that nothing may be sent to: not HTTPS, with a password, or of no host."""
    parts = urlsplit(url)
    local = loopback and parts.scheme == "http" and parts.hostname in LOOPBACK
    if not parts.hostname or not (parts.scheme == "https" or local):
        raise Unavailable("the address is not https")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise Unavailable("the address has more than host and path")
