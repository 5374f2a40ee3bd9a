"""The console's HTTP side: the entrance, the socket, and the operator's voice leg (WHIP, RFC 9725)."""

from aiohttp import web

from routing.categories import Category
from sos.console.access import Operator
from sos.console.entrance import Entrance, same_origin
from sos.console.room import Room
from sos.console.socket import DeskSocket
from sos.errors import Forbidden, Malformed, Refused, Unknown
from sos.incident.commands import ReadParts
from sos.incident.model import IncidentId, LegId, Party, State
from sos.whip import leg_id, sdp_answer, sdp_offer

REPLAY_S, MOST_REPLAY_S = 15, 60
"""What is heard again when nothing else is asked for, and the most."""


class Console:
    """The routes below ``/console``."""

    def __init__(self, room: Room, entrance: Entrance) -> None:
        self._room = room
        self._entrance = entrance

    def routes(self) -> list[web.RouteDef]:
        return [
            *self._entrance.routes(),
            web.get("/console/socket", self._socket),
            web.post("/console/incidents/{incident}/voice", self._connect),
            web.delete("/console/incidents/{incident}/legs/{leg}", self._hang_up),
            web.get("/console/incidents/{incident}/replay/{leg}", self._replay),
        ]

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        entry = self._entrance.entry(request)
        same_origin(request)
        return await DeskSocket(self._room, entry.operator, entry.session).serve(request)

    async def _connect(self, request: web.Request) -> web.Response:
        operator = self._at_work(request)
        same_origin(request)
        incident = IncidentId(request.match_info["incident"])
        leg = leg_id(request)
        answer = await self._room.voice.connect(
            incident, leg=leg, party=Party.OPERATOR, who=operator.id, offer=await sdp_offer(request)
        )
        return sdp_answer(answer, location=f"/console/incidents/{incident}/legs/{leg}")

    async def _hang_up(self, request: web.Request) -> web.Response:
        """Only a leg of the operator's own: nobody ends another's call, or the vehicle's, from here."""
        operator = self._operator(request)
        same_origin(request)
        leg = LegId(request.match_info["leg"])
        found = (await self._room.journal.state(IncidentId(request.match_info["incident"]))).leg(leg)
        if found is not None and found.party is Party.OPERATOR and found.who == operator.id:
            await self._room.voice.hang_up(leg)
        return web.Response(status=204)

    async def _replay(self, request: web.Request) -> web.Response:
        """What a leg said last, for the operator who has the incident and supervisors; on record before it sounds."""
        operator = self._at_work(request)
        same_origin(request)
        journal, leg = self._room.journal, LegId(request.match_info["leg"])
        state = await journal.state(IncidentId(request.match_info["incident"]))
        if state.operator != operator.id and not operator.supervisor:
            raise Forbidden("only the operator who has the incident, or a supervisor, may hear it again")
        if state.state is State.CLOSED:
            raise Refused("the incident is closed: hear its recording, with a purpose")
        if state.leg(leg) is None:
            raise Unknown("there is no such leg")
        seconds, reader = _seconds(request), f"operator:{operator.id}"
        purpose = f"replay:{leg}:{seconds:g}s"
        command = ReadParts(reader=reader, categories=(Category.AUD,), purpose=purpose, each_time=True)
        await journal.execute(state.id, command, actor=reader)
        sound = await self._room.replay.again(state, leg, seconds=seconds)
        return web.Response(body=sound, content_type="audio/wav", headers={"Cache-Control": "no-store"})

    def supervisor(self, request: web.Request) -> None:
        """Let a supervisor by; ``Forbidden`` for anybody else."""
        if not self._operator(request).supervisor:
            raise Forbidden("this is for supervisors")

    def at_desk(self, request: web.Request) -> Operator:
        """Who asks from a desk of ours, for the doors of other rooms; ``Forbidden`` when nobody does."""
        operator = self._operator(request)
        same_origin(request)
        return operator

    def _operator(self, request: web.Request) -> Operator:
        return self._entrance.entry(request).operator

    def _at_work(self, request: web.Request) -> Operator:
        """Who asks for something that only a person asks for."""
        entry = self._entrance.entry(request)
        entry.session.worked(self._room.journal.clock.now())
        return entry.operator


def _seconds(request: web.Request) -> float:
    """How much is to be heard again."""
    asked = request.query.get("seconds", str(REPLAY_S))
    if not asked.isdecimal() or not 1 <= int(asked[:4]) <= MOST_REPLAY_S:
        raise Malformed(f"seconds is between 1 and {MOST_REPLAY_S}", field="seconds")
    return float(asked[:4])
