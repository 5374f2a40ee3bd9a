"""The brief on one page of A4 for a fax machine: black on white, at least 10 points, fonts embedded.

It is always one page: what does not fit into the box at its end is cut there, and the page says where the rest is
(続き).  The same brief gives the same bytes, so its digest in the decision can be checked against what was sent.
"""

import importlib.util
import math
import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import resources
from typing import Any

import msgspec
import typst

from routing.brief import heard
from routing.brief.crash_words import glance
from routing.brief.document import Brief
from routing.brief.kind_words import TITLE as KIND
from routing.brief.kind_words import kind_said
from routing.brief.times import decided
from routing.brief.words import TITLES, asking, changed_lines, say, told
from routing.categories import Category
from routing.errors import Misconfigured

FONTS = ("Noto Sans CJK JP", "Noto Sans JP", "IPAexGothic", "IPAGothic", "BIZ UDGothic", "Noto Sans CJK TC")
"""Families with Japanese glyphs that may be given away with a document, the best to read on a fax first."""

FONT_PACKAGE = "cvttf_NotoSansCJK_Regular"
"""Python package with such a font (SIL Open Font License), for machines that have none: the extra ``fax``."""

CELL_CHARACTERS = 60
FACTS = 28
"""Cells of the table at most: fourteen rows of two; what is beyond stands in the box."""

TABLE_LINES = 28.0
"""Lines of the table at most, so that the box keeps a third of the page however long the values are."""

_BETWEEN = 0.35
"""Of a line: what a row has beside its lines."""

_NAME_EM, _VALUE_EM = 7.0, 14.0
"""Widths of the two columns."""

_UNBROKEN = re.compile(r"[!-~]{20,}")
"""Longer than any number of a vehicle, and as wide as a cell: a line may break within it."""

WORDS = 6000
"""Characters in the box at most; about three times what fits."""

_BOXED = (Category.OBS, Category.MED, Category.FAM)
"""Told in sentences, so not in the table."""


def write_fax(brief: Brief) -> bytes:
    """The page as PDF.  ``Misconfigured`` when the machine has no Japanese font."""
    families, found = fonts()
    return typst.compile(
        (resources.files("routing.brief") / "fax.typ").read_bytes(),
        font_paths=found,
        sys_inputs={"brief": msgspec.json.encode(_clean(_page(brief)) | {"fonts": families}).decode()},
        format="pdf",
        timestamp=round(brief.decided_at.timestamp()),
        pdf_tags=False,
    )


@cache
def fonts() -> tuple[tuple[str, ...], typst.Fonts]:
    """Families to use, and the fonts they are found in.  ``Misconfigured`` when there is no Japanese one."""
    package = importlib.util.find_spec(FONT_PACKAGE)
    folders = list(package.submodule_search_locations or ()) if package else []
    found = typst.Fonts(font_paths=folders)
    return japanese(found.families()), found


def japanese(families: Iterable[str]) -> tuple[str, ...]:
    """Those of ``families`` that have Japanese glyphs, the best first.  ``Misconfigured`` when there is none."""
    known = set(families)
    if found := tuple(family for family in FONTS if family in known):
        return found
    raise Misconfigured("no Japanese font for the fax page: install fonts-noto-cjk, or the extra «fax»")


_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]")
"""Control characters, and those that turn the direction of what follows."""


def _clean(page: Any) -> Any:
    """``page`` without what cannot be seen; a character that no font here has is printed as an empty box."""
    if isinstance(page, dict):
        return {name: _clean(value) for name, value in page.items()}
    if isinstance(page, list):
        return [_clean(value) for value in page]
    return _UNSEEN.sub("", page) if isinstance(page, str) else page


