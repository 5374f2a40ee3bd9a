"""The emulated world: people with telephones, calls, conferences, recordings, and what goes wrong on request."""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from sos.clock import SystemClock
from tests.twilio_emulator.sounds import Pcm, Stay, dual, played_to, said

_real = SystemClock()

AFTER_S = 0.02
"""How long an emulated person takes for anything."""


def sid(prefix: str) -> str:
    return prefix + secrets.token_hex(16)


@dataclass(slots=True, kw_only=True)
class Person:
    """Who has a number, and what they do when it rings."""

    seed: int = 1
    does: str = "answers"
    """``answers``, ``busy``, ``ignores`` (rings until the timeout) or ``fails`` (no such number)."""
    after_s: float = AFTER_S


@dataclass(slots=True, kw_only=True)
class Mischief:
    """What goes wrong; counters count down, shares are of all callbacks."""

    fail_after_doing: int = 0
    """Orders that are carried out and answered with 500."""
    fail_before_doing: int = 0
    """Orders that are answered with 500 and not carried out."""
    silent: int = 0
    """Orders that are carried out and never answered."""
    do_nothing: int = 0
    """Updates of participants that are answered with 200 and not carried out."""
    lose: float = 0.0
    double: float = 0.0
    shuffle: bool = False
    late_s: float = 0.0
    """Each callback comes up to so much later, in any order."""
    queue_s: float = 0.0
    """How long a call waits for its turn, as above one call a second."""
    random: Random = field(default_factory=lambda: Random(0))


@dataclass(slots=True, kw_only=True)
class Call:
    sid: str
    to: str
    from_: str
    direction: str
    seed: int
    status: str = "queued"
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    answered: float | None = None
    answered_at: datetime | None = None
    ended: float | None = None
    callback: str = ""
    events: tuple[str, ...] = ()
    sequence: int = 0
    queue_ms: int = 0
    recording: "Recording | None" = None
    sockets: list[Any] = field(default_factory=list)
    work: set["asyncio.Task[None]"] = field(default_factory=set)

    @property
    def over(self) -> bool:
        return self.status in ("completed", "busy", "failed", "no-answer", "canceled")


@dataclass(slots=True, kw_only=True)
class Recording:
    sid: str
    call: str
    began: datetime
    begin: float
    source: str
    callback: str
    status: str = "in-progress"
    duration_s: int = 0
    wav: bytes = b""


@dataclass(slots=True, kw_only=True)
class Participant:
    call: Call
    label: str
    joined: bool = False
    status: str = "queued"
    muted: bool = False
    hold: bool = False
    coaching: str = ""
    since: float = 0.0
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    announced: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Conference:
    sid: str
    name: str
    status: str = "init"
    reason: str | None = None
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    callback: str = ""
    """Of the first participant: only its settings count."""
    events: tuple[str, ...] = ()
    sequence: int = 0
    participants: dict[str, Participant] = field(default_factory=dict)
    stays: list[Stay] = field(default_factory=list)

    def by(self, name: str) -> Participant | None:
        """By call id or label."""
        found = self.participants.get(name)
        return found or next((each for each in self.participants.values() if each.label == name), None)


Send = Callable[[str, Mapping[str, str]], None]


