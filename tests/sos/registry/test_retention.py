"""Two clocks after the contract, one at the scrapyard; frozen time decides, and what is erased stays erased."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recording.keys import KeyStore
from routing.categories import Category
from sos.clock import ManualClock
from sos.incident.events import RegistryChanged
from sos.incident.model import SubjectId, TenantId
from sos.journal.store import Store
from sos.registry.index import Index
from sos.registry.model import Flag, Subscriber, Vehicle
from sos.registry.orders import ChangeProfile, EndContract, Scrap
from sos.registry.pack import Retention
from sos.registry.registry import Registry
from sos.registry.retention import PROFILE, due, next_due
from tests.sos.registry.conftest import DEMO, VIN, by

ENDED = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
FORMER = Subscriber(id=SubjectId("s"), tenant=TenantId("demo"), version=2, ended_at=ENDED)
ALL = (Category.OWN, Category.TEL, Category.BIL)


@pytest.mark.parametrize(
    ("days", "expected"),
    [(0, set()), (364, set()), (365, PROFILE), (3649, PROFILE), (3650, PROFILE | {Category.BIL})],
)
def test_bmw_notice_a_contract_data_goes_after_a_year_and_financial_data_after_ten(days: int, expected: set[Category]):
    assert set(due(FORMER, Retention(), now=ENDED + days * DAY)) == expected


def test_bmw_notice_d_what_names_a_vehicle_goes_when_it_is_scrapped():
    scrapped = Vehicle(id=SubjectId("v"), tenant=TenantId("demo"), version=2, scrapped_at=ENDED)

    assert due(scrapped, Retention(), now=ENDED) == (Category.VEH,)


def test_no_clock_runs_while_the_contract_does():
    running = Subscriber(id=SubjectId("s"), tenant=TenantId("demo"), version=1)

    assert next_due(running, Retention()) is None
    assert due(running, Retention(), now=ENDED + 9999 * DAY) == ()


async def _kinds(registry: Registry, subject: SubjectId) -> list[str]:
    events = [recorded.event for recorded in await registry.history(subject, by=by())]
    return [event.change["kind"] for event in events if isinstance(event, RegistryChanged)]


async def test_a_former_customers_data_is_erased_in_two_steps_and_the_history_stays(
    registry: Registry, car, clock: ManualClock
):
    _, owner = await car()
    await registry.change_subscriber(owner, ChangeProfile(profile={"contract": "A-1"}, source="test"), by=by())
    await registry.change_subscriber(owner, EndContract(reason="cancelled"), by=by())

    await clock.advance(364 * DAY)
    assert await registry.erase_due() == 0
    await clock.advance(1 * DAY)
    assert await registry.erase_due() == 1
    held = await registry.personal(owner, ALL, by=by(), purpose="inquiry")
    await clock.advance(3285 * DAY)
    assert await registry.erase_due() == 1
    gone = await registry.personal(owner, ALL, by=by(), purpose="inquiry")

    assert set(held) == {Category.BIL}
    assert gone == {}
    assert await registry.erase_due() == 0
    assert (await _kinds(registry, owner)).count("PersonalDataErased") == 2


async def test_a_scrapped_car_is_erased_and_still_recognised_as_scrapped(registry: Registry, car, clock: ManualClock):
    vehicle, _ = await car()
    await registry.change_vehicle(vehicle, Scrap(document="s-1"), by=by())

    await registry.erase_due()

    assert await registry.personal(vehicle, (Category.VEH,), by=by(), purpose="inquiry") == {}
    standing = await registry.standing((VIN,), tenant=DEMO, at=clock.now())
    assert Flag.SCRAPPED in standing.flags


async def test_keys_left_by_a_kill_between_the_event_and_their_end_go_with_the_next_round(
    registry: Registry, car, clock: ManualClock, store: Store, keys: KeyStore
):
    class Killed(Index):
        async def destroy_keys(self, subject, categories):
            raise KeyboardInterrupt

    vehicle, _ = await car()
    await registry.change_vehicle(vehicle, Scrap(document="s-1"), by=by())
    dying = Registry(store, Killed(store.engine), keys, clock=clock)
    with pytest.raises(KeyboardInterrupt):
        await dying.erase_due()
    assert await registry.personal(vehicle, (Category.VEH,), by=by(), purpose="inquiry") != {}

    await registry.erase_due()

    assert await registry.personal(vehicle, (Category.VEH,), by=by(), purpose="inquiry") == {}
    assert (await _kinds(registry, vehicle)).count("PersonalDataErased") == 1


async def test_an_erased_key_is_in_no_table_and_no_file(
    registry: Registry, car, clock: ManualClock, store: Store, tmp_path: Path
):
    vehicle, _ = await car()
    (wrapped,) = [row.wrapped for row in await store.keys(vehicle) if row.category is Category.VEH]
    await registry.change_vehicle(vehicle, Scrap(document="s-1"), by=by())

    await registry.erase_due()

    assert not [row for row in await store.keys(vehicle) if row.category is Category.VEH]
    if store.name == "sqlite":
        async with store.engine.connect() as connection:
            plain = await connection.execution_options(isolation_level="AUTOCOMMIT")
            await plain.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        assert all(wrapped not in file.read_bytes() for file in tmp_path.glob("journal.db*"))
