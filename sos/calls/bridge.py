"""The bridge: conference first, every leg on the record before it is taken in, every change of it after.

It stands above the provider and below nobody: commands out, provider events in.  After a restart it asks what is still
up before it does anything, and seals the recordings that a killed process left open.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from hashlib import sha256

import msgspec
import structlog

from routing.categories import Category
from sos.calls.numbers import dialable
from sos.calls.port import (
    KeyPressed,
    LegDown,
    LegMode,
    LegQueued,
    LegRinging,
    LegUp,
    ProviderCopyDeleted,
    RecordingBegun,
    RecordingBroken,
    RecordingDone,
    RecordingFetched,
    RecordingLeft,
    TelephonyProvider,
)
from sos.calls.spoken import CALL_US, Notices
from sos.errors import Forbidden, KeyLost, Refused, SosError, Unavailable
from sos.incident import testcall, voiceless
from sos.incident.attendance import TRANSFERRED, telephone
from sos.incident.commands import (
    AnswerVehicle,
    Command,
    DialLeg,
    FailRecording,
    InviteLeg,
    JoinLeg,
    KeepCopy,
    LeaveLeg,
    NoteCopyDeleted,
    PlayNotice,
    PressKeys,
    QueueLeg,
    RaiseAlarm,
    RingLeg,
    SealRecording,
    StartRecording,
)
from sos.incident.deadline import DeadlineName
from sos.incident.events import (
    AgencyCallRequested,
    HelpEscalated,
    IncidentClosed,
    IncidentOpened,
    LegDialled,
    LegJoined,
    LegLeft,
    LegModeSet,
    LegTransferred,
    NoticePlayed,
    OperatorAssigned,
    Recorded,
    ReportFiled,
    ReportJoined,
)
from sos.incident.model import (
    AgencyId,
    AlarmKind,
    AnswerAction,
    AnswerId,
    Incident,
    IncidentId,
    LegId,
    OperatorId,
    Party,
    RecordingId,
    State,
)
from sos.incident.report import CallBack
from sos.journal.journal import Journal

log = structlog.get_logger()

ACTOR = "system:bridge"

_call_back = msgspec.json.Decoder(CallBack)

RETRY = timedelta(seconds=1)
SEAL_WITHIN = timedelta(seconds=3)
"""Longest an operator waits for the recording when closing; it is sealed afterwards all the same."""

SEAL_POLL = timedelta(milliseconds=50)

OPEN = tuple(state for state in State if state is not State.CLOSED)


NumberOf = Callable[[AgencyId, str], str | None]
"""The number of a line of an agency, from the directory; None when it has no such line."""

CALL_BACK = "callback"
"""The line of a vehicle: the number its report asks to be called back on."""

DESK = "desk"
"""The line of an operator whose desk is a telephone."""

DESK_AGAIN = timedelta(seconds=1)
"""Between the end of a desk's leg and the next call to its telephone."""

DESK_CALLS = 30
"""How often a desk's telephone is called in one incident; after that its operator must act."""

WAIT = "wait"
"""Notice to a vehicle that has come up before an operator has answered."""


def no_lines(_: AgencyId, __: str) -> None:
    """No agency has a telephone."""


