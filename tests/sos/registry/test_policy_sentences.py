"""One case per sentence of the brands' policies that the registry serves; the article stands in the id of the case.

Pure: orders are decided and evolved without any database.
"""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256

import msgspec
import pytest

from routing.law import RuleBook
from sos.errors import Forbidden, Malformed, Misconfigured, Refused, SosError
from sos.incident.model import SubjectId, TenantId
from sos.registry import changes as ch
from sos.registry import orders as o
from sos.registry.lifecycle import ITEMS, Context, Role, decide_subscriber, decide_vehicle, register_subscriber
from sos.registry.model import (
    SOS,
    Acknowledged,
    Entitlement,
    Flag,
    KeyDigest,
    Notice,
    Right,
    Scheme,
    Subscriber,
    Suspension,
    Vehicle,
    VehicleKey,
)
from sos.registry.pack import BrandPack, agree, shipped
from sos.registry.standing import consents_in_force, standing_of
from sos.registry.states import evolve_subscriber, evolve_vehicle

NOW = datetime(2026, 6, 1, 3, 0, tzinfo=UTC)
DAY = timedelta(days=1)
DEMO, STRICT = shipped()[TenantId("demo")], shipped()[TenantId("demo-no-profiling")]
SELLER, BUYER = SubjectId("seller"), SubjectId("buyer")
ALL_THREE = tuple(Acknowledged)
DEMO_TEXT, STRICT_TEXT = "demo-terms/1", "demo-ev-policy/2026-05-15"


def _digest(key: VehicleKey) -> KeyDigest:
    return KeyDigest(key.scheme, sha256(key.folded.encode()).hexdigest())


def _as(role: Role = Role.OEM, *, pack: BrandPack = DEMO, acting: SubjectId | None = None) -> Context:
    return Context(role=role, now=NOW, pack=pack, digest=_digest, ref_digest=str, acting=acting)


PORTAL = _as(Role.PORTAL, acting=SELLER)


def car(*done: ch.Change, then: Sequence[o.VehicleOrder] = ()) -> Vehicle:
    """An entitled, linked car of ``SELLER`` after ``done``."""
    vehicle = Vehicle(id=SubjectId("car"), tenant=DEMO.tenant)
    vin = _digest(VehicleKey(Scheme.VIN, "JTMZZ3TESTEC00001"))
    for change in (
        ch.VehicleRegistered(keys=(vin,), source="test"),
        ch.OwnerLinked(subscriber=SELLER),
        ch.EntitlementGranted(entitlement=Entitlement(service=SOS, begins=NOW - 30 * DAY)),
        *done,
    ):
        vehicle = evolve_vehicle(vehicle, change, at=NOW - DAY)
    return _after(vehicle, *then)


def person(*done: ch.Change) -> Subscriber:
    subscriber = Subscriber(id=SELLER, tenant=DEMO.tenant)
    for change in (ch.SubscriberRegistered(items=("name",), source="test"), *done):
        subscriber = evolve_subscriber(subscriber, change, at=NOW - DAY)
    return subscriber


def _after(vehicle: Vehicle, *orders: o.VehicleOrder, by: Context | None = None) -> Vehicle:
    for order in orders:
        for change in decide_vehicle(vehicle, order, by or _as()).changes:
            vehicle = evolve_vehicle(vehicle, change, at=NOW)
    return vehicle


def flags(vehicle: Vehicle | None, subscriber: Subscriber | None = None, *, at: datetime = NOW) -> tuple[Flag, ...]:
    return standing_of(vehicle, subscriber, DEMO, brand=DEMO.tenant, at=at).flags


def deactivate(document: str = "seal-17", acknowledged: Sequence[Acknowledged] = ALL_THREE) -> o.Deactivate:
    return o.Deactivate(document=document, acknowledged=tuple(acknowledged), effective_at=NOW + DAY)


# --- what is refused, and by whose sentence ---

