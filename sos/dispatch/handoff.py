"""Hop 8: agencies are told, louder and louder, until a human being there has taken over.

A reader.  ``ladder`` says what is due; here it is recorded and then done.  Intent before effect: ``RungTaken`` stands
in the journal before its effect, ``DeliveryStarted`` before the channel is asked to deliver, and every attempt after
the first asks the channel first whether it has this disclosure already.  A call is requested here and placed by
whoever follows the journal for calls.

Deliveries run beside the reader, so that one silent agency holds up no other.  What is under way is known to this
process alone; after a crash the deadlines ``redeliver`` and ``rung`` bring it back.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

import structlog
from msgspec import Struct

from routing.categories import Category
from routing.directory import Directory
from sos.dispatch.forms import forms_for, prepare
from sos.dispatch.ladder import LAST_RESORT, Times, channel_for, climb, data_channels
from sos.dispatch.port import NO_FORMS, AgencyChannel, Log, Parcel, Receipt
from sos.dispatch.reply_codes import keyed, takes_over
from sos.errors import Malformed, SosError, Unavailable
from sos.incident.commands import Acknowledge, ConfirmDelivery, EndAgencyCall, FailDelivery, StartDelivery
from sos.incident.deadline import DeadlineName
from sos.incident.escalation import called_for
from sos.incident.events import (
    AgencyAcknowledged,
    AgencyCallEnded,
    AgencyRejected,
    DeliveryStarted,
    DisclosureDecided,
    HelpEscalated,
    KeysPressed,
    LegLeft,
    Recorded,
    RungTaken,
)
from sos.incident.model import Acknowledgement, AgencyId, DisclosureId, Incident, IncidentId, Rung, State
from sos.incident.voice import key_offer
from sos.journal.journal import Done

ACTOR = "system:handoff"

AT_ONCE = 8
"""Rungs taken in one go at most: the table is shorter, so more would be a mistake of ours."""

WATCH = timedelta(seconds=2)
"""How often the machine's clock is looked at: one that was set back would make every deadline late."""

SET_BACK = timedelta(seconds=1)

REST_AFTER = 3
"""Failures in a row after which a channel to one agency is passed by for ``REST``, when there is another."""

REST = timedelta(seconds=30)

LOOKED_AT = 10_000
"""Incidents looked through after a restart or a changed clock."""

FormsOf = Callable[[bytes, Sequence[str]], Awaitable[Mapping[str, bytes]]]
"""The brief in the forms that are named, made from its bytes."""

log = structlog.get_logger()


async def no_forms(_: bytes, __: Sequence[str]) -> Mapping[str, bytes]:
    return NO_FORMS


async def all_forms(brief: bytes, names: Sequence[str]) -> Mapping[str, bytes]:
    """Made in a thread: a page for a fax takes a tenth of a second."""
    return await asyncio.to_thread(prepare, brief, names)


