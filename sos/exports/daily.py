"""How many packages one auditor may take in a day without two people agreeing to each.

One incident for an inquiry is answered at once; whoever wants many goes the way of a package for an authority.  Counted
in the process that answers: a restart of the service begins anew.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from sos.clock import Clock
from sos.errors import RuleBroken, SosError

DAY = timedelta(days=1)


class Daily:
    def __init__(self, most: int, clock: Clock) -> None:
        self._most = most
        self._clock = clock
        self._taken: dict[str, deque[datetime]] = {}

    @contextmanager
    def one(self, who: str) -> Iterator[None]:
        """Counts before the work begins, so that two at once are two; what is refused inside does not count.

        ``RuleBroken`` when ``who`` had as many within 24 hours.
        """
        now, taken = self._clock.now(), self._taken.setdefault(who, deque())
        while taken and taken[0] <= now - DAY:
            taken.popleft()
        if len(taken) >= self._most:
            raise RuleBroken(
                "exports-per-day", f"{self._most} were made within a day: ask for a package that two people agree to"
            )
        taken.append(now)
        try:
            yield
        except SosError:
            taken.remove(now)
            raise
