"""By what right an agency may be told what: the rule tables of the law, evaluated for one disclosure.

The rows are data (``routing/rules``), because the wording of the law moves and a lawyer must be able to read them; the
meaning of a row is code.  ``codes`` holds the words of the tables, ``rule_book`` reads and checks them, ``case`` is one
request to tell somebody something, ``evaluate`` decides it.
"""

from routing.law.case import Case, read_case
from routing.law.codes import ConsentDifficulty, Danger, Fact, Obligation, OptOut, Outcome, Path
from routing.law.evaluate import Tried, Verdict, evaluate
from routing.law.rule_book import Edition, Grant, Restriction, Rule, RuleBook
from routing.law.terms import Clause, Terms

__all__ = [
    "Case",
    "Clause",
    "ConsentDifficulty",
    "Danger",
    "Edition",
    "Fact",
    "Grant",
    "Obligation",
    "OptOut",
    "Outcome",
    "Path",
    "Restriction",
    "Rule",
    "RuleBook",
    "Terms",
    "Tried",
    "Verdict",
    "evaluate",
    "read_case",
]
