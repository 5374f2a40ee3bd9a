"""The rule table: each row fires on its case, the nearest case must not fire, and no verdict exceeds its row."""

from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.categories import Category
from routing.errors import Misconfigured
from routing.law import Case, ConsentDifficulty, Danger, Outcome, RuleBook, Tried, evaluate
from routing.services import RECIPIENT, Recipient, Service

BOOK = RuleBook.shipped()
TOML = (resources.files("routing") / "rules" / "jp.toml").read_text(encoding="utf-8")

TREATING = "LOC VEH SEV TEL PER OBS MED FAM"
POLICING = "LOC VEH SEV TEL PER OBS"

JP_01 = Case(
    jurisdiction="JP",
    live=True,
    danger="automatic_crash",
    consent_difficulty="no_answer",
    recipient_service=Service.FIRE,
    recipient_class="FIRE",
    held_categories=frozenset(Category),
)


def changed(case=JP_01, **changes):
    return Case(**({name: getattr(case, name) for name in Case.__struct_fields__} | changes))


def categories(text):
    return tuple(Category(name) for name in text.split())


@pytest.mark.parametrize("danger", list(Danger))
@pytest.mark.parametrize("difficulty", list(ConsentDifficulty))
def test_jp_01_fires_for_every_danger_with_every_difficulty_of_consent(danger, difficulty):
    verdict = evaluate(changed(danger=danger.value, consent_difficulty=difficulty.value), book=BOOK)

    assert (verdict.outcome, verdict.rule, verdict.ground) == (Outcome.PERMIT, "JP-01", "JP-27-1-ii")
    assert (verdict.necessity, verdict.consent) == (danger.value, difficulty.value)
    assert verdict.law_version == "APPI-2024-04-01"
    assert verdict.clause == "demo-terms/1#4.2"


@pytest.mark.parametrize(
    ("service", "allowed"),
    [
        (Service.FIRE, TREATING),
        (Service.MEDICAL, TREATING),
        (Service.POLICE, POLICING),
        (Service.COAST_GUARD, POLICING),
    ],
)
def test_jp_01_gives_each_recipient_its_own_list_and_withholds_the_rest(service, allowed):
    verdict = evaluate(changed(recipient_service=service, recipient_class=RECIPIENT[service].value), book=BOOK)

    assert verdict.categories == categories(allowed)
    assert set(verdict.withheld) == set(Category) - set(verdict.categories)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"danger": None}, "no_danger"),
        ({"danger": "curiosity"}, "no_danger"),
        ({"consent_difficulty": None}, "no_consent_difficulty"),
        ({"consent_difficulty": "inconvenient"}, "no_consent_difficulty"),
        ({"live": False}, "not_live"),
        ({"mode": "test"}, "mode"),
        ({"mode": "training"}, "mode"),
        ({"jurisdiction": "DE"}, "jurisdiction"),
        ({"recipient_class": "INS"}, "recipient"),
        ({"recipient_class": "POL"}, "recipient"),
        ({"recipient_service": Service.POLICE}, "recipient"),
    ],
)
def test_the_nearest_case_to_jp_01_is_denied_and_says_which_condition_failed(change, why):
    verdict = evaluate(changed(**change), book=BOOK)

    assert (verdict.outcome, verdict.rule) == (Outcome.DENY, "JP-99")
    assert verdict.tried == (Tried("JP-01", why),)
    assert verdict.categories == ()
    assert verdict.withheld == tuple(Category)
    assert (verdict.ground, verdict.necessity, verdict.consent) == ("", "", "")


def test_only_what_is_held_is_permitted():
    verdict = evaluate(changed(held_categories=frozenset({Category.LOC, Category.RAW})), book=BOOK)

    assert (verdict.categories, verdict.withheld) == ((Category.LOC,), (Category.RAW,))


def test_an_opt_out_is_overridden_for_the_protection_of_life_and_the_verdict_says_so():
    assert evaluate(changed(opt_out=True), book=BOOK).opt_out_overridden
    assert not evaluate(JP_01, book=BOOK).opt_out_overridden


def test_an_opt_out_holds_where_the_row_does_not_override_it():
    book = read(("overrides_opt_out = true", "overrides_opt_out = false"))

    verdict = evaluate(changed(opt_out=True), book=book)

    assert (verdict.outcome, verdict.tried) == (Outcome.DENY, (Tried("JP-01", "opt_out"),))
    assert evaluate(JP_01, book=book).outcome is Outcome.PERMIT


