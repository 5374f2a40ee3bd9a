"""Where help must come from: place -> services -> agencies, with the reason of every choice.

A plan is a pure function of its facts and of the data sets it names, so it can be made again years later (``again``).
It never fails for want of a position: then the default agencies are named, with a flag for the operator's screen.

How the agencies of a service are ranked.  A known position with an uncertainty is a circle; each agency has the share
of it that lies in its jurisdiction, and the largest comes first (several municipalities of one fire union count as
one).  Without an uncertainty the circle is a point.  The agency beyond a border that is nearer than the map is right
follows as runner-up.  On an expressway duty is by carriageway and comes before any polygon (memorandum of 1980-12-01).
Whoever is responsible but closed, or has no channel, is named and another one is called first.
"""

import hashlib
import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

import msgspec
from msgspec import Struct

from routing.boundaries import Border, Layer, Match
from routing.directory import Assignment, Directory
from routing.errors import Misconfigured
from routing.kinds import NEEDED, EmergencyKind
from routing.location import Known, Position, plausible
from routing.plan.hospitals import Facilities, Suggestion
from routing.plan.routes import Crossing, Crossings, Fix, RoadPlace, RouteTable
from routing.services import ALWAYS, Service


class Before(Struct, frozen=True, kw_only=True):
    """A position the vehicle had some time before."""

    latitude: float
    longitude: float
    age_s: float | None = None


class Facts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of the incident when the plan is made."""

    latitude: float | None = None
    """WGS-84 degrees, as sent; may be impossible."""
    longitude: float | None = None
    trigger: str = "unknown"
    """``automatic``, ``manual`` or ``unknown``."""
    kind: EmergencyKind = EmergencyKind.UNKNOWN
    """What has happened, as far as it is known."""
    besides: tuple[Service, ...] = ()
    """Who is needed whatever the kind: by what was said on the call, or by what the vehicle says against a person."""
    heading: float | None = None
    """Degrees clockwise from north: which carriageway."""
    uncertainty_m: float | None = None
    """Radius, as the sender states it."""
    trusted: bool | None = None
    """EN 15722 positionCanBeTrusted; False means worse than 150 m at 95 % confidence."""
    fix_age_s: float | None = None
    """How old the position was when the report was made."""
    speed_kmh: float | None = None
    """Before the incident."""
    recent: tuple[Before, ...] = ()
    """Positions just before (eCall N1, N2), newest first."""
    road: str | None = None
    """Id of the road the vehicle knows it is on, such as ``E4``."""
    road_class: str = ""
    """``expressway`` or ``other`` where the vehicle's map says so."""
    at: datetime | None = None
    """When the plan is made, aware: which agreements hold, who is there, whether helicopters fly."""


class PlanRules(Struct, frozen=True, kw_only=True):
    """Who is called, by kind of place."""

    name: str = "plan-rules-jp"
    by_kind: tuple[tuple[EmergencyKind, tuple[Service, ...]], ...] = tuple(NEEDED.items())
    """For each kind of emergency."""
    at_sea: tuple[Service, ...] = (Service.COAST_GUARD,)
    """Beside the others, where anybody is needed.  A car so far off the shore is on a bridge, in a tunnel or a ferry:
    all three such crashes among 2,300 police records were in the Tokyo Bay Aqua-Line tunnel, so the land services stay
    first."""
    on_expressway: tuple[Service, ...] = (Service.ROAD,)
    """Beside the others: who closes the lane."""
    untrusted_m: float = 1_000.0
    """Radius assumed when the vehicle itself does not trust its position and states none."""
    unknown_speed_kmh: float = 100.0
    """Speed assumed for a fix of some age when the vehicle states none: that of an expressway."""
    stale_after_s: float = 10.0
    """From here on the operator is told; the circle grows with every second."""
    largest_m: float = 50_000.0
    """No circle is larger: beyond it the plan says nothing more."""
    least_share: float = 0.005
    """An agency with less of the circle is not named."""
    runners_up: int = 3
    """For each service."""
    utc_offset_h: float = 9.0
    """Whose calendar day decides which agreement and which boundary holds."""

    @property
    def dataset(self) -> str:
        """Name and digest, as plans record it."""
        return _dataset(self)


