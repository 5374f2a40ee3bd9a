"""By what right an agency may be told what: the rule table of the law, evaluated for one disclosure.

The rows are data (``rules/*.toml``), because the wording of the law moves and a lawyer must be able to read them; the
meaning of a row is code.  Rows are tried from the top and the first that fits decides; where none fits, the last row
does, and it says DENY.  A table that is empty, unknown or contradicts itself is refused before the service starts.

Follows the Act on the Protection of Personal Information of Japan (個人情報保護法, numbering since 2022).
"""

import hashlib
import tomllib
from datetime import date
from enum import StrEnum
from importlib import resources
from typing import Literal

import msgspec
from msgspec import Struct

from routing.categories import Category
from routing.errors import Misconfigured
from routing.services import RECIPIENT, Recipient, Service


class Outcome(StrEnum):
    PERMIT = "permit"
    REFER = "refer"
    """A supervisor decides."""
    DENY = "deny"


class Danger(StrEnum):
    """First limb of Art. 27(1)(ii): why it is necessary for the protection of life or body."""

    AUTOMATIC_CRASH = "automatic_crash"
    CALL_FOR_HELP = "call_for_help"
    SILENCE_AFTER_CRASH = "silence_after_crash"
    SOUNDS = "sounds"


class ConsentDifficulty(StrEnum):
    """Second limb of Art. 27(1)(ii): why consent is hard to obtain."""

    NO_ANSWER = "no_answer"
    UNINTELLIGIBLE = "unintelligible"
    UNCONSCIOUS = "unconscious"
    MINOR = "minor"
    """A child alone."""
    DELAY = "delay"
    """Asking would cost time that matters; the code a lawyer looks at first."""


class Case(Struct, frozen=True, kw_only=True):
    """One wish to tell one agency."""

    jurisdiction: str
    """ISO 3166-1 of the law that applies, such as ``JP``."""
    live: bool
    """The incident is open: help is still being brought."""
    danger: str | None
    """A ``Danger`` code, as named by the operator or the trigger; any other value fits no row."""
    consent_difficulty: str | None
    """A ``ConsentDifficulty`` code; any other value fits no row."""
    recipient_service: Service
    recipient_class: str
    """A ``Recipient`` code that fits the service; any other value fits no row."""
    held_categories: frozenset[Category]
    """What is held of this incident."""
    opt_out: bool = False
    """The person has asked that their data not be shared."""
    mode: str = "live"
    """``live``, ``drill`` or ``test``."""


class Tried(Struct, frozen=True):
    """A row that did not fire, and the first condition that kept it."""

    rule: str
    why: str
    """``jurisdiction``, ``mode``, ``not_live``, ``no_danger``, ``no_consent_difficulty``, ``recipient`` or
    ``opt_out``."""


class Verdict(Struct, frozen=True, kw_only=True):
    outcome: Outcome
    rule: str
    """Row that decided, such as ``JP-01``."""
    ground: str
    """Ground code, such as ``JP-27-1-ii``; empty on DENY."""
    law_version: str
    clause: str
    """Clause of the customer terms that says the same; empty on DENY."""
    necessity: str
    """The danger code relied on; empty on DENY."""
    consent: str
    """The consent difficulty code relied on; empty on DENY."""
    categories: tuple[Category, ...]
    """What may be sent: what the row allows and is held, in the order of ``Category``."""
    withheld: tuple[Category, ...]
    """What is held and may not be sent."""
    opt_out_overridden: bool
    record: tuple[str, ...]
    """What the disclosure record must hold."""
    tried: tuple[Tried, ...]
    """Rows passed over on the way."""


class Grant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a row allows some recipients at most."""

    recipients: tuple[Recipient, ...]
    categories: tuple[Category, ...]


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row that permits or refers.  All conditions must hold."""

    id: str
    title: str
    outcome: Literal["permit", "refer"]
    jurisdiction: str
    ground: str
    provision: str
    """Where the law says so, for people."""
    clause: str
    modes: tuple[Literal["live", "drill"], ...]
    dangers: tuple[Danger, ...]
    consent_difficulties: tuple[ConsentDifficulty, ...]
    grants: tuple[Grant, ...]
    overrides_opt_out: bool
    record: tuple[str, ...]


