"""The ladder: what is done, and when, until a human being at an agency has taken over.

**Theory.**  A decision to tell an agency starts a ladder of its own for that disclosure.  At once the brief is pushed
over a data channel *and* the agency's first line is called, because neither is known to work until a human answers.
No answer after 20 s, or the line busy, or a machine picking up: the second line (or the first once more).  After 45 s
the joint command centre that answers for several headquarters.  All these are doors of the same recipient, under the
same decision, incident id and disclosure id, so the house takes them by itself.

After 60 s others are *proposed*: the neighbouring headquarters, the prefectural police, the road operator.  They are
other recipients; telling them is a disclosure of its own, and only a person decides one.  After 75 s people are
alarmed, and again every 30 s.  A timer never tells, closes or gives up: the ladder of a silent agency does not end.

*What stops it.*  Four levels of acknowledgement are kept apart (``Acknowledgement``).  Transport and delivered are
machines: a 2xx, a mail server's 250, "fax sent", a page that exists, an answering machine.  They stop a repetition of
the push and nothing else.  *Heard* stops the calls: from then on only the taking over is waited for, and people are
alarmed when it does not come.  *Taken over* ends the ladder.  A refusal by one agency proposes others at once.

*What wins when two things happen at once.*  Each rung has a number within its disclosure; whoever takes a number second
finds it taken.  An acknowledgement that crosses a rung is seen by the next one.  While somebody talks with the agency
no further line is called for ``talk_for``; proposals and alarms do not wait for that.

*A clock that is set back* must not silence anybody: a rung that seems to lie in the future of its own record is due
now, and the ladder's time zero moves with the clock.

Times count from the decision, come from settings, and wait as deadlines in the journal.  Sources: HELPNET practice
and the 60 s call processing of NFPA 1225; every figure is the operator's to set.

``next_rung`` is pure: values in, values out, the time is an argument.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from uuid import NAMESPACE_URL, uuid5

from msgspec import Struct

from routing.directory import Agency, Directory
from routing.services import Service
from sos.incident.commands import TakeRung
from sos.incident.escalation import climbing
from sos.incident.model import (
    Acknowledgement,
    AgencyId,
    Disclosure,
    DisclosureId,
    Incident,
    Ladder,
    LegId,
    Mode,
    Rung,
    State,
)
from sos.incident.telephone import heard

TRIES_EACH = 2
"""Attempts over one data channel before the next one is tried: the second asks first whether the first arrived."""

LAST_RESORT = "portal"
"""The channel that is always there: a page of ours."""

SET_BACK = timedelta(seconds=1)
"""How far a record may lie in the future before the clock was set back; replicas differ by less."""


class Times(Struct, frozen=True, kw_only=True):
    """When each rung is taken, counted from the decision."""

    second_line: timedelta = timedelta(seconds=20)
    joint_centre: timedelta = timedelta(seconds=45)
    others: timedelta = timedelta(seconds=60)
    supervisor: timedelta = timedelta(seconds=75)
    alarm_every: timedelta = timedelta(seconds=30)
    """Between two alarms, and between a refusal and its alarm."""
    heard_for: timedelta = timedelta(seconds=90)
    """How long a human may have heard before people are alarmed that nobody has taken over."""
    talk_for: timedelta = timedelta(seconds=30)
    """How long somebody may talk with the agency before its other lines are called all the same."""


class Step(Struct, frozen=True, kw_only=True):
    rung: Rung
    time: str | None
    """Name of its time in ``Times``; None: at once."""
    line: str | None = None
    """The line it calls."""


TABLE: tuple[Step, ...] = (
    Step(rung=Rung.PUSH, time=None),
    Step(rung=Rung.FIRST_LINE, time=None, line="first"),
    Step(rung=Rung.SECOND_LINE, time="second_line", line="second"),
    Step(rung=Rung.JOINT_CENTRE, time="joint_centre", line="joint"),
    Step(rung=Rung.OTHERS, time="others"),
    Step(rung=Rung.SUPERVISOR, time="supervisor"),
)
"""The rungs in their order.  What an agency has no line for is left out; the times of the others stay."""


# --- what the directory offers ---


def numbers(agency: Agency, directory: Directory) -> dict[str, str]:
    """The telephone numbers of an agency by line: ``first``, ``second``, and ``joint`` of its command centre."""
    voice = agency.channels.get("voice", {})
    centre = directory.centre_of(agency)
    found = {
        "first": voice.get("number"),
        "second": voice.get("second") or voice.get("number"),
        "joint": voice.get("joint") or (centre.channels.get("voice", {}).get("number") if centre else None),
    }
    return {line: number for line, number in found.items() if isinstance(number, str) and number}


def number(agency: AgencyId, line: str, directory: Directory) -> str | None:
    """The number of one line; None when the agency has no such line."""
    known = directory.agencies.get(agency)
    return numbers(known, directory).get(line) if known else None


def agencies_at(directory: Directory) -> Callable[[str], Collection[AgencyId]]:
    """Which agencies have a number (E.164) as one of their lines; a command centre's is that of all it serves."""
    found: dict[str, set[AgencyId]] = {}
    for agency in directory.agencies.values():
        for written in numbers(agency, directory).values():
            if (known := heard(written).number) is not None:
                found.setdefault(known, set()).add(AgencyId(agency.id))
    return lambda tel: found.get(tel, ())