class World:
    """State and rules.  ``send`` delivers one callback (address, parameters)."""

    def __init__(self, account: str, *, send: Send, now: Callable[[], float]) -> None:
        self.account = account
        self._send = send
        self.now = now
        self.people: dict[str, Person] = {}
        self.mischief = Mischief()
        self.calls: dict[str, Call] = {}
        self.conferences: dict[str, Conference] = {}
        self.recordings: dict[str, Recording] = {}
        self.deleted: list[str] = []
        self.dialled: list[tuple[str, str]] = []
        """Label and number of every call that was made by the interface."""
        self.started: list[tuple[str, str, str]] = []
        """Call, address and name of every stream asked for."""

    # --- calls ------------------------------------------------------------------------------------------------------

    def person(self, number: str) -> Person:
        return self.people.setdefault(number, Person(seed=1 + len(self.people)))

    def conference(self, name: str) -> Conference:
        """The conference of that name (or id) that is not over, or a new one."""
        if name in self.conferences:
            return self.conferences[name]
        for each in self.conferences.values():
            if each.name == name and each.status != "completed":
                return each
        made = Conference(sid=sid("CF"), name=name)
        self.conferences[made.sid] = made
        return made

    def invite(self, name: str, form: Mapping[str, str], events: Mapping[str, tuple[str, ...]]) -> Participant:
        """As POST Participants: a call into a conference."""
        conference = self.conference(name)
        number = form["To"]
        call = Call(
            sid=sid("CA"),
            to=number,
            from_=form["From"],
            direction="outbound-api",
            seed=self.person(number).seed,
            callback=form.get("StatusCallback", ""),
            events=events.get("StatusCallbackEvent", ("completed",)),
            queue_ms=round(self.mischief.queue_s * 1000),
        )
        self.calls[call.sid] = call
        label = form.get("Label", "")
        self.dialled.append((label, number))
        participant = Participant(call=call, label=label, muted=form.get("Muted") == "true")
        conference.participants[call.sid] = participant
        self._first_counts(conference, form, events)
        recorded = form.get("RecordingStatusCallback", "") if form.get("Record") == "true" else None
        self.work(call, self._ring(conference, participant, recorded, timeout_s=float(form.get("Timeout", "60"))))
        return participant

    def _first_counts(
        self, conference: Conference, form: Mapping[str, str], events: Mapping[str, tuple[str, ...]]
    ) -> None:
        if not conference.callback:
            conference.callback = form.get("ConferenceStatusCallback", "")
            conference.events = events.get("ConferenceStatusCallbackEvent", ("start", "end"))

    async def _ring(
        self, conference: Conference, participant: Participant, recorded: str | None, *, timeout_s: float
    ) -> None:
        call, person = participant.call, self.person(participant.call.to)
        await self.pass_time(self.mischief.queue_s)
        self.become(call, "initiated")
        participant.status = "connecting"
        await self.pass_time(person.after_s)
        if person.does in ("busy", "fails"):
            self.finish(call, "busy" if person.does == "busy" else "failed")
            return
        call.status = "ringing"
        participant.status = "ringing"
        self.become(call, "ringing")
        await self.pass_time(timeout_s if person.does == "ignores" else person.after_s)
        if person.does == "ignores":
            self.finish(call, "no-answer")
            return
        self.answer(call)
        if recorded is not None:
            self.record(call, recorded, source="OutboundAPI")
        self.join(conference, participant)

    def answer(self, call: Call) -> None:
        call.answered, call.answered_at = self.now(), datetime.now(UTC)
        call.status = "in-progress"
        self.become(call, "in-progress")

    def become(self, call: Call, status: str) -> None:
        """Tell our webhook of a call's new status, when it wants to know."""
        event = {"initiated": "initiated", "ringing": "ringing", "in-progress": "answered"}.get(status, "completed")
        if call.callback and event in call.events:
            self._send(
                call.callback,
                {
                    "CallSid": call.sid,
                    "AccountSid": self.account,
                    "From": call.from_,
                    "To": call.to,
                    "CallStatus": status,
                    "ApiVersion": "2010-04-01",
                    "Direction": call.direction,
                    "SequenceNumber": str(call.sequence),
                    "Timestamp": _rfc2822(datetime.now(UTC)),
                    "CallbackSource": "call-progress-events",
                    "ForwardedFrom": "",
                },
            )
        call.sequence += 1

    def finish(self, call: Call, status: str = "completed") -> None:
        """A call is over, whoever ended it."""
        if call.over:
            return
        call.ended, call.status = self.now(), status
        self.leave_conferences(call)
        if call.recording is not None:
            self._complete(call, call.recording)
        self.become(call, status)
        for task in tuple(call.work):
            if task is not asyncio.current_task():
                task.cancel()

    def leave_conferences(self, call: Call) -> None:
        """It is over, or does something else now."""
        for conference in tuple(self.conferences.values()):
            if (participant := conference.participants.get(call.sid)) is not None:
                self.leave(conference, participant)

    # --- conferences ------------------------------------------------------------------------------------------------

    def join(self, conference: Conference, participant: Participant) -> None:
        participant.joined, participant.since, participant.status = True, self.now(), "connected"
        if conference.status == "init":
            conference.status = "in-progress"
            self._of_conference(conference, "conference-start", "start")
        self._of_conference(conference, "participant-join", "join", participant)

    def change(self, conference: Conference, participant: Participant, form: Mapping[str, str]) -> None:
        """As POST Participant."""
        if self.mischief.do_nothing > 0:
            self.mischief.do_nothing -= 1
            return
        self._note(conference, participant)
        if "Muted" in form:
            participant.muted = form["Muted"] == "true"
            self._of_conference(conference, "participant-mute", "mute", participant)
        if "Hold" in form:
            participant.hold = form["Hold"] == "true"
            self._of_conference(conference, "participant-hold", "hold", participant)
        if "Coaching" in form:
            participant.coaching = form["CallSidToCoach"] if form["Coaching"] == "true" else ""
            self._of_conference(conference, "participant-modify", "modify", participant)
        if "AnnounceUrl" in form:
            participant.announced.append(form["AnnounceUrl"])

    def leave(self, conference: Conference, participant: Participant) -> None:
        if participant.joined:
            self._note(conference, participant)
        was_joined, participant.joined = participant.joined, False
        del conference.participants[participant.call.sid]
        if was_joined:
            self._of_conference(conference, "participant-leave", "leave", participant)
        if conference.status == "in-progress" and not any(each.joined for each in conference.participants.values()):
            self.end(conference, "last-participant-left")

    def end(self, conference: Conference, reason: str) -> None:
        if conference.status == "completed":
            return
        conference.status, conference.reason = "completed", reason
        for participant in tuple(conference.participants.values()):
            self.finish(participant.call)
        self._of_conference(conference, "conference-end", "end")

    def _note(self, conference: Conference, participant: Participant) -> None:
        """Close the stretch that ends now."""
        now = self.now()
        conference.stays.append(
            Stay(
                call=participant.call.sid,
                begin=participant.since,
                end=now,
                muted=participant.muted,
                held=participant.hold,
                coached=participant.coaching,
            )
        )
        participant.since = now

    def _of_conference(
        self, conference: Conference, event: str, wanted: str, participant: Participant | None = None
    ) -> None:
        conference.sequence += 1
        if not conference.callback or wanted not in conference.events:
            return
        told = {
            "ConferenceSid": conference.sid,
            "FriendlyName": conference.name,
            "AccountSid": self.account,
            "SequenceNumber": str(conference.sequence),
            "Timestamp": _rfc2822(datetime.now(UTC)),
            "StatusCallbackEvent": event,
        }
        if participant is not None:
            told |= {
                "CallSid": participant.call.sid,
                "ParticipantLabel": participant.label,
                "Muted": str(participant.muted).lower(),
                "Hold": str(participant.hold).lower(),
                "Coaching": str(bool(participant.coaching)).lower(),
                "EndConferenceOnExit": "false",
                "StartConferenceOnEnter": "true",
            }
            if event == "participant-leave":
                told |= {
                    "ParticipantCallStatus": participant.call.status,
                    "ReasonParticipantLeft": "participant_hung_up",
                }
        self._send(conference.callback, told)

    # --- recordings -------------------------------------------------------------------------------------------------

    def record(self, call: Call, callback: str, *, source: str) -> Recording:
        call.recording = Recording(
            sid=sid("RE"),
            call=call.sid,
            began=datetime.now(UTC),
            begin=self.now(),
            source=source,
            callback=callback,
        )
        self.recordings[call.recording.sid] = call.recording
        self._of_recording(call.recording)
        return call.recording

    def stop_recording(self, call: Call) -> None:
        """The call goes on."""
        if call.recording is not None:
            self._complete(call, call.recording)
            call.recording = None

    def _complete(self, call: Call, recording: Recording) -> None:
        end = self.now() if call.ended is None else call.ended
        left, right = self.channels_of(call, recording, end=end)
        recording.wav = dual(left, right)
        recording.duration_s = max(1, round(end - recording.begin))
        recording.status = "completed"
        self._of_recording(recording)

    def channels_of(self, call: Call, recording: Recording, *, end: float) -> tuple[Pcm, Pcm]:
        assert call.answered is not None
        begin = recording.begin
        stays = [stay for conference in self.conferences.values() for stay in conference.stays]
        for conference in self.conferences.values():  # those who are still there
            for each in conference.participants.values():
                if each.joined:
                    stays.append(
                        Stay(
                            call=each.call.sid,
                            begin=each.since,
                            end=end,
                            muted=each.muted,
                            held=each.hold,
                            coached=each.coaching,
                        )
                    )
        people = {each.sid: (each.seed, each.answered) for each in self.calls.values() if each.answered is not None}
        own = said(call.seed, begin=begin - call.answered, end=end - call.answered)
        return own, played_to(call.sid, stays, begin=begin, end=end, people=people)

    def _of_recording(self, recording: Recording) -> None:
        if recording.callback:
            self._send(
                recording.callback,
                {
                    "AccountSid": self.account,
                    "CallSid": recording.call,
                    "RecordingSid": recording.sid,
                    "RecordingUrl": f"https://api.twilio.com/2010-04-01/Accounts/{self.account}/Recordings/{recording.sid}",
                    "RecordingStatus": recording.status,
                    "RecordingDuration": str(recording.duration_s),
                    "RecordingChannels": "2",
                    "RecordingStartTime": _rfc2822(recording.began),
                    "RecordingSource": recording.source,
                    "RecordingTrack": "both",
                },
            )

    # --- time -------------------------------------------------------------------------------------------------------

    def work(self, call: Call, doing: Any) -> None:
        task = asyncio.create_task(doing)
        call.work.add(task)
        task.add_done_callback(call.work.discard)

    async def pass_time(self, seconds: float) -> None:
        if seconds > 0:
            await _real.wait(timedelta(seconds=seconds))


def _rfc2822(at: datetime) -> str:
    return at.strftime("%a, %d %b %Y %H:%M:%S +0000")
