"""The HTTP door: ``POST /v1/events`` takes an emergency report and answers when it is durable, not before.

The path to the journal is short on purpose: who sends, one decode, one keyed digest, open.  What is recognisably an
emergency is never turned away for its shape; its faults come back as RFC 9457 problems inside the acceptance.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import msgspec
import structlog
from aiohttp import web
from msgspec import UNSET, Struct
from msgspec.structs import replace
from multidict import CIMultiDict, CIMultiDictProxy

from sos.clock import Clock
from sos.errors import Malformed, Refused, SosError, Unknown
from sos.formats.unpacked import NotUnpacked
from sos.incident.model import AnswerId, Incident, IncidentId, Mode
from sos.incident.urns import incident_urn
from sos.intake import batch, cloudevents, formats, replies
from sos.intake.acceptance import Accepted, Came
from sos.intake.auth import Credentials, Sender
from sos.intake.findings import BODY_TIMEOUT_S, MAX_BODY_BYTES, problems
from sos.intake.status import status, waiting
from sos.intake.tenants import Tenant
from sos.intake.testcalls import receipt
from sos.intake.vehicle_orders import LONGEST_WAIT, VehicleOrders
from sos.journal.journal import Journal
from sos.problems import TooLarge, TooSlow, UnsupportedMedia, places_of, problem

log = structlog.get_logger()

_JSON = CIMultiDictProxy(CIMultiDict({"Content-Type": "application/json"}))


class SchemaEndpoint:
    """The interface described: ``/v1/openapi.json`` and ``/v1/schemas/``; public, it holds nobody's data."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        """``files`` by name; the empty name is the OpenAPI document."""
        self._files = files

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/v1/openapi.json", self._document), web.get("/v1/schemas/{name}", self._schema)]

    async def _document(self, _: web.Request) -> web.Response:
        return web.Response(body=self._files[""], content_type="application/json")

    async def _schema(self, request: web.Request) -> web.Response:
        schema = self._files.get(request.match_info["name"])
        if schema is None:
            raise Unknown("there is no schema of this name")
        return web.Response(body=schema, content_type="application/schema+json")


class IncidentEndpoint:
    """What a tenant may ask of its incidents: how far one has come, a receipt of a test, what its vehicle shall get."""

    def __init__(self, journal: Journal, credentials: Credentials, orders: VehicleOrders) -> None:
        self._journal = journal
        self._credentials = credentials
        self._orders = orders

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/incidents/{incident}", self._status),
            web.get("/v1/events/{incident}/receipt", self._receipt),
            web.get("/v1/incidents/{incident}/commands", self._commands),
            web.post("/v1/incidents/{incident}/commands/{command}", self._delivered),
        ]

    async def _status(self, request: web.Request) -> web.Response:
        sender = await self._sender(request)
        held = self._journal.waits(IncidentId(request.match_info["incident"]))
        if held is not None and held.tenant == sender.tenant.id:
            return _json(waiting(held, domain=sender.tenant.domain))
        incident, tenant = await self._own(request, sender)
        return _json(status(incident, await self._journal.store.stream(incident.id), domain=tenant.domain))

    async def _receipt(self, request: web.Request) -> web.Response:
        """200 with pass or fail, 202 while the test is being judged.  ``Refused`` for what is no test."""
        incident, _ = await self._own(request)
        if incident.mode is not Mode.TEST:
            raise Refused("only a test call gets a receipt")
        told = receipt(incident, await self._journal.store.stream(incident.id))
        return _json(told, status=202 if incident.tested is None else 200)

    async def _commands(self, request: web.Request) -> web.Response:
        incident, _ = await self._own(request)
        orders = await self._orders.pending(incident.id, wait=_wait(request))
        return _json(replies.Commands(incident=incident.id, commands=tuple(orders)))

    async def _delivered(self, request: web.Request) -> web.Response:
        incident, _ = await self._own(request)
        answer = AnswerId(request.match_info["command"])
        try:
            await self._orders.confirm(incident.id, answer, channel="http")
        except Refused as unknown:
            raise Unknown("nothing was given to the vehicle under this id") from unknown
        return web.Response(status=204)

    async def _sender(self, request: web.Request) -> Sender:
        sender = self._credentials.sender(request, at=self._journal.clock.now())
        sender.check(await request.read(), content=request.content)
        return sender

    async def _own(self, request: web.Request, known: Sender | None = None) -> tuple[Incident, Tenant]:
        """The incident of the path and its tenant, who asks; another tenant's is as unknown as none."""
        sender = known or await self._sender(request)
        incident = await self._journal.state(IncidentId(request.match_info["incident"]))
        if incident.tenant != sender.tenant.id:
            raise Unknown("there is no such incident")
        return incident, sender.tenant


class Takes(Protocol):
    """What the door does with a body: ``Acceptance`` in the service, ``Relay`` in a process of its own."""

    async def take(
        self,
        body: bytes,
        *,
        content_type: str,
        tenant: Tenant,
        received_at: datetime,
        key: str | None = None,
        cut: str | None = None,
        findings: tuple[str, ...] = (),
        by: Came = ...,
    ) -> Accepted: ...

    async def take_unread(self, body: bytes, *, tenant: Tenant, received_at: datetime, by: Came = ...) -> Accepted: ...


def routes(
    acceptance: Takes, credentials: Credentials, clock: Clock, *, body_timeout_s: float = BODY_TIMEOUT_S
) -> list[web.RouteDef]:
    """The routes of intake; its errors are answered by ``problems_middleware`` of the application."""
    endpoint = EventEndpoint(acceptance, credentials, clock, body_timeout_s=body_timeout_s)
    return [web.post("/v1/events", endpoint.post)]