def test_a_drill_is_judged_like_the_real_thing():
    assert evaluate(changed(mode="drill"), book=BOOK).rule == "JP-01"


def test_a_permitted_disclosure_records_both_limbs_and_what_was_withheld():
    assert {"necessity", "consent", "recipient", "withheld", "brief_digest"} <= set(evaluate(JP_01, book=BOOK).record)


def test_a_row_that_refers_leaves_the_decision_to_a_person():
    verdict = evaluate(JP_01, book=read(('outcome = "permit"', 'outcome = "refer"')))

    assert (verdict.outcome, verdict.rule) == (Outcome.REFER, "JP-01")


codes = st.none() | st.sampled_from([*map(str, Danger), *map(str, ConsentDifficulty), "other", ""])


@given(
    st.builds(
        Case,
        jurisdiction=st.sampled_from(["JP", "US", ""]),
        live=st.booleans(),
        danger=codes,
        consent_difficulty=codes,
        recipient_service=st.sampled_from(Service),
        recipient_class=st.sampled_from([*map(str, Recipient), "INS", ""]),
        held_categories=st.frozensets(st.sampled_from(Category)),
        opt_out=st.booleans(),
        mode=st.sampled_from(["live", "drill", "test", "x"]),
    )
)
def test_no_verdict_exceeds_its_row_and_raw_and_the_unnamed_never_leave(case):
    verdict = evaluate(case, book=BOOK)
    police = case.recipient_class in {"POL", "JCG"}

    assert Category.RAW not in verdict.categories
    assert set(verdict.categories) <= set(categories(POLICING if police else TREATING)) & case.held_categories
    assert set(verdict.categories) | set(verdict.withheld) == case.held_categories
    assert not set(verdict.categories) & set(verdict.withheld)
    if verdict.outcome is Outcome.PERMIT:
        assert case.danger in set(Danger)
        assert case.consent_difficulty in set(ConsentDifficulty)
        assert case.live
    else:
        assert verdict.categories == ()


def read(*changes):
    text = TOML
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return RuleBook.read(text.encode(), source="jp.toml")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"LOC", "VEH"', '"RAW", "VEH"', "RAW is never disclosed"),
        ('"LOC", "VEH"', '"XYZ", "VEH"', "XYZ"),
        ('["POL"]', '["FIRE"]', "FIRE has two grants"),
        ('["POL"]', '["NOSY"]', "NOSY"),
        ("dangers = [", 'dangers = ["boredom", ', "boredom"),
        (
            'consent_difficulties = ["no_answer", "unintelligible", "unconscious", "minor", "delay"]',
            "consent_difficulties = []",
            "both limbs",
        ),
        ('outcome = "deny"', 'outcome = "permit"', "default.outcome"),
        ('outcome = "permit"', 'outcome = "deny"', "outcome"),
        ('id = "JP-99"', 'id = "JP-01"', "'JP-01' occurs twice"),
        ('ground = "JP-27-1-ii"', 'ground = ""', "ground is empty"),
        ('ground = "JP-27-1-ii"', 'reason = "JP-27-1-ii"', "reason"),
        ('modes = ["live", "drill"]', 'modes = ["live", "test"]', "modes"),
        ('["POL"]', "[]", "a grant names no recipient"),
        ("valid_from = 2024-04-01", 'valid_from = "soon"', "valid_from"),
        ("[default]", "[last]", "unknown field `last`"),
    ],
)
def test_a_rule_file_that_is_unknown_or_contradicts_itself_is_refused_by_name(old, new, words):
    with pytest.raises(Misconfigured, match=words):
        read((old, new))


@pytest.mark.parametrize("data", [b"", b"\xff", b"[[rule]", b'name = "jp"'])
def test_an_empty_or_broken_rule_file_is_refused_by_name(data):
    with pytest.raises(Misconfigured, match=r"rule file jp\.toml"):
        RuleBook.read(data, source="jp.toml")


def test_a_table_without_rows_is_refused():
    head, default = TOML.split("[[rule]]")[0], TOML[TOML.index("[default]") :]

    with pytest.raises(Misconfigured, match="empty"):
        RuleBook.read((head + "rule = []\n" + default).encode(), source="jp.toml")


def test_the_digest_of_the_rules_changes_with_every_byte():
    assert read().digest == BOOK.digest
    assert read(("# Rules", "# rules")).digest != BOOK.digest
    assert BOOK.dataset == f"jp-1@{BOOK.digest}"
