"""What voice leaves behind: legs dialled and ringing, held, muted or coached, keys pressed, notices played, briefs read
by machine, and the search for a vehicle that sent data and does not speak.

Part of ``lifecycle``: its deciders, effects and the one deadline, pure like all of it.

*A vehicle is looked for* from the moment a report is durable, and again from the moment its leg is lost, until it
speaks, the incident is closed or the brand's call-back window is over.  The first look is soon, since a car that has
data coverage mostly calls by itself; the later ones are further and further apart.  A vehicle that hung up is not
looked for: an operator calls it back by hand.  Of a test that is a step: it is called back once.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from msgspec.structs import replace

from sos.errors import Forbidden, Refused
from sos.incident import attendance, response, testcall
from sos.incident import commands as c
from sos.incident import events as e
from sos.incident.deadline import Actor, Deadline, DeadlineName
from sos.incident.model import Acknowledgement, Incident, Leg, LegId, Mode, Party, ResponseHow, Silence, State, Telling

DUE = DeadlineName.CALL_VEHICLE
"""Name of the deadline."""

AT_ONCE = timedelta(seconds=1)
"""After which a vehicle that was cut off is called: no connection is lost and back in less."""

CALLS = tuple(timedelta(seconds=seconds) for seconds in (5, 20, 60, 180, 600, 1800))
"""When the vehicle is called after it fell silent: at once as soon as it could have called by itself, then rarely."""

WINDOW = timedelta(minutes=60)
"""Call-back window of a brand that names none."""

OVER = Deadline(
    name=DeadlineName.CALL_BACK_OVER,
    after=WINDOW,
    reason="the vehicle waits no longer to be called (60, 30 or 10 minutes by its generation)",
    actors=(Actor.TIMELINE,),
)

HELD = Deadline(
    name=DeadlineName.HELD_TOO_LONG,
    after=timedelta(seconds=60),
    reason="nobody in a car is left on hold longer than an agency's line rings, whatever the operator is doing",
    actors=(Actor.LEG,),
)

MOST_READINGS = 20
"""How often one leg may have a brief read to it: a key that is stuck must not fill the journal."""

_MEANT = ("ended", "hung_up", attendance.TRANSFERRED)
"""Reasons of a leg's end that somebody wanted."""

HOLD = "hold"
"""Notice to a vehicle that is about to be held."""

Decision = tuple[e.Draft, ...]


def due(incident: Incident) -> datetime | None:
    """When the vehicle is to be called (again); None while it speaks or is no longer looked for."""
    silence = incident.silence
    if silence is None or incident.state is State.CLOSED or silence.calls >= len(CALLS):
        return None
    after = AT_ONCE if silence.cut_off and not silence.calls else CALLS[silence.calls]
    return silence.since + after if after <= window(incident) else None


def window(incident: Incident) -> timedelta:
    """How long the vehicle answers a call by itself after its own is over."""
    return WINDOW if incident.call_back_window_s is None else timedelta(seconds=incident.call_back_window_s)


def call_back_until(incident: Incident) -> datetime | None:
    """Until when the vehicle can be called; None while it is in the call, and once that time is over."""
    return None if incident.call_back_from is None else incident.call_back_from + window(incident)


def at_least_until(incident: Incident, *, now: datetime) -> datetime | None:
    """As ``call_back_until``; of a vehicle that is in the call, as if that ended now."""
    if any(leg.party is Party.VEHICLE and leg.up for leg in incident.legs):
        return now + window(incident)
    return call_back_until(incident)


def waits(incident: Incident) -> tuple[tuple[str, datetime], ...]:
    """When the vehicle waits no longer, and when it is let go from hold."""
    if incident.state is State.CLOSED:
        return ()
    until, held = call_back_until(incident), incident.held_at
    return (
        *(() if until is None else ((OVER.name, until),)),
        *(() if held is None else ((HELD.name, held + HELD.after),)),
    )


