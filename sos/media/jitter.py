"""Putting one sender's RTP packets back in order without making them wait when they already are.

A packet that follows its predecessor leaves at once; only a gap holds back what came after it, for as long as this
link has lately been late (20 to 120 ms), then the gap is left to the decoder's concealment.  Nothing accumulates, so
a stall never turns into lasting delay.  Sequence numbers and timestamps are unwrapped (RFC 3550 appendix A.1).
"""

from collections import OrderedDict
from math import exp

from msgspec import Struct

_SHORTEST_HOLD_S = 0.020
"""One packet: without any reordering seen, the next packet already decides that the gap is a loss."""
_LONGEST_HOLD_S = 0.120
"""Beyond this a conversation suffers more from waiting than from a concealed packet."""
_FORGIVEN_IN_S = 7.0
"""Time constant with which the hold decays towards the shortest: halved every five seconds."""
_MOST_HELD = 50
_RESTART_JUMP = 1000
"""A sequence jump of 20 s of speech is a restarted sender, not a loss."""
_REMEMBERED_GAPS = 256


class Packet(Struct, frozen=True, gc=False):
    """One Opus packet; ``sequence`` and ``timestamp`` (48 kHz) count on past their 16 and 32 bits."""

    sequence: int
    timestamp: int
    payload: bytes


class ReorderBuffer:
    """Packets of one sender in order; ``now`` is any monotonic time in seconds."""

    def __init__(self) -> None:
        self.lost = 0
        self.late = 0
        self.duplicates = 0
        self._held: dict[int, tuple[float, Packet]] = {}
        self._gaps: OrderedDict[int, float] = OrderedDict()
        self._next: int | None = None
        self._sequence = 0
        self._timestamp = 0
        self._hold_s = _SHORTEST_HOLD_S
        self._hold_set_at = 0.0

    def push(self, sequence: int, *, timestamp: int, payload: bytes, now: float) -> list[Packet]:
        """Take one packet off the wire; gives those that are now in order, oldest first."""
        if self._next is None:
            self._sequence, self._timestamp = sequence + (1 << 16), timestamp + (1 << 32)
            self._next = self._sequence
        step = _signed(sequence - self._sequence, bits=16)
        before: list[Packet] = []
        if abs(step) > _RESTART_JUMP:
            before, step = self._restart(step), 1
        packet = Packet(self._sequence + step, self._timestamp + _signed(timestamp - self._timestamp, bits=32), payload)
        if packet.sequence < self._next:
            self._too_late(packet.sequence, now=now)
            return before
        if packet.sequence == self._next and not self._held:  # nearly always
            self._next += 1
            self._sequence, self._timestamp = packet.sequence, packet.timestamp
            return [*before, packet] if before else [packet]
        if packet.sequence in self._held:
            self.duplicates += 1
            return before
        if packet.sequence > self._sequence:
            self._sequence, self._timestamp = packet.sequence, packet.timestamp
        self._held[packet.sequence] = (now, packet)
        return before + self.release(now)

    def due(self) -> float | None:
        """When ``release`` must be called if nothing more is pushed before; None while nothing waits."""
        return min(arrived for arrived, _ in self._held.values()) + self._hold_s if self._held else None

    def hold_s(self, now: float) -> float:
        """How long a gap may hold back what follows it, at this moment."""
        return max(_SHORTEST_HOLD_S, self._hold_s * exp(-max(0.0, now - self._hold_set_at) / _FORGIVEN_IN_S))

    def release(self, now: float) -> list[Packet]:
        """The packets that are in order, or whose predecessors have been waited for long enough."""
        ready: list[Packet] = []
        self._hold_s, self._hold_set_at = self.hold_s(now), now
        while self._held and self._next is not None:
            if (head := self._held.pop(self._next, None)) is not None:
                ready.append(head[1])
                self._next += 1
            elif len(self._held) > _MOST_HELD or now >= (self.due() or now):
                self._give_up(until=min(self._held))
            else:
                break
        return ready

    def _give_up(self, *, until: int) -> None:
        noticed = min(arrived for arrived, _ in self._held.values())
        for missing in range(self._next or 0, until):
            self.lost += 1
            self._gaps[missing] = noticed
        while len(self._gaps) > _REMEMBERED_GAPS:
            self._gaps.popitem(last=False)
        self._next = until

    def _too_late(self, sequence: int, *, now: float) -> None:
        """A packet whose gap was given up says how long the hold should have been."""
        noticed = self._gaps.pop(sequence, None)
        if noticed is None:
            self.duplicates += 1
            return
        self.late += 1
        self._hold_s = min(_LONGEST_HOLD_S, max(self._hold_s, 1.25 * (now - noticed)))
        self._hold_set_at = now

    def _restart(self, step: int) -> list[Packet]:
        """The sender began anew at ``step`` from here: let go of what is held and go on there."""
        rest = [packet for _, (_, packet) in sorted(self._held.items())]
        self._held.clear()
        self._gaps.clear()
        # Unwrapped numbers only ever rise, so a jump backwards is taken as the next round.
        self._next = self._sequence + step + ((1 << 16) if step < 0 else 0)
        self._sequence = self._next - 1
        return rest


def _signed(difference: int, *, bits: int) -> int:
    """``difference`` modulo 2**bits, as the number nearest to zero."""
    half = 1 << (bits - 1)
    return ((difference + half) & ((1 << bits) - 1)) - half
