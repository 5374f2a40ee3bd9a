"""Which incidents belong together: the voice and the data of one car, and the cars of one crash.

A reader.  It proposes, with its reasons, and a person confirms or undoes; only the same vehicle within the window is
certain, and even that can be undone.  Nothing is merged: each incident keeps its call.  What is written about one of
two incidents it writes about the other, so both desks see it.  It also keeps ``Recent`` filled.
"""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from routing.categories import Category
from sos.errors import Refused, Unknown
from sos.incident.commands import ConfirmMatch, ProposeMatch, UndoMatch
from sos.incident.events import (
    IncidentClosed,
    IncidentOpened,
    IncidentReopened,
    MatchConfirmed,
    MatchProposed,
    MatchUndone,
    Recorded,
    ReportFiled,
)
from sos.incident.model import IncidentId, Mode, Relation, State
from sos.incident.report import CallBack, Crash, EmergencyReport, Location, Vehicle
from sos.incident.telephone import heard
from sos.intake.arrival import About, about, distance_m, same_vehicle, told_apart
from sos.intake.recent import DATA_AND_VOICE_WITHIN, JOIN_WITHIN, KEPT, Recent, Seen
from sos.journal import links
from sos.journal.journal import Journal

log = structlog.get_logger()

ACTOR = "system:matching"

NEAR_M = 150.0
"""Two cars of one collision come to rest this near; grown by what both positions may be wrong."""

LARGEST_NEAR_M = 1000.0
"""However bad the positions are: beyond this, near says nothing."""

SOON = timedelta(minutes=10)
"""Between the reports of two cars of one crash: redialling and a second impact included."""

ASSUMED_ACCURACY_M = 25.0
"""Of a position whose sender states none."""

COMPARED = 64
"""Incidents compared with a new one: in the crowd of a great earthquake nearness says little anyway."""

SHARED_BY = 3
"""Incidents of one call-back number beyond which it is the number of a fleet, a call centre or a firmware, and says
nothing about which of them belong together."""

PROPOSED = 4
"""Proposals per report: a person reads them while somebody waits on the line."""

CROWD = 8
"""More than this that match are no collision but a town in an earthquake, or a pile-up that every desk sees on the
map: then only the nearest is proposed."""

_FLAG = "no_data"

Position = tuple[float | None, float | None]

_location = msgspec.json.Decoder(Location)
_vehicle = msgspec.json.Decoder(Vehicle)
_crash = msgspec.json.Decoder(Crash)
_call_back = msgspec.json.Decoder(CallBack)


class Facts(Struct, frozen=True, kw_only=True, gc=False):
    """What is compared of one incident."""

    seen: Seen
    mode: Mode
    accuracy_m: float = ASSUMED_ACCURACY_M
    heading: float | None = None


class Proposal(Struct, frozen=True, kw_only=True):
    relation: Relation
    reasons: tuple[str, ...]
    certain: bool
    distance_m: int | None = None
    apart_s: int | None = None


def compare(one: Facts, other: Facts) -> Proposal | None:
    """Whether two incidents may belong together, and why.  Tests and drills never match what is live."""
    if one.mode is not other.mode:
        return None
    return _same_call(one, other) or _same_crash(one, other)


def _same_call(one: Facts, other: Facts) -> Proposal | None:
    """The data and the voice of one car: of one tenant, the one with data, the other without."""
    a, b = one.seen, other.seen
    apart = abs(a.at - b.at)
    if a.tenant != b.tenant or a.voice_only == b.voice_only or apart > DATA_AND_VOICE_WITHIN:
        return None
    same = a.about.vehicle is not None and a.about.vehicle == b.about.vehicle
    same_number = a.about.tel is not None and a.about.tel == b.about.tel
    if not same and not same_number:
        return None
    reasons = (*(("vehicle",) if same else ()), *(("callback",) if same_number else ()))
    certain = same and not told_apart(a.about, replace(b.about, tel=None))  # the voice shows a number of its own
    return Proposal(relation=Relation.SAME_CALL, reasons=reasons, certain=certain, apart_s=round(apart.total_seconds()))


