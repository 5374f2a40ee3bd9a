"""Two clocks after the contract, one at the scrapyard; frozen time decides, and what is erased stays erased."""

import re
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path

import msgspec
import pytest

from recording.keys import KeyStore
from recording.retention import Period
from routing.categories import Category
from sos.clock import ManualClock
from sos.errors import Misconfigured
from sos.incident.events import RegistryChanged
from sos.incident.model import SubjectId, TenantId
from sos.journal.store import Store
from sos.registry.index import Index
from sos.registry.model import Flag, Subscriber, Vehicle
from sos.registry.orders import ChangeProfile, EndContract, Scrap
from sos.registry.pack import BrandPack, Retention, read_pack, shipped
from sos.registry.registry import Registry
from sos.registry.retention import PROFILE, due, next_due
from tests.sos.registry.conftest import DEMO, VIN, by

ENDED = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
FORMER = Subscriber(id=SubjectId("s"), tenant=TenantId("demo"), version=2, ended_at=ENDED)
ALL = (Category.OWN, Category.TEL, Category.BIL)


@pytest.mark.parametrize(
    ("days", "expected"),
    [(0, set()), (365, set()), (366, PROFILE), (3650, PROFILE), (3652, PROFILE), (3653, PROFILE | {Category.BIL})],
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


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ("contract_days = 36500", "contract-1y is kept for P36500D, and P5Y is the longest that is allowed"),
        ("financial_days = 30", "finance-10y is kept for P30D, and P7Y is the shortest that is allowed"),
        (
            'incident = { "incident-case-3y" = "P36500D" }',
            "incident-case-3y is kept for P36500D, and P10Y is the longest",
        ),
        ('contract = "a year"', "'a year' is no period"),
        ('instead = { LOC = "incident-case-3y" }', "LOC cannot fall under incident-case-3y"),
        ('instead = { WEATHER = "telematics-4w" }', "WEATHER"),
    ],
)
def test_a_brand_that_promises_what_no_law_allows_is_refused_at_load_in_words(told: str, why: str):
    text = (resources.files("sos.registry") / "packs" / "demo-no-profiling.toml").read_text()

    with pytest.raises(Misconfigured, match=re.escape(why)):
        read_pack(f"{text}\n[retention]\n{told}\n", name="invented.toml")


def test_a_pack_of_before_that_the_journal_holds_is_still_read():
    kept = msgspec.json.encode(shipped()[TenantId("demo")])
    before = msgspec.json.decode(kept) | {"retention": {"contract_days": 36500, "financial_days": 3650}}

    assert msgspec.convert(before, BrandPack).terms.periods["contract-1y"] == Period.parse("P36500D")


def test_minis_own_promise_is_data_and_its_version_changes_with_nothing_else():
    text = (resources.files("sos.registry") / "packs" / "demo-no-profiling.toml").read_text()
    mini = read_pack(f'{text}\n[retention]\ninstead = {{ LOC = "telematics-4w", SEV = "telematics-4w" }}\n', name="m")

    assert mini.terms.instead == {Category.LOC: "telematics-4w", Category.SEV: "telematics-4w"}
    assert mini.terms.version == msgspec.structs.replace(mini, name_en="Another").terms.version
    assert mini.terms.version != read_pack(text, name="m").terms.version


async def _kinds(registry: Registry, subject: SubjectId) -> list[str]:
    events = [recorded.event for recorded in await registry.history(subject, by=by())]
    return [event.change["kind"] for event in events if isinstance(event, RegistryChanged)]


async def test_a_former_customers_data_is_erased_in_two_steps_and_the_history_stays(
    registry: Registry, car, clock: ManualClock
):
    _, owner = await car()
    await registry.change_subscriber(owner, ChangeProfile(profile={"contract": "A-1"}, source="test"), by=by())
    await registry.change_subscriber(owner, EndContract(reason="cancelled"), by=by())

    await clock.advance(365 * DAY)
    assert await registry.erase_due() == 0
    await clock.advance(1 * DAY)
    assert await registry.erase_due() == 1
    held = await registry.personal(owner, ALL, by=by(), purpose="inquiry")
    await clock.advance(3286 * DAY)
    assert await registry.erase_due() == 0
    await clock.advance(1 * DAY)
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
    registry: Registry, car, clock: ManualClock, store: Store, keys: KeyStore, tmp_path: Path
):
    vehicle, _ = await car()
    ((kek, wrapped),) = [(row.kek, row.wrapped) for row in await store.keys(vehicle) if row.category is Category.VEH]
    await registry.change_vehicle(vehicle, Scrap(document="s-1"), by=by())

    await registry.erase_due()

    assert not [row for row in await store.keys(vehicle) if row.category is Category.VEH]
    assert kek in keys.retired()
    if store.name == "sqlite":
        async with store.engine.connect() as connection:
            plain = await connection.execution_options(isolation_level="AUTOCOMMIT")
            await plain.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        assert all(wrapped not in file.read_bytes() for file in tmp_path.glob("journal.db*"))
