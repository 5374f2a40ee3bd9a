"""One agency: what it is responsible for, who answers its telephone, where its station stands, when it is open.

Three things that are often one are kept apart (FDMA white paper: 46 regions with 193 headquarters share a command
centre): the *jurisdiction* (who is responsible), the *command centre* (who answers) and the *stations* (who drives).
"""

import re
from collections.abc import Collection
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct

from routing.errors import Misconfigured
from routing.services import Service

DEFAULT = "default"
"""Jurisdiction of the agency of last resort of a service."""

_ID = re.compile(r"[a-z0-9]+(?:[.-][a-z0-9]+)*")
_PLACE = re.compile(r"[A-Z]{2}-[A-Z0-9]{1,3}|\d{5}|road:\S+|area:\S+")
_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Hours(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Local opening times.  A window is ``HH:MM-HH:MM``; one that ends before it begins runs past midnight."""

    mon: tuple[str, ...] = ()
    tue: tuple[str, ...] = ()
    wed: tuple[str, ...] = ()
    thu: tuple[str, ...] = ()
    fri: tuple[str, ...] = ()
    sat: tuple[str, ...] = ()
    sun: tuple[str, ...] = ()
    holidays: tuple[str, ...] | None = None
    """Windows of a public holiday; none given: as on that weekday."""
    zone: str = "Asia/Tokyo"
    """IANA time zone."""

    def check(self, where: str) -> None:
        """``Misconfigured`` when a window or the zone cannot be understood."""
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError) as fault:
            raise Misconfigured(f"{where}: {self.zone!r} is no time zone") from fault
        windows = [window for day in WEEKDAYS for window in getattr(self, day)]
        for window in (*windows, *(self.holidays or ())):
            if not _WINDOW.fullmatch(window):
                raise Misconfigured(f"{where}: {window!r} is no window of the form HH:MM-HH:MM")

    def open(self, at: datetime, *, holidays: Collection[date] = ()) -> bool:
        """Whether somebody is there at ``at`` (aware)."""
        local = at.astimezone(ZoneInfo(self.zone))
        minute = local.hour * 60 + local.minute
        yesterday = local.date() - timedelta(days=1)
        today = (_minutes(window) for window in self._windows(local.date(), holidays))
        before = (_minutes(window) for window in self._windows(yesterday, holidays))
        return any(begin <= minute < end if begin < end else minute >= begin for begin, end in today) or any(
            begin >= end and minute < end for begin, end in before
        )

    def _windows(self, day: date, holidays: Collection[date]) -> tuple[str, ...]:
        if self.holidays is not None and day in holidays:
            return self.holidays
        windows: tuple[str, ...] = getattr(self, WEEKDAYS[day.weekday()])
        return windows


@lru_cache(maxsize=256)
def _minutes(window: str) -> tuple[int, int]:
    """Begin and end of a window in minutes after midnight."""
    begin, end = window.split("-")
    return int(begin[:2]) * 60 + int(begin[3:]), int(end[:2]) * 60 + int(end[3:])


class Agreement(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was agreed with the agency, such as taking a relayed report on an ordinary line."""

    name: str
    valid_from: date | None = None
    valid_to: date | None = None
    """The last day on which it holds."""

    def holds(self, on: date) -> bool:
        return (self.valid_from is None or self.valid_from <= on) and (self.valid_to is None or on <= self.valid_to)


class Station(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where its people start from.  A station is never called: its command centre is."""

    name: str
    latitude: float
    longitude: float


class Centre(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A command centre (指令センター) that answers for several agencies."""

    id: str
    name_ja: str
    name_en: str
    channels: dict[str, dict[str, Any]]


class Agency(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row of the directory."""

    id: str
    """Lower-case, such as ``jp-13-fire``; stands in the journal, so it is never used again for another agency."""
    service: Service
    name_ja: str
    name_en: str
    jurisdiction: tuple[str, ...] | Literal["default"]
    """ISO 3166-2 codes, 5-digit municipality codes, ``area:`` with a code of a foreign boundary layer, ``road:`` with
    the id of a road; or ``default``: answers where nobody else does.  Empty when only the duty table names it."""
    channels: dict[str, dict[str, Any]]
    """Settings by name of the channel, in order of preference."""
    command_centre: str | None = None
    """Id of the centre that answers for it, the next one to try when its own channels do not."""
    stations: tuple[Station, ...] = ()
    hours: Hours | None = None
    """None: round the clock."""
    languages: tuple[str, ...] = ("ja",)
    """BCP 47, in order of preference."""
    agreements: tuple[Agreement, ...] = ()
    listed_only: bool = False
    """Known to be responsible, but with no channel to it yet: it is shown, and another one is called in its stead."""
    exercise_partner: bool = False
    """Whether it may be told of drills."""
    country: str = "JP"
    """ISO 3166-1."""

    @property
    def default(self) -> bool:
        return self.jurisdiction == DEFAULT

    def open(self, at: datetime, *, holidays: Collection[date] = ()) -> bool:
        """Whether somebody is there at ``at`` (aware)."""
        return self.hours is None or self.hours.open(at, holidays=holidays)

    def agreed(self, on: date) -> bool:
        """False when there were agreements and none of them holds on that day."""
        return not self.agreements or any(agreement.holds(on) for agreement in self.agreements)

    def check(self, name: str) -> None:
        """``Misconfigured`` names the directory, the agency and what is wrong with it."""
        where = f"{name}: agency {self.id!r}"
        if not _ID.fullmatch(self.id):
            raise Misconfigured(f"{where} must be lower-case letters, digits, dots and hyphens")
        if not self.channels and self.command_centre is None and not self.listed_only:
            raise Misconfigured(f"{where} has no channel")
        if not (self.name_ja.strip() and self.name_en.strip()):
            raise Misconfigured(f"{where} needs a name in Japanese and in English")
        if self.hours is not None:
            self.hours.check(where)
        for place in () if isinstance(self.jurisdiction, str) else self.jurisdiction:
            if not _PLACE.fullmatch(place):
                raise Misconfigured(f"{where}: {place!r} is no ISO 3166-2 code, municipality code or road")
