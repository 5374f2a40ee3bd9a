"""What one leg is sent, packet by packet: the others' voices, and a comfort tone while there is none."""

import asyncio
from collections.abc import Callable, Hashable
from itertools import cycle
from typing import TypeAlias

from recording.opus import RATE_HZ, samples
from sos.media import opus

Send: TypeAlias = Callable[[int, bytes, bool], None]
"""Timestamp and payload of one packet to one leg, and whether a new source begins with it."""

_SAME_STREAM_SAMPLES = RATE_HZ


class Playout:
    """What one leg hears: packets of the others the moment they come, and the comfort tone while nobody else is there.

    RTP timestamps follow the source while it lasts, so a lost packet stays visible as a gap and the listener's
    decoder conceals it; at a change of source they go on from the time that has passed.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._source: Hashable | None = None
        self._offset = 0
        self._begun = self._loop.time()
        self._end = 0
        self._tone = opus.Tone.RING
        self._comfort = cycle(opus.tone(self._tone))
        self._comfort_due = self._begun
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False

    def begin(self) -> None:
        """Somebody listens: the comfort tone, until there is a voice."""
        if self._source is None and self._timer is None and not self._stopped:
            self._comfort_due = self._loop.time()
            self._next_comfort()

    def play(self, source: Hashable, *, timestamp: int, payload: bytes) -> None:
        """Send one packet of ``source``, whose timestamps rise with its own 48 kHz clock."""
        if self._stopped:
            return
        pts = timestamp + self._offset
        begins = source is not self._source
        if begins or abs(pts - self._elapsed()) > _SAME_STREAM_SAMPLES:
            self._source = source
            self._offset = self._onward() - timestamp
            pts = timestamp + self._offset
            self._silence_comfort()
        self._end = max(self._end, pts + samples(payload))
        self._send(pts, payload, begins)

    def idle(self, tone: opus.Tone = opus.Tone.RING) -> None:
        """Nobody speaks to this leg any more: the tone begins, or goes on."""
        if tone is not self._tone:
            self._tone, self._comfort = tone, cycle(opus.tone(tone))
        if self._source is not None:
            self._source = None
            self.begin()

    def stop(self) -> None:
        self._stopped = True
        self._silence_comfort()

    def _silence_comfort(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _next_comfort(self) -> None:
        now = self._loop.time()
        late = now - self._comfort_due > 0.1
        self._comfort_due = (now if late else self._comfort_due) + opus.FRAME / RATE_HZ
        pts = self._onward()
        self._end = pts + opus.FRAME
        self._timer = self._loop.call_at(self._comfort_due, self._next_comfort)
        self._send(pts, next(self._comfort), False)

    def _elapsed(self) -> int:
        return round((self._loop.time() - self._begun) * RATE_HZ)

    def _onward(self) -> int:
        """The timestamp of what comes next: right after the last packet unless real time has left it behind."""
        elapsed = self._elapsed()
        return elapsed if elapsed - self._end > 2 * opus.FRAME else self._end
