"""What is known of a crash, in one view: how hard and from where, what endangers, what the sender and the house judge.

It is made from the SEV and VEH sections as they are told and from what was answered on the call, and every form of the
brief, and the desk, says what stands here.  The worst is taken and never the first: the change in velocity is the
length of all that is known of it, and a danger that somebody denies is shown as long as anybody else sees it.
"""

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from msgspec import Struct


class Hazard(StrEnum):
    """What endangers people in the car or those who help them, the most urgent first."""

    FIRE = "fire"
    WATER = "water"
    TRAPPED = "trapped"
    EJECTED = "ejected"
    PEDESTRIAN = "pedestrian"
    FUEL_LEAK = "fuelLeak"
    ROLLOVER = "rollover"
    HYDROGEN = "hydrogen"
    GAS = "gas"
    HIGH_VOLTAGE = "highVoltage"


_HAZARDS = frozenset(Hazard)

_STATED = {
    "fire": Hazard.FIRE,
    "submersed": Hazard.WATER,
    "trapped": Hazard.TRAPPED,
    "ejected": Hazard.EJECTED,
    "pedestrian": Hazard.PEDESTRIAN,
    "fuelLeak": Hazard.FUEL_LEAK,
}
"""Fields of SEV that are a hazard when they are true."""

_CARRIED = {
    Hazard.HYDROGEN: frozenset({"hydrogen", "fuelcell", "fcev"}),
    Hazard.GAS: frozenset({"cng", "lpg", "lng"}),
    Hazard.HIGH_VOLTAGE: frozenset({"electric", "hybrid", "bev", "ev", "hev", "phev", "hydrogen", "fuelcell", "fcev"}),
}
"""By the vehicle's energy; a car that drives by hydrogen has a high-voltage battery too."""

ROLLED = frozenset({"DETECTED", "TRUE", "YES"})
"""Words of senders for «it has rolled over», in capitals."""


class CrashFacts(Struct, frozen=True, kw_only=True):
    delta_v_kmh: int | None = None
    at_least: bool = False
    """The change in velocity may have been more: a component reached the sensor's limit, or only one is known."""
    clock: int | None = None
    """Where the force came from: 12 is ahead, 3 the right."""
    impact: str | None = None
    """Where the car was hit, in the sender's code."""
    hazards: tuple[Hazard, ...] = ()
    speed_before_kmh: int | None = None
    airbag_deployed: bool | None = None
    multiple_impacts: bool | None = None
    sender_severe: bool | None = None
    """The sender's own verdict, as it was sent: never ours, and never mixed with it."""
    our_level: str | None = None
    our_percent: int | None = None
    heard_severe: bool = False
    """By what was answered on the call somebody may die: no verdict of the sender's, and none of ours."""
    occupants: int | None = None
    """As counted on the call; what the vehicle says stands with the vehicle."""
    injured: int | None = None
    """As counted on the call."""

    @property
    def side(self) -> str | None:
        return None if self.clock is None else side(self.clock)


def side(clock: int) -> str:
    """The side of the car at an hour of the clock."""
    return {11: "front", 12: "front", 1: "front", 5: "rear", 6: "rear", 7: "rear"}.get(
        clock, "right" if clock < 6 else "left"
    )


