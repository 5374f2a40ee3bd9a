"""Which crashes came in lately: an index in memory, by vehicle, that tells where a further report belongs.

It is a hint that is certain or silent.  What it does not know (after a restart until ``matching`` has filled it again,
or reports that another replica took a moment ago) becomes an incident of its own, and ``matching`` proposes the rest.
"""

from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import combinations

from msgspec import Struct
from msgspec.structs import replace

from sos.incident.model import IncidentId, TenantId
from sos.intake.arrival import SAME_CRASH, About, VehicleKey, agree, same_vehicle, told_apart

JOIN_WITHIN = timedelta(hours=2)
"""How long after a crash further data of the same vehicle is about that crash: an eCall device stays reachable for
an hour after its call (timer T9), and a gateway's own retries come on top."""

DATA_AND_VOICE_WITHIN = timedelta(minutes=10)
"""Between a call without data and the data of the same vehicle: a minute of redialling, and clocks that differ."""

KEPT = 16_384
"""Incidents remembered: the first minutes of a great earthquake, about 10 MB."""

PER_VEHICLE = 8
"""Incidents remembered of one vehicle: a sender gone mad must not make each of its reports dearer than the last."""


class Seen(Struct, frozen=True, kw_only=True, gc=False):
    """One incident as intake remembers it."""

    incident: IncidentId
    tenant: TenantId
    at: datetime
    about: About
    voice_only: bool = False
    """A call without data: the first report of the vehicle belongs to it."""


class Recent:
    """The newest open incidents of every tenant."""

    def __init__(self) -> None:
        self._seen: OrderedDict[IncidentId, Seen] = OrderedDict()
        self._by_vehicle: dict[tuple[TenantId, VehicleKey], list[IncidentId]] = {}

    def note(self, seen: Seen) -> None:
        """Remember an incident, or what more is known of it."""
        self.forget(seen.incident)
        self._seen[seen.incident] = seen
        if seen.about.vehicle is not None:
            of_vehicle = self._by_vehicle.setdefault((seen.tenant, seen.about.vehicle), [])
            of_vehicle.append(seen.incident)
            del of_vehicle[:-PER_VEHICLE]
        while len(self._seen) > KEPT:
            self.forget(next(iter(self._seen)))

    def forget(self, incident: IncidentId) -> None:
        """It is closed or too old: what comes now is a matter of its own."""
        known = self._seen.pop(incident, None)
        if known is None or known.about.vehicle is None:
            return
        place = (known.tenant, known.about.vehicle)
        left = [other for other in self._by_vehicle.get(place, ()) if other != incident]
        if left:
            self._by_vehicle[place] = left
        else:
            self._by_vehicle.pop(place, None)

    def seen(self, incident: IncidentId) -> Seen | None:
        return self._seen.get(incident)

    def all(self) -> tuple[Seen, ...]:
        return tuple(self._seen.values())

    def crash(self, tenant: TenantId, about: About, *, at: datetime) -> Seen | None:
        """The newest incident of the same vehicle that a further report at ``at`` is certainly about."""

        def fits(known: Seen) -> bool:
            apart = abs(at - known.at)
            ours, theirs = known.about.event_time, about.event_time
            timely = ours is None or theirs is None or abs(ours - theirs) <= SAME_CRASH
            return timely and apart <= JOIN_WITHIN and same_vehicle(known.about, about, apart=apart)

        return _surely(about, [known for known in self._of(tenant, about.vehicle) if fits(known)])

    def call_without_data(self, tenant: TenantId, about: About, *, at: datetime) -> Seen | None:
        """The call of this vehicle that waits for its data."""
        found = [known for known in self._around(tenant, about, at=at) if known.voice_only]
        return _surely(about, found)

    def data_without_call(self, tenant: TenantId, about: About, *, at: datetime) -> Seen | None:
        """The newest report of this vehicle that a call at ``at`` belongs to."""
        return _surely(about, self._around(tenant, about, at=at))

    def _around(self, tenant: TenantId, about: About, *, at: datetime) -> list[Seen]:
        """A call shows its own number, which need not be the one that the vehicle asks to be called back on."""
        other = replace(about, tel=None)
        of_vehicle = self._of(tenant, about.vehicle)
        timely = (known for known in of_vehicle if abs(at - known.at) <= DATA_AND_VOICE_WITHIN)
        return [known for known in timely if not told_apart(known.about, other)]

    def _of(self, tenant: TenantId, vehicle: VehicleKey | None) -> tuple[Seen, ...]:
        """Incidents of one vehicle, the newest first."""
        if vehicle is None:
            return ()
        found = (self._seen.get(known) for known in reversed(self._by_vehicle.get((tenant, vehicle), ())))
        return tuple(known for known in found if known is not None)


def _surely(about: About, found: Sequence[Seen]) -> Seen | None:
    """The newest of ``found``; where they are of several cars with one copied number, the one that agrees in something
    else with ``about``, and none when nothing tells which."""
    if len(found) < 2 or not any(_two(one, other) for one, other in combinations(found, 2)):
        return found[0] if found else None
    alike = [known for known in found if agree(known.about, about)]
    return alike[0] if alike and not any(_two(one, other) for one, other in combinations(alike, 2)) else None


def _two(one: Seen, other: Seen) -> bool:
    """Whether two incidents under one name are of two vehicles."""
    return not same_vehicle(one.about, other.about, apart=abs(one.at - other.at))
