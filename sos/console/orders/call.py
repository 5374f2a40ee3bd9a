"""What an operator does with the call: hold, mute, consult, invite, dial, announce, leave.

Every order becomes a command, so it stands in the journal before anybody hears of it; the bridge does what stands
there.  Whoever gives an order must have the incident.  Nobody who may not be told is let in: an agency is called or
invited only under a decision to tell it (``DisclosureDecided``), since the vehicle's voice is data like any other.
"""

from enum import StrEnum
from typing import Annotated, ClassVar

from msgspec import Meta

from sos.console.orders.order import Code, Id, May, OfIncident
from sos.console.window import Window
from sos.errors import Refused
from sos.incident.commands import (
    AnswerVehicle,
    AwaitResponse,
    DialLeg,
    HearResponse,
    InviteLeg,
    LeaveLeg,
    PlayNotice,
    SetLegMode,
    SpeakBrief,
)
from sos.incident.languages import LINE, next_of
from sos.incident.model import (
    AgencyId,
    AnswerAction,
    AnswerId,
    Incident,
    Leg,
    LegId,
    Party,
    ResponseHow,
    State,
    Telling,
    WaitReason,
    new_id,
)
from sos.journal.languages import language_of

CALL_BACK = "callback"
"""The line of a vehicle: the number that its report asks to be called back on."""

WITHDRAWN = "withdrawn"
"""Why a leg is gone that was invited and taken back before it came."""

Seconds = Annotated[int, Meta(ge=0, le=86_400)]


class Notice(StrEnum):
    """What an operator may have a leg told."""

    SILENT = "silent"
    """Asks a caller who cannot speak to press 1 for yes and 2 for no."""
    JOINING = "joining"
    HOLD = "hold"
    WAIT = "wait"


class OfCall(OfIncident, frozen=True, kw_only=True):
    """An order of whoever has the incident, until it is closed."""

    may: ClassVar = May.WHO_HAS_IT

    async def permit(self, window: Window) -> None:
        await super().permit(window)
        if (await window.state(self.incident)).state is State.CLOSED:
            raise Refused("the incident is closed")


class OfLeg(OfCall, frozen=True, kw_only=True):
    """An order that concerns one leg of the call."""

    leg: Id[LegId]

    async def known(self, window: Window) -> Leg:
        """The leg.  ``Refused`` when it is gone."""
        known = (await window.state(self.incident)).leg(self.leg)
        if known is None or not known.alive:
            raise Refused("this leg is not in the call any more")
        return known


class OfAgency(OfCall, frozen=True, kw_only=True):
    """An order that lets an agency in."""

    agency: Id[AgencyId]

    async def permit(self, window: Window) -> None:
        """Besides, there is a decision to tell it, which it has not refused."""
        await super().permit(window)
        told = (await window.state(self.incident)).disclosures
        if not any(each.agency == self.agency and each.rejected is None for each in told):
            raise Refused("decide first what this agency may be told")

    async def leg_of(self, window: Window) -> Leg | None:
        """Its leg, where it is in the call, called or invited."""
        legs = (await window.state(self.incident)).legs
        return next((leg for leg in legs if leg.who == self.agency and leg.alive), None)


class Mode(OfLeg, frozen=True, kw_only=True, tag="mode"):
    """Hold, mute, coach, or let talk again."""

    held: bool
    muted: bool
    coaching: Id[LegId] | None = None

    async def obey(self, window: Window) -> None:
        command = SetLegMode(
            leg=self.leg,
            operator=window.operator.id,
            held=self.held,
            muted=self.muted,
            coaching=self.coaching,
        )
        await window.execute(self.incident, command)


class Invite(OfAgency, frozen=True, tag="invite"):
    """Let a told agency join from its page; the same invitation again while it stands."""

    async def obey(self, window: Window) -> dict[str, str]:
        known = await self.leg_of(window)
        if known is not None:
            return {"leg": known.leg}
        leg = LegId(new_id())
        await window.execute(self.incident, InviteLeg(leg=leg, party=Party.AGENCY, who=self.agency))
        return {"leg": leg}


class Dial(OfAgency, frozen=True, kw_only=True, tag="dial"):
    """Call a line of a told agency into the conference."""

    line: Code

    async def obey(self, window: Window) -> dict[str, str]:
        number = window.room.lines.get(self.agency, {}).get(self.line)
        if number is None:
            raise Refused("the directory has no such line of this agency")
        if not window.room.dials:
            raise Refused(f"this house has no telephone line: call {number} by telephone")
        if await self.leg_of(window) is not None:
            raise Refused("this agency is being called, or is in the call already")
        leg = LegId(new_id())
        await window.execute(self.incident, DialLeg(leg=leg, party=Party.AGENCY, who=self.agency, line=self.line))
        return {"leg": leg}


