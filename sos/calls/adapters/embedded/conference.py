"""One incident's conference: who sits in it, who hears whom (``matrix``), and what of it is recorded.

A leg that hears one other hears that one's own Opus packets, untouched.  A leg that hears several, or a notice, gets
a mix made for it in a 20 ms tick.  One that hears nobody gets a tone.  Each leg is arranged for itself, so a private
talk of two in a conference of three is not mixed either.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from recording.opus import RATE_HZ
from sos.calls.adapters.embedded.capture import Capture, Timeline
from sos.calls.adapters.embedded.connection import Connection
from sos.calls.adapters.embedded.matrix import heard_by
from sos.calls.adapters.embedded.mixer import ASIDE, Mixer
from sos.calls.adapters.embedded.mixer import FRAME as MIX_FRAME
from sos.calls.adapters.embedded.rtp import Rtp
from sos.calls.port import TALKING, LegDown, LegMode, LegUp, Level, ProviderEvent, Sound
from sos.incident.model import IncidentId, LegId, Party, RecordingId
from sos.media import opus
from sos.media.jitter import Packet
from sos.media.meter import Meter
from sos.media.voice import Voice

TICKS_PER_S = 4
SILENT_AFTER_TICKS = 11
"""2.75 s without a packet, counted in waited ticks: a loop that was blocked does not look like a lost car."""
CONNECTED_WITHIN_TICKS = 15 * TICKS_PER_S
_MOST_SAID = 50
"""Sounds of one leg that are remembered so that none is played twice."""
_ROUGH = 0.01
"""Part of the packets that do not arrive, above which a listener is sent error correction with them."""
EMPTY_AFTER_TICKS = 5 * TICKS_PER_S
"""How long a conference waits for somebody to come back before its recording is sealed."""


@dataclass(slots=True, eq=False)
class Seat:
    """A leg in its conference; it keeps its seat while its connection is replaced."""

    leg: LegId
    party: Party
    who: str
    track: str
    connection: Connection
    up: bool = False
    received: int = 0
    silent_ticks: int = 0
    timeline: Timeline = field(default_factory=Timeline)
    meter: Meter = field(default_factory=Meter)
    mode: LegMode = TALKING
    sources: tuple["Seat", ...] = ()
    """Whom it hears just now."""
    passed_to: tuple["Seat", ...] = ()
    """Who hears its packets untouched."""
    voice: Voice | None = None
    """Its sound as PCM, while somebody hears it mixed."""
    rough: bool = False
    """Its line loses packets: a car's always may, another's once it has."""
    encoder: opus.Encoder | None = None
    """While what it hears is mixed here."""
    notice: opus.Pcm | None = None
    """What is left of the notice or speech that is being played to it."""
    spoken_to: bool = False
    """It is made speech (``Sound``): the others are turned down meanwhile."""
    said: tuple[str, ...] = ()
    """The newest sounds it was played."""

    @property
    def passes(self) -> bool:
        """Whether it hears one party's own packets."""
        return self.encoder is None and len(self.sources) == 1


