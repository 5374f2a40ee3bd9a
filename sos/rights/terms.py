"""What a person may ask, in which time, at what fee, and why it may be refused: data, of which the house has one file.

The law is Japan's: APPI Art. 32 to 40.  ``read`` refuses a file in which something is missing, with its name.
"""

import tomllib
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from routing.categories import Category
from sos.errors import Malformed, Misconfigured

Name = Annotated[str, Meta(min_length=1, max_length=200)]

IDENTITY = "identity-not-proved"
KEPT = "duty-to-keep"

RIGHTS = (
    "disclosure",
    "provision_records",
    "correction",
    "addition",
    "deletion",
    "cease_use",
    "cease_provision",
)
"""The seven; each has an entry in the terms."""

ANSWERED_WITH_A_DOCUMENT = frozenset({"disclosure", "provision_records"})


class Words(Struct, frozen=True, forbid_unknown_fields=True):
    ja: Name
    en: Name


class Right(Struct, frozen=True, forbid_unknown_fields=True):
    code: Name
    article: Name
    ja: Name
    en: Name


class Refusal(Struct, frozen=True, forbid_unknown_fields=True):
    rule: Name
    article: Name
    rights: tuple[str, ...]
    ja: Name
    en: Name


class Extension(Struct, frozen=True, forbid_unknown_fields=True):
    reason: Name
    ja: Name
    en: Name


class BreachTerms(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    what: tuple[Name, ...]
    preliminary_days: Annotated[int, Meta(ge=1, le=5)]
    final_days: Annotated[int, Meta(ge=1, le=30)]
    final_malicious_days: Annotated[int, Meta(ge=1, le=60)]
    always: tuple[Category, ...]
    many: Annotated[int, Meta(ge=1, le=1000)]


class RightsTerms(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    days: Annotated[int, Meta(ge=1, le=30)]
    """No more than was promised to customers."""
    extension_days: Annotated[int, Meta(ge=0, le=60)]
    fee_yen: Annotated[int, Meta(ge=0, le=10_000)]
    free_copies: Annotated[int, Meta(ge=1)]
    proofs: tuple[Name, ...]
    """What may be shown for an identity."""
    breach: BreachTerms
    authority: Words
    right: tuple[Right, ...]
    refusal: tuple[Refusal, ...]
    extension: tuple[Extension, ...]
    ground: Mapping[str, Words]
    opt_out: Words
    digest: str = ""

    @property
    def within(self) -> timedelta:
        return timedelta(days=self.days)

    @property
    def extended(self) -> timedelta:
        return timedelta(days=self.extension_days)

    def the_right(self, code: str) -> Right:
        """``Malformed`` where the law gives none of that name."""
        found = next((each for each in self.right if each.code == code), None)
        if found is None:
            raise Malformed(f"a right is one of {', '.join(each.code for each in self.right)}", field="$.right")
        return found

    def the_refusal(self, rule: str, right: str) -> Refusal:
        """``Malformed`` where the rule is none, or does not hold for the right."""
        for each in self.refusal:
            if each.rule == rule and (not each.rights or right in each.rights):
                return each
        fitting = [each.rule for each in self.refusal if not each.rights or right in each.rights]
        raise Malformed(f"{right} may be refused for {', '.join(fitting)}", field="$.rule")

    def the_extension(self, reason: str) -> Extension:
        found = next((each for each in self.extension if each.reason == reason), None)
        if found is None:
            raise Malformed(f"a reason is one of {', '.join(each.reason for each in self.extension)}", field="$.reason")
        return found

    def said(self, ground: str) -> Words:
        """What an answer says of ``ground``; the code alone where the terms have no words for it."""
        return self.ground.get(ground) or self.ground.get(ground.partition("/")[0]) or Words(ja=ground, en=ground)


def read(text: str, *, name: str) -> RightsTerms:
    """The terms in a TOML file; ``Misconfigured`` names what is wrong."""
    try:
        terms = msgspec.convert(tomllib.loads(text), RightsTerms)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as wrong:
        raise Misconfigured(f"rights_terms: {name}: {wrong}") from wrong
    if missing := set(RIGHTS) ^ {each.code for each in terms.right}:
        raise Misconfigured(f"rights_terms: {name}: the rights are {', '.join(RIGHTS)}; see {min(missing)}")
    if absent := {IDENTITY, KEPT} - {each.rule for each in terms.refusal}:
        raise Misconfigured(f"rights_terms: {name}: no refusal {min(absent)}")
    return msgspec.structs.replace(terms, digest=sha256(text.encode()).hexdigest()[:12])


@cache
def shipped() -> RightsTerms:
    """The house's own."""
    return read((resources.files("sos.rights") / "terms.toml").read_text(encoding="utf-8"), name="terms.toml")


def configured(path: str) -> RightsTerms:
    """Of the file that the settings name; the shipped ones without."""
    if not path:
        return shipped()
    try:
        return read(Path(path).read_text(encoding="utf-8"), name=Path(path).name)
    except (OSError, UnicodeDecodeError) as wrong:
        raise Misconfigured(f"rights_terms: {path} cannot be read") from wrong
