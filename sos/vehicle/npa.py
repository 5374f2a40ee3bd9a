"""Crash records of Japan's National Police Agency as crash events: real places, real times, real mistakes.

Reads two layouts and tells them apart by their header: the agency's own 本票 files (cp932, everything in codes,
positions as degrees-minutes-seconds) and the readable form made of them (UTF-8, words, decimal degrees).  A record is
never dropped: what cannot be understood is not known, and coordinates are sent as they are, since coping with them is
the service's part.  What only police could know afterwards (deaths, the responsible prefecture) stays here as truth.

Data: 「交通事故統計情報のオープンデータ」(警察庁, National Police Agency), Public Data License 1.0; code tables after
its codebook.
"""

import csv
import hashlib
import re
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from itertools import zip_longest
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import Struct

from sos.clock import timestamp
from sos.errors import Malformed
from sos.vehicle.report import VehicleEvent

ATTRIBUTION = "「交通事故統計情報のオープンデータ」（警察庁）を加工して作成"
"""The licence asks for source and the fact of editing to be stated."""

JST = timezone(timedelta(hours=9), "JST")


class CrashRecord(Struct, frozen=True, kw_only=True):
    """One record in the words both layouts share; None is not known."""

    prefecture: str | None = None
    """As police name it; Hokkaido has five areas."""
    report_no: str | None = None
    at: datetime | None = None
    latitude: float | str | None = None
    """A number, possibly impossible, or the text that stood where a number should."""
    longitude: float | str | None = None
    crash_type: str | None = None
    party_a: str | None = None
    party_b: str | None = None
    age_a: str | None = None
    impact: str | None = None
    """First and second point of impact such as ``前-無``."""
    damage: str | None = None
    airbag: str | None = None
    side_airbag: str | None = None
    route: str | None = None
    """Road in words; only the readable layout has it."""


class Row(Struct, frozen=True, kw_only=True):
    """A record on its way: the event, and beside it what is not sent."""

    path: str
    line: int
    event: VehicleEvent
    record: CrashRecord

    @property
    def prefecture(self) -> str | None:
        """Truth: the prefecture whose police wrote the record, without the area of Hokkaido."""
        return None if self.record.prefecture is None else self.record.prefecture.partition("（")[0]

    @property
    def prefecture_code(self) -> str | None:
        """The same as ISO 3166-2, such as ``JP-13``."""
        return ISO_3166_2.get(self.prefecture or "")


def read(path: Path) -> Iterator[Row]:
    """The records of one file in order.  ``Malformed`` when its header is of neither layout."""
    with path.open("rb") as file:
        header, encoding = _header(file.readline(), path)
        make = _from_readable if "prefecture" in header else _from_raw
        for number, line in enumerate(file, start=2):
            text = line.decode(encoding, "replace").rstrip("\r\n")
            if text.strip():
                cells = _cells(text)
                record = make({name: cell or "" for name, cell in zip_longest(header, cells[: len(header)])})
                yield Row(path=path.name, line=number, event=_event(record, text), record=record)


def check(path: Path) -> None:
    """Nothing when ``read`` knows the layout of the file, else its ``Malformed``."""
    with path.open("rb") as file:
        _header(file.readline(), path)


def count(path: Path) -> int:
    """How many records ``read`` will give; errors as there."""
    with path.open("rb") as file:
        _header(file.readline(), path)
        return sum(1 for line in file if line.strip())


def _header(line: bytes, path: Path) -> tuple[list[str], str]:
    for encoding in ("utf-8-sig", "cp932"):
        try:
            names = [_plain(name) for name in _cells(line.decode(encoding).rstrip("\r\n"))]
        except UnicodeDecodeError:
            continue
        if {"prefecture", "lat", "lon"} <= set(names) or {"都道府県コード", "本票番号"} <= set(names):
            return names, encoding
    raise Malformed(
        f"{path.name}: the first line is not the header of an NPA 本票 or readable crash file", field="$[0]"
    )


def _cells(text: str) -> list[str]:
    """One line at a time, so that a stray quotation mark spoils one record and not all that follow."""
    try:
        return [cell.strip() for cell in next(csv.reader([text]), [])]
    except csv.Error:
        return [cell.strip() for cell in text.split(",")]


def _plain(name: str) -> str:
    """A column name without its spaces and widths: they differ from year to year."""
    return re.sub(r"\s", "", unicodedata.normalize("NFKC", name))


# The readable layout


def _from_readable(row: Mapping[str, str]) -> CrashRecord:
    known = {name: value or None for name, value in row.items()}
    return CrashRecord(
        prefecture=known.get("prefecture"),
        report_no=known.get("report_no"),
        at=_instant(*re.split(r"[-/:]", f"{row.get('date', '')}:{row.get('time', '')}")),
        latitude=_decimal(row.get("lat", "")),
        longitude=_decimal(row.get("lon", "")),
        crash_type=known.get("crash_type"),
        party_a=known.get("party_a"),
        party_b=known.get("party_b"),
        age_a=known.get("age_a"),
        impact=known.get("impact_a"),
        damage=known.get("damage_a"),
        airbag=known.get("airbag_a"),
        side_airbag=known.get("side_airbag_a"),
        route=known.get("route"),
    )


