"""The rights desk on the database that the settings name, for the commands that are given at it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from recording.retention import HOUSE
from sos.cli.database import opened
from sos.cli.retention import brand_terms
from sos.clock import SystemClock
from sos.dispatch.sources import open_directory
from sos.journal.journal import Journal
from sos.journal.root_keys import key_store
from sos.journal.spool import Spool
from sos.journal.subject_rows import SubjectRows
from sos.registry.index import Index
from sos.registry.registry import Registry
from sos.rights.configured import Rights, named
from sos.rights.terms import configured
from sos.settings import Settings

Result = TypeVar("Result")


def with_room(settings: Settings, work: Callable[[Rights], Awaitable[Result]]) -> Result:
    """What ``work`` gives, with the room open on the database."""

    async def done() -> Result:
        async with _opened(settings) as rights:
            return await work(rights)

    return asyncio.run(done())


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Rights]:
    """Beside a running service, whose spool is left alone: the journal is not opened for reports."""
    keys, clock = key_store(settings), SystemClock()
    directory = open_directory(settings.directory)
    terms, promised = configured(settings.rights_terms), brand_terms(settings)
    async with opened(settings) as store:
        journal = Journal(store, keys, Spool(settings.data / "spool", keys.secret("spool")), clock=clock)
        yield Rights.of(
            journal,
            keys,
            SubjectRows(store.engine),
            registry=Registry(store, Index(store.engine), keys, clock=clock),
            terms=terms,
            agency=named(directory),
            brand_terms=lambda tenant: promised.get(tenant, HOUSE),
        )
