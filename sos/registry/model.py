"""The nouns of the registry: vehicle keys, subjects and their states, and the standing of a vehicle at an instant.

A subject is a brand, a vehicle or a subscriber; each has a stream of its own in the journal.  Its state holds no
personal data: names, numbers and plates lie in sealed parts, and what is looked up by is a keyed digest.  So a vehicle
can be recognised, and what was once decided about it proved, after its owner's data has been destroyed.
"""

import re
import unicodedata
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from routing.categories import Category
from sos.errors import Malformed
from sos.incident.identity import names_one
from sos.incident.model import SubjectId, TenantId

SOS = "sos"
"""The service this house renders.  Other services of a brand have names of their own and their own dates."""


class Kind(StrEnum):
    BRAND = "brand"
    VEHICLE = "vehicle"
    SUBSCRIBER = "subscriber"


class Scheme(StrEnum):
    """What kind of name a vehicle is called by.  Many cars built for Japan have no VIN."""

    VIN = "vin"
    """ISO 3779.  Its check digit binds in North America and China only, so it is no gate here."""
    JP_FRAME = "jp_frame"
    """車台番号, such as ``ZVW30-1234567``."""
    OEM_ID = "oem_id"
    """Whatever the brand itself counts by."""
    PLATE = "plate"
    """ナンバープレート, as text."""


_VIN = re.compile(r"[0-9A-HJ-NPR-Z]{17}\Z")
_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—−ー", "-"))
_LONGEST = 64


class VehicleKey(Struct, frozen=True, order=True):
    """A vehicle's name in one scheme, as somebody wrote it.  ``Malformed`` when it can be none."""

    scheme: Scheme
    value: Annotated[str, Meta(max_length=256)]

    def __post_init__(self) -> None:
        folded = self.folded
        if not folded or len(folded) > _LONGEST or not folded.isprintable():
            raise Malformed(f"a vehicle's {self.scheme} has 1 to {_LONGEST} visible characters", field="$.value")
        if self.scheme is Scheme.VIN and _VIN.match(folded) is None:
            raise Malformed("a VIN has 17 letters and digits without I, O and Q", field="$.value")

    @classmethod
    def of(cls, scheme: str, value: str) -> "VehicleKey":
        """From what a report, a file or a person wrote, in the spelling that is looked up."""
        try:
            known = Scheme(scheme.strip().lower())
        except ValueError as wrong:
            raise Malformed(f"a vehicle is named by {', '.join(Scheme)}", field="$.scheme") from wrong
        made = cls(known, cls(known, value).folded)
        if not names_one(known, made.value):
            raise Malformed("many vehicles have this placeholder; leave the name out", field="$.value")
        return made

    @property
    def folded(self) -> str:
        """The one spelling that is looked up: full width, lower case and stray spaces do not matter."""
        folded = unicodedata.normalize("NFKC", self.value).strip()
        if self.scheme is not Scheme.OEM_ID:
            folded = "".join(folded.upper().split())
        if self.scheme is Scheme.JP_FRAME:
            folded = folded.translate(_DASHES)
        if self.scheme is Scheme.PLATE:
            folded = re.sub(r"[-‐‑‒–—−・.]", "", folded)
        return folded


class KeyDigest(Struct, frozen=True, order=True):
    """A vehicle's key as it may stand in a header: nobody without our secret can guess it back."""

    scheme: Scheme
    digest: str
    """Hex HMAC-SHA-256 of tenant, scheme and value."""


class Entitlement(Struct, frozen=True, kw_only=True):
    """The right to one service.  Each stands for itself: another service's end does not touch it (MINI 2.2)."""

    service: str
    begins: datetime
    ends: datetime | None = None
    """None: unlimited, as SOS is."""
    terms: str = ""
    """Version of the terms that were shown when it was made (MINI 1.1, 1.3)."""
    ended: str = ""
    """Why it was ended early; empty when its time simply runs out."""

    def holds(self, at: datetime) -> bool:
        return self.begins <= at and (self.ends is None or at < self.ends)


class Acknowledged(StrEnum):
    """What a customer must accept, each by itself, before the service is switched off (MINI 4.1 a to c)."""

    NO_SOS = "no_sos"
    """No SOS: nobody gets position or accident data and nobody can help, even if an ambulance is needed."""
    MUST_TELL_BUYER = "must_tell_buyer"
    """On sale the new registrant and user must be told that everything, SOS included, is off."""
    ALL_SERVICES_END = "all_services_end"
    """All services end at once when the SIM is deactivated."""


class Deactivation(Struct, frozen=True, kw_only=True):
    document: str
    """Reference of the signed and sealed request."""
    acknowledged: tuple[Acknowledged, ...]
    effective_at: datetime
    via: str
    """``dealer`` or ``oem``: never the customer's own portal."""


class Suspension(StrEnum):
    SANCTIONS = "sanctions"
    """Services may be refused (MINI 11).  A live SOS is answered all the same; the rest is for lawyers."""
    UNPAID = "unpaid"
    MISUSE = "misuse"
    REQUEST = "request"


class Notice(StrEnum):
    """What a seller told the buyer (MINI 5.3)."""

    SERVICES = "services"
    SERVICES_OFF = "services_off"


