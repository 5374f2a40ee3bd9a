"""EIDO conveyance to an agency's dispatch system: subscribe and notify over a WebSocket (NENA-STA-024.1a-2023 2.1).

The agency connects to us and subscribes; we notify it of each incident it has been told of, and of all that are open
when it subscribes.  Each notification carries the EIDO that was decided for this agency and nothing else.  An EIDO is
also there by reference (2.7), for a system that was handed its address.  *Delivered* is the agency's ``eventResponse``
with 200; a socket that takes bytes says nothing.

Who may connect: whoever knows the agency's unguessable address, and, where the directory names a ``certificate``
(hex SHA-256 of its DER form), shows that certificate in the TLS handshake with this process.

Left out of the standard: filters (2.3: an agency sees only what it was told) and the dereference factory (2.5).  Added
to it: an ``answer`` frame, because an EIDO has no place for *taken over* or *refused*.
"""

import asyncio
import hmac
import ssl
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Annotated, Any, Protocol

import msgspec
import structlog
from aiohttp import WSMsgType, web
from msgspec import Meta, Struct

from routing.directory import Directory
from sos.clock import Clock
from sos.dispatch.port import Parcel, Receipt
from sos.dispatch.replies import Replies, Told
from sos.errors import Forbidden, Malformed, Refused, SosError, Unavailable, Unknown
from sos.formats.body import read
from sos.incident.model import Acknowledgement, AgencyId, DisclosureId, IncidentId, new_id
from sos.problems import kind_of

SUBPROTOCOL = "emergency-ent1.0"
"""NENA-STA-024.1a 2.1.3.1.2."""

FRAME_BYTES = 65_536
"""Subscription requests of up to this size must be accepted (2.1.1)."""

ANSWER_WITHIN_S = 4.0
MOST_CONNECTED = 8
"""Systems of one agency: a desk, its stand-by, and connections that it has lost and we have not noticed yet."""

LEAST_EXPIRES_S = 15
MOST_EXPIRES_S = 86_400
LEAST_RATE_S = 5

log = structlog.get_logger()


Name = Annotated[str, Meta(max_length=256)]
"""An id of theirs, which we repeat, or of ours in its URN."""

Words = Annotated[str, Meta(max_length=4096)]
"""``Replies`` takes fewer, and says how many."""


class _Subscribe(Struct, frozen=True, rename="camel"):
    request_id: Name
    request_type: Name = "eido"
    request_sub_type: Name = "new"
    subscription_id: Name | None = None
    incident_id: Name | None = None
    expires: int | None = None
    min_rate: int | None = None


class _Unsubscribe(Struct, frozen=True, rename="camel"):
    request_id: Name
    subscription_id: Name


class _Response(Struct, frozen=True, rename="camel"):
    transaction_id: Name
    status_code: int = 0


class _Answer(Struct, frozen=True, rename="camel"):
    request_id: Name
    incident_id: Name
    disclosure_id: Name
    answer: Name
    text: Words = ""


class _Ended(Struct, frozen=True):
    """What it says is not read."""


class _Frame(Struct, frozen=True, rename="camel"):
    """One of them; the others are None."""

    subscribe: _Subscribe | None = None
    unsubscribe: _Unsubscribe | None = None
    event_response: _Response | None = None
    terminate_response: _Ended | None = None
    answer: _Answer | None = None


_frames = msgspec.json.Decoder(_Frame)


class Subscription(Struct, frozen=True, kw_only=True):
    id: str
    incident: str | None
    """Of one incident; None: of all."""
    expires: int
    until: datetime
    min_rate: int


