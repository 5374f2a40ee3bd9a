"""One desk's WebSocket: orders in, answers and events out.

Two phases: the session is checked before the socket opens, then the desk is told where things stand (a snapshot, or
the events it missed) and follows the hub.  Every order has an id and gets exactly one reply.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Annotated, Any

import msgspec
import structlog
from aiohttp import WSCloseCode, WSMsgType, web
from msgspec import Meta, Struct

from routing.categories import Category
from routing.directory import Directory
from routing.law.codes import Fact, Path
from routing.location import Known, plausible
from sos.clock import timestamp
from sos.console.access import Operator
from sos.console.acd import OWNED, Distribution
from sos.console.calls import CallOrder, CallOrders, LanguageOf, no_voice
from sos.console.desks import Desks
from sos.console.hub import Hub, Mailbox, event_message, message
from sos.console.outage import Outage
from sos.console.port import Agencies, Disclose, Replay, Voice
from sos.console.transcript import Transcript
from sos.errors import Forbidden, Malformed, Refused, SosError, Unavailable
from sos.formats.body import read
from sos.incident.commands import (
    AddNote,
    AnswerReferral,
    AnswerVehicle,
    CloseIncident,
    ConfirmMatch,
    RecordConsent,
    ReopenIncident,
    SettleMove,
    StatePlace,
    TakeIncident,
    UndoMatch,
)
from sos.incident.events import (
    OF_THE_REGISTRY,
    AnswerGiven,
    CancelReceived,
    DisclosureDecided,
    ExportMade,
    IncidentReopened,
    NoteAdded,
)
from sos.incident.lifecycle import decide
from sos.incident.model import (
    AgencyId,
    AnswerAction,
    AnswerId,
    ConsentAnswer,
    DeskId,
    DisclosureId,
    Disposition,
    IncidentId,
    ReferralId,
    Relation,
    State,
    new_id,
)
from sos.incident.report import StatedPlace, canonical
from sos.incident.wish import Wish
from sos.journal.journal import Journal

log = structlog.get_logger()

SNAPSHOT = 500
"""Incidents in a snapshot at most; the desk is told how many there are in all."""

MISSED = 2000
"""Events sent again after a reconnection at most; beyond that a snapshot is shorter."""

MOST_DIGITS = 15
"""Of a position: a journal with a thousand events a second has that many after thirty thousand years."""

ARRIVE_AGAIN = timedelta(seconds=1)

SHOWN = (Category.LOC, Category.VEH, Category.SEV, Category.TEL, Category.PER, Category.OBS, Category.OWN)
"""What an operator sees of an incident in work."""

WORDS = (NoteAdded, CancelReceived, AnswerGiven, IncidentReopened, ExportMade)
"""Kinds whose part is somebody's own words, and nothing else."""

OPEN = tuple(state for state in State if state is not State.CLOSED)
ANSWERABLE = (State.RINGING, State.RECEIVED, State.REOPENED)
UNDER_WAY = (State.HANDING_OVER, State.HANDED_OVER)
"""States in which an incident may be without an operator although an agency has been told."""

LOOKING = frozenset({"open", "history"})
"""Orders that a page gives by itself: they do not say that somebody works in this window."""


STATED_ACCURACY_M = 100.0
"""Of a place that an operator points at: a landmark, a junction, a kilometre post."""

STATED_CHARACTERS = 300
"""Of a place in words."""

OrderNumber = Annotated[int, Meta(ge=0, le=2**53 - 1)]
"""The page's own number of an order: what JavaScript can count to."""


class Order(CallOrder, frozen=True, kw_only=True):
    id: OrderNumber
    do: str
    incident: IncidentId | None = None
    category: Category = Category.OBS
    text: str = ""
    necessity: str = ""
    consent: str = ""
    path: Path | None = None
    facts: frozenset[Fact] = frozenset()
    update: bool = False
    confirmed: bool = False
    answer: ConsentAnswer | None = None
    categories: tuple[Category, ...] = ()
    referral: ReferralId | None = None
    approved: bool = False
    disposition: Disposition | None = None
    reason: str = ""
    disclosure: DisclosureId | None = None
    said: str = ""
    other: IncidentId | None = None
    relation: Relation | None = None
    action: AnswerAction | None = None
    adopted: bool | None = None
    latitude: float | None = None
    longitude: float | None = None


_orders = msgspec.json.Decoder(Order)