class Transfer(Struct, frozen=True, kw_only=True):
    begun_at: datetime
    completed_at: datetime | None = None
    open_link: bool = False
    """The seller's account was still linked when the vehicle changed hands."""
    notice: Notice | None = None
    notice_document: str = ""


class Brand(Struct, frozen=True, kw_only=True):
    """Which pack is in force; every pack there ever was stands in the stream."""

    id: SubjectId
    tenant: TenantId
    version: int = 0
    digest: str = ""


class Vehicle(Struct, frozen=True, kw_only=True):
    """What is known of one vehicle without naming it or anybody."""

    id: SubjectId
    tenant: TenantId
    version: int = 0
    keys: tuple[KeyDigest, ...] = ()
    unit: str = ""
    """Generation of its communication unit: how long it can be called back depends on it."""
    owner: SubjectId | None = None
    """The subscriber who may see and change it now."""
    linked: bool = False
    """The owner's account on the portal is linked with the car."""
    entitlements: tuple[Entitlement, ...] = ()
    deactivation: Deactivation | None = None
    suspended: Suspension | None = None
    transfer: Transfer | None = None
    """The last one."""
    scrapped_at: datetime | None = None
    data_stopped_at: datetime | None = None
    untested: bool = False
    """Data was stopped and resumed, and no test call has come through since (Mitsubishi 10(4))."""
    erased: tuple[Category, ...] = ()

    @property
    def changing_hands(self) -> bool:
        return self.transfer is not None and self.transfer.completed_at is None

    @property
    def sold(self) -> bool:
        """Changed hands, and nobody has taken up the contract since."""
        return self.transfer is not None and not self.changing_hands and self.owner is None


class Consent(Struct, frozen=True, kw_only=True):
    """One answer of a subscriber to one question, for ever: a later one stands beside it, not in its place."""

    purpose: str
    given: bool
    at: datetime
    text: str
    """Id and version of the legal text that was shown."""
    via: str
    scope_from: datetime | None = None
    """Where consent reaches back: to the account's registration for partners' data (Mitsubishi 4(1))."""


PROVISION = "third_party_provision"
"""The purpose whose refusal is the opt-out of provision (Mitsubishi 4(4))."""


class Subscriber(Struct, frozen=True, kw_only=True):
    """What is known of one customer without naming them."""

    id: SubjectId
    tenant: TenantId
    version: int = 0
    registered_at: datetime | None = None
    confirmed_at: datetime | None = None
    """When the profile was last confirmed or changed (MINI 9.2)."""
    items: tuple[str, ...] = ()
    """Which items of the profile are filled."""
    consents: tuple[Consent, ...] = ()
    """All of them, in order."""
    ended_at: datetime | None = None
    erased: tuple[Category, ...] = ()
    """Whose data has had its time and cannot be opened any more."""

    def consent(self, purpose: str) -> Consent | None:
        """The newest answer on ``purpose``."""
        return next((each for each in reversed(self.consents) if each.purpose == purpose), None)

    @property
    def opted_out(self) -> bool:
        newest = self.consent(PROVISION)
        return newest is not None and not newest.given


class Right(StrEnum):
    """How a vehicle stands to the SOS service."""

    ENTITLED = "entitled"
    LAPSED = "lapsed"
    NEVER = "never"
    UNKNOWN = "unknown"
    """The vehicle is not known, or the registry does not answer."""


class Flag(StrEnum):
    """Why an operator should look twice.  No flag ever keeps a call from being answered."""

    UNKNOWN_VEHICLE = "unknown_vehicle"
    NO_IDENTITY = "no_vehicle_identity"
    REGISTRY_UNAVAILABLE = "registry_unavailable"
    NO_BRAND_PACK = "no_brand_pack"
    IDENTITY_MISMATCH = "identity_mismatch"
    """Number and plate belong to two vehicles."""
    NOT_ENTITLED = "not_entitled"
    LAPSED = "entitlement_lapsed"
    DEACTIVATED = "deactivated"
    SUSPENDED = "suspended"
    SANCTIONS = "suspended_sanctions"
    SOLD = "sold"
    CHANGING_HANDS = "changing_hands"
    OPEN_LINK = "seller_still_linked"
    SCRAPPED = "scrapped"
    DATA_STOPPED = "data_stopped"
    RESUMED_UNTESTED = "resumed_untested"
    OPTED_OUT = "opted_out"
    STALE_PROFILE = "stale_profile"


class Standing(Struct, frozen=True, kw_only=True):
    """How a vehicle stands at an instant.  It informs; it never decides whether somebody is helped."""

    flags: tuple[Flag, ...]
    brand: TenantId
    pack: str
    """Name and digest of the brand pack in force, such as ``demo@3f9c...``; empty without one."""
    entitlement: Right
    opt_out: bool
    """The subscriber has stopped provision to third parties; only a live emergency overrides it."""
    profiling: bool
    """Whether injury severity may be scored: False also while nobody can say (deny by default)."""
    call_back_window: timedelta
    """How long the car can be called after the call."""
    vehicle: SubjectId | None = None
    subscriber: SubjectId | None = None
    severity_model: str = ""
    clauses: tuple[str, ...] = ()
    """Clauses of the brand's terms in force, as ``ground=text/version#clause``."""
