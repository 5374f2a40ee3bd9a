"""Times as the recipient's clock on the wall shows them; which clock that is, is said once in each form."""

import re
from datetime import datetime
from zoneinfo import ZoneInfo

from routing.brief.document import Brief

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)")


def local(instant: datetime, zone: str) -> datetime:
    """``instant`` (aware) by the clock of ``zone``, an IANA name."""
    return instant.astimezone(ZoneInfo(zone))


def decided(brief: Brief) -> str:
    """When it was decided, with the clock that all times of the form are of: ``2026-11-21 12:04:05 JST``."""
    return f"{local(brief.decided_at, brief.zone):%Y-%m-%d %H:%M:%S %Z}"


def on_the_wall(text: str, zone: str) -> str:
    """``text`` by the clock of ``zone`` where it is an instant (RFC 3339), else as it is."""
    if not _INSTANT.fullmatch(text):
        return text
    try:
        return f"{local(datetime.fromisoformat(text), zone):%Y-%m-%d %H:%M:%S}"
    except (ValueError, OverflowError):  # such as month 13
        return text
