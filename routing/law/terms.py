"""What a brand has promised its customers about telling others, clause by clause, as versioned data.

A law may permit what the contract does not, and the other way round; a disclosure record names both.  Where the terms
have no clause for a path, that path ends with a supervisor; but no terms may leave the rescue of people out.
"""

from datetime import date

import msgspec
from msgspec import Struct

from routing.errors import Misconfigured
from routing.law.codes import Fact, Path
from routing.services import Recipient

RESCUE = (Path.AGREED, Path.LIFE_PROTECTION, Path.THIRD_PARTY)
"""Paths that every terms file must speak of: rescue is never blocked by something that was forgotten."""


class Clause(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    paths: frozenset[Path]
    clause: str
    """As numbered in the document, such as ``4(2)``."""
    grounds: frozenset[str] = frozenset()
    """Ground codes it speaks of, where one path can rest on several: the person's own life, or a third person's.
    Empty: whatever ground the row of the law gives."""
    recipients: frozenset[Recipient] = frozenset()
    """Where the clause names who may be told; empty: whoever the law allows."""
    requires: frozenset[Fact] = frozenset()
    """What the house asks for beyond the law before it relies on this clause."""


class Terms(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    title: str
    version: str
    valid_from: date
    valid_to: date | None = None
    """Last day; None while in force."""
    opt_out_override: str = ""
    """The clause that says that a stop of sharing does not hold in an emergency."""
    clause: tuple[Clause, ...]

    def reference(self, clause: str) -> str:
        """``clause`` as a record names it: ``mitsubishi-connect/2026-05-15#4(2)``."""
        return f"{self.name}/{self.version}#{clause}"

    def clause_for(self, path: Path, ground: str = "") -> Clause | None:
        """The clause for ``path``; where several speak of it, the one that names ``ground``."""
        found = [each for each in self.clause if path in each.paths]
        return next((each for each in found if ground in each.grounds), None) or next(
            (each for each in found if not each.grounds), None
        )


def read_terms(document: dict[str, object], *, source: str) -> Terms:
    """Terms from a parsed TOML document.  ``Misconfigured`` names what is wrong."""
    try:
        terms = msgspec.convert(document, Terms)
    except msgspec.ValidationError as fault:
        raise Misconfigured(f"terms file {source}: {fault}") from fault
    said = [(path, ground) for clause in terms.clause for path in clause.paths for ground in clause.grounds or {""}]
    if twice := next((path for path, ground in said if said.count((path, ground)) > 1), None):
        raise Misconfigured(f"terms file {source}: two clauses for {twice.value}")
    if missing := next((path for path in RESCUE if (path, "") not in said), None):
        raise Misconfigured(f"terms file {source}: no clause for {missing.value}")
    if empty := next((clause for clause in terms.clause if not clause.clause.strip()), None):
        raise Misconfigured(f"terms file {source}: a clause for {', '.join(sorted(empty.paths))} has no number")
    return terms
