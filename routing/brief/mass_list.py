"""Many incidents for one agency as one list, the worst first: made of briefs that it has been given and nothing else.

So a list can tell no more than its briefs do: what the law withholds of one incident is in its brief no more than here.
Each row names its own incident by the number to quote, and is taken over by itself.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum

from msgspec import Struct

from routing.brief import times
from routing.brief.crash import CrashFacts, Hazard
from routing.brief.crash_words import facts_of, glance, named
from routing.brief.document import Brief
from routing.brief.kind_words import kind_said
from routing.brief.language import Language
from routing.brief.spelling import digits
from routing.brief.words import spaced
from routing.categories import Category

ALOUD = 3
"""Rows that are read out: a person on a telephone keeps no more."""


class Standing(StrEnum):
    """What has become of one row."""

    WAITS = "waits"
    TAKEN_OVER = "taken_over"
    REFUSED = "refused"
    ANOTHER = "another"
    CLOSED = "closed"
    EXPIRED = "expired"


class Row(Struct, frozen=True, kw_only=True):
    incident: str
    """Our own id."""
    disclosure: str
    standing: Standing
    brief: Brief | None
    """What the agency was told last; None where it is not to be seen any more, or cannot be opened."""
    shut: bool = False
    """It cannot be opened just now, although it is to be seen: the row stays, and says so."""


class MassList(Struct, frozen=True, kw_only=True):
    """What one agency has been told in one mass event."""

    agency_name: str
    version: int
    """How often anything in it has changed: the same number, the same list."""
    rows: tuple[Row, ...]
    more: int = 0
    """Incidents beyond those that a list holds."""
    whole: bool = True
    """False: only what has been added or has changed, as it is sent."""

    @property
    def waiting(self) -> int:
        """For how many nobody there has taken over."""
        return sum(row.standing is Standing.WAITS for row in self.rows)


def in_order(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Who waits before who is helped, who is helped before what is over; then the worst first, then the oldest."""
    return tuple(sorted(rows, key=lambda row: (_PLACES[row.standing], *_badness(row), row.disclosure)))


_PLACES = {Standing.WAITS: 0, Standing.TAKEN_OVER: 1}
_PLACES |= {standing: 2 for standing in Standing if standing not in _PLACES}

_CARRIED = {Hazard.HYDROGEN, Hazard.GAS, Hazard.HIGH_VOLTAGE}
"""What a car carries endangers nobody by itself."""


def _badness(row: Row) -> tuple[int, int, int, str]:
    if row.brief is None:
        return (0, 0, 0, "")
    facts = facts_of(row.brief)
    return (*worse(facts), row.brief.decided_at.isoformat())


def worse(facts: CrashFacts) -> tuple[int, int, int]:
    """Smaller is worse: what endangers now, then who may be hurt, then how hard."""
    dangers = len([hazard for hazard in facts.hazards if hazard not in _CARRIED])
    hurt = 2 if facts.sender_severe is True else {"severe": 2, "attention": 1}.get(facts.our_level or "", 0)
    return -dangers, -hurt, -(facts.delta_v_kmh or 0)


def cells(row: Row, language: Language) -> list[tuple[str, str]]:
    """Name and words of what a row says, in the order in which it is needed."""
    brief, column = row.brief, 0 if language == "ja" else 1
    if brief is None:
        return [(name[column], said[column]) for name, said in _SHUT] if row.shut else []
    found = [(("照会番号", "Quote")[column], spaced(brief.code) or brief.disclosure)]
    found.append((("場所", "Where")[column], where(brief, language)))
    found += [(("種別", "Kind")[column], said)] if (said := kind_said(brief, language)) else []
    found += glance(brief, language)
    found.append((("人数", "People")[column], people(brief, language)))
    found.append((("通報時刻", "Told at")[column], times.decided(brief)))
    if brief.version > 1:
        found.append((("版", "Version")[column], str(brief.version)))
    return found


_SHUT = (
    (
        ("内容", "Content"),
        ("いまは表示できません。電話でお尋ねください", "cannot be shown just now: ask us by telephone"),
    ),
)