def _same_crash(one: Facts, other: Facts) -> Proposal | None:
    """Two cars at one place at one time, or one car that was reported twice."""
    a, b = one.seen, other.seen
    apart = abs((a.about.event_time or a.at) - (b.about.event_time or b.at))
    if apart > SOON or a.voice_only or b.voice_only:
        return None
    one_car = same_vehicle(a.about, b.about, apart=apart)
    metres = None
    if a.about.position is not None and b.about.position is not None:
        metres = distance_m(a.about.position, b.about.position)
    near = metres is not None and metres <= min(NEAR_M + one.accuracy_m + other.accuracy_m, LARGEST_NEAR_M)
    if not one_car and not near:
        return None
    reasons = ["vehicle"] if one_car else []
    reasons += ["near"] if near else []
    if near and one.heading is not None and other.heading is not None:
        reasons.append(_headings(one.heading, other.heading))
    return Proposal(
        relation=Relation.SAME_CRASH,
        reasons=tuple(reasons),
        certain=False,
        distance_m=None if metres is None else round(metres, -1).__int__(),
        apart_s=round(apart.total_seconds()),
    )


def _sure_of_one(found: Sequence[tuple[Facts, Proposal]]) -> list[tuple[Facts, Proposal]]:
    """A voice is of one car: of several incidents under its name only the one that its number agrees with is sure."""
    sure = [proposal for _, proposal in found if proposal.certain]
    agreeing = [proposal for proposal in sure if "callback" in proposal.reasons]
    if len(sure) < 2:
        return list(found)
    kept = agreeing[0] if len(agreeing) == 1 else None
    return [(other, each if each is kept else replace(each, certain=False)) for other, each in found]


def _headings(one: float, other: float) -> str:
    """How the two drove, for the person who decides: a crash is possible either way."""
    apart = abs((one - other + 180) % 360 - 180)
    return "same_direction" if apart <= 45 else "opposite_direction" if apart >= 135 else "crossing"


class _Places:
    """Incidents by cells of a hundredth of a degree, about a kilometre."""

    def __init__(self) -> None:
        self._cells: dict[tuple[int, int], dict[IncidentId, None]] = {}

    def put(self, incident: IncidentId, position: Position) -> None:
        self._cells.setdefault(_cell(position), {})[incident] = None

    def drop(self, incident: IncidentId, position: Position) -> None:
        cell = self._cells.get(_cell(position))
        if cell is not None:
            cell.pop(incident, None)
            if not cell:
                del self._cells[_cell(position)]

    def near(self, position: Position) -> Iterator[IncidentId]:
        """Those of the cells around, some too far away; of each the newest, in a crowd."""
        row, column = _cell(position)
        for up in (-1, 0, 1):
            for across in (-2, -1, 0, 1, 2):  # meridians meet: a cell is narrower than high
                yield from islice(reversed(self._cells.get((row + up, column + across), {})), COMPARED)


def _cell(position: Position) -> tuple[int, int]:
    latitude, longitude = position
    return math.floor((latitude or 0.0) * 100), math.floor((longitude or 0.0) * 100)


