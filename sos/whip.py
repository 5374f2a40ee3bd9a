"""WebRTC over HTTP (WHIP, RFC 9725): an SDP offer comes as a POST and the answer goes back as its 201.

Used by the two doors that take voice legs, the vehicle's and the operator's.
"""

from aiohttp import web

from sos.errors import Malformed
from sos.incident.model import LegId

OFFER_BYTES = 64 * 1024
"""An audio-only offer with every candidate is under 8 KiB; browsers with many interfaces reach 30."""

LEG_ID_CHARACTERS = 36
"""A UUID, which is also the most that voice providers take: the id becomes a track's name."""


def leg_id(request: web.Request) -> LegId:
    """The leg's own id, chosen by the caller so that a reconnection replaces and never doubles."""
    leg = request.headers.get("Leg-Id", "")
    if not (8 <= len(leg) <= LEG_ID_CHARACTERS and leg.replace("-", "").isalnum() and leg.isascii()):
        raise Malformed("send the header Leg-Id with a UUID of your own", field="Leg-Id")
    return LegId(leg)


async def sdp_offer(request: web.Request) -> str:
    if request.content_type != "application/sdp":
        raise Malformed("send an SDP offer as application/sdp", field="Content-Type")
    body = await request.content.read(OFFER_BYTES + 1)
    if len(body) > OFFER_BYTES:
        raise Malformed(f"an offer has at most {OFFER_BYTES} bytes")
    try:
        return body.decode()
    except UnicodeDecodeError as wrong:
        raise Malformed("SDP is UTF-8 text (RFC 8866 4.5)") from wrong


def sdp_answer(answer: str, *, location: str) -> web.Response:
    return web.Response(status=201, text=answer, content_type="application/sdp", headers={"Location": location})