class CallInterpreter(OfCall, frozen=True, kw_only=True, tag="interpreter"):
    """Call an interpreter of the caller's language into the call; again, and the next one is called."""

    language: Code = ""
    """Empty: that of the incident."""

    async def obey(self, window: Window) -> dict[str, str]:
        language = self.language or await language_of(window.room.journal, self.incident)
        if not language:
            raise Refused("nobody has said yet which language is spoken: choose it first")
        found = next_of(window.room.interpreters, language, await window.state(self.incident))
        if found is None:
            raise Refused(f"there is no interpreter for {language}: ask the supervisor for help")
        if not window.room.dials:
            raise Refused(f"this house has no telephone line: call {found.number} by telephone")
        leg = LegId(new_id())
        await window.execute(self.incident, DialLeg(leg=leg, party=Party.INTERPRETER, who=found.id, line=LINE))
        return {"leg": leg}


class CallVehicle(OfCall, frozen=True, tag="call_vehicle"):
    """Call the vehicle's number; without a telephone, tell the car over its data channel to call us."""

    async def obey(self, window: Window) -> None:
        if _up(await window.state(self.incident), Party.VEHICLE):
            raise Refused("the vehicle is in the call")
        if window.room.dials:
            dial = DialLeg(leg=LegId(new_id()), party=Party.VEHICLE, who="vehicle", line=CALL_BACK)
            await window.execute(self.incident, dial)
        else:
            asked = AnswerVehicle(answer=AnswerId(new_id()), action=AnswerAction.CALL_BACK)
            await window.execute(self.incident, asked)


class GiveNotice(OfLeg, frozen=True, kw_only=True, tag="notice"):
    """Have a leg told something by machine."""

    notice: Notice

    async def obey(self, window: Window) -> None:
        if not (await self.known(window)).up:
            raise Refused("this leg is not in the call")
        await window.execute(self.incident, PlayNotice(leg=self.leg, notice=self.notice))


class ReadBrief(OfLeg, frozen=True, tag="speak_brief"):
    """Have the newest brief of an agency read to its leg by machine; the vehicle hears none of it."""

    async def obey(self, window: Window) -> None:
        known = await self.known(window)
        disclosures = (await window.state(self.incident)).disclosures
        told = [each for each in disclosures if each.agency == known.who and not each.superseded]
        if known.party is not Party.AGENCY or not told:
            raise Refused("a brief is read to an agency that was told")
        language = window.room.speaks(AgencyId(known.who))
        if language is None:
            raise Refused("this house cannot speak the agency's language: read the brief to them yourself")
        spoken = SpeakBrief(
            leg=known.leg,
            disclosure=told[-1].disclosure,
            language=language,
            why=Telling.ASKED,
            operator=window.operator.id,
        )
        await window.execute(self.incident, spoken)


class EndLeg(OfLeg, frozen=True, tag="end_leg"):
    """Take an agency or an interpreter out of the call, or take the invitation back."""

    async def obey(self, window: Window) -> None:
        known = await self.known(window)
        if known.party not in (Party.AGENCY, Party.INTERPRETER):
            raise Refused("only an agency or an interpreter is taken out; to end it all, close the incident")
        if not known.up:
            await window.execute(self.incident, LeaveLeg(leg=known.leg, reason=WITHDRAWN))
        await window.room.voice.hang_up(known.leg)


class LeaveCall(OfCall, frozen=True, tag="leave_call"):
    """Leave vehicle and agency to each other; whoever was held or muted is let go first, nobody else could."""

    async def obey(self, window: Window) -> None:
        me, state = window.operator.id, await window.state(self.incident)
        if state.state is not State.HANDED_OVER:
            raise Refused("nobody has taken over yet: stay in the call")
        if _up(state, Party.VEHICLE) and not _up(state, Party.AGENCY):
            raise Refused("the vehicle would be alone: no agency is in the call")
        for leg in state.legs:
            if leg.alive and leg.who != me and (leg.held or leg.muted):
                await window.execute(self.incident, SetLegMode(leg=leg.leg, operator=me))
        for leg in state.legs:
            if leg.party is Party.OPERATOR and leg.who == me and leg.alive:
                await window.room.voice.hang_up(leg.leg)


class Answered(OfCall, frozen=True, kw_only=True, tag="answered"):
    """Somebody in the vehicle has answered."""

    how: ResponseHow

    async def obey(self, window: Window) -> None:
        await window.execute(self.incident, HearResponse(operator=window.operator.id, how=self.how))


class WaitLonger(OfCall, frozen=True, kw_only=True, tag="wait_longer"):
    """Nobody is taken to be unconscious yet."""

    seconds: Seconds
    because: WaitReason

    async def obey(self, window: Window) -> None:
        waits = AwaitResponse(operator=window.operator.id, seconds=self.seconds, reason=self.because)
        await window.execute(self.incident, waits)


def _up(incident: Incident, party: Party) -> bool:
    return any(leg.party is party and leg.up for leg in incident.legs)


class AboutCode(OfCall, frozen=True, kw_only=True, tag="about_code"):
    """Whoever telephones has named the code of a brief: this call is about that incident."""

    code: Code

    async def obey(self, window: Window) -> dict[str, str]:
        about = await window.room.codes.join(self.incident, self.code, actor=f"operator:{window.operator.id}")
        return {"incident": about.incident}
