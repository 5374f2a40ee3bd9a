"""A circuit breaker: who has failed several times in a row is left in peace for a while, and nobody waits for them.

Pure but for the clock it is handed: whoever calls out asks ``closed`` first and reports ``worked`` or ``failed`` after.
"""

from collections.abc import Callable

from msgspec import Struct


class Patience(Struct, frozen=True, kw_only=True):
    """When to give up, and for how long."""

    failures: int = 3
    """In a row: one may be chance, three hardly."""
    rest_s: float = 5.0
    """After the first time; it doubles each time the trial call fails too."""
    longest_rest_s: float = 300.0
    """A server that is back is used again within five minutes."""


class Breaker:
    """For one server.  Not for several threads."""

    def __init__(self, monotonic: Callable[[], float], patience: Patience | None = None) -> None:
        """``monotonic``: seconds, as of ``time.monotonic``."""
        self._monotonic = monotonic
        self._patience = patience or Patience()
        self._failures = 0
        self._rest_s = self._patience.rest_s
        self._until = float("-inf")

    @property
    def closed(self) -> bool:
        """Whether a call may be made.  After a rest that is one call only: the others wait for its outcome."""
        if self._failures < self._patience.failures:
            return True
        if self._monotonic() < self._until:
            return False
        self._until = self._monotonic() + self._rest_s
        return True

    def worked(self) -> None:
        self._failures = 0
        self._rest_s = self._patience.rest_s

    def failed(self, *, at_least_s: float = 0.0) -> None:
        """``at_least_s``: the rest the server asked for itself (Retry-After), which counts at once."""
        self._failures += 1
        if at_least_s > 0.0:
            self._failures = max(self._failures, self._patience.failures)
        if self._failures >= self._patience.failures:
            rest_s = min(max(self._rest_s, at_least_s), self._patience.longest_rest_s)
            self._until = self._monotonic() + rest_s
            self._rest_s = min(2.0 * self._rest_s, self._patience.longest_rest_s)
