"""An invented town: two customers, their cars, and what happened to them, written into a data directory."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from msgspec.structs import replace

from recording.keys import KeyStore
from routing.categories import Category
from sos.clock import ManualClock, SystemClock
from sos.incident import commands as c
from sos.incident.model import Disposition, IncidentId, OperatorId, SubjectId, TenantId
from sos.incident.report import canonical
from sos.journal.journal import Journal
from sos.journal.migrate import upgrade
from sos.journal.spool import Spool
from sos.journal.sqlite import SqliteStore
from sos.registry import orders as o
from sos.registry.index import Index
from sos.registry.lifecycle import Role
from sos.registry.model import Scheme, VehicleKey
from sos.registry.pack import shipped
from sos.registry.registry import By, Registry
from tests.journeys import story as s
from tests.sos.journal.reports import incident

DEMO = TenantId("demo")
TARO, HANA = "架空 太郎", "想像 花"
TARO_TEL, HANA_TEL, PASSER_BY = "+81300001234", "+81300005678", "+81300009999"
VIN, HANA_VIN = "JTMZZ3TESTEC00001", "JTMZZ3TESTEC00002"
BY = By(tenant=DEMO, role=Role.OEM, id="test")


async def customer(registry: Registry, name: str, tel: str, vin: str) -> tuple[SubjectId, SubjectId]:
    """A customer with a car; ids of both."""
    profile = {"name": name, "phone": tel, "family_contact": f"妻 {PASSER_BY}"}
    holder = (await registry.register(o.RegisterSubscriber(profile=profile, source="test"), by=BY)).subject
    key = VehicleKey(Scheme.VIN, vin)
    car = (await registry.register(o.RegisterVehicle(keys=(key,), source="test"), by=BY)).subject
    await registry.change_vehicle(car, o.LinkOwner(subscriber=holder), by=BY)
    return holder, car


def recognised(holder: SubjectId, car: SubjectId, name: str, tel: str) -> c.RecogniseVehicle:
    parts = {Category.OWN: canonical({"ownerName": name, "ownerTel": tel})}
    return replace(s.recognise(opt_out=True), holder=holder, record=car, parts=parts)


def reported(vin: str, tel: str) -> c.FileReport:
    parts = {
        Category.LOC: canonical({"latitude": 35.68, "longitude": 139.77}),
        Category.VEH: canonical({"idScheme": "vin", "idValue": vin}),
        Category.TEL: canonical({"tel": tel}),
    }
    return replace(s.file_report(), parts=parts)


async def crash(journal: Journal, number: int, *commands: c.Command) -> IncidentId:
    """An incident that was handed over to the fire brigade and closed."""
    opened = await incident(journal, number)
    told = replace(s.disclose(), opt_out_overridden=True, opt_out_clause="demo-terms/1#4.4")
    words = s.note(f"後続車の {HANA} さん {HANA_TEL} が通報")
    over = (s.take(), words, told, s.acknowledge(), c.CloseIncident(disposition=Disposition.HANDED_OVER))
    for command in (*commands, *over):
        await journal.execute(opened, command, actor="operator:hanako")
    return opened


class Town:
    """What was written, by name."""

    taro: SubjectId
    taros_car: SubjectId
    hana: SubjectId
    taros_crash: IncidentId
    hanas_crash: IncidentId
    call_from_taros_number: IncidentId


async def settle(data: Path, *, days_ago: int = 40) -> Town:
    """Write it all."""
    keys, town = KeyStore(data / "keys"), Town()
    clock = ManualClock(SystemClock().now() - timedelta(days=days_ago))
    async with SqliteStore(data / "journal.db") as store:
        await upgrade(store.engine)
        journal = Journal(store, keys, Spool(data / "spool", keys.secret("spool")), clock=clock)
        registry = Registry(store, Index(store.engine), keys, clock=clock)
        await registry.load_packs(shipped().values(), ())
        town.taro, town.taros_car = await customer(registry, TARO, TARO_TEL, VIN)
        town.hana, hanas_car = await customer(registry, HANA, HANA_TEL, HANA_VIN)
        taros = (reported(VIN, "+81300007777"), recognised(town.taro, town.taros_car, TARO, TARO_TEL))
        town.taros_crash = await crash(journal, 1, *taros)
        hanas = (reported(HANA_VIN, "+81300008888"), recognised(town.hana, hanas_car, HANA, HANA_TEL))
        town.hanas_crash = await crash(journal, 2, *hanas)
        town.call_from_taros_number = await crash(journal, 3, replace(reported(VIN, TARO_TEL), sequence=1))
    return town


async def call_of_taro(
    data: Path, *commands: c.Command, closed: Disposition = Disposition.FALSE_ALARM, days_ago: int = 40
) -> IncidentId:
    """An incident of a car that is in nobody's record, where somebody said that it is Taro's."""
    keys = KeyStore(data / "keys")
    clock = ManualClock(SystemClock().now() - timedelta(days=days_ago))
    async with SqliteStore(data / "journal.db") as store:
        await upgrade(store.engine)
        journal = Journal(store, keys, Spool(data / "spool", keys.secret("spool")), clock=clock)
        opened = await incident(journal, 77)
        parts = {Category.OWN: canonical({"ownerName": TARO, "ownerTel": TARO_TEL})}
        known = replace(s.recognise(), holder=None, record=None, parts=parts)
        over = c.CloseIncident(disposition=closed)
        for command in (s.file_report(), known, s.take(), *commands, over):
            await journal.execute(opened, command, actor="operator:hanako")
    return opened


async def told_with(data: Path, *obligations: str, supervisor: str = "") -> IncidentId:
    """An incident of which an agency was told, with what the law wants done about that."""
    keys = KeyStore(data / "keys")
    async with SqliteStore(data / "journal.db") as store:
        await upgrade(store.engine)
        journal = Journal(store, keys, Spool(data / "spool", keys.secret("spool")), clock=SystemClock())
        opened = await incident(journal)
        told = s.disclose(obligations=obligations)
        if supervisor:
            told = replace(told, supervisor=OperatorId(supervisor))
        for command in (s.take(), told):
            await journal.execute(opened, command, actor="operator:hanako")
    return opened


async def kinds(data: Path, stream: str) -> Sequence[str]:
    """What happened in a stream."""
    async with SqliteStore(data / "journal.db") as store:
        return [type(each.event).__name__ for each in await store.stream(SubjectId(stream))]
