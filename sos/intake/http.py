"""The HTTP door: ``POST /v1/events`` takes an emergency report and answers when it is durable, not before.

The path to the journal is short on purpose: who sends, one decode, one keyed digest, open.  What is recognisably an
emergency is never turned away for its shape; its faults come back as RFC 9457 problems inside the acceptance.
"""

import asyncio
import hmac
from collections.abc import Mapping
from types import MappingProxyType

import msgspec
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

from sos.clock import Clock
from sos.errors import Malformed
from sos.incident.commands import OpenIncident
from sos.incident.model import Mode, TenantId
from sos.intake import cloudevents
from sos.intake.port import Reception
from sos.intake.tenants import Tenant, TenantKeys
from sos.journal.journal import Received
from sos.problems import Problem, TooLarge, TooSlow, UnsupportedMedia, type_uri

MAX_BODY_BYTES = 256 * 1024
"""A full event with every seat and an MSD is below 4 KiB; 256 KiB is also what AWS EventBridge and SQS take."""

BODY_TIMEOUT_S = 10.0
"""From the headers to the last byte of the body: a car on a failing radio link, not a hanging socket."""

MAX_KEY_CHARACTERS = 255
"""Of an ``Idempotency-Key``, as Stripe has it."""

_BY_KEY = "urn:sos:idempotency-key"
_BY_BODY = "urn:sos:body-digest"
"""Stand in for the event's ``source`` when an event has no identity of its own."""

_JSON = CIMultiDictProxy(CIMultiDict({"Content-Type": "application/json"}))


class Facts(msgspec.Struct, frozen=True):
    """What one finding code means to the sender: the rule it breaks and the way out."""

    title: str
    detail: str


FINDINGS: Mapping[str, Facts] = MappingProxyType(
    {
        "unknown_field": Facts("Unknown field", "It was ignored; see the event schema for the names we read."),
        "missing_field": Facts("Missing field", "It is required; send it."),
        "wrong_type": Facts("Wrong type", "It was taken as unknown; send the JSON type of the event schema."),
        "bad_value": Facts(
            "Value not in the list", "It was taken as unknown; send a value of the event schema or null."
        ),
        "out_of_range": Facts("Out of range", "It was taken as unknown; send a value in range or null."),
        "quoted": Facts("Value sent as text", "It was understood; send it without quotes."),
        "naive_time": Facts("Time without offset", "It was taken as unknown; send RFC 3339 with `Z` or an offset."),
        "bad_time": Facts("Not a time", "It was taken as unknown; send RFC 3339 with `Z` or an offset."),
        "position_impossible": Facts("Impossible position", "It was taken as unknown; send WGS-84 degrees or null."),
        "unknown_unit": Facts("Unknown unit", "Delta-V was taken as unknown; send `km/h`."),
        "unknown_type": Facts(
            "Unknown event type", "It was taken as an emergency; send `...sos.crash.v1` or `...sos.manual.v1`."
        ),
        "update": Facts("Update not joined", "It was opened as an incident of its own."),
        "cancel": Facts("Cancel not joined", "It was opened as an incident; only an operator closes one."),
        "no_envelope": Facts("No CloudEvents envelope", "Put the report into `data` of a CloudEvents 1.0 event."),
        "invalid_utf8": Facts("Invalid UTF-8", "The bytes were kept as received; JSON must be UTF-8 (RFC 8259 8.1)."),
        "not_json": Facts("Damaged JSON", "The bytes were kept as received; an operator was told."),
        "not_an_object": Facts("Not one event", "The bytes were kept as received; send one event per request."),
        "oversize": Facts("Oversize", f"Only the first {MAX_BODY_BYTES} bytes were kept."),
        "cut_off": Facts("Cut off", "The body ended early; what came was kept. Send it again, whole."),
        "too_slow": Facts("Too slow", f"What came within {BODY_TIMEOUT_S:.0f} s was kept. Send it again, whole."),
        "content_type": Facts("Unexpected Content-Type", f"Send `{cloudevents.MEDIA_TYPE}`."),
    }
)
"""Every finding code of intake, in the words of the answer."""


