"""``TelephonyProvider`` over Twilio: conferences there, every leg with our id as its label, the truth asked for.

**Theory.**  Three things can differ: what we want (the book), what Twilio does, and what Twilio tells.  What it tells
is folded into ``sos.calls.legs``, so callbacks may come twice, late, in any order, or not at all; what is lost is asked
for by ``watch``, which also repeats what we want and Twilio has not done.  A call is dialled again only after Twilio,
asked by label, by conference and by number, has said that there is none.

A vehicle that is gone without our having hung up counts as cut off (``media_lost``), also when its network says that it
ended the call: by EN 16072 a car does not clear an emergency call, the centre does, and over the telephone a hang-up
and a dead spot look alike.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import structlog
from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter

from sos.calls.adapters.notices import names
from sos.calls.adapters.twilio import callbacks, sounds, twiml
from sos.calls.adapters.twilio.book import Book, Booked, Room
from sos.calls.adapters.twilio.copies import Copies
from sos.calls.adapters.twilio.monitor import Fork, Listening
from sos.calls.adapters.twilio.rest import Account, Rest, Unclear
from sos.calls.adapters.twilio.twiml import Conference, Urls
from sos.calls.legs import LegState, Reach, Report, after
from sos.calls.port import (
    TALKING,
    KeyPressed,
    LegDown,
    LegMode,
    LegQueued,
    LegRinging,
    LegUp,
    ProviderEvent,
    RecordingBegun,
    RecordingBroken,
    RecordingDone,
    RecordingFetched,
)
from sos.clock import Clock
from sos.errors import Malformed, Refused, SosError, Unavailable, Unknown
from sos.incident.model import IncidentId, LegId, Party, RecordingId, new_id
from sos.media.opus import Tone

log = structlog.get_logger()

QUEUED_FOR = timedelta(seconds=2)
"""How long a call may wait at Twilio for its turn before people are told: by default an account starts one call a
second, and what is above waits silently, for up to a day."""
EMPTY_FOR = timedelta(seconds=5)
"""How long a conference waits for somebody to come back before its recording is done."""
LOOK_AFTER = timedelta(seconds=1)
"""Between an order without an answer and the first look for what it did."""
WATCH_EVERY = timedelta(seconds=5)
"""Between two comparisons of the book with Twilio; callbacks are faster, and may be lost."""
CLOSE_WITHIN_S = 8.0
_CLOCKS_DIFFER_BY = timedelta(seconds=5)
_NAME = re.compile(r"[A-Za-z0-9-]{1,36}\Z")
_MOST_HEARD = 10_000


class Options(Struct, frozen=True, kw_only=True):
    """How this house uses its account."""

    account: Account
    caller: str
    """The number that people see who are called (E.164), one of the account's own."""
    urls: Urls
    fallback: str = ""
    """E.164 number where people sit when nothing of ours can take a call; empty: none."""
    mixing_region: str = ""
    ring_s: int = twiml.RING_S
    jitter_buffer: str = "small"
    place_within_s: float = 9.0
    """How long dialling may take with all looking for lost answers; other legs wait for it."""
    watch_every: timedelta = WATCH_EVERY
    look_after: timedelta = LOOK_AFTER
    empty_for: timedelta = EMPTY_FOR