class Conference:
    """``tell`` takes the events; ``record`` opens the recording at the first packet of the first leg."""

    def __init__(
        self,
        incident: IncidentId,
        *,
        tell: Callable[[ProviderEvent], None],
        record: Callable[["Conference"], tuple[RecordingId, Capture]],
    ) -> None:
        self.incident = incident
        self.seats: dict[LegId, Seat] = {}
        self.recording: RecordingId | None = None
        self.capture: Capture | None = None
        self.empty_ticks = 0
        self._tell = tell
        self._record = record
        self._loop = asyncio.get_running_loop()
        self._epoch = 0.0
        self._seat_of: dict[Connection, Seat] = {}
        self._ours = True
        self._mixing: asyncio.Task[None] | None = None
        self._speakers: tuple[Seat, ...] = ()
        self._listeners: tuple[Seat, ...] = ()
        self._told: tuple[Seat, ...] = ()
        """Listeners who are played a notice or speech; each is one more speaker, to that listener alone."""
        self._mixer = Mixer(0, ())

    def up(self) -> tuple[LegUp, ...]:
        return tuple(self._leg_up(seat) for seat in self.seats.values() if seat.up)

    def take_in(self, leg: LegId, *, party: Party, who: str, connection: Connection) -> Connection | None:
        """Seat a new connection; gives the one it replaces, to be closed."""
        seat = self.seats.get(leg)
        if seat is None:
            track, rough = self._track(leg, party), party is Party.VEHICLE
            self.seats[leg] = Seat(leg=leg, party=party, who=who, track=track, connection=connection, rough=rough)
            self._arrange()
            return None
        replaced, seat.connection = seat.connection, connection
        seat.received = seat.silent_ticks = 0
        seat.timeline.restart()
        self._arrange()
        return replaced

    def let_go(self, leg: LegId, *, reason: str) -> Connection | None:
        """Take a leg out; gives its connection, to be closed."""
        seat = self.seats.pop(leg, None)
        if seat is None:
            return None
        if seat.up or reason == "failed":
            self._down(seat, reason)
        self._arrange()
        return seat.connection

    def heard(self, connection: Connection, packet: Packet) -> None:
        """One packet of one party, in order: record it, pass it on."""
        seat = self._seat_of.get(connection)
        if seat is None:
            return
        if not seat.up:
            self._up(seat)
        if self.capture is not None and self._ours:
            at = seat.timeline.place(packet.timestamp, arrived=self._now())
            self.capture.add(seat.track, at, packet.payload)
        for other in seat.passed_to:
            other.connection.playout.play(connection, timestamp=packet.timestamp, payload=packet.payload)

    def arrived(self, connection: Connection, packet: Rtp) -> None:
        """One packet as it came off the network, in whatever order: the mixer has a buffer of its own."""
        seat = self._seat_of.get(connection)
        if seat is None:
            return
        if seat.voice is None:
            seat.meter.hear(packet.payload, packet.level)
        else:  # decoded for the mix, and measured there
            seat.voice.hear(packet.timestamp, packet.payload)

    def levels(self) -> tuple[Level, ...]:
        """How loud everybody who is up was since this was last asked."""
        readings = ((seat, seat.meter.read()) for seat in self.seats.values() if seat.up)
        return tuple(Level(self.incident, seat.leg, reading.rms, reading.peak) for seat, reading in readings)

    def _is_ours(self) -> bool:
        """Whether this is still our own conversation, which alone we may record.

        Once an agency is in it and the last of our own legs has left, it is theirs, and the communication of others is
        secret (Telecommunications Business Act Art. 4).  A vehicle that waits alone speaks to us.
        """
        own = any(seat.up and seat.party in (Party.OPERATOR, Party.SUPERVISOR) for seat in self.seats.values())
        return own or not any(seat.up and seat.party is Party.AGENCY for seat in self.seats.values())

    def set_mode(self, leg: LegId, mode: LegMode) -> None:
        """Hold, mute, coach, or let talk."""
        seat = self.seats.get(leg)
        if seat is None or seat.mode == mode:
            return
        seat.mode = mode
        self._mark("mode", seat)
        self._arrange()

    def announce(self, leg: LegId, notice: str, pcm: opus.Pcm) -> None:
        """Play ``pcm`` (``opus.MIX_RATE_HZ``) to one leg, over what it hears."""
        if (seat := self.seats.get(leg)) is not None:
            seat.notice, seat.spoken_to = pcm, False
            self._mark(f"notice {notice}", seat)
            self._arrange()

    def say(self, leg: LegId, sound: Sound) -> None:
        """Play made speech to one leg, once; an empty one ends what is being said and leaves notices alone."""
        seat = self.seats.get(leg)
        if seat is None or not seat.up or sound.id in seat.said:
            return
        seat.said = (*seat.said[1 - _MOST_SAID :], sound.id)
        if not sound.pcm and not seat.spoken_to:
            return
        seat.notice = np.frombuffer(sound.pcm, np.int16) if sound.pcm else None
        seat.spoken_to = bool(sound.pcm)
        self._mark(f"said {sound.id}" if sound.pcm else "said no more", seat)
        self._arrange()

    def tick(self) -> list[Connection]:
        """Four times a second: who fell silent, who never came; gives the connections to be closed."""
        over: list[Connection] = []
        for seat in tuple(self.seats.values()):
            seat.connection.tick()
            self._listen_to_line(seat)
            moved, seat.received = seat.connection.received != seat.received, seat.connection.received
            seat.silent_ticks = 0 if moved else seat.silent_ticks + 1
            if seat.up and (seat.connection.gone or seat.silent_ticks >= SILENT_AFTER_TICKS):
                self._down(seat, "media_lost")
                self._arrange()
            if not seat.up and (seat.connection.gone or seat.silent_ticks >= CONNECTED_WITHIN_TICKS):
                never_came = seat.received == 0
                connection = self.let_go(seat.leg, reason="failed" if never_came else "media_lost")
                over += [connection] if connection is not None else []
        self.empty_ticks = 0 if any(seat.up for seat in self.seats.values()) else self.empty_ticks + 1
        if self.capture is not None:
            self.capture.tick()
        return over

    @property
    def over(self) -> bool:
        """Nobody has been up for a while, and nobody is on the way in."""
        coming = any(seat.received == 0 and not seat.up for seat in self.seats.values())
        return not coming and self.empty_ticks >= EMPTY_AFTER_TICKS

    async def close(self) -> None:
        if self._mixing is not None:
            self._mixing.cancel()
            await asyncio.wait((self._mixing,))

    def _up(self, seat: Seat) -> None:
        seat.up = True
        if self.recording is None:
            self._epoch = self._loop.time()
            self.recording, self.capture = self._record(self)
        self._tell(self._leg_up(seat))
        self._mark("up", seat)
        self._arrange()

    def _down(self, seat: Seat, reason: str) -> None:
        seat.up = False
        self._tell(LegDown(incident=self.incident, leg=seat.leg, party=seat.party, reason=reason))
        self._mark(reason, seat)

    def _listen_to_line(self, seat: Seat) -> None:
        if not seat.rough and seat.connection.reported_loss > _ROUGH:
            seat.rough = True
            seat.encoder = _encoder(seat) if seat.encoder is not None else None

    def _mark(self, what: str, seat: Seat) -> None:
        if self.capture is not None:
            self.capture.mark({"leg": seat.leg, "party": seat.party.value, "what": what}, timestamp=self._now())

    def _leg_up(self, seat: Seat) -> LegUp:
        return LegUp(incident=self.incident, leg=seat.leg, party=seat.party, who=seat.who)

    def _now(self) -> int:
        return round((self._loop.time() - self._epoch) * RATE_HZ)

    def _track(self, leg: LegId, party: Party) -> str:
        """``vehicle`` for the car, however often it comes back; every other leg has a track of its own."""
        alone = party is Party.VEHICLE and all(seat.track != "vehicle" for seat in self.seats.values())
        return "vehicle" if alone else f"{party.value}-{leg}"

    def _arrange(self) -> None:
        """Decide anew, for each leg, whom it hears and how: passed through, mixed, or a tone."""
        modes = {seat.leg: seat.mode for seat in self.seats.values()}
        up = {seat.leg for seat in self.seats.values() if seat.up}
        self._seat_of = {seat.connection: seat for seat in self.seats.values()}
        self._ours = self._is_ours()
        for seat in self.seats.values():
            seat.sources = tuple(self.seats[leg] for leg in heard_by(seat.leg, modes) if leg in up)
            mixed = len(seat.sources) > 1 or seat.notice is not None
            seat.encoder = (seat.encoder or _encoder(seat)) if mixed else None
            if not seat.sources and not mixed:
                seat.connection.playout.idle(self._tone(seat, up))
        for seat in self.seats.values():
            seat.passed_to = tuple(other for other in self.seats.values() if other.passes and other.sources[0] is seat)
        heard_mixed = {source.leg for seat in self.seats.values() if seat.encoder for source in seat.sources}
        for seat in self.seats.values():
            seat.voice = (seat.voice or Voice(opus.MIX_RATE_HZ)) if seat.leg in heard_mixed else None
        self._speakers = tuple(seat for seat in self.seats.values() if seat.voice is not None)
        self._listeners = tuple(seat for seat in self.seats.values() if seat.encoder is not None)
        self._told = tuple(seat for seat in self._listeners if seat.notice is not None)
        self._mixer = self._gains()
        mixing = bool(self._listeners)
        if mixing and self._mixing is None:
            self._mixing = asyncio.create_task(self._mix(), name=f"mix {self.incident}")
        elif not mixing and self._mixing is not None:
            self._mixing.cancel()
            self._mixing = None

    def _tone(self, seat: Seat, up: set[LegId]) -> opus.Tone:
        if seat.mode.held:
            return opus.Tone.HOLD
        return opus.Tone.QUIET if up - {seat.leg} else opus.Tone.RING

    async def _mix(self) -> None:
        due, at = self._loop.time(), 0
        while True:
            due += opus.FRAME / RATE_HZ
            behind = self._loop.time() - due
            if behind > 1:
                due += behind
            await asyncio.sleep(-behind)
            self._mix_frame(at)
            at += opus.FRAME

    def _gains(self) -> Mixer:
        """Who is mixed into what whom hears, and how loud."""
        voices = {seat.leg: row for row, seat in enumerate(self._speakers)}
        notices = {seat.leg: row for row, seat in enumerate(self._told, start=len(voices))}
        hears = []
        for seat in self._listeners:
            gain = ASIDE if seat.spoken_to else 1.0
            gains = {voices[source.leg]: gain for source in seat.sources if source.leg in voices}
            hears.append(gains | ({notices[seat.leg]: 1.0} if seat.leg in notices else {}))
        return Mixer(len(voices) + len(notices), hears)

    def _mix_frame(self, at: int) -> None:
        mixer, over = self._mixer, False
        for row, seat in enumerate(self._speakers):
            assert seat.voice is not None
            mixer.hear(row, seat.voice.take())
        for row, seat in enumerate(self._told, start=len(self._speakers)):
            assert seat.notice is not None
            mixer.hear(row, seat.notice[:MIX_FRAME])
            seat.notice = seat.notice[MIX_FRAME:]
            over = over or not seat.notice.size
        for seat, power in zip(self._speakers, mixer.powers().tolist(), strict=False):
            seat.meter.measure(power)
        for seat, pcm in zip(self._listeners, mixer.mixed(), strict=True):
            assert seat.encoder is not None
            seat.connection.playout.play(self, timestamp=at, payload=seat.encoder.encode(pcm))
        if over:
            for seat in self._told:
                if seat.notice is not None and not seat.notice.size:
                    seat.notice, seat.spoken_to = None, False
            self._arrange()


def _encoder(seat: Seat) -> opus.Encoder:
    """For what is mixed for ``seat``: with error correction where its line needs it."""
    return opus.Encoder(opus.MIX if seat.rough else opus.WIRED_MIX)
