"""One party's sound as PCM for a mixer that pulls 20 ms at a time, whatever the network does to it.

Packets come as they arrive, late, twice, out of order or never.  A frame that is missing when it is due is rebuilt
from the error correction in the next packet, or concealed.  A stall makes the buffer longer than it needs to be; it
is shortened again by letting two frames melt into one, five times a second, so the delay returns to its target
within seconds and nobody hears how.  The same two movements follow a sender whose clock runs fast or slow.
"""

from bisect import insort

import numpy as np
from msgspec import Struct

from recording.opus import RATE_HZ, samples
from sos.media.opus import FRAME, FRAMES_PER_S, Decoder, Pcm

LEAST_DEPTH = 2 * FRAME
"""40 ms: what the 20 ms tick and a network's ordinary jitter need."""
MOST_DEPTH = 10 * FRAME
_MOST_WAITING = 50 * FRAME
"""1 s of packets; what a stall brings beyond it is too old to be worth hearing."""
_MOST_GAP = 5 * FRAME
"""100 ms: a longer gap is not filled, the sender was away."""
_GONE_AFTER = 25
"""Frames concealed in a row, half a second, after which the voice begins anew."""
_REVIEW_EVERY = 10
_RAISE_WITHIN = 100
"""Two underruns within so many frames (2 s) are jitter and not one stall."""
_LOWER_EVERY = 250
_WRAP = 1 << 32


class _Held(Struct, frozen=True, order=True):
    timestamp: int
    payload: bytes