class Need(Struct, frozen=True):
    """A service that is needed, and why."""

    service: Service
    reason: str
    """``crash``, ``call_for_help``, the kind of emergency, ``said``, ``at_sea`` or ``expressway``."""


class AreaShare(Struct, frozen=True):
    """How much of the uncertainty circle lies in one area."""

    code: str
    share: float
    """0 to 1, rounded to a thousandth."""


class Plan(Struct, frozen=True, kw_only=True, omit_defaults=True):
    prefecture: str | None
    """ISO 3166-2; None while the place is unknown or abroad."""
    municipality: str | None = None
    """5-digit code; None where the map knows prefectures only."""
    services: tuple[Need, ...]
    agencies: tuple[str, ...]
    """Ids, ranked: one per service in the order of ``services``, then the runners-up."""
    reasons: tuple[str, ...]
    """One per agency: ``fire:polygon``, ``fire:nearest``, ``fire:share``, ``fire:default_agency``, ``fire:stand_in``,
    ``fire:closed``, ``fire:runner_up``, ``fire:crossing`` (either end of a bridge), ``fire:carriageway`` (or with the
    direction, ``fire:carriageway_up``, while that is not known), ``fire:second_responder``, ``road:expressway``."""
    flags: tuple[str, ...]
    """``position_unknown``, ``default_agency``, ``near_border``, ``off_shore``, ``at_sea``, ``outside_coverage``,
    ``on_crossing``, ``on_expressway``, ``carriageway_unknown``, ``route_duty_unknown``,
    ``position_untrusted``, ``position_stale``, ``position_from_last_fix``, ``layer_missing``, ``boundaries_outdated``,
    ``delegated``, ``no_permanent_service``, ``agency_without_channel``, ``agreement_expired``, ``agency_closed``, and
    what ``routing.location.plausible`` found."""
    unreachable: tuple[str, ...] = ()
    """Ids of those who are responsible and have no channel: somebody else stands in for them."""
    border_m: int | None = None
    """Distance to the nearest other area, rounded to 100 m so that it does not tell the place."""
    runner_up: str | None = None
    """Code of that other area."""
    radius_m: int = 0
    """Of the circle the plan was made for."""
    shares: tuple[AreaShare, ...] = ()
    """Areas in that circle, largest first; what is missing to 1 is water or abroad."""
    roads: tuple[RoadPlace, ...] = ()
    """Where on an expressway it may be, likeliest first: both carriageways until the direction is known."""
    crossing: Crossing | None = None
    """The bridge or tunnel it is on, off every shore."""
    hospitals: tuple[Suggestion, ...] = ()
    helicopters: tuple[Suggestion, ...] = ()
    datasets: tuple[str, ...] = ()
    """``name@digest`` of everything the plan was made from."""


class Sources(Struct, frozen=True, kw_only=True):
    """Everything a plan is made from besides its facts."""

    layer: Layer | None
    """None: the boundaries could not be read; every plan then names the default agencies."""
    directory: Directory
    rules: PlanRules = PlanRules()
    facilities: Facilities | None = None
    routes: RouteTable | None = None
    """Expressways with their duty by carriageway; None where none were imported."""
    crossings: Crossings | None = None
    """Bridges and tunnels off every shore."""

    @property
    def datasets(self) -> tuple[str, ...]:
        """``name@digest`` of each."""
        layer = (self.layer.dataset,) if self.layer is not None else ()
        facilities = self.facilities.datasets if self.facilities is not None else ()
        roads = tuple(each.dataset for each in (self.routes, self.crossings) if each is not None)
        return (*layer, self.directory.dataset, self.rules.dataset, *roads, *facilities)


