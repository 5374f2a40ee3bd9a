"""How often somebody was wrong with a code lately, so that none is found by trying.

Whoever dials is known by the number that they show, or by their call where they show none; a line of ours carries no
more than some of them together.  A person of ours is known by name and has no line.  Above all lines together there is
a bound, too.  Neither is reached by mistake: when it is, people are alarmed, for on that line, or on all, no code is
taken from a telephone for a while, an agency's neither; people of ours go on.
"""

from collections import Counter, deque
from datetime import datetime, timedelta

from msgspec import Struct

from sos.clock import Clock
from sos.errors import Refused

WRONG_OF_ONE = 5
WRONG_OF_LINE = 50
WRONG_OF_ALL = 500
WITHIN = timedelta(minutes=10)


class Guesser(Struct, frozen=True, kw_only=True):
    """Who names a code."""

    who: str
    line: str = ""
    """Of ours, on which they telephone; empty: a person of ours types it."""


class Guesses:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wrong: deque[tuple[datetime, Guesser]] = deque()
        self._of_one: Counter[str] = Counter()
        self._of_line: Counter[str] = Counter()

    def check(self, guesser: Guesser) -> None:
        """``Refused`` after too many wrong ones."""
        self._forget()
        many = self._of_one[guesser.who] >= WRONG_OF_ONE
        if guesser.line:
            many = many or self._of_line[guesser.line] >= WRONG_OF_LINE or len(self._wrong) >= WRONG_OF_ALL
        if many:
            raise Refused("too many wrong codes: none is looked at for ten minutes; ask for the agency and the place")

    def wrong(self, guesser: Guesser) -> bool:
        """Note a wrong one; whether it is the one by which a line, or all together, take none any more."""
        self._forget()
        self._wrong.append((self._clock.now(), guesser))
        self._of_one[guesser.who] += 1
        self._of_line[guesser.line] += 1
        closes = bool(guesser.line) and self._of_line[guesser.line] == WRONG_OF_LINE
        return closes or len(self._wrong) == WRONG_OF_ALL

    def _forget(self) -> None:
        since = self._clock.now() - WITHIN
        while self._wrong and self._wrong[0][0] < since:
            _, before = self._wrong.popleft()
            for counted, key in ((self._of_one, before.who), (self._of_line, before.line)):
                counted[key] -= 1
                if not counted[key]:
                    del counted[key]
