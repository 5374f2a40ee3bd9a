"""Where help must come from: place -> services -> agencies, with the reason of every choice.

``making`` makes the plan; it stands on ``routes`` (carriageways and their duties) and ``hospitals``.  ``place`` says
the same place in words, ``addresses`` finds one that is said, ``bulk`` asks for many points at once.
"""

from routing.plan.making import (
    AreaShare,
    Before,
    Facts,
    Located,
    Plan,
    PlanRules,
    Sources,
    again,
    bridged,
    flags_of,
    make_plan,
    plan_at,
    plan_from,
)

__all__ = [
    "AreaShare",
    "Before",
    "Facts",
    "Located",
    "Plan",
    "PlanRules",
    "Sources",
    "again",
    "bridged",
    "flags_of",
    "make_plan",
    "plan_at",
    "plan_from",
]
