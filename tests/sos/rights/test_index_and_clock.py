"""Everything about a person is found on each database, what is destroyed is not, and what is late is said every day."""

from datetime import timedelta
from pathlib import Path
from typing import cast

import msgspec
from prometheus_client import generate_latest

from recording.keys import KeyStore
from recording.retention import HOUSE
from routing.categories import Category
from sos.clock import ManualClock
from sos.incident import commands as c
from sos.incident.events import BreachFound, DataDestroyed
from sos.incident.model import Disposed
from sos.journal.journal import Journal
from sos.journal.retention_rows import RetentionRows
from sos.journal.sqlite import SqliteStore
from sos.journal.store import Store
from sos.journal.subject_rows import SubjectRows
from sos.registry import orders as o
from sos.registry.registry import Registry
from sos.retention.configured import Retention
from sos.rights.configured import Rights
from sos.rights.desk import Asked
from sos.rights.request import RightsRequest
from sos.rights.search import Claim, ClaimedVehicle, Found
from tests.rest import settled
from tests.sos.rights.town import (
    BY,
    HANA,
    HANA_TEL,
    HANA_VIN,
    TARO,
    TARO_TEL,
    VIN,
    crash,
    customer,
    recognised,
    reported,
)

JIRO = "operator:jiro"


def claim(name: str = TARO, tel: str = TARO_TEL, vin: str = VIN) -> Claim:
    return Claim(name=name, tel=(tel,), vehicles=(ClaimedVehicle("vin", vin),))


async def asked(rights: Rights, who: Claim, *, brand: str = "demo", right: str = "disclosure") -> RightsRequest:
    """A request of a person who has shown who they are."""
    state = await rights.desk.receive(Asked(right=right, channel="letter", claim=who, brand=brand), by=JIRO)
    return await rights.desk.check(state.request, proved=True, shown=("passport",), words="seen", by=JIRO)


async def found(rights: Rights, store: Store, who: Claim, *, brand: str = "demo") -> Found:
    state = await asked(rights, who, brand=brand)
    await settled(store)
    await rights.indexer.catch_up()
    return await rights.desk.find(state.request, by=JIRO)


async def test_a_sold_car_leads_each_to_their_own_and_to_nothing_of_the_other(
    rights: Rights, registry: Registry, journal: Journal, store: Store
):
    taro, car = await customer(registry, TARO, TARO_TEL, VIN)
    hana, _ = await customer(registry, HANA, HANA_TEL, HANA_VIN)
    before = await crash(journal, 1, reported(VIN, "+81300007777"), recognised(taro, car, TARO, TARO_TEL))
    await registry.change_vehicle(car, o.BeginTransfer(document="t"), by=BY)
    await registry.change_vehicle(car, o.CompleteTransfer(buyer=hana, services_off_told=True), by=BY)
    after = await crash(journal, 2, reported(VIN, "+81300007777"), recognised(hana, car, HANA, HANA_TEL))

    taros = await found(rights, store, claim())
    hanas = await found(rights, store, claim(HANA, HANA_TEL))

    assert {each.stream for each in taros.sure} == {taro, before}
    assert {each.stream for each in taros.maybe} == {car, after}
    assert {each.stream for each in hanas.sure} >= {hana, car, after}
    assert before not in {each.stream for each in hanas.sure}


async def test_who_bought_a_car_is_given_no_word_of_its_seller_and_none_that_nobody_has_read(
    rights: Rights, registry: Registry, store: Store
):
    _, car = await customer(registry, TARO, TARO_TEL, VIN)
    hana, _ = await customer(registry, HANA, HANA_TEL, HANA_VIN)
    await registry.change_vehicle(car, o.BeginTransfer(document="seller's paper"), by=BY)
    await registry.change_vehicle(car, o.CompleteTransfer(buyer=hana, services_off_told=True), by=BY)
    await registry.change_vehicle(car, o.BeginTransfer(document="buyer's paper"), by=BY)
    state = await asked(rights, claim(HANA, HANA_TEL))
    await settled(store)
    await rights.indexer.catch_up()
    assert car in {each.stream for each in (await rights.desk.find(state.request, by=JIRO)).sure}

    unread = await rights.desk.answer(state.request, by=JIRO)
    read = await rights.desk.answer(state.request, by=JIRO, words_read=True, fee_paid=True)

    assert (b"seller's paper" in unread.document, b"buyer's paper" in unread.document) == (False, False)
    assert (b"seller's paper" in read.document, b"buyer's paper" in read.document) == (False, True)
    (of_car,) = (each for each in msgspec.json.decode(read.document)["held"] if each["stream"] == car)
    assert [each["why"] for each in of_car["withheld"]] == ["another_person"]


async def test_what_is_to_go_falls_due_also_where_whoever_asked_for_it_was_stopped_at_that_moment(
    rights: Rights,
    registry: Registry,
    journal: Journal,
    store: Store,
    keys: KeyStore,
    clock: ManualClock,
    tmp_path: Path,
):
    taro, car = await customer(registry, TARO, TARO_TEL, VIN)
    one = await crash(journal, 1, reported(VIN, "+81300007777"), recognised(taro, car, TARO, TARO_TEL))
    await clock.advance(timedelta(days=40))
    engine = cast(SqliteStore, store).engine
    rows = RetentionRows(engine)
    kept = Retention.of(journal, keys, rows, data=tmp_path, terms=lambda _: HOUSE, asked=SubjectRows(engine).erasures)
    state = await asked(rights, claim(), right="deletion")
    await settled(store)
    await rights.indexer.catch_up()
    await kept.clerk.catch_up()
    await rights.desk.find(state.request, by=JIRO)

    erased = (await rights.changing.erase(state.request, by=JIRO)).erased
    await SubjectRows(engine).clear()
    await settled(store)
    await kept.clerk.catch_up()

    due = {each.category for each in await rows.of(one) if each.due_at <= journal.clock.now()}
    assert due == {category for stream, category in erased if stream == one} == {Category.RAW}


