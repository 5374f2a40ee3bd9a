"""Which crashes came in lately: an index in memory, by vehicle, that tells where a further report belongs.

It is a hint that is certain or silent.  What it does not know (after a restart until ``matching`` has filled it again,
or reports that another replica took a moment ago) becomes an incident of its own, and ``matching`` proposes the rest.
"""

from collections import OrderedDict
from datetime import datetime, timedelta

from msgspec import Struct

from sos.incident.model import IncidentId, TenantId
from sos.intake.arrival import SAME_CRASH, About, VehicleKey, reachable

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
        for known in self._of(tenant, about.vehicle):
            apart = abs(at - known.at)
            if apart > JOIN_WITHIN or not reachable(known.about, about, apart=apart):
                continue
            ours, theirs = known.about.event_time, about.event_time
            if ours is None or theirs is None or abs(ours - theirs) <= SAME_CRASH:
                return known
        return None

    def call_without_data(self, tenant: TenantId, vehicle: VehicleKey | None, *, at: datetime) -> Seen | None:
        """The call of this vehicle that waits for its data."""
        for known in self._of(tenant, vehicle):
            if known.voice_only and abs(at - known.at) <= DATA_AND_VOICE_WITHIN:
                return known
        return None

    def data_without_call(self, tenant: TenantId, vehicle: VehicleKey | None, *, at: datetime) -> Seen | None:
        """The newest report of this vehicle that a call at ``at`` belongs to."""
        for known in self._of(tenant, vehicle):
            if abs(at - known.at) <= DATA_AND_VOICE_WITHIN:
                return known
        return None

    def _of(self, tenant: TenantId, vehicle: VehicleKey | None) -> tuple[Seen, ...]:
        """Incidents of one vehicle, the newest first."""
        if vehicle is None:
            return ()
        found = (self._seen.get(known) for known in reversed(self._by_vehicle.get((tenant, vehicle), ())))
        return tuple(known for known in found if known is not None)
