"""What the telling of an agency leaves behind: rungs taken, calls to its lines, questions asked back, and what is due.

Part of ``lifecycle``: its deciders, effects and times for these facts, pure like all of it.  Which rung follows which,
and after how long, is the policy of ``sos.dispatch.ladder``; here stands only what holds whatever the policy is: a rung
is taken once, nobody who has taken over is told louder, and whoever has heard is not called again.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from msgspec.structs import replace

from routing.categories import Category
from sos.errors import Refused, Unconfirmed
from sos.incident import commands as c
from sos.incident import events as e
from sos.incident.deadline import DeadlineName
from sos.incident.model import (
    Acknowledgement,
    AgencyCall,
    Disclosure,
    DisclosureId,
    Incident,
    Ladder,
    LegId,
    Rung,
    State,
)
from sos.incident.report import canonical

DUE = DeadlineName.RUNG
"""Name of the deadline of the ladders: the earliest rung that is due on any of them."""

UNTOUCHED = timedelta(seconds=5)
"""How long a decision or a due rung may stand before the timer says so (again): the hand-off needs milliseconds."""

QUESTION_CHARACTERS = 500

Decision = tuple[e.Draft, ...]


def served(incident: Incident, told: Disclosure) -> bool:
    """Whether the search goes on elsewhere: another agency of the service was told later, or has not refused."""
    same = [known for known in incident.disclosures if known.service is told.service]
    return same[-1] is not told or any(known.pending or known.taken_over for known in same)


def climbing(incident: Incident, told: Disclosure) -> bool:
    """Whether help is still to be looked for after ``told``."""
    if told.taken_over or told.superseded:
        return False
    return told.pending or not served(incident, told)


def due(incident: Incident) -> datetime | None:
    """When the earliest rung of any ladder is due; None when nothing is waited for."""
    found: list[datetime] = []
    for ladder in incident.ladders:
        told = incident.disclosure(ladder.disclosure)
        if told is None or ladder.next_at is None or not climbing(incident, told):
            continue
        woken = ladder.woken_at
        found.append(woken + UNTOUCHED if woken is not None and woken >= ladder.next_at else ladder.next_at)
    return min(found, default=None)


def warn_of_second(incident: Incident, command: c.DecideDisclosure) -> None:
    """``Unconfirmed`` when the service has been told already: two crews at one crash must be somebody's decision."""
    if command.confirmed:
        return
    for known in incident.disclosures:
        if known.service is command.service and (known.pending or known.taken_over):
            state = "has taken over" if known.taken_over else "has been told and has not answered yet"
            raise Unconfirmed(f"{known.agency} {state}: confirm that {command.agency} is to be told as well")


# --- deciders ---


def _facts(*happened: e.Event) -> Decision:
    return tuple(e.Draft(event=event) for event in happened)


def _known(incident: Incident, disclosure: DisclosureId) -> Disclosure:
    known = incident.disclosure(disclosure)
    if known is None:
        raise Refused(f"nothing was disclosed under {disclosure}")
    return known


def _take_rung(incident: Incident, command: c.TakeRung, _: datetime) -> Decision:
    told = _known(incident, command.disclosure)
    ladder = incident.ladder(command.disclosure)
    if incident.state is State.CLOSED:
        return ()
    if ladder is None or command.number != ladder.number + 1 or not climbing(incident, told):
        return ()
    if command.line is not None and (told.rejected is not None or _heard(told)):
        return ()
    taken = e.RungTaken(
        disclosure=command.disclosure,
        number=command.number,
        rung=command.rung,
        reason=command.reason,
        line=command.line,
        by_hand=command.line is not None and command.leg is None,
        proposed=command.proposed,
        elapsed_ms=command.elapsed_ms,
        next_after_ms=command.next_after_ms,
    )
    if command.line is None or command.leg is None:
        return _facts(taken)
    call = e.AgencyCallRequested(disclosure=command.disclosure, agency=told.agency, line=command.line, leg=command.leg)
    return _facts(taken, call)


def _heard(told: Disclosure) -> bool:
    return told.reached is not None and told.reached.rank >= Acknowledgement.HEARD.rank


def _end_call(incident: Incident, command: c.EndAgencyCall, _: datetime) -> Decision:
    told = _known(incident, command.disclosure)
    call = next((known for known in told.calls if known.leg == command.leg), None)
    if call is None or call.outcome is not None:
        return ()
    return _facts(e.AgencyCallEnded(disclosure=command.disclosure, leg=command.leg, outcome=command.outcome))


