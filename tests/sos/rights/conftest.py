"""A rights desk on each database, at a clock that stands still, over an invented town."""

from pathlib import Path
from typing import cast

import pytest

from recording.keys import KeyStore
from sos.clock import ManualClock
from sos.journal.journal import Journal
from sos.journal.spool import Spool
from sos.journal.sqlite import SqliteStore
from sos.journal.store import Store
from sos.journal.subject_rows import SubjectRows
from sos.registry.index import Index
from sos.registry.pack import shipped
from sos.registry.registry import Registry
from sos.rights.configured import Rights
from sos.rights.terms import shipped as terms


@pytest.fixture
async def journal(store: Store, keys: KeyStore, clock: ManualClock, tmp_path: Path) -> Journal:
    """Not opened: nobody watches for slow commits, so months go by in no time."""
    spool = Spool(tmp_path / "spool", keys.secret("spool"))
    await spool.open()
    return Journal(store, keys, spool, clock=clock)


@pytest.fixture
async def registry(store: Store, keys: KeyStore, clock: ManualClock) -> Registry:
    made = Registry(store, Index(store.engine), keys, clock=clock)
    await made.load_packs(shipped().values(), ())
    return made


@pytest.fixture
def rights(journal: Journal, keys: KeyStore, registry: Registry, store: Store) -> Rights:
    rows = SubjectRows(cast(SqliteStore, store).engine)
    return Rights.of(journal, keys, rows, registry=registry, terms=terms(), agency=str)
