"""The words of a brief in two languages: names of categories and fields, and the brief as plain text.

Every field is in the text: one that has no name here stands under its own, so nothing is ever left out.
"""

from collections.abc import Mapping
from typing import Any

from routing.brief import heard, one_crash, times
from routing.brief.crash import covered
from routing.brief.crash_words import TITLE, glance
from routing.brief.document import ONE_CRASH, Brief, Change
from routing.brief.kind_words import TITLE as KIND
from routing.brief.kind_words import kind_said, not_needed
from routing.brief.language import Language
from routing.categories import Category

TITLES: dict[Category, tuple[str, str]] = {
    Category.LOC: ("位置", "Location"),
    Category.VEH: ("車両", "Vehicle"),
    Category.SEV: ("衝突の程度", "Crash severity"),
    Category.TEL: ("連絡先", "Call-back"),
    Category.PER: ("本人", "Person"),
    Category.OWN: ("所有者", "Registered owner"),
    Category.OBS: ("聴取・観察", "Heard or observed"),
    Category.MED: ("医療情報", "Medical data"),
    Category.FAM: ("家族連絡先", "Family contact"),
    Category.AUD: ("録音", "Recording"),
    Category.TRK: ("走行履歴", "Trip history"),
    Category.BIL: ("契約", "Contract"),
}

FIELDS: dict[str, tuple[str, str]] = {
    "latitude": ("緯度", "Latitude"),
    "longitude": ("経度", "Longitude"),
    "heading": ("進行方向(度)", "Heading (degrees)"),
    "horizontalAccuracy": ("誤差半径(m)", "Uncertainty (m)"),
    "trusted": ("測位の信頼", "Position can be trusted"),
    "timestamp": ("測位時刻", "Time of fix"),
    "source": ("位置の出所", "Position from"),
    "reported": ("受信した位置(未確認)", "Position as sent (impossible)"),
    "recent": ("直前の位置", "Positions just before"),
    "stated": ("通話で聞いた場所", "Place as told on the call"),
    "prefectureName": ("都道府県", "Prefecture"),
    "municipalityName": ("市区町村", "Municipality"),
    "aloudJa": ("場所(読み上げ)", "Place, to be read aloud (Japanese)"),
    "aloudEn": ("場所(英語)", "Place, to be read aloud"),
    "mgrs": ("UTMグリッド", "MGRS grid"),
    "plusCode": ("プラスコード", "Plus Code"),
    "idScheme": ("車両番号の種類", "Kind of vehicle number"),
    "idValue": ("車両番号", "Vehicle number"),
    "brand": ("メーカー", "Make"),
    "model": ("車種", "Model"),
    "exteriorColor": ("車体色", "Colour"),
    "licensePlate": ("登録番号", "Licence plate"),
    "category": ("車両区分", "Vehicle category"),
    "energy": ("動力", "Energy"),
    "occupants": ("乗員数", "Occupants"),
    "belted": ("シートベルト着用数", "Belts fastened"),
    "eventTime": ("発生時刻", "Time of crash"),
    "impact": ("衝突部位", "Impact"),
    "principalDirectionClock": ("衝突方向(時)", "Direction of force (o'clock)"),
    "deltaVX": ("速度変化 前後(km/h)", "Delta-V lengthwise (km/h)"),
    "deltaVY": ("速度変化 左右(km/h)", "Delta-V sideways (km/h)"),
    "deltaV": ("速度変化(km/h)", "Delta-V (km/h)"),
    "deltaVLimit": ("速度変化の測定上限(km/h)", "Limit of the sensor for delta-V (km/h)"),
    "multipleImpacts": ("多重衝突", "Multiple impacts"),
    "rollover": ("横転", "Rollover"),
    "airbagDeployed": ("エアバッグ展開", "Airbag deployed"),
    "speedBefore": ("衝突前速度(km/h)", "Speed before (km/h)"),
    "fire": ("火災", "Fire"),
    "submersed": ("水没", "Submersed"),
    "fuelLeak": ("燃料漏れ", "Fuel leak"),
    "trapped": ("閉じ込め", "People trapped"),
    "ejected": ("車外放出", "People ejected"),
    "pedestrian": ("歩行者の被害", "Pedestrian hit"),
    "severeInjury": ("送信側の判定(重傷者)", "Sender's verdict (severe injury)"),
    "injuryLevel": ("重症の可能性(推定)", "Severe injury (estimate)"),
    "injuryRisk": ("重症の確率(推定)", "Probability of severe injury (estimate)"),
    "ageSeconds": ("秒前", "Seconds before"),
    "summary": ("概要", "Summary"),
    "tel": ("電話番号", "Telephone"),
    "language": ("言語", "Language"),
    "registeredLanguage": ("登録された言語", "Language as registered"),
    "name": ("氏名", "Name"),
    "age": ("年齢", "Age"),
    "sex": ("性別", "Sex"),
    "text": ("内容", "Note"),
    "medical": ("登録された医療情報", "Registered medical data"),
    "familyContact": ("登録された家族連絡先", "Registered family contact"),
    "response": ("呼びかけへの反応", "Response to us"),
    "notes": ("聴取内容", "Heard and observed"),
    heard.FIELD: ("質問への回答", "Answers"),
    "oneCrash": ("事故の車両数", "Cars of the crash"),
}
"""Names of the fields people read most; any other field stands under its own name, so nothing is ever left out."""