class Located(Struct, frozen=True, kw_only=True):
    """What the map says of the facts."""

    on: date | None = None
    """The day whose boundaries and agreements hold."""
    position: Position | None = None
    match: Match | None = None
    radius_m: float = 0.0
    border: Border | None = None
    shares: tuple[AreaShare, ...] = ()
    near: bool = False
    roads: tuple[RoadPlace, ...] = ()
    crossing: Crossing | None = None
    flags: tuple[str, ...] = ()


class Choice(Struct, frozen=True):
    service: Service
    assignment: Assignment
    how: str


@lru_cache(maxsize=16)
def _dataset(rules: PlanRules) -> str:
    return f"{rules.name}@{hashlib.sha256(msgspec.json.encode(rules, order='sorted')).hexdigest()}"


_HOW = {"inside": "polygon", "nearest": "nearest", "sea": "nearest", "outside": "default_agency"}
_FLAG = {"nearest": "off_shore", "sea": "at_sea", "outside": "outside_coverage"}


def make_plan(
    facts: Facts,
    *,
    layer: Layer | None,
    directory: Directory,
    rules: PlanRules,
    facilities: Facilities | None = None,
    routes: RouteTable | None = None,
    crossings: Crossings | None = None,
) -> Plan:
    """Who is responsible.  Never raises for a bad position."""
    return plan_from(
        facts,
        Sources(
            layer=layer,
            directory=directory,
            rules=rules,
            facilities=facilities,
            routes=routes,
            crossings=crossings,
        ),
    )


def plan_from(facts: Facts, sources: Sources) -> Plan:
    """Who is responsible.  Never raises for a bad position."""
    return plan_at(locate(facts, sources), facts, sources)


def plan_at(place: Located, facts: Facts, sources: Sources) -> Plan:
    """Who is responsible for what the map says."""
    needs = _needs(facts, place, sources.rules)
    ranked = {need.service: _ranked(need.service, place, facts, sources) for need in needs}
    agencies, flags = _called(ranked, facts, sources.directory)
    if not all(_resolved(road, sources.directory) for road in place.roads):
        flags.append("route_duty_unknown")
    match = place.match
    return Plan(
        prefecture=match.prefecture if match else None,
        municipality=match.municipality if match else None,
        services=tuple(need for need in needs if ranked[need.service]),
        agencies=tuple(agencies),
        reasons=tuple(agencies.values()),
        flags=tuple(dict.fromkeys((*place.flags, *flags))),
        unreachable=tuple(_unreachable(ranked)),
        border_m=round(place.border.distance_m / 100.0) * 100 if place.border else None,
        runner_up=place.border.runner_up if place.border else None,
        radius_m=round(place.radius_m),
        shares=place.shares,
        roads=place.roads,
        crossing=place.crossing,
        hospitals=_hospitals(place, sources),
        helicopters=_helicopters(place, facts, sources),
        datasets=sources.datasets,
    )


def again(plan: Plan, facts: Facts, sources: Sources) -> Plan:
    """The plan made once more from the same facts.

    ``Misconfigured`` when the sources are other ones than those the plan names: the message says which it needs.
    """
    if missing := sorted(set(plan.datasets) ^ set(sources.datasets)):
        raise Misconfigured(f"the plan needs exactly {', '.join(plan.datasets)}; these differ: {', '.join(missing)}")
    return plan_from(facts, sources)


def prefecture_of(code: str | None) -> str | None:
    """The prefecture of a code of Japan: ISO 3166-2 itself, or the first two digits of a municipality's."""
    if code is None or "-" in code:
        return code
    return f"JP-{code[:2]}" if len(code) == 5 and code.isdigit() else None


# --- the place ---


