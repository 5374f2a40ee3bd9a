"""All orders of the desk's socket, how they are read from a text frame, and how one is given.

``sos/console/web/src/protocol.ts`` says the same to the page.
"""

from typing import TypeAlias

import msgspec
from msgspec import Struct

from sos.console.orders.alarms import Acknowledge, Assist
from sos.console.orders.call import (
    AboutCode,
    Answered,
    CallInterpreter,
    CallVehicle,
    Dial,
    EndLeg,
    GiveNotice,
    Invite,
    LeaveCall,
    Mode,
    ReadBrief,
    WaitLonger,
)
from sos.console.orders.cards import Card
from sos.console.orders.desk import Answer, Away, Beat, History, Open, Ready, Refresh
from sos.console.orders.find import Find
from sos.console.orders.handover import AnswerOffer, EndShift, HandOver, TakeIt
from sos.console.orders.incident import Close, Language, Note, Reopen, StateKindOfEmergency, TellVehicle
from sos.console.orders.law import (
    AnswerToRequest,
    ApprovalOfRequest,
    CheckOfRequest,
    Medical,
    Meet,
    OpenRequests,
    Owed,
    ReadRequest,
    RefusalOfRequest,
    Release,
    Request,
    Reveal,
)
from sos.console.orders.links import Crash, Earlier, Link, Match, Unlink
from sos.console.orders.mass_event import (
    AnswerMassTelling,
    ChangeMassEvent,
    DeclareMassEvent,
    DismissMassEvent,
    EndMassEvent,
)
from sos.console.orders.order import Number, Order
from sos.console.orders.places import Move, PlaceByHand, ReadPlaceBack, SayPlace, SettleHeardPlace
from sos.console.orders.telling import AgencySaid, Approve, Consent, Decline, Disclose
from sos.console.window import Window
from sos.errors import Malformed
from sos.formats.body import read

AnyOrder: TypeAlias = (
    # the desk's own
    Ready | Away | Beat | Answer | Open | Refresh | History | Find
    # the incident
    | Note | StateKindOfEmergency | Card | Language | TellVehicle | Close | Reopen
    # where it is
    | Move | PlaceByHand | SayPlace | SettleHeardPlace | ReadPlaceBack
    # which incidents are one crash
    | Match | Link | Unlink | Crash | Earlier
    # whom to tell
    | Disclose | Decline | Consent | Approve | AgencySaid
    # whom of ours to call
    | Acknowledge | Assist | TakeIt | HandOver | AnswerOffer | EndShift
    # what a supervisor says of all that waits
    | DeclareMassEvent | ChangeMassEvent | EndMassEvent | DismissMassEvent | AnswerMassTelling
    # what the law asks beside that
    | Reveal | Medical | Owed | Meet | Request | CheckOfRequest | ApprovalOfRequest | AnswerToRequest | Release
    | OpenRequests | ReadRequest | RefusalOfRequest
    # the call
    | Mode | Invite | Dial | CallVehicle | GiveNotice | ReadBrief | EndLeg | LeaveCall | Answered | WaitLonger
    | CallInterpreter | AboutCode
)  # fmt: skip

LONGEST_COMPLAINT = 300
"""Characters of what a desk is told about an order that cannot be read: it may quote a field's name."""


class _Numbered(Struct, frozen=True):
    id: Number = 0


_orders: msgspec.json.Decoder[AnyOrder] = msgspec.json.Decoder(AnyOrder)
_numbers = msgspec.json.Decoder(_Numbered)


def order_of(frame: str | bytes) -> Order:
    """The order in a text frame.  ``Malformed`` names the field that is wrong."""
    try:
        return read(_orders, frame)
    except Malformed as wrong:
        reason = "there is no such order" if wrong.field == "$.do" else f"not an order: {wrong}"
        raise Malformed(reason[:LONGEST_COMPLAINT], field=wrong.field[:LONGEST_COMPLAINT]) from None


def number_of(frame: str | bytes) -> int:
    """The number of an order that cannot be read, so that its sender hears which it was; 0 where it has none."""
    try:
        return read(_numbers, frame).id
    except Malformed:
        return 0


async def give(order: Order, window: Window) -> object:
    """Do what ``order`` says, if this operator may; what the desk is told.  ``SosError`` says why not."""
    await order.permit(window)
    return await order.obey(window)
