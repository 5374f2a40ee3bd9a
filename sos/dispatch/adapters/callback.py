"""Answers of agencies' own systems to what was pushed to them: one signed POST each.

The body is ``{"answer": "taken_over"}``, with ``"text"`` for a question; what an answer may be stands in ``answers``.
The request is signed (RFC 9421) with the key that the directory names for this agency under ``channels.https.key``.
Sending an answer again changes nothing, so a sender that hears nothing may repeat it.
"""

from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from routing.directory import Directory
from sos.clock import Clock
from sos.dispatch.replies import Replies
from sos.dispatch.reply_codes import REPLY_CODES
from sos.errors import Forbidden, Malformed
from sos.formats.body import read, whole
from sos.incident.model import AgencyId, DisclosureId, IncidentId
from sos.signing import public_key, verify

BODY_BYTES = 8192


class _Given(Struct, frozen=True):
    answer: Annotated[str, Meta(max_length=64)]
    text: Annotated[str, Meta(max_length=4096)] = ""
    """``Replies`` takes fewer, and says how many."""


_given = msgspec.json.Decoder(_Given)


class CallbackEndpoint:
    """``POST /agency/callback/{incident}/{disclosure}``."""

    def __init__(self, replies: Replies, directory: Directory, clock: Clock, *, public_url: str) -> None:
        """``public_url`` is how agencies reach us: signatures cover the address as they see it."""
        self._replies = replies
        self._directory = directory
        self._clock = clock
        self._public_url = public_url.rstrip("/")

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/agency/callback/{incident}/{disclosure}", self._answer)]

    async def _answer(self, request: web.Request) -> web.Response:
        incident = IncidentId(request.match_info["incident"])
        disclosure = DisclosureId(request.match_info["disclosure"])
        told = await self._replies.told(incident, disclosure)
        body = await whole(request.content, most=BODY_BYTES)
        self._verify(told.agency, request, body)
        given = read(_given, body, expected=f"send {{'answer': one of {', '.join(REPLY_CODES)}}}", field="$.answer")
        await self._replies.answer(told.agency, incident, disclosure, given.answer, given.text)
        return web.Response(status=204)

    def _verify(self, agency: AgencyId, request: web.Request, body: bytes) -> None:
        """``Forbidden`` unless the agency that was told has signed this request; the reason names the rule."""
        known = self._directory.agencies.get(agency)
        text = known.channels.get("https", {}).get("key") if known else None
        if not isinstance(text, str):
            raise Forbidden("the directory names no key for this agency")
        url = f"{self._public_url}{request.rel_url.raw_path}"
        key = public_key(text, where=f"agency {agency!r}: channels.https.key")
        try:
            verify(key, method=request.method, url=url, headers=request.headers, body=body, now=self._clock.now())
        except Malformed as wrong:
            raise Forbidden(f"{wrong.field}: {wrong}") from wrong