class Handoff:
    """Tells what has been decided, over the channels the directory names for each agency."""

    WANTS = (
        DisclosureDecided,
        AgencyAcknowledged,
        AgencyRejected,
        AgencyCallEnded,
        HelpEscalated,
        RungTaken,
        LegLeft,
        KeysPressed,
    )

    def __init__(
        self,
        journal: Log,
        *,
        directory: Directory,
        channels: Mapping[str, AgencyChannel],
        times: Times | None = None,
        dials: bool = False,
        forms: FormsOf = no_forms,
    ) -> None:
        """``dials``: somebody follows ``AgencyCallRequested`` and places the call."""
        self._journal = journal
        self._directory = directory
        self._channels = channels
        self._times = times or Times()
        self._dials = dials
        self._forms = forms
        self._breaker = Breaker()
        self._under_way: dict[DisclosureId, asyncio.Task[None]] = {}

    async def run(self, follow: Callable[[], Awaitable[None]]) -> None:
        """Follow the journal for ever, and end every delivery with it: a replica that lost its lease sends nothing."""
        await self.look_again()
        watch = asyncio.create_task(self._watch(), name="handoff-clock")
        try:
            await follow()
        finally:
            watch.cancel()
            await asyncio.gather(watch, self._end(), return_exceptions=True)

    async def handle(self, batch: Sequence[Recorded]) -> None:
        for recorded in batch:
            match recorded.event:
                case DisclosureDecided() | AgencyAcknowledged() | AgencyRejected() | AgencyCallEnded():
                    await self._climb(recorded.incident, after=recorded)
                case HelpEscalated(rung=rung) if rung in (DeadlineName.RUNG, DeadlineName.REDELIVER):
                    await self._climb(recorded.incident, after=recorded)
                    if rung == DeadlineName.REDELIVER:
                        await self._push_again(recorded.incident, causation=recorded.id)
                case RungTaken(rung=Rung.PUSH, disclosure=disclosure):
                    self._push(recorded.incident, disclosure, causation=recorded.id)
                case LegLeft():
                    await self._hung_up(recorded)
                case KeysPressed():
                    await self._keyed(recorded)

    async def look_again(self, *, hurry: bool = False) -> None:
        """Take whatever is due anywhere, without waiting for a timer: after a restart, or when a clock was set back.

        ``hurry``: no time in the journal can be trusted any more, so every ladder takes its next rung.
        """
        _, incidents = await self._journal.queue(limit=LOOKED_AT, states=(State.HANDING_OVER, State.HANDED_OVER))
        for incident in incidents:
            await self._climb(incident.id, hurry=hurry)

    async def idle(self) -> None:
        """Return when no delivery is under way."""
        while self._under_way:
            await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    # --- the ladder ---

    async def _climb(self, incident: IncidentId, *, after: Recorded | None = None, hurry: bool = False) -> None:
        causation = after.id if after else None
        for turn in range(AT_ONCE):
            state = await self._journal.state(incident)
            due = climb(
                state,
                self._directory,
                self._times,
                self._journal.clock.now(),
                dials=self._dials,
                hurry=hurry and turn == 0,
            )
            taken = [await self._journal.execute(incident, rung, actor=ACTOR, causation=causation) for rung in due]
            if not any(done.recorded for done in taken):
                return
        log.error("ladder_does_not_end", incident=incident)

    async def _hung_up(self, left: Recorded) -> None:
        """A leg of an agency's call is gone: whatever places calls may not have said how it ended."""
        assert isinstance(left.event, LegLeft)
        state = await self._journal.state(left.incident)
        disclosure = called_for(state, left.event.leg)
        if disclosure is not None:
            ended = EndAgencyCall(disclosure=disclosure, leg=left.event.leg, outcome=left.event.reason)
            await self._journal.execute(left.incident, ended, actor=ACTOR, causation=left.id)

    async def _keyed(self, pressed: Recorded) -> None:
        """Keys on the agency's telephone: an answer, once they spell one; anything else is no answer."""
        assert isinstance(pressed.event, KeysPressed)
        leg = pressed.event.leg
        state, stream = await self._journal.state(pressed.incident), await self._journal.store.stream(pressed.incident)
        offer = key_offer(stream, leg, before=pressed.n)
        told = state.disclosure(offer.disclosure if offer else called_for(state, leg) or DisclosureId(""))
        if told is None:
            return
        keys = [each.event.keys for each in stream if isinstance(each.event, KeysPressed) and each.event.leg == leg]
        try:
            answer = keyed("".join(keys), disclosure=told.disclosure, agency=told.agency)
        except Malformed:
            if offer is None or not takes_over(pressed.event.keys):
                return
            answer = Acknowledge(disclosure=told.disclosure, agency=told.agency, level=Acknowledgement.TAKEN_OVER)
        await self._journal.execute(pressed.incident, answer, actor=f"agency:{told.agency}", causation=pressed.id)

    async def _watch(self) -> None:
        """Notice a clock that was set back: deadlines in the journal would sleep as long as it was set back."""
        clock = self._journal.clock
        while True:
            before = clock.now()
            await clock.wait(WATCH)
            if was_set_back(before, clock.now()):
                log.warning("clock_set_back")
                try:
                    await self.look_again(hurry=True)
                except Unavailable as away:
                    log.warning("ladders_wait", reason=str(away))

    # --- the push ---

    async def _push_again(self, incident: IncidentId, *, causation: str) -> None:
        state = await self._journal.state(incident)
        for told in state.disclosures:
            if told.pending and told.reached is None:
                self._push(incident, told.disclosure, causation=causation)

    def _push(self, incident: IncidentId, disclosure: DisclosureId, *, causation: str) -> None:
        """Deliver beside the reader, unless a delivery of this disclosure is under way already."""
        if disclosure in self._under_way:
            return
        task = asyncio.create_task(self._deliver_safely(incident, disclosure, causation=causation), name="delivery")
        self._under_way[disclosure] = task
        task.add_done_callback(lambda _: self._under_way.pop(disclosure, None))

    async def _deliver_safely(self, incident: IncidentId, disclosure: DisclosureId, *, causation: str) -> None:
        try:
            await self._deliver(incident, disclosure, causation=causation)
        except SosError as failed:  # the deadline brings it back
            log.warning("delivery_interrupted", incident=incident, disclosure=disclosure, error=type(failed).__name__)
        except Exception as failed:  # the edge of one delivery
            log.exception("delivery_broke", incident=incident, disclosure=disclosure, error=type(failed).__name__)

    async def _deliver(self, incident: IncidentId, disclosure: DisclosureId, *, causation: str) -> None:
        decided = await self._decided(incident, disclosure)
        agency = decided.agency
        state = await self._journal.state(incident)
        tried = state.disclosure(disclosure)
        if tried is not None and tried.superseded:  # a newer brief is on its way
            return
        channel = self._channel(agency, attempt=(tried.attempts if tried else 0) + 1)
        begun = _begun(
            await self._journal.execute(
                incident, StartDelivery(disclosure=disclosure, channel=channel.name), actor=ACTOR, causation=causation
            )
        )
        if begun is None:  # somebody there has it already
            return
        again = await self._tried_before(incident, begun)
        parcel = await self._parcel(decided, state, channel=channel.name, again=again)
        actor = f"channel:{channel.name}"
        try:
            receipt = await self._hand_over(channel, parcel)
        except Unavailable as failed:
            self._breaker.failed(agency, channel.name, self._journal.clock.now())
            log.warning("delivery_failed", incident=incident, disclosure=disclosure, attempt=begun.attempt)
            command = FailDelivery(disclosure=disclosure, attempt=begun.attempt, reason=str(failed))
            await self._journal.execute(incident, command, actor=actor, causation=causation)
            return
        self._breaker.worked(agency, channel.name)
        confirmed = ConfirmDelivery(disclosure=disclosure, level=receipt.level, receipt=receipt.reference)
        await self._journal.execute(incident, confirmed, actor=actor, causation=causation)

    async def _hand_over(self, channel: AgencyChannel, parcel: Parcel) -> Receipt:
        if parcel.repeat and (known := await channel.find(parcel)):
            return known
        return await channel.deliver(parcel)

    async def _decided(self, incident: IncidentId, disclosure: DisclosureId) -> "_Decided":
        """The decision and the brief as it was decided, read back from the journal."""
        for recorded in await self._journal.store.stream(incident):
            event = recorded.event
            if isinstance(event, DisclosureDecided) and event.disclosure == disclosure:
                parts = await self._journal.parts_of(recorded)
                if Category.RAW not in parts:
                    raise Unavailable("the brief has been destroyed")
                return _Decided(disclosure, event.agency, parts[Category.RAW])
        raise AssertionError(f"disclosure {disclosure} is in the state of {incident} and not in its stream")

    async def _tried_before(self, incident: IncidentId, begun: DeliveryStarted) -> bool:
        """Whether an earlier attempt went over the same channel: then it is asked before anything is repeated."""
        if begun.attempt == 1:
            return False
        recorded = await self._journal.store.stream(incident)
        started = [event.event for event in recorded if isinstance(event.event, DeliveryStarted)]
        return any(
            each.disclosure == begun.disclosure and each.channel == begun.channel and each.attempt < begun.attempt
            for each in started
        )

    async def _parcel(self, decided: "_Decided", state: Incident, *, channel: str, again: bool) -> Parcel:
        settings = self._settings(decided.agency, channel)
        carried = (*forms_for((channel,)), *([str(settings["form"])] if "form" in settings else ()))
        return Parcel(
            incident=state.id,
            disclosure=decided.disclosure,
            agency=decided.agency,
            brief=decided.brief,
            listed=state.listed,
            forms=await self._forms(decided.brief, carried) if channel != LAST_RESORT else NO_FORMS,
            settings=settings,
            repeat=again,
        )

    def _settings(self, agency: AgencyId, channel: str) -> Mapping[str, Any]:
        known = self._directory.agencies[agency]
        centre = self._directory.centre_of(known)
        found = known.channels.get(channel) or (centre.channels.get(channel) if centre else None)
        return MappingProxyType(found or {})

    def _channel(self, agency: AgencyId, *, attempt: int) -> AgencyChannel:
        """The channel of the next attempt; the portal is always there."""
        known = self._directory.agencies[agency]
        names = data_channels(known, self._directory, spoken=tuple(self._channels))
        resting = self._breaker.resting(agency, self._journal.clock.now())
        return self._channels[channel_for(names, attempt, resting=resting)]

    async def _end(self) -> None:
        for task in self._under_way.values():
            task.cancel()
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)


