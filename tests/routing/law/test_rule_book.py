"""Rule tables that are empty, unknown or contradictory stop the start and are named."""

import re
import tomllib
from datetime import UTC, date, datetime, timedelta
from importlib import resources
from pathlib import Path as FilePath

import pytest

from routing.categories import Category
from routing.errors import Misconfigured
from routing.law import Case, Outcome, Path, RuleBook, evaluate

RULES = resources.files("routing") / "rules"
JP = (RULES / "jp.toml").read_text(encoding="utf-8")
XX = (RULES / "xx.toml").read_text(encoding="utf-8")
TERMS = (RULES / "terms" / "demo.toml").read_text(encoding="utf-8")
DAY = date(2026, 11, 21)
FAULTS = tomllib.loads((FilePath(__file__).parent / "faults.toml").read_text(encoding="utf-8"))["fault"]


def read(*changes, jp=JP, xx=XX, terms=TERMS, **more):
    for old, new in changes:
        assert old in jp + xx + terms, old
        jp, xx, terms = jp.replace(old, new), xx.replace(old, new), terms.replace(old, new)
    files = {"jp.toml": jp, "xx.toml": xx, "terms/demo.toml": terms, **more}
    return RuleBook.read({name: text.encode() for name, text in files.items()})


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault["says"])
def test_a_rule_file_that_is_unknown_or_contradicts_itself_is_refused_by_name(fault):
    with pytest.raises(Misconfigured, match=re.escape(fault["says"])):
        read((fault["old"], fault["new"]))


def test_a_restriction_that_can_never_be_met_is_refused():
    any_of = 'any_of = ["country_whitelisted", "equivalent_measures", "told_of_country"]\n'

    with pytest.raises(Misconfigured, match="can never be met"):
        read((any_of, ""), ('satisfied_by = ["JP-27-1-"]\n', ""))


@pytest.mark.parametrize("data", ["", "\x00", "[[rule]", 'jurisdiction = "JP"'])
def test_an_empty_or_broken_rule_file_is_refused_by_name(data):
    with pytest.raises(Misconfigured, match=r"rule file jp\.toml"):
        read(jp=data)


def test_a_table_without_rows_is_refused():
    with pytest.raises(Misconfigured, match="empty"):
        read(jp=JP.split("[[rule]]")[0])


def test_without_any_jurisdiction_or_without_the_last_row_nothing_starts():
    with pytest.raises(Misconfigured, match="no jurisdiction"):
        RuleBook.read({"xx.toml": XX.encode()})
    with pytest.raises(Misconfigured, match="exactly one"):
        RuleBook.read({"jp.toml": JP.encode()})
    with pytest.raises(Misconfigured, match="exactly one"):
        read(**{"yy.toml": XX})


def later(day, version="3", text=JP):
    return text.replace("valid_from = 2024-04-01", f"valid_from = {day}", 1).replace(
        'version = "2"', f'version = "{version}"', 1
    )


def until(day, text=JP):
    return text.replace("valid_from = 2024-04-01", f"valid_from = 2024-04-01\nvalid_to = {day}", 1)


def test_two_editions_of_one_law_may_not_hold_on_one_day_nor_leave_a_day_out():
    with pytest.raises(Misconfigured, match="overlap on 2027-04-01"):
        read(**{"jp-3.toml": later("2027-04-01")})
    with pytest.raises(Misconfigured, match="overlap"):
        read(jp=until("2027-04-01"), **{"jp-3.toml": later("2027-04-01")})
    with pytest.raises(Misconfigured, match="no version between 2027-03-01 and 2027-04-01"):
        read(jp=until("2027-03-01"), **{"jp-3.toml": later("2027-04-01")})


