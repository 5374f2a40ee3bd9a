"""The vehicle's voice door: a car offers its call for the incident that its event opened, or without any event."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Protocol

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from sos.calls.bridge import Bridge
from sos.calls.cross_origin import whip_routes
from sos.calls.port import IceServer
from sos.calls.turn import LASTS, Turn, ice_links
from sos.errors import Malformed, Refused, Unknown
from sos.formats.body import read
from sos.incident.commands import PressKeys
from sos.incident.model import IncidentId, LegId, Party, TenantId
from sos.journal.journal import Journal
from sos.problems import PreconditionFailed
from sos.whip import Fragment, leg_id_or_new, sdp_answer, sdp_offer, trickled


class Sender(Protocol):
    """Who sends a request."""

    @property
    def tenant_id(self) -> TenantId: ...

    def check(self, body: bytes, *, content: object = None) -> None:
        """Raises when ``body`` is not the one that was signed."""
        ...


SenderOf = Callable[[web.Request], Sender]
"""Who sends a request; raises when it is nobody known."""


class IncidentOfCall(Protocol):
    """Finds or opens the incident of a call that names none."""

    async def __call__(
        self,
        tenant: TenantId,
        *,
        leg: str,
        vehicle: str | None,
        tel: str | None,
        language: str | None,
        received_at: datetime,
    ) -> IncidentId:
        """The same incident for every try under the same ``leg``; ``Unavailable`` when nothing can keep it."""
        ...


class VehicleEndpoint:
    def __init__(
        self,
        bridge: Bridge,
        journal: Journal,
        *,
        sender_of: SenderOf,
        incident_of_call: IncidentOfCall,
        relays: Callable[[], tuple[IceServer, ...]] = tuple,
    ) -> None:
        """``relays`` gives STUN and TURN servers for a vehicle."""
        self._bridge = bridge
        self._journal = journal
        self._sender_of = sender_of
        self._incident_of_call = incident_of_call
        self._relays = relays

    def routes(self) -> list[web.RouteDef]:
        return [
            *whip_routes("/v1/calls", post=self._call),
            *whip_routes("/v1/incidents/{incident}/voice", post=self._connect),
            *whip_routes("/v1/incidents/{incident}/legs/{leg}", patch=self._trickle, delete=self._hang_up),
            web.post("/v1/incidents/{incident}/legs/{leg}/keys", self._press),
        ]

    async def _call(self, request: web.Request) -> web.Response:
        """A call without data; the incident it belongs to is named in the answer's header ``Incident``."""
        sender = self._sender_of(request)
        leg = leg_id_or_new(request)
        offer = await sdp_offer(request)
        sender.check(offer.encode(), content=request.content)
        incident = await self._incident_of_call(
            sender.tenant_id,
            leg=leg,
            vehicle=_plain(request, "Vehicle-Id", 80),
            tel=_plain(request, "Call-Back", 32),
            language=_plain(request, "Call-Language", 35),
            received_at=self._journal.clock.now(),
        )
        return await self._answer(incident, leg, offer)

    async def _connect(self, request: web.Request) -> web.Response:
        sender = self._sender_of(request)
        incident = await self._own_incident(request, sender)
        leg = leg_id_or_new(request)
        offer = await sdp_offer(request)
        sender.check(offer.encode(), content=request.content)
        return await self._answer(incident, leg, offer)

    async def _answer(self, incident: IncidentId, leg: LegId, offer: str) -> web.Response:
        answer = await self._bridge.connect(incident, leg=leg, party=Party.VEHICLE, who="vehicle", offer=offer)
        response = sdp_answer(answer, location=f"/v1/incidents/{incident}/legs/{leg}")
        response.headers["Incident"] = incident
        response.headers["ETag"] = Fragment.read(offer).etag
        response.headers.extend(("Link", link) for link in ice_links(self._relays()))
        return response

    async def _trickle(self, request: web.Request) -> web.Response:
        """More addresses at which the vehicle may be reached (RFC 9725 4.3.2)."""
        sender = self._sender_of(request)
        text, fragment = await trickled(request)
        sender.check(text.encode(), content=request.content)
        incident, leg = await self._own_incident(request, sender), LegId(request.match_info["leg"])
        known = (await self._journal.state(incident)).leg(leg)
        if known is None or known.party is not Party.VEHICLE:
            raise Unknown("the vehicle has no such leg")
        try:
            await self._bridge.trickle(leg, ufrag=fragment.ufrag, candidates=fragment.candidates)
        except Refused as stale:
            raise PreconditionFailed(str(stale)) from stale
        return web.Response(status=204)

    async def _hang_up(self, request: web.Request) -> web.Response:
        sender = self._sender_of(request)
        sender.check(await request.read(), content=request.content)
        incident = await self._own_incident(request, sender)
        leg = LegId(request.match_info["leg"])
        known = (await self._journal.state(incident)).leg(leg)
        if known is not None and known.party is Party.VEHICLE:
            await self._bridge.hang_up(leg)
        return web.Response(status=204)

    async def _press(self, request: web.Request) -> web.Response:
        """Keys that somebody in the car pressed, for one who can hear and cannot speak."""
        sender = self._sender_of(request)
        body = await request.read()
        sender.check(body, content=request.content)
        incident = await self._own_incident(request, sender)
        keys = _keys(body)
        leg = LegId(request.match_info["leg"])
        known = (await self._journal.state(incident)).leg(leg)
        if known is None or known.party is not Party.VEHICLE:
            raise Unknown("the vehicle has no such leg")
        if not known.up:
            raise Refused("this leg is not in the call")
        await self._journal.execute(incident, PressKeys(leg=leg, keys=keys), actor="vehicle")
        return web.Response(status=204)

    async def _own_incident(self, request: web.Request, sender: Sender) -> IncidentId:
        """The incident of the path; another tenant's is as unknown as none."""
        incident = IncidentId(request.match_info["incident"])
        state = await self._journal.state(incident)
        if state.tenant != sender.tenant_id:
            raise Unknown("there is no such incident")
        return state.id


