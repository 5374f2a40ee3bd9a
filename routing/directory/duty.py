"""Which agency is on duty for a place on a day: rows with effective dates.

Headquarters merge every year (931 in 1994, 723 in 2022), municipalities delegate their fire service to a neighbour
(事務委託, Local Autonomy Act Art. 252-14) and some have no permanent one (非常備), so the table has dates and kinds.
"""

from datetime import date
from enum import StrEnum
from itertools import pairwise

from msgspec import Struct

from routing.directory import jis
from routing.services import Service


class Kind(StrEnum):
    OWN = "own"
    """The municipality's own service or that of a union it belongs to."""
    DELEGATED = "delegated"
    """事務委託: another municipality's service does the work."""
    NONE = "none"
    """非常備: no permanent service; the agency named, if any, stands in."""


class Duty(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One row: this agency answers for this place."""

    code: str
    """5-digit municipality code (a designated city's holds for its wards), ISO 3166-2 code or ``road:`` and an id."""
    agency: str | None
    service: Service = Service.FIRE
    kind: Kind = Kind.OWN
    valid_from: date | None = None
    valid_to: date | None = None
    """The last day on which it holds."""

    def holds(self, on: date | None) -> bool:
        """Whether the row holds on a day; without one, whether it holds with no end in sight."""
        if on is None:
            return self.valid_to is None
        return (self.valid_from is None or self.valid_from <= on) and (self.valid_to is None or on <= self.valid_to)

    def overlaps(self, other: "Duty") -> bool:
        """Whether there is a day on which both hold."""
        first, second = (self, other) if _begin(self) <= _begin(other) else (other, self)
        return first.valid_to is None or _begin(second) <= first.valid_to


def _begin(duty: Duty) -> date:
    return duty.valid_from or date.min


class DutyTable:
    """Rows by service and place.  Immutable after it is made."""

    def __init__(self, duties: tuple[Duty, ...]) -> None:
        self._rows: dict[tuple[Service, str], tuple[Duty, ...]] = {}
        for duty in duties:
            key = (duty.service, duty.code)
            self._rows[key] = (*self._rows.get(key, ()), duty)

    def clash(self) -> tuple[Duty, Duty] | None:
        """Two rows that claim the same service and place on the same day, if there are any."""
        for rows in self._rows.values():
            ordered = sorted(rows, key=_begin)
            for first, second in pairwise(ordered):
                if first.overlaps(second):
                    return first, second
        return None

    def on_duty(self, service: Service, code: str | None, *, on: date | None) -> Duty | None:
        """The row of a place on a day; a ward without a row of its own has its city's."""
        if code is None:
            return None
        for place in (code, jis.city_of(code)):
            for duty in self._rows.get((service, place), ()) if place is not None else ():
                if duty.holds(on):
                    return duty
        return None
