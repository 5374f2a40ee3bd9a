"""Which piece of an incident is given to the person it is about, and what is another's and blacked out.  Pure.

**Theory.**  What the car told of itself is given to whoever had the car.  What is said of a person (PER, MED, what was
seen and heard) is given only where somebody of ours has said that this person was the one.  A customer's own health and
family, as they registered them, are theirs.  Words are given only after somebody has read them, without the names and
numbers of others that the incident holds.  A document as it was sent mixes people and is given piece by piece instead.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from routing.categories import Category
from sos.incident.events import (
    AlarmRaised,
    DisclosureDecided,
    ExportMade,
    HoldPlaced,
    HoldReleased,
    ObligationMet,
    PartsRead,
    PlanMade,
    RegisteredDataCopied,
    RequestAnswered,
    RequestChecked,
    RequestReceived,
    RequestRefused,
)
from sos.incident.identity import folded
from sos.incident.telephone import heard
from sos.journal.sealing import Part
from sos.rights.keys import fields

BLACK = "■■■"

OTHERS = "another_person"
MIXED = "mixed_document"
UNREAD_WORDS = "words_not_read"
NOT_THE_ONE = "not_known_to_be_the_person"

_NUMBER = re.compile(r"\+?[0-9０-９][0-9０-９()\-‐–ー ]{7,24}[0-9０-９]")
_TOLD_ELSEWHERE = (DisclosureDecided, RequestAnswered)
_OF_THE_HOUSE = (PartsRead, ExportMade, HoldPlaced, HoldReleased, ObligationMet, AlarmRaised)
_OF_WHO_ASKED = (RequestReceived, RequestChecked, RequestRefused)
"""Others have asked: that they did is told, or not, with what they were given."""
_OF_THE_PERSON = frozenset({Category.PER, Category.MED, Category.OBS})
_NAMES_THE_CAR = ("idValue", "licensePlate", "ownerName")


class Person(Struct, frozen=True, kw_only=True):
    """Who asks, and how they stand to one incident."""

    name: str
    """Folded."""
    tels: frozenset[str]
    holder: bool
    """The car was in their record."""
    the_one: bool
    """Somebody of ours says that the incident is about them."""
    words_read: bool


class Given(Struct, frozen=True, kw_only=True):
    """One piece: ``said``, or why it is ``withheld``; neither where it is told in another place of the answer."""

    said: Any = None
    withheld: str = ""


NOWHERE = Given()


def give(part: Part, person: Person, others: Iterable[str]) -> Given:
    """What the person gets of ``part``; ``others``: names in the incident that are not theirs."""
    category, event = part.category, part.recorded.event
    if isinstance(event, (*_TOLD_ELSEWHERE, *_OF_THE_HOUSE, *_OF_WHO_ASKED)) or category is Category.AUD:
        return NOWHERE
    if category is Category.RAW:
        return Given(withheld=MIXED)
    told = fields(part.payload)
    if category in (Category.PER, Category.MED) and not person.the_one and not isinstance(event, RegisteredDataCopied):
        return Given(withheld=NOT_THE_ONE)
    if told is None or told.keys() == {"text"}:
        return _words(part.payload if told is None else str(told["text"]).encode(), person, others)
    if isinstance(event, PlanMade):
        told.pop("planning", None)
    if isinstance(event, RegisteredDataCopied):
        return Given(said=told) if person.holder else Given(withheld=OTHERS)
    return _fields(category, told, person)


def _fields(category: Category, told: dict[str, Any], person: Person) -> Given:
    match category:
        case Category.VEH:
            return Given(said=told if person.holder else _without(told, _NAMES_THE_CAR))
        case Category.TEL:  # the car's own number, or that of whoever called
            return Given(said=told if person.holder else {name: _number(value, person) for name, value in told.items()})
        case Category.OWN:
            mine = folded(str(told.get("ownerName", ""))) == person.name
            return Given(said=told) if mine else Given(withheld=OTHERS)
        case Category.FAM | Category.TRK | Category.BIL:
            return Given(said=told) if person.holder else Given(withheld=OTHERS)
        case _ if category in _OF_THE_PERSON:
            return Given(said=told) if person.the_one else Given(withheld=NOT_THE_ONE)
        case _:
            return Given(said=told)


def _words(payload: bytes, person: Person, others: Iterable[str]) -> Given:
    if not person.words_read:
        return Given(withheld=UNREAD_WORDS)
    return Given(said=blackened(payload.decode("utf-8", "replace"), person, others))


def blackened(text: str, person: Person, others: Iterable[str]) -> str:
    """``text`` without names of ``others`` and without numbers that are not the person's."""
    for name in sorted(others, key=len, reverse=True):
        text = _without_name(text, "".join(name.split()))
    return _NUMBER.sub(lambda found: found.group() if heard(found.group()).number in person.tels else BLACK, text)


def _without_name(text: str, name: str) -> str:
    """``text`` without ``name``, however it is spaced there."""
    at = [place for place, letter in enumerate(text) if not letter.isspace()]
    bare = "".join(text[place] for place in at)
    if not name or name not in bare:
        return text
    begin = bare.index(name)
    first, last = at[begin], at[begin + len(name) - 1] + 1
    return text[:first] + BLACK + _without_name(text[last:], name)


def _number(value: Any, person: Person) -> Any:
    if not isinstance(value, str) or (number := heard(value).number) is None:
        return value
    return value if number in person.tels else BLACK


def _without(told: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: BLACK if name in names else value for name, value in told.items()}


def other_names(parts: Iterable[Part], person_name: str) -> frozenset[str]:
    """Names that stand in fields of the incident and are not the person's, as they were written."""
    found = set[str]()
    for part in parts:
        told = fields(part.payload) or {}
        for field in ("ownerName", "name", "familyContact"):
            value = told.get(field)
            if isinstance(value, str) and value.strip() and folded(value) != person_name:
                found |= {value, *(word for word in re.split(r"[\s0-9+\-()]+", value) if len(word) > 1)}
    return frozenset(found)