REFUSED: dict[str, tuple[Vehicle, o.VehicleOrder, Context, type[SosError]]] = {
    "MINI 4.1: no deactivation without the signed document": (car(), deactivate(""), _as(), Refused),
    "MINI 4.1(a): not without having accepted that there is no SOS": (
        car(),
        deactivate(acknowledged=(Acknowledged.MUST_TELL_BUYER, Acknowledged.ALL_SERVICES_END)),
        _as(),
        Refused,
    ),
    "MINI 4.1(b): not without having accepted that a buyer must be told": (
        car(),
        deactivate(acknowledged=(Acknowledged.NO_SOS, Acknowledged.ALL_SERVICES_END)),
        _as(),
        Refused,
    ),
    "MINI 4.1(c): not without having accepted that all services end": (
        car(),
        deactivate(acknowledged=(Acknowledged.NO_SOS, Acknowledged.MUST_TELL_BUYER)),
        _as(),
        Refused,
    ),
    "MINI 4.1: one acknowledgement ticked three times is one": (
        car(),
        deactivate(acknowledged=(Acknowledged.NO_SOS,) * 3),
        _as(),
        Refused,
    ),
    "MINI 4.1: not without an instant from which it holds": (
        car(),
        o.Deactivate(document="seal-17", acknowledged=ALL_THREE),
        _as(),
        Refused,
    ),
    "MINI service list: SOS is never switched off from the portal": (car(), deactivate(), PORTAL, Forbidden),
    "MINI service list: nor by ending its entitlement": (
        car(),
        o.EndEntitlement(service=SOS, at=NOW, reason="unwanted"),
        _as(),
        Refused,
    ),
    "MINI 4.1: the house's own machines cannot switch it off": (car(), deactivate(), _as(Role.SYSTEM), Forbidden),
    "MINI 5.2: no hand-over while the seller's account is linked, where the brand blocks": (
        car(then=(o.BeginTransfer(document="t-1"),)),
        o.CompleteTransfer(buyer=BUYER, services_off_told=True),
        _as(pack=STRICT),
        Refused,
    ),
    "MINI 5.3: no hand-over before it is recorded what the buyer was told": (
        car(then=(o.BeginTransfer(document="t-1"), o.UnlinkOwner())),
        o.CompleteTransfer(buyer=BUYER),
        _as(),
        Refused,
    ),
    "MINI 4.1(b): the buyer of a car that is off cannot be told of services": (
        car(then=(deactivate(), o.BeginTransfer(document="t-1"))),
        o.NotifyBuyer(content=Notice.SERVICES, document="n-1"),
        _as(),
        Refused,
    ),
    "MINI 5.1: a car does not get another owner without a transfer": (
        car(),
        o.LinkOwner(subscriber=BUYER),
        _as(),
        Refused,
    ),
    "MINI 5.2: after the hand-over the seller changes nothing": (
        car(ch.TransferBegun(document="t-1"), ch.TransferCompleted(seller=SELLER, buyer=BUYER, open_link=False)),
        o.StopData(),
        PORTAL,
        Forbidden,
    ),
    "MINI 5.2: nor does somebody whose car it never was": (
        car(),
        o.StopData(),
        _as(Role.PORTAL, acting=BUYER),
        Forbidden,
    ),
    "a portal that names no customer changes nothing": (car(), o.StopData(), _as(Role.PORTAL), Forbidden),
    "a dealer does not suspend": (
        car(),
        o.Suspend(reason=Suspension.SANCTIONS, document="d"),
        _as(Role.DEALER),
        Forbidden,
    ),
    "BMW notice D: a scrapped car is changed no more": (
        car(ch.VehicleScrapped(document="s-1")),
        o.ResumeData(),
        _as(),
        Refused,
    ),
    "a right that ends before it begins is a mistake of the sender": (
        car(),
        o.GrantEntitlement(service="remote", begins=NOW, ends=NOW),
        _as(),
        Malformed,
    ),
}


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_a_vehicle_order_is_refused_by(case):
    vehicle, order, by, error = REFUSED[case]

    with pytest.raises(SosError) as refused:
        decide_vehicle(vehicle, order, by)

    assert type(refused.value) is error
    assert str(refused.value)


# --- what is allowed, and what stands on the operator's screen afterwards ---

