"""Orders: what somebody asks to be changed in the registry.  ``lifecycle.decide`` turns each into changes or refuses.

These are also the bodies of ``POST /v1/registry/...``: the member ``do`` names the order.  Orders may carry personal
data; they are not kept.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, TypeVar

from msgspec import Meta, Struct, structs

from sos.incident.model import SubjectId
from sos.registry.model import Acknowledged, Notice, Suspension, VehicleKey
from sos.registry.pack import BrandPack

Code = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.:/#-]+$")]
CodeOrNone = Annotated[str, Meta(max_length=64, pattern=r"^[A-Za-z0-9_.:/#-]*$")]
Document = Annotated[str, Meta(min_length=1, max_length=128)]
"""Reference under which the paper is filed, not the paper.  A person types it, so it is sealed: ``sealed_words``."""

Instant = Annotated[datetime, Meta(tz=True)]
Subject = Annotated[SubjectId, Meta(max_length=128)]
Profile = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=500)]], Meta(max_length=64)
]
"""Item -> value; ``lifecycle.ITEMS`` says which there are."""


class Order(Struct, frozen=True, kw_only=True, tag_field="do", forbid_unknown_fields=True, omit_defaults=True):
    """Base of all orders."""


class SetPack(Order, frozen=True, kw_only=True, tag="set_pack"):
    pack: BrandPack


class RegisterVehicle(Order, frozen=True, kw_only=True, tag="register_vehicle"):
    keys: Annotated[tuple[VehicleKey, ...], Meta(max_length=8)]
    source: Code
    unit: CodeOrNone = ""


class AddKey(Order, frozen=True, kw_only=True, tag="add_key"):
    key: VehicleKey


class RetireKey(Order, frozen=True, kw_only=True, tag="retire_key"):
    key: VehicleKey


class LinkOwner(Order, frozen=True, kw_only=True, tag="link_owner"):
    subscriber: Subject


class UnlinkOwner(Order, frozen=True, kw_only=True, tag="unlink_owner"):
    pass


class GrantEntitlement(Order, frozen=True, kw_only=True, tag="grant_entitlement"):
    service: Code
    begins: Instant
    ends: Instant | None = None
    terms: CodeOrNone = ""


class EndEntitlement(Order, frozen=True, kw_only=True, tag="end_entitlement"):
    service: Code
    at: Instant
    reason: Code


class Deactivate(Order, frozen=True, kw_only=True, tag="deactivate"):
    """Switch everything off, SOS included, on the customer's signed request."""

    document: Annotated[str, Meta(max_length=128)] = ""
    acknowledged: Annotated[tuple[Acknowledged, ...], Meta(max_length=32)] = ()
    effective_at: Instant | None = None


class Reactivate(Order, frozen=True, kw_only=True, tag="reactivate"):
    document: Document


class BeginTransfer(Order, frozen=True, kw_only=True, tag="begin_transfer"):
    document: Document


class CancelTransfer(Order, frozen=True, kw_only=True, tag="cancel_transfer"):
    document: Document


class CompleteTransfer(Order, frozen=True, kw_only=True, tag="complete_transfer"):
    buyer: Subject | None = None
    """None: the buyer has not agreed to a contract (MINI 5.1)."""
    services_off_told: bool = False
    """Who completes it confirms that the buyer was told that services are off, where there is no contract."""


class NotifyBuyer(Order, frozen=True, kw_only=True, tag="notify_buyer"):
    content: Notice
    document: Document


class Scrap(Order, frozen=True, kw_only=True, tag="scrap"):
    document: Document


class StopData(Order, frozen=True, kw_only=True, tag="stop_data"):
    pass


class ResumeData(Order, frozen=True, kw_only=True, tag="resume_data"):
    pass


class PassTestCall(Order, frozen=True, kw_only=True, tag="pass_test_call"):
    incident: Code


class Suspend(Order, frozen=True, kw_only=True, tag="suspend"):
    reason: Suspension
    document: Document


class LiftSuspension(Order, frozen=True, kw_only=True, tag="lift_suspension"):
    document: Document


class RegisterSubscriber(Order, frozen=True, kw_only=True, tag="register_subscriber"):
    profile: Profile
    source: Code
    ref: Annotated[str, Meta(max_length=64)] = ""
    """The brand's own customer number; registering it again finds the customer that is there."""


class ChangeProfile(Order, frozen=True, kw_only=True, tag="change_profile"):
    profile: Profile
    source: Code


class ConfirmProfile(Order, frozen=True, kw_only=True, tag="confirm_profile"):
    pass


class RecordConsent(Order, frozen=True, kw_only=True, tag="record_consent"):
    purpose: Code
    given: bool
    text: Annotated[str, Meta(pattern=r"^[^/]+/[^/]+$", max_length=256)]
    """``id/version`` of the legal text that was shown."""
    scope_from: Instant | None = None
    consequence_shown: bool = False
    """The person was shown what refusing costs (Mitsubishi 3(2)); needed to refuse."""


class EndContract(Order, frozen=True, kw_only=True, tag="end_contract"):
    reason: Code


_Worded = TypeVar("_Worded", bound=Order)


def sealed_words(order: _Worded, digest: Callable[[str], str]) -> tuple[_Worded, str]:
    """``order`` with ``digest`` of what a person typed into it in its place, and the words, which belong in a part."""
    words = str(getattr(order, "document", "")).strip()
    return (structs.replace(order, document=digest(words)), words) if words else (order, "")


VehicleOrder = (
    AddKey
    | RetireKey
    | LinkOwner
    | UnlinkOwner
    | GrantEntitlement
    | EndEntitlement
    | Deactivate
    | Reactivate
    | BeginTransfer
    | CancelTransfer
    | CompleteTransfer
    | NotifyBuyer
    | Scrap
    | StopData
    | ResumeData
    | PassTestCall
    | Suspend
    | LiftSuspension
)
SubscriberOrder = ChangeProfile | ConfirmProfile | RecordConsent | EndContract
NewOrder = RegisterVehicle | RegisterSubscriber
AnyOrder = VehicleOrder | SubscriberOrder
