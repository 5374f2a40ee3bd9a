"""WebRTC over HTTP (WHIP, RFC 9725): an SDP offer comes as a POST and the answer goes back as its 201.

Used by the doors that take voice legs.  The entity tag names the ICE session: it is made of the credentials that the
offer and every later fragment carry, so nothing has to be remembered to tell a stale fragment.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from aiohttp import web

from sos.errors import Malformed
from sos.formats.body import whole
from sos.incident.model import LegId, new_id
from sos.problems import PreconditionFailed, PreconditionRequired, Unprocessable, UnsupportedMedia

OFFER_BYTES = 64 * 1024
"""An audio-only offer with every candidate is under 8 KiB; browsers with many interfaces reach 30."""

FRAGMENT_BYTES = 16 * 1024

LEG_ID_CHARACTERS = 36
"""A UUID, which is also the most that voice providers take: the id becomes a track's name."""

OFFER_MEDIA_TYPE = "application/sdp"
FRAGMENT_MEDIA_TYPE = "application/trickle-ice-sdpfrag"

_UFRAG, _PASSWORD, _CANDIDATE = "a=ice-ufrag:", "a=ice-pwd:", "a=candidate:"


def leg_id(request: web.Request) -> LegId:
    """The leg's own id, chosen by the caller so that a reconnection replaces and never doubles."""
    leg = request.headers.get("Leg-Id", "")
    if not (8 <= len(leg) <= LEG_ID_CHARACTERS and leg.replace("-", "").isalnum() and leg.isascii()):
        raise Malformed("send the header Leg-Id with a UUID of your own", field="Leg-Id")
    return LegId(leg)


def leg_id_or_new(request: web.Request) -> LegId:
    """As ``leg_id``; a standard client sends none, and each of its offers is a leg of its own."""
    return leg_id(request) if "Leg-Id" in request.headers else LegId(new_id())


async def sdp_offer(request: web.Request) -> str:
    return await _text(request, OFFER_MEDIA_TYPE, most_bytes=OFFER_BYTES)


async def _text(request: web.Request, media_type: str, *, most_bytes: int) -> str:
    if request.content_type != media_type:
        raise UnsupportedMedia(f"send it as {media_type}", field="Content-Type")
    body = await whole(request.content, most=most_bytes)
    try:
        return body.decode()
    except UnicodeDecodeError as wrong:
        raise Malformed("SDP is UTF-8 text (RFC 8866 4.5)") from wrong


def sdp_answer(answer: str, *, location: str) -> web.Response:
    return web.Response(status=201, text=answer, content_type=OFFER_MEDIA_TYPE, headers={"Location": location})


@dataclass(frozen=True, slots=True)
class Fragment:
    """More candidates of a peer (RFC 8840 9), and the ICE session they belong to."""

    ufrag: str
    password: str
    candidates: tuple[str, ...] = ()

    @classmethod
    def read(cls, text: str) -> "Fragment":
        """``Malformed`` without credentials.  An offer is read as well as a fragment of one."""
        lines = text.replace("\r\n", "\n").split("\n")
        ufrag, password = _first(lines, _UFRAG), _first(lines, _PASSWORD)
        if not (ufrag and password):
            raise Malformed("a fragment names its session with a=ice-ufrag and a=ice-pwd (RFC 8840 9)")
        return cls(ufrag, password, tuple(e.removeprefix(_CANDIDATE) for e in lines if e.startswith(_CANDIDATE)))

    @property
    def etag(self) -> str:
        """A strong entity tag (RFC 9110 8.8.3)."""
        return f'"{sha256(f"{self.ufrag} {self.password}".encode()).hexdigest()[:32]}"'


def _first(lines: Iterable[str], prefix: str) -> str:
    return next((line.removeprefix(prefix).strip() for line in lines if line.startswith(prefix)), "")


async def trickled(request: web.Request) -> tuple[str, Fragment]:
    """The body as it was sent, and what is in it.

    Raises as RFC 9725 4.3 says when it is of another session, or does not say of which.
    """
    text = await _text(request, FRAGMENT_MEDIA_TYPE, most_bytes=FRAGMENT_BYTES)
    fragment = Fragment.read(text)
    matches = request.headers.get("If-Match", "")
    if not matches:
        raise PreconditionRequired("send the entity tag of the 201 as If-Match")
    if matches.strip() == "*":
        raise Unprocessable("ICE is not restarted here: offer anew, under the same Leg-Id")
    if fragment.etag not in [each.strip() for each in matches.split(",")]:
        raise PreconditionFailed("this is another ICE session than that of the entity tag")
    return text, fragment
