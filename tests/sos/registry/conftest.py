"""A registry on each database, with two invented brands, a car and its owner."""

from collections.abc import Awaitable, Callable

import pytest

from recording.keys import KeyStore
from sos.clock import ManualClock
from sos.incident.model import SubjectId, TenantId
from sos.journal.store import Store
from sos.registry.index import Index
from sos.registry.lifecycle import Role
from sos.registry.model import Scheme, VehicleKey
from sos.registry.orders import GrantEntitlement, LinkOwner, RegisterSubscriber, RegisterVehicle
from sos.registry.pack import shipped
from sos.registry.registry import By, Registry

DEMO = TenantId("demo")
NO_PROFILING = TenantId("demo-no-profiling")
VIN = VehicleKey(Scheme.VIN, "JTMZZ3TESTEC00001")
PLATE = VehicleKey(Scheme.PLATE, "品川 300 あ 12-34")
PROFILE = {"name": "架空 太郎", "phone": "+81300001234", "email": "taro@example.com"}


def by(role: Role = Role.OEM, *, tenant: TenantId = DEMO, acting: SubjectId | None = None) -> By:
    return By(tenant=tenant, role=role, id="test", acting=acting)


@pytest.fixture
async def registry(store: Store, keys: KeyStore, clock: ManualClock) -> Registry:
    made = Registry(store, Index(store.engine), keys, clock=clock)
    await made.load_packs(shipped().values(), ())
    return made


@pytest.fixture
def car(registry: Registry, clock: ManualClock) -> Callable[..., Awaitable[tuple[SubjectId, SubjectId]]]:
    """A car with an owner and an unlimited right to SOS; ids of both."""

    async def make(*, tenant: TenantId = DEMO, unit: str = "") -> tuple[SubjectId, SubjectId]:
        me = by(tenant=tenant)
        vehicle = await registry.register(RegisterVehicle(keys=(VIN, PLATE), source="test", unit=unit), by=me)
        owner = await registry.register(RegisterSubscriber(profile=PROFILE, source="test", ref="C-1"), by=me)
        await registry.change_vehicle(vehicle.subject, LinkOwner(subscriber=owner.subject), by=me)
        granted = GrantEntitlement(service="sos", begins=clock.now())
        await registry.change_vehicle(vehicle.subject, granted, by=me)
        return vehicle.subject, owner.subject

    return make