FLAGGED: dict[str, tuple[Vehicle | None, datetime, tuple[Flag, ...]]] = {
    "an entitled car has nothing to look at twice": (car(), NOW, ()),
    "MINI 2.2: SOS does not lapse when another service does": (
        car(then=(o.GrantEntitlement(service="remote", begins=NOW - 9 * DAY, ends=NOW - DAY),)),
        NOW,
        (),
    ),
    "MINI 2.2: nor when another service is ended early": (
        car(
            then=(
                o.GrantEntitlement(service="remote", begins=NOW - 9 * DAY),
                o.EndEntitlement(service="remote", at=NOW - DAY, reason="cancelled"),
            )
        ),
        NOW,
        (),
    ),
    "MINI 2.1: SOS without an end holds after any number of years": (car(), NOW + 9999 * DAY, ()),
    "MINI 4.1: a deactivation does not hold before its instant": (car(then=(deactivate(),)), NOW, ()),
    "MINI 4.1: from its instant on an event is answered and flagged": (
        car(then=(deactivate(),)),
        NOW + DAY,
        (Flag.DEACTIVATED,),
    ),
    "MINI 3.4: a car that was never entitled is answered and flagged": (
        msgspec.structs.replace(car(), entitlements=()),
        NOW,
        (Flag.NOT_ENTITLED,),
    ),
    "MINI 11: sanctions suspend, and never drop a live SOS": (
        car(then=(o.Suspend(reason=Suspension.SANCTIONS, document="d-1"),)),
        NOW,
        (Flag.SANCTIONS,),
    ),
    "another suspension is told apart from sanctions": (
        car(then=(o.Suspend(reason=Suspension.UNPAID, document="d-1"),)),
        NOW,
        (Flag.SUSPENDED,),
    ),
    "a suspension that was lifted leaves nothing": (
        car(
            then=(
                o.Suspend(reason=Suspension.UNPAID, document="d-1"),
                o.LiftSuspension(document="d-2"),
            )
        ),
        NOW,
        (),
    ),
    "MINI 5.2: an open link warns while the car changes hands": (
        car(then=(o.BeginTransfer(document="t-1"),)),
        NOW,
        (Flag.CHANGING_HANDS, Flag.OPEN_LINK),
    ),
    "MINI 5.1: a sold car whose buyer has no contract is answered and flagged": (
        car(
            then=(
                o.BeginTransfer(document="t-1"),
                o.UnlinkOwner(),
                o.NotifyBuyer(content=Notice.SERVICES, document="n-1"),
                o.CompleteTransfer(),
            )
        ),
        NOW,
        (Flag.SOLD,),
    ),
    "MINI 5.1: a buyer who agreed is the owner, and nothing is left to flag": (
        car(
            then=(
                o.BeginTransfer(document="t-1"),
                o.UnlinkOwner(),
                o.NotifyBuyer(content=Notice.SERVICES, document="n-1"),
                o.CompleteTransfer(buyer=BUYER),
            )
        ),
        NOW,
        (),
    ),
    "MINI 5.1: a sale that came to nothing leaves the car whose it was": (
        car(then=(o.BeginTransfer(document="t-1"), o.CancelTransfer(document="t-2"))),
        NOW,
        (),
    ),
    "BMW notice D: a scrapped car that still calls is answered and flagged": (
        car(then=(o.Scrap(document="s-1"),)),
        NOW,
        (Flag.SCRAPPED,),
    ),
    "Mitsubishi 10(3): a car whose data was stopped says so": (
        car(then=(o.StopData(),)),
        NOW,
        (Flag.DATA_STOPPED,),
    ),
    "Mitsubishi 10(4): a resumed car warns until its first good test call": (
        car(then=(o.StopData(), o.ResumeData())),
        NOW,
        (Flag.RESUMED_UNTESTED,),
    ),
    "Mitsubishi 10(4): after the test call the warning is gone": (
        car(then=(o.StopData(), o.ResumeData(), o.PassTestCall(incident="i-1"))),
        NOW,
        (),
    ),
    "Mitsubishi 10(4): a car that stops again is not called tested": (
        car(then=(o.StopData(), o.ResumeData(), o.StopData(), o.ResumeData())),
        NOW,
        (Flag.RESUMED_UNTESTED,),
    ),
}


@pytest.mark.parametrize("case", FLAGGED, ids=str)
def test_a_call_is_answered_and_shows_what(case):
    vehicle, at, expected = FLAGGED[case]

    assert flags(vehicle, at=at) == expected


def test_mini_5_2_with_the_hand_over_the_seller_is_out_in_the_same_event():
    before = car(then=(o.BeginTransfer(document="t-1"),))

    done = decide_vehicle(before, o.CompleteTransfer(buyer=BUYER, services_off_told=True), _as(pack=DEMO))
    after = _after(before, o.CompleteTransfer(buyer=BUYER, services_off_told=True))

    assert [type(change).__name__ for change in done.changes] == ["BuyerNotified", "TransferCompleted"]
    assert (after.owner, after.linked) == (BUYER, False)
    assert after.transfer is not None
    assert after.transfer.open_link  # this brand warns where the other blocks, and the record keeps that it was open
    assert after.transfer.notice is Notice.SERVICES_OFF


def test_mini_4_1_the_record_of_a_deactivation_holds_document_acknowledgements_instant_and_channel():
    (change,) = decide_vehicle(car(), deactivate(), _as(Role.DEALER)).changes

    assert change == ch.ServiceDeactivated(
        document="seal-17", acknowledged=ALL_THREE, effective_at=NOW + DAY, via="dealer"
    )