def _page(brief: Brief) -> dict[str, Any]:
    """What the template shows, as data."""
    cells = list(_cells(brief))
    shown = _shown(cells)
    sender = brief.sender
    centre = f"{sender.name_ja} {sender.desk_uri.removeprefix('tel:')}" if sender else ""
    return {
        "title": "緊急通報 事案情報",
        "exercise": "【訓練】実際の出動は不要です" if brief.exercise else "",
        "version": f"第{brief.version}報",
        "from": sender.name_ja if sender else "",
        "head": [
            ["宛先", f"{brief.agency_name}"],
            ["発信", centre],
            ["事案", brief.incident],
            ["提供番号", f"{brief.disclosure} (版 {brief.version})"],
            ["提供の根拠", f"{brief.rule} / {brief.ground} / {brief.law_version}"],
            ["決定時刻", decided(brief)],
            *([["起動", say(brief.trigger, "ja")]] if brief.trigger else []),
            *([[KIND[0], kind]] if (kind := kind_said(brief, "ja")) else []),
            *([name, words] for name, words in asking(brief, "ja")),
        ],
        "facts": [[_breakable(name), _breakable(_short(value))] for name, value in cells[:shown]] or [["内容", "下記"]],
        "words": _pieces("\n".join(_boxed(brief, cells[shown:]))[:WORDS]),
        "more": f"……（続きあり: 提供番号 {brief.disclosure} 版 {brief.version} にて照会ください）",
        "foot": "本票は上記の根拠により必要な範囲で提供するものです。受信の確認は折り返しの電話でお知らせください。",
    }


def _cells(brief: Brief) -> Iterator[tuple[str, str]]:
    """What stands in the table, the most urgent first: danger, then whom to call back."""
    yield from glance(brief, "ja")
    for category in (Category.TEL, *(each for each in TITLES if each is not Category.TEL)):
        if category in _BOXED:
            continue
        yield from told(category, _without_notes(brief.sections.get(category.value, {})), "ja", brief.zone)


def _shown(cells: list[tuple[str, str]]) -> int:
    """How many of ``cells`` the table has room for; always whole rows of two."""
    used = 0.0
    for number in range(0, min(len(cells), FACTS), 2):
        row = cells[number : number + 2]
        used += _BETWEEN + max(max(_lines(name, _NAME_EM), _lines(_short(value), _VALUE_EM)) for name, value in row)
        if used > TABLE_LINES:
            return number
    return FACTS


def _lines(text: str, width_em: float) -> int:
    wide = sum(1.0 if ord(character) > 0x2E7F else 0.6 for character in text)
    return max(1, math.ceil(wide / width_em))


def _breakable(text: str) -> str:
    return _UNBROKEN.sub(lambda run: re.sub(r"(.{8})(?=.)", "\\1\u200b", run.group()), text)


def _without_notes(section: dict[str, Any]) -> dict[str, Any]:
    return {field: value for field, value in section.items() if field != "notes"}


def _unheard(section: dict[str, Any]) -> dict[str, Any]:
    return {field: value for field, value in _without_notes(section).items() if field != heard.FIELD}


def _boxed(brief: Brief, beyond: list[tuple[str, str]]) -> Iterator[str]:
    """What stands in the box: changes, answers, what was heard (the newest first), what the table has no room for."""
    yield from changed_lines(brief, "ja", brief.zone)
    for category, (title, _) in TITLES.items():
        section = brief.sections.get(category.value, {})
        if category in _BOXED:
            yield from (f"【{title}】{name}: {words}" for name, words in heard.rows(section, "ja"))
        notes = section.get("notes", [])
        if isinstance(notes, list):
            yield from (f"【{title}】{note}" for note in reversed(notes))
        if category in _BOXED:
            yield from (
                f"【{title}】{name}: {words}" for name, words in told(category, _unheard(section), "ja", brief.zone)
            )
    yield from (f"{name}: {value}" for name, value in beyond)
    for name, value in _cells(brief):
        if len(value) > CELL_CHARACTERS:
            yield f"{name}: {value}"


def _short(value: str) -> str:
    return value if len(value) <= CELL_CHARACTERS else f"{value[: CELL_CHARACTERS - 3]}…※"


def _pieces(text: str) -> list[str]:
    """``text`` in pieces at whose ends it may be cut; a line may break within what is long and has no space."""
    text = _breakable(text)
    return [text[start : start + 8] for start in range(0, len(text), 8)]
