"""What is written down when something is destroyed: review list and certificate, digests and never contents; and when
a clock may not be believed.

Both are JSON lines in canonical form, one incident a line, so that equal facts give equal bytes and one digest stands
for the whole.  Pure: the caller keeps the bytes and destroys.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from hashlib import sha256

from recording.canonical import canonical
from recording.errors import RecordingError

LEAP = timedelta(days=2)
"""Longer than any pause of a service that looks every hour, but for one that a person knows of and can confirm."""

SKEW = timedelta(minutes=5)
"""So far two clocks of one house may be apart; certificates and tokens tolerate as much."""


class ClockDoubted(RecordingError):
    """The time cannot be believed, so nothing is destroyed until a person has looked at the clocks."""


def believe(now: datetime, *, database: datetime, seen: datetime | None) -> datetime:
    """``now``, as the time that has been seen last from here on.

    ``seen``: the last that was believed.  ``ClockDoubted`` when the database's clock says otherwise, when time went
    back, or when it jumped: a clock that is wrong must destroy nothing.
    """
    if abs(now - database) > SKEW:
        raise ClockDoubted(f"this machine says {now:%Y-%m-%d %H:%M:%S} and the database {database:%Y-%m-%d %H:%M:%S}")
    if seen is not None and now < seen - SKEW:
        raise ClockDoubted(f"the clock says {now:%Y-%m-%d %H:%M:%S} and has said {seen:%Y-%m-%d %H:%M:%S} before")
    if seen is not None and now > seen + LEAP:
        raise ClockDoubted(f"the clock says {now:%Y-%m-%d %H:%M:%S}, and was last believed at {seen:%Y-%m-%d %H:%M:%S}")
    return now if seen is None else max(now, seen)


def lines(facts: Iterable[Mapping[str, object]]) -> bytes:
    """``facts`` as canonical JSON lines, in the order they come."""
    return b"".join(canonical(dict(fact)) + b"\n" for fact in facts)


def digest(content: bytes) -> str:
    """Hex SHA-256, by which a list or a certificate is named."""
    return sha256(content).hexdigest()
