"""A small service that speaks the console's protocol from memory: real incidents, real media, no journal.

The page cannot tell it from the real one, and a test can make anything happen at any time.
"""

import contextlib
import json
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from aiohttp import WSMsgType, web
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from av import AudioFrame

from routing.cards import shipped
from routing.categories import Category
from routing.kinds import EmergencyKind
from sos.clock import SystemClock
from sos.console.arrival import asked
from sos.console.orders import contract
from sos.console.orders.order import Order
from sos.console.refusals import told
from sos.errors import Refused
from sos.incident import commands as c
from sos.incident import events as e
from sos.incident import linking
from sos.incident.access import AT_A_GLANCE
from sos.incident.lifecycle import decide, evolve
from sos.incident.model import (
    Acknowledgement,
    ConsentAnswer,
    DeclineReason,
    Disposition,
    Incident,
    Mode,
    OperatorId,
    Party,
    State,
    TakeoverReason,
    Trigger,
    new_id,
)
from sos.incident.urgency import of_answer
from tests.sos.console.web.scripted_crash import check_second, linked, told_beside, view
from tests.sos.console.web.scripted_mass_events import ScriptedMassEvents

ROOT = Path(__file__).resolve().parents[4]
STATIC = ROOT / "sos" / "console" / "static"
MAP = ROOT / "routing" / "data" / "jp_prefectures.geojson"
TOKEN = "desk-token-for-tests"
IN = "somebody is logged in"
CSP = (
    "default-src 'self'; worker-src 'self' blob:; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
    "connect-src 'self' ws: wss:; media-src 'self' blob:"
)
AGENCIES = {
    "demo-fire-tokyo": ("デモ東京消防指令センター", "Demo Tokyo fire", "fire", True),
    "demo-police-tokyo": ("デモ東京通信指令室", "Demo Tokyo police", "police", True),
    "demo-fire-chiba": ("デモ千葉消防指令センター", "Demo Chiba fire", "fire", False),
    "demo-hospital": ("デモ救命センター", "Demo trauma centre", "ambulance", False),
}
REPORT: dict[str, Any] = {
    "LOC": {
        "latitude": 35.65858,
        "longitude": 139.74543,
        "heading": 42.0,
        "horizontalAccuracy": 800.0,
        "trusted": True,
        "recent": [
            {"latitude": 35.64 - 0.004 * i, "longitude": 139.725 - 0.006 * i, "ageSeconds": 20.0 * (i + 1)}
            for i in range(5)
        ],
    },
    "VEH": {
        "idScheme": "vin", "idValue": "JXXSAMPLE00000001", "brand": "Sample", "model": "Wagon EV",
        "exteriorColor": "白", "licensePlate": "見本 330 あ 00-01", "energy": ["electric"], "occupants": 3, "belted": 2,
    },
    "SEV": {
        "impact": "front", "deltaVX": -38.0, "deltaVY": 4.0, "principalDirectionClock": 12, "multipleImpacts": True,
        "airbagDeployed": True, "speedBefore": 61.0, "fire": False,
    },
    "TEL": {"tel": "+81355500123", "language": "ja"},
}  # fmt: skip