def let_go(incident: Incident, rung: str) -> Sequence[e.Event]:
    """Who is let go with the passing of the deadline ``rung``."""
    if rung != HELD.name:
        return ()
    return [
        e.LegModeSet(leg=leg.leg, held=False, muted=leg.muted, coaching=leg.coaching)
        for leg in incident.legs
        if _spared_now(leg)
    ]


def _spared_now(leg: Leg) -> bool:
    return leg.party is Party.VEHICLE and leg.alive and leg.held and leg.held_for is not None


def holding(incident: Incident, at: datetime) -> dict[str, Any]:
    """What changes in ``incident``, as it is after an event, because the vehicle is held now or not any more."""
    held = any(map(_spared_now, incident.legs))
    if held is (incident.held_at is not None):
        return {}
    return {"held_at": at if held else None}


def standing_by(incident: Incident, event: e.Event, at: datetime) -> dict[str, Any]:
    """How ``event``, after which ``incident`` stands, changes since when the vehicle waits to be called."""
    match event:
        case e.IncidentOpened():
            return {"call_back_from": at}
        case e.LegJoined(party=Party.VEHICLE) | e.HelpEscalated(rung=OVER.name):
            return {"call_back_from": None}
        case e.LegLeft(leg=leg) if (known := incident.leg(leg)) is not None and known.party is Party.VEHICLE:
            there = any(other.party is Party.VEHICLE and other.up for other in incident.legs)
            return {} if there or incident.call_back_from is not None else {"call_back_from": at}
    return {}


# --- deciders ---


def _facts(*happened: e.Event) -> Decision:
    return tuple(e.Draft(event=event) for event in happened)


def _dial(incident: Incident, command: c.DialLeg, _: datetime) -> Decision:
    if incident.leg(command.leg) is not None:
        return ()
    if incident.state is State.CLOSED:
        raise Refused("the incident is closed")
    if command.party is Party.VEHICLE and any(leg.party is Party.VEHICLE and leg.alive for leg in incident.legs):
        return ()
    if command.party is Party.INTERPRETER and any(
        leg.party is Party.INTERPRETER and leg.alive for leg in incident.legs
    ):
        raise Refused("an interpreter is being called, or is in the call already")
    if command.party is Party.SUPERVISOR and not attendance.may_call(incident, command):
        return ()
    dialled = e.LegDialled(leg=command.leg, party=command.party, who=command.who, line=command.line, held=command.held)
    return (*_spared(incident, command), e.Draft(event=dialled, seals=c.AUDIO))


def _spared(incident: Incident, command: c.DialLeg) -> Decision:
    """Who is in the car hears no menu and no answering machine: told so and held before an outside party is dialled.

    Only beside a person of ours, who takes them together again; otherwise nobody could, and the car would be alone.
    """
    if command.party not in (Party.AGENCY, Party.INTERPRETER) or not attended(incident):
        return ()
    cars = (leg for leg in incident.legs if leg.party is Party.VEHICLE and leg.up and not leg.held)
    return _facts(
        *(
            event
            for car in cars
            for event in (
                e.NoticePlayed(leg=car.leg, notice=HOLD),
                e.LegModeSet(leg=car.leg, held=True, muted=car.muted, coaching=car.coaching, while_called=command.leg),
            )
        )
    )


def freed(incident: Incident, gone: LegId) -> Decision:
    """Who was held while ``gone`` was called is let go: it has left, or never came."""
    return _facts(
        *(
            e.LegModeSet(leg=leg.leg, held=False, muted=leg.muted, coaching=leg.coaching)
            for leg in incident.legs
            if leg.held_for == gone and leg.held and leg.alive
        )
    )


def _ring(incident: Incident, command: c.RingLeg, _: datetime) -> Decision:
    known = incident.leg(command.leg)
    if known is None or known.up or known.ringing or known.left is not None:
        return ()
    return _facts(e.LegRinging(leg=command.leg))


