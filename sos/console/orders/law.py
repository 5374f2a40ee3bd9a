"""What the law asks of a desk beside telling: what is opened on the record, what is owed, who asks from outside."""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta, Struct

from routing.categories import Category
from routing.law.codes import Fact, Path
from routing.services import Recipient
from sos.clock import timestamp
from sos.console.orders.order import Code, Id, May, OfIncident, Order, Reason, Text
from sos.console.orders.telling import MOST
from sos.console.window import Shown, Window
from sos.errors import Unknown
from sos.incident import obligations, requests
from sos.incident.access import Purpose
from sos.incident.commands import ApproveRequest, CheckRequest, MeetObligation, ReceiveRequest, RefuseRequest
from sos.incident.events import RequestAnswered, RequestReceived
from sos.incident.model import IncidentId, RefusalReason, RequestId, new_id
from sos.incident.owed import Asked
from sos.journal.owing import owing

MOST_OWED = 500
"""Obligations that a desk is shown at once, the first due first."""

Revealable = Literal["MED", "FAM"]
Source = Literal["person", "family", "bystander", "medical_staff"]
Channel = Literal["telephone", "letter", "mail", "in_person"]

Country = Annotated[str, Meta(pattern="^[A-Z]{2}$", max_length=2)]
Digest = Annotated[str, Meta(pattern="^([0-9a-f]{64})?$", max_length=64)]


class Reveal(OfIncident, frozen=True, kw_only=True, tag="reveal"):
    """Show what lies in a category that is not shown unasked.  Each time is on the record, with what it is for."""

    may: ClassVar = May.EITHER
    category: Revealable
    purpose: Purpose
    reason: Reason = ""

    async def obey(self, window: Window) -> list[Shown]:
        return await window.reveal(self.incident, Category(self.category), purpose=self.purpose, reason=self.reason)


class Medical(OfIncident, frozen=True, kw_only=True, tag="medical"):
    """What somebody says of the person's health, and who says it."""

    may: ClassVar = May.WHO_HAS_IT
    text: Text
    source: Source
    consent: Code = ""
    """Why the person cannot be asked."""

    async def obey(self, window: Window) -> None:
        take = window.room.disclose.medical.take
        await take(self.incident, operator=window.operator.id, text=self.text, source=self.source, consent=self.consent)


class Due(Struct, frozen=True, kw_only=True):
    """Something that is owed, as a desk's queue shows it."""

    incident: IncidentId
    obligation: str
    about: str
    due_at: str
    late: int
    who: str
    outcomes: tuple[str, ...]


class Owed(Order, frozen=True, tag="owed"):
    """What the law wants done and nobody has said to be done, the first due first; of every incident, closed or not."""

    may: ClassVar = May.ANY_DESK
    works: ClassVar = False

    async def obey(self, window: Window) -> list[Due]:
        return [
            Due(
                incident=each.incident,
                obligation=each.owed.obligation,
                about=each.owed.about,
                due_at=timestamp(each.owed.due_at),
                late=each.owed.late,
                who=obligations.doer(each.owed).who,
                outcomes=tuple(sorted(obligations.outcomes(each.owed.obligation))),
            )
            for each in await owing(window.room.journal, limit=MOST_OWED)
        ]


class Meet(OfIncident, frozen=True, kw_only=True, tag="meet"):
    """Say what was done of what the law wants done."""

    may: ClassVar = May.ANY_DESK
    obligation: Code
    about: Code
    outcome: Code
    words: Reason

    async def obey(self, window: Window) -> None:
        command = MeetObligation(
            obligation=self.obligation,
            about=self.about,
            outcome=self.outcome,
            words=self.words,
            operator=window.operator.id,
            supervises=window.operator.supervisor,
        )
        await window.execute(self.incident, command)


class Request(OfIncident, frozen=True, kw_only=True, tag="request"):
    """Take down who asks from outside, for which body, under which provision, and where they can be called back."""

    may: ClassVar = May.ANY_DESK
    recipient: Recipient
    path: Path
    scope: Annotated[tuple[Category, ...], Meta(max_length=MOST)]
    issuer: Reason
    person: Reason
    call_back: Reason
    provision: Reason = ""
    reference: Reason = ""
    document: Digest = ""
    """Hex SHA-256 of the document as it was filed."""
    country: Country = "JP"
    channel: Channel
    words: Text = ""

    async def obey(self, window: Window) -> dict[str, Any]:
        request = RequestId(new_id())
        command = ReceiveRequest(
            request=request,
            recipient=self.recipient,
            path=self.path,
            scope=self.scope,
            issuer=self.issuer,
            person=self.person,
            call_back=self.call_back,
            provision=self.provision,
            reference=self.reference,
            document=self.document,
            country=self.country,
            channel=self.channel,
            words=self.words,
            operator=window.operator.id,
        )
        await window.execute(self.incident, command)
        return {"request": request}