class Bridge:
    WANTS = (
        IncidentClosed,
        HelpEscalated,
        AgencyCallRequested,
        OperatorAssigned,
        LegDialled,
        LegJoined,
        LegLeft,
        LegModeSet,
        LegTransferred,
        NoticePlayed,
    )

    def __init__(self, journal: Journal, provider: TelephonyProvider, *, number_of: NumberOf = no_lines) -> None:
        self._journal = journal
        self._provider = provider
        self._number_of = number_of
        self._notices = Notices(journal, provider)

    async def connect(self, incident: IncidentId, *, leg: LegId, party: Party, who: str, offer: str) -> str:
        """Take a party into the incident's conference; the SDP answer to its offer.

        ``Forbidden`` for an operator who does not have the incident, ``Refused`` once it is closed.
        """
        key = await self.expect(incident, leg=leg, party=party, who=who)
        return await self._provider.accept(incident=incident, leg=leg, party=party, who=who, offer=offer, key=key)

    async def expect(
        self, incident: IncidentId, *, leg: LegId, party: Party, who: str, called_in: bool = False
    ) -> bytes:
        """Put on the record that a party is about to be taken in; the data key of what it will say.

        ``called_in``: it telephoned us, and only its number says who it is.  Raises as ``connect``.
        """
        state = await self._journal.state(incident)
        _may_join(state, leg, party, who)
        actor = party.value if party is Party.VEHICLE else f"{party}:{who}"
        await self._journal.execute(
            incident, InviteLeg(leg=leg, party=party, who=who, called_in=called_in), actor=actor
        )
        return await self._journal.data_key(incident, Category.AUD)

    async def trickle(self, leg: LegId, *, ufrag: str, candidates: tuple[str, ...]) -> None:
        """More addresses of a leg that was connected.  ``Refused`` when it has been connected anew since."""
        await self._provider.trickle(leg, ufrag=ufrag, candidates=candidates)

    async def hang_up(self, leg: LegId) -> None:
        await self._provider.end(leg)

    async def finish(self, incident: IncidentId) -> None:
        """End the conference, and wait until the journal has its sealed recording, at most ``SEAL_WITHIN``."""
        await self._provider.finish(incident)
        deadline = self._journal.clock.now() + SEAL_WITHIN
        while self._journal.clock.now() < deadline:
            state = await self._journal.state(incident)
            if all(known.sealed or known.failed for known in state.recordings):
                return
            await self._journal.clock.wait(SEAL_POLL)
        log.warning("recording_unsealed", incident=incident)

    async def handle(self, batch: Sequence[Recorded]) -> None:
        """As a reader: what stands in the journal as an intent is done, at least once; the provider knows repeats."""
        for recorded in batch:
            incident, event = recorded.incident, recorded.event
            match event:
                case IncidentClosed():
                    await self._provider.finish(incident)
                    await self._by_data(recorded, AnswerAction.CLEAR_DOWN)
                case HelpEscalated(rung=DeadlineName.CALL_VEHICLE):
                    await self._call_vehicle(recorded)
                case AgencyCallRequested(leg=leg, agency=agency, line=line):
                    dial = DialLeg(leg=leg, party=Party.AGENCY, who=agency, line=line)
                    await self._order(incident, dial, causation=recorded.id)
                case OperatorAssigned(operator=operator):
                    await self._call_desk(recorded, operator)
                case LegDialled():
                    await self._dial(recorded, event)
                case LegJoined(leg=leg, party=party):
                    await self._as_before(recorded, leg)
                    if party is Party.VEHICLE:
                        await self._greet(recorded, leg)
                    elif party is Party.AGENCY:
                        await self._call_desk_back(recorded)
                case LegLeft(leg=leg, reason=reason):
                    await self._call_desk_again(recorded, leg)
                    if reason != TRANSFERRED:
                        await self._nobody_comes(incident, leg)
                case LegTransferred():
                    await self._transfer(recorded, event)
                case LegModeSet(leg=leg, held=held, muted=muted, coaching=coaching):
                    await self._ask(self._provider.set_mode(leg, LegMode(held=held, muted=muted, coaching=coaching)))
                case NoticePlayed(leg=leg, notice=notice):
                    await self._ask(self._notices.play(recorded.incident, leg, notice))

    async def _call_vehicle(self, escalated: Recorded) -> None:
        """Data came without a voice, or the voice was cut off: it is called, and asked for a call where it can be.

        Both at once: which of the two a car answers nobody knows before.
        """
        state = await self._journal.state(escalated.incident)
        if state.silence is None:  # it speaks
            return
        if not any(known.action is AnswerAction.CALL_BACK and known.delivered is None for known in state.answers):
            await self._by_data(escalated, AnswerAction.CALL_BACK)
        if not self._provider.dials:
            return
        leg = LegId(f"{escalated.id}")
        dial = DialLeg(leg=leg, party=Party.VEHICLE, who="vehicle", line=CALL_BACK)
        await self._order(escalated.incident, dial, causation=escalated.id)

    async def _by_data(self, after: Recorded, action: AnswerAction) -> None:
        """Say it to a vehicle over the data channel by which it has reported; one that only telephoned has none."""
        stream = await self._journal.store.stream(after.incident)
        if any(
            isinstance(each.event, ReportJoined)
            or (isinstance(each.event, IncidentOpened) and each.event.channel != "voice")
            for each in stream
        ):
            text = ""
            if action is AnswerAction.CALL_BACK:
                text = await self._notices.in_words(after.incident, CALL_US)
            answer = AnswerVehicle(answer=AnswerId(f"{after.id}"), action=action, text=text)
            await self._order(after.incident, answer, causation=after.id)

    async def _call_desk(self, assigned: Recorded, operator: OperatorId) -> None:
        """An operator who has answered is called on the desk's telephone, where the desk has one."""
        if not self._provider.dials or self._number_of(AgencyId(operator), DESK) is None:
            return
        if telephone(await self._journal.state(assigned.incident)) is not None:  # on call, and on the line already
            return
        dial = DialLeg(leg=LegId(f"{assigned.id}"), party=Party.OPERATOR, who=operator, line=DESK)
        await self._order(assigned.incident, dial, causation=assigned.id)

    async def _call_desk_again(self, left: Recorded, leg: LegId) -> None:
        """A desk's telephone that was not reached or fell silent is called again while its operator is needed."""
        state = await self._journal.state(left.incident)
        if not _needs_desk(state, leg) or self._number_of(AgencyId(state.operator or ""), DESK) is None:
            return
        await self._journal.clock.wait(DESK_AGAIN)
        state = await self._journal.state(left.incident)
        if _needs_desk(state, leg):
            again = DialLeg(leg=LegId(f"{left.id}"), party=Party.OPERATOR, who=str(state.operator), line=DESK)
            await self._order(left.incident, again, causation=left.id)

    async def _call_desk_back(self, joined: Recorded) -> None:
        """An agency telephones back and nobody is in the call: the desk's telephone of whoever has the incident."""
        state = await self._journal.state(joined.incident)
        if state.operator is None or not voiceless.calls_back(state) or not self._provider.dials:
            return
        theirs = (leg for leg in state.legs if leg.who == state.operator)
        if self._number_of(AgencyId(state.operator), DESK) is None or any(leg.alive for leg in theirs):
            return
        dial = DialLeg(leg=LegId(f"{joined.id}"), party=Party.OPERATOR, who=state.operator, line=DESK)
        await self._order(joined.incident, dial, causation=joined.id)

    async def _transfer(self, ordered: Recorded, event: LegTransferred) -> None:
        """Whoever cannot be brought there stays where they are, and the other call hears that nobody comes."""
        here = (await self._journal.state(ordered.incident)).leg(event.leg)
        there = (await self._journal.state(event.to)).leg(event.as_leg)
        if here is None or not here.up or there is None or there.up:  # a repeat of what was done
            return
        try:
            key = await self._journal.data_key(event.to, Category.AUD)
            await self._provider.move(
                event.leg, incident=event.to, as_leg=event.as_leg, party=there.party, who=there.who, key=key
            )
        except SosError as failed:
            log.warning("leg_not_transferred", incident=ordered.incident, leg=event.leg, reason=str(failed))
            await self._tell(event.to, LeaveLeg(leg=event.as_leg, reason="failed"))

    async def _nobody_comes(self, incident: IncidentId, left: LegId) -> None:
        """Who hung up before they were brought there is expected there no longer."""
        if not (await self._journal.state(incident)).about_another:
            return
        for each in await self._journal.store.stream(incident):
            if isinstance(each.event, LegTransferred) and each.event.leg == left:
                there = (await self._journal.state(each.event.to)).leg(each.event.as_leg)
                if there is not None and not there.up:
                    await self._tell(each.event.to, LeaveLeg(leg=there.leg, reason="ended"))

    async def _dial(self, recorded: Recorded, dialled: LegDialled) -> None:
        incident, leg = recorded.incident, dialled.leg
        state = await self._journal.state(incident)
        known = state.leg(leg)
        if known is None or not known.alive or known.up:  # answered or over: a repeat of what was done
            return
        reason = "cannot_dial"
        try:
            number = dialable(await self._number(incident, dialled))
            key = await self._journal.data_key(incident, Category.AUD)
            await self._provider.place(
                incident=incident,
                leg=leg,
                party=dialled.party,
                who=dialled.who,
                number=number,
                key=key,
                mode=LegMode(held=known.held),
            )
            return
        except Unavailable as away:
            log.warning("leg_not_dialled", incident=incident, leg=leg, reason=str(away))
            reason = "failed"
        except Refused as refused:
            log.warning("leg_not_dialled", incident=incident, leg=leg, reason=str(refused))
        await self._tell(incident, LeaveLeg(leg=leg, reason=reason))

    async def _number(self, incident: IncidentId, dialled: LegDialled) -> str:
        """``Refused`` when there is none: nobody can be called."""
        if dialled.party is not Party.VEHICLE:
            number = self._number_of(AgencyId(dialled.who), dialled.line)
        else:
            parts = await self._journal.unseal(incident, (Category.TEL,))
            reports = (part.payload for part in parts if isinstance(part.recorded.event, ReportFiled))
            told = [_call_back.decode(report).tel for report in reports]
            number = next((tel for tel in reversed(told) if tel), None)
        if not number:
            raise Refused(f"there is no number for {dialled.who} on the line {dialled.line}")
        return number

    async def _as_before(self, joined: Recorded, leg: LegId) -> None:
        """Who was held or muted comes back so, although the provider that knew it is gone: else a vehicle that was
        cut off would come back into a private talk."""
        known = (await self._journal.state(joined.incident)).leg(leg)
        if known is not None and (known.held or known.muted or known.coaching is not None):
            mode = LegMode(held=known.held, muted=known.muted, coaching=known.coaching)
            await self._ask(self._provider.set_mode(leg, mode))

    async def _greet(self, joined: Recorded, leg: LegId) -> None:
        """A caller who waits is told that somebody comes, one that tests what to press."""
        state = await self._journal.state(joined.incident)
        if state.operator is None and state.state is not State.CLOSED:
            notice = testcall.NOTICE if testcall.quiet(state) else WAIT
            await self._order(joined.incident, PlayNotice(leg=leg, notice=notice), causation=joined.id)

    async def _order(self, incident: IncidentId, command: Command, *, causation: str) -> None:
        try:
            await self._journal.execute(incident, command, actor=ACTOR, causation=causation)
        except Refused as refused:  # closed meanwhile
            log.info("voice_order_refused", incident=incident, order=type(command).__name__, reason=str(refused))

    async def _ask(self, effect: Awaitable[None]) -> None:
        """Something that may be repeated and is not worth holding up the others for."""
        try:
            await effect
        except SosError as failed:
            log.warning("voice_effect_failed", reason=str(failed))

    async def settle(self) -> None:
        """After a restart: ask what is still up before anything is done.

        Legs that the journal believes in and the provider does not know are gone; recordings that neither is complete
        nor being written are completed with what was kept.
        """
        try:
            up = {leg.leg for leg in await self._provider.legs()}
            writing = await self._provider.writing()
            left = set(await self._provider.unsealed())
        except Unavailable as away:  # it tells of every leg and recording itself once it is back
            log.error("voice_unsettled", reason=str(away))
            return
        _, incidents = await self._journal.queue(limit=10_000, states=OPEN)
        for incident in incidents:
            for leg in incident.legs:
                if leg.up and leg.leg not in up:
                    await self._tell(incident.id, LeaveLeg(leg=leg.leg, reason="restart"))
            open_ = (known.recording for known in incident.recordings if not (known.sealed or known.failed))
            left |= {(incident.id, recording) for recording in open_ if recording not in writing}
        for incident_id, recording in sorted(left):
            await self._recover(incident_id, recording)

    async def run(self) -> None:
        """Bring what the provider tells into the journal, for ever."""
        async for event in self._provider.events():
            if isinstance(event, RecordingLeft):
                await self._recover(event.incident, event.recording)
            else:
                await self._tell_fact(event)

    async def _recover(self, incident: IncidentId, recording: RecordingId) -> None:
        try:
            key = await self._journal.data_key(incident, Category.AUD)
        except (Refused, KeyLost) as lost:  # an incident unknown to the journal, or a key that cannot be had
            await self._tell(incident, FailRecording(recording=recording, reason=type(lost).__name__))
            return
        await self._tell_fact(await self._provider.recover(incident, recording, key))

    async def _tell_fact(self, fact: "Fact") -> None:
        """Write what a provider tells; of a recording with holes the alarm first, since one that is complete on the
        record is not looked at again after a kill."""
        if isinstance(fact, RecordingDone) and fact.lost:
            log.error("recording_torn", incident=fact.incident, recording=fact.recording, lost=fact.lost)
            await self._tell(fact.incident, RaiseAlarm(why=AlarmKind.RECORDING, about=fact.recording))
        await self._tell(fact.incident, _command(fact))

    async def _tell(self, incident: IncidentId, command: Command) -> None:
        """Write one fact, however long the database is away: facts of a call are not thrown away."""
        while True:
            try:
                await self._journal.execute(incident, command, actor=f"provider:{self._provider.name}")
                return
            except Unavailable:
                log.warning("voice_fact_waits", incident=incident, fact=type(command).__name__)
                await self._journal.clock.wait(RETRY)
            except SosError as refused:
                log.error("voice_fact_refused", incident=incident, fact=type(command).__name__, reason=str(refused))
                return