def locate(facts: Facts, sources: Sources) -> Located:
    """What the map says of the place, and what an operator should know of it."""
    layer, rules = sources.layer, sources.rules
    on = _day(facts, rules)
    known, flags = _position(facts)
    if known is None:
        return Located(on=on, flags=flags)
    latitude, longitude, age_s = known
    roads = _roads(facts, known, sources.routes, on)
    flags += (*_doubts(facts, age_s, rules), *_road_flags(roads))
    if layer is None:
        return Located(on=on, position=Position(latitude, longitude), roads=roads, flags=(*flags, "layer_missing"))
    match, crossing = bridged(
        layer.find(latitude, longitude, as_of=on), latitude, longitude, layer=layer, crossings=sources.crossings
    )
    flags += flags_of(match, crossing)
    if on is not None and not layer.covers(on):
        flags += ("boundaries_outdated",)
    radius_m = _radius_m(facts, age_s, rules)
    border = layer.border(latitude, longitude, code=match.code, as_of=on) if match.code else None
    near = border is not None and border.distance_m <= max(layer.accuracy_m, radius_m)
    shares = layer.shares(latitude, longitude, radius_m, as_of=on) if near and radius_m > 0.0 else ()
    return Located(
        on=on,
        position=Position(latitude, longitude),
        match=match,
        radius_m=radius_m,
        border=border,
        shares=tuple(AreaShare(each.code, round(each.share, 3)) for each in shares if each.share >= 0.0005),
        near=near,
        roads=roads,
        crossing=crossing,
        flags=(*flags, "near_border") if near else flags,
    )


def bridged(
    match: Match, latitude: float, longitude: float, *, layer: Layer, crossings: Crossings | None
) -> tuple[Match, Crossing | None]:
    """The match with the right end of a bridge or tunnel for the land that merely lies nearest."""
    crossing = crossings.at(latitude, longitude) if crossings is not None and match.how in ("nearest", "sea") else None
    if crossing is None:
        return match, None
    end = crossing.municipalities[0]
    municipality = end if match.municipality is not None and end in layer.names else None
    return Match(prefecture_of(end), "nearest", match.distance_m, municipality), crossing


def flags_of(match: Match, crossing: Crossing | None) -> tuple[str, ...]:
    """What an operator is told of a match that is not inside an area."""
    return (*((_FLAG[match.how],) if match.how in _FLAG else ()), *(("on_crossing",) if crossing else ()))


def _roads(
    facts: Facts, known: tuple[float, float, float], routes: RouteTable | None, on: date | None
) -> tuple[RoadPlace, ...]:
    if routes is None:
        return ()
    latitude, longitude, age_s = known
    stated, speed = facts.uncertainty_m, facts.speed_kmh
    usable = [each for fix in facts.recent if isinstance(each := plausible(fix.latitude, fix.longitude), Known)]
    fix = Fix(
        latitude=latitude,
        longitude=longitude,
        uncertainty_m=stated if stated is not None and stated >= 0.0 else None,
        heading=facts.heading if facts.heading is not None and math.isfinite(facts.heading) else None,
        previous=tuple((each.position.latitude, each.position.longitude) for each in usable),
        road_class=facts.road_class,
        speed_kmh=speed if speed is not None and 0.0 <= speed < math.inf else None,
        age_s=age_s,
    )
    found = routes.match(fix, as_of=on)
    return tuple(each for each in found if each.road_id == facts.road) or found


def _road_flags(roads: tuple[RoadPlace, ...]) -> tuple[str, ...]:
    if not roads:
        return ()
    return ("on_expressway",) if roads[0].certain else ("on_expressway", "carriageway_unknown")


def _doubts(facts: Facts, age_s: float, rules: PlanRules) -> tuple[str, ...]:
    untrusted = ("position_untrusted",) if facts.trusted is False else ()
    return (*untrusted, "position_stale") if age_s > rules.stale_after_s else untrusted


def _position(facts: Facts) -> tuple[tuple[float, float, float] | None, tuple[str, ...]]:
    """Latitude, longitude and age in seconds of the best position there is, and what is to be said of it."""
    place = plausible(facts.latitude, facts.longitude)
    if isinstance(place, Known):
        age_s = facts.fix_age_s if facts.fix_age_s is not None and facts.fix_age_s > 0.0 else 0.0
        return (place.position.latitude, place.position.longitude, age_s), place.flags
    for fix in facts.recent:
        before = plausible(fix.latitude, fix.longitude)
        if isinstance(before, Known):
            position = before.position
            age_s = fix.age_s if fix.age_s is not None and fix.age_s > 0.0 else _UNKNOWN_AGE_S
            flags = ("position_from_last_fix", *place.reasons, *before.flags)
            return (position.latitude, position.longitude, age_s), flags
    return None, ("position_unknown", *place.reasons)