class Voice:
    """``hear`` what arrives, ``take`` what is due, as PCM of ``rate_hz``; all other samples here are of 48 kHz."""

    def __init__(self, rate_hz: int = RATE_HZ) -> None:
        self._frame = rate_hz // FRAMES_PER_S
        """Samples of PCM in 20 ms."""
        self._step = RATE_HZ // rate_hz
        """Samples of 48 kHz for each of PCM."""
        self._ramp = np.linspace(0.0, 1.0, self._frame, dtype=np.float32)
        self._decoder = Decoder(rate_hz)
        self._held: list[_Held] = []
        self._pcm = np.zeros(0, np.int16)
        self._next: int | None = None
        """Timestamp right after ``_pcm``; None before the first packet."""
        self._latest: int | None = None
        self._waiting = True
        self._owed = 0
        """Samples concealed since the last packet: should it turn out that they were never sent, they are paid back."""
        self._in_a_row = 0
        self._depth = LEAST_DEPTH
        self._least = _MOST_WAITING
        self._underrun_at = -_RAISE_WITHIN
        self.taken = 0
        """Frames taken so far."""
        self.concealed = 0
        """Frames of these that were made up."""

    @property
    def buffered(self) -> int:
        """Samples between what is played next and the newest packet: the delay this buffer adds."""
        if self._next is None or not self._held:
            return self._pcm.size * self._step
        last = self._held[-1]
        return max(0, self._pcm.size * self._step + last.timestamp + samples(last.payload) - self._next)

    def hear(self, timestamp: int, payload: bytes) -> None:
        """Take one packet; ``timestamp`` is the 32-bit one of RTP, ``payload`` valid Opus."""
        at = self._unwrap(timestamp)
        if self._next is not None and at < self._next:  # its place has been played
            return
        held = _Held(at, payload)
        if held not in self._held:
            insort(self._held, held)
        while self._held[-1].timestamp - self._held[0].timestamp > _MOST_WAITING:
            self._skip_to(self._held.pop(0).timestamp)

    def take(self) -> Pcm:
        """The next 20 ms; silence while there is nothing to say."""
        self.taken += 1
        if self._waiting and self.buffered < self._depth and self._next is None and self._span() < self._depth:
            return np.zeros(self._frame, np.int16)
        self._waiting = False
        self._review()
        self._fill(self._frame)
        if self._pcm.size < self._frame:
            return self._underrun()
        self._in_a_row = 0
        frame, self._pcm = self._pcm[: self._frame], self._pcm[self._frame :]
        return frame

    def _span(self) -> int:
        """What waits before the first packet was played."""
        if not self._held:
            return 0
        return self._held[-1].timestamp + samples(self._held[-1].payload) - self._held[0].timestamp

    def _fill(self, enough: int) -> None:
        while self._pcm.size < enough and self._held:
            if self._next is None:
                self._next = self._held[0].timestamp
            gap = self._held[0].timestamp - self._next
            if gap <= 0:
                self._decode(self._held.pop(0))
            else:
                self._bridge(gap)

    def _decode(self, held: _Held) -> None:
        self._owed = 0
        pcm = self._decoder.decode(held.payload)
        length = samples(held.payload) // self._step
        if pcm.size != length:  # libopus cannot read it: its place in time stays
            pcm = np.zeros(length, np.int16)
        self._append(pcm)

    def _bridge(self, gap: int) -> None:
        """Something before the next packet never came."""
        assert self._next is not None
        paid = min(gap, self._owed)
        if paid or gap > _MOST_GAP:  # concealed while waiting for it; or the sender was silent (DTX) or away
            self._next += paid or gap
            self._owed = 0
            return
        self.concealed += 1
        self._append(self._decoder.recover(self._held[0].payload) if gap <= FRAME else self._decoder.conceal())

    def _append(self, pcm: Pcm) -> None:
        assert self._next is not None
        self._pcm = np.concatenate((self._pcm, pcm)) if self._pcm.size else pcm
        self._next += pcm.size * self._step

    def _underrun(self) -> Pcm:
        """Nothing is here: conceal, and remember that it may have been late rather than lost."""
        self._in_a_row += 1
        if self._in_a_row == 1:
            if self.taken - self._underrun_at < _RAISE_WITHIN:
                self._depth = min(MOST_DEPTH, self._depth + FRAME)
            self._underrun_at = self.taken
        if self._in_a_row > _GONE_AFTER:
            self._begin_anew()
            return np.zeros(self._frame, np.int16)
        self.concealed += 1
        missing = self._frame - self._pcm.size
        self._owed += missing * self._step
        pcm = np.concatenate((self._pcm, self._decoder.conceal()[:missing]))
        self._pcm = np.zeros(0, np.int16)
        return pcm

    def _begin_anew(self) -> None:
        self._waiting = True
        self._next = self._latest = None
        self._owed = 0
        self._held.clear()
        self._pcm = np.zeros(0, np.int16)

    def _review(self) -> None:
        """Now and then: is the buffer longer than it needs to be?"""
        self._least = min(self._least, self.buffered)
        if self.taken % _LOWER_EVERY == 0 and self.taken - self._underrun_at > _LOWER_EVERY:
            self._depth = max(LEAST_DEPTH, self._depth - FRAME)
        if self.taken % _REVIEW_EVERY == 0:
            if self._least > self._depth + FRAME // 2:
                self._melt()
            self._least = _MOST_WAITING

    def _melt(self) -> None:
        """Two frames become one."""
        frame = self._frame
        self._fill(2 * frame)
        if self._pcm.size >= 2 * frame:
            first, second = self._pcm[:frame], self._pcm[frame : 2 * frame]
            melted = (first * (1 - self._ramp) + second * self._ramp).astype(np.int16)
            self._pcm = np.concatenate((melted, self._pcm[2 * frame :]))

    def _skip_to(self, timestamp: int) -> None:
        if self._next is not None:
            self._next = max(self._next, timestamp)

    def _unwrap(self, timestamp: int) -> int:
        """``timestamp`` on a line without end; a sender that begins anew far away begins anew here too."""
        if self._latest is None:
            self._latest = timestamp
            return timestamp
        step = (timestamp - self._latest + _WRAP // 2) % _WRAP - _WRAP // 2
        if abs(step) > 10 * RATE_HZ:
            self._begin_anew()
            self._latest = timestamp
            return timestamp
        at = self._latest + step
        self._latest = max(self._latest, at)
        return at