class Default(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The last row: it fits everything and permits nothing."""

    id: str
    title: str
    outcome: Literal["deny"]
    record: tuple[str, ...]


class _File(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    version: str
    law_version: str
    valid_from: date
    rule: tuple[Rule, ...]
    default: Default


class RuleBook:
    """A checked rule table.  Immutable after ``read``."""

    def __init__(self, file: _File, *, digest: str) -> None:
        """``Misconfigured`` names the row that is wrong."""
        self.name = f"{file.name}-{file.version}"
        self.law_version = file.law_version
        self.valid_from = file.valid_from
        self.rules = file.rule
        self.default = file.default
        self.digest = digest
        """Hex SHA-256 of the file the rules were read from."""
        if not file.rule:
            raise Misconfigured(f"{self.name}: the rule table is empty")
        ids = [rule.id for rule in file.rule] + [file.default.id]
        if twice := next((i for i in ids if ids.count(i) > 1), None):
            raise Misconfigured(f"{self.name}: rule {twice!r} occurs twice")
        for rule in file.rule:
            _check(rule, self.name)

    @classmethod
    def shipped(cls) -> "RuleBook":
        """The rules for Japan that ship with the package."""
        return cls.read((resources.files("routing") / "rules" / "jp.toml").read_bytes(), source="jp.toml")

    @classmethod
    def read(cls, data: bytes, *, source: str) -> "RuleBook":
        """Rules from TOML.  ``Misconfigured`` when they are empty, unknown or contradictory; it names the place."""
        try:
            file = msgspec.convert(tomllib.loads(data.decode()), _File)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as fault:
            raise Misconfigured(f"rule file {source}: {fault}") from fault
        return cls(file, digest=hashlib.sha256(data).hexdigest())

    @property
    def dataset(self) -> str:
        """Name and digest, as plans and disclosures record it."""
        return f"{self.name}@{self.digest}"


def evaluate(case: Case, *, book: RuleBook) -> Verdict:
    """Whether the agency may be told, on what ground, and what.  Never raises: what is not permitted is denied."""
    tried: list[Tried] = []
    for rule in book.rules:
        if why := _misfit(case, rule):
            tried.append(Tried(rule.id, why))
            continue
        return _verdict(case, rule, book, tuple(tried))
    return Verdict(
        outcome=Outcome.DENY,
        rule=book.default.id,
        ground="",
        law_version=book.law_version,
        clause="",
        necessity="",
        consent="",
        categories=(),
        withheld=_ordered(case.held_categories),
        opt_out_overridden=False,
        record=book.default.record,
        tried=tuple(tried),
    )


def _misfit(case: Case, rule: Rule) -> str | None:
    """The first condition of the row that the case does not meet."""
    if case.jurisdiction != rule.jurisdiction:
        return "jurisdiction"
    if case.mode not in rule.modes:
        return "mode"
    if not case.live:
        return "not_live"
    # APPI Art. 27(1)(ii) has two limbs and both must hold: necessity, and consent hard to obtain.
    if case.danger not in rule.dangers:
        return "no_danger"
    if case.consent_difficulty not in rule.consent_difficulties:
        return "no_consent_difficulty"
    if RECIPIENT[case.recipient_service] != case.recipient_class or _grant(case, rule) is None:
        return "recipient"
    if case.opt_out and not rule.overrides_opt_out:
        return "opt_out"
    return None


def _grant(case: Case, rule: Rule) -> Grant | None:
    return next((grant for grant in rule.grants if case.recipient_class in grant.recipients), None)


def _verdict(case: Case, rule: Rule, book: RuleBook, tried: tuple[Tried, ...]) -> Verdict:
    grant = _grant(case, rule)
    allowed = frozenset(grant.categories if grant else ())
    return Verdict(
        outcome=Outcome(rule.outcome),
        rule=rule.id,
        ground=rule.ground,
        law_version=book.law_version,
        clause=rule.clause,
        necessity=case.danger or "",
        consent=case.consent_difficulty or "",
        categories=_ordered(case.held_categories & allowed),
        withheld=_ordered(case.held_categories - allowed),
        opt_out_overridden=case.opt_out,
        record=rule.record,
        tried=tried,
    )


def _ordered(categories: frozenset[Category]) -> tuple[Category, ...]:
    return tuple(category for category in Category if category in categories)


def _check(rule: Rule, name: str) -> None:
    where = f"{name}: rule {rule.id!r}"
    for field in ("id", "jurisdiction", "ground", "provision", "clause", "modes", "record"):
        if not getattr(rule, field):
            raise Misconfigured(f"{where}: {field} is empty")
    if not (rule.dangers and rule.consent_difficulties):
        raise Misconfigured(f"{where}: both limbs must be named, dangers and consent_difficulties")
    recipients = [recipient for grant in rule.grants for recipient in grant.recipients]
    if not rule.grants:
        raise Misconfigured(f"{where}: no grants")
    if twice := next((recipient for recipient in recipients if recipients.count(recipient) > 1), None):
        raise Misconfigured(f"{where}: recipient {twice.value} has two grants that may contradict each other")
    for grant in rule.grants:
        if not grant.recipients:
            raise Misconfigured(f"{where}: a grant names no recipient")
        if not grant.categories:
            raise Misconfigured(f"{where}: a grant allows nothing")
        if Category.RAW in grant.categories:
            raise Misconfigured(f"{where}: RAW is never disclosed to an agency")