_UNKNOWN_AGE_S = 10.0
"""Age assumed of a fix that states none; eCall's N1 and N2 are taken within seconds before the crash."""


def _radius_m(facts: Facts, age_s: float, rules: PlanRules) -> float:
    """How far off the position may be; an impossible figure counts as none, and a stale fix has moved on since."""
    stated = facts.uncertainty_m
    radius_m = stated if stated is not None and stated >= 0.0 else 0.0
    if not radius_m and facts.trusted is False:
        radius_m = rules.untrusted_m
    speed = facts.speed_kmh
    speed_kmh = speed if speed is not None and 0.0 <= speed < math.inf else rules.unknown_speed_kmh
    return min(radius_m + speed_kmh / 3.6 * age_s, rules.largest_m)


def _day(facts: Facts, rules: PlanRules) -> date | None:
    if facts.at is None:
        return None
    return (facts.at.astimezone(UTC) + timedelta(hours=rules.utc_offset_h)).date()


# --- services and agencies ---


def _needs(facts: Facts, place: Located, rules: PlanRules) -> tuple[Need, ...]:
    match = place.match
    needs = {service: Need(service, _why(facts)) for service in dict(rules.by_kind)[facts.kind]}
    needs |= {each: Need(each, "said") for each in facts.besides if each not in needs}
    if needs and match is not None and match.how == "sea":
        needs = {service: Need(service, "at_sea") for service in (*needs, *rules.at_sea)}
    if place.roads or facts.road is not None:
        needs |= {each: Need(each, "expressway") for each in rules.on_expressway}
    return tuple(needs.values())


def _why(facts: Facts) -> str:
    if facts.kind is not EmergencyKind.UNKNOWN:
        return facts.kind
    return "call_for_help" if facts.trigger == "manual" else "crash"


def _ranked(service: Service, place: Located, facts: Facts, sources: Sources) -> list[Choice]:
    """The agencies of one service, best first, no agency twice."""
    weights: dict[str, float] = {}
    choices: dict[str, Choice] = {}
    for choice, weight in _on_road(service, place, sources.directory):
        choices.setdefault(choice.assignment.agency.id, choice)
        weights.setdefault(choice.assignment.agency.id, weight)
    road = place.roads[0].road_id if place.roads else facts.road
    for code, share, how in _areas(place):
        found = sources.directory.assign(
            service,
            prefecture=_prefecture(code, place.match),
            municipality=code if place.match is not None and place.match.municipality is not None else None,
            road=road,
            on=place.on,
        )
        if found is None or (how in _BESIDE and found.how == "default_agency"):
            continue
        choices.setdefault(found.agency.id, Choice(service, found, _reason(found, how)))
        weights[found.agency.id] = weights.get(found.agency.id, 0.0) + share
    # Stable: of equal shares the one whose area holds the point stays first.
    order = sorted(choices, key=lambda agency: -weights[agency])
    return [choices[agency] for agency in order[: 1 + sources.rules.runners_up]]


_BESIDE = ("share", "crossing", "runner_up")
"""Ways to be found beside the area of the point itself."""

_BY_CARRIAGEWAY = 10.0
"""Weight of a duty by carriageway: before every polygon, whose shares add up to 1."""


def _resolved(road: RoadPlace, directory: Directory) -> bool:
    """Whether the directory knows everybody whose duty a place on a carriageway is."""
    return all(
        each.service in _SERVICES and directory.named(Service(each.service), each.first) is not None
        for each in road.responders
    )


_SERVICES = frozenset(Service)