class Subscriber:
    """One connected system of an agency."""

    def __init__(self, agency: AgencyId, socket: web.WebSocketResponse, replies: Replies, clock: Clock) -> None:
        self.agency = agency
        self._socket = socket
        self._replies = replies
        self._clock = clock
        self._subscription: Subscription | None = None
        self._waiting: dict[str, asyncio.Future[int]] = {}

    def wants(self, incident: IncidentId) -> bool:
        subscription = self._subscription
        if subscription is None or subscription.until <= self._clock.now():
            return False
        return subscription.incident in (None, incident) or str(subscription.incident).endswith(incident)

    async def serve(self) -> None:
        async with asyncio.TaskGroup() as group:
            beat = group.create_task(self._keep_fresh(), name=f"eido-{self.agency}")
            try:
                async for frame in self._socket:
                    if frame.type is WSMsgType.TEXT:
                        await self._take(frame.data, group)
            finally:
                beat.cancel()
                for waiting in self._waiting.values():
                    waiting.cancel()

    async def notify(self, told: Sequence[Told]) -> bool:
        """Send and wait for the answer; True when it is 200."""
        subscription = self._subscription
        if subscription is None:
            return False
        transaction = new_id()
        answered: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting[transaction] = answered
        event = {
            "subscriptionId": subscription.id,
            "transactionId": transaction,
            "notification": [msgspec.Raw(each.eido) for each in told],
        }
        try:
            await self._send({"event": event})
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return await answered == 200
        except (TimeoutError, ConnectionError):
            return False
        finally:
            self._waiting.pop(transaction, None)

    async def _take(self, text: str, group: asyncio.TaskGroup) -> None:
        try:
            frame = read(_frames, text)
        except Malformed:
            await self._send(_response("subscribeResponse", {}, 400, "Bad Request"))
            return
        if frame.subscribe is not None and await self._subscribe(frame.subscribe):
            group.create_task(self._catch_up(), name=f"eido-{self.agency}-open")
        if frame.unsubscribe is not None:
            await self._unsubscribe(frame.unsubscribe)
        if frame.event_response is not None:
            waiting = self._waiting.get(frame.event_response.transaction_id)
            if waiting is not None and not waiting.done():
                waiting.set_result(frame.event_response.status_code)
        if frame.answer is not None:
            await self._answer(frame.answer)

    async def _subscribe(self, asked: _Subscribe) -> bool:
        """True when it is a new subscription: then everything that is open follows."""
        known = self._subscription
        names: dict[str, Any] = {"requestId": asked.request_id, "subscriptionId": asked.subscription_id}
        if asked.request_type.lower() != "eido":
            await self._send(_response("subscribeResponse", names, 400, "Bad Request"))
            return False
        if asked.subscription_id is not None and (known is None or known.id != asked.subscription_id):
            await self._send(_response("subscribeResponse", names, 404, "Not Found"))
            return False
        if asked.subscription_id is None and known is not None:
            terminate = {"requestId": new_id(), "subscriptionId": known.id, "reason": "replaced"}
            await self._send({"terminate": terminate})
        expires = min(max(asked.expires or 3600, LEAST_EXPIRES_S), MOST_EXPIRES_S)
        made = Subscription(
            id=asked.subscription_id or new_id(),
            incident=asked.incident_id if asked.request_sub_type == "single" else None,
            expires=expires,
            until=self._clock.now() + timedelta(seconds=expires),
            min_rate=min(max(asked.min_rate, LEAST_RATE_S), MOST_EXPIRES_S) if asked.min_rate else 0,
        )
        self._subscription = made
        names |= {"subscriptionId": made.id, "expires": expires}
        if made.min_rate:
            names |= {"minRate": made.min_rate}
        await self._send(_response("subscribeResponse", names, 200, "OK"))
        return asked.subscription_id is None

    async def _unsubscribe(self, asked: _Unsubscribe) -> None:
        names = {"requestId": asked.request_id, "subscriptionId": asked.subscription_id}
        if self._subscription is None or self._subscription.id != asked.subscription_id:
            await self._send(_response("unsubscribeResponse", names, 404, "Subscription Does Not Exist"))
            return
        self._subscription = None
        await self._send(_response("unsubscribeResponse", names, 200, "OK"))

    async def _catch_up(self) -> None:
        """All that is open; an empty notification when nothing is (2.1.1)."""
        try:
            told = [each for each in await self._replies.open_for(self.agency) if self.wants(each.incident)]
            if await self.notify(told):
                for each in told:
                    await self._replies.confirm(self.agency, each)
        except SosError as away:
            log.warning("eido_not_caught_up", agency=self.agency, reason=type(away).__name__)

    async def _answer(self, given: _Answer) -> None:
        names = {"requestId": given.request_id}
        try:
            incident, disclosure = IncidentId(_last(given.incident_id)), DisclosureId(given.disclosure_id)
            await self._replies.answer(self.agency, incident, disclosure, given.answer, given.text)
        except SosError as refused:
            kind = kind_of(refused)
            await self._send(_response("answerResponse", names, kind.status, kind.title))
            return
        await self._send(_response("answerResponse", names, 200, "OK"))

    async def _keep_fresh(self) -> None:
        """Empty notifications at the rate asked for, and the end of a subscription that has expired (2.2)."""
        while not self._socket.closed:
            subscription = self._subscription
            rate = subscription.min_rate if subscription else 0
            await self._clock.wait(timedelta(seconds=rate or LEAST_RATE_S))
            if subscription is None:
                continue
            if subscription is self._subscription and subscription.until <= self._clock.now():
                self._subscription = None
                terminate = {"requestId": new_id(), "subscriptionId": subscription.id, "reason": "expired"}
                await self._send({"terminate": terminate})
                await self._socket.close()
            elif rate:
                await self.notify(())

    async def _send(self, frame: Mapping[str, Any]) -> None:
        """``ConnectionError`` when the other side is gone."""
        await self._socket.send_str(msgspec.json.encode(frame).decode())


