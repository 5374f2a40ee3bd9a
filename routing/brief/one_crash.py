"""One crash with other cars in words: for the rows of every written form, and for what is read aloud."""

from collections.abc import Iterator

from routing.brief.document import Before, Brief, OneCrash
from routing.brief.language import Language
from routing.brief.spelling import digits
from routing.brief.times import local

NAMES = {
    "one_crash": ("複数車両の事故", "Crash of several cars"),
    "before": ("既報", "Told before"),
    "parted": ("別の事故", "Not one crash"),
    "maybe": ("同一事故の可能性", "May be the same crash"),
}


def rows(brief: Brief, language: Language) -> Iterator[tuple[str, str]]:
    """Name and words, for every written form; nothing for a crash of one car."""
    column = 0 if language == "ja" else 1
    crash = brief.one_crash
    if crash is not None:
        yield NAMES["one_crash"][column], how_many(crash, language)
        if crash.before:
            yield NAMES["before"][column], _heard(brief, crash.before, language)
    if brief.parted:
        yield NAMES["parted"][column], apart(brief.parted, language)
    if brief.maybe:
        yield NAMES["maybe"][column], _heard(brief, brief.maybe, language)


def news(brief: Brief, language: Language) -> str:
    """What a newer version tells of the crash that the one before did not."""
    return apart(brief.parted, language) if brief.one_crash is None else how_many(brief.one_crash, language)


def how_many(crash: OneCrash, language: Language) -> str:
    """``one crash, 2 vehicles, occupants 3 (unknown in 1 vehicle), shared number 482193``."""
    if language == "ja":
        return f"一つの事故、車両{crash.vehicles}台、{_people(crash, language)}、共通番号 {crash.number}"
    vehicles = "1 vehicle" if crash.vehicles == 1 else f"{crash.vehicles} vehicles"
    return f"one crash, {vehicles}, {_people(crash, language)}, shared number {crash.number}"


def _people(crash: OneCrash, language: Language) -> str:
    if language == "ja":
        unsure = f"(うち{crash.unknown}台は不明)" if crash.unknown else ""
        return "乗員は不明" if crash.occupants is None else f"乗員は計{crash.occupants}名{unsure}"
    vehicles = "1 vehicle" if crash.unknown == 1 else f"{crash.unknown} vehicles"
    unsure = f" (unknown in {vehicles})" if crash.unknown else ""
    return "occupants unknown" if crash.occupants is None else f"occupants {crash.occupants}{unsure}"


def apart(number: str, language: Language) -> str:
    if language == "ja":
        return f"共通番号 {number} の事故とは別の事故でした"
    return f"this is a crash of its own, not part of number {number}"


def _heard(brief: Brief, before: tuple[Before, ...], language: Language) -> str:
    incident = "事案" if language == "ja" else "incident"
    each = (f"{_clock(brief, one)}{incident} …{one.tail} ({one.disclosure})" for one in before)
    return ("、" if language == "ja" else ", ").join(each)


def _clock(brief: Brief, one: Before) -> str:
    return f"{local(one.at, brief.zone):%H:%M} " if one.at is not None else ""


def said(brief: Brief, language: Language) -> Iterator[str]:
    """Sentences to be read aloud: how many cars, and what whoever listens has heard of them."""
    ja = language == "ja"
    crash = brief.one_crash
    if crash is not None:
        number = digits(crash.number, language)
        if ja:
            yield f"一つの事故で、車両は{crash.vehicles}台、{_people(crash, language)}。共通番号、{number}。"
        else:
            vehicles = "1 vehicle" if crash.vehicles == 1 else f"{crash.vehicles} vehicles"
            yield f"One crash, {vehicles}, {_people(crash, language)}. Shared number {number}."
        yield from _reminded(brief, crash.before, language, sure=True)
    if brief.parted:
        number = digits(brief.parted, language)
        yield f"共通番号、{number}の事故とは別の事故でした。" if ja else f"This is not part of shared number {number}."
    yield from _reminded(brief, brief.maybe, language, sure=False)


def _reminded(brief: Brief, before: tuple[Before, ...], language: Language, *, sure: bool) -> Iterator[str]:
    for one in before[:2]:
        at, number = None if one.at is None else local(one.at, brief.zone), digits(one.tail, language)
        if language == "ja":
            when = "" if at is None else f"{at.hour}時{at.minute}分に"
            heard = f"{when}お知らせした、事案番号の末尾、{number}"
            yield f"{heard}と同じ事故です。" if sure else f"{heard}と同じ事故かもしれません。"
        else:
            when = "" if at is None else f" at {at.hour} {at.minute:02d}"
            heard = f"the incident ending in {number}, of which you were told{when}"
            yield f"The same crash as {heard}." if sure else f"It may be the same crash as {heard}."