def _on_road(service: Service, place: Located, directory: Directory) -> Iterator[tuple[Choice, float]]:
    """Whose duty the carriageway is; of both, while the direction is not known."""
    for number, road in enumerate(place.roads):
        how = "carriageway" if road.certain else f"carriageway_{road.direction}"
        for responder in road.responders:
            if responder.service != service.value:
                continue
            for named, reason, weight in ((responder.first, how, 2.0), (responder.second, "second_responder", 1.0)):
                agency = directory.named(service, named) if named else None
                if agency is not None:
                    yield Choice(service, directory.reachable(agency), reason), _BY_CARRIAGEWAY * weight - number


def _prefecture(code: str | None, match: Match | None) -> str | None:
    """The prefecture of an area; of another country's areas the layer's own word alone."""
    if match is None or code == match.code or not (match.prefecture or "").startswith("JP-"):
        return match.prefecture if match is not None and code == match.code else None
    return prefecture_of(code)


def _areas(place: Located) -> Iterator[tuple[str | None, float, str]]:
    """Areas that may be the right one: code, share of the circle, how it was found."""
    match = place.match
    code = match.code if match else None
    how = _HOW[match.how] if match else "default_agency"
    own = next((each.share for each in place.shares if each.code == code), 0.0)
    yield code, own if place.shares else 1.0, how
    for each in place.shares:
        if each.code != code and each.share > 0.0:
            yield each.code, each.share, "share"
    for end in place.crossing.municipalities[1:] if place.crossing is not None else ():
        yield end, 0.0, "crossing"
    if place.near and place.border is not None:
        yield place.border.runner_up, 0.0, "runner_up"


def _reason(found: Assignment, how: str) -> str:
    if found.how == "default_agency":
        return how if how in _BESIDE else "default_agency"
    if "agency_without_channel" in found.flags:
        return "stand_in"
    return "expressway" if found.how == "road" else how


def _called(
    ranked: dict[Service, list[Choice]], facts: Facts, directory: Directory
) -> tuple[dict[str, str], list[str]]:
    """Agencies in the order they are called, each with its reason; and the flags of those who are called first."""
    called: dict[str, str] = {}
    flags: list[str] = []
    for service, choices in ranked.items():
        if not choices:
            continue
        first = choices[0]
        flags += first.assignment.flags
        if first.how == "default_agency" and service in ALWAYS:
            flags.append("default_agency")
        agency = first.assignment.agency
        if facts.at is not None and not directory.open(agency, facts.at):
            flags.append("agency_closed")
            if (last := directory.assign(service, prefecture=None)) is not None:
                called.setdefault(last.agency.id, f"{service.value}:stand_in")
            called.setdefault(agency.id, f"{service.value}:closed")
        called.setdefault(agency.id, f"{service.value}:{first.how}")
    for service, choices in ranked.items():
        for choice in choices[1:]:
            how = "runner_up" if choice.how == "share" else choice.how
            called.setdefault(choice.assignment.agency.id, f"{service.value}:{how}")
    return called, flags


def _unreachable(ranked: dict[Service, list[Choice]]) -> dict[str, None]:
    return {
        choice.assignment.responsible.id: None
        for choices in ranked.values()
        for choice in choices
        if choice.assignment.responsible is not choice.assignment.agency
    }


# --- hospitals ---


def _hospitals(place: Located, sources: Sources) -> tuple[Suggestion, ...]:
    if place.position is None or place.match is None or sources.layer is None or sources.facilities is None:
        return ()
    return sources.facilities.hospitals(
        place.position.latitude, place.position.longitude, layer=sources.layer, prefecture=place.match.prefecture
    )


def _helicopters(place: Located, facts: Facts, sources: Sources) -> tuple[Suggestion, ...]:
    if place.position is None or place.match is None or sources.layer is None or sources.facilities is None:
        return ()
    return sources.facilities.helicopters(
        place.position.latitude,
        place.position.longitude,
        at=facts.at,
        layer=sources.layer,
        prefecture=place.match.prefecture,
    )