class Matching:
    """``ReportFiled`` -> ``MatchProposed``; the matches of one incident -> those of the other."""

    WANTS = (IncidentOpened, ReportFiled, MatchProposed, MatchConfirmed, MatchUndone, IncidentClosed, IncidentReopened)

    def __init__(self, journal: Journal, recent: Recent) -> None:
        self._journal = journal
        self._recent = recent
        self._more: OrderedDict[IncidentId, Facts] = OrderedDict()
        self._same: dict[tuple[str, object], dict[IncidentId, None]] = {}
        """By vehicle key and by call-back number."""
        self._places = _Places()

    async def warm(self) -> None:
        """Remember the open incidents of the last hours, after a start."""
        open_states = [state for state in State if state is not State.CLOSED]
        _, incidents = await self._journal.queue(limit=10_000, states=open_states)
        since = self._journal.clock.now() - JOIN_WITHIN
        for incident in incidents:
            if incident.opened_at is None or incident.opened_at < since:
                continue
            parts = await self._journal.unseal(incident.id, _READ)
            by_category = {
                part.category: part.payload for part in parts if isinstance(part.recorded.event, ReportFiled)
            }
            seen = Seen(
                incident=incident.id,
                tenant=incident.tenant,
                at=incident.opened_at,
                about=About(),
                voice_only=_FLAG in incident.flags,
            )
            self._learn(seen, by_category, incident.mode)

    async def handle(self, batch: Sequence[Recorded]) -> None:
        for recorded in batch:
            match recorded.event:
                case IncidentOpened():
                    self._opened(recorded, recorded.event)
                case ReportFiled():
                    await self._filed(recorded)
                case MatchProposed() | MatchConfirmed() | MatchUndone():
                    await self._mirror(recorded)
                case IncidentClosed():
                    self._recent.forget(recorded.incident)
                    self._forget(recorded.incident)
                case IncidentReopened():
                    await self._reopened(recorded)
                case _:
                    pass

    async def _filed_parts(self, incident: IncidentId) -> Mapping[Category, bytes]:
        """The newest part of each category that a report had."""
        parts = await self._journal.unseal(incident, _READ)
        return {part.category: part.payload for part in parts if isinstance(part.recorded.event, ReportFiled)}

    def _opened(self, recorded: Recorded, event: IncidentOpened) -> None:
        known = self._recent.seen(recorded.incident)
        if known is None:
            voice_only = any(finding.partition(":")[0] == _FLAG for finding in event.findings)
            known = Seen(
                incident=recorded.incident, tenant=recorded.tenant, at=recorded.at, about=About(), voice_only=voice_only
            )
            self._recent.note(known)
        if recorded.incident not in self._more:
            self._remember(Facts(seen=known, mode=event.mode))

    async def _filed(self, recorded: Recorded) -> None:
        parts = await self._journal.parts_of(recorded)
        known = self._recent.seen(recorded.incident)
        if known is None:  # closed meanwhile, or forgotten in a great crowd
            return
        state = await self._journal.state(recorded.incident)
        if state.state is State.CLOSED:
            return
        facts = self._learn(known, parts, state.mode)
        found = [(other, proposal) for other in self._others(facts) if (proposal := compare(facts, other))]
        found = _sure_of_one(found)
        found.sort(key=lambda pair: (not pair[1].certain, pair[1].distance_m or 0))
        for other, proposal in found[: PROPOSED if len(found) <= CROWD else 1]:
            await self._propose(facts.seen.incident, other.seen.incident, proposal, causation=recorded.id)

    def _others(self, facts: Facts) -> Sequence[Facts]:
        """Those worth comparing, the newest first: of the same vehicle, of the same number, or near."""
        about = facts.seen.about
        found = dict.fromkeys(self._places.near(about.position) if about.position else ())
        alike = self._same.get(("tel", about.tel), {}) if about.tel is not None else {}
        if len(alike) <= SHARED_BY:
            found |= dict.fromkeys(alike)
        if about.vehicle is not None:
            found |= dict.fromkeys(islice(reversed(self._same.get(("vehicle", about.vehicle), {})), COMPARED))
        found.pop(facts.seen.incident, None)
        known = (self._more.get(other) for other in sorted(found, reverse=True))
        return [other for other in known if other is not None][:COMPARED]

    def _learn(self, known: Seen, parts: Mapping[Category, bytes], mode: Mode) -> Facts:
        """What ``parts`` say, on top of what is known; unknown does not overwrite known."""
        location = _location.decode(parts[Category.LOC]) if Category.LOC in parts else Location()
        vehicle = _vehicle.decode(parts[Category.VEH]) if Category.VEH in parts else Vehicle()
        crash = _crash.decode(parts[Category.SEV]) if Category.SEV in parts else Crash()
        tel = _call_back.decode(parts[Category.TEL]).tel if Category.TEL in parts else None
        before, earlier = known.about, self._more.get(known.incident)
        report = EmergencyReport(location=location, vehicle=vehicle, crash=crash)
        now = about(report, source=before.source)
        made = replace(
            now,
            vehicle=before.vehicle or now.vehicle,
            event_time=now.event_time or before.event_time,
            sequence=before.sequence,
            position=now.position or before.position,
            accuracy_m=now.accuracy_m if location.known else before.accuracy_m,
            doubted=now.doubted if location.known else before.doubted,
            tel=(heard(tel).number if tel else None) or before.tel,
            traits=tuple((dict(before.traits) | dict(now.traits)).items()),
        )
        seen = replace(known, about=made)
        self._recent.note(seen)
        facts = Facts(
            seen=seen,
            mode=mode,
            accuracy_m=location.horizontal_accuracy or (earlier.accuracy_m if earlier else ASSUMED_ACCURACY_M),
            heading=location.heading if location.heading is not None else (earlier.heading if earlier else None),
        )
        self._forget(known.incident)
        self._remember(facts)
        return facts

    def _remember(self, facts: Facts) -> None:
        incident, about = facts.seen.incident, facts.seen.about
        self._more[incident] = facts
        if about.position is not None:
            self._places.put(incident, about.position)
        for same in (("vehicle", about.vehicle), ("tel", about.tel)):
            if same[1] is not None:
                self._same.setdefault(same, {})[incident] = None
        while len(self._more) > KEPT:
            self._forget(next(iter(self._more)))

    def _forget(self, incident: IncidentId) -> None:
        facts = self._more.pop(incident, None)
        if facts is None:
            return
        about = facts.seen.about
        if about.position is not None:
            self._places.drop(incident, about.position)
        for same in (("vehicle", about.vehicle), ("tel", about.tel)):
            alike = self._same.get(same)
            if alike is not None:
                alike.pop(incident, None)
                if not alike:
                    del self._same[same]

    async def _propose(self, incident: IncidentId, other: IncidentId, proposal: Proposal, *, causation: str) -> None:
        if proposal.certain:
            await self._confirm(incident, other, proposal, causation=causation)
            return
        order = ProposeMatch(
            other=other,
            relation=proposal.relation,
            reasons=proposal.reasons,
            distance_m=proposal.distance_m,
            apart_s=proposal.apart_s,
        )
        await self._journal.execute(incident, order, actor=ACTOR, causation=causation)

    async def _confirm(self, incident: IncidentId, other: IncidentId, proposal: Proposal, *, causation: str) -> None:
        """What is certain needs nobody: the two halves of one call are linked, unless a person has undone it."""
        if (await self._journal.state(incident)).match(other, proposal.relation) is not None:
            return
        try:
            await links.confirm(
                self._journal,
                incident,
                other,
                relation=proposal.relation,
                reasons=proposal.reasons,
                actor=ACTOR,
                causation=causation,
            )
        except (Refused, Unknown) as refused:  # one of them was closed meanwhile
            log.info("not_linked", incident=incident, other=other, reason=str(refused))

    async def _mirror(self, recorded: Recorded) -> None:
        """The other incident is told the same; when it already says so, nothing is written and this comes to rest."""
        event = recorded.event
        order: ProposeMatch | ConfirmMatch | UndoMatch
        match event:
            case MatchProposed():
                order = ProposeMatch(
                    other=recorded.incident,
                    relation=event.relation,
                    reasons=event.reasons,
                    distance_m=event.distance_m,
                    apart_s=event.apart_s,
                )
            case MatchConfirmed():
                order = ConfirmMatch(other=recorded.incident, relation=event.relation, reasons=event.reasons)
            case MatchUndone():
                order = UndoMatch(other=recorded.incident, relation=event.relation)
            case _:
                return
        if await self._said_since(recorded, event):
            return  # what is newer is told by its own event
        try:
            await self._journal.execute(event.other, order, actor=ACTOR, causation=recorded.id)
        except (Refused, Unknown) as refused:
            log.info("match_not_mirrored", incident=event.other, reason=str(refused))

    async def _said_since(self, recorded: Recorded, event: MatchProposed | MatchConfirmed | MatchUndone) -> bool:
        """Whether something newer was said about the two; from the stream, since the state may be a moment behind."""
        later = (each.event for each in await self._journal.store.stream(recorded.incident) if each.n > recorded.n)
        return any(
            isinstance(each, MatchProposed | MatchConfirmed | MatchUndone)
            and (each.other, each.relation) == (event.other, event.relation)
            for each in later
        )

    async def _reopened(self, recorded: Recorded) -> None:
        by_category = await self._filed_parts(recorded.incident)
        state = await self._journal.state(recorded.incident)
        opened_at: datetime = state.opened_at or recorded.at
        seen = Seen(incident=recorded.incident, tenant=recorded.tenant, at=opened_at, about=About())
        self._learn(seen, by_category, state.mode)


_READ = (Category.LOC, Category.VEH, Category.SEV, Category.TEL)


async def warm_up(matching: Matching) -> None:
    """Fill the index once; a database that is away leaves it empty, and reports then open incidents of their own."""
    try:
        async with asyncio.timeout(10):
            await matching.warm()
    except (Refused, TimeoutError) as failed:
        log.warning("matching_cold", reason=type(failed).__name__)
