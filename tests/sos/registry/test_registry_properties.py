"""Random orders from everybody: what may never happen does not, and a state is always the replay of its changes."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from sos.errors import Forbidden, Malformed, Refused
from sos.incident.model import SubjectId
from sos.registry import changes as ch
from sos.registry import orders as o
from sos.registry.lifecycle import MAY, Context, Role, decide_vehicle
from sos.registry.model import (
    SOS,
    Acknowledged,
    KeyDigest,
    Notice,
    Scheme,
    Suspension,
    Vehicle,
    VehicleKey,
)
from sos.registry.pack import shipped
from sos.registry.standing import right, standing_of
from sos.registry.states import evolve_vehicle

START = datetime(2026, 1, 1, tzinfo=UTC)
PEOPLE = tuple(SubjectId(name) for name in ("seller", "buyer", "third"))
PACKS = tuple(shipped().values())
PLATES = tuple(VehicleKey(Scheme.PLATE, f"試験 300 あ {n}") for n in range(3))


def _digest(key: VehicleKey) -> KeyDigest:
    return KeyDigest(key.scheme, key.folded.encode().hex())


def any_order(pick: random.Random, now: datetime) -> o.VehicleOrder:
    some = tuple(each for each in Acknowledged if pick.random() < 0.8)
    person = pick.choice(PEOPLE)
    return pick.choice(
        (
            o.AddKey(key=pick.choice(PLATES)),
            o.RetireKey(key=pick.choice(PLATES)),
            o.LinkOwner(subscriber=person),
            o.UnlinkOwner(),
            o.GrantEntitlement(service=pick.choice((SOS, "remote")), begins=now, ends=pick.choice((None, now + DAY))),
            o.EndEntitlement(service=pick.choice((SOS, "remote")), at=now, reason="cancelled"),
            o.Deactivate(
                document=pick.choice(("", "seal-1")),
                acknowledged=some,
                effective_at=pick.choice((None, now)),
            ),
            o.Reactivate(document="d"),
            o.BeginTransfer(document="t"),
            *((o.CancelTransfer(document="t"),) if pick.random() < 0.3 else ()),
            o.CompleteTransfer(buyer=pick.choice((None, person)), services_off_told=pick.random() < 0.5),
            o.NotifyBuyer(content=pick.choice(tuple(Notice)), document="n"),
            o.StopData(),
            o.ResumeData(),
            o.PassTestCall(incident="i"),
            o.Suspend(reason=pick.choice(tuple(Suspension)), document="d"),
            o.LiftSuspension(document="d"),
            *((o.Scrap(document="s"),) if pick.random() < 0.02 else ()),
        )
    )


DAY = timedelta(days=1)


@pytest.mark.parametrize("seed", range(40))
def test_whatever_is_ordered_the_promises_hold(seed: int):
    pick = random.Random(seed)
    pack = pick.choice(PACKS)
    now = START
    registered = ch.VehicleRegistered(keys=(KeyDigest(Scheme.VIN, "00"),), source="test")
    vehicle = evolve_vehicle(Vehicle(id=SubjectId("v"), tenant=pack.tenant), registered, at=now)
    told: list[tuple[ch.Change, datetime]] = [(registered, now)]
    for _ in range(300):
        now += timedelta(minutes=pick.randrange(0, 600))
        role, acting = pick.choice(tuple(Role)), pick.choice((None, *PEOPLE))
        by = Context(role=role, now=now, pack=pack, digest=_digest, ref_digest=str, acting=acting)
        order, before = any_order(pick, now), vehicle
        try:
            decision = decide_vehicle(vehicle, order, by)
        except (Refused, Forbidden, Malformed):
            continue
        for change in decision.changes:
            vehicle = evolve_vehicle(vehicle, change, at=now)
            told.append((change, now))
        _check(before, order, by, decision.changes, vehicle)
        standing_of(vehicle, None, pack, brand=pack.tenant, at=now)  # answers for every state there is

    again = Vehicle(id=SubjectId("v"), tenant=pack.tenant)
    for change, at in told:
        again = evolve_vehicle(again, ch.read(ch.write(change)), at=at)
    assert again == vehicle


def _check(before: Vehicle, order: o.VehicleOrder, by: Context, done: tuple[ch.Change, ...], after: Vehicle) -> None:
    allowed = MAY[by.role]
    assert allowed is None or type(order) in allowed
    if by.role is Role.PORTAL and done:
        assert before.owner == by.acting is not None
        assert not {ch.ServiceDeactivated, ch.EntitlementEnded, ch.TransferCompleted} & {type(each) for each in done}
    for change in done:
        if isinstance(change, ch.ServiceDeactivated):
            assert change.document
            assert set(change.acknowledged) == set(Acknowledged)
            assert by.role in (Role.OEM, Role.DEALER)
        if isinstance(change, ch.TransferCompleted):
            assert after.owner == change.buyer != before.owner or before.owner is None
            assert not after.linked
            assert after.transfer is not None
            assert after.transfer.notice is not None
            assert not (before.linked and by.pack is not None and by.pack.open_link == "block")
    if before.scrapped_at is not None:
        assert not done
    if right(before, by.now) is right(after, by.now):
        return
    # the right to SOS changes by an order about SOS alone
    assert isinstance(order, o.GrantEntitlement | o.EndEntitlement)
    assert order.service == SOS
