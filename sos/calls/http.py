"""The vehicle's voice door: the car that sent an event offers its call for the incident that event opened."""

from collections.abc import Callable

from aiohttp import web

from sos.calls.bridge import Bridge
from sos.errors import Unknown
from sos.incident.model import IncidentId, LegId, Party, TenantId
from sos.journal.journal import Journal
from sos.whip import leg_id, sdp_answer, sdp_offer

TenantOf = Callable[[str | None], TenantId]
"""The tenant whose key an ``Authorization`` header holds; raises when it is nobody's."""


class VehicleDoor:
    def __init__(self, bridge: Bridge, journal: Journal, *, tenant_of: TenantOf) -> None:
        self._bridge = bridge
        self._journal = journal
        self._tenant_of = tenant_of

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/incidents/{incident}/voice", self._connect),
            web.delete("/v1/incidents/{incident}/legs/{leg}", self._hang_up),
        ]

    async def _connect(self, request: web.Request) -> web.Response:
        incident = await self._own_incident(request)
        leg = leg_id(request)
        answer = await self._bridge.connect(
            incident, leg=leg, party=Party.VEHICLE, who="vehicle", offer=await sdp_offer(request)
        )
        return sdp_answer(answer, location=f"/v1/incidents/{incident}/legs/{leg}")

    async def _hang_up(self, request: web.Request) -> web.Response:
        incident = await self._own_incident(request)
        leg = LegId(request.match_info["leg"])
        known = (await self._journal.state(incident)).leg(leg)
        if known is not None and known.party is Party.VEHICLE:
            await self._bridge.hang_up(leg)
        return web.Response(status=204)

    async def _own_incident(self, request: web.Request) -> IncidentId:
        """The incident of the path; another tenant's is as unknown as none."""
        tenant = self._tenant_of(request.headers.get("Authorization"))
        incident = IncidentId(request.match_info["incident"])
        if (await self._journal.state(incident)).tenant != tenant:
            raise Unknown("there is no such incident")
        return incident
