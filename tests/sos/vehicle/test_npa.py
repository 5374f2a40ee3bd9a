"""Police crash records: both layouts, every row, and files that are damaged or something else."""

import csv
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from sos.errors import Malformed
from sos.intake.arrival import judged
from sos.intake.cloudevents import MEDIA_TYPE, decode, peek
from sos.intake.filer import file_report
from sos.vehicle import npa

DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data"
RECEIVED = datetime(2026, 1, 1, 9, 0, 4, tzinfo=UTC)
real_data = pytest.mark.skipif(
    not (DATA / "npa_crashes.csv").exists(), reason="the NPA sample files are not beside the clone"
)

HEADER = (
    "資料区分,都道府県コード,警察署等コード,本票番号,事故内容,死者数,負傷者数,路線コード,上下線,地点コード,市区町村コード,"
    "発生日時　　年,発生日時　　月,発生日時　　日,発生日時　　時,発生日時　　分,"
    "昼夜,天候,地形,路面状態,道路形状,環状交差点の直径,信号機,"
    "一時停止規制　標識（当事者A）,一時停止規制　表示（当事者A）,"
    "一時停止規制　標識（当事者B）,一時停止規制　表示（当事者B）,"
    "車道幅員,道路線形,衝突地点,ゾーン規制,中央分離帯施設等,歩車道区分,事故類型,年齢（当事者A）,年齢（当事者B）,"
    "当事者種別（当事者A）,当事者種別（当事者B）,用途別（当事者A）,用途別（当事者B）,車両形状（当事者A）,車両形状（当事者B）,"
    "速度規制（指定のみ）（当事者A）,速度規制（指定のみ）（当事者B）,車両の衝突部位（当事者A）,車両の衝突部位（当事者B）,"
    "車両の損壊程度（当事者A）,車両の損壊程度（当事者B）,エアバッグの装備（当事者A）,エアバッグの装備（当事者B）,"
    "サイドエアバッグの装備（当事者A）,サイドエアバッグの装備（当事者B）,人身損傷程度（当事者A）,人身損傷程度（当事者B）,"
    "地点　緯度（北緯）,地点　経度（東経）,曜日(発生年月日),祝日(発生年月日)"
)
"""The header of the agency's own 本票 file of 2019."""

RAW_ROW = {
    "資料区分": "1",
    "都道府県コード": "30",
    "警察署等コード": "101",
    "本票番号": "0042",
    "発生日時　　年": "2019",
    "発生日時　　月": "01",
    "発生日時　　日": "01",
    "発生日時　　時": "08",
    "発生日時　　分": "30",
    "事故類型": "21",
    "年齢（当事者A）": "65",
    "当事者種別（当事者A）": "03",
    "当事者種別（当事者B）": "14",
    "車両の衝突部位（当事者A）": "58",
    "車両の損壊程度（当事者A）": "1",
    "エアバッグの装備（当事者A）": "2",
    "サイドエアバッグの装備（当事者A）": "1",
    "地点　緯度（北緯）": "354052450",
    "地点　経度（東経）": "1394601650",
}
"""An invented row."""


def raw_file(path: Path, *rows: dict[str, str]) -> Path:
    """The rows in the agency's own layout and encoding; columns a row does not give stay blank."""
    lines = [HEADER, *(",".join(row.get(name, " ") for name in HEADER.split(",")) for row in rows)]
    path.write_bytes(("\r\n".join(lines) + "\r\n").encode("cp932"))
    return path


def code(table: dict[str, str], word: str) -> str:
    return next((key for key, value in table.items() if value == word), "")


def dms(degrees: str, digits: int) -> str:
    milliseconds = round(float(degrees) * 3_600_000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60 * 10_000_000 + minutes % 60 * 100_000 + rest:0{digits}}"


def as_raw(row: dict[str, str]) -> dict[str, str]:
    """A row of the readable layout in the codes of the raw one."""
    points = {word: number for number, word in npa.POINTS.items()}
    year, month, day = row["date"].split("-")
    hour, minute = row["time"].split(":")
    return {
        "資料区分": "1",
        "都道府県コード": code(dict(npa.PREFECTURES), row["prefecture"]),
        "警察署等コード": "999",
        "本票番号": row["report_no"],
        "発生日時　　年": year,
        "発生日時　　月": month,
        "発生日時　　日": day,
        "発生日時　　時": hour,
        "発生日時　　分": minute,
        "事故類型": code(dict(npa.CRASH_TYPES), row["crash_type"]),
        "年齢（当事者A）": code(dict(npa.AGES), row["age_a"]),
        "当事者種別（当事者A）": code(dict(npa.PARTIES), row["party_a"]),
        "当事者種別（当事者B）": code(dict(npa.PARTIES), row["party_b"]),
        "車両の衝突部位（当事者A）": "".join(points[point] for point in row["impact_a"].split("-")),
        "車両の損壊程度（当事者A）": code(dict(npa.DAMAGES), row["damage_a"]),
        "エアバッグの装備（当事者A）": code(dict(npa.AIRBAGS), row["airbag_a"]),
        "サイドエアバッグの装備（当事者A）": code(dict(npa.AIRBAGS), row["side_airbag_a"]),
        "地点　緯度（北緯）": dms(row["lat"], 9),
        "地点　経度（東経）": dms(row["lon"], 10),
    }


