"""A house that keeps: journal, retention and two people, on each database, at a clock that stands still."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest

from recording.keys import KeyStore
from recording.retention import HOUSE, Terms
from sos.clock import ManualClock
from sos.incident import commands as c
from sos.incident.model import Disposition, IncidentId, TenantId
from sos.journal.journal import Journal
from sos.journal.retention_rows import RetentionRows
from sos.journal.spool import Spool
from sos.journal.sqlite import SqliteStore
from sos.journal.store import Store
from sos.retention.configured import Retention
from sos.retention.disposals import Disposal
from tests.journeys import story as s
from tests.rest import Watched, settled
from tests.sos.journal.reports import incident

HANAKO, JIRO = "operator:hanako", "operator:jiro"
DAY = timedelta(days=1)

Closed = Callable[..., Awaitable[IncidentId]]


@pytest.fixture
async def journal(store: Store, keys: KeyStore, clock: ManualClock, tmp_path: Path) -> Journal:
    """Not opened: nobody watches for slow commits every 50 ms, so years go by in no time."""
    spool = Spool(tmp_path / "spool", keys.secret("spool"))
    await spool.open()
    return Journal(Watched.over(store), keys, spool, clock=clock)


class Brands(dict[TenantId, Terms]):
    """What brands promise otherwise; a test puts it there."""

    def __call__(self, tenant: TenantId) -> Terms:
        return self.get(tenant, HOUSE)


@pytest.fixture
def brands() -> Brands:
    return Brands()


def rows_of(store: Store) -> RetentionRows:
    return RetentionRows(cast(SqliteStore, store).engine)


@pytest.fixture
def house(
    journal: Journal, store: Store, keys: KeyStore, clock: ManualClock, brands: Brands, tmp_path: Path
) -> Retention:
    async def database():
        return clock.now()

    return Retention.of(journal, keys, rows_of(store), data=tmp_path, terms=brands, database=database)


@pytest.fixture
def closed(journal: Journal) -> Closed:
    """Closes an incident of its own, told to an agency first where it is handed over."""
    number = 0

    async def close(disposition: Disposition = Disposition.FALSE_ALARM, *more: c.Command) -> IncidentId:
        nonlocal number
        number += 1
        opened = await incident(journal, number)
        told = (s.disclose(), s.acknowledge()) if disposition is Disposition.HANDED_OVER else ()
        commands = (s.file_report(), s.take(), s.note(), *told, c.CloseIncident(disposition=disposition), *more)
        for command in commands:
            await journal.execute(opened, command, actor=HANAKO)
        return opened

    return close


async def believed(house: Retention, clock: ManualClock, duration: timedelta) -> None:
    """Let so much time go by, with the service looking as often as it does."""
    left = duration
    while left > timedelta():
        step = min(left, DAY)
        await clock.advance(step)
        await house.clocks.believed()
        left -= step


async def agreed(house: Retention, journal: Journal) -> Disposal:
    """A list of what is due, with two people who agree."""
    await settled(journal.store)
    listed = await house.executor.list_due(actor="system:test")
    assert listed is not None
    await house.executor.approve(listed.disposal.disposal, by=HANAKO)
    return await house.executor.approve(listed.disposal.disposal, by=JIRO)