def test_a_change_of_the_law_is_a_second_file_and_takes_effect_on_its_day():
    """The reform of 2026 would loosen the second limb: «or there is reasonable ground not to obtain consent»."""
    loosened = (
        later("2027-04-01")
        .replace('"minor", "delay"]', '"minor", "delay", "other"]')
        .replace("APPI-2024-04-01", "APPI-2027-04-01")
    )
    rules = read(jp=until("2027-03-31"), **{"jp-3.toml": loosened})
    case = Case(
        jurisdiction="JP",
        live=True,
        danger="automatic_crash",
        consent_difficulty="other",
        recipient_class="FIRE",
        held_categories=frozenset({Category.LOC}),
    )

    before, after = (evaluate(case, rules=rules, as_of=day) for day in (date(2027, 3, 31), date(2027, 4, 1)))

    assert (before.outcome, before.law_version) == (Outcome.REFER, "APPI-2024-04-01")
    assert (after.outcome, after.rule, after.law_version) == (Outcome.PERMIT, "JP-01", "APPI-2027-04-01")


def test_a_law_begins_at_midnight_where_it_holds():
    rules = RuleBook.shipped()
    eve = datetime(2027, 3, 31, 15, 0, tzinfo=UTC)

    assert rules.day("JP", eve) == date(2027, 4, 1)
    assert rules.day("JP", eve - timedelta(seconds=1)) == date(2027, 3, 31)
    assert (rules.day("DE", eve), rules.day("US", eve), rules.day("KR", eve)) == (date(2027, 3, 31),) * 3
    with pytest.raises(Misconfigured, match="'Mars/Olympus' is no time zone"):
        read(('zone = "Asia/Tokyo"', 'zone = "Mars/Olympus"'))


def test_a_jurisdiction_or_terms_that_somebody_relies_on_and_that_are_missing_are_named():
    rules = RuleBook.shipped()

    rules.require(["JP", "DE", "GB", "US"], terms=["demo-terms"], as_of=DAY)
    with pytest.raises(Misconfigured, match="'KR'"):
        rules.require(["JP", "KR"], as_of=DAY)
    with pytest.raises(Misconfigured, match="no terms 'acme'"):
        rules.require(terms=["acme"], as_of=DAY)
    with pytest.raises(Misconfigured, match="'JP' on 2020-01-01"):
        rules.require(["JP"], as_of=date(2020, 1, 1))


def test_where_two_rows_fit_both_grounds_are_kept_and_the_narrower_list_counts():
    doubled = JP.replace(
        '[[rule]]\nid = "JP-02"',
        """[[rule]]
id = "JP-01-N"
title = "A second row that fits"
outcome = "permit_review"
paths = ["life_protection"]
live = "open"
ground = "JP-27-1-iv"
provision = "invented"
opt_out = "overridden"
record = ["reason"]

[[rule.grants]]
recipients = ["FIRE"]
categories = ["LOC", "SEV", "BIL"]

[[rule]]
id = "JP-02\"""",
    )
    case = Case(
        jurisdiction="JP",
        live=True,
        danger="sounds",
        consent_difficulty="delay",
        recipient_class="FIRE",
        held_categories=frozenset(Category),
    )

    verdict = evaluate(case, rules=read(jp=doubled), as_of=DAY)

    assert (verdict.rule, verdict.also) == ("JP-01", ("JP-01-N",))
    assert verdict.grounds == ("JP-27-1-ii", "JP-27-1-iv")
    assert verdict.categories == (Category.LOC, Category.SEV)
    assert verdict.outcome is Outcome.PERMIT_REVIEW


def test_the_digest_of_the_rules_changes_with_every_byte_and_names_the_data_set():
    assert read().digest == read().digest
    assert read(("# Text of the law", "# text of the law")).digest != read().digest
    assert read().dataset == f"rules@{read().digest}"


def test_rules_are_loaded_from_a_folder_and_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(Misconfigured, match="no rule files"):
        RuleBook.load(tmp_path)
    (tmp_path / "terms").mkdir()
    for name, text in {"jp.toml": JP, "xx.toml": XX, "terms/demo.toml": TERMS}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")

    assert RuleBook.load(tmp_path).digest == read().digest


def test_every_shipped_terms_file_speaks_of_rescue():
    rules = RuleBook.shipped()

    assert {"mitsubishi-connect", "mini-connected", "g-link", "gmo-linkdrive", "okura", "demo-terms"} <= set(
        rules.brands
    )
    for name in rules.brands:
        assert rules.terms(name, DAY).clause_for(Path.LIFE_PROTECTION) is not None
