"""People with a telephone: called one after the other while no desk answers, and let in once they have shown that they
are there.

A reader.  When somebody is called, how long each is given and who has had their turn is ``sos.incident.attendance``'s;
here stands who they are, in which order, and what is said to them.  Intent before effect: ``LegDialled`` stands in the
journal before the bridge dials, under a leg id made from the event it answers, so that nobody is dialled twice for it.

Whoever picks up is held: an answering machine hears no vehicle and no vehicle hears it.  The notice asks for a key;
``TAKE`` is that person's word, as a click at a desk is, and is recorded as theirs.
"""

from collections.abc import Awaitable, Callable, Sequence

import structlog
from msgspec import Struct

from sos.calls.bridge import NumberOf
from sos.errors import Refused, SosError
from sos.incident import attendance
from sos.incident.commands import Command, DialLeg, LeaveLeg, PlayNotice, SetLegMode, TakeIncident
from sos.incident.events import HelpEscalated, KeysPressed, LegJoined, LegLeft, OperatorAssigned, Recorded
from sos.incident.model import AgencyId, DeskId, IncidentId, LegId, OperatorId, Party
from sos.journal.journal import Journal

log = structlog.get_logger()

ACTOR = "system:on-call"

NOTICE = "on_call"
"""What somebody on call is told, until a key is pressed."""

TAKE = "1"
"""The key by which somebody on call takes the incident."""

NO_KEY = "no_key"
"""Why a telephone is hung up that was picked up and pressed nothing: a machine, or somebody half asleep."""

TAKEN = "taken"
"""Why a telephone is hung up: somebody else has the incident."""

OURS = frozenset({NO_KEY, TAKEN, "no_answer"})
"""Ends that are our wish, so that the provider has to be told."""

HangUp = Callable[[LegId], Awaitable[None]]


class Person(Struct, frozen=True, kw_only=True):
    """Somebody who may be called at any hour."""

    id: OperatorId
    number: str
    """E.164."""


def with_people(others: NumberOf, people: Sequence[Person]) -> NumberOf:
    """``others`` and the numbers of people on call."""
    numbers = {person.id: person.number for person in people}

    def number_of(who: AgencyId, line: str) -> str | None:
        return numbers.get(OperatorId(who)) if line == attendance.LINE else others(who, line)

    return number_of


class OnCall:
    WANTS = (HelpEscalated, LegJoined, KeysPressed, LegLeft, OperatorAssigned)

    def __init__(self, journal: Journal, people: Sequence[Person], *, hang_up: HangUp) -> None:
        """``people`` in the order in which they are called."""
        self._journal = journal
        self._people = tuple(people)
        self._hang_up = hang_up

    async def handle(self, batch: Sequence[Recorded]) -> None:
        for recorded in batch:
            match recorded.event:
                case HelpEscalated(rung=attendance.ON_CALL):
                    await self._call_next(recorded)
                case HelpEscalated(rung=attendance.NEXT_PERSON):
                    await self._give_up(recorded)
                case LegJoined(leg=leg, party=Party.SUPERVISOR):
                    await self._say_what_to_press(recorded, leg)
                case KeysPressed(leg=leg, keys=keys) if TAKE in keys:
                    await self._take(recorded, leg)
                case LegLeft(leg=leg, reason=reason):
                    await self._gone(recorded, leg, reason=reason)
                case OperatorAssigned():
                    await self._let_sleep(recorded)
                case _:
                    pass

    async def _call_next(self, after: Recorded) -> None:
        """Dial whoever has not been called in this round; nobody while somebody is being asked."""
        on_call = (await self._journal.state(after.incident)).on_call
        left = [each for each in self._people if on_call is not None and each.id not in on_call.called]
        if left:
            dial = DialLeg(
                leg=LegId(f"{after.id}"), party=Party.SUPERVISOR, who=left[0].id, line=attendance.LINE, held=True
            )
            await self._order(after, dial)

    async def _give_up(self, escalated: Recorded) -> None:
        """Whoever is being asked takes too long."""
        leg = attendance.asked(await self._journal.state(escalated.incident))
        if leg is not None:
            await self._order(escalated, LeaveLeg(leg=leg.leg, reason=NO_KEY if leg.up else "no_answer"))

    async def _say_what_to_press(self, joined: Recorded, leg: LegId) -> None:
        known = (await self._journal.state(joined.incident)).leg(leg)
        if known is not None and known.held:
            await self._order(joined, PlayNotice(leg=leg, notice=NOTICE))

    async def _take(self, pressed: Recorded, leg: LegId) -> None:
        """Somebody is there: the incident is theirs, unless another was quicker, and then they may talk."""
        known = (await self._journal.state(pressed.incident)).leg(leg)
        if known is None or known.party is not Party.SUPERVISOR or not (known.up and known.held):
            return
        who = OperatorId(known.who)
        actor = f"operator:{who}"
        try:
            take = TakeIncident(operator=who, desk=DeskId(f"telephone-{who}"))
            await self._journal.execute(pressed.incident, take, actor=actor, causation=pressed.id)
            let_in = SetLegMode(leg=leg, operator=who)
            await self._journal.execute(pressed.incident, let_in, actor=actor, causation=pressed.id)
        except Refused as refused:
            log.info("on_call_not_needed", incident=pressed.incident, leg=leg, reason=str(refused))
            await self._order(pressed, LeaveLeg(leg=leg, reason=TAKEN))

    async def _gone(self, left: Recorded, leg: LegId, *, reason: str) -> None:
        state = await self._journal.state(left.incident)
        known = state.leg(leg)
        if known is None or known.party is not Party.SUPERVISOR:
            return
        if reason in OURS:
            await self._end(left.incident, leg)
        if state.unattended_at is not None:
            await self._call_next(left)

    async def _let_sleep(self, assigned: Recorded) -> None:
        """Somebody has the incident: no other telephone needs to ring."""
        state = await self._journal.state(assigned.incident)
        asked = attendance.asked(state)
        for leg in state.legs:
            waits = leg.party is Party.SUPERVISOR and leg.alive and leg.held and leg.who != state.operator
            if waits and (state.operator is not None or leg != asked):
                await self._order(assigned, LeaveLeg(leg=leg.leg, reason=TAKEN))

    async def _end(self, incident: IncidentId, leg: LegId) -> None:
        try:
            await self._hang_up(leg)
        except SosError as failed:  # it is held, so nobody is disturbed but who pays for the call
            log.warning("on_call_not_ended", incident=incident, leg=leg, reason=str(failed))

    async def _order(self, after: Recorded, command: Command) -> None:
        try:
            await self._journal.execute(after.incident, command, actor=ACTOR, causation=after.id)
        except Refused as refused:  # closed meanwhile
            log.info("on_call_order_refused", incident=after.incident, reason=str(refused))