class Tone(MediaStreamTrack):
    """440 Hz for ever, in frames of 20 ms."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._at = 0

    async def recv(self) -> AudioFrame:
        if self.readyState != "live":
            raise ConnectionError("the tone has ended")
        await SystemClock().wait(timedelta(milliseconds=20))
        wave = 9000 * np.sin(2 * np.pi * 440 * np.arange(self._at, self._at + 960) / 48000)
        frame = AudioFrame.from_ndarray(wave.astype(np.int16).reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, self._at, Fraction(1, 48000)
        self._at += 960
        return frame


class ScriptedService:
    """``happen`` makes an event; orders of the page are answered as the real service answers them."""

    def __init__(self) -> None:
        self.incidents: dict[str, Incident] = {}
        self.events: list[dict[str, Any]] = []
        self.parts: dict[str, list[dict[str, Any]]] = {}
        self.orders: list[dict[str, Any]] = []
        self.touched: list[bool] = []
        self.in_call = self.over = False
        self.offers: list[tuple[str, str]] = []
        self.hung_up: list[str] = []
        self.found: dict[str, Any] = {"incidents": [], "more": False}
        """What a search finds."""
        self.supervisor = False
        """Whether the operator of the page is one."""
        self.replayed: list[tuple[str, str]] = []
        self.replay_sound: bytes | None = None
        """A WAV file; None: there is nothing to hear."""
        self.legs: dict[str, RTCPeerConnection] = {}
        self.sockets: set[web.WebSocketResponse] = set()
        self.asked_after: list[str | None] = []
        self.health = {"journal": "ok", "recording": "ok", "voice": "ok"}
        self.boot = "1"
        self.requests: list[dict[str, Any]] = []
        self.snapshot = 500
        self.sealing_s = 0.0
        self.looks_refused = False
        self.mass = ScriptedMassEvents()

    # --- what the test does

    async def happen(self, incident: str, event: e.Event, *, actor: str = "system:test", parts: Any = None) -> None:
        at = datetime.now(UTC)
        known = self.incidents.get(incident) or Incident(id=incident, tenant="demo")
        after = evolve(known, event, at=at)
        self.incidents[incident] = after
        frame = {
            "t": "event", "position": len(self.events), "incident": incident, "tenant": "demo", "n": after.version,
            "kind": type(event).__name__, "at": at.isoformat(), "actor": actor, "data": msgspec.to_builtins(event),
        }  # fmt: skip
        self.events.append(frame)
        if parts:
            item = {key: frame[key] for key in ("kind", "n", "at")} | {"event": new_id(), "parts": parts}
            self.parts.setdefault(incident, []).append(item)
        await self.send(frame)

    async def send(self, frame: Any) -> None:
        for socket in tuple(self.sockets):
            with contextlib.suppress(ConnectionError):
                await socket.send_str(json.dumps(frame))

    async def crash(
        self, *, trigger: Trigger = Trigger.AUTOMATIC, mode: Mode = Mode.LIVE, flags: Any = (), desks: Any = ()
    ) -> str:
        """A report comes in, is planned and rings."""
        incident = new_id()
        opened = e.IncidentOpened(
            mode=mode, trigger=trigger, format="application/cloudevents+json", report_digest="00" * 32,
            report_bytes=900, readable="unreadable_report" not in flags,
        )  # fmt: skip
        await self.happen(incident, opened, actor="vehicle")
        report = {} if flags else REPORT
        await self.happen(incident, e.ReportFiled(sequence=0, located=not flags), parts=report)
        plan = e.PlanMade(
            prefecture=None if flags else "JP-13", services=("fire", "police"),
            agencies=("demo-fire-tokyo", "demo-police-tokyo", "demo-fire-chiba"),
            reasons=("fire:polygon", "police:polygon"), flags=tuple(flags),
        )  # fmt: skip
        place = {"LOC": {"prefectureName": "東京都", "borderDistanceM": 4200.0, "runnerUp": "神奈川県"}}
        await self.happen(incident, plan, parts=place)
        await self.happen(incident, e.DeskOffered(desks=desks, round=1))
        return incident

    async def forget_connections(self) -> None:
        """Close every socket and every leg, as a restart does; a log-in outlives it."""
        self.boot = str(int(self.boot) + 1)
        for leg in tuple(self.legs.values()):
            await leg.close()
        self.legs.clear()
        for socket in tuple(self.sockets):
            await socket.close(code=1012)

    # --- what the page asks

    def app(self) -> web.Application:
        app = web.Application(middlewares=[_strict])
        app.router.add_get("/console/", self.page)
        app.router.add_get("/console/session", self.session)
        app.router.add_post("/console/session", self.log_in)
        app.router.add_delete("/console/session", self.log_out)
        app.router.add_get("/console/socket", self.socket)
        app.router.add_get("/console/map/base.geojson", self.map)
        app.router.add_post("/console/incidents/{incident}/voice", self.voice)
        app.router.add_delete("/console/incidents/{incident}/legs/{leg}", self.hang_up)
        app.router.add_get("/console/incidents/{incident}/replay/{leg}", self.replay)
        app.router.add_get("/console/ice", self.ice)
        app.router.add_static("/console/assets", STATIC / "assets")
        app.on_shutdown.append(self.shut_down)
        return app

    async def shut_down(self, _: web.Application) -> None:
        await self.forget_connections()

    async def page(self, _: web.Request) -> web.FileResponse:
        return web.FileResponse(STATIC / "index.html")

    async def map(self, _: web.Request) -> web.FileResponse:
        return web.FileResponse(MAP)

    async def session(self, request: web.Request) -> web.Response:
        return web.Response(status=204 if self._knows(request) else 401)

    async def log_in(self, request: web.Request) -> web.Response:
        given = await request.json()
        if TOKEN not in (given.get("token"), given.get("code")):
            problem = {"type": "about:blank", "title": "unknown token", "status": 401}
            return web.json_response(problem, status=401, content_type="application/problem+json")
        response = web.Response(status=204)
        response.set_cookie("sos-session", IN, httponly=True, samesite="Strict")
        return response

    def _knows(self, request: web.Request) -> bool:
        return request.cookies.get("sos-session") == IN and not self.over

    async def log_out(self, _: web.Request) -> web.Response:
        if self.in_call:
            return web.Response(status=409)
        response = web.Response(status=204)
        response.del_cookie("sos-session")
        return response

    async def end(self, why: str) -> None:
        """The log-in is over, for a reason of the service's."""
        self.over = True
        for socket in tuple(self.sockets):
            await socket.send_json({"t": "ended", "why": why})

    async def socket(self, request: web.Request) -> web.StreamResponse:
        if not self._knows(request):
            raise web.HTTPUnauthorized
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        names = ("name_ja", "name_en", "service", "exercise_partner")
        agencies = {key: dict(zip(names, values, strict=True)) | {"speaks": True} for key, values in AGENCIES.items()}
        await socket.send_json(
            {
                "t": "welcome",
                "operator": {"id": "op1", "name": "操作員 一", "supervisor": self.supervisor},
                "desk": "desk-1",
                "now": datetime.now(UTC).isoformat(),
                "demo": True,
                "agencies": agencies,
                "languages": ["ja", "en"],
                "boot": self.boot,
                "colleagues": {"jiro": "操作員 二"},
                "cards": {"": msgspec.to_builtins(asked(shipped()))},
                "roads": ["架空自動車道"],
            }
        )
        await self._catch_up(socket, request.query.get("after"))
        await socket.send_json({"t": "health", "items": self.health, "waiting": 0})
        await socket.send_json(self.mass.frame())
        self.sockets.add(socket)
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    read = contract.order_of(message.data)  # the page says nothing that the house would not take
                    await self._ordered(socket, json.loads(message.data), read)
        finally:
            self.sockets.discard(socket)
        return socket

    async def _catch_up(self, socket: web.WebSocketResponse, after: str | None) -> None:
        self.asked_after.append(after)
        if after is not None:
            for frame in self.events[int(after) :]:
                await socket.send_json(frame)
            return
        known = [each for each in self.incidents.values() if each.state is not State.CLOSED]
        incidents = [msgspec.to_builtins(each) for each in known[: self.snapshot]]
        snapshot = {"position": len(self.events), "incidents": incidents, "total": len(known)}
        await socket.send_json({"t": "snapshot"} | snapshot)

    async def _ordered(self, socket: web.WebSocketResponse, order: dict[str, Any], read: Order) -> None:
        if order["do"] == "beat":
            self.touched.append(order["touched"])
            await socket.send_json({"t": "beat"})
            return
        self.orders.append(order)
        try:
            if self.mass.obey(read):
                await self.send(self.mass.frame())
                result = {}
            else:
                result = await self._obey(socket, order)
        except Refused as refused:
            words = told(refused, name_of=name_of)
            error = {"type": type(refused).__name__, "title": "Refused", "detail": str(refused), "code": words.code}
            error["words"] = (words.ja, words.en)
            await socket.send_json({"t": "reply", "id": order["id"], "ok": False, "error": error})
            return
        await socket.send_json({"t": "reply", "id": order["id"], "ok": True, "result": result})

    async def _obey(self, socket: web.WebSocketResponse, order: dict[str, Any]) -> Any:
        me = "operator:op1"
        incident = order.get("incident", "")
        match order["do"]:
            case "answer":
                ringing = (one for one in self.incidents.values() if one.state is State.RINGING)
                incident = incident or next((one.id for one in ringing), "")
                taken = c.TakeIncident(operator="op1", desk="desk-1")
                await self.decide(incident, taken, actor=me)
                return {"incident": incident}
            case "find":
                return self.found
            case "open" | "refresh":
                purpose = order.get("purpose", "emergency_handling")
                if self.looks_refused and purpose == "offered":
                    raise Refused("it does not ring at this desk")
                read = e.PartsRead(reader=me, categories=(Category.LOC,), purpose=purpose)
                await self.happen(incident, read, actor=me)
                items = self.parts.get(incident, [])
                if purpose == "offered":
                    items = [
                        item | {"parts": {k: v for k, v in item["parts"].items() if k in AT_A_GLANCE}} for item in items
                    ]
                await socket.send_json({"t": "parts", "incident": incident, "items": items})
            case "note":
                note = e.NoteAdded(category=Category(order["category"]))
                await self.happen(incident, note, actor=me, parts={order["category"]: {"text": order["text"]}})
                await socket.send_json({"t": "parts", "incident": incident, "items": self.parts[incident]})
            case "kind":
                stated = c.StateKind(operator=OperatorId("op1"), kind=EmergencyKind(order["kind"]))
                await self.decide(incident, stated, actor=me)
            case "card":
                await self._answer_card(incident, order, actor=me)
                await socket.send_json({"t": "parts", "incident": incident, "items": self.parts[incident]})
            case "requests":
                return self.requests
            case "read_request":
                return {"issuer": "架空警察署", "callBack": "+81300000110"}
            case "answer_request":
                return {"outcome": "deny", "rule": "JP-30", "ground": "", "tried": [], "document": None}
            case "say_place":
                heard = c.HearPlace(operator="op1", how=order["how"], found=True, place=b"")
                place = {"latitude": 35.7, "longitude": 139.8, "horizontalAccuracy": 75, "stated": order["road"]}
                for draft in decide(self.incidents[incident], heard, now=datetime.now(UTC)):
                    await self.happen(incident, draft.event, actor=me, parts={"LOC": place | {"by": "posts"}})
                await socket.send_json({"t": "parts", "incident": incident, "items": self.parts[incident]})
                return {"found": place}
            case "settle_heard":
                await self.decide(incident, c.SettleHeard(operator="op1", adopted=order["adopted"]), actor=me)
            case "read_back":
                words = b"" if order["agreed"] else json.dumps({"stated": order["text"]}).encode()
                read = c.ReadBack(operator="op1", disclosure=order["disclosure"], version=order["version"],
                                  agreed=order["agreed"], with_code=order["with_code"], place=words)  # fmt: skip
                await self.decide(incident, read, actor=me)
            case "consent":
                answer, named = ConsentAnswer(order["answer"]), tuple(map(Category, order["categories"]))
                await self.decide(incident, c.RecordConsent(answer=answer, categories=named), actor=me)
            case "disclose":
                await self._disclose(incident, order, actor=me)
            case "acknowledge":
                heard = c.AcknowledgeAlarm(alarm=order["alarm"], operator="op1", supervisor=self.supervisor)
                await self.decide(incident, heard, actor=me)
            case "close":
                closed = c.CloseIncident(
                    disposition=Disposition(order["disposition"]),
                    untold=DeclineReason(order["untold"]) if order["untold"] else None,
                    words=order["words"],
                )
                await self._hang_up_all(incident, closed)
                await self.decide(incident, closed, actor=me)
            case "reopen":
                await self.decide(incident, c.ReopenIncident(reason=order["reason"]), actor=me)
                await self.happen(incident, e.DeskOffered(desks=(), round=1))
            case "link" | "unlink":
                one, other = incident, order.get("other", "")
                orders = linking.unlink(self.incidents, one) if order["do"] == "unlink" else linked(  # type: ignore[arg-type]
                    self.incidents, one, other, order["share"]  # type: ignore[arg-type]
                )  # fmt: skip
                await self.decide_together(orders, actor=me)
            case "crash":
                return view(self.incidents, self.events, REPORT, incident)
            case "take_over":
                taken_over = c.TakeOver(
                    operator="op1", desk="desk-1", holder=order["holder"], reason=TakeoverReason(order["reason"]),
                    supervisor=self.supervisor,
                )  # fmt: skip
                await self.decide(incident, taken_over, actor=me)
            case "hand_over" | "end_shift":
                mine = [one for one, known in self.incidents.items() if known.operator == "op1"]
                for one in [incident] if incident else mine:
                    await self.decide(
                        one, c.OfferHandover(operator="op1", to=order["to"], note=order["note"]), actor=me
                    )
            case "answer_handover":
                answered = c.AnswerHandover(operator="op1", desk="desk-1", accepted=order["accepted"])
                await self.decide(incident, answered, actor=me)
            case "history":
                return [frame for frame in self.events if frame["incident"] == incident]
        return {}

    async def _answer_card(self, incident: str, order: dict[str, Any], *, actor: str) -> None:
        question = shipped().question(order["question"])
        assert question is not None
        answered, category = question.answered(order["value"]), question.category
        command = c.AnswerCard(
            operator=OperatorId("op1"),
            question=question.id,
            category=category,
            answer=b"{}",
            urgent=() if category is Category.MED else of_answer(answered.hazard, severe=answered.severe),
            source=order.get("source") or "",
        )
        (draft,) = decide(self.incidents[incident], command, now=datetime.now(UTC))
        shown = {} if category is Category.MED else {category.value: msgspec.to_builtins(answered)}
        await self.happen(incident, draft.event, actor=actor, parts=shown)

    async def _hang_up_all(self, incident: str, closed: c.CloseIncident) -> None:
        """The real service ends the call and seals its recording before it closes."""
        decide(self.incidents[incident], closed, now=datetime.now(UTC))
        for one, leg in self.offers:
            if one == incident and (peer := self.legs.pop(leg, None)):
                await peer.close()
        await SystemClock().wait(timedelta(seconds=self.sealing_s))

    async def decide(self, incident: str, command: c.Command, *, actor: str) -> None:
        known = self.incidents.get(incident) or Incident(id=incident, tenant="demo")
        for draft in decide(known, command, now=datetime.now(UTC)):
            parts = {category: json.loads(said) for category, said in draft.parts.items()}
            await self.happen(incident, draft.event, actor=actor, parts=parts)

    async def decide_together(self, orders: Any, *, actor: str) -> None:
        for incident, commands in orders.items():
            for command in commands:
                await self.decide(incident, command, actor=actor)

    async def _disclose(self, incident: str, order: dict[str, Any], *, actor: str) -> None:
        disclosure, service = new_id(), AGENCIES[order["agency"]][2]
        check_second(self.incidents[incident], order, service)
        decided = e.DisclosureDecided(
            disclosure=disclosure, agency=order["agency"], service=AGENCIES[order["agency"]][2], rule="JP-01",
            ground="JP-27-1-ii", law_version="2026-04-01", clause="27(1)(ii)", necessity=order.get("necessity", ""),
            consent=order.get("consent", ""), opt_out_overridden=False, categories=(Category.LOC,), withheld=(),
        )  # fmt: skip
        await self.happen(incident, decided, actor=actor)
        await self.decide_together(
            told_beside(self.incidents[incident], disclosure, order["agency"], service), actor=actor
        )
        await self.happen(incident, e.DeliveryStarted(disclosure=disclosure, channel="portal", attempt=1))
        sent = e.DeliveryConfirmed(disclosure=disclosure, level=Acknowledgement.TRANSPORT, receipt="r1")
        await self.happen(incident, sent, actor="provider:portal")

    async def voice(self, request: web.Request) -> web.Response:
        incident, leg = request.match_info["incident"], request.headers["Leg-Id"]
        self.offers.append((incident, leg))
        peer = RTCPeerConnection()
        if old := self.legs.get(leg):
            await old.close()
        self.legs[leg] = peer
        peer.addTrack(Tone())
        await peer.setRemoteDescription(RTCSessionDescription(sdp=await request.text(), type="offer"))
        await peer.setLocalDescription(await peer.createAnswer())
        await self.happen(incident, e.LegJoined(leg=leg, party=Party.OPERATOR, who="op1"))
        return web.Response(status=201, text=peer.localDescription.sdp, content_type="application/sdp")

    async def ice(self, _: web.Request) -> web.Response:
        return web.json_response({"iceServers": []})

    async def replay(self, request: web.Request) -> web.Response:
        self.replayed.append((request.match_info["leg"], request.query["seconds"]))
        if self.replay_sound is None:
            raise web.HTTPServiceUnavailable
        return web.Response(body=self.replay_sound, content_type="audio/wav", headers={"Cache-Control": "no-store"})

    async def hang_up(self, request: web.Request) -> web.Response:
        leg = request.match_info["leg"]
        self.hung_up.append(leg)
        if peer := self.legs.pop(leg, None):
            await peer.close()
        return web.Response(status=204)


def name_of(known: str) -> tuple[str, str] | None:
    return (AGENCIES[known][0], AGENCIES[known][1]) if known in AGENCIES else None


@web.middleware
async def _strict(request: web.Request, handler: Any) -> web.StreamResponse:
    response: web.StreamResponse = await handler(request)
    if not response.prepared:
        response.headers["Content-Security-Policy"] = CSP
    return response
