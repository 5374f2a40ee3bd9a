"""How long something is kept: tags with their mandate, brands within the bounds of the law, and the second it is due.

Pure: values in, values out, the time is an argument; nothing is destroyed here.  A tag says what starts its clock
(``Trigger``), how long it runs (``Period``, by the calendar and never in multiples of 365 days) and on whose word.
``retention.toml`` holds the tags of the house; a brand may shorten and lengthen them within ``least`` and ``most``.

Days, weeks, months and years are counted as Japan's Civil Code Art. 140-143 counts them: the first day is not counted
unless it begins at midnight, and the period ends with the end of its last day; where the last month has no such day,
with the end of that month.  So nothing is ever due early, whatever the hour.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from enum import StrEnum
from functools import cache, lru_cache
from importlib import resources
from types import MappingProxyType

from recording.errors import Malformed

JST = timezone(timedelta(hours=9))
"""Where days begin: Japan has one zone and no summer time, and a fixed offset needs no table that could be missing."""

_PERIOD = re.compile(r"P(?:(\d{1,3})Y)?(?:(\d{1,4})M)?(?:(\d{1,5})W)?(?:(\d{1,6})D)?\Z")
AT_ONCE = "PT0S"


class Trigger(StrEnum):
    """What starts the clock."""

    CLOSE = "close"
    USE = "use"
    """The last use for the service: the closing.  Who looks later, for a review or a request, prolongs nothing."""
    CONTRACT_END = "contract_end"
    SCRAPPED = "scrapped"


@dataclass(frozen=True, slots=True)
class Period:
    """A time by the calendar, as ISO 8601 writes it: ``P10Y``, ``P4W``; ``PT0S`` is at once."""

    years: int = 0
    months: int = 0
    days: int = 0

    @classmethod
    def parse(cls, text: str) -> "Period":
        """``Malformed`` when ``text`` is no such period."""
        if text == AT_ONCE:
            return cls()
        found = _PERIOD.match(text)
        if found is None or not any(found.groups()):
            raise Malformed(f"{text!r} is no period: write P10Y, P6M, P4W, P30D, or PT0S for at once")
        years, months, weeks, days = (int(each or 0) for each in found.groups())
        return cls(years, months, 7 * weeks + days)

    def __str__(self) -> str:
        if self == Period():
            return AT_ONCE
        told = ((self.years, "Y"), (self.months, "M"), (self.days, "D"))
        return "P" + "".join(f"{count}{unit}" for count, unit in told if count)

    def after(self, instant: datetime) -> datetime:
        """The first instant at which the period that ``instant`` starts is over."""
        if self == Period():
            return instant
        local = instant.astimezone(JST)
        first = local.date() if local.time() == time() else local.date() + timedelta(days=1)
        count = first.year * 12 + first.month - 1 + self.years * 12 + self.months
        last = _day_or_next_month(count // 12, count % 12 + 1, first.day) + timedelta(days=self.days)
        return datetime.combine(last, time(), JST).astimezone(UTC)


@lru_cache(maxsize=1024)  # a house has a dozen periods, and each closing compares them twenty times
def longer(one: Period, other: Period) -> bool:
    """Whether ``one`` is over later than ``other``, whenever both begin or at least once and never earlier."""
    later = [(one.after(each), other.after(each)) for each in _BEGINNINGS]
    return any(a > b for a, b in later)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """What is promised of one class of what is kept."""

    name: str
    """The class, which the names of its keys begin with."""
    mandate: str
    """On whose word, for people."""
    trigger: Trigger
    period: Period
    least: Period
    most: Period
    version: str
    """Of the table that it stands in, and of the brand's own where it was changed."""
    instead_of: tuple[str, ...] = ()
    jurisdictions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What one brand promises otherwise."""

    brand: str = ""
    jurisdiction: str = "JP"
    periods: Mapping[str, Period] = field(default_factory=dict)
    """Class -> its period with this brand."""
    instead: Mapping[str, str] = field(default_factory=dict)
    """Category -> the class that its data falls under, whatever class the closing gave it."""
    version: str = ""


HOUSE = Terms()


class Schedule:
    """The tags of the house, by class."""

    def __init__(self, tags: Sequence[Tag], *, version: str) -> None:
        self.version = version
        self.tags: Mapping[str, Tag] = MappingProxyType({tag.name: tag for tag in tags})
        if len(self.tags) < len(tags):
            raise Malformed("a class stands twice in the table of retention tags")
        for tag in tags:
            if longer(tag.least, tag.period) or longer(tag.period, tag.most):
                raise Malformed(f"{tag.name}: {tag.period} is not between {tag.least} and {tag.most}")

    def check(self, terms: Terms) -> None:
        """``Malformed``, in words, where a brand promises what the law or its own class does not allow."""
        for name, period in terms.periods.items():
            tag = self._known(name, terms)
            if longer(period, tag.most):
                raise Malformed(
                    f"brand {terms.brand}: {name} is kept for {period}, and {tag.most} is the longest that is allowed"
                    f" ({tag.mandate})"
                )
            if longer(tag.least, period):
                raise Malformed(
                    f"brand {terms.brand}: {name} is kept for {period}, and {tag.least} is the shortest that is allowed"
                    f" ({tag.mandate})"
                )
        for category, name in terms.instead.items():
            if not self._known(name, terms).instead_of:
                raise Malformed(f"brand {terms.brand}: {category} cannot fall under {name}, which replaces no class")

    def tag(self, name: str, *, category: str = "", terms: Terms = HOUSE) -> Tag:
        """What holds for data of ``category`` that was given the class ``name``, with this brand.

        A class that the table does not know is kept as long as any: what is not understood is never destroyed early.
        """
        wanted = terms.instead.get(category, "")
        if wanted and name in self.tags[wanted].instead_of:
            name = wanted
        for tag in self.tags.values():
            if terms.jurisdiction in tag.jurisdictions and name in tag.instead_of:
                name = tag.name
                break
        found = self.tags.get(name) or self.longest
        period = terms.periods.get(found.name, found.period)
        if period == found.period:
            return found
        return _with(found, period, f"{self.version}+{terms.version or terms.brand}")

    @property
    def longest(self) -> Tag:
        """The class that is kept longest."""
        found = next(iter(self.tags.values()))
        for tag in self.tags.values():
            found = tag if longer(tag.period, found.period) else found
        return found

    def stricter(self, one: str, other: str) -> str:
        """Of two classes the one that is kept longer in the house; an unknown one wins, as ``tag`` has it."""
        known = self.tags.get(one), self.tags.get(other)
        if known[0] is None or known[1] is None:
            return one if known[0] is None else other
        return other if longer(known[1].period, known[0].period) else one

    def _known(self, name: str, terms: Terms) -> Tag:
        tag = self.tags.get(name)
        if tag is None:
            there = ", ".join(self.tags)
            raise Malformed(f"brand {terms.brand}: there is no retention class {name}; there are {there}")
        return tag


def read_schedule(text: str) -> Schedule:
    """The table in ``text`` (TOML); ``Malformed`` says what is wrong with it."""
    try:
        told = tomllib.loads(text)
        version = str(told["version"])
        return Schedule([_tag(each, version) for each in told["tags"]], version=version)
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as wrong:
        raise Malformed(f"the table of retention tags cannot be read: {wrong}") from wrong


@cache
def house() -> Schedule:
    """The table that comes with the program."""
    return read_schedule((resources.files("recording") / "retention.toml").read_text(encoding="utf-8"))


def due(tag: Tag, triggers: Iterable[datetime | None]) -> datetime | None:
    """When it is due: counted from the latest of what may have started the clock; None while nothing has."""
    started = [each for each in triggers if each is not None]
    return tag.period.after(max(started)) if started else None


def _tag(told: Mapping[str, object], version: str) -> Tag:
    known = {"class", "mandate", "trigger", "period", "least", "most", "instead_of", "jurisdictions"}
    if told.keys() - known:
        raise Malformed(f"a retention tag has no {', '.join(sorted(told.keys() - known))}")
    return Tag(
        name=str(told["class"]),
        mandate=str(told["mandate"]),
        trigger=Trigger(str(told["trigger"])),
        period=Period.parse(str(told["period"])),
        least=Period.parse(str(told["least"])),
        most=Period.parse(str(told["most"])),
        version=version,
        instead_of=_names(told.get("instead_of")),
        jurisdictions=_names(told.get("jurisdictions")),
    )


def _names(told: object) -> tuple[str, ...]:
    return tuple(str(each) for each in told) if isinstance(told, list) else ()


def _with(tag: Tag, period: Period, version: str) -> Tag:
    return Tag(
        name=tag.name,
        mandate=tag.mandate,
        trigger=tag.trigger,
        period=period,
        least=tag.least,
        most=tag.most,
        version=version,
        instead_of=tag.instead_of,
        jurisdictions=tag.jurisdictions,
    )


def _day_or_next_month(year: int, month: int, day: int) -> date:
    """That day; where the month has none, the first of the next: the month's last day is over then."""
    try:
        return date(year, month, day)
    except ValueError:
        return date(year + month // 12, month % 12 + 1, 1)


_BEGINNINGS = tuple(
    datetime(year, month, day, tzinfo=JST) for year in (2023, 2024, 2027) for month in range(1, 13) for day in (1, 28)
) + tuple(datetime(year, month, day, tzinfo=JST) for year, month, day in ((2024, 2, 29), (2023, 1, 31), (2024, 12, 31)))