def crash_facts(
    crash: Mapping[str, Any] | None,
    vehicle: Mapping[str, Any] | None,
    heard: Sequence[Mapping[str, Any]] = (),
) -> CrashFacts:
    """What ``crash`` (SEV), ``vehicle`` (VEH) and ``heard`` (answers on the call) say; a value that is none of its kind
    is unknown."""
    told = crash or {}
    x, y, whole = (_number(told.get(name)) for name in ("deltaVX", "deltaVY", "deltaV"))
    known = [abs(each) for each in (x, y) if each is not None]
    lengths = [*([math.hypot(*known)] if known else []), *([] if whole is None else [abs(whole)])]
    limit = _number(told.get("deltaVLimit"))
    risk, speed = _number(told.get("injuryRisk")), _number(told.get("speedBefore"))
    return CrashFacts(
        delta_v_kmh=_whole(max(lengths)) if lengths else None,
        at_least=len(known) == 1 or (limit is not None and any(each >= abs(limit) for each in (*known, *lengths))),
        clock=_clock(told.get("principalDirectionClock"), x, y),
        impact=_text(told.get("impact")),
        hazards=_hazards(told, vehicle or {}, heard),
        speed_before_kmh=None if speed is None else _whole(speed),
        airbag_deployed=_flag(told.get("airbagDeployed")),
        multiple_impacts=_flag(told.get("multipleImpacts")),
        sender_severe=_flag(told.get("severeInjury")),
        our_level=_text(told.get("injuryLevel")),
        our_percent=None if risk is None else _whole(risk * 100),
        heard_severe=any(answer.get("severe") is True for answer in heard),
        occupants=_counted(heard, "occupants"),
        injured=_counted(heard, "injured"),
    )


PULSE = frozenset({"deltaVX", "deltaVY", "deltaV", "deltaVLimit", "principalDirectionClock"})
"""Fields that are of one impact: those of two reports are never mixed."""


def joined(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """What two reports say of a crash, the later over the earlier, with the whole of that impact which was the harder:
    a later and milder one does not undo it."""
    pulse = {name: now[name] for name in PULSE if now.get(name) is not None}
    harder = bool(pulse) and (crash_facts(pulse, None).delta_v_kmh or 0) >= (crash_facts(before, None).delta_v_kmh or 0)
    kept = pulse if harder else {name: before[name] for name in PULSE if name in before}
    rest = {name: value for name, value in {**before, **now}.items() if name not in PULSE}
    return rest | kept


def covered(field: str, value: Any) -> bool:
    """Whether ``field`` of SEV is told as a part of the view, so that no form need say it a second time.

    What the view cannot read, and a hazard that is said not to be, stand as they were sent.
    """
    match field:
        case "deltaVX" | "deltaVY" | "deltaV" | "deltaVLimit" | "injuryRisk":
            return _number(value) is not None
        case "principalDirectionClock":
            return _hour(value)
        case "injuryLevel":
            return _text(value) is not None
        case "severeInjury":
            return isinstance(value, bool)
        case "rollover":
            return _rolled(value)
        case _:
            return field in _STATED and value is True


def _counted(heard: Sequence[Mapping[str, Any]], what: str) -> int | None:
    numbers = [answer["value"] for answer in heard if answer.get("counts") == what and type(answer["value"]) is int]
    return numbers[-1] if numbers else None


def _hazards(
    crash: Mapping[str, Any], vehicle: Mapping[str, Any], heard: Sequence[Mapping[str, Any]]
) -> tuple[Hazard, ...]:
    found = {hazard for name, hazard in _STATED.items() if crash.get(name) is True}
    found |= {Hazard(answer["hazard"]) for answer in heard if answer.get("hazard") in _HAZARDS}
    if _rolled(crash.get("rollover")):
        found.add(Hazard.ROLLOVER)
    energy = vehicle.get("energy")
    sources = {str(each).lower().replace("_", "") for each in energy} if isinstance(energy, list | tuple) else set()
    found |= {hazard for hazard, named in _CARRIED.items() if named & sources}
    return tuple(hazard for hazard in Hazard if hazard in found)


def _clock(stated: Any, x: float | None, y: float | None) -> int | None:
    """As stated, else against the change in velocity: who is thrown to the right was hit from the left."""
    if _hour(stated):
        return int(stated)
    if x is None or y is None or math.hypot(x, y) < 1:
        return None
    return round(math.degrees(math.atan2(-y, -x)) / 30) % 12 or 12


def _hour(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 12


def _rolled(value: Any) -> bool:
    return str(value).upper() in ROLLED


def _number(value: Any) -> float | None:
    """A number that can be one of a car's."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and -10_000 < value < 10_000 else None


def _whole(value: float) -> int:
    """Rounded as the desk's page rounds, half upwards."""
    return math.floor(value + 0.5)


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