class CheckOfRequest(OfIncident, frozen=True, kw_only=True, tag="check_request"):
    """Say that something is so about a request, and how that is known."""

    may: ClassVar = May.ANY_DESK
    request: Id[RequestId]
    fact: Fact
    words: Reason

    async def obey(self, window: Window) -> None:
        command = CheckRequest(
            request=self.request,
            fact=self.fact,
            words=self.words,
            operator=window.operator.id,
            supervises=window.operator.supervisor,
        )
        await window.execute(self.incident, command)


class ApprovalOfRequest(OfIncident, frozen=True, kw_only=True, tag="approve_request"):
    """Agree that a request is answered."""

    may: ClassVar = May.ANY_DESK
    request: Id[RequestId]

    async def obey(self, window: Window) -> None:
        supervises = window.operator.supervisor
        command = ApproveRequest(request=self.request, operator=window.operator.id, supervises=supervises)
        await window.execute(self.incident, command)


class RefusalOfRequest(OfIncident, frozen=True, kw_only=True, tag="refuse_request"):
    """Refuse a request, with a reason of the list and in words."""

    may: ClassVar = May.ANY_DESK
    request: Id[RequestId]
    reason: RefusalReason
    words: Reason

    async def obey(self, window: Window) -> None:
        operator = window.operator.id
        refused = RefuseRequest(request=self.request, reason=self.reason, words=self.words, operator=operator)
        await window.execute(self.incident, refused)


class Open(Struct, frozen=True, kw_only=True):
    """A request that nobody has answered or refused, as a desk's list shows it: nobody's name is in it."""

    incident: IncidentId
    request: str
    recipient: Recipient
    path: Path
    scope: tuple[Category, ...]
    provision: bool
    document: bool
    checked: tuple[Fact, ...]
    approved: tuple[str, ...]
    agreed: bool
    """Two different people agree, a supervisor among them."""
    needs_two: bool
    outcome: str
    """Of the last time the law was asked; empty: it has not been."""
    received_at: str
    due_at: str
    late: int


class OpenRequests(Order, frozen=True, tag="requests"):
    """Who asks from outside and has no answer yet, the first due first; of every incident, closed or not."""

    may: ClassVar = May.ANY_DESK
    works: ClassVar = False

    async def obey(self, window: Window) -> list[Open]:
        waiting = await window.room.journal.store.waiting(requests.PREFIX, limit=MOST_OWED)
        found: list[tuple[datetime, Open]] = []
        for incident in dict.fromkeys(stream for stream, _, _ in waiting):
            state = await window.state(incident)
            found += [(asked.due_at, _listed(state.id, asked)) for asked in state.asked if asked.due_at is not None]
        return [each for _, each in sorted(found, key=lambda each: each[0])]


def _listed(incident: IncidentId, asked: Asked) -> Open:
    return Open(
        incident=incident,
        request=asked.request,
        recipient=asked.recipient,
        path=asked.path,
        scope=asked.scope,
        provision=asked.provision,
        document=asked.document,
        checked=asked.checked,
        approved=asked.approved,
        agreed=requests.agreed(asked),
        needs_two=asked.recipient in requests.TWO_PERSONS,
        outcome=asked.outcome,
        received_at=timestamp(asked.received_at) if asked.received_at is not None else "",
        due_at=timestamp(asked.due_at) if asked.due_at is not None else "",
        late=asked.late,
    )


class ReadRequest(OfIncident, frozen=True, kw_only=True, tag="read_request"):
    """Who asks, for which body, where they can be called back; on the record each time."""

    may: ClassVar = May.ANY_DESK
    request: Id[RequestId]

    async def obey(self, window: Window) -> msgspec.Raw:
        parts = await window.opened(self.incident, Category.OBS, purpose=Purpose.REQUEST, reason=self.request)
        for part in parts:
            event = part.recorded.event
            if isinstance(event, RequestReceived) and event.request == self.request:
                return msgspec.Raw(part.payload)
        raise Unknown("there is no such request")


class AnswerToRequest(OfIncident, frozen=True, kw_only=True, tag="answer_request"):
    """Ask the law about a request; where it permits, what is handed over comes back."""

    may: ClassVar = May.ANY_DESK
    request: Id[RequestId]

    async def obey(self, window: Window) -> dict[str, Any]:
        said = await window.room.disclose.requests.answer(self.incident, self.request, operator=window.operator.id)
        return {
            "outcome": said.outcome,
            "rule": said.rule,
            "ground": said.ground,
            "tried": said.tried,
            "document": msgspec.Raw(said.document) if said.document else None,
        }


class Release(OfIncident, frozen=True, kw_only=True, tag="release"):
    """What was given out upon a request, once more; on the record each time."""

    may: ClassVar = May.SUPERVISOR
    request: Id[RequestId]
    purpose: Purpose
    reason: Reason

    async def obey(self, window: Window) -> msgspec.Raw:
        parts = await window.opened(self.incident, Category.RAW, purpose=self.purpose, reason=self.reason)
        for part in parts:
            event = part.recorded.event
            if isinstance(event, RequestAnswered) and event.request == self.request:
                return msgspec.Raw(part.payload)
        raise Unknown("nothing was given out upon this request")