class Receipts:
    """Keyed digests under which reports are recognised; without the key nothing can be guessed from them."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < 16:
            raise ValueError("the intake secret must have at least 16 bytes")
        self._receipt = hmac.new(secret, digestmod="sha256")
        self._digest = hmac.new(hmac.digest(secret, b"sos intake report digest", "sha256"), digestmod="sha256")

    def receipt(self, tenant: TenantId, source: str, event: str) -> bytes:
        """HMAC-SHA256 of ``tenant ‖ 0 ‖ source ‖ 0 ‖ id``: 32 bytes, the same for every repeat."""
        keyed = self._receipt.copy()
        keyed.update(f"{tenant}\0{source}\0{event}".encode())
        return keyed.digest()

    def report_digest(self, body: bytes) -> str:
        """Hex HMAC-SHA256 of the bytes as received, under a key of its own."""
        keyed = self._digest.copy()
        keyed.update(body)
        return keyed.hexdigest()


def routes(
    reception: Reception, tenants: TenantKeys, clock: Clock, secret: bytes, *, body_timeout_s: float = BODY_TIMEOUT_S
) -> list[web.RouteDef]:
    """The routes of intake; its errors are answered by ``problems_middleware`` of the application."""
    door = EventDoor(reception, tenants, clock, Receipts(secret), body_timeout_s=body_timeout_s)
    return [web.post("/v1/events", door.post)]


class EventDoor:
    """``POST /v1/events``."""

    def __init__(
        self, reception: Reception, tenants: TenantKeys, clock: Clock, receipts: Receipts, *, body_timeout_s: float
    ) -> None:
        self._reception = reception
        self._tenants = tenants
        self._clock = clock
        self._receipts = receipts
        self._body_timeout_s = body_timeout_s

    async def post(self, request: web.Request) -> web.Response:
        """202 with the new incident, or 200 with the one an earlier sending opened.

        Raises ``Unauthenticated``, ``Malformed`` and its kinds (the sender's fault), ``Unavailable`` (ours: nothing
        was acknowledged, send again).
        """
        received_at = self._clock.now()
        headers = request.headers
        tenant = self._tenants.tenant(headers.get("Authorization"))
        body, cut = await _body(request, within_s=self._body_timeout_s)
        format, expected = _format(headers.get("Content-Type", ""))
        try:
            seen = cloudevents.peek(body, cut=cut)
        except Malformed as error:
            raise _why(error, cut=cut, expected=expected) from None
        findings = seen.findings if expected else (*seen.findings, "content_type:$")
        command = OpenIncident(
            mode=seen.mode if seen.mode is Mode.TEST else tenant.mode,
            trigger=seen.trigger,
            format=format,
            report=body,
            report_digest=self._receipts.report_digest(body),
            readable=seen.readable,
            findings=findings,
        )
        source, event = seen.idempotency or self._stand_in(headers.get("Idempotency-Key"), command.report_digest)
        accepted = await self._reception.open(
            command, tenant=tenant.id, receipt=self._receipts.receipt(tenant.id, source, event), received_at=received_at
        )
        return _answer(accepted, tenant, findings)

    def _stand_in(self, key: str | None, report_digest: str) -> tuple[str, str]:
        """An identity for a report without one: the sender's key, else its bytes, so that a retry is a repeat."""
        if key and len(key) <= MAX_KEY_CHARACTERS and key.isascii() and key.isprintable():
            return _BY_KEY, key
        return _BY_BODY, report_digest


def incident_urn(incident: str, domain: str) -> str:
    """The incident's name outside (NENA-STA-010.3 2.1.9)."""
    return f"urn:emergency:uid:incidentid:{incident}:{domain}"


async def _body(request: web.Request, *, within_s: float) -> tuple[bytes, str | None]:
    """The body, and the finding code when only its beginning is here."""
    stream = request.content
    if stream.is_eof() and stream.total_bytes <= MAX_BODY_BYTES:
        return stream.read_nowait(), None
    chunks = bytearray()
    try:
        async with asyncio.timeout(within_s):
            while len(chunks) <= MAX_BODY_BYTES:
                chunk = await stream.readany()
                if not chunk:
                    return bytes(chunks), None
                chunks += chunk
    except TimeoutError:
        return bytes(chunks), "too_slow"
    except (ConnectionError, web.RequestPayloadError):
        return bytes(chunks), "cut_off"
    return bytes(chunks[:MAX_BODY_BYTES]), "oversize"


def _format(content_type: str) -> tuple[str, bool]:
    """The media type to file the bytes under, and whether it is the one that was sent."""
    if content_type in cloudevents.MEDIA_TYPES:
        return content_type, True
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type in cloudevents.MEDIA_TYPES:
        return media_type, True
    return cloudevents.MEDIA_TYPE, False


def _why(error: Malformed, *, cut: str | None, expected: bool) -> Malformed:
    """The plainest reason for turning a body away that is no emergency."""
    if cut == "oversize":
        return TooLarge(f"The body is larger than {MAX_BODY_BYTES} bytes and its beginning is no emergency event.")
    if cut == "too_slow":
        return TooSlow(f"The body did not arrive whole within {BODY_TIMEOUT_S:.0f} s; send it again.")
    if cut is not None:
        return Malformed("The body ended early or is not encoded as `Content-Encoding` says; send it again, whole.")
    if not expected:
        return UnsupportedMedia(f"Send `Content-Type: {cloudevents.MEDIA_TYPE}`.", field="Content-Type")
    return error


def _answer(accepted: Received, tenant: Tenant, findings: tuple[str, ...]) -> web.Response:
    incident = accepted.incident
    body = (
        f'{{"incident":"{incident}","urn":"{incident_urn(incident, tenant.domain)}",'
        f'"durability":"{accepted.durability}","voice":"/v1/incidents/{incident}/voice"'
    ).encode()
    if findings:
        body += b',"problems":' + msgspec.json.encode([_told(code) for code in findings])
    return web.Response(body=body + b"}", status=200 if accepted.repeat else 202, headers=_JSON)


def _told(finding: str) -> Problem:
    """A finding as the sender is told of it; status 202, because the report was accepted all the same."""
    code, _, path = finding.partition(":")
    facts = FINDINGS[code]
    return Problem(
        type=type_uri(code.replace("_", "-")), title=facts.title, status=202, detail=facts.detail, field=path
    )