def test_a_raw_row_is_read_in_codes_and_dms(tmp_path: Path) -> None:
    (row,) = npa.read(raw_file(tmp_path / "honhyo.csv", RAW_ROW))

    report = decode(row.event.body)

    assert (report.location.latitude, report.location.longitude) == (35.681236, 139.767125)
    assert report.crash.event_time == datetime(2018, 12, 31, 23, 30, tzinfo=UTC)
    assert (report.crash.impact, report.crash.multiple_impacts, report.crash.airbag_deployed) == (
        "frontRight",
        True,
        True,
    )
    assert report.crash.summary == "車両相互 乗用車×貨物車 大破"
    assert (report.vehicle.category, row.prefecture, row.prefecture_code) == ("M1", "東京", "JP-13")
    assert peek(row.event.body).findings == ()


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (
            {"地点　緯度（北緯）": "000000000", "地点　経度（東経）": "0000000000"},
            "position_impossible:$.location",
        ),
        (
            {"地点　緯度（北緯）": "000016566", "地点　経度（東経）": "0000036144"},
            "position_impossible:$.location",
        ),
        ({"地点　緯度（北緯）": "??"}, "wrong_type:$.data.location.latitude"),
        ({"地点　緯度（北緯）": "993000000"}, "position_impossible:$.location"),
        ({"地点　緯度（北緯）": ""}, "position_impossible:$.location"),
    ],
)
def test_a_row_with_a_bad_position_is_sent_as_it_is(tmp_path: Path, change: dict[str, str], finding: str) -> None:
    (row,) = npa.read(raw_file(tmp_path / "honhyo.csv", RAW_ROW | change))

    assert finding in judged(peek(row.event.body), at=RECEIVED).findings
    assert not file_report(row.event.body, MEDIA_TYPE, at=RECEIVED).located


def test_a_row_that_cannot_be_understood_is_still_an_event(tmp_path: Path) -> None:
    path = raw_file(tmp_path / "honhyo.csv", RAW_ROW)
    with path.open("ab") as file:
        file.write(b'\x81\xff"",,\x00,"never closed\r\n"\r\n\r\n1,99,zz\r\n' + ",".join(["?"] * 80).encode() + b"\r\n")

    rows = list(npa.read(path))

    assert len(rows) == npa.count(path) == 5
    assert len({row.event.id for row in rows}) == 5
    assert all(peek(row.event.body).readable for row in rows)
    assert [row.line for row in rows] == [2, 3, 4, 6, 7]


def test_a_row_with_an_impossible_date_has_no_time(tmp_path: Path) -> None:
    (row,) = npa.read(raw_file(tmp_path / "honhyo.csv", RAW_ROW | {"発生日時　　月": "13"}))

    assert decode(row.event.body).crash.event_time is None
    assert peek(row.event.body).findings == ()


def test_a_file_of_another_kind_is_malformed_and_named(tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    for content in (b"", b"a,b,c\n1,2,3\n", b"\x00\xff\x81", "都道府県コード\n".encode()):
        other.write_bytes(content)
        with pytest.raises(Malformed, match=r"other\.csv"):
            list(npa.read(other))


@real_data
def test_both_layouts_tell_the_same_of_every_real_row(tmp_path: Path) -> None:
    for name in ("npa_crashes.csv", "npa_bad_coordinates.csv"):
        with (DATA / name).open(encoding="utf-8") as file:
            raw = raw_file(tmp_path / name, *map(as_raw, csv.DictReader(file)))
        readable = [msgspec.structs.replace(row.record, route=None) for row in npa.read(DATA / name)]

        assert [row.record for row in npa.read(raw)] == readable
        assert [row.event.id for row in npa.read(raw)] == [row.event.id for row in npa.read(DATA / name)]


@real_data
def test_every_real_row_is_an_event_the_service_can_read() -> None:
    good, bad = list(npa.read(DATA / "npa_crashes.csv")), list(npa.read(DATA / "npa_bad_coordinates.csv"))

    findings = Counter(finding for row in good for finding in peek(row.event.body).findings)

    assert (len(good), len(bad), len(findings)) == (2300, 74, 0)
    assert all(file_report(row.event.body, MEDIA_TYPE, at=RECEIVED).located for row in good)
    odd = Counter(finding for row in bad for finding in judged(peek(row.event.body), at=RECEIVED).findings)
    assert odd["position_impossible:$.location"] == len(bad)
    assert not any(file_report(row.event.body, MEDIA_TYPE, at=RECEIVED).located for row in bad)
    assert all(row.prefecture_code is not None for row in (*good, *bad))
    assert len({row.prefecture_code for row in good}) == 47
    airbags = sum(decode(row.event.body).crash.airbag_deployed is True for row in good)
    assert airbags >= 661


@real_data
def test_the_same_crash_in_two_sources_is_one_event() -> None:
    rows = list(npa.read(DATA / "npa_crashes.csv"))

    twice = [name for name, times in Counter(row.event.id for row in rows).items() if times > 1]

    assert len(twice) == 2
    assert all(row.record.prefecture == "福井" for row in rows if row.event.id in twice)
