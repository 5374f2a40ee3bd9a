"""The states of a leg, as reports of a provider make them, in whatever order they come.

**Theory.**  A leg goes one way: *asked* (we have asked for it) < *queued* (the provider has it and does not dial yet) <
*ringing* < *up* < *over*.  A report says "at least this far".  The state is the furthest of all reports, so reports may
be repeated, late or out of order and the end is the same: reports form a join semilattice.  *Over* absorbs all, and of
two reasons to be over the one that says more wins (``WHY``).  What is not one way (a leg without sound that gets it
back) is a leg event of its own with the provider's sequence number, and the highest number counts.
"""

from collections.abc import Iterable
from enum import IntEnum

from msgspec import Struct
from msgspec.structs import replace


class Reach(IntEnum):
    """How far a leg has come; the order is the order of the numbers."""

    ASKED = 0
    QUEUED = 1
    RINGING = 2
    UP = 3
    OVER = 4


WHY = ("ended", "no_answer", "busy", "rejected", "cannot_dial", "failed", "media_lost")
"""Reasons to be over, from the one that says least to the one that says most.  ``ended`` is any ordinary end."""


class LegState(Struct, frozen=True, kw_only=True):
    reach: Reach = Reach.ASKED
    why: str = ""
    """One of ``WHY`` once it is over."""
    was_up: bool = False
    """Whether anybody was ever on it: an end without it is no conversation, whatever the provider calls it."""


class Report(Struct, frozen=True, kw_only=True):
    """What a provider says of a leg."""

    reach: Reach
    why: str = ""


def after(state: LegState, report: Report) -> LegState:
    """``state`` once ``report`` is known as well; commutative, associative and idempotent over reports."""
    was_up = state.was_up or report.reach is Reach.UP
    if report.reach < state.reach:
        return replace(state, was_up=was_up)
    why = state.why
    if report.reach is Reach.OVER:
        why = max(state.why, report.why, key=lambda each: WHY.index(each) if each in WHY else -1)
    return LegState(reach=report.reach, why=why, was_up=was_up)


def settle(reports: Iterable[Report]) -> LegState:
    """The state that all ``reports`` together make."""
    state = LegState()
    for report in reports:
        state = after(state, report)
    return state
