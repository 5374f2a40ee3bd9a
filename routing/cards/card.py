"""The question cards as data: what is asked for each kind of emergency, how it may be answered, what an answer feeds.

The house has one set of questions (``house.toml``, or a file of its own).  A brand may word a question otherwise and
add questions of its own; it takes none away and changes nothing of what an answer feeds, since somebody's life may hang
on it.  A card that is unknown, contradicts itself or lacks a language is refused before the service starts.

An answer is a fact in the category of its question, complete in itself: it carries the words under which every form
shows it.  What is kept in clear beside it (``urgent``, ``needs``) may not tell of somebody's health, so a question of
the category MED feeds the forms that may hold it, and nothing else.
"""

import tomllib
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from routing.brief.crash import Hazard
from routing.categories import Category
from routing.errors import Malformed, Misconfigured
from routing.kinds import EmergencyKind
from routing.services import Service

IN = frozenset({Category.PER, Category.MED, Category.OBS})
"""Categories that an answer can be of: what is said of the people, and what is seen and heard."""

MOST_CHARACTERS = 300
"""Of an answer in words: a sentence or two."""

MOST_NUMBER = 99
"""People in a coach."""

UNKNOWN = "unknown"

_Id = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,40}$")]
_Said = Annotated[str, Meta(min_length=1, max_length=120)]


class AnswerForm(StrEnum):
    """How a question is answered; that nobody knows is an answer to each but words."""

    YES_NO = "yes_no"
    CHOICE = "choice"
    NUMBER = "number"
    WORDS = "words"


