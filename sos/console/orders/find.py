"""Finding an incident of yesterday: by plate, number, vehicle number, place or time."""

from datetime import datetime
from typing import Annotated, ClassVar

from msgspec import Meta

from sos.clock import parse_timestamp
from sos.console.finding import SearchResult, Wanted
from sos.console.names import Kind
from sos.console.orders.order import May, Order, Reason
from sos.console.window import Window
from sos.errors import Malformed, Refused
from sos.incident.access import Purpose

Name = Annotated[str, Meta(max_length=200)]
Instant = Annotated[str, Meta(max_length=40)]
"""With its zone (RFC 3339); empty: at any time."""


class Find(Order, frozen=True, kw_only=True, tag="find"):
    """Look for incidents, closed ones too.  What is looked for and shown is on the record, with what it is for."""

    may: ClassVar = May.ANY_DESK
    purpose: Purpose
    reason: Reason = ""
    """Needed unless it is to help now."""
    plate: Name = ""
    phone: Name = ""
    vin: Name = ""
    place: Name = ""
    since: Instant = ""
    until: Instant = ""

    async def obey(self, window: Window) -> SearchResult:
        if self.purpose is not Purpose.EMERGENCY and not self.reason.strip():
            raise Refused("say why you look for it")
        said = {Kind.PLATE: self.plate, Kind.PHONE: self.phone, Kind.VIN: self.vin, Kind.PLACE: self.place}
        wanted = Wanted(
            names={kind: text for kind, text in said.items() if text.strip()},
            since=_instant(self.since, "since"),
            until=_instant(self.until, "until"),
        )
        find = window.room.finder.find
        return await find(wanted, reader=window.actor, purpose=self.purpose, reason=self.reason)


def _instant(text: str, name: str) -> datetime | None:
    try:
        return parse_timestamp(text) if text else None
    except ValueError:
        raise Malformed("a time is such as 2026-11-30T14:00:00+09:00", field=f"$.{name}") from None
