"""The brief: what one agency is told about one incident, complete in itself and no more than the verdict allows.

A brief is canonical JSON (sorted keys, no spaces), schema ``sos-brief/1``; it is stored, digested and delivered as the
same bytes.  Categories that are withheld are absent, not blank: an empty box tells that there was something in it.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from msgspec import Struct

from routing.categories import DISCLOSABLE, Category
from routing.errors import Malformed

SCHEMA = "sos-brief/1"

Language = Literal["ja", "en"]


class Brief(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A brief, read back."""

    schema: Literal["sos-brief/1"]
    incident: str
    """NENA URN, ``urn:emergency:uid:incidentid:...``."""
    disclosure: str
    """Our own id of this disclosure: quoting it is enough to ask us about it."""
    agency: str
    """Id of the recipient in the directory."""
    agency_name: str
    rule: str
    ground: str
    law_version: str
    decided_at: datetime
    """Aware UTC."""
    exercise: bool
    """True: a drill, nobody is to be sent."""
    sections: dict[str, dict[str, Any]]
    """By category, the JSON objects of the report."""


_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(Brief).decode


def compose(
    *,
    incident: str,
    disclosure: str,
    agency: str,
    agency_name: str,
    rule: str,
    ground: str,
    law_version: str,
    decided_at: datetime,
    exercise: bool,
    sections: Mapping[Category, bytes],
) -> bytes:
    """The brief as canonical JSON.

    ``sections``: JSON objects by category.  ``Malformed`` when one is no JSON object, when a category may never be
    disclosed, or when ``decided_at`` has no time zone.
    """
    if decided_at.tzinfo is None:
        raise Malformed("the time of the decision needs a time zone", field="$.decided_at")
    return _encode(
        Brief(
            schema="sos-brief/1",
            incident=incident,
            disclosure=disclosure,
            agency=agency,
            agency_name=agency_name,
            rule=rule,
            ground=ground,
            law_version=law_version,
            decided_at=decided_at.astimezone(UTC),
            exercise=exercise,
            sections={category.value: _section(category, data) for category, data in sections.items()},
        )
    )


def read(data: bytes) -> Brief:
    """The brief in ``data``.  ``Malformed``, with the JSON path, when there is none."""
    try:
        brief = _decode(data)
    except msgspec.DecodeError as fault:
        raise Malformed("this is not a brief of schema sos-brief/1", field=_path(fault)) from fault
    if brief.decided_at.tzinfo is None:
        raise Malformed("the time of the decision needs a time zone", field="$.decided_at")
    for name in brief.sections:
        if name not in _NAMES:
            raise Malformed("no such category may stand in a brief", field="$.sections")
    return brief


_NAMES = frozenset(category.value for category in DISCLOSABLE)


def _section(category: Category, data: bytes) -> dict[str, Any]:
    where = f"$.sections.{category.value}"
    if category not in DISCLOSABLE:
        raise Malformed(f"{category.value} is never disclosed to an agency", field=where)
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.DecodeError as fault:
        raise Malformed("a section must be a JSON object", field=where) from fault


def _path(fault: msgspec.DecodeError) -> str:
    """The JSON path msgspec puts in its message; ``$`` when the bytes are not JSON at all."""
    _, found, path = str(fault).rpartition("at `")
    return path.rstrip("`") if found else "$"


_TITLES: dict[Category, tuple[str, str]] = {
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

_FIELDS: dict[str, tuple[str, str]] = {
    "latitude": ("緯度", "Latitude"),
    "longitude": ("経度", "Longitude"),
    "heading": ("進行方向(度)", "Heading (degrees)"),
    "horizontalAccuracy": ("誤差半径(m)", "Uncertainty (m)"),
    "trusted": ("測位の信頼", "Position can be trusted"),
    "timestamp": ("測位時刻", "Time of fix"),
    "reported": ("受信した位置(未確認)", "Position as sent (impossible)"),
    "recent": ("直前の位置", "Positions just before"),
    "prefectureName": ("都道府県", "Prefecture"),
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
    "multipleImpacts": ("多重衝突", "Multiple impacts"),
    "rollover": ("横転", "Rollover"),
    "airbagDeployed": ("エアバッグ展開", "Airbag deployed"),
    "speedBefore": ("衝突前速度(km/h)", "Speed before (km/h)"),
    "fire": ("火災", "Fire"),
    "submersed": ("水没", "Submersed"),
    "summary": ("概要", "Summary"),
    "tel": ("電話番号", "Telephone"),
    "language": ("言語", "Language"),
    "text": ("内容", "Note"),
    "notes": ("聴取内容", "Heard and observed"),
}
"""Names of the fields people read most; any other field stands under its own name, so nothing is ever left out."""

_HEAD: dict[Language, tuple[str, str, str, str, str, str, str]] = {
    "ja": ("緊急通報 事案情報", "【訓練】実際の出動は不要です", "事案", "提供番号", "宛先", "提供の根拠", "決定時刻"),
    "en": ("Emergency brief", "EXERCISE: send nobody", "Incident", "Disclosure", "To", "Ground", "Decided"),
}


def render_text(brief: Brief, language: Language) -> str:
    """The brief as lines of plain text, for the portal page and for reading aloud; every field is in it."""
    column = 0 if language == "ja" else 1
    title, exercise, incident, disclosure, recipient, ground, decided = _HEAD[language]
    lines = [title, *([exercise] if brief.exercise else [])]
    lines += [
        f"{incident}: {brief.incident}",
        f"{disclosure}: {brief.disclosure}",
        f"{recipient}: {brief.agency_name} ({brief.agency})",
        f"{ground}: {brief.rule} / {brief.ground} / {brief.law_version}",
        f"{decided}: {brief.decided_at:%Y-%m-%d %H:%M:%S} UTC",
    ]
    for category, titles in _TITLES.items():
        if (section := brief.sections.get(category.value)) is not None:
            lines += ["", f"[{titles[column]}]"]
            lines += [
                f"{_FIELDS.get(name, (name, name))[column]}: {_say(value, language)}" for name, value in section.items()
            ]
    return "\n".join(lines) + "\n"


def _say(value: Any, language: Language) -> str:
    if value is None:
        return "不明" if language == "ja" else "unknown"
    if isinstance(value, bool):
        return ("はい" if value else "いいえ") if language == "ja" else ("yes" if value else "no")
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return "、".join(value) if language == "ja" else ", ".join(value)
    return msgspec.json.encode(value).decode()
