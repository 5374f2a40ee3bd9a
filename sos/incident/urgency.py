"""Why one call goes before another of its class: what endangers life there gives it a head start, and nothing more.

The queue is ordered by class (``Trigger``) and then by age.  A call in which somebody may burn, drown or be trapped
counts as if it had come ``head_start`` earlier.  So it overtakes what came shortly before it, it never leaves its
class, and no call is overtaken for longer than the longest head start: nobody waits for ever behind the badly hurt of
others.  What is not known raises nothing and lowers nothing.  Nothing here rings, tells or closes.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType

from routing.brief.crash import CrashFacts, Hazard

HARD_KMH = 40
"""Change in velocity from which a crash counts as hard whatever else is said: ours, and an aid."""

LIFE, HARM = timedelta(minutes=3), timedelta(minutes=1)

HEAD_START: Mapping[str, timedelta] = MappingProxyType(
    {
        "fire": LIFE,
        "water": LIFE,
        "trapped": LIFE,
        "ejected": LIFE,
        "pedestrian": LIFE,
        "rollover": LIFE,
        "sender_severe": LIFE,
        "judged_severe": LIFE,
        "heard_severe": LIFE,
        "hard_impact": LIFE,
        "fuelLeak": HARM,
    }
)
"""Ground -> head start, the most urgent first.  What a car merely carries (hydrogen, high voltage) is none."""


def grounds(crash: CrashFacts) -> tuple[str, ...]:
    """What of a reported crash is a ground, in the order of ``HEAD_START``."""
    found: set[str] = {str(hazard) for hazard in Hazard if hazard in crash.hazards}
    if crash.sender_severe:
        found.add("sender_severe")
    if crash.delta_v_kmh is not None and crash.delta_v_kmh >= HARD_KMH:
        found.add("hard_impact")
    return ordered(found)


def of_answer(hazard: Hazard | None, *, severe: bool) -> tuple[str, ...]:
    """What of an answer on the call is a ground."""
    return ordered({*([str(hazard)] if hazard is not None else []), *(["heard_severe"] if severe else [])})


def ordered(found: Iterable[str]) -> tuple[str, ...]:
    """``found`` without what is no ground, the most urgent first, each once."""
    known = set(found)
    return tuple(ground for ground in HEAD_START if ground in known)


def head_start(grounds: Iterable[str]) -> timedelta:
    """How much earlier a call counts as having come; they do not add up."""
    return max((HEAD_START[ground] for ground in grounds if ground in HEAD_START), default=timedelta())


def ranked_at(opened_at: datetime, grounds: Iterable[str]) -> datetime:
    """The instant by which a call is ordered within its class."""
    return opened_at - head_start(grounds)
