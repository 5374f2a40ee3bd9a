"""Whether somebody may be told, on what ground, and what.

Rows are tried from the top and the first that fits decides.  Where further rows fit, their grounds are kept too and the
narrower list of categories counts, unless a row says that it extends the one that decided.  Restrictions come last:
what must hold besides.  Where no row fits, the last row refers the case to a supervisor.  Nothing here raises.
"""

from datetime import date

from msgspec import Struct

from routing.categories import Category
from routing.law.case import Case
from routing.law.codes import Obligation, OptOut, Outcome
from routing.law.rule_book import Edition, Grant, Restriction, Rule, RuleBook
from routing.law.terms import Clause, Terms
from routing.services import RECIPIENT


class Tried(Struct, frozen=True):
    """A row that did not fire, and the first condition that kept it."""

    rule: str
    why: str
    """``path``, ``mode``, ``not_live``, ``still_live``, ``no_danger``, ``no_consent_difficulty``, ``missing:<fact>``,
    ``none_of:<facts>``, ``forbidden:<fact>``, ``recipient``, ``nothing_named``, ``opt_out``, ``terms``,
    ``terms_recipient`` or ``terms_require:<fact>``."""


class Verdict(Struct, frozen=True, kw_only=True):
    outcome: Outcome
    rule: str
    """Row that decided, such as ``JP-01``."""
    also: tuple[str, ...] = ()
    """Further rows and restrictions that fit; their grounds stand beside and they may have narrowed the list."""
    ground: str = ""
    """Ground code, such as ``JP-27-1-ii``; empty where nothing is permitted."""
    grounds: tuple[str, ...] = ()
    """Every ground relied on, the first among them."""
    edition: str = ""
    """Rule table and version, such as ``jp-1``; empty where no table holds for the place."""
    law_version: str = ""
    provision: str = ""
    """Where the law says so, for people."""
    clause: str = ""
    """Clause of the customer terms that says the same; empty where none is known or nothing is permitted."""
    opt_out_clause: str = ""
    """Clause that sets the wish not to share aside in an emergency; empty where it was not."""
    necessity: str = ""
    """The danger code relied on; empty where nothing is permitted."""
    consent: str = ""
    """The consent difficulty code relied on; empty where nothing is permitted."""
    categories: tuple[Category, ...] = ()
    """What may be sent: what the row allows and is held, in the order of ``Category``."""
    withheld: tuple[Category, ...] = ()
    """What is held and may not be sent."""
    without: tuple[str, ...] = ()
    """Fields to be left out of what is sent, such as ``VEH.licensePlate``."""
    statements: tuple[str, ...] = ()
    """What may be said in words."""
    inbound: bool = False
    """``categories`` may be taken in; nothing is given out."""
    opt_out_overridden: bool = False
    record: tuple[Obligation, ...] = ()
    """What the disclosure record must hold, and what is still to be done."""
    offers: tuple[str, ...] = ()
    """Rows that could permit it."""
    tried: tuple[Tried, ...] = ()
    """Rows that did not fire, in their order."""


_PERMITTED = (Obligation.RECIPIENT, Obligation.CATEGORIES, Obligation.WITHHELD, Obligation.BRIEF_DIGEST)
"""What every permitted disclosure records, whatever its row says."""


def evaluate(case: Case, *, rules: RuleBook, as_of: date) -> Verdict:
    """The verdict on ``case`` under the rules in force on ``as_of``.  What is not permitted is referred or denied."""
    edition = rules.edition(case.jurisdiction, as_of)
    if edition is None:
        return _nothing_fits(case, rules, None, ())
    terms = rules.terms(case.terms, as_of) if case.terms else None
    first: Rule | None = None
    more: list[Rule] = []
    tried: list[Tried] = []
    for rule in edition.rule:
        why = _misfit(case, rule, terms)
        if why is not None:
            tried.append(Tried(rule.id, why))
        elif first is None and not rule.extends:
            first = rule
        else:
            more.append(rule)
    if first is None:
        return _nothing_fits(case, rules, edition, tuple(tried))
    if not first.outcome.permits:
        return _not_permitted(case, first, edition, tuple(tried))
    further = [rule for rule in more if rule.outcome.permits and rule.extends in ("", first.id)]
    return _restricted(case, edition, terms, first, further, tried)