class _Decided(Struct, frozen=True):
    """What was decided for one agency."""

    disclosure: DisclosureId
    agency: AgencyId
    brief: bytes


class Breaker:
    """Which channels to which agency have failed so often that another one is tried first, for a while."""

    def __init__(self) -> None:
        self._failures: dict[tuple[AgencyId, str], int] = {}
        self._until: dict[tuple[AgencyId, str], datetime] = {}

    def failed(self, agency: AgencyId, channel: str, now: datetime) -> None:
        key = (agency, channel)
        self._failures[key] = self._failures.get(key, 0) + 1
        if self._failures[key] >= REST_AFTER:
            self._until[key] = now + REST

    def worked(self, agency: AgencyId, channel: str) -> None:
        self._failures.pop((agency, channel), None)
        self._until.pop((agency, channel), None)

    def resting(self, agency: AgencyId, now: datetime) -> frozenset[str]:
        """Channels to ``agency`` that are passed by at ``now``."""
        return frozenset(channel for (whose, channel), until in self._until.items() if whose == agency and now < until)


def was_set_back(before: datetime, now: datetime) -> bool:
    """Whether a wall clock that was read twice, ``WATCH`` apart, went backwards meanwhile."""
    return now < before + WATCH - SET_BACK


def _begun(done: Done) -> DeliveryStarted | None:
    event = done.recorded[0].event if done.recorded else None
    return event if isinstance(event, DeliveryStarted) else None
