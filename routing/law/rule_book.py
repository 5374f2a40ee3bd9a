"""The rule tables, read and checked: one file for each edition of a law, one for each edition of a brand's terms.

A table that is empty, unknown or contradicts itself is refused before the service starts: better no service than one
that tells strangers what nobody allowed.  Laws change on a day, so an edition holds from a day to a day, and the
editions of one jurisdiction follow each other without overlap or gap.
"""

import hashlib
import tomllib
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from importlib import resources
from itertools import pairwise
from pathlib import Path as FilePath
from typing import Literal, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Struct

from routing.categories import Category
from routing.errors import Misconfigured
from routing.law.codes import ConsentDifficulty, Danger, Fact, Obligation, OptOut, Outcome, Path
from routing.law.terms import Terms, read_terms
from routing.services import Recipient

TERMS = "terms"
"""Folder of the terms files, beside the rule files."""

EVERYWHERE = "*"
"""Jurisdiction of the file with the last row."""


class Conditional(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A category that is granted only if more holds."""

    category: Category
    requires: frozenset[Fact]
    live: bool = False
    """Only while the incident is open."""


class Grant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a row allows some recipients at most."""

    recipients: frozenset[Recipient]
    categories: frozenset[Category] = frozenset()
    conditional: tuple[Conditional, ...] = ()
    named: bool = False
    """Of these, only what the person, the body or the document has named."""
    without: Mapping[Category, tuple[str, ...]] = {}
    """Fields left out of a category, by their names in the report."""
    statements: tuple[str, ...] = ()
    """What may be said in words where no data is given: ``accident_reported``, ``hospital_name``."""

    @property
    def at_most(self) -> frozenset[Category]:
        return self.categories | {each.category for each in self.conditional}


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row.  All conditions must hold; one that is not named is not asked."""

    id: str
    title: str
    outcome: Outcome
    paths: frozenset[Path]
    ground: str = ""
    """Ground code, such as ``JP-27-1-ii``; empty only where nothing is permitted."""
    provision: str
    """Where the law says so, for people."""
    modes: frozenset[Literal["live", "drill"]] = frozenset({"live", "drill"})
    live: Literal["open", "over", "either"] = "either"
    """Whether the incident must be open, or over."""
    dangers: frozenset[Danger] = frozenset()
    consent_difficulties: frozenset[ConsentDifficulty] = frozenset()
    requires: frozenset[Fact] = frozenset()
    any_of: frozenset[Fact] = frozenset()
    forbids: frozenset[Fact] = frozenset()
    grants: tuple[Grant, ...] = ()
    opt_out: OptOut = OptOut.BLOCKS
    extends: str = ""
    """Id of a row: where both fit, this one adds to its categories (otherwise the narrower list would count)."""
    inbound: bool = False
    """The categories are taken in, not given out."""
    offers: tuple[str, ...] = ()
    """Rows that could permit it, to be named to the one who asks."""
    record: tuple[Obligation, ...]

    def grant(self, recipient: str) -> Grant | None:
        return next((grant for grant in self.grants if recipient in grant.recipients), None)


class Restriction(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What must hold besides the row wherever a fact is present; where it does not, a supervisor decides."""

    id: str
    title: str
    fact: Fact
    provision: str
    ground: str = ""
    """Recorded beside the ground of the row."""
    satisfied_by: tuple[str, ...] = ()
    """Grounds, by their beginnings, that need nothing more."""
    requires: frozenset[Fact] = frozenset()
    any_of: frozenset[Fact] = frozenset()
    categories: frozenset[Category] | None = None
    """Then no more than this; None: whatever the row allows."""
    record: tuple[Obligation, ...]


class Default(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The last row of every table: it fits everything and permits nothing."""

    id: str
    title: str
    outcome: Outcome = Outcome.REFER
    record: tuple[Obligation, ...]
    record_live: tuple[Obligation, ...] = ()
    """While the incident is open, besides."""


class Edition(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rules of one jurisdiction from a day to a day."""

    jurisdiction: str
    """Name of the table, such as ``JP`` or ``EU``."""
    covers: frozenset[str] = frozenset()
    """ISO 3166-1 codes it holds for, besides its own name."""
    version: str
    law_version: str
    """Which text of the law the rows were read from, such as ``APPI-2024-04-01``."""
    valid_from: date
    valid_to: date | None = None
    """Last day; None while in force."""
    zone: str = "UTC"
    """IANA name of the time its days are counted in: a law begins at midnight where it holds."""
    two_limbs: tuple[str, ...] = ()
    """Grounds, by their beginnings, that need both a danger and a difficulty of consent."""
    rule: tuple[Rule, ...] = ()
    restriction: tuple[Restriction, ...] = ()
    default: Default | None = None

    @property
    def name(self) -> str:
        return f"{self.jurisdiction.lower().replace(EVERYWHERE, 'xx')}-{self.version}"


_Dated = TypeVar("_Dated", Edition, Terms)


class RuleBook:
    """Every edition of every law and of every brand's terms.  Immutable."""

    def __init__(self, editions: Iterable[Edition], terms: Iterable[Terms] = (), *, digest: str) -> None:
        """``Misconfigured`` names the file or row that is wrong."""
        editions = tuple(editions)
        self.digest = digest
        """Hex SHA-256 over the files the rules were read from."""
        self.default = _default(editions)
        self.editions = tuple(edition for edition in editions if edition.default is None)
        if not self.editions:
            raise Misconfigured("the rule tables are empty: no jurisdiction has rules")
        for edition in self.editions:
            _check(edition, self.default.id)
        by_code: dict[str, list[Edition]] = {}
        for edition in self.editions:
            for code in {edition.jurisdiction} | edition.covers:
                by_code.setdefault(code, []).append(edition)
        self._editions = {code: _in_order(found, f"law of {code}") for code, found in by_code.items()}
        by_name: dict[str, list[Terms]] = {}
        for each in terms:
            by_name.setdefault(each.name, []).append(each)
        self._terms = {name: _in_order(found, f"terms {name}") for name, found in by_name.items()}

    @classmethod
    def shipped(cls) -> "RuleBook":
        """The rules for Japan, the EU, the UK and the USA, and the terms, that ship with the package."""
        folder = resources.files("routing") / "rules"
        files = {each.name: each.read_bytes() for each in folder.iterdir() if each.name.endswith(".toml")}
        terms = (each for each in (folder / TERMS).iterdir() if each.name.endswith(".toml"))
        return cls.read(files | {f"{TERMS}/{each.name}": each.read_bytes() for each in terms})

    @classmethod
    def load(cls, folder: FilePath) -> "RuleBook":
        """The rules in ``folder`` and the terms in its folder ``terms``.  ``Misconfigured`` when there are none."""
        files = (*sorted(folder.glob("*.toml")), *sorted((folder / TERMS).glob("*.toml")))
        if not files:
            raise Misconfigured(f"{folder} holds no rule files (*.toml)")
        return cls.read({file.relative_to(folder).as_posix(): file.read_bytes() for file in files})

    @classmethod
    def read(cls, files: Mapping[str, bytes]) -> "RuleBook":
        """Rules from TOML, by file name.  ``Misconfigured`` when they are empty, unknown or contradictory."""
        editions, terms = [], []
        for source, data in sorted(files.items()):
            document = _parse(data, source)
            if source.startswith(f"{TERMS}/"):
                terms.append(read_terms(document, source=source))
            else:
                editions.append(_edition(document, source))
        told = hashlib.sha256()
        for source, data in sorted(files.items()):
            told.update(f"{source}\0{len(data)}\0".encode() + data)
        return cls(editions, terms, digest=told.hexdigest())

    @property
    def dataset(self) -> str:
        """Name and digest, as plans and disclosures record it."""
        return f"rules@{self.digest}"

    @property
    def jurisdictions(self) -> tuple[str, ...]:
        """Every code that has a table, in order."""
        return tuple(sorted(self._editions))

    @property
    def brands(self) -> tuple[str, ...]:
        """Every name that has terms, in order."""
        return tuple(sorted(self._terms))

    def edition(self, jurisdiction: str, as_of: date) -> Edition | None:
        """The rules in force there on that day; None where there are none."""
        return _on(self._editions.get(jurisdiction, ()), as_of)

    def day(self, jurisdiction: str, at: datetime) -> date:
        """The day there at the instant ``at`` (aware): Japan's law changes when it is 15:00 UTC the day before."""
        return at.astimezone(ZoneInfo(self.zone(jurisdiction))).date()

    def zone(self, jurisdiction: str) -> str:
        """IANA name of the time there; UTC where there is no table."""
        known = self._editions.get(jurisdiction)
        return known[-1].zone if known else "UTC"

    def terms(self, name: str, as_of: date) -> Terms | None:
        return _on(self._terms.get(name, ()), as_of)

    def require(self, jurisdictions: Iterable[str] = (), *, terms: Iterable[str] = (), as_of: date) -> None:
        """``Misconfigured`` names the first jurisdiction or terms that somebody relies on and that are not there."""
        for code in sorted(set(jurisdictions)):
            if self.edition(code, as_of) is None:
                raise Misconfigured(f"no disclosure rules for jurisdiction {code!r} on {as_of}")
        for name in sorted(set(terms)):
            if self.terms(name, as_of) is None:
                raise Misconfigured(f"no terms {name!r} on {as_of}")


def _parse(data: bytes, source: str) -> dict[str, object]:
    try:
        return tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise Misconfigured(f"rule file {source}: {fault}") from fault


def _edition(document: dict[str, object], source: str) -> Edition:
    try:
        return msgspec.convert(document, Edition)
    except msgspec.ValidationError as fault:
        raise Misconfigured(f"rule file {source}: {fault}") from fault


def _default(editions: tuple[Edition, ...]) -> Default:
    last = [edition for edition in editions if edition.default is not None]
    if len(last) != 1:
        raise Misconfigured(f"exactly one rule file must hold the last row [default]; {len(last)} do")
    if last[0].jurisdiction != EVERYWHERE or last[0].rule or last[0].restriction:
        raise Misconfigured(f"{last[0].name}: the file with the last row is for jurisdiction '*' and holds no other")
    default = last[0].default
    if default is None or default.outcome.permits or not default.record:
        raise Misconfigured(f"{last[0].name}: the last row must not permit, and must record something")
    return default


def _in_order(found: list[_Dated], of: str) -> tuple[_Dated, ...]:
    """By day.  ``Misconfigured`` when two hold on one day, or a day lies between two."""
    ordered = tuple(sorted(found, key=lambda each: each.valid_from))
    for each in ordered:
        if each.valid_to is not None and each.valid_to < each.valid_from:
            raise Misconfigured(f"{of}: version {each.version!r} ends before it begins")
    for before, after in pairwise(ordered):
        if before.valid_to is None or before.valid_to >= after.valid_from:
            raise Misconfigured(
                f"{of}: versions {before.version!r} and {after.version!r} overlap on {after.valid_from}"
            )
        if before.valid_to + timedelta(days=1) != after.valid_from:
            raise Misconfigured(f"{of}: no version between {before.valid_to} and {after.valid_from}")
    return ordered


def _on(ordered: tuple[_Dated, ...], day: date) -> _Dated | None:
    for each in reversed(ordered):
        if each.valid_from <= day:
            return each if each.valid_to is None or day <= each.valid_to else None
    return None


def _check(edition: Edition, last: str) -> None:
    if not edition.rule:
        raise Misconfigured(f"{edition.name}: the rule table is empty")
    try:
        ZoneInfo(edition.zone)
    except (ZoneInfoNotFoundError, ValueError) as fault:
        raise Misconfigured(f"{edition.name}: {edition.zone!r} is no time zone that this machine knows") from fault
    ids = [rule.id for rule in edition.rule] + [each.id for each in edition.restriction] + [last]
    if twice := next((i for i in ids if ids.count(i) > 1), None):
        raise Misconfigured(f"{edition.name}: rule {twice!r} occurs twice")
    for rule in edition.rule:
        where = f"{edition.name}: rule {rule.id!r}"
        _check_row(rule, where)
        if rule.outcome.permits:
            _check_permit(rule, where, edition)
        elif rule.grants or rule.ground:
            raise Misconfigured(f"{where}: outcome {rule.outcome.value} permits nothing, so no ground and no grants")
        if unknown := next((each for each in (*rule.offers, rule.extends) if each and each not in ids), None):
            raise Misconfigured(f"{where}: there is no rule {unknown!r}")
    for each in edition.restriction:
        if not (each.record and (each.satisfied_by or each.requires or each.any_of)):
            raise Misconfigured(f"{edition.name}: restriction {each.id!r} can never be met, or records nothing")


def _check_row(rule: Rule, where: str) -> None:
    for field in ("id", "title", "provision", "paths", "modes", "record"):
        if not getattr(rule, field):
            raise Misconfigured(f"{where}: {field} is empty")
    if both := rule.forbids & (rule.requires | rule.any_of):
        raise Misconfigured(f"{where}: {min(both).value} is both required and forbidden")


def _check_permit(rule: Rule, where: str, edition: Edition) -> None:
    if not rule.ground:
        raise Misconfigured(f"{where}: ground is empty")
    if rule.ground.startswith(edition.two_limbs or "\0") and not (rule.dangers and rule.consent_difficulties):
        raise Misconfigured(f"{where}: both limbs must be named, dangers and consent_difficulties")
    if rule.opt_out is OptOut.OVERRIDDEN and rule.live != "open":
        raise Misconfigured(f"{where}: only a live emergency overrides an opt-out")
    if not rule.grants:
        raise Misconfigured(f"{where}: no grants")
    recipients = [recipient for grant in rule.grants for recipient in grant.recipients]
    if twice := next((recipient for recipient in recipients if recipients.count(recipient) > 1), None):
        raise Misconfigured(f"{where}: recipient {twice.value} has two grants that may contradict each other")
    for grant in rule.grants:
        _check_grant(grant, where)


def _check_grant(grant: Grant, where: str) -> None:
    if not grant.recipients:
        raise Misconfigured(f"{where}: a grant names no recipient")
    if not (grant.at_most or grant.statements):
        raise Misconfigured(f"{where}: a grant allows nothing")
    if Category.RAW in grant.at_most:
        raise Misconfigured(f"{where}: RAW is never disclosed to an agency")
    for each in grant.conditional:
        if each.category in grant.categories:
            raise Misconfigured(f"{where}: {each.category.value} is granted both with and without a condition")
        if not (each.requires or each.live):
            raise Misconfigured(f"{where}: {each.category.value} is conditional on nothing")
    if stray := next((category for category in grant.without if category not in grant.at_most), None):
        raise Misconfigured(f"{where}: fields of {stray.value} are left out of what is not granted")