def _needs_desk(state: Incident, left: LegId) -> bool:
    """Whether the leg that is gone was of the operator, whom nobody has relieved and who has no other.

    Until an agency has taken over and is in the call an operator may not leave, so a receiver that was put down counts
    as a fault, too: the provider tells neither apart.
    """
    known = state.leg(left)
    if known is None or known.party is not Party.OPERATOR or known.who != state.operator or known.left == "withdrawn":
        return False
    legs = [leg for leg in state.legs if leg.party is Party.OPERATOR and leg.who == state.operator]
    relieved = state.state is State.HANDED_OVER and any(leg.party is Party.AGENCY and leg.up for leg in state.legs)
    needed = state.state in (State.IN_CALL, State.HANDING_OVER, State.HANDED_OVER) and not relieved
    return needed and not any(leg.alive for leg in legs) and len(legs) < DESK_CALLS


def _may_join(state: Incident, leg: LegId, party: Party, who: str) -> None:
    if state.state is State.CLOSED:
        raise Refused("the incident is closed")
    if party is Party.OPERATOR and state.operator != who:
        raise Forbidden("only the operator who has the incident may join its call: answer it first")
    known = state.leg(leg)
    if known is not None and (known.party, known.who) != (party, who):
        raise Forbidden("this leg is somebody else's")


