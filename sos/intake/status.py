"""How far an incident has come, as its tenant may know it: four things that happened, and when each did first.

No more than that: not who answered, which agencies were told, what was said, or how it ended.  Headers of events are
enough for it, so no personal data is opened.
"""

from collections.abc import Sequence
from datetime import datetime

from sos.clock import timestamp
from sos.incident.events import (
    AgencyAcknowledged,
    DeliveryConfirmed,
    Event,
    IncidentClosed,
    IncidentReopened,
    OperatorAssigned,
    Recorded,
)
from sos.incident.model import Acknowledgement, Incident
from sos.incident.urns import incident_urn
from sos.intake.replies import Reached, Status
from sos.journal.spool import Held

WANTS: tuple[type[Event], ...] = (
    OperatorAssigned,
    DeliveryConfirmed,
    AgencyAcknowledged,
    IncidentClosed,
    IncidentReopened,
)
"""Kinds of events that can change a status."""


def status(incident: Incident, stream: Sequence[Recorded], *, domain: str) -> Status:
    """The status of ``incident`` as of the last event of ``stream``, for the tenant of that ``domain``."""
    at, version = _milestones(stream)
    done = [reached for reached in Reached if reached in at]
    return Status(
        incident=incident.id,
        urn=incident_urn(incident.id, domain),
        mode=incident.mode,
        status=done[-1] if done else Reached.WAITING,
        version=version,
        opened_at=timestamp(stream[0].at),
        answered_at=_told(at.get(Reached.ANSWERED)),
        told_at=_told(at.get(Reached.TOLD)),
        taken_over_at=_told(at.get(Reached.TAKEN_OVER)),
        closed_at=_told(at.get(Reached.CLOSED)),
    )


def waiting(held: Held, *, domain: str) -> Status:
    """The status of an incident that was told and waits in the spool: nobody can have done anything yet."""
    return Status(
        incident=held.incident,
        urn=incident_urn(held.incident, domain),
        mode=held.mode,
        status=Reached.WAITING,
        version=0,
        opened_at=timestamp(held.received_at),
        answered_at=None,
        told_at=None,
        taken_over_at=None,
        closed_at=None,
    )


def version(stream: Sequence[Recorded]) -> int:
    """Number of the event that changed the status last."""
    return _milestones(stream)[1]


def _milestones(stream: Sequence[Recorded]) -> tuple[dict[Reached, datetime], int]:
    at: dict[Reached, datetime] = {}
    changed = stream[0].n
    for each in stream:
        if isinstance(each.event, IncidentReopened):
            changed = each.n if at.pop(Reached.CLOSED, None) is not None else changed
        elif (reached := _reached(each.event)) is not None and reached not in at:
            at[reached], changed = each.at, each.n
    if Reached.TAKEN_OVER in at:  # by a person there, whatever its machines said
        at.setdefault(Reached.TOLD, at[Reached.TAKEN_OVER])
    return at, changed


def _reached(event: Event) -> Reached | None:
    """What ``event`` is to the tenant.  That a server took the bytes is no telling: it may be a captive portal's."""
    match event:
        case OperatorAssigned():
            return Reached.ANSWERED
        case DeliveryConfirmed(level=Acknowledgement.DELIVERED) | AgencyAcknowledged(level=Acknowledgement.HEARD):
            return Reached.TOLD
        case AgencyAcknowledged(level=Acknowledgement.TAKEN_OVER):
            return Reached.TAKEN_OVER
        case IncidentClosed():
            return Reached.CLOSED
        case _:
            return None


def _told(at: datetime | None) -> str | None:
    return None if at is None else timestamp(at)