def test_mini_2_2_a_right_that_ran_out_is_lapsed_and_not_never():
    lapsed = _after(
        msgspec.structs.replace(car(), entitlements=()),
        o.GrantEntitlement(service=SOS, begins=NOW - 9 * DAY, ends=NOW),
    )

    assert standing_of(lapsed, None, DEMO, brand=DEMO.tenant, at=NOW).entitlement is Right.LAPSED
    assert flags(lapsed) == (Flag.LAPSED,)


def test_mitsubishi_7_no_score_is_allowed_where_the_policy_says_no_profiling():
    assert not standing_of(car(), None, STRICT, brand=STRICT.tenant, at=NOW).profiling
    assert standing_of(car(), None, DEMO, brand=DEMO.tenant, at=NOW).profiling


def test_a_brand_without_a_pack_is_scored_by_nothing_and_says_so():
    standing = standing_of(car(), None, None, brand=DEMO.tenant, at=NOW)

    assert standing.flags == (Flag.NO_BRAND_PACK,)
    assert not standing.profiling


@pytest.mark.parametrize(("unit", "minutes"), [("", 60), ("link-2", 30), ("link-1", 10), ("link-9", 60)])
def test_a_car_can_be_called_back_as_long_as_its_link_stays_up(unit, minutes):
    vehicle = msgspec.structs.replace(car(), unit=unit)

    assert standing_of(vehicle, None, DEMO, brand=DEMO.tenant, at=NOW).call_back_window == timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("terms", "clauses", "wrong"),
    [
        ("demo-terms", {"life_protection": "demo-terms/1#4.2", "opt_out_override": "demo-terms/1#4.4"}, None),
        ("demo-terms", {"recording": "demo-terms/1#9.3"}, None),
        ("g-link", {"life_protection": "demo-terms/1#4.2"}, "the tenant's terms are g-link/read-2026-11"),
        ("demo-terms", {"life_protection": "demo-terms/2#4.2"}, "the tenant's terms are demo-terms/1"),
        ("demo-terms", {"life_protection": "demo-terms/1#5.1"}, "those terms say 4.2 of it"),
        ("demo-terms", {"opt_out_override": "demo-terms/1#4.5"}, "those terms say 4.4 of it"),
        ("okura", {"property": "okura/read-2026-11#9(5)"}, "those terms say nothing of it"),
        ("okura", {"refused": "okura/read-2026-11#9(4)"}, None),
    ],
)
def test_a_pack_and_the_terms_its_tenant_is_bound_to_never_disagree_silently(terms, clauses, wrong):
    bound = RuleBook.shipped().terms(terms, date(2026, 6, 1))
    pack = msgspec.structs.replace(DEMO, clauses=clauses)

    if wrong is None:
        agree([pack], {DEMO.tenant: bound})
    else:
        with pytest.raises(Misconfigured, match=re.escape(wrong)):
            agree([pack], {DEMO.tenant: bound})


def test_a_pack_attaches_the_clauses_of_its_terms():
    assert "opt_out_override=demo-terms/1#4.4" in standing_of(None, None, DEMO, brand=DEMO.tenant, at=NOW).clauses


# --- customers ---

STOP = o.RecordConsent(purpose="third_party_provision", given=False, text=DEMO_TEXT, consequence_shown=True)

PERSON_REFUSED: dict[str, tuple[Subscriber, o.SubscriberOrder, Context, type[SosError]]] = {
    "Mitsubishi 3(2): a refusal counts once its consequence was shown": (
        person(),
        msgspec.structs.replace(STOP, consequence_shown=False),
        _as(),
        Refused,
    ),
    "Mitsubishi 11: a consent names a text the brand has": (
        person(),
        msgspec.structs.replace(STOP, text="demo-terms/99"),
        _as(),
        Refused,
    ),
    "GMO 1.2: consent is asked for published purposes only": (
        person(),
        msgspec.structs.replace(STOP, purpose="resale"),
        _as(),
        Refused,
    ),
    "one customer does not answer for another": (person(), STOP, _as(Role.PORTAL, acting=BUYER), Forbidden),
    "Mitsubishi 2(1): an item without a class is refused": (
        person(),
        o.ChangeProfile(profile={"shoe_size": "27"}, source="test"),
        _as(),
        Malformed,
    ),
    "Mitsubishi 2(1): card data has no place here": (
        person(),
        o.ChangeProfile(profile={"card": "0000"}, source="test"),
        _as(),
        Malformed,
    ),
    "BMW notice A: nothing is added once the contract has ended": (
        person(ch.ContractEnded(reason="cancelled")),
        o.ChangeProfile(profile={"name": "x"}, source="test"),
        _as(),
        Refused,
    ),
    "a customer's portal does not end the contract": (person(), o.EndContract(reason="x"), PORTAL, Forbidden),
}