LONGEST: Mapping[str, int] = MappingProxyType({"text": 4000, "reason": 1000})
"""Characters of what somebody types: two pages of a note; the page's own fields hold 200 to 500."""

LONGEST_NAME = 128
"""Characters of every other field: ids and codes of ours."""

MOST_CATEGORIES = 32


def within_bounds(order: Order) -> Order:
    """``order``; ``Malformed`` names the field that is longer than it may be."""
    for name in order.__struct_fields__:
        value, longest = getattr(order, name), LONGEST.get(name, LONGEST_NAME)
        if isinstance(value, str) and len(value) > longest:
            raise Malformed(f"`{name}` has at most {longest} characters", field=f"$.{name}")
    if len(order.categories) > MOST_CATEGORIES:
        raise Malformed(f"at most {MOST_CATEGORIES} categories", field="$.categories")
    return order


class Room(Struct, frozen=True, kw_only=True):
    """What every desk works with."""

    journal: Journal
    hub: Hub
    outage: Outage
    desks: Desks
    distribution: Distribution
    voice: Voice
    disclose: Disclose
    directory: Directory
    demo: bool
    boot: str
    """Differs after each start, so that a desk knows that the other end of its voice leg is gone."""
    brands: Callable[[], Mapping[str, object]] = dict
    """By tenant: the brand's name and what is said in it."""
    agencies: Agencies
    lines: Mapping[str, Mapping[str, str]] = {}
    """By agency: the telephone numbers of its lines, for an operator who has to dial."""
    dials: bool = False
    """Whether the house itself reaches telephone numbers."""
    transcript: Transcript
    replay: Replay
    speaks: LanguageOf = no_voice
    """In which language a brief can be read to an agency by machine."""
    voice_of: Callable[[str], str] = lambda _: "webrtc"
    """How an operator's desk takes part in calls: ``webrtc``, ``sdk`` (Twilio's), ``telephone`` or ``none``."""