def _decimal(text: str) -> float | str | None:
    try:
        return float(text) if text else None
    except ValueError:
        return text


def _instant(*parts: str) -> datetime | None:
    """Year to minute in Japanese time as an instant; None when that is no time."""
    try:
        year, month, day, hour, minute = (int(part) for part in parts)
        return datetime(year, month, day, hour, minute, tzinfo=JST)
    except ValueError:
        return None


# The raw layout


def _from_raw(row: Mapping[str, str]) -> CrashRecord:
    def coded(column: str, table: Mapping[str, str]) -> str | None:
        return table.get(row.get(column, ""))

    clock = (row.get(f"発生日時{part}", "") for part in "年月日時分")
    return CrashRecord(
        prefecture=coded("都道府県コード", PREFECTURES),
        report_no=row.get("本票番号") or None,
        at=_instant(*clock),
        latitude=_dms(row.get("地点緯度(北緯)", "")),
        longitude=_dms(row.get("地点経度(東経)", "")),
        crash_type=coded("事故類型", CRASH_TYPES),
        party_a=coded("当事者種別(当事者A)", PARTIES),
        party_b=coded("当事者種別(当事者B)", PARTIES),
        age_a=coded("年齢(当事者A)", AGES),
        impact=_impact(row.get("車両の衝突部位(当事者A)", "")),
        damage=coded("車両の損壊程度(当事者A)", DAMAGES),
        airbag=coded("エアバッグの装備(当事者A)", AIRBAGS),
        side_airbag=coded("サイドエアバッグの装備(当事者A)", AIRBAGS),
    )


