"""Tables municipality -> headquarters: what is right is kept, every wrong row is named, nothing is guessed."""

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.directory import Directory
from routing.directory.importing import coverage, not_in_force, read_tables
from routing.directory.jis import CodesInForce, check_digit, in_force
from routing.directory.toml import to_toml
from routing.errors import Malformed
from routing.services import Service

SAMPLE = Path(__file__).resolve().parents[3] / "shared" / "data" / "fire_hq_sample.csv"
TODAY = date(2026, 11, 21)
FEW = CodesInForce({"01101": "札幌市中央区", "11202": "熊谷市", "11203": "川口市"}, "test")


def table(*lines, header="code6,code5,fire_hq", name="t.csv", encoding="utf-8"):
    return name, "\n".join([header, *lines]).encode(encoding)


def said(imported, *, without=("no_channel",)):
    return [(f.row, f.what, f.outcome) for f in imported.findings if f.what not in without]


def test_a_right_table_is_kept_whole_and_one_headquarters_may_have_many_rows():
    imported = read_tables([table("112020,11202,架空消防", "112038,11203,架空消防")])

    assert said(imported) == []
    assert [duty.code for duty in imported.duties] == ["11202", "11203"]
    assert {duty.agency for duty in imported.duties} == {"jp-11-fire-11202"}
    assert [agency.name_ja for agency in imported.agencies] == ["架空消防"]


@pytest.mark.parametrize(
    ("line", "expected", "code"),
    [
        ("112021,11202,架空", (2, "bad_check_digit", "repaired"), "11202"),
        ("112021,,架空", (2, "bad_check_digit", "refused"), None),
        ("112021,11203,架空", (2, "bad_check_digit", "refused"), None),
        ("112020,11203,架空", (2, "bad_code", "refused"), None),
        ("11002,,架空", (2, "leading_zero", "repaired"), "01100"),
        (",1100,架空", (2, "leading_zero", "repaired"), "01100"),
        (",99202,架空", (2, "bad_code", "refused"), None),
        (",東京,架空", (2, "bad_code", "refused"), None),
        (",,架空", (2, "bad_code", "refused"), None),
        ("112020,11202,", (2, "no_agency", "refused"), None),
    ],
)
def test_a_wrong_code_is_repaired_where_the_row_itself_proves_it_and_refused_elsewhere(line, expected, code):
    imported = read_tables([table(line)])

    assert said(imported) == [expected]
    assert [duty.code for duty in imported.duties] == ([code] if code else [])


def test_full_width_digits_of_a_spreadsheet_are_digits():
    assert read_tables([table(",１１２０２,架空")]).duties[0].code == "11202"


def test_the_same_row_twice_is_one_and_two_headquarters_for_one_code_are_none():
    imported = read_tables(
        [table(",11202,甲消防", ",11202,甲消防", ",11203,甲消防"), table(",11203,乙消防", name="u.csv")]
    )

    assert said(imported) == [
        (3, "duplicate_row", "repaired"),
        (4, "duplicate_code", "refused"),
        (2, "duplicate_code", "refused"),
    ]
    assert [duty.code for duty in imported.duties] == ["11202"]
    assert "u.csv row 2" in next(f.detail for f in imported.findings if f.row == 4)


def test_two_headquarters_at_different_times_are_no_contradiction():
    header = "code5,fire_hq,valid_from,valid_to"
    imported = read_tables(
        [table("11202,甲消防,,2024-03-31", "11202,乙消防,2024/04/01,", "11203,甲消防,,2024-03-01", header=header)]
    )

    assert said(imported) == []
    assert coverage(imported.duties, FEW, service=Service.FIRE, on=date(2024, 3, 31)).missing == ("01101", "11203")


def test_days_between_two_rows_on_which_nobody_answers_are_a_gap():
    header = "code5,fire_hq,valid_from,valid_to"
    imported = read_tables([table("11202,甲消防,,2024-03-30", "11202,乙消防,2024-04-01,", header=header)])

    found = coverage(imported.duties, FEW, service=Service.FIRE, on=TODAY)

    assert found.gaps == ("11202 2024-03-30 2024-04-01",)
    assert not found.complete


@pytest.mark.parametrize(
    ("header", "line", "what"),
    [
        ("code5,fire_hq,valid_from", "11202,甲,31.3.2024", "bad_date"),
        ("code5,fire_hq,valid_from,valid_to", "11202,甲,2024-04-01,2024-03-31", "bad_date"),
        ("code5,fire_hq,kind", "11202,甲,volunteer", "bad_kind"),
        ("code5,fire_hq,service", "11202,甲,postman", "bad_service"),
    ],
)
def test_a_value_that_means_nothing_refuses_its_row_alone(header, line, what):
    width = header.count(",")
    good = "11203,甲" + "," * (width - 1)

    imported = read_tables([table(line, good, header=header)])

    assert said(imported) == [(2, what, "refused")]
    assert [duty.code for duty in imported.duties] == ["11203"]