VALUES: dict[str, tuple[str, str]] = {
    "front": ("前面", "front"),
    "rear": ("後面", "rear"),
    "left": ("左側", "left side"),
    "right": ("右側", "right side"),
    "driverSide": ("運転席側", "driver's side"),
    "nonDriverSide": ("助手席側", "passenger's side"),
    "DETECTED": ("あり", "yes"),
    "NONE": ("なし", "no"),
    "white": ("白", "white"),
    "black": ("黒", "black"),
    "silver": ("銀", "silver"),
    "gray": ("灰色", "grey"),
    "grey": ("灰色", "grey"),
    "blue": ("青", "blue"),
    "red": ("赤", "red"),
    "green": ("緑", "green"),
    "yellow": ("黄", "yellow"),
    "orange": ("橙", "orange"),
    "brown": ("茶", "brown"),
    "beige": ("ベージュ", "beige"),
    "gold": ("金", "gold"),
    "purple": ("紫", "purple"),
    "pink": ("桃色", "pink"),
    "pearl": ("パール", "pearl"),
    "gasoline": ("ガソリン", "petrol"),
    "diesel": ("軽油", "diesel"),
    "electric": ("電気", "electric"),
    "hydrogen": ("水素", "hydrogen"),
    "attention": ("要注意", "to be watched"),
    "severe": ("高い", "likely"),
    "vehicle": ("車両", "the vehicle"),
    "operator": ("通話で確認", "the operator, from the call"),
    "vin": ("VIN", "VIN"),
    "jp_frame": ("車台番号", "Japanese frame number"),
    "noResponse": ("なし", "none"),
    "answered": ("あり", "answers"),
    "soundsOnly": ("物音のみ", "sounds only"),
    "keysPressed": ("ボタン操作で応答", "answers by keys"),
    "automatic": ("自動", "automatic"),
    "manual": ("手動", "by hand"),
}
"""Codes of a report in words; any other value stands as it was sent."""

_HEAD: dict[Language, tuple[str, ...]] = {
    "ja": (
        "緊急通報 事案情報", "【訓練】実際の出動は不要です", "事案", "提供番号", "宛先", "提供の根拠", "決定時刻",
        "版", "起動",
    ),
    "en": (
        "Emergency brief", "EXERCISE: send nobody", "Incident", "Disclosure", "To", "Ground", "Decided", "Version",
        "Trigger",
    ),
}  # fmt: skip


def render_text(brief: Brief, language: Language) -> str:
    """The brief as lines of plain text, for the portal page and for reading aloud; every field is in it."""
    column = 0 if language == "ja" else 1
    title, exercise, incident, disclosure, recipient, ground, decided, version, triggered = _HEAD[language]
    lines = [title, *([exercise] if brief.exercise else [])]
    lines += [
        f"{incident}: {brief.incident}",
        f"{disclosure}: {brief.disclosure}",
        f"{recipient}: {brief.agency_name} ({brief.agency})",
        f"{ground}: {brief.rule} / {brief.ground} / {brief.law_version}",
        f"{decided}: {times.decided(brief)}",
    ]
    if brief.trigger:
        lines.append(f"{triggered}: {say(brief.trigger, language)}")
    if kind := kind_said(brief, language):
        lines.append(f"{KIND[column]}: {kind}")
    lines += [f"{name}: {words}" for name, words in asking(brief, language)]
    if brief.version > 1:
        lines += [f"{version}: {brief.version} ({brief.supersedes})", *changed_lines(brief, language, brief.zone)]
    if facts := glance(brief, language):
        lines += ["", f"[{TITLE[column]}]", *(f"{name}: {words}" for name, words in facts)]
    for category, titles in TITLES.items():
        if (section := brief.sections.get(category.value)) is not None:
            lines += ["", f"[{titles[column]}]"]
            lines += [f"{name}: {words}" for name, words in told(category, section, language, brief.zone)]
    return "\n".join(lines) + "\n"


def asking(brief: Brief, language: Language) -> list[tuple[str, str]]:
    """How to ask about it: what to quote on the telephone, and until when the vehicle can be called."""
    ja = language == "ja"
    found = []
    if brief.code:
        found.append(("電話での照会番号" if ja else "Quote on the telephone", spaced(brief.code)))
    if brief.call_back_until is not None:
        until = times.on_the_wall(brief.call_back_until.isoformat(), brief.zone)
        found.append(("車両への折り返し期限" if ja else "The vehicle answers calls until", until))
    return found


def spaced(code: str) -> str:
    """A code in groups of four, as people read it."""
    return " ".join(code[start : start + 4] for start in range(0, len(code), 4))


