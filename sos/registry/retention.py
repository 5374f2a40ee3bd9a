"""When personal data of the registry has had its time.  Pure; ``Registry.erase_due`` does what this says.

Two clocks start with the end of the contract: one for the contract's own data, a longer one for what bookkeeping needs
(BMW notice A).  What names a scrapped vehicle goes at once (BMW notice D).  Events, keyed digests and the fact of the
erasure stay: they prove what was done and name nobody.
"""

from collections.abc import Mapping
from datetime import datetime

from routing.categories import Category
from sos.registry.lifecycle import ITEMS
from sos.registry.model import Subscriber, Vehicle
from sos.registry.pack import Retention

PROFILE = frozenset(ITEMS.values()) - {Category.BIL}


def clocks(state: Vehicle | Subscriber, periods: Retention) -> Mapping[Category, datetime]:
    """Category -> the instant from which its data may no longer be kept; empty while no clock has started."""
    if isinstance(state, Vehicle):
        return {} if state.scrapped_at is None else {Category.VEH: state.scrapped_at}
    if state.ended_at is None:
        return {}
    contract = periods.periods["contract-1y"].after(state.ended_at)
    financial = periods.periods["finance-10y"].after(state.ended_at)
    return {**dict.fromkeys(sorted(PROFILE), contract), Category.BIL: financial}


def due(state: Vehicle | Subscriber, periods: Retention, *, now: datetime) -> tuple[Category, ...]:
    """What is to be erased now and has not been."""
    return tuple(c for c, at in clocks(state, periods).items() if at <= now and c not in state.erased)


def next_due(state: Vehicle | Subscriber, periods: Retention) -> datetime | None:
    """When something is to be erased next; None when nothing is waiting for its time."""
    return min((at for c, at in clocks(state, periods).items() if c not in state.erased), default=None)