def test_delegation_and_the_want_of_a_permanent_service_are_read_in_japanese():
    imported = read_tables([table("13208,東京消防庁,事務委託", "13362,,非常備", header="市区町村コード,消防本部,区分")])

    assert [(duty.code, duty.kind) for duty in imported.duties] == [("13208", "delegated"), ("13362", "none")]
    assert imported.duties[1].agency is None


def test_shift_jis_is_read_and_rubbish_is_refused():
    assert read_tables([table(",11202,甲消防", encoding="cp932")]).agencies[0].name_ja == "甲消防"
    with pytest.raises(Malformed, match="neither UTF-8 nor cp932"):
        read_tables([("t.csv", b"code5,fire_hq\n\x81\x20")])
    with pytest.raises(Malformed, match="needs a column"):
        read_tables([("t.csv", b"a,b\n1,2\n")])
    with pytest.raises(Malformed):
        read_tables([("t.csv", b"")])


def test_numbers_become_channels_and_an_agency_without_one_is_listed_only():
    header = "code5,fire_hq,tel,fax,email"
    imported = read_tables(
        [table("11202,甲消防,+81300000001,+81300000002,hq@example.jp", "11203,乙消防,,,", header=header)]
    )
    first, second = imported.agencies

    assert list(first.channels) == ["voice", "fax", "smtp"]
    assert first.channels["voice"] == {"number": "+81300000001"}
    assert (first.listed_only, second.listed_only) == (False, True)
    assert [f.row for f in imported.findings if f.what == "no_channel"] == [3]


def test_a_headquarters_that_is_known_already_keeps_its_id_and_channels():
    known = Directory.demo().agencies["jp-11-fire"]

    imported = read_tables([table(f",11202,{known.name_ja}")], known=Directory.demo().agencies.values())

    assert imported.duties[0].agency == "jp-11-fire"
    assert imported.agencies == (known,)


def test_what_is_imported_makes_a_directory_that_reads_back_the_same():
    demo = Directory.demo()
    header = "code5,fire_hq,tel,valid_from"
    imported = read_tables([table('11202,"甲 ""消防"" \\",+81300000001,2024-04-01', header=header)])
    agencies = (*demo.agencies.values(), *imported.agencies)

    text = to_toml("made", agencies, centres=demo.centres.values(), duties=imported.duties, holidays=(TODAY,))
    book = Directory.read(text.encode())

    assert tuple(book.agencies.values()) == agencies
    assert book.duties == imported.duties
    assert book.holidays == {TODAY}
    assert (
        to_toml("made", book.agencies.values(), centres=book.centres.values(), duties=book.duties, holidays=(TODAY,))
        == text
    )


def test_every_code_in_force_is_counted_once_and_a_city_row_covers_its_wards():
    imported = read_tables([table(",01100,札幌", ",11202,甲消防", ",22131,旧浜松")])

    found = coverage(imported.duties, FEW, service=Service.FIRE, on=TODAY)

    assert (found.codes, found.once, found.missing, found.twice) == (3, 2, ("11203",), ())
    assert found.unknown == ("22131",)
    assert [(f.row, f.what) for f in not_in_force(imported, FEW, on=TODAY)] == [(4, "not_in_force")]


@given(st.lists(st.text(max_size=8), max_size=4))
def test_no_row_of_any_text_stops_an_import(cells):
    line = ",".join(cell.replace('"', "").replace("\n", "").replace("\r", "") for cell in cells)

    imported = read_tables([table(line, ",11203,甲消防")])

    assert "11203" in {duty.code for duty in imported.duties} | {
        f.detail[:5] for f in imported.findings if f.what == "duplicate_code"
    }


@given(st.integers(1, 47), st.integers(0, 999), st.integers(0, 9))
def test_exactly_the_right_check_digit_is_believed(prefecture, place, digit):
    code = f"{prefecture:02d}{place:03d}"

    imported = read_tables([table(f"{code}{digit},,架空")])

    assert bool(imported.duties) == (check_digit(code) == str(digit))


def test_the_codes_in_force_of_today_hold_the_reform_of_hamamatsu():
    codes = in_force().names

    assert 1_880 < len(codes) < 1_920
    assert {"22138", "22139", "22140"} <= set(codes)
    assert not {"22131", "22137", "22130"} & set(codes)


@pytest.mark.skipif(not SAMPLE.is_file(), reason="the sample of fire headquarters is not beside this clone")
def test_the_real_sample_is_read_whole_and_its_one_impossible_code_is_named():
    imported = read_tables([(SAMPLE.name, SAMPLE.read_bytes())])
    codes = in_force()
    found = coverage(imported.duties, codes, service=Service.FIRE, on=TODAY)

    assert (imported.rows, len(imported.duties), len(imported.agencies), imported.refused) == (121, 121, 63, 0)
    assert found.once > 121  # wards of ten designated cities
    assert found.twice == ()
    assert [(f.row, f.detail[:5]) for f in not_in_force(imported, codes, on=TODAY)] == [(67, "12301")]
