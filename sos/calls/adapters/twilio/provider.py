"""``TelephonyProvider`` over Twilio: conferences there, every leg with our id as its label, the truth asked for.

**Theory.**  Three things can differ: what we want (the store), what Twilio does, and what Twilio tells.  What it tells
is folded into ``sos.calls.legs``, so callbacks may come twice, late, in any order, or not at all; what is lost is asked
for by ``reconcile``, which also repeats what we want and Twilio has not done.  A call is dialled again only after
Twilio, asked by label, by conference and by number, has said that there is none.

One question to a file: ``dialling`` calls somebody once, ``progress`` knows how far a leg has come and tells it,
``participants`` has those who are up held, muted or gone, ``reconcile`` compares, ``copies`` brings recordings home.
"""

import re
from collections.abc import AsyncIterator, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from prometheus_client import CollectorRegistry

from sos.calls.adapters.notices import names
from sos.calls.adapters.twilio import callbacks, sounds, twiml
from sos.calls.adapters.twilio.context import Context, Options
from sos.calls.adapters.twilio.copies import Copies
from sos.calls.adapters.twilio.dialling import Dialling
from sos.calls.adapters.twilio.leg_store import Room, StoredLeg
from sos.calls.adapters.twilio.monitor import Fork, Listening
from sos.calls.adapters.twilio.participants import Participants
from sos.calls.adapters.twilio.played_sounds import PlayedSounds
from sos.calls.adapters.twilio.progress import CallProgress
from sos.calls.adapters.twilio.reconcile import Reconciler
from sos.calls.legs import LegState, Reach
from sos.calls.port import (
    TALKING,
    KeyPressed,
    LegMode,
    LegUp,
    Level,
    ProviderEvent,
    RecordingBroken,
    RecordingDone,
    RecordingFetched,
    Sound,
)
from sos.clock import Clock
from sos.errors import Malformed, Refused, SosError, Unavailable, Unknown
from sos.incident.model import IncidentId, LegId, Party, RecordingId, new_id
from sos.media.opus import Tone

_NAME = re.compile(r"[A-Za-z0-9-]{1,36}\Z")
_MOST_HEARD = 10_000
_MOST_SAID = 50
"""Made speeches of one leg that are remembered so that none is played twice."""


