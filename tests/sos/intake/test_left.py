"""What a door has acknowledged opens its incident although that door never comes again."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from recording.keys import KeyStore
from sos.app import running
from sos.clock import ManualClock
from sos.errors import Unavailable
from sos.incident.model import IncidentId
from sos.intake.acceptance import Acceptance, Came
from sos.intake.left import DOORS, LeftBehind
from sos.intake.receipts import Receipts
from sos.intake.recent import Recent
from sos.intake.simulated import MemoryReception
from sos.intake.spooling import SpoolReception
from sos.intake.tenants import Tenant
from sos.intake.writer import Writer
from sos.journal.sole import Sole
from sos.journal.spool import Spool
from tests.sos.calls.recorded_call import settings
from tests.sos.intake.test_acceptance import ACME, CLOUD, OTHER, event

NOW = datetime(2026, 1, 1, 9, 0, 4, tzinfo=UTC)
KEY = b"k" * 32


@pytest.fixture
def reception() -> MemoryReception:
    return MemoryReception()


@pytest.fixture
def writer(reception: MemoryReception) -> Writer:
    receipts = Receipts(b"a secret for tests, 32 bytes long")
    return Writer(Acceptance(reception, receipts, Recent()), reception, tenants={ACME.id: ACME})


@pytest.fixture
def left(tmp_path: Path, writer: Writer, clock: ManualClock) -> LeftBehind:
    return LeftBehind(tmp_path, KEY, writer, clock)


async def acknowledged(home: Path, *, tenant: Tenant = ACME, key: bytes = KEY) -> IncidentId:
    """The incident that a door named, which has kept its report in ``home``."""
    home.mkdir(parents=True)
    spool = Spool(home, key)
    await spool.open()
    alone = Acceptance(SpoolReception(spool), Receipts(b"a secret for tests, 32 bytes long"), Recent())
    taken = await alone.take(event(), content_type=CLOUD, tenant=tenant, received_at=NOW, by=Came(connection="a car"))
    return taken.incident


async def test_a_service_that_starts_without_doors_opens_what_they_acknowledged(tmp_path: Path) -> None:
    house = settings(tmp_path)
    key = KeyStore(house.data / "keys").secret("spool")
    told = await acknowledged(house.data / DOORS / "3", key=key)

    async with running(house) as service, asyncio.timeout(20):
        while await service.journal.store.load(told) is None:
            await service.journal.clock.wait(timedelta(milliseconds=20))

        assert (await service.journal.state(told)).tenant == ACME.id


async def test_the_service_takes_it_under_the_id_that_was_told_and_once(
    left: LeftBehind, reception: MemoryReception, tmp_path: Path
) -> None:
    told = await acknowledged(tmp_path / DOORS / "2")

    await left.look()
    await left.look()

    assert [each.incident for each in reception.opened] == [told]
    assert (tmp_path / DOORS / "2" / "spool").stat().st_size == 0


async def test_a_door_that_lives_hands_over_by_itself(
    left: LeftBehind, reception: MemoryReception, tmp_path: Path
) -> None:
    await acknowledged(tmp_path / DOORS / "1")
    alive = Sole(tmp_path / DOORS / "1")
    alive.take()

    await left.look()
    before = len(reception.opened)
    alive.release()
    await left.look()

    assert (before, len(reception.opened)) == (0, 1)


async def test_what_cannot_be_taken_stays_on_the_disk_and_is_an_alarm(
    left: LeftBehind, writer: Writer, reception: MemoryReception, tmp_path: Path
) -> None:
    await acknowledged(tmp_path / DOORS / "1")
    await acknowledged(tmp_path / DOORS / "2", tenant=OTHER)
    reception.failing.append(Unavailable("away"))

    with pytest.raises(Unavailable):
        await left.look()
    await left.look()

    assert len(reception.opened) == 1
    assert b"sos_door_spool_reports 1.0" in generate_latest(writer.figures)
    assert (tmp_path / DOORS / "2" / "spool").stat().st_size > 0
