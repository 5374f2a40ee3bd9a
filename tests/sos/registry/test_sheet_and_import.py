"""A brand's CSV file: what each row asks for, which are wrong and why, and that a second import changes nothing."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sos.clock import ManualClock
from sos.errors import Malformed
from sos.incident.model import TenantId
from sos.registry.importing import Imported, import_sheet
from sos.registry.lifecycle import Role
from sos.registry.model import Kind, Right, Scheme, VehicleKey
from sos.registry.registry import By, Registry
from sos.registry.sheet import COLUMNS, Sheet, read
from tests.rest import settled
from tests.sos.registry.conftest import DEMO, VIN, by

NOW = datetime(2026, 6, 1, 3, 0, tzinfo=UTC)
HEAD = "brand,vin,plate,customer_ref,name,phone,service,begins,ends,terms\n"
GOOD = "demo,JTMZZ3TESTEC00001,品川 300 あ 12-34,C-1,架空 太郎,+81300001234,sos,2026-01-01,,demo-terms/1\n"


def sheet(text: str, *, encoding: str = "utf-8") -> Sheet:
    return read(text.encode(encoding), brands=(DEMO,), now=NOW)


def codes(text: str) -> list[tuple[int, str, str]]:
    return [(each.row, each.code, each.field) for each in sheet(text).findings]


@pytest.mark.parametrize(("encoding", "told"), [("utf-8", "utf-8"), ("utf-8-sig", "utf-8"), ("cp932", "cp932")])
def test_a_file_is_read_in_the_encodings_spreadsheets_write(encoding: str, told: str):
    read_ = sheet(HEAD + GOOD, encoding=encoding)

    assert (read_.encoding, read_.findings) == (told, ())
    (row,) = read_.rows
    assert row.vehicle.keys == (VIN, VehicleKey(Scheme.PLATE, "品川300あ1234"))
    assert row.subscriber is not None
    assert row.subscriber.profile == {"name": "架空 太郎", "phone": "+81300001234"}
    assert row.entitlement is not None
    assert row.entitlement.begins == datetime(2025, 12, 31, 15, tzinfo=UTC)  # midnight in Japan
    assert row.entitlement.ends is None


WRONG_ROWS: dict[str, tuple[str, tuple[int, str, str]]] = {
    "a brand nobody serves": ("nobody,JTMZZ3TESTEC00002,,,,,,,,\n", (3, "unknown_brand", "brand")),
    "a row without any key": ("demo,,,,,,,,,\n", (3, "no_key", "vin")),
    "a VIN with an I": ("demo,JTMZZ3TESTEC0000I,,,,,,,,\n", (3, "bad_key", "vin")),
    "a VIN that is too short": ("demo,JTMZZ3,,,,,,,,\n", (3, "bad_key", "vin")),
    "a day that does not exist": ("demo,JTMZZ3TESTEC00002,,,,,sos,2026-02-30,,\n", (3, "bad_date", "begins")),
    "a word for a day": ("demo,JTMZZ3TESTEC00002,,,,,sos,soon,,\n", (3, "bad_date", "begins")),
    "a day of another era": ("demo,JTMZZ3TESTEC00002,,,,,sos,0026-01-01,,\n", (3, "bad_date", "begins")),
    "an end before the beginning": (
        "demo,JTMZZ3TESTEC00002,,,,,sos,2026-02-01,2026-01-01,\n",
        (3, "ends_before_begins", "ends"),
    ),
    "a person without a customer number": (
        "demo,JTMZZ3TESTEC00002,,,架空 花子,,,,,\n",
        (3, "no_customer_ref", "customer_ref"),
    ),
    "a service that is no code": ("demo,JTMZZ3TESTEC00002,,,,,緊急,,,\n", (3, "bad_code", "service")),
    "too few cells": ("demo,JTMZZ3TESTEC00002\n", (3, "cells", "")),
    "too many cells": ("demo,JTMZZ3TESTEC00002,,,,,,,,,extra\n", (3, "cells", "")),
    "a cell without end": (f"demo,JTMZZ3TESTEC00002,,,,,,,,{'x' * 501}\n", (3, "too_long", "terms")),
    "the same vehicle for the same service": (GOOD, (3, "duplicate", "vin")),
    "the same vehicle in lower case": (GOOD.replace("JTMZZ3TEST", "jtmzz3test"), (3, "duplicate", "vin")),
    "another vehicle with the same plate": (
        "demo,JTMZZ3TESTEC00002,品川300あ12-34,,,,remote,,,\n",
        (3, "conflicts", "plate"),
    ),
    "the same vehicle with another owner": (
        "demo,JTMZZ3TESTEC00001,品川300あ12-34,C-2,,,remote,,,\n",
        (3, "conflicts", "vin"),
    ),
}


@pytest.mark.parametrize("case", WRONG_ROWS, ids=str)
def test_a_wrong_row_is_named_and_the_others_stand(case: str):
    row, finding = WRONG_ROWS[case]

    read_ = sheet(HEAD + GOOD + row)

    assert [(each.row, each.code, each.field) for each in read_.findings] == [finding]
    assert [each.number for each in read_.rows] == [2]
    assert read_.total == 2


def test_a_vehicle_may_stand_once_for_each_service():
    assert codes(HEAD + GOOD + GOOD.replace(",sos,", ",remote,")) == []


def test_the_last_day_is_included():
    (row,) = sheet(HEAD + "demo,JTMZZ3TESTEC00001,,,,,remote,2026/04/01,2027/03/31,\n").rows

    assert row.entitlement is not None
    assert row.entitlement.ends == datetime(2027, 3, 31, 15, tzinfo=UTC)


@pytest.mark.parametrize("never", ["", "9999-12-31", "9999/12/31"])
def test_no_end_and_the_last_day_of_the_calendar_are_unlimited(never: str):
    (row,) = sheet(HEAD + f"demo,JTMZZ3TESTEC00001,,,,,sos,2026-04-01,{never},\n").rows

    assert row.entitlement is not None
    assert row.entitlement.ends is None


def test_a_finding_never_repeats_what_stood_in_the_cell():
    found = sheet(HEAD + "demo,SECRET-VIN,,,,,,,,\nSECRET-BRAND,JTMZZ3TESTEC00002,,,,,,,,\n").findings

    assert len(found) == 2
    assert "SECRET" not in repr(found)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "brand"),
        (b"vin\n", "brand"),
        (b"brand\n", "vin"),
        (b"brand,vin,colour\n", "colour"),
        (b"brand,vin,vin\n", "twice"),
        (b"\xff\xfe\x00\x00\x81", "begins as UTF-16 and is none"),
        (b'brand,vin\n"demo,JTM', "no CSV"),
    ],
)
def test_a_file_that_cannot_be_read_as_a_whole_is_refused_and_says_why(content: bytes, said: str):
    with pytest.raises(Malformed, match=said):
        read(content, brands=(DEMO,), now=NOW)


@given(st.binary(max_size=400))
def test_any_bytes_at_all_are_a_sheet_or_refused(content: bytes):
    for body in (content, b"brand,vin,begins\n" + content):
        try:
            read_ = read(body, brands=(DEMO,), now=NOW)
        except Malformed:
            continue
        assert len(read_.rows) + len(read_.findings) == read_.total


@given(st.lists(st.sampled_from((GOOD, "demo,,,,,,,,,\n", "\n", "nobody,JTMZZ3TESTEC00002,,,,,,,,\n")), max_size=12))
def test_every_row_becomes_an_order_or_a_finding(rows: list[str]):
    read_ = sheet(HEAD + "".join(rows))

    assert len(read_.rows) + len(read_.findings) == read_.total == sum(row != "\n" for row in rows)


# --- into the registry ---

TWO = HEAD + GOOD + "demo,JTMZZ3TESTEC00002,,,,,sos,2026-01-01,,\n"


def _house(tenant: TenantId) -> By:
    return By(tenant=tenant, role=Role.SYSTEM, id="import")


async def bring(registry: Registry, text: str, *, dry_run: bool = False) -> Imported:
    return await import_sheet(sheet(text), registry, by=_house, dry_run=dry_run)


def figures(done: Imported) -> tuple[int, int, int, int]:
    return done.created, done.changed, done.unchanged, done.left_out


async def test_rows_become_vehicles_customers_and_rights(registry: Registry, clock: ManualClock):
    done = await bring(registry, TWO)

    standing = await registry.standing((VIN,), tenant=DEMO, at=NOW)
    assert figures(done) == (2, 0, 0, 0)
    assert standing.entitlement is Right.ENTITLED
    assert standing.subscriber == await registry.customer("C-1", tenant=DEMO)


async def test_a_dry_run_says_the_same_and_writes_nothing(registry: Registry, store):
    before = await settled(store)

    done = await bring(registry, TWO + "nobody,JTMZZ3TESTEC00003,,,,,,,,\n", dry_run=True)

    assert figures(done) == (2, 0, 0, 1)
    assert done.dry_run
    assert await settled(store) == before
    assert list(await registry.subjects(Kind.VEHICLE, tenant=DEMO)) == []


async def test_the_same_file_again_changes_nothing(registry: Registry):
    await bring(registry, TWO)

    again = await bring(registry, TWO)
    dry = await bring(registry, TWO, dry_run=True)

    assert figures(again) == figures(dry) == (0, 0, 2, 0)


async def test_a_row_without_a_beginning_may_come_again_next_month(registry: Registry):
    row = HEAD + "demo,JTMZZ3TESTEC00001,,,,,sos,,,\n"
    await bring(registry, row)

    later = read(row.encode(), brands=(DEMO,), now=NOW.replace(month=7))
    again = await import_sheet(later, registry, by=_house, dry_run=False)

    assert figures(again) == (0, 0, 1, 0)


async def test_a_further_service_of_a_known_car_is_a_change(registry: Registry):
    await bring(registry, TWO)

    assert figures(await bring(registry, HEAD + GOOD.replace(",sos,", ",remote,"))) == (0, 1, 0, 0)


async def test_a_file_does_not_give_somebody_elses_car_away(registry: Registry):
    await bring(registry, TWO)
    theirs = HEAD + "demo,JTMZZ3TESTEC00001,,C-9,,,sos,2026-01-01,,\n"

    dry, done = await bring(registry, theirs, dry_run=True), await bring(registry, theirs)

    assert [(each.row, each.code) for each in dry.findings] == [(2, "refused")]
    assert [(each.row, each.code) for each in done.findings] == [(2, "refused")]
    assert "transfer" in done.findings[0].message
    vehicle = await registry.find((VIN,), tenant=DEMO)
    assert vehicle is not None
    assert (await registry.vehicle(vehicle, by=by())).owner == await registry.customer("C-1", tenant=DEMO)


def test_the_columns_are_those_of_keys_contract_and_profile():
    assert {"brand", "vin", "jp_frame", "oem_id", "plate", "service", "begins", "ends", "name", "phone"} <= COLUMNS
    assert "card" not in COLUMNS


def test_a_report_can_be_read_by_a_program():
    told = msgspec.json.decode(msgspec.json.encode(sheet(HEAD + "nobody,,,,,,,,,\n").findings))

    assert told == [{"row": 2, "code": "unknown_brand", "field": "brand", "message": "a brand this house serves"}]


HEADER = ("brand", "vin", "customer_ref", "begins", "ends")
CELLS = ("demo", "JTMZZ3TESTEC00001", "C1", "2026/4/1 0:00", "2027/3/31 0:00")


@pytest.mark.parametrize("separator", [",", "\t", ";"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp932", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("extra", [0, 2])
@pytest.mark.parametrize("stated", [True, False])
def test_what_a_spreadsheet_writes_is_read_and_an_end_includes_its_day(
    separator: str, encoding: str, extra: int, stated: bool
) -> None:
    rows = [separator.join((*cells, *[""] * extra)) for cells in (HEADER, CELLS)]
    text = "\r\n".join(([f"sep={separator}"] if stated else []) + rows) + "\r\n"
    mark = {"utf-16-le": "\ufeff", "utf-16-be": "\ufeff"}.get(encoding, "")

    sheet = read((mark + text).encode(encoding), brands=(TenantId("demo"),), now=NOW)

    assert sheet.findings == ()
    (row,) = sheet.rows
    assert row.number == (3 if stated else 2)  # as the spreadsheet counts
    assert row.entitlement is not None
    assert row.entitlement.begins == datetime(2026, 3, 31, 15, tzinfo=UTC)
    assert row.entitlement.ends == datetime(2027, 3, 31, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ends", "instant"),
    [
        ("2027年3月31日", datetime(2027, 3, 31, 15, tzinfo=UTC)),
        ("２０２７/３/３１", datetime(2027, 3, 31, 15, tzinfo=UTC)),
        ("2027-03-31 00:00:00.000", datetime(2027, 3, 31, 15, tzinfo=UTC)),
        ("2027/3/31 12:30", datetime(2027, 3, 31, 3, 30, tzinfo=UTC)),
        ("2027-03-31T00:00:00Z", datetime(2027, 3, 31, tzinfo=UTC)),
    ],
)
def test_a_day_is_read_however_it_is_written(ends: str, instant: datetime) -> None:
    text = ",".join(HEADER) + "\n" + ",".join((*CELLS[:4], ends))

    (row,) = read(text.encode(), brands=(TenantId("demo"),), now=NOW).rows

    assert row.entitlement is not None
    assert row.entitlement.ends == instant


@pytest.mark.parametrize("day", ["46113", "4/1/2026", "2026/13/1", "2026/4/1 25:00", "soon"])
def test_a_day_that_could_be_another_is_refused_in_words(day: str) -> None:
    text = ",".join(HEADER) + "\n" + ",".join((*CELLS[:4], day))

    (finding,) = read(text.encode(), brands=(TenantId("demo"),), now=NOW).findings

    assert (finding.code, finding.field) == ("bad_date", "ends")
    assert "2026-04-01" in finding.message


@pytest.mark.parametrize("name", ["registry_excel_datetime.csv", "registry_utf16.csv"])
def test_the_field_s_sheets_are_read_without_findings(name: str) -> None:
    file = Path(__file__).resolve().parents[4] / "shared" / "data" / "field" / name
    if not file.is_file():
        pytest.skip("the field inputs are not beside this checkout")

    sheet = read(file.read_bytes(), brands=(TenantId("demo"),), now=NOW)

    assert (sheet.findings, len(sheet.rows)) == ((), 1)