class TwilioProvider:
    """See the port and the theory above.  Recordings lie in ``recordings/<incident>/<recording>/`` when done.

    With ``outlive`` people go on talking at Twilio when the provider is closed, and are found again by the next one.
    """

    name = "twilio"
    dials = True

    def __init__(self, options: Options, *, recordings: Path, store: Path, clock: Clock, outlive: bool = True) -> None:
        self._options = options
        self._outlive = outlive
        self.metrics = CollectorRegistry()
        self._context = context = Context(options, store=store, clock=clock)
        self._store = context.store
        self._copies = Copies(
            context.rest,
            context.store,
            directory=recordings,
            clock=clock,
            start=context.start,
            tell=context.tell,
            save=context.save,
        )
        self._progress = CallProgress(context, metrics=self.metrics)
        self._dialling = Dialling(context, self._progress)
        self._participants = Participants(context, self._progress, self._dialling, self._copies)
        self._reconciler = Reconciler(context, self._progress, self._participants, self._copies)
        self._progress.came_up = self._participants.settle
        self._progress.went_down = self._went_down
        self._played = PlayedSounds(clock)
        self._listening: dict[LegId, Listening] = {}
        self._heard: dict[str, None] = {}
        self._open = False
        self.boot = new_id()

    async def __aenter__(self) -> Self:
        await self._store.open()
        await self._context.rest.__aenter__()
        self._open = True
        for room in tuple(self._store.rooms.values()):
            self._copies.resume(room)
        self._context.start(self._reconciler.run(), name="twilio reconciliation")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._open:
            return
        self._open = False
        if not self._outlive:
            await self._participants.end_all()
        await self._context.stop()
        await self._context.rest.__aexit__(kind, error, trace)
        self._context.events.put_nowait(None)

    # --- legs -------------------------------------------------------------------------------------------------------

    async def accept(self, *, incident: IncidentId, leg: LegId, party: Party, who: str, offer: str, key: bytes) -> str:
        """A browser reaches Twilio with Twilio's own SDK, not with an offer to us: always ``Unavailable``."""
        raise Unavailable("this house telephones through Twilio: join by the desk's telephone or Twilio's Voice SDK")

    async def trickle(self, leg: LegId, *, ufrag: str, candidates: tuple[str, ...]) -> None:
        """It takes no offers: always ``Unavailable``."""
        raise Unavailable("this house telephones through Twilio, which takes no offers here")

    async def place(
        self,
        *,
        incident: IncidentId,
        leg: LegId,
        party: Party,
        who: str,
        number: str,
        key: bytes,
        mode: LegMode = TALKING,
    ) -> None:
        """See the port.  Also ``Refused`` when ``leg`` is already somebody else's."""
        room = await self._booking(incident, leg=leg, party=party, who=who, key=key)
        stored = room.legs[leg]
        if mode != stored.mode == TALKING and not stored.call:
            stored.mode, stored.mode_set = mode, False
            self._context.save_soon(room)
        await self._dialling.place(room, stored, number)

    async def admit(
        self, *, incident: IncidentId, leg: LegId, party: Party, who: str, call: str, key: bytes | None
    ) -> str:
        """TwiML that takes a call which reached us into the incident's conference.

        ``call`` is Twilio's id of it.  Without ``key`` its recording waits at Twilio until ``recover``.  ``Refused``
        when the leg is another call's, ``Malformed`` for an impossible id.
        """
        room = await self._booking(incident, leg=leg, party=party, who=who, key=key, call=call)
        stored = room.legs[leg]
        if stored.call not in ("", call):
            raise Refused("this leg is another call's")
        if not stored.call:
            stored.call, stored.called_us = call, True
            await self._context.save(room)
        return self._context.conference(room).answered(leg, party=party)

    async def set_mode(self, leg: LegId, mode: LegMode) -> None:
        """See the port.  ``Unavailable`` when Twilio does not do it in time; it is tried again until it does."""
        if (found := self._here(leg)) is not None:
            await self._participants.want(*found, mode)

    async def announce(self, leg: LegId, notice: str) -> None:
        if notice not in names():
            raise Malformed("there is no notice of this name", field="notice")
        if (found := self._here(leg)) is None or found[1].state.reach is not Reach.UP:
            return
        room, stored = found
        url = self._options.urls.notice(notice)
        await self._context.rest.change(room.conference, stored.leg, announce_url=url, announce_method="POST")

    async def say(self, leg: LegId, sound: Sound) -> None:
        """See the port.  What is being said gives way to a new announcement, also to an empty one."""
        if (found := self._here(leg)) is None or found[1].state.reach is not Reach.UP or sound.id in found[1].said:
            return
        room, stored = found
        url = self._options.urls.played(await self._played.keep(sound))
        if await self._context.rest.change(room.conference, stored.leg, announce_url=url, announce_method="POST"):
            stored.said = [*stored.said[1 - _MOST_SAID :], sound.id]
            self._context.save_soon(room)

    async def move(
        self, leg: LegId, *, incident: IncidentId, as_leg: LegId, party: Party, who: str, key: bytes
    ) -> None:
        """See the port: the call is given the TwiML of one that has just come in there."""
        if (found := self._here(leg)) is None or found[1].state.reach is not Reach.UP:
            return
        room, stored = found
        to = await self._booking(incident, leg=as_leg, party=party, who=who, key=key, call=stored.call)
        try:
            await self._participants.move(room, stored, to, to.legs[as_leg])
        except SosError:
            to.legs[as_leg].state = LegState(reach=Reach.OVER, why="failed")
            self._context.save_soon(to)
            self._participants.end_if_empty(to)
            raise

    async def end(self, leg: LegId) -> None:
        """See the port; an order that Twilio does not take is repeated by ``reconcile``."""
        if (found := self._here(leg)) is not None:
            await self._participants.leave(*found, reason="ended")

    async def finish(self, incident: IncidentId) -> None:
        """See the port; what Twilio does not end at once is ended by ``reconcile``."""
        room = self._store.current(incident)
        if room is not None:
            await self._participants.finish(room, reason="ended")

    async def legs(self) -> tuple[LegUp, ...]:
        """Who is up, as Twilio says now; ``Unavailable`` when it does not say."""
        return tuple([leg async for leg in self._reconciler.up()])

    def stored(self, leg: LegId) -> LegState | None:
        """What is known of a leg; None for one that was never asked for."""
        found = self._store.find(leg)
        return found[1].state if found is not None else None

    def _here(self, leg: LegId) -> tuple[Room, StoredLeg] | None:
        """The entry of a leg that is not over."""
        found = self._store.find(leg)
        return found if found is not None and not found[1].over else None

    async def _booking(
        self, incident: IncidentId, *, leg: LegId, party: Party, who: str, key: bytes | None, call: str = ""
    ) -> Room:
        """The room with the leg stored in it, on the disk: intent before effect.  ``call``: the one that reached us."""
        if not self._open:
            raise Unavailable("the voice service is closed")
        if not (_NAME.match(leg) and _NAME.match(incident)):
            raise Malformed("leg and incident ids have up to 36 letters, digits and hyphens", field="Leg-Id")
        if (found := self._store.find(leg)) is not None:
            room, stored = found
            if (room.incident, stored.party, stored.who) != (incident, party, who):
                raise Refused("this leg is somebody else's")
            self._copies.keep_key(incident, key)
            return room
        room = self._store.current(incident) or Room(incident=incident, recording=RecordingId(new_id()))
        self._store.rooms[room.recording] = room  # before anybody waits, so that no second one is made beside it
        now = self._context.clock.now()
        room.legs[leg] = StoredLeg(leg=leg, party=party, who=who, asked_at=now, call=call, called_us=bool(call))
        self._copies.keep_key(incident, key)
        await self._context.save(room)  # rescue is never blocked: a full disk is told of, and the call goes on
        return room

    def _went_down(self, room: Room, stored: StoredLeg) -> None:
        self._listening.pop(stored.leg, None)
        self._participants.end_if_empty(room)

    # --- recordings -------------------------------------------------------------------------------------------------

    async def unsealed(self) -> list[tuple[IncidentId, RecordingId]]:
        rooms = self._store.rooms.values()
        return [(room.incident, room.recording) for room in rooms if self._copies.left(room)]

    async def writing(self) -> frozenset[RecordingId]:
        rooms = [room for room in self._store.rooms.values() if room.begun and not room.sealed]
        return frozenset(room.recording for room in rooms if not self._copies.left(room))

    async def recover(
        self, incident: IncidentId, recording: RecordingId, key: bytes
    ) -> RecordingDone | RecordingBroken:
        """See the port.  What Twilio is still working on is told as broken and, once it comes, as done."""
        return await self._copies.recover(incident, recording, key)

    async def events(self) -> AsyncIterator[ProviderEvent]:
        """Everything that happens; a copy at Twilio is deleted once the journal has that we hold it."""
        while (event := await self._context.events.get()) is not None:
            yield event
            if isinstance(event, RecordingFetched) and self._open:
                self._copies.journaled(event)

    def keep_key(self, incident: IncidentId, key: bytes) -> None:
        """The key of an incident whose call was taken in before the journal had it."""
        self._copies.keep_key(incident, key)

    # --- what Twilio tells (``webhooks``) -----------------------------------------------------------------------------

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
        if reports and (found := self._progress.own(leg, form.get("CallSid", ""))) is not None:
            self._progress.tell(*found, *reports)

    def heard_of_conference(self, recording: RecordingId, form: Mapping[str, str]) -> None:
        """A conference callback, about one participant or the whole."""
        room = self._store.rooms.get(recording)
        if room is None:
            return
        label, reports = LegId(form.get("ParticipantLabel", "")), callbacks.of_conference(form)
        if label in room.legs and reports:
            if (found := self._progress.own(label, form.get("CallSid", ""))) is not None:
                room.conference = form.get("ConferenceSid", "") or room.conference
                self._progress.tell(*found, *reports)
        elif form.get("StatusCallbackEvent") == "conference-end":
            self._context.start(self._reconciler.look_at(room), name="twilio look")

    def heard_of_recording(self, leg: LegId, form: Mapping[str, str]) -> None:
        """A recording callback: what is told is asked for, never believed."""
        found = self._progress.own(leg, form.get("CallSid", ""))
        if found is None or form.get("RecordingStatus") not in callbacks.FINAL:
            return
        self._copies.heard(found[0], leg, absent=form["RecordingStatus"] == "absent")

    def fork(self, leg: LegId) -> Fork:
        """What takes the messages of a leg's Media Stream."""
        own, pressed = partial(self._listen, leg), partial(self._pressed, leg)
        return Fork(own, pressed, account=self._options.account.sid, wanted=lambda: self._here(leg) is not None)

    def _listen(self, leg: LegId, call: str) -> Listening | None:
        if (found := self._progress.own(leg, call)) is None:
            return None
        return self._listening.setdefault(leg, Listening(partial(_is_ours, found[0])))

    def _pressed(self, leg: LegId, keys: str) -> None:
        if (found := self._store.find(leg)) is not None:
            self._context.tell(KeyPressed(incident=found[0].incident, leg=leg, keys=keys))

    def listening(self, leg: LegId) -> Listening | None:
        """Level and last minute of a leg; None when its sound is not streamed to us."""
        return self._listening.get(leg)

    def levels(self) -> tuple[Level, ...]:
        """How loud everybody was whose sound is streamed to us, since this was last asked."""
        heard = ((self._store.find(leg), leg, listening.read()) for leg, listening in self._listening.items())
        return tuple(Level(found[0].incident, leg, read.rms, read.peak) for found, leg, read in heard if found)

    # --- what Twilio asks for (``webhooks``) --------------------------------------------------------------------------

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

    def played(self, name: str) -> str:
        """TwiML that plays made speech once; ``Unknown`` when nobody may come for it any more."""
        return twiml.playing((self._options.urls.played_sound(name),) if self._played.wav(name) else ())

    def played_sound(self, name: str) -> bytes:
        """Made speech as WAV (mu-law, 8 kHz); ``Unknown`` when nobody may come for it any more."""
        return self._played.wav(name)

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


def _is_ours(room: Room) -> bool:
    """Whether we may listen: not once an agency is in the call and the last of our own legs has left it.

    From then on it is the communication of others, which is secret (Telecommunications Business Act Art. 4).
    """
    up = {stored.party for stored in room.legs.values() if stored.state.reach is Reach.UP}
    return Party.AGENCY not in up or bool(up & {Party.OPERATOR, Party.SUPERVISOR})
