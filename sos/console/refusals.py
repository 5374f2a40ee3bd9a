"""Why an order is refused, in the operator's language: the sentence that the house says, its code, and its words.

The program says why it refuses in one English sentence, at the place where it refuses.  Here each of these has a code
and a Japanese one beside it (``refusals.toml``); agencies, colleagues and codes within it are put into words too.  A
test reads every sentence out of the source, so none is said at a desk that has no words.
"""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

import msgspec
from msgspec import Struct

from sos.errors import SosError

WORDS = Path(__file__).with_name("refusals.toml")

LONGEST = 1_000
"""Characters of a sentence that is looked for: no sentence of ours is longer."""

NameOf = Callable[[str], tuple[str, str] | None]
"""Japanese and English name of an agency or a colleague by id; None: of neither."""


class Words(Struct, frozen=True):
    en: str
    ja: str


class Table(Struct, frozen=True):
    said: Mapping[str, Words]
    kind: Mapping[str, Words]
    value: Mapping[str, str]


class Told(Struct, frozen=True, kw_only=True):
    """What the desk is told of a refusal."""

    code: str
    """Empty where the sentence has none."""
    ja: str
    en: str


@cache
def table() -> Table:
    return msgspec.convert(tomllib.loads(WORDS.read_text()), Table)


@cache
def _sentences() -> tuple[tuple[str, tuple[str, ...], Words], ...]:
    """Code, what stands between the values, and words; whatever says most of itself first."""
    found = [(code, pieces(words.en), words) for code, words in table().said.items()]
    return tuple(sorted(found, key=lambda each: (len(each[1]), -sum(map(len, each[1])))))


def pieces(sentence: str) -> tuple[str, ...]:
    """What of ``sentence`` stands around its values ``{0}``, ``{1}``, ..."""
    left, number = [], 0
    while (mark := f"{{{number}}}") in sentence:
        piece, _, sentence = sentence.partition(mark)
        left.append(piece)
        number += 1
    return (*left, sentence)


def values(text: str, around: Sequence[str]) -> tuple[str, ...] | None:
    """What stands in ``text`` between the pieces ``around``; None where it is another sentence."""
    first, *middle = around
    if not text.startswith(first):
        return None
    found, rest = [], text[len(first) :]
    for number, piece in enumerate(middle, 1):
        end = rest.rfind(piece) if number == len(middle) else rest.find(piece)
        if end < 1 or (number == len(middle) and end + len(piece) != len(rest)):
            return None
        found.append(rest[:end])
        rest = rest[end + len(piece) :]
    return tuple(found) if middle or not rest else None


def told(error: SosError, *, name_of: NameOf) -> Told:
    """``error`` in words."""
    text = str(error)[:LONGEST]
    for code, around, words in _sentences():
        if (found := values(text, around)) is not None:
            named = [_named(each, name_of) for each in found]
            ja = _filled(words.ja, [japanese for japanese, _ in named])
            return Told(code=code, ja=ja, en=_filled(words.en, [english for _, english in named]))
    kind = next(table().kind[each.__name__] for each in type(error).__mro__ if each.__name__ in table().kind)
    return Told(code="", ja=kind.ja, en=text or kind.en)


def _named(value: str, name_of: NameOf) -> tuple[str, str]:
    """Each word of a list that is one of ours, as people say it."""
    each = [name_of(word) or (table().value.get(word, word), word) for word in value.split(", ")]
    return "、".join(ja for ja, _ in each), ", ".join(en for _, en in each)


def _filled(words: str, given: Sequence[str]) -> str:
    for number, value in enumerate(given):
        words = words.replace(f"{{{number}}}", value)
    return words
