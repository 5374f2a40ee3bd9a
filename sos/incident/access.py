"""Why somebody looks into an incident: every opening says what for, and one that is over says why as well.

Part of ``lifecycle``: its decider for looking, pure like all of it.  An opening is a record of its own each time.  What
is shown again because something came in is the same opening, until the incident is closed.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from routing.categories import Category
from sos.errors import Refused
from sos.incident import commands as c
from sos.incident import events as e
from sos.incident.model import Incident, State
from sos.incident.obligations import said

Decision = tuple[e.Draft, ...]


class Purpose(StrEnum):
    """What somebody of ours opens an incident for."""

    OFFERED = "offered"
    """The call rings at this desk: before answering one sees what it is about, and only as long as it waits."""
    EMERGENCY = "emergency_handling"
    """To help: while it is open, and never afterwards."""
    SUPERVISION = "supervision"
    """A supervisor sees to a call that is under way."""
    REVIEW = "review"
    """What was told, or how it was handled, is looked at."""
    REQUEST = "request"
    """Somebody outside has asked, with a request on record."""
    PERSON = "person"
    """The person it is about wants to know, or complains."""
    FAULT = "fault"
    """Something did not work and has to be understood."""


AT_A_GLANCE = frozenset({Category.LOC, Category.VEH, Category.SEV})
"""What an offered call shows: enough to know what it is about, and nobody's name, number or words."""

WAITS = (State.RECEIVED, State.RINGING, State.REOPENED)
"""States in which an incident is offered to desks."""

DESK = "operator:"
"""How a reader at a desk begins."""


def read(incident: Incident, command: c.ReadParts, _: datetime) -> Decision:
    """``Refused`` where an offered call waits no more or is asked for more than it shows, and where a closed incident
    is opened for no purpose that outlives it, or without a reason."""
    if command.purpose == Purpose.OFFERED:
        if incident.state not in WAITS:
            raise Refused("it waits no more: it cannot be looked at as an offered call")
        if not set(command.categories) <= AT_A_GLANCE:
            raise Refused("an offered call shows the place, the vehicle and the crash, and nothing else")
    if incident.state is State.CLOSED and command.reader.startswith(DESK):
        if command.purpose == Purpose.EMERGENCY:
            raise Refused("the incident is closed: say what it is opened for, or reopen it")
        if not command.reason.strip():
            raise Refused("the incident is closed: say why it is opened")
    if not command.each_time and set(command.categories) <= incident.opened_by(command.reader):
        return ()
    seen = e.PartsRead(reader=command.reader, categories=command.categories, purpose=command.purpose)
    parts: Mapping[Category, bytes] = said(command.reason)
    return (e.Draft(event=seen, parts=parts),)