def _queue(incident: Incident, command: c.QueueLeg, _: datetime) -> Decision:
    known = incident.leg(command.leg)
    if known is None or known.up or known.ringing or known.left is not None:
        return ()
    return _facts(e.LegQueued(leg=command.leg, queued_ms=command.queued_ms))


def _set_mode(incident: Incident, command: c.SetLegMode, _: datetime) -> Decision:
    if incident.operator != command.operator:
        raise Forbidden("only the operator who has the incident may hold or mute: answer it first")
    known = incident.leg(command.leg)
    if known is None or not known.alive:
        raise Refused("this leg is not in the conference any more")
    if command.coaching is not None and incident.leg(command.coaching) is None:
        raise Refused("there is no such leg to coach")
    if (known.held, known.muted, known.coaching) == (command.held, command.muted, command.coaching):
        return ()
    return _facts(e.LegModeSet(leg=command.leg, held=command.held, muted=command.muted, coaching=command.coaching))


def _transfer(incident: Incident, command: c.TransferLeg, _: datetime) -> Decision:
    """The people of ours who stay behind are none that could be taken along."""
    known = incident.leg(command.leg)
    if known is None or not known.up or command.to == incident.id:
        return ()
    if known.party not in (Party.VEHICLE, Party.AGENCY):
        raise Refused("only who has telephoned us is brought into another call")
    return _facts(e.LegTransferred(leg=command.leg, to=command.to, as_leg=command.as_leg))


def _press(incident: Incident, command: c.PressKeys, _: datetime) -> Decision:
    known = incident.leg(command.leg)
    if known is None:
        raise Refused("there is no such leg")
    answers = response.corrected(incident, ResponseHow.KEYS) if known.party is Party.VEHICLE else {}
    return (e.Draft(event=e.KeysPressed(leg=command.leg, keys=command.keys), parts=answers),)


def _play(incident: Incident, command: c.PlayNotice, _: datetime) -> Decision:
    known = incident.leg(command.leg)
    if known is None or command.notice in known.notices:
        return ()
    return _facts(e.NoticePlayed(leg=command.leg, notice=command.notice))


def attended(incident: Incident) -> bool:
    """Whether a person of ours can talk with whoever else is in the conference: nobody held, nobody who only listens.

    A telephone that somebody of ours has picked up and not taken the call with yet is held, so it does not count.
    """
    return any(
        leg.up
        and not leg.held
        and (leg.party is Party.OPERATOR or (leg.party is Party.SUPERVISOR and not leg.muted and leg.coaching is None))
        for leg in incident.legs
    )


def _speak_brief(incident: Incident, command: c.SpeakBrief, _: datetime) -> Decision:
    """Alone it is read once and only to who has not answered yet; whoever asks is refused in words."""
    known, told = incident.leg(command.leg), incident.disclosure(command.disclosure)
    if known is None or told is None or known.party is not Party.AGENCY or known.who != told.agency:
        raise Refused("this leg is not one of the agency that was told")
    if command.why is Telling.ASKED:
        if incident.operator is None or incident.operator != command.operator:
            raise Forbidden("only the operator who has the incident may have the brief read: answer it first")
        if not known.up or told.rejected is not None:
            raise Refused("this leg is not in the call any more" if not known.up else "this agency has refused")
    elif not known.up or told.rejected is not None or incident.state is State.CLOSED:
        return ()
    if command.why is Telling.ALONE:
        if known.called_in:  # any caller may show an agency's number
            return ()
        heard = told.reached is not None and told.reached.rank >= Acknowledgement.HEARD.rank
        if heard or command.disclosure in known.briefs or attended(incident):
            return ()
    if command.why is Telling.AGAIN and command.disclosure not in known.briefs:
        return ()
    if len(known.briefs) >= MOST_READINGS:
        return ()
    spoken = e.BriefSpoken(
        leg=command.leg,
        disclosure=command.disclosure,
        voice=command.language,
        why=command.why,
        by_keys=command.by_keys,
    )
    return _facts(spoken)