Split = Callable[[bytes], Sequence[bytes]]
"""The events of a body with several, as ``batch.events_of``."""


class EventEndpoint:
    """``POST /v1/events``."""

    def __init__(
        self,
        acceptance: Takes,
        credentials: Credentials,
        clock: Clock,
        *,
        body_timeout_s: float,
        split: Split = batch.events_of,
    ) -> None:
        self._acceptance = acceptance
        self._split = split
        self._credentials = credentials
        self._clock = clock
        self._body_timeout_s = body_timeout_s

    async def post(self, request: web.Request) -> web.Response:
        """202 with the new incident, or 200 with the one that the report belongs to.

        Raises ``Unauthenticated``, ``Malformed`` and its kinds (the sender's fault), ``Unavailable`` (ours: nothing
        was acknowledged, send again).
        """
        received_at = self._clock.now()
        headers = request.headers
        sender = self._credentials.sender(request, at=received_at)
        body, cut = await _body(request, within_s=self._body_timeout_s)
        sender.check(body, content=request.content)
        came = _Request(
            sender=sender,
            content_type=headers.get("Content-Type", ""),
            key=headers.get("Idempotency-Key"),
            cut=cut,
            received_at=received_at,
        )
        try:
            content, came, events = self._told_apart(body, came, headers)
        except SosError:
            raise
        except Exception as bug:  # noqa: BLE001  the edge of one body: what stops our code must not stop a rescue
            log.error("body_not_split", tenant=sender.tenant.id, error=type(bug).__name__, places=places_of(bug))
            return _told(await self._unread(body, came), came)
        if events:
            return await self._each(events, came)
        return _told(await self._take(content, came), came)

    def _told_apart(
        self, body: bytes, came: "_Request", headers: Mapping[str, str]
    ) -> tuple[bytes, "_Request", Sequence[bytes]]:
        """The body as one event, how it came, and its events where it has several."""
        if (named := batch.attributes(headers)) and not batch.is_one(body):
            body = batch.in_one(named, body, came.content_type)
            came = replace(came, content_type=cloudevents.MEDIA_TYPE)
        return body, came, self._split(body) if came.cut is None else ()

    async def _unread(self, body: bytes, came: "_Request") -> Accepted:
        return await self._acceptance.take_unread(
            body,
            tenant=came.sender.tenant,
            received_at=came.received_at,
            by=Came(connection=came.sender.connection),
        )

    async def _take(self, body: bytes, came: "_Request") -> Accepted:
        try:
            return await self._acceptance.take(
                body,
                content_type=came.content_type,
                tenant=came.sender.tenant,
                received_at=came.received_at,
                key=came.key,
                cut=came.cut,
                findings=came.sender.findings,
                by=Came(connection=came.sender.connection),
            )
        except Malformed as error:
            raise _why(error, cut=came.cut, expected=formats.of(came.content_type).expected) from None

    async def _each(self, events: Sequence[bytes], came: "_Request") -> web.Response:
        """Each event of a batch answered in its place: as many incidents as there are crashes.

        ``Malformed`` when none is an emergency.  ``Unavailable`` on the way: the batch is sent again, and what was
        taken is then a repeat.
        """
        told: list[replies.Acceptance | replies.Refusal] = []
        new = False
        refusals: list[Malformed] = []
        for number, event in enumerate(events):
            key = None if came.key is None else f"{came.key}#{number}"
            try:
                accepted = await self._take(event, replace(came, content_type=cloudevents.MEDIA_TYPE, key=key))
            except Malformed as error:
                refusals.append(error)
                told.append(replies.Refusal(problem=problem(error)))
            else:
                new = new or accepted.new
                told.append(_acceptance(accepted, came.sender.tenant))
        if len(refusals) == len(events):
            raise refusals[0]
        return _json(replies.BatchReply(events=tuple(told)), status=202 if new else 200)


class _Request(Struct, frozen=True, kw_only=True):
    """What is the same for each report of one request."""

    sender: Sender
    content_type: str
    key: str | None
    cut: str | None
    received_at: datetime


def _told(accepted: Accepted, came: _Request) -> web.Response:
    return _json(_acceptance(accepted, came.sender.tenant), status=202 if accepted.new else 200)


def _wait(request: web.Request) -> timedelta:
    """How long the sender will wait, from ``?wait=SECONDS``."""
    text = request.query.get("wait", "0")
    if not (text.isascii() and text.isdecimal() and len(text) <= 3 and int(text) <= LONGEST_WAIT.seconds):
        raise Malformed(f"`wait` is a whole number of seconds, at most {LONGEST_WAIT.seconds}.", field="wait")
    return timedelta(seconds=int(text))


def _json(told: object, *, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(told), status=status, headers=_JSON)


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
    except (ConnectionError, web.RequestPayloadError, NotUnpacked):
        return bytes(chunks), "cut_off"
    return bytes(chunks[:MAX_BODY_BYTES]), "oversize"


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


def _acceptance(accepted: Accepted, tenant: Tenant) -> replies.Acceptance:
    incident = accepted.incident
    return replies.Acceptance(
        incident=incident,
        urn=incident_urn(incident, tenant.domain),
        durability=accepted.durability,
        voice=f"/v1/incidents/{incident}/voice",
        joined=UNSET if accepted.joined is None else accepted.joined,
        problems=tuple(problems(accepted.findings)),
    )
