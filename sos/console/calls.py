"""What an operator does with the call: hold, mute, consult, invite, dial, announce, leave.

Every order becomes a command, so it stands in the journal before anybody hears of it; the bridge does what stands
there.  Whoever gives an order must have the incident.  Nobody who may not be told is let in: an agency is called or
invited only under a decision to tell it (``DisclosureDecided``), since the vehicle's voice is data like any other.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated

from msgspec import Meta, Struct

from sos.console.port import Voice
from sos.errors import Malformed, Refused
from sos.incident.commands import (
    AnswerVehicle,
    AwaitResponse,
    Command,
    DialLeg,
    HearResponse,
    InviteLeg,
    LeaveLeg,
    PlayNotice,
    SetLegMode,
    SpeakBrief,
)
from sos.incident.model import (
    AgencyId,
    AnswerAction,
    AnswerId,
    Incident,
    IncidentId,
    Leg,
    LegId,
    OperatorId,
    Party,
    ResponseHow,
    State,
    Telling,
    WaitReason,
    new_id,
)
from sos.journal.journal import Journal

LanguageOf = Callable[[AgencyId], str | None]
"""In which language a brief can be read to an agency by machine; None: it cannot."""


def no_voice(_: AgencyId) -> str | None:
    """Nothing is read by machine."""
    return None


CALL_BACK = "callback"
"""The line of a vehicle: the number that its report asks to be called back on."""

NOTICES = frozenset({"silent", "joining", "hold", "wait"})
"""What an operator may have a leg told: ``silent`` asks a caller who cannot speak to press 1 for yes and 2 for no."""

WITHDRAWN = "withdrawn"
"""Why a leg is gone that was invited and taken back before it came."""


class CallOrder(Struct, frozen=True, kw_only=True):
    """The fields of an order that concerns the call; each order uses some of them."""

    leg: LegId | None = None
    held: bool = False
    muted: bool = False
    coaching: LegId | None = None
    agency: AgencyId | None = None
    line: str = "first"
    notice: str = ""
    how: ResponseHow = ResponseHow.SPEECH
    seconds: Annotated[int, Meta(ge=0, le=86_400)] = 0
    because: WaitReason | None = None


class CallOrders:
    """The orders of one desk.  ``Refused`` when an order cannot be done as things stand, in words for the operator."""

    def __init__(
        self,
        journal: Journal,
        voice: Voice,
        *,
        operator: OperatorId,
        dials: bool,
        lines: Mapping[str, Mapping[str, str]],
        speaks: LanguageOf = no_voice,
    ) -> None:
        """``dials``: the house reaches telephone numbers; ``lines`` are those of the agencies; ``speaks``: what it can
        read to them."""
        self._journal = journal
        self._voice = voice
        self._operator = operator
        self._dials = dials
        self._lines = lines
        self._speaks = speaks
        self.obey: Mapping[str, Callable[[IncidentId, CallOrder], Awaitable[object]]] = {
            "mode": self._mode,
            "invite": self._invite,
            "dial": self._dial,
            "call_vehicle": self._call_vehicle,
            "notice": self._notice,
            "speak_brief": self._speak_brief,
            "end_leg": self._end,
            "leave_call": self._leave,
            "answered": self._answered,
            "wait_longer": self._wait_longer,
        }

    async def _mode(self, incident: IncidentId, order: CallOrder) -> None:
        """Hold, mute, coach, or let talk again."""
        command = SetLegMode(
            leg=_leg(order), operator=self._operator, held=order.held, muted=order.muted, coaching=order.coaching
        )
        await self._execute(incident, command)

    async def _invite(self, incident: IncidentId, order: CallOrder) -> dict[str, str]:
        """Let a told agency join from its page; the same invitation again while it stands."""
        state = await self._own(incident)
        agency = _told(state, order)
        known = next((leg for leg in state.legs if leg.who == agency and leg.alive), None)
        if known is not None:
            return {"leg": known.leg}
        leg = LegId(new_id())
        await self._execute(incident, InviteLeg(leg=leg, party=Party.AGENCY, who=agency))
        return {"leg": leg}

    async def _dial(self, incident: IncidentId, order: CallOrder) -> dict[str, str]:
        """Call a line of a told agency into the conference."""
        state = await self._own(incident)
        agency = _told(state, order)
        number = self._lines.get(agency, {}).get(order.line)
        if number is None:
            raise Refused("the directory has no such line of this agency")
        if not self._dials:
            raise Refused(f"this house has no telephone line: call {number} by telephone")
        if any(leg.who == agency and leg.alive for leg in state.legs):
            raise Refused("this agency is being called, or is in the call already")
        leg = LegId(new_id())
        await self._execute(incident, DialLeg(leg=leg, party=Party.AGENCY, who=agency, line=order.line))
        return {"leg": leg}

    async def _call_vehicle(self, incident: IncidentId, _: CallOrder) -> None:
        """Call the vehicle's number; without a telephone, tell the car over its data channel to call us."""
        state = await self._own(incident)
        if any(leg.party is Party.VEHICLE and leg.up for leg in state.legs):
            raise Refused("the vehicle is in the call")
        if self._dials:
            dial = DialLeg(leg=LegId(new_id()), party=Party.VEHICLE, who="vehicle", line=CALL_BACK)
            await self._execute(incident, dial)
        else:
            asked = AnswerVehicle(answer=AnswerId(new_id()), action=AnswerAction.CALL_BACK)
            await self._execute(incident, asked)

    async def _notice(self, incident: IncidentId, order: CallOrder) -> None:
        state = await self._own(incident)
        if order.notice not in NOTICES:
            raise Malformed(f"a notice is one of {', '.join(sorted(NOTICES))}", field="$.notice")
        if not _known(state, order).up:
            raise Refused("this leg is not in the call")
        await self._execute(incident, PlayNotice(leg=_leg(order), notice=order.notice))

    async def _speak_brief(self, incident: IncidentId, order: CallOrder) -> None:
        """Have the newest brief of an agency read to its leg by machine; the vehicle hears none of it."""
        state = await self._own(incident)
        known = _known(state, order)
        told = [each for each in state.disclosures if each.agency == known.who and not each.superseded]
        if known.party is not Party.AGENCY or not told:
            raise Refused("a brief is read to an agency that was told")
        language = self._speaks(AgencyId(known.who))
        if language is None:
            raise Refused("this house cannot speak the agency's language: read the brief to them yourself")
        spoken = SpeakBrief(
            leg=known.leg,
            disclosure=told[-1].disclosure,
            language=language,
            why=Telling.ASKED,
            operator=self._operator,
        )
        await self._execute(incident, spoken)

    async def _end(self, incident: IncidentId, order: CallOrder) -> None:
        """Take an agency out of the call, or take its invitation back."""
        known = _known(await self._own(incident), order)
        if known.party is not Party.AGENCY:
            raise Refused("only an agency is taken out of the call; to end it all, close the incident")
        if not known.up:
            await self._execute(incident, LeaveLeg(leg=known.leg, reason=WITHDRAWN))
        await self._voice.hang_up(known.leg)

    async def _answered(self, incident: IncidentId, order: CallOrder) -> None:
        """Somebody in the vehicle has answered."""
        await self._execute(incident, HearResponse(operator=self._operator, how=order.how))

    async def _wait_longer(self, incident: IncidentId, order: CallOrder) -> None:
        """Nobody is taken to be unconscious yet."""
        if order.because is None:
            raise Malformed("why is there more time?", field="$.because")
        waits = AwaitResponse(operator=self._operator, seconds=order.seconds, reason=order.because)
        await self._execute(incident, waits)

    async def _leave(self, incident: IncidentId, _: CallOrder) -> None:
        """Leave vehicle and agency to each other; whoever was held or muted is let go first, nobody else could."""
        state = await self._own(incident)
        if state.state is not State.HANDED_OVER:
            raise Refused("nobody has taken over yet: stay in the call")
        vehicle = any(leg.party is Party.VEHICLE and leg.up for leg in state.legs)
        if vehicle and not any(leg.party is Party.AGENCY and leg.up for leg in state.legs):
            raise Refused("the vehicle would be alone: no agency is in the call")
        for leg in state.legs:
            if leg.alive and leg.who != self._operator and (leg.held or leg.muted):
                await self._execute(incident, SetLegMode(leg=leg.leg, operator=self._operator))
        for leg in state.legs:
            if leg.party is Party.OPERATOR and leg.who == self._operator and leg.alive:
                await self._voice.hang_up(leg.leg)

    async def _execute(self, incident: IncidentId, command: Command) -> None:
        await self._journal.execute(incident, command, actor=f"operator:{self._operator}")

    async def _own(self, incident: IncidentId) -> Incident:
        state = await self._journal.state(incident)
        if state.operator != self._operator:
            raise Refused("another operator has this incident")
        if state.state is State.CLOSED:
            raise Refused("the incident is closed")
        return state


def _leg(order: CallOrder) -> LegId:
    if order.leg is None:
        raise Malformed("which leg?", field="$.leg")
    return order.leg


def _known(state: Incident, order: CallOrder) -> Leg:
    known = state.leg(_leg(order))
    if known is None or not known.alive:
        raise Refused("this leg is not in the call any more")
    return known


def _told(state: Incident, order: CallOrder) -> AgencyId:
    """The agency of the order, when there is a decision to tell it that it has not refused."""
    if order.agency is None:
        raise Malformed("which agency?", field="$.agency")
    if not any(told.agency == order.agency and told.rejected is None for told in state.disclosures):
        raise Refused("decide first what this agency may be told")
    return order.agency