Fact = (
    LegUp
    | LegDown
    | LegRinging
    | LegQueued
    | KeyPressed
    | RecordingBegun
    | RecordingDone
    | RecordingBroken
    | RecordingFetched
    | ProviderCopyDeleted
)
"""What a provider tells that is written as it is."""


def _command(event: Fact) -> Command:
    match event:
        case LegUp():
            return JoinLeg(leg=event.leg, party=event.party, who=event.who)
        case LegDown():
            return LeaveLeg(leg=event.leg, reason=event.reason)
        case RecordingBegun():
            return StartRecording(recording=event.recording)
        case RecordingDone():
            return SealRecording(
                recording=event.recording,
                manifest=event.manifest,
                manifest_digest=sha256(event.manifest).hexdigest(),
                chunks=event.chunks,
                duration_ms=event.duration_ms,
            )
        case RecordingBroken():
            return FailRecording(recording=event.recording, reason=event.reason)
        case RecordingFetched():
            return KeepCopy(
                recording=event.recording, leg=event.leg, copy=event.copy, digest=event.digest, size=event.size
            )
        case ProviderCopyDeleted():
            return NoteCopyDeleted(recording=event.recording, copy=event.copy)
        case LegQueued():
            return QueueLeg(leg=event.leg, queued_ms=event.queued_ms)
        case LegRinging():
            return RingLeg(leg=event.leg)
        case KeyPressed():
            return PressKeys(leg=event.leg, keys=event.keys)
