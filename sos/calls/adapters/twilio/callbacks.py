"""What Twilio's callbacks mean, in the words of ``sos.calls.legs``; pure.

Parameter names and values are those of Twilio's documentation of the Call, Conference and Recording resources
(API 2010-04-01).  A value that is not known here says nothing: Twilio adds values, and a call must not fall over one.
"""

from collections.abc import Mapping
from types import MappingProxyType

from sos.calls.legs import Reach, Report

CALL: Mapping[str, Report] = MappingProxyType(
    {
        "queued": Report(reach=Reach.QUEUED),
        "initiated": Report(reach=Reach.QUEUED),
        "ringing": Report(reach=Reach.RINGING),
        "in-progress": Report(reach=Reach.UP),
        "completed": Report(reach=Reach.OVER, why="ended"),
        "busy": Report(reach=Reach.OVER, why="busy"),
        "no-answer": Report(reach=Reach.OVER, why="no_answer"),
        "failed": Report(reach=Reach.OVER, why="failed"),
        "canceled": Report(reach=Reach.OVER, why="ended"),
    }
)
"""``CallStatus``, the same word in callbacks and in the Call resource."""

PARTICIPANT: Mapping[str, Report] = MappingProxyType(
    {
        "queued": Report(reach=Reach.QUEUED),
        "connecting": Report(reach=Reach.QUEUED),
        "ringing": Report(reach=Reach.RINGING),
        "connected": Report(reach=Reach.UP),
        "complete": Report(reach=Reach.OVER, why="ended"),
        "failed": Report(reach=Reach.OVER, why="failed"),
    }
)
"""``status`` of the Participant resource."""

FINAL = frozenset({"completed", "absent", "failed"})
"""States of a recording after which nothing follows."""


def of_status(status: str) -> tuple[Report, ...]:
    """What a ``CallStatus`` says.  ``completed`` is said only of calls that were answered, so it says that as well."""
    told = CALL.get(status)
    if told is None:
        return ()
    return (Report(reach=Reach.UP), told) if status == "completed" else (told,)


def of_call(form: Mapping[str, str]) -> tuple[Report, ...]:
    """What a status callback of a call says."""
    return of_status(form.get("CallStatus", ""))


def of_conference(form: Mapping[str, str]) -> tuple[Report, ...]:
    """What a conference callback says of the participant it names: nothing, or whether it is there."""
    match form.get("StatusCallbackEvent", ""):
        case "participant-join":
            return (Report(reach=Reach.UP),)
        case "participant-leave":  # who leaves was there
            told = CALL.get(form.get("ParticipantCallStatus", ""))
            over = told is not None and told.reach is Reach.OVER
            return (Report(reach=Reach.UP), told if over and told else Report(reach=Reach.OVER, why="ended"))
    return ()