class EidoChannel:
    """``AgencyChannel`` over whatever systems of the agency are connected."""

    name = "eido"

    def __init__(self) -> None:
        self._connected: dict[AgencyId, list[Subscriber]] = {}
        self._delivered: dict[DisclosureId, None] = {}

    def join(self, subscriber: Subscriber) -> None:
        self._connected.setdefault(subscriber.agency, []).append(subscriber)

    def leave(self, subscriber: Subscriber) -> None:
        self._connected[subscriber.agency].remove(subscriber)

    def connected(self, agency: AgencyId) -> int:
        return len(self._connected.get(agency, ()))

    async def find(self, parcel: Parcel) -> Receipt | None:
        """What this process knows; a system that gets an EIDO again knows it by its id."""
        return self._receipt(parcel) if parcel.disclosure in self._delivered else None

    async def deliver(self, parcel: Parcel) -> Receipt:
        eido = parcel.forms.get("eido")
        if eido is None:
            raise Unavailable("no_form_eido")
        told = Told(incident=parcel.incident, disclosure=parcel.disclosure, eido=eido)
        there = [each for each in self._connected.get(parcel.agency, ()) if each.wants(parcel.incident)]
        if not there:
            raise Unavailable("eido_not_subscribed")
        answered = await asyncio.gather(*(each.notify([told]) for each in there))
        if not any(answered):
            raise Unavailable("eido_not_answered")
        self._delivered[parcel.disclosure] = None
        while len(self._delivered) > KEPT:
            del self._delivered[next(iter(self._delivered))]
        return self._receipt(parcel)

    def _receipt(self, parcel: Parcel) -> Receipt:
        return Receipt(level=Acknowledgement.DELIVERED, reference=f"eido:{parcel.disclosure}")


KEPT = 4096
"""Deliveries remembered: some hours of a great earthquake."""


class Addresses(Protocol):
    def is_eido(self, agency: str, token: str) -> bool: ...


class EidoEndpoint:
    """The routes below ``/agency/eido``."""

    def __init__(
        self, channel: EidoChannel, replies: Replies, addresses: Addresses, directory: Directory, clock: Clock
    ) -> None:
        self._channel = channel
        self._replies = replies
        self._addresses = addresses
        self._directory = directory
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/agency/eido/{agency}/{token}", self._subscribe),
            web.get("/agency/eido/{agency}/{token}/{incident}/{disclosure}", self._retrieve),
        ]

    async def _subscribe(self, request: web.Request) -> web.StreamResponse:
        agency = self._agency(request)
        if self._channel.connected(agency) >= MOST_CONNECTED:
            raise Refused("this agency has enough connections open")
        socket = web.WebSocketResponse(protocols=(SUBPROTOCOL,), max_msg_size=2 * FRAME_BYTES, heartbeat=15.0)
        if not socket.can_prepare(request).ok:
            raise Malformed("open a WebSocket here", field="Upgrade")
        await socket.prepare(request)
        subscriber = Subscriber(agency, socket, self._replies, self._clock)
        self._channel.join(subscriber)
        try:
            await subscriber.serve()
        except* ConnectionError:
            log.info("eido_gone", agency=agency)
        finally:
            self._channel.leave(subscriber)
        return socket

    async def _retrieve(self, request: web.Request) -> web.Response:
        agency = self._agency(request)
        incident, disclosure = request.match_info["incident"], request.match_info["disclosure"]
        eido = await self._replies.eido(agency, DisclosureId(disclosure), IncidentId(incident))
        return web.Response(body=eido, content_type="application/json", headers={"Cache-Control": "no-store"})

    def _agency(self, request: web.Request) -> AgencyId:
        agency = request.match_info["agency"]
        if not self._addresses.is_eido(agency, request.match_info["token"]) or agency not in self._directory.agencies:
            raise Unknown("there is no such address")
        wanted = self._directory.agencies[agency].channels.get("eido", {}).get("certificate")
        if wanted is not None and not _shows(request, str(wanted)):
            raise Forbidden("show the agency's certificate")
        return AgencyId(agency)


def _shows(request: web.Request, wanted: str) -> bool:
    """Whether the TLS client certificate is the one the directory names."""
    tls = request.transport.get_extra_info("ssl_object") if request.transport else None
    if not isinstance(tls, ssl.SSLObject | ssl.SSLSocket):
        return False
    shown = tls.getpeercert(binary_form=True)
    return shown is not None and hmac.compare_digest(sha256(shown).hexdigest(), wanted.lower())


def _response(name: str, names: Mapping[str, Any], status: int, text: str) -> dict[str, Any]:
    return {name: {**{key: value for key, value in names.items() if value}, "statusCode": status, "statusText": text}}


def _last(incident: str) -> str:
    """Our incident id, alone or in its URN (``urn:emergency:uid:incidentid:<id>:<domain>``)."""
    prefix = "urn:emergency:uid:incidentid:"
    return incident.removeprefix(prefix).partition(":")[0] if incident.startswith(prefix) else incident
