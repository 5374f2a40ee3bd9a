"""The answer as a page to be printed: the facts of the JSON, with words for a person.  One answer, the same bytes."""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from importlib import resources
from types import MappingProxyType
from typing import Any

import msgspec
import structlog
import typst

from routing.brief.fax import fonts
from routing.categories import Category
from routing.errors import Misconfigured
from sos.rights.pieces import MIXED, NOT_THE_ONE, OTHERS, UNREAD_WORDS

log = structlog.get_logger()

CATEGORIES: Mapping[str, str] = MappingProxyType(
    {
        Category.LOC: "位置",
        Category.VEH: "車両",
        Category.SEV: "衝突の程度",
        Category.TEL: "電話番号・言語",
        Category.PER: "人物",
        Category.OWN: "契約者",
        Category.OBS: "聴取・観察",
        Category.MED: "医療情報",
        Category.FAM: "家族の連絡先",
        Category.AUD: "録音",
        Category.TRK: "走行履歴",
        Category.BIL: "契約・請求",
        Category.RAW: "受信・送信した文書",
    }
)

WHY: Mapping[str, str] = MappingProxyType(
    {
        OTHERS: "他の方の情報です",
        MIXED: "複数の方の情報が混在するため、項目ごとに開示しています",
        UNREAD_WORDS: "自由記述です。第三者の情報の有無を確認していません",
        NOT_THE_ONE: "ご本人についての記録であると確認できていません",
    }
)

_KINDS = MappingProxyType(
    {"incident": "緊急通報", "vehicle": "車両登録", "subscriber": "契約者登録", "request": "以前の請求"}
)

_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]")


def write_page(document: Mapping[str, Any]) -> bytes | None:
    """The page as PDF; None, with a line in the log, where this machine has no Japanese font."""
    try:
        families, found = fonts()
    except Misconfigured as missing:
        log.warning("page_left_out", reason=str(missing))
        return None
    page = _clean(_page(document)) | {"fonts": list(families)}
    return typst.compile(
        (resources.files("sos.rights") / "answer.typ").read_bytes(),
        font_paths=found,
        sys_inputs={"answer": msgspec.json.encode(page).decode()},
        format="pdf",
        timestamp=round(datetime.fromisoformat(document["made"]).timestamp()),
        pdf_tags=False,
    )


def _page(document: Mapping[str, Any]) -> dict[str, Any]:
    right = document["right"]
    return {
        "title": f"{right['ja']}についての回答",
        "head": [
            ["請求番号", document["request"]],
            ["根拠", f"個人情報の保護に関する法律 {right['article']}　{right['en']}"],
            ["お名前", document["person"]["name"]],
            ["受付", document["received"] or ""],
            ["作成", f"{document['made']}　{document['copy']}通目　手数料 {document['fee_yen']}円"],
            ["苦情の申出先", document["complaints"]["ja"]],
        ],
        "sections": [*_told(document["disclosures"]), *map(_held, document.get("held", ())), *_looked(document)],
    }


def _told(disclosures: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    found = list(disclosures)
    if not found:
        yield _section("第三者への提供", ["第三者に提供した記録はありません。"])
    for each in found:
        lines = [
            f"提供先: {each['to']['name']}",
            f"根拠: {each['ground']['ja']} {each['ground']['law']} {each['ground']['clause']}",
            f"提供した項目: {_named(each['categories'])}",
        ]
        if each["opt_out"]:
            lines.append(f"{each['opt_out']['ja']} {each['opt_out']['clause']}")
        yield _section(f"第三者への提供　{each['at']}", lines)


def _held(each: Mapping[str, Any]) -> dict[str, Any]:
    title = f"{_KINDS.get(each['kind'], each['kind'])}　{each.get('opened', '')}　{each['stream']}"
    rows = [[_category(piece), piece["at"], _said(piece["said"])] for piece in each.get("given", ())]
    rows += [[_category(piece), piece["at"], f"（不開示）{WHY[piece['why']]}"] for piece in each["withheld"]]
    rows += [[_category(gone), gone["destroyed"], f"消去済み {gone['class']}"] for gone in _stubs(each)]
    rows += [_corrected(fixed) for fixed in each.get("corrections", ())]
    rows += [["録音", each_one["sealed"], each_one["recording"]] for each_one in each.get("recordings", ())]
    rows += [[happened["what"], happened["at"], ""] for happened in each.get("happened", ())]
    return _section(title, [], rows)


def _corrected(fixed: Mapping[str, Any]) -> list[str]:
    """Both values: what is held, and what the person has shown to be right."""
    return [_category(fixed), "訂正", f"{fixed['field']}: 登録 {_said(fixed['held'])}　訂正後 {_said(fixed['right'])}"]


def _stubs(each: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for gone in each.get("destroyed", ()):
        if "category" in gone:
            yield gone
        else:
            yield from ({"category": c, "destroyed": gone["at"], "class": ""} for c in gone.get("categories", ()))


def _looked(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if looked := document.get("looked_at"):
        rows = [[each["by"], each["at"], f"{each['purpose']}: {_named(each['categories'])}"] for each in looked]
        yield _section("閲覧の記録", [], rows)


def _section(title: str, lines: list[str], rows: list[list[str]] | None = None) -> dict[str, Any]:
    return {"title": title, "lines": lines, "rows": rows or []}


def _category(piece: Mapping[str, Any]) -> str:
    return CATEGORIES.get(piece["category"], piece["category"])


def _named(categories: Iterable[str]) -> str:
    return "、".join(CATEGORIES.get(each, each) for each in categories)


def _said(said: Any) -> str:
    if isinstance(said, Mapping):
        return "　".join(f"{name}: {_said(value)}" for name, value in said.items())
    if isinstance(said, list | tuple):
        return "、".join(map(_said, said))
    return str(said)


def _clean(page: Any) -> Any:
    """``page`` without what cannot be seen."""
    if isinstance(page, dict):
        return {name: _clean(value) for name, value in page.items()}
    if isinstance(page, list):
        return [_clean(value) for value in page]
    return _UNSEEN.sub("", page) if isinstance(page, str) else page