KEYS = "[0-9*#A-D]{1,32}"
"""DTMF (RFC 4733 3.2), at most what somebody presses in one go."""


class Keys(Struct, frozen=True):
    keys: Annotated[str, Meta(max_length=32, extra_json_schema={"pattern": f"^{KEYS}$"})]


_pressed = msgspec.json.Decoder(Keys)
_keys_of_a_telephone = re.compile(rf"{KEYS}\Z")


def _keys(body: bytes) -> str:
    """``Malformed`` unless ``body`` is keys of a telephone."""
    keys = read(_pressed, body, expected='send {"keys": "1"}', field="$.keys").keys
    if not _keys_of_a_telephone.match(keys):
        raise Malformed("keys are 0 to 9, *, # and A to D, at most 32", field="$.keys")
    return keys


class IceEndpoint:
    """Where a vehicle and an operator's page ask for relays before they call.

    Whoever gets no answer calls without: a relay makes a call possible, it is never a condition of one.
    """

    def __init__(self, turn: Turn, *, sender_of: SenderOf, operator_of: Callable[[web.Request], object]) -> None:
        self._turn = turn
        self._sender_of = sender_of
        self._operator_of = operator_of

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/v1/ice", self._vehicle), web.get("/console/ice", self._operator)]

    async def _vehicle(self, request: web.Request) -> web.Response:
        self._sender_of(request).check(b"")
        return relays(self._turn, "vehicle")

    async def _operator(self, request: web.Request) -> web.Response:
        self._operator_of(request)
        return relays(self._turn, "operator")


class IceServers(Struct, frozen=True, kw_only=True, rename="camel"):
    """For ``RTCPeerConnection``."""

    ice_servers: tuple[IceServer, ...]
    lasts_seconds: float
    """How long their credentials last."""


def relays(turn: Turn, party: str) -> web.Response:
    """The ``iceServers`` of one leg, with how long their credentials last."""
    body = msgspec.json.encode(IceServers(ice_servers=turn.servers(party), lasts_seconds=LASTS.total_seconds()))
    return web.Response(body=body, content_type="application/json", headers={"Cache-Control": "no-store"})


def _plain(request: web.Request, name: str, longest: int) -> str | None:
    """A header of printable ASCII; None when it is missing or is none, since a call is never refused for it."""
    text = request.headers.get(name, "").strip()
    return text if 0 < len(text) <= longest and text.isascii() and text.isprintable() else None