def where(brief: Brief, language: Language) -> str:
    """The place in words, and its coordinates where they may be told and are known."""
    place = brief.sections.get(Category.LOC) or {}
    aloud = ("aloudJa", "aloudEn") if language == "ja" else ("aloudEn", "aloudJa")
    areas = [str(place[name]) for name in ("prefectureName", "municipalityName") if place.get(name)]
    words = next((str(place[name]) for name in ("stated", "address", *aloud) if place.get(name)), " ".join(areas))
    latitude, longitude = place.get("latitude"), place.get("longitude")
    known = isinstance(latitude, float | int) and isinstance(longitude, float | int)
    fix = f"{latitude:.5f}, {longitude:.5f}" if known else ""
    unknown = "不明" if language == "ja" else "unknown"
    return " / ".join(part for part in (words, fix) if part) or unknown


def people(brief: Brief, language: Language) -> str:
    """How many are in the vehicle, as far as that may be told."""
    number = (brief.sections.get(Category.VEH) or {}).get("occupants")
    if isinstance(number, int) and not isinstance(number, bool):
        return f"{number}名" if language == "ja" else str(number)
    return "不明" if language == "ja" else "unknown"


def standing_said(standing: Standing, language: Language) -> str:
    return _STANDINGS[standing][0 if language == "ja" else 1]


_STANDINGS = {
    Standing.WAITS: ("未引き受け", "nobody has taken over"),
    Standing.TAKEN_OVER: ("引き受け済み", "taken over"),
    Standing.REFUSED: ("辞退済み", "refused"),
    Standing.ANOTHER: ("他の機関が引き受け", "another agency has taken over"),
    Standing.CLOSED: ("終了", "closed"),
    Standing.EXPIRED: ("表示期限切れ", "no longer shown"),
}


def title(made: MassList, language: Language) -> str:
    ja, number = language == "ja", len(made.rows) + made.more
    version = "" if not made.version else f"第{made.version}版 " if ja else f"version {made.version}, "
    if ja:
        how_many = f"{number}件(未引き受け {made.waiting}件)" if made.whole else f"新規・変更 {number}件"
        return f"大規模災害 通報一覧 {version}{how_many}"
    how_many = f"{number} in all, {made.waiting} not taken over" if made.whole else f"{number} new or changed"
    return f"Mass event: list of emergencies, {version}{how_many}"


def render_list(made: MassList, language: Language) -> str:
    """The list as lines of plain text."""
    exercise = any(row.brief is not None and row.brief.exercise for row in made.rows)
    lines = [title(made, language), made.agency_name]
    if exercise:
        lines.append("【訓練】実際の出動は不要です" if language == "ja" else "EXERCISE: send nobody")
    for number, row in enumerate(made.rows, 1):
        lines += ["", f"{number}. [{standing_said(row.standing, language)}]"]
        lines += [f"   {name}: {words}" for name, words in cells(row, language)]
    if made.more:
        more = f"ほか{made.more}件は個別のページで" if language == "ja" else f"{made.more} more, on pages of their own"
        lines += ["", more]
    return "\n".join(lines) + "\n"


def speak_list(made: MassList, language: Language) -> str:
    """What is read aloud: how many, the worst three, and where the whole list is."""
    return "\n".join(_sentences(made, language))


def _sentences(made: MassList, language: Language) -> Iterator[str]:
    ja = language == "ja"
    waiting = [row for row in made.rows if row.standing is Standing.WAITS and row.brief is not None]
    number = made.waiting
    yield f"大規模災害の通報、{number}件です。" if ja else f"Mass event. {number} emergencies nobody has taken over."
    for place, row in enumerate(waiting[:ALOUD], 1):
        assert row.brief is not None
        hazards = named(facts_of(row.brief).hazards, language)
        danger = f"危険、{hazards}。" if ja else f"Danger: {hazards}. "
        said = where(row.brief, language).split(" / ")[0]
        quote = digits(row.brief.code, language)
        if ja:
            yield f"{place}件目、{said}。{danger if hazards else ''}{f'照会番号、{quote}。' if quote else ''}"
        else:
            yield f"Number {place}: {said}. {danger if hazards else ''}{f'Quote {quote}.' if quote else ''}".rstrip()
    yield ("全件は、お送りした一覧のページにあります。" if ja else "All of them are on the page that you were sent.")
