"""What people look for incidents by: plates, telephone numbers, vehicle numbers and places, as words of one spelling.

Whoever asks has half of it: the last four digits of a plate, a number as it is dialled at home, a town.  So of plates
and numbers every ending is a word, and of a place every pair of neighbouring characters.
"""

import re
import unicodedata
from collections.abc import Iterator
from enum import StrEnum


class Kind(StrEnum):
    PLATE = "plate"
    PHONE = "phone"
    VIN = "vin"
    """Or whatever else a maker numbers vehicles by."""
    PLACE = "place"


SHORTEST = {Kind.PLATE: 2, Kind.PHONE: 4, Kind.VIN: 4}
"""Characters of an ending: with fewer it would be half of all there are."""

LONGEST = 40
"""Characters of a plate or a number; what is longer is none."""

MOST = 200
"""Words of one place."""

DIALLED_AT_HOME = 9
"""Digits from which a number that begins with 0 was dialled at home: fewer are an ending."""

_BETWEEN = re.compile(r"[\W_]+")
_RUNS = re.compile(r"[぀-ヿ㐀-鿿々〆ヶ가-힣]+|[^\W_぀-ヿ㐀-鿿가-힣]+")


def words(kind: Kind, text: str) -> frozenset[str]:
    """By which words ``text`` is found."""
    if kind is Kind.PLACE:
        return frozenset(sorted(_of_place(text))[:MOST])
    whole = _bare(kind, text)
    return frozenset(whole[-length:] for length in range(SHORTEST[kind], len(whole) + 1))


def asked(kind: Kind, text: str) -> frozenset[str]:
    """Words that all must be there; none where ``text`` is too short to look for."""
    if kind is Kind.PLACE:
        return frozenset(sorted(_of_place(text))[:MOST])
    whole = _bare(kind, text)
    return frozenset({whole}) if len(whole) >= SHORTEST[kind] else frozenset()


def _bare(kind: Kind, text: str) -> str:
    """Without what people put in between."""
    folded = _BETWEEN.sub("", _folded(text))
    if kind is Kind.PHONE:
        folded = re.sub(r"\D", "", folded)
        folded = folded.lstrip("0") if len(folded) >= DIALLED_AT_HOME else folded
    return folded if len(folded) <= LONGEST else ""


def _of_place(text: str) -> Iterator[str]:
    for run in _RUNS.findall(_folded(text)):
        if run[0] < "぀":
            yield run
        else:
            yield from (run[at : at + 2] for at in range(len(run) - 1))


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()