async def test_spelling_hides_nobody_and_a_name_alone_is_a_hint(
    rights: Rights, registry: Registry, journal: Journal, store: Store
):
    taro, car = await customer(registry, TARO, TARO_TEL, VIN)
    one = await crash(journal, 1, reported(VIN, "+81300007777"), recognised(taro, car, TARO, TARO_TEL))

    spelt = await found(rights, store, claim("架空　太郎", "03-0000-1234", "ｊｔｍｚｚ３ｔｅｓｔｅｃ０００01"))
    named = await found(rights, store, Claim(name=TARO))

    assert {each.stream for each in spelt.sure} >= {taro, one}
    assert named.sure == ()
    assert {each.stream for each in named.maybe} >= {taro, one}


async def test_a_brand_is_asked_for_its_own_and_the_house_for_all(
    rights: Rights, registry: Registry, journal: Journal, store: Store
):
    taro, _ = await customer(registry, TARO, TARO_TEL, VIN)

    assert (await found(rights, store, claim(), brand="demo-no-profiling")).sure == ()
    assert taro in {each.stream for each in (await found(rights, store, claim(), brand="house")).sure}


async def test_what_is_destroyed_can_be_found_no_more(
    rights: Rights, registry: Registry, journal: Journal, store: Store
):
    taro, _ = await customer(registry, TARO, TARO_TEL, VIN)
    one = await crash(journal, 1, reported(VIN, TARO_TEL))
    before = await found(rights, store, claim())
    when = journal.clock.now()
    disposed = tuple(
        Disposed(category=each, tag="t", version="1", started_at=when, due_at=when, keks=())
        for each in (Category.VEH, Category.TEL)
    )
    gone = c.DestroyData(
        seen=(await journal.state(one)).version, disposal="d", listed="l", disposed=disposed, approved=("a", "b")
    )
    done = await journal.execute(one, gone, actor="system:retention")

    after = await found(rights, store, claim())

    assert isinstance(done.recorded[0].event, DataDestroyed)
    assert one in {each.stream for each in before.maybe}
    assert one not in {each.stream for each in (*after.sure, *after.maybe)}
    assert taro in {each.stream for each in after.sure}


async def test_a_late_request_is_said_every_day_until_it_is_answered_or_refused(
    rights: Rights, store: Store, clock: ManualClock
):
    state = await asked(rights, claim())
    overseer = rights.overseer

    await clock.advance(timedelta(days=30) - timedelta(milliseconds=1))
    await overseer.look()
    in_time = overseer.state()
    await clock.advance(timedelta(milliseconds=1))
    await overseer.look()
    await overseer.look()
    late = await rights.desk.ledger.load(state.request)
    figures = generate_latest(overseer.figures).decode()
    await clock.advance(timedelta(days=1))
    await overseer.look()
    later = await rights.desk.ledger.load(state.request)
    await rights.desk.refuse(state.request, rule="nothing-held", words="nothing of theirs", by=JIRO)
    await overseer.look()

    assert in_time == {}
    assert (late.late, later.late) == (1, 2)
    assert "sos_rights_overdue 1.0" in figures
    assert overseer.state() == {}
    assert await rights.desk.ledger.open() == []


async def test_a_breach_that_is_not_reported_falls_due_every_day(rights: Rights, clock: ManualClock):
    event = BreachFound(what="intrusion", known_at=clock.now(), categories=(), malicious=True, encrypted=False, by=JIRO)
    breach = (await rights.breaches.found(event, words="somebody was in")).breach

    await clock.advance(timedelta(days=3) - timedelta(milliseconds=1))
    await rights.overseer.look()
    in_time = rights.overseer.state()
    await clock.advance(timedelta(milliseconds=1))
    await rights.overseer.look()
    await rights.overseer.look()
    first = dict((await rights.breaches.ledger.load(breach)).late)
    await clock.advance(timedelta(days=57))
    await rights.overseer.look()
    last = dict((await rights.breaches.ledger.load(breach)).late)
    for stage in ("preliminary", "final", "persons"):
        await rights.breaches.reported(breach, stage=stage, words="told", by=JIRO)
    await rights.overseer.look()

    assert in_time == {}
    assert first == {"preliminary": 1}
    assert last == {"preliminary": 2, "final": 1, "persons": 1}
    assert rights.overseer.state() == {}
    assert await rights.breaches.ledger.open() == []
    assert await rights.desk.ledger.all() == []


async def test_a_breach_names_whose_car_it_was_when_it_was_known_and_not_who_bought_it_since(
    rights: Rights, registry: Registry, clock: ManualClock
):
    taro, car = await customer(registry, TARO, TARO_TEL, VIN)
    hana, _ = await customer(registry, HANA, HANA_TEL, HANA_VIN)
    await clock.advance(timedelta(minutes=1))
    event = BreachFound(what="intrusion", known_at=clock.now(), categories=(), malicious=True, encrypted=False, by=JIRO)
    breach = (await rights.breaches.found(event, words="somebody was in")).breach
    await rights.breaches.affects(breach, [car], words="its record", by=JIRO)
    await clock.advance(timedelta(minutes=1))
    await registry.change_vehicle(car, o.BeginTransfer(document="t"), by=BY)
    await registry.change_vehicle(car, o.CompleteTransfer(buyer=hana, services_off_told=True), by=BY)

    persons = await rights.breaches.persons(breach, by=JIRO)

    assert [(each["person"], each["name"], list(each["because_of"])) for each in persons] == [(taro, TARO, [car])]