_HOW: dict[str, tuple[str, str]] = {
    "added": ("追加", "added"),
    "changed": ("変更", "changed"),
    "removed": ("削除", "removed"),
}


def changed_lines(brief: Brief, language: Language, zone: str = "") -> list[str]:
    """What changed against the version before, a line each; times by the clock of ``zone``, else as sent."""
    column = 0 if language == "ja" else 1
    lines = []
    if brief.responsible:
        lines.append(f"* {instead(brief.responsible, language)}")
    if not brief.needed:
        lines.append(f"* {not_needed(language)}")
    for change in brief.changes:
        if change.field == ONE_CRASH and not change.category:
            lines.append(f"* {_HOW[change.how][column]}: {one_crash.news(brief, language)}")
            continue
        now = brief.sections[change.category].get(change.field)
        if change.field == heard.FIELD:
            lines += [f"* {_HOW[change.how][column]}: {words}" for words in _newly_answered(change, now, language)]
            continue
        name = f"{TITLES[Category(change.category)][column]} {field_name(change.field, language)}"
        lines.append(f"* {_HOW[change.how][column]}: {name}{_difference(change, now, language, zone)}")
    return lines


def _newly_answered(change: Change, now: Any, language: Language) -> list[str]:
    """The answers that the version before did not have, or had otherwise."""
    before = {str(each["question"]): each for each in heard.answers({heard.FIELD: change.was})}
    found = []
    for each in heard.answers({heard.FIELD: now}):
        was = before.get(str(each["question"]))
        if was != each:
            earlier = "" if was is None else f" ({heard.said(was, language)} → {heard.said(each, language)})"
            found.append(f"{heard.headed(each, language)}: {heard.said(each, language)}{earlier}")
    return found


def instead(responsible: str, language: Language) -> str:
    """To somebody in whose area it is no more.  They go on until the others are there: nobody is called off."""
    if language == "ja":
        return f"位置が変わり、管轄は{responsible}です。{responsible}が引き継ぐまで対応を続けてください。"
    return f"The place has moved and {responsible} is responsible now. Please go on until they have taken over."


def _difference(change: Change, now: Any, language: Language, zone: str) -> str:
    """Before and after; of a list that has grown only what is new."""
    if change.how != "changed":
        return ""
    if isinstance(change.was, list) and isinstance(now, list):
        return f" (+ {say([each for each in now if each not in change.was], language, zone=zone)})"
    was, then = (say(each, language, field=change.field, zone=zone) for each in (change.was, now))
    return f" ({was} → {then})"


def in_order(section: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The fields of a section as people expect them: latitude before its uncertainty, unknown names last."""
    places = {name: place for place, name in enumerate(FIELDS)}
    return sorted(section.items(), key=lambda field: places.get(field[0], len(places)))


def told(category: Category, section: Mapping[str, Any], language: Language, zone: str = "") -> list[tuple[str, str]]:
    """Name and words of each field, the answers first, without what is told at a glance; times by the clock of
    ``zone``, else as sent."""
    return [
        *heard.rows(section, language),
        *(
            (field_name(name, language), say(value, language, field=name, zone=zone))
            for name, value in in_order(section)
            if name != heard.FIELD and not (category is Category.SEV and covered(name, value))
        ),
    ]


def field_name(field: str, language: Language) -> str:
    return FIELDS.get(field, (field, field))[0 if language == "ja" else 1]


def say(value: Any, language: Language, *, field: str = "", zone: str = "") -> str:
    """A value in words, and a number with no more digits than it has."""
    ja = language == "ja"
    if value is None:
        return "不明" if ja else "unknown"
    if isinstance(value, bool):
        return ("はい" if value else "いいえ") if ja else ("yes" if value else "no")
    if isinstance(value, str):
        words = VALUES.get(value.lower() if field == "exteriorColor" else value)
        return words[0 if ja else 1] if words else times.on_the_wall(value, zone) if zone else value
    if isinstance(value, dict):
        inner = ((name, say(each, language, field=name, zone=zone)) for name, each in in_order(value))
        return ("、" if ja else ", ").join(f"{field_name(name, language)} {words}" for name, words in inner)
    if isinstance(value, list):
        nested = any(isinstance(each, dict | list) for each in value)
        between = ("／" if ja else " / ") if nested else ("、" if ja else ", ")
        return between.join(say(each, language, field=field, zone=zone) for each in value)
    return _figure(value, field) if isinstance(value, int | float) else str(value)


_DECIMALS = {"latitude": 6, "longitude": 6, "heading": 0, "speedBefore": 0, "deltaVX": 0, "deltaVY": 0, "deltaV": 0}
_DECIMALS |= {"deltaVLimit": 0, "horizontalAccuracy": 0, "ageSeconds": 0, "addressDistanceM": 0, "injuryRisk": 2}
"""Decimals that mean something: the sixth of a degree is a tenth of a metre."""


def _figure(value: float, field: str) -> str:
    """``value`` without the decimals that nobody has measured, nor an exponent."""
    text = f"{value:.{_DECIMALS.get(field, 2)}f}" if isinstance(value, float) else str(value)
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text