def _dms(text: str) -> float | str | None:
    """``DDMMSSsss`` or ``DDDMMSSsss`` in degrees, to a millionth; other text as it stands."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) in (9, 10)):
        return text
    degrees, minutes, milliseconds = int(text[:-7]), int(text[-7:-5]), int(text[-5:])
    return round(degrees + minutes / 60 + milliseconds / 3_600_000, 6)


def _impact(code: str) -> str | None:
    first, second = (POINTS.get(digit) for digit in code) if len(code) == 2 else (None, None)
    return None if first is None or second is None else f"{first}-{second}"


# The event

IMPACTS: Mapping[str, str] = MappingProxyType(
    {
        "前": "front",
        "右前": "frontRight",
        "右": "right",
        "右後": "rearRight",
        "後": "rear",
        "左後": "rearLeft",
        "左": "left",
        "左前": "frontLeft",
        "無": "none",
    }
)


def _event(record: CrashRecord, text: str) -> VehicleEvent:
    """The record as the vehicle of its party A would have reported it; the same record always gives the same event."""
    name = _identity(record, text)
    at = None if record.at is None else timestamp(record.at)
    first, _, second = (record.impact or "").partition("-")
    deployed = True if _DEPLOYED in (record.airbag, record.side_airbag) else None
    data = {
        "trigger": "automatic",
        "test": False,
        "sequence": 1,
        "eventTime": at,
        "vehicle": {"id": {"scheme": "oem_id", "value": name}, "category": _category(record.party_a)},
        "location": {"latitude": record.latitude, "longitude": record.longitude, "timestamp": at},
        "crash": {
            "impact": IMPACTS.get(first),
            "multipleImpacts": None if second not in IMPACTS else second != "無",
            "summary": _summary(record),
        },
        "occupants": {"seats": [_driver(record, deployed)]},
        "callback": {"language": "ja"},
    }
    body: dict[str, Any] = {
        "specversion": "1.0",
        "id": name,
        "source": _SOURCE,
        "type": "jp.example.sos.crash.v1",
        "datacontenttype": "application/json",
        "data": data,
    }
    return VehicleEvent(id=name, source=_SOURCE, body=msgspec.json.encode(body | ({} if at is None else {"time": at})))


_SOURCE = "/replay/npa"
_DEPLOYED = "装備あり 作動"


def _identity(record: CrashRecord, text: str) -> str:
    """Of what both layouts tell alike; of the bare line when the record has no number of its own."""
    stable = (record.prefecture, record.report_no, record.at, record.latitude, record.longitude)
    told = text if None in stable[:3] else "|".join(map(str, stable))
    return f"npa-{hashlib.sha256(told.encode('utf-8', 'replace')).hexdigest()[:24]}"


def _driver(record: CrashRecord, deployed: bool | None) -> dict[str, Any]:
    band = AGE_BANDS.get(record.age_a or "")
    occupied = True if _category(record.party_a) is not None else None
    return {"row": 1, "position": "DriverSide", "occupied": occupied, "airbagDeployed": deployed, "ageBand": band}


def _category(party: str | None) -> str | None:
    """EU vehicle category of a kind of party, as far as the record tells it."""
    return next((category for start, category in _CATEGORIES if (party or "").startswith(start)), None)


def _summary(record: CrashRecord) -> str | None:
    parties = [party.partition("－")[0] for party in (record.party_a, record.party_b) if party is not None]
    words = [record.crash_type, "×".join(parties) or None, record.damage, record.route]
    return " ".join(word for word in words if word is not None) or None


# Code tables of the NPA codebook

_CATEGORIES = (
    ("乗用車－大型車", "M3"),
    ("乗用車－中型車", "M2"),
    ("乗用車", "M1"),
    ("貨物車－大型車", "N3"),
    ("貨物車－中型車", "N2"),
    ("貨物車－準中型車", "N2"),
    ("貨物車", "N1"),
    ("二輪車－原付自転車", "L1e"),
    ("二輪車", "L3e"),
)
POINTS: Mapping[str, str] = MappingProxyType(
    {str(code): point for code, point in enumerate(["無", "前", "右", "後", "左", "右前", "右後", "左後", "左前"])}
)
CRASH_TYPES: Mapping[str, str] = MappingProxyType(
    {"01": "人対車両", "04": "車両相互", "21": "車両相互", "28": "車両単独", "41": "車両単独", "61": "列車"}
)
DAMAGES: Mapping[str, str] = MappingProxyType(
    {"1": "大破", "2": "中破", "3": "小破", "4": "損壊なし", "0": "対象外当事者"}
)
AIRBAGS: Mapping[str, str] = MappingProxyType({"1": _DEPLOYED, "2": "その他", "0": "対象外当事者"})
"""«その他» is fitted and not deployed, not fitted, or unknown: so nothing is known."""
AGE_BANDS: Mapping[str, str] = MappingProxyType(
    {
        "0～24歳": "0-24",
        "25～34歳": "25-34",
        "35～44歳": "35-44",
        "45～54歳": "45-54",
        "55～64歳": "55-64",
        "65～74歳": "65-74",
        "75歳以上": "75+",
    }
)
AGES: Mapping[str, str] = MappingProxyType(
    {"00": "不明"} | dict(zip(("01", "25", "35", "45", "55", "65", "75"), AGE_BANDS, strict=True))
)
PARTIES: Mapping[str, str] = MappingProxyType(
    {
        "01": "乗用車－大型車",
        "02": "乗用車－中型車",
        "07": "乗用車－準中型車",
        "03": "乗用車－普通車",
        "04": "乗用車－軽自動車",
        "05": "乗用車－ミニカー",
        "11": "貨物車－大型車",
        "12": "貨物車－中型車",
        "17": "貨物車－準中型車",
        "13": "貨物車－普通車",
        "14": "貨物車－軽自動車",
        "21": "特殊車－大型－農耕作業用",
        "22": "特殊車－大型－その他",
        "23": "特殊車－小型－農耕作業用",
        "24": "特殊車－小型－その他",
        "31": "二輪車－自動二輪－小型二輪－751ｃｃ以上",
        "32": "二輪車－自動二輪－小型二輪－401～750ｃｃ",
        "33": "二輪車－自動二輪－小型二輪－251～400cc",
        "34": "二輪車－自動二輪－軽二輪－126～250cc",
        "35": "二輪車－自動二輪－原付二種－51～125cc",
        "36": "二輪車－原付自転車",
        "41": "路面電車",
        "42": "列車",
        "51": "軽車両－自転車",
        "52": "軽車両－駆動補助機付自転車",
        "59": "軽車両－その他",
        "61": "歩行者",
        "75": "物件等",
        "76": "相手なし",
        "00": "対象外当事者",
    }
)
_POLICE_AREAS = """
10北海道（札幌方面） 11北海道（函館方面） 12北海道（旭川方面） 13北海道（釧路方面） 14北海道（北見方面）
20青森 21岩手 22宮城 23秋田 24山形 25福島 30東京 40茨城 41栃木 42群馬 43埼玉 44千葉 45神奈川 46新潟 47山梨 48長野 49静岡
50富山 51石川 52福井 53岐阜 54愛知 55三重 60滋賀 61京都 62大阪 63兵庫 64奈良 65和歌山 70鳥取 71島根 72岡山 73広島 74山口
80徳島 81香川 82愛媛 83高知 90福岡 91佐賀 92長崎 93熊本 94大分 95宮崎 96鹿児島 97沖縄
"""
PREFECTURES: Mapping[str, str] = MappingProxyType(dict(re.findall(r"(\d\d)(\S+)", _POLICE_AREAS)))
"""Police code to name; not the JIS code."""
_JIS_ORDER = """
北海道 青森 岩手 宮城 秋田 山形 福島 茨城 栃木 群馬 埼玉 千葉 東京 神奈川 新潟 富山 石川 福井 山梨 長野 岐阜 静岡
愛知 三重 滋賀 京都 大阪 兵庫 奈良 和歌山 鳥取 島根 岡山 広島 山口 徳島 香川 愛媛 高知
福岡 佐賀 長崎 熊本 大分 宮崎 鹿児島 沖縄
"""
ISO_3166_2: Mapping[str, str] = MappingProxyType(
    {name: f"JP-{code:02}" for code, name in enumerate(_JIS_ORDER.split(), 1)}
)