def _misfit(case: Case, rule: Rule, terms: Terms | None) -> str | None:
    """The first condition of the row that the case does not meet."""
    if case.path not in rule.paths:
        return "path"
    if case.mode not in rule.modes:
        return "mode"
    if rule.live != "either" and case.live is not (rule.live == "open"):
        return "still_live" if case.live else "not_live"
    # APPI Art. 27(1)(ii) has two limbs and both must hold: necessity, and consent hard to obtain.
    if rule.dangers and case.danger not in rule.dangers:
        return "no_danger"
    if rule.consent_difficulties and case.consent_difficulty not in rule.consent_difficulties:
        return "no_consent_difficulty"
    if not rule.requires <= case.facts:
        return f"missing:{min(rule.requires - case.facts)}"
    if rule.any_of and not rule.any_of & case.facts:
        return f"none_of:{','.join(sorted(rule.any_of))}"
    if rule.forbids & case.facts:
        return f"forbidden:{min(rule.forbids & case.facts)}"
    if not rule.outcome.permits:
        return None
    return _not_for(case, rule) or _not_promised(case, rule, terms)


def _not_for(case: Case, rule: Rule) -> str | None:
    """Whether a row that permits does not permit this to this recipient."""
    grant = rule.grant(case.recipient_class)
    service = case.recipient_service
    if grant is None or (service is not None and RECIPIENT[service] != case.recipient_class):
        return "recipient"
    if grant.named and not case.named & grant.at_most and not grant.statements:
        return "nothing_named"
    if case.opt_out and rule.opt_out is OptOut.BLOCKS:
        return "opt_out"
    return None


def _not_promised(case: Case, rule: Rule, terms: Terms | None) -> str | None:
    """Whether the customer's terms leave this path out, or ask for more than the law."""
    if terms is None:
        return "terms" if case.terms else None
    clause = terms.clause_for(case.path, rule.ground)
    if clause is None:
        return "terms"
    if clause.recipients and case.recipient_class not in clause.recipients:
        return "terms_recipient"
    if not clause.requires <= case.facts:
        return f"terms_require:{min(clause.requires - case.facts)}"
    return None


def _nothing_fits(case: Case, rules: RuleBook, edition: Edition | None, tried: tuple[Tried, ...]) -> Verdict:
    last = rules.default
    return Verdict(
        outcome=last.outcome,
        rule=last.id,
        edition=edition.name if edition else "",
        law_version=edition.law_version if edition else "",
        withheld=_ordered(case.held_categories),
        record=last.record + (last.record_live if case.live else ()),
        tried=tried,
    )


def _not_permitted(case: Case, rule: Rule, edition: Edition, tried: tuple[Tried, ...]) -> Verdict:
    return Verdict(
        outcome=rule.outcome,
        rule=rule.id,
        edition=edition.name,
        law_version=edition.law_version,
        provision=rule.provision,
        withheld=_ordered(case.held_categories),
        record=rule.record,
        offers=rule.offers,
        tried=tried,
    )


