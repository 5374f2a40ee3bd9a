"""Every row of the rule tables fires on its case, and the nearest cases must not fire it."""

import tomllib
from datetime import date
from pathlib import Path

import msgspec
import pytest

from routing.categories import Category
from routing.law import Case, RuleBook, evaluate

BOOK = RuleBook.shipped()
DAY = date(2026, 11, 21)
TABLE = tomllib.loads((Path(__file__).parent / "cases.toml").read_text(encoding="utf-8"))
ROWS = TABLE["row"]
NEAREST = [(row, near) for row in ROWS for near in row.get("nearest", ())]


def judged(*changes):
    document = TABLE["defaults"]
    for change in changes:
        document = document | change
    return evaluate(msgspec.convert(document, Case), rules=BOOK, as_of=DAY)


def fired(verdict):
    return {verdict.rule, *verdict.also}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_a_row_fires_on_its_case_with_its_ground_and_its_list(row):
    verdict = judged(row["case"])

    assert row["id"] in fired(verdict), verdict.tried
    assert verdict.rule == row.get("also", row["id"])
    assert (verdict.outcome.value, verdict.ground) == (row["outcome"], row.get("ground", ""))
    assert verdict.categories == tuple(map(Category, row["categories"]))
    assert verdict.without == tuple(row.get("without", verdict.without))
    assert set(row.get("record", ())) <= set(verdict.record)


@pytest.mark.parametrize(("row", "near"), NEAREST, ids=lambda each: each.get("id") or str(each["changed"]))
def test_the_nearest_case_does_not_fire_it_and_says_why(row, near):
    verdict = judged(row["case"], near["changed"])

    assert verdict.rule == near["then"], verdict.tried
    assert verdict.outcome.value == near["outcome"] if "outcome" in near else row["id"] not in fired(verdict)
    if "why" in near:
        assert (row["id"], near["why"]) in {(tried.rule, tried.why) for tried in verdict.tried}


def test_the_table_of_cases_asks_for_every_row_there_is_and_each_has_a_nearest_case():
    there = {rule.id for edition in BOOK.editions for rule in (*edition.rule, *edition.restriction)}

    assert {row["id"] for row in ROWS} == there | {BOOK.default.id}
    assert {row["id"] for row, _ in NEAREST} == there | {BOOK.default.id}
