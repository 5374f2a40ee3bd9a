"""A brand pack: everything the house does differently for one brand, as data a lawyer can read (TOML).

One file per brand.  The registry keeps every version that was ever in force, as an event; a pack with an unknown
field, or one that contradicts itself, is refused before the service starts.  Where two policies conflict (profiling,
call-back, what a transfer needs) the pack decides, and nothing else in the code knows a brand by name.
"""

import hashlib
import tomllib
from collections.abc import Collection, Mapping
from datetime import date, timedelta
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from recording.errors import RecordingError
from recording.retention import Period, house
from recording.retention import Terms as RetentionTerms
from routing.cards import BrandCards, Cards, read_cards
from routing.cards import shipped as shipped_cards
from routing.categories import Category
from routing.errors import Misconfigured as WrongData
from routing.law import Obligation, Terms
from routing.law import Path as LawPath
from routing.severity import DEFAULT, Cuts, model
from sos.errors import Misconfigured
from sos.incident.model import TenantId

_NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"
_Ground = Annotated[str, Meta(pattern="^[a-z_]+$", max_length=64)]
_Days = Annotated[int, Meta(ge=1, le=36_500)]
_Minutes = Annotated[int, Meta(ge=1, le=24 * 60)]


class Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of what a pack is made of."""


class Words(Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is said in the brand's name, in one language."""

    greeting: Annotated[str, Meta(min_length=1, max_length=500)]
    """Names who answers: the controller towards the customer may be another company than the brand (MINI 1.2)."""
    recording_notice: Annotated[str, Meta(max_length=500)] = ""
    """That the call is recorded (MINI 9.3)."""
    script: tuple[str, ...] = ()
    """What the operator asks, in order."""
    stop_consequence: Annotated[str, Meta(max_length=1000)] = ""
    """What a customer loses by refusing or stopping; shown and recorded (Mitsubishi 3(2))."""