def _restricted(
    case: Case, edition: Edition, terms: Terms | None, first: Rule, further: list[Rule], tried: list[Tried]
) -> Verdict:
    """The row that decided, narrowed by what else fits and by what must hold besides."""
    allowed = _allowed(case, first)
    rules, record = [first, *further], dict.fromkeys((*_PERMITTED, *first.record))
    for rule in further:
        allowed = allowed | _allowed(case, rule) if rule.extends else allowed & _allowed(case, rule)
        record |= dict.fromkeys(rule.record)
    grounds = dict.fromkeys(rule.ground for rule in rules)
    also = [rule.id for rule in further]
    for each in edition.restriction:
        if each.fact not in case.facts:
            continue
        exempt = bool(each.satisfied_by) and first.ground.startswith(each.satisfied_by)
        if not exempt and (unmet := _unmet(case, each)):
            return _restriction_unmet(case, each, edition, (*tried, Tried(each.id, unmet)))
        if not exempt and each.categories is not None:
            allowed &= each.categories
        also.append(each.id)
        record |= dict.fromkeys(each.record)
        if each.ground:
            grounds[each.ground] = None
    overridden = case.opt_out and first.opt_out is OptOut.OVERRIDDEN
    if overridden:
        record[Obligation.OPT_OUT_OVERRIDE] = None
    return Verdict(
        outcome=_strictest(rules),
        rule=first.id,
        also=tuple(also),
        ground=first.ground,
        grounds=tuple(grounds),
        edition=edition.name,
        law_version=edition.law_version,
        provision=first.provision,
        clause=_clause(case, first, terms),
        opt_out_clause=_override_clause(terms) if overridden else "",
        necessity=case.danger or "",
        consent=case.consent_difficulty or "",
        categories=_ordered(allowed),
        withheld=() if first.inbound else _ordered(case.held_categories - allowed),
        without=_left_out(case, rules, allowed),
        statements=_statements(case, rules),
        inbound=first.inbound,
        opt_out_overridden=overridden,
        record=tuple(record),
        tried=tuple(tried),
    )


def _allowed(case: Case, rule: Rule) -> frozenset[Category]:
    grant = rule.grant(case.recipient_class)
    if grant is None:
        return frozenset()
    granted = grant.categories | _conditional(case, grant)
    if grant.named:
        granted &= case.named
    return granted if rule.inbound else granted & case.held_categories


def _conditional(case: Case, grant: Grant) -> frozenset[Category]:
    return frozenset(
        each.category for each in grant.conditional if each.requires <= case.facts and (case.live or not each.live)
    )


def _unmet(case: Case, restriction: Restriction) -> str | None:
    if not (restriction.requires or restriction.any_of):
        return "ground"
    if not restriction.requires <= case.facts:
        return f"missing:{min(restriction.requires - case.facts)}"
    if restriction.any_of and not restriction.any_of & case.facts:
        return f"none_of:{','.join(sorted(restriction.any_of))}"
    return None


def _restriction_unmet(case: Case, each: Restriction, edition: Edition, tried: tuple[Tried, ...]) -> Verdict:
    return Verdict(
        outcome=Outcome.REFER,
        rule=each.id,
        edition=edition.name,
        law_version=edition.law_version,
        provision=each.provision,
        withheld=_ordered(case.held_categories),
        record=each.record,
        tried=tried,
    )


def _strictest(rules: list[Rule]) -> Outcome:
    review = any(rule.outcome is Outcome.PERMIT_REVIEW for rule in rules)
    return Outcome.PERMIT_REVIEW if review else Outcome.PERMIT


def _clause(case: Case, rule: Rule, terms: Terms | None) -> str:
    clause: Clause | None = terms.clause_for(case.path, rule.ground) if terms else None
    return terms.reference(clause.clause) if terms and clause else ""


def _override_clause(terms: Terms | None) -> str:
    return terms.reference(terms.opt_out_override) if terms and terms.opt_out_override else ""


def _statements(case: Case, rules: list[Rule]) -> tuple[str, ...]:
    grants = [grant for rule in rules if (grant := rule.grant(case.recipient_class))]
    return tuple(dict.fromkeys(text for grant in grants for text in grant.statements))


def _left_out(case: Case, rules: list[Rule], allowed: frozenset[Category]) -> tuple[str, ...]:
    found = {
        f"{category.value}.{field}": None
        for rule in rules
        if (grant := rule.grant(case.recipient_class)) is not None
        for category, fields in grant.without.items()
        if category in allowed
        for field in fields
    }
    return tuple(found)


def _ordered(categories: frozenset[Category]) -> tuple[Category, ...]:
    return tuple(category for category in Category if category in categories)