def _ask(incident: Incident, command: c.AskBack, _: datetime) -> Decision:
    """Whoever asks has heard; asking again with the same words is the same question."""
    told = _known(incident, command.disclosure)
    if told.agency != command.agency:
        raise Refused("this was disclosed to another agency")
    text = command.text.strip()
    if len(text) > QUESTION_CHARACTERS:
        raise Refused(f"a question has at most {QUESTION_CHARACTERS} characters")
    if told.asked is command.question and not text:
        return ()
    asked = e.Draft(
        event=e.AgencyAsked(disclosure=command.disclosure, question=command.question),
        parts={Category.OBS: canonical({"asked": text})} if text else {},
    )
    if told.rejected is not None or _heard(told):
        return (asked,)
    return (asked, *_facts(e.AgencyAcknowledged(disclosure=command.disclosure, level=Acknowledgement.HEARD)))


DECIDERS: Mapping[type[c.Command], Callable[[Incident, Any, datetime], Decision]] = MappingProxyType(
    {c.TakeRung: _take_rung, c.EndAgencyCall: _end_call, c.AskBack: _ask}
)


# --- effects ---


def _told(incident: Incident, disclosure: DisclosureId, **changes: Any) -> dict[str, Any]:
    return {
        "disclosures": tuple(
            replace(known, **changes) if known.disclosure == disclosure else known for known in incident.disclosures
        )
    }


def rung_taken(incident: Incident, event: e.RungTaken) -> dict[str, Any]:
    told = incident.disclosure(event.disclosure)
    if told is None:
        return {}
    return _told(
        incident,
        event.disclosure,
        rung=event.rung,
        line=event.line,
        by_hand=event.by_hand,
        alarms=told.alarms + (event.rung is Rung.SUPERVISOR),
        proposed=tuple(dict.fromkeys((*told.proposed, *event.proposed))),
    )


def delivery_failed(incident: Incident, event: e.DeliveryFailed) -> dict[str, Any]:
    """A transport that took it may say later that it did not get through, as a mail server does."""
    told = incident.disclosure(event.disclosure)
    if told is None or told.reached is not Acknowledgement.TRANSPORT:
        return {}
    return _told(incident, event.disclosure, reached=None)


def call_requested(incident: Incident, event: e.AgencyCallRequested) -> dict[str, Any]:
    told = incident.disclosure(event.disclosure)
    calls = told.calls if told is not None else ()
    return _told(incident, event.disclosure, calls=(*calls, AgencyCall(leg=event.leg, line=event.line)))


def call_ended(incident: Incident, event: e.AgencyCallEnded) -> dict[str, Any]:
    told = incident.disclosure(event.disclosure)
    calls = told.calls if told is not None else ()
    ended = tuple(replace(call, outcome=event.outcome) if call.leg == event.leg else call for call in calls)
    return _told(incident, event.disclosure, calls=ended)


def asked(incident: Incident, event: e.AgencyAsked) -> dict[str, Any]:
    return _told(incident, event.disclosure, asked=event.question)


# --- times ---


def _climbs(incident: Incident, disclosure: DisclosureId, **changes: Any) -> tuple[Ladder, ...]:
    return tuple(replace(known, **changes) if known.disclosure == disclosure else known for known in incident.ladders)


def _begun(incident: Incident, event: e.DisclosureDecided, at: datetime) -> tuple[Ladder, ...]:
    begun = Ladder(disclosure=event.disclosure, began_at=at, taken_at=at, next_at=at + UNTOUCHED)
    return (*incident.ladders, begun)


def _climbed(incident: Incident, event: e.RungTaken, at: datetime) -> tuple[Ladder, ...]:
    known = incident.ladder(event.disclosure)
    turning = event.rung in (Rung.HEARD, Rung.REFUSED)
    later = event.next_after_ms
    return _climbs(
        incident,
        event.disclosure,
        number=event.number,
        rung=event.rung,
        turned=event.rung if turning or known is None else known.turned,
        began_at=at - timedelta(milliseconds=event.elapsed_ms),
        taken_at=at,
        next_at=None if later is None else at + timedelta(milliseconds=later),
        woken_at=None,
    )


def _answered(incident: Incident, event: e.LegJoined, at: datetime) -> tuple[Ladder, ...]:
    disclosure = called_for(incident, event.leg)
    return incident.ladders if disclosure is None else _climbs(incident, disclosure, answered_at=at)


def _woken(incident: Incident, event: e.HelpEscalated, at: datetime) -> tuple[Ladder, ...]:
    if event.rung != DUE:
        return incident.ladders
    return tuple(
        replace(known, woken_at=at) if known.next_at is not None and known.next_at <= at else known
        for known in incident.ladders
    )


def called_for(incident: Incident, leg: LegId) -> DisclosureId | None:
    """The disclosure for which ``leg`` calls an agency; None when it is somebody else's leg."""
    for told in incident.disclosures:
        if any(call.leg == leg for call in told.calls):
            return told.disclosure
    return None


TIMES: Mapping[type[e.Event], Callable[[Incident, Any, datetime], tuple[Ladder, ...]]] = MappingProxyType(
    {e.DisclosureDecided: _begun, e.RungTaken: _climbed, e.LegJoined: _answered, e.HelpEscalated: _woken}
)
"""What an event changes in the ladders' times."""