class LegalText(Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One version of terms or policy; consents name it."""

    id: str
    version: str
    valid_from: date
    digest: str = ""
    """Hex SHA-256 of the document."""
    reconsent: bool = False
    """Consents given under an older version no longer count (Mitsubishi 11)."""


class CallBackRules(Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long after a call the car can be reached: 60 minutes, 30 or 10 on older links."""

    default_min: _Minutes = 60
    by_unit: dict[str, _Minutes] = {}

    def window(self, unit: str) -> timedelta:
        return timedelta(minutes=self.by_unit.get(unit, self.default_min))


class Retention(Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the brand promises otherwise than the house, within the bounds of ``recording/retention.toml``."""

    contract: str = "P1Y"
    """After the contract's end (BMW notice A): an ISO 8601 period, by the calendar."""
    financial: str = "P10Y"
    incident: dict[str, str] = {}
    """Retention class -> period."""
    instead: dict[Category, str] = {}
    """Category -> class, whatever the closing gave it: ``LOC = "telematics-4w"`` (BMW notice B)."""
    contract_days: _Days | None = None
    """As packs of before had it; calendar periods take its place."""
    financial_days: _Days | None = None

    @property
    def periods(self) -> Mapping[str, Period]:
        """Class -> period, of all that the brand sets."""
        contract = self.contract if self.contract_days is None else f"P{self.contract_days}D"
        financial = self.financial if self.financial_days is None else f"P{self.financial_days}D"
        told = {"contract-1y": contract, "finance-10y": financial, **self.incident}
        return {name: Period.parse(period) for name, period in told.items()}


class Severity(Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    model: str = DEFAULT
    attention_percent: Annotated[int, Meta(ge=1, le=99)] = round(Cuts().attention * 100)
    severe_percent: Annotated[int, Meta(ge=1, le=99)] = round(Cuts().severe * 100)

    @property
    def cuts(self) -> Cuts:
        return Cuts(attention=self.attention_percent / 100, severe=self.severe_percent / 100)


class BrandPack(Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that is the brand's own.  ``Misconfigured`` names what is wrong with it."""

    id: Annotated[str, Meta(pattern=_NAME)]
    """The tenant whose pack it is."""
    name_ja: str
    name_en: str
    controller: str
    """Who answers for the personal data."""
    operator: str
    """Who renders the service towards the customer, when that is not the controller (G-Link, MINI 1.2)."""
    jurisdiction: Annotated[str, Meta(pattern="^[A-Z]{2}$")]
    profiling: bool
    """False where the policy says that no profiling is done (Mitsubishi 7): then severity is never scored.

    There is no default: somebody must have read the policy.
    """
    words: dict[str, Words]
    """By language (BCP 47); the first is the brand's own."""
    legal_texts: tuple[LegalText, ...]
    clauses: dict[_Ground, str] = {}
    """Where the brand's terms say what the law also says: path or ground -> ``text/version#clause``."""
    call_back: CallBackRules = CallBackRules()
    retention: Retention = Retention()
    severity: Severity = Severity()
    cards: BrandCards = BrandCards()
    """How its operators ask otherwise than the house, and what they ask besides (``routing.cards``)."""
    open_link: Literal["block", "warn"] = "block"
    """What happens when a vehicle changes hands while the seller's account is still linked (MINI 5.2)."""
    stale_profile_days: _Days = 365
    purposes: tuple[str, ...] = ("third_party_provision",)
    """What a customer may be asked to consent to; an answer to any other question is refused."""

    def __post_init__(self) -> None:
        if not self.words:
            raise Misconfigured(f"brand pack {self.id}: `words` names no language")
        if not self.legal_texts:
            raise Misconfigured(f"brand pack {self.id}: `legal_texts` is empty")
        versions = [(text.id, text.version) for text in self.legal_texts]
        if len(set(versions)) < len(versions):
            raise Misconfigured(f"brand pack {self.id}: a version of a legal text stands twice in `legal_texts`")
        try:
            model(self.severity.model)
            _ = self.severity.cuts
        except WrongData as wrong:
            raise Misconfigured(f"brand pack {self.id}: {wrong}") from wrong

    @property
    def digest(self) -> str:
        """Hex SHA-256 of the pack as canonical JSON."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()

    @property
    def terms(self) -> RetentionTerms:
        """How long the brand has its data kept; the version changes with nothing else of the pack."""
        told = msgspec.json.encode((self.jurisdiction, self.retention), order="sorted")
        return RetentionTerms(
            brand=self.id,
            jurisdiction=self.jurisdiction,
            periods=self.retention.periods,
            instead={str(category): name for category, name in self.retention.instead.items()},
            version=f"{self.id}@{hashlib.sha256(told).hexdigest()[:12]}",
        )

    @property
    def name(self) -> str:
        """What an event calls this version of the pack."""
        return f"{self.id}@{self.digest[:16]}"

    @property
    def tenant(self) -> TenantId:
        return TenantId(self.id)

    def counts(self, consent_text: str, on: date) -> bool:
        """Whether consent given under ``consent_text`` (``id/version``) still counts: no later version in force asks
        for consent again."""
        id, _, version = consent_text.partition("/")
        given = next((text for text in self.legal_texts if (text.id, text.version) == (id, version)), None)
        if given is None:
            return False
        return not any(
            text.reconsent and text.id == id and given.valid_from < text.valid_from <= on for text in self.legal_texts
        )

    def in_force(self) -> tuple[str, ...]:
        """The clauses that are named, as ``ground=text/version#clause``."""
        return tuple(f"{ground}={clause}" for ground, clause in sorted(self.clauses.items()) if clause)


def agree(packs: Collection[BrandPack], terms: Mapping[TenantId, Terms]) -> None:
    """``Misconfigured`` where a pack names another document, edition or clause than the terms its tenant is bound to.

    A disclosure record names one clause; two that contradict each other would make it a lie whichever is written.
    """
    for pack in packs:
        bound = terms.get(pack.tenant)
        if bound is None:
            continue
        for about, named in pack.clauses.items():
            if named and (wrong := _disagrees(bound, about, named)):
                raise Misconfigured(f"brand pack {pack.id}: `clauses.{about}` is {named!r}, but {wrong}")


def _disagrees(bound: Terms, about: str, named: str) -> str:
    document, _, clause = named.partition("#")
    if document != f"{bound.name}/{bound.version}":
        return f"the tenant's terms are {bound.name}/{bound.version}"
    if about == Obligation.OPT_OUT_OVERRIDE:
        known = {bound.opt_out_override} - {""}
    elif about in set(LawPath):
        known = {each.clause for each in bound.clause if about in each.paths}
    else:
        return ""
    return "" if clause in known else f"those terms say {', '.join(sorted(known)) or 'nothing'} of it"


def ask(packs: Collection[BrandPack], house: Cards) -> None:
    """``Misconfigured`` where a brand words a question that the house does not ask, or asks one that it does."""
    for pack in packs:
        try:
            house.with_brand(pack.cards)
        except WrongData as wrong:
            raise Misconfigured(f"brand pack {pack.id}: {wrong}") from wrong


def open_cards(path: str) -> Cards:
    """The questions of a file; the shipped ones without.  ``Misconfigured`` names what is wrong with them."""
    try:
        return read_cards(Path(path).read_text(encoding="utf-8")) if path else shipped_cards()
    except (OSError, UnicodeDecodeError, WrongData) as wrong:
        raise Misconfigured(f"question_cards: {wrong}") from wrong


def read_pack(text: str, *, name: str) -> BrandPack:
    """The pack in ``text`` (TOML).  ``Misconfigured`` names file and field, and a period that no law allows.

    A pack that the journal holds already is not asked again: what was in force once must be read for ever.
    """
    try:
        pack = msgspec.convert(tomllib.loads(text), BrandPack)
        house().check(pack.terms)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, RecordingError) as wrong:
        raise Misconfigured(f"brand pack {name}: {wrong}") from wrong
    return pack


def shipped() -> Mapping[TenantId, BrandPack]:
    """The invented packs that come with the program: the demonstration's, and one per kind of policy to start from."""
    files = (resources.files("sos.registry") / "packs").iterdir()
    packs = [read_pack(file.read_text(encoding="utf-8"), name=file.name) for file in files if file.name[-5:] == ".toml"]
    return {pack.tenant: pack for pack in packs}


def configured(directory: Path | None, tenants: Collection[TenantId]) -> tuple[BrandPack, ...]:
    """The packs in ``directory``; without one, the shipped packs of ``tenants``.

    ``Misconfigured`` when the directory cannot be read or two packs are of one brand.
    """
    if directory is None:
        return tuple(pack for tenant, pack in shipped().items() if tenant in tenants)
    try:
        texts = [(file.name, file.read_text(encoding="utf-8")) for file in sorted(directory.glob("*.toml"))]
    except (OSError, UnicodeDecodeError) as wrong:
        raise Misconfigured(f"brand_packs: {directory.name} cannot be read ({type(wrong).__name__})") from wrong
    if not texts:
        raise Misconfigured(f"brand_packs: there is no brand pack (*.toml) in {directory.name}")
    packs = [read_pack(text, name=name) for name, text in texts]
    if len({pack.id for pack in packs}) < len(packs):
        raise Misconfigured(f"brand_packs: two packs in {directory.name} are of the same brand")
    return tuple(packs)
