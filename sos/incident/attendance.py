"""Whether a person of ours has the incident, and what is done, louder and louder, to find one.

Part of ``lifecycle``: its deciders, effects and times for this search, pure like all of it.

**Theory.**  An incident is *unattended* while somebody of ours should have it and nobody does: from the report until
an operator answers, and again from the moment that operator is lost, in whatever state it is.  Nobody is missing while
a human being of an agency that has taken over talks in the conference, nor once an agency has taken over an incident
whose vehicle is in no call: help is on its way and nobody waits for a voice.

The search counts from that moment and survives restarts, since each of its steps is a deadline.  The best free desk
rings; then the next best; then every desk; then the supervisors' desks give an alarm; then people with a telephone are
called one after the other, round after round; and when still nobody has it, the house tells an agency by itself, if the
law lets it, and says so at every desk.  Desks ring all the while, and whoever answers ends the search.  An incident
whose operator was lost has waited once already: it rings at every desk at once.

*A telephone that is picked up is not a person.*  The leg of somebody on call comes in held: it neither hears nor is
heard, is told by machine what to press, and has the incident only once a key was pressed.  One such call at a time, and
each person once in a round.  A test call stays in the house: nobody is called for it, no
agency told, and while nothing says that somebody needs help nobody is missing in it (``testcall``).

*Nobody anywhere* (``check``).  Once for an incident, for the protection of life alone, and never beside an agency that
has been told and has not refused.  Why a machine may do this at all stands in ops/decisions/0022.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from msgspec.structs import replace

from routing.law.codes import Path
from sos.errors import Refused
from sos.incident import commands as c
from sos.incident import events as e
from sos.incident import testcall, voiceless
from sos.incident.deadline import Actor, Deadline, DeadlineName
from sos.incident.model import Incident, Leg, Mode, OnCall, Party, State

NEXT_DESK = DeadlineName.NEXT_DESK
RING_ALL = DeadlineName.RING_ALL
UNANSWERED = DeadlineName.UNANSWERED
ON_CALL = DeadlineName.ON_CALL
NOBODY = DeadlineName.NOBODY
NEXT_PERSON = DeadlineName.NEXT_PERSON

LINE = "on_call"
"""The line of somebody on call, as ``LegDialled`` names it."""

TRANSFERRED = "transferred"
"""Why a leg is gone whose party talks on in the call of another incident."""

UNTOLD = "untold"
"""Flag of an incident of which the house might not tell anybody by itself."""

TOLD_UNATTENDED = "told_unattended"
"""Flag of an incident of which the house told an agency by itself."""

NOBODY_AFTER = timedelta(seconds=45)
"""Three times what NENA allows for answering, and time for two people to be called out of their sleep."""

RINGS_FOR = timedelta(seconds=25)
"""How long it rings at a person on call: six rings."""

PRESSES_WITHIN = timedelta(seconds=20)
"""How long a telephone that was picked up may press nothing; the notice takes thirteen seconds in two languages."""

ROUNDS = tuple(timedelta(seconds=seconds) for seconds in (20, 140, 320, 620))
"""When everybody on call is called, after the search began."""


def _step(name: DeadlineName, after: timedelta, reason: str, *actors: Actor) -> Deadline:
    """Counted from the moment since when a person is missing."""
    return Deadline(name=name, after=after, reason=reason, actors=actors)


STEPS: tuple[Deadline, ...] = (
    _step(
        NEXT_DESK,
        timedelta(seconds=5),
        "the best free desk does not answer: the next one",
        Actor.DISTRIBUTION,
    ),
    _step(RING_ALL, timedelta(seconds=10), "unclaimed: sound at every desk", Actor.DESKS),
    _step(UNANSWERED, timedelta(seconds=15), "NENA-STA-020.1: 90 % within 15 s", Actor.SUPERVISORS),
    _step(ON_CALL, ROUNDS[0], "no desk answers: people with a telephone", Actor.ON_CALL),
    _step(NOBODY, NOBODY_AFTER, "nobody of ours anywhere: the agency itself, if the law permits", Actor.UNATTENDED),
)
"""The search, step by step.  ``ON_CALL`` comes again as ``ROUNDS`` says."""

PATIENCE = _step(NEXT_PERSON, RINGS_FOR, "who was called does not pick up, or presses nothing", Actor.ON_CALL)
"""Counted from the dialling."""

RUNGS = frozenset({*(step.name for step in STEPS), PATIENCE.name})
"""Deadlines of the search."""

_AT_DESKS = (State.RECEIVED, State.RINGING, State.REOPENED)


# --- who has it ---


def accompanied(incident: Incident) -> bool:
    """Whether somebody of an agency that has taken over is in the conference."""
    there = {leg.who for leg in incident.legs if leg.party is Party.AGENCY and leg.up}
    return any(told.helps and told.agency in there for told in incident.disclosures)


def missing(incident: Incident) -> bool:
    """Whether a person of ours should have the incident and nobody does."""
    if incident.operator is not None or incident.state is State.CLOSED or testcall.quiet(incident):
        return False
    if incident.state in _AT_DESKS:
        return not brought_elsewhere(incident)
    if voiceless.calls_back(incident):
        return True
    waits = any(leg.party is Party.VEHICLE and leg.up for leg in incident.legs)
    return (waits or incident.state is not State.HANDED_OVER) and not accompanied(incident)


def brought_elsewhere(incident: Incident) -> bool:
    """Whether it was an agency's call about another incident, and whoever called is in that one's call now."""
    gone = any(leg.left == TRANSFERRED for leg in incident.legs)
    return gone and incident.about_another and not any(leg.alive for leg in incident.legs)


def telephone(incident: Incident) -> Leg | None:
    """The telephone by which the operator has the incident, while it is up; None where the operator sits at a desk."""
    if incident.operator is None:
        return None
    legs = (leg for leg in incident.legs if leg.party is Party.SUPERVISOR and leg.who == incident.operator)
    return next((leg for leg in legs if leg.up), None)


def asked(incident: Incident) -> Leg | None:
    """The call to somebody on call who does not have the incident, while it lasts."""
    leg = incident.leg(incident.on_call.leg) if incident.on_call and incident.on_call.leg else None
    return leg if leg is not None and leg.alive and leg.who != incident.operator else None


def bound(incident: Incident) -> tuple[Leg, ...]:
    """Legs that an operator has held, muted or set to coach: nobody else could let them go.

    Never the telephone of somebody on call who has not pressed a key: that one was held by nobody.
    """
    legs = (leg for leg in incident.legs if leg.alive and not (leg.party is Party.SUPERVISOR and leg.held))
    return tuple(leg for leg in legs if leg.held or leg.muted or leg.coaching is not None)


# --- times ---


def due(incident: Incident) -> tuple[tuple[str, datetime], ...]:
    """Name and instant of each step of the search that is still to come, and of the patience with who was called."""
    return (*_steps(incident), *_patience(incident))


def _patience(incident: Incident) -> tuple[tuple[str, datetime], ...]:
    """Also when nobody is missing any more: a telephone that was picked up by a machine hangs up by itself too late."""
    leg, on_call = asked(incident), incident.on_call
    if leg is None or on_call is None or on_call.asked_at is None or incident.state is State.CLOSED:
        return ()
    return ((NEXT_PERSON, on_call.asked_at + (PRESSES_WITHIN if leg.up else RINGS_FOR)),)


def _steps(incident: Incident) -> tuple[tuple[str, datetime], ...]:
    since = incident.unattended_at
    if since is None or incident.state in (State.RECEIVED, State.REOPENED):  # it rings within two seconds (ring_anyway)
        return ()
    found = [(step.name, since + step.after) for step in STEPS[:3] if _to_come(incident, step.name)]
    if incident.mode is Mode.TEST:
        return tuple(found)
    on_call = incident.on_call or OnCall()
    if on_call.rounds < len(ROUNDS):
        found.append((ON_CALL, since + ROUNDS[on_call.rounds]))
    if NOBODY not in incident.sought:
        limit = incident.nobody_after_ms
        found.append((NOBODY, since + (NOBODY_AFTER if limit is None else timedelta(milliseconds=limit))))
    return tuple(found)


def _to_come(incident: Incident, step: str) -> bool:
    few = incident.state is State.RINGING and bool(incident.desks)
    return step not in incident.sought and (few or step == UNANSWERED)


def widened(incident: Incident, rung: str) -> bool:
    """Whether the incident must now ring at every desk: ``rung`` is loud, and it does not ring so yet."""
    loud = rung in (DeadlineName.RING_ANYWAY, RING_ALL, UNANSWERED, NOBODY)
    everywhere = incident.state is State.RINGING and not incident.desks
    return loud and incident.state in _AT_DESKS and not everywhere


# --- deciders ---

Decision = tuple[e.Draft, ...]


def check(incident: Incident, command: c.DecideDisclosure) -> None:
    """``Refused`` where the house may not tell an agency without a person."""
    if incident.unattended_at is None or NOBODY not in incident.sought:
        raise Refused("people of ours are there, or still being looked for")
    if command.path != Path.LIFE_PROTECTION or command.referral or command.supersedes:
        raise Refused("without a person only the protection of life is a reason to tell anybody")
    if not command.review:
        raise Refused("what no person decided is looked at by one afterwards")
    if any(told.unattended or told.engages for told in incident.disclosures):
        raise Refused("an agency has been told already")


def may_call(incident: Incident, command: c.DialLeg) -> bool:
    """Whether somebody on call is to be dialled: nobody has the incident, nobody is being asked, and once a round."""
    if ON_CALL not in incident.sought or incident.mode is Mode.TEST or asked(incident) is not None:
        return False
    return incident.on_call is not None and command.who not in incident.on_call.called


def _withhold(incident: Incident, command: c.WithholdTelling, _: datetime) -> Decision:
    if incident.unattended_at is None or NOBODY not in incident.sought or UNTOLD in incident.flags:
        return ()
    if any(told.engages for told in incident.disclosures):
        return ()
    withheld = e.TellingWithheld(
        reason=command.reason, agency=command.agency, rule=command.rule, outcome=command.outcome
    )
    return (e.Draft(event=withheld),)


def _limit(incident: Incident, command: c.LimitSearch, _: datetime) -> Decision:
    if incident.nobody_after_ms == command.nobody_after_ms or incident.state is State.CLOSED:
        return ()
    if command.nobody_after_ms <= 0:
        raise Refused("people of ours are looked for first")
    return (e.Draft(event=e.SearchLimited(nobody_after_ms=command.nobody_after_ms)),)


DECIDERS: Mapping[type[c.Command], Callable[[Incident, Any, datetime], Decision]] = MappingProxyType(
    {
        c.WithholdTelling: _withhold,
        c.LimitSearch: _limit,
    }
)

# --- effects ---


def flagged(incident: Incident, flag: str) -> dict[str, Any]:
    """``incident`` with one more flag."""
    return {"flags": tuple(dict.fromkeys((*incident.flags, flag)))}


def answered(incident: Incident) -> dict[str, Any]:
    """A person has it, so that nobody was told is theirs to change."""
    return {"flags": tuple(flag for flag in incident.flags if flag != UNTOLD)} if UNTOLD in incident.flags else {}


EFFECTS: Mapping[type[e.Event], Callable[[Incident, Any], dict[str, Any]]] = MappingProxyType(
    {
        e.TellingWithheld: lambda i, _: flagged(i, UNTOLD),
        e.SearchLimited: lambda _, event: {"nobody_after_ms": event.nobody_after_ms},
    }
)


def escalated(incident: Incident, rung: str, at: datetime) -> dict[str, Any]:
    """A deadline of the search has passed."""
    on_call = incident.on_call or OnCall()
    if rung == NEXT_PERSON:
        return {"on_call": replace(on_call, asked_at=at)}
    sought = incident.sought if rung in incident.sought else (*incident.sought, rung)
    if rung != ON_CALL:
        return {"sought": sought}
    return {"sought": sought, "on_call": replace(on_call, rounds=on_call.rounds + 1, called=())}


def called(incident: Incident, event: e.Event, at: datetime) -> dict[str, Any]:
    """How ``event`` changes whom on call the house is asking."""
    on_call = incident.on_call
    if on_call is None:
        return {}
    match event:
        case e.LegDialled(party=Party.SUPERVISOR, line=line) if line == LINE:
            now = replace(on_call, called=(*on_call.called, event.who), leg=event.leg, asked_at=at)
            return {"on_call": now}
        case e.LegJoined(leg=leg) if leg == on_call.leg:
            return {"on_call": replace(on_call, asked_at=at)}
        case e.LegLeft(leg=leg) if leg == on_call.leg:
            return {"on_call": replace(on_call, leg=None, asked_at=None)}
    return {}


def followed(incident: Incident, at: datetime) -> dict[str, Any]:
    """What changes in ``incident``, as it is after an event, because a person is missing now or not any more."""
    if missing(incident) is (incident.unattended_at is not None):
        return {}
    if incident.unattended_at is not None:
        return {"unattended_at": None, "sought": ()}
    kept = replace(incident.on_call, rounds=0, called=()) if incident.on_call and asked(incident) else None
    return {"unattended_at": at, "sought": (), "on_call": kept}