class Wording(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same in every language that is shipped."""

    ja: _Said
    en: _Said


class Feeds(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What one answer says beside itself."""

    hazard: Hazard | None = None
    severe: bool = False
    """Somebody may die of it."""
    needs: tuple[Service, ...] = ()
    """Who is needed for it, whatever the kind of emergency."""


class AnswerChoice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: _Id
    ja: _Said
    en: _Said


class ToAsk(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One question."""

    id: _Id
    kinds: tuple[EmergencyKind, ...]
    """On whose cards it stands."""
    category: Category
    form: AnswerForm
    ask: Wording
    """As it is asked."""
    told: Wording
    """As the answer is headed in a brief."""
    choices: tuple[AnswerChoice, ...] = ()
    feeds: dict[str, Feeds] = {}
    """By answer: ``yes``, ``no``, a choice; of a number ``some``, which is one or more."""
    counts: Literal["occupants", "injured", ""] = ""
    """What a number is the number of, where that is told at a glance."""

    def __post_init__(self) -> None:
        if self.category not in IN:
            raise ValueError(f"{self.id}: an answer is of PER, MED or OBS, not of {self.category}")
        if not self.kinds:
            raise ValueError(f"{self.id}: it stands on no card")
        if bool(self.choices) is not (self.form is AnswerForm.CHOICE):
            raise ValueError(f"{self.id}: choices belong to a choice, and a choice needs some")
        names = [choice.id for choice in self.choices]
        if UNKNOWN in names or len(set(names)) < len(names):
            raise ValueError(f"{self.id}: its choices are not told apart")
        if strange := sorted(set(self.feeds) - set(self._feeding)):
            raise ValueError(f"{self.id}: nobody can answer {', '.join(strange)}")
        if self.counts and self.form is not AnswerForm.NUMBER:
            raise ValueError(f"{self.id}: only a number counts {self.counts}")
        if self.category is Category.MED and any(feeds.needs for feeds in self.feeds.values()):
            raise ValueError(f"{self.id}: who is needed stands in clear, and would tell of somebody's health")

    @property
    def _feeding(self) -> tuple[str, ...]:
        match self.form:
            case AnswerForm.YES_NO:
                return ("yes", "no")
            case AnswerForm.CHOICE:
                return tuple(choice.id for choice in self.choices)
            case AnswerForm.NUMBER:
                return ("some",)
            case AnswerForm.WORDS:
                return ()

    def answered(self, value: str | int) -> "Answered":
        """``value`` as a fact.  ``Malformed`` when the question cannot be answered so."""
        said = self._said(value)
        feeds = self.feeds.get("some" if isinstance(value, int) and value > 0 else str(value), Feeds())
        return Answered(
            question=self.id,
            ja=self.told.ja,
            en=self.told.en,
            value=value.strip() if isinstance(value, str) else value,
            said_ja=said.ja,
            said_en=said.en,
            hazard=feeds.hazard,
            severe=feeds.severe,
            counts=self.counts if isinstance(value, int) else "",
        )

    def needs(self, value: str | int) -> tuple[Service, ...]:
        """Who is needed where it is answered so."""
        return self.feeds.get("some" if isinstance(value, int) and value > 0 else str(value), Feeds()).needs

    def _said(self, value: str | int) -> Wording:
        match self.form, value:
            case (AnswerForm.WORDS, str()) if 0 < len(words := value.strip()) <= MOST_CHARACTERS:
                return Wording(ja=words, en=words)
            case (AnswerForm.YES_NO, "yes" | "no"):
                return SAID[str(value)]
            case (AnswerForm.YES_NO | AnswerForm.CHOICE | AnswerForm.NUMBER, "unknown"):
                return SAID[UNKNOWN]
            case (AnswerForm.CHOICE, str()) if found := [each for each in self.choices if each.id == value]:
                return Wording(ja=found[0].ja, en=found[0].en)
            case (AnswerForm.NUMBER, int()) if 0 <= value <= MOST_NUMBER and not isinstance(value, bool):
                return Wording(ja=str(value), en=str(value))
        raise Malformed("this question is not answered so", field="$.value")


SAID: Mapping[str, Wording] = {
    "yes": Wording(ja="はい", en="yes"),
    "no": Wording(ja="いいえ", en="no"),
    UNKNOWN: Wording(ja="不明", en="not known"),
}
"""Answers that need no words of their own."""


class Answered(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """An answer as it is sealed: whoever reads it needs no card."""

    question: str
    ja: str
    """What it is the answer to, as a heading."""
    en: str
    value: str | int
    said_ja: str
    """The value in words."""
    said_en: str
    hazard: Hazard | None = None
    severe: bool = False
    counts: str = ""


class BrandCards(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a brand does otherwise."""

    words: dict[str, Wording] = {}
    """By question of the house: how it is asked in the brand's name."""
    further: tuple[ToAsk, ...] = ()
    """Questions of the brand's own, after those of the house."""


class Cards(Struct, frozen=True, kw_only=True):
    """All questions, in the order in which they are asked."""

    questions: tuple[ToAsk, ...]

    def __post_init__(self) -> None:
        names = [each.id for each in self.questions]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise Misconfigured(f"question cards: {', '.join(twice)} stands twice")
        if empty := [kind.value for kind in EmergencyKind if not self.of(kind)]:
            raise Misconfigured(f"question cards: there is no question for {', '.join(empty)}")

    def of(self, kind: EmergencyKind) -> tuple[ToAsk, ...]:
        """The card of one kind of emergency."""
        return tuple(each for each in self.questions if kind in each.kinds)

    def question(self, id: str) -> ToAsk | None:
        return next((each for each in self.questions if each.id == id), None)

    def with_brand(self, brand: BrandCards) -> "Cards":
        """With a brand's words and questions.  ``Misconfigured`` where it words or replaces what it may not."""
        if strange := sorted(name for name in brand.words if self.question(name) is None):
            raise Misconfigured(
                f"question cards: the house asks no {', '.join(strange)} that could be worded otherwise"
            )
        worded = (_worded(each, brand.words.get(each.id)) for each in self.questions)
        return Cards(questions=(*worded, *brand.further))


def _worded(question: ToAsk, ask: Wording | None) -> ToAsk:
    return question if ask is None else msgspec.structs.replace(question, ask=ask)


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    question: tuple[ToAsk, ...]


def read_cards(text: str) -> Cards:
    """The cards in ``text`` (TOML).  ``Misconfigured`` says what is wrong, and of which question."""
    try:
        return Cards(questions=msgspec.convert(tomllib.loads(text), _File).question)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as wrong:
        raise Misconfigured(f"question cards: {wrong}") from wrong


@cache
def shipped() -> Cards:
    """The cards that come with the program."""
    return read_cards((resources.files("routing.cards") / "house.toml").read_text(encoding="utf-8"))