def key_offer(stream: Sequence[e.Recorded], leg: LegId, *, before: int) -> e.BriefSpoken | None:
    """The reading whose keys whoever is on ``leg`` was told of last, before event ``before``; None: there is none."""
    readings = (each.event for each in reversed(stream) if each.n < before)
    spoken = next((event for event in readings if isinstance(event, e.BriefSpoken) and event.leg == leg), None)
    return spoken if spoken is not None and spoken.by_keys else None


DECIDERS: Mapping[type[c.Command], Callable[[Incident, Any, datetime], Decision]] = MappingProxyType(
    {
        c.DialLeg: _dial,
        c.RingLeg: _ring,
        c.QueueLeg: _queue,
        c.SetLegMode: _set_mode,
        c.TransferLeg: _transfer,
        c.PressKeys: _press,
        c.PlayNotice: _play,
        c.SpeakBrief: _speak_brief,
    }
)

# --- effects ---


def _known(incident: Incident, event: e.LegInvited | e.LegDialled | e.LegJoined, **changes: Any) -> dict[str, Any]:
    known = incident.leg(event.leg) or Leg(leg=event.leg, party=event.party, who=event.who, up=False)
    others = tuple(leg for leg in incident.legs if leg.leg != event.leg)
    return {"legs": (*others, replace(known, party=event.party, who=event.who, left=None, **changes))}


def _changed(incident: Incident, leg: str, **changes: Any) -> dict[str, Any]:
    return {"legs": tuple(replace(known, **changes) if known.leg == leg else known for known in incident.legs)}


def _joined(incident: Incident, event: e.LegJoined) -> dict[str, Any]:
    spoken = {"silence": None} if event.party is Party.VEHICLE else {}
    return _known(incident, event, up=True, ringing=False) | spoken


def _noticed(incident: Incident, event: e.NoticePlayed) -> dict[str, Any]:
    known = incident.leg(event.leg)
    return _changed(incident, event.leg, notices=(*known.notices, event.notice)) if known else {}


def _briefed(incident: Incident, event: e.BriefSpoken) -> dict[str, Any]:
    known = incident.leg(event.leg)
    return _changed(incident, event.leg, briefs=(*known.briefs, event.disclosure)) if known else {}


EFFECTS: Mapping[type[e.Event], Callable[[Incident, Any], dict[str, Any]]] = MappingProxyType(
    {
        e.LegInvited: lambda i, event: _known(i, event, up=False, called_in=event.called_in),
        e.LegDialled: lambda i, event: _known(i, event, up=False, held=event.held),
        e.LegRinging: lambda i, event: _changed(i, event.leg, ringing=True),
        e.LegJoined: _joined,
        e.LegLeft: lambda i, event: _changed(i, event.leg, up=False, ringing=False, left=event.reason),
        e.LegModeSet: lambda i, event: _changed(
            i,
            event.leg,
            held=event.held,
            muted=event.muted,
            coaching=event.coaching,
            held_for=event.while_called if event.held else None,
        ),
        e.NoticePlayed: _noticed,
        e.BriefSpoken: _briefed,
    }
)


def silent(incident: Incident, event: e.Event, at: datetime) -> dict[str, Any]:
    """How ``event`` changes the search for a vehicle that does not speak."""
    match event:
        case e.IncidentOpened():
            return {"silence": Silence(since=at)}
        case e.LegLeft(leg=leg, reason=reason):
            known = incident.leg(leg)
            if known is None or known.party is not Party.VEHICLE or not known.up:
                return {}
            back = incident.mode is Mode.TEST and not testcall.called_back(incident)  # the last step of a test
            return {"silence": None if reason in _MEANT and not back else Silence(since=at, cut_off=True)}
        case e.HelpEscalated(rung=rung) if rung == DUE and incident.silence is not None:
            return {"silence": replace(incident.silence, calls=incident.silence.calls + 1)}
    return {}
