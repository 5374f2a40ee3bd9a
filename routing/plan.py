"""Where help must come from: place -> prefecture -> services -> agencies, with the reason of every choice.

A plan is a pure function of its facts and of the data sets it names, so it can be made again years later.  It never
fails for want of a position: then the default agencies are named, with a flag for the operator's screen.
"""

import hashlib
from functools import lru_cache

import msgspec
from msgspec import Struct

from routing.boundaries import Border, Match, PrefectureLayer
from routing.directory import Directory
from routing.location import Known, plausible
from routing.services import Service


class Facts(Struct, frozen=True, kw_only=True):
    """What is known of the incident when the plan is made."""

    latitude: float | None = None
    """WGS-84 degrees, as sent; may be impossible."""
    longitude: float | None = None
    trigger: str = "unknown"
    """``automatic``, ``manual`` or ``unknown``."""
    heading: float | None = None
    """Degrees clockwise from north: which carriageway.  Prefectures do not depend on it; route rules will."""
    uncertainty_m: float | None = None
    """Radius, as the sender states it."""
    trusted: bool | None = None
    """EN 15722 positionCanBeTrusted; False means worse than 150 m at 95 % confidence."""


class PlanRules(Struct, frozen=True, kw_only=True):
    """Who is called, by kind of place."""

    name: str = "plan-rules-jp"
    on_land: tuple[Service, ...] = (Service.FIRE, Service.POLICE)
    """119 answers for fire and ambulance alike, and every traffic accident is the police's too."""
    at_sea: tuple[Service, ...] = (Service.FIRE, Service.POLICE, Service.COAST_GUARD)
    """A car so far off the shore is on a bridge, in a tunnel or on a ferry: all three such crashes among 2,300 police
    records were in the Tokyo Bay Aqua-Line tunnel, so the land services stay first."""
    untrusted_m: float = 1_000.0
    """Radius assumed when the vehicle itself does not trust its position and states none."""

    @property
    def dataset(self) -> str:
        """Name and digest, as plans record it."""
        return _dataset(self)


class Need(Struct, frozen=True):
    """A service that is needed, and why."""

    service: Service
    reason: str
    """``crash``, ``call_for_help`` or ``at_sea``."""


class Plan(Struct, frozen=True, kw_only=True):
    prefecture: str | None
    """ISO 3166-2; None while the place is unknown or abroad."""
    services: tuple[Need, ...]
    agencies: tuple[str, ...]
    """Ids, ranked: one per service in the order of ``services``, then the runners-up."""
    reasons: tuple[str, ...]
    """One per agency: ``fire:polygon``, ``fire:nearest``, ``fire:default_agency``, ``fire:runner_up``."""
    flags: tuple[str, ...]
    """``position_unknown``, ``default_agency``, ``near_border``, ``off_shore``, ``at_sea``, ``outside_coverage``,
    ``position_untrusted``, and what ``routing.location.plausible`` found."""
    border_m: int | None = None
    """Distance to the nearest other prefecture, rounded to 100 m so that it does not tell the place."""
    runner_up: str | None = None
    """That other prefecture."""
    datasets: tuple[str, ...] = ()
    """``name@digest`` of everything the plan was made from."""


@lru_cache(maxsize=16)
def _dataset(rules: PlanRules) -> str:
    return f"{rules.name}@{hashlib.sha256(msgspec.json.encode(rules, order='sorted')).hexdigest()}"


_HOW = {"inside": "polygon", "nearest": "nearest", "sea": "nearest", "outside": "default_agency"}
_FLAG = {"nearest": "off_shore", "sea": "at_sea", "outside": "outside_coverage"}


def make_plan(facts: Facts, *, layer: PrefectureLayer, directory: Directory, rules: PlanRules) -> Plan:
    """Who is responsible.  Never raises for a bad position."""
    match, flags = _locate(facts, layer)
    border = _border(facts, match, layer)
    near = border is not None and border.distance_m <= max(layer.accuracy_m, _radius_m(facts, rules))
    if near:
        flags.append("near_border")
    needs = _needs(facts, match, rules)
    how = _HOW[match.how] if match else "default_agency"
    chosen: dict[str, str] = {}
    for need in needs:
        agency = directory.responsible(need.service, match.prefecture if match else None)
        chosen.setdefault(agency.id, f"{need.service.value}:{'default_agency' if agency.default else how}")
    if any(reason.endswith(":default_agency") for reason in chosen.values()):
        flags.append("default_agency")
    for need in needs if near and border else ():
        agency = directory.responsible(need.service, border.runner_up if border else None)
        if not agency.default:
            chosen.setdefault(agency.id, f"{need.service.value}:runner_up")
    return Plan(
        prefecture=match.prefecture if match else None,
        services=needs,
        agencies=tuple(chosen),
        reasons=tuple(chosen.values()),
        flags=tuple(dict.fromkeys(flags)),
        border_m=round(border.distance_m / 100.0) * 100 if border else None,
        runner_up=border.runner_up if border else None,
        datasets=(layer.dataset, directory.dataset, rules.dataset),
    )


def _locate(facts: Facts, layer: PrefectureLayer) -> tuple[Match | None, list[str]]:
    """What the layer says of the place, None when there is no usable one, and what an operator should know of it."""
    place = plausible(facts.latitude, facts.longitude)
    if not isinstance(place, Known):
        return None, ["position_unknown", *place.reasons]
    match = layer.find(place.position.latitude, place.position.longitude)
    flags = [*place.flags, *([_FLAG[match.how]] if match.how in _FLAG else [])]
    if facts.trusted is False:
        flags.append("position_untrusted")
    return match, flags


def _border(facts: Facts, match: Match | None, layer: PrefectureLayer) -> Border | None:
    if match is None or match.prefecture is None or facts.latitude is None or facts.longitude is None:
        return None
    return layer.border(facts.latitude, facts.longitude, prefecture=match.prefecture)


def _radius_m(facts: Facts, rules: PlanRules) -> float:
    """How far off the position may be; an impossible figure counts as none."""
    stated = facts.uncertainty_m
    if stated is not None and stated >= 0.0:
        return stated
    return rules.untrusted_m if facts.trusted is False else 0.0


def _needs(facts: Facts, match: Match | None, rules: PlanRules) -> tuple[Need, ...]:
    if match is not None and match.how == "sea":
        return tuple(Need(service, "at_sea") for service in rules.at_sea)
    reason = "call_for_help" if facts.trigger == "manual" else "crash"
    return tuple(Need(service, reason) for service in rules.on_land)
