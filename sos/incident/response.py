"""The no-response clock: how long nobody in the vehicle answers before they are taken to be unconscious.

Part of ``lifecycle``: its deciders, effects and times, pure like all of it.

**Theory.**  From the moment a person of ours and the vehicle are both in the call, somebody there is being spoken to.
Any answer stops the clock for good: a word, a sound that is one, a key pressed, a «yes» or «no» to being spoken of.
Without one the incident is taken to be of an unconscious person when the time is over: that stands in the journal with
its second, in the brief as *response: none*, and at the desk.  It decides nothing.  When no agency has been told a
while later, supervisors are alarmed; who is told is still a person's decision, and an answer that comes late is
recorded as one.  The operator may wait longer, each time with a reason, and never without end.

The clock stops while one of the two is away and begins anew when they are back, since nobody was asked meanwhile.  A
test call has none: a car that tests its line says nothing.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from msgspec.structs import replace

from routing.categories import Category
from sos.errors import Forbidden, Refused
from sos.incident import commands as c
from sos.incident import events as e
from sos.incident.deadline import Actor, Deadline, DeadlineName
from sos.incident.model import Incident, Mode, OperatorId, Party, ResponseClock, ResponseHow, State
from sos.incident.report import canonical

DUE = DeadlineName.NO_RESPONSE
"""Name of the deadline after which nobody in the vehicle is taken to be conscious."""

ALARM = DeadlineName.NO_RESPONSE_ALARM
"""Name of the deadline after which somebody else hears that nobody was told yet."""

ASSUME_AFTER = timedelta(seconds=30)
"""Two questions and the time to answer them; half of what NFPA 1225 leaves for the whole call."""

LOUDER_AFTER = timedelta(seconds=20)

ROWS = (
    Deadline(
        name=DUE,
        after=ASSUME_AFTER,
        reason="nobody in the vehicle answers whoever speaks to them",
        actors=(Actor.BRIEF,),
    ),
    Deadline(
        name=ALARM,
        after=LOUDER_AFTER,
        reason="they are taken to be unconscious, and no agency has been told",
        actors=(Actor.SUPERVISORS,),
    ),
)
"""The first counts from the moment somebody speaks to them, the second from the passing of the first."""

LONGEST = timedelta(minutes=5)
"""The clock, with everything that was added to it."""

MOST_ADDED_S = 120

NO_RESPONSE = "noResponse"
"""What a brief says of people who do not answer (``routing.brief.words``)."""

_WORDS = MappingProxyType(
    {ResponseHow.SPEECH: "answered", ResponseHow.SOUNDS: "soundsOnly", ResponseHow.KEYS: "keysPressed"}
)

Decision = tuple[e.Draft, ...]


def due(incident: Incident) -> tuple[tuple[str, datetime], ...]:
    """Name and instant of what the clock waits for."""
    clock = incident.response
    if clock is None or clock.heard or incident.state is State.CLOSED:
        return ()
    if clock.assumed_at is not None:
        quiet = incident.disclosures or ALARM in incident.passed
        return () if quiet else ((ALARM, clock.assumed_at + LOUDER_AFTER),)
    if clock.began_at is None:
        return ()
    return ((DUE, clock.began_at + timedelta(milliseconds=clock.limit_ms)),)


def voice_up(incident: Incident) -> bool:
    """Whether the operator who has the incident and the vehicle are both in the call."""
    vehicle = any(leg.party is Party.VEHICLE and leg.up for leg in incident.legs)
    return vehicle and any(
        leg.up and leg.who == incident.operator and leg.party in (Party.OPERATOR, Party.SUPERVISOR)
        for leg in incident.legs
    )


# --- deciders ---


def _of(incident: Incident, operator: OperatorId) -> ResponseClock:
    if incident.operator != operator or incident.state is State.CLOSED:
        raise Forbidden("only the operator who has the incident says who answered: answer it first")
    if incident.response is None:
        raise Refused("nobody has been spoken to yet")
    return incident.response


def _hear(incident: Incident, command: c.HearResponse, _: datetime) -> Decision:
    if _of(incident, command.operator).heard:
        return ()
    heard = e.ResponseHeard(operator=command.operator, how=command.how)
    return (e.Draft(event=heard, parts=_says(_WORDS[command.how])),)


def _wait(incident: Incident, command: c.AwaitResponse, _: datetime) -> Decision:
    clock = _of(incident, command.operator)
    if clock.heard or clock.assumed_at is not None:
        raise Refused("the clock has stopped")
    if not 1 <= command.seconds <= MOST_ADDED_S:
        raise Refused(f"wait 1 to {MOST_ADDED_S} seconds longer")
    if clock.limit_ms + command.seconds * 1000 > LONGEST / timedelta(milliseconds=1):
        raise Refused("nobody has answered for five minutes: decide")
    waits = e.ResponseAwaited(operator=command.operator, seconds=command.seconds, reason=command.reason)
    return (e.Draft(event=waits),)


DECIDERS: Mapping[type[c.Command], Callable[[Incident, Any, datetime], Decision]] = MappingProxyType(
    {c.HearResponse: _hear, c.AwaitResponse: _wait}
)


def passed(name: str) -> Mapping[Category, bytes]:
    """What the passing of the deadline says of the people in the vehicle."""
    return _says(NO_RESPONSE) if name == DUE else {}


def corrected(incident: Incident, how: ResponseHow) -> Mapping[Category, bytes]:
    """What an answer that another fact tells of says of people who had been taken to be unconscious; else nothing."""
    clock = incident.response
    if clock is None or clock.heard or clock.assumed_at is None:
        return {}
    return _says(_WORDS[how])


def _says(response: str) -> Mapping[Category, bytes]:
    return {Category.OBS: canonical({"response": response})}


# --- effects ---


def _heard(incident: Incident, *_: Any) -> dict[str, Any]:
    clock = incident.response
    return {} if clock is None or clock.heard else {"response": replace(clock, heard=True)}


def _awaited(incident: Incident, event: e.ResponseAwaited) -> dict[str, Any]:
    clock = incident.response
    return {} if clock is None else {"response": replace(clock, limit_ms=clock.limit_ms + event.seconds * 1000)}


EFFECTS: Mapping[type[e.Event], Callable[[Incident, Any], dict[str, Any]]] = MappingProxyType(
    {
        e.ResponseHeard: _heard,
        e.ResponseAwaited: _awaited,
    }
)


def followed(incident: Incident, event: e.Event, at: datetime) -> dict[str, Any]:
    """What changes in ``incident``, as it is after ``event``: the clock starts, stops, or has been answered."""
    clock = incident.response
    match event:
        case e.IncidentReopened():
            return {"response": None}
        case e.ConsentRecorded():
            return _heard(incident)
        case e.KeysPressed(leg=leg) if (known := incident.leg(leg)) is not None and known.party is Party.VEHICLE:
            return _heard(incident)
        case e.HelpEscalated(rung=rung) if rung == DUE and clock is not None:
            return {"response": replace(clock, assumed_at=at)}
    if incident.mode is Mode.TEST or (clock is not None and (clock.heard or clock.assumed_at is not None)):
        return {}
    spoken_to = voice_up(incident) and incident.state is not State.CLOSED
    if spoken_to is (clock is not None and clock.began_at is not None):
        return {}
    began = clock or ResponseClock(limit_ms=round(ASSUME_AFTER / timedelta(milliseconds=1)))
    return {"response": replace(began, began_at=at if spoken_to else None)}
