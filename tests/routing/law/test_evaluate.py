"""What holds whatever the tables say: no verdict exceeds its row, both limbs are named, opt-outs and terms count."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.categories import Category
from routing.errors import Malformed
from routing.law import (
    Case,
    ConsentDifficulty,
    Danger,
    Fact,
    Obligation,
    OptOut,
    Outcome,
    Path,
    RuleBook,
    evaluate,
    read_case,
)
from routing.services import RECIPIENT, Recipient, Service

BOOK = RuleBook.shipped()
DAY = date(2026, 11, 21)

LIFE = Case(
    jurisdiction="JP",
    live=True,
    danger="automatic_crash",
    consent_difficulty="no_answer",
    recipient_class="FIRE",
    held_categories=frozenset(Category),
)


def changed(case=LIFE, **changes):
    return Case(**({name: getattr(case, name) for name in Case.__struct_fields__} | changes))


def judge(case=LIFE, *, as_of=DAY, **changes):
    return evaluate(changed(case, **changes), rules=BOOK, as_of=as_of)


codes = st.none() | st.sampled_from([*map(str, Danger), *map(str, ConsentDifficulty), "curiosity", ""])
cases = st.builds(
    Case,
    jurisdiction=st.sampled_from(["JP", "JP", "EU", "DE", "GB", "US", "KR", ""]),
    path=st.sampled_from(Path),
    live=st.booleans(),
    danger=codes,
    consent_difficulty=codes,
    facts=st.frozensets(st.sampled_from(Fact)) | st.just(frozenset(Fact)),
    recipient_class=st.sampled_from([*map(str, Recipient), "NOSY", ""]),
    held_categories=st.frozensets(st.sampled_from(Category)) | st.just(frozenset(Category)),
    named=st.frozensets(st.sampled_from(Category)),
    opt_out=st.booleans(),
    terms=st.sampled_from(["", *BOOK.brands, "nobody's"]),
    mode=st.sampled_from(["live", "drill", "test", "x"]),
)
days = st.dates(date(2015, 1, 1), date(2035, 1, 1))


def rows_of(case, verdict, day):
    edition = BOOK.edition(case.jurisdiction, day)
    named = {verdict.rule, *verdict.also}
    return [rule for rule in (edition.rule if edition else ()) if rule.id in named]


@given(cases, days)
def test_no_verdict_gives_more_than_its_rows_allow_and_nothing_is_given_where_none_permits(case, day):
    verdict = evaluate(case, rules=BOOK, as_of=day)
    rows = rows_of(case, verdict, day)

    if not verdict.outcome.permits:
        assert verdict.categories == ()
        assert set(verdict.withheld) == case.held_categories
        assert (verdict.ground, verdict.grounds, verdict.clause, verdict.statements) == ("", (), "", ())
        return
    allowed = set().union(*(grant.at_most for rule in rows if (grant := rule.grant(case.recipient_class))))
    assert set(verdict.categories) <= allowed
    assert Category.RAW not in verdict.categories
    assert rows[0].id == verdict.rule
    assert verdict.ground == verdict.grounds[0]
    if verdict.inbound:
        return
    assert set(verdict.categories) | set(verdict.withheld) == case.held_categories
    assert not set(verdict.categories) & set(verdict.withheld)


@given(cases, days)
def test_whatever_is_permitted_meets_every_condition_of_the_row_that_permits_it(case, day):
    verdict = evaluate(case, rules=BOOK, as_of=day)

    for rule in rows_of(case, verdict, day) if verdict.outcome.permits else ():
        assert case.path in rule.paths
        assert case.mode in rule.modes
        assert rule.live == "either" or case.live is (rule.live == "open")
        assert not rule.dangers or case.danger in rule.dangers
        assert not rule.consent_difficulties or case.consent_difficulty in rule.consent_difficulties
        assert rule.requires <= case.facts
        assert not rule.forbids & case.facts
        assert not case.opt_out or rule.opt_out is not OptOut.BLOCKS


@given(cases, days)
def test_protection_of_life_without_consent_in_japan_always_has_both_limbs_and_names_them(case, day):
    verdict = evaluate(case, rules=BOOK, as_of=day)

    if any(ground.startswith("JP-27-1-ii") for ground in verdict.grounds):
        assert verdict.necessity in set(Danger)
        assert verdict.consent in set(ConsentDifficulty)
        assert {Obligation.NECESSITY, Obligation.CONSENT} <= set(verdict.record)


@given(cases, days)
def test_a_wish_that_nothing_be_shared_is_overridden_only_while_help_is_being_brought_and_never_for_commerce(case, day):
    verdict = evaluate(case, rules=BOOK, as_of=day)

    if verdict.opt_out_overridden:
        assert case.live
        assert case.opt_out
        assert case.path is not Path.COMMERCIAL
        assert Obligation.OPT_OUT_OVERRIDE in verdict.record
    if case.opt_out and case.path is Path.COMMERCIAL:
        assert not verdict.outcome.permits


@given(cases, days)
def test_every_row_is_accounted_for(case, day):
    verdict = evaluate(case, rules=BOOK, as_of=day)
    edition = BOOK.edition(case.jurisdiction, day)

    passed_over = [tried.rule for tried in verdict.tried]
    assert len(passed_over) == len(set(passed_over))
    if edition is not None and verdict.rule == BOOK.default.id:
        fitting = {rule.id for rule in edition.rule} - set(passed_over)
        assert not {rule.id for rule in edition.rule if not rule.extends} & fitting


def test_medical_data_is_told_only_where_it_helps_and_the_owner_only_where_it_identifies():
    helped = judge(facts=frozenset({Fact.MEDICALLY_USEFUL}))

    assert Category.MED not in judge().categories
    assert Category.MED in helped.categories
    assert Category.OWN not in helped.categories
    assert Category.OWN in judge(facts=frozenset({Fact.NEEDED_TO_IDENTIFY})).categories
    police = judge(recipient_class="POL", facts=frozenset(Fact) - {Fact.CARRIER_DATA, Fact.RECIPIENT_ABROAD})
    assert Category.MED not in police.categories


@pytest.mark.parametrize("service", list(Service))
def test_a_class_that_does_not_fit_the_service_is_no_recipient(service):
    verdict = judge(recipient_service=service)

    assert verdict.outcome.permits is (RECIPIENT[service] is Recipient.FIRE)


def test_a_road_operator_gets_the_wreck_without_its_numbers():
    verdict = judge(path=Path.HAZARD_REMOVAL, recipient_class="ROAD")

    assert set(verdict.without) == {"VEH.licensePlate", "VEH.idScheme", "VEH.idValue"}


def test_family_hears_that_an_accident_is_reported_and_gets_no_data():
    verdict = judge(
        path=Path.FAMILY_ENQUIRY,
        recipient_class="FAM",
        consent_difficulty="unconscious",
        facts=frozenset({Fact.RELATION_PLAUSIBLE}),
    )

    assert (verdict.categories, verdict.statements) == ((), ("accident_reported", "hospital_name"))


@pytest.mark.parametrize(
    ("terms", "clause", "override"),
    [
        ("mitsubishi-connect", "mitsubishi-connect/2026-05-15#4(2)", "mitsubishi-connect/2026-05-15#4(4)"),
        ("mini-connected", "mini-connected/read-2026-11#3.3, without request", ""),
        ("g-link", "g-link/read-2026-11#provision, life or human rights", ""),
        ("okura", "okura/read-2026-11#9(5)", ""),
        ("gmo-linkdrive", "gmo-linkdrive/2021-07-01#1.8", ""),
    ],
)
def test_the_clause_of_the_brands_terms_stands_beside_the_ground(terms, clause, override):
    verdict = judge(terms=terms, opt_out=True)

    assert (verdict.clause, verdict.opt_out_clause) == (clause, override)
    assert verdict.opt_out_overridden


def test_at_the_customers_request_another_clause_of_the_same_terms_is_relied_on():
    asked = changed(
        path=Path.AGREED, terms="mini-connected", facts=frozenset({Fact.PERSON_AGREES}), named=frozenset({Category.LOC})
    )

    assert judge(asked).clause == "mini-connected/read-2026-11#3.3"


def test_terms_that_name_recipients_name_all_there_are():
    assert judge(terms="mitsubishi-connect", recipient_class="FIRE").outcome is Outcome.PERMIT
    assert BOOK.terms("mitsubishi-connect", DAY).clause_for(Path.LIFE_PROTECTION).recipients


def test_where_the_terms_have_no_clause_or_ask_for_more_a_person_decides():
    property_only = {
        "path": Path.PROPERTY,
        "danger": "property",
        "recipient_class": "POL",
        "facts": frozenset({Fact.CONSENT_ATTEMPTED}),
    }

    assert judge(**property_only).outcome is Outcome.PERMIT_REVIEW
    assert ("JP-06", "terms") in whys(judge(**property_only, terms="okura"))
    assert ("JP-06", "terms_require:supervisor_approved") in whys(judge(**property_only, terms="gmo-linkdrive"))
    approved = property_only | {"facts": frozenset({Fact.CONSENT_ATTEMPTED, Fact.SUPERVISOR_APPROVED})}
    assert judge(**approved, terms="gmo-linkdrive").outcome is Outcome.PERMIT_REVIEW


def test_g_link_human_rights_are_not_property():
    """«人命や人権の保護のために緊急の必要がある場合»: life or human rights, and no word of a thing."""
    property_only = {
        "path": Path.PROPERTY,
        "danger": "property",
        "recipient_class": "POL",
        "facts": frozenset({Fact.CONSENT_ATTEMPTED, Fact.SUPERVISOR_APPROVED}),
    }

    assert judge(terms="g-link").clause == "g-link/read-2026-11#provision, life or human rights"
    assert ("JP-06", "terms") in whys(judge(**property_only, terms="g-link"))


THIRD_PERSON = {
    "path": Path.THIRD_PARTY,
    "danger": "third_person",
    "consent_difficulty": "delay",
    "facts": frozenset({Fact.THIRD_PARTY_IN_DANGER, Fact.CUSTOMER_DATA_NEEDED}),
}
MANY = {
    "path": Path.MASS_EVENT,
    "consent_difficulty": "mass",
    "facts": frozenset({Fact.MASS_EVENT, Fact.ASKING_ALL_UNREASONABLE}),
}
AGAINST_A_REFUSAL = frozenset({Fact.SUPERVISOR_APPROVED, Fact.REASON_WRITTEN})
OWN_LIFE_REFUSED = {
    "path": Path.REFUSED,
    "consent_difficulty": "refused",
    "facts": AGAINST_A_REFUSAL | {Fact.CAPACITY_IN_DOUBT},
}
ANOTHERS_LIFE_REFUSED = {
    "path": Path.REFUSED,
    "danger": "third_person",
    "consent_difficulty": "refused",
    "facts": AGAINST_A_REFUSAL | {Fact.THIRD_PARTY_IN_DANGER},
}


@pytest.mark.parametrize(
    ("terms", "case", "clause"),
    [
        ("mitsubishi-connect", {}, "4(2)"),  # 4(2): the user's own life
        ("mitsubishi-connect", THIRD_PERSON, "4(3)"),  # 4(3): otherwise, as law permits
        ("mitsubishi-connect", MANY, "4(3)"),
        ("mitsubishi-connect", OWN_LIFE_REFUSED, "4(2)"),
        ("mitsubishi-connect", ANOTHERS_LIFE_REFUSED, "4(3)"),
        ("okura", {}, "9(5)"),  # 9⑤: a comparable need; 9④ speaks of a third person alone
        ("okura", THIRD_PERSON, "9(4)"),
        ("okura", OWN_LIFE_REFUSED, "9(5)"),
        ("okura", ANOTHERS_LIFE_REFUSED, "9(4)"),
    ],
)
def test_whose_life_it_is_decides_the_clause(terms, case, clause):
    verdict = judge(**case, terms=terms)

    assert verdict.outcome.permits
    assert verdict.clause.endswith(f"#{clause}")


def test_terms_that_nobody_knows_permit_nothing():
    assert ("JP-01", "terms") in whys(judge(terms="nobody's"))


def whys(verdict):
    return {(tried.rule, tried.why) for tried in verdict.tried}


def test_the_law_in_force_on_the_day_decides():
    asked = changed(
        jurisdiction="GB",
        path=Path.PUBLIC_TASK,
        named=frozenset({Category.LOC}),
        facts=frozenset({Fact.PUBLIC_BODY_ASKS, Fact.STATUTORY_TASK_STATED, Fact.CALL_BACK_VERIFIED}),
    )

    assert judge(asked, as_of=date(2026, 2, 4)).rule == "XX-99"
    assert judge(asked, as_of=date(2026, 2, 5)).law_version == "UK-GDPR-2026-02-05"


def test_before_there_was_a_law_and_where_there_is_none_a_person_decides():
    assert (judge(as_of=date(2020, 1, 1)).rule, judge(jurisdiction="ZZ").rule) == ("XX-99", "XX-99")


def test_a_case_is_read_strictly_and_names_the_place_of_its_fault():
    assert read_case(b'{"jurisdiction":"JP","live":true,"recipient_class":"FIRE","facts":["good_faith"]}').live
    for data, field in [
        (b"", "$"),
        (b"{", "$"),
        (b"\xff", "$"),
        (b'{"jurisdiction":"JP","live":true}', "$"),
        (b'{"jurisdiction":"JP","live":true,"recipient_class":"FIRE","colour":1}', "$"),
        (b'{"jurisdiction":"JP","live":1,"recipient_class":"FIRE"}', "$.live"),
        (b'{"jurisdiction":"JP","live":true,"recipient_class":"FIRE","facts":["rumour"]}', "$.facts[0]"),
        (
            b'{"jurisdiction":"JP","live":true,"recipient_class":"FIRE","held_categories":["XYZ"]}',
            "$.held_categories[0]",
        ),
    ]:
        with pytest.raises(Malformed) as caught:
            read_case(data)
        assert caught.value.field.replace("[...]", "[0]") == field, data
