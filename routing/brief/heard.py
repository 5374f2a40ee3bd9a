"""What was answered to an operator's questions, as a brief holds it: one entry for each question, with its own words.

A section may hold ``answers``, the last to each question in the order in which they were first asked.  Only those of
categories that are told are in a brief, and whatever reads them here makes no more of them.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from routing.brief.language import Language
from routing.categories import Category

FIELD = "answers"

IN = (Category.OBS, Category.PER, Category.MED)
"""Sections that can hold answers, the most needed first."""

Answer = Mapping[str, Any]


def answers(section: Mapping[str, Any] | None) -> tuple[Answer, ...]:
    """Those of one section; what is none is passed over."""
    found = (section or {}).get(FIELD, ())
    return tuple(each for each in found if is_answer(each)) if isinstance(found, list | tuple) else ()


def all_of(sections: Mapping[str, Mapping[str, Any]]) -> tuple[Answer, ...]:
    return tuple(each for category in IN for each in answers(sections.get(category)))


def is_answer(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(value.get(name), str) for name in ("question", "ja", "en"))


def rows(section: Mapping[str, Any] | None, language: Language) -> Iterator[tuple[str, str]]:
    """Heading and answer of each, for every written form."""
    for each in answers(section):
        yield headed(each, language), said(each, language)


def headed(answer: Answer, language: Language) -> str:
    return str(answer[language])


def said(answer: Answer, language: Language) -> str:
    return str(answer.get("saidJa" if language == "ja" else "saidEn", answer.get("value", "")))


def sentence(answer: Answer, language: Language) -> str:
    """As it is read aloud."""
    heading, words = headed(answer, language), said(answer, language).strip().rstrip("。.")
    return f"{heading}、{words}。" if language == "ja" else f"{heading}: {words}."