@pytest.mark.parametrize("case", PERSON_REFUSED, ids=str)
def test_a_customer_order_is_refused_by(case):
    subscriber, order, by, error = PERSON_REFUSED[case]

    with pytest.raises(SosError) as refused:
        decide_subscriber(subscriber, order, by)

    assert type(refused.value) is error


def _told(subscriber: Subscriber, *orders: o.SubscriberOrder) -> Subscriber:
    for order in orders:
        for change in decide_subscriber(subscriber, order, PORTAL).changes:
            subscriber = evolve_subscriber(subscriber, change, at=NOW)
    return subscriber


def test_mitsubishi_4_4_a_customer_stops_provision_by_themselves_and_it_shows():
    stopped = _told(person(), STOP)

    assert stopped.opted_out
    assert flags(car(), stopped) == (Flag.OPTED_OUT,)
    assert standing_of(car(), stopped, DEMO, brand=DEMO.tenant, at=NOW).opt_out


def test_mitsubishi_4_4_the_history_of_answers_stays_with_the_text_that_was_shown():
    again = msgspec.structs.replace(STOP, given=True)

    subscriber = _told(person(), STOP, again, STOP)

    assert [(each.given, each.text, each.via) for each in subscriber.consents] == [
        (False, DEMO_TEXT, "portal"),
        (True, DEMO_TEXT, "portal"),
        (False, DEMO_TEXT, "portal"),
    ]
    assert subscriber.opted_out


def test_mitsubishi_4_1_consent_to_partner_data_keeps_where_it_reaches_back_to():
    order = o.RecordConsent(purpose="partner_data", given=True, text=STRICT_TEXT, scope_from=NOW - 100 * DAY)

    (change,) = decide_subscriber(person(), order, _as(pack=STRICT)).changes

    assert isinstance(change, ch.ConsentRecorded)
    assert change.scope_from == NOW - 100 * DAY


def test_mitsubishi_11_consent_under_an_older_text_counts_until_a_new_one_asks_again():
    change_day = STRICT.legal_texts[1].valid_from

    assert STRICT.counts("demo-ev-policy/2025-04-01", change_day - DAY)
    assert not STRICT.counts("demo-ev-policy/2025-04-01", change_day)
    assert STRICT.counts("demo-ev-policy/2026-05-15", change_day)
    assert not STRICT.counts("demo-ev-policy/1999", change_day)


def test_mitsubishi_11_a_new_text_that_asks_again_ends_the_old_consent_and_not_the_refusal():
    old = ch.ConsentRecorded(purpose="marketing", given=True, text="demo-ev-policy/2025-04-01", via="portal")
    refusal = ch.ConsentRecorded(
        purpose="third_party_provision", given=False, text="demo-ev-policy/2025-04-01", via="portal"
    )
    subscriber = person(old, refusal)
    change_day = datetime(2026, 5, 15, tzinfo=UTC)

    assert consents_in_force(subscriber, STRICT, change_day - DAY) == ("marketing",)
    assert consents_in_force(subscriber, STRICT, change_day) == ()
    assert subscriber.opted_out


@pytest.mark.parametrize(("days", "expected"), [(365, ()), (367, (Flag.STALE_PROFILE,))])
def test_mini_9_2_a_profile_not_confirmed_for_a_year_prompts(days, expected):
    assert flags(car(), person(), at=NOW - DAY + days * DAY) == expected


def test_mini_9_2_confirming_a_profile_ends_the_prompt():
    confirmed = _told(person(), o.ConfirmProfile())

    assert flags(car(), confirmed, at=NOW + 365 * DAY) == ()


def test_g_link_no_item_of_a_profile_is_needed():
    assert register_subscriber(o.RegisterSubscriber(profile={}, source="test"), _as()).parts == {}


def test_okura_10_medical_data_is_a_category_of_its_own():
    parts = register_subscriber(
        o.RegisterSubscriber(profile={"name": "架空 花子", "medical": "架空の持病"}, source="test"), _as()
    ).parts

    assert {str(category) for category in parts} == {"OWN", "MED"}


def test_gmo_3_1_a_profile_holds_no_accident_or_voice_data_although_its_list_is_open():
    """3.1 ends with «other necessary items»: it excludes nothing, so the bound is ours."""
    assert not {"LOC", "SEV", "OBS", "AUD", "TRK", "RAW"} & {str(category) for category in ITEMS.values()}
