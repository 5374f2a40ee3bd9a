"""Push to an agency's own system over HTTPS: one signed POST, and a signed GET to ask whether it arrived.

Directory settings ``[agency.channels.https]``: ``url`` (the POST goes there, the GET to ``url/<disclosure>``), ``form``
(``json``, ``eido`` ...; default ``json``) and ``key`` (the agency's Ed25519 key, for its answers).  What the other side
must do stands in ``ops/decisions/0015-hand-off-ladder.md``.

A 2xx says that a machine took the bytes and nothing more.  *Delivered* needs the receiver to name our disclosure in its
answer, so that a proxy's or a captive portal's 200 is not taken for it.  Addresses come from the directory alone;
redirects are not followed, and plain HTTP is refused except to this machine in a demonstration or a test.
"""

from collections.abc import Mapping
from types import TracebackType
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

import aiohttp
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Meta, Struct

from sos.clock import Clock
from sos.dispatch.forms import JSON, MEDIA_TYPES
from sos.dispatch.port import Parcel, Receipt
from sos.dispatch.signing import signed
from sos.errors import Malformed, Misconfigured, Unavailable
from sos.formats.body import read
from sos.incident.model import Acknowledgement

CONNECT_S = 2.0
TOTAL_S = 4.0
"""Less than the 5 s after which a delivery is tried again: two attempts never overlap."""

READ_BYTES = 4096
"""Of an answer: a receipt is a hundred bytes."""

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class _Answer(Struct, frozen=True):
    disclosure: Annotated[str, Meta(max_length=256)] = ""
    reference: Annotated[str, Meta(max_length=256)] = ""


_answer = msgspec.json.Decoder(_Answer)


class HttpsChannel:
    """``AgencyChannel``.  ``async with`` opens its connections."""

    name = "https"

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

    async def find(self, parcel: Parcel) -> Receipt | None:
        status, answer = await self._ask("GET", f"{self._url(parcel)}/{parcel.disclosure}", b"", parcel)
        if status == 404:
            return None
        if status != 200:
            raise Unavailable(f"http_{status}")
        return _receipt(parcel, answer) if answer.disclosure == parcel.disclosure else None

    async def deliver(self, parcel: Parcel) -> Receipt:
        form = str(parcel.settings.get("form", JSON))
        body = parcel.brief if form == JSON else parcel.forms.get(form)
        if body is None:
            raise Unavailable(f"no_form_{form}")
        status, answer = await self._ask("POST", self._url(parcel), body, parcel, content_type=MEDIA_TYPES.get(form))
        if not 200 <= status < 300:
            raise Unavailable(f"http_{status}")
        return _receipt(parcel, answer)

    async def _ask(
        self, method: str, url: str, body: bytes, parcel: Parcel, *, content_type: str | None = None
    ) -> tuple[int, _Answer]:
        if self._session is None:
            raise Unavailable("not_open")
        headers = signed(
            self._key,
            keyid=self._keyid,
            method=method,
            url=url,
            body=body,
            content_type=content_type or MEDIA_TYPES[JSON],
            idempotency_key=parcel.disclosure,
            now=self._clock.now(),
        )
        try:
            async with self._session.request(
                method, url, data=body or None, headers=headers, allow_redirects=False
            ) as response:
                return response.status, _read(await response.content.read(READ_BYTES))
        except (aiohttp.ClientError, TimeoutError, OSError) as failed:
            raise Unavailable(f"https_{type(failed).__name__}") from failed

    def _url(self, parcel: Parcel) -> str:
        url = str(parcel.settings.get("url", ""))
        check_url(url, loopback=self._loopback)
        return url.rstrip("/")


def check_url(url: str, *, loopback: bool) -> None:
    """``Unavailable`` for an address that nothing may be sent to: not HTTPS, with a password, or of no host."""
    parts = urlsplit(url)
    local = loopback and parts.scheme == "http" and parts.hostname in LOOPBACK
    if not parts.hostname or not (parts.scheme == "https" or local):
        raise Unavailable("the directory's address is not https")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise Unavailable("the directory's address has more than host and path")


def check_settings(agency: str, settings: Mapping[str, Any], *, loopback: bool) -> None:
    """``Misconfigured`` names the agency whose address cannot be used."""
    try:
        check_url(str(settings.get("url", "")), loopback=loopback)
    except Unavailable as wrong:
        raise Misconfigured(f"directory: agency {agency!r}: channels.https.url: {wrong}") from wrong


def _read(body: bytes) -> _Answer:
    """What a machine there says; nothing at all when it is not JSON."""
    try:
        return read(_answer, body)
    except Malformed:
        return _Answer()


def _receipt(parcel: Parcel, answer: _Answer) -> Receipt:
    named = answer.disclosure == parcel.disclosure
    level = Acknowledgement.DELIVERED if named else Acknowledgement.TRANSPORT
    return Receipt(level=level, reference=f"https:{answer.reference[:64] or parcel.disclosure}")
