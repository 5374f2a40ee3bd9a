"""One incident's conference: who sits in it, who hears whom, and what of it is recorded.

Two parties hear each other's own Opus packets.  With a third the sound is decoded, mixed (everyone but oneself) and
encoded again in a 20 ms tick, until two are left.  A party whose counterpart is away hears the comfort tone.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from recording.opus import RATE_HZ
from sos.calls.adapters.capture import Capture, Timeline
from sos.calls.adapters.link import Link
from sos.calls.port import LegDown, LegUp, ProviderEvent
from sos.incident.model import IncidentId, LegId, Party, RecordingId
from sos.media import opus
from sos.media.jitter import Packet

TICKS_PER_S = 4
SILENT_AFTER_TICKS = 11
"""2.75 s without a packet, counted in waited ticks: a loop that was blocked does not look like a lost car."""
CONNECTED_WITHIN_TICKS = 15 * TICKS_PER_S
EMPTY_AFTER_TICKS = 5 * TICKS_PER_S
"""How long a conference waits for somebody to come back before its recording is sealed."""

_PREFILL = 2 * opus.FRAME
_MOST_BUFFERED = 12 * opus.FRAME
_GONE_AFTER = 10
"""Frames without sound after which a voice begins anew, with the prefill."""
_REVIEW_EVERY = 250


@dataclass(slots=True, eq=False)
class Seat:
    """A leg in its conference; it keeps its seat while its connection is replaced."""

    leg: LegId
    party: Party
    who: str
    track: str
    link: Link
    up: bool = False
    received: int = 0
    silent_ticks: int = 0
    timeline: Timeline = field(default_factory=Timeline)
    voice: "Voice | None" = None


class Voice:
    """A party's sound as PCM while more than two are in the conference.

    An underrun is silence and leaves what comes late queued, so the queue grows to what this link needs; when it has
    been longer than needed for five seconds, one frame is left out.
    """

    def __init__(self) -> None:
        self._decoder = opus.Decoder()
        self._encoder = opus.Encoder()
        self._pcm = np.zeros(0, np.int16)
        self._starved = _GONE_AFTER
        self._least = _MOST_BUFFERED
        self._taken = 0

    def hear(self, payload: bytes) -> None:
        self._pcm = np.concatenate((self._pcm, self._decoder.decode(payload)))
        if self._pcm.size > _MOST_BUFFERED:  # it stalled and came all at once: stay close to now
            self._pcm = self._pcm[-_PREFILL:]

    def take(self) -> opus.Pcm:
        """The next 20 ms, silence while there are none."""
        enough = _PREFILL if self._starved >= _GONE_AFTER else opus.FRAME
        if self._pcm.size < enough:
            self._starved += 1
            return np.zeros(opus.FRAME, np.int16)
        self._starved = 0
        frame, self._pcm = self._pcm[: opus.FRAME], self._pcm[opus.FRAME :]
        self._shorten()
        return frame

    def encode(self, pcm: opus.Pcm) -> Iterator[bytes]:
        return self._encoder.encode(pcm)

    def _shorten(self) -> None:
        self._taken += 1
        self._least = min(self._least, self._pcm.size)
        if self._taken % _REVIEW_EVERY == 0:
            if self._least > _PREFILL:
                self._pcm = self._pcm[opus.FRAME :]
            self._least = _MOST_BUFFERED


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
        self._mixing: asyncio.Task[None] | None = None

    def up(self) -> tuple[LegUp, ...]:
        return tuple(self._leg_up(seat) for seat in self.seats.values() if seat.up)

    def take_in(self, leg: LegId, *, party: Party, who: str, link: Link) -> Link | None:
        """Seat a new connection; gives the one it replaces, to be closed."""
        seat = self.seats.get(leg)
        if seat is None:
            self.seats[leg] = Seat(leg=leg, party=party, who=who, track=self._track(leg, party), link=link)
            self._arrange()
            return None
        replaced, seat.link = seat.link, link
        seat.received = seat.silent_ticks = 0
        seat.timeline.restart()
        self._arrange()
        return replaced

    def let_go(self, leg: LegId, *, reason: str) -> Link | None:
        """Take a leg out; gives its connection, to be closed."""
        seat = self.seats.pop(leg, None)
        if seat is None:
            return None
        if seat.up or reason == "failed":
            self._down(seat, reason)
        self._arrange()
        return seat.link

    def heard(self, link: Link, packet: Packet) -> None:
        """One packet of one party, in order: record it, pass it on."""
        seat = next((seat for seat in self.seats.values() if seat.link is link), None)
        if seat is None:
            return
        if not seat.up:
            self._up(seat)
        if self.capture is not None:
            at = seat.timeline.place(packet.timestamp, arrived=self._now())
            self.capture.add(seat.track, at, packet.payload)
        if seat.voice is not None:
            seat.voice.hear(packet.payload)
            return
        for other in self.seats.values():
            if other is not seat:
                other.link.playout.play(link, timestamp=packet.timestamp, payload=packet.payload)

    def tick(self) -> list[Link]:
        """Four times a second: who fell silent, who never came; gives the connections to be closed."""
        over: list[Link] = []
        for seat in tuple(self.seats.values()):
            seat.link.tick()
            moved, seat.received = seat.link.received != seat.received, seat.link.received
            seat.silent_ticks = 0 if moved else seat.silent_ticks + 1
            if seat.up and (seat.link.gone or seat.silent_ticks >= SILENT_AFTER_TICKS):
                self._down(seat, "media_lost")
                self._arrange()
            if not seat.up and (seat.link.gone or seat.silent_ticks >= CONNECTED_WITHIN_TICKS):
                never_came = seat.received == 0
                link = self.let_go(seat.leg, reason="failed" if never_came else "media_lost")
                over += [link] if link is not None else []
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
        """Decide anew between passing through and mixing, and give the comfort tone to whoever is alone."""
        mixing = len(self.seats) > 2
        for seat in self.seats.values():
            seat.voice = (seat.voice or Voice()) if mixing else None
            if not any(other.up for other in self.seats.values() if other is not seat):
                seat.link.playout.idle()
        if mixing and self._mixing is None:
            self._mixing = asyncio.create_task(self._mix(), name=f"mix {self.incident}")
        elif not mixing and self._mixing is not None:
            self._mixing.cancel()
            self._mixing = None

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

    def _mix_frame(self, at: int) -> None:
        speakers = [(seat, seat.voice) for seat in self.seats.values() if seat.voice is not None]
        frames = {seat.leg: voice.take().astype(np.int32) for seat, voice in speakers}
        everyone = np.sum(list(frames.values()), axis=0)
        for seat, voice in speakers:
            if any(other.up for other, _ in speakers if other is not seat):
                pcm = np.clip(everyone - frames[seat.leg], -32_768, 32_767).astype(np.int16)
                for payload in voice.encode(pcm):
                    seat.link.playout.play(self, timestamp=at, payload=payload)