class TwilioProvider:
    """See the port and the theory above.  Recordings lie in ``recordings/<incident>/<recording>/`` when done.

    With ``outlive`` people go on talking at Twilio when the provider is closed, and are found again by the next one.
    """

    name = "twilio"
    dials = True

    def __init__(self, options: Options, *, recordings: Path, book: Path, clock: Clock, outlive: bool = True) -> None:
        self._options = options
        self._rest = Rest(options.account)
        self._book = Book(book)
        self._clock = clock
        self._outlive = outlive
        self._events: asyncio.Queue[ProviderEvent | None] = asyncio.Queue()
        self._background: set[asyncio.Task[Any]] = set()
        self._copies = Copies(
            self._rest,
            self._book,
            directory=recordings,
            clock=clock,
            start=self._start,
            tell=self._events.put_nowait,
            save=self._save,
        )
        self._dialling: dict[LegId, asyncio.Lock] = {}
        self._listening: dict[LegId, Listening] = {}
        self._heard: dict[str, None] = {}
        self._unsaved: set[RecordingId] = set()
        self._open = False
        self.boot = new_id()
        self.metrics = CollectorRegistry()
        self._queued = Counter("sos_twilio_queued_legs", "Calls that waited for their turn", registry=self.metrics)
        self._forged = Counter("sos_twilio_strange_callbacks", "Callbacks about others' calls", registry=self.metrics)

    async def __aenter__(self) -> Self:
        await self._book.open()
        await self._rest.__aenter__()
        self._open = True
        for room in tuple(self._book.rooms.values()):
            self._copies.resume(room)
        self._start(self._watch_for_ever(), name="twilio watch")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._open:
            return
        self._open = False
        if not self._outlive:
            await self._end_all()
        while self._background:
            for task in self._background:
                task.cancel()
            await asyncio.wait(self._background)
        await self._rest.__aexit__(kind, error, trace)
        self._events.put_nowait(None)

    # --- legs -------------------------------------------------------------------------------------------------------

    async def accept(self, *, incident: IncidentId, leg: LegId, party: Party, who: str, offer: str, key: bytes) -> str:
        """A browser reaches Twilio with Twilio's own SDK, not with an offer to us: always ``Unavailable``."""
        raise Unavailable("this house telephones through Twilio: join by the desk's telephone or Twilio's Voice SDK")

    async def place(self, *, incident: IncidentId, leg: LegId, party: Party, who: str, number: str, key: bytes) -> None:
        """See the port.  Also ``Refused`` when ``leg`` is already somebody else's."""
        room = await self._booking(incident, leg=leg, party=party, who=who, key=key)
        booked = room.legs[leg]
        async with self._dialling.setdefault(leg, asyncio.Lock()):
            if booked.call or booked.over:
                return
            try:
                async with asyncio.timeout(self._options.place_within_s):
                    await self._dial(room, booked, number)
            except TimeoutError as late:
                raise Unavailable("Twilio does not say in time whether it has dialled") from late

    async def admit(
        self, *, incident: IncidentId, leg: LegId, party: Party, who: str, call: str, key: bytes | None
    ) -> str:
        """TwiML that takes a call which reached us into the incident's conference.

        ``call`` is Twilio's id of it.  Without ``key`` its recording waits at Twilio until ``recover``.  ``Refused``
        when the leg is another call's, ``Malformed`` for an impossible id.
        """
        room = await self._booking(incident, leg=leg, party=party, who=who, key=key)
        booked = room.legs[leg]
        if booked.call not in ("", call):
            raise Refused("this leg is another call's")
        if not booked.call:
            booked.call, booked.called_us = call, True
            await self._save(room)
        return self._conference(room).answered(leg, party=party)

    async def set_mode(self, leg: LegId, mode: LegMode) -> None:
        """See the port.  ``Unavailable`` when Twilio does not do it in time; it is tried again until it does."""
        if (found := self._book.find(leg)) is None or found[1].over:
            return
        room, booked = found
        if booked.mode == mode and booked.mode_set:
            return
        booked.mode, booked.mode_set = mode, False
        await self._book.save(room)
        if booked.state.reach is Reach.UP:
            await self._apply_mode(room, booked)

    async def announce(self, leg: LegId, notice: str) -> None:
        if notice not in names():
            raise Malformed("there is no notice of this name", field="notice")
        if (found := self._book.find(leg)) is None or found[1].state.reach is not Reach.UP:
            return
        room, booked = found
        url = self._options.urls.notice(notice)
        await self._rest.change(room.conference, booked.leg, announce_url=url, announce_method="POST")

    async def end(self, leg: LegId) -> None:
        """See the port; an order that Twilio does not take is repeated by ``watch``."""
        if (found := self._book.find(leg)) is None or found[1].over:
            return
        await self._leave(*found, reason="ended")

    async def finish(self, incident: IncidentId) -> None:
        """See the port; what Twilio does not end at once is ended by ``watch``."""
        room = self._book.current(incident)
        if room is not None:
            await self._finish(room, reason="ended")

    async def legs(self) -> tuple[LegUp, ...]:
        """Who is up, as Twilio says now; ``Unavailable`` when it does not say."""
        return tuple([leg async for leg in self._up_at_twilio()])

    # --- recordings -------------------------------------------------------------------------------------------------

    async def unsealed(self) -> list[tuple[IncidentId, RecordingId]]:
        rooms = self._book.rooms.values()
        return [(room.incident, room.recording) for room in rooms if self._copies.left(room)]

    async def writing(self) -> frozenset[RecordingId]:
        rooms = [room for room in self._book.rooms.values() if room.begun and not room.sealed]
        return frozenset(room.recording for room in rooms if not self._copies.left(room))

    async def recover(
        self, incident: IncidentId, recording: RecordingId, key: bytes
    ) -> RecordingDone | RecordingBroken:
        """See the port.  What Twilio is still working on is told as broken and, once it comes, as done."""
        return await self._copies.recover(incident, recording, key)

    async def events(self) -> AsyncIterator[ProviderEvent]:
        """Everything that happens; a copy at Twilio is deleted once the journal has that we hold it."""
        while (event := await self._events.get()) is not None:
            yield event
            if isinstance(event, RecordingFetched) and self._open:
                self._copies.journaled(event)

    def keep_key(self, incident: IncidentId, key: bytes) -> None:
        """The key of an incident whose call was taken in before the journal had it."""
        self._copies.keep_key(incident, key)

    # --- what Twilio tells (``sos.calls.webhooks``) -------------------------------------------------------------------

    def new_to_us(self, token: str) -> bool:
        """Whether a callback of this token has not been seen.  A repeat after a restart is harmless (see ``legs``)."""
        if token in self._heard:
            return False
        self._heard[token] = None
        while len(self._heard) > _MOST_HEARD:
            del self._heard[next(iter(self._heard))]
        return True

    def heard_of_leg(self, leg: LegId, form: Mapping[str, str]) -> None:
        """A status callback of a call."""
        reports = callbacks.of_call(form)
        if reports and (found := self._own(leg, form.get("CallSid", ""))) is not None:
            self._tell(*found, *reports)

    def heard_of_conference(self, recording: RecordingId, form: Mapping[str, str]) -> None:
        """A conference callback, about one participant or the whole."""
        room = self._book.rooms.get(recording)
        if room is None:
            return
        label, reports = LegId(form.get("ParticipantLabel", "")), callbacks.of_conference(form)
        if label in room.legs and reports:
            if (found := self._own(label, form.get("CallSid", ""))) is not None:
                room.conference = form.get("ConferenceSid", "") or room.conference
                self._tell(*found, *reports)
        elif form.get("StatusCallbackEvent") == "conference-end":
            self._start(self._look_at(room), name="twilio look")

    def heard_of_recording(self, leg: LegId, form: Mapping[str, str]) -> None:
        """A recording callback: what is told is asked for, never believed."""
        found = self._own(leg, form.get("CallSid", ""))
        if found is None or form.get("RecordingStatus") not in callbacks.FINAL:
            return
        self._copies.heard(found[0], leg, absent=form["RecordingStatus"] == "absent")

    def fork(self, leg: LegId) -> Fork:
        """What takes the messages of a leg's Media Stream."""
        return Fork(partial(self._listen, leg), partial(self._pressed, leg), account=self._options.account.sid)

    def _listen(self, leg: LegId, call: str) -> Listening | None:
        if self._own(leg, call) is None:
            return None
        return self._listening.setdefault(leg, Listening())

    def _pressed(self, leg: LegId, keys: str) -> None:
        if (found := self._book.find(leg)) is not None:
            self._events.put_nowait(KeyPressed(incident=found[0].incident, leg=leg, keys=keys))

    def listening(self, leg: LegId) -> Listening | None:
        """Level and last minute of a leg; None when its sound is not streamed to us."""
        return self._listening.get(leg)

    def booked(self, leg: LegId) -> LegState | None:
        """What is known of a leg; None for one that was never asked for."""
        found = self._book.find(leg)
        return found[1].state if found is not None else None

    # --- what Twilio asks for (``sos.calls.webhooks``) ----------------------------------------------------------------

    def while_waiting(self) -> str:
        """TwiML for who is alone in a conference."""
        return twiml.waiting(self._options.urls, sound=Tone.RING)

    def while_held(self) -> str:
        """TwiML for who is held."""
        return twiml.waiting(self._options.urls, sound=Tone.HOLD)

    def notice(self, name: str) -> str:
        """TwiML that says a notice once; ``Unknown`` when there is none of that name."""
        if name not in names():
            raise Unknown("there is no notice of this name")
        return twiml.playing((self._options.urls.sound(name),))

    def sound(self, name: str) -> bytes:
        """A notice or a tone as WAV (mu-law, 8 kHz); ``Unknown`` when there is none of that name."""
        return sounds.wav(name)

    def to_people(self) -> str:
        """TwiML that goes past this service to people; ``Unavailable`` when no number is set for that."""
        if not self._options.fallback:
            raise Unavailable("there is no twilio.fallback number")
        return twiml.to_people(self._options.fallback, caller=self._options.caller)

    def turned_away(self) -> str:
        return twiml.turned_away()

    # --- dialling ---------------------------------------------------------------------------------------------------

    async def _booking(self, incident: IncidentId, *, leg: LegId, party: Party, who: str, key: bytes | None) -> Room:
        """The room with the leg booked in it, on the disk: intent before effect."""
        if not self._open:
            raise Unavailable("the voice service is closed")
        if not (_NAME.match(leg) and _NAME.match(incident)):
            raise Malformed("leg and incident ids have up to 36 letters, digits and hyphens", field="Leg-Id")
        if (found := self._book.find(leg)) is not None:
            room, booked = found
            if (room.incident, booked.party, booked.who) != (incident, party, who):
                raise Refused("this leg is somebody else's")
            self._copies.keep_key(incident, key)
            return room
        room = self._book.current(incident) or Room(incident=incident, recording=RecordingId(new_id()))
        room.legs[leg] = Booked(leg=leg, party=party, who=who, asked_at=self._clock.now())
        self._copies.keep_key(incident, key)
        try:
            await self._book.save(room)
        except OSError as full:  # rescue is never blocked: dialled all the same, and looked for by label at a repeat
            log.error("twilio_book_unwritten", incident=incident, error=type(full).__name__)
            self._book.rooms[room.recording] = room
        return room

    async def _dial(self, room: Room, booked: Booked, number: str) -> None:
        """Have Twilio call; twice at most, and the second time only when there is no first call."""
        for _ in range(2):
            if booked.unclear:
                await self._clock.wait(self._options.look_after)
                if booked.call or await self._found(room, booked, number):
                    return
            booked.unclear = True
            options = self._conference(room).dialled(booked.leg, caller=self._options.caller, number=number)
            try:
                placed = await self._rest.dial(room.incident, options)
            except Unclear as lost:
                log.warning("twilio_dial_unclear", incident=room.incident, leg=booked.leg, reason=str(lost))
                continue
            except SosError:
                booked.unclear = False
                raise
            room.conference = room.conference or placed.conference
            self._has_call(room, booked, placed.call)
            if placed.queued_ms > QUEUED_FOR / timedelta(milliseconds=1):
                self._alarm_queued(room, booked, placed.queued_ms)
            return
        if not booked.call:
            raise Unavailable("Twilio does not say whether it has dialled")

    async def _found(self, room: Room, booked: Booked, number: str) -> bool:
        """Whether Twilio made the call that we got no answer for.  ``Unavailable`` when it does not say that either."""
        for conference, _ in await self._rest.conferences(room.incident):
            if (seen := await self._rest.participant(conference, booked.leg)) is not None:
                room.conference = conference
                self._has_call(room, booked, seen.call)
                return True
        since = booked.asked_at - _CLOCKS_DIFFER_BY
        known = self._book.calls()
        for call, status in await self._rest.calls_to(number, since=since):  # over already, so in no conference
            if call not in known:
                self._has_call(room, booked, call)
                self._tell(room, booked, *callbacks.of_status(status))
                return True
        return False

    def _has_call(self, room: Room, booked: Booked, call: str) -> None:
        if booked.call:
            return
        booked.call, booked.unclear = call, False
        self._tell(room, booked, Report(reach=Reach.QUEUED))
        self._start(self._watch_queue(room, booked), name="twilio queue")

    async def _watch_queue(self, room: Room, booked: Booked) -> None:
        """Twilio's queue is silent: whoever waits longer than ``QUEUED_FOR`` is told of."""
        await self._clock.wait(QUEUED_FOR)
        if booked.state.reach is Reach.QUEUED:
            with suppress(Unavailable):
                await self._ask_after(room, booked)
        if booked.state.reach is Reach.QUEUED and not booked.leaving:
            self._alarm_queued(room, booked, QUEUED_FOR // timedelta(milliseconds=1))

    def _alarm_queued(self, room: Room, booked: Booked, queued_ms: int) -> None:
        if not booked.alarmed:
            booked.alarmed = True
            self._queued.inc()
            log.error("twilio_leg_queued", incident=room.incident, leg=booked.leg, queued_ms=queued_ms)
            self._events.put_nowait(LegQueued(incident=room.incident, leg=booked.leg, queued_ms=queued_ms))

    def _conference(self, room: Room) -> Conference:
        return Conference(
            incident=room.incident,
            recording=room.recording,
            urls=self._options.urls,
            region=self._options.mixing_region,
            ring_s=self._options.ring_s,
            jitter_buffer=self._options.jitter_buffer,
        )

    # --- reports ----------------------------------------------------------------------------------------------------

    def _own(self, leg: LegId, call: str) -> tuple[Room, Booked] | None:
        """The booking of a leg, if ``call`` is its call; anything else touches nothing."""
        found = self._book.find(leg)
        if found is None or (found[1].call and found[1].call != call) or not call:
            self._forged.inc()
            log.warning("twilio_callback_strange", leg=leg, known=found is not None)
            return None
        if not found[1].call:  # the answer to our order was lost, or is not read yet
            self._has_call(*found, call)
        return found

    def _tell(self, room: Room, booked: Booked, *reports: Report) -> None:
        """Fold reports in and tell what is new by them."""
        for report in reports:
            before = booked.state
            booked.state = now = after(before, report)
            if now == before:
                continue
            self._save_soon(room)
            if now.reach is before.reach:
                continue
            match now.reach:
                case Reach.RINGING:
                    self._events.put_nowait(LegRinging(incident=room.incident, leg=booked.leg))
                case Reach.UP:
                    self._came_up(room, booked)
                case Reach.OVER:
                    self._went_down(room, booked)

    def _came_up(self, room: Room, booked: Booked) -> None:
        if not room.begun:
            room.begun = True
            self._events.put_nowait(RecordingBegun(incident=room.incident, recording=room.recording))
        up = LegUp(incident=room.incident, leg=booked.leg, party=booked.party, who=booked.who)
        self._events.put_nowait(up)
        booked.mode_set = booked.mode == TALKING
        self._start(self._settle_leg(room, booked), name="twilio leg")

    def _went_down(self, room: Room, booked: Booked) -> None:
        self._listening.pop(booked.leg, None)
        down = LegDown(incident=room.incident, leg=booked.leg, party=booked.party, reason=_why(booked))
        self._events.put_nowait(down)
        if not room.over and not any(each.here for each in room.legs.values()):
            self._start(self._end_when_still_empty(room), name="twilio empty")

    async def _settle_leg(self, room: Room, booked: Booked) -> None:
        """What a leg that has just come up still needs; the call does not wait for it."""
        if not booked.mode_set:
            with suppress(SosError):
                await self._apply_mode(room, booked)
        if booked.called_us:  # its TwiML has begun the stream
            return
        url = self._options.urls.stream(room.incident, booked.leg)
        with suppress(SosError):
            await self._rest.fork(booked.call, url=url, name=f"{booked.party}-{booked.leg}")

    async def _apply_mode(self, room: Room, booked: Booked) -> None:
        """Until Twilio says that it is so: an update that is answered and not done has been seen."""
        if not room.conference:
            raise Unavailable("Twilio has not said which conference this is")
        wanted = self._participant_of(room, booked.mode)
        for _ in range(2):
            seen = await self._rest.change(room.conference, booked.leg, **wanted)
            if seen is None:  # gone meanwhile; its end is told by a callback or by the watch
                return
            seen = await self._rest.participant(room.conference, booked.leg) or seen
            if (seen.held, seen.muted, seen.coaching) == (
                wanted["hold"],
                wanted["muted"],
                wanted.get("call_sid_to_coach", ""),
            ):
                booked.mode_set = True
                self._save_soon(room)
                return
        raise Unavailable("Twilio does not do what it says it did")

    def _participant_of(self, room: Room, mode: LegMode) -> dict[str, Any]:
        coached = room.legs.get(mode.coaching) if mode.coaching else None
        coaching = {"coaching": True, "call_sid_to_coach": coached.call} if coached else {"coaching": False}
        held = {"hold": mode.held, "hold_url": self._options.urls.hold(), "hold_method": "POST"}
        return {"muted": mode.muted, **held, **coaching}

    # --- ending -----------------------------------------------------------------------------------------------------

    async def _leave(self, room: Room, booked: Booked, *, reason: str) -> None:
        booked.leaving = reason
        await self._book.save(room)
        if not booked.call:
            return
        try:
            await self._rest.hang_up(booked.call)
        except SosError as away:
            log.warning("twilio_leg_not_ended", incident=room.incident, leg=booked.leg, reason=str(away))
            return
        self._tell(room, booked, Report(reach=Reach.OVER, why="ended"))

    async def _finish(self, room: Room, *, reason: str) -> None:
        present = [booked for booked in room.legs.values() if booked.here]
        for booked in present:
            booked.leaving = reason
        room.over = True
        await self._book.save(room)
        try:
            if room.conference:
                await self._rest.end_conference(room.conference)
            for booked in present:
                await self._rest.hang_up(booked.call)  # one that rings is in no conference yet
        except SosError as away:
            log.warning("twilio_conference_not_ended", incident=room.incident, reason=str(away))
            return
        for booked in present:
            self._tell(room, booked, Report(reach=Reach.OVER, why="ended"))
        self._over(room)

    async def _end_when_still_empty(self, room: Room) -> None:
        await self._clock.wait(self._options.empty_for)
        if room.over or any(each.here for each in room.legs.values()):
            return
        if any(lock.locked() for leg, lock in self._dialling.items() if leg in room.legs):
            return
        room.over = True
        await self._save(room)
        self._over(room)

    def _over(self, room: Room) -> None:
        """Nobody is left."""
        if room.begun:
            self._copies.over(room)
        else:
            self._save_soon(room)

    async def _end_all(self) -> None:
        """The end of a house that takes its callers with it."""
        for room in tuple(self._book.rooms.values()):
            if not room.over:
                await self._finish(room, reason="shutdown")
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_WITHIN_S):
                await self._copies.all_sealed()

    # --- watching ---------------------------------------------------------------------------------------------------

    async def _watch_for_ever(self) -> None:
        while True:
            await self._clock.wait(self._options.watch_every)
            for room in tuple(self._book.rooms.values()):
                try:
                    await self._look_at(room)
                except SosError as away:
                    log.info("twilio_not_compared", incident=room.incident, reason=str(away))

    async def _look_at(self, room: Room) -> None:
        """Compare one room with Twilio: what was not told is learnt, what was not done is ordered again."""
        await self._compare_legs(room)
        for booked in tuple(room.legs.values()):
            if booked.here and booked.leaving:
                await self._leave(room, booked, reason=booked.leaving)
            elif booked.state.reach is Reach.UP and not booked.mode_set:
                await self._apply_mode(room, booked)
        if not any(each.here for each in room.legs.values()):
            await self._copies.look_at(room)

    async def _compare_legs(self, room: Room) -> None:
        waiting = [booked for booked in room.legs.values() if booked.here]
        if not waiting:
            return
        seen = {each.label: each for each in await self._rest.participants(room.conference)} if room.conference else {}
        for booked in waiting:
            report = callbacks.PARTICIPANT.get(seen[booked.leg].status) if booked.leg in seen else None
            if report is not None:
                self._tell(room, booked, report)
            else:
                await self._ask_after(room, booked)

    async def _ask_after(self, room: Room, booked: Booked) -> None:
        """What its call says of a leg; a call that Twilio does not know is over."""
        status = await self._rest.call_status(booked.call)
        gone = (Report(reach=Reach.OVER, why="failed"),)
        self._tell(room, booked, *(gone if status is None else callbacks.of_status(status)))

    async def _up_at_twilio(self) -> AsyncIterator[LegUp]:
        names_of = {room.incident for room in self._book.rooms.values()}
        for conference, name in await self._rest.conferences():
            if name not in names_of:
                continue
            for seen in await self._rest.participants(conference):
                found = self._book.find(LegId(seen.label))
                if found is None or seen.status != "connected":
                    continue
                room, booked = found
                yield LegUp(incident=room.incident, leg=booked.leg, party=booked.party, who=booked.who)

    # --- work beside the call ----------------------------------------------------------------------------------------

    def _save_soon(self, room: Room) -> None:
        """Once for everything that happens until the disk has been asked."""
        if room.recording not in self._unsaved:
            self._unsaved.add(room.recording)
            self._start(self._save(room), name="twilio book")

    async def _save(self, room: Room) -> None:
        self._unsaved.discard(room.recording)
        try:
            await self._book.save(room)
        except OSError as full:
            log.error("twilio_book_unwritten", incident=room.incident, error=type(full).__name__)

    def _start(self, work: Coroutine[Any, Any, Any], *, name: str) -> "asyncio.Task[Any]":
        task = asyncio.create_task(work, name=name)
        self._background.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: "asyncio.Task[Any]") -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("twilio_work_died", task=task.get_name(), exc_info=error)


def _why(booked: Booked) -> str:
    """Why a leg is gone, in the port's words; see the theory for vehicles."""
    if booked.leaving:
        return booked.leaving
    if not booked.state.was_up:
        return "no_answer" if booked.state.why == "ended" else booked.state.why
    return "media_lost" if booked.party is Party.VEHICLE else booked.state.why