class DeskSocket:
    """One connected desk."""

    def __init__(self, room: Room, operator: Operator) -> None:
        self._room = room
        self._operator = operator
        self._desk = DeskId(f"desk-{operator.id}")
        self._seat = new_id()
        """This window: the operator may have the desk open in others."""
        self._mailbox: Mailbox | None = None
        self._shown: set[IncidentId] = set()
        """Incidents opened here."""
        self._call_orders = CallOrders(
            room.journal,
            room.voice,
            operator=operator.id,
            dials=room.dials,
            lines=room.lines,
            speaks=room.speaks,
        )
        self._orders: Mapping[str, Callable[[Order], Awaitable[object]]] = {
            "ready": self._ready,
            "away": self._away,
            "answer": self._answer,
            "open": self._open,
            "note": self._note,
            "disclose": self._disclose,
            "agency_said": self._agency_said,
            "consent": self._consent,
            "approve": self._approve,
            "move": self._move,
            "place": self._place,
            "close": self._close,
            "reopen": self._reopen,
            "match": self._match,
            "tell_vehicle": self._tell_vehicle,
            "history": self._history,
        }

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(heartbeat=15.0, max_msg_size=64 * 1024, compress=False)
        await socket.prepare(request)
        self._mailbox = mailbox = self._room.hub.join()
        active = self._room.desks.arrive(self._desk, self._operator.id, seat=self._seat, tell=self._moved)
        mailbox.operator = self._operator.id
        mailbox.watching = self._shown
        after = _position(request.query.get("after", ""))
        tasks = [asyncio.create_task(self._send(socket, mailbox), name=f"desk-{self._operator.id}")]
        try:
            self._welcome(mailbox, active=active)
            if not await self._arrive(mailbox, after):
                tasks.append(asyncio.create_task(self._arrive_later(mailbox), name=f"late-{self._operator.id}"))
            await self._listen(socket)
        finally:
            self._room.hub.leave(mailbox)
            self._room.desks.leave(self._desk, seat=self._seat)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return socket

    async def _arrive(self, mailbox: Mailbox, after: int | None) -> bool:
        """Tell the desk where things stand and give it work; False while the database is away."""
        try:
            if after is None or not await self._resume(mailbox, after):
                await self._snapshot(mailbox)
            await self._room.distribution.arrived(self._desk, self._operator.id)
        except Unavailable as away:
            log.warning("desk_waits", desk=self._desk, reason=str(away))
            return False
        return True

    async def _arrive_later(self, mailbox: Mailbox) -> None:
        """Until then the desk hears only what rings without the database."""
        arrived = False
        while not arrived:
            await self._room.journal.clock.wait(ARRIVE_AGAIN)
            arrived = await self._arrive(mailbox, None)

    # --- out ---

    async def _send(self, socket: web.WebSocketResponse, mailbox: Mailbox) -> None:
        while (text := await mailbox.take()) is not None:
            await socket.send_str(text)
        await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"reconnect and resume")

    def _moved(self, active: bool) -> None:
        """The desk is worked at in this window, or in another one, from now on."""
        if self._mailbox is not None:
            self._mailbox.put(message({"t": "seat", "active": active}))

    def _welcome(self, mailbox: Mailbox, *, active: bool) -> None:
        room = self._room
        agencies = {
            agency.id: {
                "name_ja": agency.name_ja,
                "name_en": agency.name_en,
                "service": agency.service,
                "exercise_partner": agency.exercise_partner,
                "default": agency.default,
                "lines": room.lines.get(agency.id, {}),
                "speaks": room.speaks(AgencyId(agency.id)) is not None,
            }
            for agency in room.directory.agencies.values()
        }
        mailbox.put(
            message(
                {
                    "t": "welcome",
                    "operator": {
                        "id": self._operator.id,
                        "name": self._operator.name,
                        "supervisor": self._operator.supervisor,
                    },
                    "desk": self._desk,
                    "active": active,
                    "now": timestamp(room.journal.clock.now()),
                    "demo": room.demo,
                    "boot": room.boot,
                    "agencies": agencies,
                    "languages": ["ja", "en"],
                    "brands": room.brands(),
                    "dials": room.dials,
                    "voice": room.voice_of(self._operator.id),
                }
            )
        )
        room.outage.tell(mailbox)

    async def _resume(self, mailbox: Mailbox, after: int) -> bool:
        """Send what came after position ``after``; False when that is too much, or when there is no such position: the
        page has seen a database that is not this one (restored, or the other side of a fail-over)."""
        store = self._room.journal.store
        size, _ = await store.tree()
        if after >= size:
            return False
        missed = await store.follow(after + 1, limit=MISSED)
        if len(missed) == MISSED:
            return False
        for recorded in missed:
            if type(recorded.event) not in OF_THE_REGISTRY:
                mailbox.put(event_message(recorded))
        return True

    async def _snapshot(self, mailbox: Mailbox) -> None:
        position = self._room.hub.seen  # read first: events that come meanwhile are told again and known by number
        total, urgent = await self._room.journal.queue(limit=SNAPSHOT, states=OPEN)
        _, owned = await self._room.journal.queue(limit=10_000, states=OWNED)
        own = [incident for incident in owned if incident.operator == self._operator.id]
        incidents = list({incident.id: incident for incident in (*own, *urgent)}.values())
        mailbox.put(message({"t": "snapshot", "position": position, "incidents": incidents, "total": total}))

    # --- in ---

    async def _listen(self, socket: web.WebSocketResponse) -> None:
        async for frame in socket:
            if frame.type is WSMsgType.TEXT:
                await self._take(frame.data)
            elif frame.type is WSMsgType.ERROR:
                return

    async def _take(self, text: str) -> None:
        assert self._mailbox is not None
        try:
            order = read(_orders, text)
        except Malformed as wrong:
            self._mailbox.put(_reply(0, error=Malformed(f"not an order: {wrong}", field=wrong.field)))
            return
        if order.do == "beat":
            self._room.desks.beat(self._desk, seat=self._seat)
            self._mailbox.put('{"t":"beat"}')
            return
        if order.do not in LOOKING:
            self._room.desks.work(self._desk, seat=self._seat)
        self._mailbox.put(await self._obey(order))

    async def _obey(self, order: Order) -> str:
        obey, of_the_call = self._orders.get(order.do), self._call_orders.obey.get(order.do)
        try:
            within_bounds(order)
            if of_the_call is not None:
                return _reply(order.id, result=await of_the_call(_incident(order), order))
            if obey is None:
                raise Malformed(f"there is no order {order.do[:32]!r}", field="$.do")
            return _reply(order.id, result=await obey(order))
        except SosError as refused:
            return _reply(order.id, error=refused)
        except Exception as bug:  # the edge of one order
            log.exception("order_failed", order=order.do, incident=order.incident)
            return _reply(order.id, error=bug)

    async def _ready(self, _: Order) -> None:
        self._room.desks.set_ready(self._desk, True, seat=self._seat)
        self._room.desks.beat(self._desk, seat=self._seat)
        await self._room.distribution.distribute()

    async def _away(self, _: Order) -> None:
        self._room.desks.set_ready(self._desk, False, seat=self._seat)

    async def _answer(self, order: Order) -> dict[str, Any]:
        """Take an incident: the one named, or the most urgent that waits."""
        incident = order.incident or await self._next()
        await self._room.distribution.check_hoard(self._operator.id)
        command = TakeIncident(operator=self._operator.id, desk=self._desk)
        await self._room.journal.execute(incident, command, actor=self._actor)
        await self._show(incident)
        return {"incident": incident}

    async def _next(self) -> IncidentId:
        _, waiting = await self._room.journal.queue(limit=1, states=ANSWERABLE)
        if waiting:
            return waiting[0].id
        _, telling = await self._room.journal.queue(limit=10_000, states=UNDER_WAY)
        alone = [incident.id for incident in telling if incident.unattended_at is not None]
        if not alone:
            raise Refused("nobody is waiting")
        return alone[0]

    async def _open(self, order: Order) -> None:
        await self._show(_incident(order))

    async def _show(self, incident: IncidentId) -> None:
        """Serve what is known of the people and the place; the access is in the journal first."""
        assert self._mailbox is not None
        contents = await self._room.journal.read(incident, SHOWN, reader=self._actor, purpose="emergency_handling")
        items: dict[str, dict[str, Any]] = {}
        for part in contents.parts:
            if isinstance(part.recorded.event, DisclosureDecided):
                continue
            text = isinstance(part.recorded.event, WORDS)
            item = items.setdefault(
                part.recorded.id,
                {
                    "event": part.recorded.id,
                    "kind": type(part.recorded.event).__name__,
                    "n": part.recorded.n,
                    "at": timestamp(part.recorded.at),
                    "actor": part.recorded.actor,
                    "parts": {},
                },
            )
            item["parts"][part.category] = {"text": part.payload.decode()} if text else msgspec.Raw(part.payload)
        told = {"t": "parts", "incident": incident, "items": list(items.values()), "unreadable": contents.missing}
        self._mailbox.put(message(told))
        self._shown.add(incident)
        state = await self._room.journal.state(incident)
        await self._room.transcript.show(state, self._operator.id, self._mailbox)

    async def _note(self, order: Order) -> None:
        incident = _incident(order)
        await self._own(incident)
        await self._room.journal.execute(incident, AddNote(category=order.category, text=order.text), actor=self._actor)
        await self._show(incident)

    async def _disclose(self, order: Order) -> dict[str, Any]:
        if order.agency is None:
            raise Malformed("which agency?", field="$.agency")
        done = await self._room.disclose.decide(
            _incident(order),
            agency=order.agency,
            operator=self._operator.id,
            wish=Wish(
                path=order.path,
                necessity=order.necessity,
                consent=order.consent,
                facts=order.facts,
                reason=order.reason,
                update=order.update,
                confirmed=order.confirmed,
            ),
        )
        return {"disclosures": [disclosure.disclosure for disclosure in done.incident.disclosures]}

    async def _agency_said(self, order: Order) -> None:
        """What somebody at an agency said on the telephone, as the operator heard it."""
        if order.disclosure is None:
            raise Malformed("about which disclosure?", field="$.disclosure")
        await self._room.agencies.said(self._operator.id, _incident(order), order.disclosure, order.said, order.text)

    async def _consent(self, order: Order) -> None:
        """What the person said when asked whether somebody may be told."""
        if order.answer is None:
            raise Malformed("what did the person say?", field="$.answer")
        incident = _incident(order)
        await self._own(incident)
        agencies = () if order.agency is None else (order.agency,)
        command = RecordConsent(answer=order.answer, categories=order.categories, agencies=agencies)
        await self._room.journal.execute(incident, command, actor=self._actor)

    async def _approve(self, order: Order) -> None:
        """A supervisor answers; who that is comes from the log-in."""
        if not self._operator.supervisor:
            raise Forbidden("only a supervisor decides this")
        if order.referral is None:
            raise Malformed("which question?", field="$.referral")
        command = AnswerReferral(
            referral=order.referral,
            supervisor=self._operator.id,
            approved=order.approved,
            facts=tuple(sorted(order.facts)),
            reason=order.reason,
        )
        await self._room.journal.execute(_incident(order), command, actor=self._actor)

    async def _move(self, order: Order) -> None:
        """The vehicle's newest place holds, or the one before it."""
        if order.adopted is None:
            raise Malformed("which place holds?", field="$.adopted")
        command = SettleMove(operator=self._operator.id, adopted=order.adopted)
        await self._room.journal.execute(_incident(order), command, actor=self._actor)

    async def _place(self, order: Order) -> None:
        """Where it is, as the operator has heard or seen it."""
        located = isinstance(plausible(order.latitude, order.longitude), Known)
        if not located and (order.latitude is not None or not order.text.strip()):
            raise Malformed("that is no place on Earth", field="$.latitude" if order.latitude is not None else "$.text")
        if len(order.text) > STATED_CHARACTERS:
            raise Malformed(f"at most {STATED_CHARACTERS} characters", field="$.text")
        place = StatedPlace(
            latitude=order.latitude if located else None,
            longitude=order.longitude if located else None,
            horizontal_accuracy=STATED_ACCURACY_M if located else None,
            stated=order.text.strip(),
        )
        command = StatePlace(
            operator=self._operator.id,
            how="pin" if located else "words",
            located=located,
            place=canonical(place),
        )
        await self._room.journal.execute(_incident(order), command, actor=self._actor)
        await self._show(_incident(order))

    async def _close(self, order: Order) -> None:
        """End the call, wait for its recording to be sealed, close."""
        incident = _incident(order)
        if order.disposition is None:
            raise Malformed("how did it end?", field="$.disposition")
        state = await self._own(incident)
        command = CloseIncident(disposition=order.disposition)
        decide(state, command, now=self._room.journal.clock.now())  # refuses before anybody is hung up on
        await self._room.voice.finish(incident)
        await self._room.journal.execute(incident, command, actor=self._actor)

    async def _reopen(self, order: Order) -> None:
        await self._room.journal.execute(_incident(order), ReopenIncident(reason=order.reason), actor=self._actor)

    async def _match(self, order: Order) -> None:
        """Say that another incident belongs to this one, or (``approved`` is false) that it does not."""
        if order.other is None or order.relation is None:
            raise Malformed("which other incident, and why?", field="$.other")
        kind = ConfirmMatch if order.approved else UndoMatch
        command = kind(other=order.other, relation=order.relation)
        await self._room.journal.execute(_incident(order), command, actor=self._actor)

    async def _tell_vehicle(self, order: Order) -> dict[str, Any]:
        """Give the vehicle an answer: an acknowledgement, a request for its data, or a message."""
        if order.action is None:
            raise Malformed("what shall the vehicle be told?", field="$.action")
        incident = _incident(order)
        await self._own(incident)
        command = AnswerVehicle(answer=AnswerId(new_id()), action=order.action, text=order.text)
        await self._room.journal.execute(incident, command, actor=self._actor)
        return {"answer": command.answer}

    async def _history(self, order: Order) -> list[Any]:
        """The timeline of one incident, without personal data."""
        recorded = await self._room.journal.store.stream(_incident(order))
        return [msgspec.Raw(event_message(event).encode()) for event in recorded]

    async def _own(self, incident: IncidentId) -> Any:
        state = await self._room.journal.state(incident)
        if state.operator != self._operator.id:
            raise Refused("another operator has this incident")
        return state

    @property
    def _actor(self) -> str:
        return f"operator:{self._operator.id}"


def _position(sent: str) -> int | None:
    """A position of the journal; None asks for a snapshot, and so does what cannot be one."""
    return int(sent) if sent.isascii() and sent.isdecimal() and len(sent) <= MOST_DIGITS else None


def _incident(order: Order) -> IncidentId:
    if order.incident is None:
        raise Malformed("which incident?", field="$.incident")
    return order.incident


def _reply(order: int, *, result: object = None, error: Exception | None = None) -> str:
    if error is None:
        return message({"t": "reply", "id": order, "ok": True, "result": result})
    known = isinstance(error, SosError)
    title = (type(error).__doc__ or "").strip().splitlines()[0] if known else "Something went wrong on our side."
    fault = {"type": type(error).__name__ if known else "Bug", "title": title, "detail": str(error) if known else ""}
    return message({"t": "reply", "id": order, "ok": False, "error": fault})
