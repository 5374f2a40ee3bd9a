"""A desk's window without its socket: orders are given as the page sends them; the rest of the house does little."""

import json
from collections.abc import Mapping
from typing import Any

from routing.boundaries import PrefectureLayer
from routing.directory import Directory
from routing.plan.addresses import AddressAreas
from sos.console.access import Operator
from sos.console.acd import Distribution
from sos.console.desks import Desks
from sos.console.finding import Finder
from sos.console.hub import Hub, Mailbox
from sos.console.orders import contract
from sos.console.outage import Outage
from sos.console.port import MassEventsHere, Meant, Places, Voice
from sos.console.room import LanguageOf, Room, no_voice
from sos.console.sessions import Session
from sos.console.transcript import Transcript
from sos.console.window import Window
from sos.dispatch.stated_places import StatedPlaces
from sos.errors import Refused
from sos.incident.commands import AnswerRequest
from sos.incident.disclosure_request import DisclosureRequest
from sos.incident.mass_event import Order
from sos.incident.model import AgencyId, DisclosureId, Incident, IncidentId, LegId, OperatorId, RequestId
from sos.journal.journal import Done, Journal


class Elsewhere:
    """What other rooms do for a desk; here they do nothing and remember what they were asked."""

    def __init__(self) -> None:
        self.wanted: list[DisclosureRequest] = []
        self.heard: list[str] = []

    async def decide(
        self, incident: IncidentId, *, agency: AgencyId, operator: OperatorId, request: DisclosureRequest
    ) -> Done:
        self.wanted.append(request)
        raise NotImplementedError

    @property
    def medical(self) -> "Elsewhere":
        return self

    @property
    def requests(self) -> "Elsewhere":
        return self

    async def take(self, incident: IncidentId, **_: Any) -> Done:
        raise NotImplementedError

    async def answer(self, incident: IncidentId, request: RequestId, *, operator: OperatorId) -> AnswerRequest:
        raise NotImplementedError

    async def record_spoken(
        self, operator: OperatorId, incident: IncidentId, disclosure: DisclosureId, answer: str, text: str = ""
    ) -> None:
        self.heard.append(answer)

    async def execute(self, order: Order, *, operator: OperatorId) -> None:
        raise NotImplementedError

    def tell(self, mailbox: Mailbox) -> None:
        pass

    async def join(self, call: IncidentId, code: str, *, actor: str) -> Meant:
        self.heard.append(code)
        raise Refused("this is the code of nothing that is open")

    async def again(self, incident: Incident, leg: LegId, *, seconds: float) -> bytes:
        return b""


def room(
    journal: Journal,
    voice: Voice,
    *,
    dials: bool = False,
    lines: Mapping[str, Mapping[str, str]] = {},
    speaks: LanguageOf = no_voice,
    mass_events: MassEventsHere | None = None,
    places: Places | None = None,
    finder: Finder | None = None,
) -> Room:
    hub, desks, elsewhere = Hub(), Desks(journal.clock), Elsewhere()
    return Room(
        journal=journal,
        hub=hub,
        outage=Outage(journal, hub),
        desks=desks,
        distribution=Distribution(journal, desks),
        voice=voice,
        disclose=elsewhere,
        directory=Directory.demo(),
        demo=False,
        boot="boot",
        agencies=elsewhere,
        codes=elsewhere,
        lines=lines,
        dials=dials,
        transcript=Transcript(journal, hub),
        finder=finder or Finder(journal, elsewhere, elsewhere, secret=b""),
        replay=elsewhere,
        mass_events=mass_events or elsewhere,
        places=places or StatedPlaces(AddressAreas(PrefectureLayer.load(), names=PrefectureLayer.load().names)),
        speaks=speaks,
    )


def window(house: Room, operator: str, *, supervisor: bool = False) -> Window:
    who = Operator(id=OperatorId(operator), name=operator, token_digest="", supervisor=supervisor)
    now = house.journal.clock.now()
    session = Session(id="session", operator=who.id, since=now, active_at=now)
    return Window(house, who, house.hub.join(), session)


async def order(at: Window, do: str, **fields: Any) -> Any:
    """As the page sends it, once it is read."""
    frame = json.dumps({"id": 1, "do": do, **fields})
    return await contract.give(contract.order_of(frame), at)
