"""Everything that can have happened to a brand, a vehicle or a subscriber, in the past tense.

A change is the ``change`` of a ``RegistryChanged`` event in the journal, so it holds no personal data: dates, codes,
keyed digests, references of documents.  Plates, names and numbers travel beside it as sealed parts.  Changes are kept
for ever: one that means something else gets a new name.
"""

from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from routing.categories import Category
from sos.errors import Malformed
from sos.incident.model import SubjectId
from sos.registry.model import (
    Acknowledged,
    Entitlement,
    KeyDigest,
    Notice,
    Suspension,
)
from sos.registry.pack import BrandPack


class Change(Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True):
    """Base of all changes; ``kind`` in the header is the class name."""


class PackSet(Change, frozen=True, kw_only=True, tag=True):
    pack: BrandPack
    digest: str
    key: str
    """Hex keyed digest of the tenant: the brand is found by it."""


class VehicleRegistered(Change, frozen=True, kw_only=True, tag=True):
    """Parts: VEH, its keys in clear."""

    keys: tuple[KeyDigest, ...]
    source: str
    """Where the data came from: ``csv``, ``api``, ``dealer`` ... (Mitsubishi 2(3): never unknown)."""
    unit: str = ""


class KeyAdded(Change, frozen=True, kw_only=True, tag=True):
    """Parts: VEH, the key in clear."""

    key: KeyDigest


class KeyRetired(Change, frozen=True, kw_only=True, tag=True):
    """A plate given back, say: it no longer finds this vehicle, and stays in its history."""

    key: KeyDigest


class OwnerLinked(Change, frozen=True, kw_only=True, tag=True):
    subscriber: SubjectId


class OwnerUnlinked(Change, frozen=True, kw_only=True, tag=True):
    """The account is no longer linked with the car; the contract goes on."""

    subscriber: SubjectId


class EntitlementGranted(Change, frozen=True, kw_only=True, tag=True):
    entitlement: Entitlement


class EntitlementEnded(Change, frozen=True, kw_only=True, tag=True):
    service: str
    at: datetime
    reason: str


# ``document``, in the changes below: keyed digest of the reference a person typed; the reference is an OBS part.


class ServiceDeactivated(Change, frozen=True, kw_only=True, tag=True):
    document: str
    acknowledged: tuple[Acknowledged, ...]
    effective_at: datetime
    via: str


class ServiceReactivated(Change, frozen=True, kw_only=True, tag=True):
    document: str


class TransferBegun(Change, frozen=True, kw_only=True, tag=True):
    document: str


class TransferCancelled(Change, frozen=True, kw_only=True, tag=True):
    """The vehicle stays whose it was."""

    document: str


class TransferCompleted(Change, frozen=True, kw_only=True, tag=True):
    """From now on the seller has no access; the buyer has when there is one."""

    seller: SubjectId | None
    buyer: SubjectId | None
    open_link: bool
    """The seller's account was still linked: a warning, where the brand does not refuse outright."""


class BuyerNotified(Change, frozen=True, kw_only=True, tag=True):
    content: Notice
    document: str


class VehicleScrapped(Change, frozen=True, kw_only=True, tag=True):
    document: str


class DataStopped(Change, frozen=True, kw_only=True, tag=True):
    via: str


class DataResumed(Change, frozen=True, kw_only=True, tag=True):
    via: str


class TestCallPassed(Change, frozen=True, kw_only=True, tag=True):
    incident: str


class VehicleSuspended(Change, frozen=True, kw_only=True, tag=True):
    reason: Suspension
    document: str


class SuspensionLifted(Change, frozen=True, kw_only=True, tag=True):
    reason: Suspension
    document: str


class SubscriberRegistered(Change, frozen=True, kw_only=True, tag=True):
    """Parts: the profile by category."""

    items: tuple[str, ...]
    source: str
    ref: str = ""
    """Hex keyed digest of the brand's customer number."""


class ProfileChanged(Change, frozen=True, kw_only=True, tag=True):
    """Parts: what changed, by category; what was there before stays in its own event until its key is destroyed."""

    items: tuple[str, ...]
    source: str


class ProfileConfirmed(Change, frozen=True, kw_only=True, tag=True):
    via: str


class ConsentRecorded(Change, frozen=True, kw_only=True, tag=True):
    purpose: str
    given: bool
    text: str
    via: str
    scope_from: datetime | None = None
    consequence_shown: bool = False


class ContractEnded(Change, frozen=True, kw_only=True, tag=True):
    """The clock of the contract's own data starts here."""

    reason: str


class PersonalDataErased(Change, frozen=True, kw_only=True, tag=True):
    """The keys of these categories are about to be destroyed: their period is over."""

    categories: tuple[Category, ...]
    reason: str


AnyChange = (
    PackSet
    | VehicleRegistered
    | KeyAdded
    | KeyRetired
    | OwnerLinked
    | OwnerUnlinked
    | EntitlementGranted
    | EntitlementEnded
    | ServiceDeactivated
    | ServiceReactivated
    | TransferBegun
    | TransferCancelled
    | TransferCompleted
    | BuyerNotified
    | VehicleScrapped
    | DataStopped
    | DataResumed
    | TestCallPassed
    | VehicleSuspended
    | SuspensionLifted
    | SubscriberRegistered
    | ProfileChanged
    | ProfileConfirmed
    | ConsentRecorded
    | ContractEnded
    | PersonalDataErased
)


def write(change: Change) -> dict[str, Any]:
    """``change`` as it stands in a header."""
    told: dict[str, Any] = msgspec.to_builtins(change, builtin_types=(datetime,))
    return told


def read(told: dict[str, Any]) -> AnyChange:
    """The change in a header.  ``Malformed`` when this release does not know it."""
    try:
        change: AnyChange = msgspec.convert(told, AnyChange)
    except msgspec.ValidationError as wrong:
        raise Malformed("not a registry change this release knows") from wrong
    return change
