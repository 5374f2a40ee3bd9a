"""Push to an agency's own system over HTTPS: one signed POST, and a signed GET to ask whether it arrived.

Directory settings ``[agency.channels.https]``: ``url`` (the POST goes there, the GET to ``url/<disclosure>``), ``form``
(``json``, ``eido`` ...; default ``json``) and ``key`` (the agency's Ed25519 key, for its answers).  What the other side
must do stands in ``ops/decisions/0015-hand-off-ladder.md``.

A 2xx says that a machine took the bytes and nothing more.  *Delivered* needs the receiver to name our disclosure in its
answer, so that a proxy's or a captive portal's 200 is not taken for it.  Addresses come from the directory alone.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from sos.dispatch.forms import JSON, MEDIA_TYPES
from sos.dispatch.port import Parcel, Receipt
from sos.errors import Malformed, Misconfigured, Unavailable
from sos.formats.body import read
from sos.incident.model import Acknowledgement
from sos.signed_post import SignedPost, check_url


class _Answer(Struct, frozen=True):
    disclosure: Annotated[str, Meta(max_length=256)] = ""
    reference: Annotated[str, Meta(max_length=256)] = ""


_answer = msgspec.json.Decoder(_Answer)


class HttpsChannel:
    """``AgencyChannel``.  ``async with`` opens its connections."""

    name = "https"

    def __init__(self, post: SignedPost) -> None:
        self._post = post

    async def find(self, parcel: Parcel) -> Receipt | None:
        status, answer = await self._ask("GET", f"{_url(parcel)}/{parcel.disclosure}", b"", parcel)
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
        status, answer = await self._ask("POST", _url(parcel), body, parcel, content_type=MEDIA_TYPES.get(form))
        if not 200 <= status < 300:
            raise Unavailable(f"http_{status}")
        return _receipt(parcel, answer)

    async def _ask(
        self, method: str, url: str, body: bytes, parcel: Parcel, *, content_type: str | None = None
    ) -> tuple[int, _Answer]:
        status, answer = await self._post.ask(
            method,
            url,
            body,
            content_type=content_type or MEDIA_TYPES[JSON],
            idempotency_key=parcel.disclosure,
        )
        return status, _read(answer)


def check_settings(agency: str, settings: Mapping[str, Any], *, loopback: bool) -> None:
    """``Misconfigured`` names the agency whose address cannot be used."""
    try:
        check_url(str(settings.get("url", "")), loopback=loopback)
    except Unavailable as wrong:
        raise Misconfigured(f"directory: agency {agency!r}: channels.https.url: {wrong}") from wrong


def _url(parcel: Parcel) -> str:
    return str(parcel.settings.get("url", "")).rstrip("/")


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
