"""The registry on each database: found at once, told apart by brand, sealed, provable, and never in the way of help."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from recording.keys import KeyStore
from routing.categories import Category
from sos.clock import ManualClock
from sos.errors import Forbidden, KeyLost, Malformed, Refused, Unavailable, Unknown
from sos.incident.events import RegistryChanged, RegistryRead
from sos.incident.model import IncidentId, State, SubjectId, TenantId
from sos.incident.report import Vehicle as Reported
from sos.journal.journal import Journal
from sos.journal.losses import Losses
from sos.journal.store import Store
from sos.registry.index import Index
from sos.registry.ledger import RETENTION, Ledger, replay
from sos.registry.lifecycle import Role
from sos.registry.model import Flag, Kind, Right, Scheme, Subscriber, Vehicle, VehicleKey
from sos.registry.orders import (
    AddKey,
    BeginTransfer,
    CompleteTransfer,
    ConfirmProfile,
    LinkOwner,
    RecordConsent,
    RegisterSubscriber,
    RegisterVehicle,
    RetireKey,
    StopData,
)
from sos.registry.pack import shipped
from sos.registry.recogniser import keys_of
from sos.registry.registry import Registry
from tests.sos.journal.reports import sequenced
from tests.sos.registry.conftest import DEMO, NO_PROFILING, PLATE, PROFILE, VIN, by

PERSONAL = (Category.OWN, Category.TEL)


async def test_a_registered_car_stands_well_and_names_nobody(registry: Registry, car, clock: ManualClock):
    vehicle, owner = await car()

    standing = await registry.standing((VIN,), tenant=DEMO, at=clock.now())

    assert (standing.flags, standing.entitlement) == ((), Right.ENTITLED)
    assert (standing.vehicle, standing.subscriber) == (vehicle, owner)
    assert standing.pack == registry.packs[DEMO].name


@pytest.mark.parametrize(
    ("scheme", "value"),
    [("vin", "jtmzz3testec00001"), ("vin", "ＪＴＭＺＺ３ＴＥＳＴＥＣ００００１"), ("plate", "品川300あ1234")],
)
async def test_a_car_is_found_however_its_name_is_spelt(registry: Registry, car, clock, scheme, value):
    vehicle, _ = await car()

    standing = await registry.standing((VehicleKey.of(scheme, value),), tenant=DEMO, at=clock.now())

    assert standing.vehicle == vehicle


@pytest.mark.parametrize("value", ["0" * 17, "1M8GDM9AXKP042788", "JTMZZ3TESTE000000"])
def test_a_placeholder_is_neither_registered_nor_recognised(value: str):
    with pytest.raises(Malformed, match="placeholder"):
        VehicleKey.of("vin", value)

    assert keys_of(Reported(id_scheme="vin", id_value=value, license_plate="・・・・")) == ()


async def test_an_unknown_car_is_answered_and_flagged(registry: Registry, clock: ManualClock):
    standing = await registry.standing((VIN,), tenant=DEMO, at=clock.now())

    assert standing.flags == (Flag.UNKNOWN_VEHICLE,)
    assert standing.entitlement is Right.UNKNOWN


async def test_a_report_without_any_name_is_flagged_as_that(registry: Registry, clock: ManualClock):
    assert (await registry.standing((), tenant=DEMO, at=clock.now())).flags == (Flag.NO_IDENTITY,)


async def test_number_and_plate_of_two_cars_are_flagged_and_the_number_counts(registry: Registry, car, clock):
    vehicle, _ = await car()
    other = VehicleKey(Scheme.PLATE, "横浜 500 か 99-99")
    await registry.register(RegisterVehicle(keys=(other,), source="test"), by=by())

    standing = await registry.standing((VIN, other), tenant=DEMO, at=clock.now())

    assert standing.vehicle == vehicle
    assert Flag.IDENTITY_MISMATCH in standing.flags


async def test_one_brand_never_sees_another_brands_car(registry: Registry, car, clock: ManualClock):
    vehicle, owner = await car()
    stranger = by(tenant=NO_PROFILING)

    assert (await registry.standing((VIN,), tenant=NO_PROFILING, at=clock.now())).flags == (Flag.UNKNOWN_VEHICLE,)
    with pytest.raises(Unknown):
        await registry.vehicle(vehicle, by=stranger)
    with pytest.raises(Unknown):
        await registry.personal(owner, PERSONAL, by=stranger, purpose="inquiry")
    with pytest.raises(Unknown):
        await registry.change_vehicle(vehicle, StopData(), by=stranger)


async def test_the_same_car_of_two_brands_is_two_records(registry: Registry, car, clock: ManualClock):
    first, _ = await car()
    second, _ = await car(tenant=NO_PROFILING)

    assert first != second
    assert not (await registry.standing((VIN,), tenant=NO_PROFILING, at=clock.now())).profiling


async def test_a_car_registered_twice_at_once_is_one_record(registry: Registry):
    order = RegisterVehicle(keys=(VIN, PLATE), source="test")

    done = await asyncio.gather(*(registry.register(order, by=by()) for _ in range(8)))

    assert len({each.subject for each in done}) == 1
    assert sum(bool(each.changed) for each in done) == 1


async def test_keys_of_two_cars_do_not_make_a_third(registry: Registry, car):
    await car()
    other = VehicleKey(Scheme.OEM_ID, "unit-77")
    await registry.register(RegisterVehicle(keys=(other,), source="test"), by=by())

    with pytest.raises(Refused, match="several"):
        await registry.register(RegisterVehicle(keys=(VIN, other), source="test"), by=by())


async def test_a_plate_that_was_given_back_finds_the_next_car(registry: Registry, car, clock: ManualClock):
    first, _ = await car()
    second = await registry.register(
        RegisterVehicle(keys=(VehicleKey(Scheme.OEM_ID, "unit-77"),), source="test"), by=by()
    )

    with pytest.raises(Refused, match="retire"):
        await registry.change_vehicle(second.subject, AddKey(key=PLATE), by=by())
    await registry.change_vehicle(first, RetireKey(key=PLATE), by=by())
    await registry.change_vehicle(second.subject, AddKey(key=PLATE), by=by())

    assert await registry.find((PLATE,), tenant=DEMO) == second.subject
    assert await registry.find((VIN,), tenant=DEMO) == first


# --- personal data ---


async def test_personal_data_is_served_after_the_access_stands_in_the_journal(registry: Registry, car):
    _, owner = await car()

    shown = await registry.personal(owner, PERSONAL, by=by(Role.DEALER), purpose="inquiry")

    assert shown[Category.OWN]["name"] == PROFILE["name"]
    assert shown[Category.TEL]["phone"] == PROFILE["phone"]
    last = (await registry.history(owner, by=by()))[-1]
    assert isinstance(last.event, RegistryRead)
    assert (last.actor, last.event.purpose, last.event.categories) == ("registrar:test", "stated", PERSONAL)


async def test_personal_data_is_not_shown_without_a_purpose(registry: Registry, car):
    _, owner = await car()

    with pytest.raises(Refused, match="purpose"):
        await registry.personal(owner, PERSONAL, by=by(), purpose=" ")
    assert not [r for r in await registry.history(owner, by=by()) if isinstance(r.event, RegistryRead)]


async def test_only_what_was_asked_for_is_shown(registry: Registry, car):
    _, owner = await car()

    assert set(await registry.personal(owner, (Category.TEL,), by=by(), purpose="call_back")) == {Category.TEL}


async def test_no_name_number_or_plate_lies_in_clear_in_the_database(registry: Registry, car, store, tmp_path: Path):
    vehicle, owner = await car()
    told = [file.read_bytes().decode("utf-8", "replace") for file in tmp_path.glob("journal.db*")]
    for subject in (vehicle, owner):
        told += [repr(await registry.history(subject, by=by())), repr(await store.load(subject))]

    for secret in (*PROFILE.values(), VIN.value, PLATE.value, PLATE.folded):
        assert not any(secret in text for text in told), secret


async def test_keys_of_the_registry_are_wrapped_for_the_contracts_period(registry: Registry, car, keys: KeyStore):
    await car()

    assert _contract_keys(keys) == [kek for kek in keys.keks() if kek.startswith(f"{RETENTION}.2026-01.")]
    assert len(_contract_keys(keys)) == 1


def _contract_keys(keys: KeyStore) -> list[str]:
    return [kek for kek in keys.keks() if kek.startswith(f"{RETENTION}.")]


async def test_once_its_key_is_destroyed_a_name_is_gone_and_the_history_stays(
    registry: Registry, car, keys: KeyStore, store: Store, clock: ManualClock
):
    _, owner = await car()
    for kek in _contract_keys(keys):
        keys.destroy(kek)
    afterwards = Registry(store, Index(store.engine), keys, clock=clock)

    assert await afterwards.personal(owner, PERSONAL, by=by(), purpose="inquiry") == {}
    assert len(await afterwards.history(owner, by=by())) >= 2
    assert (await afterwards.standing((VIN,), tenant=DEMO, at=clock.now())).entitlement is Right.ENTITLED


# --- the old owner ---


async def test_with_the_hand_over_the_old_owner_loses_access_at_once(registry: Registry, car):
    vehicle, seller = await car()
    portal = by(Role.PORTAL, acting=seller)
    assert (await registry.vehicle(vehicle, by=portal)).owner == seller
    buyer = await registry.register(RegisterSubscriber(profile={}, source="test", ref="C-2"), by=by())

    await registry.change_vehicle(vehicle, BeginTransfer(document="t-1"), by=by(Role.DEALER))
    order = CompleteTransfer(buyer=buyer.subject, services_off_told=True)
    await registry.change_vehicle(vehicle, order, by=by(Role.DEALER))

    with pytest.raises(Forbidden):
        await registry.vehicle(vehicle, by=portal)
    with pytest.raises(Forbidden):
        await registry.change_vehicle(vehicle, StopData(), by=portal)
    assert (await registry.vehicle(vehicle, by=by(Role.PORTAL, acting=buyer.subject))).owner == buyer.subject


async def test_a_car_is_not_handed_to_a_customer_nobody_knows(registry: Registry, car):
    vehicle, _ = await car()

    with pytest.raises(Unknown):
        await registry.change_vehicle(vehicle, LinkOwner(subscriber=SubjectId("nobody")), by=by())


async def test_a_customer_reads_their_own_record_only(registry: Registry, car):
    _, owner = await car()
    other = await registry.register(RegisterSubscriber(profile={}, source="test", ref="C-2"), by=by())

    with pytest.raises(Forbidden):
        await registry.personal(owner, PERSONAL, by=by(Role.PORTAL, acting=other.subject), purpose="own")


# --- proof ---


async def test_while_its_key_is_lost_a_name_is_not_shown_and_is_not_taken_for_nothing(
    registry: Registry, car, keys: KeyStore, store: Store, clock: ManualClock, tmp_path: Path
):
    _, owner = await car()
    (kek,) = _contract_keys(keys)
    aside = (tmp_path / "keys" / f"{kek}.kek").rename(tmp_path / "aside")
    later = Registry(store, Index(store.engine), keys, clock=clock)

    with pytest.raises(KeyLost, match="lost"):
        await later.personal(owner, PERSONAL, by=by(), purpose="inquiry")
    assert (await later.standing((VIN,), tenant=DEMO, at=clock.now())).entitlement is Right.ENTITLED

    aside.rename(tmp_path / "keys" / f"{kek}.kek")
    assert set(await later.personal(owner, PERSONAL, by=by(), purpose="inquiry")) == set(PERSONAL)


async def test_every_change_is_an_event_of_the_one_log_and_the_state_is_their_replay(registry, car, store, keys, clock):
    vehicle, owner = await car()
    await registry.personal(owner, PERSONAL, by=by(), purpose="inquiry")
    await registry.change_subscriber(owner, ConfirmProfile(), by=by(Role.PORTAL, acting=owner))
    refusal = RecordConsent(purpose="third_party_provision", given=False, text="demo-terms/1", consequence_shown=True)
    await registry.change_subscriber(owner, refusal, by=by(Role.PORTAL, acting=owner))
    ledger = Ledger(store, keys, clock, losses=Losses())

    written = 0
    for fresh in (Vehicle(id=vehicle, tenant=DEMO), Subscriber(id=owner, tenant=DEMO)):
        history = await ledger.history(fresh.id)
        written += len(history)
        assert replay(fresh, history) == await ledger.load(fresh.id)
        assert [recorded.n for recorded in history] == list(range(1, len(history) + 1))

    await sequenced(store, written)
    positions = {recorded.position for recorded in await ledger.history(owner)}
    assert None not in positions
    size, _ = await store.tree()
    assert max(positions) < size


async def test_a_stream_of_the_registry_is_no_incident(registry: Registry, car, journal: Journal):
    subjects = await car()

    assert (await journal.queue(limit=100, states=list(State)))[0] == 0
    for subject in subjects:
        with pytest.raises(Unknown):
            await journal.read(IncidentId(subject), PERSONAL, reader="operator:hanako", purpose="curiosity")


async def test_orders_that_cross_are_all_kept(registry: Registry, car):
    _, owner = await car()
    me = by(Role.PORTAL, acting=owner)

    await asyncio.gather(*(registry.change_subscriber(owner, ConfirmProfile(), by=me) for _ in range(6)))

    kinds = [
        r.event.change["kind"] for r in await registry.history(owner, by=by()) if isinstance(r.event, RegistryChanged)
    ]
    assert kinds.count("ProfileConfirmed") == 6


# --- restarts, outages, packs ---


async def test_what_a_killed_process_left_out_of_the_index_a_reader_brings_in(registry, car, store, keys, clock):
    vehicle, owner = await car()
    async with store.engine.begin() as connection:
        await connection.exec_driver_sql("DELETE FROM registry_keys")
    assert await registry.find((VIN,), tenant=DEMO) is None

    ledger = Ledger(store, keys, clock, losses=Losses())
    written = len(await ledger.history(vehicle)) + len(await ledger.history(owner))
    await registry.catch_up(await sequenced(store, written))

    assert await registry.find((VIN,), tenant=DEMO) == vehicle
    assert list(await registry.subjects(Kind.VEHICLE, tenant=DEMO)) == [vehicle]


class _Gone(Index):
    """An index whose database does not answer."""

    async def find(self, digests):
        raise Unavailable("the registry's database does not answer (OSError)")


async def test_help_goes_on_while_the_registry_is_down(registry: Registry, car, store, keys, clock):
    await car()
    down = Registry(store, _Gone(store.engine), keys, clock=clock)

    standing = await down.standing((VIN,), tenant=DEMO, at=clock.now())

    assert standing.flags == (Flag.REGISTRY_UNAVAILABLE,)
    assert not standing.profiling
    assert standing.call_back_window == timedelta(minutes=60)


async def test_a_pack_in_force_is_kept_and_found_again_by_another_process(registry, store, keys, clock):
    changed = replace(shipped()[DEMO], open_link="block")
    await registry.set_pack(changed, by=by())

    later = Registry(store, Index(store.engine), keys, clock=clock)
    await later.load_packs((), (DEMO, TenantId("nobody")))

    assert dict(later.packs) == {DEMO: changed}


async def test_a_pack_that_is_in_force_already_writes_nothing(registry: Registry):
    done = await registry.set_pack(shipped()[DEMO], by=by())

    assert done.changed == ()


async def test_a_dealer_does_not_set_the_brands_rules(registry: Registry):
    with pytest.raises(Forbidden):
        await registry.set_pack(shipped()[DEMO], by=by(Role.DEALER))
    with pytest.raises(Forbidden):
        await registry.set_pack(shipped()[DEMO], by=by(tenant=NO_PROFILING))