def data_channels(agency: Agency, directory: Directory, *, spoken: Sequence[str]) -> tuple[str, ...]:
    """The data channels to an agency that this house speaks, in the order of preference; the portal is the last."""
    centre = directory.centre_of(agency)
    named = (*agency.channels, *(centre.channels if centre else ()))
    return tuple(dict.fromkeys((*(name for name in named if name in spoken), LAST_RESORT)))


def channel_for(channels: Sequence[str], attempt: int, *, resting: frozenset[str] = frozenset()) -> str:
    """The channel of the ``attempt``-th push (from 1).  One that is ``resting`` is passed by when there is another."""
    awake = [name for name in channels if name not in resting] or list(channels)
    return awake[min((attempt - 1) // TRIES_EACH, len(awake) - 1)]


def proposals(state: Incident, told: Disclosure, directory: Directory, now: datetime) -> tuple[AgencyId, ...]:
    """Whom to tell besides: neighbours of the same service as the plan ranks them, then police, then the road.

    Nobody who was told already, who cannot be reached or is not there at this hour, or who takes no part in a drill.
    """
    spent = {known.agency for known in state.disclosures}
    planned = [agency for each in state.agencies if (agency := directory.agencies.get(each)) is not None]
    fallback = directory.assign(told.service, prefecture=None)
    ranked = [
        *(agency for agency in planned if agency.service is told.service),
        *((fallback.agency,) if fallback else ()),
        *(agency for agency in planned if agency.service is Service.POLICE),
        *(agency for agency in planned if agency.service is Service.ROAD),
    ]
    there = [
        agency
        for agency in ranked
        if agency.id not in spent
        and not agency.listed_only
        and directory.open(agency, now)
        and (agency.exercise_partner or state.mode is not Mode.DRILL)
    ]
    return tuple(dict.fromkeys(AgencyId(agency.id) for agency in there))


# --- the next rung ---


def climb(
    state: Incident, directory: Directory, times: Times, now: datetime, *, dials: bool, hurry: bool = False
) -> list[TakeRung]:
    """The rungs that are due now, at most one for each disclosure; take them and ask again.

    ``dials``: the house can place calls itself; otherwise the operator is asked to.  ``hurry``: the clock was set
    back, so the next rung is due whatever the times say.
    """
    found = (next_rung(state, told, directory, times, now, dials=dials, hurry=hurry) for told in state.disclosures)
    return [rung for rung in found if rung is not None]


class _Look(Struct, frozen=True, kw_only=True):
    """One look at one disclosure."""

    state: Incident
    told: Disclosure
    ladder: Ladder
    directory: Directory
    times: Times
    now: datetime
    dials: bool
    set_back: bool

    @property
    def due(self) -> bool:
        return self.set_back or (self.ladder.next_at is not None and self.ladder.next_at <= self.now)

    @property
    def because(self) -> str:
        return "clock_set_back" if self.set_back else "due"


def next_rung(
    state: Incident,
    told: Disclosure,
    directory: Directory,
    times: Times,
    now: datetime,
    *,
    dials: bool,
    hurry: bool = False,
) -> TakeRung | None:
    """The rung of one disclosure that is due at ``now``; None while it is not, and once help is there."""
    ladder = state.ladder(told.disclosure)
    if ladder is None or state.state is State.CLOSED or not climbing(state, told):
        return None
    look = _Look(
        state=state,
        told=told,
        ladder=ladder,
        directory=directory,
        times=times,
        now=now,
        dials=dials,
        set_back=hurry or now < ladder.taken_at - SET_BACK,
    )
    if told.rejected is not None:
        return _after_refusal(look)
    if told.reached is Acknowledgement.HEARD:
        return _after_hearing(look)
    return _alarm_again(look) if ladder.rung is Rung.SUPERVISOR else _while_silent(look)


def _after_refusal(look: _Look) -> TakeRung | None:
    """Others at once, one alarm if nobody decides; a person there has answered, so it does not repeat."""
    if look.ladder.turned is not Rung.REFUSED:
        proposed = proposals(look.state, look.told, look.directory, look.now)
        return _take(look, Rung.REFUSED, "rejected", after=look.times.alarm_every, proposed=proposed)
    if look.ladder.rung is Rung.REFUSED and look.due:
        return _take(look, Rung.SUPERVISOR, look.because, after=None)
    return None


def _after_hearing(look: _Look) -> TakeRung | None:
    if look.ladder.turned is not Rung.HEARD:
        return _take(look, Rung.HEARD, "asked" if look.told.asked else "heard", after=look.times.heard_for)
    return _alarm_again(look)


def _alarm_again(look: _Look) -> TakeRung | None:
    return _take(look, Rung.SUPERVISOR, look.because, after=look.times.alarm_every) if look.due else None


def _while_silent(look: _Look) -> TakeRung | None:
    """The next door, when its time has come or the one before is known not to open."""
    ladder, times = look.ladder, look.times
    steps = _steps_left(look.state, look.told, ladder, look.directory)
    step = steps[0]
    elapsed = max(timedelta(0), look.now - ladder.began_at)
    if look.set_back:
        elapsed = max(elapsed, _after(step, times))
    at = _after(step, times)
    failed = _failed_call(look.told) if step.line else None
    if step.line and (answered := _talking_since(look.state, look.told, ladder)) is not None:
        at = max(at, answered + times.talk_for - ladder.began_at)
        failed = None
    if not (look.set_back or failed or elapsed >= at):
        return None
    return _take(
        look,
        step.rung,
        look.because if look.set_back else failed or ("decided" if step.time is None else "due"),
        after=times.alarm_every if len(steps) == 1 else max(timedelta(0), _after(steps[1], times) - elapsed),
        elapsed=elapsed,
        line=step.line,
        proposed=proposals(look.state, look.told, look.directory, look.now) if step.rung is Rung.OTHERS else (),
    )


def _steps_left(state: Incident, told: Disclosure, ladder: Ladder, directory: Directory) -> list[Step]:
    """The rungs above the last one taken that this agency has the means for; never empty.

    A newer brief for an agency that has taken over is pushed, and people are asked to pass it on when nobody there
    reads it; nobody is called out of bed for it, and nobody else is told.
    """
    agency = directory.agencies.get(told.agency)
    lines = numbers(agency, directory) if agency else {}
    places = [step.rung for step in TABLE]
    reached = places.index(ladder.rung) + 1 if ladder.rung in places else 0
    left = [step for step in TABLE[reached:] if step.line is None or step.line in lines]
    if any(known.agency == told.agency and known.taken_over for known in state.disclosures):
        left = [step for step in left if step.rung in (Rung.PUSH, Rung.SUPERVISOR)]
    return left or [TABLE[-1]]


def _after(step: Step, times: Times) -> timedelta:
    after: timedelta = getattr(times, step.time) if step.time else timedelta(0)
    return after


def _failed_call(told: Disclosure) -> str | None:
    """How the last call ended when every call has ended without anybody being reached: no reason to wait longer."""
    if not told.calls or any(call.outcome is None for call in told.calls):
        return None
    return told.calls[-1].outcome


def _talking_since(state: Incident, told: Disclosure, ladder: Ladder) -> datetime | None:
    """When the call to the agency that is up now was answered."""
    up = {leg.leg for leg in state.legs if leg.up}
    return ladder.answered_at if any(call.leg in up and call.outcome is None for call in told.calls) else None


def _take(
    look: _Look,
    rung: Rung,
    reason: str,
    *,
    after: timedelta | None,
    elapsed: timedelta | None = None,
    line: str | None = None,
    proposed: tuple[AgencyId, ...] = (),
) -> TakeRung:
    number = look.ladder.number + 1
    since = look.now - look.ladder.began_at if elapsed is None else elapsed
    return TakeRung(
        disclosure=look.told.disclosure,
        number=number,
        rung=rung,
        reason=reason,
        elapsed_ms=max(0, _ms(since)),
        next_after_ms=None if after is None else _ms(after),
        line=line,
        leg=leg_of(look.told.disclosure, number) if line and look.dials else None,
        proposed=proposed,
    )


def leg_of(disclosure: DisclosureId, number: int) -> LegId:
    """The leg of the call that one rung makes: the same however often the rung is taken, and a UUID, since that is what
    every telephony provider takes for a leg."""
    return LegId(str(uuid5(NAMESPACE_URL, f"rung:{disclosure}.{number}")))


def _ms(duration: timedelta) -> int:
    return round(duration / timedelta(milliseconds=1))
