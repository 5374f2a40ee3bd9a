"""When an agency's link is over: when its time is, or when the agency's part in the incident is.

The agency that helps needs what it was told until it is done; everybody else needs it no longer.  Of the same service
only: that the police has taken over ends nothing for the fire brigade.  What no rule ends goes on.
"""

from datetime import datetime, timedelta
from enum import StrEnum

from msgspec import Struct

from sos.incident.model import Disclosure, Incident, State


class End(StrEnum):
    """Why there is nothing to be seen any more."""

    EXPIRED = "expired"
    REFUSED = "refused"
    ANOTHER = "another"
    CLOSED = "closed"


class Lasting(Struct, frozen=True, kw_only=True):
    """How long links last; ``sos.settings.PortalSettings`` says why."""

    link: timedelta = timedelta(hours=72)
    after_closing: timedelta = timedelta(minutes=60)


LASTING = Lasting()


def part_is_over(incident: Incident, told: Disclosure) -> End | None:
    """Whether the agency's part is over, before time and closing are looked at."""
    if told.rejected is not None:
        return End.REFUSED
    took_over = {each.agency for each in incident.disclosures if each.service == told.service and each.taken_over}
    if took_over and told.agency not in took_over:
        return End.ANOTHER
    return None


def ended(
    incident: Incident,
    told: Disclosure,
    *,
    expires: datetime,
    closed_at: datetime | None,
    now: datetime,
    after_closing: timedelta,
) -> End | None:
    """Why the link of ``told`` is over at ``now``; None while it is not."""
    if (over := part_is_over(incident, told)) is not None:
        return over
    if incident.state is State.CLOSED and closed_at is not None and now >= closed_at + after_closing:
        return End.CLOSED
    return End.EXPIRED if now >= expires else None
